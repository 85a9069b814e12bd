//! The stand-in as a client sees it: recordings, requests, sessions, misbehaviour.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails by panicking")]

mod common;
mod misbehaviour;
mod recordings;
mod requests;
mod sessions;
