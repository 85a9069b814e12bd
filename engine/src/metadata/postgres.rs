//! PostgreSQL: a pool of connections, each write a SERIALIZABLE transaction that is run again when it conflicts with another.
//!
//! What a node has to change in objects goes together, as far as it waits at the same time ([`together`]). The server makes the commits of
//! several nodes durable together.

mod together;

use std::collections::VecDeque;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use secrecy::ExposeSecret;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, PgConnection, PgPool};
use tokio_util::task::TaskTracker;

use self::together::Together;
use super::changes::Changes;
use super::db::{Running, database_error};
use super::lent::Lent;
use super::migrate;
use super::tx::{Connection, Sequence, Tx, UsageChanges};
use crate::fair::{Limits, Share, Slot, Slots};
use crate::journal::Journal;
use crate::read_only::ReadOnly;
use crate::settings::{Faults, PostgresSettings};
use crate::{Clock, Durability, Error, Result, Settings};

/// By this the server's list of connections shows which are a store's.
pub(super) const APPLICATION: &str = "cloudhold";
/// How long a transaction waits for a connection before it is refused as too much.
const QUEUE_WAIT: Duration = Duration::from_secs(10);
/// Most transactions that may wait for a connection.
const WAITING_MAX: usize = 4096;
/// Most times a transaction is run before it is given up as too much.
const RUNS_MAX: u32 = 30;
/// Most times that one of several is run before they are made one by one.
const RUNS_TOGETHER_MAX: u32 = 5;
/// Longest pause before a transaction is run again.
const PAUSE_MAX: Duration = Duration::from_millis(250);

/// An open database of PostgreSQL.
#[derive(Debug)]
pub(super) struct Postgres {
    shared: Shared,
    together: Arc<Together>,
    /// Writes go on when their callers go away; they are waited for before the pool is closed.
    writes: TaskTracker,
}

fn options(postgres: &PostgresSettings) -> Result<PgConnectOptions> {
    let options = PgConnectOptions::from_str(postgres.url.expose_secret())
        .map_err(|_| Error::Unusable("the URL of the PostgreSQL database is not well formed".to_owned()))?;
    Ok(options.application_name(APPLICATION).statement_cache_capacity(256).disable_statement_logging())
}

/// Opens one connection beside the pool, for long work: the time limits that the server may have are for requests. The schema is left as it
/// is.
pub(super) async fn connect(postgres: &PostgresSettings) -> Result<PgConnection> {
    let mut connection = options(postgres)?.connect().await.map_err(|e| database_error("open", e))?;
    let no_limits = "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0";
    sqlx::raw_sql(no_limits).execute(&mut connection).await.map_err(|e| database_error("open", e))?;
    Ok(connection)
}

/// Opens one such connection, with the schema up to date.
pub(super) async fn connect_migrated(postgres: &PostgresSettings) -> Result<PgConnection> {
    let mut connection = connect(postgres).await?;
    migrate::postgres(&mut connection).await?;
    Ok(connection)
}

/// Has the connection answer commits once they are durable, whatever the server's or the role's default is. What asks for more, as that
/// another server has it too, is left.
async fn commit_durably(connection: &mut PgConnection) -> sqlx::Result<()> {
    const ON: &str =
        "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'";
    sqlx::query(ON).execute(connection).await.map(drop)
}

/// A server that syncs nothing cannot be told otherwise from here.
async fn warn_unless_synced(connection: &mut PgConnection) -> Result<()> {
    let fsync: String = sqlx::query_scalar("SELECT current_setting('fsync')")
        .fetch_one(connection)
        .await
        .map_err(|e| database_error("open", e))?;
    if fsync != "on" {
        tracing::warn!(
            fsync,
            "PostgreSQL does not sync what it commits: metadata is lost when its machine loses power"
        );
    }
    Ok(())
}

/// What a write takes along.
#[derive(Clone, Debug)]
struct Shared {
    pool: PgPool,
    clock: Clock,
    faults: Faults,
    journal: Journal,
    read_only: ReadOnly,
    /// Which transactions may have a connection.
    turns: Slots,
}

