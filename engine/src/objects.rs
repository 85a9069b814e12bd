//! Objects: put, copy, delete; `read` beneath.

mod read;
mod types;

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;

pub use types::{
    ChecksumType, Copied, CopyObject, CopySource, DeleteTarget, Deleted, Expiry, NewObject, ObjectHeaders, ObjectInfo,
    ObjectRead, ObjectView, ReadConditions, ReadObject, Selection, StorageClass, WriteConditions,
};

use crate::access::Wanted;
use crate::access::action::Action;
use crate::acls::{ObjectName, Possession, either};
use crate::body::{Body, ChecksumAlgorithm, Digests};
use crate::bytes::cipher::{DataKey, Nonce, PieceCipher};
use crate::bytes::in_flight::NewBlob;
use crate::bytes::intake::{Kept, TakenIn};
use crate::bytes::outflow::stream_pieces;
use crate::encryption::{Encryption, NewEncryption, SealedKey};
use crate::events::{EventKind, Happened, Notify};
use crate::fair::Share;
use crate::lifecycle::Aged;
use crate::lock::SaidLock;
use crate::meta::Meta;
use crate::metadata::changes::{self, Change, Changes, Done};
use crate::metadata::contents::{self, NewContent, Place};
use crate::metadata::objects::{self as rows, Given, Made, NewVersion, Version};
use crate::metadata::{self, Tx, versions};
use crate::names::ContentId;
use crate::quota;
use crate::rules::KnownBucket;
use crate::selection;
use crate::tags::Tags;
use crate::version_ids::VersionIds;
use crate::{Bucket, BucketName, Caller, Durability, Engine, Error, ObjectKey, Result, VersionId, Versioning};

/// Largest object that one PUT or one part may have, 5 GiB as in S3.
pub const PUT_SIZE_BYTES_MAX: u64 = 5 << 30;
/// How often a copy is tried whose source is replaced each time before it is made.
const COPY_ATTEMPTS_MAX: usize = 10;
/// Largest user metadata: names and values together, in bytes.
pub const USER_METADATA_BYTES_MAX: usize = 2048;

impl Engine {
    /// Whether the caller may store an object at a key at all, whatever it is: who may not is told nothing else. [`Error::AccessDenied`].
    pub async fn may_put_object(&self, caller: &Caller, bucket: &BucketName, key: &ObjectKey) -> Result<()> {
        self.allowed_bucket(caller, bucket, &Wanted::at(Action::PutObject, key)).await.map(|_| ())
    }

    /// Stores an object. When this returns, bytes and metadata are durable; in a relaxed bucket, the metadata are so a moment later.
    pub async fn put_object(
        &self,
        caller: &Caller,
        bucket: &BucketName,
        key: &ObjectKey,
        new: NewObject,
        body: Body,
    ) -> Result<ObjectInfo> {
        let said_lock = Some(SaidLock::of_new(&new.lock, self.clock().now_us()));
        let wanted = Wanted { new_tags: new.tags.pairs(), said_lock, ..Wanted::at(Action::PutObject, key) };
        let known = self.bucket_for_write(caller, bucket, &wanted, &new.conditions).await?;
        let bucket = &known.bucket;
        self.must_fit(&known, quota::Place::Object(key.clone()), body.size_bytes).await?;
        let possession = self.possession_of_new(caller, (&known, key), &new.acl, &new.lock).await?;
        let meta = Meta::new(&new.headers, &new.user_metadata)?
            .possessed(possession, &bucket.owner)
            .with_tags(new.tags)
            .locked(&known.lock_of_new(&new.lock, self.clock().now_us())?);
        let encryption = self.encryption_of_new(&known, &new.encryption)?;
        let sealed = encryption.map(|shown| self.new_key(shown, &new.encryption)).transpose()?;
        let told_as = if new.by_form { EventKind::CreatedPost } else { EventKind::CreatedPut };
        let whole = Whole {
            meta,
            storage_class: new.storage_class,
            conditions: new.conditions,
            durability: bucket.durability,
            told_as,
        };
        self.store_whole(caller, &known, key, whole, body, sealed).await
    }

