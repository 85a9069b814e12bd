//! The header that asks for a bucket's durability when it is made, and that shows where it is relaxed: in the bucket, and in the answer to a
//! write that came before the write is durable.

use engine::Durability;
use http::{HeaderMap, HeaderName, HeaderValue};
use s3s::{S3Result, s3_error};

/// No `x-amz-` name: it is no header of S3, and clients that do not know it lose nothing.
const HEADER: HeaderName = HeaderName::from_static("x-cloudhold-durability");
const STRICT: &str = "strict";
const RELAXED: &str = "relaxed";

/// The durability that a request asks for. `InvalidArgument` for one that does not exist.
pub(crate) fn asked_for(headers: &HeaderMap) -> S3Result<Option<Durability>> {
    match headers.get(HEADER).map(HeaderValue::as_bytes) {
        None => Ok(None),
        Some(text) if text == STRICT.as_bytes() => Ok(Some(Durability::Strict)),
        Some(text) if text == RELAXED.as_bytes() => Ok(Some(Durability::Relaxed)),
        Some(_) => Err(s3_error!(InvalidArgument, "The x-cloudhold-durability must be strict or relaxed.")),
    }
}

/// Says that writes to the bucket are answered before they are durable, or that this one was. What is usual is not said.
pub(crate) fn show(headers: &mut HeaderMap, durability: Durability) {
    match durability {
        Durability::Strict => {}
        Durability::Relaxed => {
            headers.insert(HEADER, HeaderValue::from_static(RELAXED));
        }
    }
}
