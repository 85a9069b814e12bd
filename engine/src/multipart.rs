//! Multipart uploads. Parts are stored like objects; Complete changes rows only, whatever the size.

use std::ops::Range;
use std::sync::Arc;

use futures::FutureExt;

use crate::access::Wanted;
use crate::access::action::Action;
use crate::body::{Body, ChecksumAlgorithm, Digests};
use crate::bytes::cipher::Nonce;
use crate::encryption::{CustomerKey, Encryption};
use crate::events::{EventKind, Happened, Notify};
use crate::lock::{NewLock, SaidLock};
use crate::meta::Meta;
use crate::metadata::contents;
use crate::metadata::multipart::{self as rows, NewPart, OpenUpload};
use crate::metadata::objects::{self, Given, Made, NewVersion, Version};
use crate::metadata::{self, Tx, versions};
use crate::names::ContentId;
use crate::objects::{
    ChecksumType, CopySource, Expiry, NewObject, ObjectInfo, PUT_SIZE_BYTES_MAX, ReadObject, Selection, StorageClass,
    WriteConditions, info, kept_checksums,
};
use crate::quota;
use crate::rules::KnownBucket;
use crate::version_ids::VersionIds;
use crate::{
    BucketName, Caller, CanonicalId, Durability, Engine, Error, ObjectKey, Result, UploadId, VersionId, Versioning,
    complete,
};

/// Greatest number of a part.
pub const PART_NUMBER_MAX: u32 = 10_000;

/// Which checksum the parts and the whole of an upload carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UploadChecksum {
    /// The algorithm.
    pub algorithm: ChecksumAlgorithm,
    /// How the whole's is made.
    pub kind: ChecksumType,
}

/// An open upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// Its id.
    pub upload_id: UploadId,
    /// The key of the object it will make.
    pub key: ObjectKey,
    /// When it was begun, in microseconds of the Unix epoch.
    pub created_us: i64,
    /// The storage class named.
    pub storage_class: StorageClass,
    /// The checksum asked for.
    pub checksum: Option<UploadChecksum>,
    /// Who will own the object; `None` for the bucket's owner.
    pub owner: Option<CanonicalId>,
    /// The account that began it; `None` where nobody in particular did.
    pub begun_by: Option<CanonicalId>,
    /// How the object will be encrypted.
    pub encryption: Option<Encryption>,
    /// When it is given up by a rule of its bucket; `None` for never, and in a list of uploads.
    pub given_up: Option<Expiry>,
}

/// A stored part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its number, 1 to 10,000.
    pub number: u32,
    /// Its size.
    pub size_bytes: u64,
    /// Its MD5 in hexadecimal.
    pub etag: String,
    /// When it was stored, in microseconds of the Unix epoch.
    pub modified_us: i64,
    /// Checksums kept with it.
    pub checksums: Digests,
    /// How it is encrypted; in a list of parts, the upload says that.
    pub encryption: Option<Encryption>,
    /// The CRC-64/NVME of its bytes, where they are stored as they came: of encrypted ones it would be another's.
    pub(crate) crc64nvme: Option<u64>,
}

/// A part named in Complete.
#[derive(Clone, Debug)]
pub struct CompletedPart {
    /// Its number.
    pub number: u32,
    /// Its entity tag without quotes.
    pub etag: String,
    /// Its checksum, when the client repeats it.
    pub checksums: Digests,
}

/// What Complete is asked.
#[derive(Clone, Debug, Default)]
pub struct CompleteUpload {
    /// The parts in ascending order.
    pub parts: Vec<CompletedPart>,
    /// Conditions of the write.
    pub conditions: WriteConditions,
    /// The whole's checksum, when the client gives it.
    pub checksums: Digests,
    /// The whole's size, when the client gives it; another is [`Error::Invalid`].
    pub size_bytes: Option<u64>,
    /// The customer's key that the upload was begun with, when the client gives it; another one is refused. It is needed where the upload was
    /// begun with a checksum, too: [`RuleError::CustomerKeyNeeded`](crate::RuleError::CustomerKeyNeeded).
    pub customer_key: Option<CustomerKey>,
}

/// Where a part is copied from.
#[derive(Clone, Debug)]
pub struct PartSource {
    /// The object.
    pub object: CopySource,
    /// Which of its bytes, the end exclusive; all when `None`.
    pub range: Option<Range<u64>>,
    /// The customer's key that the upload was begun with.
    pub upload_key: Option<CustomerKey>,
}

