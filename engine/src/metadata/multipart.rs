//! SQL of multipart uploads.

use super::contents::{self, Place};
use super::listing::{Cursor, common_prefix, is_common_prefix, just_after, prefix_text, successor};
use super::scan::go_on;
use super::tx::UsageDelta;
use super::{Row, Tx, values};
use crate::body::{ChecksumAlgorithm, Digests};
use crate::bytes::cipher::Nonce;
use crate::journal::{How, Note};
use crate::meta::{self, Meta};
use crate::multipart::{Part, Upload, UploadChecksum, UploadListRequest, UploadPage};
use crate::names::{ObjectKey, UploadId};
use crate::objects::{ChecksumType, StorageClass};
use crate::{Error, Result};

/// Uploads given up in one transaction.
const UPLOADS_MAX: u32 = 200;
/// Parts looked at in one transaction that gives uploads up; the last upload may have more.
const PARTS_MAX: u64 = 10_000;

/// A part that is stored already and gets its row.
#[derive(Clone, Debug)]
pub(crate) struct NewPart {
    pub(crate) number: u32,
    pub(crate) size_bytes: u64,
    pub(crate) etag: String,
    pub(crate) crc64nvme: u64,
    pub(crate) checksums: Digests,
    pub(crate) place: Place,
    /// Where it is encrypted.
    pub(crate) nonce: Option<Nonce>,
}

/// What the journal calls an upload.
pub(crate) const UPLOAD: &str = "upload";

/// An open upload with what its object will carry.
pub(crate) struct OpenUpload {
    pub(crate) upload: Upload,
    pub(crate) meta: Meta,
}

pub(crate) async fn insert(tx: &mut Tx, bucket_id: i64, upload: &Upload, meta: &Meta) -> Result<()> {
    tx.execute(
        "INSERT INTO uploads (upload_id, bucket_id, key, created_us, storage_class, checksum, meta)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        values![
            upload.upload_id.as_str(),
            bucket_id,
            upload.key.as_bytes(),
            upload.created_us,
            upload.storage_class.as_str(),
            checksum_text(upload.checksum),
            meta.to_json()?,
        ],
    )
    .await?;
    let name = format!("{} ({})", upload.upload_id.as_str(), upload.key);
    tx.note(Note::in_bucket(How::Made, UPLOAD, bucket_id, name));
    Ok(())
}

fn from_row(row: &Row) -> Result<Upload> {
    let meta = Meta::from_json(&row.text("meta")?)?;
    Ok(Upload {
        upload_id: UploadId::stored(row.text("upload_id")?),
        key: ObjectKey::stored(row.blob("key")?)?,
        created_us: row.int("created_us")?,
        storage_class: StorageClass::parse(&row.text("storage_class")?)?,
        checksum: checksum_from_text(&row.text("checksum")?)?,
        owner: meta.owner().cloned(),
        begun_by: meta.begun_by().cloned(),
        encryption: meta.encryption().map(|sealed| sealed.shown.clone()),
        given_up: None,
    })
}

/// An open upload of an object. [`Error::NoSuchUpload`].
pub(crate) async fn find(tx: &mut Tx, bucket_id: i64, key: &ObjectKey, upload_id: &UploadId) -> Result<OpenUpload> {
    let row = tx
        .fetch_optional(
            "SELECT upload_id, key, created_us, storage_class, checksum, meta FROM uploads
             WHERE upload_id = $1 AND bucket_id = $2 AND key = $3",
            values![upload_id.as_str(), bucket_id, key.as_bytes()],
        )
        .await?
        .ok_or(Error::NoSuchUpload)?;
    Ok(OpenUpload { upload: from_row(&row)?, meta: Meta::from_json(&row.text("meta")?)? })
}

