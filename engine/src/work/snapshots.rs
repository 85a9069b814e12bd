//! Takes a snapshot of the metadata now and then, when something changed.

use std::sync::Arc;

use crate::clock::micros;
use crate::{Inner, Result, snapshots, stamp};

pub(super) async fn run(inner: &Arc<Inner>) -> Result<String> {
    let settings = &inner.settings;
    if settings.snapshot_interval.is_zero() {
        return Ok("switched off".to_owned());
    }
    let kept = snapshots::list(settings)?;
    let due_us = kept.first().map(|newest| newest.taken_us.saturating_add(micros(settings.snapshot_interval)));
    if due_us.is_some_and(|due_us| settings.clock.now_us() < due_us) || !snapshots::has_changed(inner).await? {
        let newest = kept.first().map_or_else(|| "none".to_owned(), |newest| stamp::of(newest.taken_us));
        return Ok(format!("{} kept, the newest of {newest}", kept.len()));
    }
    let taken = snapshots::take(inner).await?;
    metrics::counter!("cloudhold_snapshots_total").increment(1);
    Ok(format!("taken at {}", stamp::of(taken.taken_us)))
}
