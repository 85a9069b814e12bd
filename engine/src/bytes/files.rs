//! Blobs as files: `blobs/ab/cd/<id>`, one preallocated file each, never renamed and never overwritten.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use crc_fast::{CrcAlgorithm, Digest};

use super::format::{self, FOOT_BYTES, Foot, HEAD_BYTES, crc32c};
use super::{BLOCK_BYTES, BlobFacts, BlobReader, BlobWriter, ByteStore};
use crate::disk::{Disk, DiskFile, ensure_dir};
use crate::names::BlobId;
use crate::read_only::ReadOnly;
use crate::{Clock, Error, Result};

/// Room that is taken at once for a large blob.
const RESERVE_STEP_BYTES: u64 = 64 << 20;
/// Bytes of a blob after which the disk is told to begin writing them. The journal of a file system makes everybody's sync wait for what
/// one file has left, so that a large blob must not leave much.
const WRITEBACK_STEP_BYTES: u64 = 8 << 20;

/// Blobs beneath a directory.
#[derive(Debug)]
pub(crate) struct BlobFiles {
    disk: Arc<dyn Disk>,
    blobs: PathBuf,
    quarantine: PathBuf,
    clock: Clock,
    syncs: Syncs,
    /// Directories of blobs whose names this process made durable, by their two levels.
    durable: Mutex<HashSet<String>>,
}