/// Adds a part; one of the same number is replaced and its blob becomes garbage.
pub(crate) async fn put_part(
    tx: &mut Tx,
    bucket_id: i64,
    key: &ObjectKey,
    upload_id: &UploadId,
    part: &NewPart,
) -> Result<i64> {
    super::buckets::must_take(tx, bucket_id).await?;
    find(tx, bucket_id, key, upload_id).await?;
    remove_part(tx, bucket_id, upload_id, part.number).await?;
    let now_us = tx.now_us();
    tx.execute(
        "INSERT INTO upload_parts (upload_id, number, size_bytes, etag, crc64nvme, modified_us, checksums, blob_id, data,
                                   nonce)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        values![
            upload_id.as_str(),
            part.number,
            contents::to_i64(part.size_bytes),
            &part.etag,
            part.crc64nvme.cast_signed(),
            now_us,
            meta::digests_to_json(&part.checksums)?,
            part.place.blob_id(),
            part.place.data(),
            part.nonce.as_ref().map(Nonce::as_bytes),
        ],
    )
    .await?;
    change_usage(tx, bucket_id, contents::to_i64(part.size_bytes));
    tx.note(Note::Part {
        bucket: bucket_id,
        key: key.as_str().to_owned(),
        upload: upload_id.as_str().to_owned(),
        number: part.number,
        blob: part.place.blob().map(|id| id.to_string()),
    });
    Ok(now_us)
}

fn change_usage(tx: &mut Tx, bucket_id: i64, upload_size_bytes: i64) {
    tx.change_usage(bucket_id, UsageDelta { upload_size_bytes, ..UsageDelta::default() });
}

/// Removes a part when there is one of that number; its blob becomes garbage.
pub(crate) async fn remove_part(tx: &mut Tx, bucket_id: i64, upload_id: &UploadId, number: u32) -> Result<()> {
    let row = tx
        .fetch_optional(
            "DELETE FROM upload_parts WHERE upload_id = $1 AND number = $2 RETURNING size_bytes, blob_id",
            values![upload_id.as_str(), number],
        )
        .await?;
    let Some(row) = row else { return Ok(()) };
    if let Some(blob_id) = row.opt_blob("blob_id")? {
        super::garbage::add(tx, &blob_id, None).await?;
    }
    change_usage(tx, bucket_id, -row.int("size_bytes")?);
    Ok(())
}

/// The bytes of a part, 0 where there is none.
pub(crate) async fn size_of_part(tx: &mut Tx, upload_id: &UploadId, number: u32) -> Result<i64> {
    let sql = "SELECT size_bytes FROM upload_parts WHERE upload_id = $1 AND number = $2";
    let row = tx.fetch_optional(sql, values![upload_id.as_str(), number]).await?;
    row.map_or(Ok(0), |row| row.int("size_bytes"))
}

fn part_from_row(row: &Row) -> Result<Part> {
    Ok(Part {
        number: u32::try_from(row.int("number")?).map_err(|_| Error::corrupt("a part number is out of range"))?,
        size_bytes: row.size("size_bytes")?,
        etag: row.text("etag")?,
        modified_us: row.int("modified_us")?,
        checksums: meta::digests_from_json(&row.text("checksums")?)?,
        crc64nvme: row.opt_blob("nonce")?.is_none().then_some(row.int("crc64nvme")?.cast_unsigned()),
        encryption: None,
    })
}

/// The parts of an upload after a number.
pub(crate) async fn parts(tx: &mut Tx, upload_id: &UploadId, after: u32, rows_max: usize) -> Result<Vec<Part>> {
    let rows = tx
        .fetch_all(
            "SELECT number, size_bytes, etag, crc64nvme, modified_us, checksums, nonce FROM upload_parts
             WHERE upload_id = $1 AND number > $2 ORDER BY number LIMIT $3",
            values![upload_id.as_str(), after, i64::try_from(rows_max).unwrap_or(i64::MAX)],
        )
        .await?;
    rows.iter().map(part_from_row).collect()
}

/// Ends an upload whose parts became an object: their bytes no longer count as an open upload's.
pub(crate) async fn close(tx: &mut Tx, bucket_id: i64, upload_id: &UploadId, size_bytes: u64) -> Result<()> {
    change_usage(tx, bucket_id, -contents::to_i64(size_bytes));
    tx.execute("DELETE FROM uploads WHERE upload_id = $1", values![upload_id.as_str()]).await?;
    tx.note(Note::in_bucket(How::Deleted, UPLOAD, bucket_id, upload_id.as_str()));
    Ok(())
}

