//! Multipart uploads.

use std::collections::HashMap;

use engine::{
    BucketName, CanonicalId, CompleteUpload, CompletedPart, Engine, NewObject, Person, UploadChecksum, UploadId,
    UploadListRequest,
};
use s3s::dto::{
    self, AbortMultipartUploadInput, AbortMultipartUploadOutput, CompleteMultipartUploadInput,
    CompleteMultipartUploadOutput, CreateMultipartUploadInput, CreateMultipartUploadOutput, Initiator,
    ListMultipartUploadsInput, ListMultipartUploadsOutput, ListPartsInput, ListPartsOutput, MultipartUpload, Owner,
    UploadPartInput, UploadPartOutput,
};
use s3s::{S3Request, S3Response, S3Result, s3_error};

use crate::checksums::{self, Shown, algorithm_name, kind_name, show_checksums};
use crate::encryption::{self, Way};
use crate::error::from_engine;
use crate::headers::{
    bucket, caller, check_owner, etag, key, object_headers, refuse_unsupported, signed, storage_class,
    storage_class_name, timestamp, user_metadata, write_conditions,
};
use crate::listing::{Coding, entries_max};
use crate::object::made_version;
use crate::{acl, durability, lifecycle, lock, tagging};

/// Most parts of an upload, and most that one Complete may name.
const PARTS_MAX: i32 = 10_000;

/// The id of an upload that a request names.
pub(crate) fn upload_id(id: &str) -> S3Result<UploadId> {
    UploadId::new(id).map_err(from_engine)
}

/// The number of a part that a request names.
pub(crate) fn part_number(number: i32) -> S3Result<u32> {
    if !(1..=PARTS_MAX).contains(&number) {
        return Err(s3_error!(InvalidArgument, "Part number must be an integer between 1 and 10000, inclusive"));
    }
    Ok(number.unsigned_abs())
}

pub(crate) async fn create(
    engine: &Engine,
    request: S3Request<CreateMultipartUploadInput>,
) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
    let who = caller(&request);
    let S3Request { input, headers, extensions, .. } = request;
    refuse_unsupported(&headers)?;
    check_owner(engine, &bucket(&input.bucket)?, input.expected_bucket_owner.as_deref()).await?;
    let new = NewObject {
        headers: object_headers(&headers),
        user_metadata: user_metadata(input.metadata),
        storage_class: storage_class(input.storage_class.as_ref())?.unwrap_or_default(),
        acl: acl::of_headers(&headers)?,
        tags: tagging::of_headers(&headers)?.unwrap_or_default(),
        lock: lock::of_headers(&headers)?,
        encryption: encryption::of_new(&headers, Way::of(&extensions))?,
        conditions: write_conditions(None, None),
        by_form: false,
    };
    let checksum = upload_checksum(input.checksum_algorithm.as_ref(), input.checksum_type.as_ref())?;
    let (bucket, key) = (bucket(&input.bucket)?, key(&input.key)?);
    let upload = engine.create_upload(&who, &bucket, &key, new, checksum).await.map_err(from_engine)?;
    let (abort_date, abort_rule_id) = lifecycle::shown_end(upload.given_up.as_ref());
    let output = CreateMultipartUploadOutput {
        abort_date,
        abort_rule_id,
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(upload.upload_id.as_str().to_owned()),
        checksum_algorithm: checksum.map(|checksum| algorithm_name(checksum.algorithm)),
        checksum_type: checksum.map(|checksum| kind_name(checksum.kind)),
        ..CreateMultipartUploadOutput::default()
    };
    let mut response = S3Response::new(output);
    encryption::show(&mut response.headers, upload.encryption.as_ref());
    Ok(response)
}

/// The checksum of an upload. Without a named kind, CRC-64 is of the whole object and the others are of the parts.
fn upload_checksum(
    algorithm: Option<&dto::ChecksumAlgorithm>,
    kind: Option<&dto::ChecksumType>,
) -> S3Result<Option<UploadChecksum>> {
    use engine::ChecksumAlgorithm::{Crc32, Crc32c, Crc64Nvme, Sha1, Sha256};
    use engine::ChecksumType::{Composite, FullObject};
    let Some(algorithm) = algorithm else {
        return match kind {
            None => Ok(None),
            Some(_) => Err(s3_error!(
                InvalidRequest,
                "The x-amz-checksum-type header needs the x-amz-checksum-algorithm header."
            )),
        };
    };
    let algorithm = checksums::algorithm(algorithm.as_str())?;
    let asked = match kind.map(dto::ChecksumType::as_str) {
        None => None,
        Some(dto::ChecksumType::FULL_OBJECT) => Some(FullObject),
        Some(dto::ChecksumType::COMPOSITE) => Some(Composite),
        Some(_) => return Err(s3_error!(InvalidRequest, "Value for x-amz-checksum-type header is invalid.")),
    };
    let kind = match (algorithm, asked) {
        (Crc64Nvme, None | Some(FullObject)) | (Crc32 | Crc32c, Some(FullObject)) => FullObject,
        (Crc32 | Crc32c | Sha1 | Sha256, None | Some(Composite)) => Composite,
        (Crc64Nvme, Some(Composite)) | (Sha1 | Sha256, Some(FullObject)) => {
            return Err(s3_error!(InvalidRequest, "The checksum type cannot be used with that checksum algorithm."));
        }
    };
    Ok(Some(UploadChecksum { algorithm, kind }))
}

