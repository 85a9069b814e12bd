//! SQL of object versions: making one, and reading the current one.

use super::tx::UsageDelta;
use super::{Row, Tx, contents, values, versions};
use crate::buckets::Versioning;
use crate::bytes::outflow::Source;
use crate::meta::Meta;
use crate::names::{ContentId, ObjectKey, VersionId};
use crate::objects::{StorageClass, WriteConditions};
use crate::version_ids::VersionIds;
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

/// A version that was made, and how the bucket keeps versions.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    pub(crate) version: Version,
    pub(crate) versioning: Versioning,
}

/// A delete marker as its row has it.
#[derive(Clone, Debug)]
pub(crate) struct Marker {
    pub(crate) seq: i64,
    pub(crate) version_id: VersionId,
    pub(crate) modified_us: i64,
}

/// One of the versions of a key.
#[derive(Clone, Debug)]
pub(crate) enum Entry {
    Object(Box<Version>),
    Marker(Marker),
}

impl Entry {
    pub(crate) fn seq(&self) -> i64 {
        match self {
            Self::Object(version) => version.seq,
            Self::Marker(marker) => marker.seq,
        }
    }

    pub(crate) fn version_id(&self) -> &VersionId {
        match self {
            Self::Object(version) => &version.version_id,
            Self::Marker(marker) => &marker.version_id,
        }
    }
}

impl TryFrom<&Row> for Entry {
    type Error = Error;

    fn try_from(row: &Row) -> Result<Self> {
        if is_marker(row)? {
            return Ok(Self::Marker(Marker {
                seq: row.int("seq")?,
                version_id: VersionId::stored(row.text("version_id")?),
                modified_us: row.int("modified_us")?,
            }));
        }
        Ok(Self::Object(Box::new(from_row(row)?)))
    }
}

/// Whether a row of `versions` is a delete marker.
pub(super) fn is_marker(row: &Row) -> Result<bool> {
    match row.text("kind")?.as_str() {
        "object" => Ok(false),
        "marker" => Ok(true),
        other => Err(Error::corrupt(format!("a version is of the unknown kind {other:?}"))),
    }
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
            None => return Err(Error::NoSuchKey { marker: None }),
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

/// Makes a version and makes it current. Where the bucket keeps no versions the one before is gone, and its content released; while
/// versioning is suspended the version `null` is.
pub(crate) async fn put(
    tx: &mut Tx,
    ids: &VersionIds,
    bucket_id: i64,
    key: &ObjectKey,
    new: &NewVersion,
    conditions: &WriteConditions,
) -> Result<Made> {
    let versioning = super::buckets::versioning(tx, bucket_id).await?;
    let is_conditional = *conditions != WriteConditions::default();
    if is_conditional || versioning == Versioning::Off {
        let before = current(tx, bucket_id, key).await?;
        check_conditions(before.as_ref().map(|version| version.etag.as_str()), conditions)?;
        if let (Some(before), Versioning::Off) = (before, versioning) {
            versions::remove(tx, bucket_id, key, &Entry::Object(Box::new(before))).await?;
        }
    }
    if versioning == Versioning::Suspended {
        versions::remove_null(tx, ids, bucket_id, key).await?;
    }
    let seq = tx.take_seq().await?;
    let version = Version {
        seq,
        version_id: versions::id_of(ids, versioning, seq),
        size_bytes: new.size_bytes,
        etag: new.etag.clone(),
        modified_us: tx.now_us(),
        storage_class: new.storage_class,
        parts_count: new.parts_count,
        content_id: new.content_id,
        meta: new.meta.clone(),
    };
    insert_version(tx, bucket_id, key, &version).await?;
    versions::show(tx, bucket_id, key, &version).await?;
    let size_bytes = contents::to_i64(version.size_bytes);
    tx.change_usage(bucket_id, UsageDelta { object_count: 1, size_bytes, upload_size_bytes: 0 });
    Ok(Made { version, versioning })
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
