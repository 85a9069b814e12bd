//! The reference: buckets as maps of keys to their history, and the rules of S3 in the plainest words there are.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use engine::{
    BucketCreated, BucketName, CanonicalId, ChecksumType, Deleted, Digests, Durability, Error, ObjectHeaders,
    ObjectInfo, ObjectKey, ObjectView, ReadConditions, ReadObject, Result, Selection, StorageClass, Usage, VersionId,
    Versioning, WriteConditions,
};

use crate::content::Content;
use crate::multipart::Upload;

/// What only the store can know of something it made: taken from its answer.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) version_id: VersionId,
    pub(crate) modified_us: i64,
}

/// An object without its place.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    pub(crate) content: Arc<Content>,
    pub(crate) headers: ObjectHeaders,
    pub(crate) user_metadata: Vec<(String, String)>,
    pub(crate) checksums: Digests,
}

/// A version of a key, or a delete marker when there is no object.
#[derive(Clone, Debug)]
pub(crate) struct Version {
    pub(crate) id: VersionId,
    /// Its place in the order of everything that was ever made.
    pub(crate) ordinal: usize,
    pub(crate) modified_us: i64,
    pub(crate) object: Option<Object>,
}

#[derive(Debug)]
pub(crate) struct Bucket {
    pub(crate) versioning: Versioning,
    /// Histories, oldest first, never empty.
    pub(crate) keys: BTreeMap<String, Vec<Version>>,
}

#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) owner: CanonicalId,
    pub(crate) buckets: BTreeMap<String, Bucket>,
    /// The id of everything that was ever made, in that order.
    pub(crate) made: Vec<VersionId>,
    /// All uploads that were ever begun.
    pub(crate) uploads: Vec<Upload>,
    /// What the store made that must not be.
    pub(crate) complaints: Vec<String>,
}

impl Bucket {
    pub(crate) fn history(&self, key: &str) -> &[Version] {
        self.keys.get(key).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn current(&self, key: &str) -> Option<(&Version, &Object)> {
        let newest = self.history(key).last()?;
        Some((newest, newest.object.as_ref()?))
    }

    pub(crate) fn current_tag(&self, key: &str) -> Option<&str> {
        self.current(key).map(|(_, object)| object.content.etag.as_str())
    }

    fn find(&self, key: &str, id: Option<&VersionId>) -> Result<(&Version, &Object)> {
        let newest = self.history(key).last();
        let found = match id {
            None => newest.ok_or(Error::NoSuchKey { marker: None })?,
            Some(id) => self.history(key).iter().find(|version| version.id == *id).ok_or(Error::NoSuchVersion)?,
        };
        let marker = || match id {
            None => Error::NoSuchKey { marker: Some(found.id.clone()) },
            Some(_) => Error::IsDeleteMarker { version_id: found.id.clone(), modified_us: found.modified_us },
        };
        Ok((found, found.object.as_ref().ok_or_else(marker)?))
    }
}

impl Model {
    pub(crate) fn new(owner: CanonicalId) -> Self {
        let (buckets, made, uploads, complaints) = (BTreeMap::new(), Vec::new(), Vec::new(), Vec::new());
        Self { owner, buckets, made, uploads, complaints }
    }

    pub(crate) fn bucket(&self, name: &BucketName) -> Result<&Bucket> {
        self.buckets.get(name.as_str()).ok_or(Error::NoSuchBucket)
    }

    fn bucket_mut(&mut self, name: &BucketName) -> Result<&mut Bucket> {
        self.buckets.get_mut(name.as_str()).ok_or(Error::NoSuchBucket)
    }

    pub(crate) fn create_bucket(&mut self, name: &BucketName) -> BucketCreated {
        if self.buckets.contains_key(name.as_str()) {
            return BucketCreated::AlreadyOwned;
        }
        self.buckets.insert(name.to_string(), Bucket { versioning: Versioning::Off, keys: BTreeMap::new() });
        BucketCreated::New
    }

    pub(crate) fn delete_bucket(&mut self, name: &BucketName) -> Result<()> {
        if !self.bucket(name)?.keys.is_empty() {
            return Err(Error::BucketNotEmpty);
        }
        self.buckets.remove(name.as_str());
        self.uploads.iter_mut().filter(|upload| upload.bucket == *name).for_each(Upload::close);
        Ok(())
    }

