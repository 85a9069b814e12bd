//! Compares the phases of two reports: before and after a change, or one store and another.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use clap::Args;
use serde::Deserialize;

use crate::report::Phase;
use crate::sizes;

/// Two reports that `--json` wrote.
#[derive(Clone, Debug, Args)]
pub(crate) struct Arguments {
    before: PathBuf,
    after: PathBuf,
}

#[derive(Deserialize)]
struct Phases {
    phases: Vec<Phase>,
}

/// Prints a line for each phase that both have.
///
/// # Errors
/// When a report cannot be read, or they have nothing in common.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let lines = lines(&read(&arguments.before)?, &read(&arguments.after)?);
    ensure!(!lines.is_empty(), "the reports have no phase in common");
    lines.iter().for_each(|line| println!("{line}"));
    Ok(())
}

fn read(path: &Path) -> anyhow::Result<Vec<Phase>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let phases: Phases = serde_json::from_str(&text).with_context(|| format!("{} is no report", path.display()))?;
    Ok(phases.phases)
}

fn lines(before: &[Phase], after: &[Phase]) -> Vec<String> {
    let line = |old: &Phase| {
        let new = after.iter().find(|new| kind(new) == kind(old))?;
        let (rate, p99) = (new.operations_per_s / old.operations_per_s, new.latency.p99_us / old.latency.p99_us);
        let (level, operation, payload, size_bytes, clients) = kind(old);
        Some(format!(
            "{level:<17} {operation:<7}{payload:<9}{:>8} {clients:>4}  {:>9.1} -> {:>9.1} ops/s ({rate:.2}x)  p99 {:>9} -> {:>9} ({p99:.2}x)",
            sizes::show(size_bytes),
            old.operations_per_s,
            new.operations_per_s,
            sizes::show_us(old.latency.p99_us),
            sizes::show_us(new.latency.p99_us),
        ))
    };
    before.iter().filter_map(line).collect()
}

/// By what two phases are the same.
fn kind(phase: &Phase) -> (&str, &str, &str, u64, usize) {
    (&phase.level, &phase.operation, &phase.payload, phase.size_bytes, phase.clients)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::{Name, one_of};
    use crate::report::Latency;

    #[test]
    fn phases_of_the_same_kind_are_compared() {
        let phase = |operation, operations, p99_us| {
            let name = Name { level: "s3", operation, payload: "", size_bytes: 4096 };
            one_of(name, 64, (Latency { p99_us, ..Latency::default() }, operations, 2.0))
        };
        let before = [phase("PUT", 100, 8e3), phase("GET", 10, 1.0)];
        let found = lines(&before, &[phase("PUT", 300, 4e3)]);
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("(3.00x)") && found[0].contains("(0.50x)"), "{}", found[0]);
    }
}
