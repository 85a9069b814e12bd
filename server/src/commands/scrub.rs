//! `cloudhold scrub`: reads everything that is stored.

use clap::Args;
use engine::ScrubReport;

use super::store::Store;
use super::{Shared, output};
use crate::upkeep::Scrub;

#[derive(Debug, Args)]
pub(super) struct ScrubArgs {
    /// Bytes to read in a second at most, 0 for no limit [default: engine.scrub_rate_bytes_per_second]
    #[arg(long, value_name = "BYTES")]
    rate: Option<u64>,
    /// Begin anew instead of going on with the pass that is under way
    #[arg(long)]
    restart: bool,
}

/// The exit code is 1 when something is damaged.
pub(super) async fn run(shared: &Shared, args: &ScrubArgs) -> anyhow::Result<u8> {
    let request = Scrub { rate_bytes_per_second: args.rate, restart: args.restart };
    let work = async |request: &Scrub, engine: &_, on_progress: &_| request.run(engine, on_progress).await;
    let report: ScrubReport = Store::reach(shared).await?.run("scrub", &request, work).await?;
    let code = u8::from(!report.damage.is_empty());
    if shared.json {
        output::json(&report)?;
        return Ok(code);
    }
    for damage in &report.damage {
        output::line(format!("damaged  {}: {}", damage.subject, damage.detail))?;
        for object in &damage.objects {
            output::line(format!("         object {object}"))?;
        }
    }
    let (items, size) = (report.item_count, output::size(report.size_bytes));
    match report.damage.len() {
        0 => output::line(format!("whole    {items} items, {size}, all as their checksums say"))?,
        count => output::line(format!("DAMAGED  {count} of {items} items ({size}); nothing was deleted"))?,
    }
    Ok(code)
}
