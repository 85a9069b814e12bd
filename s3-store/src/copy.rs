//! Copies: whole objects, and parts of uploads.

use std::ops::Range;

use engine::{Copied, CopyObject, CopySource, CustomerKey, Engine, Error, PartSource, ReadConditions};
use s3s::dto::{
    self, CopyObjectInput, CopyObjectOutput, CopyObjectResult, CopyPartResult, ETagCondition, MetadataDirective,
    TaggingDirective, UploadPartCopyInput, UploadPartCopyOutput,
};
use s3s::{S3Error, S3Request, S3Response, S3Result, s3_error};

use crate::checksums::{Shown, algorithm, show_checksums};
use crate::encryption::{self, Way};
use crate::error::{from_engine, not_implemented};
use crate::headers::{
    REDIRECT_LOCATION, bucket, caller, check_owner, etag, key, object_headers, read_conditions, refuse_unsupported,
    storage_class, text, timestamp, user_metadata, version, write_conditions,
};
use crate::multipart::{part_number, upload_id};
use crate::object::made_version;
use crate::{acl, durability, lifecycle, lock, tagging};

pub(crate) async fn object(
    engine: &Engine,
    request: S3Request<CopyObjectInput>,
) -> S3Result<S3Response<CopyObjectOutput>> {
    let who = caller(&request);
    let S3Request { input, headers, extensions, .. } = request;
    refuse_unsupported(&headers)?;
    check_owner(engine, &bucket(&input.bucket)?, input.expected_bucket_owner.as_deref()).await?;
    let conditions = read_conditions(
        input.copy_source_if_match.as_ref(),
        input.copy_source_if_none_match.as_ref(),
        input.copy_source_if_modified_since.as_ref(),
        input.copy_source_if_unmodified_since.as_ref(),
    );
    let way = Way::of(&extensions);
    let source = source_of(&input.copy_source, conditions, encryption::source_key(&headers, way)?)?;
    check_owner(engine, &source.bucket, input.expected_source_bucket_owner.as_deref()).await?;
    let replace = replaces(input.metadata_directive.as_ref().map(MetadataDirective::as_str))?;
    let replaces_tags = replaces(input.tagging_directive.as_ref().map(TaggingDirective::as_str))?;
    let tag = |name: &'static str| {
        let value = text(&headers, name).map(|value| value.parse::<ETagCondition>());
        value.transpose().map_err(|_| s3_error!(InvalidArgument, "The header {name} is no entity tag."))
    };
    let copy = CopyObject {
        replace: replace.then(|| (object_headers(&headers), user_metadata(input.metadata))),
        redirect_location: text(&headers, REDIRECT_LOCATION),
        storage_class: storage_class(input.storage_class.as_ref())?,
        acl: acl::of_headers(&headers)?,
        lock: lock::of_headers(&headers)?,
        encryption: encryption::of_new(&headers, way)?,
        checksum: input.checksum_algorithm.as_ref().map(|named| algorithm(named.as_str())).transpose()?,
        tags: if replaces_tags { Some(tagging::of_headers(&headers)?.unwrap_or_default()) } else { None },
        conditions: write_conditions(tag("if-match")?.as_ref(), tag("if-none-match")?.as_ref()),
    };
    let copied = engine.copy_object(&who, &source, &bucket(&input.bucket)?, &key(&input.key)?, copy).await;
    let Copied { info, source_version_id } = copied.map_err(copy_error)?;
    let mut result = CopyObjectResult {
        e_tag: Some(etag(&info.etag)),
        last_modified: Some(timestamp(info.modified_us)),
        ..CopyObjectResult::default()
    };
    let shown = Shown::of_object(&info);
    result.checksum_type = shown.kind.clone();
    show_checksums!(result, shown);
    let output = CopyObjectOutput {
        copy_object_result: Some(result),
        copy_source_version_id: source_version_id.map(|id| id.to_string()),
        version_id: made_version(&info),
        ..CopyObjectOutput::default()
    };
    let mut response = S3Response::new(output);
    durability::show(&mut response.headers, info.durability);
    encryption::show(&mut response.headers, info.encryption.as_ref());
    lifecycle::show(&mut response.headers, info.expiry.as_ref());
    Ok(response)
}