impl Postgres {
    pub(super) async fn open(
        postgres: &PostgresSettings,
        settings: &Settings,
        journal: Journal,
        read_only: ReadOnly,
    ) -> Result<Self> {
        let options = options(postgres)?;
        let pool = PgPoolOptions::new()
            .max_connections(postgres.connections_max)
            .acquire_timeout(QUEUE_WAIT)
            // A ping costs as much as a lookup. A connection that broke meanwhile is noticed by BEGIN, which is tried again.
            .test_before_acquire(false)
            .after_connect(|connection, _| commit_durably(connection).boxed())
            .connect_with(options)
            .await
            .map_err(|e| database_error("open", e))?;
        let mut connection = pool.acquire().await.map_err(|e| database_error("open", e))?;
        migrate::postgres(&mut connection).await?;
        warn_unless_synced(&mut connection).await?;
        let (clock, faults) = (settings.clock.clone(), settings.faults.clone());
        let slots = usize::try_from(postgres.connections_max).unwrap_or(usize::MAX);
        let turns = Slots::new(Limits { slots, leaves_room: false, waiting_max: WAITING_MAX, wait_max: QUEUE_WAIT });
        let (shared, writes) = (Shared { pool, clock, faults, journal, read_only, turns }, TaskTracker::new());
        Ok(Self { together: Together::new(shared.clone(), writes.clone()), shared, writes })
    }

