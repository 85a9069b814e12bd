//! Quotas inside the transactions that they bound: what a transaction makes a bucket hold is compared before it is committed.
//!
//! A quota is noted where a write looks at its bucket anyway, so buckets without one cost nothing. What is compared is the sum of totals,
//! deltas, what was changed before in the same commit, and the transaction's own changes: exact, also where many are committed together.

use std::collections::BTreeSet;

use super::tx::{UsageChanges, UsageDelta};
use super::{Tx, usage};
use crate::quota::{Excess, Quota};
use crate::rules::{QUOTA, from_json};
use crate::{Error, Result};

/// Notes the quota of a bucket that a transaction writes to, as it is stored.
pub(super) fn note(tx: &mut Tx, bucket_id: i64, stored: Option<&str>) -> Result<()> {
    if let Some(stored) = stored
        && !tx.quotas.contains_key(&bucket_id)
    {
        let quota = from_json(QUOTA, stored)?;
        tx.quotas.insert(bucket_id, quota);
    }
    Ok(())
}

/// Refuses a transaction that would let a bucket hold more than its quota. [`Error::QuotaExceeded`].
pub(super) async fn refuse_excess(tx: &mut Tx) -> Result<()> {
    if tx.quotas.is_empty() {
        return Ok(());
    }
    let changes = tx.usage.clone();
    match excesses(tx, &changes).await?.into_iter().next() {
        Some((_, excess)) => Err(Error::QuotaExceeded(excess)),
        None => Ok(()),
    }
}

/// The buckets that would hold more than their quotas after some changes.
pub(super) async fn full_buckets(tx: &mut Tx, changes: &UsageChanges) -> Result<BTreeSet<i64>> {
    Ok(excesses(tx, changes).await?.into_iter().map(|(bucket_id, _)| bucket_id).collect())
}

async fn excesses(tx: &mut Tx, changes: &UsageChanges) -> Result<Vec<(i64, Excess)>> {
    let bounded: Vec<(i64, Quota)> = tx.quotas.iter().map(|(bucket_id, quota)| (*bucket_id, *quota)).collect();
    let mut found = Vec::new();
    for (bucket_id, quota) in bounded {
        let Some(change) = changes.get(&bucket_id).copied() else { continue };
        if let Some(excess) = excess(tx, bucket_id, quota, change).await? {
            found.push((bucket_id, excess));
        }
    }
    Ok(found)
}

/// By what a change would exceed the quota of a bucket.
pub(crate) async fn excess(tx: &mut Tx, bucket_id: i64, quota: Quota, change: UsageDelta) -> Result<Option<Excess>> {
    if !quota.bounds(change) {
        return Ok(None);
    }
    let committed = usage::sums_of_bucket(tx, bucket_id).await?;
    let before = tx.committing.get(&bucket_id).map_or(committed, |pending| committed.plus(*pending));
    Ok(quota.excess(before, change))
}
