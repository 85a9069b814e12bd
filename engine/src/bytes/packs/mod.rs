//! Small blobs in files that they share: `packs/<number>`, preallocated, appended to, synced for all who write at the same time.
//!
//! A blob's id says its place, so nothing else has to know of packs. A place is written once: what is removed leaves a hole, and a sealed
//! pack of which nothing is left goes as a whole. A process appends only to packs that it began itself.

mod append;
mod file;
pub(crate) mod place;
mod seal;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use moka::sync::Cache;

use self::append::{Appending, Reserved, SlotWriter};
use self::place::{PackNumber, Place};
use super::format::{self, HEAD_BYTES, PAGE_BYTES};
use super::reader::FileReader;
use super::syncs::Syncs;
use super::{BlobWriter, Listed, bounds};
use crate::disk::{Disk, DiskFile, ensure_dir};
use crate::names::BlobId;
use crate::{Clock, Error, Result};

/// Packs that are kept open to be read.
const OPEN_MAX: u64 = 128;

/// What packs are to be like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PackLimits {
    /// Bytes up to which a blob goes to a pack; zero: none does.
    pub(crate) size_bytes_max: u64,
    /// Length of a pack.
    pub(crate) pack_bytes: u64,
}

/// The packs of a store.
#[derive(Clone, Debug)]
pub(super) struct Packs(Arc<Shared>);

struct Shared {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    syncs: Syncs,
    clock: Clock,
    limits: PackLimits,
    state: Mutex<State>,
    /// Whether the file system was seen to be unable to do what packs need. Beside the state, which is held while a pack is made and synced,
    /// and so long must nobody wait who only asks for this.
    is_unfit: AtomicBool,
    removed: Mutex<Removed>,
    /// Packs that are open to be read.
    open: Cache<PackNumber, Arc<dyn DiskFile>>,
}

struct State {
    /// What slots are taken from.
    current: Option<PackNumber>,
    /// The packs that are not sealed yet.
    appending: HashMap<PackNumber, Held>,
    /// Whether the file system was tried, and can do what packs need.
    is_fit: bool,
}

/// What was removed and may come back after a power cut.
#[derive(Default)]
struct Removed {
    /// Packs in which holes were punched.
    punched: HashSet<PackNumber>,
    /// Whether packs went as a whole.
    packs: bool,
}

struct Held {
    pack: Arc<Appending>,
    /// Where the next slot begins.
    end: u64,
    /// Slots that are taken and not finished.
    reserved: usize,
}

