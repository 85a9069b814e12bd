//! What is said of objects: what is stored with them, asked of them and answered.

use std::ops::Range;

use crate::access::acl::GivenAcl;
use crate::body::{ByteStream, ChecksumAlgorithm, Digests};
use crate::encryption::{CustomerKey, Encryption, NewEncryption};
use crate::lock::{NewLock, Retention};
use crate::tags::Tags;
use crate::{BucketName, CanonicalId, Durability, ObjectKey, VersionId, Versioning};

/// Headers that are stored with an object and given back with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectHeaders {
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// `Content-Encoding`, without `aws-chunked`.
    pub content_encoding: Option<String>,
    /// `Content-Language`.
    pub content_language: Option<String>,
    /// `Content-Disposition`.
    pub content_disposition: Option<String>,
    /// `Cache-Control`.
    pub cache_control: Option<String>,
    /// `Expires`, as given.
    pub expires: Option<String>,
    /// Where visitors of a website are sent who ask for it: a path that begins with `/`, or a URL.
    pub redirect_location: Option<String>,
}

/// The storage class a client named. It is kept and shown, and changes nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StorageClass {
    /// `STANDARD`.
    #[default]
    Standard,
    /// `REDUCED_REDUNDANCY`, which CloudStack asks for when its `s3.rrs.enabled` is set.
    ReducedRedundancy,
}

/// How the checksum of a multipart object is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChecksumType {
    /// Over the whole object.
    #[default]
    FullObject,
    /// Over the checksums of the parts.
    Composite,
}

/// Conditions under which a write is made; checked in the transaction that makes it visible.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriteConditions {
    /// `If-Match`: the entity tag (without quotes, or `*`) that the current object must have.
    pub if_match: Option<String>,
    /// `If-None-Match: *`: there must be no current object. Another tag: the current object must not have it.
    pub if_none_match: Option<String>,
}

/// Conditions under which a read is answered. Tags without quotes; times in microseconds, compared as whole seconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadConditions {
    /// `If-Match`: one of these tags, or `*`.
    pub if_match: Vec<String>,
    /// `If-None-Match`: none of these tags, nor any when `*`.
    pub if_none_match: Vec<String>,
    /// `If-Modified-Since`.
    pub if_modified_since_us: Option<i64>,
    /// `If-Unmodified-Since`.
    pub if_unmodified_since_us: Option<i64>,
}

/// What is known of an object before its bytes.
#[derive(Clone, Debug, Default)]
pub struct NewObject {
    /// Headers to keep.
    pub headers: ObjectHeaders,
    /// User metadata, names in lower case without `x-amz-meta-`.
    pub user_metadata: Vec<(String, String)>,
    /// The storage class named.
    pub storage_class: StorageClass,
    /// Who else may read it.
    pub acl: GivenAcl,
    /// Its tags.
    pub tags: Tags,
    /// How it is locked.
    pub lock: NewLock,
    /// How it is encrypted.
    pub encryption: NewEncryption,
    /// Conditions of the write.
    pub conditions: WriteConditions,
    /// Whether a form brought it, for who is told of it.
    pub by_form: bool,
}

/// An object version as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Its key.
    pub key: ObjectKey,
    /// Its version.
    pub version_id: VersionId,
    /// How its bucket keeps versions.
    pub versioning: Versioning,
    /// When writes to its bucket are answered; of what a write made, when that write was.
    pub durability: Durability,
    /// Its size.
    pub size_bytes: u64,
    /// Its entity tag without quotes: the MD5 in hexadecimal, with `-<parts>` for multipart objects.
    pub etag: String,
    /// When it was made, in microseconds of the Unix epoch.
    pub modified_us: i64,
    /// Headers kept with it.
    pub headers: ObjectHeaders,
    /// User metadata.
    pub user_metadata: Vec<(String, String)>,
    /// The storage class named.
    pub storage_class: StorageClass,
    /// Checksums kept with it: those named in [`super::Body::keep`] or asked for when the upload was begun, else the CRC-64/NVME.
    pub checksums: Digests,
    /// What `checksums` are over.
    pub checksum_type: ChecksumType,
    /// How many parts it was made of; `None` for a single PUT.
    pub parts_count: Option<u32>,
    /// Who owns it.
    pub owner: CanonicalId,
    /// How many tags it has.
    pub tags_count: usize,
    /// Until when it is locked.
    pub retention: Option<Retention>,
    /// Whether it is held.
    pub legal_hold: bool,
    /// How it is encrypted.
    pub encryption: Option<Encryption>,
    /// When it goes by a rule of its bucket; `None` for never, and for a version that was asked for by its id.
    pub expiry: Option<Expiry>,
}

