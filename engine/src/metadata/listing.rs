//! SQL of listings: loops of indexed range reads that jump over common prefixes.

use std::cmp::Reverse;

use super::objects::is_marker;
use super::scan::go_on;
use super::{Row, Script, Tx, values, versions};
use crate::listing::{ListEntry, ListPage, ListRequest, ListedObject, VersionListRequest};
use crate::meta::Meta;
use crate::names::{ObjectKey, VersionId};
use crate::objects::StorageClass;
use crate::version_ids::VersionIds;
use crate::{Error, Result};

/// Rows read at once while no common prefix is in sight.
const ROWS_AT_ONCE: usize = 1001;
/// Rows read at first where a common prefix may come any moment.
const ROWS_AT_FIRST: usize = 16;

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
    /// How many rows to read at once. After a jump the next row is likely a common prefix again, so reads begin small and grow while
    /// objects come.
    at_once: usize,
    /// How many jumps to make at once; 0 while objects come. It grows while common prefixes come.
    jumps: usize,
}

impl<'r> Page<'r> {
    fn new(request: &'r ListRequest) -> Self {
        let at_once = if request.delimiter.is_some() { ROWS_AT_FIRST } else { ROWS_AT_ONCE };
        Self { request, entries: Vec::new(), at_once, jumps: 0 }
    }

    /// How many rows the next read needs: never more than the page takes, and one that says whether more follows.
    fn rows_max(&self) -> usize {
        self.at_once.min(self.request.entries_max + 1 - self.entries.len())
    }

    /// Takes a row: of a version, or of a current object.
    fn take(&mut self, row: &Row, version: Option<&Listed>) -> Result<Step> {
        if self.entries.len() >= self.request.entries_max {
            return Ok(Step::Full);
        }
        let key = row.blob("key")?;
        let folded = self.request.delimiter.as_deref().and_then(|d| common_prefix(&self.request.prefix, d, &key));
        if let Some(length) = folded {
            let text = prefix_text(&key, length)?;
            let next = successor(text.as_bytes()).unwrap_or_else(|| vec![0xff]);
            self.entries.push(ListEntry::CommonPrefix(text));
            self.at_once = 1;
            self.jumps = (self.jumps * 4).clamp(1, ROWS_AT_ONCE);
            return Ok(Step::Jump(next));
        }
        self.jumps = 0;
        self.entries.push(ListEntry::Object(listed(row, key, version)?));
        Ok(Step::Taken)
    }

    /// A read gave only objects.
    fn grow(&mut self) {
        self.at_once = (self.at_once * 4).min(ROWS_AT_ONCE);
    }

    fn end(self, truncated: bool) -> ListPage {
        ListPage { entries: self.entries, truncated }
    }
}

