//! What the connector remembers, in a database of its own: the snapshot of CloudStack, what it knows of the target, the
//! event cursor, and what its runs did. It is one SQLite file beside the store's own, so that the connector works the
//! same in front of another HyperStore.

mod diff;
mod events;
mod known;
mod lease;
mod removals;
mod runs;
mod snapshot;
#[cfg(test)]
mod steps;
mod touched;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use sqlx::{
    SqlSafeStr, Sqlite, SqlitePool, Transaction,
    migrate::{MigrateError, Migration, MigrationType, Migrator},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

pub(crate) use self::{
    diff::{GoneGroup, GoneUser, LivingGroup, LivingUser},
    known::{Fact, Intent, KnownGroup, KnownUser, Origin},
    lease::{LEASE_FOR, owner_name},
    removals::Removed,
    runs::{RunEnd, RunRow},
    snapshot::Fold,
};
use crate::{Clock, clock::to_us};

/// One writes at a time; the others serve status and sign-ins.
const CONNECTIONS_MAX: u32 = 4;

/// The schema, step by step. The driver's own macro would have the driver compiled a second time, for the compiler's use.
fn migrator() -> Migrator {
    let migration = |version, name: &'static str, sql: &'static str| {
        Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    Migrator::with_migrations(vec![
        migration(1, "state", include_str!("../../migrations/0001_state.sql")),
        migration(2, "open removals", include_str!("../../migrations/0002_open_removals.sql")),
        migration(3, "rows by id", include_str!("../../migrations/0003_rows_by_id.sql")),
    ])
}

/// A row whose fields are columns of the same names.
macro_rules! row {
    ($(#[$doc:meta])* $visibility:vis struct $name:ident { $($field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        $visibility struct $name {
            $($field: $type,)*
        }

        impl sqlx::FromRow<'_, sqlx::sqlite::SqliteRow> for $name {
            fn from_row(row: &sqlx::sqlite::SqliteRow) -> sqlx::Result<Self> {
                Ok(Self { $($field: sqlx::Row::try_get(row, stringify!($field))?,)* })
            }
        }
    };
}
use row;

/// Why the state could not be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StateError {
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    #[error("it was written by a newer version of this program: use that version, or give it another file")]
    UnknownVersion,
    #[error("its tables could not be prepared")]
    Migration(#[source] MigrateError),
    #[error("it belongs to the CloudStack with ROOT {known}, not to {found}")]
    AnotherCloud { known: String, found: String },
}

/// The connector's database; clones share it.
#[derive(Clone)]
pub(crate) struct State {
    pool: SqlitePool,
    clock: Clock,
    path: PathBuf,
}

/// The CloudStack that the state belongs to.
#[derive(Debug, Clone)]
pub(crate) struct CloudRow {
    /// The UUID of its ROOT domain.
    pub(crate) cloud_id: String,
    /// When a full pass last agreed with its counts and saw ROOT.
    pub(crate) trusted_pass_us: Option<i64>,
    /// When the target was last compared with what is remembered of it.
    pub(crate) verified_us: Option<i64>,
    /// The time of the newest event seen, as CloudStack wrote it.
    pub(crate) event_cursor: Option<String>,
}

impl State {
    /// Opens the file, makes it when it is not there, and brings its tables up to date.
    ///
    /// Commits are durable (FULL): the mark "we deactivated this" must not be lost while the deactivation is kept.
    pub(crate) async fn open(path: &Path, clock: Clock) -> Result<Self, StateError> {
        // By a connection of its own: it does not know the statistics that are written then, and would look up what they forbid.
        let first = Self::connect(path, 1).await?;
        let migrated = migrator().run(&first).await;
        first.close().await;
        match migrated {
            Ok(()) => Ok(Self { pool: Self::connect(path, CONNECTIONS_MAX).await?, clock, path: path.to_owned() }),
            Err(MigrateError::VersionMissing(_) | MigrateError::VersionTooNew(..)) => Err(StateError::UnknownVersion),
            Err(error) => Err(StateError::Migration(error)),
        }
    }

