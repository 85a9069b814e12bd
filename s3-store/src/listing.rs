//! Listings of a bucket: V1, V2 and versions.

mod document;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use engine::{Engine, ListEntry, ListPage, ListRequest, ListedObject, VersionListRequest};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::dto::{
    self, CommonPrefix, DeleteMarkerEntry, EncodingType, ListObjectVersionsInput, ListObjectVersionsOutput,
    ListObjectsInput, ListObjectsOutput, ListObjectsV2Input, ListObjectsV2Output, ObjectVersion, Owner,
};
use s3s::{S3Request, S3Response, S3Result, s3_error};

use self::document::ListDocument;
use crate::acl;
use crate::answer::Document;
use crate::error::from_engine;
use crate::headers::{bucket, caller, check_owner, etag, signed, storage_class_name, timestamp, version};

/// Most entries of a page, as in S3.
const ENTRIES_MAX: i32 = 1000;
/// First byte of a continuation token: its form.
const TOKEN_FORM: u8 = 1;
/// What `encoding-type=url` leaves as it is.
const PLAIN: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/').remove(b'*');

/// How keys are written into an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    /// As they are.
    Plain,
    /// Percent-encoded (`encoding-type=url`), so that every key survives XML.
    Url,
}

impl Coding {
    pub(crate) fn of(encoding_type: Option<&EncodingType>) -> S3Result<Self> {
        match encoding_type.map(EncodingType::as_str) {
            None | Some("") => Ok(Self::Plain),
            Some(EncodingType::URL) => Ok(Self::Url),
            Some(_) => Err(s3_error!(InvalidArgument, "Invalid Encoding Method specified in Request")),
        }
    }

    pub(crate) fn encode(self, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Url => utf8_percent_encode(text, &PLAIN).to_string(),
        }
    }

    pub(crate) fn common_prefix(self, prefix: &str) -> CommonPrefix {
        CommonPrefix { prefix: Some(self.encode(prefix)) }
    }
}

/// The most entries that a request asks for, at most 1000.
pub(crate) fn entries_max(asked: Option<i32>, name: &str) -> S3Result<usize> {
    usize::try_from(asked.unwrap_or(ENTRIES_MAX).min(ENTRIES_MAX))
        .map_err(|_| s3_error!(InvalidArgument, "Argument {name} must be an integer between 0 and 2147483647"))
}

