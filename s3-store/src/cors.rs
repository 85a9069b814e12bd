//! Cross-origin requests: the preflight stands in front of the protocol layer (it carries no signature), and every answer, errors too,
//! tells the browser what its page may read.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, StatusCode};
use s3s::S3Error;

use crate::Settings;
use crate::error::custom;

const METHODS: &str = "GET, HEAD, PUT, POST, DELETE";
/// Without these a page cannot finish a multipart upload or show a size.
const EXPOSED: &str = "ETag, Content-Length, Content-Range, Content-Type, Accept-Ranges, Last-Modified, Content-Disposition, \
    Content-Encoding, Cache-Control, Expires, Location, x-amz-request-id, x-amz-id-2, x-amz-version-id, x-amz-delete-marker, \
    x-amz-mp-parts-count, x-amz-storage-class, x-amz-bucket-region, x-amz-checksum-crc32, x-amz-checksum-crc32c, \
    x-amz-checksum-crc64nvme, x-amz-checksum-sha1, x-amz-checksum-sha256, x-amz-checksum-type, x-amz-copy-source-version-id";
/// How long a browser may remember a preflight, in seconds.
const MAX_AGE_SECONDS: &str = "3000";

/// What the origin of a request may be told, as the value of `Access-Control-Allow-Origin`.
fn allowed(settings: &Settings, request: &HeaderMap) -> Option<HeaderValue> {
    let origin = request.get(ORIGIN)?;
    if settings.cors_allow_origins.iter().any(|allowed| allowed == "*") {
        return Some(HeaderValue::from_static("*"));
    }
    settings.cors_allow_origins.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes()).then(|| origin.clone())
}

/// The headers of the answer to a preflight.
pub(crate) fn preflight(settings: &Settings, request: &HeaderMap) -> Result<HeaderMap, S3Error> {
    if !request.contains_key(ORIGIN) {
        return Err(bad("Insufficient information. Origin request header needed."));
    }
    let Some(method) = request.get(ACCESS_CONTROL_REQUEST_METHOD) else {
        return Err(bad("Invalid Access-Control-Request-Method: null"));
    };
    let known = METHODS.split(", ").any(|known| known.as_bytes() == method.as_bytes());
    if !known || allowed(settings, request).is_none() {
        let message = "CORSResponse: This CORS request is not allowed.";
        return Err(custom("AccessForbidden", StatusCode::FORBIDDEN, message));
    }
    let mut answer = HeaderMap::new();
    answer.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS));
    answer.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE_SECONDS));
    if let Some(headers) = request.get(ACCESS_CONTROL_REQUEST_HEADERS) {
        answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, headers.clone());
    }
    Ok(answer)
}

fn bad(message: &'static str) -> S3Error {
    custom("BadRequest", StatusCode::BAD_REQUEST, message)
}

/// Adds to an answer what its request's origin may read.
pub(crate) fn decorate(settings: &Settings, request: &HeaderMap, answer: &mut HeaderMap) {
    let Some(origin) = allowed(settings, request) else { return };
    if origin != "*" {
        answer.append(VARY, HeaderValue::from_static("Origin"));
    }
    answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    let metadata = answer.keys().map(http::HeaderName::as_str).filter(|name| name.starts_with("x-amz-meta-"));
    let exposed = metadata.fold(EXPOSED.to_owned(), |exposed, name| exposed + ", " + name);
    if let Ok(exposed) = HeaderValue::try_from(exposed) {
        answer.insert(ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| ((*name).parse().expect("name"), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn only_named_origins_are_told_anything() {
        let settings = Settings { cors_allow_origins: vec!["https://a.lan".to_owned()], ..Settings::default() };
        let mut answer = HeaderMap::new();
        decorate(&settings, &headers(&[("origin", "https://b.lan")]), &mut answer);
        assert!(answer.is_empty());
        decorate(&settings, &headers(&[("origin", "https://a.lan")]), &mut answer);
        assert_eq!(answer.get(ACCESS_CONTROL_ALLOW_ORIGIN).map(HeaderValue::as_bytes), Some(&b"https://a.lan"[..]));
        assert_eq!(answer.get(VARY).map(HeaderValue::as_bytes), Some(&b"Origin"[..]));
        let asked = headers(&[("origin", "https://b.lan"), ("access-control-request-method", "PUT")]);
        assert!(preflight(&settings, &asked).is_err());
    }

    #[test]
    fn a_preflight_needs_origin_and_method() {
        let settings = Settings::default();
        assert!(preflight(&settings, &headers(&[("access-control-request-method", "PUT")])).is_err());
        assert!(preflight(&settings, &headers(&[("origin", "https://a.lan")])).is_err());
        assert!(
            preflight(&settings, &headers(&[("origin", "https://a.lan"), ("access-control-request-method", "PATCH")]))
                .is_err()
        );
        let asked = headers(&[
            ("origin", "https://a.lan"),
            ("access-control-request-method", "PUT"),
            ("access-control-request-headers", "authorization,x-amz-date"),
        ]);
        let answer = preflight(&settings, &asked).expect("allowed");
        assert_eq!(answer[ACCESS_CONTROL_ALLOW_HEADERS], "authorization,x-amz-date");
    }
}