pub(crate) async fn put_part(
    engine: &Engine,
    request: S3Request<UploadPartInput>,
) -> S3Result<S3Response<UploadPartOutput>> {
    let who = caller(&request);
    let S3Request { input, headers, trailing_headers, extensions, .. } = request;
    refuse_unsupported(&headers)?;
    check_owner(engine, &bucket(&input.bucket)?, input.expected_bucket_owner.as_deref()).await?;
    let (bucket, key) = (bucket(&input.bucket)?, key(&input.key)?);
    let (upload, number) = (upload_id(&input.upload_id)?, part_number(input.part_number)?);
    let mut body = checksums::body(input.body, &headers, trailing_headers)?;
    body.customer_key = encryption::customer_key(&headers, Way::of(&extensions))?;
    let part = engine.put_part(&who, &bucket, &key, &upload, number, body).await.map_err(from_engine)?;
    let mut output = UploadPartOutput { e_tag: Some(etag(&part.etag)), ..UploadPartOutput::default() };
    show_checksums!(output, Shown::of_part(&part));
    let mut response = S3Response::new(output);
    encryption::show(&mut response.headers, part.encryption.as_ref());
    Ok(response)
}

pub(crate) async fn complete(
    engine: &Engine,
    request: S3Request<CompleteMultipartUploadInput>,
) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
    let who = caller(&request);
    let S3Request { input, headers, extensions, .. } = request;
    check_owner(engine, &bucket(&input.bucket)?, input.expected_bucket_owner.as_deref()).await?;
    let named = input.multipart_upload.and_then(|upload| upload.parts).unwrap_or_default();
    if named.is_empty() || named.len() > PARTS_MAX.unsigned_abs() as usize {
        return Err(s3_error!(MalformedXML));
    }
    let complete = CompleteUpload {
        parts: named.into_iter().map(completed_part).collect::<S3Result<_>>()?,
        conditions: write_conditions(input.if_match.as_ref(), input.if_none_match.as_ref()),
        checksums: checksums::whole(&headers)?,
        size_bytes: input
            .mpu_object_size
            .map(|size| u64::try_from(size).map_err(|_| s3_error!(InvalidRequest, "The announced size is negative.")))
            .transpose()?,
        customer_key: encryption::customer_key(&headers, Way::of(&extensions))?,
    };
    let (bucket, key, upload) = (bucket(&input.bucket)?, key(&input.key)?, upload_id(&input.upload_id)?);
    let info = engine.complete_upload(&who, &bucket, &key, &upload, complete).await.map_err(from_engine)?;
    let mut output = CompleteMultipartUploadOutput {
        location: Some(format!("/{}/{}", input.bucket, Coding::Url.encode(&input.key))),
        bucket: Some(input.bucket),
        key: Some(input.key),
        e_tag: Some(etag(&info.etag)),
        version_id: made_version(&info),
        ..CompleteMultipartUploadOutput::default()
    };
    let shown = Shown::of_object(&info);
    output.checksum_type = shown.kind.clone();
    show_checksums!(output, shown);
    let mut response = S3Response::new(output);
    durability::show(&mut response.headers, info.durability);
    encryption::show(&mut response.headers, info.encryption.as_ref());
    lifecycle::show(&mut response.headers, info.expiry.as_ref());
    Ok(response)
}

fn completed_part(part: dto::CompletedPart) -> S3Result<CompletedPart> {
    let checksums = checksums::of_completed(&part)?;
    let (Some(number), Some(tag)) = (part.part_number, part.e_tag) else { return Err(s3_error!(MalformedXML)) };
    Ok(CompletedPart { number: part_number(number)?, etag: tag.value().to_owned(), checksums })
}

