//! The format of blobs and packs.
//!
//! ```text
//! head     4096 bytes   magic, format version, blob id, cipher (0 = none), block size; zeros; CRC32C of all before it
//! bytes    n            as they are
//! blocks   4 x ceil(n / block size)   CRC32C of each block, little endian
//! foot     64 bytes     magic, n, CRC64/NVME of the bytes, CRC32C of `blocks`, time of making; CRC32C of all before it
//! ```
//!
//! The bytes begin on a page of the disk, so that files can be shared by reference. A blob records only facts of its own making: copies,
//! parts and completed uploads share blobs, so it cannot know the names of its objects.
//!
//! A small blob lies in a slot of a pack, a file that many share, in the same format. A slot is a number of whole pages of 4096 bytes; zeros
//! between the bytes and the checksums fill it, so that the foot stands at its end. They are under no checksum: who opens the blob looks that
//! they are zeros. The id of a blob tells where it is:
//!
//! ```text
//! own file     0 and 127 random bits, 16 bytes
//! in a pack    5 bytes   1 and 39 random bits: the number of the pack
//!              2 bytes   first page of the slot, big endian
//!              2 bytes   pages of the slot, big endian
//!              7 bytes   random
//! ```
//!
//! A pack is `packs/<number in hexadecimal>`:
//!
//! ```text
//! head     4096 bytes   magic, format version, number (5 bytes, then zeros to 8), full length; zeros; CRC32C of all before it
//! slots                 one after the other; holes where none was finished, or the blob was removed
//! ```
//!
//! As long as it is appended to, a pack has its full length, with room taken for all of it; sealed, it ends with its last slot, and is
//! always shorter. No place in a pack is written twice. The head of a slot has its id, and with it its own place, so bytes of an object that
//! look like a head are none.

use crc_fast::{CrcAlgorithm, checksum};

use super::BLOCK_BYTES;
use crate::names::BlobId;
use crate::{Error, Result};

/// What slots of packs are counted in.
pub(super) const PAGE_BYTES: u64 = 4096;
/// Length of the head; the bytes begin here.
pub(super) const HEAD_BYTES: u64 = PAGE_BYTES;
/// Length of the foot.
pub(super) const FOOT_BYTES: usize = 64;

const HEAD_MAGIC: &[u8; 8] = b"CHBLOB\r\n";
const FOOT_MAGIC: &[u8; 8] = b"CHFOOT\r\n";
const VERSION: u32 = 1;
const CIPHER_NONE: u32 = 0;
/// Where the head's own checksum stands.
const HEAD_CHECK_AT: usize = HEAD_BYTES as usize - 4;
/// Where the foot's own checksum stands.
const FOOT_CHECK_AT: usize = FOOT_BYTES - 4;

/// CRC32C of some bytes.
pub(super) fn crc32c(bytes: &[u8]) -> u32 {
    // The crate answers every width as u64; this one has 32 bits.
    checksum(CrcAlgorithm::Crc32Iscsi, bytes) as u32
}

/// What the foot says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Foot {
    pub(super) size_bytes: u64,
    pub(super) crc64nvme: u64,
    pub(super) blocks_crc32c: u32,
    pub(super) created_us: i64,
}

/// How many blocks so many bytes have.
pub(super) fn block_count(size_bytes: u64) -> u64 {
    size_bytes.div_ceil(BLOCK_BYTES)
}

/// The head of a new blob.
pub(super) fn head(id: BlobId) -> Vec<u8> {
    let mut head = vec![0_u8; HEAD_BYTES as usize];
    head[..8].copy_from_slice(HEAD_MAGIC);
    head[8..12].copy_from_slice(&VERSION.to_le_bytes());
    head[12..28].copy_from_slice(id.as_bytes());
    head[28..32].copy_from_slice(&CIPHER_NONE.to_le_bytes());
    head[32..40].copy_from_slice(&BLOCK_BYTES.to_le_bytes());
    let check = crc32c(&head[..HEAD_CHECK_AT]);
    head[HEAD_CHECK_AT..].copy_from_slice(&check.to_le_bytes());
    head
}

