//! What is known of an object, as far as it is asked for.

use engine::{Engine, ObjectPart};
use http::HeaderMap;
use s3s::dto::{
    self, Checksum, GetObjectAttributesInput, GetObjectAttributesOutput, GetObjectAttributesParts, ObjectAttributes,
};
use s3s::{S3Request, S3Response, S3Result, s3_error};

use crate::acl::object;
use crate::checksums::{Shown, show_checksums};
use crate::encryption::{self, Way};
use crate::error::from_engine;
use crate::headers::{caller, check_owner, etag, signed, storage_class_name, timestamp};
use crate::listing::entries_max;
use crate::object::shown_version;

pub(crate) async fn get(
    engine: &Engine,
    request: S3Request<GetObjectAttributesInput>,
) -> S3Result<S3Response<GetObjectAttributesOutput>> {
    let input = &request.input;
    let object = object(&input.bucket, &input.key, input.version_id.as_deref())?;
    check_owner(engine, &object.bucket, input.expected_bucket_owner.as_deref()).await?;
    let asked = asked(&request.headers)?;
    let asks = |name: &str| asked.iter().any(|asked| asked == name);
    let parts_max = entries_max(input.max_parts, "x-amz-max-parts")?;
    let marker = u32::try_from(input.part_number_marker.unwrap_or(0))
        .map_err(|_| s3_error!(InvalidArgument, "The part number marker must not be negative"))?;
    let customer_key = encryption::customer_key(&request.headers, Way::of(&request.extensions))?;
    let found = engine
        .object_attributes(&caller(&request), &object, customer_key.as_ref(), marker, parts_max)
        .await
        .map_err(from_engine)?;
    let info = &found.info;
    let mut output = GetObjectAttributesOutput {
        last_modified: Some(timestamp(info.modified_us)),
        version_id: shown_version(info),
        ..GetObjectAttributesOutput::default()
    };
    if asks(ObjectAttributes::ETAG) {
        output.e_tag = Some(etag(&info.etag));
    }
    if asks(ObjectAttributes::OBJECT_SIZE) {
        output.object_size = Some(signed(info.size_bytes));
    }
    if asks(ObjectAttributes::STORAGE_CLASS) {
        output.storage_class = Some(dto::StorageClass::from_static(storage_class_name(info.storage_class)));
    }
    if asks(ObjectAttributes::CHECKSUM) {
        let shown = Shown::of_object(info);
        let mut checksum = Checksum { checksum_type: shown.kind.clone(), ..Checksum::default() };
        show_checksums!(checksum, shown);
        output.checksum = Some(checksum);
    }
    if let (true, Some(count)) = (asks(ObjectAttributes::OBJECT_PARTS), info.parts_count) {
        output.object_parts = Some(GetObjectAttributesParts {
            is_truncated: Some(found.truncated),
            max_parts: i32::try_from(parts_max).ok(),
            next_part_number_marker: found.parts.last().and_then(|last| i32::try_from(last.number).ok()),
            part_number_marker: i32::try_from(marker).ok(),
            parts: Some(found.parts.iter().map(shown_part).collect()),
            total_parts_count: i32::try_from(count).ok(),
        });
    }
    Ok(S3Response::new(output))
}

/// What is asked for, in one header or several, each with one name or several.
fn asked(headers: &HeaderMap) -> S3Result<Vec<String>> {
    const KNOWN: [&str; 5] = [
        ObjectAttributes::ETAG,
        ObjectAttributes::CHECKSUM,
        ObjectAttributes::OBJECT_PARTS,
        ObjectAttributes::OBJECT_SIZE,
        ObjectAttributes::STORAGE_CLASS,
    ];
    let values = headers.get_all("x-amz-object-attributes").into_iter().filter_map(|value| value.to_str().ok());
    let names: Vec<_> = values.flat_map(|value| value.split(',')).map(|name| name.trim().to_owned()).collect();
    if names.is_empty() || !names.iter().all(|name| KNOWN.contains(&name.as_str())) {
        return Err(s3_error!(InvalidArgument, "Invalid attribute name specified."));
    }
    Ok(names)
}

fn shown_part(part: &ObjectPart) -> dto::ObjectPart {
    let mut shown = dto::ObjectPart {
        part_number: i32::try_from(part.number).ok(),
        size: Some(signed(part.range.end - part.range.start)),
        ..dto::ObjectPart::default()
    };
    show_checksums!(shown, Shown::of_digests(&part.checksums));
    shown
}
