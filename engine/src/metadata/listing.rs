//! SQL of listings: loops of indexed range reads that jump over common prefixes.

use super::{Row, Tx, values};
use crate::listing::{ListEntry, ListPage, ListRequest, ListedObject, VersionListRequest};
use crate::names::{ObjectKey, VersionId};
use crate::objects::StorageClass;
use crate::{Error, Result};

/// Rows read at once while no common prefix is in sight.
const ROWS_AT_ONCE: usize = 1001;

/// A position in a listing that moves forward: the first key to look at, and where the prefix ends.
pub(super) struct Cursor {
    pub(super) from: Vec<u8>,
    /// First key beyond the prefix; `None` when there is none.
    pub(super) end: Option<Vec<u8>>,
}

impl Cursor {
    pub(super) fn new(prefix: &str, delimiter: Option<&str>, after: Option<&str>) -> Self {
        let mut from = prefix.as_bytes().to_vec();
        if let Some(after) = after {
            let folded = is_common_prefix(prefix, delimiter, after);
            let next = if folded { successor(after.as_bytes()) } else { Some(just_after(after.as_bytes())) };
            // No successor means that nothing can follow: a key of only 0xff bytes is beyond all UTF-8.
            from = from.max(next.unwrap_or_else(|| vec![0xff]));
        }
        Self { from, end: successor(prefix.as_bytes()) }
    }

    /// The end as a parameter: no key of UTF-8 begins with 0xff.
    pub(super) fn end_or_last(&self) -> Vec<u8> {
        self.end.clone().unwrap_or_else(|| vec![0xff])
    }
}

/// The least key greater than `key`.
pub(super) fn just_after(key: &[u8]) -> Vec<u8> {
    let mut next = key.to_vec();
    next.push(0);
    next
}

/// The least key that does not begin with `prefix` and is greater than all that do; `None` when there is none.
pub(super) fn successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut next = prefix.to_vec();
    while let Some(last) = next.pop() {
        if last < 0xff {
            next.push(last + 1);
            return Some(next);
        }
    }
    None
}

/// Length of the common prefix into which a key folds: through the first delimiter after the prefix.
pub(super) fn common_prefix(prefix: &str, delimiter: &str, key: &[u8]) -> Option<usize> {
    if delimiter.is_empty() {
        return None;
    }
    let rest = key.strip_prefix(prefix.as_bytes())?;
    let at = rest.windows(delimiter.len()).position(|window| window == delimiter.as_bytes())?;
    Some(prefix.len() + at + delimiter.len())
}

/// Whether a marker is a common prefix that an earlier page ended with.
pub(super) fn is_common_prefix(prefix: &str, delimiter: Option<&str>, marker: &str) -> bool {
    delimiter.is_some_and(|d| common_prefix(prefix, d, marker.as_bytes()) == Some(marker.len()))
}

pub(super) fn prefix_text(key: &[u8], length: usize) -> Result<String> {
    String::from_utf8(key[..length].to_vec()).map_err(|_| Error::corrupt("a stored object key is not UTF-8"))
}

/// What a step of a listing does with a row.
enum Step {
    /// The page is full, and the row is beyond it.
    Full,
    /// The row was taken; go on with the next.
    Taken,
    /// The row folded into a common prefix; jump there.
    Jump(Vec<u8>),
}

struct Page<'r> {
    request: &'r ListRequest,
    entries: Vec<ListEntry>,
}

impl Page<'_> {
    fn take(&mut self, row: &Row, latest: Option<bool>) -> Result<Step> {
        let full = self.entries.len() >= self.request.entries_max;
        let key = row.blob("key")?;
        let folded = self.request.delimiter.as_deref().and_then(|d| common_prefix(&self.request.prefix, d, &key));
        if full {
            return Ok(Step::Full);
        }
        if let Some(length) = folded {
            let text = prefix_text(&key, length)?;
            let next = successor(text.as_bytes()).unwrap_or_else(|| vec![0xff]);
            self.entries.push(ListEntry::CommonPrefix(text));
            return Ok(Step::Jump(next));
        }
        self.entries.push(ListEntry::Object(listed(row, key, latest)?));
        Ok(Step::Taken)
    }
}

fn listed(row: &Row, key: Vec<u8>, latest: Option<bool>) -> Result<ListedObject> {
    Ok(ListedObject {
        key: ObjectKey::stored(key)?,
        version_id: VersionId::stored(row.text("version_id")?),
        size_bytes: row.size("size_bytes")?,
        etag: row.text("etag")?,
        modified_us: row.int("modified_us")?,
        storage_class: StorageClass::parse(&row.text("storage_class")?)?,
        latest: latest.unwrap_or(true),
        delete_marker: match latest {
            None => false,
            Some(_) => row.text("kind")? == "marker",
        },
    })
}

