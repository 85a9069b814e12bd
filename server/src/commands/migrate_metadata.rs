//! `cloudhold migrate-metadata`: the metadata moves from SQLite into PostgreSQL.

use serde_json::json;

use super::store::offline_settings;
use super::{Shared, output};
use crate::upkeep::CALLER;

/// The store must not run; where to is what the configuration names, so that the next start finds it there.
pub(super) async fn run(shared: &Shared) -> anyhow::Result<u8> {
    let settings = offline_settings(shared)?;
    let moved = engine::move_metadata(&CALLER, &settings).await?;
    if shared.json {
        let tables: serde_json::Map<_, _> =
            moved.tables.iter().map(|copied| (copied.table.clone(), copied.rows.into())).collect();
        output::json(&json!({ "tables": tables, "kept": moved.kept }))?;
        return Ok(0);
    }
    for copied in &moved.tables {
        output::line(format!("moved    {:>10} rows of {}", copied.rows, copied.table))?;
    }
    if moved.tables.is_empty() {
        output::line("moved    nothing: all rows were there from an earlier run")?;
    }
    output::line(format!("kept     the old database is {}; nothing reads it any more", moved.kept.display()))?;
    Ok(0)
}
