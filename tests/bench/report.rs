//! The figures: for people as a table, for machines as JSON.

use std::fmt;
use std::path::Path;

use anyhow::ensure;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::machine::{self, Machine};
use crate::sizes::{show, show_us};

/// Everything that a run measured.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// When it began, RFC 3339.
    pub(crate) began: String,
    pub(crate) machine: Machine,
    pub(crate) disk: Vec<Disk>,
    pub(crate) phases: Vec<Phase>,
    pub(crate) store_rss_idle_bytes: Option<u64>,
    pub(crate) reconciles: Vec<Reconcile>,
    /// Whatever else was measured: one number each.
    pub(crate) figures: Vec<Figure>,
}

/// One number, and what is wanted of it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Figure {
    pub(crate) what: String,
    pub(crate) value: f64,
    pub(crate) unit: String,
    /// What it should be, in the same unit.
    pub(crate) goal: Option<Goal>,
}

/// What a figure should be.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Goal {
    AtLeast(f64),
    AtMost(f64),
}

/// Small writes, each made durable before the next.
#[derive(Debug, Serialize)]
pub(crate) struct Disk {
    pub(crate) writes: u64,
    pub(crate) size_bytes: u64,
    pub(crate) mean_us: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
}

/// How long operations took.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Latency {
    pub(crate) mean_us: f64,
    pub(crate) p50_us: f64,
    pub(crate) p90_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) p999_us: f64,
    pub(crate) max_us: f64,
}

/// One load.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Phase {
    /// `engine`, `s3` or the name of a peer.
    pub(crate) level: String,
    /// `PUT`, `GET`, `HEAD`, `LIST`, `DELETE` or `MIXED`.
    pub(crate) operation: String,
    pub(crate) payload: String,
    pub(crate) clients: usize,
    pub(crate) size_bytes: u64,
    pub(crate) operations: u64,
    pub(crate) errors: u64,
    pub(crate) error_texts: Vec<String>,
    pub(crate) elapsed_s: f64,
    pub(crate) operations_per_s: f64,
    pub(crate) mib_per_s: f64,
    pub(crate) latency: Latency,
    /// The operations of a mix, each by itself.
    pub(crate) parts: Vec<Part>,
    /// Processor time of the store's process; at the engine's level, of the whole bench.
    pub(crate) store_cpu_us_per_operation: Option<f64>,
    /// Processor time of the load generator, which shares the processors with the store.
    pub(crate) load_cpu_us_per_operation: Option<f64>,
    pub(crate) store_rss_bytes: Option<u64>,
    pub(crate) store_rss_peak_bytes: Option<u64>,
    /// Database commits during the phase.
    pub(crate) commits: Option<u64>,
    /// The share of all processors that neither store nor load used: how much others disturbed.
    pub(crate) others_cpu_share: f64,
    pub(crate) load_average: f64,
}

/// One operation of a mix.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Part {
    pub(crate) operation: String,
    pub(crate) operations: u64,
    pub(crate) operations_per_s: f64,
    pub(crate) latency: Latency,
}

/// One pass of the connector.
#[derive(Debug, Serialize)]
pub(crate) struct Reconcile {
    /// `first` or `idle`.
    pub(crate) pass: String,
    pub(crate) domains: u32,
    pub(crate) accounts: u32,
    pub(crate) outcome: String,
    pub(crate) applied: u64,
    pub(crate) failed: u64,
    pub(crate) elapsed_s: f64,
    /// Processor time of the store with its connector, Admin API and engine.
    pub(crate) store_cpu_s: f64,
    pub(crate) stand_in_cpu_s: f64,
    pub(crate) store_rss_bytes: u64,
    pub(crate) store_rss_peak_bytes: u64,
    pub(crate) load_average: f64,
}

impl Report {
    pub(crate) fn begin(directory: &Path) -> anyhow::Result<Self> {
        let began = time::OffsetDateTime::now_utc().format(&time::format_description::well_known::Rfc3339)?;
        Ok(Self {
            began,
            machine: Machine::look(directory),
            disk: Vec::new(),
            phases: Vec::new(),
            store_rss_idle_bytes: None,
            reconciles: Vec::new(),
            figures: Vec::new(),
        })
    }

    pub(crate) fn end(&mut self) {
        self.machine.load_at_end = machine::load();
    }

    /// Adds a number and shows it.
    pub(crate) fn figure(&mut self, what: impl Into<String>, value: f64, unit: &str, goal: Option<Goal>) {
        let figure = Figure { what: what.into(), value, unit: unit.to_owned(), goal };
        println!("{}", figure.line());
        self.figures.push(figure);
    }

    /// Figures of a load whose requests failed are not to be believed.
    ///
    /// # Errors
    /// When anything failed; the report was shown before.
    pub(crate) fn must_be_clean(&self) -> anyhow::Result<()> {
        let failed: u64 = self.phases.iter().map(|phase| phase.errors).sum();
        let texts: Vec<&str> = self.phases.iter().flat_map(|phase| &phase.error_texts).map(String::as_str).collect();
        ensure!(failed == 0, "{failed} operations failed: {}", texts.join("; "));
        Ok(())
    }
}

