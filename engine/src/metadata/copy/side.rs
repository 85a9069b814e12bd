//! One side of a copy: a database of either kind whose rows are read, or into which rows are inserted.

use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{PgConnection, Row as _, SqliteConnection, TypeInfo, ValueRef};

use super::{Batch, Table, failed};
use crate::metadata::row::{Value, bind_postgres, bind_sqlite};
use crate::{Error, Result};

/// A connection to a database of either kind.
pub(super) enum Side<'c> {
    Sqlite(&'c mut SqliteConnection),
    Postgres(&'c mut PgConnection),
}

impl Side<'_> {
    /// All rows of a table, as they come: both databases go on only as fast as rows are taken.
    pub(super) fn rows(&mut self, table: &Table) -> BoxStream<'_, Result<Vec<Value>>> {
        match self {
            Self::Sqlite(connection) => {
                let rows = sqlx::query(table.select()).fetch(&mut **connection).map_err(failed);
                rows.map(|row| sqlite_values(&row?)).boxed()
            }
            Self::Postgres(connection) => {
                let rows = sqlx::query(table.select()).fetch(&mut **connection).map_err(failed);
                rows.map(|row| postgres_values(&row?)).boxed()
            }
        }
    }

    pub(super) async fn insert(&mut self, table: &Table, batch: Batch) -> Result<()> {
        if batch.rows == 0 {
            return Ok(());
        }
        let sql = table.insert(batch.rows);
        let inserted = match self {
            Self::Sqlite(connection) => {
                bind_sqlite(sql, batch.values).persistent(false).execute(&mut **connection).await.map(|_| ())
            }
            Self::Postgres(connection) => {
                bind_postgres(sql, batch.values).persistent(false).execute(&mut **connection).await.map(|_| ())
            }
        };
        inserted.map_err(failed)
    }

    /// The number of rows that the database sees in a table.
    pub(super) async fn count(&mut self, table: &Table) -> Result<u64> {
        let count: sqlx::Result<i64> = match self {
            Self::Sqlite(connection) => {
                sqlx::query(table.count()).fetch_one(&mut **connection).await.and_then(|row| row.try_get("count"))
            }
            Self::Postgres(connection) => {
                sqlx::query(table.count()).fetch_one(&mut **connection).await.and_then(|row| row.try_get("count"))
            }
        };
        u64::try_from(count.map_err(failed)?).map_err(|_| Error::corrupt("a count is negative"))
    }
}

/// SQLite's values have types of their own, whatever their column says.
fn sqlite_values(row: &SqliteRow) -> Result<Vec<Value>> {
    let value = |index: usize| {
        let raw = row.try_get_raw(index)?;
        if raw.is_null() {
            return Ok(Value::Null);
        }
        match raw.type_info().name() {
            "INTEGER" => row.try_get_unchecked(index).map(Value::Int),
            "TEXT" => row.try_get_unchecked(index).map(Value::Text),
            _ => row.try_get_unchecked(index).map(Value::Blob),
        }
    };
    (0..row.columns().len()).map(|index| value(index).map_err(failed)).collect()
}

/// PostgreSQL's values have the types of their columns, of which the schema has three.
fn postgres_values(row: &PgRow) -> Result<Vec<Value>> {
    let value = |index: usize| {
        let raw = row.try_get_raw(index)?;
        if raw.is_null() {
            return Ok(Value::Null);
        }
        match raw.type_info().name() {
            "TEXT" => row.try_get(index).map(Value::Text),
            "BYTEA" => row.try_get(index).map(Value::Blob),
            // Another type than BIGINT fails here, and says so.
            _ => row.try_get(index).map(Value::Int),
        }
    };
    (0..row.columns().len()).map(|index| value(index).map_err(failed)).collect()
}
