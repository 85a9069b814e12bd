//! The staging store with a real engine in a temporary directory: round trips, interruptions, tampering, hooks.
#![expect(clippy::unwrap_used, reason = "a test fails where something that must work does not")]

mod evict;
mod hooks;
mod pull;
mod push;
mod support;
mod tamper;
mod wire;
