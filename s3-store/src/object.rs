//! Objects: put, get, head, delete.

use engine::{
    Caller, DeleteTarget, Deleted, Engine, NewObject, ObjectInfo, ObjectView, ReadObject, Selection, VersionId,
    Versioning,
};
use http::header::EXPIRES;
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body_util::StreamBody;
use s3s::dto::{
    self, DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput, DeletedObject,
    GetObjectInput, GetObjectOutput, HeadObjectInput, HeadObjectOutput, ObjectIdentifier, PutObjectInput,
    PutObjectOutput, StreamingBlob,
};
use s3s::{S3Request, S3Response, S3Result, s3_error};

use crate::access_log::DeletedKey;
use crate::checksums::{self, Shown, show_checksums};
use crate::context::RequestContext;
use crate::encryption::{self, Way};
use crate::error::{default_message, from_engine, not_implemented};
use crate::headers::{
    bucket, caller, check_owner, etag, key, object_headers, read_conditions, refuse_unsupported, signed, storage_class,
    storage_class_name, timestamp, user_metadata, version, write_conditions,
};
use crate::{acl, durability, lifecycle, lock, tagging};

/// Most objects of one DeleteObjects, as in S3.
const DELETE_OBJECTS_MAX: usize = 1000;
const X_AMZ_TAGGING_COUNT: HeaderName = HeaderName::from_static("x-amz-tagging-count");
/// What S3 says of an object whose maker named no type.
pub(crate) const CONTENT_TYPE_DEFAULT: &str = "binary/octet-stream";

pub(crate) async fn put(engine: &Engine, request: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
    let who = caller(&request);
    let S3Request { input, headers, trailing_headers, extensions, .. } = request;
    refuse_unsupported(&headers)?;
    check_owner(engine, &bucket(&input.bucket)?, input.expected_bucket_owner.as_deref()).await?;
    let (bucket, key) = (bucket(&input.bucket)?, key(&input.key)?);
    let encryption = encryption::of_new(&headers, Way::of(&extensions));
    if encryption.is_err() {
        // A policy may refuse what the headers ask for, and is heard before it is said what is wrong with them.
        engine.may_put_object(&who, &bucket, &key).await.map_err(from_engine)?;
    }
    let new = NewObject {
        headers: object_headers(&headers),
        user_metadata: user_metadata(input.metadata),
        storage_class: storage_class(input.storage_class.as_ref())?.unwrap_or_default(),
        acl: acl::of_headers(&headers)?,
        tags: tagging::of_headers(&headers)?.unwrap_or_default(),
        lock: lock::of_headers(&headers)?,
        encryption: encryption?,
        conditions: write_conditions(input.if_match.as_ref(), input.if_none_match.as_ref()),
        by_form: false,
    };
    let body = checksums::body(input.body, &headers, trailing_headers)?;
    let info = engine.put_object(&who, &bucket, &key, new, body).await.map_err(from_engine)?;
    let mut output = PutObjectOutput { e_tag: Some(etag(&info.etag)), ..PutObjectOutput::default() };
    output.version_id = made_version(&info);
    let shown = Shown::of_object(&info);
    output.checksum_type = shown.kind.clone();
    show_checksums!(output, shown);
    let mut response = S3Response::new(output);
    durability::show(&mut response.headers, info.durability);
    encryption::show(&mut response.headers, info.encryption.as_ref());
    lifecycle::show(&mut response.headers, info.expiry.as_ref());
    Ok(response)
}

/// What GetObject and HeadObject have in common.
macro_rules! read_of {
    ($request:expr) => {{
        let input = &$request.input;
        let overrides = [
            input.response_cache_control.is_some(),
            input.response_content_disposition.is_some(),
            input.response_content_encoding.is_some(),
            input.response_content_language.is_some(),
            input.response_content_type.is_some(),
            input.response_expires.is_some(),
        ];
        if overrides.contains(&true) && matches!(caller(&$request), Caller::Anonymous(_)) {
            // Whoever passes an address on could give what is there another meaning.
            return Err(s3_error!(
                InvalidRequest,
                "Request specific response headers cannot be used for anonymous GET requests."
            ));
        }
        ReadObject {
            customer_key: encryption::reading_key(&$request.headers, Way::of(&$request.extensions))?,
            version_id: version(input.version_id.as_deref())?,
            selection: selection(input.range.as_ref(), input.part_number)?,
            conditions: read_conditions(
                input.if_match.as_ref(),
                input.if_none_match.as_ref(),
                input.if_modified_since.as_ref(),
                input.if_unmodified_since.as_ref(),
            ),
        }
    }};
}

