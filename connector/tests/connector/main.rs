//! The connector against a stand-in CloudStack on one side and a real store behind its Admin API on the other.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod changes;
mod check;
mod crash;
mod events;
mod first_pass;
mod grace;
mod limit;
mod model;
mod plugin;
mod safety;
mod scoped;
mod world;
