//! Copies all rows of a store between SQLite and PostgreSQL, in either direction.
//!
//! Tables and columns are read from SQLite's own schema, so that no list here can forget one: PostgreSQL has the same.

mod side;
mod to_postgres;
mod to_sqlite;

use futures::TryStreamExt;
use sqlx::{AssertSqlSafe, Row as _, SqliteConnection};

use self::side::Side;
use super::db::database_error;
use super::row::Value;
use crate::{Error, Result};

pub(crate) use to_postgres::{load_into_postgres, move_to_postgres};
pub(crate) use to_sqlite::copy_to_sqlite;

/// The name under which failures are told.
const NAME: &str = "copy_metadata";
/// Values that one statement inserts, roughly; PostgreSQL takes 65,535, SQLite 32,766.
const VALUES_MAX: usize = 6_000;
/// Bytes that one statement inserts, roughly.
const BYTES_MAX: usize = 4 << 20;

/// A table, with the columns that are copied.
struct Table {
    name: String,
    columns: Vec<String>,
}

/// How many rows of a table were copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableCopied {
    /// The table.
    pub table: String,
    /// Its rows.
    pub rows: u64,
}

fn failed(source: sqlx::Error) -> Error {
    database_error(NAME, source)
}

/// The tables of the store. The count of the commit sequence is none of them: each kind of database keeps it in its own way.
async fn tables(sqlite: &mut SqliteConnection) -> Result<Vec<Table>> {
    let names = sqlx::query(
        "SELECT name FROM sqlite_master
         WHERE type = 'table' AND name NOT LIKE 'sqlite~_%' ESCAPE '~' AND name NOT IN ('_sqlx_migrations', 'sequence')
         ORDER BY name",
    )
    .fetch_all(&mut *sqlite)
    .await
    .map_err(failed)?;
    let mut tables = Vec::with_capacity(names.len());
    for row in names {
        let name: String = row.try_get("name").map_err(failed)?;
        let columns = sqlx::query("SELECT name FROM pragma_table_info($1) ORDER BY cid").bind(name.clone());
        let columns = columns.fetch_all(&mut *sqlite).await.map_err(failed)?;
        let columns = columns.iter().map(|row| row.try_get("name").map_err(failed)).collect::<Result<Vec<String>>>()?;
        tables.push(Table { name, columns });
    }
    Ok(tables)
}

/// Copies every row of the tables. What arrives is counted by the database that it went to.
async fn copy_tables(tables: Vec<Table>, mut from: Side<'_>, mut to: Side<'_>) -> Result<Vec<TableCopied>> {
    let mut copied = Vec::with_capacity(tables.len());
    for table in tables {
        let rows = copy_table(&table, &mut from, &mut to).await?;
        let arrived = to.count(&table).await?;
        if arrived != rows {
            return Err(Error::Unusable(format!("{rows} rows of {} were sent, {arrived} arrived", table.name)));
        }
        copied.push(TableCopied { table: table.name, rows });
    }
    Ok(copied)
}

/// Copies a table row by row, with no more than a batch in memory; returns its number of rows.
async fn copy_table(table: &Table, from: &mut Side<'_>, to: &mut Side<'_>) -> Result<u64> {
    let mut rows = from.rows(table);
    let (mut count, mut batch) = (0, Batch::default());
    while let Some(row) = rows.try_next().await? {
        batch.add(row);
        count += 1;
        if batch.is_full() {
            to.insert(table, std::mem::take(&mut batch)).await?;
        }
    }
    to.insert(table, batch).await?;
    Ok(count)
}

impl Table {
    fn select(&self) -> AssertSqlSafe<String> {
        AssertSqlSafe(format!("SELECT {} FROM {}", self.columns.join(", "), self.name))
    }

    fn count(&self) -> AssertSqlSafe<String> {
        AssertSqlSafe(format!("SELECT COUNT(*) AS count FROM {}", self.name))
    }

    fn insert(&self, rows: usize) -> AssertSqlSafe<String> {
        let width = self.columns.len();
        let row = |row: usize| {
            let places: Vec<String> = (1..=width).map(|column| format!("${}", row * width + column)).collect();
            format!("({})", places.join(", "))
        };
        let rows: Vec<String> = (0..rows).map(row).collect();
        AssertSqlSafe(format!("INSERT INTO {} ({}) VALUES {}", self.name, self.columns.join(", "), rows.join(", ")))
    }
}

/// Rows that wait to be inserted together.
#[derive(Default)]
struct Batch {
    rows: usize,
    bytes: usize,
    values: Vec<Value>,
}

impl Batch {
    fn add(&mut self, row: Vec<Value>) {
        self.rows += 1;
        self.bytes += row.iter().map(size_bytes).sum::<usize>();
        self.values.extend(row);
    }

    fn is_full(&self) -> bool {
        self.values.len() >= VALUES_MAX || self.bytes >= BYTES_MAX
    }
}

fn size_bytes(value: &Value) -> usize {
    match value {
        Value::Null | Value::Int(_) => 8,
        Value::Text(text) => text.len(),
        Value::Blob(blob) => blob.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_insert_numbers_its_places_through() {
        let table = Table { name: "t".to_owned(), columns: vec!["a".to_owned(), "b".to_owned()] };
        assert_eq!(table.insert(2).0, "INSERT INTO t (a, b) VALUES ($1, $2), ($3, $4)");
    }
}