impl fmt::Debug for Shared {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Packs")
            .field("directory", &self.directory)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl Packs {
    /// Makes the directory when it is absent, whose name the caller makes durable, and seals what another process left.
    pub(super) fn open(
        disk: Arc<dyn Disk>,
        data_dir: &Path,
        clock: Clock,
        syncs: Syncs,
        limits: PackLimits,
    ) -> Result<Self> {
        let directory = data_dir.join("packs");
        ensure_dir(&*disk, &directory).map_err(|e| Error::io("making the directory of the packs", e))?;
        let size_bytes_max = limits.size_bytes_max.min(bounds::CHUNK_BYTES as u64);
        let limits = PackLimits { size_bytes_max, ..limits };
        let state = Mutex::new(State { current: None, appending: HashMap::new(), is_fit: false });
        let (removed, is_unfit, open) = (Mutex::default(), AtomicBool::new(false), Cache::new(OPEN_MAX));
        let packs = Self(Arc::new(Shared { disk, directory, syncs, clock, limits, state, is_unfit, removed, open }));
        packs.0.seal_left()?;
        Ok(packs)
    }

    pub(super) fn size_bytes_max(&self) -> u64 {
        if self.0.is_unfit.load(Ordering::Relaxed) { 0 } else { self.0.limits.size_bytes_max }
    }

    /// Takes a slot for a blob; `None` when there is none.
    pub(super) fn begin(&self, size_bytes: u64) -> Result<Option<(BlobId, Box<dyn BlobWriter>)>> {
        if size_bytes == 0 || size_bytes > self.size_bytes_max() {
            return Ok(None);
        }
        let Some(reserved) = Shared::reserve(&self.0, format::slot_length(size_bytes))? else { return Ok(None) };
        let Some(id) = reserved.place.new_id() else { return Ok(None) };
        Ok(Some((id, Box::new(SlotWriter::new(reserved, id, size_bytes, self.0.clock.now_us())))))
    }

    /// Opens a blob; `None` when its pack is not there.
    pub(super) fn open_blob(&self, place: Place, id: BlobId) -> Result<Option<FileReader>> {
        let Some(file) = self.0.open_pack(place.pack)? else { return Ok(None) };
        FileReader::open(file, id, place.start, place.length_bytes).map(Some)
    }

    /// Whether there is anything in a blob's slot, be it damaged.
    pub(super) fn contains(&self, place: Place, id: BlobId) -> Result<bool> {
        let Some(file) = self.0.open_pack(place.pack)? else { return Ok(false) };
        let failed = |e| Error::io("looking for a blob in a pack", e);
        match owner(&*file, place).map_err(failed)? {
            Some(owner) => Ok(owner == id),
            None => file::has_data(&*file, place.start, place.start + place.length_bytes).map_err(failed),
        }
    }

    /// The bytes of a blob's slot, whatever they are; `None` when there are none.
    pub(super) fn read_slot(&self, place: Place, id: BlobId) -> Result<Option<Vec<u8>>> {
        if !self.contains(place, id)? {
            return Ok(None);
        }
        let Some(file) = self.0.open_pack(place.pack)? else { return Ok(None) };
        let failed = |e| Error::io("reading a pack", e);
        // The last slot of a pack may have been cut off.
        let end = (place.start + place.length_bytes).min(file.length_bytes().map_err(failed)?);
        let mut slot = vec![0_u8; usize::try_from(end.saturating_sub(place.start)).unwrap_or_default()];
        file.read_exact_at(&mut slot, place.start).map_err(failed)?;
        Ok(Some(slot))
    }

    /// Punches a blob's slot, and removes its pack when nothing is left of it.
    pub(super) fn remove(&self, place: Place, id: BlobId) -> Result<()> {
        let failed = |e| Error::io("removing a blob from a pack", e);
        let file = match self.0.disk.open_to_change(&self.0.path(place.pack)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            file => file.map_err(failed)?,
        };
        // Whose head says that the place is another's, never had it.
        if place.start < HEAD_BYTES || owner(&*file, place).map_err(failed)?.is_some_and(|owner| owner != id) {
            return Ok(());
        }
        file::punch(&*file, place.start, place.length_bytes).map_err(failed)?;
        self.0.removed().punched.insert(place.pack);
        self.0.remove_if_empty(place.pack, &*file).map_err(failed)
    }

    /// Makes the removals so far durable.
    pub(super) fn sync_removed(&self) -> Result<()> {
        let Removed { punched, packs } = std::mem::take(&mut *self.0.removed());
        for number in punched {
            match self.0.disk.open_to_change(&self.0.path(number)) {
                // It went as a whole.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                file => {
                    let file = file.map_err(|e| Error::io("opening a pack to sync it", e))?;
                    self.0.syncs.check(file.sync_data())?;
                }
            }
        }
        if packs { self.0.syncs.directory(&self.0.directory) } else { Ok(()) }
    }

    /// Lists the blobs in the packs of a shard, too.
    pub(super) fn list_shard(&self, shard: u8, listed: &mut Listed) -> Result<()> {
        for number in self.0.numbers()?.into_iter().filter(|number| number.shard() == shard) {
            // What is without a head there may get it this moment.
            let is_appended_to = self.0.state().appending.contains_key(&number);
            let looked = match self.0.disk.open(&self.0.path(number)) {
                Ok(file) => {
                    let (found, looked) = file::look_through(&*file, number);
                    listed.ids.extend(found.ids);
                    if !is_appended_to {
                        listed.fragments.extend(found.fragments.iter().filter_map(Place::fragment_id));
                    }
                    looked
                }
                // It was removed meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                Err(error) => Err(error),
            };
            if let Err(error) = looked {
                let detail = Error::io("listing the blobs of a pack", error).damage()?;
                listed.unread.push(format!("pack {}: {detail}", number.name()));
            }
        }
        Ok(())
    }