pub(crate) async fn part(
    engine: &Engine,
    request: S3Request<UploadPartCopyInput>,
) -> S3Result<S3Response<UploadPartCopyOutput>> {
    let who = caller(&request);
    let S3Request { input, headers, extensions, .. } = request;
    refuse_unsupported(&headers)?;
    check_owner(engine, &bucket(&input.bucket)?, input.expected_bucket_owner.as_deref()).await?;
    let conditions = read_conditions(
        input.copy_source_if_match.as_ref(),
        input.copy_source_if_none_match.as_ref(),
        input.copy_source_if_modified_since.as_ref(),
        input.copy_source_if_unmodified_since.as_ref(),
    );
    let range = input.copy_source_range.as_deref().map(range_of).transpose()?;
    let way = Way::of(&extensions);
    let object = source_of(&input.copy_source, conditions, encryption::source_key(&headers, way)?)?;
    let source = PartSource { object, range, upload_key: encryption::customer_key(&headers, way)? };
    check_owner(engine, &source.object.bucket, input.expected_source_bucket_owner.as_deref()).await?;
    let (bucket, key) = (bucket(&input.bucket)?, key(&input.key)?);
    let (upload, number) = (upload_id(&input.upload_id)?, part_number(input.part_number)?);
    let copied = engine.copy_part(&who, &source, &bucket, &key, &upload, number).await;
    let (part, source_version_id) = copied.map_err(copy_error)?;
    let mut result = CopyPartResult {
        e_tag: Some(etag(&part.etag)),
        last_modified: Some(timestamp(part.modified_us)),
        ..CopyPartResult::default()
    };
    show_checksums!(result, Shown::of_part(&part));
    let output = UploadPartCopyOutput {
        copy_part_result: Some(result),
        copy_source_version_id: source_version_id.map(|id| id.to_string()),
        ..UploadPartCopyOutput::default()
    };
    let mut response = S3Response::new(output);
    encryption::show(&mut response.headers, part.encryption.as_ref());
    Ok(response)
}

fn source_of(
    source: &dto::CopySource,
    conditions: ReadConditions,
    customer_key: Option<CustomerKey>,
) -> S3Result<CopySource> {
    match source {
        dto::CopySource::Bucket { bucket: name, key: object, version_id } => Ok(CopySource {
            bucket: bucket(name)?,
            key: key(object)?,
            version_id: version(version_id.as_deref())?,
            conditions,
            customer_key,
        }),
        dto::CopySource::AccessPoint { .. } | dto::CopySource::Outpost { .. } => {
            Err(not_implemented("Copying from an access point"))
        }
    }
}

fn replaces(directive: Option<&str>) -> S3Result<bool> {
    match directive {
        None | Some(MetadataDirective::COPY) => Ok(false),
        Some(MetadataDirective::REPLACE) => Ok(true),
        Some(_) => Err(s3_error!(InvalidArgument, "Unknown directive.")),
    }
}

/// A range of the source: both ends given, and inclusive.
fn range_of(text: &str) -> S3Result<Range<u64>> {
    let invalid = || {
        s3_error!(
            InvalidArgument,
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy"
        )
    };
    let (first, last) = text.strip_prefix("bytes=").and_then(|range| range.split_once('-')).ok_or_else(invalid)?;
    let number = |text: &str| text.parse::<u64>().map_err(|_| invalid());
    let (first, last) = (number(first)?, number(last)?);
    let end = last.checked_add(1).filter(|end| first < *end).ok_or_else(invalid)?;
    Ok(first..end)
}

/// Of a copy, S3 says some things in other words: a source that was not modified is a failed condition, a range outside of it is an
/// invalid argument, and what cannot be copied is an invalid request.
fn copy_error(error: Error) -> S3Error {
    match error {
        Error::NotModified { .. } => {
            from_engine(Error::PreconditionFailed { condition: "x-amz-copy-source-if-none-match" })
        }
        Error::InvalidRange { size_bytes } => {
            s3_error!(InvalidRange, "Range specified is not valid for source object of size: {size_bytes}")
        }
        Error::IsDeleteMarker { .. } => s3_error!(
            InvalidRequest,
            "The source of a copy request may not specifically refer to a delete marker by version id."
        ),
        Error::Invalid { what, why } if what != "bucket name" => s3_error!(InvalidRequest, "The {what} {why}."),
        other => from_engine(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_a_source_have_both_ends() {
        assert_eq!(range_of("bytes=0-9").expect("valid"), 0..10);
        assert_eq!(range_of("bytes=5-5").expect("valid"), 5..6);
        for bad in [
            "",
            "0-9",
            "bytes=0-",
            "bytes=-9",
            "bytes=9-0",
            "bytes=a-b",
            "bytes=0-9,20-30",
            "bytes=0-18446744073709551615",
        ] {
            assert!(range_of(bad).is_err(), "{bad}");
        }
    }
}
