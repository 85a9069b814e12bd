//! What objects hold: bytes that do not compress, that differ from object to object, and that a reader can verify without keeping them.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

/// Bodies are made of blocks of this size.
pub(crate) const BLOCK_BYTES: usize = 1 << 20;
/// Each block begins with so many bytes that tell which block of which object it is.
const STAMP_BYTES: usize = 16;

/// Some bytes of an object: the whole, or a part of an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Piece {
    pub(crate) object: u64,
    /// A multiple of [`BLOCK_BYTES`].
    pub(crate) offset: u64,
    pub(crate) size_bytes: u64,
}

impl Piece {
    pub(crate) fn whole(object: u64, size_bytes: u64) -> Self {
        Self { object, offset: 0, size_bytes }
    }

    /// Cuts an object into parts of this size, which is a multiple of [`BLOCK_BYTES`]; the last may be shorter.
    pub(crate) fn parts(object: u64, size_bytes: u64, part_bytes: u64) -> impl Iterator<Item = Self> + Send {
        (0..size_bytes.div_ceil(part_bytes)).map(move |index| {
            let offset = index * part_bytes;
            Self { object, offset, size_bytes: part_bytes.min(size_bytes - offset) }
        })
    }
}

/// The source of all bodies: one block of random bytes, stamped anew for each block of each object. Making and verifying a body so
/// costs a copy and a comparison, which leaves the processor to what is measured.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    block: Arc<[u8]>,
}

impl Content {
    /// The same for every run.
    pub(crate) fn new() -> Self {
        let mut block = vec![0; BLOCK_BYTES];
        StdRng::seed_from_u64(0x000b_e7c4).fill(block.as_mut_slice());
        Self { block: block.into() }
    }

    /// Block `index` of an object, cut to `len_bytes`.
    pub(crate) fn block(&self, object: u64, index: u64, len_bytes: usize) -> Bytes {
        let mut bytes = BytesMut::from(&self.block[..len_bytes]);
        let stamped = len_bytes.min(STAMP_BYTES);
        bytes[..stamped].copy_from_slice(&stamp(object, index)[..stamped]);
        bytes.freeze()
    }

    /// The blocks of a piece of an object, one after the other. A piece begins where a block does.
    pub(crate) fn blocks(&self, piece: Piece) -> impl Iterator<Item = Bytes> + Send + use<> {
        let content = self.clone();
        let first = piece.offset / BLOCK_BYTES as u64;
        (0..piece.size_bytes.div_ceil(BLOCK_BYTES as u64)).map(move |index| {
            let left = piece.size_bytes - index * BLOCK_BYTES as u64;
            let len_bytes = usize::try_from(left).unwrap_or(usize::MAX).min(BLOCK_BYTES);
            content.block(piece.object, first + index, len_bytes)
        })
    }

    /// Looks at an object's bytes as they come.
    pub(crate) fn verifier(&self, object: u64) -> Verifier {
        Verifier { content: self.clone(), object, offset: 0 }
    }
}

/// Compares an object's bytes with what was written.
#[derive(Debug)]
pub(crate) struct Verifier {
    content: Content,
    object: u64,
    offset: u64,
}

impl Verifier {
    /// Whether the next bytes are the right ones.
    pub(crate) fn accepts(&mut self, mut data: &[u8]) -> bool {
        while !data.is_empty() {
            let (index, within) = (self.offset / BLOCK_BYTES as u64, (self.offset % BLOCK_BYTES as u64) as usize);
            let head = stamp(self.object, index);
            let expected = if within < STAMP_BYTES { &head[within..] } else { &self.content.block[within..] };
            let (piece, rest) = data.split_at(expected.len().min(data.len()));
            if piece != &expected[..piece.len()] {
                return false;
            }
            self.offset += piece.len() as u64;
            data = rest;
        }
        true
    }

    /// How many bytes there were.
    pub(crate) fn size_bytes(&self) -> u64 {
        self.offset
    }
}

fn stamp(object: u64, index: u64) -> [u8; STAMP_BYTES] {
    let mut stamp = [0; STAMP_BYTES];
    stamp[..8].copy_from_slice(&object.to_be_bytes());
    stamp[8..].copy_from_slice(&index.to_be_bytes());
    stamp
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verifier_accepts_what_was_made_however_it_is_cut() {
        let content = Content::new();
        let size_bytes = 2 * BLOCK_BYTES as u64 + 77;
        let body: Vec<u8> = content.blocks(Piece::whole(9, size_bytes)).flatten().collect();
        for cut in [1, 7, 16, 4096, BLOCK_BYTES, body.len()] {
            let mut verifier = content.verifier(9);
            assert!(body.chunks(cut).all(|piece| verifier.accepts(piece)), "cut at {cut}");
            assert_eq!(verifier.size_bytes(), size_bytes);
        }
    }

    #[test]
    fn parts_are_the_whole() {
        let (content, size_bytes) = (Content::new(), 5 * BLOCK_BYTES as u64 + 9);
        let whole: Vec<u8> = content.blocks(Piece::whole(3, size_bytes)).flatten().collect();
        for part_bytes in [1, 2, 5, 6].map(|blocks| blocks * BLOCK_BYTES as u64) {
            let parts = Piece::parts(3, size_bytes, part_bytes).flat_map(|part| content.blocks(part));
            assert!(parts.flatten().eq(whole.iter().copied()), "parts of {part_bytes}");
        }
    }

    #[test]
    fn a_verifier_sees_another_object_and_every_changed_byte() {
        let content = Content::new();
        let body = content.block(9, 0, 4096).to_vec();
        assert!(!content.verifier(8).accepts(&body));
        for at in [0, 15, 16, 2000, 4095] {
            let mut changed = body.clone();
            changed[at] ^= 1;
            assert!(!content.verifier(9).accepts(&changed), "byte {at}");
        }
    }
}
