//! `cloudhold fsck`: whether everything in the store agrees.

use std::collections::BTreeMap;

use clap::Args;
use engine::{CheckReport, Finding};

use super::store::Store;
use super::{Shared, output};
use crate::upkeep::Fsck;

/// Findings of a kind that are shown; `--json` has more.
const SHOWN_MAX: usize = 100;

#[derive(Debug, Args)]
pub(super) struct FsckArgs {
    /// Set right what can be: counters are corrected, blobs without rows and objects without bytes put aside. Nothing is deleted
    #[arg(long)]
    repair: bool,
    /// Put blobs without rows into quarantine also when they are so many that the database may be an old one
    #[arg(long, requires = "repair")]
    trust_database: bool,
    /// Put objects whose bytes are gone aside also when they are so many that the disk with the blobs may not be mounted
    #[arg(long, requires = "repair")]
    trust_disk: bool,
}

/// The exit code is 1 when something is wrong and was not set right.
pub(super) async fn run(shared: &Shared, args: &FsckArgs) -> anyhow::Result<u8> {
    let FsckArgs { repair, trust_database, trust_disk } = *args;
    let request = Fsck { repair, trust_database, trust_disk };
    let work = async |request: &Fsck, engine: &_, on_progress: &_| request.run(engine, on_progress).await;
    let report: CheckReport = Store::reach(shared).await?.run("fsck", &request, work).await?;
    let code = u8::from(report.open_count() > 0);
    if shared.json {
        output::json(&report)?;
        return Ok(code);
    }
    show(&report)?;
    Ok(code)
}

/// What was looked at and what was found.
pub(super) fn show(report: &CheckReport) -> anyhow::Result<()> {
    let seen = &report.examined;
    output::line(format!(
        "checked  {} versions, {} contents, {} pieces, {} parts, {} blobs, {} buckets",
        seen.versions, seen.contents, seen.pieces, seen.parts, seen.blobs, seen.buckets
    ))?;
    if seen.lost_versions > 0 {
        output::line(format!("aside    {} versions wait for their bytes", seen.lost_versions))?;
    }
    for finding in shown(&report.findings) {
        let state = finding.repaired.as_deref().map_or_else(String::new, |what| format!("  -> {what}"));
        output::line(format!(
            "found    {}: {} ({}){state}",
            finding.problem.describe(),
            finding.subject,
            finding.detail
        ))?;
    }
    let found: u64 = report.found.values().map(|tally| tally.found).sum();
    if found > SHOWN_MAX as u64 {
        for (problem, tally) in &report.found {
            output::line(format!("sum      {}: {}, {} set right", problem.describe(), tally.found, tally.repaired))?;
        }
    }
    match (found, report.open_count()) {
        (0, _) => output::line("clean    everything agrees")?,
        (found, 0) => output::line(format!("repaired {found} findings, all set right"))?,
        (found, open) => output::line(format!("WRONG    {found} findings, {open} of them not set right"))?,
    }
    Ok(())
}

/// The first findings of each kind: objects that were lost stand behind all that was found before.
fn shown(findings: &[Finding]) -> impl Iterator<Item = &Finding> {
    let mut counts = BTreeMap::new();
    findings.iter().filter(move |finding| {
        let count = counts.entry(finding.problem).or_insert(0);
        *count += 1;
        *count <= SHOWN_MAX
    })
}

#[cfg(test)]
mod tests {
    use engine::Problem;

    use super::*;

    #[test]
    fn many_of_one_kind_hide_no_other() {
        let finding = |problem| Finding { problem, subject: String::new(), detail: String::new(), repaired: None };
        let mut findings = vec![finding(Problem::BlobWithoutRow); SHOWN_MAX + 5];
        findings.push(finding(Problem::BytesMissing));
        assert_eq!(shown(&findings).count(), SHOWN_MAX + 1);
        assert_eq!(shown(&findings).last().map(|finding| finding.problem), Some(Problem::BytesMissing));
    }
}