    pub(crate) fn set_versioning(&mut self, name: &BucketName, versioning: Versioning) -> Result<()> {
        let bucket = self.bucket_mut(name)?;
        if versioning == Versioning::Off {
            return Err(Error::invalid("versioning", ""));
        }
        bucket.versioning = versioning;
        Ok(())
    }

    pub(crate) fn usage(&self, name: &BucketName) -> Result<Usage> {
        let versions = self.bucket(name)?.keys.values().flatten();
        let sizes: Vec<usize> = versions.filter_map(|v| v.object.as_ref()).map(|o| o.content.bytes.len()).collect();
        let open = self.uploads.iter().filter(|upload| upload.open && upload.bucket == *name);
        Ok(Usage {
            object_count: sizes.len() as u64,
            size_bytes: sizes.iter().sum::<usize>() as u64,
            upload_size_bytes: open.map(Upload::size_bytes).sum(),
        })
    }

    /// How many blobs there must be when all garbage is gone.
    pub(crate) fn blob_count(&self) -> usize {
        let versions = self.buckets.values().flat_map(|bucket| bucket.keys.values().flatten());
        let contents = versions.filter_map(|version| version.object.as_ref()).map(|object| &object.content);
        let shared: BTreeMap<_, _> = contents.map(|content| (Arc::as_ptr(content), content.blob_count())).collect();
        let open = self.uploads.iter().filter(|upload| upload.open).map(Upload::blob_count).sum::<usize>();
        shared.values().sum::<usize>() + open
    }

    pub(crate) fn info(&self, name: &BucketName, key: &ObjectKey, version: &Version, object: &Object) -> ObjectInfo {
        ObjectInfo {
            encryption: None,
            key: key.clone(),
            version_id: version.id.clone(),
            versioning: self.buckets[name.as_str()].versioning,
            durability: Durability::Strict,
            size_bytes: object.content.bytes.len() as u64,
            etag: object.content.etag.clone(),
            modified_us: version.modified_us,
            headers: object.headers.clone(),
            user_metadata: object.user_metadata.clone(),
            storage_class: StorageClass::Standard,
            checksums: object.checksums.clone(),
            checksum_type: ChecksumType::FullObject,
            parts_count: object.content.parts.as_ref().map(|parts| u32::try_from(parts.len()).unwrap()),
            owner: self.owner.clone(),
            tags_count: 0,
            retention: None,
            legal_hold: false,
            expiry: None,
        }
    }

    pub(crate) fn check_write(&self, name: &BucketName, key: &ObjectKey, conditions: &WriteConditions) -> Result<()> {
        let tag = self.bucket(name)?.current_tag(key.as_str());
        if let Some(wanted) = &conditions.if_match {
            let tag = tag.ok_or(Error::NoSuchKey { marker: None })?;
            if wanted != "*" && wanted != tag {
                return Err(Error::PreconditionFailed { condition: "If-Match" });
            }
        }
        match (&conditions.if_none_match, tag) {
            (Some(unwanted), Some(tag)) if unwanted == "*" || unwanted == tag => {
                Err(Error::PreconditionFailed { condition: "If-None-Match" })
            }
            _ => Ok(()),
        }
    }

    /// Makes an object, of which the conditions hold already.
    pub(crate) fn add(&mut self, name: &BucketName, key: &ObjectKey, object: &Object, facts: &Facts) -> ObjectInfo {
        let version = self.add_version(name, key, Some(object.clone()), facts);
        self.info(name, key, &version, object)
    }

    fn add_version(&mut self, name: &BucketName, key: &ObjectKey, object: Option<Object>, facts: &Facts) -> Version {
        let ordinal = self.made.len();
        let bucket = self.buckets.get_mut(name.as_str()).unwrap();
        let history = bucket.keys.entry(key.to_string()).or_default();
        let id = match bucket.versioning {
            Versioning::Off => {
                history.clear();
                VersionId::null()
            }
            Versioning::Suspended => {
                history.retain(|version| !version.id.is_null());
                VersionId::null()
            }
            Versioning::Enabled => {
                if facts.version_id.is_null() || self.made.contains(&facts.version_id) {
                    self.complaints.push(format!("{} is no new id of a version", facts.version_id));
                }
                facts.version_id.clone()
            }
        };
        let version = Version { id: id.clone(), ordinal, modified_us: facts.modified_us, object };
        history.push(version.clone());
        self.made.push(id);
        version
    }

