//! SQL of stored bytes: content, its pieces, and how many versions share it.

use std::ops::Range;

use bytes::Bytes;

use super::many::{Many, Part, execute_many};
use super::{Row, Tx, Value, values};
use crate::attributes::ObjectPart;
use crate::bytes::cipher::Nonce;
use crate::bytes::digest;
use crate::bytes::outflow::{Piece, Source};
use crate::meta::digests_from_json;
use crate::names::{BlobId, ContentId};
use crate::{Error, Result};

/// Content that is to be referred to for the first time.
#[derive(Clone, Debug)]
pub(crate) struct NewContent {
    pub(crate) crc64nvme: u64,
    pub(crate) place: Place,
}

/// Where the bytes of a content, a piece or a part are.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    Inline(Vec<u8>),
    Blob(BlobId),
}

impl Place {
    pub(crate) fn blob(&self) -> Option<&BlobId> {
        match self {
            Self::Inline(_) => None,
            Self::Blob(id) => Some(id),
        }
    }

    pub(crate) fn blob_id(&self) -> Option<&[u8]> {
        self.blob().map(|id| id.as_bytes().as_slice())
    }

    pub(crate) fn data(&self) -> Option<&[u8]> {
        match self {
            Self::Inline(data) => Some(data),
            Self::Blob(_) => None,
        }
    }
}

/// The values of a content's own: checksum, blob, bytes.
pub(super) fn values_of(content: &NewContent) -> Vec<Value> {
    values![content.crc64nvme.cast_signed(), content.place.blob_id(), content.place.data()]
}

/// Removes contents by their ids.
pub(super) static REMOVE: Many =
    Many::new(1, &[Part { before: "DELETE FROM contents WHERE id IN (", row: "$1", between: ", ", after: ")" }]);

/// Sizes are far below 2^63; the database has signed numbers only.
pub(crate) fn to_i64(number: u64) -> i64 {
    number.cast_signed()
}

/// One more version shares the content; returns the blob that has its bytes, when one has all of them.
pub(crate) async fn add_ref(tx: &mut Tx, id: ContentId) -> Result<Option<BlobId>> {
    let sql = "UPDATE contents SET refs = refs + 1 WHERE id = $1 RETURNING blob_id";
    let row = tx.fetch_optional(sql, values![id.as_bytes()]).await?;
    let row = row.ok_or_else(|| Error::corrupt("a version refers to content that is not there"))?;
    row.opt_blob("blob_id")?.map(|blob_id| BlobId::stored(&blob_id)).transpose()
}

/// One version less shares the content; with the last one it goes, and its blobs become garbage. Pieces go later, in small steps.
pub(crate) async fn release(tx: &mut Tx, id: ContentId) -> Result<()> {
    let row = tx
        .fetch_optional(
            "UPDATE contents SET refs = refs - 1 WHERE id = $1 RETURNING refs, blob_id, CASE WHEN data IS NULL THEN 1 ELSE 0 END AS outside",
            values![id.as_bytes()],
        )
        .await?;
    let row = row.ok_or_else(|| Error::corrupt("a version refers to content that is not there"))?;
    if row.int("refs")? > 0 {
        return Ok(());
    }
    match row.opt_blob("blob_id")? {
        Some(blob_id) => super::garbage::add(tx, &blob_id, Some(id.as_bytes())).await?,
        None if row.flag("outside")? => super::leftovers::add_content(tx, id).await?,
        None => {}
    }
    execute_many(tx, &REMOVE, vec![values![id.as_bytes()]]).await.map(|_| ())
}

/// Makes content of the parts of an upload, in the order of their numbers; returns its size. The parts' rows are gone afterwards.
pub(crate) async fn insert_from_parts(tx: &mut Tx, id: ContentId, upload_id: &str) -> Result<u64> {
    tx.execute(
        "INSERT INTO pieces (content_id, number, start_bytes, size_bytes, crc64nvme, blob_id, data, checksums, nonce)
         SELECT $1, number, SUM(size_bytes) OVER (ORDER BY number) - size_bytes, size_bytes, crc64nvme, blob_id, data,
                checksums, nonce
         FROM upload_parts WHERE upload_id = $2",
        values![id.as_bytes(), upload_id],
    )
    .await?;
    tx.execute("DELETE FROM upload_parts WHERE upload_id = $1", values![upload_id]).await?;
    let size_bytes = tx
        .fetch_one(
            "SELECT CAST(COALESCE(SUM(size_bytes), 0) AS BIGINT) AS size_bytes FROM pieces WHERE content_id = $1",
            values![id.as_bytes()],
        )
        .await?
        .size("size_bytes")?;
    tx.execute(
        "INSERT INTO contents (id, refs, size_bytes) VALUES ($1, 1, $2)",
        values![id.as_bytes(), to_i64(size_bytes)],
    )
    .await?;
    Ok(size_bytes)
}

