//! SQL of object versions and of the table of current ones.

use super::contents;
use super::tx::UsageDelta;
use super::{Row, Tx, values};
use crate::bytes::outflow::Source;
use crate::meta::Meta;
use crate::names::{ContentId, ObjectKey, VersionId};
use crate::objects::{StorageClass, WriteConditions};
use crate::{Error, Result};

/// An object version as its row has it.
#[derive(Clone, Debug)]
pub(crate) struct Version {
    pub(crate) seq: i64,
    pub(crate) version_id: VersionId,
    pub(crate) size_bytes: u64,
    pub(crate) etag: String,
    pub(crate) modified_us: i64,
    pub(crate) storage_class: StorageClass,
    pub(crate) parts_count: Option<u32>,
    pub(crate) content_id: ContentId,
    pub(crate) meta: Meta,
}

/// An object version that is to be made.
#[derive(Clone, Debug)]
pub(crate) struct NewVersion {
    pub(crate) size_bytes: u64,
    pub(crate) etag: String,
    pub(crate) storage_class: StorageClass,
    pub(crate) parts_count: Option<u32>,
    pub(crate) content_id: ContentId,
    pub(crate) meta: Meta,
}

fn from_row(row: &Row) -> Result<Version> {
    let parts_count = row.opt_int("parts_count")?.map(u32::try_from).transpose();
    let content_id = row.opt_blob("content_id")?.ok_or_else(|| Error::corrupt("an object version has no content"))?;
    Ok(Version {
        seq: row.int("seq")?,
        version_id: VersionId::stored(row.text("version_id")?),
        size_bytes: row.size("size_bytes")?,
        etag: row.text("etag")?,
        modified_us: row.int("modified_us")?,
        storage_class: StorageClass::parse(&row.text("storage_class")?)?,
        parts_count: parts_count.map_err(|_| Error::corrupt("a parts count is out of range"))?,
        content_id: ContentId::stored(&content_id)?,
        meta: Meta::from_json(&row.text("meta")?)?,
    })
}

/// The current version of an object.
pub(crate) async fn current(tx: &mut Tx, bucket_id: i64, key: &ObjectKey) -> Result<Option<Version>> {
    let row = tx
        .fetch_optional(
            "SELECT v.seq, v.version_id, v.size_bytes, v.etag, v.modified_us, v.storage_class, v.parts_count, v.content_id, v.meta
             FROM current c
             JOIN versions v ON v.bucket_id = c.bucket_id AND v.key = c.key AND v.seq = c.seq
             WHERE c.bucket_id = $1 AND c.key = $2",
            values![bucket_id, key.as_bytes()],
        )
        .await?;
    row.as_ref().map(from_row).transpose()
}

/// A version of an object by its id.
pub(crate) async fn by_version(
    tx: &mut Tx,
    bucket_id: i64,
    key: &ObjectKey,
    version_id: &VersionId,
) -> Result<Option<Version>> {
    let row = tx
        .fetch_optional(
            "SELECT seq, version_id, size_bytes, etag, modified_us, storage_class, parts_count, content_id, meta
             FROM versions WHERE bucket_id = $1 AND key = $2 AND version_id = $3 AND kind = 'object'",
            values![bucket_id, key.as_bytes(), version_id.as_str()],
        )
        .await?;
    row.as_ref().map(from_row).transpose()
}

/// The version that a read asks for. [`Error::NoSuchKey`], [`Error::NoSuchVersion`].
pub(crate) async fn find(
    tx: &mut Tx,
    bucket_id: i64,
    key: &ObjectKey,
    version_id: Option<&VersionId>,
) -> Result<Version> {
    match version_id {
        None => current(tx, bucket_id, key).await?.ok_or(Error::NoSuchKey),
        Some(version_id) => by_version(tx, bucket_id, key, version_id).await?.ok_or(Error::NoSuchVersion),
    }
}

/// Where the bytes of a version are; `None` when they are in pieces.
pub(crate) async fn source(tx: &mut Tx, version: &Version) -> Result<Option<Source>> {
    let row = tx
        .fetch_optional(
            "SELECT blob_id, data, size_bytes, crc64nvme FROM contents WHERE id = $1",
            values![version.content_id.as_bytes()],
        )
        .await?
        .ok_or_else(|| Error::corrupt("an object version refers to content that is not there"))?;
    // The size stands in both rows: one that is damaged must not cut an answer short.
    if row.size("size_bytes")? != version.size_bytes {
        return Err(Error::corrupt("an object version and its content have different sizes"));
    }
    contents::source_of(&row)
}

/// Refuses a write whose conditions do not hold for what is current.
pub(crate) fn check_conditions(current_etag: Option<&str>, conditions: &WriteConditions) -> Result<()> {
    if let Some(wanted) = &conditions.if_match {
        match current_etag {
            None => return Err(Error::NoSuchKey),
            Some(etag) if wanted != "*" && wanted != etag => {
                return Err(Error::PreconditionFailed { condition: "If-Match" });
            }
            Some(_) => {}
        }
    }
    if let Some(unwanted) = &conditions.if_none_match
        && current_etag.is_some_and(|etag| unwanted == "*" || unwanted == etag)
    {
        return Err(Error::PreconditionFailed { condition: "If-None-Match" });
    }
    Ok(())
}