/// Gives an upload up that is still open.
pub(crate) async fn abort_if_open(tx: &mut Tx, bucket_id: i64, upload_id: &UploadId) -> Result<()> {
    let open = tx
        .fetch_optional(
            "SELECT 1 AS one FROM uploads WHERE upload_id = $1 AND bucket_id = $2",
            values![upload_id.as_str(), bucket_id],
        )
        .await?;
    if open.is_some() {
        abort(tx, bucket_id, upload_id).await?;
    }
    Ok(())
}

/// How long a Complete can be repeated.
const REPEATABLE_US: i64 = 86_400_000_000;

/// Remembers which version an upload became, and forgets some of those that nobody will ask for again.
pub(crate) async fn remember(
    tx: &mut Tx,
    bucket_id: i64,
    key: &ObjectKey,
    upload_id: &UploadId,
    seq: i64,
) -> Result<()> {
    let now_us = tx.now_us();
    tx.execute(
        "DELETE FROM completed_uploads WHERE upload_id IN
            (SELECT upload_id FROM completed_uploads WHERE completed_us < $1 ORDER BY completed_us LIMIT 100)",
        values![now_us - REPEATABLE_US],
    )
    .await?;
    tx.execute(
        "INSERT INTO completed_uploads (upload_id, bucket_id, key, seq, completed_us) VALUES ($1, $2, $3, $4, $5)",
        values![upload_id.as_str(), bucket_id, key.as_bytes(), seq, now_us],
    )
    .await?;
    Ok(())
}

/// The number of the version that an upload became.
pub(crate) async fn made_by(tx: &mut Tx, bucket_id: i64, key: &ObjectKey, upload_id: &UploadId) -> Result<Option<i64>> {
    let row = tx
        .fetch_optional(
            "SELECT seq FROM completed_uploads WHERE upload_id = $1 AND bucket_id = $2 AND key = $3",
            values![upload_id.as_str(), bucket_id, key.as_bytes()],
        )
        .await?;
    row.map(|row| row.int("seq")).transpose()
}

/// Gives an upload up: it is gone at once, its parts are removed later, in small steps. Returns how many there are.
pub(crate) async fn abort(tx: &mut Tx, bucket_id: i64, upload_id: &UploadId) -> Result<u64> {
    let sums = tx
        .fetch_one(
            "SELECT COUNT(*) AS count, CAST(COALESCE(SUM(size_bytes), 0) AS BIGINT) AS size_bytes
             FROM upload_parts WHERE upload_id = $1",
            values![upload_id.as_str()],
        )
        .await?;
    let count = sums.size("count")?;
    if count > 0 {
        super::leftovers::add_upload(tx, upload_id).await?;
    }
    close(tx, bucket_id, upload_id, sums.size("size_bytes")?).await?;
    Ok(count)
}

/// Gives some of the uploads of a bucket up; returns how many.
pub(crate) async fn abort_some(tx: &mut Tx, bucket_id: i64) -> Result<usize> {
    let rows = tx
        .fetch_all(
            "SELECT upload_id, bucket_id FROM uploads WHERE bucket_id = $1 LIMIT $2",
            values![bucket_id, UPLOADS_MAX],
        )
        .await?;
    abort_rows(tx, &rows).await
}

/// Whether a bucket has open uploads.
pub(crate) async fn has_any(tx: &mut Tx, bucket_id: i64) -> Result<bool> {
    let row =
        tx.fetch_optional("SELECT 1 AS one FROM uploads WHERE bucket_id = $1 LIMIT 1", values![bucket_id]).await?;
    Ok(row.is_some())
}

