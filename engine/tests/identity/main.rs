//! Groups, users, keys, log-ins and the trash, through the engine's public methods on a real database.

#[path = "../shared/blobs.rs"]
mod blobs;
#[path = "../shared/conflicts.rs"]
mod conflicts;
mod credentials;
#[path = "../shared/databases.rs"]
mod databases;
mod groups;
mod iam;
mod iam_permissions;
mod logins;
mod permissions;
mod revocation;
mod secrets;
mod support;
mod trash;
mod trashed_data;
mod users;
