//! How far an action is, for whoever draws a bar.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// A hook runs.
    Hook,
    /// What lies here already is read and compared.
    Checking,
    /// Bytes move between the bucket and the staging directory.
    Copying,
    /// Bytes are made durable and get their name.
    Finishing,
}

/// How far an action is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// What is being done.
    pub stage: Stage,
    /// The path beneath the staging directory.
    pub path: Arc<str>,
    /// Bytes of this stage that are done; what was resumed counts as done.
    pub done_bytes: u64,
    /// Bytes of this stage in all.
    pub total_bytes: u64,
}

/// Is told how far an action is: at least at the beginning of each stage, then for about each MiB. Called from threads that
/// do the work, so it must not wait.
pub trait Progress: Send + Sync {
    /// Takes note of a step.
    fn step(&self, step: Step);
}

impl<F: Fn(Step) + Send + Sync> Progress for F {
    fn step(&self, step: Step) {
        self(step);
    }
}

/// For callers that do not look.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn step(&self, _: Step) {}
}

/// Reports the steps of one action on one path.
#[derive(Clone)]
pub(crate) struct Reporter {
    progress: Arc<dyn Progress>,
    path: Arc<str>,
}

impl Reporter {
    pub(crate) fn new(progress: &Arc<dyn Progress>, path: &str) -> Self {
        Self { progress: progress.clone(), path: path.into() }
    }

    pub(crate) fn at(&self, stage: Stage, done_bytes: u64, total_bytes: u64) {
        self.progress.step(Step { stage, path: self.path.clone(), done_bytes, total_bytes });
    }
}
