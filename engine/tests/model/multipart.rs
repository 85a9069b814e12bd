//! The reference of multipart uploads.

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::{
    BucketName, CanonicalId, ChecksumAlgorithm, ChecksumType, CompleteUpload, Digests, Error, ObjectHeaders,
    ObjectInfo, ObjectKey, Result, StorageClass, UploadChecksum, UploadId,
};

use crate::content::{Content, INLINE_SIZE_BYTES_MAX, crc32, crc64, etag_of};
use crate::model::{Facts, Model, Object};
use crate::world::PART_SIZE_BYTES_MIN;

#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) bytes: Vec<u8>,
    pub(crate) modified_us: i64,
}

#[derive(Clone, Debug)]
pub(crate) struct Upload {
    pub(crate) id: UploadId,
    pub(crate) bucket: BucketName,
    pub(crate) key: ObjectKey,
    pub(crate) begun_by: Option<CanonicalId>,
    pub(crate) created_us: i64,
    pub(crate) headers: ObjectHeaders,
    pub(crate) user_metadata: Vec<(String, String)>,
    /// Whether the CRC-32 of the whole was asked for.
    pub(crate) crc32: bool,
    pub(crate) parts: BTreeMap<u32, Part>,
    pub(crate) open: bool,
}

/// A part without what only the store knows: number, size, tag, time, checksums.
pub(crate) type PartFacts = (u32, u64, String, i64, Digests);

impl Upload {
    pub(crate) fn close(&mut self) {
        self.open = false;
        self.parts.clear();
    }

    pub(crate) fn size_bytes(&self) -> u64 {
        self.parts.values().map(|part| part.bytes.len() as u64).sum()
    }

    pub(crate) fn blob_count(&self) -> usize {
        self.parts.values().filter(|part| part.bytes.len() > INLINE_SIZE_BYTES_MAX).count()
    }

    pub(crate) fn checksum(&self) -> Option<UploadChecksum> {
        let asked = UploadChecksum { algorithm: ChecksumAlgorithm::Crc32, kind: ChecksumType::FullObject };
        self.crc32.then_some(asked)
    }

    fn digests(&self, bytes: &[u8]) -> Digests {
        if self.crc32 { crc32(bytes) } else { crc64(bytes) }
    }

    /// Part `number` as it is shown.
    pub(crate) fn part(&self, number: u32) -> PartFacts {
        let Part { bytes, modified_us } = &self.parts[&number];
        (number, bytes.len() as u64, etag_of(bytes), *modified_us, self.digests(bytes))
    }

    pub(crate) fn shown(&self) -> engine::Upload {
        engine::Upload {
            given_up: None,
            encryption: None,
            upload_id: self.id.clone(),
            key: self.key.clone(),
            created_us: self.created_us,
            storage_class: StorageClass::Standard,
            checksum: self.checksum(),
            owner: None,
            begun_by: self.begun_by.clone(),
        }
    }

    /// The parts that Complete names, when it may.
    fn named(&self, complete: &CompleteUpload) -> Result<Vec<Vec<u8>>> {
        if complete.parts.is_empty() {
            return Err(Error::invalid("list of parts", ""));
        }
        let (mut named, mut before) = (Vec::new(), 0);
        for part in &complete.parts {
            if part.number <= before {
                return Err(Error::InvalidPartOrder);
            }
            before = part.number;
            let stored = self.parts.get(&part.number).filter(|stored| etag_of(&stored.bytes) == part.etag);
            named.push(stored.ok_or(Error::InvalidPart { number: part.number })?.bytes.clone());
        }
        let small = |at: &usize| (named[*at].len() as u64) < PART_SIZE_BYTES_MIN;
        if let Some(at) = (0..named.len() - 1).find(small) {
            let number = complete.parts[at].number;
            return Err(Error::PartTooSmall { number, size_bytes_min: PART_SIZE_BYTES_MIN });
        }
        let size_bytes = named.iter().map(Vec::len).sum::<usize>() as u64;
        if complete.size_bytes.is_some_and(|announced| announced != size_bytes) {
            return Err(Error::invalid("announced size", ""));
        }
        Ok(named)
    }
}

impl Model {
    /// The open upload at a place in the order of all.
    pub(crate) fn open_upload(&mut self, at: usize) -> Result<&mut Upload> {
        let upload = &self.uploads[at];
        self.bucket(&upload.bucket)?;
        if upload.open { Ok(&mut self.uploads[at]) } else { Err(Error::NoSuchUpload) }
    }

    pub(crate) fn put_part(&mut self, at: usize, number: u32, bytes: Vec<u8>, modified_us: i64) -> Result<PartFacts> {
        if !(1..=10_000).contains(&number) {
            return Err(Error::invalid("part number", ""));
        }
        let upload = self.open_upload(at)?;
        upload.parts.insert(number, Part { bytes, modified_us });
        Ok(upload.part(number))
    }

    pub(crate) fn complete(&mut self, at: usize, complete: &CompleteUpload, facts: &Facts) -> Result<ObjectInfo> {
        let upload = self.open_upload(at)?.clone();
        let parts = upload.named(complete)?;
        self.check_write(&upload.bucket, &upload.key, &complete.conditions)?;
        self.uploads[at].close();
        let content: Arc<Content> = Content::of_parts(&parts);
        let checksums = upload.digests(&content.bytes);
        let object = Object { content, headers: upload.headers, user_metadata: upload.user_metadata, checksums };
        Ok(self.add(&upload.bucket, &upload.key, &object, facts))
    }
}
