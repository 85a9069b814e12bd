//! Nothing acknowledged is ever lost: the engine on a disk that dies, loses power, fills up or fails.
//!
//! `points` and `lives` kill the process and cut the power at every step of every operation, `power` at random ones, `full` and `failing`
//! let the disk fill up and fail, `restarts` lets a second failure follow, `removed` looks for bytes that come back. After each of them the
//! store is opened again and compared with what was acknowledged ([`model`]), and its rows and files with each other ([`check`]). `told`
//! compares what answers say with the disk.
//!
//! All run on both databases (see `test-databases`). With PostgreSQL each request to it is a step as well, at which the process may die
//! ([`cable`]); what is about the files of SQLite is skipped. `postgres` breaks single connections.

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
mod restarts;
mod store;
#[path = "../shared/tenants.rs"]
mod tenants;
mod told;
