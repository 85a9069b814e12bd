//! Starting and stopping, and the listener, which can go away and come back.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::get;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

use crate::api::{self, Core};
use crate::clock::Clock;
use crate::misbehaviour::Behaviour;
use crate::session::Sessions;
use crate::{Cloud, Control, page};

const BODY_BYTES_MAX: usize = 1 << 20;

/// How the stand-in is started.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// The loopback port; 0 takes a free one.
    pub port: u16,
    /// How often a new job answers that it still runs before it gives its result.
    pub pending_polls: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self { port: 0, pending_polls: 1 }
    }
}

/// What the handlers share.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    pub(crate) core: Arc<Mutex<Core>>,
}

/// The listener and its connections; none while the stand-in has vanished.
#[derive(Debug)]
pub(crate) struct Door {
    address: SocketAddr,
    router: Router,
    task: Mutex<Option<JoinHandle<()>>>,
}

/// A running stand-in. Dropping it stops it.
#[derive(Debug)]
pub struct StandIn {
    control: Control,
}

impl StandIn {
    /// Starts on the loopback address.
    ///
    /// # Errors
    /// When the port cannot be had.
    pub async fn start(cloud: Cloud, options: Options) -> io::Result<Self> {
        let sso_is_registered = cloud.setting("cloudian.connector.enabled") == "true";
        let core = Arc::new(Mutex::new(Core {
            cloud,
            sessions: Sessions::default(),
            clock: Clock::Moved { by_ms: 0 },
            behaviour: Behaviour::default(),
            log: Vec::new(),
            pending_polls: options.pending_polls,
            sso_is_registered,
        }));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).await?;
        let router = router(Shared { core: Arc::clone(&core) });
        let door = Door { address: listener.local_addr()?, router, task: Mutex::new(None) };
        door.open(listener);
        Ok(Self { control: Control { core, door: Arc::new(door) } })
    }

    /// The address of the API: `http://127.0.0.1:PORT/client/api`.
    #[must_use]
    pub fn base_url(&self) -> String {
        self.control.base_url()
    }

    /// The page with the log-in form: `http://127.0.0.1:PORT/client/`.
    #[must_use]
    pub fn page_url(&self) -> String {
        self.control.page_url()
    }

    /// The handle that changes tenants and behaviour. It may be cloned and outlive this.
    #[must_use]
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// Stops and waits until the port is free.
    pub async fn stop(self) {
        self.control.vanish().await;
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        if let Some(task) = self.control.door.take() {
            task.abort();
        }
    }
}

impl Door {
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    fn take(&self) -> Option<JoinHandle<()>> {
        self.task.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn open(&self, listener: TcpListener) {
        let task = tokio::spawn(accept(listener, self.router.clone()));
        *self.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
    }

    /// Closes the listener and every connection, in the middle of an answer too.
    pub(crate) async fn close(&self) {
        if let Some(task) = self.take() {
            task.abort();
            // An aborted task ends with an error, which is what was wanted.
            drop(task.await);
        }
    }

    /// Opens the same port again.
    pub(crate) async fn reopen(&self) -> io::Result<()> {
        self.close().await;
        self.open(TcpListener::bind(self.address).await?);
        Ok(())
    }
}

/// Serves connections until it is aborted, which ends them all.
async fn accept(listener: TcpListener, router: Router) {
    let mut connections = JoinSet::new();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _peer)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::task::yield_now().await;
                continue;
            }
        };
        while connections.try_join_next().is_some() {}
        let service = TowerToHyperService::new(router.clone());
        connections.spawn(async move {
            let served = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
            if let Err(error) = served {
                tracing::debug!(%error, "a connection ended early");
            }
        });
    }
}

fn router(shared: Shared) -> Router {
    Router::new()
        .route("/client/api", get(api::handle).post(api::handle))
        .route("/client/", get(page::show))
        .route("/client", get(page::redirect))
        .route("/", get(page::redirect))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(shared)
}