    /// Runs a transaction until it does not conflict.
    pub(super) async fn write<T, F>(&self, share: Share, name: &'static str, body: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'t> Fn(&'t mut Tx) -> BoxFuture<'t, Result<T>> + Send + Sync + 'static,
    {
        let shared = self.shared.clone();
        let work = async move {
            let _turn = shared.turns.take(&share).await?;
            shared.write(name, Durability::Strict, 1, body).await
        };
        self.writes.spawn(work).await.map_err(|_| Error::Internal("a transaction panicked"))?
    }

    /// Makes changes, together with those of others that wait.
    pub(super) async fn change<T: Send + 'static>(&self, share: Share, changes: Changes<T>) -> Result<T> {
        self.together.make(share, changes).await
    }

    /// Begins to read, with a connection in turn.
    pub(super) async fn begin_read(&self, share: &Share, name: &'static str) -> Result<(Running, Slot)> {
        let turn = self.shared.turns.take(share).await?;
        let running = self.shared.begin(name, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
        Ok((running, turn))
    }

    pub(super) async fn close(&self) {
        self.writes.close();
        self.writes.wait().await;
        self.shared.pool.close().await;
    }
}

impl Shared {
    /// Makes changes in a transaction of their own.
    async fn make<T: Send + 'static>(&self, share: &Share, changes: Changes<T>) -> Result<T> {
        let _turn = self.turns.take(share).await?;
        let (name, durability, changes) = (changes.name, changes.durability, Arc::new(changes));
        self.write(name, durability, 1, move |tx| {
            let changes = changes.clone();
            async move { changes.make(tx).await }.boxed()
        })
        .await
    }

    /// Runs a transaction, of so many that were asked for, until it does not conflict. [`Error::Busy`] when it does again and again.
    async fn write<T, F>(&self, name: &'static str, durability: Durability, count: usize, body: F) -> Result<T>
    where
        T: Send,
        F: for<'t> Fn(&'t mut Tx) -> BoxFuture<'t, Result<T>> + Send + Sync,
    {
        let runs_max = if count == 1 { RUNS_MAX } else { RUNS_TOGETHER_MAX };
        for run in 0..runs_max {
            if let Some(why) = self.read_only.reason() {
                return Err(Error::ReadOnly(why));
            }
            match self.run_once(name, durability, count, &body).await {
                Err(error) if conflicts(&error) => {
                    metrics::counter!("cloudhold_metadata_conflicts_total", "transaction" => name).increment(1);
                    tokio::time::sleep(pause(run)).await;
                }
                result => return result,
            }
        }
        // Of several any may be the one that conflicts, so that they are better off apart.
        Err(if count == 1 { Error::Busy } else { Error::Internal("those who wait together conflict again and again") })
    }

    async fn run_once<T, F>(&self, name: &'static str, durability: Durability, count: usize, body: &F) -> Result<T>
    where
        F: for<'t> Fn(&'t mut Tx) -> BoxFuture<'t, Result<T>>,
    {
        let mut running = self.begin(name, "BEGIN ISOLATION LEVEL SERIALIZABLE READ WRITE").await?;
        let result = match durability {
            Durability::Strict => body(&mut running.tx).await,
            // The server makes it durable by itself, within three times its `wal_writer_delay`.
            Durability::Relaxed => match running.tx.execute("SET LOCAL synchronous_commit = off", Vec::new()).await {
                Ok(_) => body(&mut running.tx).await,
                Err(error) => Err(error),
            },
        };
        let result = match result {
            Ok(answer) => settle_usage(&mut running.tx).await.map(|()| answer),
            refused => refused,
        };
        // A body that went on after a failed statement must not be believed: PostgreSQL would roll back and call it a commit.
        let result = match result {
            Ok(_) if running.tx.failed => Err(Error::Internal("a transaction went on after a failed statement")),
            result => result,
        };
        match result {
            Ok(answer) => {
                if durability == Durability::Strict && !self.faults.fsync_delay.is_zero() {
                    tokio::time::sleep(self.faults.fsync_delay).await;
                }
                let (rows, statements) = (running.tx.rows, running.tx.statements + 1);
                let notes = std::mem::take(&mut running.tx.notes);
                running.end("COMMIT").await?;
                self.journal.write(notes).await;
                super::tx::count_commit(count, statements);
                super::tx::count_rows(name, rows);
                Ok(answer)
            }
            Err(error) => {
                // When this fails too, the connection is closed, and the server rolls back by itself.
                let _ = running.end("ROLLBACK").await;
                Err(error)
            }
        }
    }

    /// Begins on a connection that works: one that broke while it lay in the pool is noticed here, where nothing was done yet.
    async fn begin(&self, name: &'static str, statement: &'static str) -> Result<Running> {
        loop {
            let connection = self.pool.acquire().await.map_err(|source| match source {
                sqlx::Error::PoolTimedOut => Error::Busy,
                source => Error::DatabaseUnreachable { transaction: name, source },
            })?;
            let sequence = Sequence::Shared { kept: VecDeque::new() };
            let tx = Tx::new(Connection::Postgres(Lent::new(connection)), name, self.clock.clone(), sequence);
            match Running::begin(tx, statement).await {
                // Each such connection is closed, so that this ends: acquire fails when no new one can be made.
                Err(Error::DatabaseUnreachable { .. }) => {}
                result => return result,
            }
        }
    }
}

async fn settle_usage(tx: &mut Tx) -> Result<()> {
    super::quota::refuse_excess(tx).await?;
    let changes: UsageChanges = std::mem::take(&mut tx.usage);
    super::usage::add_deltas(tx, &changes).await
}

/// Whether a transaction failed only because others ran beside it.
fn conflicts(error: &Error) -> bool {
    /// `serialization_failure`, `deadlock_detected`, and `out_of_memory`, which the server says when it has no room to remember what all
    /// transactions that overlap have read.
    const CODES: [&str; 3] = ["40001", "40P01", "53200"];
    let Error::Metadata { source: sqlx::Error::Database(database), .. } = error else { return false };
    database.code().is_some_and(|code| CODES.contains(&code.as_ref()))
}

/// How long to wait before the next run: longer each time, and by chance, so that two that conflict do not meet again.
fn pause(run: u32) -> Duration {
    let longest = Duration::from_millis(1 << run.min(8)).min(PAUSE_MAX);
    longest.mul_f64(rand::random::<f64>())
}
