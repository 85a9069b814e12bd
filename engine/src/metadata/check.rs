//! SQL that looks for rows which contradict each other, page by page. Each page is one read of a consistent state.

use super::garbage::users_of_blob;
use super::tx::UsageDelta;
use super::{Row, Tx, values};
use crate::Result;
use crate::names::{BlobId, ContentId};

/// Rows of a page.
const ROWS: i64 = 1000;

/// Where an object version stands in the order of its table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd)]
pub(crate) struct VersionPlace {
    pub(crate) bucket_id: i64,
    pub(crate) key: Vec<u8>,
    pub(crate) seq: i64,
}

impl VersionPlace {
    /// A place before all.
    pub(crate) fn first() -> Self {
        Self { bucket_id: i64::MIN, key: Vec::new(), seq: i64::MIN }
    }
}

/// What SQLite says of its own structure; nothing when it is whole. PostgreSQL's structure is its operator's to check.
pub(crate) async fn integrity(tx: &mut Tx) -> Result<Vec<String>> {
    if !tx.is_embedded() {
        return Ok(Vec::new());
    }
    let rows = tx.fetch_all("PRAGMA integrity_check(100)", Vec::new()).await?;
    let lines = rows.iter().map(|row| row.text("integrity_check")).collect::<Result<Vec<_>>>()?;
    Ok(lines.into_iter().filter(|line| line != "ok").collect())
}

/// A version, and what it should agree with.
pub(crate) struct VersionRow {
    pub(crate) place: VersionPlace,
    /// The bucket's name; `None` when there is no bucket.
    pub(crate) bucket: Option<String>,
    /// Whether it is an object; else it is a delete marker.
    pub(crate) is_object: bool,
    pub(crate) size_bytes: i64,
    pub(crate) content_id: Option<Vec<u8>>,
    /// The size that its content has; `None` when there is no such content.
    pub(crate) content_size_bytes: Option<i64>,
    pub(crate) is_latest: bool,
    /// Which version the table of current ones names for the key.
    pub(crate) current_seq: Option<i64>,
    /// Whether that row says something else than this version does.
    pub(crate) current_differs: bool,
}

/// The versions after a place.
pub(crate) async fn versions(tx: &mut Tx, after: &VersionPlace) -> Result<Vec<VersionRow>> {
    let rows = tx
        .fetch_all(
            "SELECT v.bucket_id AS bucket_id,
                    v.key AS key,
                    v.seq AS seq,
                    b.name AS bucket,
                    v.kind AS kind,
                    v.size_bytes AS size_bytes,
                    v.content_id AS content_id,
                    t.size_bytes AS content_size_bytes,
                    c.seq AS current_seq,
                    (SELECT MAX(n.seq) FROM versions n WHERE n.bucket_id = v.bucket_id AND n.key = v.key) AS latest_seq,
                    CAST(CASE WHEN c.seq = v.seq AND (c.version_id <> v.version_id
                                                      OR c.size_bytes <> v.size_bytes
                                                      OR c.etag <> v.etag
                                                      OR c.modified_us <> v.modified_us
                                                      OR c.storage_class <> v.storage_class)
                              THEN 1 ELSE 0 END AS BIGINT) AS differs
             FROM versions v
             LEFT JOIN buckets b ON b.id = v.bucket_id
             LEFT JOIN contents t ON t.id = v.content_id
             LEFT JOIN current c ON c.bucket_id = v.bucket_id AND c.key = v.key
             WHERE (v.bucket_id, v.key, v.seq) > ($1, $2, $3)
             ORDER BY v.bucket_id, v.key, v.seq
             LIMIT $4",
            values![after.bucket_id, after.key.as_slice(), after.seq, ROWS],
        )
        .await?;
    rows.iter().map(version_row).collect()
}

fn place_of(row: &Row) -> Result<VersionPlace> {
    Ok(VersionPlace { bucket_id: row.int("bucket_id")?, key: row.blob("key")?, seq: row.int("seq")? })
}

fn version_row(row: &Row) -> Result<VersionRow> {
    let place = place_of(row)?;
    Ok(VersionRow {
        is_latest: row.opt_int("latest_seq")? == Some(place.seq),
        place,
        bucket: row.opt_text("bucket")?,
        is_object: row.text("kind")? == "object",
        size_bytes: row.int("size_bytes")?,
        content_id: row.opt_blob("content_id")?,
        content_size_bytes: row.opt_int("content_size_bytes")?,
        current_seq: row.opt_int("current_seq")?,
        current_differs: row.flag("differs")?,
    })
}

