//! Copies of blobs beneath a directory, a file each as in a store: `blobs/ab/cd/<id>`. Back-ups share one, and a restored store is one. What
//! lay in a pack keeps its id and gets a file, too.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crc_fast::{CrcAlgorithm, Digest};

use super::format::{self, Foot, HEAD_BYTES, crc32c};
use super::reader::FileReader;
use super::whole::WholeRead;
use super::{BLOCK_BYTES, BlobFacts, BlobReader};
use crate::disk::{Disk, DiskFile, ensure_dir};
use crate::names::BlobId;
use crate::{Error, Result};

/// The end of the name of a copy that is being written.
const PART: &str = ".part";

/// Why a blob was not copied.
#[derive(Debug)]
pub(crate) enum NotCopied {
    /// It cannot be read, or is not what it should be: what is wrong with it.
    Damaged(String),
    /// The copy cannot be made.
    Failed(Error),
}

impl NotCopied {
    /// What an error says that came of reading the blob.
    pub(crate) fn unread(error: Error) -> Self {
        error.damage().map_or_else(Self::Failed, Self::Damaged)
    }
}

impl From<Error> for NotCopied {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// What came of copying a blob.
pub(crate) type CopyResult<T> = std::result::Result<T, NotCopied>;

/// Copies of blobs.
#[derive(Debug)]
pub(crate) struct Pool {
    disk: Arc<dyn Disk>,
    blobs: PathBuf,
    /// Directories with names that are not durable yet.
    unsynced: Mutex<BTreeSet<PathBuf>>,
}

impl Pool {
    /// Makes the directory of the blobs when it is absent.
    pub(crate) fn open(disk: Arc<dyn Disk>, directory: &Path) -> Result<Self> {
        let blobs = directory.join("blobs");
        ensure_dir(&*disk, &blobs).map_err(|e| Error::io("making a directory for blobs", e))?;
        let unsynced = Mutex::new(BTreeSet::from([directory.to_owned()]));
        Ok(Self { disk, blobs, unsynced })
    }

    fn directory(&self, id: BlobId) -> PathBuf {
        let hex = id.to_string();
        self.blobs.join(&hex[0..2]).join(&hex[2..4])
    }

    /// Opens a copy; `None` when there is none. [`Error::Corrupt`] when it cannot be one.
    pub(crate) fn reader(&self, id: BlobId) -> Result<Option<Arc<dyn BlobReader>>> {
        match self.disk.open(&self.directory(id).join(id.to_string())) {
            Ok(file) => Ok(Some(Arc::new(FileReader::whole(file, id)?))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("opening a copy of a blob", error)),
        }
    }

    /// Copies a blob as it was made, verifying all of it. Its bytes are durable when this returns, its name after [`Pool::sync`].
    pub(crate) fn add(&self, id: BlobId, from: &dyn BlobReader) -> CopyResult<BlobFacts> {
        let directory = self.make_directory(id)?;
        let aside = directory.join(format!("{id}{PART}"));
        self.remove_file(&aside)?;
        let written = self.write(id, from, &aside);
        if written.is_err() {
            self.remove_file(&aside)?;
        }
        let facts = written?;
        let place = directory.join(id.to_string());
        self.disk.rename(&aside, &place).map_err(|e| Error::io("naming a copy of a blob", e))?;
        Ok(facts)
    }

    fn write(&self, id: BlobId, from: &dyn BlobReader, aside: &Path) -> CopyResult<BlobFacts> {
        let failed = |e| Error::io("writing a copy of a blob", e);
        let facts = from.facts();
        let mut file = self.disk.create_new(aside).map_err(failed)?;
        match file.reserve(HEAD_BYTES, facts.size_bytes) {
            Err(error) if error.kind() != io::ErrorKind::Unsupported => return Err(failed(error).into()),
            Ok(()) | Err(_) => {}
        }
        file.write(&format::head(id)).map_err(failed)?;
        let mut blocks = write_bytes(id, from, &mut *file)?;
        let foot = Foot {
            size_bytes: facts.size_bytes,
            crc64nvme: facts.crc64nvme,
            blocks_crc32c: crc32c(&blocks),
            created_us: facts.created_us,
        };
        blocks.extend_from_slice(&foot.encode());
        file.write(&blocks).map_err(failed)?;
        file.set_len(HEAD_BYTES + facts.size_bytes + blocks.len() as u64).map_err(failed)?;
        file.sync_data().map_err(|e| Error::io("syncing a copy of a blob", e))?;
        Ok(facts)
    }