/// Parts of an upload, by number.
#[derive(Clone, Debug)]
pub struct PartPage {
    /// The upload.
    pub upload: Upload,
    /// The parts.
    pub parts: Vec<Part>,
    /// Whether more follow.
    pub truncated: bool,
}

/// Open uploads that are asked for, in the order of key and beginning.
#[derive(Clone, Debug, Default)]
pub struct UploadListRequest {
    /// Only keys that begin with this.
    pub prefix: String,
    /// Folds keys as a listing does.
    pub delimiter: Option<String>,
    /// Begin after this key; with `after_upload`, after that upload of the key.
    pub after_key: Option<String>,
    /// Begin after this upload of `after_key`.
    pub after_upload: Option<UploadId>,
    /// The most uploads and common prefixes together.
    pub entries_max: usize,
}

/// Open uploads.
#[derive(Clone, Debug)]
pub struct UploadPage {
    /// The uploads.
    pub uploads: Vec<Upload>,
    /// Common prefixes.
    pub common_prefixes: Vec<String>,
    /// Whether more follow.
    pub truncated: bool,
}

impl Engine {
    /// Begins an upload.
    pub async fn create_upload(
        &self,
        caller: &Caller,
        bucket: &BucketName,
        key: &ObjectKey,
        new: NewObject,
        checksum: Option<UploadChecksum>,
    ) -> Result<Upload> {
        let said_lock = Some(SaidLock::of_new(&new.lock, self.clock().now_us()));
        let wanted = Wanted { new_tags: new.tags.pairs(), said_lock, ..Wanted::at(Action::PutObject, key) };
        let known = self.allowed_bucket(caller, bucket, &wanted).await?;
        let told = known.told_at_beginning(caller, &wanted);
        complete::check_kind(checksum)?;
        known.check_lock(&new.lock, self.clock().now_us())?;
        let possession = self.possession_of_new(caller, (&known, key), &new.acl, &new.lock).await?;
        let encryption = self.encryption_of_new(&known, &new.encryption)?;
        let sealed =
            encryption.map(|shown| self.new_key(shown, &new.encryption)).transpose()?.map(|(sealed, _)| sealed);
        let meta = Meta::new(&new.headers, &new.user_metadata)?
            .encrypted(sealed)
            .possessed(possession, &known.bucket.owner)
            .with_tags(new.tags)
            .begun(caller.account().map(|account| account.canonical_id.clone()), told)
            // The default retention counts from Complete on, and is the one that the bucket has then.
            .locked(&new.lock);
        let bucket_id = known.bucket.id;
        let upload = Upload {
            upload_id: UploadId::random(),
            key: key.clone(),
            created_us: self.clock().now_us(),
            storage_class: new.storage_class,
            checksum,
            owner: meta.owner().cloned(),
            begun_by: meta.begun_by().cloned(),
            encryption: meta.encryption().map(|sealed| sealed.shown.clone()),
            given_up: None,
        };
        let begun = Upload { given_up: known.end_of(&upload), ..upload.clone() };
        self.inner
            .db
            .write_for(caller.share(), "create_upload", move |tx| {
                let (upload, meta) = (upload.clone(), meta.clone());
                async move {
                    metadata::buckets::must_exist(tx, bucket_id).await?;
                    rows::insert(tx, bucket_id, &upload, &meta).await
                }
                .boxed()
            })
            .await?;
        Ok(begun)
    }