    async fn connect(path: &Path, connections: u32) -> Result<SqlitePool, StateError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(20))
            // What a walk reads again and again: the upper pages of the tables. The file is not mapped, because each
            // connection would map all of it, which grows with the cloud.
            .pragma("cache_size", "-4000");
        Ok(SqlitePoolOptions::new().max_connections(connections).connect_with(options).await?)
    }

    /// Closes the file after what is under way, and gives the lease up. In this order: a statement of a run that was
    /// dropped may still be on its way, and it may be the one that renews the lease.
    pub(crate) async fn close(&self, owner: &str) -> Result<(), StateError> {
        self.pool.close().await;
        let last = Self::connect(&self.path, 1).await?;
        sqlx::query("DELETE FROM lease WHERE owner = $1").bind(owner).execute(&last).await?;
        last.close().await;
        Ok(())
    }

    /// The one way into a write: it waits for the lock at once, in place of failing in the middle.
    async fn write(&self) -> Result<Transaction<'static, Sqlite>, StateError> {
        Ok(self.pool.begin_with("BEGIN IMMEDIATE").await?)
    }

    fn now_us(&self) -> i64 {
        to_us(self.clock.now())
    }

    /// The CloudStack that the state belongs to, once one was seen.
    pub(crate) async fn cloud(&self) -> Result<Option<CloudRow>, StateError> {
        type Row = (String, Option<i64>, Option<i64>, Option<String>);
        let row: Option<Row> =
            sqlx::query_as("SELECT cloud_id, trusted_pass_us, verified_us, event_cursor FROM cloud WHERE one = 1")
                .fetch_optional(&self.pool)
                .await?;
        Ok(row.map(|(cloud_id, trusted_pass_us, verified_us, event_cursor)| CloudRow {
            cloud_id,
            trusted_pass_us,
            verified_us,
            event_cursor,
        }))
    }

    /// Binds the state to a CloudStack; one that is bound stays so.
    pub(crate) async fn bind(&self, root_id: &str) -> Result<(), StateError> {
        sqlx::query("INSERT INTO cloud (one, cloud_id, first_seen_us) VALUES (1, $1, $2) ON CONFLICT (one) DO NOTHING")
            .bind(root_id)
            .bind(self.now_us())
            .execute(&self.pool)
            .await?;
        match self.cloud().await? {
            Some(row) if row.cloud_id != root_id => {
                Err(StateError::AnotherCloud { known: row.cloud_id, found: root_id.to_owned() })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Remembers that the target was compared as a whole.
    pub(crate) async fn set_verified(&self) -> Result<(), StateError> {
        sqlx::query("UPDATE cloud SET verified_us = $1 WHERE one = 1").bind(self.now_us()).execute(&self.pool).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_state_of_a_newer_version_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("connector.db");
        let state = State::open(&path, Clock::system()).await.unwrap();
        sqlx::query(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
             VALUES (9999, 'later', 1, x'00', 0)",
        )
        .execute(&state.pool)
        .await
        .unwrap();
        state.close("nobody").await.unwrap();
        let error = State::open(&path, Clock::system()).await.err().unwrap();
        assert!(matches!(error, StateError::UnknownVersion), "{error}");
    }

    #[tokio::test]
    async fn a_state_belongs_to_one_cloud_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(&folder.path().join("connector.db"), Clock::system()).await.unwrap();
        assert!(state.cloud().await.unwrap().is_none());
        state.bind("root-1").await.unwrap();
        state.bind("root-1").await.unwrap();
        assert!(matches!(state.bind("root-2").await, Err(StateError::AnotherCloud { .. })));
        assert_eq!(state.cloud().await.unwrap().unwrap().cloud_id, "root-1");
    }
}
