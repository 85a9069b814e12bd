//! Checking, scrubbing and backing up: the same on a running store, asked over the control socket, and on one that a command opened.

use std::path::PathBuf;

use anyhow::Context as _;
use engine::{
    BackupOptions, BackupReport, Caller, CheckOptions, CheckReport, Engine, OnProgress, ScrubOptions, ScrubReport,
    VerifyReport,
};
use serde::{Deserialize, Serialize};

/// Commands are given by the one who owns the machine.
pub(crate) const CALLER: Caller = Caller::LocalOperator;

/// A check.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Fsck {
    pub(crate) repair: bool,
    pub(crate) trust_database: bool,
    #[serde(default)]
    pub(crate) trust_disk: bool,
}

impl Fsck {
    pub(crate) async fn run(&self, engine: &Engine, on_progress: &OnProgress) -> anyhow::Result<CheckReport> {
        let Self { repair, trust_database, trust_disk } = *self;
        let options = CheckOptions { repair, trust_database, trust_disk };
        Ok(engine.check(&CALLER, options, on_progress).await?)
    }
}

/// A scrub.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Scrub {
    pub(crate) rate_bytes_per_second: Option<u64>,
    pub(crate) restart: bool,
}

impl Scrub {
    pub(crate) async fn run(&self, engine: &Engine, on_progress: &OnProgress) -> anyhow::Result<ScrubReport> {
        let options = ScrubOptions { rate_bytes_per_second: self.rate_bytes_per_second, restart: self.restart };
        Ok(engine.scrub(&CALLER, options, on_progress).await?)
    }
}

/// A back-up.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Backup {
    /// An absolute path: the store has another working directory than the command.
    pub(crate) directory: PathBuf,
    pub(crate) metadata_only: bool,
    pub(crate) verify: bool,
    #[serde(default)]
    pub(crate) verify_pool: bool,
}

/// What came of a back-up.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct BackedUp {
    pub(crate) made: BackupReport,
    /// What reading it back found, when that was asked for.
    pub(crate) verified: Option<VerifyReport>,
}

impl Backup {
    pub(crate) async fn run(&self, engine: &Engine, on_progress: &OnProgress) -> anyhow::Result<BackedUp> {
        let options = BackupOptions { metadata_only: self.metadata_only, verify_pool: self.verify_pool };
        let made = engine.back_up(&CALLER, &self.directory, options, on_progress).await?;
        let verified = match self.verify {
            true => {
                let verified = engine::verify_backup(&CALLER, engine.settings(), &made.path, on_progress).await;
                Some(verified.context("the back-up is made, but it cannot be verified")?)
            }
            false => None,
        };
        Ok(BackedUp { made, verified })
    }
}
