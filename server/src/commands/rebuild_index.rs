//! `cloudhold rebuild-index`: a database comes back from its last snapshot.

use std::path::PathBuf;

use clap::Args;
use engine::{Loss, RebuildOptions, RebuildReport};

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
        "LOST     what was changed between {taken} and {}: it is as it was before",
        time(report.lost_until_us)
    ))?;
    show_unrestored(report)?;
    if report.blobs_unmatched_count > 0 {
        output::line(format!(
            "kept     {} blobs ({}) of objects that are not there any more are in quarantine, the newest of {}",
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

/// What is lost: how much, the first by name, and where the others are named.
fn show_unrestored(report: &RebuildReport) -> anyhow::Result<()> {
    let Some(unrestored) = &report.unrestored else {
        let why = report.unnamed_as.as_deref().unwrap_or("nobody knows why");
        let again = "begin again with --force when that is mended";
        return Ok(output::line(format!("UNNAMED  what is lost could not be named: {why}; {again}"))?);
    };
    for (loss, count) in &unrestored.counts {
        let word = if *loss == Loss::Returned { "BACK" } else { "LOST" };
        output::line(format!("{word}     {count} {}", loss.describe()))?;
    }
    for name in &unrestored.first {
        output::line(format!("         {name}"))?;
    }
    let count: u64 = unrestored.counts.values().sum();
    let more = count.saturating_sub(unrestored.first.len() as u64);
    if more > 0 {
        output::line(format!("         and {more} more"))?;
    }
    output::line(format!("named    what is known of it is in {}", unrestored.file.display()))?;
    let told = &unrestored.told;
    if let Some(what) = unnamed_before(told.since_us, report.snapshot_taken_us) {
        output::line(format!("UNNAMED  {what}"))?;
    }
    if let Some(until_us) = told.until_us {
        output::line(format!("named    the last change that is known is of {}", output::time(until_us)))?;
    }
    for gap in &told.gaps {
        let until = gap.until_us.map_or_else(|| "the end".to_owned(), output::time);
        let from = output::time(gap.from_us);
        output::line(format!(
            "UNNAMED  what was changed between {from} and {until}: the journal could not be written or read"
        ))?;
    }
    if told.damaged_line_count > 0 {
        output::line(format!("UNNAMED  {} lines of the journal are damaged", told.damaged_line_count))?;
    }
    Ok(())
}

/// What has no name because the journal does not go back to the snapshot.
fn unnamed_before(since_us: Option<i64>, taken_us: Option<i64>) -> Option<String> {
    match (since_us, taken_us) {
        (None, _) => {
            Some("there is no journal: nobody knows the names of what was stored after the snapshot".to_owned())
        }
        (Some(since_us), Some(taken_us)) if since_us > taken_us => {
            let since = output::time(since_us);
            Some(format!("what was changed after the snapshot and before {since}: the journal begins then"))
        }
        (Some(_), _) => None,
    }
}