    /// Deletes one of several. `facts` are of the marker, if one is made.
    pub(crate) fn delete(
        &mut self,
        name: &BucketName,
        key: &ObjectKey,
        id: Option<&VersionId>,
        if_match: Option<&str>,
        facts: &Facts,
    ) -> Result<Deleted> {
        let if_match = if_match.map(str::to_owned);
        self.check_write(name, key, &WriteConditions { if_match, if_none_match: None })?;
        let bucket = self.bucket_mut(name)?;
        let mut deleted = Deleted { version_id: id.cloned(), ..Deleted::default() };
        match (id, bucket.versioning) {
            (None, Versioning::Enabled | Versioning::Suspended) => {
                deleted.marker = Some(self.add_version(name, key, None, facts).id);
            }
            (None, Versioning::Off) => {
                bucket.keys.remove(key.as_str());
            }
            (Some(id), _) => {
                let mut history = bucket.keys.remove(key.as_str()).unwrap_or_default();
                if let Some(at) = history.iter().position(|version| version.id == *id) {
                    deleted.marker = history.remove(at).object.is_none().then(|| id.clone());
                }
                if !history.is_empty() {
                    bucket.keys.insert(key.to_string(), history);
                }
            }
        }
        Ok(deleted)
    }

    /// What a read answers, with its bytes.
    pub(crate) fn read(&self, name: &BucketName, key: &ObjectKey, read: &ReadObject) -> Result<(ObjectView, Vec<u8>)> {
        let (version, object) = self.bucket(name)?.find(key.as_str(), read.version_id.as_ref())?;
        check_read(&object.content.etag, version.modified_us, &read.conditions)?;
        let range = range_of(&object.content, read.selection)?;
        let info = self.info(name, key, version, object);
        let bytes = object.content.bytes[range.clone()].to_vec();
        let range = range.start as u64..range.end as u64;
        Ok((ObjectView { info, range, part_checksums: None, partial: read.selection.is_some() }, bytes))
    }

    /// The version and object that a copy takes.
    pub(crate) fn source(
        &self,
        name: &BucketName,
        key: &ObjectKey,
        id: Option<&VersionId>,
        conditions: &ReadConditions,
    ) -> Result<(VersionId, Object)> {
        let (version, object) = self.bucket(name)?.find(key.as_str(), id)?;
        check_read(&object.content.etag, version.modified_us, conditions)?;
        Ok((version.id.clone(), object.clone()))
    }
}

/// RFC 9110, section 13.2.2, with times in whole seconds.
fn check_read(tag: &str, modified_us: i64, conditions: &ReadConditions) -> Result<()> {
    let has = |tags: &Vec<String>| tags.iter().any(|wanted| wanted == "*" || wanted == tag);
    let modified_s = modified_us / 1_000_000;
    if !conditions.if_match.is_empty() && !has(&conditions.if_match) {
        return Err(Error::PreconditionFailed { condition: "If-Match" });
    }
    let unmodified_since = conditions.if_unmodified_since_us.filter(|_| conditions.if_match.is_empty());
    if unmodified_since.is_some_and(|since_us| modified_s > since_us / 1_000_000) {
        return Err(Error::PreconditionFailed { condition: "If-Unmodified-Since" });
    }
    let unchanged = if conditions.if_none_match.is_empty() {
        conditions.if_modified_since_us.is_some_and(|since_us| modified_s <= since_us / 1_000_000)
    } else {
        has(&conditions.if_none_match)
    };
    if unchanged { Err(Error::NotModified { etag: tag.to_owned(), modified_us }) } else { Ok(()) }
}

fn range_of(content: &Content, selection: Option<Selection>) -> Result<Range<usize>> {
    let size = content.bytes.len();
    let at = |place: u64| usize::try_from(place).unwrap().min(size);
    let range = match selection {
        None => return Ok(0..size),
        Some(Selection::Part(number)) => return part_of(content, number),
        Some(Selection::From(first)) => at(first)..size,
        Some(Selection::Between(first, last)) => at(first)..at(last + 1),
        Some(Selection::Last(count)) => size - at(count)..size,
    };
    if range.is_empty() { Err(Error::InvalidRange { size_bytes: size as u64 }) } else { Ok(range) }
}

fn part_of(content: &Content, number: u32) -> Result<Range<usize>> {
    let whole = [content.bytes.len()];
    let sizes = content.parts.as_deref().unwrap_or(&whole);
    let before = (number as usize).checked_sub(1).ok_or(Error::InvalidPartNumber)?;
    let size = sizes.get(before).ok_or(Error::InvalidPartNumber)?;
    let start: usize = sizes[..before].iter().sum();
    Ok(start..start + size)
}
