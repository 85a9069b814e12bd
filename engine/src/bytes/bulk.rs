//! Threads for the bytes of large bodies, which the processors serve after all others.
//!
//! One large upload has three threads that would never rest: what writes its bytes and what hashes them. Were they as important as the threads
//! that answer requests and those of the database, each of the half dozen hand-overs of a small request would wait for one of them to
//! have used up its slice of time.

use std::sync::LazyLock;

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

use super::bounds::WRITES_MAX;

/// Threads that work on one chunk: the disk and two hashes.
const LANES: usize = 3;
/// How nice they are, by the system's measure. Beside one thread that never rests, one as nice as this has a tenth of the time.
const NICENESS: i32 = 10;

/// Only its threads for blocking work are used. Never dropped, as that must not be done beside an async runtime. None where it cannot
/// be made: the other threads serve then.
static THREADS: LazyLock<Option<Runtime>> = LazyLock::new(|| {
    let threads = Builder::new_current_thread()
        .thread_name("bulk")
        .max_blocking_threads(LANES * WRITES_MAX)
        // Where that is not allowed the bytes are written all the same.
        .on_thread_start(|| {
            let _ = rustix::process::setpriority_process(None, NICENESS);
        })
        .build();
    threads.inspect_err(|error| tracing::warn!(%error, "large bodies are written by the threads of all others")).ok()
});

/// Begins work on the bytes of a large body.
pub(super) fn spawn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    match &*THREADS {
        Some(threads) => threads.spawn_blocking(work),
        None => tokio::task::spawn_blocking(work),
    }
}