/// A row of a listing's columns, [`facts!`] among them.
fn listed(row: &Row, key: Vec<u8>, version: Option<&Listed>) -> Result<ListedObject> {
    let facts = row.text("facts")?;
    let mut fields = facts.splitn(4, ' ');
    let mut field = || fields.next().ok_or_else(|| Error::corrupt("a row of a listing lacks a fact"));
    Ok(ListedObject {
        key: ObjectKey::stored(key)?,
        version_id: version.map(|version| version.version_id.clone()),
        size_bytes: number(field()?)?,
        modified_us: number(field()?)?,
        storage_class: StorageClass::parse(field()?)?,
        etag: field()?.to_owned(),
        latest: version.is_none_or(|version| version.latest),
        delete_marker: version.is_some_and(|version| version.delete_marker),
        description: None,
    })
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T> {
    text.parse().map_err(|_| Error::corrupt("a number in a row of a listing is none"))
}

/// What a listing shows of an object beside its key, as one text: each column of a row costs more than all that is in it, on its way
/// from the database's thread. The entity tag comes last.
macro_rules! facts {
    ($table:literal) => {
        concat!(
            $table,
            "size_bytes || ' ' || ",
            $table,
            "modified_us || ' ' || ",
            $table,
            "storage_class || ' ' || ",
            $table,
            "etag AS facts"
        )
    };
}

/// What a listing of versions shows beside.
struct Listed {
    version_id: VersionId,
    latest: bool,
    delete_marker: bool,
}

/// A page of current objects.
pub(crate) async fn objects(tx: &mut Tx, bucket_id: i64, request: &ListRequest) -> Result<ListPage> {
    let mut page = Page::new(request);
    if request.entries_max == 0 {
        return Ok(page.end(false));
    }
    let mut cursor = Cursor::new(&request.prefix, request.delimiter.as_deref(), request.after.as_deref());
    let end = cursor.end_or_last();
    'reads: loop {
        if let (1.., Some(delimiter)) = (page.jumps, request.delimiter.as_deref()) {
            let steps_max = page.jumps.min(request.entries_max + 1 - page.entries.len());
            let rows = walk(tx, bucket_id, &cursor.from, &end, (&request.prefix, delimiter), steps_max).await?;
            for row in &rows {
                match page.take(row, None)? {
                    Step::Full => return Ok(page.end(true)),
                    Step::Taken => go_on(&mut cursor.from, just_after(&row.blob("key")?))?,
                    Step::Jump(next) => go_on(&mut cursor.from, next)?,
                }
            }
            if rows.len() < steps_max {
                return Ok(page.end(false));
            }
            continue;
        }
        let rows_max = page.rows_max();
        let rows = tx
            .fetch_all(
                concat!(
                    "SELECT key, ",
                    facts!(""),
                    " FROM current WHERE bucket_id = $1 AND key >= $2 AND key < $3 ORDER BY key LIMIT $4"
                ),
                values![bucket_id, cursor.from.as_slice(), end.as_slice(), rows_max as i64],
            )
            .await?;
        for row in &rows {
            match page.take(row, None)? {
                Step::Full => return Ok(page.end(true)),
                Step::Taken => {}
                Step::Jump(next) => {
                    go_on(&mut cursor.from, next)?;
                    continue 'reads;
                }
            }
        }
        let Some(last) = rows.last().filter(|_| rows.len() == rows_max) else { return Ok(page.end(false)) };
        go_on(&mut cursor.from, just_after(&last.blob("key")?))?;
        page.grow();
    }
}

/// Reads a key, then the first one beyond all that fold into the same common prefix, and so on. In SQLite two BLOBs put together are TEXT,
/// which sorts below every BLOB, hence the casts; CROSS JOIN and the order by steps keep it from going over all keys instead of all steps.
/// PostgreSQL brings the row with its key: there a second search costs as much as the step.
const WALK: Script = Script {
    sqlite: concat!(
        "WITH RECURSIVE walk (key, step) AS (
                 SELECT (SELECT key FROM current WHERE bucket_id = $1 AND key >= $2 AND key < $3 ORDER BY key LIMIT 1), 1
                 UNION ALL
                 SELECT (SELECT c.key FROM current c
                         WHERE c.bucket_id = $1
                           AND c.key >= CASE instr(substr(w.key, $4), $5)
                                   WHEN 0 THEN CAST(w.key || $7 AS BLOB)
                                   ELSE CAST(substr(w.key, 1, $4 + instr(substr(w.key, $4), $5) - 2) || $6 AS BLOB)
                               END
                           AND c.key < $3
                         ORDER BY c.key LIMIT 1),
                        w.step + 1
                 FROM walk w
                 WHERE w.key IS NOT NULL AND w.step < $8
             )
             SELECT c.key, ",
        facts!("c."),
        "    FROM walk w CROSS JOIN current c
             WHERE c.bucket_id = $1 AND c.key = w.key
             ORDER BY w.step"
    ),
    postgres: concat!(
        "WITH RECURSIVE walk (key, facts, step) AS (
                   (SELECT c.key, ",
        facts!("c."),
        ", CAST(1 AS BIGINT)
                    FROM current c WHERE c.bucket_id = $1 AND c.key >= $2 AND c.key < $3 ORDER BY c.key LIMIT 1)
                   UNION ALL
                   SELECT next.key, next.facts, w.step + 1
                   FROM walk w
                   CROSS JOIN LATERAL (
                       SELECT c.key, ",
        facts!("c."),
        "              FROM current c
                       WHERE c.bucket_id = $1
                         AND c.key >= CASE position($5 IN substring(w.key FROM CAST($4 AS INTEGER)))
                                 WHEN 0 THEN w.key || $7
                                 ELSE substring(w.key FROM 1 FOR CAST($4 AS INTEGER) - 2
                                          + position($5 IN substring(w.key FROM CAST($4 AS INTEGER)))) || $6
                             END
                         AND c.key < $3
                       ORDER BY c.key LIMIT 1
                   ) next
                   WHERE w.step < $8
               )
               SELECT key, facts FROM walk ORDER BY step"
    ),
};

