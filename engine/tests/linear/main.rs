//! Concurrent writes in one piece and in parts, copies, deletions and reads of two keys, many of them conditional: every recorded history
//! must be one that some order of its operations, one at a time, could have had (linearizability, key by key).

#![expect(clippy::unwrap_used, reason = "a test whose world cannot be set up must fail")]

mod checker;
#[path = "../shared/databases.rs"]
mod databases;
mod load;
mod planted;
#[path = "../shared/tenants.rs"]
mod tenants;
