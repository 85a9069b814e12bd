//! SQL of what becomes too old: versions and uploads as the rules of lifecycles look at them.

use super::objects::Entry;
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

/// The versions and markers of a key, newest first.
pub(crate) async fn history(tx: &mut Tx, bucket_id: i64, key: &ObjectKey, rows_max: usize) -> Result<Vec<Old>> {
    let rows = tx
        .fetch_all(
            "SELECT key, seq, size_bytes, kind, modified_us, meta FROM versions
             WHERE bucket_id = $1 AND key = $2 ORDER BY seq DESC LIMIT $3",
            values![bucket_id, key.as_bytes(), i64::try_from(rows_max).unwrap_or(i64::MAX)],
        )
        .await?;
    rows.iter().map(from_row).collect()
}

/// Expires versions of a key that are still as they were seen: what is current goes as a deletion of the object has it, the others for good.
/// What is locked stays. Returns how many went.
pub(crate) async fn expire(
    tx: &mut Tx,
    ids: &VersionIds,
    bucket_id: i64,
    key: &ObjectKey,
    due: &[Old],
) -> Result<usize> {
    super::buckets::must_exist(tx, bucket_id).await?;
    let notify = super::outbox::notify_of(tx, bucket_id).await?;
    let mut count = 0;
    for old in due {
        let latest = versions::latest(tx, bucket_id, key).await?;
        let is_latest = latest.as_ref().is_some_and(|entry| entry.seq() == old.seq);
        let version = match &notify {
            Some(_) => versions::by_seq(tx, bucket_id, key, old.seq).await?,
            None => None,
        };
        let (is_gone, marker) = match latest {
            Some(Entry::Object(_)) if is_latest => {
                (true, versions::delete(tx, ids, bucket_id, key, None).await?.marker)
            }
            Some(_) => (versions::remove_seq(tx, bucket_id, key, old.seq).await?, None),
            None => (false, None),
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