/// Gives some of the uploads up that were begun before a time; returns how many.
pub(crate) async fn abort_older(tx: &mut Tx, before_us: i64) -> Result<usize> {
    let rows = tx
        .fetch_all(
            "SELECT upload_id, bucket_id FROM uploads WHERE created_us < $1 LIMIT $2",
            values![before_us, UPLOADS_MAX],
        )
        .await?;
    abort_rows(tx, &rows).await
}

async fn abort_rows(tx: &mut Tx, rows: &[Row]) -> Result<usize> {
    let mut parts = 0;
    for (index, row) in rows.iter().enumerate() {
        parts += abort(tx, row.int("bucket_id")?, &UploadId::stored(row.text("upload_id")?)).await?;
        if parts >= PARTS_MAX {
            return Ok(index + 1);
        }
    }
    Ok(rows.len())
}

/// A page of the open uploads of a bucket.
pub(crate) async fn list(tx: &mut Tx, bucket_id: i64, request: &UploadListRequest) -> Result<UploadPage> {
    let mut page = UploadPage { uploads: Vec::new(), common_prefixes: Vec::new(), truncated: false };
    let delimiter = request.delimiter.as_deref();
    let cursor = Cursor::new(&request.prefix, delimiter, request.after_key.as_deref());
    let end = cursor.end_or_last();
    let mut place = (cursor.from, String::new());
    if let (Some(key), Some(upload)) = (&request.after_key, &request.after_upload)
        && key.as_bytes() >= request.prefix.as_bytes()
        && !is_common_prefix(&request.prefix, delimiter, key)
    {
        place = (key.as_bytes().to_vec(), upload.as_str().to_owned());
    }
    loop {
        let rows = upload_rows(tx, bucket_id, &place.0, &end, &place.1).await?;
        let Some(row) = rows.first() else { return Ok(page) };
        if page.uploads.len() + page.common_prefixes.len() >= request.entries_max {
            page.truncated = true;
            return Ok(page);
        }
        let key = row.blob("key")?;
        match delimiter.and_then(|d| common_prefix(&request.prefix, d, &key)) {
            Some(length) => {
                let text = prefix_text(&key, length)?;
                let next = successor(text.as_bytes()).unwrap_or_else(|| just_after(&key));
                go_on(&mut place, (next, String::new()))?;
                page.common_prefixes.push(text);
            }
            None => {
                let upload = from_row(row)?;
                go_on(&mut place, (key, upload.upload_id.as_str().to_owned()))?;
                page.uploads.push(upload);
            }
        }
    }
}

/// The next upload at or after a place in the order of key and id.
async fn upload_rows(tx: &mut Tx, bucket_id: i64, from: &[u8], end: &[u8], after_upload: &str) -> Result<Vec<Row>> {
    tx.fetch_all(
        "SELECT upload_id, key, created_us, storage_class, checksum, meta FROM uploads
         WHERE bucket_id = $1 AND key >= $2 AND key < $3 AND (key > $2 OR upload_id > $4)
         ORDER BY key, upload_id LIMIT 1",
        values![bucket_id, from, end, after_upload],
    )
    .await
}

fn checksum_text(checksum: Option<UploadChecksum>) -> String {
    checksum.map_or_else(String::new, |checksum| {
        let kind = match checksum.kind {
            ChecksumType::FullObject => "FULL_OBJECT",
            ChecksumType::Composite => "COMPOSITE",
        };
        format!("{}/{kind}", checksum.algorithm.as_str())
    })
}

fn checksum_from_text(text: &str) -> Result<Option<UploadChecksum>> {
    if text.is_empty() {
        return Ok(None);
    }
    let damaged = || Error::corrupt("an upload's checksum is unknown");
    let (algorithm, kind) = text.split_once('/').ok_or_else(damaged)?;
    let algorithm = ChecksumAlgorithm::parse(algorithm).ok_or_else(damaged)?;
    let kind = match kind {
        "FULL_OBJECT" => ChecksumType::FullObject,
        "COMPOSITE" => ChecksumType::Composite,
        _ => return Err(damaged()),
    };
    Ok(Some(UploadChecksum { algorithm, kind }))
}
