//! The store that a command works on: the running one, or a stopped one that the command opens under its lock.

use anyhow::{Context as _, ensure};
use engine::{Engine, Settings};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Shared;
use super::progress::{Meter, engine_progress};
use crate::control::ControlClient;

/// Where the work is done.
pub(super) enum Store {
    Running(ControlClient),
    Stopped(Engine),
}

impl Store {
    /// Finds the running store, or opens the stopped one. Makes none.
    pub(super) async fn reach(shared: &Shared) -> anyhow::Result<Self> {
        let control = shared.control()?;
        if control.is_running().await? {
            return Ok(Self::Running(control));
        }
        let settings = offline_settings(shared)?;
        let database = settings.data_dir.join("metadata.sqlite");
        ensure!(
            database.exists() || matches!(settings.database, engine::Database::Postgres(_)),
            "no store runs on {dir}, and there is none in it (`cloudhold rebuild-index` brings a lost database back)",
            dir = settings.data_dir.display()
        );
        Ok(Self::Stopped(Engine::open(settings).await.context("the store cannot be opened")?))
    }

    /// Does the work there, with progress on stderr. `path` is the command on the control socket, `work` the same on an engine.
    pub(super) async fn run<R, T>(
        self,
        path: &str,
        request: &R,
        work: impl AsyncFnOnce(&R, &Engine, &engine::OnProgress) -> anyhow::Result<T>,
    ) -> anyhow::Result<T>
    where
        R: Serialize,
        T: DeserializeOwned,
    {
        match self {
            Self::Running(control) => {
                let mut meter = Meter::new();
                control.run(path, request, |progress| meter.show(&progress)).await
            }
            Self::Stopped(engine) => {
                let done = work(request, &engine, &engine_progress()).await;
                engine.close().await;
                done
            }
        }
    }
}

/// The engine's settings for a command: nothing happens beside it.
pub(super) fn offline_settings(shared: &Shared) -> anyhow::Result<Settings> {
    let config = shared.load()?;
    Ok(Settings { background_work: false, ..config.engine.settings(&config.data)? })
}
