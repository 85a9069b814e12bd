//! The control socket: how commands reach a running store.
//!
//! It speaks HTTP with JSON, under a path that begins with the version of the protocol. Whoever connects must be the user that the
//! store runs as, or root; what it asks is done as the local operator and written to the log.

mod client;
mod quota;
mod route;
mod server;
mod socket;
pub(crate) mod wire;

pub(crate) use client::ControlClient;
pub(crate) use quota::{QuotaReport, QuotaRequest};
pub(crate) use route::{Parts, ResetRequest, StatusReport, SyncRequest, TrashRequest, TrashedUser, router};
pub(crate) use server::serve;
pub(crate) use socket::bind;

/// The socket in the data directory.
pub(crate) const FILE_NAME: &str = "control.sock";
/// The version of the protocol, the first part of every path.
pub(crate) const VERSION: &str = "v1";

#[cfg(test)]
mod tests;
