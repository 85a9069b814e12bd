//! SQL of what becomes too old: versions and uploads as the rules of lifecycles look at them.

use super::{Row, Tx, values, versions};
use crate::Result;
use crate::events::{EventKind, Happened};
use crate::meta::Meta;
use crate::names::{ObjectKey, UploadId};
use crate::tags::Tags;
use crate::version_ids::VersionIds;

/// A version or marker with its age.
#[derive(Clone, Debug)]
pub(crate) struct Old {
    pub(crate) key: ObjectKey,
    pub(crate) seq: i64,
    pub(crate) size_bytes: u64,
    pub(crate) is_marker: bool,
    pub(crate) modified_us: i64,
    pub(crate) tags: Tags,
}

/// What is newer than some versions of a key that follow each other.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Newer {
    /// When the one before them was made; `None` when they are the newest.
    pub(crate) replaced_us: Option<i64>,
    /// How many are newer and not current.
    pub(crate) noncurrent: usize,
}

/// A version or marker that is to go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Due {
    pub(crate) seq: i64,
    /// Its place among the versions that it was decided on, the newest first.
    pub(crate) place: usize,
    /// Whether it goes as the newest of its key.
    pub(crate) is_newest: bool,
    pub(crate) is_marker: bool,
}

/// An open upload with its age.
#[derive(Clone, Debug)]
pub(crate) struct OldUpload {
    pub(crate) upload_id: UploadId,
    pub(crate) key: ObjectKey,
    pub(crate) created_us: i64,
}

/// The visible buckets that have a setting, with its value.
pub(crate) async fn buckets(tx: &mut Tx, kind: &'static str) -> Result<Vec<(i64, String)>> {
    let rows = tx
        .fetch_all(
            "SELECT s.bucket_id AS bucket_id, s.value AS value FROM bucket_settings s
             JOIN buckets b ON b.id = s.bucket_id AND b.trashed = 0
             WHERE s.kind = $1 ORDER BY s.bucket_id",
            values![kind],
        )
        .await?;
    rows.iter().map(|row| Ok((row.int("bucket_id")?, row.text("value")?))).collect()
}

fn from_row(row: &Row) -> Result<Old> {
    Ok(Old {
        key: ObjectKey::stored(row.blob("key")?)?,
        seq: row.int("seq")?,
        size_bytes: row.size("size_bytes")?,
        is_marker: super::objects::is_marker(row)?,
        modified_us: row.int("modified_us")?,
        tags: Meta::from_json(&row.text("meta")?)?.tags().clone(),
    })
}

/// Versions and markers of the keys after one.
pub(crate) async fn versions(
    tx: &mut Tx,
    bucket_id: i64,
    after: Option<ObjectKey>,
    rows_max: usize,
) -> Result<Vec<Old>> {
    // No key is empty, and what follows a key begins with it.
    let from = after.map_or_else(Vec::new, |key| super::listing::just_after(key.as_bytes()));
    let rows = tx
        .fetch_all(
            "SELECT key, seq, size_bytes, kind, modified_us, meta FROM versions
             WHERE bucket_id = $1 AND key >= $2 ORDER BY key, seq LIMIT $3",
            values![bucket_id, from.as_slice(), i64::try_from(rows_max).unwrap_or(i64::MAX)],
        )
        .await?;
    rows.iter().map(from_row).collect()
}

/// The versions and markers of a key that are older than a number, newest first.
pub(crate) async fn history(
    tx: &mut Tx,
    bucket_id: i64,
    key: &ObjectKey,
    before_seq: i64,
    rows_max: usize,
) -> Result<Vec<Old>> {
    let rows = tx
        .fetch_all(
            "SELECT key, seq, size_bytes, kind, modified_us, meta FROM versions
             WHERE bucket_id = $1 AND key = $2 AND seq < $3 ORDER BY seq DESC LIMIT $4",
            values![bucket_id, key.as_bytes(), before_seq, i64::try_from(rows_max).unwrap_or(i64::MAX)],
        )
        .await?;
    rows.iter().map(from_row).collect()
}

/// What is newer than a version of a key; no more are counted than a maximum.
pub(crate) async fn newer(
    tx: &mut Tx,
    bucket_id: i64,
    key: &ObjectKey,
    seq: i64,
    noncurrent_max: u32,
) -> Result<Newer> {
    let next = tx
        .fetch_optional(
            "SELECT modified_us FROM versions WHERE bucket_id = $1 AND key = $2 AND seq > $3 ORDER BY seq LIMIT 1",
            values![bucket_id, key.as_bytes(), seq],
        )
        .await?;
    let Some(next) = next else { return Ok(Newer::default()) };
    // One of them is the newest of the key.
    let rows_max = i64::from(noncurrent_max).saturating_add(1);
    let counted = tx
        .fetch_one(
            "SELECT COUNT(*) AS count FROM
             (SELECT seq FROM versions WHERE bucket_id = $1 AND key = $2 AND seq > $3 LIMIT $4) AS newer",
            values![bucket_id, key.as_bytes(), seq, rows_max],
        )
        .await?;
    let count = usize::try_from(counted.int("count")?).unwrap_or_default();
    Ok(Newer { replaced_us: Some(next.int("modified_us")?), noncurrent: count.saturating_sub(1) })
}

/// Expires versions of a key, which the caller found to be due in the same transaction: the newest goes as a deletion of the object has it,
/// the others for good. What is locked stays. Returns how many went.
pub(crate) async fn expire(
    tx: &mut Tx,
    ids: &VersionIds,
    bucket_id: i64,
    key: &ObjectKey,
    due: &[Due],
) -> Result<usize> {
    super::buckets::must_exist(tx, bucket_id).await?;
    let notify = super::outbox::notify_of(tx, bucket_id).await?;
    let mut count = 0;
    for one in due.iter().rev() {
        let version = match &notify {
            Some(_) => versions::by_seq(tx, bucket_id, key, one.seq).await?,
            None => None,
        };
        let (is_gone, marker) = if one.is_newest && !one.is_marker {
            (true, versions::delete(tx, ids, bucket_id, key, None).await?.marker)
        } else {
            (versions::remove_seq(tx, bucket_id, key, one.seq).await?, None)
        };
        count += usize::from(is_gone);
        if let Some(notify) = notify.as_ref().filter(|_| is_gone) {
            let kind = if marker.is_some() { EventKind::ExpiredByMarker } else { EventKind::Expired };
            let version_id = marker.or(version.map(|version| version.version_id));
            let seq = tx.take_seq().await?;
            let happened = Happened::deletion(kind, key, seq, version_id.as_ref());
            super::outbox::add(tx, bucket_id, notify, &happened).await?;
        }
    }
    Ok(count)
}

/// Open uploads of a bucket after one, in the order of their ids.
pub(crate) async fn uploads(
    tx: &mut Tx,
    bucket_id: i64,
    after: Option<UploadId>,
    rows_max: usize,
) -> Result<Vec<OldUpload>> {
    let after = after.map_or_else(String::new, |id| id.as_str().to_owned());
    let rows = tx
        .fetch_all(
            "SELECT upload_id, key, created_us FROM uploads
             WHERE bucket_id = $1 AND upload_id > $2 ORDER BY upload_id LIMIT $3",
            values![bucket_id, after, i64::try_from(rows_max).unwrap_or(i64::MAX)],
        )
        .await?;
    let upload = |row: &Row| {
        Ok(OldUpload {
            upload_id: UploadId::stored(row.text("upload_id")?),
            key: ObjectKey::stored(row.blob("key")?)?,
            created_us: row.int("created_us")?,
        })
    };
    rows.iter().map(upload).collect()
}