    /// Stores a part; a part of the same number is replaced. When this returns, the part is durable.
    pub async fn put_part(
        &self,
        caller: &Caller,
        bucket: &BucketName,
        key: &ObjectKey,
        upload: &UploadId,
        number: u32,
        mut body: Body,
    ) -> Result<Part> {
        if !(1..=PART_NUMBER_MAX).contains(&number) {
            return Err(Error::invalid("part number", format!("must be 1 to {PART_NUMBER_MAX}")));
        }
        let (known, open) = self.judged_upload(caller, bucket, key, upload).await?;
        let open = open.ok_or(Error::NoSuchUpload)?;
        self.must_fit(&known, quota::Place::Part(upload.clone(), number), body.size_bytes).await?;
        let bucket_id = known.bucket.id;
        // The whole's checksum is made of the parts', so every part has it, whether its client sent it or not.
        body.keep.extend(open.upload.checksum.map(|checksum| checksum.algorithm));
        let key_of_bytes = self.data_key(&open.meta, body.customer_key.as_ref())?;
        if key_of_bytes.is_some() && open.upload.checksum.is_none() {
            // The whole's checksum is this one then, and what is kept for the stored bytes is not of the part's own.
            body.keep.push(ChecksumAlgorithm::Crc64Nvme);
        }
        let nonce = key_of_bytes.as_ref().map(|_| Nonce::random());
        let cipher = key_of_bytes.zip(nonce).map(|(key, nonce)| key.cipher(nonce));
        let keep = body.keep.clone();
        let taken = self.take_in(&caller.share(), body, PUT_SIZE_BYTES_MAX, cipher.as_ref()).await?;
        let mut part = Part {
            number,
            size_bytes: taken.size_bytes,
            etag: hex::encode(taken.md5()),
            modified_us: 0,
            checksums: kept_checksums(&taken.digests, &keep),
            crc64nvme: nonce.is_none().then_some(taken.stored_crc64nvme),
            encryption: open.meta.encryption().map(|sealed| sealed.shown.clone()),
        };
        let (row, crc64nvme) = (part.clone(), taken.stored_crc64nvme);
        let (key, upload) = (key.clone(), upload.clone());
        part.modified_us = self
            .write_with_bytes(caller.share(), "put_part", taken, move |tx, place| {
                let row = NewPart {
                    number,
                    size_bytes: row.size_bytes,
                    etag: row.etag.clone(),
                    crc64nvme,
                    checksums: row.checksums.clone(),
                    place,
                    nonce,
                };
                let (key, upload) = (key.clone(), upload.clone());
                async move { rows::put_part(tx, bucket_id, &key, &upload, &row).await }.boxed()
            })
            .await?;
        Ok(part)
    }

    /// Stores a part from an object, or from a range of it. Says besides which version that was, where its bucket keeps versions.
    pub async fn copy_part(
        &self,
        caller: &Caller,
        source: &PartSource,
        bucket: &BucketName,
        key: &ObjectKey,
        upload: &UploadId,
        number: u32,
    ) -> Result<(Part, Option<VersionId>)> {
        let PartSource { object, range, upload_key } = source;
        if range.as_ref().is_some_and(Range::is_empty) {
            return Err(Error::invalid("range", "of the copied part is empty"));
        }
        let read = ReadObject {
            version_id: object.version_id.clone(),
            selection: range.as_ref().map(|range| Selection::Between(range.start, range.end - 1)),
            conditions: object.conditions.clone(),
            customer_key: object.customer_key.clone(),
        };
        let found = self.get_object(caller, &object.bucket, &object.key, &read).await?;
        let size_bytes = found.view.range.end - found.view.range.start;
        if range.as_ref().is_some_and(|range| range.end > found.view.info.size_bytes) {
            return Err(Error::InvalidRange { size_bytes: found.view.info.size_bytes });
        }
        let info = found.view.info;
        let source_version_id = (info.versioning != Versioning::Off).then_some(info.version_id);
        let body = Body { size_bytes: Some(size_bytes), customer_key: upload_key.clone(), ..Body::new(found.body) };
        let part = self.put_part(caller, bucket, key, upload, number, body).await?;
        Ok((part, source_version_id))
    }

