//! Looks at processes before and after a phase, so that each figure comes with what it cost and how busy the machine was otherwise.

use anyhow::Context as _;
use hdrhistogram::Histogram;

use crate::drive::{Limit, Tally, Worker, drive};
use crate::machine;
use crate::process::{self, Usage};
use crate::report::{Latency, Part, Phase, Report};

/// The counter of the database commits, as the metrics door shows it.
const COMMITS: &str = "cloudhold_metadata_commits_total";

/// Whom to watch.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watch {
    /// The processes of the store, when they run on this machine. This process itself when the store is in it.
    pub(crate) store_pids: Vec<u32>,
    /// Where the store shows its metrics.
    pub(crate) metrics_url: Option<String>,
}

/// How things stood at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) store: Option<Usage>,
    own_cpu_s: f64,
    busy_s: f64,
    commits: Option<u64>,
}

impl Watch {
    pub(crate) async fn look(&self) -> anyhow::Result<Moment> {
        let commits = match &self.metrics_url {
            Some(url) => Some(commits(url).await?),
            None => None,
        };
        Ok(Moment {
            store: (!self.store_pids.is_empty()).then(|| process::usage_of_all(&self.store_pids)).transpose()?,
            own_cpu_s: process::own_usage()?.cpu_s,
            busy_s: process::machine_busy_s()?,
            commits,
        })
    }

    /// Drives workers and reports the phase.
    ///
    /// # Errors
    /// When the store's process is gone, or a worker panicked.
    pub(crate) async fn phase<W: Worker>(
        &self,
        name: Name<'_>,
        workers: Vec<W>,
        limit: Limit,
        report: &mut Report,
    ) -> anyhow::Result<(Vec<W>, Phase)> {
        let clients = workers.len();
        let before = self.look().await?;
        let (workers, tally) = drive(workers, limit).await?;
        let after = self.look().await?;
        let phase = self.describe(name, clients, &tally, (before, after));
        // Lines while it runs, because the whole takes minutes.
        phase.lines().iter().for_each(|line| println!("{line}"));
        report.phases.push(phase.clone());
        Ok((workers, phase))
    }

    fn describe(&self, name: Name<'_>, clients: usize, tally: &Tally, (before, after): (Moment, Moment)) -> Phase {
        let elapsed_s = tally.elapsed.as_secs_f64();
        let operations = tally.latency_ns.len();
        let per_operation = |seconds: f64| seconds * 1e6 / operations.max(1) as f64;
        let own_cpu_s = after.own_cpu_s - before.own_cpu_s;
        let store_is_own = self.store_pids.contains(&std::process::id());
        let store_cpu_s = after.store.zip(before.store).map(|(after, before)| after.cpu_s - before.cpu_s);
        let apart_s = if store_is_own { 0.0 } else { store_cpu_s.unwrap_or_default() };
        let cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
        let part = |(operation, times): (&&'static str, &Histogram<u64>)| Part {
            operation: (*operation).to_owned(),
            operations: times.len(),
            operations_per_s: times.len() as f64 / elapsed_s,
            latency: Latency::of(times),
        };
        let is_mix = tally.by_operation.len() > 1;
        Phase {
            level: name.level.to_owned(),
            operation: name.operation.to_owned(),
            payload: name.payload.to_owned(),
            clients,
            size_bytes: name.size_bytes,
            operations,
            errors: tally.errors,
            error_texts: tally.error_texts.clone(),
            elapsed_s,
            operations_per_s: operations as f64 / elapsed_s,
            mib_per_s: tally.bytes as f64 / f64::from(1 << 20) / elapsed_s,
            latency: Latency::of(&tally.latency_ns),
            parts: if is_mix { tally.by_operation.iter().map(part).collect() } else { Vec::new() },
            store_cpu_us_per_operation: store_cpu_s.map(per_operation),
            load_cpu_us_per_operation: (!store_is_own).then(|| per_operation(own_cpu_s)),
            store_rss_bytes: after.store.map(|usage| usage.rss_bytes),
            store_rss_peak_bytes: after.store.map(|usage| usage.rss_peak_bytes),
            commits: after.commits.zip(before.commits).map(|(after, before)| after.saturating_sub(before)),
            others_cpu_share: ((after.busy_s - before.busy_s - own_cpu_s - apart_s) / elapsed_s / cores)
                .clamp(0.0, 1.0),
            load_average: machine::load(),
        }
    }
}

/// A phase that was measured elsewhere: how long its operations took, how many there were, and for how many seconds.
pub(crate) fn one_of(name: Name<'_>, clients: usize, (latency, operations, elapsed_s): (Latency, u64, f64)) -> Phase {
    let operations_per_s = operations as f64 / elapsed_s;
    Phase {
        level: name.level.to_owned(),
        operation: name.operation.to_owned(),
        payload: name.payload.to_owned(),
        clients,
        size_bytes: name.size_bytes,
        operations,
        errors: 0,
        error_texts: Vec::new(),
        elapsed_s,
        operations_per_s,
        mib_per_s: operations_per_s * name.size_bytes as f64 / f64::from(1 << 20),
        latency,
        parts: Vec::new(),
        store_cpu_us_per_operation: None,
        load_cpu_us_per_operation: None,
        store_rss_bytes: None,
        store_rss_peak_bytes: None,
        commits: None,
        others_cpu_share: 0.0,
        load_average: machine::load(),
    }
}

/// What a phase does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Name<'a> {
    pub(crate) level: &'a str,
    pub(crate) operation: &'a str,
    pub(crate) payload: &'a str,
    pub(crate) size_bytes: u64,
}

async fn commits(url: &str) -> anyhow::Result<u64> {
    // The door is plain HTTP on this machine: no certificate is needed.
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).build()?;
    let text = client.get(format!("{url}/metrics")).send().await?.error_for_status()?.text().await?;
    Ok(counter(&text, COMMITS).with_context(|| format!("{url}/metrics does not show {COMMITS}"))? as u64)
}

/// The sum of a counter over its labels.
fn counter(text: &str, name: &str) -> Option<f64> {
    let values = text.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        rest.starts_with([' ', '{']).then(|| rest.rsplit(' ').next()?.parse::<f64>().ok())?
    });
    values.reduce(|sum, value| sum + value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_found_with_and_without_labels() {
        let text = "# TYPE a_total counter\na_total 3\na_total_more 9\nb_total{x=\"1 2\"} 4\nb_total{x=\"3\"} 5\n";
        assert_eq!(counter(text, "a_total"), Some(3.0));
        assert_eq!(counter(text, "b_total"), Some(9.0));
        assert_eq!(counter(text, "c_total"), None);
    }
}
