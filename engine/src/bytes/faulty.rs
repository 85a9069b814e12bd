//! A byte store that behaves like a worse disk.

use std::sync::Arc;

use super::{BlobReader, BlobWriter, ByteStore};
use crate::Result;
use crate::names::BlobId;
use crate::settings::Faults;

/// Adds the faults that were asked for to another store.
#[derive(Debug)]
pub(crate) struct Faulty<S> {
    inner: S,
    faults: Faults,
}

impl<S> Faulty<S> {
    pub(crate) fn new(inner: S, faults: Faults) -> Self {
        Self { inner, faults }
    }
}

impl<S: ByteStore> ByteStore for Faulty<S> {
    fn create(&self, id: BlobId, size_bytes: Option<u64>) -> Result<Box<dyn BlobWriter>> {
        let inner = self.inner.create(id, size_bytes)?;
        Ok(Box::new(FaultyWriter { inner, faults: self.faults.clone() }))
    }

    fn open(&self, id: BlobId) -> Result<Arc<dyn BlobReader>> {
        self.inner.open(id)
    }

    fn remove(&self, id: BlobId) -> Result<()> {
        self.inner.remove(id)
    }

    fn quarantine(&self, id: BlobId) -> Result<()> {
        self.inner.quarantine(id)
    }

    fn list_shard(&self, shard: u8) -> Result<Vec<BlobId>> {
        self.inner.list_shard(shard)
    }

    fn free_bytes(&self) -> Result<u64> {
        self.inner.free_bytes()
    }
}

struct FaultyWriter {
    inner: Box<dyn BlobWriter>,
    faults: Faults,
}

impl BlobWriter for FaultyWriter {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.inner.write(bytes)
    }

    fn finish(self: Box<Self>) -> Result<()> {
        std::thread::sleep(self.faults.fsync_delay);
        self.inner.finish()
    }
}
