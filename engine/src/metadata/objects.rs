//! SQL of object versions: making one, and reading the current one.

use super::contents::NewContent;
use super::many::{Many, Part, execute_many, fetch_many};
use super::tx::UsageDelta;
use super::{Row, Tx, Value, contents, values, versions};
use crate::buckets::Versioning;
use crate::bytes::outflow::Source;
use crate::journal::Note;
use crate::meta::Meta;
use crate::names::{BlobId, ContentId, ObjectKey, VersionId};
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

/// The content of a version that is made.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Given<'a> {
    /// It is new.
    New(&'a NewContent),
    /// It is there.
    There {
        /// The blob that has all of its bytes, when one has.
        blob: Option<BlobId>,
    },
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

impl NewVersion {
    /// The version that is made of it.
    pub(super) fn into_version(self, seq: i64, version_id: VersionId, modified_us: i64) -> Version {
        let Self { size_bytes, etag, storage_class, parts_count, content_id, meta } = self;
        Version { seq, version_id, size_bytes, etag, modified_us, storage_class, parts_count, content_id, meta }
    }
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

impl Entry {
    /// The version or marker of a row that was asked for by bucket and key.
    pub(super) fn from_row(row: &Row, (bucket_id, key): (i64, &ObjectKey)) -> Result<Self> {
        if is_marker(row)? {
            confirm_place(row, bucket_id, key)?;
            return Ok(Self::Marker(Marker {
                seq: row.int("seq")?,
                version_id: VersionId::stored(row.text("version_id")?),
                modified_us: row.int("modified_us")?,
            }));
        }
        Ok(Self::Object(Box::new(from_row(row, (bucket_id, key))?)))
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

/// Refuses a row of another object than was asked for. In an index that is out of order, SQLite takes the neighbour of what it looks for:
/// of a range, it compares one end only.
pub(super) fn confirm_place(row: &Row, bucket_id: i64, key: &ObjectKey) -> Result<()> {
    match row.int("bucket_id")? == bucket_id && row.blob("key")? == key.as_bytes() {
        true => Ok(()),
        false => Err(Error::corrupt("the table of versions is out of order")),
    }
}

fn from_row(row: &Row, (bucket_id, key): (i64, &ObjectKey)) -> Result<Version> {
    confirm_place(row, bucket_id, key)?;
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

/// The columns that [`Version`] is made of, of the table called `v`.
macro_rules! version_columns {
    () => {
        "v.bucket_id, v.key, v.seq, v.version_id, v.size_bytes, v.etag, v.modified_us, v.storage_class, v.parts_count, v.content_id, v.meta"
    };
}

/// Inserts versions; the values of each are those of [`values_of`].
const INSERT: Part = Part {
    before: "INSERT INTO versions (bucket_id, key, seq, version_id, size_bytes, etag, modified_us, storage_class,
                                   parts_count, meta, content_id, kind) VALUES ",
    row: "($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
    between: ", ",
    after: "",
};

/// Makes versions the current ones; the values of each are the first eight of [`values_of`].
const SHOW: Part = Part {
    before: "INSERT INTO current (bucket_id, key, seq, version_id, size_bytes, etag, modified_us, storage_class) VALUES ",
    row: "($1, $2, $3, $4, $5, $6, $7, $8)",
    between: ", ",
    after: "
        ON CONFLICT (bucket_id, key) DO UPDATE SET
            seq = excluded.seq,
            version_id = excluded.version_id,
            size_bytes = excluded.size_bytes,
            etag = excluded.etag,
            modified_us = excluded.modified_us,
            storage_class = excluded.storage_class",
};

/// Inserts contents of one version each; their values follow those of [`values_of`].
const INSERT_CONTENT: Part = Part {
    before: "INSERT INTO contents (id, refs, size_bytes, crc64nvme, blob_id, data) VALUES ",
    row: "($11, 1, $5, $13, $14, $15)",
    between: ", ",
    after: "",
};

/// Makes versions of content that is there, and makes them current.
static STORE_SHARED: Many = Many::new(12, &[INSERT, SHOW]);
/// Makes versions with content of their own, and makes them current.
pub(super) static STORE: Many = Many::new(15, &[INSERT, SHOW, INSERT_CONTENT]);
/// Makes versions that are there current.
pub(super) static SHOW_AGAIN: Many = Many::new(8, &[SHOW]);

/// The current version of an object.
pub(crate) async fn current(tx: &mut Tx, bucket_id: i64, key: &ObjectKey) -> Result<Option<Version>> {
    let row = tx
        .fetch_optional(
            concat!(
                "SELECT ",
                version_columns!(),
                " FROM current c
                  JOIN versions v ON v.bucket_id = c.bucket_id AND v.key = c.key AND v.seq = c.seq
                  WHERE c.bucket_id = $1 AND c.key = $2"
            ),
            values![bucket_id, key.as_bytes()],
        )
        .await?;
    row.as_ref().map(|row| from_row(row, (bucket_id, key))).transpose()
}

/// Where the bytes of a version are; `None` when they are in pieces.
pub(crate) async fn source(tx: &mut Tx, version: &Version) -> Result<Option<Source>> {
    let row = tx
        .fetch_optional(
            "SELECT id AS content_row, blob_id, data, size_bytes, crc64nvme FROM contents WHERE id = $1",
            values![version.content_id.as_bytes()],
        )
        .await?
        .ok_or_else(|| Error::corrupt("an object version refers to content that is not there"))?;
    checked_source(&row, version, row.opt_int("size_bytes")?)
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

/// Makes a version and makes it current, with its content when that is new. Where the bucket keeps no versions the one before is gone, and its content released; while
/// versioning is suspended the version `null` is.
pub(crate) async fn put(
    tx: &mut Tx,
    ids: &VersionIds,
    bucket_id: i64,
    key: &ObjectKey,
    new: &NewVersion,
    content: Given<'_>,
    conditions: &WriteConditions,
) -> Result<Made> {
    let (versioning, before) = bucket_and_current(tx, bucket_id, key).await?;
    check_conditions(before.as_ref().map(|version| version.etag.as_str()), conditions)?;
    if before.is_none() {
        versions::note_newest(tx, bucket_id, key).await?;
    }
    if let (Some(before), Versioning::Off) = (before, versioning) {
        versions::remove(tx, bucket_id, key, &Entry::Object(Box::new(before))).await?;
    }
    if versioning == Versioning::Suspended {
        versions::remove_null(tx, ids, bucket_id, key).await?;
    }
    let seq = tx.take_seq().await?;
    let version = new.clone().into_version(seq, versions::id_of(ids, versioning, seq), tx.now_us());
    insert(tx, bucket_id, key, &version, content).await?;
    let size_bytes = contents::to_i64(version.size_bytes);
    tx.change_usage(bucket_id, UsageDelta { object_count: 1, size_bytes, upload_size_bytes: 0 });
    Ok(Made { version, versioning })
}

/// How a bucket that was found before keeps versions, and the current version of a key in it. [`Error::NoSuchBucket`].
async fn bucket_and_current(tx: &mut Tx, bucket_id: i64, key: &ObjectKey) -> Result<(Versioning, Option<Version>)> {
    let row = tx
        .fetch_optional(
            concat!(
                "SELECT b.versioning, q.value AS quota, ",
                version_columns!(),
                " FROM buckets b
                  LEFT JOIN bucket_settings q ON q.bucket_id = b.id AND q.kind = 'quota'
                  LEFT JOIN current c ON c.bucket_id = b.id AND c.key = $2
                  LEFT JOIN versions v ON v.bucket_id = c.bucket_id AND v.key = c.key AND v.seq = c.seq
                  WHERE b.id = $1 AND b.trashed = 0"
            ),
            values![bucket_id, key.as_bytes()],
        )
        .await?
        .ok_or(Error::NoSuchBucket)?;
    super::quota::note(tx, bucket_id, row.opt_text("quota")?.as_deref())?;
    let versioning = super::buckets::versioning_of(&row.text("versioning")?)?;
    Ok((versioning, joined_version(&row, (bucket_id, key))?))
}

/// The version of a row in which there may be none.
fn joined_version(row: &Row, place: (i64, &ObjectKey)) -> Result<Option<Version>> {
    match row.opt_int("seq")? {
        Some(_) => from_row(row, place).map(Some),
        None => Ok(None),
    }
}

/// A key of a bucket that is looked up.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) bucket_id: i64,
    pub(crate) key: ObjectKey,
}

/// A current version with where its bytes are, or `None` there when they are in pieces.
pub(crate) type Located = (Version, Option<Source>);

/// The current version at each of some places, with its content.
static LOCATE: Many = Many::new(
    3,
    &[Part {
        before: "WITH wanted (place, bucket_id, key) AS (VALUES ",
        row: "($1, $2, $3)",
        between: ", ",
        after: concat!(
            ")
            SELECT w.place, o.id AS content_row, o.blob_id, o.data, o.crc64nvme, o.size_bytes AS content_size_bytes, ",
            version_columns!(),
            " FROM wanted w
            LEFT JOIN current c ON c.bucket_id = w.bucket_id AND c.key = w.key
            LEFT JOIN versions v ON v.bucket_id = c.bucket_id AND v.key = c.key AND v.seq = c.seq
            LEFT JOIN contents o ON o.id = v.content_id"
        ),
    }],
);

/// The rows of the current versions at some places, in their order, from as few statements as for one.
pub(super) async fn locate(tx: &mut Tx, places: &[Place]) -> Result<Vec<Row>> {
    let mut rows: Vec<Option<Row>> = places.iter().map(|_| None).collect();
    let wanted = (0_i64..).zip(places).map(|(at, place)| values![at, place.bucket_id, place.key.as_bytes()]).collect();
    for row in fetch_many(tx, &LOCATE, wanted).await? {
        let at = usize::try_from(row.int("place")?).unwrap_or(usize::MAX);
        if let Some(found) = rows.get_mut(at) {
            *found = Some(row);
        }
    }
    rows.into_iter().map(|row| row.ok_or(Error::Internal("a look-up lost a key"))).collect()
}

/// What a row of [`locate`] has. `None` when there is no such object.
pub(super) fn located(row: &Row, place: &Place) -> Result<Option<Located>> {
    let Some(version) = joined_version(row, (place.bucket_id, &place.key))? else { return Ok(None) };
    let source = checked_source(row, &version, row.opt_int("content_size_bytes")?)?;
    Ok(Some((version, source)))
}

/// Where the bytes of a version are, of a row that has its content. The size stands in both rows: one that is damaged must not cut an
/// answer short.
fn checked_source(row: &Row, version: &Version, content_size_bytes: Option<i64>) -> Result<Option<Source>> {
    match content_size_bytes {
        None => Err(Error::corrupt("an object version refers to content that is not there")),
        Some(size_bytes) if size_bytes != contents::to_i64(version.size_bytes) => {
            Err(Error::corrupt("an object version and its content have different sizes"))
        }
        // An index that is damaged may lead to other content.
        Some(_) if row.blob("content_row")? != version.content_id.as_bytes() => {
            Err(Error::corrupt("the index of contents leads to other content"))
        }
        Some(_) => contents::source_of(row),
    }
}

/// The values of a version's row; the first eight are those of the current version, too.
pub(super) fn values_of(bucket_id: i64, key: &ObjectKey, version: &Version) -> Result<Vec<Value>> {
    Ok(values![
        bucket_id,
        key.as_bytes(),
        version.seq,
        version.version_id.as_str(),
        contents::to_i64(version.size_bytes),
        &version.etag,
        version.modified_us,
        version.storage_class.as_str(),
        version.parts_count,
        version.meta.to_json()?,
        version.content_id.as_bytes(),
        "object",
    ])
}

async fn insert(tx: &mut Tx, bucket_id: i64, key: &ObjectKey, version: &Version, content: Given<'_>) -> Result<()> {
    let mut values = values_of(bucket_id, key, version)?;
    let (statement, blob) = match content {
        Given::New(content) => {
            values.extend(contents::values_of(content));
            (&STORE, content.place.blob().copied())
        }
        Given::There { blob } => (&STORE_SHARED, blob),
    };
    execute_many(tx, statement, vec![values]).await?;
    tx.note(note_of(bucket_id, key, version, blob));
    Ok(())
}

/// What the journal says of a new version.
pub(super) fn note_of(bucket_id: i64, key: &ObjectKey, version: &Version, blob: Option<BlobId>) -> Note {
    Note::Stored {
        bucket: bucket_id,
        key: key.as_str().to_owned(),
        seq: version.seq,
        version: version.version_id.as_str().to_owned(),
        size_bytes: version.size_bytes,
        blob: blob.map(|id| id.to_string()),
    }
}
