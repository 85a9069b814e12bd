//! Nothing acknowledged is ever lost: the engine on a disk that dies, loses power, fills up or fails.
//!
//! `points` kills the process at every step of every operation, `power` cuts the power at random ones, `full` and `failing` let the disk
//! fill up and fail. After each of them the store is opened again and compared with what was acknowledged ([`model`]), and its rows and
//! files with each other ([`check`]).

#![expect(clippy::unwrap_used, reason = "a test whose world cannot be set up must fail")]

mod check;
mod failing;
mod full;
mod model;
mod points;
mod power;
mod store;