/// A current object, with the kind of the version that it names.
pub(crate) struct CurrentRow {
    pub(crate) place: VersionPlace,
    pub(crate) bucket: Option<String>,
    pub(crate) has_object: bool,
}

/// The current objects after a place; their `seq` plays no part in the order.
pub(crate) async fn current(tx: &mut Tx, after: &VersionPlace) -> Result<Vec<CurrentRow>> {
    let rows = tx
        .fetch_all(
            "SELECT c.bucket_id AS bucket_id,
                    c.key AS key,
                    c.seq AS seq,
                    b.name AS bucket,
                    v.kind AS kind
             FROM current c
             LEFT JOIN versions v ON v.bucket_id = c.bucket_id AND v.key = c.key AND v.seq = c.seq
             LEFT JOIN buckets b ON b.id = c.bucket_id
             WHERE (c.bucket_id, c.key) > ($1, $2)
             ORDER BY c.bucket_id, c.key
             LIMIT $3",
            values![after.bucket_id, after.key.as_slice(), ROWS],
        )
        .await?;
    rows.iter()
        .map(|row| {
            let has_object = row.opt_text("kind")?.as_deref() == Some("object");
            Ok(CurrentRow { place: place_of(row)?, bucket: row.opt_text("bucket")?, has_object })
        })
        .collect()
}

/// Where bytes are said to be: of content, of a piece or of a part.
pub(crate) struct Held {
    pub(crate) size_bytes: i64,
    pub(crate) crc64nvme: Option<u64>,
    pub(crate) blob_id: Option<Vec<u8>>,
    /// Bytes in the row itself; `None` when there are none.
    pub(crate) data_bytes: Option<i64>,
    /// How many rows refer to the blob; 1 when all is well.
    pub(crate) blob_users: i64,
    /// Whether the blob is noted to be freed, although this row refers to it.
    pub(crate) blob_is_garbage: bool,
}

fn held(row: &Row) -> Result<Held> {
    Ok(Held {
        size_bytes: row.int("size_bytes")?,
        crc64nvme: row.opt_int("crc64nvme")?.map(i64::cast_unsigned),
        blob_id: row.opt_blob("blob_id")?,
        data_bytes: row.opt_int("data_bytes")?,
        blob_users: row.int("blob_users")?,
        blob_is_garbage: row.int("garbage")? > 0,
    })
}

/// Content, with a sum of its pieces.
pub(crate) struct ContentRow {
    pub(crate) id: ContentId,
    pub(crate) held: Held,
    pub(crate) piece_count: i64,
    pub(crate) pieces_size_bytes: i64,
}

/// The contents after an id, which is empty before the first.
pub(crate) async fn contents(tx: &mut Tx, after: &[u8]) -> Result<Vec<ContentRow>> {
    let rows = tx
        .fetch_all(
            "SELECT c.id AS id,
                    c.size_bytes AS size_bytes,
                    c.crc64nvme AS crc64nvme,
                    c.blob_id AS blob_id,
                    CAST(LENGTH(c.data) AS BIGINT) AS data_bytes,
                    (SELECT COUNT(*) FROM pieces p WHERE p.content_id = c.id) AS piece_count,
                    CAST((SELECT COALESCE(SUM(p.size_bytes), 0) FROM pieces p WHERE p.content_id = c.id) AS BIGINT)
                        AS pieces_size_bytes,
                    (SELECT COUNT(*) FROM contents x WHERE x.blob_id = c.blob_id)
                        + (SELECT COUNT(*) FROM pieces x WHERE x.blob_id = c.blob_id)
                        + (SELECT COUNT(*) FROM upload_parts x WHERE x.blob_id = c.blob_id) AS blob_users,
                    (SELECT COUNT(*) FROM garbage g WHERE g.blob_id = c.blob_id) AS garbage
             FROM contents c
             WHERE c.id > $1
             ORDER BY c.id
             LIMIT $2",
            values![after, ROWS],
        )
        .await?;
    rows.iter()
        .map(|row| {
            Ok(ContentRow {
                id: ContentId::stored(&row.blob("id")?)?,
                held: held(row)?,
                piece_count: row.int("piece_count")?,
                pieces_size_bytes: row.int("pieces_size_bytes")?,
            })
        })
        .collect()
}

