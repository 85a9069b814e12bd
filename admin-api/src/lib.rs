//! The HyperStore Admin REST API: its typed client, and the server that answers it from the engine.
//!
//! A request finds its [`Endpoint`], is authenticated as the service account, becomes a call of the engine and leaves a
//! line in the audit log. One file a resource: group, user, credential, system.

mod answer;
mod audit;
mod auth;
pub mod client;
mod credential;
mod error;
mod group;
mod page;
mod request;
mod route;
mod settings;
mod system;
mod throttle;
mod user;
pub mod wire;

use std::sync::Arc;

pub use route::{Endpoint, router};
pub use settings::{InvalidSettings, Settings};

use throttle::Throttle;

/// The server's state: cheap to clone.
#[derive(Clone, Debug)]
pub struct AdminApi {
    engine: engine::Engine,
    settings: Arc<Settings>,
    throttle: Arc<Throttle>,
}

impl AdminApi {
    /// An Admin API in front of `engine`.
    #[must_use]
    pub fn new(engine: engine::Engine, settings: Settings) -> Self {
        let throttle = Throttle::new(&settings);
        Self { engine, settings: Arc::new(settings), throttle }
    }
}
