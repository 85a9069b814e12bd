//! A blob read from its first byte to its last, all of its checksums verified on the way.

use bytes::Bytes;
use crc_fast::{CrcAlgorithm, Digest};

use super::{BlobFacts, BlobReader};
use crate::names::BlobId;
use crate::{Error, Result};

/// Bytes of one read.
const READ_BYTES: u64 = 512 << 10;

/// The checksum of a whole blob, computed while its stored bytes pass in their order.
pub(crate) struct WholeCrc {
    id: BlobId,
    crc: Digest,
    expected: u64,
}

impl WholeCrc {
    pub(crate) fn new(id: BlobId, facts: BlobFacts) -> Self {
        Self { id, crc: Digest::new(CrcAlgorithm::Crc64Nvme), expected: facts.crc64nvme }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.crc.update(bytes);
    }

    /// Whether all that passed is what the blob says. [`Error::Corrupt`].
    pub(crate) fn check(&self) -> Result<()> {
        if self.crc.finalize() == self.expected {
            return Ok(());
        }
        metrics::counter!("cloudhold_damaged_blocks_total").increment(1);
        Err(Error::corrupt(format!("blob {} does not match the checksum of the whole", self.id)))
    }
}

/// A reading of a whole blob.
pub(crate) struct WholeRead<'r> {
    reader: &'r dyn BlobReader,
    at: u64,
    crc: WholeCrc,
}

impl<'r> WholeRead<'r> {
    pub(crate) fn new(id: BlobId, reader: &'r dyn BlobReader) -> Self {
        Self { reader, at: 0, crc: WholeCrc::new(id, reader.facts()) }
    }

    /// The next bytes; `None` after the last, when the whole has the checksum that the blob says. [`Error::Corrupt`].
    pub(crate) fn next(&mut self) -> Result<Option<Bytes>> {
        let length = READ_BYTES.min(self.reader.facts().size_bytes - self.at);
        if length == 0 {
            return self.crc.check().map(|()| None);
        }
        let bytes = self.reader.read(self.at, usize::try_from(length).unwrap_or_default())?;
        self.crc.update(&bytes);
        self.at += length;
        Ok(Some(bytes))
    }
}