    /// Takes the body of an object in, encrypted where it has a key, and makes the object visible.
    async fn store_whole(
        &self,
        caller: &Caller,
        known: &KnownBucket,
        key: &ObjectKey,
        whole: Whole,
        body: Body,
        sealed: Option<(SealedKey, DataKey)>,
    ) -> Result<ObjectInfo> {
        let bucket = &known.bucket;
        let keep = body.keep.clone();
        let (sealed, data_key) = sealed.unzip();
        let cipher = data_key.map(|key| key.cipher(Nonce::ONLY));
        let taken = self.take_in(&caller.share(), body, PUT_SIZE_BYTES_MAX, cipher.as_ref()).await?;
        let content_id = ContentId::next();
        let meta = whole.meta.encrypted(sealed);
        let version = NewVersion {
            size_bytes: taken.size_bytes,
            etag: hex::encode(taken.md5()),
            storage_class: whole.storage_class,
            parts_count: None,
            content_id,
            meta: meta.with_checksums(&kept_checksums(&taken.digests, &keep), ChecksumType::FullObject),
        };
        let crc64nvme = taken.stored_crc64nvme;
        let (place, blob) = place_of(taken.kept);
        let new = changes::NewObject {
            version,
            content: NewContent { crc64nvme, place },
            conditions: whole.conditions,
            told_as: whole.told_as,
        };
        let notify = Notify::of(known, caller);
        let wanted = changes::Wanted::Put(Box::new(new));
        let change = Change { bucket_id: bucket.id, key: key.clone(), wanted, notify: notify.clone() };
        let changes = Changes {
            name: "put_object",
            ids: self.inner.version_ids.clone(),
            durability: whole.durability,
            changes: vec![change],
            finish: |done| match done.into_iter().next() {
                Some(Ok(Done::Put(made))) => Ok(*made),
                Some(Err(error)) => Err(error),
                Some(Ok(Done::Deleted(_))) | None => Err(Error::Internal("a put was lost")),
            },
        };
        let (inner, share) = (self.inner.clone(), caller.share());
        let made = self.guard_blob(blob, async move { inner.db.change(share, changes).await }).await?;
        self.ring(notify.is_some());
        Ok(info(key.clone(), made.version, known, made.versioning)?.answered(whole.durability))
    }

    /// Copies an object: by sharing its bytes where they are encrypted as the copy is to be, else by reading and storing them again. Either
    /// way it is durable when this returns, also in a relaxed bucket.
    pub async fn copy_object(
        &self,
        caller: &Caller,
        source: &CopySource,
        bucket: &BucketName,
        key: &ObjectKey,
        copy: CopyObject,
    ) -> Result<Copied> {
        let from = self.known_bucket(&source.bucket).await?.bucket.id;
        let carries_tags = copy.tags.is_none();
        // What is wrong with the destination is said before what is wrong with the source.
        let found = self.must_read(caller, source, carries_tags).await;
        let said_lock = Some(SaidLock::of_new(&copy.lock, self.clock().now_us()));
        let carried = found.as_ref().ok().map(|version| version.meta.tags());
        let new_tags = copy.tags.as_ref().or(carried).map_or(&[][..], Tags::pairs);
        let wanted = Wanted { new_tags, said_lock, ..Wanted::at(Action::PutObject, key) };
        let to = self.bucket_for_write(caller, bucket, &wanted, &copy.conditions).await?;
        let onto_itself = from == to.bucket.id && source.key == *key && source.version_id.is_none();
        let changes = copy.replace.is_some()
            || copy.storage_class.is_some()
            || copy.redirect_location.is_some()
            || copy.checksum.is_some()
            || !matches!(copy.encryption, NewEncryption::OfBucket)
            || source.customer_key.is_some();
        if onto_itself && !changes {
            return Err(Error::invalid("copy", "onto itself must change the metadata or the storage class"));
        }
        let possession = self.possession_of_new(caller, (&to, key), &copy.acl, &copy.lock).await?;
        let lock = to.lock_of_new(&copy.lock, self.clock().now_us())?;
        let encryption = self.encryption_of_new(&to, &copy.encryption)?;
        let notify = Notify::of(&to, caller);
        let copy = CopyObject { lock, ..copy };
        let copy = Arc::new(CopyJob { to, key: key.clone(), copy, possession, encryption, notify });
        let mut version = found?;
        for _ in 0..COPY_ATTEMPTS_MAX {
            // What is copied is the version that the caller was judged by: one that came in its place may be somebody else's.
            let copied = if copy.can_share(&version)? {
                self.copy_shared(caller, source, (from, version), &copy).await?
            } else {
                self.copy_bytes(caller, source, (from, version), &copy).await?
            };
            if let Some(copied) = copied {
                return Ok(copied);
            }
            version = self.must_read(caller, source, carries_tags).await?;
            let new_tags = copy.tags_of(&version).pairs();
            copy.to.must_allow(caller, &Wanted { new_tags, said_lock, ..Wanted::at(Action::PutObject, key) })?;
        }
        Err(Error::Busy)
    }