/// Refuses a head that is damaged, of another blob, or of a version or cipher that this program does not know.
pub(super) fn check_head(head: &[u8], id: BlobId) -> Result<()> {
    let damaged = |what: &str| Err(Error::corrupt(format!("blob {id}: {what}")));
    if head.len() as u64 != HEAD_BYTES || head[..8] != *HEAD_MAGIC {
        return damaged("it does not begin as a blob does");
    }
    if crc32c(&head[..HEAD_CHECK_AT]) != le32(head, HEAD_CHECK_AT) {
        return damaged("its head does not match its checksum");
    }
    if head[12..28] != *id.as_bytes() {
        return damaged("its head names another blob");
    }
    if le32(head, 8) != VERSION || le32(head, 28) != CIPHER_NONE || le64(head, 32) != BLOCK_BYTES {
        return damaged("it has a format that this program does not know");
    }
    Ok(())
}

/// The id that an undamaged head names.
pub(super) fn id_of_head(head: &[u8]) -> Option<BlobId> {
    let is_head = head.len() as u64 == HEAD_BYTES && head[..8] == *HEAD_MAGIC;
    if !is_head || crc32c(&head[..HEAD_CHECK_AT]) != le32(head, HEAD_CHECK_AT) {
        return None;
    }
    BlobId::stored(&head[12..28]).ok()
}

/// How long the slot of a blob is that has so many bytes.
pub(super) fn slot_length(size_bytes: u64) -> u64 {
    (HEAD_BYTES + size_bytes + 4 * block_count(size_bytes) + FOOT_BYTES as u64).next_multiple_of(PAGE_BYTES)
}

/// Ends what begins with a head and the bytes of a blob, so that it has a length: zeros, checksums and foot.
pub(super) fn end_slot(slot: &mut Vec<u8>, length_bytes: u64, created_us: i64) {
    let bytes = &slot[HEAD_BYTES as usize..];
    let blocks: Vec<u8> = bytes.chunks(BLOCK_BYTES as usize).flat_map(|block| crc32c(block).to_le_bytes()).collect();
    let foot = Foot {
        size_bytes: bytes.len() as u64,
        crc64nvme: checksum(CrcAlgorithm::Crc64Nvme, bytes),
        blocks_crc32c: crc32c(&blocks),
        created_us,
    };
    let tail_at = usize::try_from(length_bytes).unwrap_or(usize::MAX) - blocks.len() - FOOT_BYTES;
    slot.resize(tail_at, 0);
    slot.extend_from_slice(&blocks);
    slot.extend_from_slice(&foot.encode());
}

impl Foot {
    pub(super) fn encode(&self) -> [u8; FOOT_BYTES] {
        let mut foot = [0_u8; FOOT_BYTES];
        foot[..8].copy_from_slice(FOOT_MAGIC);
        foot[8..16].copy_from_slice(&self.size_bytes.to_le_bytes());
        foot[16..24].copy_from_slice(&self.crc64nvme.to_le_bytes());
        foot[24..28].copy_from_slice(&self.blocks_crc32c.to_le_bytes());
        foot[32..40].copy_from_slice(&self.created_us.to_le_bytes());
        let check = crc32c(&foot[..FOOT_CHECK_AT]);
        foot[FOOT_CHECK_AT..].copy_from_slice(&check.to_le_bytes());
        foot
    }

    pub(super) fn decode(foot: &[u8; FOOT_BYTES], id: BlobId) -> Result<Self> {
        if foot[..8] != *FOOT_MAGIC || crc32c(&foot[..FOOT_CHECK_AT]) != le32(foot, FOOT_CHECK_AT) {
            return Err(Error::corrupt(format!("blob {id}: its foot is damaged")));
        }
        Ok(Self {
            size_bytes: le64(foot, 8),
            crc64nvme: le64(foot, 16),
            blocks_crc32c: le32(foot, 24),
            created_us: le64(foot, 32).cast_signed(),
        })
    }
}

/// Reads a little-endian number; the callers' offsets are constants inside fixed-size buffers.
pub(super) fn le32(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0_u8; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}

pub(super) fn le64(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0_u8; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}