/// A page of current objects.
pub(crate) async fn objects(tx: &mut Tx, bucket_id: i64, request: &ListRequest) -> Result<ListPage> {
    let mut page = Page { request, entries: Vec::new() };
    if request.entries_max == 0 {
        return Ok(ListPage { entries: page.entries, truncated: false });
    }
    let mut cursor = Cursor::new(&request.prefix, request.delimiter.as_deref(), request.after.as_deref());
    let end = cursor.end_or_last();
    // After a jump the next row is likely a common prefix again, so reads begin small and grow while objects come.
    let mut at_once = if request.delimiter.is_some() { 16 } else { ROWS_AT_ONCE };
    'reads: loop {
        let limit = at_once.min(request.entries_max + 1 - page.entries.len());
        let rows = tx
            .fetch_all(
                "SELECT key, version_id, size_bytes, etag, modified_us, storage_class FROM current
                 WHERE bucket_id = $1 AND key >= $2 AND key < $3 ORDER BY key LIMIT $4",
                values![bucket_id, cursor.from.as_slice(), end.as_slice(), limit as i64],
            )
            .await?;
        for row in &rows {
            match page.take(row, None)? {
                Step::Full => return Ok(ListPage { entries: page.entries, truncated: true }),
                Step::Taken => {}
                Step::Jump(next) => {
                    cursor.from = next;
                    at_once = 1;
                    continue 'reads;
                }
            }
        }
        if rows.len() < limit {
            return Ok(ListPage { entries: page.entries, truncated: false });
        }
        let last = rows.last().ok_or(Error::Internal("a listing read no rows"))?;
        cursor.from = just_after(&last.blob("key")?);
        at_once = (at_once * 4).min(ROWS_AT_ONCE);
    }
}

/// A page of versions, newest first within a key.
pub(crate) async fn versions(tx: &mut Tx, bucket_id: i64, request: &VersionListRequest) -> Result<ListPage> {
    let list = &request.list;
    let mut page = Page { request: list, entries: Vec::new() };
    if list.entries_max == 0 {
        return Ok(ListPage { entries: page.entries, truncated: false });
    }
    let mut cursor = Cursor::new(&list.prefix, list.delimiter.as_deref(), list.after.as_deref());
    let end = cursor.end_or_last();
    // Without a version the marker's key is done; with one, its older versions follow. A common prefix has no versions.
    let mut below_seq = i64::MAX;
    if let (Some(after), Some(version)) = (&list.after, &request.after_version)
        && after.as_bytes() >= list.prefix.as_bytes()
        && !is_common_prefix(&list.prefix, list.delimiter.as_deref(), after)
    {
        below_seq = seq_of(tx, bucket_id, after, version).await?;
        cursor.from = after.as_bytes().to_vec();
    }
    'reads: loop {
        let rows = version_rows(tx, bucket_id, &cursor.from, &end, below_seq).await?;
        for row in &rows {
            let latest = row.int("seq")? == row.int("latest_seq")?;
            match page.take(row, Some(latest))? {
                Step::Full => return Ok(ListPage { entries: page.entries, truncated: true }),
                Step::Taken => {}
                Step::Jump(next) => {
                    (cursor.from, below_seq) = (next, i64::MAX);
                    continue 'reads;
                }
            }
        }
        let Some(last) = rows.last().filter(|_| rows.len() == ROWS_AT_ONCE) else {
            return Ok(ListPage { entries: page.entries, truncated: false });
        };
        (cursor.from, below_seq) = (last.blob("key")?, last.int("seq")?);
    }
}

async fn version_rows(tx: &mut Tx, bucket_id: i64, from: &[u8], end: &[u8], below_seq: i64) -> Result<Vec<Row>> {
    tx.fetch_all(
        "SELECT v.key, v.seq, v.version_id, v.kind, v.size_bytes, v.etag, v.modified_us, v.storage_class,
                (SELECT MAX(n.seq) FROM versions n WHERE n.bucket_id = v.bucket_id AND n.key = v.key) AS latest_seq
         FROM versions v
         WHERE v.bucket_id = $1 AND v.key >= $2 AND v.key < $3 AND (v.key > $2 OR v.seq < $4)
         ORDER BY v.key, v.seq DESC LIMIT $5",
        values![bucket_id, from, end, below_seq, ROWS_AT_ONCE as i64],
    )
    .await
}

async fn seq_of(tx: &mut Tx, bucket_id: i64, key: &str, version: &VersionId) -> Result<i64> {
    let row = tx
        .fetch_optional(
            "SELECT seq FROM versions WHERE bucket_id = $1 AND key = $2 AND version_id = $3",
            values![bucket_id, key.as_bytes(), version.as_str()],
        )
        .await?;
    // A version that is gone leaves only its key as the marker: everything of that key was listed or is gone.
    row.map_or(Ok(0), |row| row.int("seq"))
}
