//! SQL of the scrubber: what it verifies, in the order in which it does, and what it found damaged.

use super::{Row, Tx, values};
use crate::Result;
use crate::names::{BlobId, ContentId};
use crate::scrub::Damage;

/// Rows of a page; they bring their inline bytes along.
const ROWS: i64 = 64;
/// Objects that a damage names.
const OBJECTS_MAX: i64 = 10;

/// Where bytes to be verified are.
pub(crate) enum Bytes {
    Inline(Vec<u8>),
    Blob(BlobId),
    /// In pieces, which are verified each.
    Pieces,
}

/// Something to be verified.
pub(crate) struct Item {
    /// The content it belongs to; parts of open uploads belong to none.
    pub(crate) content_id: Option<ContentId>,
    /// Of a part, its upload.
    pub(crate) upload_id: Option<String>,
    /// Of a piece or part.
    pub(crate) number: i64,
    pub(crate) size_bytes: u64,
    pub(crate) crc64nvme: Option<u64>,
    pub(crate) bytes: Bytes,
}

/// A row of something to be verified.
pub(crate) struct Found<P> {
    /// Its place in the order in which a pass goes.
    pub(crate) place: P,
    /// What it says, or why it cannot be read.
    pub(crate) item: Result<Item>,
}

fn item(row: &Row) -> Result<Item> {
    let bytes = match (row.opt_blob("blob_id")?, row.opt_blob("data")?) {
        (Some(id), _) => Bytes::Blob(BlobId::stored(&id)?),
        (None, Some(data)) => Bytes::Inline(data),
        (None, None) => Bytes::Pieces,
    };
    Ok(Item {
        content_id: row.opt_blob("content_id")?.map(|id| ContentId::stored(&id)).transpose()?,
        upload_id: row.opt_text("upload_id")?,
        number: row.int("number")?,
        size_bytes: row.size("size_bytes")?,
        crc64nvme: row.opt_int("crc64nvme")?.map(i64::cast_unsigned),
        bytes,
    })
}

fn found_content(row: &Row) -> Result<Found<Vec<u8>>> {
    Ok(Found { place: row.blob("content_id")?, item: item(row) })
}

/// Contents as [`item`] reads them.
macro_rules! contents_where {
    ($condition:literal) => {
        concat!(
            "SELECT id AS content_id, CAST(NULL AS TEXT) AS upload_id, CAST(0 AS BIGINT) AS number, size_bytes, crc64nvme, blob_id, data
             FROM contents WHERE ",
            $condition
        )
    };
}

/// The contents after an id, which is empty before the first.
pub(crate) async fn contents(tx: &mut Tx, after: &[u8]) -> Result<Vec<Found<Vec<u8>>>> {
    let rows = tx.fetch_all(contents_where!("id > $1 ORDER BY id LIMIT $2"), values![after, ROWS]).await?;
    rows.iter().map(found_content).collect()
}

/// The ids of the contents after an id. The index gives them, so they may be known where the rows cannot be read.
pub(crate) async fn content_ids(tx: &mut Tx, after: &[u8]) -> Result<Vec<Vec<u8>>> {
    let sql = "SELECT id FROM contents WHERE id > $1 ORDER BY id LIMIT $2";
    let rows = tx.fetch_all(sql, values![after, ROWS]).await?;
    rows.iter().map(|row| row.blob("id")).collect()
}

/// The content of an id; `None` when it is gone.
pub(crate) async fn content(tx: &mut Tx, id: &[u8]) -> Result<Option<Found<Vec<u8>>>> {
    let row = tx.fetch_optional(contents_where!("id = $1"), values![id]).await?;
    row.map(|row| found_content(&row)).transpose()
}

/// The pieces of content after a number.
pub(crate) async fn pieces(tx: &mut Tx, content_id: ContentId, after: i64) -> Result<Vec<Found<i64>>> {
    let rows = tx
        .fetch_all(
            "SELECT content_id, CAST(NULL AS TEXT) AS upload_id, number, size_bytes, crc64nvme, blob_id, data
             FROM pieces WHERE content_id = $1 AND number > $2 ORDER BY number LIMIT $3",
            values![content_id.as_bytes(), after, ROWS],
        )
        .await?;
    rows.iter().map(|row| Ok(Found { place: row.int("number")?, item: item(row) })).collect()
}

