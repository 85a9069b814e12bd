//! All SQL of what is stored, one file per aggregate. No SQL stands anywhere else in the engine.
//!
//! [`Db`] is the one way in: [`Db::write`] runs a named transaction, [`Db::read`] one that only reads. SQLite and PostgreSQL run the same
//! statements, with `$1` placeholders and `ON CONFLICT`; only their schemas and how they commit differ.

mod copy;
mod db;
mod lent;
mod link;
mod look_ups;
mod many;
mod migrate;
mod occupied;
mod postgres;
mod readers;
mod row;
mod settle;
mod sqlite;
mod tx;
mod writer;

pub(crate) mod buckets;
pub(crate) mod changes;
pub(crate) mod check;
pub(crate) mod compare;
pub(crate) mod contents;
pub(crate) mod credentials;
pub(crate) mod expiry;
pub(crate) mod garbage;
pub(crate) mod groups;
pub(crate) mod iam;
pub(crate) mod leftovers;
pub(crate) mod listing;
pub(crate) mod logins;
pub(crate) mod multipart;
pub(crate) mod objects;
pub(crate) mod outbox;
pub(crate) mod quota;
pub(crate) mod repair;
pub(crate) mod scan;
pub(crate) mod scrub;
pub(crate) mod settings;
pub(crate) mod snapshot;
pub(crate) mod store_info;
pub(crate) mod trash;
pub(crate) mod usage;
pub(crate) mod users;
pub(crate) mod versions;

pub use copy::TableCopied;
pub(crate) use copy::{load_into_postgres, move_to_postgres};
pub(crate) use db::Db;
pub(crate) use occupied::look as look_at_postgres;
pub(crate) use row::{Row, Value, values};
pub(crate) use sqlite::FILE;
pub(crate) use tx::{Script, Tx, UsageDelta};
