//! SQL of blobs that no row refers to any more.

use super::{Tx, values};
use crate::Result;
use crate::names::{BlobId, ContentId};

/// A blob to be freed.
pub(crate) struct Garbage {
    pub(crate) blob_id: BlobId,
    pub(crate) content_id: Option<ContentId>,
}

/// Notes that a blob of some content is no longer referred to.
pub(crate) async fn add(tx: &mut Tx, blob_id: &[u8], content_id: Option<&[u8]>) -> Result<()> {
    let now_us = tx.now_us();
    tx.execute(
        "INSERT INTO garbage (blob_id, content_id, added_us) VALUES ($1, $2, $3) ON CONFLICT (blob_id) DO NOTHING",
        values![blob_id, content_id, now_us],
    )
    .await?;
    Ok(())
}

/// Blobs that were noted before a time, oldest first.
pub(crate) async fn due(tx: &mut Tx, before_us: i64, rows_max: i64) -> Result<Vec<Garbage>> {
    let rows = tx
        .fetch_all(
            "SELECT blob_id, content_id FROM garbage WHERE added_us <= $1 ORDER BY added_us LIMIT $2",
            values![before_us, rows_max],
        )
        .await?;
    rows.iter()
        .map(|row| {
            let content_id = row.opt_blob("content_id")?.map(|id| ContentId::stored(&id)).transpose()?;
            Ok(Garbage { blob_id: BlobId::stored(&row.blob("blob_id")?)?, content_id })
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
            "SELECT 1 AS one FROM contents WHERE blob_id = $1
             UNION ALL SELECT 1 AS one FROM pieces WHERE blob_id = $1
             UNION ALL SELECT 1 AS one FROM upload_parts WHERE blob_id = $1
             UNION ALL SELECT 1 AS one FROM garbage WHERE blob_id = $1
             LIMIT 1",
            values![blob_id.as_bytes()],
        )
        .await?;
    Ok(row.is_some())
}