/// The rows at which a listing with a delimiter would look next, at most so many.
async fn walk(
    tx: &mut Tx,
    bucket_id: i64,
    from: &[u8],
    end: &[u8],
    (prefix, delimiter): (&str, &str),
    steps_max: usize,
) -> Result<Vec<Row>> {
    // No delimiter of UTF-8 ends with 0xff, so that it has a successor of its own length.
    let beyond = successor(delimiter.as_bytes()).unwrap_or_default();
    tx.fetch_all(
        WALK.of(tx),
        values![
            bucket_id,
            from,
            end,
            (prefix.len() + 1) as i64,
            delimiter.as_bytes(),
            beyond,
            [0_u8].as_slice(),
            steps_max as i64
        ],
    )
    .await
}

/// Where a listing of versions goes on: at a key, below a place in its history.
struct History {
    from: Vec<u8>,
    below_seq: i64,
    /// The key of which a newer version was passed: what else it has is not the latest.
    passed: Option<Vec<u8>>,
}

/// A page of versions, newest first within a key.
pub(crate) async fn versions(
    tx: &mut Tx,
    ids: &VersionIds,
    bucket_id: i64,
    request: &VersionListRequest,
) -> Result<ListPage> {
    let list = &request.list;
    let mut page = Page::new(list);
    if list.entries_max == 0 {
        return Ok(page.end(false));
    }
    let mut history = begin(tx, ids, bucket_id, request).await?;
    let end = successor(list.prefix.as_bytes()).unwrap_or_else(|| vec![0xff]);
    'reads: loop {
        let rows_max = page.rows_max();
        let rows = version_rows(tx, bucket_id, &history, &end, rows_max).await?;
        for row in &rows {
            let key = row.blob("key")?;
            let version = Listed {
                version_id: VersionId::stored(row.text("version_id")?),
                latest: history.passed.as_ref() != Some(&key),
                delete_marker: is_marker(row)?,
            };
            match page.take(row, Some(&version))? {
                Step::Full => return Ok(page.end(true)),
                Step::Taken => history.passed = Some(key),
                Step::Jump(next) => {
                    go_on(&mut history.from, next)?;
                    history = History { from: history.from, below_seq: i64::MAX, passed: None };
                    continue 'reads;
                }
            }
        }
        let Some(last) = rows.last().filter(|_| rows.len() == rows_max) else { return Ok(page.end(false)) };
        // Newest first, so numbers go down.
        let mut place = (history.from, Reverse(history.below_seq));
        go_on(&mut place, (last.blob("key")?, Reverse(last.int("seq")?)))?;
        (history.from, Reverse(history.below_seq)) = place;
        page.grow();
    }
}

