//! A blob read from its first byte to its last, all of its checksums verified on the way.

use bytes::Bytes;
use crc_fast::{CrcAlgorithm, Digest};

use super::BlobReader;
use crate::names::BlobId;
use crate::{Error, Result};

/// Bytes of one read.
const READ_BYTES: u64 = 512 << 10;

/// A reading of a whole blob.
pub(crate) struct WholeRead<'r> {
    id: BlobId,
    reader: &'r dyn BlobReader,
    at: u64,
    crc: Digest,
}

impl<'r> WholeRead<'r> {
    pub(crate) fn new(id: BlobId, reader: &'r dyn BlobReader) -> Self {
        Self { id, reader, at: 0, crc: Digest::new(CrcAlgorithm::Crc64Nvme) }
    }

    /// The next bytes; `None` after the last, when the whole has the checksum that the blob says. [`Error::Corrupt`].
    pub(crate) fn next(&mut self) -> Result<Option<Bytes>> {
        let facts = self.reader.facts();
        let length = READ_BYTES.min(facts.size_bytes - self.at);
        if length == 0 {
            return match self.crc.finalize() == facts.crc64nvme {
                true => Ok(None),
                false => Err(Error::corrupt(format!("blob {} does not match the checksum of the whole", self.id))),
            };
        }
        let bytes = self.reader.read(self.at, usize::try_from(length).unwrap_or_default())?;
        self.crc.update(&bytes);
        self.at += length;
        Ok(Some(bytes))
    }
}
