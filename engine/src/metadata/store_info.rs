//! Facts about the store itself.

use super::{Tx, values};
use crate::Result;

pub(crate) async fn find(tx: &mut Tx, name: &str) -> Result<Option<String>> {
    let row = tx.fetch_optional("SELECT value FROM store_info WHERE name = $1", values![name]).await?;
    row.map(|row| row.text("value")).transpose()
}

/// The number that the embedded database takes next.
pub(crate) async fn next_number(tx: &mut Tx) -> Result<i64> {
    tx.fetch_one("SELECT next FROM sequence WHERE id = 1", Vec::new()).await?.int("next")
}

pub(crate) async fn set(tx: &mut Tx, name: &str, value: &str) -> Result<()> {
    tx.execute(
        "INSERT INTO store_info (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        values![name, value],
    )
    .await?;
    Ok(())
}