/// Where a row says that its bytes are; `None` when they are in pieces. The row's own bytes are compared with its size and checksum.
pub(crate) fn source_of(row: &Row) -> Result<Option<Source>> {
    let size_bytes = row.size("size_bytes")?;
    let crc64nvme = row.opt_int("crc64nvme")?.map(i64::cast_unsigned);
    if let Some(blob_id) = row.opt_blob("blob_id")? {
        return Ok(Some(Source::Blob { id: BlobId::stored(&blob_id)?, size_bytes, crc64nvme }));
    }
    let Some(data) = row.opt_blob("data")? else { return Ok(None) };
    if data.len() as u64 != size_bytes || crc64nvme.is_some_and(|crc| crc != digest::crc64nvme(&data)) {
        metrics::counter!("cloudhold_damaged_blocks_total").increment(1);
        return Err(Error::corrupt("bytes in the database do not match their checksum"));
    }
    Ok(Some(Source::Inline(Bytes::from(data))))
}

/// The pieces of content that overlap a range, each with the range of its own bytes. Each piece of encrypted content has a nonce of its own.
pub(crate) async fn pieces(
    tx: &mut Tx,
    id: ContentId,
    Range { start, end }: Range<u64>,
    is_encrypted: bool,
) -> Result<Vec<Piece>> {
    let rows = tx
        .fetch_all(
            "SELECT content_id, start_bytes, size_bytes, crc64nvme, blob_id, data, nonce FROM pieces
             WHERE content_id = $1 AND start_bytes < $3 AND start_bytes + size_bytes > $2 ORDER BY number",
            values![id.as_bytes(), to_i64(start), to_i64(end)],
        )
        .await?;
    let (mut at, mut pieces) = (start, Vec::with_capacity(rows.len()));
    for row in &rows {
        let (piece_start, size) = (row.size("start_bytes")?, row.size("size_bytes")?);
        if row.blob("content_id")? != id.as_bytes() {
            return Err(Error::corrupt("the table of pieces is out of order"));
        }
        let source = source_of(row)?.ok_or_else(|| Error::corrupt("a piece has no bytes"))?;
        let range = start.saturating_sub(piece_start)..(end - piece_start).min(size);
        // Pieces that overlap or leave a gap would give other bytes than were stored.
        if piece_start.saturating_add(range.start) != at {
            return Err(Error::corrupt("the pieces of an object do not follow each other"));
        }
        at = piece_start.saturating_add(range.end);
        let nonce = match (row.opt_blob("nonce")?, is_encrypted) {
            (Some(nonce), _) => Nonce::stored(&nonce)?,
            (None, false) => Nonce::ONLY,
            (None, true) => return Err(Error::corrupt("a piece of encrypted content has no nonce")),
        };
        pieces.push(Piece { source, range, nonce });
    }
    if at != end {
        return Err(Error::corrupt("the pieces of an object do not make it whole"));
    }
    Ok(pieces)
}

/// The parts of content after a number.
pub(crate) async fn parts_of(tx: &mut Tx, id: ContentId, after: u32, rows_max: usize) -> Result<Vec<ObjectPart>> {
    let rows = tx
        .fetch_all(
            "SELECT number, start_bytes, size_bytes, checksums FROM pieces
             WHERE content_id = $1 AND number > $2 ORDER BY number LIMIT $3",
            values![id.as_bytes(), after, i64::try_from(rows_max).unwrap_or(i64::MAX)],
        )
        .await?;
    rows.iter().map(part_of_row).collect()
}

fn part_of_row(row: &Row) -> Result<ObjectPart> {
    let start = row.size("start_bytes")?;
    Ok(ObjectPart {
        number: u32::try_from(row.int("number")?).map_err(|_| Error::corrupt("a part number is out of range"))?,
        range: start..start.saturating_add(row.size("size_bytes")?),
        checksums: digests_from_json(&row.text("checksums")?)?,
    })
}

/// The part of content at a place, counted from 1. Part numbers may have gaps; a reader counts the parts that there are.
pub(crate) async fn part_at(tx: &mut Tx, id: ContentId, place: u32) -> Result<Option<ObjectPart>> {
    let row = tx
        .fetch_optional(
            "SELECT number, start_bytes, size_bytes, checksums FROM pieces
             WHERE content_id = $1 ORDER BY number LIMIT 1 OFFSET $2",
            values![id.as_bytes(), i64::from(place) - 1],
        )
        .await?;
    row.as_ref().map(part_of_row).transpose()
}
