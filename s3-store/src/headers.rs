//! Conversion between headers and fields of S3 and the engine's types.

use engine::{
    BucketName, Caller, Engine, ObjectHeaders, ObjectKey, ReadConditions, StorageClass, VersionId, WriteConditions,
};
use http::{HeaderMap, StatusCode};
use s3s::dto::{self, ETag, ETagCondition, Timestamp};
use s3s::{S3Request, S3Result, s3_error};
use time::OffsetDateTime;

use crate::error::{custom, from_engine, not_implemented};

/// Where visitors of a website are sent who ask for an object.
pub(crate) const REDIRECT_LOCATION: &str = "x-amz-website-redirect-location";
const REDIRECT_LOCATION_BYTES_MAX: usize = 2048;

/// Who asks.
pub(crate) fn caller<T>(request: &S3Request<T>) -> Caller {
    request.extensions.get::<Caller>().cloned().unwrap_or_else(Caller::anonymous)
}

/// The bucket that a request names.
pub(crate) fn bucket(name: &str) -> S3Result<BucketName> {
    BucketName::new(name).map_err(from_engine)
}

/// The key that a request names.
pub(crate) fn key(key: &str) -> S3Result<ObjectKey> {
    ObjectKey::new(key).map_err(from_engine)
}

/// The version that a request names. An empty one is none.
pub(crate) fn version(id: Option<&str>) -> S3Result<Option<VersionId>> {
    id.filter(|id| !id.is_empty()).map(VersionId::new).transpose().map_err(from_engine)
}

/// Refuses a request that was made for another owner's bucket.
pub(crate) async fn check_owner(engine: &Engine, bucket: &BucketName, expected: Option<&str>) -> S3Result {
    let Some(expected) = expected else { return Ok(()) };
    let owner = engine.bucket_owner(bucket).await.map_err(from_engine)?;
    if owner.canonical_id.as_str() == expected { Ok(()) } else { Err(s3_error!(AccessDenied)) }
}

/// The text of a header, when it has one.
pub(crate) fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = std::str::from_utf8(headers.get(name)?.as_bytes()).ok()?.trim();
    (!value.is_empty()).then(|| value.to_owned())
}

/// Headers that are kept with an object. The framing of the body is no encoding of the object.
pub(crate) fn object_headers(headers: &HeaderMap) -> ObjectHeaders {
    let codings = text(headers, "content-encoding").map(|value| {
        let kept: Vec<_> = value.split(',').map(str::trim).filter(|coding| *coding != "aws-chunked").collect();
        kept.join(", ")
    });
    ObjectHeaders {
        content_type: text(headers, "content-type"),
        content_encoding: codings.filter(|codings| !codings.is_empty()),
        content_language: text(headers, "content-language"),
        content_disposition: text(headers, "content-disposition"),
        cache_control: text(headers, "cache-control"),
        expires: text(headers, "expires"),
        redirect_location: text(headers, REDIRECT_LOCATION),
    }
}

/// User metadata, ordered by name.
pub(crate) fn user_metadata(metadata: Option<dto::Metadata>) -> Vec<(String, String)> {
    let mut pairs: Vec<_> = metadata.unwrap_or_default().into_iter().collect();
    pairs.sort();
    pairs
}

/// The storage class that a request names.
pub(crate) fn storage_class(class: Option<&dto::StorageClass>) -> S3Result<Option<StorageClass>> {
    class
        .map(|class| match class.as_str() {
            dto::StorageClass::STANDARD => Ok(StorageClass::Standard),
            dto::StorageClass::REDUCED_REDUNDANCY => Ok(StorageClass::ReducedRedundancy),
            other => Err(s3_error!(InvalidStorageClass, "The storage class {other:?} is not one of this store.")),
        })
        .transpose()
}

/// The name of a storage class.
pub(crate) fn storage_class_name(class: StorageClass) -> &'static str {
    match class {
        StorageClass::Standard => dto::StorageClass::STANDARD,
        StorageClass::ReducedRedundancy => dto::StorageClass::REDUCED_REDUNDANCY,
    }
}

/// Refuses headers that ask for what is not kept: an answer of success would be a lie.
pub(crate) fn refuse_unsupported(headers: &HeaderMap) -> S3Result {
    if text(headers, "x-amz-write-offset-bytes").is_some() {
        return Err(not_implemented("Appending"));
    }
    if headers.keys().any(|name| name.as_str().starts_with("x-amz-object-lock-event-hold")) {
        return Err(not_implemented("Holding an object for events"));
    }
    check_redirect(text(headers, REDIRECT_LOCATION).as_deref())
}

/// Refuses a redirect of an object that leads nowhere.
fn check_redirect(location: Option<&str>) -> S3Result {
    let Some(location) = location else { return Ok(()) };
    if !["/", "http://", "https://"].iter().any(|start| location.starts_with(start)) {
        return Err(custom(
            "InvalidRedirectLocation",
            StatusCode::BAD_REQUEST,
            "The website redirect location must have a prefix of 'http://' or 'https://' or '/'.",
        ));
    }
    if location.len() > REDIRECT_LOCATION_BYTES_MAX {
        return Err(custom(
            "InvalidRedirectLocation",
            StatusCode::BAD_REQUEST,
            "The length of website redirect location cannot exceed 2,048 characters.",
        ));
    }
    Ok(())
}