/// Fills the fields that GetObject and HeadObject have in common.
macro_rules! show_object {
    ($output:expr, $input:expr, $view:expr) => {{
        let (input, view): (_, &ObjectView) = (&$input, &$view);
        let (info, kept) = (&view.info, &view.info.headers);
        let either = |asked: &Option<String>, kept: &Option<String>| asked.clone().or_else(|| kept.clone());
        $output.accept_ranges = Some("bytes".to_owned());
        $output.cache_control = either(&input.response_cache_control, &kept.cache_control);
        $output.content_disposition = either(&input.response_content_disposition, &kept.content_disposition);
        $output.content_encoding = either(&input.response_content_encoding, &kept.content_encoding);
        $output.content_language = either(&input.response_content_language, &kept.content_language);
        $output.content_type =
            either(&input.response_content_type, &kept.content_type).or_else(|| Some(CONTENT_TYPE_DEFAULT.to_owned()));
        $output.expires = input.response_expires.clone();
        $output.website_redirect_location = kept.redirect_location.clone();
        $output.content_length = Some(signed(view.range.end - view.range.start));
        $output.content_range = content_range(view);
        $output.e_tag = Some(etag(&info.etag));
        $output.last_modified = Some(timestamp(info.modified_us));
        $output.metadata = Some(info.user_metadata.iter().cloned().collect());
        $output.storage_class = shown_class(info.storage_class);
        $output.version_id = shown_version(info);
        let (mode, until, held) = lock::shown(info);
        $output.object_lock_mode = mode;
        $output.object_lock_retain_until_date = until;
        $output.object_lock_legal_hold_status = held;
        $output.parts_count = input.part_number.and(info.parts_count).and_then(|count| i32::try_from(count).ok());
        if let (Some(part), true) = (&view.part_checksums, input.checksum_mode.is_some()) {
            let shown = Shown::of_digests(part);
            $output.checksum_type = Some(checksums::kind_name(info.checksum_type));
            show_checksums!($output, shown);
        } else if input.checksum_mode.is_some() && view.range == (0..info.size_bytes) {
            let shown = Shown::of_object(info);
            $output.checksum_type = shown.kind.clone();
            show_checksums!($output, shown);
        }
    }};
}

pub(crate) async fn get(engine: &Engine, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
    let who = caller(&request);
    let read = read_of!(request);
    let input = request.input;
    check_owner(engine, &bucket(&input.bucket)?, input.expected_bucket_owner.as_deref()).await?;
    let found =
        engine.get_object(&who, &bucket(&input.bucket)?, &key(&input.key)?, &read).await.map_err(from_engine)?;
    let mut output = GetObjectOutput::default();
    show_object!(output, input, found.view);
    output.tag_count = i32::try_from(found.view.info.tags_count).ok().filter(|count| *count > 0);
    let frames = futures::StreamExt::map(found.body, |item| item.map(http_body::Frame::data));
    output.body = Some(StreamingBlob::from(s3s::Body::http_body_unsync(StreamBody::new(frames))));
    let mut response = S3Response::new(output);
    show_expires(&mut response.headers, input.response_expires.is_some(), &found.view);
    durability::show(&mut response.headers, found.view.info.durability);
    encryption::show(&mut response.headers, found.view.info.encryption.as_ref());
    lifecycle::show(&mut response.headers, found.view.info.expiry.as_ref());
    Ok(response)
}