pub(crate) async fn abort(
    engine: &Engine,
    request: S3Request<AbortMultipartUploadInput>,
) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
    let who = caller(&request);
    let input = request.input;
    check_owner(engine, &bucket(&input.bucket)?, input.expected_bucket_owner.as_deref()).await?;
    let (bucket, key, upload) = (bucket(&input.bucket)?, key(&input.key)?, upload_id(&input.upload_id)?);
    engine.abort_upload(&who, &bucket, &key, &upload).await.map_err(from_engine)?;
    Ok(S3Response::new(AbortMultipartUploadOutput::default()))
}

pub(crate) async fn list_parts(
    engine: &Engine,
    request: S3Request<ListPartsInput>,
) -> S3Result<S3Response<ListPartsOutput>> {
    let who = caller(&request);
    let input = request.input;
    check_owner(engine, &bucket(&input.bucket)?, input.expected_bucket_owner.as_deref()).await?;
    let (bucket, key, upload) = (bucket(&input.bucket)?, key(&input.key)?, upload_id(&input.upload_id)?);
    let parts_max = entries_max(input.max_parts, "max-parts")?;
    let marker = u32::try_from(input.part_number_marker.unwrap_or(0)).map_err(|_| {
        s3_error!(InvalidArgument, "Argument part-number-marker must be an integer between 0 and 2147483647")
    })?;
    let page = engine.list_parts(&who, &bucket, &key, &upload, marker, parts_max.max(1)).await.map_err(from_engine)?;
    let parts: Vec<_> = page.parts.iter().take(parts_max).map(shown_part).collect();
    let (owner, initiator) = owners(engine, &bucket, std::slice::from_ref(&page.upload)).await?.of(&page.upload);
    let (abort_date, abort_rule_id) = lifecycle::shown_end(page.upload.given_up.as_ref());
    let output = ListPartsOutput {
        abort_date,
        abort_rule_id,
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(input.upload_id),
        is_truncated: Some(page.truncated && parts_max > 0),
        max_parts: i32::try_from(parts_max).ok(),
        next_part_number_marker: Some(parts.last().and_then(|part| part.part_number).unwrap_or(0)),
        part_number_marker: i32::try_from(marker).ok(),
        parts: Some(parts),
        owner: Some(owner),
        initiator: Some(initiator),
        storage_class: Some(dto::StorageClass::from_static(storage_class_name(page.upload.storage_class))),
        checksum_algorithm: page.upload.checksum.map(|checksum| algorithm_name(checksum.algorithm)),
        checksum_type: page.upload.checksum.map(|checksum| kind_name(checksum.kind)),
        ..ListPartsOutput::default()
    };
    Ok(S3Response::new(output))
}

fn shown_part(part: &engine::Part) -> dto::Part {
    let mut shown = dto::Part {
        e_tag: Some(etag(&part.etag)),
        last_modified: Some(timestamp(part.modified_us)),
        part_number: i32::try_from(part.number).ok(),
        size: Some(signed(part.size_bytes)),
        ..dto::Part::default()
    };
    show_checksums!(shown, Shown::of_part(part));
    shown
}

/// Who will own what uploads make, and who began them.
struct Owners {
    of_bucket: Person,
    names: HashMap<CanonicalId, String>,
}

impl Owners {
    /// The owner of an upload's object, and who began the upload. What nobody in particular began is the bucket owner's.
    fn of(&self, upload: &engine::Upload) -> (Owner, Initiator) {
        let owner = acl::owner(&self.person(upload.owner.as_ref()));
        let Owner { display_name, id } = acl::owner(&self.person(upload.begun_by.as_ref()));
        (owner, Initiator { display_name, id })
    }

    fn person(&self, id: Option<&CanonicalId>) -> Person {
        match id.filter(|id| **id != self.of_bucket.canonical_id) {
            None => self.of_bucket.clone(),
            Some(id) => {
                let display_name = self.names.get(id).cloned().unwrap_or_default();
                Person { canonical_id: id.clone(), display_name }
            }
        }
    }
}

async fn owners(engine: &Engine, bucket: &BucketName, uploads: &[engine::Upload]) -> S3Result<Owners> {
    let of_bucket = engine.bucket_owner(bucket).await.map_err(from_engine)?;
    let others = |upload: &engine::Upload| [upload.owner.clone(), upload.begun_by.clone()].into_iter().flatten();
    let ids: Vec<_> = uploads.iter().flat_map(others).filter(|id| *id != of_bucket.canonical_id).collect();
    let names = if ids.is_empty() { HashMap::new() } else { engine.display_names(ids).await.map_err(from_engine)? };
    Ok(Owners { of_bucket, names })
}

