//! Bytes of large blobs on their way past the system's page cache.
//!
//! Copied there, they would need pages that are new to the machine, push out those of the database, and wait for the sync at the end, which
//! everybody's sync waits for. So they are gathered in memory that is used again and again, and written from there to the disk itself.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::disk::{DIRECT_BYTES, DiskFile};

/// Bytes that are written at once.
const GATHERED_BYTES: usize = 1 << 20;
/// Most blobs that are written so at one time; others go by the page cache. Each holds its memory while its client sends.
const WRITERS_MAX: usize = 16;
/// Of how many the memory is kept when they are through.
const KEPT_MAX: usize = 4;

/// Which blobs of a store go past the page cache.
#[derive(Clone, Debug)]
pub(super) struct Direct {
    /// Size from which on they do; zero: none does.
    size_bytes_min: u64,
    pool: Arc<Mutex<Pool>>,
}

#[derive(Debug, Default)]
struct Pool {
    /// Memory that nobody uses at the moment.
    free: Vec<Vec<u8>>,
    writers: usize,
}

impl Direct {
    pub(super) fn new(size_bytes_min: u64) -> Self {
        Self { size_bytes_min, pool: Arc::default() }
    }

    /// Memory to gather a blob in that goes past the page cache. `None` when it is to go by it: it is small, or nobody knows how large it is,
    /// or too many go past it already.
    pub(super) fn begin(&self, size_bytes: Option<u64>) -> Option<Gathered> {
        if !(1..=size_bytes?).contains(&self.size_bytes_min) {
            return None;
        }
        let kept = {
            let mut pool = self.pool();
            if pool.writers == WRITERS_MAX {
                return None;
            }
            pool.writers += 1;
            pool.free.pop()
        };
        let memory = kept.unwrap_or_else(|| vec![0; GATHERED_BYTES + DIRECT_BYTES]);
        let start = memory.as_ptr().align_offset(DIRECT_BYTES);
        Some(Gathered { memory, start, filled: 0, of: self.clone() })
    }

    /// A poisoned lock only means that a thread panicked between whole changes.
    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes that were gathered and not written yet.
pub(super) struct Gathered {
    /// Longer than what is gathered, so that it has a place to begin that is aligned as it must be.
    memory: Vec<u8>,
    start: usize,
    filled: usize,
    of: Direct,
}

impl Gathered {
    /// What is gathered.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.memory[self.start..self.start + self.filled]
    }

    /// Gathers bytes, and writes what is there whenever it is full. [`io::ErrorKind::Unsupported`] where the disk does not take it so: what was
    /// gathered is still here then, and so is what is left of `bytes`.
    pub(super) fn add(&mut self, bytes: &mut &[u8], file: &mut dyn DiskFile) -> io::Result<()> {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(GATHERED_BYTES - self.filled));
            let end = self.start + self.filled;
            self.memory[end..end + now.len()].copy_from_slice(now);
            self.filled += now.len();
            *bytes = later;
            if self.filled == GATHERED_BYTES {
                file.write_direct(self.bytes())?;
                self.filled = 0;
            }
        }
        Ok(())
    }
}

impl Drop for Gathered {
    fn drop(&mut self) {
        let mut pool = self.of.pool();
        pool.writers -= 1;
        if pool.free.len() < KEPT_MAX {
            pool.free.push(std::mem::take(&mut self.memory));
        }
    }
}
