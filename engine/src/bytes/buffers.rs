//! Memory for reads, used again by the next one: memory that is new has to be cleared first, and is in no processor's cache.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::BLOCK_BYTES;

/// Bytes of a buffer that is kept: those of a large read.
const KEPT_BYTES: usize = 2 * BLOCK_BYTES as usize;
/// Most buffers that are kept, 4 MiB in all.
const KEPT_MAX: usize = 16;

/// Buffers that nobody uses at the moment.
static FREE: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// A poisoned lock only means that a thread panicked between whole changes.
fn free() -> MutexGuard<'static, Vec<Vec<u8>>> {
    FREE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A buffer, whose bytes are those of an earlier read until they are overwritten.
pub(super) struct Buffer {
    bytes: Vec<u8>,
    length: usize,
}

impl Buffer {
    /// A small one is not taken from those that are kept: who reads slowly would hold the memory of a large one.
    pub(super) fn of(length: usize) -> Self {
        let is_kept = length > KEPT_BYTES / 2 && length <= KEPT_BYTES;
        let kept = if is_kept { free().pop() } else { None };
        Self { bytes: kept.unwrap_or_else(|| vec![0; if is_kept { KEPT_BYTES } else { length }]), length }
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl AsMut<[u8]> for Buffer {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.length]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if self.bytes.len() == KEPT_BYTES {
            let mut free = free();
            if free.len() < KEPT_MAX {
                free.push(std::mem::take(&mut self.bytes));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_has_the_length_that_was_asked_for() {
        for length in
            [0, 1, KEPT_BYTES / 2 - 1, KEPT_BYTES / 2, KEPT_BYTES / 2 + 1, KEPT_BYTES - 1, KEPT_BYTES, 3 * KEPT_BYTES]
        {
            // Twice, so that the second may be one that was used before.
            for _ in 0..2 {
                let mut buffer = Buffer::of(length);
                buffer.as_mut().fill(7);
                assert_eq!(buffer.as_ref(), vec![7; length]);
            }
        }
        assert!(free().len() <= KEPT_MAX);
    }

    #[test]
    fn no_more_are_kept_than_may_be() {
        let many: Vec<_> = (0..3 * KEPT_MAX).map(|_| Buffer::of(KEPT_BYTES)).collect();
        drop(many);
        assert!(free().len() <= KEPT_MAX);
    }
}
