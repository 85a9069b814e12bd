//! SQL of blobs that no row refers to any more.

use std::ops::RangeInclusive;

use super::many::{Many, Part, execute_many};
use super::{Tx, values};
use crate::Result;
use crate::names::{BlobId, ContentId};

/// A row for each content, piece and part that refers to a blob.
macro_rules! users_of_blob {
    ($blob_id:literal) => {
        concat!(
            "SELECT 1 AS one FROM contents WHERE blob_id = ",
            $blob_id,
            " UNION ALL SELECT 1 AS one FROM pieces WHERE blob_id = ",
            $blob_id,
            " UNION ALL SELECT 1 AS one FROM upload_parts WHERE blob_id = ",
            $blob_id
        )
    };
}
pub(super) use users_of_blob;

/// A blob to be freed.
pub(crate) struct Garbage {
    pub(crate) blob_id: BlobId,
    pub(crate) content_id: Option<ContentId>,
    /// Whether a row refers to it all the same. Only damage brings that about: two rows with one blob, of which one was deleted.
    pub(crate) is_used: bool,
    pub(crate) place: Place,
}

/// A place in the order in which garbage is freed; the default is before all.
#[derive(Clone, Debug, Default, PartialEq, PartialOrd)]
pub(crate) struct Place {
    added_us: i64,
    blob_id: Vec<u8>,
}

/// Notes blobs, each with its content and the time.
pub(super) static ADD: Many = Many::new(
    3,
    &[Part {
        before: "INSERT INTO garbage (blob_id, content_id, added_us) VALUES ",
        row: "($1, $2, $3)",
        between: ", ",
        after: " ON CONFLICT (blob_id) DO NOTHING",
    }],
);

/// Notes that a blob of some content is no longer referred to.
pub(crate) async fn add(tx: &mut Tx, blob_id: &[u8], content_id: Option<&[u8]>) -> Result<()> {
    let now_us = tx.now_us();
    execute_many(tx, &ADD, vec![values![blob_id, content_id, now_us]]).await.map(|_| ())
}

/// Blobs that were noted before a time, oldest first, beginning after a place in that order.
pub(crate) async fn due(tx: &mut Tx, before_us: i64, after: &Place, rows_max: i64) -> Result<Vec<Garbage>> {
    let rows = tx
        .fetch_all(
            concat!(
                "SELECT g.blob_id AS blob_id,
                    g.content_id AS content_id,
                    g.added_us AS added_us,
                    CAST(CASE WHEN EXISTS (",
                users_of_blob!("g.blob_id"),
                ") THEN 1 ELSE 0 END AS BIGINT) AS is_used
             FROM garbage g
             WHERE g.added_us <= $1 AND (g.added_us > $2 OR (g.added_us = $2 AND g.blob_id > $3))
             ORDER BY g.added_us, g.blob_id LIMIT $4"
            ),
            values![before_us, after.added_us, after.blob_id.as_slice(), rows_max],
        )
        .await?;
    rows.iter()
        .map(|row| {
            let content_id = row.opt_blob("content_id")?.map(|id| ContentId::stored(&id)).transpose()?;
            let blob_id = row.blob("blob_id")?;
            let place = Place { added_us: row.int("added_us")?, blob_id: blob_id.clone() };
            let is_used = row.flag("is_used")?;
            Ok(Garbage { blob_id: BlobId::stored(&blob_id)?, content_id, is_used, place })
        })
        .collect()
}

/// Forgets a blob that was freed.
pub(crate) async fn forget(tx: &mut Tx, blob_id: BlobId) -> Result<()> {
    tx.execute("DELETE FROM garbage WHERE blob_id = $1", values![blob_id.as_bytes()]).await?;
    Ok(())
}

/// Whether any row knows a blob.
pub(crate) async fn is_known(tx: &mut Tx, blob_id: BlobId) -> Result<bool> {
    let row = tx
        .fetch_optional(
            concat!(users_of_blob!("$1"), " UNION ALL SELECT 1 AS one FROM garbage WHERE blob_id = $1 LIMIT 1"),
            values![blob_id.as_bytes()],
        )
        .await?;
    Ok(row.is_some())
}

/// The blobs in a range of ids that any row knows.
pub(crate) async fn known_between(tx: &mut Tx, ids: &RangeInclusive<BlobId>) -> Result<Vec<BlobId>> {
    let rows = tx
        .fetch_all(
            "SELECT blob_id FROM contents WHERE blob_id BETWEEN $1 AND $2
             UNION ALL SELECT blob_id FROM pieces WHERE blob_id BETWEEN $1 AND $2
             UNION ALL SELECT blob_id FROM upload_parts WHERE blob_id BETWEEN $1 AND $2
             UNION ALL SELECT blob_id FROM garbage WHERE blob_id BETWEEN $1 AND $2",
            values![ids.start().as_bytes(), ids.end().as_bytes()],
        )
        .await?;
    rows.iter().map(|row| BlobId::stored(&row.blob("blob_id")?)).collect()
}
