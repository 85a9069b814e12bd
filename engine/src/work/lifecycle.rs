//! Expires versions and gives uploads up as the rules of their buckets have it, in small steps.

use std::cmp::Reverse;
use std::sync::Arc;

use futures::FutureExt;

use crate::lifecycle::{Aged, Day, Lifecycle};
use crate::metadata::expiry::{self, Due, Newer, Old, OldUpload};
use crate::metadata::scan::go_on;
use crate::metadata::{Tx, multipart, settings};
use crate::names::ObjectKey;
use crate::rules::{self, BucketSetting};
use crate::version_ids::VersionIds;
use crate::{Inner, Result};

/// Versions that are looked at in one read.
const READ: usize = 1000;
/// Versions of a key that one transaction deletes at most, and uploads that are looked at in one read.
const STEP: usize = 200;

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
            let Some(first) = history.first() else { continue };
            let key = Key { inner, bucket_id, key: &first.key };
            let went = if is_cut && first.key == last {
                key.expire_long(READ, lifecycle).await?
            } else {
                let history: Vec<Old> = history.iter().rev().cloned().collect();
                key.expire(&history, Newer::default(), lifecycle).await?
            };
            count += went.count;
            if went.has_no_rules {
                return Ok(count);
            }
        }
        go_on(&mut after, Some(last))?;
    }
}

/// A key whose versions are looked at.
struct Key<'a> {
    inner: &'a Arc<Inner>,
    bucket_id: i64,
    key: &'a ObjectKey,
}

/// What went of a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Went {
    count: usize,
    /// Whether the bucket had no rules any more, so that nothing else goes.
    has_no_rules: bool,
}

impl Key<'_> {
    /// Expires what is due of a key with many versions, page by page from the newest.
    async fn expire_long(&self, rows_max: usize, lifecycle: &Lifecycle) -> Result<Went> {
        let (mut before, mut newer, mut went) = (Reverse(i64::MAX), Newer::default(), Went::default());
        loop {
            let (bucket_id, key, Reverse(before_seq)) = (self.bucket_id, self.key.clone(), before);
            let history = self
                .inner
                .db
                .read_statement("history_of_key", move |tx| {
                    async move { expiry::history(tx, bucket_id, &key, before_seq, rows_max).await }.boxed()
                })
                .await?;
            let Some(last) = history.last() else { return Ok(went) };
            go_on(&mut before, Reverse(last.seq))?;
            let of_page = self.expire(&history, newer, lifecycle).await?;
            went = Went { count: went.count + of_page.count, has_no_rules: of_page.has_no_rules };
            if went.has_no_rules {
                return Ok(went);
            }
            newer = history.iter().fold(newer, Newer::and);
        }
    }

    /// Expires what is due of some versions, newest first: decided on them, and again in the transaction that deletes.
    async fn expire(&self, history: &[Old], newer: Newer, lifecycle: &Lifecycle) -> Result<Went> {
        let (day, mut went) = (day(self.inner), Went::default());
        let due = due_of(history, newer, lifecycle, day, self.inner.settings.clock.now_us());
        // The oldest first: what is still to go is as old then, and has as many before it, as when it was decided on.
        for some in due.chunks(STEP).rev() {
            let (some, ids, key, bucket_id): (Vec<Due>, VersionIds, ObjectKey, i64) =
                (some.to_vec(), self.inner.version_ids.clone(), self.key.clone(), self.bucket_id);
            let gone = self
                .inner
                .db
                .write("expire_versions", move |tx| {
                    let (some, ids, key) = (some.clone(), ids.clone(), key.clone());
                    async move { expire_if_still_due(tx, &ids, bucket_id, &key, &some, day).await }.boxed()
                })
                .await?;
            let Some(count) = gone else { return Ok(Went { has_no_rules: true, ..went }) };
            went.count += count;
        }
        Ok(went)
    }
}

/// Decides again on versions of a key, newest first, by the rules and the versions as the transaction sees them, and expires those that are
/// due as what they were before: the newest, or one that was replaced. Returns how many went; `None` when the bucket has no rules any more.
async fn expire_if_still_due(
    tx: &mut Tx,
    ids: &VersionIds,
    bucket_id: i64,
    key: &ObjectKey,
    seen: &[Due],
    day: Day,
) -> Result<Option<usize>> {
    let Some(lifecycle) = lifecycle_of(tx, bucket_id).await? else { return Ok(None) };
    let (Some(first), Some(last)) = (seen.first(), seen.last()) else { return Ok(Some(0)) };
    // What was between them then, and one more that tells whether they are alone. Between them nothing can have come.
    let rows_max = last.place.saturating_sub(first.place) + 2;
    let history = expiry::history(tx, bucket_id, key, first.seq.saturating_add(1), rows_max).await?;
    let newer = expiry::newer(tx, bucket_id, key, first.seq, lifecycle.newest_kept_max()).await?;
    let mut due = due_of(&history, newer, &lifecycle, day, tx.now_us());
    due.retain(|now| seen.iter().any(|then| (then.seq, then.is_newest) == (now.seq, now.is_newest)));
    expiry::expire(tx, ids, bucket_id, key, &due).await.map(Some)
}

async fn lifecycle_of(tx: &mut Tx, bucket_id: i64) -> Result<Option<Lifecycle>> {
    let text = settings::of_kind(tx, bucket_id, Lifecycle::KIND).await?;
    text.map(|text| rules::from_json(Lifecycle::KIND, &text)).transpose()
}

impl Newer {
    /// What is newer than the version after this one.
    fn and(self, old: &Old) -> Self {
        Self {
            replaced_us: Some(old.modified_us),
            noncurrent: self.noncurrent + usize::from(self.replaced_us.is_some()),
        }
    }
}

/// What is due of versions of a key that follow each other, newest first.
fn due_of(history: &[Old], newer: Newer, lifecycle: &Lifecycle, day: Day, now_us: i64) -> Vec<Due> {
    let (mut due, mut newer) = (Vec::new(), newer);
    for (place, old) in history.iter().enumerate() {
        let is_newest = newer.replaced_us.is_none();
        let aged = Aged {
            key: old.key.as_str(),
            tags: &old.tags,
            size_bytes: old.size_bytes,
            is_marker: old.is_marker,
            modified_us: old.modified_us,
            replaced_us: newer.replaced_us,
            newer_noncurrent: newer.noncurrent,
            is_alone: is_newest && history.len() == 1,
        };
        if lifecycle.is_due(&aged, day, now_us) {
            due.push(Due { seq: old.seq, place, is_newest, is_marker: old.is_marker });
        }
        newer = newer.and(old);
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
            if lifecycle.gives_up(upload.key.as_str(), upload.created_us, day, now_us) {
                count += usize::from(give_up(inner, bucket_id, upload).await?);
            }
        }
    }
}

/// Gives an upload up if the rules still have it so; returns whether they have.
async fn give_up(inner: &Arc<Inner>, bucket_id: i64, upload: OldUpload) -> Result<bool> {
    let day = day(inner);
    inner
        .db
        .write("give_up_upload", move |tx| {
            let OldUpload { upload_id, key, created_us } = upload.clone();
            async move {
                let lifecycle = lifecycle_of(tx, bucket_id).await?;
                let now_us = tx.now_us();
                if !lifecycle.is_some_and(|rules| rules.gives_up(key.as_str(), created_us, day, now_us)) {
                    return Ok(false);
                }
                multipart::abort_if_open(tx, bucket_id, &upload_id).await.map(|()| true)
            }
            .boxed()
        })
        .await
}

#[cfg(test)]
mod tests;
