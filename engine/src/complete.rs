//! What Complete checks before parts become an object: that the parts named are the parts stored, and what the whole's entity tag and
//! checksums are.

use std::collections::BTreeMap;

use bytes::Bytes;
use md5::{Digest, Md5};

use crate::body::{ChecksumAlgorithm, Digests};
use crate::bytes::digest::{self, Wanted};
use crate::bytes::joined_crc::JoinedCrc;
use crate::multipart::{CompleteUpload, CompletedPart, Part, UploadChecksum};
use crate::objects::ChecksumType;
use crate::{Error, Result};

/// What the whole will be.
pub(crate) struct Whole {
    /// The MD5 of the parts' MD5s, with their number.
    pub(crate) etag: String,
    pub(crate) checksums: Digests,
    pub(crate) checksum_type: ChecksumType,
    /// Parts that are stored but not named; they are freed.
    pub(crate) unnamed: Vec<u32>,
}

/// Refuses a checksum that cannot be made of parts, before any of them is sent.
pub(crate) fn check_kind(checksum: Option<UploadChecksum>) -> Result<()> {
    match checksum {
        Some(UploadChecksum {
            algorithm: ChecksumAlgorithm::Sha1 | ChecksumAlgorithm::Sha256,
            kind: ChecksumType::FullObject,
        }) => Err(sha_of_whole()),
        Some(_) | None => Ok(()),
    }
}

fn sha_of_whole() -> Error {
    Error::invalid("checksum type", "FULL_OBJECT is not possible with SHA1 and SHA256")
}

/// Compares the parts named with the parts stored. [`Error::InvalidPart`], [`Error::InvalidPartOrder`], [`Error::PartTooSmall`],
/// [`Error::BadDigest`].
pub(crate) fn check(
    stored: &[Part],
    complete: &CompleteUpload,
    checksum: Option<UploadChecksum>,
    part_size_bytes_min: u64,
) -> Result<Whole> {
    if complete.parts.is_empty() {
        return Err(Error::invalid("list of parts", "is empty"));
    }
    let mut unnamed: BTreeMap<u32, &Part> = stored.iter().map(|part| (part.number, part)).collect();
    let mut named = Vec::with_capacity(complete.parts.len());
    let mut before = 0;
    for part in &complete.parts {
        if part.number <= before {
            return Err(Error::InvalidPartOrder);
        }
        before = part.number;
        let found = unnamed.remove(&part.number).filter(|found| is_same(found, part));
        named.push(found.ok_or(Error::InvalidPart { number: part.number })?);
    }
    check_sizes(&named, complete.size_bytes, part_size_bytes_min)?;
    let (checksums, checksum_type) = whole_checksums(&named, checksum)?;
    digest::check(&complete.checksums, &checksums)?;
    Ok(Whole {
        etag: etag_of(named.iter().map(|part| part.etag.as_str()))?,
        checksums,
        checksum_type,
        unnamed: unnamed.into_keys().collect(),
    })
}

fn is_same(stored: &Part, named: &CompletedPart) -> bool {
    stored.etag == named.etag && digest::check(&named.checksums, &stored.checksums).is_ok()
}

fn check_sizes(parts: &[&Part], announced_bytes: Option<u64>, part_size_bytes_min: u64) -> Result<()> {
    let all_but_last = parts.split_last().map_or(&[][..], |(_, rest)| rest);
    if let Some(small) = all_but_last.iter().find(|part| part.size_bytes < part_size_bytes_min) {
        return Err(Error::PartTooSmall { number: small.number, size_bytes_min: part_size_bytes_min });
    }
    let size_bytes: u64 = parts.iter().map(|part| part.size_bytes).sum();
    match announced_bytes {
        Some(announced) if announced != size_bytes => {
            Err(Error::invalid("announced size", format!("is {announced}, but the parts have {size_bytes} bytes")))
        }
        Some(_) | None => Ok(()),
    }
}

/// The entity tag of an object of parts with these.
pub(crate) fn etag_of<'a>(parts: impl IntoIterator<Item = &'a str>) -> Result<String> {
    let (mut md5, mut count) = (Md5::new(), 0);
    for etag in parts {
        md5.update(hex::decode(etag).map_err(|_| Error::corrupt("a part's entity tag is not hexadecimal"))?);
        count += 1;
    }
    Ok(format!("{}-{count}", hex::encode(md5.finalize())))
}

/// The whole's checksum: combined from the parts', or over them. An upload that asked for none has the CRC-64/NVME of the whole, which
/// every part carries.
fn whole_checksums(parts: &[&Part], checksum: Option<UploadChecksum>) -> Result<(Digests, ChecksumType)> {
    let default = UploadChecksum { algorithm: ChecksumAlgorithm::Crc64Nvme, kind: ChecksumType::FullObject };
    let UploadChecksum { algorithm, kind } = checksum.unwrap_or(default);
    let digests = match (kind, algorithm) {
        (ChecksumType::FullObject, ChecksumAlgorithm::Crc32) => Digests {
            crc32: Some(combine(parts, JoinedCrc::CRC32, |part| part.checksums.crc32.map(u64::from))? as u32),
            ..Digests::default()
        },
        (ChecksumType::FullObject, ChecksumAlgorithm::Crc32c) => Digests {
            crc32c: Some(combine(parts, JoinedCrc::CRC32C, |part| part.checksums.crc32c.map(u64::from))? as u32),
            ..Digests::default()
        },
        (ChecksumType::FullObject, ChecksumAlgorithm::Crc64Nvme) => Digests {
            crc64nvme: Some(combine(parts, JoinedCrc::CRC64_NVME, |part| part.checksums.crc64nvme.or(part.crc64nvme))?),
            ..Digests::default()
        },
        (ChecksumType::FullObject, ChecksumAlgorithm::Sha1 | ChecksumAlgorithm::Sha256) => return Err(sha_of_whole()),
        (ChecksumType::Composite, algorithm) => composite(parts, algorithm)?,
    };
    Ok((digests, kind))
}

fn combine(parts: &[&Part], kind: JoinedCrc, of: impl Fn(&Part) -> Option<u64>) -> Result<u64> {
    let crc = |part: &&Part| Ok((of(part).ok_or(Error::InvalidPart { number: part.number })?, part.size_bytes));
    Ok(kind.of_parts(parts.iter().map(crc).collect::<Result<Vec<_>>>()?))
}

fn composite(parts: &[&Part], algorithm: ChecksumAlgorithm) -> Result<Digests> {
    let mut of_parts = Vec::new();
    for part in parts {
        let digests = &part.checksums;
        let bytes = match algorithm {
            ChecksumAlgorithm::Crc32 => digests.crc32.map(|crc| crc.to_be_bytes().to_vec()),
            ChecksumAlgorithm::Crc32c => digests.crc32c.map(|crc| crc.to_be_bytes().to_vec()),
            ChecksumAlgorithm::Crc64Nvme => digests.crc64nvme.map(|crc| crc.to_be_bytes().to_vec()),
            ChecksumAlgorithm::Sha1 => digests.sha1.map(|sha| sha.to_vec()),
            ChecksumAlgorithm::Sha256 => digests.sha256.map(|sha| sha.to_vec()),
        };
        of_parts.extend(bytes.ok_or(Error::InvalidPart { number: part.number })?);
    }
    let keep = [algorithm];
    let all = digest::of_bytes(&[Bytes::from(of_parts)], Wanted::new(&Digests::default(), &keep));
    Ok(crate::objects::kept_checksums(&all, &keep))
}
