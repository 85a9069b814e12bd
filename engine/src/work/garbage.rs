//! Frees blobs that no row refers to, once nobody can be reading them.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;

use crate::clock::micros;
use crate::names::BlobId;
use crate::{Inner, Result, bytes, metadata};

/// How long a blob stays after its last row is gone: a read that found the row just before has begun by then.
const AGE_MIN: Duration = Duration::from_secs(60);
/// Blobs freed between two transactions.
const BATCH: i64 = 256;

pub(super) async fn run(inner: &Arc<Inner>) -> Result<String> {
    let mut count = 0;
    loop {
        let freed = free_some(inner).await?;
        count += freed;
        if freed == 0 {
            metrics::counter!("cloudhold_blobs_freed_total").increment(count as u64);
            return Ok(format!("{count} blobs freed"));
        }
    }
}

async fn free_some(inner: &Arc<Inner>) -> Result<usize> {
    let before_us = inner.settings.clock.now_us() - micros(AGE_MIN);
    let due = inner.db.read("due_garbage", |tx| metadata::garbage::due(tx, before_us, BATCH).boxed()).await?;
    let free = due.into_iter().filter(|one| !one.content_id.is_some_and(|id| inner.in_flight.is_reading(id)));
    let ids: Vec<BlobId> = free.map(|one| one.blob_id).collect();
    let count = ids.len();
    let (store, removed) = (inner.store.clone(), ids.clone());
    bytes::blocking(move || removed.into_iter().try_for_each(|id| store.remove(id))).await?;
    inner
        .db
        .write("forget_garbage", move |tx| {
            let ids = ids.clone();
            async move {
                for id in ids {
                    metadata::garbage::forget(tx, id).await?;
                }
                Ok(())
            }
            .boxed()
        })
        .await?;
    Ok(count)
}
