//! The database, of either kind: SQLite in the data directory, or PostgreSQL.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use sqlx::postgres::{PgDatabaseError, PgSeverity};

use super::changes::Changes;
use super::look_ups::LookUps;
use super::objects::{Located, Place};
use super::postgres::Postgres;
use super::sqlite::Sqlite;
use super::tx::Tx;
use crate::fair::Share;
use crate::journal::Journal;
use crate::read_only::ReadOnly;
use crate::settings::Database;
use crate::{Clock, Error, Result, Settings};

/// The metadata database.
#[derive(Debug)]
pub(crate) struct Db {
    backend: Arc<Backend>,
    look_ups: Arc<LookUps>,
    journal: Journal,
    read_only: ReadOnly,
}

/// The database behind it.
#[derive(Debug)]
pub(super) struct Backend {
    kind: Kind,
    clock: Clock,
}

#[derive(Debug)]
enum Kind {
    Sqlite(Sqlite),
    Postgres(Postgres),
}

impl Db {
    /// Opens the database, brings its schema up to date, and refuses one of a newer program.
    pub(crate) async fn open(settings: &Settings, read_only: ReadOnly) -> Result<Self> {
        let journal = Journal::new(settings);
        let kind = match &settings.database {
            Database::Embedded => Kind::Sqlite(Sqlite::open(settings, journal.clone(), read_only.clone()).await?),
            Database::Postgres(postgres) => {
                Kind::Postgres(Postgres::open(postgres, settings, journal.clone(), read_only.clone()).await?)
            }
        };
        let backend = Arc::new(Backend { kind, clock: settings.clock.clone() });
        Ok(Self { look_ups: LookUps::new(backend.clone()), backend, journal, read_only })
    }

