//! Drives a number of workers at once, and keeps how long each step took.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

/// The longest step that is told apart, in nanoseconds: ten minutes.
const STEP_NS_MAX: u64 = 600_000_000_000;
/// Steps are told apart from one microsecond on.
const STEP_NS_MIN: u64 = 1000;
/// Errors whose text is kept.
const ERRORS_KEPT: usize = 3;

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Done {
    /// Which operation it was, for loads that mix them.
    pub(crate) operation: &'static str,
    /// How many bytes of objects it moved.
    pub(crate) bytes: u64,
}

/// Something that does one operation after another: a client on its connection, a task on the engine.
pub(crate) trait Worker: Send + 'static {
    /// One operation. `None` when nothing is left to be done.
    fn step(&mut self) -> impl Future<Output = anyhow::Result<Option<Done>>> + Send;
}

/// When to end.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Limit {
    /// No new operation after this time.
    Time(Duration),
    /// So many operations of all workers together.
    Operations(u64),
}

/// What was done.
#[derive(Debug)]
pub(crate) struct Tally {
    /// Nanoseconds that each operation that worked took.
    pub(crate) latency_ns: Histogram<u64>,
    /// The same, by operation.
    pub(crate) by_operation: BTreeMap<&'static str, Histogram<u64>>,
    pub(crate) bytes: u64,
    pub(crate) errors: u64,
    /// The first errors, in words.
    pub(crate) error_texts: Vec<String>,
    pub(crate) elapsed: Duration,
}

/// A histogram of steps, exact to a thousandth.
pub(crate) fn histogram() -> anyhow::Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(STEP_NS_MIN, STEP_NS_MAX, 3)?)
}

/// Nanoseconds as a histogram keeps them.
pub(crate) fn nanoseconds(took: Duration) -> u64 {
    u64::try_from(took.as_nanos()).unwrap_or(STEP_NS_MAX)
}

impl Tally {
    fn new() -> anyhow::Result<Self> {
        Ok(Self {
            latency_ns: histogram()?,
            by_operation: BTreeMap::new(),
            bytes: 0,
            errors: 0,
            error_texts: Vec::new(),
            elapsed: Duration::ZERO,
        })
    }

    fn note(&mut self, result: anyhow::Result<Done>, took: Duration) -> anyhow::Result<()> {
        match result {
            Ok(Done { operation, bytes }) => {
                self.bytes += bytes;
                self.latency_ns.saturating_record(nanoseconds(took));
                if !self.by_operation.contains_key(operation) {
                    self.by_operation.insert(operation, histogram()?);
                }
                if let Some(histogram) = self.by_operation.get_mut(operation) {
                    histogram.saturating_record(nanoseconds(took));
                }
            }
            Err(error) => {
                self.errors += 1;
                let text = format!("{error:#}");
                if self.error_texts.len() < ERRORS_KEPT && !self.error_texts.contains(&text) {
                    self.error_texts.push(text);
                }
            }
        }
        Ok(())
    }
}

/// What the workers of a phase share.
struct Shared {
    limit: Limit,
    begin: Barrier,
    begun: AtomicU64,
    tally: Mutex<Tally>,
}

impl Shared {
    fn tally(&self) -> MutexGuard<'_, Tally> {
        // A poisoned lock only means that a worker panicked between two counters; its panic ends the run anyway.
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn goes_on(&self, since: Instant) -> bool {
        match self.limit {
            Limit::Time(time) => since.elapsed() < time,
            Limit::Operations(count) => self.begun.fetch_add(1, Ordering::Relaxed) < count,
        }
    }
}

/// Lets all workers begin at once and gives them back with what they did. A worker whose step fails goes on: a load does not end because
/// one request was refused.
pub(crate) async fn drive<W: Worker>(workers: Vec<W>, limit: Limit) -> anyhow::Result<(Vec<W>, Tally)> {
    let begin = Barrier::new(workers.len() + 1);
    let shared = Arc::new(Shared { limit, begin, begun: AtomicU64::new(0), tally: Mutex::new(Tally::new()?) });
    let mut tasks = JoinSet::new();
    for worker in workers {
        tasks.spawn(work(worker, shared.clone()));
    }
    shared.begin.wait().await;
    let start = Instant::now();
    let mut back = Vec::new();
    while let Some(done) = tasks.join_next().await {
        back.push(done??);
    }
    let mut tally = std::mem::replace(&mut *shared.tally(), Tally::new()?);
    tally.elapsed = start.elapsed();
    Ok((back, tally))
}

async fn work<W: Worker>(mut worker: W, shared: Arc<Shared>) -> anyhow::Result<W> {
    shared.begin.wait().await;
    let start = Instant::now();
    while shared.goes_on(start) {
        let step = Instant::now();
        let result = match worker.step().await {
            Ok(Some(done)) => Ok(done),
            Ok(None) => break,
            Err(error) => Err(error),
        };
        let failed = result.is_err();
        shared.tally().note(result, step.elapsed())?;
        if failed {
            // An endpoint that is gone refuses at once; a million refusals a second tell no more than a hundred.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    Ok(worker)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Does odd and even steps, fails each fourth and ends after a number of them.
    struct Steps {
        done: u64,
        most: u64,
    }

    impl Worker for Steps {
        async fn step(&mut self) -> anyhow::Result<Option<Done>> {
            if self.done == self.most {
                return Ok(None);
            }
            self.done += 1;
            anyhow::ensure!(!self.done.is_multiple_of(4), "each fourth fails");
            let operation = if self.done.is_multiple_of(2) { "even" } else { "odd" };
            Ok(Some(Done { operation, bytes: 10 }))
        }
    }

    #[tokio::test]
    async fn operations_are_shared_and_failures_are_counted_apart() {
        let steps = || Steps { done: 0, most: u64::MAX };
        let (workers, tally) = drive(vec![steps(), steps()], Limit::Operations(40)).await.unwrap();
        assert_eq!(workers.iter().map(|worker| worker.done).sum::<u64>(), 40);
        assert_eq!(tally.latency_ns.len() + tally.errors, 40);
        assert_eq!(tally.bytes, tally.latency_ns.len() * 10);
        assert_eq!(tally.error_texts, ["each fourth fails"]);
    }

    #[tokio::test]
    async fn a_worker_with_nothing_left_ends_and_operations_are_told_apart() {
        let (_, tally) = drive(vec![Steps { done: 0, most: 7 }], Limit::Operations(100)).await.unwrap();
        assert_eq!((tally.latency_ns.len(), tally.errors), (6, 1));
        let counts: Vec<_> = tally.by_operation.iter().map(|(name, times)| (*name, times.len())).collect();
        assert_eq!(counts, [("even", 2), ("odd", 4)]);
    }

    #[test]
    fn quantiles_of_known_times_are_found() {
        let mut tally = Tally::new().unwrap();
        for ms in 1..=1000 {
            tally.note(Ok(Done { operation: "x", bytes: 0 }), Duration::from_millis(ms)).unwrap();
        }
        for (quantile, ms) in [(0.5, 500.0), (0.99, 990.0), (1.0, 1000.0)] {
            let found_ms = tally.latency_ns.value_at_quantile(quantile) as f64 / 1e6;
            assert!((found_ms - ms).abs() <= ms / 500.0, "{quantile}: {found_ms}");
        }
    }
}
