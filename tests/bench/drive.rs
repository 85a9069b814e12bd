//! Drives a number of workers at once, and keeps how long each step took.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

/// The longest step that is told apart, in nanoseconds: ten minutes.
const STEP_NS_MAX: u64 = 600_000_000_000;
/// Errors whose text is kept.
const ERRORS_KEPT: usize = 3;

/// Something that does one operation after another: a client on its connection, a task on the engine.
pub(crate) trait Worker: Send + 'static {
    /// One operation. Answers how many bytes of objects it moved.
    fn step(&mut self) -> impl Future<Output = anyhow::Result<u64>> + Send;
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
    pub(crate) bytes: u64,
    pub(crate) errors: u64,
    /// The first errors, in words.
    pub(crate) error_texts: Vec<String>,
    pub(crate) elapsed: Duration,
}

impl Tally {
    fn new() -> anyhow::Result<Self> {
        let latency_ns = Histogram::new_with_bounds(1, STEP_NS_MAX, 3)?;
        Ok(Self { latency_ns, bytes: 0, errors: 0, error_texts: Vec::new(), elapsed: Duration::ZERO })
    }

    fn note(&mut self, result: anyhow::Result<u64>, took: Duration) {
        match result {
            Ok(bytes) => {
                self.bytes += bytes;
                self.latency_ns.saturating_record(u64::try_from(took.as_nanos()).unwrap_or(STEP_NS_MAX));
            }
            Err(error) => {
                self.errors += 1;
                self.keep_text(format!("{error:#}"));
            }
        }
    }

    fn keep_text(&mut self, text: String) {
        if self.error_texts.len() < ERRORS_KEPT && !self.error_texts.contains(&text) {
            self.error_texts.push(text);
        }
    }

    fn add(&mut self, other: Self) -> anyhow::Result<()> {
        self.latency_ns.add(&other.latency_ns)?;
        self.bytes += other.bytes;
        self.errors += other.errors;
        for text in other.error_texts {
            self.keep_text(text);
        }
        Ok(())
    }
}

/// Lets all workers begin at once and gives them back with what they did. A worker whose step fails goes on: a load does not end because
/// one request was refused.
pub(crate) async fn drive<W: Worker>(workers: Vec<W>, limit: Limit) -> anyhow::Result<(Vec<W>, Tally)> {
    let begin = Arc::new(Barrier::new(workers.len() + 1));
    let begun = Arc::new(AtomicU64::new(0));
    let mut tasks = JoinSet::new();
    for worker in workers {
        tasks.spawn(work(worker, limit, begin.clone(), begun.clone()));
    }
    begin.wait().await;
    let start = Instant::now();
    let (mut back, mut total) = (Vec::new(), Tally::new()?);
    while let Some(done) = tasks.join_next().await {
        let (worker, tally) = done??;
        total.add(tally)?;
        back.push(worker);
    }
    total.elapsed = start.elapsed();
    Ok((back, total))
}

async fn work<W: Worker>(
    mut worker: W,
    limit: Limit,
    begin: Arc<Barrier>,
    begun: Arc<AtomicU64>,
) -> anyhow::Result<(W, Tally)> {
    let mut tally = Tally::new()?;
    begin.wait().await;
    let start = Instant::now();
    let goes_on = || match limit {
        Limit::Time(time) => start.elapsed() < time,
        Limit::Operations(count) => begun.fetch_add(1, Ordering::Relaxed) < count,
    };
    while goes_on() {
        let step = Instant::now();
        let result = worker.step().await;
        let failed = result.is_err();
        tally.note(result, step.elapsed());
        if failed {
            // An endpoint that is gone refuses at once; a million refusals a second tell no more than a hundred.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    Ok((worker, tally))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Every(u64);

    impl Worker for Every {
        async fn step(&mut self) -> anyhow::Result<u64> {
            self.0 += 1;
            anyhow::ensure!(!self.0.is_multiple_of(4), "each fourth fails");
            Ok(10)
        }
    }

    #[tokio::test]
    async fn operations_are_shared_and_failures_are_counted_apart() {
        let (workers, tally) = drive(vec![Every(0), Every(0)], Limit::Operations(40)).await.unwrap();
        assert_eq!(workers.iter().map(|worker| worker.0).sum::<u64>(), 40);
        assert_eq!(tally.latency_ns.len() + tally.errors, 40);
        assert_eq!(tally.bytes, tally.latency_ns.len() * 10);
        assert_eq!(tally.error_texts, ["each fourth fails"]);
    }
}
