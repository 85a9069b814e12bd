//! A running transaction: statements, the commit sequence, and the usage that it changes.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use sqlx::{AssertSqlSafe, PgConnection, SqlSafeStr};

use super::lent::Lent;
use super::link::Link;
use super::readers::Reader;
use super::row::{Row, Value, bind_postgres, bind_sqlite};
use crate::journal::Note;
use crate::quota::Quota;
use crate::{Clock, Result};

/// A connection of any kind.
#[derive(Debug)]
pub(super) enum Connection {
    Writer(Link),
    Reader(Reader),
    Postgres(Lent),
}

/// The database behind a connection.
enum Backend<'c> {
    Sqlite(&'c mut Link),
    Postgres(&'c mut PgConnection),
}

impl Connection {
    fn backend(&mut self) -> Backend<'_> {
        match self {
            Self::Writer(link) => Backend::Sqlite(link),
            Self::Reader(reader) => Backend::Sqlite(reader.link()),
            Self::Postgres(lent) => Backend::Postgres(lent.connection()),
        }
    }

    /// Says that nobody knows what state the connection is in: it does not go back to the others as it is.
    pub(super) fn give_up(&mut self) {
        match self {
            Self::Writer(_) => {}
            Self::Reader(reader) => reader.close_on_drop(),
            Self::Postgres(lent) => lent.give_up(),
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

    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            object_count: self.object_count.saturating_add(other.object_count),
            size_bytes: self.size_bytes.saturating_add(other.size_bytes),
            upload_size_bytes: self.upload_size_bytes.saturating_add(other.upload_size_bytes),
        }
    }

    /// The bytes of versions and of open uploads.
    pub(crate) fn bytes(self) -> i64 {
        self.size_bytes.saturating_add(self.upload_size_bytes)
    }

    pub(crate) fn is_nothing(self) -> bool {
        (self.object_count, self.size_bytes, self.upload_size_bytes) == (0, 0, 0)
    }
}

/// Usage changes by bucket number.
pub(super) type UsageChanges = BTreeMap<i64, UsageDelta>;

/// SQL that the two kinds of database spell in their own ways.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Script {
    pub(crate) sqlite: &'static str,
    pub(crate) postgres: &'static str,
}

impl Script {
    /// As the transaction's database spells it.
    pub(crate) fn of(self, tx: &Tx) -> &'static str {
        if tx.is_embedded() { self.sqlite } else { self.postgres }
    }
}

/// Where the numbers of the commit sequence come from.
#[derive(Debug)]
pub(super) enum Sequence {
    /// From the one writer, which keeps count and writes it with the commit.
    Counted {
        /// The number that is taken next.
        next: i64,
    },
    /// From a sequence of the database, which several nodes share.
    Shared {
        /// Numbers that the transaction was given and has not taken yet, the least first.
        kept: VecDeque<i64>,
    },
}

/// A running transaction.
#[derive(Debug)]
pub(crate) struct Tx {
    pub(super) connection: Connection,
    pub(super) name: &'static str,
    pub(super) clock: Clock,
    pub(super) sequence: Sequence,
    pub(super) usage: UsageChanges,
    /// What was changed before in the same commit and is not written yet.
    pub(super) committing: UsageChanges,
    /// What it changed, for the journal.
    pub(super) notes: Vec<Note>,
    /// What was changed before in the same commit.
    pub(super) committing_notes: Vec<Note>,
    /// The quotas of the buckets that it writes to.
    pub(super) quotas: BTreeMap<i64, Quota>,
    /// Whether a statement failed: then PostgreSQL answers COMMIT with success and rolls back, so that it must not be asked.
    pub(super) failed: bool,
    /// How many rows its statements changed.
    pub(super) rows: u64,
    /// How many times the database was asked since that was last counted.
    pub(super) statements: u64,
}

impl Tx {
    pub(super) fn new(connection: Connection, name: &'static str, clock: Clock, sequence: Sequence) -> Self {
        Self {
            connection,
            name,
            clock,
            sequence,
            usage: UsageChanges::new(),
            committing: UsageChanges::new(),
            notes: Vec::new(),
            committing_notes: Vec::new(),
            quotas: BTreeMap::new(),
            failed: false,
            rows: 0,
            statements: 0,
        }
    }

    /// Begins one of the transactions of a commit: what the one before it noted is not its own.
    pub(super) fn begin_step(&mut self, name: &'static str) {
        self.name = name;
        self.usage.clear();
        self.notes.clear();
        self.quotas.clear();
        self.rows = 0;
    }

    /// Whether the database is SQLite in the data directory.
    pub(crate) fn is_embedded(&self) -> bool {
        match self.connection {
            Connection::Writer(_) | Connection::Reader(_) => true,
            Connection::Postgres(_) => false,
        }
    }

    /// Now, in microseconds of the Unix epoch.
    pub(crate) fn now_us(&self) -> i64 {
        self.clock.now_us()
    }

    /// The next number of the commit sequence. A transaction that fails leaves a gap, which is harmless.
    pub(crate) async fn take_seq(&mut self) -> Result<i64> {
        match &mut self.sequence {
            Sequence::Counted { next } => {
                *next += 1;
                Ok(*next - 1)
            }
            Sequence::Shared { kept } => match kept.pop_front() {
                Some(seq) => Ok(seq),
                None => self.fetch_one("SELECT nextval('commit_sequence') AS seq", Vec::new()).await?.int("seq"),
            },
        }
    }

    /// Keeps a number of the commit sequence that came along with what the transaction read, until it takes one. It came after all that the
    /// transaction sees was committed, so it is as good as one that is fetched when it is taken.
    pub(super) fn keep_seq(&mut self, seq: i64) {
        if let Sequence::Shared { kept } = &mut self.sequence {
            kept.push_back(seq);
        }
    }

