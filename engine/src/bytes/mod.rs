//! Where blobs lie: immutable files of bytes, named by a random id, durable before any row refers to them.
//!
//! [`ByteStore`] is where blobs go; [`blobs::Blobs`] keeps them on a [`Disk`](crate::disk::Disk), large ones as `files`, small ones in
//! `packs`. The calls block; [`intake`] and [`outflow`] run them beside the async runtime.

pub(crate) mod blobs;
pub(crate) mod bounds;
mod buffers;
mod bulk;
pub(crate) mod cipher;
pub(crate) mod digest;
mod direct;
mod files;
mod format;
pub(crate) mod in_flight;
pub(crate) mod intake;
pub(crate) mod joined_crc;
mod lanes;
pub(crate) mod outflow;
pub(crate) mod packs;
pub(crate) mod pool;
mod reader;
mod syncs;
pub(crate) mod whole;

use std::sync::Arc;

use bytes::Bytes;
use tokio::task::JoinHandle;

use crate::names::BlobId;
use crate::{Error, Result};

/// Bytes of a blob that one checksum covers.
pub(crate) const BLOCK_BYTES: u64 = 128 << 10;

/// A place for blobs.
pub(crate) trait ByteStore: std::fmt::Debug + Send + Sync {
    /// Begins a blob that has a file of its own, under a [random](BlobId::random) id; `size_bytes` is its length when that is known, so that
    /// room for it can be taken at once.
    fn create(&self, id: BlobId, size_bytes: Option<u64>) -> Result<Box<dyn BlobWriter>>;
    /// The size up to which blobs go to packs; zero when none does.
    fn pack_size_bytes_max(&self) -> u64;
    /// Begins a blob of exactly so many bytes in a pack. Nothing of it is on the disk before it is finished. `None` when there is no place
    /// in a pack for it: it can have a file still.
    fn pack(&self, size_bytes: u64) -> Result<Option<(BlobId, Box<dyn BlobWriter>)>>;
    /// Opens a blob. Missing or malformed: [`Error::Corrupt`], for a row refers to it.
    fn open(&self, id: BlobId) -> Result<Arc<dyn BlobReader>>;
    /// Removes a blob; a missing one is no error. A power cut may undo it until [`ByteStore::sync_removed`] returned.
    fn remove(&self, id: BlobId) -> Result<()>;
    /// Makes all removals so far durable.
    fn sync_removed(&self) -> Result<()>;
    /// Puts a blob aside where nothing reads it and nothing deletes it.
    fn quarantine(&self, id: BlobId) -> Result<()>;
    /// Brings a blob back that was put aside, when it is there and whole enough to be read; returns whether it did.
    fn bring_back(&self, id: BlobId) -> Result<bool>;
    /// Whether a blob of that id was put aside.
    fn is_quarantined(&self, id: BlobId) -> Result<bool>;
    /// Whether there is a blob of that id.
    fn contains(&self, id: BlobId) -> Result<bool>;
    /// The blobs of one of the 256 shards, as far as the disk tells.
    fn list_shard(&self, shard: u8) -> Result<Listed>;
    /// Free bytes of the disk.
    fn free_bytes(&self) -> Result<u64>;
    /// Ends what is being appended to, so that the next process finds nothing to do. What fails is left to it.
    fn close(&self);
}

/// The blobs of a shard.
#[derive(Debug, Default)]
pub(crate) struct Listed {
    pub(crate) ids: Vec<BlobId>,
    /// Bytes in packs of which no head says whose they are: a power cut left them of what was being written, or the head is damaged. Each has an
    /// id of its own, which says its place and is no blob's.
    pub(crate) fragments: Vec<BlobId>,
    /// What could not be read, so that there may be more.
    pub(crate) unread: Vec<String>,
}

/// A blob that is being written.
pub(crate) trait BlobWriter: Send {
    /// Appends bytes.
    fn write(&mut self, bytes: &[u8]) -> Result<()>;
    /// Makes the blob durable: its bytes, its checksums and its name.
    fn finish(self: Box<Self>) -> Result<()>;
}

/// What a blob says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BlobFacts {
    pub(crate) size_bytes: u64,
    pub(crate) crc64nvme: u64,
    /// When it was made, in microseconds of the Unix epoch.
    pub(crate) created_us: i64,
}

/// A blob that is being read.
pub(crate) trait BlobReader: Send + Sync {
    /// What it says of itself.
    fn facts(&self) -> BlobFacts;
    /// Drops what memory holds of it, so that the next read comes from the disk itself.
    fn forget_cached(&self);
    /// Reads bytes and verifies the blocks they lie in. The range must lie inside the blob.
    fn read(&self, start: u64, length: usize) -> Result<Bytes>;
}

/// Runs blocking work of the disk beside the async runtime.
pub(crate) async fn blocking<T, F>(work: F) -> Result<T>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T> + Send + 'static,
{
    end_of(tokio::task::spawn_blocking(work)).await
}

/// Waits for work that was begun.
async fn end_of<T>(work: JoinHandle<Result<T>>) -> Result<T> {
    work.await.map_err(|_| Error::Internal("blocking work panicked or was cancelled"))?
}

#[cfg(test)]
mod tests;
