//! A stand-in for a CloudStack management server: it answers as a recorded CloudStack 4.23 does, from tenants that it
//! keeps in memory.
//!
//! It checks signatures and sessions, cuts lists at 500, runs jobs, writes events, and speaks the plug-in commands of the
//! stock storage connector. A test changes its tenants through [`Control`], and tells it to be slow, to fail, to lie or
//! to vanish. It is for demonstrations and tests, and keeps its passwords in memory as they are.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use cloudstack_stand_in::{Cloud, Options, StandIn};
//!
//! let stand_in = StandIn::start(Cloud::recorded(), Options::default()).await?;
//! let (api_key, secret_key) = stand_in.control().admin_keys();
//! println!("{} {api_key} {secret_key}", stand_in.base_url());
//! stand_in.stop().await;
//! # Ok(())
//! # }
//! ```

mod answer;
mod api;
mod change;
mod clock;
mod cloud;
mod command;
mod control;
mod events;
mod ids;
mod jobs;
mod log;
mod misbehaviour;
mod model;
mod page;
mod parameters;
mod samples;
mod server;
mod session;
mod settings;
mod signature;
mod view;

#[cfg(test)]
mod vectors;

pub use cloud::{Cloud, DEFAULT_PASSWORD};
pub use control::{Control, ControlError};
pub use log::RequestRecord;
pub use misbehaviour::Lie;
pub use model::State;
pub use server::{Options, StandIn};
