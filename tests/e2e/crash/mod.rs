//! kill -9 in the middle of things: no acknowledged write is lost, and the next start heals.

mod reconcile;
mod uploads;