    /// Refuses to copy what the caller may not read, its tags among it where they come along; returns the version that it may.
    async fn must_read(&self, caller: &Caller, source: &CopySource, carries_tags: bool) -> Result<Version> {
        let CopySource { bucket, key, version_id, conditions: _, customer_key } = source.clone();
        let object = ObjectName { bucket, key, version_id };
        let action = either(&object, Action::GetObject, Action::GetObjectVersion);
        let (known, version) = self.find_version(caller, &object, action).await?;
        if carries_tags && !version.meta.tags().is_empty() {
            let action = either(&object, Action::GetObjectTagging, Action::GetObjectVersionTagging);
            known.must_allow(caller, &Wanted::on_object(action, &object.key, known.side_of(&version.meta)))?;
        }
        self.data_key(&version.meta, customer_key.as_ref())?;
        Ok(version)
    }

    /// Copies a version by sharing its bytes; `None` when it is gone, or has other tags, meanwhile.
    async fn copy_shared(
        &self,
        caller: &Caller,
        source: &CopySource,
        (from, version): (i64, Version),
        job: &Arc<CopyJob>,
    ) -> Result<Option<Copied>> {
        let (named, ids, shared) = (source.clone(), self.inner.version_ids.clone(), job.clone());
        let version = Arc::new(version);
        let made = self.inner.db.write_for(caller.share(), "copy_object", move |tx| {
            let (named, ids, shared, version) = (named.clone(), ids.clone(), shared.clone(), version.clone());
            async move { copy_rows(tx, &ids, (from, &named, &version), &shared).await }.boxed()
        });
        let Some((made, source_version_id)) = made.await? else { return Ok(None) };
        self.ring(job.notify.is_some());
        let info = info(job.key.clone(), made.version, &job.to, made.versioning)?.answered(Durability::Strict);
        Ok(Some(Copied { info, source_version_id }))
    }

