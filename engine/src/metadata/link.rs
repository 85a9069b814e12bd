//! A connection to SQLite whose answers are whole.
//!
//! The driver has a thread for each connection. When that thread ends in the middle of an answer, the answer ends early as if there were no
//! more rows, and what is asked afterwards may wait for ever. Here the first is an error, and nothing is asked afterwards.

use futures::TryStreamExt;
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteConnectOptions, SqliteRow};
use sqlx::{ConnectOptions, Connection, Either, Executor, Row as _, Sqlite, SqliteConnection};

use super::db::database_error;
use crate::{Error, Result};

/// A connection, and whether its thread was seen to be gone.
#[derive(Debug)]
pub(super) struct Link {
    connection: SqliteConnection,
    is_cut: bool,
}

impl Link {
    pub(super) fn new(connection: SqliteConnection) -> Self {
        Self { connection, is_cut: false }
    }

    /// Runs a statement, or several; returns how many rows they changed.
    pub(super) async fn execute(&mut self, query: Query<'_, Sqlite, SqliteArguments>) -> sqlx::Result<u64> {
        self.ask(query, |_| true).await
    }

    /// All rows of an answer.
    pub(super) async fn fetch_all(
        &mut self,
        query: Query<'_, Sqlite, SqliteArguments>,
    ) -> sqlx::Result<Vec<SqliteRow>> {
        let mut rows = Vec::new();
        self.ask(query, |row| {
            rows.push(row);
            true
        })
        .await?;
        Ok(rows)
    }

    /// The first row of an answer that has one or none.
    pub(super) async fn fetch_optional(
        &mut self,
        query: Query<'_, Sqlite, SqliteArguments>,
    ) -> sqlx::Result<Option<SqliteRow>> {
        let mut first = None;
        self.ask(query, |row| {
            first = Some(row);
            false
        })
        .await?;
        Ok(first)
    }

    /// Asks, and takes rows as long as they are wanted.
    async fn ask(
        &mut self,
        query: Query<'_, Sqlite, SqliteArguments>,
        mut take: impl FnMut(SqliteRow) -> bool,
    ) -> sqlx::Result<u64> {
        if self.is_cut {
            return Err(sqlx::Error::WorkerCrashed);
        }
        let mut answer = self.connection.fetch_many(query);
        // The end of each statement is told.
        let (mut changed, mut is_ended) = (0, false);
        let failure = loop {
            match answer.try_next().await {
                Ok(Some(Either::Left(done))) => (changed, is_ended) = (changed + done.rows_affected(), true),
                Ok(Some(Either::Right(row))) => {
                    if !take(row) {
                        return Ok(changed);
                    }
                    is_ended = false;
                }
                Ok(None) if is_ended => return Ok(changed),
                Ok(None) => break sqlx::Error::WorkerCrashed,
                Err(error) => break error,
            }
        };
        drop(answer);
        self.is_cut = matches!(failure, sqlx::Error::WorkerCrashed);
        Err(failure)
    }

    /// Waits until the connection is closed, unless nobody is there to close it.
    pub(super) async fn close(self) {
        if !self.is_cut {
            // Whatever was committed is so, and the rest is gone either way.
            let _ = self.connection.close().await;
        }
    }
}

/// Opens a file whose schema is text. Names of types that are not end the driver's thread, so they are looked at as bytes first.
pub(super) async fn connect(name: &'static str, options: &SqliteConnectOptions) -> Result<SqliteConnection> {
    let failed = |e| database_error(name, e);
    let mut connection = options.connect().await.map_err(failed)?;
    let schema = sqlx::query("SELECT CAST(sql AS BLOB) AS sql FROM sqlite_schema WHERE sql IS NOT NULL");
    for row in schema.fetch_all(&mut connection).await.map_err(failed)? {
        let sql: Vec<u8> = row.try_get("sql").map_err(failed)?;
        if std::str::from_utf8(&sql).is_err() {
            return Err(Error::corrupt("the schema of the database is no text"));
        }
    }
    Ok(connection)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A table that has a row, and a column whose type is no text: the driver's thread panics at that.
    pub(in crate::metadata) async fn damaged(directory: &std::path::Path) -> SqliteConnectOptions {
        let options = SqliteConnectOptions::new().filename(directory.join("damaged.sqlite")).create_if_missing(true);
        let mut connection = options.connect().await.unwrap();
        for statement in [
            "CREATE TABLE t (a TEXT)",
            "INSERT INTO t VALUES ('row')",
            "PRAGMA writable_schema = ON",
            "UPDATE sqlite_schema SET sql = replace(sql, 'TEXT', 'TE' || CAST(x'd8' AS TEXT) || 'T')",
        ] {
            sqlx::query(statement).execute(&mut connection).await.unwrap();
        }
        connection.close().await.unwrap();
        options
    }

    #[tokio::test]
    async fn a_schema_that_is_no_text_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let options = damaged(directory.path()).await;
        assert!(matches!(connect("test", &options).await, Err(Error::Corrupt(_))));
    }

    #[tokio::test]
    async fn an_answer_that_breaks_off_is_an_error_and_ends_the_link() {
        let directory = tempfile::tempdir().unwrap();
        let mut link = Link::new(damaged(directory.path()).await.connect().await.unwrap());
        for _ in 0..3 {
            let rows = link.fetch_all(sqlx::query("SELECT a FROM t")).await;
            assert!(matches!(rows, Err(sqlx::Error::WorkerCrashed)), "{} rows", rows.unwrap().len());
            let row = link.fetch_optional(sqlx::query("SELECT a FROM t")).await;
            assert!(matches!(row, Err(sqlx::Error::WorkerCrashed)));
            assert!(matches!(link.execute(sqlx::query("ROLLBACK")).await, Err(sqlx::Error::WorkerCrashed)));
        }
        link.close().await;
    }

    #[tokio::test]
    async fn answers_without_rows_are_whole() {
        let mut link = Link::new(SqliteConnectOptions::new().connect().await.unwrap());
        let several = "CREATE TABLE t (a); INSERT INTO t VALUES (1), (2); DELETE FROM t WHERE a = 1";
        assert_eq!(link.execute(sqlx::query(several)).await.unwrap(), 3);
        let none = sqlx::query("SELECT a FROM t WHERE a = 5");
        assert!(link.fetch_optional(none).await.unwrap().is_none());
        assert_eq!(link.fetch_all(sqlx::query("SELECT a FROM t")).await.unwrap().len(), 1);
    }
}
