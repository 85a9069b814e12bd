//! A running transaction: statements, the commit sequence, and the usage that it changes.

use std::collections::BTreeMap;

use sqlx::SqliteConnection;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::SqliteArguments;

use super::row::{Row, Value};
use crate::{Clock, Error, Result};

/// A connection of either kind.
#[derive(Debug)]
pub(super) enum Connection {
    Writer(SqliteConnection),
    Reader(PoolConnection<sqlx::Sqlite>),
}

impl Connection {
    pub(super) fn sqlite(&mut self) -> &mut SqliteConnection {
        match self {
            Self::Writer(connection) => connection,
            Self::Reader(connection) => connection,
        }
    }
}

/// How a transaction changes what a bucket holds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct UsageDelta {
    pub(crate) object_count: i64,
    pub(crate) size_bytes: i64,
    pub(crate) upload_size_bytes: i64,
}

impl UsageDelta {
    pub(crate) fn minus(self, other: Self) -> Self {
        Self {
            object_count: self.object_count - other.object_count,
            size_bytes: self.size_bytes - other.size_bytes,
            upload_size_bytes: self.upload_size_bytes - other.upload_size_bytes,
        }
    }

    pub(crate) fn is_nothing(self) -> bool {
        (self.object_count, self.size_bytes, self.upload_size_bytes) == (0, 0, 0)
    }
}

/// Usage changes by bucket number.
pub(super) type UsageChanges = BTreeMap<i64, UsageDelta>;

/// A running transaction.
#[derive(Debug)]
pub(crate) struct Tx {
    pub(super) connection: Connection,
    pub(super) name: &'static str,
    pub(super) clock: Clock,
    pub(super) next_seq: i64,
    pub(super) usage: UsageChanges,
}

impl Tx {
    pub(super) fn new(connection: Connection, name: &'static str, clock: Clock) -> Self {
        Self { connection, name, clock, next_seq: 0, usage: UsageChanges::new() }
    }

    /// Now, in microseconds of the Unix epoch.
    pub(crate) fn now_us(&self) -> i64 {
        self.clock.now_us()
    }

    /// The next number of the commit sequence. A transaction that fails leaves a gap, which is harmless.
    pub(crate) fn take_seq(&mut self) -> i64 {
        let seq = self.next_seq;
        self.next_seq += 1;
        seq
    }

    /// Notes a change of what a bucket holds; it is written with the commit.
    pub(crate) fn change_usage(&mut self, bucket_id: i64, delta: UsageDelta) {
        add_usage(&mut self.usage, bucket_id, delta);
    }

    /// Runs a statement and returns how many rows it changed.
    pub(crate) async fn execute(&mut self, sql: &'static str, values: Vec<Value>) -> Result<u64> {
        let done = bind(sql, values).execute(self.connection.sqlite()).await;
        done.map(|result| result.rows_affected()).map_err(|source| self.failed(source))
    }

    /// Runs an INSERT of a table with a generated integer id and returns the id.
    pub(crate) async fn insert_returning_id(&mut self, sql: &'static str, values: Vec<Value>) -> Result<i64> {
        self.fetch_one(sql, values).await?.int("id")
    }

    pub(crate) async fn fetch_optional(&mut self, sql: &'static str, values: Vec<Value>) -> Result<Option<Row>> {
        let row = bind(sql, values).fetch_optional(self.connection.sqlite()).await;
        row.map(|row| row.map(Row)).map_err(|source| self.failed(source))
    }

    pub(crate) async fn fetch_one(&mut self, sql: &'static str, values: Vec<Value>) -> Result<Row> {
        let row = bind(sql, values).fetch_one(self.connection.sqlite()).await;
        row.map(Row).map_err(|source| self.failed(source))
    }

    pub(crate) async fn fetch_all(&mut self, sql: &'static str, values: Vec<Value>) -> Result<Vec<Row>> {
        let rows = bind(sql, values).fetch_all(self.connection.sqlite()).await;
        rows.map(|rows| rows.into_iter().map(Row).collect()).map_err(|source| self.failed(source))
    }

    fn failed(&self, source: sqlx::Error) -> Error {
        super::db::database_error(self.name, source)
    }
}

pub(super) fn add_usage(changes: &mut UsageChanges, bucket_id: i64, delta: UsageDelta) {
    let sum = changes.entry(bucket_id).or_default();
    sum.object_count += delta.object_count;
    sum.size_bytes += delta.size_bytes;
    sum.upload_size_bytes += delta.upload_size_bytes;
}

fn bind(sql: &'static str, values: Vec<Value>) -> sqlx::query::Query<'static, sqlx::Sqlite, SqliteArguments> {
    values.into_iter().fold(sqlx::query(sql), |query, value| match value {
        Value::Null => query.bind(None::<i64>),
        Value::Int(int) => query.bind(int),
        Value::Text(text) => query.bind(text),
        Value::Blob(blob) => query.bind(blob),
    })
}
