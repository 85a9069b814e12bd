//! The connector as a running thing: who works when, and what people see of it.
//!
//! All work goes through one lock, so that the timer, the events and an operator never act at the same time. A run that
//! is dropped in the middle does no harm: what is not done is planned again.

mod background;
mod kept;
mod view;
mod work;

use std::{
    path::Path,
    sync::{Arc, RwLock},
};

use admin_api::client::ClientConfig;
use sso::SharedKey;
use tokio::{sync::Notify, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use url::Url;

pub(crate) use self::kept::SETTINGS_FRESH;
use self::{kept::Kept, view::View};
use crate::{
    Clock,
    cloudstack::Cloud,
    config::{CloudStackConfig, ConnectorConfig, TargetKind},
    error::Error,
    plugin,
    report::{CheckLine, Plan, ProgressFn, RunReport, Status},
    state::{State, owner_name},
    target::Target,
};

/// The two sections of the configuration that concern the connector.
#[derive(Debug, Clone)]
pub struct Config {
    /// Section `[cloudstack]`.
    pub cloudstack: CloudStackConfig,
    /// Section `[connector]`.
    pub connector: ConnectorConfig,
}

/// Our own doors, with which a check compares what CloudStack's plug-in was told.
#[derive(Debug, Clone, Default)]
pub struct Doors {
    /// The Admin API's addresses.
    pub admin: Vec<Url>,
    /// The consoles' addresses.
    pub console: Vec<Url>,
    /// The Admin API's service account that people use, with its password.
    pub admin_credentials: Option<(String, secrecy::SecretString)>,
}

/// What all parts of a running connector share.
pub(crate) struct Inner {
    pub(crate) config: Config,
    pub(crate) cloud: Cloud,
    pub(crate) state: State,
    pub(crate) target: Target,
    pub(crate) doors: Doors,
    pub(crate) clock: Clock,
    /// Who we are in the lease.
    owner: String,
    settings: Kept,
    view: RwLock<View>,
    work: tokio::sync::Mutex<()>,
    wake: Notify,
    stop: CancellationToken,
}

/// A running connector; clones are handles of the same one.
#[derive(Clone)]
pub struct Connector {
    inner: Arc<Inner>,
    background: Arc<tokio::sync::Mutex<Option<JoinHandle<()>>>>,
}

impl Connector {
    /// Opens the state and begins to work in the background.
    ///
    /// `own_target` is this process's own Admin API; it is used unless the configuration names another HyperStore. The
    /// state's folder must be this process's alone: whoever held the lease before is taken for dead.
    ///
    /// # Errors
    /// [`Error::Config`] when the configuration cannot work; [`Error::State`] when the state cannot be opened or is of a
    /// newer version. That CloudStack cannot be reached is no error: it is tried again.
    pub async fn start(
        config: Config,
        own_target: ClientConfig,
        state_path: &Path,
        doors: Doors,
        clock: Clock,
    ) -> Result<Self, Error> {
        let connector = Self::prepare(config, own_target, state_path, doors, clock).await?;
        let inner = Arc::clone(&connector.inner);
        inner.state.drop_lease().await?;
        *connector.background.lock().await = Some(tokio::spawn(background::work(inner)));
        Ok(connector)
    }

    /// The same without the background work: everything happens on demand.
    ///
    /// # Errors
    /// Those of [`Self::start`].
    pub async fn prepare(
        config: Config,
        own_target: ClientConfig,
        state_path: &Path,
        doors: Doors,
        clock: Clock,
    ) -> Result<Self, Error> {
        config.cloudstack.validate().map_err(Error::Config)?;
        config.connector.validate().map_err(Error::Config)?;
        let cloud = Cloud::new(&config.cloudstack, clock.clone())?;
        let target = match config.connector.target.kind {
            TargetKind::Own => own_target,
            TargetKind::Hyperstore => config.connector.target.client_config().map_err(Error::Config)?,
        };
        let target = Target::new(target)?;
        let state = State::open(state_path, clock.clone()).await?;
        state.drop_dead_lease().await?;
        let inner = Inner {
            config,
            cloud,
            state,
            target,
            doors,
            clock,
            owner: owner_name(),
            settings: Kept::default(),
            view: RwLock::new(View::default()),
            work: tokio::sync::Mutex::new(()),
            wake: Notify::new(),
            stop: CancellationToken::new(),
        };
        Ok(Self { inner: Arc::new(inner), background: Arc::default() })
    }

    /// Reads CloudStack whole and computes the difference, without changing anything at the target.
    ///
    /// # Errors
    /// Whatever kept CloudStack from being read.
    pub async fn plan(&self) -> Result<Plan, Error> {
        self.inner.plan_now(&|_| ()).await
    }

    /// Reads CloudStack whole and applies the difference, also when the settings say that the connector is to do nothing
    /// by itself. `confirm` lets removals pass that are held back for being many.
    ///
    /// # Errors
    /// Whatever kept CloudStack from being read, or the target from being changed at all.
    pub async fn sync(&self, confirm: bool, progress: &ProgressFn) -> Result<RunReport, Error> {
        self.inner.sync_now(work::Cause::Asked, confirm, progress).await
    }

    /// Makes the next full pass compare everything with what the target really holds.
    ///
    /// # Errors
    /// Those of [`Self::sync`].
    pub async fn verify(&self, progress: &ProgressFn) -> Result<RunReport, Error> {
        self.inner.sync_now(work::Cause::Verify, false, progress).await
    }

    /// Looks at the events now, and at what they name; the report says what was done about it.
    ///
    /// # Errors
    /// Those of [`Self::sync`].
    pub async fn poll(&self) -> Result<RunReport, Error> {
        self.inner.poll_now().await
    }

    /// Wakes the background work for a full pass.
    pub fn trigger(&self) {
        self.inner.wake.notify_one();
    }

    /// How it is.
    pub async fn status(&self) -> Status {
        self.inner.status().await
    }

    /// What a run did, in order: each change and what became of it.
    ///
    /// # Errors
    /// [`Error::State`].
    pub async fn run_changes(&self, run_id: i64, count: u32) -> Result<Vec<(String, String)>, Error> {
        Ok(self.inner.state.run_changes(run_id, count).await?)
    }

    /// Tries the log-in, the rights and the settings, and says in one line each what is wrong.
    pub async fn check(&self) -> Vec<CheckLine> {
        crate::check::check(&self.inner).await
    }

    /// The door for the plug-in's commands.
    pub fn router(&self) -> axum::Router {
        plugin::router(Arc::clone(&self.inner))
    }

    /// The key for single sign-on in use: that of our configuration, else CloudStack's. `None` when there is none, or
    /// only a published one.
    pub async fn sso_key(&self) -> Option<SharedKey> {
        self.inner.settings(SETTINGS_FRESH).await.sso_key.clone().ok()
    }

    /// CloudStack's origin, such as `https://cloud.example.com:8443`: where its pages are when no proxy stands between.
    #[must_use]
    pub fn cloudstack_origin(&self) -> String {
        self.inner.cloud.origin()
    }

    /// Stops the background work and closes the state. A run under way is dropped; the next one plans it again.
    pub async fn shutdown(&self) {
        self.inner.stop.cancel();
        if let Some(task) = self.background.lock().await.take()
            && let Err(error) = task.await
        {
            tracing::error!(%error, "the connector's background work ended badly");
        }
        if let Err(error) = self.inner.state.close(&self.inner.owner).await {
            tracing::warn!(%error, "the connector's lease is not released");
        }
    }
}
