//! SQL that compares what the journal says with what a rebuilt database has.

use super::check::VersionPlace;
use super::{Tx, values};
use crate::Result;

/// Where a version or a marker is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// In its bucket, with its version id.
    There(String),
    /// Put aside, as its bytes are gone.
    PutAside,
    /// Nowhere.
    Gone,
}

/// Where the version or marker of a place is.
pub(crate) async fn standing(tx: &mut Tx, at: &VersionPlace) -> Result<Standing> {
    let place = || values![at.bucket_id, at.key.as_slice(), at.seq];
    let there = "SELECT version_id FROM versions WHERE bucket_id = $1 AND key = $2 AND seq = $3";
    if let Some(row) = tx.fetch_optional(there, place()).await? {
        return Ok(Standing::There(row.text("version_id")?));
    }
    let put_aside = "SELECT 1 AS one FROM lost_versions WHERE bucket_id = $1 AND key = $2 AND seq = $3";
    Ok(match tx.fetch_optional(put_aside, place()).await? {
        Some(_) => Standing::PutAside,
        None => Standing::Gone,
    })
}

/// A version that was put aside.
pub(crate) struct LostVersion {
    pub(crate) place: VersionPlace,
    pub(crate) version_id: String,
    pub(crate) size_bytes: u64,
    pub(crate) modified_us: i64,
}

/// Some of the versions after a place that were put aside since a time.
pub(crate) async fn lost_since(
    tx: &mut Tx,
    after: &VersionPlace,
    since_us: i64,
    rows_max: usize,
) -> Result<Vec<LostVersion>> {
    let rows_max = i64::try_from(rows_max).unwrap_or(i64::MAX);
    let rows = tx
        .fetch_all(
            "SELECT bucket_id, key, seq, version_id, size_bytes, modified_us FROM lost_versions
             WHERE (bucket_id, key, seq) > ($1, $2, $3) AND lost_us >= $4 ORDER BY bucket_id, key, seq LIMIT $5",
            values![after.bucket_id, after.key.as_slice(), after.seq, since_us, rows_max],
        )
        .await?;
    let found = rows.iter().map(|row| {
        Ok(LostVersion {
            place: VersionPlace { bucket_id: row.int("bucket_id")?, key: row.blob("key")?, seq: row.int("seq")? },
            version_id: row.text("version_id")?,
            size_bytes: row.size("size_bytes")?,
            modified_us: row.int("modified_us")?,
        })
    });
    found.collect()
}
