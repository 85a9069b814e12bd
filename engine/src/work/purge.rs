//! Purges users whose time in the trash is over: their buckets in small steps, then their row.

use std::sync::Arc;

use futures::FutureExt;

use crate::metadata::versions::{self, Passed};
use crate::metadata::{self, Tx};
use crate::names::CanonicalId;
use crate::{Inner, Result};

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
    let mut kept_until_us: Option<i64> = None;
    for id in ids {
        let kept = purge_bucket(inner, id).await?;
        kept_until_us = kept_until_us.into_iter().chain(kept).min();
    }
    inner
        .db
        .write("end_purge", move |tx| {
            let user = user.clone();
            async move {
                match kept_until_us {
                    // What is locked outlives the grace period, and may be brought back until then.
                    Some(until_us) => metadata::trash::set_purge_after(tx, &user, until_us).await,
                    None => metadata::trash::forget(tx, &user).await,
                }
            }
            .boxed()
        })
        .await
}

/// Deletes what is in a bucket, and the bucket itself when nothing is left. Versions that are locked stay, and the bucket with them: then
/// returns when the first of them may go.
async fn purge_bucket(inner: &Arc<Inner>, bucket_id: i64) -> Result<Option<i64>> {
    let mut step = Step::Uploads;
    loop {
        let next = step.clone();
        step = inner
            .db
            .write("purge_bucket", move |tx| {
                let step = next.clone();
                async move { purge_some(tx, bucket_id, step).await }.boxed()
            })
            .await?;
        if let Step::Done { kept_until_us } = step {
            return Ok(kept_until_us);
        }
    }
}

/// What is to be done next in a bucket that is purged.
#[derive(Clone, Debug)]
enum Step {
    Uploads,
    Versions(Passed),
    Done { kept_until_us: Option<i64> },
}

/// One transaction of a purge.
async fn purge_some(tx: &mut Tx, bucket_id: i64, step: Step) -> Result<Step> {
    if !metadata::trash::is_purging(tx, bucket_id).await? {
        // It was restored, or is gone already.
        return Ok(Step::Done { kept_until_us: None });
    }
    match step {
        Step::Uploads if metadata::multipart::abort_some(tx, bucket_id).await? > 0 => Ok(Step::Uploads),
        Step::Uploads => Ok(Step::Versions(Passed::default())),
        Step::Versions(mut passed) => {
            if versions::delete_some(tx, bucket_id, &mut passed, STEP).await? {
                return Ok(Step::Versions(passed));
            }
            if passed.kept_until_us.is_none() {
                metadata::buckets::remove(tx, bucket_id).await?;
            }
            Ok(Step::Done { kept_until_us: passed.kept_until_us })
        }
        Step::Done { kept_until_us } => Ok(Step::Done { kept_until_us }),
    }
}
