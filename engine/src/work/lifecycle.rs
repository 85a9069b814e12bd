//! Expires versions and gives uploads up as the rules of their buckets have it, in small steps.

use std::sync::Arc;

use futures::FutureExt;

use crate::lifecycle::{Aged, Day, Lifecycle};
use crate::metadata::expiry::{self, Old};
use crate::metadata::multipart;
use crate::metadata::scan::go_on;
use crate::names::ObjectKey;
use crate::rules::{self, BucketSetting};
use crate::version_ids::VersionIds;
use crate::{Inner, Result};

/// Versions that are looked at in one read.
const READ: usize = 1000;
/// Versions of a key that one transaction deletes at most, and uploads that are looked at in one read.
const STEP: usize = 200;
/// Versions of one key that are looked at together: of more, the oldest come with a later run.
const OF_KEY_MAX: usize = 10_000;

pub(super) async fn run(inner: &Arc<Inner>) -> Result<String> {
    let (mut versions, mut uploads, mut failure) = (0, 0, None);
    let buckets = inner.db.read("buckets_with_lifecycle", |tx| expiry::buckets(tx, Lifecycle::KIND).boxed()).await?;
    for (bucket_id, text) in buckets {
        let lifecycle: Lifecycle = rules::from_json(Lifecycle::KIND, &text)?;
        // One bucket that fails must not keep the others waiting.
        match expire_bucket(inner, bucket_id, &lifecycle).await {
            Ok(count) => versions += count,
            Err(error) => failure = Some(error),
        }
        match give_up_uploads(inner, bucket_id, &lifecycle).await {
            Ok(count) => uploads += count,
            Err(error) => failure = Some(error),
        }
    }
    if versions > 0 {
        inner.events_added.notify_one();
    }
    failure.map_or_else(|| Ok(format!("{versions} versions expired, {uploads} uploads given up")), Err)
}

fn day(inner: &Inner) -> Day {
    Day::of(&inner.settings)
}

async fn expire_bucket(inner: &Arc<Inner>, bucket_id: i64, lifecycle: &Lifecycle) -> Result<usize> {
    let (mut after, mut count) = (None, 0);
    loop {
        let from = after.clone();
        let rows = inner
            .db
            .read_statement("old_versions", move |tx| {
                async move { expiry::versions(tx, bucket_id, from, READ).await }.boxed()
            })
            .await?;
        let Some(last) = rows.last().map(|last| last.key.clone()) else { return Ok(count) };
        // The last key of a full page may have more versions than are on it.
        let is_cut = rows.len() == READ;
        for history in rows.chunk_by(|one, other| one.key == other.key) {
            count += match history.first() {
                Some(first) if is_cut && first.key == last => {
                    expire_long_key(inner, bucket_id, &last, lifecycle).await?
                }
                Some(first) => expire_key(inner, bucket_id, &first.key, newest_first(history), lifecycle).await?,
                None => 0,
            };
        }
        go_on(&mut after, Some(last))?;
    }
}

fn newest_first(history: &[Old]) -> Vec<Old> {
    history.iter().rev().cloned().collect()
}

async fn expire_long_key(inner: &Arc<Inner>, bucket_id: i64, key: &ObjectKey, lifecycle: &Lifecycle) -> Result<usize> {
    let named = key.clone();
    let history = inner
        .db
        .read_statement("history_of_key", move |tx| {
            async move { expiry::history(tx, bucket_id, &named, OF_KEY_MAX).await }.boxed()
        })
        .await?;
    expire_key(inner, bucket_id, key, history, lifecycle).await
}

/// Expires what is due of a key: decided on its versions, newest first, and again in the transaction that deletes.
async fn expire_key(
    inner: &Arc<Inner>,
    bucket_id: i64,
    key: &ObjectKey,
    history: Vec<Old>,
    lifecycle: &Lifecycle,
) -> Result<usize> {
    let due = due_of(&history, lifecycle, day(inner), inner.settings.clock.now_us());
    let mut count = 0;
    for some in due.chunks(STEP) {
        let (some, ids, key): (Vec<Old>, VersionIds, ObjectKey) =
            (some.to_vec(), inner.version_ids.clone(), key.clone());
        count += inner
            .db
            .write("expire_versions", move |tx| {
                let (some, ids, key) = (some.clone(), ids.clone(), key.clone());
                async move { expiry::expire(tx, &ids, bucket_id, &key, &some).await }.boxed()
            })
            .await?;
    }
    Ok(count)
}

/// What is due of the versions of a key, newest first.
fn due_of(history: &[Old], lifecycle: &Lifecycle, day: Day, now_us: i64) -> Vec<Old> {
    let (mut due, mut replaced_us, mut newer_noncurrent) = (Vec::new(), None, 0);
    for old in history {
        let aged = Aged {
            key: old.key.as_str(),
            tags: &old.tags,
            size_bytes: old.size_bytes,
            is_marker: old.is_marker,
            modified_us: old.modified_us,
            replaced_us,
            newer_noncurrent,
            is_alone: history.len() == 1,
        };
        if lifecycle.is_due(&aged, day, now_us) {
            due.push(old.clone());
        }
        newer_noncurrent += usize::from(replaced_us.is_some());
        replaced_us = Some(old.modified_us);
    }
    due
}

async fn give_up_uploads(inner: &Arc<Inner>, bucket_id: i64, lifecycle: &Lifecycle) -> Result<usize> {
    let (now_us, day) = (inner.settings.clock.now_us(), day(inner));
    let (mut after, mut count) = (None, 0);
    loop {
        let from = after.clone();
        let open = inner
            .db
            .read_statement("open_uploads", move |tx| {
                async move { expiry::uploads(tx, bucket_id, from, STEP).await }.boxed()
            })
            .await?;
        let Some(last) = open.last() else { return Ok(count) };
        go_on(&mut after, Some(last.upload_id.clone()))?;
        for upload in open {
            if !lifecycle.gives_up(upload.key.as_str(), upload.created_us, day, now_us) {
                continue;
            }
            let id = upload.upload_id;
            inner
                .db
                .write("give_up_upload", move |tx| {
                    let id = id.clone();
                    async move { multipart::abort_if_open(tx, bucket_id, &id).await }.boxed()
                })
                .await?;
            count += 1;
        }
    }
}