    /// Makes the object of its parts, in one transaction of rows, which are durable when this returns.
    pub async fn complete_upload(
        &self,
        caller: &Caller,
        bucket: &BucketName,
        key: &ObjectKey,
        upload: &UploadId,
        complete: CompleteUpload,
    ) -> Result<ObjectInfo> {
        let (known, open) = self.judged_upload(caller, bucket, key, upload).await?;
        let (key, upload) = (key.clone(), upload.clone());
        // It may have been completed before, which the transaction says then.
        if let Some(open) = open.filter(|open| open.needs_customer_key() || complete.customer_key.is_some()) {
            self.data_key(&open.meta, complete.customer_key.as_ref())?;
        }
        let part_size_bytes_min = self.inner.settings.part_size_bytes_min;
        let (complete, ids) = (Arc::new(complete), self.inner.version_ids.clone());
        let notify = Notify::of(&known, caller);
        let is_told = notify.is_some();
        let made = self
            .inner
            .db
            .write_for(caller.share(), "complete_upload", move |tx| {
                let (known, key, upload) = (known.clone(), key.clone(), upload.clone());
                let (complete, ids, notify) = (complete.clone(), ids.clone(), notify.clone());
                async move {
                    metadata::buckets::must_exist(tx, known.bucket.id).await?;
                    let open = match rows::find(tx, known.bucket.id, &key, &upload).await {
                        Err(Error::NoSuchUpload) => {
                            let version = made_before(tx, known.bucket.id, &key, &upload, &complete).await?;
                            return info(key, version, &known, known.bucket.versioning);
                        }
                        open => open?,
                    };
                    let made = make_object(tx, &ids, &known, open, &complete, part_size_bytes_min).await?;
                    rows::remember(tx, known.bucket.id, &key, &upload, made.version.seq).await?;
                    if let Some(notify) = &notify {
                        let happened = Happened::to_version(EventKind::CreatedOfParts, &key, &made.version);
                        metadata::outbox::add(tx, known.bucket.id, notify, &happened).await?;
                    }
                    info(key, made.version, &known, made.versioning)
                }
                .boxed()
            })
            .await?;
        self.ring(is_told);
        Ok(made.answered(Durability::Strict))
    }

    /// Gives an upload up; its parts are freed.
    pub async fn abort_upload(
        &self,
        caller: &Caller,
        bucket: &BucketName,
        key: &ObjectKey,
        upload: &UploadId,
    ) -> Result<()> {
        let known = self.bucket_of_own(caller, bucket, key, upload, Action::AbortMultipartUpload).await?;
        let bucket_id = known.bucket.id;
        let (key, upload) = (key.clone(), upload.clone());
        self.inner
            .db
            .write_for(caller.share(), "abort_upload", move |tx| {
                let (key, upload) = (key.clone(), upload.clone());
                async move {
                    rows::find(tx, bucket_id, &key, &upload).await?;
                    rows::abort(tx, bucket_id, &upload).await.map(|_| ())
                }
                .boxed()
            })
            .await
    }

    /// The parts of an upload, after a number.
    pub async fn list_parts(
        &self,
        caller: &Caller,
        bucket: &BucketName,
        key: &ObjectKey,
        upload: &UploadId,
        after: u32,
        parts_max: usize,
    ) -> Result<PartPage> {
        let known = self.bucket_of_own(caller, bucket, key, upload, Action::ListMultipartUploadParts).await?;
        let (key, upload) = (key.clone(), upload.clone());
        self.inner
            .db
            .read_for(caller.share(), "list_parts", |tx| {
                async move {
                    let open = rows::find(tx, known.bucket.id, &key, &upload).await?;
                    let mut parts = rows::parts(tx, &upload, after, parts_max.saturating_add(1)).await?;
                    let truncated = parts.len() > parts_max;
                    parts.truncate(parts_max);
                    let upload = Upload { given_up: known.end_of(&open.upload), ..open.upload };
                    Ok(PartPage { upload, parts, truncated })
                }
                .boxed()
            })
            .await
    }

    /// The open uploads of a bucket.
    pub async fn list_uploads(
        &self,
        caller: &Caller,
        bucket: &BucketName,
        request: &UploadListRequest,
    ) -> Result<UploadPage> {
        let wanted = Wanted::on_bucket(Action::ListBucketMultipartUploads);
        let bucket_id = self.allowed_bucket(caller, bucket, &wanted).await?.bucket.id;
        let request = request.clone();
        self.inner
            .db
            .read_for(caller.share(), "list_uploads", |tx| {
                async move { rows::list(tx, bucket_id, &request).await }.boxed()
            })
            .await
    }

    /// An upload that the caller may store parts of, judged by what was said when it was begun; `None` when there is none such.
    async fn judged_upload(
        &self,
        caller: &Caller,
        bucket: &BucketName,
        key: &ObjectKey,
        upload: &UploadId,
    ) -> Result<(Arc<KnownBucket>, Option<OpenUpload>)> {
        let (known, open) = self.named_upload(caller, bucket, key, upload).await?;
        let meta = open.as_ref().map(|open| &open.meta);
        known.must_allow(caller, &Wanted { upload: meta, ..Wanted::at(Action::PutObject, key) })?;
        Ok((known, open))
    }

