//! The listeners: own accept loop with limits, TLS, graceful shutdown, and what every request gets.

mod access;
mod connection;
mod patience;
mod peers;

pub(crate) use connection::{Limits, Listening, serve};
pub(crate) use patience::Pace;
