//! Blobs as files: `blobs/ab/cd/<id>`, one preallocated file each, never renamed and never overwritten.

use std::collections::HashSet;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crc_fast::{CrcAlgorithm, Digest};

use super::direct::{Direct, Gathered};
use super::format::{self, Foot, HEAD_BYTES, crc32c};
use super::reader::FileReader;
use super::syncs::Syncs;
use super::{BLOCK_BYTES, BlobWriter, Listed};
use crate::disk::{Disk, DiskFile, ensure_dir};
use crate::names::BlobId;
use crate::{Clock, Error, Result};

/// Room that is taken at once for a large blob.
const RESERVE_STEP_BYTES: u64 = 64 << 20;
/// Bytes of a blob after which the disk is told to begin writing them. The journal of a file system makes everybody's sync wait for what
/// one file has left, so that a large blob must not leave much.
const WRITEBACK_STEP_BYTES: u64 = 8 << 20;

/// Blobs beneath a directory.
#[derive(Debug)]
pub(super) struct BlobFiles {
    disk: Arc<dyn Disk>,
    blobs: PathBuf,
    quarantine: PathBuf,
    clock: Clock,
    syncs: Syncs,
    direct: Direct,
    /// Directories of blobs whose names this process made durable, by their two levels.
    durable: Mutex<HashSet<String>>,
    /// Directories from which names were removed since they were last synced.
    removed: Mutex<HashSet<PathBuf>>,
}

impl BlobFiles {
    /// Makes the directories when they are absent; who calls makes their names durable.
    pub(super) fn open(
        disk: Arc<dyn Disk>,
        data_dir: &Path,
        clock: Clock,
        syncs: Syncs,
        direct: Direct,
    ) -> Result<Self> {
        let store = Self {
            syncs,
            direct,
            disk,
            blobs: data_dir.join("blobs"),
            quarantine: data_dir.join("quarantine"),
            clock,
            durable: Mutex::default(),
            removed: Mutex::default(),
        };
        for directory in [&store.blobs, &store.quarantine] {
            ensure_dir(&*store.disk, directory).map_err(|e| Error::io("making the directory of the blobs", e))?;
        }
        Ok(store)
    }

    fn durable(&self) -> MutexGuard<'_, HashSet<String>> {
        // A poisoned lock only means that a thread panicked between whole changes of the set.
        self.durable.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn directory(&self, id: BlobId) -> PathBuf {
        let hex = id.to_string();
        self.blobs.join(&hex[0..2]).join(&hex[2..4])
    }

    fn path(&self, id: BlobId) -> PathBuf {
        self.directory(id).join(id.to_string())
    }

    fn is_there(&self, path: &Path) -> Result<bool> {
        match self.disk.open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            opened => opened.map(|_| true).map_err(|e| Error::io("looking for a blob", e)),
        }
    }

    /// Makes the directory of a blob, durably: each new name is synced in the directory that holds it.
    fn make_directory(&self, id: BlobId) -> Result<PathBuf> {
        let directory = self.directory(id);
        let prefix = id.to_string()[..4].to_owned();
        // That it exists does not mean that its name is durable: somebody else may have made it this very moment.
        if self.durable().contains(&prefix) {
            return Ok(directory);
        }
        let failed = |e| Error::io("making a directory of blobs", e);
        let shard = self.blobs.join(&prefix[..2]);
        ensure_dir(&*self.disk, &shard).map_err(failed)?;
        ensure_dir(&*self.disk, &directory).map_err(failed)?;
        self.syncs.directory(&shard)?;
        self.syncs.directory(&self.blobs)?;
        self.durable().insert(prefix);
        Ok(directory)
    }
}

impl BlobFiles {
    pub(super) fn create(&self, id: BlobId, size_bytes: Option<u64>) -> Result<Box<dyn BlobWriter>> {
        let directory = self.make_directory(id)?;
        let path = directory.join(id.to_string());
        let mut file = self.disk.create_new(&path).map_err(|e| Error::io("making a blob", e))?;
        file.write(&format::head(id)).map_err(|e| Error::io("writing a blob", e))?;
        Ok(Box::new(FileWriter {
            file,
            gathered: self.direct.begin(size_bytes),
            directory,
            syncs: self.syncs.clone(),
            announced_bytes: size_bytes,
            reserved_bytes: 0,
            written_back_bytes: 0,
            blocks: Vec::new(),
            block: Digest::new(CrcAlgorithm::Crc32Iscsi),
            block_bytes: 0,
            whole: Digest::new(CrcAlgorithm::Crc64Nvme),
            size_bytes: 0,
            created_us: self.clock.now_us(),
        }))
    }

