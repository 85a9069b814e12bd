//! SQL of what was deleted at once but has more rows than one transaction should touch: pieces of content that is not used any more, and
//! parts of uploads that were given up. They are removed in small steps, so that nobody's write waits for 10,000 rows.

use super::many::{Many, Part, execute_many};
use super::{Tx, values};
use crate::Result;
use crate::names::{ContentId, UploadId};

/// Notes contents, each with the time.
pub(super) static ADD_CONTENTS: Many = Many::new(
    2,
    &[Part {
        before: "INSERT INTO unused_contents (content_id, added_us) VALUES ",
        row: "($1, $2)",
        between: ", ",
        after: " ON CONFLICT (content_id) DO NOTHING",
    }],
);

/// Notes that the pieces of some content are to be removed.
pub(super) async fn add_content(tx: &mut Tx, id: ContentId) -> Result<()> {
    let now_us = tx.now_us();
    execute_many(tx, &ADD_CONTENTS, vec![values![id.as_bytes(), now_us]]).await.map(|_| ())
}

/// Notes that the parts of an upload are to be removed.
pub(super) async fn add_upload(tx: &mut Tx, id: &UploadId) -> Result<()> {
    let now_us = tx.now_us();
    tx.execute(
        "INSERT INTO aborted_uploads (upload_id, added_us) VALUES ($1, $2) ON CONFLICT (upload_id) DO NOTHING",
        values![id.as_str(), now_us],
    )
    .await?;
    Ok(())
}

/// Whether anything is left to be removed.
pub(crate) async fn are_there(tx: &mut Tx) -> Result<bool> {
    let row = tx
        .fetch_one(
            "SELECT CAST(CASE WHEN EXISTS (SELECT 1 FROM unused_contents) OR EXISTS (SELECT 1 FROM aborted_uploads)
                              THEN 1 ELSE 0 END AS BIGINT) AS are_there",
            Vec::new(),
        )
        .await?;
    row.flag("are_there")
}

/// Removes up to so many pieces or parts of one content or upload; their blobs become garbage.
pub(crate) async fn remove_some(tx: &mut Tx, rows_max: u32) -> Result<()> {
    if !remove_pieces(tx, rows_max).await? {
        remove_parts(tx, rows_max).await?;
    }
    Ok(())
}

/// Returns whether there was a content whose pieces were to be removed.
async fn remove_pieces(tx: &mut Tx, rows_max: u32) -> Result<bool> {
    let row = tx.fetch_optional("SELECT content_id, added_us FROM unused_contents LIMIT 1", Vec::new()).await?;
    let Some(row) = row else { return Ok(false) };
    let (id, added_us) = (row.blob("content_id")?, row.int("added_us")?);
    // From the last one down: those that are left still follow each other from the first byte on.
    let first = tx
        .fetch_one(
            "SELECT MIN(number) AS first FROM (SELECT number FROM pieces WHERE content_id = $1
                                               ORDER BY number DESC LIMIT $2) AS last",
            values![id.as_slice(), rows_max],
        )
        .await?
        .opt_int("first")?
        .unwrap_or_default();
    tx.execute(
        "INSERT INTO garbage (blob_id, content_id, added_us)
         SELECT blob_id, content_id, $3 FROM pieces WHERE content_id = $1 AND number >= $2 AND blob_id IS NOT NULL
         ON CONFLICT (blob_id) DO NOTHING",
        values![id.as_slice(), first, added_us],
    )
    .await?;
    let removed =
        tx.execute("DELETE FROM pieces WHERE content_id = $1 AND number >= $2", values![id.as_slice(), first]).await?;
    if removed < u64::from(rows_max) {
        tx.execute("DELETE FROM unused_contents WHERE content_id = $1", values![id.as_slice()]).await?;
    }
    Ok(true)
}

async fn remove_parts(tx: &mut Tx, rows_max: u32) -> Result<()> {
    let row = tx.fetch_optional("SELECT upload_id, added_us FROM aborted_uploads LIMIT 1", Vec::new()).await?;
    let Some(row) = row else { return Ok(()) };
    let (id, added_us) = (row.text("upload_id")?, row.int("added_us")?);
    let first = tx
        .fetch_one(
            "SELECT MIN(number) AS first FROM (SELECT number FROM upload_parts WHERE upload_id = $1
                                               ORDER BY number DESC LIMIT $2) AS last",
            values![&id, rows_max],
        )
        .await?
        .opt_int("first")?
        .unwrap_or_default();
    tx.execute(
        "INSERT INTO garbage (blob_id, added_us)
         SELECT blob_id, $3 FROM upload_parts WHERE upload_id = $1 AND number >= $2 AND blob_id IS NOT NULL
         ON CONFLICT (blob_id) DO NOTHING",
        values![&id, first, added_us],
    )
    .await?;
    let removed =
        tx.execute("DELETE FROM upload_parts WHERE upload_id = $1 AND number >= $2", values![&id, first]).await?;
    if removed < u64::from(rows_max) {
        tx.execute("DELETE FROM aborted_uploads WHERE upload_id = $1", values![&id]).await?;
    }
    Ok(())
}
