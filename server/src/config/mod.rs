//! The configuration: one file, the environment over it, the command line over both.
//!
//! This crate alone reads files and environment. Each other crate describes its own section; the ones of the process itself
//! (data directory, engine, doors, log) stand here.

mod doors;
mod load;
mod show;
mod unknown;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use connector::{CloudStackConfig, ConnectorConfig};
use secrecy::SecretString;
use serde::Deserialize;

pub use doors::{Door, DoorsSection, PortChoice, TlsSection};
pub use load::{Overrides, load, load_from, stray_variables};
pub use show::{Setting, settings_given};

/// The format of the configuration that this program reads.
pub const VERSION: u32 = 1;

/// The data directory that is used when none is named.
pub const DATA_DIR_DEFAULT: &str = "./data";

/// Everything that can be configured.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The format of the file; [`VERSION`].
    pub version: u32,
    /// Where the data lies.
    pub data: DataSection,
    /// How the engine keeps it.
    pub engine: EngineSection,
    /// Addresses, ports and certificates.
    pub doors: DoorsSection,
    /// The S3 endpoint.
    pub s3: s3_store::Settings,
    /// The Admin API.
    pub admin_api: AdminApiSection,
    /// The console.
    pub console: console::Settings,
    /// The CloudStack whose tenants are served; none when it has no `url`.
    pub cloudstack: CloudStackConfig,
    /// How the connector works.
    pub connector: ConnectorConfig,
    /// The staging store.
    pub staging: nfs_staging::Settings,
    /// Who may be told of changes in buckets.
    pub notifications: notifications::Settings,
    /// The log on stderr.
    pub log: LogSection,
    /// Whether this is the demo, which alone may use a demo's data directory. No key of the configuration.
    #[serde(skip)]
    pub demo: bool,
    /// The disk that the store lies on, when it is not the machine's own: for tests. No key of the configuration.
    #[serde(skip)]
    #[doc(hidden)]
    pub disk: Option<Arc<dyn engine::disk::Disk>>,
}

/// `[admin_api]`: how the Admin API answers.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdminApiSection {
    /// What `/system/version` answers.
    pub version: String,
    /// Failed log-ins of one peer that are answered at once.
    pub failed_logins_free: u32,
    /// Milliseconds that the answer to a failed log-in is held back at most.
    pub failed_login_delay_ms_max: u64,
}

/// `[data]`: where the data lies.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataSection {
    /// The data directory, made with mode 0700 when absent.
    pub dir: PathBuf,
    /// The key ring that seals secrets at rest; `keys.json` in the data directory when absent.
    pub key_file: Option<PathBuf>,
    /// The PostgreSQL database that has the metadata; SQLite in the data directory when absent.
    pub postgres_url: Option<SecretString>,
    /// A file with the URL instead.
    pub postgres_url_file: Option<PathBuf>,
    /// Most connections to PostgreSQL.
    pub postgres_connections_max: u32,
}

/// `[engine]`: how the engine keeps what is stored.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EngineSection {
    /// Days that a deleted user's data is kept; 0 purges at once.
    pub trash_grace_days: u32,
    /// Bytes up to which an object lies in the database.
    pub inline_size_bytes_max: usize,
    /// Bytes up to which an object that is too large for the database shares a file with others, at most 1 MiB; 0: each has its own.
    pub pack_size_bytes_max: u64,
    /// Bytes from which on an object or a part goes to the disk past the system's page cache; 0: none does.
    pub direct_size_bytes_min: u64,
    /// Names of the keys that SSE-KMS may use beside the default one, `aws/s3`.
    pub kms_keys: Vec<String>,
    /// Least bytes of a part that is not the last.
    pub part_size_bytes_min: u64,
    /// Most access keys of a user.
    pub keys_per_user_max: u32,
    /// Most buckets of a user.
    pub buckets_per_user_max: u32,
    /// Days after which an upload that was never completed is aborted; 0 keeps it for ever.
    pub upload_age_days_max: u32,
    /// Bytes of the disk that objects leave free, so that metadata can always be written.
    pub reserve_bytes: u64,
    /// Objects and parts too large for the database that are taken in at one time; one tenant has at most as many as are free.
    pub uploads_max: usize,
    /// Bytes of memory in which bodies wait for the disk, beside 64 KiB for each.
    pub intake_size_bytes_max: usize,
    /// Connections that read the database.
    pub readers: u32,
    /// Days between two passes in which the scrubber verifies everything; 0 switches it off.
    pub scrub_interval_days: u32,
    /// Bytes that the scrubber reads in a second at most; 0 sets no limit.
    pub scrub_rate_bytes_per_second: u64,
    /// Seconds that a day of lifecycle rules lasts: less than 86,400 only to try rules out.
    pub lifecycle_day_s: u64,
    /// Seconds between two deliveries of the logs of accesses that buckets ask for.
    pub access_log_period_s: u64,
    /// Seconds between two snapshots of the metadata, when something changed; 0 switches them off.
    pub snapshot_interval_s: u64,
    /// Newest snapshots that are kept.
    pub snapshots_kept: u32,
    /// Days of which, beside those, the last snapshot is kept.
    pub snapshot_days_kept: u32,
    /// Bytes that the journal may have, which names what was changed since the snapshots; 0: there is none.
    pub journal_size_bytes_max: u64,
    /// Faults for tests and benchmarks.
    pub faults: FaultsSection,
}