    /// The bucket of an upload that the caller may stop or look at: as who began it, or as whom the bucket lets. There need be no such upload.
    async fn bucket_of_own(
        &self,
        caller: &Caller,
        bucket: &BucketName,
        key: &ObjectKey,
        upload: &UploadId,
        action: Action,
    ) -> Result<Arc<KnownBucket>> {
        let (known, open) = self.named_upload(caller, bucket, key, upload).await?;
        let begun_by = open.as_ref().and_then(|open| open.meta.begun_by());
        known.must_allow(caller, &Wanted { begun_by, ..Wanted::at(action, key) })?;
        Ok(known)
    }

    /// An upload, whoever asks; `None` when there is none such.
    async fn named_upload(
        &self,
        caller: &Caller,
        bucket: &BucketName,
        key: &ObjectKey,
        upload: &UploadId,
    ) -> Result<(Arc<KnownBucket>, Option<OpenUpload>)> {
        let known = self.known_bucket(bucket).await?;
        let (bucket_id, named, upload) = (known.bucket.id, key.clone(), upload.clone());
        let found = self.inner.db.read_statement_for(caller.share(), "open_upload", |tx| {
            async move { rows::find(tx, bucket_id, &named, &upload).await }.boxed()
        });
        let open = match found.await {
            Err(Error::NoSuchUpload) => None,
            found => Some(found?),
        };
        Ok((known, open))
    }
}

impl OpenUpload {
    /// Whether its Complete has to show the customer's key: S3 seals the checksum of the whole under it.
    fn needs_customer_key(&self) -> bool {
        self.upload.checksum.is_some() && matches!(self.upload.encryption, Some(Encryption::Customer(_)))
    }
}

impl KnownBucket {
    /// When an open upload is given up by a rule.
    fn end_of(&self, upload: &Upload) -> Option<Expiry> {
        let lifecycle = self.rules.lifecycle.as_ref()?;
        let end = lifecycle.end_of_upload(upload.key.as_str(), upload.created_us, self.lifecycle_day);
        end.map(|(at_us, rule_id)| Expiry { at_us, rule_id: rule_id.to_owned() })
    }
}

/// The version that a Complete of the same parts made, whose answer was lost. [`Error::NoSuchUpload`].
async fn made_before(
    tx: &mut Tx,
    bucket_id: i64,
    key: &ObjectKey,
    upload: &UploadId,
    complete: &CompleteUpload,
) -> Result<Version> {
    let seq = rows::made_by(tx, bucket_id, key, upload).await?.ok_or(Error::NoSuchUpload)?;
    let version = versions::by_seq(tx, bucket_id, key, seq).await?.ok_or(Error::NoSuchUpload)?;
    let is_same =
        complete::etag_of(complete.parts.iter().map(|part| part.etag.as_str())).is_ok_and(|etag| etag == version.etag);
    if is_same { Ok(version) } else { Err(Error::NoSuchUpload) }
}

/// Turns an open upload into the current object: parts that were not named are freed, the others become its content.
async fn make_object(
    tx: &mut Tx,
    ids: &VersionIds,
    known: &KnownBucket,
    open: OpenUpload,
    complete: &CompleteUpload,
    part_size_bytes_min: u64,
) -> Result<Made> {
    let OpenUpload { upload, meta } = open;
    let bucket = known.bucket.id;
    let said = NewLock { retention: meta.retention(), legal_hold: meta.legal_hold() };
    let lock = known.lock_with_default(&said, tx.now_us());
    let stored = rows::parts(tx, &upload.upload_id, 0, usize::try_from(PART_NUMBER_MAX).unwrap_or(usize::MAX)).await?;
    let whole = complete::check(&stored, complete, upload.checksum, part_size_bytes_min)?;
    for number in &whole.unnamed {
        rows::remove_part(tx, bucket, &upload.upload_id, *number).await?;
    }
    let content_id = ContentId::next();
    let size_bytes = contents::insert_from_parts(tx, content_id, upload.upload_id.as_str()).await?;
    rows::close(tx, bucket, &upload.upload_id, size_bytes).await?;
    let new = NewVersion {
        size_bytes,
        etag: whole.etag,
        storage_class: upload.storage_class,
        parts_count: Some(u32::try_from(complete.parts.len()).unwrap_or(PART_NUMBER_MAX)),
        content_id,
        meta: meta.with_checksums(&whole.checksums, whole.checksum_type).completed().locked(&lock),
    };
    objects::put(tx, ids, bucket, &upload.key, &new, Given::There { blob: None }, &complete.conditions).await
}
