//! `cloudhold rebuild-index`: a database comes back from its last snapshot.

use std::path::PathBuf;

use clap::Args;
use engine::{RebuildOptions, RebuildReport};

use super::progress::engine_progress;
use super::store::offline_settings;
use super::{Shared, fsck, output};
use crate::upkeep::CALLER;

#[derive(Debug, Args)]
pub(super) struct RebuildArgs {
    /// The snapshot, or the metadata of a back-up [default: the newest whole one in snapshots/]
    #[arg(long, value_name = "FILE")]
    snapshot: Option<PathBuf>,
    /// Replace a database that is whole, or any of PostgreSQL that is not empty; the old one is kept
    #[arg(long)]
    force: bool,
}

/// The exit code is 1 when the rebuilt store contradicts itself.
pub(super) async fn run(shared: &Shared, args: RebuildArgs) -> anyhow::Result<u8> {
    let options = RebuildOptions { snapshot: args.snapshot, force: args.force };
    let settings = offline_settings(shared)?;
    let report = engine::rebuild_index(&CALLER, settings, &options, &engine_progress()).await?;
    let code = u8::from(report.check.open_count() > 0);
    if shared.json {
        output::json(&report)?;
        return Ok(code);
    }
    show(&report)?;
    fsck::show(&report.check)?;
    Ok(code)
}

fn show(report: &RebuildReport) -> anyhow::Result<()> {
    let time = |us: Option<i64>| us.map_or_else(|| "an unknown time".to_owned(), output::time);
    let taken = time(report.snapshot_taken_us);
    output::line(format!("restored {} of {taken}", report.snapshot.display()))?;
    for path in &report.snapshots_skipped {
        output::line(format!("skipped  {} is damaged", path.display()))?;
    }
    if let Some(old) = &report.old_database {
        output::line(format!("kept     the old database is in {old}"))?;
    }
    output::line(format!(
        "LOST     names and small objects stored between {taken} and {}; what was deleted, overwritten or revoked in that \
         time is back as it was",
        time(report.lost_until_us)
    ))?;
    if report.objects_lost_count > 0 {
        output::line(format!("LOST     {} objects whose bytes are gone since (below)", report.objects_lost_count))?;
    }
    if report.blobs_unmatched_count > 0 {
        output::line(format!(
            "unknown  {} blobs ({}) belong to objects whose names are lost; they are in quarantine, the newest of {}",
            report.blobs_unmatched_count,
            output::size(report.blobs_unmatched_size_bytes),
            time(report.blobs_unmatched_newest_us)
        ))?;
    }
    if report.blobs_brought_back_count > 0 {
        output::line(format!("back     {} blobs came back from quarantine", report.blobs_brought_back_count))?;
    }
    Ok(())
}