    /// Seals the pack that is appended to, as soon as nobody writes to it.
    pub(super) fn close(&self) {
        let last = self.0.state().current.take();
        if let Some(last) = last {
            self.0.seal_if_idle(last);
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // A poisoned lock only means that a thread panicked between whole changes.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As above.
    fn removed(&self) -> MutexGuard<'_, Removed> {
        self.removed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, number: PackNumber) -> PathBuf {
        self.directory.join(number.name())
    }

    fn numbers(&self) -> Result<Vec<PackNumber>> {
        let names = self.disk.read_dir(&self.directory).map_err(|e| Error::io("listing packs", e))?;
        Ok(names.iter().filter_map(|name| PackNumber::from_name(name.to_str()?)).collect())
    }

    /// The file of a pack; `None` when there is none.
    fn open_pack(&self, number: PackNumber) -> Result<Option<Arc<dyn DiskFile>>> {
        if let Some(file) = self.open.get(&number) {
            return Ok(Some(file));
        }
        match self.disk.open(&self.path(number)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("opening a pack", error)),
            Ok(file) => {
                let file: Arc<dyn DiskFile> = file.into();
                self.open.insert(number, file.clone());
                Ok(Some(file))
            }
        }
    }

    /// Takes a slot of the pack that is appended to, or of the next one.
    fn reserve(shared: &Arc<Self>, length_bytes: u64) -> Result<Option<Reserved>> {
        if HEAD_BYTES + length_bytes + PAGE_BYTES > shared.limits.pack_bytes {
            return Ok(None);
        }
        let (reserved, full) = {
            let mut state = shared.state();
            let (mut reserved, mut full) = (state.take(length_bytes, shared.limits.pack_bytes)?, None);
            if reserved.is_none() {
                // Those who come meanwhile need the new pack, too.
                let Some(pack) = shared.begin_pack(&mut state.is_fit)? else { return Ok(None) };
                full = state.current.replace(pack.number);
                state.appending.insert(pack.number, Held { pack: Arc::new(pack), end: HEAD_BYTES, reserved: 0 });
                reserved = state.take(length_bytes, shared.limits.pack_bytes)?;
            }
            (reserved, full)
        };
        if let Some(full) = full {
            shared.seal_if_idle(full);
        }
        Ok(reserved.map(|(pack, place)| Reserved { packs: shared.clone(), pack, place }))
    }

    /// A slot was written, or is not wanted any more.
    fn release(&self, pack: &Appending) {
        if let Some(held) = self.state().appending.get_mut(&pack.number) {
            held.reserved -= 1;
        }
        self.seal_if_idle(pack.number);
    }
}

impl State {
    /// Takes the next slot; `None` when there is no pack or it is full. The last page of a pack stays free, so that a sealed one is always
    /// shorter than one that is not.
    fn take(&mut self, length_bytes: u64, pack_bytes: u64) -> Result<Option<(Arc<Appending>, Place)>> {
        let Some(held) = self.current.and_then(|number| self.appending.get_mut(&number)) else { return Ok(None) };
        if let Some(why) = held.pack.failed() {
            return Err(Error::ReadOnly(why));
        }
        if held.end + length_bytes > pack_bytes - PAGE_BYTES {
            return Ok(None);
        }
        let place = Place { pack: held.pack.number, start: held.end, length_bytes };
        held.end += length_bytes;
        held.reserved += 1;
        Ok(Some((held.pack.clone(), place)))
    }
}

/// Whose head stands at a place, if an undamaged one does.
fn owner(file: &dyn DiskFile, place: Place) -> io::Result<Option<BlobId>> {
    match file::page(file, place.start) {
        Ok(page) => Ok(format::id_of_head(&page)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}
