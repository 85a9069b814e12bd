//! SQL of buckets.

use super::{Row, Tx, values};
use crate::buckets::{Bucket, Durability, Versioning};
use crate::journal::{How, Note};
use crate::names::{BucketName, CanonicalId};
use crate::usage::Usage;
use crate::{Error, Result};

/// The name space that all buckets of S3 share.
pub(super) const GLOBAL: i64 = 0;
/// What the journal calls a bucket.
pub(crate) const BUCKET: &str = "bucket";

/// A bucket that has the name, visible or in the trash.
pub(crate) struct Named {
    pub(crate) bucket: Bucket,
    pub(crate) trashed: bool,
}

pub(super) fn from_row(row: &Row) -> Result<Bucket> {
    Ok(Bucket {
        id: row.int("id")?,
        name: BucketName::stored(row.text("name")?),
        owner: CanonicalId::stored(row.text("owner_ref")?),
        created_us: row.int("created_us")?,
        versioning: versioning_of(&row.text("versioning")?)?,
        durability: durability_of(&row.text("durability")?)?,
        usage: Usage::default(),
    })
}

pub(super) fn versioning_of(text: &str) -> Result<Versioning> {
    [Versioning::Off, Versioning::Enabled, Versioning::Suspended]
        .into_iter()
        .find(|versioning| stored_versioning(*versioning) == text)
        .ok_or_else(|| Error::corrupt(format!("a bucket has the unknown versioning {text:?}")))
}

fn stored_versioning(versioning: Versioning) -> &'static str {
    match versioning {
        Versioning::Off => "off",
        Versioning::Enabled => "enabled",
        Versioning::Suspended => "suspended",
    }
}

pub(super) fn durability_of(text: &str) -> Result<Durability> {
    [Durability::Strict, Durability::Relaxed]
        .into_iter()
        .find(|durability| stored_durability(*durability) == text)
        .ok_or_else(|| Error::corrupt(format!("a bucket has the unknown durability {text:?}")))
}

fn stored_durability(durability: Durability) -> &'static str {
    match durability {
        Durability::Strict => "strict",
        Durability::Relaxed => "relaxed",
    }
}

pub(crate) async fn by_name(tx: &mut Tx, name: &BucketName) -> Result<Option<Named>> {
    let row = tx
        .fetch_optional(
            "SELECT id, name, owner_ref, created_us, versioning, durability, trashed FROM buckets
             WHERE namespace_id = $1 AND name = $2",
            values![GLOBAL, name.as_str()],
        )
        .await?;
    row.map(|row| Ok(Named { bucket: from_row(&row)?, trashed: row.flag("trashed")? })).transpose()
}

/// The visible buckets of an owner by name, with their usage.
pub(crate) async fn of_owner(tx: &mut Tx, owner: &CanonicalId) -> Result<Vec<Bucket>> {
    let rows = super::usage::of_owner(tx, owner).await?;
    rows.into_iter().map(|(row, usage)| Ok(Bucket { usage, ..from_row(&row)? })).collect()
}

/// The numbers of all buckets of an owner, also those in the trash.
pub(crate) async fn ids_of_owner(tx: &mut Tx, owner: &CanonicalId) -> Result<Vec<i64>> {
    let rows = tx.fetch_all("SELECT id FROM buckets WHERE owner_ref = $1", values![owner.as_str()]).await?;
    rows.iter().map(|row| row.int("id")).collect()
}

pub(crate) async fn count_of_owner(tx: &mut Tx, owner: &CanonicalId) -> Result<u64> {
    tx.fetch_one("SELECT COUNT(*) AS count FROM buckets WHERE owner_ref = $1", values![owner.as_str()])
        .await?
        .size("count")
}

pub(crate) async fn insert(tx: &mut Tx, owner: &CanonicalId, name: &BucketName, versioning: Versioning) -> Result<i64> {
    let now_us = tx.now_us();
    let inserted = tx.insert_returning_id(
        "INSERT INTO buckets (namespace_id, name, owner_ref, created_us, versioning)
         VALUES ($1, $2, $3, $4, $5) RETURNING id",
        values![GLOBAL, name.as_str(), owner.as_str(), now_us, stored_versioning(versioning)],
    );
    let id = inserted.await?;
    tx.note(Note::in_bucket(How::Made, BUCKET, id, name.as_str()));
    Ok(id)
}

/// How a bucket that was found before keeps versions; [`Error::NoSuchBucket`] when it is gone meanwhile.
pub(crate) async fn versioning(tx: &mut Tx, id: i64) -> Result<Versioning> {
    let row = tx.fetch_optional("SELECT versioning FROM buckets WHERE id = $1 AND trashed = 0", values![id]).await?;
    versioning_of(&row.ok_or(Error::NoSuchBucket)?.text("versioning")?)
}

/// Changes how a bucket keeps versions, from the next write on.
pub(crate) async fn set_versioning(tx: &mut Tx, id: i64, versioning: Versioning) -> Result<()> {
    tx.execute("UPDATE buckets SET versioning = $2 WHERE id = $1", values![id, stored_versioning(versioning)]).await?;
    tx.note(Note::in_bucket(How::Changed, "setting of a bucket", id, "versioning"));
    Ok(())
}

/// Changes when writes to a bucket are answered, from the next one on.
pub(crate) async fn set_durability(tx: &mut Tx, id: i64, durability: Durability) -> Result<()> {
    tx.execute("UPDATE buckets SET durability = $2 WHERE id = $1", values![id, stored_durability(durability)]).await?;
    tx.note(Note::in_bucket(How::Changed, "setting of a bucket", id, "durability"));
    Ok(())
}

/// Makes sure, inside the writing transaction, that a bucket that was found before is still there.
pub(crate) async fn must_exist(tx: &mut Tx, id: i64) -> Result<()> {
    let row = tx.fetch_optional("SELECT 1 AS one FROM buckets WHERE id = $1 AND trashed = 0", values![id]).await?;
    row.map(|_| ()).ok_or(Error::NoSuchBucket)
}

/// The same, before something is stored there.
pub(super) async fn must_take(tx: &mut Tx, id: i64) -> Result<()> {
    let row = tx
        .fetch_optional(
            "SELECT q.value AS quota FROM buckets b
             LEFT JOIN bucket_settings q ON q.bucket_id = b.id AND q.kind = 'quota'
             WHERE b.id = $1 AND b.trashed = 0",
            values![id],
        )
        .await?
        .ok_or(Error::NoSuchBucket)?;
    super::quota::note(tx, id, row.opt_text("quota")?.as_deref())
}

pub(crate) async fn is_empty(tx: &mut Tx, id: i64) -> Result<bool> {
    let row = tx.fetch_optional("SELECT 1 AS one FROM versions WHERE bucket_id = $1 LIMIT 1", values![id]).await?;
    Ok(row.is_none())
}

/// Removes an empty bucket, what was set on it, and its usage.
pub(crate) async fn remove(tx: &mut Tx, id: i64) -> Result<()> {
    let sql = "DELETE FROM buckets WHERE id = $1 RETURNING name";
    if let Some(row) = tx.fetch_optional(sql, values![id]).await? {
        tx.note(Note::in_bucket(How::Deleted, BUCKET, id, row.text("name")?));
    }
    super::settings::forget(tx, id).await?;
    super::usage::forget(tx, id).await
}
