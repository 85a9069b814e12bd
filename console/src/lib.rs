//! The management console: server-rendered pages under `/Cloudian/`, where tenants land with one click from CloudStack.
//!
//! Every page is one call of the engine, rendered. The engine authorizes; this crate turns a browser into a caller: by a
//! signed link ([`sso`]), by a password, and from then on by a session cookie. Pages work without JavaScript.
//!
//! The server gives it what lies outside the engine: the key of the signed links ([`SsoKeySource`]), the connector's state
//! ([`ConnectorView`]) and the addresses of the S3 door.

mod assets;
mod auth;
mod buckets;
mod connector;
mod credentials;
mod download;
mod error;
mod form;
mod format;
mod login;
mod logout;
mod objects;
mod people;
mod plain;
mod route;
mod security;
mod settings;
mod shell;
mod sso_login;
mod throttle;
mod upload;

use std::sync::Arc;

pub use auth::SESSION_COOKIE;
pub use connector::{
    ChangeKind, ConnectorFailure, ConnectorState, ConnectorView, Held, PendingChange, Run, RunOutcome,
};
pub use plain::plain_router;
pub use route::{Access, Endpoint, endpoints, router};
pub use settings::{Settings, SettingsError};
pub use sso_login::SsoKeySource;

/// What every page needs; cheap to clone.
#[derive(Clone)]
pub struct ConsoleState(Arc<Inner>);

struct Inner {
    engine: engine::Engine,
    settings: Settings,
    sso: Arc<dyn SsoKeySource>,
    connector: Arc<dyn ConnectorView>,
    s3_urls: Vec<String>,
    throttle: throttle::Throttle,
}

impl ConsoleState {
    /// A console over an engine. `s3_urls` are the base URLs of the S3 door, which people are told to use.
    pub fn new(
        engine: engine::Engine,
        settings: Settings,
        sso: Arc<dyn SsoKeySource>,
        connector: Arc<dyn ConnectorView>,
        s3_urls: Vec<String>,
    ) -> Self {
        let throttle = throttle::Throttle::new(engine.clock().clone());
        Self(Arc::new(Inner { engine, settings, sso, connector, s3_urls, throttle }))
    }

    pub(crate) fn engine(&self) -> &engine::Engine {
        &self.0.engine
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.0.settings
    }

    pub(crate) fn sso(&self) -> &dyn SsoKeySource {
        self.0.sso.as_ref()
    }

    pub(crate) fn connector(&self) -> &dyn ConnectorView {
        self.0.connector.as_ref()
    }

    pub(crate) fn s3_urls(&self) -> &[String] {
        &self.0.s3_urls
    }

    pub(crate) fn throttle(&self) -> &throttle::Throttle {
        &self.0.throttle
    }
}

impl std::fmt::Debug for ConsoleState {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("ConsoleState").field("settings", &self.0.settings).finish_non_exhaustive()
    }
}
