//! Cross-origin requests: the preflight stands in front of the protocol layer (it carries no signature), and every answer, errors too,
//! tells the browser what its page may read.

use engine::{CorsRule, CorsRules};
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, ETAG, HeaderName, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
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
const VARIES: &str = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method";

/// Which pages are let in: those of the bucket's own rules, and where it has none, those of the store's settings.
#[derive(Debug)]
pub(crate) enum Allowed<'a> {
    ByBucket(CorsRules),
    ByStore(&'a Settings),
}

/// What a page asks for.
struct Asked<'a> {
    origin: &'a HeaderValue,
    method: &'a str,
    headers: Vec<&'a str>,
}

impl<'a> Asked<'a> {
    /// The method and headers that a preflight announces, or the request's own method.
    fn of(method: &'a Method, request: &'a HeaderMap) -> Option<Self> {
        let origin = request.get(ORIGIN)?;
        let announced = request.get(ACCESS_CONTROL_REQUEST_METHOD).and_then(|method| method.to_str().ok());
        let headers = request.get(ACCESS_CONTROL_REQUEST_HEADERS).and_then(|headers| headers.to_str().ok());
        let headers = headers.unwrap_or_default().split(',').map(str::trim).filter(|header| !header.is_empty());
        Some(Self { origin, method: announced.unwrap_or(method.as_str()), headers: headers.collect() })
    }
}

impl Allowed<'_> {
    /// What the page may be told; `None` for nothing.
    fn answer(&self, asked: &Asked<'_>) -> Option<HeaderMap> {
        match self {
            Self::ByBucket(rules) => {
                let rule = rules.find(asked.origin.to_str().ok()?, asked.method, &asked.headers)?;
                Some(answer_of_rule(rule, asked))
            }
            Self::ByStore(settings) => answer_of_store(settings, asked),
        }
    }
}

fn answer_of_rule(rule: &CorsRule, asked: &Asked<'_>) -> HeaderMap {
    let mut answer = HeaderMap::new();
    if rule.is_for_all() {
        answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    } else {
        answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, asked.origin.clone());
        answer.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }
    insert(&mut answer, ACCESS_CONTROL_ALLOW_METHODS, &rule.allowed_methods.join(", "));
    if !asked.headers.is_empty() {
        insert(&mut answer, ACCESS_CONTROL_ALLOW_HEADERS, &asked.headers.join(", ").to_ascii_lowercase());
    }
    insert(&mut answer, ACCESS_CONTROL_EXPOSE_HEADERS, &exposed_by(rule));
    if let Some(seconds) = rule.max_age_seconds {
        insert(&mut answer, ACCESS_CONTROL_MAX_AGE, &seconds.to_string());
    }
    answer.insert(VARY, HeaderValue::from_static(VARIES));
    answer
}

/// What a rule exposes, and the entity tag whatever it says: without it no page can finish an upload in parts, and CloudStack sets rules that
/// expose nothing.
fn exposed_by(rule: &CorsRule) -> String {
    let mut names: Vec<&str> = rule.expose_headers.iter().map(String::as_str).collect();
    if !names.iter().any(|name| name.eq_ignore_ascii_case(ETAG.as_str())) {
        names.push("ETag");
    }
    names.join(", ")
}

fn answer_of_store(settings: &Settings, asked: &Asked<'_>) -> Option<HeaderMap> {
    let origins = &settings.cors_allow_origins;
    let mut answer = HeaderMap::new();
    if origins.iter().any(|allowed| allowed == "*") {
        answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    } else if origins.iter().any(|allowed| allowed.as_bytes() == asked.origin.as_bytes()) {
        answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, asked.origin.clone());
        answer.insert(VARY, HeaderValue::from_static("Origin"));
    } else {
        return None;
    }
    if !METHODS.split(", ").any(|known| known == asked.method) {
        return None;
    }
    answer.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS));
    answer.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE_SECONDS));
    if !asked.headers.is_empty() {
        insert(&mut answer, ACCESS_CONTROL_ALLOW_HEADERS, &asked.headers.join(","));
    }
    Some(answer)
}

