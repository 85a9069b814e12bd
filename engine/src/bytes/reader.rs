//! Reading a blob, each block verified before it is given away.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::buffers::Buffer;
use super::format::{self, FOOT_BYTES, Foot, HEAD_BYTES, PAGE_BYTES, crc32c};
use super::packs::place::Place;
use super::{BLOCK_BYTES, BlobFacts, BlobReader};
use crate::disk::DiskFile;
use crate::names::BlobId;
use crate::{Error, Result};

/// A blob in a file: all of the file, or a slot of a pack.
pub(super) struct FileReader {
    id: BlobId,
    file: Arc<dyn DiskFile>,
    /// Which bytes of the file are the blob's.
    start: u64,
    length_bytes: u64,
    foot: Foot,
    blocks: Vec<u8>,
}

impl FileReader {
    /// Opens a blob that has a file of its own.
    pub(super) fn whole(file: Box<dyn DiskFile>, id: BlobId) -> Result<Self> {
        let length_bytes = file.length_bytes().map_err(|e| Error::io("reading a blob", e))?;
        Self::open(file.into(), id, 0, length_bytes)
    }

    /// Opens a blob that is a part of a file.
    pub(super) fn open(file: Arc<dyn DiskFile>, id: BlobId, start: u64, length_bytes: u64) -> Result<Self> {
        let foot_at = length_bytes
            .checked_sub(FOOT_BYTES as u64)
            .filter(|at| *at >= HEAD_BYTES)
            .ok_or_else(|| Error::corrupt(format!("blob {id} is too short")))?;
        let read = |buffer: &mut [u8], at: u64| read_exact(&*file, id, buffer, start + at);
        let mut head = vec![0_u8; HEAD_BYTES as usize];
        read(&mut head, 0)?;
        format::check_head(&head, id)?;
        let mut foot = [0_u8; FOOT_BYTES];
        read(&mut foot, foot_at)?;
        let foot = Foot::decode(&foot, id)?;
        let blocks_bytes = 4 * format::block_count(foot.size_bytes);
        let used_bytes = HEAD_BYTES + foot.size_bytes + blocks_bytes;
        // A slot of a pack, and its copy in a file, is filled up to whole pages.
        let filling_bytes_max = if Place::of(id).is_some() { PAGE_BYTES - 1 } else { 0 };
        let filling_bytes = foot_at
            .checked_sub(used_bytes)
            .filter(|filling_bytes| *filling_bytes <= filling_bytes_max)
            .ok_or_else(|| Error::corrupt(format!("blob {id}: its length is not what its foot says")))?;
        let mut filling = vec![0_u8; usize::try_from(filling_bytes + blocks_bytes).unwrap_or_default()];
        read(&mut filling, HEAD_BYTES + foot.size_bytes)?;
        let blocks = filling.split_off(usize::try_from(filling_bytes).unwrap_or_default());
        // No checksum is over what fills a slot, but whoever finds another bit there knows of the disk what he should know.
        if filling.iter().any(|byte| *byte != 0) {
            return Err(Error::corrupt(format!("blob {id}: what fills its slot is not zero")));
        }
        if crc32c(&blocks) != foot.blocks_crc32c {
            return Err(Error::corrupt(format!("blob {id}: its checksums are damaged")));
        }
        Ok(Self { id, file, start, length_bytes, foot, blocks })
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
        self.file.forget_cached(self.start, self.length_bytes);
    }

    fn read(&self, start: u64, length: usize) -> Result<Bytes> {
        let end = start + length as u64;
        if end > self.foot.size_bytes {
            return Err(Error::corrupt(format!("blob {} is shorter than its row says", self.id)));
        }
        let first = start / BLOCK_BYTES;
        let from = first * BLOCK_BYTES;
        let to = end.next_multiple_of(BLOCK_BYTES).min(self.foot.size_bytes);
        let mut blocks = Buffer::of(usize::try_from(to - from).unwrap_or_default());
        read_exact(&*self.file, self.id, blocks.as_mut(), self.start + HEAD_BYTES + from)?;
        self.verify(first, blocks.as_ref())?;
        let skip = usize::try_from(start - from).unwrap_or_default();
        Ok(Bytes::from_owner(blocks).slice(skip..skip + length))
    }
}

/// Fills the buffer. A file that ends before is damaged, not a disk that fails.
fn read_exact(file: &dyn DiskFile, id: BlobId, buffer: &mut [u8], start: u64) -> Result<()> {
    file.read_exact_at(buffer, start).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => Error::corrupt(format!("blob {id} is cut off")),
        _ => Error::io("reading a blob", error),
    })
}