fn tag_of(condition: &ETagCondition) -> String {
    match condition {
        ETagCondition::Any => "*".to_owned(),
        ETagCondition::ETag(tag) => tag.value().to_owned(),
    }
}

/// Conditions of a write.
pub(crate) fn write_conditions(
    if_match: Option<&ETagCondition>,
    if_none_match: Option<&ETagCondition>,
) -> WriteConditions {
    WriteConditions { if_match: if_match.map(tag_of), if_none_match: if_none_match.map(tag_of) }
}

/// The tags of a condition; the protocol layer leaves a list of them in one piece.
fn tags_of(condition: Option<&ETagCondition>) -> Vec<String> {
    let Some(condition) = condition else { return Vec::new() };
    tag_of(condition).split("\",").map(|tag| tag.trim().trim_start_matches("W/").trim_matches('"').to_owned()).collect()
}

/// Conditions of a read.
pub(crate) fn read_conditions(
    if_match: Option<&ETagCondition>,
    if_none_match: Option<&ETagCondition>,
    if_modified_since: Option<&Timestamp>,
    if_unmodified_since: Option<&Timestamp>,
) -> ReadConditions {
    ReadConditions {
        if_match: tags_of(if_match),
        if_none_match: tags_of(if_none_match),
        if_modified_since_us: if_modified_since.map(micros),
        if_unmodified_since_us: if_unmodified_since.map(micros),
    }
}

/// A time in microseconds of the Unix epoch.
pub(crate) fn micros(time: &Timestamp) -> i64 {
    let nanos = OffsetDateTime::from(time.clone()).unix_timestamp_nanos();
    i64::try_from(nanos / 1000).unwrap_or(i64::MAX)
}

/// A time as S3 shows it: whole seconds, so that listings and headers say the same.
pub(crate) fn timestamp(us: i64) -> Timestamp {
    Timestamp::from(crate::error::whole_seconds(us))
}

/// A time as HTTP headers have it.
pub(crate) fn http_date(us: i64) -> String {
    let mut out = Vec::new();
    // Writing into memory cannot fail, and every whole second has a date.
    let _ = timestamp(us).format(dto::TimestampFormat::HttpDate, &mut out);
    String::from_utf8(out).unwrap_or_default()
}

/// An entity tag in quotes.
pub(crate) fn etag(tag: &str) -> ETag {
    ETag::Strong(tag.to_owned())
}

/// A number of bytes as the protocol layer counts them.
pub(crate) fn signed(size_bytes: u64) -> i64 {
    i64::try_from(size_bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn framing_is_not_kept_as_an_encoding() {
        let headers = |value: &str| {
            [("content-encoding".parse().expect("name"), value.parse().expect("value"))]
                .into_iter()
                .collect::<HeaderMap>()
        };
        assert_eq!(object_headers(&headers("aws-chunked")).content_encoding, None);
        assert_eq!(object_headers(&headers("gzip, aws-chunked")).content_encoding.as_deref(), Some("gzip"));
        assert_eq!(object_headers(&headers("deflate, gzip")).content_encoding.as_deref(), Some("deflate, gzip"));
        assert_eq!(object_headers(&headers("aws-chunked,gzip")).content_encoding.as_deref(), Some("gzip"));
    }

    #[test]
    fn lists_of_tags_are_taken_apart() {
        let tags = |text: &str| tags_of(Some(&ETagCondition::parse_http_header(text.as_bytes()).expect("readable")));
        assert_eq!(tags("*"), ["*"]);
        assert_eq!(tags("\"a\""), ["a"]);
        assert_eq!(tags("abc"), ["abc"]);
        assert_eq!(tags("\"a\", \"b\""), ["a", "b"]);
        assert_eq!(tags("\"a\",W/\"b\""), ["a", "b"]);
    }

    #[test]
    fn times_are_whole_seconds() {
        assert_eq!(http_date(1_727_776_800_999_999), "Tue, 01 Oct 2024 10:00:00 GMT");
        assert_eq!(micros(&timestamp(1_727_776_800_999_999)), 1_727_776_800_000_000);
    }

    #[test]
    fn what_is_not_kept_is_refused() {
        let refused = |name: &'static str, value: &'static str| {
            let headers: HeaderMap =
                [(name.parse().expect("name"), value.parse().expect("value"))].into_iter().collect();
            refuse_unsupported(&headers).err().map(|error| error.code().as_str().to_owned())
        };
        assert_eq!(refused("x-amz-write-offset-bytes", "7").as_deref(), Some("NotImplemented"));
        for name in ["x-amz-object-lock-event-hold", "x-amz-object-lock-event-hold-duration-days"] {
            assert_eq!(refused(name, "1").as_deref(), Some("NotImplemented"), "{name}");
        }
        assert_eq!(refused("x-amz-tagging", "a=b"), None);
    }
}
