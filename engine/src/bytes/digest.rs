//! Digests of bodies: which are needed, computing them, comparing them.

use bytes::Bytes;
use crc_fast::{CrcAlgorithm, Digest as Crc};
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::body::{ChecksumAlgorithm, Digests};
use crate::{Error, Result};

/// Which digests to compute beside MD5 and CRC-64/NVME, which always are.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) sha1: bool,
    pub(crate) sha256: bool,
    pub(crate) crc32: bool,
    pub(crate) crc32c: bool,
}

impl Wanted {
    pub(crate) fn new(expected: &Digests, keep: &[ChecksumAlgorithm]) -> Self {
        Self {
            sha1: expected.sha1.is_some() || keep.contains(&ChecksumAlgorithm::Sha1),
            sha256: expected.sha256.is_some() || keep.contains(&ChecksumAlgorithm::Sha256),
            crc32: expected.crc32.is_some() || keep.contains(&ChecksumAlgorithm::Crc32),
            crc32c: expected.crc32c.is_some() || keep.contains(&ChecksumAlgorithm::Crc32c),
        }
    }
}

/// The digests that cost little: the CRCs.
pub(crate) struct CrcLane {
    crc32: Option<Crc>,
    crc32c: Option<Crc>,
    crc64nvme: Crc,
}

/// MD5, the slowest: it runs beside the others.
pub(crate) struct Md5Lane(Md5);

/// The SHAs, when they are wanted.
pub(crate) struct ShaLane {
    sha1: Option<Sha1>,
    sha256: Option<Sha256>,
}

impl CrcLane {
    pub(crate) fn new(wanted: Wanted) -> Self {
        Self {
            crc32: wanted.crc32.then(|| Crc::new(CrcAlgorithm::Crc32IsoHdlc)),
            crc32c: wanted.crc32c.then(|| Crc::new(CrcAlgorithm::Crc32Iscsi)),
            crc64nvme: Crc::new(CrcAlgorithm::Crc64Nvme),
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.crc64nvme.update(bytes);
        for crc in [&mut self.crc32, &mut self.crc32c].into_iter().flatten() {
            crc.update(bytes);
        }
    }
}

impl Md5Lane {
    pub(crate) fn new() -> Self {
        Self(Md5::new())
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
}

impl ShaLane {
    /// `None` when no SHA is wanted, so that no thread is spent on it.
    pub(crate) fn new(wanted: Wanted) -> Option<Self> {
        let lane = Self { sha1: wanted.sha1.then(Sha1::new), sha256: wanted.sha256.then(Sha256::new) };
        (lane.sha1.is_some() || lane.sha256.is_some()).then_some(lane)
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        if let Some(sha1) = &mut self.sha1 {
            sha1.update(bytes);
        }
        if let Some(sha256) = &mut self.sha256 {
            sha256.update(bytes);
        }
    }
}

/// Ends all lanes.
pub(crate) fn finish(crc: &CrcLane, md5: Md5Lane, sha: Option<ShaLane>) -> Digests {
    let (sha1, sha256) = sha.map_or((None, None), |lane| (lane.sha1, lane.sha256));
    Digests {
        md5: Some(md5.0.finalize().into()),
        sha1: sha1.map(|sha1| sha1.finalize().into()),
        sha256: sha256.map(|sha256| sha256.finalize().into()),
        // The crate answers every width as u64; these have 32 bits.
        crc32: crc.crc32.as_ref().map(|crc| crc.finalize() as u32),
        crc32c: crc.crc32c.as_ref().map(|crc| crc.finalize() as u32),
        crc64nvme: Some(crc.crc64nvme.finalize()),
    }
}

/// All digests of bytes that are in memory.
pub(crate) fn of_bytes(chunks: &[Bytes], wanted: Wanted) -> Digests {
    let (mut crc, mut md5, mut sha) = (CrcLane::new(wanted), Md5Lane::new(), ShaLane::new(wanted));
    for chunk in chunks {
        crc.update(chunk);
        md5.update(chunk);
        if let Some(sha) = &mut sha {
            sha.update(chunk);
        }
    }
    finish(&crc, md5, sha)
}

/// The CRC-64/NVME of bytes that are in memory.
pub(crate) fn crc64nvme(bytes: &[u8]) -> u64 {
    crc_fast::checksum(CrcAlgorithm::Crc64Nvme, bytes)
}

/// Compares what was announced with what was computed. What was announced but not computed does not match.
pub(crate) fn check(expected: &Digests, actual: &Digests) -> Result<()> {
    fn differs<T: PartialEq>(expected: &Option<T>, actual: &Option<T>) -> bool {
        expected.is_some() && expected != actual
    }
    let wrong = [
        ("MD5", differs(&expected.md5, &actual.md5)),
        ("SHA1", differs(&expected.sha1, &actual.sha1)),
        ("SHA256", differs(&expected.sha256, &actual.sha256)),
        ("CRC32", differs(&expected.crc32, &actual.crc32)),
        ("CRC32C", differs(&expected.crc32c, &actual.crc32c)),
        ("CRC64NVME", differs(&expected.crc64nvme, &actual.crc64nvme)),
    ];
    match wrong.into_iter().find(|(_, wrong)| *wrong) {
        Some((algorithm, _)) => Err(Error::BadDigest { algorithm }),
        None => Ok(()),
    }
}
