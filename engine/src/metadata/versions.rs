//! SQL of the history of a key: which versions and delete markers there are, and what becomes current when one of them goes.
//!
//! The table `current` has a row for a key exactly if the newest of its versions is an object.

use super::contents;
use super::many::{Many, Part, execute_many};
use super::objects::{self, Entry, Marker, Version};
use super::scan::go_on;
use super::tx::UsageDelta;
use super::{Tx, Value, values};
use crate::buckets::Versioning;
use crate::journal::{How, Note};
use crate::meta::Meta;
use crate::names::{ContentId, ObjectKey, VersionId};
use crate::objects::{Deleted, StorageClass, WriteConditions};
use crate::version_ids::VersionIds;
use crate::{Error, Result, lock};

/// The columns that [`Entry`] is made of.
macro_rules! select_entries {
    ($rest:literal) => {
        concat!(
            "SELECT bucket_id, key, seq, version_id, kind, size_bytes, etag, modified_us, storage_class, parts_count, content_id, meta
             FROM versions WHERE bucket_id = $1 AND key = $2 ",
            $rest
        )
    };
}

/// The newest version or marker of a key.
pub(crate) async fn latest(tx: &mut Tx, bucket_id: i64, key: &ObjectKey) -> Result<Option<Entry>> {
    let row =
        tx.fetch_optional(select_entries!("ORDER BY seq DESC LIMIT 1"), values![bucket_id, key.as_bytes()]).await?;
    row.as_ref().map(|row| Entry::from_row(row, (bucket_id, key))).transpose()
}

/// Reads the newest version of a key at which nothing is current, before an object is stored there.
///
/// On PostgreSQL a deletion that runs at the same time only adds a marker then. It reads that nothing is current, which the object changes;
/// when the object's transaction reads no versions, nothing that it reads is changed by the deletion, both commit, and their numbers may
/// have the other order. Now each reads what the other writes, so that one is run again. SQLite has one writer.
pub(super) async fn note_newest(tx: &mut Tx, bucket_id: i64, key: &ObjectKey) -> Result<()> {
    if !tx.is_embedded() {
        latest(tx, bucket_id, key).await?;
    }
    Ok(())
}

/// The object version of a number.
pub(crate) async fn by_seq(tx: &mut Tx, bucket_id: i64, key: &ObjectKey, seq: i64) -> Result<Option<Version>> {
    let row = tx.fetch_optional(select_entries!("AND seq = $3"), values![bucket_id, key.as_bytes(), seq]).await?;
    match row.as_ref().map(|row| Entry::from_row(row, (bucket_id, key))).transpose()? {
        Some(Entry::Object(version)) => Ok(Some(*version)),
        Some(Entry::Marker(_)) | None => Ok(None),
    }
}

/// The version or marker of an id. A made id tells its place; the version `null` is mostly the newest or the oldest one.
pub(crate) async fn by_id(
    tx: &mut Tx,
    ids: &VersionIds,
    bucket_id: i64,
    key: &ObjectKey,
    id: &VersionId,
) -> Result<Option<Entry>> {
    let guess = match ids.seq_of(id) {
        None => latest(tx, bucket_id, key).await?,
        Some(seq) => {
            let row =
                tx.fetch_optional(select_entries!("AND seq = $3"), values![bucket_id, key.as_bytes(), seq]).await?;
            row.as_ref().map(|row| Entry::from_row(row, (bucket_id, key))).transpose()?
        }
    };
    if guess.as_ref().is_some_and(|entry| entry.version_id() == id) {
        return Ok(guess);
    }
    let row = tx
        .fetch_optional(
            select_entries!("AND version_id = $3 ORDER BY seq LIMIT 1"),
            values![bucket_id, key.as_bytes(), id.as_str()],
        )
        .await?;
    row.as_ref().map(|row| Entry::from_row(row, (bucket_id, key))).transpose()
}

/// Deletes an object as the bucket's versioning has it; none is no error.
pub(crate) async fn delete(
    tx: &mut Tx,
    ids: &VersionIds,
    bucket_id: i64,
    key: &ObjectKey,
    if_match: Option<&str>,
) -> Result<Deleted> {
    let versioning = super::buckets::versioning(tx, bucket_id).await?;
    must_match(tx, bucket_id, key, if_match).await?;
    delete_current(tx, ids, bucket_id, key, versioning).await
}

