//! The connector as a running thing: who works when, and what people see of it.
//!
//! All work goes through one lock, so that the timer, the events and an operator never act at the same time. A run that
//! is dropped in the middle does no harm: what is not done is planned again.

mod background;
mod kept;
mod retry;
mod view;
mod work;

use std::{
    path::Path,
    sync::{Arc, Mutex, RwLock, atomic::AtomicI64},
};

use admin_api::client::ClientConfig;
use sso::SharedKey;
use tokio::{sync::Notify, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use url::Url;

pub(crate) use self::kept::SETTINGS_FRESH;
use self::{kept::Kept, retry::Retry, view::View};
use crate::{
    Clock,
    cloudstack::Cloud,
    config::{CloudStackConfig, ConnectorConfig, TargetKind},
    error::Error,
    plugin,
    report::{CheckLine, Held, Plan, ProgressFn, RunReport, Status},
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
    retry: Mutex<Retry>,
    /// When ROOT was last seen to be ours.
    root_seen_us: AtomicI64,
    work: tokio::sync::Mutex<()>,
    wake: Notify,
    stop: CancellationToken,
}

/// A running connector; clones are handles of the same one.
#[derive(Clone)]
pub struct Connector {
    inner: Arc<Inner>,
    background: Arc<tokio::sync::Mutex<Option<JoinHandle<()>>>>,
    /// Names the removals held back that were last shown to an operator at the command line.
    shown: Arc<Mutex<Option<String>>>,
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
            retry: Mutex::default(),
            root_seen_us: AtomicI64::new(i64::MIN),
            work: tokio::sync::Mutex::new(()),
            wake: Notify::new(),
            stop: CancellationToken::new(),
        };
        Ok(Self { inner: Arc::new(inner), background: Arc::default(), shown: Arc::default() })
    }

    /// Reads CloudStack whole and computes the difference, without changing anything at the target.
    ///
    /// # Errors
    /// Whatever kept CloudStack from being read.
    pub async fn plan(&self) -> Result<Plan, Error> {
        self.in_a_task(&|_| (), |inner, tell| async move { inner.plan_now(&*tell).await }).await
    }

    /// Reads CloudStack whole and applies the difference, also when the settings say that the connector is to do nothing
    /// by itself. `confirmed` is the token of removals that were held back for being many and shown to somebody who means
    /// them: they pass, unless other ones would be made now. A caller that goes away does not stop the work.
    ///
    /// # Errors
    /// Whatever kept CloudStack from being read, or the target from being changed at all.
    pub async fn sync(&self, confirmed: Option<&str>, progress: &ProgressFn) -> Result<RunReport, Error> {
        let confirmed = confirmed.map(str::to_owned);
        let work = |inner: Arc<Inner>, tell: Arc<ProgressFn>| async move {
            inner.sync_now(work::Cause::Asked, confirmed.as_deref(), &*tell).await
        };
        self.in_a_task(progress, work).await
    }

    /// Makes the next full pass compare everything with what the target really holds.
    ///
    /// # Errors
    /// Those of [`Self::sync`].
    pub async fn verify(&self, progress: &ProgressFn) -> Result<RunReport, Error> {
        let work = |inner: Arc<Inner>, tell: Arc<ProgressFn>| async move {
            inner.sync_now(work::Cause::Verify, None, &*tell).await
        };
        self.in_a_task(progress, work).await
    }

    /// Looks at the events now, and at what they name; the report says what was done about it.
    ///
    /// # Errors
    /// Those of [`Self::sync`].
    pub async fn poll(&self) -> Result<RunReport, Error> {
        self.in_a_task(&|_| (), |inner, _| async move { inner.poll_now(true).await }).await
    }

    /// Does work in a task of its own, so that a caller that goes away cuts nothing short; only the shutdown does.
    async fn in_a_task<T, F, Work>(&self, progress: &ProgressFn, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(Arc<Inner>, Arc<ProgressFn>) -> Work,
        Work: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let (told, mut hears) = tokio::sync::mpsc::unbounded_channel();
        let tell: Arc<ProgressFn> = Arc::new(move |progress| {
            // Nobody may listen any more.
            _ = told.send(progress);
        });
        let stop = self.inner.stop.clone();
        let work = work(Arc::clone(&self.inner), tell);
        let mut task = tokio::spawn(async move { stop.run_until_cancelled(work).await.unwrap_or(Err(Error::Stopped)) });
        loop {
            tokio::select! {
                biased;
                Some(now) = hears.recv() => progress(now),
                ended = &mut task => return match ended {
                    Ok(result) => result,
                    Err(error) => match error.try_into_panic() {
                        Ok(panic) => std::panic::resume_unwind(panic),
                        Err(_) => Err(Error::Stopped),
                    },
                },
            }
        }
    }

    /// Remembers that an operator was shown what is held back, for a confirmation that names nothing.
    pub fn note_shown(&self, held: &[Held]) {
        let token = held.first().map(|held| held.token.clone());
        *self.shown.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = token;
    }

    /// The token of what was last shown as held back.
    #[must_use]
    pub fn shown(&self) -> Option<String> {
        self.shown.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
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
        // Whoever was at work is dropped now; what it wrote last comes before the end.
        drop(self.inner.work.lock().await);
        if let Err(error) = self.inner.state.close(&self.inner.owner).await {
            tracing::warn!(%error, "the connector's lease is not released");
        }
    }
}
