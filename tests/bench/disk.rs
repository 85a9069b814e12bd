//! What the disk itself can do: small writes, each made durable before the next, as a database's log does them.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::drive::{histogram, nanoseconds};
use crate::report::{Disk, Report};

const SIZE_BYTES: usize = 4096;
const TIME: Duration = Duration::from_secs(2);

/// Measures the disk that holds the directory.
pub(crate) async fn run(directory: &Path, report: &mut Report) -> anyhow::Result<()> {
    let directory = directory.to_owned();
    report.disk.push(tokio::task::spawn_blocking(move || measure(&directory)).await??);
    Ok(())
}

fn measure(directory: &Path) -> anyhow::Result<Disk> {
    let folder = tempfile::Builder::new().prefix("bench-disk-").tempdir_in(directory)?;
    let path = folder.path().join("log");
    let mut file = OpenOptions::new().create_new(true).append(true).open(&path)?;
    let mut took_ns = histogram()?;
    let start = Instant::now();
    while start.elapsed() < TIME {
        let begin = Instant::now();
        file.write_all(&[7; SIZE_BYTES])?;
        file.sync_data()?;
        took_ns.saturating_record(nanoseconds(begin.elapsed()));
    }
    fs::remove_file(&path)?;
    let us = |ns: f64| ns / 1e3;
    Ok(Disk {
        writes: took_ns.len(),
        size_bytes: SIZE_BYTES as u64,
        mean_us: us(took_ns.mean()),
        p50_us: us(took_ns.value_at_quantile(0.5) as f64),
        p99_us: us(took_ns.value_at_quantile(0.99) as f64),
    })
}