fn insert(answer: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::try_from(value) {
        answer.insert(name, value);
    }
}

/// The headers of the answer to a preflight.
pub(crate) fn preflight(allowed: &Allowed<'_>, request: &HeaderMap) -> Result<HeaderMap, S3Error> {
    if !request.contains_key(ORIGIN) {
        return Err(bad("Insufficient information. Origin request header needed."));
    }
    if !request.contains_key(ACCESS_CONTROL_REQUEST_METHOD) {
        return Err(bad("Invalid Access-Control-Request-Method: null"));
    }
    let answer = Asked::of(&Method::OPTIONS, request).and_then(|asked| allowed.answer(&asked));
    answer.ok_or_else(|| {
        let message = "CORSResponse: This CORS request is not allowed.";
        custom("AccessForbidden", StatusCode::FORBIDDEN, message)
    })
}

fn bad(message: &'static str) -> S3Error {
    custom("BadRequest", StatusCode::BAD_REQUEST, message)
}

/// Adds to an answer what its request's origin may read.
pub(crate) fn decorate(allowed: &Allowed<'_>, method: &Method, request: &HeaderMap, answer: &mut HeaderMap) {
    let Some(told) = Asked::of(method, request).and_then(|asked| allowed.answer(&asked)) else { return };
    for (name, value) in &told {
        // What only a preflight asks for is left out where the store's settings let all in.
        let of_preflight = [ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_MAX_AGE];
        if matches!(allowed, Allowed::ByBucket(_)) || *method == Method::OPTIONS || !of_preflight.contains(name) {
            answer.insert(name, value.clone());
        }
    }
    if let Allowed::ByStore(_) = allowed {
        let metadata = answer.keys().map(HeaderName::as_str).filter(|name| name.starts_with("x-amz-meta-"));
        let exposed = metadata.fold(EXPOSED.to_owned(), |exposed, name| exposed + ", " + name);
        insert(answer, ACCESS_CONTROL_EXPOSE_HEADERS, &exposed);
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
        decorate(&Allowed::ByStore(&settings), &Method::GET, &headers(&[("origin", "https://b.lan")]), &mut answer);
        assert!(answer.is_empty());
        decorate(&Allowed::ByStore(&settings), &Method::GET, &headers(&[("origin", "https://a.lan")]), &mut answer);
        assert_eq!(answer.get(ACCESS_CONTROL_ALLOW_ORIGIN).map(HeaderValue::as_bytes), Some(&b"https://a.lan"[..]));
        assert_eq!(answer.get(VARY).map(HeaderValue::as_bytes), Some(&b"Origin"[..]));
        let asked = headers(&[("origin", "https://b.lan"), ("access-control-request-method", "PUT")]);
        assert!(preflight(&Allowed::ByStore(&settings), &asked).is_err());
    }

    #[test]
    fn a_preflight_needs_origin_and_method() {
        let settings = Settings::default();
        assert!(
            preflight(&Allowed::ByStore(&settings), &headers(&[("access-control-request-method", "PUT")])).is_err()
        );
        assert!(preflight(&Allowed::ByStore(&settings), &headers(&[("origin", "https://a.lan")])).is_err());
        assert!(
            preflight(
                &Allowed::ByStore(&settings),
                &headers(&[("origin", "https://a.lan"), ("access-control-request-method", "PATCH")])
            )
            .is_err()
        );
        let asked = headers(&[
            ("origin", "https://a.lan"),
            ("access-control-request-method", "PUT"),
            ("access-control-request-headers", "authorization,x-amz-date"),
        ]);
        let answer = preflight(&Allowed::ByStore(&settings), &asked).expect("allowed");
        assert_eq!(answer[ACCESS_CONTROL_ALLOW_HEADERS], "authorization,x-amz-date");
    }
}