    /// Copies a version by reading and storing its bytes; `None` when it is gone meanwhile.
    async fn copy_bytes(
        &self,
        caller: &Caller,
        source: &CopySource,
        (from, version): (i64, Version),
        job: &CopyJob,
    ) -> Result<Option<Copied>> {
        check_source(&version, source)?;
        let (in_flight, key, seq) = (self.inner.in_flight.clone(), source.key.clone(), version.seq);
        let found = self.inner.db.read_for(caller.share(), "copied_bytes", |tx| {
            async move {
                let versioning = metadata::buckets::versioning(tx, from).await?;
                let Some(version) = versions::by_seq(tx, from, &key, seq).await? else { return Ok(None) };
                let reading = in_flight.read(version.content_id);
                let pieces = read::pieces_of(tx, &version, &(0..version.size_bytes)).await?;
                Ok(Some((versioning, pieces, reading)))
            }
            .boxed()
        });
        let Some((versioning, pieces, reading)) = found.await? else { return Ok(None) };
        let data_key = self.data_key(&version.meta, source.customer_key.as_ref())?;
        let turns = self.inner.reads.turns_of(caller.share());
        let stream = stream_pieces(self.inner.store.clone(), turns, pieces, data_key, Some(reading));
        let checksums = version.meta.checksums()?;
        let keep = match job.copy.checksum {
            Some(algorithm) => vec![algorithm],
            None => ChecksumAlgorithm::ALL.into_iter().filter(|algorithm| checksums.has(*algorithm)).collect(),
        };
        let body = Body { size_bytes: Some(version.size_bytes), keep, ..Body::new(stream) };
        let sealed = job.encryption.clone().map(|shown| self.new_key(shown, &job.copy.encryption)).transpose()?;
        let whole = Whole {
            meta: job.meta_of(&version)?,
            storage_class: job.copy.storage_class.unwrap_or(version.storage_class),
            conditions: job.copy.conditions.clone(),
            // As a copy that shares bytes: nobody sees from outside which of both it is.
            durability: Durability::Strict,
            told_as: EventKind::CreatedCopy,
        };
        let info = self.store_whole(caller, &job.to, &job.key, whole, body, sealed).await?;
        let source_version_id = (versioning != Versioning::Off).then_some(version.version_id);
        Ok(Some(Copied { info, source_version_id }))
    }

    /// Deletes objects or versions in one transaction; what does not exist is no error. The answer has the targets' order.
    pub async fn delete_objects(
        &self,
        caller: &Caller,
        bucket: &BucketName,
        targets: Vec<DeleteTarget>,
    ) -> Result<Vec<Result<Deleted>>> {
        let known = self.known_bucket(bucket).await?;
        let Bucket { id: bucket_id, durability, .. } = known.bucket;
        let notify = Notify::of(&known, caller);
        let change = |target: DeleteTarget| {
            let DeleteTarget { key, version_id, if_match, bypass_governance } = target;
            let bypass = known.may_bypass(caller, &key, bypass_governance);
            let wanted = changes::Wanted::Delete { version_id, if_match, bypass };
            Change { bucket_id, key, wanted, notify: notify.clone() }
        };
        let may: Vec<bool> = targets.iter().map(|target| may_delete(&known, caller, target)).collect();
        let allowed = targets.into_iter().zip(&may).filter(|(_, may)| **may).map(|(target, _)| change(target));
        let changes = Changes {
            name: "delete_objects",
            ids: self.inner.version_ids.clone(),
            durability,
            changes: allowed.collect(),
            finish: |done| done.into_iter().map(deleted).collect::<Result<Vec<_>>>(),
        };
        let mut done = match changes.changes.is_empty() {
            true => Vec::new(),
            false => self.inner.db.change(caller.share(), changes).await?,
        }
        .into_iter();
        self.ring(notify.is_some());
        let lost = || Err(Error::Internal("a deletion was lost"));
        let mut next = || done.next().unwrap_or_else(lost).map(|deleted| Deleted { durability, ..deleted });
        Ok(may.into_iter().map(|may| if may { next() } else { Err(Error::AccessDenied) }).collect())
    }

    /// Says to whoever delivers events that there may be some.
    pub(crate) fn ring(&self, is_told: bool) {
        if is_told {
            self.inner.events_added.notify_one();
        }
    }

