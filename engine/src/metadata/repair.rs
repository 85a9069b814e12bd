//! SQL that sets right what the check found. Nothing here drops bytes: versions whose bytes are gone move to a table of their own.

use super::check::VersionPlace;
use super::tx::UsageDelta;
use super::{Tx, values};
use crate::bytes::outflow::Source;
use crate::names::{BlobId, ContentId};
use crate::{Error, Result};

/// One change of the database that sets a finding right.
#[derive(Clone, Debug)]
pub(crate) enum RowFix {
    /// Names the latest version of a key as the current one, or none.
    SetCurrent { bucket_id: i64, key: Vec<u8> },
    /// Corrects how often content is shared. A difference stays true while others' changes go on; a number would not.
    AddRefs { content: ContentId, by: i64 },
    /// Corrects what a bucket is said to hold, likewise by the difference.
    AddUsage { bucket_id: i64, by: UsageDelta },
    /// A blob that is in use is not garbage.
    KeepBlob(BlobId),
    /// Puts a version aside.
    Lose(VersionPlace),
    /// Brings a version back that was put aside.
    Return(VersionPlace),
    /// Drops content that no version refers to; its bytes were put aside before.
    DropContent(ContentId),
}

impl RowFix {
    /// Makes the change; `false` when there was nothing to change any more.
    pub(crate) async fn apply(&self, tx: &mut Tx) -> Result<bool> {
        match self {
            Self::SetCurrent { bucket_id, key } => set_current(tx, *bucket_id, key).await.map(|()| true),
            Self::AddRefs { content, by } => {
                let sql = "UPDATE contents SET refs = refs + $2 WHERE id = $1";
                Ok(tx.execute(sql, values![content.as_bytes(), *by]).await? > 0)
            }
            Self::AddUsage { bucket_id, by } => {
                tx.change_usage(*bucket_id, *by);
                Ok(true)
            }
            Self::KeepBlob(id) => keep_blob(tx, *id).await,
            Self::Lose(place) => lose(tx, place).await,
            Self::Return(place) => bring_back(tx, place).await,
            Self::DropContent(id) => drop_content(tx, *id).await,
        }
    }
}

async fn set_current(tx: &mut Tx, bucket_id: i64, key: &[u8]) -> Result<()> {
    tx.execute("DELETE FROM current WHERE bucket_id = $1 AND key = $2", values![bucket_id, key]).await?;
    tx.execute(
        "INSERT INTO current (bucket_id, key, seq, version_id, size_bytes, etag, modified_us, storage_class)
         SELECT bucket_id, key, seq, version_id, size_bytes, etag, modified_us, storage_class
         FROM versions
         WHERE bucket_id = $1 AND key = $2 AND kind = 'object'
           AND seq = (SELECT MAX(seq) FROM versions WHERE bucket_id = $1 AND key = $2)",
        values![bucket_id, key],
    )
    .await?;
    Ok(())
}

/// Takes a blob out of the garbage when a row refers to it; says whether it did.
pub(crate) async fn keep_blob(tx: &mut Tx, id: BlobId) -> Result<bool> {
    if !super::check::is_used(tx, id).await? {
        return Ok(false);
    }
    Ok(tx.execute("DELETE FROM garbage WHERE blob_id = $1", values![id.as_bytes()]).await? > 0)
}

/// Moves a version from one table to the other.
struct Move {
    insert: &'static str,
    delete: &'static str,
    /// What the bucket gains by it.
    sign: i64,
}

const LOSE: Move = Move {
    insert: "INSERT INTO lost_versions (bucket_id, key, seq, version_id, kind, size_bytes, etag, modified_us,
                                        storage_class, parts_count, content_id, meta, lost_us)
             SELECT bucket_id, key, seq, version_id, kind, size_bytes, etag, modified_us,
                    storage_class, parts_count, content_id, meta, $4
             FROM versions WHERE bucket_id = $1 AND key = $2 AND seq = $3",
    delete: "DELETE FROM versions WHERE bucket_id = $1 AND key = $2 AND seq = $3 RETURNING kind, size_bytes",
    sign: -1,
};