/// `[engine.faults]`: what tests and benchmarks make worse.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FaultsSection {
    /// Milliseconds added to every fsync, as a slower disk would.
    pub fsync_delay_ms: u64,
}

/// `[log]`: what is written to stderr.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSection {
    /// Which lines are written: a level, or levels by area such as `info,access=off,connector=debug`.
    pub filter: String,
    /// How a line looks.
    pub format: LogFormat,
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line, for machines.
    Json,
}

impl Default for Config {
    fn default() -> Self {
        Self::new(DATA_DIR_DEFAULT)
    }
}

impl Config {
    /// The defaults, in a data directory.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            version: VERSION,
            data: DataSection { dir: data_dir.into(), ..DataSection::default() },
            engine: EngineSection::default(),
            doors: DoorsSection::default(),
            s3: s3_store::Settings::default(),
            admin_api: AdminApiSection::default(),
            console: console::Settings::default(),
            cloudstack: CloudStackConfig::default(),
            connector: ConnectorConfig::default(),
            staging: nfs_staging::Settings::default(),
            notifications: notifications::Settings::default(),
            log: LogSection::default(),
            demo: false,
            disk: None,
        }
    }

    /// What the engine is opened with.
    ///
    /// # Errors
    /// When a file with a secret cannot be read.
    pub(crate) fn engine_settings(&self) -> anyhow::Result<engine::Settings> {
        let mut settings = self.engine.settings(&self.data)?;
        settings.region = self.s3.region.as_str().into();
        if let Some(disk) = &self.disk {
            settings.disk = disk.clone();
        }
        settings.event_targets = self.notifications.names();
        settings.event_age_max = Duration::from_secs(u64::from(self.notifications.age_hours_max) * 3600);
        Ok(settings)
    }

    /// Whether all values can be used together.
    ///
    /// # Errors
    /// Says which key is wrong and what would be right.
    pub fn validate(&self) -> anyhow::Result<()> {
        anyhow::ensure!(
            self.version == VERSION,
            "the configuration has version {}, this program reads version {VERSION}",
            self.version
        );
        anyhow::ensure!(self.engine.readers > 0, "engine.readers must be at least 1");
        anyhow::ensure!(self.engine.uploads_max > 0, "engine.uploads_max must be at least 1");
        anyhow::ensure!(self.data.postgres_connections_max > 0, "data.postgres_connections_max must be at least 1");
        anyhow::ensure!(self.engine.keys_per_user_max > 0, "engine.keys_per_user_max must be at least 1");
        self.doors.validate()?;
        self.s3.validate()?;
        self.admin_api
            .settings()
            .validate()
            .map_err(|wrong| anyhow::anyhow!("admin_api.{} {}", wrong.name, wrong.why))?;
        self.console.validate()?;
        self.staging.validate().context("[staging]")?;
        self.notifications.validate()?;
        self.connector.validate().map_err(anyhow::Error::msg)?;
        if self.has_cloudstack() {
            self.cloudstack.validate().map_err(anyhow::Error::msg)?;
        }
        Ok(())
    }

    /// Whether a CloudStack is configured. Credentials without an address are a mistake that validation names.
    pub(crate) fn has_cloudstack(&self) -> bool {
        !self.cloudstack.url.is_empty() || self.cloudstack.api_key.is_some() || self.cloudstack.username.is_some()
    }
}

impl Default for AdminApiSection {
    fn default() -> Self {
        let admin_api::Settings { version, failed_logins_free, failed_login_delay_max } =
            admin_api::Settings::default();
        let delay_ms = u64::try_from(failed_login_delay_max.as_millis()).unwrap_or(u64::MAX);
        Self { version, failed_logins_free, failed_login_delay_ms_max: delay_ms }
    }
}

