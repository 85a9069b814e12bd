//! The whole house, from outside: the real binary, other people's clients, a real browser.
//!
//! Each test starts its own store on its own data directory with every door on a free port, so all run at the same time.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod admin;
mod architecture;
mod commands;
mod connector;
mod console;
mod crash;
mod disk;
mod iam;
mod postgres;
mod s3;
mod sso;
mod staging;