/// Deletes a version for good; none is no error. [`Error::ObjectLocked`].
pub(crate) async fn delete_version(
    tx: &mut Tx,
    ids: &VersionIds,
    bucket_id: i64,
    key: &ObjectKey,
    version_id: &VersionId,
    if_match: Option<&str>,
    bypass: bool,
) -> Result<Deleted> {
    super::buckets::must_exist(tx, bucket_id).await?;
    must_match(tx, bucket_id, key, if_match).await?;
    let mut deleted = Deleted { version_id: Some(version_id.clone()), ..Deleted::default() };
    if let Some(entry) = by_id(tx, ids, bucket_id, key, version_id).await? {
        if let Entry::Object(version) = &entry {
            lock::refuse_locked(&version.meta, tx.now_us(), bypass)?;
        }
        remove(tx, bucket_id, key, &entry).await?;
        uncover(tx, bucket_id, key, entry.seq()).await?;
        deleted.marker = matches!(entry, Entry::Marker(_)).then(|| version_id.clone());
    }
    Ok(deleted)
}

/// Removes the version or marker of a number for good, unless it is locked; returns whether it went.
pub(crate) async fn remove_seq(tx: &mut Tx, bucket_id: i64, key: &ObjectKey, seq: i64) -> Result<bool> {
    let row = tx.fetch_optional(select_entries!("AND seq = $3"), values![bucket_id, key.as_bytes(), seq]).await?;
    let Some(entry) = row.as_ref().map(|row| Entry::from_row(row, (bucket_id, key))).transpose()? else {
        return Ok(false);
    };
    if let Entry::Object(version) = &entry
        && lock::kept_until_us(&version.meta, tx.now_us()).is_some()
    {
        return Ok(false);
    }
    remove(tx, bucket_id, key, &entry).await?;
    uncover(tx, bucket_id, key, seq).await?;
    Ok(true)
}

/// Refuses a deletion whose condition does not hold for what is current.
async fn must_match(tx: &mut Tx, bucket_id: i64, key: &ObjectKey, if_match: Option<&str>) -> Result<()> {
    let Some(wanted) = if_match else { return Ok(()) };
    let current = objects::current(tx, bucket_id, key).await?;
    let conditions = WriteConditions { if_match: Some(wanted.to_owned()), if_none_match: None };
    objects::check_conditions(current.as_ref().map(|version| version.etag.as_str()), &conditions)
}

async fn delete_current(
    tx: &mut Tx,
    ids: &VersionIds,
    bucket_id: i64,
    key: &ObjectKey,
    versioning: Versioning,
) -> Result<Deleted> {
    match versioning {
        Versioning::Off => {
            if let Some(current) = objects::current(tx, bucket_id, key).await? {
                remove(tx, bucket_id, key, &Entry::Object(Box::new(current))).await?;
                hide(tx, bucket_id, key).await?;
            }
            return Ok(Deleted::default());
        }
        Versioning::Enabled => {}
        Versioning::Suspended => remove_null(tx, ids, bucket_id, key).await?,
    }
    let seq = tx.take_seq().await?;
    let version_id = id_of(ids, versioning, seq);
    insert_marker(tx, bucket_id, key, &Marker { seq, version_id: version_id.clone(), modified_us: tx.now_us() })
        .await?;
    hide(tx, bucket_id, key).await?;
    Ok(Deleted { marker: Some(version_id), ..Deleted::default() })
}

/// The id of a new version or marker.
pub(super) fn id_of(ids: &VersionIds, versioning: Versioning, seq: i64) -> VersionId {
    match versioning {
        Versioning::Off | Versioning::Suspended => VersionId::null(),
        Versioning::Enabled => ids.make(seq),
    }
}

/// The bytes of the version `null`, where there is one.
pub(crate) async fn size_of_null(
    tx: &mut Tx,
    ids: &VersionIds,
    bucket_id: i64,
    key: &ObjectKey,
) -> Result<Option<u64>> {
    match by_id(tx, ids, bucket_id, key, &VersionId::null()).await? {
        Some(Entry::Object(version)) => Ok(Some(version.size_bytes)),
        Some(Entry::Marker(_)) | None => Ok(None),
    }
}

