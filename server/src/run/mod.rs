//! Starts everything in the right order, and ends it in the other.

mod open;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use connector::Connector;
use engine::Engine;
use nfs_staging::Staging;
use time::OffsetDateTime;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::open::open_doors;
use crate::config::Config;
use crate::control::{self, Parts};
use crate::doors::{self, BoundDoor, Doors};
use crate::tls::{self, Certificates};
use crate::{demo_mark, files, first_credentials, metrics_door};

/// The folder of the local CA in the data directory.
const TLS_FOLDER: &str = "tls";

/// A running store.
pub struct Running {
    /// Where the doors are.
    pub doors: Doors,
    /// The store itself.
    pub engine: Engine,
    /// The staging store.
    pub staging: Staging,
    /// The connector, when a CloudStack is configured.
    pub connector: Option<Connector>,
    /// Whether this start made the first credentials.
    pub is_first_start: bool,
    config: Config,
    certificates: Arc<Certificates>,
    stop: CancellationToken,
    abort: CancellationToken,
    tracker: TaskTracker,
}

/// A store whose doors have their ports but do not answer yet.
pub struct Opening {
    /// Where the doors will be.
    pub doors: Doors,
    /// The configuration. What stands behind the doors (`cloudstack`, `console` ...) may still be changed.
    pub config: Config,
    base: Foundation,
    bound: Vec<BoundDoor>,
}

/// What a start has made so far.
struct Foundation {
    engine: Engine,
    certificates: Arc<Certificates>,
    is_first_start: bool,
    stop: CancellationToken,
    abort: CancellationToken,
    tracker: TaskTracker,
}

/// Starts a store with all its doors. When this returns, all doors answer and `doors.json` is written.
///
/// # Errors
/// When the configuration, the data directory or a port cannot be used; nothing is left running then.
pub async fn start(config: Config) -> anyhow::Result<Running> {
    Opening::new(config).await?.open().await
}

impl Opening {
    /// Opens the store, makes the first credentials and takes the ports.
    ///
    /// # Errors
    /// Those of [`start`].
    pub async fn new(mut config: Config) -> anyhow::Result<Self> {
        config.data.dir = std::path::absolute(&config.data.dir).context("the data directory has no absolute path")?;
        config.validate()?;
        demo_mark::check(&config.data.dir, config.demo)?;
        // Before anything counts, because what is counted earlier is lost.
        metrics_door::recorder()?;
        let engine = Engine::open(config.engine_settings()?).await.context("the store cannot be opened")?;
        let closing = engine.clone();
        let prepared = prepare(config, engine).await;
        if prepared.is_err() {
            closing.close().await;
        }
        prepared
    }

    /// Lets the doors answer.
    ///
    /// # Errors
    /// Those of [`start`].
    pub async fn open(self) -> anyhow::Result<Running> {
        let Self { doors, config, base, bound } = self;
        let (stop, engine) = (base.stop.clone(), base.engine.clone());
        let opened = open_doors(config, base, bound, doors).await;
        if opened.is_err() {
            stop.cancel();
            engine.close().await;
        }
        opened
    }

    /// Gives up.
    pub async fn close(self) {
        self.base.engine.close().await;
    }
}

async fn prepare(config: Config, engine: Engine) -> anyhow::Result<Opening> {
    let dir = &config.data.dir;
    // Left by a process that was killed.
    Doors::remove(dir)?;
    let is_first_start = first_credentials::ensure(&engine, dir).await?;
    let domains = [config.s3.base_domains.as_slice(), &config.s3.website_domains].concat();
    let names = tls::names_of_doors(&config.doors, &domains);
    let tls = config.doors.tls.clone();
    let certificates = Certificates::open(&dir.join(TLS_FOLDER), names, tls, OffsetDateTime::now_utc())?;
    let bound = doors::bind(&config.doors)?;
    let doors = Doors::new(&bound, certificates.ca_file().to_owned());
    let base = Foundation {
        engine,
        certificates: Arc::new(certificates),
        is_first_start,
        stop: CancellationToken::new(),
        abort: CancellationToken::new(),
        tracker: TaskTracker::new(),
    };
    Ok(Opening { doors, config, base, bound })
}

impl Running {
    /// The data directory.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.config.data.dir
    }

    /// The configuration it runs with.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Reads given certificates again when their files changed.
    ///
    /// # Errors
    /// Says what cannot be read; the old certificates stay in use then.
    pub fn reload(&self) -> anyhow::Result<()> {
        self.certificates.refresh(OffsetDateTime::now_utc())
    }

    fn open_control(&self) -> anyhow::Result<()> {
        let dir = &self.config.data.dir;
        let listener =
            control::bind(dir).with_context(|| format!("the control socket in {} cannot be made", dir.display()))?;
        let parts = Parts {
            engine: self.engine.clone(),
            staging: self.staging.clone(),
            connector: self.connector.clone(),
            doors: self.doors.clone(),
            config: Arc::new(self.config.clone()),
        };
        let router = control::router(parts);
        self.tracker.spawn(control::serve(
            listener,
            router,
            self.stop.clone(),
            self.abort.clone(),
            self.tracker.clone(),
        ));
        Ok(())
    }

    /// Ends everything: no new connections, time for what runs to finish (`doors.shutdown_timeout_s`), then the store is closed.
    pub async fn shutdown(self) {
        let dir = &self.config.data.dir;
        if let Err(error) = Doors::remove(dir) {
            tracing::warn!(error = format!("{error:#}"), "doors.json stays behind");
        }
        self.stop.cancel();
        if let Some(connector) = &self.connector {
            connector.shutdown().await;
        }
        self.tracker.close();
        let limit = Duration::from_secs(self.config.doors.shutdown_timeout_s);
        if timeout(limit, self.tracker.wait()).await.is_err() {
            tracing::warn!(open = self.tracker.len(), "requests that did not finish are cut off");
            self.abort.cancel();
            self.tracker.wait().await;
        }
        if let Err(error) = files::remove_if_there(&dir.join(control::FILE_NAME)) {
            tracing::warn!(%error, "the control socket stays behind");
        }
        self.engine.close().await;
    }
}