/// A continuation token: where the next page begins, in a form that nobody is tempted to write by hand.
pub(crate) fn token(after: &str) -> String {
    let mut bytes = vec![TOKEN_FORM];
    bytes.extend_from_slice(after.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads a continuation token back.
pub(crate) fn read_token(token: &str) -> S3Result<String> {
    let after = URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| {
        let (form, after) = bytes.split_first()?;
        (*form == TOKEN_FORM).then(|| String::from_utf8(after.to_vec()).ok()).flatten()
    });
    after.ok_or_else(|| s3_error!(InvalidArgument, "The continuation token provided is incorrect"))
}

/// Asks for a page. For a page of nothing the bucket is still looked at, because it must exist and be the caller's.
async fn page<T>(
    engine: &Engine,
    request: &S3Request<T>,
    bucket_name: &str,
    asked: &ListRequest,
) -> S3Result<ListPage> {
    let request_min = ListRequest { entries_max: asked.entries_max.max(1), ..asked.clone() };
    let page = engine.list_objects(&caller(request), &bucket(bucket_name)?, &request_min).await.map_err(from_engine)?;
    Ok(if asked.entries_max == 0 { ListPage { entries: Vec::new(), truncated: false } } else { page })
}

fn name_of(entry: &ListEntry) -> &str {
    match entry {
        ListEntry::Object(object) => object.key.as_str(),
        ListEntry::CommonPrefix(prefix) => prefix,
    }
}

fn last_name(page: &ListPage) -> Option<&str> {
    page.entries.last().filter(|_| page.truncated).map(name_of)
}

fn nonempty(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

pub(crate) async fn v1(
    engine: &Engine,
    request: S3Request<ListObjectsInput>,
) -> S3Result<S3Response<ListObjectsOutput>> {
    let input = &request.input;
    check_owner(engine, &bucket(&input.bucket)?, input.expected_bucket_owner.as_deref()).await?;
    let coding = Coding::of(input.encoding_type.as_ref())?;
    let asked = ListRequest {
        prefix: input.prefix.clone().unwrap_or_default(),
        delimiter: nonempty(input.delimiter.clone()),
        after: nonempty(input.marker.clone()),
        entries_max: entries_max(input.max_keys, "max-keys")?,
        described: false,
    };
    let page = page(engine, &request, &input.bucket, &asked).await?;
    let owner = owner_of_listing(engine, &input.bucket).await?;
    // S3 names the next marker only beside a delimiter; without one the last key is it.
    let next = last_name(&page).filter(|_| asked.delimiter.is_some());
    let document = ListDocument::new(&page, coding)
        .element("Name", Some(&input.bucket))
        .element("Prefix", Some(&prefix_of_v1(&asked.prefix, coding)))
        .name("Marker", Some(asked.after.as_deref().unwrap_or_default()))
        .name("NextMarker", next)
        .plain("MaxKeys", asked.entries_max)
        .name("Delimiter", asked.delimiter.as_deref())
        .plain("IsTruncated", page.truncated)
        .element("EncodingType", input.encoding_type.as_ref().map(EncodingType::as_str))
        .end(&page, Some(&owner));
    Ok(answer(document, ListObjectsOutput::default()))
}

/// An answer whose document is written already.
fn answer<T>(document: Document, output: T) -> S3Response<T> {
    let mut response = S3Response::new(output);
    response.extensions.insert(document);
    response
}

/// The prefix of a listing, which some clients decode and others do not: where decoding changes nothing, it stays as it is.
fn prefix_of_v1(prefix: &str, coding: Coding) -> String {
    let is_xml = |c: char| !c.is_control() || matches!(c, '\t' | '\n' | '\r');
    let is_same = !prefix.contains(['%', '+']) && prefix.chars().all(is_xml);
    if is_same { prefix.to_owned() } else { coding.encode(prefix) }
}

pub(crate) async fn v2(
    engine: &Engine,
    request: S3Request<ListObjectsV2Input>,
) -> S3Result<S3Response<ListObjectsV2Output>> {
    let input = &request.input;
    check_owner(engine, &bucket(&input.bucket)?, input.expected_bucket_owner.as_deref()).await?;
    let coding = Coding::of(input.encoding_type.as_ref())?;
    let continued = nonempty(input.continuation_token.clone()).as_deref().map(read_token).transpose()?;
    let asked = ListRequest {
        prefix: input.prefix.clone().unwrap_or_default(),
        delimiter: nonempty(input.delimiter.clone()),
        after: continued.or_else(|| nonempty(input.start_after.clone())),
        entries_max: entries_max(input.max_keys, "max-keys")?,
        described: is_described(&request.uri),
    };
    let page = page(engine, &request, &input.bucket, &asked).await?;
    let owner = match input.fetch_owner {
        Some(true) => Some(owner_of_listing(engine, &input.bucket).await?),
        Some(false) | None => None,
    };
    let document = ListDocument::new(&page, coding)
        .element("Name", Some(&input.bucket))
        .name("Prefix", Some(&asked.prefix))
        .name("StartAfter", input.start_after.as_deref())
        .element("ContinuationToken", input.continuation_token.as_deref())
        .element("NextContinuationToken", last_name(&page).map(token).as_deref())
        .plain("KeyCount", page.entries.len())
        .plain("MaxKeys", asked.entries_max)
        .name("Delimiter", asked.delimiter.as_deref())
        .plain("IsTruncated", page.truncated)
        .element("EncodingType", input.encoding_type.as_ref().map(EncodingType::as_str))
        .end(&page, owner.as_ref());
    Ok(answer(document, ListObjectsV2Output::default()))
}

/// Whether the query asks for what MinIO adds to a listing, `metadata=true`.
fn is_described(uri: &http::Uri) -> bool {
    let query = uri.query().unwrap_or_default();
    url::form_urlencoded::parse(query.as_bytes()).any(|(name, value)| name == "metadata" && value == "true")
}

/// Whom a listing names: the bucket's owner, also for what others own in it.
async fn owner_of_listing(engine: &Engine, name: &str) -> S3Result<Owner> {
    Ok(acl::owner(&engine.bucket_owner(&bucket(name)?).await.map_err(from_engine)?))
}

pub(crate) async fn versions(
    engine: &Engine,
    request: S3Request<ListObjectVersionsInput>,
) -> S3Result<S3Response<ListObjectVersionsOutput>> {
    let input = &request.input;
    check_owner(engine, &bucket(&input.bucket)?, input.expected_bucket_owner.as_deref()).await?;
    let coding = Coding::of(input.encoding_type.as_ref())?;
    let after = nonempty(input.key_marker.clone());
    let after_version = version(input.version_id_marker.as_deref())?;
    if after_version.is_some() && after.is_none() {
        return Err(s3_error!(InvalidArgument, "A version-id marker cannot be specified without a key marker."));
    }
    let asked = ListRequest {
        prefix: input.prefix.clone().unwrap_or_default(),
        delimiter: nonempty(input.delimiter.clone()),
        after,
        entries_max: entries_max(input.max_keys, "max-keys")?,
        described: false,
    };
    let page = version_page(engine, &request, &asked, after_version).await?;
    let (next_key, next_version) = next_version_markers(&page);
    let owner = Some(owner_of_listing(engine, &input.bucket).await?);
    let (versions, delete_markers, prefixes) = split_versions(&page, coding, owner.as_ref());
    let output = ListObjectVersionsOutput {
        common_prefixes: Some(prefixes),
        delete_markers: Some(delete_markers),
        delimiter: asked.delimiter.as_deref().map(|delimiter| coding.encode(delimiter)),
        encoding_type: input.encoding_type.clone(),
        is_truncated: Some(page.truncated),
        key_marker: Some(coding.encode(asked.after.as_deref().unwrap_or_default())),
        max_keys: i32::try_from(asked.entries_max).ok(),
        name: Some(input.bucket.clone()),
        next_key_marker: next_key.map(|key| coding.encode(&key)),
        next_version_id_marker: next_version,
        prefix: Some(coding.encode(&asked.prefix)),
        request_charged: None,
        version_id_marker: Some(input.version_id_marker.clone().unwrap_or_default()),
        versions: Some(versions),
    };
    Ok(S3Response::new(output))
}

async fn version_page(
    engine: &Engine,
    request: &S3Request<ListObjectVersionsInput>,
    asked: &ListRequest,
    after_version: Option<engine::VersionId>,
) -> S3Result<ListPage> {
    let list = ListRequest { entries_max: asked.entries_max.max(1), ..asked.clone() };
    let asked_versions = VersionListRequest { list, after_version };
    let bucket = bucket(&request.input.bucket)?;
    let page = engine.list_versions(&caller(request), &bucket, &asked_versions).await.map_err(from_engine)?;
    Ok(if asked.entries_max == 0 { ListPage { entries: Vec::new(), truncated: false } } else { page })
}

fn next_version_markers(page: &ListPage) -> (Option<String>, Option<String>) {
    match page.entries.last().filter(|_| page.truncated) {
        Some(ListEntry::Object(object)) => (Some(object.key.as_str().to_owned()), version_of(object)),
        Some(ListEntry::CommonPrefix(prefix)) => (Some(prefix.clone()), None),
        None => (None, None),
    }
}

fn version_of(object: &ListedObject) -> Option<String> {
    object.version_id.as_ref().map(|id| id.as_str().to_owned())
}

fn split_versions(
    page: &ListPage,
    coding: Coding,
    owner: Option<&Owner>,
) -> (Vec<ObjectVersion>, Vec<DeleteMarkerEntry>, Vec<CommonPrefix>) {
    let (mut versions, mut markers, mut prefixes) = (Vec::new(), Vec::new(), Vec::new());
    for entry in &page.entries {
        match entry {
            ListEntry::CommonPrefix(prefix) => prefixes.push(coding.common_prefix(prefix)),
            ListEntry::Object(object) if object.delete_marker => markers.push(DeleteMarkerEntry {
                is_latest: Some(object.latest),
                key: Some(coding.encode(object.key.as_str())),
                last_modified: Some(timestamp(object.modified_us)),
                owner: owner.cloned(),
                version_id: version_of(object),
            }),
            ListEntry::Object(object) => versions.push(ObjectVersion {
                e_tag: Some(etag(&object.etag)),
                is_latest: Some(object.latest),
                key: Some(coding.encode(object.key.as_str())),
                last_modified: Some(timestamp(object.modified_us)),
                owner: owner.cloned(),
                size: Some(signed(object.size_bytes)),
                storage_class: Some(dto::ObjectVersionStorageClass::from_static(storage_class_name(
                    object.storage_class,
                ))),
                version_id: version_of(object),
                ..ObjectVersion::default()
            }),
        }
    }
    (versions, markers, prefixes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_read_back_and_others_refused() {
        for name in ["", "a", "größe/ ?", "a/b/"] {
            assert_eq!(read_token(&token(name)).expect("own token"), name);
        }
        for bad in ["", "x", "a/b", "AmE", "Af8"] {
            assert!(read_token(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn url_coding_keeps_slashes_and_escapes_the_rest() {
        assert_eq!(Coding::Url.encode("foo+1/bar baz?ü%"), "foo%2B1/bar%20baz%3F%C3%BC%25");
        assert_eq!(Coding::Plain.encode("foo+1/ü"), "foo+1/ü");
        assert!(Coding::of(Some(&EncodingType::from_static("base64"))).is_err());
    }

    #[test]
    fn pages_have_a_thousand_entries_at_most() {
        assert_eq!(entries_max(None, "max-keys").expect("valid"), 1000);
        assert_eq!(entries_max(Some(0), "max-keys").expect("valid"), 0);
        assert_eq!(entries_max(Some(5000), "max-keys").expect("valid"), 1000);
        assert!(entries_max(Some(-1), "max-keys").is_err());
    }
}
