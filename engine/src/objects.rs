//! Objects: put, read, copy, delete.

use std::ops::Range;

use futures::FutureExt;
use futures::future::BoxFuture;

use crate::body::{Body, ByteStream, ChecksumAlgorithm, Digests};
use crate::bytes::in_flight::{NewBlob, Reading};
use crate::bytes::intake::{Kept, TakenIn};
use crate::bytes::outflow::{Piece, stream_pieces};
use crate::fair::Share;
use crate::meta::Meta;
use crate::metadata::changes::{self, Change, Changes, Done, Wanted};
use crate::metadata::contents::{self, NewContent, Place};
use crate::metadata::objects::{self as rows, Made, NewVersion, Version};
use crate::metadata::{self, Tx, versions};
use crate::names::ContentId;
use crate::selection;
use crate::version_ids::VersionIds;
use crate::{
    Bucket, BucketName, Caller, CanonicalId, Durability, Engine, Error, ObjectKey, Result, VersionId, Versioning,
    buckets,
};

/// Largest object that one PUT or one part may have, 5 GiB as in S3.
pub const PUT_SIZE_BYTES_MAX: u64 = 5 << 30;
/// Largest user metadata: names and values together, in bytes.
pub const USER_METADATA_BYTES_MAX: usize = 2048;

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
    /// Conditions of the write.
    pub conditions: WriteConditions,
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
    /// When writes to its bucket are answered.
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
    /// Checksums kept with it: those named in [`Body::keep`] or asked for when the upload was begun, else the CRC-64/NVME.
    pub checksums: Digests,
    /// What `checksums` are over.
    pub checksum_type: ChecksumType,
    /// How many parts it was made of; `None` for a single PUT.
    pub parts_count: Option<u32>,
    /// Who owns it.
    pub owner: CanonicalId,
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
}

/// What a read will answer, before its bytes.
#[derive(Clone, Debug)]
pub struct ObjectView {
    /// The object.
    pub info: ObjectInfo,
    /// Which of its bytes the answer has.
    pub range: Range<u64>,
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
}

/// How a copy is made.
#[derive(Clone, Debug, Default)]
pub struct CopyObject {
    /// New headers and user metadata; the source's when `None`. Copying an object onto itself needs new ones, unless a version is named.
    pub replace: Option<(ObjectHeaders, Vec<(String, String)>)>,
    /// The storage class named; the source's when `None`.
    pub storage_class: Option<StorageClass>,
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
}

/// What a deletion did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deleted {
    /// The version that was named; it is gone, or was never there.
    pub version_id: Option<VersionId>,
    /// The delete marker that was made, or the one that was named and is gone.
    pub marker: Option<VersionId>,
}

impl Engine {
    /// Stores an object. When this returns, bytes and metadata are durable; in a relaxed bucket, the metadata are so a moment later.
    pub async fn put_object(
        &self,
        caller: &Caller,
        bucket: &BucketName,
        key: &ObjectKey,
        new: NewObject,
        body: Body,
    ) -> Result<ObjectInfo> {
        let bucket = self.bucket_for_write(caller, bucket, key, &new.conditions).await?;
        let meta = Meta::new(&new.headers, &new.user_metadata)?;
        let keep = body.keep.clone();
        let taken = self.take_in(&caller.share(), body, PUT_SIZE_BYTES_MAX).await?;
        let content_id = ContentId::random();
        let version = NewVersion {
            size_bytes: taken.size_bytes,
            etag: hex::encode(taken.md5()),
            storage_class: new.storage_class,
            parts_count: None,
            content_id,
            meta: meta.with_checksums(&kept_checksums(&taken.digests, &keep), ChecksumType::FullObject),
        };
        let crc64nvme = taken.digests.crc64nvme.unwrap_or_default();
        let (place, blob) = place_of(taken.kept);
        let new = changes::NewObject { version, content: NewContent { crc64nvme, place }, conditions: new.conditions };
        let change = Change { bucket_id: bucket.id, key: key.clone(), wanted: Wanted::Put(Box::new(new)) };
        let changes = Changes {
            name: "put_object",
            ids: self.inner.version_ids.clone(),
            durability: bucket.durability,
            changes: vec![change],
            finish: |done| match done.into_iter().next() {
                Some(Ok(Done::Put(made))) => Ok(*made),
                Some(Err(error)) => Err(error),
                Some(Ok(Done::Deleted(_))) | None => Err(Error::Internal("a put was lost")),
            },
        };
        let (inner, share) = (self.inner.clone(), caller.share());
        let made = self.guard_blob(blob, async move { inner.db.change(share, changes).await }).await?;
        info(key.clone(), made.version, &bucket, made.versioning)
    }