    /// Leaves all numbers of the commit sequence up to one out, and so many more.
    pub(crate) async fn skip_beyond(&mut self, seq: i64, margin: i64) -> Result<()> {
        match &mut self.sequence {
            Sequence::Counted { next } => *next = (*next).max(seq.saturating_add(1)).saturating_add(margin),
            Sequence::Shared { .. } => {
                let sql = "SELECT setval('commit_sequence', GREATEST(nextval('commit_sequence'), $1) + $2) AS seq";
                self.fetch_one(sql, super::values![seq, margin]).await?;
            }
        }
        Ok(())
    }

    /// Leaves a number of the commit sequence out, so that the commit has something to write.
    pub(super) fn skip_seq(&mut self) {
        if let Sequence::Counted { next } = &mut self.sequence {
            *next += 1;
        }
    }

    /// Notes a change of what a bucket holds; it is written with the commit.
    pub(crate) fn change_usage(&mut self, bucket_id: i64, delta: UsageDelta) {
        add_usage(&mut self.usage, bucket_id, delta);
    }

    /// Notes what it changes for the journal, which has it with the commit.
    pub(crate) fn note(&mut self, note: Note) {
        self.notes.push(note);
    }

    /// Runs a statement and returns how many rows it changed.
    pub(crate) async fn execute(&mut self, sql: &'static str, values: Vec<Value>) -> Result<u64> {
        self.run(sql, values).await
    }

    /// Runs a statement whose text was put together in this module's [`many`](super::many).
    pub(super) async fn execute_text(&mut self, sql: Arc<str>, values: Vec<Value>) -> Result<u64> {
        self.run(AssertSqlSafe(sql), values).await
    }

    async fn run(&mut self, sql: impl SqlSafeStr, values: Vec<Value>) -> Result<u64> {
        let done = match self.connection.backend() {
            Backend::Sqlite(link) => link.execute(bind_sqlite(sql, values)).await,
            Backend::Postgres(connection) => {
                bind_postgres(sql, values).execute(connection).await.map(|done| done.rows_affected())
            }
        };
        self.rows += done.as_ref().copied().unwrap_or_default();
        self.noted(done)
    }

    /// Runs an INSERT of a table with a generated integer id and returns the id.
    pub(crate) async fn insert_returning_id(&mut self, sql: &'static str, values: Vec<Value>) -> Result<i64> {
        self.fetch_one(sql, values).await?.int("id")
    }

    pub(crate) async fn fetch_optional(&mut self, sql: &'static str, values: Vec<Value>) -> Result<Option<Row>> {
        let row = match self.connection.backend() {
            Backend::Sqlite(link) => {
                link.fetch_optional(bind_sqlite(sql, values)).await.map(|row| row.map(Row::Sqlite))
            }
            Backend::Postgres(connection) => {
                bind_postgres(sql, values).fetch_optional(connection).await.map(|row| row.map(Row::Postgres))
            }
        };
        self.noted(row)
    }

    pub(crate) async fn fetch_one(&mut self, sql: &'static str, values: Vec<Value>) -> Result<Row> {
        let row = self.fetch_optional(sql, values).await?;
        match row {
            Some(row) => Ok(row),
            None => self.noted(Err(sqlx::Error::RowNotFound)),
        }
    }

    pub(crate) async fn fetch_all(&mut self, sql: &'static str, values: Vec<Value>) -> Result<Vec<Row>> {
        self.find(sql, values).await
    }

    /// Runs a statement whose text was put together in this module's [`many`](super::many).
    pub(super) async fn fetch_text(&mut self, sql: Arc<str>, values: Vec<Value>) -> Result<Vec<Row>> {
        self.find(AssertSqlSafe(sql), values).await
    }

    async fn find(&mut self, sql: impl SqlSafeStr, values: Vec<Value>) -> Result<Vec<Row>> {
        let rows = match self.connection.backend() {
            Backend::Sqlite(link) => {
                link.fetch_all(bind_sqlite(sql, values)).await.map(|rows| rows.into_iter().map(Row::Sqlite).collect())
            }
            Backend::Postgres(connection) => bind_postgres(sql, values)
                .fetch_all(connection)
                .await
                .map(|rows| rows.into_iter().map(Row::Postgres).collect()),
        };
        self.noted(rows)
    }

    fn noted<T>(&mut self, result: sqlx::Result<T>) -> Result<T> {
        self.statements += 1;
        result.map_err(|source| {
            self.failed = true;
            super::db::database_error(self.name, source)
        })
    }
}

/// A commit, of so many transactions, after the database was asked so many times.
pub(super) fn count_commit(transactions: usize, statements: u64) {
    metrics::counter!("cloudhold_metadata_commits_total").increment(1);
    metrics::counter!("cloudhold_metadata_transactions_total").increment(transactions as u64);
    metrics::counter!("cloudhold_metadata_statements_total").increment(statements);
}

/// A look-up that changes nothing.
pub(super) fn count_read(name: &'static str) {
    metrics::counter!("cloudhold_metadata_reads_total", "read" => name).increment(1);
}

/// How many rows a transaction changed: one that changes very many keeps all others waiting.
pub(super) fn count_rows(transaction: &'static str, rows: u64) {
    metrics::histogram!("cloudhold_metadata_transaction_rows", "transaction" => transaction).record(rows as f64);
}

pub(super) fn add_usage(changes: &mut UsageChanges, bucket_id: i64, delta: UsageDelta) {
    let sum = changes.entry(bucket_id).or_default();
    sum.object_count += delta.object_count;
    sum.size_bytes += delta.size_bytes;
    sum.upload_size_bytes += delta.upload_size_bytes;
}
