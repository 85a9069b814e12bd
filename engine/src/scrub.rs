//! The scrubber reads everything that is stored and compares it with its checksums, so that damage is known while there are copies.
//!
//! A pass goes through contents and open parts in the order of their ids, at a limited rate. Its place is kept in the database, so that
//! a pass goes on after a restart. One scrub runs at a time; one that was asked for goes on where the background work stands. Damage is
//! reported and listed, never deleted.

mod pass;
mod verify;

use serde::{Deserialize, Serialize};

use crate::metadata::scrub as rows;
use crate::{Caller, Engine, Inner, OnProgress, Result};

pub(crate) use pass::{keep, run_pass, state};

use futures::FutureExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How a scrub that was asked for is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScrubOptions {
    /// Bytes read in a second at most, zero for no limit; as set when `None`.
    pub rate_bytes_per_second: Option<u64>,
    /// Begins anew instead of going on with a pass that is under way.
    pub restart: bool,
}

/// Something that is damaged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Damage {
    /// What: `content ...`, `piece ...` or `part ...`; where not even their ids can be read, `contents`, `pieces of content ...` or `parts`; or
    /// `database`.
    pub subject: String,
    /// What is wrong with it.
    pub detail: String,
    /// The first objects that have it, as bucket and key.
    pub objects: Vec<String>,
    /// When it was first found, in microseconds of the Unix epoch.
    pub found_us: i64,
    /// When it was last found.
    pub seen_us: i64,
}

/// What a pass saw.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrubReport {
    /// When the pass began, in microseconds of the Unix epoch.
    pub started_us: i64,
    /// When it ended.
    pub ended_us: i64,
    /// Contents, pieces and parts verified.
    pub item_count: u64,
    /// Bytes verified.
    pub size_bytes: u64,
    /// What is damaged.
    pub damage: Vec<Damage>,
}

/// How far a pass has come, as it last noted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrubProgress {
    /// When it began, in microseconds of the Unix epoch.
    pub started_us: i64,
    /// Bytes verified.
    pub size_bytes: u64,
    /// Bytes that there are.
    pub total_bytes: u64,
}

/// Who scrubs.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    turn: tokio::sync::Mutex<()>,
    /// Scrubs that were asked for and wait for the background work to step back.
    waiting: AtomicUsize,
}

impl Turns {
    /// Whether the background work should step back.
    pub(crate) fn is_wanted(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) > 0
    }

    pub(crate) async fn take(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.turn.lock().await
    }
}

/// Counts a scrub that waits, also when whoever waits goes away.
struct Waiting<'t>(&'t AtomicUsize);

impl<'t> Waiting<'t> {
    fn new(waiting: &'t AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::SeqCst);
        Self(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Engine {
    /// Verifies everything: goes on with the pass that is under way, or begins one, and returns at its end.
    pub async fn scrub(&self, caller: &Caller, options: ScrubOptions, on_progress: &OnProgress) -> Result<ScrubReport> {
        caller.must_operate()?;
        let turns = &self.inner.scrubs;
        let waiting = Waiting::new(&turns.waiting);
        let _turn = turns.take().await;
        drop(waiting);
        if options.restart {
            pass::forget_place(&self.inner).await?;
        }
        let rate = options.rate_bytes_per_second.unwrap_or(self.inner.settings.scrub_rate_bytes_per_second);
        let mut report = run_pass(&self.inner, rate, on_progress, || true).await?;
        if let Some(report) = &mut report {
            report.damage = damage(&self.inner).await?;
        }
        report.ok_or(crate::Error::Internal("a scrub stopped although nothing stopped it"))
    }

    /// The pass that is under way, or waits to go on.
    pub async fn scrub_under_way(&self, caller: &Caller) -> Result<Option<ScrubProgress>> {
        caller.must_operate()?;
        let pass = state(&self.inner).await?.pass;
        Ok(pass.map(|pass| ScrubProgress {
            started_us: pass.started_us,
            size_bytes: pass.size_bytes,
            total_bytes: pass.total_bytes.max(pass.size_bytes),
        }))
    }

    /// What the scrubber found damaged and has not found whole again.
    pub async fn damage(&self, caller: &Caller) -> Result<Vec<Damage>> {
        caller.must_operate()?;
        damage(&self.inner).await
    }
}

pub(crate) async fn damage(inner: &Arc<Inner>) -> Result<Vec<Damage>> {
    let damage = inner.db.read("damage", |tx| rows::damage(tx).boxed()).await?;
    metrics::gauge!("cloudhold_damaged_items").set(damage.len() as f64);
    Ok(damage)
}