    /// What a read would answer, without bytes.
    pub async fn head_object(
        &self,
        caller: &Caller,
        bucket: &BucketName,
        key: &ObjectKey,
        read: &ReadObject,
    ) -> Result<ObjectView> {
        if let Some((view, _, _)) = self.find_at_once("head_object", caller, bucket, key, read).await? {
            return Ok(view);
        }
        let (caller, bucket, key, read) = (caller.clone(), bucket.clone(), key.clone(), read.clone());
        let ids = self.inner.version_ids.clone();
        self.inner
            .db
            .read("head_object", |tx| {
                async move { Ok(find_view(tx, &ids, &caller, &bucket, &key, &read).await?.view) }.boxed()
            })
            .await
    }

    /// Reads an object. Dropping the body early is no error and costs nothing.
    pub async fn get_object(
        &self,
        caller: &Caller,
        bucket: &BucketName,
        key: &ObjectKey,
        read: &ReadObject,
    ) -> Result<ObjectRead> {
        let (view, pieces, reading) = match self.find_at_once("get_object", caller, bucket, key, read).await? {
            Some(found) => found,
            None => self.get_in_steps(caller, bucket, key, read).await?,
        };
        let turns = self.inner.reads.turns_of(caller.share());
        let body = stream_pieces(self.inner.store.clone(), turns, pieces, Some(reading));
        Ok(ObjectRead { view, body })
    }

    /// What most reads want is found by one statement: the current version of an object whose bytes lie in one place. `None` when this is
    /// another read.
    async fn find_at_once(
        &self,
        name: &'static str,
        caller: &Caller,
        bucket: &BucketName,
        key: &ObjectKey,
        read: &ReadObject,
    ) -> Result<Option<ToRead>> {
        if read.version_id.is_some() || matches!(read.selection, Some(Selection::Part(_))) {
            return Ok(None);
        }
        let in_flight = self.inner.in_flight.clone();
        let found = self
            .inner
            .db
            .read_statement(name, |tx| {
                let (bucket, key) = (bucket.clone(), key.clone());
                async move {
                    let looked = rows::look_up(tx, &bucket, &key).await?;
                    // Freeing waits for a while after the last row is gone, so that this comes in time.
                    let reading = looked
                        .as_ref()
                        .and_then(|looked| looked.current.as_ref())
                        .map(|(version, _)| in_flight.read(version.content_id));
                    Ok((looked, reading))
                }
                .boxed()
            })
            .await?;
        let (Some(looked), reading) = found else { return Err(Error::NoSuchBucket) };
        if looked.trashed {
            return Err(Error::NoSuchBucket);
        }
        caller.must_own(&looked.bucket.owner)?;
        let (Some((version, Some(source))), Some(reading)) = (looked.current, reading) else { return Ok(None) };
        selection::check_read(&version.etag, version.modified_us, &read.conditions)?;
        let range = match read.selection {
            Some(selection) => selection::range(selection, version.size_bytes)?,
            None => 0..version.size_bytes,
        };
        let info = info(key.clone(), version, &looked.bucket, looked.bucket.versioning)?;
        let view = ObjectView { info, range: range.clone(), partial: read.selection.is_some() };
        Ok(Some((view, vec![Piece { source, range }], reading)))
    }