/// Removes the version `null`, which is about to be replaced; the caller decides what is current.
pub(super) async fn remove_null(tx: &mut Tx, ids: &VersionIds, bucket_id: i64, key: &ObjectKey) -> Result<()> {
    match by_id(tx, ids, bucket_id, key, &VersionId::null()).await? {
        Some(null) => remove(tx, bucket_id, key, &null).await,
        None => Ok(()),
    }
}

/// Removes a version or marker and releases what it refers to; what is current is not touched.
pub(super) async fn remove(tx: &mut Tx, bucket_id: i64, key: &ObjectKey, entry: &Entry) -> Result<()> {
    execute_many(tx, &REMOVE, vec![values![bucket_id, key.as_bytes(), entry.seq()]]).await?;
    tx.note(Note::removed(bucket_id, key.as_bytes(), entry.seq()));
    if let Entry::Object(version) = entry {
        contents::release(tx, version.content_id).await?;
        let size_bytes = -contents::to_i64(version.size_bytes);
        tx.change_usage(bucket_id, UsageDelta { object_count: -1, size_bytes, upload_size_bytes: 0 });
    }
    Ok(())
}

/// After the version of a number is gone: when it was the newest, the one before it is.
async fn uncover(tx: &mut Tx, bucket_id: i64, key: &ObjectKey, gone_seq: i64) -> Result<()> {
    match latest(tx, bucket_id, key).await? {
        Some(newer) if newer.seq() > gone_seq => Ok(()),
        Some(Entry::Object(version)) => show(tx, bucket_id, key, &version).await,
        Some(Entry::Marker(_)) | None => hide(tx, bucket_id, key).await,
    }
}

/// Makes a version the current one.
pub(super) async fn show(tx: &mut Tx, bucket_id: i64, key: &ObjectKey, version: &Version) -> Result<()> {
    let mut values = objects::values_of(bucket_id, key, version)?;
    values.truncate(8);
    execute_many(tx, &objects::SHOW_AGAIN, vec![values]).await.map(|_| ())
}

/// Changes what is kept with a version that is there.
pub(crate) async fn set_meta(tx: &mut Tx, bucket_id: i64, key: &ObjectKey, version: &Version) -> Result<()> {
    tx.execute(
        "UPDATE versions SET meta = $4 WHERE bucket_id = $1 AND key = $2 AND seq = $3",
        values![bucket_id, key.as_bytes(), version.seq, version.meta.to_json()?],
    )
    .await?;
    let name = format!("{key} (version {})", version.version_id);
    tx.note(Note::in_bucket(How::Changed, "tags, lock or permissions of an object", bucket_id, name));
    Ok(())
}

/// Leaves a key without a current version.
async fn hide(tx: &mut Tx, bucket_id: i64, key: &ObjectKey) -> Result<()> {
    execute_many(tx, &HIDE, vec![values![bucket_id, key.as_bytes()]]).await.map(|_| ())
}

async fn insert_marker(tx: &mut Tx, bucket_id: i64, key: &ObjectKey, marker: &Marker) -> Result<()> {
    execute_many(tx, &MARK, vec![values_of_marker(bucket_id, key, marker)]).await?;
    tx.note(note_of_marker(bucket_id, key, marker));
    Ok(())
}

/// What the journal says of a new marker.
pub(super) fn note_of_marker(bucket_id: i64, key: &ObjectKey, marker: &Marker) -> Note {
    let (key, version) = (key.as_str().to_owned(), marker.version_id.as_str().to_owned());
    Note::Marked { bucket: bucket_id, key, seq: marker.seq, version }
}

// SQLite looks up each term of an OR by itself; over a list of tuples it would scan the table.

/// Removes versions and markers by bucket, key and number.
pub(super) static REMOVE: Many = Many::new(
    3,
    &[Part {
        before: "DELETE FROM versions WHERE ",
        row: "(bucket_id = $1 AND key = $2 AND seq = $3)",
        between: " OR ",
        after: "",
    }],
);