impl BlobFiles {
    /// Makes the directories when they are absent.
    pub(crate) fn open(disk: Arc<dyn Disk>, data_dir: &Path, clock: Clock, read_only: ReadOnly) -> Result<Self> {
        let store = Self {
            syncs: Syncs { disk: disk.clone(), read_only },
            disk,
            blobs: data_dir.join("blobs"),
            quarantine: data_dir.join("quarantine"),
            clock,
            durable: Mutex::default(),
        };
        for directory in [&store.blobs, &store.quarantine] {
            ensure_dir(&*store.disk, directory).map_err(|e| Error::io("making the directory of the blobs", e))?;
        }
        store.syncs.directory(data_dir)?;
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

/// Syncs, and throws the switch when one fails: the kernel may have dropped the pages and would report success the next time.
#[derive(Clone, Debug)]
struct Syncs {
    disk: Arc<dyn Disk>,
    read_only: ReadOnly,
}

impl Syncs {
    fn check(&self, synced: io::Result<()>) -> Result<()> {
        synced.map_err(|error| {
            let why = format!("a blob could not be made durable: {error}");
            self.read_only.begin(&why);
            Error::ReadOnly(why)
        })
    }

    fn directory(&self, path: &Path) -> Result<()> {
        let directory = self.disk.open_dir(path).map_err(|e| Error::io("opening a directory to sync it", e))?;
        self.check(directory.sync())
    }
}

impl ByteStore for BlobFiles {
    fn create(&self, id: BlobId, size_bytes: Option<u64>) -> Result<Box<dyn BlobWriter>> {
        let directory = self.make_directory(id)?;
        let path = directory.join(id.to_string());
        let mut file = self.disk.create_new(&path).map_err(|e| Error::io("making a blob", e))?;
        file.write(&format::head(id)).map_err(|e| Error::io("writing a blob", e))?;
        Ok(Box::new(FileWriter {
            file,
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

    fn open(&self, id: BlobId) -> Result<Arc<dyn BlobReader>> {
        let file = self.disk.open(&self.path(id)).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Error::corrupt(format!("blob {id} is missing")),
            _ => Error::io("opening a blob", error),
        })?;
        FileReader::open(file, id).map(|reader| Arc::new(reader) as Arc<dyn BlobReader>)
    }

    fn remove(&self, id: BlobId) -> Result<()> {
        match self.disk.remove(&self.path(id)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("removing a blob", error)),
            _ => Ok(()),
        }
    }

    fn quarantine(&self, id: BlobId) -> Result<()> {
        match self.disk.rename(&self.path(id), &self.quarantine.join(id.to_string())) {
            // A failed upload has removed it meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            renamed => renamed.map_err(|e| Error::io("putting a blob into quarantine", e))?,
        }
        self.syncs.directory(&self.quarantine)?;
        self.syncs.directory(&self.directory(id))
    }

    fn bring_back(&self, id: BlobId) -> Result<bool> {
        let aside = self.quarantine.join(id.to_string());
        match self.disk.open(&aside) {
            Ok(file) => FileReader::open(file, id)?,
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

    fn is_quarantined(&self, id: BlobId) -> Result<bool> {
        self.is_there(&self.quarantine.join(id.to_string()))
    }

    fn contains(&self, id: BlobId) -> Result<bool> {
        self.is_there(&self.path(id))
    }

    fn list_shard(&self, shard: u8) -> Result<Vec<BlobId>> {
        let failed = |e| Error::io("listing blobs", e);
        let mut ids = Vec::new();
        let shard = self.blobs.join(format!("{shard:02x}"));
        let directories = match self.disk.read_dir(&shard) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(ids),
            directories => directories.map_err(failed)?,
        };
        for directory in directories {
            let names = self.disk.read_dir(&shard.join(directory)).map_err(failed)?;
            ids.extend(names.iter().filter_map(|name| name.to_str().and_then(BlobId::from_hex)));
        }
        Ok(ids)
    }

    fn free_bytes(&self) -> Result<u64> {
        self.disk.free_bytes(&self.blobs).map_err(|e| Error::io("asking for free space", e))
    }
}

struct FileWriter {
    file: Box<dyn DiskFile>,
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

    fn write_back(&mut self) {
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
        self.file.write(bytes).map_err(|e| Error::io("writing a blob", e))?;
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
        self.file.write(&tail).map_err(|e| Error::io("writing a blob", e))?;
        // The length is part of what fdatasync keeps; room that was reserved beyond it is given back.
        let length = HEAD_BYTES + self.size_bytes + tail.len() as u64;
        self.file.set_len(length).map_err(|e| Error::io("writing a blob", e))?;
        self.syncs.check(self.file.sync_data())?;
        self.syncs.directory(&self.directory)
    }
}

pub(super) struct FileReader {
    id: BlobId,
    file: Box<dyn DiskFile>,
    foot: Foot,
    blocks: Vec<u8>,
}

impl FileReader {
    pub(super) fn open(file: Box<dyn DiskFile>, id: BlobId) -> Result<Self> {
        let length = file.length_bytes().map_err(|e| Error::io("reading a blob", e))?;
        let foot_at = length
            .checked_sub(FOOT_BYTES as u64)
            .filter(|at| *at >= HEAD_BYTES)
            .ok_or_else(|| Error::corrupt(format!("blob {id} is too short")))?;
        let failed = |e| Error::io("reading a blob", e);
        let mut head = vec![0_u8; HEAD_BYTES as usize];
        file.read_exact_at(&mut head, 0).map_err(failed)?;
        format::check_head(&head, id)?;
        let mut foot = [0_u8; FOOT_BYTES];
        file.read_exact_at(&mut foot, foot_at).map_err(failed)?;
        let foot = Foot::decode(&foot, id)?;
        let blocks_bytes = 4 * format::block_count(foot.size_bytes);
        if HEAD_BYTES + foot.size_bytes + blocks_bytes != foot_at {
            return Err(Error::corrupt(format!("blob {id}: its length is not what its foot says")));
        }
        let mut blocks = vec![0_u8; usize::try_from(blocks_bytes).unwrap_or_default()];
        file.read_exact_at(&mut blocks, HEAD_BYTES + foot.size_bytes).map_err(failed)?;
        if crc32c(&blocks) != foot.blocks_crc32c {
            return Err(Error::corrupt(format!("blob {id}: its checksums are damaged")));
        }
        Ok(Self { id, file, foot, blocks })
    }

    /// Compares the blocks in `bytes`, which begin at block `first`, with their checksums.
    fn verify(&self, first: u64, bytes: &[u8]) -> Result<()> {
        for (index, block) in bytes.chunks(BLOCK_BYTES as usize).enumerate() {
            let number = first + index as u64;
            let at = usize::try_from(4 * number).unwrap_or(usize::MAX);
            if crc32c(block) != format::le32(&self.blocks, at) {
                metrics::counter!("cloudhold_damaged_blocks_total").increment(1);
                return Err(Error::corrupt(format!("blob {}: block {number} does not match its checksum", self.id)));
            }
        }
        Ok(())
    }
}

impl BlobReader for FileReader {
    fn facts(&self) -> BlobFacts {
        let Foot { size_bytes, crc64nvme, blocks_crc32c: _, created_us } = self.foot;
        BlobFacts { size_bytes, crc64nvme, created_us }
    }

    fn forget_cached(&self) {
        self.file.forget_cached();
    }

    fn read(&self, start: u64, length: usize) -> Result<Bytes> {
        let end = start + length as u64;
        if end > self.foot.size_bytes {
            return Err(Error::corrupt(format!("blob {} is shorter than its row says", self.id)));
        }
        let first = start / BLOCK_BYTES;
        let from = first * BLOCK_BYTES;
        let to = end.next_multiple_of(BLOCK_BYTES).min(self.foot.size_bytes);
        let mut blocks = BytesMut::zeroed(usize::try_from(to - from).unwrap_or_default());
        self.file.read_exact_at(&mut blocks, HEAD_BYTES + from).map_err(|e| Error::io("reading a blob", e))?;
        self.verify(first, &blocks)?;
        let skip = usize::try_from(start - from).unwrap_or_default();
        Ok(blocks.freeze().slice(skip..skip + length))
    }
}