    async fn get_in_steps(
        &self,
        caller: &Caller,
        bucket: &BucketName,
        key: &ObjectKey,
        read: &ReadObject,
    ) -> Result<ToRead> {
        let (caller, bucket, key, read) = (caller.clone(), bucket.clone(), key.clone(), read.clone());
        let (in_flight, ids) = (self.inner.in_flight.clone(), self.inner.version_ids.clone());
        self.inner
            .db
            .read("get_object", |tx| {
                async move {
                    let found = find_view(tx, &ids, &caller, &bucket, &key, &read).await?;
                    let reading = in_flight.read(found.version.content_id);
                    let pieces = pieces_of(tx, &found.version, &found.view.range).await?;
                    Ok((found.view, pieces, reading))
                }
                .boxed()
            })
            .await
    }

    /// Copies an object by sharing its bytes.
    pub async fn copy_object(
        &self,
        caller: &Caller,
        source: &CopySource,
        bucket: &BucketName,
        key: &ObjectKey,
        copy: CopyObject,
    ) -> Result<Copied> {
        let from = self.owned_bucket(caller, &source.bucket).await?;
        let to = self.bucket_for_write(caller, bucket, key, &copy.conditions).await?;
        let to_id = to.id;
        let onto_itself = from == to_id && source.key == *key && source.version_id.is_none();
        if onto_itself && copy.replace.is_none() && copy.storage_class.is_none() {
            return Err(Error::invalid("copy", "onto itself must change the metadata or the storage class"));
        }
        let (source, key, ids) = (source.clone(), key.clone(), self.inner.version_ids.clone());
        let made_key = key.clone();
        let (made, source_version_id) = self
            .inner
            .db
            .write_for(caller.share(), "copy_object", move |tx| {
                let (source, key, copy, ids) = (source.clone(), key.clone(), copy.clone(), ids.clone());
                async move { copy_rows(tx, &ids, (from, &source), (to_id, &key), &copy).await }.boxed()
            })
            .await?;
        Ok(Copied { info: info(made_key, made.version, &to, made.versioning)?, source_version_id })
    }

    /// Deletes objects or versions in one transaction; what does not exist is no error. The answer has the targets' order.
    pub async fn delete_objects(
        &self,
        caller: &Caller,
        bucket: &BucketName,
        targets: Vec<DeleteTarget>,
    ) -> Result<Vec<Result<Deleted>>> {
        let Bucket { id: bucket_id, durability, .. } = self.find_owned_bucket(caller, bucket).await?;
        let change = |target: DeleteTarget| {
            let DeleteTarget { key, version_id, if_match } = target;
            Change { bucket_id, key, wanted: Wanted::Delete { version_id, if_match } }
        };
        let changes = Changes {
            name: "delete_objects",
            ids: self.inner.version_ids.clone(),
            durability,
            changes: targets.into_iter().map(change).collect(),
            finish: |done| done.into_iter().map(deleted).collect(),
        };
        self.inner.db.change(caller.share(), changes).await
    }

    /// The bucket that a write goes to. Conditions are looked at before the body is read, so that a write that cannot be
    /// made costs no transfer; they are checked again in the transaction, which decides.
    async fn bucket_for_write(
        &self,
        caller: &Caller,
        name: &BucketName,
        key: &ObjectKey,
        conditions: &WriteConditions,
    ) -> Result<Bucket> {
        if *conditions == WriteConditions::default() {
            return self.find_owned_bucket(caller, name).await;
        }
        let (caller, name, key, conditions) = (caller.clone(), name.clone(), key.clone(), conditions.clone());
        self.inner
            .db
            .read("bucket_for_write", |tx| {
                async move {
                    let bucket = buckets::owned(tx, &caller, &name).await?;
                    let current = rows::current(tx, bucket.id, &key).await?;
                    rows::check_conditions(current.as_ref().map(|version| version.etag.as_str()), &conditions)?;
                    Ok(bucket)
                }
                .boxed()
            })
            .await
    }