pub(crate) async fn list(
    engine: &Engine,
    request: S3Request<ListMultipartUploadsInput>,
) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
    let who = caller(&request);
    let input = request.input;
    check_owner(engine, &bucket(&input.bucket)?, input.expected_bucket_owner.as_deref()).await?;
    let coding = Coding::of(input.encoding_type.as_ref())?;
    let uploads_max = entries_max(input.max_uploads, "max-uploads")?;
    let after_key = input.key_marker.clone().filter(|marker| !marker.is_empty());
    let after_upload = input.upload_id_marker.as_deref().filter(|id| !id.is_empty() && after_key.is_some());
    let asked = UploadListRequest {
        prefix: input.prefix.clone().unwrap_or_default(),
        delimiter: input.delimiter.clone().filter(|delimiter| !delimiter.is_empty()),
        after_upload: after_upload.map(upload_id).transpose()?,
        after_key,
        entries_max: uploads_max.max(1),
    };
    let name = bucket(&input.bucket)?;
    let mut page = engine.list_uploads(&who, &name, &asked).await.map_err(from_engine)?;
    if uploads_max == 0 {
        page = engine::UploadPage { uploads: Vec::new(), common_prefixes: Vec::new(), truncated: false };
    }
    let (next_key, next_upload) = next_markers(&page);
    let owners = owners(engine, &name, &page.uploads).await?;
    let prefixes = page.common_prefixes.iter().map(|prefix| coding.common_prefix(prefix)).collect();
    let uploads = page.uploads.iter().map(|upload| shown_upload(upload, coding, owners.of(upload))).collect();
    let output = ListMultipartUploadsOutput {
        bucket: Some(input.bucket),
        common_prefixes: Some(prefixes),
        delimiter: asked.delimiter.map(|delimiter| coding.encode(&delimiter)),
        encoding_type: input.encoding_type,
        is_truncated: Some(page.truncated),
        key_marker: Some(coding.encode(&input.key_marker.unwrap_or_default())),
        max_uploads: i32::try_from(uploads_max).ok(),
        next_key_marker: next_key.filter(|_| page.truncated).map(|key| coding.encode(&key)),
        next_upload_id_marker: next_upload.filter(|_| page.truncated),
        prefix: Some(coding.encode(&asked.prefix)),
        request_charged: None,
        upload_id_marker: Some(input.upload_id_marker.unwrap_or_default()),
        uploads: Some(uploads),
    };
    Ok(S3Response::new(output))
}

/// Where the next page begins: after the last upload or the last common prefix, whichever stands later.
fn next_markers(page: &engine::UploadPage) -> (Option<String>, Option<String>) {
    let last_upload = page.uploads.last();
    let last_prefix = page.common_prefixes.last();
    match (last_upload, last_prefix) {
        (Some(upload), Some(prefix)) if prefix.as_bytes() > upload.key.as_bytes() => (Some(prefix.clone()), None),
        (Some(upload), Some(_) | None) => {
            (Some(upload.key.as_str().to_owned()), Some(upload.upload_id.as_str().to_owned()))
        }
        (None, Some(prefix)) => (Some(prefix.clone()), None),
        (None, None) => (None, None),
    }
}

fn shown_upload(upload: &engine::Upload, coding: Coding, (owner, initiator): (Owner, Initiator)) -> MultipartUpload {
    MultipartUpload {
        checksum_algorithm: upload.checksum.map(|checksum| algorithm_name(checksum.algorithm)),
        checksum_type: upload.checksum.map(|checksum| kind_name(checksum.kind)),
        initiated: Some(timestamp(upload.created_us)),
        initiator: Some(initiator),
        key: Some(coding.encode(upload.key.as_str())),
        owner: Some(owner),
        storage_class: Some(dto::StorageClass::from_static(storage_class_name(upload.storage_class))),
        upload_id: Some(upload.upload_id.as_str().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_kinds_follow_the_algorithm() {
        let of = |algorithm: &'static str, kind: Option<&'static str>| {
            let algorithm = dto::ChecksumAlgorithm::from_static(algorithm);
            let kind = kind.map(dto::ChecksumType::from_static);
            upload_checksum(Some(&algorithm), kind.as_ref()).ok().flatten().map(|checksum| checksum.kind)
        };
        use engine::ChecksumType::{Composite, FullObject};
        assert_eq!(of("CRC32", None), Some(Composite));
        assert_eq!(of("CRC32C", Some("FULL_OBJECT")), Some(FullObject));
        assert_eq!(of("CRC64NVME", None), Some(FullObject));
        assert_eq!(of("CRC64NVME", Some("COMPOSITE")), None);
        assert_eq!(of("SHA256", None), Some(Composite));
        assert_eq!(of("SHA1", Some("FULL_OBJECT")), None);
        assert_eq!(of("MD5", None), None);
    }
}
