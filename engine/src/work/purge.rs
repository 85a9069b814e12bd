//! Purges users whose time in the trash is over: their buckets in small steps, then their row.

use std::sync::Arc;

use futures::FutureExt;

use crate::names::CanonicalId;
use crate::{Inner, Result, metadata};

/// Versions deleted in one transaction, each with up to five rows; others' writes go between two of them.
const STEP: i64 = 200;

pub(super) async fn run(inner: &Arc<Inner>) -> Result<String> {
    let now_us = inner.settings.clock.now_us();
    let due = inner.db.read("due_trash", |tx| metadata::trash::due(tx, now_us).boxed()).await?;
    let (mut count, mut failure) = (0, None);
    for user in due {
        // One user that cannot be purged must not keep the others waiting.
        match purge_user(inner, user, now_us).await {
            Ok(()) => count += 1,
            Err(error) => failure = Some(error),
        }
    }
    failure.map_or_else(|| Ok(format!("{count} users purged")), Err)
}

async fn purge_user(inner: &Arc<Inner>, user: CanonicalId, now_us: i64) -> Result<()> {
    let owner = user.clone();
    let begun = inner
        .db
        .write("begin_purge", move |tx| {
            let owner = owner.clone();
            async move { metadata::trash::begin_purge(tx, &owner, now_us).await }.boxed()
        })
        .await?;
    if !begun {
        return Ok(());
    }
    let owner = user.clone();
    let ids = inner
        .db
        .read("trashed_buckets", |tx| async move { metadata::buckets::ids_of_owner(tx, &owner).await }.boxed())
        .await?;
    for id in ids {
        while step(inner, id).await? {}
    }
    inner
        .db
        .write("forget_trash", move |tx| {
            let user = user.clone();
            async move { metadata::trash::forget(tx, &user).await }.boxed()
        })
        .await
}

/// Deletes some of a bucket, and the bucket itself when nothing is left; returns whether there is more to do.
async fn step(inner: &Arc<Inner>, bucket_id: i64) -> Result<bool> {
    inner
        .db
        .write("purge_bucket", move |tx| {
            async move {
                if !metadata::trash::is_purging(tx, bucket_id).await? {
                    return Ok(false);
                }
                if metadata::multipart::abort_some(tx, bucket_id).await? > 0 {
                    return Ok(true);
                }
                if metadata::versions::delete_some(tx, bucket_id, STEP).await? > 0 {
                    return Ok(true);
                }
                metadata::buckets::remove(tx, bucket_id).await?;
                Ok(false)
            }
            .boxed()
        })
        .await
}
