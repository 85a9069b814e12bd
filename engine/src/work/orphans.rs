//! Finds blobs that no row knows, which a crash between writing a blob and committing its row leaves, and puts them into quarantine. It
//! never deletes: a sweep that guesses wrong must not cost data.

use std::sync::Arc;

use futures::FutureExt;

use crate::names::BlobId;
use crate::{Inner, Result, bytes, metadata};

pub(super) async fn run(inner: &Arc<Inner>) -> Result<String> {
    let mut count = 0;
    for shard in 0..=u8::MAX {
        count += sweep(inner, shard).await?;
    }
    metrics::counter!("cloudhold_blobs_quarantined_total").increment(count as u64);
    Ok(format!("{count} blobs put into quarantine"))
}

async fn sweep(inner: &Arc<Inner>, shard: u8) -> Result<usize> {
    let store = inner.store.clone();
    let ids = bytes::blocking(move || store.list_shard(shard)).await?;
    if ids.is_empty() {
        return Ok(0);
    }
    // A blob whose row is being committed is in flight until after the commit, so this order misses none: listed, then not in flight,
    // then not known.
    let idle: Vec<BlobId> = ids.into_iter().filter(|id| !inner.in_flight.is_writing(*id)).collect();
    let unknown = inner.db.read("unknown_blobs", |tx| async move { unknown_of(tx, idle).await }.boxed()).await?;
    let count = unknown.len();
    let store = inner.store.clone();
    bytes::blocking(move || {
        unknown.into_iter().try_for_each(|id| {
            tracing::warn!(%id, "a blob that no row knows is put into quarantine");
            store.quarantine(id)
        })
    })
    .await?;
    Ok(count)
}

async fn unknown_of(tx: &mut metadata::Tx, ids: Vec<BlobId>) -> Result<Vec<BlobId>> {
    let mut unknown = Vec::new();
    for id in ids {
        if !metadata::garbage::is_known(tx, id).await? {
            unknown.push(id);
        }
    }
    Ok(unknown)
}