impl AdminApiSection {
    /// These settings as the Admin API takes them.
    pub(crate) fn settings(&self) -> admin_api::Settings {
        admin_api::Settings {
            version: self.version.clone(),
            failed_logins_free: self.failed_logins_free,
            failed_login_delay_max: Duration::from_millis(self.failed_login_delay_ms_max),
        }
    }
}

impl Default for DataSection {
    fn default() -> Self {
        Self {
            dir: DATA_DIR_DEFAULT.into(),
            key_file: None,
            postgres_url: None,
            postgres_url_file: None,
            postgres_connections_max: 16,
        }
    }
}

impl DataSection {
    /// Where the metadata is.
    fn database(&self) -> anyhow::Result<engine::Database> {
        let url = match (&self.postgres_url, &self.postgres_url_file) {
            (Some(url), _) => url.clone(),
            (None, Some(path)) => {
                let text = std::fs::read_to_string(path)
                    .with_context(|| format!("data.postgres_url_file: {} cannot be read", path.display()))?;
                SecretString::from(text.trim().to_owned())
            }
            (None, None) => return Ok(engine::Database::Embedded),
        };
        let connections_max = self.postgres_connections_max;
        Ok(engine::Database::Postgres(engine::PostgresSettings { url, connections_max }))
    }
}

impl Default for EngineSection {
    fn default() -> Self {
        Self {
            trash_grace_days: 7,
            inline_size_bytes_max: 16 << 10,
            pack_size_bytes_max: 256 << 10,
            direct_size_bytes_min: 8 << 20,
            kms_keys: Vec::new(),
            part_size_bytes_min: 5 << 20,
            keys_per_user_max: 5,
            buckets_per_user_max: 1000,
            upload_age_days_max: 14,
            reserve_bytes: 256 << 20,
            uploads_max: 1024,
            intake_size_bytes_max: 64 << 20,
            readers: 4,
            scrub_interval_days: 7,
            scrub_rate_bytes_per_second: 16 << 20,
            lifecycle_day_s: 24 * 60 * 60,
            access_log_period_s: 300,
            snapshot_interval_s: 60 * 60,
            snapshots_kept: 24,
            snapshot_days_kept: 7,
            journal_size_bytes_max: 1 << 30,
            faults: FaultsSection::default(),
        }
    }
}

impl Default for LogSection {
    fn default() -> Self {
        Self { filter: "info,hyper=error,sqlx=warn".to_owned(), format: LogFormat::Text }
    }
}

impl EngineSection {
    /// These settings as the engine takes them.
    pub(crate) fn settings(&self, data: &DataSection) -> anyhow::Result<engine::Settings> {
        Ok(engine::Settings {
            database: data.database()?,
            key_file: data.key_file.clone(),
            trash_grace: days(self.trash_grace_days),
            inline_size_bytes_max: self.inline_size_bytes_max,
            pack_size_bytes_max: self.pack_size_bytes_max,
            direct_size_bytes_min: self.direct_size_bytes_min,
            kms_keys: self.kms_keys.clone(),
            part_size_bytes_min: self.part_size_bytes_min,
            keys_per_user_max: self.keys_per_user_max,
            buckets_per_user_max: self.buckets_per_user_max,
            upload_age_max: days(self.upload_age_days_max),
            reserve_bytes: self.reserve_bytes,
            uploads_max: self.uploads_max,
            intake_size_bytes_max: self.intake_size_bytes_max,
            readers: self.readers,
            scrub_interval: days(self.scrub_interval_days),
            scrub_rate_bytes_per_second: self.scrub_rate_bytes_per_second,
            lifecycle_day: Duration::from_secs(self.lifecycle_day_s.max(1)),
            access_log_period: Duration::from_secs(self.access_log_period_s.max(1)),
            snapshot_interval: Duration::from_secs(self.snapshot_interval_s),
            snapshots_kept: self.snapshots_kept,
            snapshot_days_kept: self.snapshot_days_kept,
            journal_size_bytes_max: self.journal_size_bytes_max,
            faults: engine::Faults { fsync_delay: Duration::from_millis(self.faults.fsync_delay_ms) },
            ..engine::Settings::new(&data.dir)
        })
    }
}

fn days(count: u32) -> Duration {
    Duration::from_secs(u64::from(count) * 24 * 60 * 60)
}

#[cfg(test)]
mod tests;