/// When an object goes, or an upload, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// When it is due, in microseconds of the Unix epoch; it is gone some time after that.
    pub at_us: i64,
    /// The rule of the lifecycle.
    pub rule_id: String,
}

/// Which bytes of an object are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// From an offset to the end.
    From(u64),
    /// Both ends inclusive, as in HTTP.
    Between(u64, u64),
    /// The last so many.
    Last(u64),
    /// The part of that number; 1 is the whole of an object that was not uploaded in parts.
    Part(u32),
}

/// A read.
#[derive(Clone, Debug, Default)]
pub struct ReadObject {
    /// The version; the current one when `None`.
    pub version_id: Option<VersionId>,
    /// The bytes; all when `None`.
    pub selection: Option<Selection>,
    /// Conditions of the answer.
    pub conditions: ReadConditions,
    /// The customer's key that it is encrypted under.
    pub customer_key: Option<CustomerKey>,
}

/// What a read will answer, before its bytes.
#[derive(Clone, Debug)]
pub struct ObjectView {
    /// The object.
    pub info: ObjectInfo,
    /// Which of its bytes the answer has.
    pub range: Range<u64>,
    /// The checksums of the part that was asked for.
    pub part_checksums: Option<Digests>,
    /// Whether a selection was asked for, so that the answer is partial (206) even when it covers everything.
    pub partial: bool,
}

/// An answer with its bytes.
pub struct ObjectRead {
    /// What it is.
    pub view: ObjectView,
    /// Its bytes, verified against their checksums while they are read.
    pub body: ByteStream,
}

/// Where a copy comes from.
#[derive(Clone, Debug)]
pub struct CopySource {
    /// The bucket.
    pub bucket: BucketName,
    /// The key.
    pub key: ObjectKey,
    /// The version; the current one when `None`.
    pub version_id: Option<VersionId>,
    /// Conditions on the source.
    pub conditions: ReadConditions,
    /// The customer's key that the source is encrypted under.
    pub customer_key: Option<CustomerKey>,
}

/// How a copy is made.
#[derive(Clone, Debug, Default)]
pub struct CopyObject {
    /// New headers and user metadata; the source's when `None`. Copying an object onto itself must change something, unless a version is named.
    pub replace: Option<(ObjectHeaders, Vec<(String, String)>)>,
    /// Where visitors of a website are sent; this is not copied.
    pub redirect_location: Option<String>,
    /// The storage class named; the source's when `None`.
    pub storage_class: Option<StorageClass>,
    /// Who else may read the copy; lists are not copied.
    pub acl: GivenAcl,
    /// New tags; the source's when `None`.
    pub tags: Option<Tags>,
    /// How the copy is locked; locks are not copied.
    pub lock: NewLock,
    /// The checksum that is kept with the copy, of the whole; those of the source when `None`.
    pub checksum: Option<ChecksumAlgorithm>,
    /// How the copy is encrypted, however its source is.
    pub encryption: NewEncryption,
    /// Conditions on what the destination has now.
    pub conditions: WriteConditions,
}

/// A copy that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// The copy.
    pub info: ObjectInfo,
    /// The version that was copied; `None` where the source's bucket keeps no versions.
    pub source_version_id: Option<VersionId>,
}

/// An object to be deleted.
#[derive(Clone, Debug)]
pub struct DeleteTarget {
    /// Its key.
    pub key: ObjectKey,
    /// The version, which is gone for good then. When `None`, the object is gone, and where the bucket keeps versions a delete marker
    /// lies on them.
    pub version_id: Option<VersionId>,
    /// `If-Match`: the entity tag the current object must have, whatever version is deleted.
    pub if_match: Option<String>,
    /// Whether a governance lock is passed, by who may.
    pub bypass_governance: bool,
}

impl DeleteTarget {
    /// An object, whatever version of it is current.
    pub fn current(key: ObjectKey) -> Self {
        Self { key, version_id: None, if_match: None, bypass_governance: false }
    }
}

/// What a deletion did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deleted {
    /// The version that was named; it is gone, or was never there.
    pub version_id: Option<VersionId>,
    /// The delete marker that was made, or the one that was named and is gone.
    pub marker: Option<VersionId>,
    /// When it was answered.
    pub durability: Durability,
}