/// Makes a version current in a bucket that keeps no versions: the one before is gone, its content released.
pub(crate) async fn replace_current(
    tx: &mut Tx,
    bucket_id: i64,
    key: &ObjectKey,
    new: &NewVersion,
    conditions: &WriteConditions,
) -> Result<Version> {
    super::buckets::must_exist(tx, bucket_id).await?;
    let before = current(tx, bucket_id, key).await?;
    check_conditions(before.as_ref().map(|version| version.etag.as_str()), conditions)?;
    if let Some(before) = &before {
        remove_version(tx, bucket_id, key, before).await?;
    }
    let version = Version {
        seq: tx.take_seq(),
        version_id: VersionId::null(),
        size_bytes: new.size_bytes,
        etag: new.etag.clone(),
        modified_us: tx.now_us(),
        storage_class: new.storage_class,
        parts_count: new.parts_count,
        content_id: new.content_id,
        meta: new.meta.clone(),
    };
    insert_version(tx, bucket_id, key, &version).await?;
    set_current(tx, bucket_id, key, &version).await?;
    let size_bytes = contents::to_i64(version.size_bytes);
    tx.change_usage(bucket_id, UsageDelta { object_count: 1, size_bytes, upload_size_bytes: 0 });
    Ok(version)
}

async fn insert_version(tx: &mut Tx, bucket_id: i64, key: &ObjectKey, version: &Version) -> Result<()> {
    tx.execute(
        "INSERT INTO versions (bucket_id, key, seq, version_id, kind, size_bytes, etag, modified_us, storage_class,
                               parts_count, content_id, meta)
         VALUES ($1, $2, $3, $4, 'object', $5, $6, $7, $8, $9, $10, $11)",
        values![
            bucket_id,
            key.as_bytes(),
            version.seq,
            version.version_id.as_str(),
            contents::to_i64(version.size_bytes),
            &version.etag,
            version.modified_us,
            version.storage_class.as_str(),
            version.parts_count,
            version.content_id.as_bytes(),
            version.meta.to_json()?,
        ],
    )
    .await?;
    Ok(())
}

async fn set_current(tx: &mut Tx, bucket_id: i64, key: &ObjectKey, version: &Version) -> Result<()> {
    tx.execute(
        "INSERT INTO current (bucket_id, key, seq, version_id, size_bytes, etag, modified_us, storage_class)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT (bucket_id, key) DO UPDATE SET
             seq = excluded.seq,
             version_id = excluded.version_id,
             size_bytes = excluded.size_bytes,
             etag = excluded.etag,
             modified_us = excluded.modified_us,
             storage_class = excluded.storage_class",
        values![
            bucket_id,
            key.as_bytes(),
            version.seq,
            version.version_id.as_str(),
            contents::to_i64(version.size_bytes),
            &version.etag,
            version.modified_us,
            version.storage_class.as_str(),
        ],
    )
    .await?;
    Ok(())
}

async fn remove_version(tx: &mut Tx, bucket_id: i64, key: &ObjectKey, version: &Version) -> Result<()> {
    tx.execute(
        "DELETE FROM versions WHERE bucket_id = $1 AND key = $2 AND seq = $3",
        values![bucket_id, key.as_bytes(), version.seq],
    )
    .await?;
    contents::release(tx, version.content_id).await?;
    let size_bytes = -contents::to_i64(version.size_bytes);
    tx.change_usage(bucket_id, UsageDelta { object_count: -1, size_bytes, upload_size_bytes: 0 });
    Ok(())
}

/// Deletes the current object of a bucket that keeps no versions, or the version named; none is no error.
pub(crate) async fn delete(
    tx: &mut Tx,
    bucket_id: i64,
    key: &ObjectKey,
    version_id: Option<&VersionId>,
    if_match: Option<&str>,
) -> Result<()> {
    let current = current(tx, bucket_id, key).await?;
    let conditions = WriteConditions { if_match: if_match.map(str::to_owned), if_none_match: None };
    check_conditions(current.as_ref().map(|version| version.etag.as_str()), &conditions)?;
    let Some(current) = current else { return Ok(()) };
    if version_id.is_some_and(|wanted| *wanted != current.version_id) {
        return Ok(());
    }
    remove_version(tx, bucket_id, key, &current).await?;
    tx.execute("DELETE FROM current WHERE bucket_id = $1 AND key = $2", values![bucket_id, key.as_bytes()]).await?;
    Ok(())
}

/// Deletes some versions of a bucket that is purged, whatever they are; returns how many.
pub(crate) async fn delete_some(tx: &mut Tx, bucket_id: i64, rows_max: i64) -> Result<usize> {
    let rows = tx
        .fetch_all(
            "SELECT key, seq, size_bytes, content_id FROM versions WHERE bucket_id = $1 ORDER BY key, seq LIMIT $2",
            values![bucket_id, rows_max],
        )
        .await?;
    for row in &rows {
        let (key, seq) = (row.blob("key")?, row.int("seq")?);
        let place = || values![bucket_id, key.as_slice(), seq];
        tx.execute("DELETE FROM versions WHERE bucket_id = $1 AND key = $2 AND seq = $3", place()).await?;
        tx.execute("DELETE FROM current WHERE bucket_id = $1 AND key = $2 AND seq = $3", place()).await?;
        if let Some(content_id) = row.opt_blob("content_id")? {
            contents::release(tx, ContentId::stored(&content_id)?).await?;
        }
    }
    Ok(rows.len())
}