/// A piece, with where it should begin.
pub(crate) struct PieceRow {
    pub(crate) content_id: ContentId,
    pub(crate) number: i64,
    pub(crate) start_bytes: i64,
    /// Where the piece before it ends.
    pub(crate) expected_start_bytes: i64,
    pub(crate) has_content: bool,
    pub(crate) held: Held,
}

/// The pieces after one of some content; the id is empty before the first.
pub(crate) async fn pieces(tx: &mut Tx, after: (&[u8], i64)) -> Result<Vec<PieceRow>> {
    let rows = tx
        .fetch_all(
            "SELECT p.content_id AS content_id,
                    p.number AS number,
                    p.start_bytes AS start_bytes,
                    p.size_bytes AS size_bytes,
                    p.crc64nvme AS crc64nvme,
                    p.blob_id AS blob_id,
                    CAST(LENGTH(p.data) AS BIGINT) AS data_bytes,
                    COALESCE((SELECT q.start_bytes + q.size_bytes FROM pieces q
                              WHERE q.content_id = p.content_id AND q.number < p.number
                              ORDER BY q.number DESC LIMIT 1), 0) AS expected_start_bytes,
                    (SELECT COUNT(*) FROM contents c WHERE c.id = p.content_id)
                        + (SELECT COUNT(*) FROM unused_contents n WHERE n.content_id = p.content_id) AS content_count,
                    (SELECT COUNT(*) FROM contents x WHERE x.blob_id = p.blob_id)
                        + (SELECT COUNT(*) FROM pieces x WHERE x.blob_id = p.blob_id)
                        + (SELECT COUNT(*) FROM upload_parts x WHERE x.blob_id = p.blob_id) AS blob_users,
                    (SELECT COUNT(*) FROM garbage g WHERE g.blob_id = p.blob_id) AS garbage
             FROM pieces p
             WHERE (p.content_id, p.number) > ($1, $2)
             ORDER BY p.content_id, p.number
             LIMIT $3",
            values![after.0, after.1, ROWS],
        )
        .await?;
    rows.iter()
        .map(|row| {
            Ok(PieceRow {
                content_id: ContentId::stored(&row.blob("content_id")?)?,
                number: row.int("number")?,
                start_bytes: row.int("start_bytes")?,
                expected_start_bytes: row.int("expected_start_bytes")?,
                has_content: row.int("content_count")? > 0,
                held: held(row)?,
            })
        })
        .collect()
}

/// A part of an open upload.
pub(crate) struct PartRow {
    pub(crate) upload_id: String,
    pub(crate) number: i64,
    pub(crate) has_upload: bool,
    pub(crate) held: Held,
}

/// The parts after one of an upload; the id is empty before the first.
pub(crate) async fn parts(tx: &mut Tx, after: (&str, i64)) -> Result<Vec<PartRow>> {
    let rows = tx
        .fetch_all(
            "SELECT p.upload_id AS upload_id,
                    p.number AS number,
                    p.size_bytes AS size_bytes,
                    p.crc64nvme AS crc64nvme,
                    p.blob_id AS blob_id,
                    CAST(LENGTH(p.data) AS BIGINT) AS data_bytes,
                    (SELECT COUNT(*) FROM uploads u JOIN buckets b ON b.id = u.bucket_id
                     WHERE u.upload_id = p.upload_id)
                        + (SELECT COUNT(*) FROM aborted_uploads a WHERE a.upload_id = p.upload_id) AS upload_count,
                    (SELECT COUNT(*) FROM contents x WHERE x.blob_id = p.blob_id)
                        + (SELECT COUNT(*) FROM pieces x WHERE x.blob_id = p.blob_id)
                        + (SELECT COUNT(*) FROM upload_parts x WHERE x.blob_id = p.blob_id) AS blob_users,
                    (SELECT COUNT(*) FROM garbage g WHERE g.blob_id = p.blob_id) AS garbage
             FROM upload_parts p
             WHERE (p.upload_id, p.number) > ($1, $2)
             ORDER BY p.upload_id, p.number
             LIMIT $3",
            values![after.0, after.1, ROWS],
        )
        .await?;
    rows.iter()
        .map(|row| {
            Ok(PartRow {
                upload_id: row.text("upload_id")?,
                number: row.int("number")?,
                has_upload: row.int("upload_count")? > 0,
                held: held(row)?,
            })
        })
        .collect()
}

/// Whether content, a piece or a part refers to a blob.
pub(crate) async fn is_used(tx: &mut Tx, blob_id: BlobId) -> Result<bool> {
    let row = tx.fetch_optional(concat!(users_of_blob!("$1"), " LIMIT 1"), values![blob_id.as_bytes()]).await?;
    Ok(row.is_some())
}

