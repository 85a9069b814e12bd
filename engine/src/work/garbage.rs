//! Frees blobs that no row refers to, once nobody can be reading them.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;

use super::ROWS_MAX;
use crate::clock::micros;
use crate::metadata::Tx;
use crate::metadata::garbage::Place;
use crate::metadata::scan::go_on;
use crate::names::BlobId;
use crate::{Error, Inner, Result, bytes, metadata};

/// How long a blob stays after its last row is gone: a read that found the row just before has begun by then.
const AGE_MIN: Duration = Duration::from_secs(60);
/// Blobs freed between two transactions.
const BATCH: i64 = 256;

pub(super) async fn run(inner: &Arc<Inner>) -> Result<String> {
    remove_leftovers(inner).await?;
    let before_us = inner.settings.clock.now_us() - micros(AGE_MIN);
    let (mut count, mut after) = (0, Place::default());
    loop {
        // A back-up copies what a snapshot refers to, and that may be garbage by now. What this batch frees was garbage before the
        // snapshot was taken.
        if inner.backups.is_any() {
            return Ok(format!("{count} blobs freed; the rest waits for a back-up"));
        }
        let place = after.clone();
        let due = inner
            .db
            .read("due_garbage", |tx| async move { metadata::garbage::due(tx, before_us, &place, BATCH).await }.boxed())
            .await?;
        let Some(last) = due.last() else {
            metrics::counter!("cloudhold_blobs_freed_total").increment(count as u64);
            return Ok(format!("{count} blobs freed"));
        };
        settle(inner).await?;
        // The next page begins after this one: what is still read stays, and must not keep the rest from being freed.
        go_on(&mut after, last.place.clone())?;
        let (used, unused): (Vec<_>, Vec<_>) = due.into_iter().partition(|one| one.is_used);
        keep_used(inner, used.into_iter().map(|one| one.blob_id).collect()).await?;
        let free = unused.into_iter().filter(|one| !one.content_id.is_some_and(|id| inner.in_flight.is_reading(id)));
        count += free_blobs(inner, free.map(|one| one.blob_id).collect()).await?;
    }
}

/// Makes durable what was committed before: after a power cut, the deletion in a relaxed bucket must not be undone when the bytes are gone.
async fn settle(inner: &Arc<Inner>) -> Result<()> {
    let now = inner.settings.clock.now_us().to_string();
    inner
        .db
        .write("settle_garbage", move |tx| {
            let now = now.clone();
            async move { metadata::store_info::set(tx, "garbage_settled_us", &now).await }.boxed()
        })
        .await
}

/// Removes the rows of pieces and parts that nothing needs any more, a few in each transaction.
async fn remove_leftovers(inner: &Arc<Inner>) -> Result<()> {
    while inner.db.read("leftovers", |tx| metadata::leftovers::are_there(tx).boxed()).await? {
        // Each row that goes leaves another one in the garbage.
        let rows_max = ROWS_MAX / 2;
        inner.db.write("remove_leftovers", move |tx| metadata::leftovers::remove_some(tx, rows_max).boxed()).await?;
    }
    Ok(())
}

/// Blobs to which a row still refers are no garbage: whoever noted them lost one of two rows that had the same blob. When the last of them
/// goes, it is noted again.
async fn keep_used(inner: &Arc<Inner>, ids: Vec<BlobId>) -> Result<()> {
    for id in &ids {
        tracing::error!(%id, "a blob that was to be freed is in use; `cloudhold fsck` says what else is wrong");
    }
    metrics::counter!("cloudhold_garbage_in_use_total").increment(ids.len() as u64);
    if ids.is_empty() {
        return Ok(());
    }
    change_each(inner, "keep_garbage", ids, |tx, id| {
        async move { metadata::repair::keep_blob(tx, id).await.map(drop) }.boxed()
    })
    .await
}

/// Makes the same change for each of some blobs, in one transaction.
async fn change_each(
    inner: &Arc<Inner>,
    name: &'static str,
    ids: Vec<BlobId>,
    change: fn(&mut Tx, BlobId) -> BoxFuture<'_, Result<()>>,
) -> Result<()> {
    inner
        .db
        .write(name, move |tx| {
            let ids = ids.clone();
            async move {
                for id in ids {
                    change(tx, id).await?;
                }
                Ok(())
            }
            .boxed()
        })
        .await
}

async fn free_blobs(inner: &Arc<Inner>, ids: Vec<BlobId>) -> Result<usize> {
    let count = ids.len();
    if let Some(why) = inner.db.read_only() {
        return Err(Error::ReadOnly(why));
    }
    let (store, removed) = (inner.store.clone(), ids.clone());
    bytes::blocking(move || {
        removed.into_iter().try_for_each(|id| store.remove(id))?;
        // Before the rows are forgotten: a power cut would bring bytes back that nobody knows any more.
        store.sync_removed()
    })
    .await?;
    change_each(inner, "forget_garbage", ids, |tx, id| metadata::garbage::forget(tx, id).boxed()).await?;
    Ok(count)
}
