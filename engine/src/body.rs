//! Bodies on their way in and out: streams, and the digests that prove them.

use std::pin::Pin;

use bytes::Bytes;
use futures::Stream;

use crate::encryption::CustomerKey;
use crate::error::BoxError;

/// Bytes on their way.
pub type ByteStream = Pin<Box<dyn Stream<Item = Result<Bytes, BoxError>> + Send + 'static>>;

/// Digests of a whole body. Those that are given are checked; those that were computed are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Digests {
    /// MD5.
    pub md5: Option<[u8; 16]>,
    /// SHA-1.
    pub sha1: Option<[u8; 20]>,
    /// SHA-256.
    pub sha256: Option<[u8; 32]>,
    /// CRC-32 (ISO HDLC).
    pub crc32: Option<u32>,
    /// CRC-32C.
    pub crc32c: Option<u32>,
    /// CRC-64/NVME.
    pub crc64nvme: Option<u64>,
}

impl Digests {
    /// Whether the digest of an algorithm is among them.
    pub(crate) fn has(&self, algorithm: ChecksumAlgorithm) -> bool {
        match algorithm {
            ChecksumAlgorithm::Crc32 => self.crc32.is_some(),
            ChecksumAlgorithm::Crc32c => self.crc32c.is_some(),
            ChecksumAlgorithm::Crc64Nvme => self.crc64nvme.is_some(),
            ChecksumAlgorithm::Sha1 => self.sha1.is_some(),
            ChecksumAlgorithm::Sha256 => self.sha256.is_some(),
        }
    }
}

/// A checksum that S3 clients may ask for by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChecksumAlgorithm {
    /// CRC-32.
    Crc32,
    /// CRC-32C.
    Crc32c,
    /// CRC-64/NVME.
    Crc64Nvme,
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
}

impl ChecksumAlgorithm {
    /// Every algorithm.
    pub const ALL: [Self; 5] = [Self::Crc32, Self::Crc32c, Self::Crc64Nvme, Self::Sha1, Self::Sha256];

    /// The word of S3.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Crc32 => "CRC32",
            Self::Crc32c => "CRC32C",
            Self::Crc64Nvme => "CRC64NVME",
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
        }
    }

    /// Reads the word of S3.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == text)
    }
}

/// Gives the digests that only the end of the body tells (trailers); called once the stream has ended.
pub type Trailer = Box<dyn FnOnce() -> Result<Digests, BoxError> + Send>;

/// A body to be stored.
pub struct Body {
    /// Its bytes.
    pub stream: ByteStream,
    /// Its announced length, checked when given.
    pub size_bytes: Option<u64>,
    /// Digests announced before the body.
    pub expected: Digests,
    /// Digests announced after the body.
    pub trailer: Option<Trailer>,
    /// Checksums to compute and keep with the object, announced or not (digests that only prove the transfer are not kept).
    pub keep: Vec<ChecksumAlgorithm>,
    /// The customer's key under which a part is encrypted, where its upload was begun with one.
    pub customer_key: Option<CustomerKey>,
}

impl Body {
    /// A body of a stream of unknown length that nothing is announced of.
    pub fn new(stream: ByteStream) -> Self {
        Self {
            stream,
            size_bytes: None,
            expected: Digests::default(),
            trailer: None,
            keep: Vec::new(),
            customer_key: None,
        }
    }

    /// A body that is in memory already.
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let size_bytes = bytes.len() as u64;
        let once = futures::stream::once(async move { Ok(bytes) });
        Self { size_bytes: Some(size_bytes), ..Self::new(Box::pin(once)) }
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Body").field("size_bytes", &self.size_bytes).finish_non_exhaustive()
    }
}