/// How often contents after an id are said to be shared; the id is empty before the first.
pub(crate) async fn refs(tx: &mut Tx, after: &[u8]) -> Result<Vec<(ContentId, i64)>> {
    let rows =
        tx.fetch_all("SELECT id, refs FROM contents WHERE id > $1 ORDER BY id LIMIT $2", values![after, ROWS]).await?;
    rows.iter().map(|row| Ok((ContentId::stored(&row.blob("id")?)?, row.int("refs")?))).collect()
}

/// How often content is said to be shared, of those whose id begins with two given bytes.
pub(crate) async fn refs_of_slot(tx: &mut Tx, slot: u16) -> Result<Vec<(ContentId, i64)>> {
    // 16 bytes of 0xff are the last id there can be, so the end is inclusive.
    let (mut from, mut to) = ([0_u8; 16], [0xff_u8; 16]);
    from[..2].copy_from_slice(&slot.to_be_bytes());
    to[..2].copy_from_slice(&slot.to_be_bytes());
    let rows = tx.fetch_all("SELECT id, refs FROM contents WHERE id >= $1 AND id <= $2", values![&from, &to]).await?;
    rows.iter().map(|row| Ok((ContentId::stored(&row.blob("id")?)?, row.int("refs")?))).collect()
}

/// The versions after a place, of the store or of those that were lost, with their content.
pub(crate) async fn shares(
    tx: &mut Tx,
    after: &VersionPlace,
    lost: bool,
) -> Result<Vec<(VersionPlace, Option<Vec<u8>>)>> {
    let sql = if lost {
        "SELECT bucket_id, key, seq, content_id FROM lost_versions
         WHERE (bucket_id, key, seq) > ($1, $2, $3) ORDER BY bucket_id, key, seq LIMIT $4"
    } else {
        "SELECT bucket_id, key, seq, content_id FROM versions
         WHERE (bucket_id, key, seq) > ($1, $2, $3) ORDER BY bucket_id, key, seq LIMIT $4"
    };
    let rows = tx.fetch_all(sql, values![after.bucket_id, after.key.as_slice(), after.seq, ROWS]).await?;
    rows.iter().map(|row| Ok((place_of(row)?, row.opt_blob("content_id")?))).collect()
}

/// The name of a bucket.
pub(crate) async fn bucket_name(tx: &mut Tx, id: i64) -> Result<Option<String>> {
    let row = tx.fetch_optional("SELECT name FROM buckets WHERE id = $1", values![id]).await?;
    row.map(|row| row.text("name")).transpose()
}

/// A bucket whose usage was counted again.
pub(crate) struct CountedBucket {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) kept: UsageDelta,
    pub(crate) counted: UsageDelta,
}

/// Counts the next bucket after an id.
pub(crate) async fn count_bucket(tx: &mut Tx, after: i64) -> Result<Option<CountedBucket>> {
    let row = tx
        .fetch_optional(
            "SELECT b.id AS id, b.name AS name FROM buckets b WHERE b.id > $1 ORDER BY b.id LIMIT 1",
            values![after],
        )
        .await?;
    let Some(row) = row else { return Ok(None) };
    let id = row.int("id")?;
    let counted = tx
        .fetch_one(
            "SELECT (SELECT COUNT(*) FROM versions WHERE bucket_id = $1 AND kind = 'object') AS object_count,
                    CAST((SELECT COALESCE(SUM(size_bytes), 0) FROM versions WHERE bucket_id = $1 AND kind = 'object')
                         AS BIGINT) AS size_bytes,
                    CAST((SELECT COALESCE(SUM(p.size_bytes), 0) FROM uploads u
                          JOIN upload_parts p ON p.upload_id = u.upload_id WHERE u.bucket_id = $1)
                         AS BIGINT) AS upload_size_bytes",
            values![id],
        )
        .await?;
    let kept = super::usage::sums_of_bucket(tx, id).await?;
    Ok(Some(CountedBucket { id, name: row.text("name")?, kept, counted: usage_of(&counted)? }))
}

pub(super) fn usage_of(row: &Row) -> Result<UsageDelta> {
    Ok(UsageDelta {
        object_count: row.int("object_count")?,
        size_bytes: row.int("size_bytes")?,
        upload_size_bytes: row.int("upload_size_bytes")?,
    })
}