impl Latency {
    /// Of a histogram of nanoseconds.
    pub(crate) fn of(times_ns: &Histogram<u64>) -> Self {
        let quantile = |at: f64| times_ns.value_at_quantile(at) as f64 / 1e3;
        Self {
            mean_us: times_ns.mean() / 1e3,
            p50_us: quantile(0.5),
            p90_us: quantile(0.9),
            p99_us: quantile(0.99),
            p999_us: quantile(0.999),
            max_us: times_ns.max() as f64 / 1e3,
        }
    }

    fn columns(&self) -> String {
        let times = [self.p50_us, self.p90_us, self.p99_us, self.max_us].map(show_us);
        times.iter().map(|time| format!(" {time:>9}")).collect()
    }
}

impl Figure {
    /// A line for people.
    pub(crate) fn line(&self) -> String {
        let (goal, met) = match self.goal {
            None => return format!("{}: {:.2} {}", self.what, self.value, self.unit),
            Some(Goal::AtLeast(goal)) => (format!("at least {goal}"), self.value >= goal),
            Some(Goal::AtMost(goal)) => (format!("at most {goal}"), self.value <= goal),
        };
        let met = if met { "met" } else { "MISSED" };
        format!("{}: {:.2} {} (goal {goal}: {met})", self.what, self.value, self.unit)
    }
}

impl Phase {
    /// A row of the table, and one for each operation of a mix.
    pub(crate) fn lines(&self) -> Vec<String> {
        let cpu = |us: Option<f64>| us.map_or_else(|| "-".to_owned(), |us| format!("{us:.0}"));
        let whole = format!(
            "{:<17} {:<7}{:<9}{:>8} {:>4} {:>9.1} {:>8.1}{} {:>7} {:>7} {:>7} {:>5.0}%{}",
            self.level,
            self.operation,
            self.payload,
            show(self.size_bytes),
            self.clients,
            self.operations_per_s,
            self.mib_per_s,
            self.latency.columns(),
            cpu(self.store_cpu_us_per_operation),
            cpu(self.load_cpu_us_per_operation),
            self.commits.map_or_else(|| "-".to_owned(), |commits| commits.to_string()),
            self.others_cpu_share * 100.0,
            if self.errors > 0 { format!("  {} ERRORS", self.errors) } else { String::new() },
        );
        let part = |part: &Part| {
            let rate = part.operations_per_s;
            format!("{:<17} - {:<28} {rate:>9.1} {:>8}{}", "", part.operation, "", part.latency.columns())
        };
        std::iter::once(whole).chain(self.parts.iter().map(part)).collect()
    }
}

/// The head of the table.
pub(crate) fn head() -> String {
    format!(
        "{:<17} {:<7}{:<9}{:>8} {:>4} {:>9} {:>8} {:>9} {:>9} {:>9} {:>9} {:>7} {:>7} {:>7} {:>6}",
        "level",
        "",
        "payload",
        "size",
        "at",
        "ops/s",
        "MiB/s",
        "p50",
        "p90",
        "p99",
        "max",
        "CPU us",
        "load us",
        "commits",
        "others"
    )
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let machine = &self.machine;
        writeln!(out)?;
        writeln!(
            out,
            "{}, {} cores, {}, Linux {}, {}; load {} at the begin, {} at the end",
            machine.cpu,
            machine.cores,
            show(machine.memory_bytes),
            machine.kernel,
            machine.file_system,
            machine.load_at_begin,
            machine.load_at_end
        )?;
        for disk in &self.disk {
            let (mean, p50, p99) = (show_us(disk.mean_us), show_us(disk.p50_us), show_us(disk.p99_us));
            writeln!(
                out,
                "disk: {} writes of {}, each made durable: mean {mean}, p50 {p50}, p99 {p99}",
                disk.writes,
                show(disk.size_bytes)
            )?;
        }
        if !self.phases.is_empty() {
            writeln!(out, "{}", head())?;
            self.phases.iter().flat_map(Phase::lines).try_for_each(|line| writeln!(out, "{line}"))?;
        }
        if let Some(idle) = self.store_rss_idle_bytes {
            let peak = self.phases.iter().filter_map(|phase| phase.store_rss_peak_bytes).max();
            writeln!(out, "memory of the store: {} idle, {} at most", show(idle), show(peak.unwrap_or_default()))?;
        }
        self.reconciles.iter().try_for_each(|pass| writeln!(out, "{}", pass.line()))?;
        self.figures.iter().try_for_each(|figure| writeln!(out, "{}", figure.line()))
    }
}

impl Reconcile {
    /// A line for people.
    pub(crate) fn line(&self) -> String {
        format!(
            "{} pass over {} domains and {} accounts: {:.2} s, {:.2} s of CPU (the stand-in's: {:.2} s), {} of memory, {} at most: {}",
            self.pass,
            self.domains,
            self.accounts,
            self.elapsed_s,
            self.store_cpu_s,
            self.stand_in_cpu_s,
            show(self.store_rss_bytes),
            show(self.store_rss_peak_bytes),
            self.outcome
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_says_whether_its_goal_is_met() {
        let line = |value: f64, goal| Figure { what: "x".to_owned(), value, unit: "s".to_owned(), goal }.line();
        assert_eq!(line(2.0, Some(Goal::AtMost(2.0))), "x: 2.00 s (goal at most 2: met)");
        assert_eq!(line(2.0, Some(Goal::AtLeast(3.0))), "x: 2.00 s (goal at least 3: MISSED)");
        assert_eq!(line(2.0, None), "x: 2.00 s");
    }
}
