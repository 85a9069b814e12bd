//! Objects as staging sees them: what tells a version from others, and how it was cut.

use engine::{BucketName, Caller, ObjectInfo, ObjectKey, ReadConditions, ReadObject, Selection};

use crate::digest::{Cut, Fingerprint};
use crate::state::ObjectMark;
use crate::{Error, Inner, Result};

/// The name of an object, checked.
#[derive(Clone, Debug)]
pub(crate) struct ObjectName {
    pub(crate) bucket: BucketName,
    pub(crate) key: ObjectKey,
}

/// An object that exists.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    pub(crate) name: ObjectName,
    pub(crate) info: ObjectInfo,
}

impl ObjectName {
    pub(crate) fn new(bucket: &str, key: &str) -> Result<Self> {
        let refuse = |source| Error::Object { bucket: bucket.to_owned(), key: key.to_owned(), source };
        Ok(Self { bucket: BucketName::new(bucket).map_err(refuse)?, key: ObjectKey::new(key).map_err(refuse)? })
    }

    /// An error of the engine, with the object it is about. Conditions are how staging notices that somebody was faster.
    pub(crate) fn refused(&self, source: engine::Error) -> Error {
        let (bucket, key) = (self.bucket.to_string(), self.key.to_string());
        if matches!(source, engine::Error::PreconditionFailed { .. }) {
            return Error::ObjectChanged { bucket, key };
        }
        Error::Object { bucket, key, source }
    }
}

impl Object {
    pub(crate) fn mark(&self) -> ObjectMark {
        mark_of(&self.name, &self.info)
    }

    /// What differs between the object and a content that was cut as the object is; `None` when nothing does.
    pub(crate) fn difference(&self, found: &Fingerprint) -> Option<&'static str> {
        if found.size_bytes != self.info.size_bytes {
            return Some("size");
        }
        if found.etag != self.info.etag {
            return Some("MD5");
        }
        if self.info.checksums.crc64nvme.is_some_and(|crc| crc != found.crc64nvme) {
            return Some("CRC-64/NVME");
        }
        None
    }

    /// A read of this very version from an offset.
    pub(crate) fn read_from(&self, offset_bytes: u64) -> ReadObject {
        ReadObject {
            selection: (offset_bytes > 0).then_some(Selection::From(offset_bytes)),
            conditions: ReadConditions { if_match: vec![self.info.etag.clone()], ..ReadConditions::default() },
            ..ReadObject::default()
        }
    }
}

pub(crate) fn mark_of(name: &ObjectName, info: &ObjectInfo) -> ObjectMark {
    ObjectMark {
        bucket: name.bucket.to_string(),
        key: name.key.to_string(),
        version_id: info.version_id.to_string(),
        etag: info.etag.clone(),
        size_bytes: info.size_bytes,
    }
}

impl Inner {
    /// The current version of an object; `None` when there is none in the bucket.
    pub(crate) async fn find_object(&self, caller: &Caller, name: &ObjectName) -> Result<Option<Object>> {
        match self.engine.head_object(caller, &name.bucket, &name.key, &ReadObject::default()).await {
            Ok(view) => Ok(Some(Object { name: name.clone(), info: view.info })),
            Err(engine::Error::NoSuchKey { .. }) => Ok(None),
            Err(error) => Err(name.refused(error)),
        }
    }

    /// How an object was cut.
    pub(crate) async fn cut_of(&self, caller: &Caller, object: &Object) -> Result<Cut> {
        let Some(count) = object.info.parts_count else { return Ok(Cut::Whole) };
        let mut ends = Vec::new();
        for number in 1..=count {
            let read = ReadObject { selection: Some(Selection::Part(number)), ..object.read_from(0) };
            let view = self.engine.head_object(caller, &object.name.bucket, &object.name.key, &read).await;
            ends.push(view.map_err(|error| object.name.refused(error))?.range.end);
        }
        Ok(Cut::Parts(ends.into()))
    }
}
