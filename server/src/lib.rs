//! The process: configuration, doors, workers, commands and shutdown of Cloudhold. It has no rules of its own.
//!
//! [`start`] runs everything in the calling process, for the binary as for tests; what the store does is in the other crates.
//! [`Opening`] does the same in two steps, for whoever must know the ports before what stands behind the doors is set up.

pub mod commands;
pub mod config;
mod control;
mod demo;
mod demo_mark;
mod doors;
mod files;
mod first_credentials;
mod listen;
mod metrics_door;
mod run;
mod secondary_storage;
mod tls;
mod upkeep;
mod views;

pub use config::Config;
pub use demo::{Demo, Tenant, start_demo};
pub use doors::Doors;
pub use first_credentials::FirstCredentials;
pub use run::{Opening, Running, start};