    /// Takes a body in, when there is room for it. Some room is left for the metadata: on a disk that is full to the last byte, not even
    /// a delete could be written.
    pub(crate) async fn take_in(&self, share: &Share, body: Body, size_bytes_max: u64) -> Result<TakenIn> {
        if let Some(why) = self.inner.db.read_only() {
            return Err(Error::ReadOnly(why));
        }
        let wanted_bytes = body.size_bytes.unwrap_or_default().min(size_bytes_max);
        let reserve_bytes = self.inner.settings.reserve_bytes;
        if self.inner.store.free_bytes()? < wanted_bytes.saturating_add(reserve_bytes) {
            return Err(Error::DiskFull);
        }
        self.inner.intake.take(share, body, size_bytes_max).await
    }

    /// Runs the transaction that makes taken-in bytes visible. It goes on when the client goes away: a commit may be under way, and
    /// then the blob must stay.
    pub(crate) async fn write_with_bytes<T, F>(
        &self,
        share: Share,
        name: &'static str,
        taken: TakenIn,
        body: F,
    ) -> Result<T>
    where
        T: Send + 'static,
        F: for<'t> Fn(&'t mut Tx, Place) -> BoxFuture<'t, Result<T>> + Send + Sync + 'static,
    {
        let (place, blob) = place_of(taken.kept);
        let inner = self.inner.clone();
        let write = async move { inner.db.write_for(share, name, move |tx| body(tx, place.clone())).await };
        self.guard_blob(blob, write).await
    }

    /// Runs what makes a blob visible, in a task of its own.
    async fn guard_blob<T: Send + 'static>(
        &self,
        mut blob: Option<NewBlob>,
        write: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        if let Some(blob) = &mut blob {
            blob.hand_over();
        }
        let work = async move {
            let result = write.await;
            if let (Some(blob), Err(error)) = (blob, &result)
                && !may_be_committed(error)
            {
                blob.remove();
            }
            result
        };
        self.inner.writes.spawn(work).await.map_err(|_| Error::Internal("a write panicked"))?
    }
}

/// Whether a failed transaction may have been committed all the same. Then its blob stays; the sweep decides later.
fn may_be_committed(error: &Error) -> bool {
    matches!(
        error,
        Error::Internal(_) | Error::ReadOnly(_) | Error::Metadata { .. } | Error::DatabaseUnreachable { .. }
    )
}

/// The checksums that are kept with an object: those asked for, else the one that is always computed.
pub(crate) fn kept_checksums(digests: &Digests, keep: &[ChecksumAlgorithm]) -> Digests {
    let mut kept = Digests::default();
    for algorithm in keep {
        match algorithm {
            ChecksumAlgorithm::Crc32 => kept.crc32 = digests.crc32,
            ChecksumAlgorithm::Crc32c => kept.crc32c = digests.crc32c,
            ChecksumAlgorithm::Crc64Nvme => kept.crc64nvme = digests.crc64nvme,
            ChecksumAlgorithm::Sha1 => kept.sha1 = digests.sha1,
            ChecksumAlgorithm::Sha256 => kept.sha256 = digests.sha256,
        }
    }
    if keep.is_empty() {
        kept.crc64nvme = digests.crc64nvme;
    }
    kept
}

pub(crate) fn info(key: ObjectKey, version: Version, bucket: &Bucket, versioning: Versioning) -> Result<ObjectInfo> {
    Ok(ObjectInfo {
        key,
        version_id: version.version_id,
        versioning,
        durability: bucket.durability,
        size_bytes: version.size_bytes,
        etag: version.etag,
        modified_us: version.modified_us,
        headers: version.meta.headers(),
        user_metadata: version.meta.user().to_vec(),
        storage_class: version.storage_class,
        checksums: version.meta.checksums()?,
        checksum_type: version.meta.checksum_type(),
        parts_count: version.parts_count,
        owner: bucket.owner.clone(),
    })
}

/// What a read will answer, where its bytes are, and that they are in use.
type ToRead = (ObjectView, Vec<Piece>, Reading);

/// A version that a read found, with what it will answer.
struct Found {
    version: Version,
    view: ObjectView,
}

