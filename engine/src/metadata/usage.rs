//! SQL of usage: deltas written with each commit, totals into which a worker folds them.

use std::collections::BTreeMap;

use super::tx::UsageDelta;
use super::{Row, Tx, values};
use crate::Result;
use crate::names::{CanonicalId, GroupId, UserId};
use crate::usage::Usage;

/// Writes the changes of a batch: one row a bucket.
pub(super) async fn add_deltas(tx: &mut Tx, changes: &BTreeMap<i64, UsageDelta>) -> Result<()> {
    for (bucket_id, delta) in changes {
        // A bucket that went in the same batch has no usage any more.
        tx.execute(
            "INSERT INTO usage_deltas (bucket_id, object_count, size_bytes, upload_size_bytes)
             SELECT $1, $2, $3, $4 WHERE EXISTS (SELECT 1 FROM buckets WHERE id = $1)",
            values![*bucket_id, delta.object_count, delta.size_bytes, delta.upload_size_bytes],
        )
        .await?;
    }
    Ok(())
}

/// Folds the oldest deltas into the totals; returns how many there were, 0 when none is left.
pub(crate) async fn fold_some(tx: &mut Tx, rows_max: u32) -> Result<u64> {
    let last = tx
        .fetch_one(
            "SELECT MAX(id) AS last FROM (SELECT id FROM usage_deltas ORDER BY id LIMIT $1) AS oldest",
            values![rows_max],
        )
        .await?
        .opt_int("last")?;
    let Some(last) = last else { return Ok(0) };
    tx.execute(
        "INSERT INTO usage_totals (bucket_id, object_count, size_bytes, upload_size_bytes)
         SELECT bucket_id, SUM(object_count), SUM(size_bytes), SUM(upload_size_bytes) FROM usage_deltas d
         WHERE id <= $1 AND EXISTS (SELECT 1 FROM buckets b WHERE b.id = d.bucket_id) GROUP BY bucket_id
         ON CONFLICT (bucket_id) DO UPDATE SET
             object_count = usage_totals.object_count + excluded.object_count,
             size_bytes = usage_totals.size_bytes + excluded.size_bytes,
             upload_size_bytes = usage_totals.upload_size_bytes + excluded.upload_size_bytes",
        values![last],
    )
    .await?;
    tx.execute("DELETE FROM usage_deltas WHERE id <= $1", values![last]).await
}

fn from_row(row: &Row) -> Result<Usage> {
    Ok(Usage {
        object_count: row.size("object_count")?,
        size_bytes: row.size("size_bytes")?,
        upload_size_bytes: row.size("upload_size_bytes")?,
    })
}

/// What a bucket holds by totals and deltas, as they are.
async fn row_of_bucket(tx: &mut Tx, id: i64) -> Result<Row> {
    tx.fetch_one(
        "SELECT CAST(COALESCE(SUM(object_count), 0) AS BIGINT) AS object_count,
                CAST(COALESCE(SUM(size_bytes), 0) AS BIGINT) AS size_bytes,
                CAST(COALESCE(SUM(upload_size_bytes), 0) AS BIGINT) AS upload_size_bytes
         FROM (SELECT object_count, size_bytes, upload_size_bytes FROM usage_totals WHERE bucket_id = $1
               UNION ALL
               SELECT object_count, size_bytes, upload_size_bytes FROM usage_deltas WHERE bucket_id = $1) AS changes",
        values![id],
    )
    .await
}

pub(crate) async fn of_bucket(tx: &mut Tx, id: i64) -> Result<Usage> {
    from_row(&row_of_bucket(tx, id).await?)
}

/// The same, also where it is less than nothing.
pub(super) async fn sums_of_bucket(tx: &mut Tx, id: i64) -> Result<UsageDelta> {
    super::check::usage_of(&row_of_bucket(tx, id).await?)
}

/// The visible buckets of an owner by name, with their usage. The sums are looked up bucket by bucket: a join would first add up the
/// whole store's.
pub(crate) async fn of_owner(tx: &mut Tx, owner: &CanonicalId) -> Result<Vec<(Row, Usage)>> {
    let rows = tx
        .fetch_all(
            "SELECT b.id AS id, b.name AS name, b.owner_ref AS owner_ref, b.created_us AS created_us,
                    b.versioning AS versioning, b.durability AS durability,
                    CAST(COALESCE((SELECT SUM(t.object_count) FROM usage_totals t WHERE t.bucket_id = b.id), 0)
                       + COALESCE((SELECT SUM(d.object_count) FROM usage_deltas d WHERE d.bucket_id = b.id), 0)
                         AS BIGINT) AS object_count,
                    CAST(COALESCE((SELECT SUM(t.size_bytes) FROM usage_totals t WHERE t.bucket_id = b.id), 0)
                       + COALESCE((SELECT SUM(d.size_bytes) FROM usage_deltas d WHERE d.bucket_id = b.id), 0)
                         AS BIGINT) AS size_bytes,
                    CAST(COALESCE((SELECT SUM(t.upload_size_bytes) FROM usage_totals t WHERE t.bucket_id = b.id), 0)
                       + COALESCE((SELECT SUM(d.upload_size_bytes) FROM usage_deltas d WHERE d.bucket_id = b.id), 0)
                         AS BIGINT) AS upload_size_bytes
             FROM buckets b
             WHERE b.owner_ref = $1 AND b.trashed = 0
             ORDER BY b.name",
            values![owner.as_str()],
        )
        .await?;
    rows.into_iter().map(|row| from_row(&row).map(|usage| (row, usage))).collect()
}

/// Drops what is known of a bucket that is gone. Its last changes, which may be many, go when they would be folded.
pub(super) async fn forget(tx: &mut Tx, bucket_id: i64) -> Result<()> {
    tx.execute("DELETE FROM usage_totals WHERE bucket_id = $1", values![bucket_id]).await?;
    Ok(())
}

/// The users of a group by id; `None` when there is no such group.
pub(crate) async fn users_of_group(tx: &mut Tx, group_id: &GroupId) -> Result<Option<Vec<(CanonicalId, UserId)>>> {
    let group = tx.fetch_optional("SELECT id FROM groups WHERE group_id = $1", values![group_id.as_str()]).await?;
    let Some(group) = group else { return Ok(None) };
    let rows = tx
        .fetch_all("SELECT id, user_id FROM users WHERE group_ref = $1 ORDER BY user_id", values![group.text("id")?])
        .await?;
    let users = rows.iter().map(|row| Ok((CanonicalId::stored(row.text("id")?), UserId::stored(row.text("user_id")?))));
    users.collect::<Result<Vec<_>>>().map(Some)
}
