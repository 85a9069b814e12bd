//! Copies all rows of a store out of SQLite into PostgreSQL.
//!
//! Tables and columns are read from SQLite's own schema, so that no list here can forget one.

use futures::TryStreamExt;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row as _, SqliteConnection, TypeInfo, ValueRef};

use super::db::database_error;
use super::row::{Value, bind_postgres};
use super::{postgres, sqlite};
use crate::{Error, PostgresSettings, Result, Settings};

/// The name under which failures are told.
const NAME: &str = "copy_metadata";
/// Values that one statement inserts, roughly; PostgreSQL takes 65,535.
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

/// Copies the store in the data directory into a PostgreSQL database that has none, in one transaction. Copies nothing when the database
/// has the same store already: then it was copied before.
pub(crate) async fn copy_to_postgres(settings: &Settings, postgres: &PostgresSettings) -> Result<Vec<TableCopied>> {
    let (mut from, _) = sqlite::connect(settings).await?;
    let mut to = postgres::connect(postgres).await?;
    let copied = copy_all(&mut from, &mut to).await;
    // Closing empties the log, so that the file alone is the whole of the old database.
    from.close().await.map_err(failed)?;
    to.close().await.map_err(failed)?;
    copied
}

async fn copy_all(from: &mut SqliteConnection, to: &mut PgConnection) -> Result<Vec<TableCopied>> {
    const STORE_ID: &str = "SELECT value FROM store_info WHERE name = 'store_id'";
    let ours = sqlx::query(STORE_ID).fetch_optional(&mut *from).await.map_err(failed)?;
    let ours: Option<String> = ours.map(|row| row.try_get("value").map_err(failed)).transpose()?;
    let theirs = sqlx::query(STORE_ID).fetch_optional(&mut *to).await.map_err(failed)?;
    let theirs: Option<String> = theirs.map(|row| row.try_get("value").map_err(failed)).transpose()?;
    match (ours, theirs) {
        (None, _) => Err(Error::Unusable("the store was never started; there is nothing to be moved".to_owned())),
        (Some(ours), Some(theirs)) if ours == theirs => Ok(Vec::new()),
        (Some(_), Some(_)) => Err(Error::Unusable("the PostgreSQL database has another store already".to_owned())),
        (Some(_), None) => {
            let mut transaction = to.begin().await.map_err(failed)?;
            let copied = copy_tables(from, &mut transaction).await?;
            transaction.commit().await.map_err(failed)?;
            Ok(copied)
        }
    }
}

async fn copy_tables(from: &mut SqliteConnection, to: &mut PgConnection) -> Result<Vec<TableCopied>> {
    let mut copied = Vec::new();
    for table in tables(from).await? {
        let rows = to_postgres(&table, from, to).await?;
        let arrived = count_postgres(&table, to).await?;
        if arrived != rows {
            return Err(Error::Unusable(format!("{rows} rows of {} were sent, {arrived} arrived", table.name)));
        }
        copied.push(TableCopied { table: table.name, rows });
    }
    hand_counters_over(from, to).await?;
    Ok(copied)
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

impl Table {
    fn select(&self) -> AssertSqlSafe<String> {
        AssertSqlSafe(format!("SELECT {} FROM {}", self.columns.join(", "), self.name))
    }

    fn insert(&self, rows: usize) -> String {
        let width = self.columns.len();
        let row = |row: usize| {
            let places: Vec<String> = (1..=width).map(|column| format!("${}", row * width + column)).collect();
            format!("({})", places.join(", "))
        };
        let rows: Vec<String> = (0..rows).map(row).collect();
        format!("INSERT INTO {} ({}) VALUES {}", self.name, self.columns.join(", "), rows.join(", "))
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

/// Copies a table out of SQLite into PostgreSQL; returns its number of rows.
async fn to_postgres(table: &Table, from: &mut SqliteConnection, to: &mut PgConnection) -> Result<u64> {
    let mut rows = sqlx::query(table.select()).fetch(from);
    let (mut count, mut batch) = (0, Batch::default());
    while let Some(row) = rows.try_next().await.map_err(failed)? {
        batch.add(sqlite_values(&row)?);
        count += 1;
        if batch.is_full() {
            insert_postgres(table, std::mem::take(&mut batch), to).await?;
        }
    }
    insert_postgres(table, batch, to).await?;
    Ok(count)
}

async fn insert_postgres(table: &Table, batch: Batch, to: &mut PgConnection) -> Result<()> {
    if batch.rows == 0 {
        return Ok(());
    }
    let sql = AssertSqlSafe(table.insert(batch.rows));
    bind_postgres(sql, batch.values).persistent(false).execute(to).await.map(|_| ()).map_err(failed)
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

/// The number of rows that PostgreSQL sees in a table.
async fn count_postgres(table: &Table, connection: &mut PgConnection) -> Result<u64> {
    let sql = AssertSqlSafe(format!("SELECT COUNT(*) AS count FROM {}", table.name));
    let row = sqlx::query(sql).fetch_one(connection).await.map_err(failed)?;
    let count: i64 = row.try_get("count").map_err(failed)?;
    u64::try_from(count).map_err(|_| Error::corrupt("a count is negative"))
}

/// Lets PostgreSQL go on counting where SQLite stopped: ids are never given twice, also those of rows that are gone.
async fn hand_counters_over(from: &mut SqliteConnection, to: &mut PgConnection) -> Result<()> {
    let next = sqlx::query("SELECT next FROM sequence WHERE id = 1").fetch_one(&mut *from).await.map_err(failed)?;
    let next: i64 = next.try_get("next").map_err(failed)?;
    let set = sqlx::query("SELECT setval('commit_sequence', $1, false)").bind(next);
    set.execute(&mut *to).await.map_err(failed)?;
    let counters = sqlx::query("SELECT name, seq FROM sqlite_sequence").fetch_all(from).await.map_err(failed)?;
    for row in counters {
        let (name, last): (String, i64) =
            (row.try_get("name").map_err(failed)?, row.try_get_unchecked("seq").map_err(failed)?);
        if last < 1 {
            continue;
        }
        let set = sqlx::query("SELECT setval(pg_get_serial_sequence($1, 'id'), $2, true)").bind(name).bind(last);
        set.execute(&mut *to).await.map_err(failed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_insert_numbers_its_places_through() {
        let table = Table { name: "t".to_owned(), columns: vec!["a".to_owned(), "b".to_owned()] };
        assert_eq!(table.insert(2), "INSERT INTO t (a, b) VALUES ($1, $2), ($3, $4)");
    }
}