async fn find_view(
    tx: &mut Tx,
    ids: &VersionIds,
    caller: &Caller,
    bucket: &BucketName,
    key: &ObjectKey,
    read: &ReadObject,
) -> Result<Found> {
    let bucket = buckets::owned(tx, caller, bucket).await?;
    let version = versions::find(tx, ids, bucket.id, key, read.version_id.as_ref()).await?;
    selection::check_read(&version.etag, version.modified_us, &read.conditions)?;
    let range = match read.selection {
        Some(Selection::Part(number)) => part_range(tx, &version, number).await?,
        Some(selection) => selection::range(selection, version.size_bytes)?,
        None => 0..version.size_bytes,
    };
    let view = ObjectView {
        info: info(key.clone(), version.clone(), &bucket, bucket.versioning)?,
        range,
        partial: read.selection.is_some(),
    };
    Ok(Found { version, view })
}

/// The bytes of a part. An object that was not uploaded in parts has one: all of it.
async fn part_range(tx: &mut Tx, version: &Version, number: u32) -> Result<Range<u64>> {
    match (version.parts_count, number) {
        (_, 0) => Err(Error::InvalidPartNumber),
        (None, 1) => Ok(0..version.size_bytes),
        (None, _) => Err(Error::InvalidPartNumber),
        (Some(_), number) => {
            contents::piece_range(tx, version.content_id, number).await?.ok_or(Error::InvalidPartNumber)
        }
    }
}

async fn pieces_of(tx: &mut Tx, version: &Version, range: &Range<u64>) -> Result<Vec<Piece>> {
    match rows::source(tx, version).await? {
        Some(source) => Ok(vec![Piece { source, range: range.clone() }]),
        None => contents::pieces(tx, version.content_id, range.start, range.end).await,
    }
}

async fn copy_rows(
    tx: &mut Tx,
    ids: &VersionIds,
    (from, source): (i64, &CopySource),
    (to, key): (i64, &ObjectKey),
    copy: &CopyObject,
) -> Result<(Made, Option<VersionId>)> {
    let source_versioning = metadata::buckets::versioning(tx, from).await?;
    let version = versions::find(tx, ids, from, &source.key, source.version_id.as_ref()).await?;
    // A copy has no "not modified": whatever keeps it from being made is a condition that failed.
    selection::check_read(&version.etag, version.modified_us, &source.conditions).map_err(|error| match error {
        Error::NotModified { .. } => Error::PreconditionFailed { condition: "x-amz-copy-source-if-none-match" },
        other => other,
    })?;
    let meta = match &copy.replace {
        Some((headers, user_metadata)) => {
            Meta::new(headers, user_metadata)?.with_checksums(&version.meta.checksums()?, version.meta.checksum_type())
        }
        None => version.meta.clone(),
    };
    // The copy's share is taken first: the object that it replaces may be the last other one that has the content.
    contents::add_ref(tx, version.content_id).await?;
    let new = NewVersion {
        size_bytes: version.size_bytes,
        etag: version.etag,
        storage_class: copy.storage_class.unwrap_or(version.storage_class),
        parts_count: version.parts_count,
        content_id: version.content_id,
        meta,
    };
    let made = rows::put(tx, ids, to, key, &new, None, &copy.conditions).await?;
    Ok((made, (source_versioning != Versioning::Off).then_some(version.version_id)))
}

/// Where taken-in bytes are, and the blob that waits for its row.
fn place_of(kept: Kept) -> (Place, Option<NewBlob>) {
    match kept {
        Kept::Inline(data) => (Place::Inline(data), None),
        Kept::Blob(blob) => (Place::Blob(blob.id()), Some(blob)),
    }
}

/// What became of one of several: a condition that does not hold is that object's own answer.
fn deleted(done: Result<Done>) -> Result<Result<Deleted>> {
    match done {
        Ok(Done::Deleted(deleted)) => Ok(Ok(deleted)),
        Ok(Done::Put(_)) => Err(Error::Internal("a deletion was lost")),
        Err(error) => Ok(Err(error)),
    }
}