/// Where a page of versions begins. Without a version the marker's key is done; with one, its older versions follow. A common prefix has
/// no versions.
async fn begin(tx: &mut Tx, ids: &VersionIds, bucket_id: i64, request: &VersionListRequest) -> Result<History> {
    let list = &request.list;
    let cursor = Cursor::new(&list.prefix, list.delimiter.as_deref(), list.after.as_deref());
    let at_key = History { from: cursor.from, below_seq: i64::MAX, passed: None };
    let (Some(after), Some(version)) = (&list.after, &request.after_version) else { return Ok(at_key) };
    if after.as_bytes() < list.prefix.as_bytes() || is_common_prefix(&list.prefix, list.delimiter.as_deref(), after) {
        return Ok(at_key);
    }
    // No object has a key that cannot be one, so nothing lies at it.
    let Ok(key) = ObjectKey::new(after.as_str()) else { return Ok(at_key) };
    let found = versions::by_id(tx, ids, bucket_id, &key, version).await?;
    // A version that is gone still tells its place, except `null`: then the key begins again, so that nothing is missed.
    let below_seq = found.map(|entry| entry.seq()).or_else(|| ids.seq_of(version)).unwrap_or(i64::MAX);
    let newest = versions::latest(tx, bucket_id, &key).await?;
    let passed = newest.is_some_and(|entry| entry.seq() >= below_seq).then(|| key.as_bytes().to_vec());
    Ok(History { from: key.as_bytes().to_vec(), below_seq, passed })
}

async fn version_rows(tx: &mut Tx, bucket_id: i64, history: &History, end: &[u8], rows_max: usize) -> Result<Vec<Row>> {
    tx.fetch_all(
        concat!(
            "SELECT key, seq, version_id, kind, ",
            facts!(""),
            " FROM versions
              WHERE bucket_id = $1 AND key >= $2 AND key < $3 AND (key > $2 OR seq < $4)
              ORDER BY key, seq DESC LIMIT $5"
        ),
        values![bucket_id, history.from.as_slice(), end, history.below_seq, rows_max as i64],
    )
    .await
}

/// What is kept with the objects of a page, in their order. Between two of them that follow each other lies no other key, so each such run is
/// one read.
pub(crate) async fn metas(tx: &mut Tx, bucket_id: i64, page: &ListPage) -> Result<Vec<Meta>> {
    let runs = page.entries.chunk_by(|a, b| matches!((a, b), (ListEntry::Object(_), ListEntry::Object(_))));
    let mut metas = Vec::new();
    for run in runs {
        let Some(ListEntry::Object(first)) = run.first() else { continue };
        let rows = tx
            .fetch_all(
                "SELECT v.meta FROM current c
                 JOIN versions v ON v.bucket_id = c.bucket_id AND v.key = c.key AND v.seq = c.seq
                 WHERE c.bucket_id = $1 AND c.key >= $2 ORDER BY c.key LIMIT $3",
                values![bucket_id, first.key.as_bytes(), run.len() as i64],
            )
            .await?;
        if rows.len() != run.len() {
            return Err(Error::corrupt("a current object has no version"));
        }
        for row in &rows {
            metas.push(Meta::from_json(&row.text("meta")?)?);
        }
    }
    Ok(metas)
}

#[cfg(test)]
mod tests {
    use sqlx::{Connection as _, Row as _, SqlSafeStr as _, SqliteConnection};

    use super::*;
    use crate::metadata::migrate;

    /// Of a walk through a million keys in a thousand steps, SQLite must look at a thousand rows: each step is a search by bucket and key.
    #[tokio::test]
    async fn a_walk_searches_and_never_scans_the_keys() {
        let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        migrate::sqlite(&mut connection).await.unwrap();
        let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {}", WALK.sqlite)).into_sql_str();
        let plan = sqlx::query(explain).fetch_all(&mut connection).await.unwrap();
        let steps: Vec<String> = plan.iter().map(|row| row.get("detail")).collect();
        let of_keys: Vec<_> = steps.iter().filter(|step| step.contains("current") || step.contains(" c ")).collect();
        assert_eq!(of_keys.len(), 3, "{steps:#?}");
        for step in of_keys {
            assert!(step.starts_with("SEARCH") && step.contains("bucket_id=? AND key"), "{steps:#?}");
        }
    }
}