/// Leaves keys, by bucket and key, without a current version.
pub(super) static HIDE: Many = Many::new(
    2,
    &[Part { before: "DELETE FROM current WHERE ", row: "(bucket_id = $1 AND key = $2)", between: " OR ", after: "" }],
);

/// Inserts delete markers; the values of each are those of [`values_of_marker`].
pub(super) static MARK: Many = Many::new(
    6,
    &[Part {
        before:
            "INSERT INTO versions (bucket_id, key, seq, version_id, kind, size_bytes, etag, modified_us, storage_class,
                                       meta) VALUES ",
        row: "($1, $2, $3, $4, 'marker', 0, '', $5, $6, '{}')",
        between: ", ",
        after: "",
    }],
);

pub(super) fn values_of_marker(bucket_id: i64, key: &ObjectKey, marker: &Marker) -> Vec<Value> {
    values![
        bucket_id,
        key.as_bytes(),
        marker.seq,
        marker.version_id.as_str(),
        marker.modified_us,
        StorageClass::default().as_str(),
    ]
}

/// How far the versions of a bucket that is purged were gone through.
#[derive(Clone, Debug, Default)]
pub(crate) struct Passed {
    /// Key and number of the last one.
    last: Option<(Vec<u8>, i64)>,
    /// When the first of those that were left because they are locked may go.
    pub(crate) kept_until_us: Option<i64>,
}

/// Deletes some versions of a bucket that is purged, but for those that are locked; returns whether there were any left to look at.
pub(crate) async fn delete_some(tx: &mut Tx, bucket_id: i64, passed: &mut Passed, rows_max: i64) -> Result<bool> {
    let (key, seq) = passed.last.clone().unwrap_or((Vec::new(), -1));
    let rows = tx
        .fetch_all(
            "SELECT key, seq, size_bytes, content_id, meta FROM versions
             WHERE bucket_id = $1 AND (key, seq) > ($2, $3) ORDER BY key, seq LIMIT $4",
            values![bucket_id, key.as_slice(), seq, rows_max],
        )
        .await?;
    for row in &rows {
        let (key, seq) = (row.blob("key")?, row.int("seq")?);
        go_on(&mut passed.last, Some((key.clone(), seq)))?;
        if let Some(until_us) = lock::kept_until_us(&Meta::from_json(&row.text("meta")?)?, tx.now_us()) {
            passed.kept_until_us = Some(passed.kept_until_us.map_or(until_us, |before| before.min(until_us)));
            continue;
        }
        let place = || values![bucket_id, key.as_slice(), seq];
        tx.execute("DELETE FROM versions WHERE bucket_id = $1 AND key = $2 AND seq = $3", place()).await?;
        tx.note(Note::removed(bucket_id, &key, seq));
        tx.execute("DELETE FROM current WHERE bucket_id = $1 AND key = $2 AND seq = $3", place()).await?;
        if let Some(content_id) = row.opt_blob("content_id")? {
            contents::release(tx, ContentId::stored(&content_id)?).await?;
            let size_bytes = -row.int("size_bytes")?;
            tx.change_usage(bucket_id, UsageDelta { object_count: -1, size_bytes, upload_size_bytes: 0 });
        }
    }
    Ok(!rows.is_empty())
}

/// The version that a read asks for. [`Error::NoSuchKey`], [`Error::NoSuchVersion`], [`Error::IsDeleteMarker`].
pub(crate) async fn find(
    tx: &mut Tx,
    ids: &VersionIds,
    bucket_id: i64,
    key: &ObjectKey,
    version_id: Option<&VersionId>,
) -> Result<Version> {
    let Some(version_id) = version_id else {
        if let Some(version) = objects::current(tx, bucket_id, key).await? {
            return Ok(version);
        }
        // What is newest although nothing is current is a marker.
        let marker = latest(tx, bucket_id, key).await?.map(|entry| entry.version_id().clone());
        return Err(Error::NoSuchKey { marker });
    };
    match by_id(tx, ids, bucket_id, key, version_id).await? {
        None => Err(Error::NoSuchVersion),
        Some(Entry::Object(version)) => Ok(*version),
        Some(Entry::Marker(Marker { version_id, modified_us, .. })) => {
            Err(Error::IsDeleteMarker { version_id, modified_us })
        }
    }
}
