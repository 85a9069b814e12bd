//! Appending to a pack: those who write at the same time share its syncs.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

use super::Shared;
use super::place::{PackNumber, Place};
use crate::bytes::syncs::Syncs;
use crate::bytes::{BlobWriter, format};
use crate::disk::DiskFile;
use crate::names::BlobId;
use crate::{Error, Result};

/// A pack that this process appends to.
pub(super) struct Appending {
    pub(super) number: PackNumber,
    pub(super) file: Box<dyn DiskFile>,
    syncs: Syncs,
    state: Mutex<State>,
    done: Condvar,
}

#[derive(Default)]
struct State {
    /// How many asked for a sync so far.
    asked: u64,
    /// How many of them are on the disk.
    synced: u64,
    under_way: bool,
    /// Why a sync failed. The kernel may have dropped the pages, so none is tried again.
    failed: Option<String>,
}

impl Appending {
    pub(super) fn new(number: PackNumber, file: Box<dyn DiskFile>, syncs: Syncs) -> Self {
        Self { number, file, syncs, state: Mutex::default(), done: Condvar::new() }
    }

    /// Returns when everything that was written before is on the disk. One of those who wait syncs for all who came before it began.
    pub(super) fn sync(&self) -> Result<()> {
        // A poisoned lock only means that a thread panicked between whole changes.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.asked += 1;
        let mine = state.asked;
        while state.synced < mine {
            if let Some(why) = &state.failed {
                return Err(Error::ReadOnly(why.clone()));
            }
            if state.under_way {
                state = self.done.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            state.under_way = true;
            let until = state.asked;
            drop(state);
            let synced = self.syncs.check(self.file.sync_data());
            state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.under_way = false;
            match synced {
                Ok(()) => state.synced = until,
                Err(error) => state.failed = Some(reason(error)),
            }
            self.done.notify_all();
        }
        Ok(())
    }

    /// Why nothing is appended any more.
    pub(super) fn failed(&self) -> Option<String> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).failed.clone()
    }
}

fn reason(error: Error) -> String {
    match error {
        Error::ReadOnly(why) => why,
        other => other.to_string(),
    }
}

/// A slot that is taken; given back as a hole when nothing was written to it. As long as there is one, its pack is not sealed.
pub(super) struct Reserved {
    pub(super) packs: Arc<Shared>,
    pub(super) pack: Arc<Appending>,
    pub(super) place: Place,
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.packs.release(&self.pack);
    }
}

/// A blob on its way to its slot. It is gathered whole, so that it is written at once.
pub(super) struct SlotWriter {
    pub(super) reserved: Reserved,
    size_bytes: u64,
    /// The head and the bytes so far.
    slot: Vec<u8>,
    created_us: i64,
}

impl SlotWriter {
    pub(super) fn new(reserved: Reserved, id: BlobId, size_bytes: u64, created_us: i64) -> Self {
        let mut slot = Vec::with_capacity(usize::try_from(reserved.place.length_bytes).unwrap_or_default());
        slot.extend_from_slice(&format::head(id));
        Self { reserved, size_bytes, slot, created_us }
    }
}

impl BlobWriter for SlotWriter {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.slot.extend_from_slice(bytes);
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        if self.slot.len() as u64 != format::HEAD_BYTES + self.size_bytes {
            return Err(Error::Internal("a blob in a pack has another size than was announced"));
        }
        let Reserved { pack, place, .. } = &self.reserved;
        format::end_slot(&mut self.slot, place.length_bytes, self.created_us);
        pack.file.write_at(&self.slot, place.start).map_err(|e| Error::io("writing a blob into a pack", e))?;
        pack.sync()
    }
}