    /// The bucket that a write goes to. Conditions are looked at before the body is read, so that a write that cannot be
    /// made costs no transfer; they are checked again in the transaction, which decides.
    async fn bucket_for_write(
        &self,
        caller: &Caller,
        name: &BucketName,
        wanted: &Wanted<'_>,
        conditions: &WriteConditions,
    ) -> Result<Arc<KnownBucket>> {
        let known = self.allowed_bucket(caller, name, wanted).await?;
        let Some(key) = wanted.key.filter(|_| *conditions != WriteConditions::default()) else { return Ok(known) };
        let (bucket_id, key, conditions) = (known.bucket.id, key.clone(), conditions.clone());
        self.inner
            .db
            .read_for(caller.share(), "conditions_of_write", |tx| {
                async move {
                    let current = rows::current(tx, bucket_id, &key).await?;
                    rows::check_conditions(current.as_ref().map(|version| version.etag.as_str()), &conditions)
                }
                .boxed()
            })
            .await?;
        Ok(known)
    }

    /// Takes a body in, when there is room for it. Some room is left for the metadata: on a disk that is full to the last byte, not even
    /// a delete could be written.
    pub(crate) async fn take_in(
        &self,
        share: &Share,
        body: Body,
        size_bytes_max: u64,
        cipher: Option<&PieceCipher>,
    ) -> Result<TakenIn> {
        if let Some(why) = self.inner.db.read_only() {
            return Err(Error::ReadOnly(why));
        }
        let wanted_bytes = body.size_bytes.unwrap_or_default().min(size_bytes_max);
        let reserve_bytes = self.inner.settings.reserve_bytes;
        if self.inner.store.free_bytes()? < wanted_bytes.saturating_add(reserve_bytes) {
            return Err(Error::DiskFull);
        }
        self.inner.intake.take(share, body, size_bytes_max, cipher).await
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
pub(crate) fn may_be_committed(error: &Error) -> bool {
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

impl ObjectInfo {
    /// What a write made that was answered so.
    pub(crate) fn answered(self, durability: Durability) -> Self {
        Self { durability, ..self }
    }
}

pub(crate) fn info(
    key: ObjectKey,
    version: Version,
    known: &KnownBucket,
    versioning: Versioning,
) -> Result<ObjectInfo> {
    let aged = Aged::current(key.as_str(), version.meta.tags(), version.size_bytes, version.modified_us);
    let lifecycle = known.rules.lifecycle.as_ref();
    let expiry = lifecycle.and_then(|lifecycle| lifecycle.expires(&aged, known.lifecycle_day));
    let expiry = expiry.map(|(at_us, rule_id)| Expiry { at_us, rule_id: rule_id.to_owned() });
    Ok(ObjectInfo {
        expiry,
        key,
        version_id: version.version_id,
        versioning,
        durability: known.bucket.durability,
        size_bytes: version.size_bytes,
        etag: version.etag,
        modified_us: version.modified_us,
        headers: version.meta.headers(),
        user_metadata: version.meta.user().to_vec(),
        storage_class: version.storage_class,
        checksums: version.meta.checksums()?,
        checksum_type: version.meta.checksum_type(),
        parts_count: version.parts_count,
        owner: known.owner_of(&version.meta).clone(),
        tags_count: version.meta.tags().pairs().len(),
        retention: version.meta.retention(),
        legal_hold: version.meta.legal_hold(),
        encryption: version.meta.encryption().map(|sealed| sealed.shown.clone()),
    })
}

fn may_delete(known: &KnownBucket, caller: &Caller, target: &DeleteTarget) -> bool {
    let action = if target.version_id.is_some() { Action::DeleteObjectVersion } else { Action::DeleteObject };
    known.allows(caller, &Wanted::at(action, &target.key))
}

/// A copy that is allowed: where it goes, and how it is made.
struct CopyJob {
    to: Arc<KnownBucket>,
    key: ObjectKey,
    copy: CopyObject,
    possession: Possession,
    /// How the copy will be encrypted.
    encryption: Option<Encryption>,
    notify: Option<Arc<Notify>>,
}

/// An object that is stored in one go, before its bytes are in.
struct Whole {
    meta: Meta,
    storage_class: StorageClass,
    conditions: WriteConditions,
    /// When it is answered.
    durability: Durability,
    told_as: EventKind,
}

impl CopyJob {
    /// Whether the stored bytes of a version can be the copy's, too, and nothing has to be computed of them.
    fn can_share(&self, version: &Version) -> Result<bool> {
        let is_encrypted_so = match (version.meta.encryption(), &self.encryption) {
            (None, None) => true,
            (Some(sealed), Some(wanted)) => sealed.serves(wanted),
            (Some(_), None) | (None, Some(_)) => false,
        };
        let Some(algorithm) = self.copy.checksum else { return Ok(is_encrypted_so) };
        let is_of_whole = version.meta.checksum_type() == ChecksumType::FullObject;
        Ok(is_encrypted_so && is_of_whole && version.meta.checksums()?.has(algorithm))
    }

    /// The tags of a copy of a version.
    fn tags_of<'a>(&'a self, version: &'a Version) -> &'a Tags {
        self.copy.tags.as_ref().unwrap_or(version.meta.tags())
    }

    /// What is kept with a copy of a version beside its checksums and its key.
    fn meta_of(&self, version: &Version) -> Result<Meta> {
        let meta = match &self.copy.replace {
            Some((headers, user_metadata)) => Meta::new(headers, user_metadata)?,
            None => version.meta.clone(),
        };
        let tags = self.tags_of(version).clone();
        let owned = meta.possessed(self.possession.clone(), &self.to.bucket.owner);
        let redirected = owned.redirected_to(self.copy.redirect_location.clone());
        Ok(redirected.with_tags(tags).locked(&self.copy.lock))
    }
}

/// Refuses to copy a version for which the conditions on the source do not hold. A copy has no "not modified": whatever keeps it from
/// being made is a condition that failed.
fn check_source(version: &Version, source: &CopySource) -> Result<()> {
    selection::check_read(&version.etag, version.modified_us, &source.conditions).map_err(|error| match error {
        Error::NotModified { .. } => Error::PreconditionFailed { condition: "x-amz-copy-source-if-none-match" },
        other => other,
    })
}

/// Copies a version; `None` when it is gone, or would bring other tags along than the caller was judged by.
async fn copy_rows(
    tx: &mut Tx,
    ids: &VersionIds,
    (from, source, judged): (i64, &CopySource, &Version),
    job: &CopyJob,
) -> Result<Option<(Made, Option<VersionId>)>> {
    let CopyJob { to, key, copy, notify, possession: _, encryption: _ } = job;
    let source_versioning = metadata::buckets::versioning(tx, from).await?;
    let found = versions::by_seq(tx, from, &source.key, judged.seq).await?;
    let Some(version) = found.filter(|found| job.tags_of(found) == job.tags_of(judged)) else { return Ok(None) };
    check_source(&version, source)?;
    let checksums = version.meta.checksums()?;
    let kept = match copy.checksum {
        Some(algorithm) => kept_checksums(&checksums, &[algorithm]),
        None => checksums,
    };
    let meta = job
        .meta_of(&version)?
        .with_checksums(&kept, version.meta.checksum_type())
        .encrypted(version.meta.encryption().cloned());
    // The copy's share is taken first: the object that it replaces may be the last other one that has the content.
    let blob = contents::add_ref(tx, version.content_id).await?;
    let new = NewVersion {
        size_bytes: version.size_bytes,
        etag: version.etag,
        storage_class: copy.storage_class.unwrap_or(version.storage_class),
        parts_count: version.parts_count,
        content_id: version.content_id,
        meta,
    };
    let made = rows::put(tx, ids, to.bucket.id, key, &new, Given::There { blob }, &copy.conditions).await?;
    if let Some(notify) = notify {
        let happened = Happened::to_version(EventKind::CreatedCopy, key, &made.version);
        metadata::outbox::add(tx, to.bucket.id, notify, &happened).await?;
    }
    Ok(Some((made, (source_versioning != Versioning::Off).then_some(version.version_id))))
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
