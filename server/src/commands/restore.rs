//! `cloudhold restore`: a back-up becomes a data directory.

use std::path::PathBuf;

use clap::Args;

use super::backup::left_out;
use super::progress::engine_progress;
use super::store::offline_settings;
use super::{Shared, output};
use crate::upkeep::CALLER;

#[derive(Debug, Args)]
pub(super) struct RestoreArgs {
    /// The back-up, or a directory of back-ups for the newest one
    backup: PathBuf,
    /// The key ring of the store that was backed up; it is compared and copied to its place
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Move what is in the data directory, and in the PostgreSQL database, aside
    #[arg(long)]
    force: bool,
}

/// The exit code is 1 when something could not be restored.
pub(super) async fn run(shared: &Shared, args: &RestoreArgs) -> anyhow::Result<u8> {
    let settings = offline_settings(shared)?;
    let key_file = args.key_file.as_deref();
    let restored =
        engine::restore_backup(&CALLER, &settings, &args.backup, key_file, args.force, &engine_progress()).await?;
    let code = u8::from(!restored.damaged.is_empty());
    if shared.json {
        output::json(&restored)?;
        return Ok(code);
    }
    let dir = settings.data_dir.display();
    output::line(format!("restored {} of {} into {dir}", restored.backup.display(), output::time(restored.taken_us)))?;
    output::line(format!("         {} blobs, {}", restored.blob_count, output::size(restored.size_bytes)))?;
    if let Some(aside) = &restored.moved_aside {
        output::line(format!("aside    what was there is in {}", aside.display()))?;
    }
    if let Some(old) = &restored.old_database {
        output::line(format!("aside    the tables that were in the database are in {old}"))?;
    }
    for damaged in &restored.damaged {
        output::line(format!("DAMAGED  {}: {}", damaged.subject, damaged.detail))?;
    }
    if !restored.damaged.is_empty() {
        output::line("         `cloudhold fsck` names the objects that this concerns")?;
    }
    match &restored.key_file {
        Some(path) => output::line(format!("keys     {}", path.display()))?,
        None => output::line(format!(
            "KEYS     bring the key ring of the backed-up store to {dir}/keys.json (mode 0600) before the store is started: \
             access keys cannot be read without it, and a start refuses any other ring"
        ))?,
    }
    left_out(&restored.left_out)?;
    Ok(code)
}