/// The parts after one of an open upload; its id is empty before the first.
pub(crate) async fn parts(tx: &mut Tx, after: (&str, i64)) -> Result<Vec<Found<(String, i64)>>> {
    let rows = tx
        .fetch_all(
            "SELECT NULLIF(blob_id, blob_id) AS content_id, upload_id, number, size_bytes, crc64nvme, blob_id, data
             FROM upload_parts WHERE (upload_id, number) > ($1, $2) ORDER BY upload_id, number LIMIT $3",
            values![after.0, after.1, ROWS],
        )
        .await?;
    rows.iter().map(|row| Ok(Found { place: (row.text("upload_id")?, row.int("number")?), item: item(row) })).collect()
}

/// How many bytes there are to be verified, about: what changes meanwhile is not counted.
pub(crate) async fn size_bytes(tx: &mut Tx) -> Result<u64> {
    tx.fetch_one(
        "SELECT CAST((SELECT COALESCE(SUM(size_bytes), 0) FROM contents)
                   + (SELECT COALESCE(SUM(size_bytes), 0) FROM upload_parts) AS BIGINT) AS size_bytes",
        Vec::new(),
    )
    .await?
    .size("size_bytes")
}

/// The objects that have some content, as bucket and key; the first of them. No index leads there, so this reads all versions.
pub(crate) async fn objects_of(tx: &mut Tx, content_id: ContentId) -> Result<Vec<String>> {
    let rows = tx
        .fetch_all(
            "SELECT b.name AS bucket, v.key AS key FROM versions v JOIN buckets b ON b.id = v.bucket_id
             WHERE v.content_id = $1 LIMIT $2",
            values![content_id.as_bytes(), OBJECTS_MAX],
        )
        .await?;
    rows.iter()
        .map(|row| Ok(format!("{}/{}", row.text("bucket")?, String::from_utf8_lossy(&row.blob("key")?))))
        .collect()
}

/// Whether content, or a part of an upload, is still there.
pub(crate) async fn is_there(tx: &mut Tx, content_id: Option<ContentId>, part: Option<(&str, i64)>) -> Result<bool> {
    let row = match (content_id, part) {
        (Some(id), _) => {
            tx.fetch_optional("SELECT 1 AS one FROM contents WHERE id = $1", values![id.as_bytes()]).await?
        }
        (None, Some((upload_id, number))) => {
            let sql = "SELECT 1 AS one FROM upload_parts WHERE upload_id = $1 AND number = $2";
            tx.fetch_optional(sql, values![upload_id, number]).await?
        }
        (None, None) => None,
    };
    Ok(row.is_some())
}

/// What is damaged, the first found first.
pub(crate) async fn damage(tx: &mut Tx) -> Result<Vec<Damage>> {
    let sql = "SELECT subject, detail, objects, found_us, seen_us FROM damage ORDER BY found_us, subject";
    let rows = tx.fetch_all(sql, Vec::new()).await?;
    rows.iter()
        .map(|row| {
            Ok(Damage {
                subject: row.text("subject")?,
                detail: row.text("detail")?,
                objects: row.text("objects")?.split_terminator('\n').map(str::to_owned).collect(),
                found_us: row.int("found_us")?,
                seen_us: row.int("seen_us")?,
            })
        })
        .collect()
}

/// Notes damage; when it was known already, that it was seen again.
pub(crate) async fn note_damage(tx: &mut Tx, damage: &Damage) -> Result<()> {
    tx.execute(
        "INSERT INTO damage (subject, detail, objects, found_us, seen_us)
         VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (subject) DO UPDATE
         SET detail = excluded.detail,
             objects = excluded.objects,
             seen_us = excluded.seen_us",
        values![&damage.subject, &damage.detail, damage.objects.join("\n"), damage.found_us, damage.seen_us],
    )
    .await?;
    Ok(())
}

/// Forgets damage that a pass did not see again: it was found whole, or is gone.
pub(crate) async fn forget_damage_before(tx: &mut Tx, pass_started_us: i64) -> Result<()> {
    tx.execute("DELETE FROM damage WHERE seen_us < $1", values![pass_started_us]).await?;
    Ok(())
}
