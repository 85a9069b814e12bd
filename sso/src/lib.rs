//! Signed log-in links between CloudStack and the console: how they are made and how they are checked.
//!
//! A link carries a user, a group, the time it was made in milliseconds since 1970, and the HMAC-SHA1 of
//! `user=U&group=G&timestamp=T` under a key that both sides know. CloudStack's "Cloudian" connector makes such links, and
//! so does our own connector; the console takes them.
//!
//! This crate knows no HTTP and keeps no state. A link is valid until its window has passed, however often it is shown,
//! so whoever accepts one must remember [`Verified::signature`] until [`Verified::remember_until_ms`] and refuse it a second
//! time.

mod address;
mod error;
mod key;
mod origins;
mod query;
mod redirect;
mod sign;
mod verify;

#[cfg(test)]
mod vectors;

pub use address::ConsoleAddress;
pub use error::{Error, Parameter};
pub use key::SharedKey;
pub use origins::LogoutOrigins;
pub use redirect::{CONSOLE_PATH, safe_redirect};
pub use sign::{Login, Signature, login_url, sign};
pub use verify::{Verified, Verifier};
