//! Copies a store out of PostgreSQL into an SQLite file of this program's own schema: a snapshot.

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, PgConnection, Row as _, SqliteConnection};

use super::side::Side;
use super::{copy_tables, failed, tables};
use crate::metadata::{migrate, postgres};
use crate::{PostgresSettings, Result};

/// The pages that are kept in memory while a snapshot is written, in KiB as SQLite wants it; what is more goes to the file meanwhile.
const CACHE: &str = "-65536";

/// Copies one state of the store, that of the moment in which this begins, into an empty file. Writers go on beside it. The caller syncs
/// the file.
pub(crate) async fn copy_to_sqlite(postgres: &PostgresSettings, file: SqliteConnectOptions) -> Result<()> {
    let mut from = postgres::connect(postgres).await?;
    // The file is a whole or it is removed, so that it needs no journal and no sync before its last byte.
    let file = file
        .read_only(false)
        .journal_mode(SqliteJournalMode::Off)
        .synchronous(SqliteSynchronous::Off)
        .pragma("cache_size", CACHE);
    let mut to = file.connect().await.map_err(failed)?;
    let copied = copy_all(&mut from, &mut to).await;
    // A connection that only read has nothing to lose.
    let _ = from.close().await;
    let closed = to.close().await.map_err(failed);
    copied.and(closed)
}

async fn copy_all(from: &mut PgConnection, to: &mut SqliteConnection) -> Result<()> {
    migrate::sqlite(to).await?;
    let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
    let mut from = from.begin_with(begin).await.map_err(failed)?;
    // One transaction: SQLite writes what exceeds its cache as it goes, and each page of an index once rather than with every batch.
    let mut to = to.begin().await.map_err(failed)?;
    copy_tables(tables(&mut to).await?, Side::Postgres(&mut from), Side::Sqlite(&mut to)).await?;
    take_counters_over(&mut from, &mut to).await?;
    to.commit().await.map_err(failed)?;
    // Nothing was written.
    let _ = from.rollback().await;
    Ok(())
}

/// Lets SQLite go on counting where PostgreSQL stands: ids are never given twice, also those of rows that are gone. Sequences stand outside
/// of transactions; one that is read later than the rows is only further on.
async fn take_counters_over(from: &mut PgConnection, to: &mut SqliteConnection) -> Result<()> {
    let next = "SELECT CASE WHEN is_called THEN last_value + 1 ELSE last_value END AS next FROM commit_sequence";
    let next = sqlx::query(next).fetch_one(&mut *from).await.map_err(failed)?;
    let next: i64 = next.try_get("next").map_err(failed)?;
    let set = sqlx::query("UPDATE sequence SET next = $1 WHERE id = 1").bind(next);
    set.execute(&mut *to).await.map_err(failed)?;
    let counters = sqlx::query(
        "SELECT c.table_name::text AS name, s.last_value AS last
         FROM information_schema.columns AS c
         JOIN pg_sequences AS s
         ON format('%I.%I', s.schemaname, s.sequencename) = pg_get_serial_sequence(quote_ident(c.table_name), c.column_name)
         WHERE c.table_schema = current_schema() AND c.is_identity = 'YES' AND s.last_value IS NOT NULL",
    );
    for row in counters.fetch_all(from).await.map_err(failed)? {
        let (name, last): (String, i64) = (row.try_get("name").map_err(failed)?, row.try_get("last").map_err(failed)?);
        let forget = sqlx::query("DELETE FROM sqlite_sequence WHERE name = $1").bind(name.clone());
        forget.execute(&mut *to).await.map_err(failed)?;
        let set = sqlx::query("INSERT INTO sqlite_sequence (name, seq) VALUES ($1, $2)").bind(name).bind(last);
        set.execute(&mut *to).await.map_err(failed)?;
    }
    Ok(())
}
