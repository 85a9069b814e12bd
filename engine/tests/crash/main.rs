//! Nothing acknowledged is ever lost: the engine on a disk that dies, loses power, fills up or fails.
//!
//! `points` and `lives` kill the process and cut the power at every step of every operation, `power` at random ones, `full` and `failing`
//! let the disk fill up and fail, `removed` looks for bytes that come back, `postgres` kills the process between its requests to a database of
//! PostgreSQL. After each of them the store is opened again and compared with what was acknowledged ([`model`]), and its rows and files with
//! each other ([`check`]).

#![expect(clippy::unwrap_used, reason = "a test whose world cannot be set up must fail")]

#[path = "../shared/blobs.rs"]
mod blobs;
mod cable;
mod check;
mod failing;
mod full;
mod lives;
mod model;
mod points;
mod postgres;
mod power;
mod removed;
mod store;
#[path = "../shared/tenants.rs"]
mod tenants;