pub(crate) async fn head(
    engine: &Engine,
    request: S3Request<HeadObjectInput>,
) -> S3Result<S3Response<HeadObjectOutput>> {
    let who = caller(&request);
    let read = read_of!(request);
    let input = request.input;
    check_owner(engine, &bucket(&input.bucket)?, input.expected_bucket_owner.as_deref()).await?;
    let view =
        engine.head_object(&who, &bucket(&input.bucket)?, &key(&input.key)?, &read).await.map_err(from_engine)?;
    let mut output = HeadObjectOutput::default();
    show_object!(output, input, view);
    let mut response = S3Response::new(output);
    show_expires(&mut response.headers, input.response_expires.is_some(), &view);
    durability::show(&mut response.headers, view.info.durability);
    encryption::show(&mut response.headers, view.info.encryption.as_ref());
    lifecycle::show(&mut response.headers, view.info.expiry.as_ref());
    // The protocol layer has this for GET only.
    if view.info.tags_count > 0 {
        response.headers.insert(X_AMZ_TAGGING_COUNT, HeaderValue::from(view.info.tags_count));
    }
    Ok(response)
}

/// `Expires` goes back as it was given, which need not be a date.
fn show_expires(headers: &mut HeaderMap, overridden: bool, view: &ObjectView) {
    if let Some(expires) = view.info.headers.expires.as_deref().filter(|_| !overridden)
        && let Ok(value) = HeaderValue::try_from(expires)
    {
        headers.insert(EXPIRES, value);
    }
}

pub(crate) fn selection(range: Option<&dto::Range>, part_number: Option<i32>) -> S3Result<Option<Selection>> {
    match (range, part_number) {
        (Some(_), Some(_)) => {
            Err(s3_error!(InvalidRequest, "Cannot specify both Range header and partNumber query parameter"))
        }
        (None, None) => Ok(None),
        (None, Some(number)) => crate::multipart::part_number(number).map(|number| Some(Selection::Part(number))),
        (Some(dto::Range::Int { first, last: Some(last) }), None) => Ok(Some(Selection::Between(*first, *last))),
        (Some(dto::Range::Int { first, last: None }), None) => Ok(Some(Selection::From(*first))),
        (Some(dto::Range::Suffix { length }), None) => Ok(Some(Selection::Last(*length))),
    }
}

/// `Content-Range` of a partial answer. An empty object has no range that HTTP could name.
pub(crate) fn content_range(view: &ObjectView) -> Option<String> {
    let (start, end) = (view.range.start, view.range.end);
    (view.partial && end > start).then(|| format!("bytes {start}-{}/{}", end - 1, view.info.size_bytes))
}

/// S3 does not name the class of a standard object.
fn shown_class(class: engine::StorageClass) -> Option<dto::StorageClass> {
    (class != engine::StorageClass::Standard).then(|| dto::StorageClass::from_static(storage_class_name(class)))
}

/// S3 names no version where a bucket keeps none.
pub(crate) fn shown_version(info: &ObjectInfo) -> Option<String> {
    (info.versioning != Versioning::Off).then(|| info.version_id.to_string())
}

/// The version that a write made, where each write makes one.
pub(crate) fn made_version(info: &ObjectInfo) -> Option<String> {
    (info.versioning == Versioning::Enabled).then(|| info.version_id.to_string())
}

pub(crate) async fn delete(
    engine: &Engine,
    request: S3Request<DeleteObjectInput>,
) -> S3Result<S3Response<DeleteObjectOutput>> {
    let who = caller(&request);
    let input = request.input;
    check_owner(engine, &bucket(&input.bucket)?, input.expected_bucket_owner.as_deref()).await?;
    refuse_conditions(input.if_match_size.is_some(), input.if_match_last_modified_time.is_some())?;
    let target = DeleteTarget {
        key: key(&input.key)?,
        version_id: version(input.version_id.as_deref())?,
        if_match: write_conditions(input.if_match.as_ref(), None).if_match,
        bypass_governance: lock::bypasses(input.bypass_governance_retention),
    };
    let results = engine.delete_objects(&who, &bucket(&input.bucket)?, vec![target]).await.map_err(from_engine)?;
    let mut response = S3Response::new(DeleteObjectOutput::default());
    for result in results {
        let Deleted { version_id, marker, durability } = result.map_err(from_engine)?;
        response.output.delete_marker = marker.is_some().then_some(true);
        response.output.version_id = marker.or(version_id).map(|id| id.to_string());
        durability::show(&mut response.headers, durability);
    }
    Ok(response)
}

