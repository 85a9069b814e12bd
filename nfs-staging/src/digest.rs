//! What proves that two contents are equal: length, SHA-256, CRC-64/NVME, and the entity tag that S3 would give.

use std::sync::Arc;

use crc_fast::CrcAlgorithm;
use md5::{Digest, Md5};
use sha2::Sha256;

/// How an object was cut when it was uploaded, which decides its entity tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// One PUT: the tag is the MD5 of the whole.
    Whole,
    /// Parts, each given by where it ends: the tag is the MD5 of their MD5s, `-`, their number.
    Parts(Arc<[u64]>),
    /// No tag is needed, which saves the slowest digest.
    Untagged,
}

impl Cut {
    /// Parts of one size; the last may be smaller.
    pub(crate) fn even(size_bytes: u64, part_size_bytes: u64) -> Self {
        let count = size_bytes.div_ceil(part_size_bytes).max(1);
        Self::Parts((1..=count).map(|number| (number * part_size_bytes).min(size_bytes)).collect())
    }
}

/// What is known of a content once all of it was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    pub(crate) size_bytes: u64,
    pub(crate) sha256: [u8; 32],
    pub(crate) crc64nvme: u64,
    /// The entity tag without quotes, for the cut that was asked for; empty for [`Cut::Untagged`].
    pub(crate) etag: String,
}

/// Takes a content piece by piece.
pub(crate) struct ContentHasher {
    cut: Cut,
    size_bytes: u64,
    sha256: Sha256,
    crc64nvme: crc_fast::Digest,
    /// Of the part (or the whole) that is being read.
    md5: Md5,
    /// Of the parts that were read.
    part_md5s: Vec<[u8; 16]>,
}

impl ContentHasher {
    pub(crate) fn new(cut: Cut) -> Self {
        Self {
            cut,
            size_bytes: 0,
            sha256: Sha256::new(),
            crc64nvme: crc_fast::Digest::new(CrcAlgorithm::Crc64Nvme),
            md5: Md5::new(),
            part_md5s: Vec::new(),
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        self.crc64nvme.update(bytes);
        let mut rest = bytes;
        while let Some(end) = self.part_end() {
            let missing = end - self.size_bytes;
            if (rest.len() as u64) < missing {
                break;
            }
            let (head, tail) = rest.split_at(usize::try_from(missing).unwrap_or(rest.len()));
            self.md5.update(head);
            self.size_bytes += head.len() as u64;
            self.part_md5s.push(self.md5.finalize_reset().into());
            rest = tail;
        }
        if self.cut != Cut::Untagged {
            self.md5.update(rest);
        }
        self.size_bytes += rest.len() as u64;
    }

    /// How many bytes were seen.
    pub(crate) fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// The SHA-256 of what was seen until now.
    pub(crate) fn sha256_so_far(&self) -> [u8; 32] {
        self.sha256.clone().finalize().into()
    }

    /// The MD5 of a part that was read to its end, by its number from 1.
    pub(crate) fn part_md5(&self, number: usize) -> Option<[u8; 16]> {
        self.part_md5s.get(number.checked_sub(1)?).copied()
    }

    pub(crate) fn finish(self) -> Fingerprint {
        let etag = match &self.cut {
            Cut::Whole => hex::encode(self.md5.finalize()),
            Cut::Untagged => String::new(),
            Cut::Parts(ends) => format!("{}-{}", hex::encode(Md5::digest(self.part_md5s.concat())), ends.len()),
        };
        Fingerprint {
            size_bytes: self.size_bytes,
            sha256: self.sha256.finalize().into(),
            crc64nvme: self.crc64nvme.finalize(),
            etag,
        }
    }

    /// Where the part that is being read ends.
    fn part_end(&self) -> Option<u64> {
        match &self.cut {
            Cut::Whole | Cut::Untagged => None,
            Cut::Parts(ends) => ends.get(self.part_md5s.len()).copied(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_values() {
        let mut hasher = ContentHasher::new(Cut::Whole);
        hasher.update(b"1234");
        hasher.update(b"56789");
        let found = hasher.finish();
        // The CRC-64/NVME check value of its catalogue, and the MD5 that md5sum prints.
        assert_eq!(found.crc64nvme, 0xae8b_1486_0a79_9888);
        assert_eq!(found.etag, "25f9e794323b453885f5181f1b624d0b");
        assert_eq!(found.size_bytes, 9);
    }

    #[test]
    fn an_empty_content_has_the_tag_of_an_empty_put() {
        assert_eq!(ContentHasher::new(Cut::Whole).finish().etag, "d41d8cd98f00b204e9800998ecf8427e");
    }

    proptest! {
        #[test]
        fn parts_are_cut_where_they_end(content in prop::collection::vec(any::<u8>(), 1..400), part in 1_u64..90, step in 1_usize..130) {
            let cut = Cut::even(content.len() as u64, part);
            let mut hasher = ContentHasher::new(cut);
            content.chunks(step).for_each(|piece| hasher.update(piece));
            let parts: Vec<_> = content.chunks(usize::try_from(part).unwrap()).map(Md5::digest).collect();
            prop_assert_eq!(hasher.part_md5(parts.len()), parts.last().map(|md5| (*md5).into()));
            let joined: Vec<u8> = parts.iter().flat_map(|md5| md5.to_vec()).collect();
            let found = hasher.finish();
            prop_assert_eq!(found.etag, format!("{}-{}", hex::encode(Md5::digest(joined)), parts.len()));
            prop_assert_eq!(found.sha256, <[u8; 32]>::from(Sha256::digest(&content)));
        }
    }
}
