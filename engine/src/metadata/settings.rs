//! SQL of what is set on buckets: a row for each kind of setting.

use super::{Tx, values};
use crate::Result;
use crate::journal::{How, Note};

/// Everything that is set on a bucket, as kind and value.
pub(crate) async fn of_bucket(tx: &mut Tx, bucket_id: i64) -> Result<Vec<(String, String)>> {
    let rows = tx
        .fetch_all("SELECT kind, value FROM bucket_settings WHERE bucket_id = $1 ORDER BY kind", values![bucket_id])
        .await?;
    rows.iter().map(|row| Ok((row.text("kind")?, row.text("value")?))).collect()
}

/// What a bucket has of a kind.
pub(crate) async fn of_kind(tx: &mut Tx, bucket_id: i64, kind: &'static str) -> Result<Option<String>> {
    let row = tx
        .fetch_optional(
            "SELECT value FROM bucket_settings WHERE bucket_id = $1 AND kind = $2",
            values![bucket_id, kind],
        )
        .await?;
    row.map(|row| row.text("value")).transpose()
}

/// Sets a kind, or takes it away.
pub(crate) async fn set(tx: &mut Tx, bucket_id: i64, kind: &'static str, value: Option<&str>) -> Result<()> {
    match value {
        Some(value) => {
            tx.execute(
                "INSERT INTO bucket_settings (bucket_id, kind, value) VALUES ($1, $2, $3)
                 ON CONFLICT (bucket_id, kind) DO UPDATE SET value = excluded.value",
                values![bucket_id, kind, value],
            )
            .await?;
        }
        None => {
            let taken = values![bucket_id, kind];
            tx.execute("DELETE FROM bucket_settings WHERE bucket_id = $1 AND kind = $2", taken).await?;
        }
    }
    tx.note(Note::in_bucket(How::Changed, "setting of a bucket", bucket_id, kind));
    Ok(())
}

/// Forgets everything that was set on a bucket.
pub(super) async fn forget(tx: &mut Tx, bucket_id: i64) -> Result<()> {
    tx.execute("DELETE FROM bucket_settings WHERE bucket_id = $1", values![bucket_id]).await?;
    Ok(())
}
