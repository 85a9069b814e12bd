//! All blobs: large ones in files of their own, small ones in packs. Which it is, the id says.
//!
//! A blob whose id says a pack may have a file all the same: it came back from quarantine or from a back-up, for no place in a pack is
//! written twice. The file comes first then, so that a copy that somebody lays there mends what is damaged in the pack.

use std::path::Path;
use std::sync::Arc;

use super::direct::Direct;
use super::files::BlobFiles;
use super::packs::place::Place;
use super::packs::{PackLimits, Packs};
use super::syncs::Syncs;
use super::{BlobReader, BlobWriter, ByteStore, Listed};
use crate::disk::Disk;
use crate::names::BlobId;
use crate::read_only::ReadOnly;
use crate::{Clock, Error, Result};

/// Blobs beneath a directory.
#[derive(Debug)]
pub(crate) struct Blobs {
    files: BlobFiles,
    packs: Packs,
}

impl Blobs {
    /// Makes the directories when they are absent, and ends what a process left that did not end by itself.
    pub(crate) fn open(
        disk: Arc<dyn Disk>,
        data_dir: &Path,
        clock: Clock,
        read_only: ReadOnly,
        packs: PackLimits,
        direct_size_bytes_min: u64,
    ) -> Result<Self> {
        let syncs = Syncs::new(disk.clone(), read_only);
        let files =
            BlobFiles::open(disk.clone(), data_dir, clock.clone(), syncs.clone(), Direct::new(direct_size_bytes_min))?;
        let packs = Packs::open(disk, data_dir, clock, syncs.clone(), packs)?;
        syncs.directory(data_dir)?;
        Ok(Self { files, packs })
    }
}

impl ByteStore for Blobs {
    fn create(&self, id: BlobId, size_bytes: Option<u64>) -> Result<Box<dyn BlobWriter>> {
        self.files.create(id, size_bytes)
    }

    fn pack_size_bytes_max(&self) -> u64 {
        self.packs.size_bytes_max()
    }

    fn pack(&self, size_bytes: u64) -> Result<Option<(BlobId, Box<dyn BlobWriter>)>> {
        self.packs.begin(size_bytes)
    }

    fn open(&self, id: BlobId) -> Result<Arc<dyn BlobReader>> {
        if let Some(reader) = self.files.open_blob(id)? {
            return Ok(Arc::new(reader));
        }
        let packed = Place::of(id).map(|place| self.packs.open_blob(place, id)).transpose()?.flatten();
        packed
            .map(|reader| Arc::new(reader) as Arc<dyn BlobReader>)
            .ok_or_else(|| Error::corrupt(format!("blob {id} is missing")))
    }

    fn remove(&self, id: BlobId) -> Result<()> {
        self.files.remove(id)?;
        Place::of(id).map_or(Ok(()), |place| self.packs.remove(place, id))
    }

    fn sync_removed(&self) -> Result<()> {
        self.files.sync_removed()?;
        self.packs.sync_removed()
    }

    fn quarantine(&self, id: BlobId) -> Result<()> {
        let has_file = self.files.quarantine(id)?;
        let Some(place) = Place::of(id) else { return Ok(()) };
        if !has_file {
            let Some(slot) = self.packs.read_slot(place, id)? else { return Ok(()) };
            self.files.quarantine_copy(id, &slot)?;
        }
        self.packs.remove(place, id)
    }

    fn bring_back(&self, id: BlobId) -> Result<bool> {
        self.files.bring_back(id)
    }

    fn is_quarantined(&self, id: BlobId) -> Result<bool> {
        self.files.is_quarantined(id)
    }

    fn contains(&self, id: BlobId) -> Result<bool> {
        if self.files.contains(id)? {
            return Ok(true);
        }
        Place::of(id).map_or(Ok(false), |place| self.packs.contains(place, id))
    }

    fn list_shard(&self, shard: u8) -> Result<Listed> {
        let mut listed = self.files.list_shard(shard)?;
        let with_files = listed.ids.len();
        self.packs.list_shard(shard, &mut listed)?;
        if listed.ids.len() > with_files {
            // One that has both a file and a slot is one blob.
            listed.ids.sort_unstable();
            listed.ids.dedup();
        }
        Ok(listed)
    }

    fn free_bytes(&self) -> Result<u64> {
        self.files.free_bytes()
    }

    fn close(&self) {
        self.packs.close();
    }
}
