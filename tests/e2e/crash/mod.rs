//! kill -9 in the middle of things: no acknowledged write is lost, and the next start heals.

mod kills;
mod oracle;
mod reconcile;
mod uploads;