const RETURN: Move = Move {
    insert: "INSERT INTO versions (bucket_id, key, seq, version_id, kind, size_bytes, etag, modified_us,
                                   storage_class, parts_count, content_id, meta)
             SELECT bucket_id, key, seq, version_id, kind, size_bytes, etag, modified_us,
                    storage_class, parts_count, content_id, meta
             FROM lost_versions WHERE bucket_id = $1 AND key = $2 AND seq = $3 AND lost_us <= $4",
    delete: "DELETE FROM lost_versions WHERE bucket_id = $1 AND key = $2 AND seq = $3 RETURNING kind, size_bytes",
    sign: 1,
};

impl Move {
    async fn run(&self, tx: &mut Tx, place: &VersionPlace) -> Result<bool> {
        let VersionPlace { bucket_id, key, seq } = place;
        let now_us = tx.now_us();
        if tx.execute(self.insert, values![*bucket_id, key, *seq, now_us]).await? == 0 {
            return Ok(false);
        }
        let row = tx.fetch_one(self.delete, values![*bucket_id, key, *seq]).await?;
        if row.text("kind")? == "object" {
            let size_bytes = self.sign * row.int("size_bytes")?;
            let by = UsageDelta { object_count: self.sign, size_bytes, upload_size_bytes: 0 };
            tx.change_usage(*bucket_id, by);
        }
        set_current(tx, *bucket_id, key).await?;
        Ok(true)
    }
}

async fn lose(tx: &mut Tx, place: &VersionPlace) -> Result<bool> {
    LOSE.run(tx, place).await
}

async fn bring_back(tx: &mut Tx, place: &VersionPlace) -> Result<bool> {
    Ok(may_return(tx, place).await? && RETURN.run(tx, place).await?)
}

/// Whether a version that was put aside still has its place: its bucket is there, and nothing newer has its key.
pub(crate) async fn may_return(tx: &mut Tx, place: &VersionPlace) -> Result<bool> {
    let row = tx
        .fetch_optional(
            "SELECT 1 AS one FROM buckets b
             WHERE b.id = $1
               AND NOT EXISTS (SELECT 1 FROM versions v WHERE v.bucket_id = $1 AND v.key = $2 AND v.seq >= $3)",
            values![place.bucket_id, place.key.as_slice(), place.seq],
        )
        .await?;
    Ok(row.is_some())
}

async fn drop_content(tx: &mut Tx, id: ContentId) -> Result<bool> {
    tx.execute("DELETE FROM pieces WHERE content_id = $1", values![id.as_bytes()]).await?;
    Ok(tx.execute("DELETE FROM contents WHERE id = $1", values![id.as_bytes()]).await? > 0)
}

/// All the bytes of some content, inline and in blobs, whether they are there or not; `None` when there is no such content.
pub(crate) async fn sources(tx: &mut Tx, id: ContentId) -> Result<Option<Vec<Source>>> {
    let content = "SELECT blob_id, data, size_bytes, crc64nvme FROM contents WHERE id = $1";
    let Some(row) = tx.fetch_optional(content, values![id.as_bytes()]).await? else { return Ok(None) };
    if let Some(source) = super::contents::source_of(&row)? {
        return Ok(Some(vec![source]));
    }
    let pieces = "SELECT blob_id, data, size_bytes, crc64nvme FROM pieces WHERE content_id = $1 ORDER BY number";
    let rows = tx.fetch_all(pieces, values![id.as_bytes()]).await?;
    let missing = || Error::corrupt("a piece has no bytes");
    let sources = rows.iter().map(|row| super::contents::source_of(row)?.ok_or_else(missing));
    sources.collect::<Result<Vec<_>>>().map(Some)
}