    /// Opens a blob's file; `None` when it has none.
    pub(super) fn open_blob(&self, id: BlobId) -> Result<Option<FileReader>> {
        match self.disk.open(&self.path(id)) {
            Ok(file) => FileReader::whole(file, id).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("opening a blob", error)),
        }
    }

    pub(super) fn remove(&self, id: BlobId) -> Result<()> {
        if self.remove_file(&self.path(id))? {
            self.removed().insert(self.directory(id));
        }
        Ok(())
    }

    /// A poisoned lock only means that a thread panicked between whole changes of the set.
    fn removed(&self) -> MutexGuard<'_, HashSet<PathBuf>> {
        self.removed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the removals so far durable. The first sync ends a transaction of the file system's journal, which takes the others along.
    pub(super) fn sync_removed(&self) -> Result<()> {
        let directories = std::mem::take(&mut *self.removed());
        directories.iter().try_for_each(|directory| self.syncs.directory(directory))
    }

    /// Removes a file; says whether there was one.
    fn remove_file(&self, path: &Path) -> Result<bool> {
        match self.disk.remove(path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(Error::io("removing a blob", error)),
        }
    }

    /// Moves a blob's file into quarantine; returns whether it has one.
    pub(super) fn quarantine(&self, id: BlobId) -> Result<bool> {
        match self.disk.rename(&self.path(id), &self.quarantine.join(id.to_string())) {
            // A failed upload has removed it meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            renamed => renamed.map_err(|e| Error::io("putting a blob into quarantine", e))?,
        }
        self.syncs.directory(&self.quarantine)?;
        self.syncs.directory(&self.directory(id))?;
        Ok(true)
    }

    /// Lays a blob's bytes into quarantine, whole or damaged as they are. A copy that is there already was made before a crash, of the same
    /// bytes.
    pub(super) fn quarantine_copy(&self, id: BlobId, bytes: &[u8]) -> Result<()> {
        let failed = |e| Error::io("putting a blob into quarantine", e);
        let aside = self.quarantine.join(format!("{id}.part"));
        self.remove_file(&aside)?;
        let mut file = self.disk.create_new(&aside).map_err(failed)?;
        file.write(bytes).map_err(failed)?;
        self.syncs.check(file.sync_data())?;
        self.disk.rename(&aside, &self.quarantine.join(id.to_string())).map_err(failed)?;
        self.syncs.directory(&self.quarantine)
    }

    pub(super) fn bring_back(&self, id: BlobId) -> Result<bool> {
        let aside = self.quarantine.join(id.to_string());
        match self.disk.open(&aside) {
            Ok(file) => FileReader::whole(file, id)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(Error::io("opening a blob in quarantine", error)),
        };
        let directory = self.make_directory(id)?;
        let brought = self.disk.rename(&aside, &directory.join(id.to_string()));
        brought.map_err(|e| Error::io("bringing a blob back", e))?;
        self.syncs.directory(&directory)?;
        self.syncs.directory(&self.quarantine)?;
        Ok(true)
    }

    pub(super) fn is_quarantined(&self, id: BlobId) -> Result<bool> {
        self.is_there(&self.quarantine.join(id.to_string()))
    }

    pub(super) fn contains(&self, id: BlobId) -> Result<bool> {
        self.is_there(&self.path(id))
    }

    pub(super) fn list_shard(&self, shard: u8) -> Result<Listed> {
        let mut listed = Listed::default();
        let shard = self.blobs.join(format!("{shard:02x}"));
        for directory in self.names(&shard, &mut listed)? {
            let names = self.names(&shard.join(directory), &mut listed)?;
            listed.ids.extend(names.iter().filter_map(|name| name.to_str().and_then(BlobId::from_hex)));
        }
        Ok(listed)
    }

    /// The names in a directory of blobs, which need not be there. One that cannot be read must not hide the others.
    fn names(&self, directory: &Path, listed: &mut Listed) -> Result<Vec<OsString>> {
        match self.disk.read_dir(directory) {
            Ok(names) => return Ok(names),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                let detail = Error::io("listing blobs", error).damage()?;
                listed.unread.push(format!("{}: {detail}", directory.display()));
            }
        }
        Ok(Vec::new())
    }

    pub(super) fn free_bytes(&self) -> Result<u64> {
        self.disk.free_bytes(&self.blobs).map_err(|e| Error::io("asking for free space", e))
    }
}

