//! Copies a store out of SQLite into PostgreSQL: one that moves there, or a snapshot that is restored there.

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, PgConnection, Row as _, SqliteConnection};

use super::side::Side;
use super::{NAME, TableCopied, copy_tables, failed, tables};
use crate::metadata::{link, migrate, occupied, postgres, sqlite};
use crate::{Error, PostgresSettings, Result, Settings};

/// Copies the store in the data directory into a PostgreSQL database that has none, in one transaction. Copies nothing when the database
/// has the same store already: then it was copied before.
pub(crate) async fn move_to_postgres(settings: &Settings, postgres: &PostgresSettings) -> Result<Vec<TableCopied>> {
    let (mut from, _) = sqlite::connect(settings).await?;
    let mut to = postgres::connect_migrated(postgres).await?;
    let copied = move_all(&mut from, &mut to).await;
    // Closing empties the log, so that the file alone is the whole of the old database.
    from.close().await.map_err(failed)?;
    to.close().await.map_err(failed)?;
    copied
}

async fn move_all(from: &mut SqliteConnection, to: &mut PgConnection) -> Result<Vec<TableCopied>> {
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
            let copied = copy_all(from, &mut transaction).await?;
            transaction.commit().await.map_err(failed)?;
            Ok(copied)
        }
    }
}

/// Loads a snapshot into a PostgreSQL database, in one transaction: afterwards all of it is there, or nothing has changed. What the database
/// holds is moved into the schema `aside`, or refused when there is none. Returns whether something was moved.
///
/// The file is changed: a snapshot of an older program gets this program's schema first.
pub(crate) async fn load_into_postgres(
    file: SqliteConnectOptions,
    postgres: &PostgresSettings,
    aside: Option<&str>,
) -> Result<bool> {
    let mut from = link::connect(NAME, &file.read_only(false)).await?;
    let mut to = postgres::connect(postgres).await?;
    let loaded = load_all(&mut from, &mut to, aside).await;
    from.close().await.map_err(failed)?;
    // It was committed or it was not.
    let _ = to.close().await;
    loaded
}

async fn load_all(from: &mut SqliteConnection, to: &mut PgConnection, aside: Option<&str>) -> Result<bool> {
    migrate::sqlite(from).await?;
    occupied::must_be_unused(to).await?;
    let mut to = to.begin().await.map_err(failed)?;
    let is_occupied = match aside {
        None => occupied::must_be_empty(&mut to).await.map(|()| false)?,
        Some(schema) => occupied::put_aside(&mut to, schema).await?,
    };
    migrate::postgres(&mut to).await?;
    copy_all(from, &mut to).await?;
    to.commit().await.map_err(failed)?;
    Ok(is_occupied)
}

async fn copy_all(from: &mut SqliteConnection, to: &mut PgConnection) -> Result<Vec<TableCopied>> {
    let copied = copy_tables(tables(from).await?, Side::Sqlite(&mut *from), Side::Postgres(&mut *to)).await?;
    hand_counters_over(from, to).await?;
    Ok(copied)
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
