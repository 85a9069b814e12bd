//! `cloudhold backup ...`: back-ups are made, listed, verified and removed.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use engine::{BackupInfo, VerifyReport};
use serde_json::json;

use super::progress::engine_progress;
use super::store::{Store, offline_settings};
use super::{Shared, output};
use crate::upkeep::{BackedUp, Backup, CALLER};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct BackupArgs {
    #[command(subcommand)]
    command: Option<BackupCommand>,
    /// The directory of the back-ups; made when it is empty or absent
    #[arg(required = true)]
    directory: Option<PathBuf>,
    /// Keep the metadata and small objects only
    #[arg(long)]
    metadata_only: bool,
    /// Read all of the back-up afterwards and compare it with its checksums
    #[arg(long)]
    verify: bool,
    /// Read every copy that is there already, and make those anew that are damaged; otherwise each back-up reads some of them
    #[arg(long, conflicts_with = "metadata_only")]
    verify_pool: bool,
}

#[derive(Debug, Subcommand)]
enum BackupCommand {
    /// Show the back-ups in a directory
    List {
        /// The directory
        directory: PathBuf,
    },
    /// Read a back-up and compare it with its checksums
    Verify {
        /// The back-up, or a directory of back-ups for the newest one
        path: PathBuf,
    },
    /// Remove old back-ups and the blobs that only they needed
    Prune {
        /// The directory
        directory: PathBuf,
        /// How many of the newest stay
        #[arg(long)]
        keep: usize,
    },
}

/// The exit code is 1 when something is damaged.
pub(super) async fn run(shared: &Shared, args: BackupArgs) -> anyhow::Result<u8> {
    match args.command {
        Some(BackupCommand::List { directory }) => list(shared, &directory).await,
        Some(BackupCommand::Verify { path }) => {
            let report = engine::verify_backup(&CALLER, &offline_settings(shared)?, &path, &engine_progress()).await?;
            if shared.json {
                output::json(&report)?;
            } else {
                show_verified(&report)?;
            }
            Ok(u8::from(!report.damaged.is_empty()))
        }
        Some(BackupCommand::Prune { directory, keep }) => prune(shared, &directory, keep).await,
        None => {
            let directory = std::path::absolute(args.directory.unwrap_or_default())?;
            let BackupArgs { metadata_only, verify, verify_pool, .. } = args;
            make(shared, &Backup { directory, metadata_only, verify, verify_pool }).await
        }
    }
}

async fn make(shared: &Shared, request: &Backup) -> anyhow::Result<u8> {
    let work = async |request: &Backup, engine: &_, on_progress: &_| request.run(engine, on_progress).await;
    let BackedUp { made, verified } = Store::reach(shared).await?.run("backup", request, work).await?;
    let is_damaged = !made.damaged.is_empty() || verified.as_ref().is_some_and(|report| !report.damaged.is_empty());
    if shared.json {
        output::json(&json!({ "made": made, "verified": verified }))?;
        return Ok(u8::from(is_damaged));
    }
    output::line(format!(
        "made     {}: metadata {}, {} blobs ({}), of which {} copied now ({})",
        made.path.display(),
        output::size(made.metadata_size_bytes),
        made.blob_count,
        output::size(made.blobs_size_bytes),
        made.copied_count,
        output::size(made.copied_size_bytes)
    ))?;
    if made.verified_count > 0 {
        let (count, size) = (made.verified_count, output::size(made.verified_size_bytes));
        output::line(format!("read     {count} copies that were there before ({size})"))?;
    }
    for what in &made.replaced {
        output::line(format!("MENDED   {what}: the copy was made anew"))?;
    }
    for what in &made.damaged {
        output::line(format!("DAMAGED  {what}: it is not in the back-up"))?;
    }
    if let Some(report) = &verified {
        show_verified(report)?;
    }
    left_out(&made.left_out)?;
    Ok(u8::from(is_damaged))
}

/// What whoever restores has to bring from elsewhere.
pub(super) fn left_out(left_out: &[String]) -> anyhow::Result<()> {
    for what in left_out {
        output::note(format!("NOT IN IT {what}"))?;
    }
    Ok(())
}

fn show_verified(report: &VerifyReport) -> anyhow::Result<()> {
    for damaged in &report.damaged {
        output::line(format!("DAMAGED  {}: {}", damaged.subject, damaged.detail))?;
    }
    if !report.damaged.is_empty() {
        output::note(
            "`cloudhold backup DIR --verify-pool` makes damaged copies anew, as far as the store has their blobs",
        )?;
    }
    if report.damaged.is_empty() {
        let (count, size) = (report.blob_count, output::size(report.size_bytes));
        output::line(format!("whole    {}: {count} blobs, {size}", report.path.display()))?;
    }
    Ok(())
}

async fn list(shared: &Shared, directory: &Path) -> anyhow::Result<u8> {
    let backups: Vec<BackupInfo> = engine::list_backups(&CALLER, directory).await?;
    if shared.json {
        output::json(&backups)?;
        return Ok(0);
    }
    for backup in backups {
        let blobs = backup.blob_count.map_or_else(
            || "no blobs".to_owned(),
            |count| format!("{count} blobs of {}", output::size(backup.blobs_size_bytes)),
        );
        let damaged =
            if backup.damaged_count == 0 { String::new() } else { format!(", {} damaged", backup.damaged_count) };
        output::line(format!(
            "{}  {}  metadata {}, {blobs}{damaged}",
            output::time(backup.taken_us),
            backup.path.display(),
            output::size(backup.metadata_size_bytes)
        ))?;
    }
    Ok(0)
}

async fn prune(shared: &Shared, directory: &Path, keep: usize) -> anyhow::Result<u8> {
    let (removed, blob_count) = engine::prune_backups(&CALLER, &offline_settings(shared)?, directory, keep).await?;
    if shared.json {
        output::json(&json!({ "removed": removed, "blob_count": blob_count }))?;
        return Ok(0);
    }
    for path in &removed {
        output::line(format!("removed  {}", path.display()))?;
    }
    output::line(format!("{} back-ups and {blob_count} blobs removed", removed.len()))?;
    Ok(0)
}
