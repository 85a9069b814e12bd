//! What the engine is told when it is opened.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use crate::Clock;
use crate::disk::{Disk, LocalDisk};

/// How the engine is set up.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where everything lies; made with mode 0700 when absent.
    pub data_dir: PathBuf,
    /// Where the metadata is.
    pub database: Database,
    /// The key ring; `keys.json` in the data directory when `None`.
    pub key_file: Option<PathBuf>,
    /// How long a deleted user's data is kept; zero purges at once.
    pub trash_grace: Duration,
    /// Bytes up to which an object is kept in the database.
    pub inline_size_bytes_max: usize,
    /// Bytes up to which an object that is too large for the database shares a file with others, at most 1 MiB; zero: each has its own.
    pub pack_size_bytes_max: u64,
    /// Bytes from which on an object or a part goes to the disk past the system's page cache, when its size is known before; zero: none does.
    pub direct_size_bytes_min: u64,
    /// Length of those shared files, at most 256 MiB; tests make them short.
    #[doc(hidden)]
    pub pack_bytes: u64,
    /// The region that conditions of policies are told of.
    pub region: Arc<str>,
    /// Names of the keys that SSE-KMS may use beside the default one.
    pub kms_keys: Vec<String>,
    /// Least size of a part that is not the last.
    pub part_size_bytes_min: u64,
    /// Most access keys of a user.
    pub keys_per_user_max: u32,
    /// Most buckets of a user.
    pub buckets_per_user_max: u32,
    /// How long an upload may stay open without being completed; zero keeps it for ever.
    pub upload_age_max: Duration,
    /// Bytes of the disk that objects leave free, so that metadata can always be written.
    pub reserve_bytes: u64,
    /// Objects and parts too large for the database that are taken in at one time; one tenant has at most as many as are free.
    pub uploads_max: usize,
    /// Bytes of memory in which bodies wait for the disk, beside 64 KiB for each. When they are used up, bodies are written in smaller steps.
    pub intake_size_bytes_max: usize,
    /// Connections that read the database.
    pub readers: u32,
    /// Pages of 4 KiB that the log of the embedded database may have before they are written into its file; tests make it short.
    #[doc(hidden)]
    pub log_pages_max: u32,
    /// The disk that everything lies on; tests put one with faults in the place of the machine's own.
    #[doc(hidden)]
    pub disk: Arc<dyn Disk>,
    /// Time between two passes in which the scrubber verifies everything; zero switches it off.
    pub scrub_interval: Duration,
    /// Bytes that the scrubber reads in a second at most; zero sets no limit.
    pub scrub_rate_bytes_per_second: u64,
    /// How long a day of the rules of lifecycles is: shorter than 24 hours only to try them.
    pub lifecycle_day: Duration,
    /// Time between two snapshots of the metadata, when something changed; zero switches them off.
    pub snapshot_interval: Duration,
    /// Newest snapshots that are kept.
    pub snapshots_kept: u32,
    /// Days of which, beside those, the last snapshot is kept.
    pub snapshot_days_kept: u32,
    /// Bytes that the journal may have, which names what was changed since the snapshots; zero: there is none.
    pub journal_size_bytes_max: u64,
    /// The targets that may be told of changes in buckets.
    pub event_targets: Vec<String>,
    /// How old an event may become before it is given up, when its target takes none.
    pub event_age_max: Duration,
    /// How often logs of accesses are delivered.
    pub access_log_period: Duration,
    /// Whether background work runs by itself. A command that opens a stopped store switches it off.
    pub background_work: bool,
    /// Faults to inject, for tests and benchmarks.
    pub faults: Faults,
    /// The clock.
    pub clock: Clock,
}

/// Where the metadata is.
#[derive(Clone, Debug, Default)]
pub enum Database {
    /// SQLite in the data directory.
    #[default]
    Embedded,
    /// A database of PostgreSQL.
    Postgres(PostgresSettings),
}

/// A database of PostgreSQL.
#[derive(Clone, Debug)]
pub struct PostgresSettings {
    /// `postgres://user:password@host/database`, with what else the driver takes, `sslmode=verify-full` and `sslrootcert` among it.
    pub url: SecretString,
    /// Most connections.
    pub connections_max: u32,
}

/// Faults that tests and benchmarks inject.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Added to every fsync of a blob and every commit of the database, as a slower disk would.
    pub fsync_delay: Duration,
}

impl Settings {
    /// The defaults, in a data directory.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        Self {
            data_dir: data_dir.into(),
            database: Database::default(),
            key_file: None,
            trash_grace: DAY * 7,
            inline_size_bytes_max: 16 << 10,
            pack_size_bytes_max: 256 << 10,
            direct_size_bytes_min: 8 << 20,
            pack_bytes: 64 << 20,
            region: "us-east-1".into(),
            kms_keys: Vec::new(),
            part_size_bytes_min: 5 << 20,
            keys_per_user_max: 5,
            buckets_per_user_max: 1000,
            upload_age_max: DAY * 14,
            reserve_bytes: 256 << 20,
            uploads_max: 1024,
            intake_size_bytes_max: 64 << 20,
            readers: 4,
            // Writes wait meanwhile: 7 ms for so many.
            log_pages_max: 1000,
            disk: Arc::new(LocalDisk),
            scrub_interval: DAY * 7,
            scrub_rate_bytes_per_second: 16 << 20,
            lifecycle_day: DAY,
            snapshot_interval: Duration::from_secs(60 * 60),
            snapshots_kept: 24,
            snapshot_days_kept: 7,
            journal_size_bytes_max: 1 << 30,
            event_targets: Vec::new(),
            event_age_max: DAY * 3,
            access_log_period: Duration::from_secs(300),
            background_work: true,
            faults: Faults::default(),
            clock: Clock::system(),
        }
    }
}
