//! How fast bodies can be hashed at all: MD5 for the ETag and SHA-256 for the signature, with the libraries that the store uses.
//! No signed PUT can be faster than the slower of both.

use std::time::Instant;

use md5::Md5;
use sha2::{Digest, Sha256};

use crate::content::{Content, Piece};
use crate::report::Report;

/// How much is hashed: long enough that a thread's start does not count.
const SIZE_BYTES: u64 = 512 << 20;

/// Rates in MiB/s.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wall {
    pub(crate) md5: f64,
    pub(crate) sha256: f64,
    /// Both of the same bytes, on a thread each: the hash wall.
    pub(crate) both: f64,
}

/// Measures the wall and adds it to the report.
///
/// # Errors
/// When a thread cannot be had.
pub(crate) async fn run(report: &mut Report) -> anyhow::Result<Wall> {
    let wall = tokio::task::spawn_blocking(measure).await?;
    for (what, rate) in
        [("MD5, one thread", wall.md5), ("SHA-256, one thread", wall.sha256), ("both, a thread each", wall.both)]
    {
        report.figure(what, rate, "MiB/s", None);
    }
    Ok(wall)
}

fn measure() -> Wall {
    let rate = |start: Instant| SIZE_BYTES as f64 / f64::from(1 << 20) / start.elapsed().as_secs_f64();
    let timed = |work: &dyn Fn()| {
        let start = Instant::now();
        work();
        rate(start)
    };
    let both = || {
        std::thread::scope(|scope| {
            scope.spawn(hash::<Md5>);
            scope.spawn(hash::<Sha256>);
        });
    };
    Wall { md5: timed(&hash::<Md5>), sha256: timed(&hash::<Sha256>), both: timed(&both) }
}

fn hash<D: Digest>() {
    let block = Content::new().blocks(Piece::whole(0, 1 << 20)).next().unwrap_or_default();
    let mut digest = D::new();
    for _ in 0..SIZE_BYTES / block.len().max(1) as u64 {
        digest.update(&block);
    }
    std::hint::black_box(digest.finalize());
}