struct FileWriter {
    file: Box<dyn DiskFile>,
    /// Bytes that wait to go past the page cache, when they do that.
    gathered: Option<Gathered>,
    directory: PathBuf,
    syncs: Syncs,
    announced_bytes: Option<u64>,
    reserved_bytes: u64,
    /// Bytes of which the disk was told to begin writing them.
    written_back_bytes: u64,
    blocks: Vec<u8>,
    block: Digest,
    block_bytes: u64,
    whole: Digest,
    size_bytes: u64,
    created_us: i64,
}

impl FileWriter {
    /// Takes room for the bytes that come next, so that large blobs lie together. In steps: a client that announces much and sends little
    /// must not take the disk from others. Filesystems that cannot are left alone.
    fn reserve(&mut self, coming_bytes: u64) -> Result<()> {
        let Some(announced_bytes) = self.announced_bytes else { return Ok(()) };
        if self.size_bytes + coming_bytes <= self.reserved_bytes || self.reserved_bytes >= announced_bytes {
            return Ok(());
        }
        let step = RESERVE_STEP_BYTES.max(coming_bytes).min(announced_bytes - self.reserved_bytes);
        let start = HEAD_BYTES + self.reserved_bytes;
        match self.file.reserve(start, step) {
            Err(error) if error.kind() == io::ErrorKind::Unsupported => self.announced_bytes = None,
            Err(error) => return Err(Error::io("reserving room for a blob", error)),
            Ok(()) => self.reserved_bytes += step,
        }
        Ok(())
    }

    /// Writes bytes, or gathers them.
    fn put(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        if let Some(gathered) = &mut self.gathered {
            match gathered.add(&mut bytes, &mut *self.file) {
                Err(error) if error.kind() == io::ErrorKind::Unsupported => self.end_direct()?,
                added => return added,
            }
        }
        self.file.write(bytes)
    }

    /// Writes what was gathered; what comes next goes by the page cache.
    fn end_direct(&mut self) -> io::Result<()> {
        match self.gathered.take() {
            Some(gathered) => self.file.write(gathered.bytes()),
            None => Ok(()),
        }
    }

    fn write_back(&mut self) {
        if self.gathered.is_some() {
            return;
        }
        let waiting_bytes = self.size_bytes - self.written_back_bytes;
        if waiting_bytes >= WRITEBACK_STEP_BYTES {
            self.file.start_writeback(HEAD_BYTES + self.written_back_bytes, waiting_bytes);
            self.written_back_bytes = self.size_bytes;
        }
    }

    fn end_block(&mut self) {
        if self.block_bytes == 0 {
            return;
        }
        // The crate answers every width as u64; this one has 32 bits.
        self.blocks.extend_from_slice(&(self.block.finalize() as u32).to_le_bytes());
        self.block = Digest::new(CrcAlgorithm::Crc32Iscsi);
        self.block_bytes = 0;
    }
}

impl BlobWriter for FileWriter {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.reserve(bytes.len() as u64)?;
        self.put(bytes).map_err(|e| Error::io("writing a blob", e))?;
        self.whole.update(bytes);
        self.size_bytes += bytes.len() as u64;
        self.write_back();
        let mut rest = bytes;
        while !rest.is_empty() {
            let room = usize::try_from(BLOCK_BYTES - self.block_bytes).unwrap_or(usize::MAX);
            let (now, later) = rest.split_at(room.min(rest.len()));
            self.block.update(now);
            self.block_bytes += now.len() as u64;
            if self.block_bytes == BLOCK_BYTES {
                self.end_block();
            }
            rest = later;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        self.end_block();
        let foot = Foot {
            size_bytes: self.size_bytes,
            crc64nvme: self.whole.finalize(),
            blocks_crc32c: crc32c(&self.blocks),
            created_us: self.created_us,
        };
        let mut tail = std::mem::take(&mut self.blocks);
        tail.extend_from_slice(&foot.encode());
        self.end_direct().and_then(|()| self.file.write(&tail)).map_err(|e| Error::io("writing a blob", e))?;
        // The length is part of what fdatasync keeps; room that was reserved beyond it is given back.
        let length = HEAD_BYTES + self.size_bytes + tail.len() as u64;
        self.file.set_len(length).map_err(|e| Error::io("writing a blob", e))?;
        self.syncs.check(self.file.sync_data())?;
        self.syncs.directory(&self.directory)
    }
}
