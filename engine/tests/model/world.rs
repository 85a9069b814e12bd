//! The store under test, on SQLite or on the database that the environment asks for (see `test-databases`).

use std::time::Duration;

use engine::{Caller, CheckOptions, Clock, ClockHand, Engine, OnProgress, Settings};
use tempfile::TempDir;

use crate::conflicts::inject_conflicts;
use crate::content::INLINE_SIZE_BYTES_MAX;
use crate::databases::database;
use crate::tenants::{group, user};

/// Least size of a part that is not the last.
pub(crate) const PART_SIZE_BYTES_MIN: u64 = 32;

/// A store in a directory of its own, with a tenant.
pub(crate) struct World {
    pub(crate) engine: Engine,
    pub(crate) tenant: Caller,
    settings: Settings,
    hand: ClockHand,
    directory: TempDir,
}

impl World {
    pub(crate) async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (clock, hand) = Clock::movable();
        let settings = Settings {
            clock,
            inline_size_bytes_max: INLINE_SIZE_BYTES_MAX,
            part_size_bytes_min: PART_SIZE_BYTES_MIN,
            database: database(),
            ..Settings::new(directory.path())
        };
        let engine = Engine::open(settings.clone()).await.unwrap();
        inject_conflicts(&settings.database);
        group(&engine).await;
        let tenant = user(&engine, "ada").await;
        Self { engine, tenant, settings, hand, directory }
    }

    /// Closes the store and opens it again.
    pub(crate) async fn restart(&mut self) {
        self.engine.close().await;
        self.engine = Engine::open(self.settings.clone()).await.unwrap();
    }

    /// Lets time pass and runs all background work: garbage collection, folding of usage, the orphan sweep.
    pub(crate) async fn work(&self) {
        self.hand.advance(Duration::from_secs(120));
        self.engine.run_workers().await.unwrap();
    }

    /// What the check of the whole store finds; empty when all is well.
    pub(crate) async fn findings(&self) -> String {
        let options = CheckOptions::default();
        let report = self.engine.check(&Caller::LocalOperator, options, &OnProgress::nobody()).await.unwrap();
        if report.is_clean() { String::new() } else { format!("{report:?}") }
    }

    pub(crate) fn blob_count(&self) -> usize {
        crate::blobs::blobs(self.directory.path()).len()
    }

    pub(crate) fn quarantine_count(&self) -> usize {
        files(&self.directory.path().join("quarantine"))
    }
}

fn files(directory: &std::path::Path) -> usize {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { files(&path) } else { 1 }).sum()
}