    fn make_directory(&self, id: BlobId) -> Result<PathBuf> {
        let failed = |e| Error::io("making a directory for blobs", e);
        let directory = self.directory(id);
        let shard = directory.parent().unwrap_or(&self.blobs).to_owned();
        ensure_dir(&*self.disk, &shard).map_err(failed)?;
        ensure_dir(&*self.disk, &directory).map_err(failed)?;
        let mut unsynced = self.unsynced.lock().unwrap_or_else(PoisonError::into_inner);
        unsynced.extend([self.blobs.clone(), shard, directory.clone()]);
        Ok(directory)
    }

    /// Makes the names of all copies durable.
    pub(crate) fn sync(&self) -> Result<()> {
        let directories = std::mem::take(&mut *self.unsynced.lock().unwrap_or_else(PoisonError::into_inner));
        for directory in directories {
            let synced = self.disk.open_dir(&directory).and_then(|directory| directory.sync());
            synced.map_err(|e| Error::io("syncing a directory of blobs", e))?;
        }
        Ok(())
    }

    /// Removes a copy; a missing one is no error.
    pub(crate) fn remove(&self, id: BlobId) -> Result<()> {
        self.remove_file(&self.directory(id).join(id.to_string()))
    }

    fn remove_file(&self, path: &Path) -> Result<()> {
        match self.disk.remove(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("removing a copy of a blob", error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// The ids of the copies of one of the 256 shards.
    pub(crate) fn list_shard(&self, shard: u8) -> Result<Vec<BlobId>> {
        let mut ids = Vec::new();
        self.names(shard, |_, name| {
            ids.extend(BlobId::from_hex(name));
            Ok(())
        })?;
        Ok(ids)
    }

    /// Removes what was left half written in one of the 256 shards; nobody may be writing.
    pub(crate) fn remove_parts(&self, shard: u8) -> Result<()> {
        self.names(shard, |directory, name| match name.strip_suffix(PART).and_then(BlobId::from_hex) {
            Some(_) => self.remove_file(&directory.join(name)),
            None => Ok(()),
        })
    }

    /// Shows the names in the directories of a shard.
    fn names(&self, shard: u8, mut see: impl FnMut(&Path, &str) -> Result<()>) -> Result<()> {
        let failed = |e| Error::io("listing copies of blobs", e);
        let shard = self.blobs.join(format!("{shard:02x}"));
        let directories = match self.disk.read_dir(&shard) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            directories => directories.map_err(failed)?,
        };
        for directory in directories {
            let directory = shard.join(directory);
            let names = self.disk.read_dir(&directory).map_err(failed)?;
            names.iter().filter_map(|name| name.to_str()).try_for_each(|name| see(&directory, name))?;
        }
        Ok(())
    }
}

/// Writes a blob's bytes; returns the checksums of its blocks, which are computed anew of what was verified.
fn write_bytes(id: BlobId, from: &dyn BlobReader, file: &mut dyn DiskFile) -> CopyResult<Vec<u8>> {
    let (mut whole, mut blocks) = (WholeRead::new(id, from), Vec::new());
    let (mut block, mut block_bytes) = (Digest::new(CrcAlgorithm::Crc32Iscsi), 0);
    let mut end = |block: &mut Digest| {
        // The crate answers every width as u64; this one has 32 bits.
        blocks.extend_from_slice(&(block.finalize() as u32).to_le_bytes());
        *block = Digest::new(CrcAlgorithm::Crc32Iscsi);
    };
    while let Some(bytes) = whole.next().map_err(NotCopied::unread)? {
        file.write(&bytes).map_err(|e| Error::io("writing a copy of a blob", e))?;
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let room = usize::try_from(BLOCK_BYTES - block_bytes).unwrap_or(usize::MAX);
            let (now, later) = rest.split_at(room.min(rest.len()));
            block.update(now);
            block_bytes += now.len() as u64;
            if block_bytes == BLOCK_BYTES {
                end(&mut block);
                block_bytes = 0;
            }
            rest = later;
        }
    }
    if block_bytes > 0 {
        end(&mut block);
    }
    Ok(blocks)
}
