//! The Admin API over real connections: the server in front of a real engine in a directory of its own, driven by the
//! typed client, by raw requests and by what CloudStack's plug-in was recorded to send.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod audit;
mod client;
mod endpoints;
mod matrix;
mod other_servers;
mod recorded;
mod robustness;
mod setup;
mod tls;