    /// Runs a named transaction of the store's own.
    pub(crate) async fn write<T, F>(&self, name: &'static str, body: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'t> Fn(&'t mut Tx) -> BoxFuture<'t, Result<T>> + Send + Sync + 'static,
    {
        self.write_for(Share::Store, name, body).await
    }

    /// Runs a named transaction and answers once it is durable. It may be run again, so `body` clones what it takes. It goes on when the
    /// caller goes away. Those that wait are run in turn by share. [`Error::Busy`] when too many wait.
    pub(crate) async fn write_for<T, F>(&self, share: Share, name: &'static str, body: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'t> Fn(&'t mut Tx) -> BoxFuture<'t, Result<T>> + Send + Sync + 'static,
    {
        if let Some(why) = self.read_only.reason() {
            return Err(Error::ReadOnly(why));
        }
        match &self.backend.kind {
            Kind::Sqlite(sqlite) => sqlite.write(share, name, body).await,
            Kind::Postgres(postgres) => postgres.write(share, name, body).await,
        }
    }

    /// Makes changes in a transaction and answers as their durability has it, otherwise as [`Db::write_for`].
    pub(crate) async fn change<T: Send + 'static>(&self, share: Share, changes: Changes<T>) -> Result<T> {
        if let Some(why) = self.read_only.reason() {
            return Err(Error::ReadOnly(why));
        }
        match &self.backend.kind {
            Kind::Sqlite(sqlite) => sqlite.change(share, changes).await,
            Kind::Postgres(postgres) => postgres.change(share, changes).await,
        }
    }

    /// Runs a named transaction of the store's own that only reads.
    pub(crate) async fn read<T, F>(&self, name: &'static str, body: F) -> Result<T>
    where
        T: Send,
        F: for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T>> + Send,
    {
        self.read_for(Share::Store, name, body).await
    }

    /// Runs a named transaction that only reads, on one consistent state. Those that wait are run in turn by share. [`Error::Busy`] when
    /// too many wait.
    pub(crate) async fn read_for<T, F>(&self, share: Share, name: &'static str, body: F) -> Result<T>
    where
        T: Send,
        F: for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T>> + Send,
    {
        super::tx::count_read(name);
        self.backend.read(&share, name, body).await
    }

    /// Runs a body of one statement that only reads, for the store itself.
    pub(crate) async fn read_statement<T, F>(&self, name: &'static str, body: F) -> Result<T>
    where
        T: Send,
        F: for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T>> + Send,
    {
        self.read_statement_for(Share::Store, name, body).await
    }

    /// Runs a body of one statement that only reads, otherwise as [`Db::read_for`].
    pub(crate) async fn read_statement_for<T, F>(&self, share: Share, name: &'static str, body: F) -> Result<T>
    where
        T: Send,
        F: for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T>> + Send,
    {
        super::tx::count_read(name);
        self.backend.read_statement(&share, name, body).await
    }

    /// Looks up the current version of a key and where its bytes are, together with others that wait. [`Error::Busy`] when too many wait.
    pub(crate) async fn look_up(&self, share: Share, name: &'static str, place: Place) -> Result<Option<Located>> {
        super::tx::count_read(name);
        self.look_ups.find(share, place).await
    }

    /// Says in the journal that a process goes on with this database.
    pub(crate) async fn start_journal(&self) -> Result<()> {
        let next = match &self.backend.kind {
            Kind::Sqlite(_) => {
                let next = self.read_statement("next_number", |tx| super::store_info::next_number(tx).boxed());
                Some(next.await?)
            }
            Kind::Postgres(_) => None,
        };
        self.journal.start(next).await;
        Ok(())
    }

    /// What names the changes outside of the database.
    pub(crate) fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Why no writes are taken, when none are.
    pub(crate) fn read_only(&self) -> Option<String> {
        self.read_only.reason()
    }

    /// Waits for what runs and closes the connections.
    pub(crate) async fn close(&self) {
        match &self.backend.kind {
            Kind::Sqlite(sqlite) => sqlite.close().await,
            Kind::Postgres(postgres) => postgres.close().await,
        }
        self.journal.close().await;
    }
}

impl Backend {
    async fn read<T, F>(&self, share: &Share, name: &'static str, body: F) -> Result<T>
    where
        T: Send,
        F: for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T>> + Send,
    {
        let (mut running, _turn) = match &self.kind {
            Kind::Sqlite(sqlite) => {
                (Running::begin(sqlite.reader(share, name, &self.clock).await?, "BEGIN").await?, None)
            }
            Kind::Postgres(postgres) => {
                let (running, turn) = postgres.begin_read(share, name).await?;
                (running, Some(turn))
            }
        };
        let answer = body(&mut running.tx).await;
        running.end("COMMIT").await?;
        answer
    }

    /// By itself a statement sees one consistent state, so SQLite needs no transaction.
    pub(super) async fn read_statement<T, F>(&self, share: &Share, name: &'static str, body: F) -> Result<T>
    where
        T: Send,
        F: for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T>> + Send,
    {
        let Kind::Sqlite(sqlite) = &self.kind else { return self.read(share, name, body).await };
        let mut running = Running { tx: sqlite.reader(share, name, &self.clock).await?, ended: false };
        let answer = body(&mut running.tx).await;
        running.ended = !running.tx.failed;
        answer
    }
}

/// A transaction on a pooled connection. One that did not end leaves its connection in an unknown state, so that it does not go back to the
/// pool as it is.
pub(super) struct Running {
    pub(super) tx: Tx,
    ended: bool,
}

impl Running {
    pub(super) async fn begin(tx: Tx, statement: &'static str) -> Result<Self> {
        // The guard is there before BEGIN and until after COMMIT: a caller may be dropped at any await in between.
        let mut running = Self { tx, ended: false };
        running.tx.execute(statement, Vec::new()).await?;
        Ok(running)
    }

    /// Ends it by COMMIT or ROLLBACK.
    pub(super) async fn end(mut self, statement: &'static str) -> Result<()> {
        self.tx.execute(statement, Vec::new()).await?;
        self.ended = true;
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.ended {
            self.tx.connection.give_up();
        }
    }
}

/// Names the transaction in which the database failed; a full disk, a full queue and a database that cannot be reached have their own
/// errors.
pub(super) fn database_error(transaction: &'static str, source: sqlx::Error) -> Error {
    /// SQLITE_FULL, and `disk_full` of PostgreSQL.
    const FULL: [&str; 2] = ["13", "53100"];
    match &source {
        sqlx::Error::PoolTimedOut => Error::Busy,
        _ if is_connection_lost(&source) => Error::DatabaseUnreachable { transaction, source },
        sqlx::Error::Database(error) if error.code().is_some_and(|code| FULL.contains(&code.as_ref())) => {
            Error::DiskFull
        }
        _ => Error::Metadata { transaction, source },
    }
}

/// Whether the server gave the session up, as when it could not write the log of its commits: whether a COMMIT came to be is open then,
/// whatever the code says.
fn ends_connection(severity: PgSeverity) -> bool {
    match severity {
        PgSeverity::Panic | PgSeverity::Fatal => true,
        PgSeverity::Error
        | PgSeverity::Warning
        | PgSeverity::Notice
        | PgSeverity::Debug
        | PgSeverity::Info
        | PgSeverity::Log => false,
    }
}

/// Whether the connection failed, rather than a statement on it.
fn is_connection_lost(error: &sqlx::Error) -> bool {
    /// `admin_shutdown`, `crash_shutdown`, `cannot_connect_now`, `too_many_connections` of PostgreSQL; SQLite has numbers for codes, and
    /// none of these.
    const CODES: [&str; 4] = ["57P01", "57P02", "57P03", "53300"];
    const CONNECTION_EXCEPTIONS: &str = "08";
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) => true,
        sqlx::Error::Database(error) => {
            error.code().is_some_and(|code| code.starts_with(CONNECTION_EXCEPTIONS) || CODES.contains(&code.as_ref()))
                || error.try_downcast_ref::<PgDatabaseError>().is_some_and(|error| ends_connection(error.severity()))
        }
        _ => false,
    }
}
