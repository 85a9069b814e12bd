//! Bytes of objects, and what is known of them by definition.

use std::sync::Arc;

use crc_fast::CrcAlgorithm;
use engine::Digests;
use md5::{Digest as _, Md5};

/// Bytes up to which the store under test keeps content in the database; small, so that small content is in blobs already.
pub(crate) const INLINE_SIZE_BYTES_MAX: usize = 64;

/// Stored content. Copies share it.
#[derive(Debug)]
pub(crate) struct Content {
    pub(crate) bytes: Vec<u8>,
    pub(crate) etag: String,
    /// The sizes of its parts, when it was uploaded in parts.
    pub(crate) parts: Option<Vec<usize>>,
}

impl Content {
    pub(crate) fn whole(bytes: Vec<u8>) -> Arc<Self> {
        Arc::new(Self { etag: etag_of(&bytes), bytes, parts: None })
    }

    pub(crate) fn of_parts(parts: &[Vec<u8>]) -> Arc<Self> {
        let md5s: Vec<u8> = parts.iter().flat_map(|part| Md5::digest(part).to_vec()).collect();
        Arc::new(Self {
            bytes: parts.concat(),
            etag: format!("{}-{}", hex::encode(Md5::digest(md5s)), parts.len()),
            parts: Some(parts.iter().map(Vec::len).collect()),
        })
    }

    /// How many blobs it lies in.
    pub(crate) fn blob_count(&self) -> usize {
        let whole = [self.bytes.len()];
        let sizes = self.parts.as_deref().unwrap_or(&whole);
        sizes.iter().filter(|size| **size > INLINE_SIZE_BYTES_MAX).count()
    }
}

pub(crate) fn etag_of(bytes: &[u8]) -> String {
    hex::encode(Md5::digest(bytes))
}

/// The checksum that is kept when nobody asks for another.
pub(crate) fn crc64(bytes: &[u8]) -> Digests {
    Digests { crc64nvme: Some(crc_fast::checksum(CrcAlgorithm::Crc64Nvme, bytes)), ..Digests::default() }
}

pub(crate) fn crc32(bytes: &[u8]) -> Digests {
    let crc = crc_fast::checksum(CrcAlgorithm::Crc32IsoHdlc, bytes);
    Digests { crc32: Some(u32::try_from(crc).unwrap()), ..Digests::default() }
}

/// Bytes that differ by their seed in every place.
pub(crate) fn bytes_of(size: usize, seed: u8) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ (u64::from(seed) << 32) ^ size as u64;
    let next = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    });
    next.take(size).collect()
}
