//! The figures: for people as a table, for machines as JSON.

use std::fmt;
use std::path::Path;

use anyhow::ensure;
use serde::Serialize;

use crate::machine::{self, Machine};

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

/// One load.
#[derive(Debug, Serialize)]
pub(crate) struct Phase {
    /// `engine` or `s3`.
    pub(crate) level: String,
    /// `PUT` or `GET`.
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
    pub(crate) latency_mean_us: f64,
    pub(crate) latency_p50_us: f64,
    pub(crate) latency_p90_us: f64,
    pub(crate) latency_p99_us: f64,
    pub(crate) latency_p999_us: f64,
    pub(crate) latency_max_us: f64,
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
        })
    }

    pub(crate) fn end(&mut self) {
        self.machine.load_at_end = machine::load();
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

impl Phase {
    /// A row of the table.
    pub(crate) fn line(&self) -> String {
        let cpu = |us: Option<f64>| us.map_or_else(|| "-".to_owned(), |us| format!("{us:.0}"));
        format!(
            "{:<7}{:<4} {:<9}{:>10} {:>5} {:>9.1} {:>8.1} {:>9} {:>9} {:>9} {:>9} {:>7} {:>7} {:>7} {:>5.0}%{}",
            self.level,
            self.operation,
            self.payload,
            size(self.size_bytes),
            self.clients,
            self.operations_per_s,
            self.mib_per_s,
            duration(self.latency_p50_us),
            duration(self.latency_p90_us),
            duration(self.latency_p99_us),
            duration(self.latency_max_us),
            cpu(self.store_cpu_us_per_operation),
            cpu(self.load_cpu_us_per_operation),
            self.commits.map_or_else(|| "-".to_owned(), |commits| commits.to_string()),
            self.others_cpu_share * 100.0,
            if self.errors > 0 { format!("  {} ERRORS", self.errors) } else { String::new() },
        )
    }
}

/// The head of the table.
pub(crate) fn head() -> String {
    format!(
        "{:<7}{:<4} {:<9}{:>10} {:>5} {:>9} {:>8} {:>9} {:>9} {:>9} {:>9} {:>7} {:>7} {:>7} {:>6}",
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
            size(machine.memory_bytes),
            machine.kernel,
            machine.file_system,
            machine.load_at_begin,
            machine.load_at_end
        )?;
        for disk in &self.disk {
            let (mean, p50, p99) = (duration(disk.mean_us), duration(disk.p50_us), duration(disk.p99_us));
            writeln!(
                out,
                "disk: {} writes of {}, each made durable: mean {mean}, p50 {p50}, p99 {p99}",
                disk.writes,
                size(disk.size_bytes)
            )?;
        }
        if !self.phases.is_empty() {
            writeln!(out, "{}", head())?;
            self.phases.iter().try_for_each(|phase| writeln!(out, "{}", phase.line()))?;
        }
        if let Some(idle) = self.store_rss_idle_bytes {
            let peak = self.phases.iter().filter_map(|phase| phase.store_rss_peak_bytes).max();
            writeln!(out, "memory of the store: {} idle, {} at most", size(idle), size(peak.unwrap_or_default()))?;
        }
        self.reconciles.iter().try_for_each(|pass| writeln!(out, "{}", pass.line()))
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
            size(self.store_rss_bytes),
            size(self.store_rss_peak_bytes),
            self.outcome
        )
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..0x10_0000 => format!("{} KiB", bytes >> 10),
        0x10_0000..0x4000_0000 => format!("{} MiB", bytes >> 20),
        _ => format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30)),
    }
}

fn duration(us: f64) -> String {
    if us < 1e3 {
        format!("{us:.0} us")
    } else if us < 1e6 {
        format!("{:.2} ms", us / 1e3)
    } else {
        format!("{:.2} s", us / 1e6)
    }
}
