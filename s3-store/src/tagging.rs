//! Tags of buckets and objects.

use engine::{Engine, Tags, Versioning};
use http::HeaderMap;
use s3s::dto::{
    DeleteBucketTaggingInput, DeleteBucketTaggingOutput, DeleteObjectTaggingInput, DeleteObjectTaggingOutput,
    GetBucketTaggingInput, GetBucketTaggingOutput, GetObjectTaggingInput, GetObjectTaggingOutput,
    PutBucketTaggingInput, PutBucketTaggingOutput, PutObjectTaggingInput, PutObjectTaggingOutput, Tag, Tagging,
};
use s3s::xml::DeserializeContent as _;
use s3s::{S3Request, S3Response, S3Result, s3_error};

use crate::acl::object;
use crate::document::has_section;
use crate::error::{BodyFault, from_engine, none_such};
use crate::headers::{bucket, caller, check_owner, text};

/// The tags that a header gives, as a query string; `None` without the header.
pub(crate) fn of_headers(headers: &HeaderMap) -> S3Result<Option<Tags>> {
    let Some(given) = text(headers, "x-amz-tagging") else { return Ok(None) };
    of_query(&given).map(Some)
}

/// The tags of a query string.
pub(crate) fn of_query(given: &str) -> S3Result<Tags> {
    let pairs = url::form_urlencoded::parse(given.as_bytes()).into_owned().collect();
    Tags::of_object(pairs).map_err(from_engine)
}

/// The tags of a document.
pub(crate) fn of_document(document: &str) -> S3Result<Tags> {
    if has_section(document) {
        return Err(BodyFault::Section.to_s3());
    }
    let mut reader = s3s::xml::Deserializer::new(document.as_bytes());
    let tagging = reader.named_element("Tagging", Tagging::deserialize_content).map_err(|_| s3_error!(MalformedXML))?;
    Tags::of_object(pairs(tagging.tag_set)?).map_err(from_engine)
}

/// The names and values of tags, each of which has both.
pub(crate) fn pairs(tags: Vec<Tag>) -> S3Result<Vec<(String, String)>> {
    let pair = |tag: Tag| Some((tag.key?, tag.value?));
    tags.into_iter().map(pair).collect::<Option<_>>().ok_or_else(|| s3_error!(MalformedXML))
}

fn shown(tags: &Tags) -> Vec<Tag> {
    let tag = |(key, value): &(String, String)| Tag { key: Some(key.clone()), value: Some(value.clone()) };
    tags.pairs().iter().map(tag).collect()
}

pub(crate) async fn get_of_bucket(
    engine: &Engine,
    request: S3Request<GetBucketTaggingInput>,
) -> S3Result<S3Response<GetBucketTaggingOutput>> {
    let name = bucket(&request.input.bucket)?;
    check_owner(engine, &name, request.input.expected_bucket_owner.as_deref()).await?;
    let tags = engine.bucket_setting::<Tags>(&caller(&request), &name).await.map_err(from_engine)?;
    let tags = tags.ok_or_else(|| none_such("NoSuchTagSet", "The TagSet does not exist"))?;
    Ok(S3Response::new(GetBucketTaggingOutput { tag_set: shown(&tags) }))
}

pub(crate) async fn put_of_bucket(
    engine: &Engine,
    request: S3Request<PutBucketTaggingInput>,
) -> S3Result<S3Response<PutBucketTaggingOutput>> {
    let (who, name) = (caller(&request), bucket(&request.input.bucket)?);
    check_owner(engine, &name, request.input.expected_bucket_owner.as_deref()).await?;
    let tags = Tags::of_bucket(pairs(request.input.tagging.tag_set)?).map_err(from_engine)?;
    engine.set_bucket_setting(&who, &name, Some(&tags)).await.map_err(from_engine)?;
    Ok(S3Response::new(PutBucketTaggingOutput::default()))
}

pub(crate) async fn delete_of_bucket(
    engine: &Engine,
    request: S3Request<DeleteBucketTaggingInput>,
) -> S3Result<S3Response<DeleteBucketTaggingOutput>> {
    let name = bucket(&request.input.bucket)?;
    check_owner(engine, &name, request.input.expected_bucket_owner.as_deref()).await?;
    engine.set_bucket_setting::<Tags>(&caller(&request), &name, None).await.map_err(from_engine)?;
    Ok(S3Response::new(DeleteBucketTaggingOutput::default()))
}

pub(crate) async fn get_of_object(
    engine: &Engine,
    request: S3Request<GetObjectTaggingInput>,
) -> S3Result<S3Response<GetObjectTaggingOutput>> {
    let input = &request.input;
    let object = object(&input.bucket, &input.key, input.version_id.as_deref())?;
    check_owner(engine, &object.bucket, input.expected_bucket_owner.as_deref()).await?;
    let found = engine.object_tags(&caller(&request), &object).await.map_err(from_engine)?;
    let version_id = shown_version(found.versioning, &found.version_id);
    Ok(S3Response::new(GetObjectTaggingOutput { tag_set: shown(&found.tags), version_id }))
}

pub(crate) async fn put_of_object(
    engine: &Engine,
    request: S3Request<PutObjectTaggingInput>,
) -> S3Result<S3Response<PutObjectTaggingOutput>> {
    let who = caller(&request);
    let input = request.input;
    let object = object(&input.bucket, &input.key, input.version_id.as_deref())?;
    check_owner(engine, &object.bucket, input.expected_bucket_owner.as_deref()).await?;
    let tags = Tags::of_object(pairs(input.tagging.tag_set)?).map_err(from_engine)?;
    let set = engine.set_object_tags(&who, &object, tags).await.map_err(from_engine)?;
    Ok(S3Response::new(PutObjectTaggingOutput { version_id: shown_version(set.versioning, &set.version_id) }))
}

pub(crate) async fn delete_of_object(
    engine: &Engine,
    request: S3Request<DeleteObjectTaggingInput>,
) -> S3Result<S3Response<DeleteObjectTaggingOutput>> {
    let input = &request.input;
    let object = object(&input.bucket, &input.key, input.version_id.as_deref())?;
    check_owner(engine, &object.bucket, input.expected_bucket_owner.as_deref()).await?;
    let set = engine.delete_object_tags(&caller(&request), &object).await.map_err(from_engine)?;
    Ok(S3Response::new(DeleteObjectTaggingOutput { version_id: shown_version(set.versioning, &set.version_id) }))
}

/// S3 names no version where a bucket keeps none.
fn shown_version(versioning: Versioning, version_id: &engine::VersionId) -> Option<String> {
    (versioning != Versioning::Off).then(|| version_id.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_a_query_string() {
        let of = |value: &str| {
            let headers = [("x-amz-tagging".parse().expect("name"), value.parse().expect("value"))];
            of_headers(&headers.into_iter().collect()).map(|tags| tags.map(|tags| tags.pairs().to_vec()))
        };
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(of("a=1&b=x%20y").expect("tags"), Some(vec![pair("a", "1"), pair("b", "x y")]));
        assert_eq!(of("a").expect("tags"), Some(vec![pair("a", "")]));
        assert!(of("a=1&a=2").is_err());
    }
}