pub(crate) async fn delete_many(
    engine: &Engine,
    request: S3Request<DeleteObjectsInput>,
) -> S3Result<S3Response<DeleteObjectsOutput>> {
    let (who, context) = (caller(&request), request.extensions.get::<RequestContext>().cloned());
    let input = request.input;
    check_owner(engine, &bucket(&input.bucket)?, input.expected_bucket_owner.as_deref()).await?;
    let objects = input.delete.objects;
    let bypass = lock::bypasses(input.bypass_governance_retention);
    if objects.is_empty() || objects.len() > DELETE_OBJECTS_MAX {
        return Err(s3_error!(MalformedXML));
    }
    for object in &objects {
        refuse_conditions(object.size.is_some(), object.last_modified_time.is_some())?;
    }
    let bucket = bucket(&input.bucket)?;
    let targets: Vec<S3Result<DeleteTarget>> = objects.iter().map(|object| target_of(object, bypass)).collect();
    let good = targets.iter().filter_map(|target| target.as_ref().ok().cloned()).collect();
    let results = engine.delete_objects(&who, &bucket, good).await.map_err(from_engine)?;
    let mut headers = HeaderMap::new();
    results.iter().flatten().for_each(|deleted| durability::show(&mut headers, deleted.durability));
    let mut results = results.into_iter();
    let quiet = input.delete.quiet.unwrap_or(false);
    let (mut output, mut deleted_keys) = (DeleteObjectsOutput::default(), Vec::with_capacity(objects.len()));
    for (object, target) in objects.into_iter().zip(targets) {
        let result = match target {
            Ok(_) => results
                .next()
                .unwrap_or(Err(engine::Error::Internal("fewer answers than deletions")))
                .map_err(from_engine),
            Err(error) => Err(error),
        };
        deleted_keys.push(DeletedKey {
            key: object.key.clone(),
            version_id: object.version_id.clone(),
            error: result.as_ref().err().map(|error| error.code().as_str().to_owned()),
        });
        match result {
            Ok(_) if quiet => {}
            Ok(done) => output.deleted.get_or_insert_default().push(shown_deleted(object.key, &done)),
            Err(error) => output.errors.get_or_insert_default().push(not_deleted(object, &error)),
        }
    }
    if let Some(context) = context {
        context.set_deleted_keys(deleted_keys);
    }
    Ok(S3Response::with_headers(output, headers))
}

/// Refuses conditions of a deletion that are those of directory buckets: to pass them over would delete what was to stay.
fn refuse_conditions(on_size: bool, on_time: bool) -> S3Result {
    if on_size || on_time {
        return Err(not_implemented("Deleting by size or time of the last change"));
    }
    Ok(())
}

fn target_of(object: &ObjectIdentifier, bypass_governance: bool) -> S3Result<DeleteTarget> {
    Ok(DeleteTarget {
        key: key(&object.key)?,
        version_id: version(object.version_id.as_deref())?,
        if_match: object.e_tag.as_ref().map(|tag| tag.value().to_owned()),
        bypass_governance,
    })
}

fn shown_deleted(key: String, done: &Deleted) -> DeletedObject {
    let text = |id: &VersionId| id.to_string();
    DeletedObject {
        delete_marker: done.marker.is_some().then_some(true),
        delete_marker_version_id: done.marker.as_ref().map(text),
        key: Some(key),
        version_id: done.version_id.as_ref().map(text),
    }
}

fn not_deleted(object: ObjectIdentifier, error: &s3s::S3Error) -> dto::Error {
    let code = error.code().as_str();
    dto::Error {
        code: Some(code.to_owned()),
        key: Some(object.key),
        message: Some(error.message().unwrap_or_else(|| default_message(code)).to_owned()),
        version_id: object.version_id,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_parts_exclude_each_other() {
        let range = dto::Range::Int { first: 0, last: Some(9) };
        assert_eq!(selection(Some(&range), None).expect("valid"), Some(Selection::Between(0, 9)));
        assert_eq!(selection(Some(&dto::Range::Suffix { length: 5 }), None).expect("valid"), Some(Selection::Last(5)));
        assert_eq!(selection(None, Some(3)).expect("valid"), Some(Selection::Part(3)));
        assert_eq!(selection(None, None).expect("valid"), None);
        assert!(selection(Some(&range), Some(1)).is_err());
        assert!(selection(None, Some(0)).is_err());
        assert!(selection(None, Some(10_001)).is_err());
    }
}
