//! Blobs that exist but that no row refers to yet, and content that is being read: neither may be cleaned away.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use super::ByteStore;
use crate::names::{BlobId, ContentId};

/// What is in use by running requests of this process.
#[derive(Clone, Debug, Default)]
pub(crate) struct InFlight(Arc<Mutex<Sets>>);

#[derive(Debug, Default)]
struct Sets {
    blobs: HashSet<BlobId>,
    contents: HashMap<ContentId, usize>,
}

impl InFlight {
    fn with<T>(&self, change: impl FnOnce(&mut Sets) -> T) -> T {
        // A poisoned lock only means that a thread panicked between whole changes of the sets.
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether a blob is being written or waits for its row.
    pub(crate) fn is_writing(&self, id: BlobId) -> bool {
        self.with(|sets| sets.blobs.contains(&id))
    }

    /// Whether no blob is being written or waits for its row.
    #[cfg(test)]
    pub(crate) fn is_idle(&self) -> bool {
        self.with(|sets| sets.blobs.is_empty())
    }

    /// Whether content is being read.
    pub(crate) fn is_reading(&self, id: ContentId) -> bool {
        self.with(|sets| sets.contents.contains_key(&id))
    }

    /// Guards a new blob until its row is there.
    pub(crate) fn write(&self, store: &Arc<dyn ByteStore>, id: BlobId) -> NewBlob {
        self.with(|sets| sets.blobs.insert(id));
        NewBlob { id, store: store.clone(), in_flight: self.clone(), kept: false }
    }

    /// Guards content while it is read.
    pub(crate) fn read(&self, id: ContentId) -> Reading {
        self.with(|sets| *sets.contents.entry(id).or_default() += 1);
        Reading { id, in_flight: self.clone() }
    }
}

/// A blob without a row. Dropped before it was handed over, it is removed: nothing refers to it.
#[derive(Debug)]
pub(crate) struct NewBlob {
    id: BlobId,
    store: Arc<dyn ByteStore>,
    in_flight: InFlight,
    kept: bool,
}

impl NewBlob {
    pub(crate) fn id(&self) -> BlobId {
        self.id
    }

    /// A transaction that refers to it is on its way: from here on it stays, whatever is dropped, unless it is removed.
    pub(crate) fn hand_over(&mut self) {
        self.kept = true;
    }

    /// The transaction was refused for certain: nothing refers to it.
    pub(crate) fn remove(mut self) {
        self.kept = false;
    }
}

impl Drop for NewBlob {
    fn drop(&mut self) {
        let (id, store, in_flight, kept) = (self.id, self.store.clone(), self.in_flight.clone(), self.kept);
        let end = move || {
            if !kept && let Err(error) = store.remove(id) {
                tracing::warn!(%id, %error, "a blob without a row could not be removed; the sweep will find it");
            }
            in_flight.with(|sets| sets.blobs.remove(&id));
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) if !kept => drop(runtime.spawn_blocking(end)),
            Ok(_) | Err(_) => end(),
        }
    }
}

/// Content that is being read.
#[derive(Debug)]
pub(crate) struct Reading {
    id: ContentId,
    in_flight: InFlight,
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.in_flight.with(|sets| {
            if let Some(count) = sets.contents.get_mut(&self.id) {
                *count -= 1;
                if *count == 0 {
                    sets.contents.remove(&self.id);
                }
            }
        });
    }
}
