//! Requests of signature version 2 that sign a bucket as `/bucket/` and ask for `/bucket`, as botocore does and S3 takes. The protocol
//! layer compares with the path as it came; so such a request, known by its signature, goes on with the path that it signed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, Method, Uri};
use secrecy::{ExposeSecret, SecretString};
use sha1::Sha1;

/// Parameters of a bucket that its signature covers, in their order.
const SIGNED_PARAMETERS: [&str; 20] = [
    "accelerate",
    "acl",
    "analytics",
    "cors",
    "delete",
    "inventory",
    "lifecycle",
    "location",
    "logging",
    "metrics",
    "notification",
    "object-lock",
    "policy",
    "replication",
    "requestPayment",
    "tagging",
    "uploads",
    "versioning",
    "versions",
    "website",
];

/// Sub-resources of an object that it covers besides.
const SIGNED_OF_OBJECTS: [&str; 5] = ["partNumber", "restore", "select", "torrent", "uploadId"];

/// Whether a signature of version 2 covers a sub-resource.
pub(crate) fn signs(subresource: &str) -> bool {
    SIGNED_PARAMETERS.contains(&subresource) || SIGNED_OF_OBJECTS.contains(&subresource)
}

/// A request as its signature sees it.
pub(crate) struct Signed<'a> {
    pub(crate) method: &'a Method,
    pub(crate) uri: &'a Uri,
    pub(crate) headers: &'a HeaderMap,
    /// The `Date` of a signature in a header (empty beside `x-amz-date`), the `Expires` of a link.
    pub(crate) date: &'a str,
    pub(crate) signature: &'a str,
}

/// The target with the slash that was signed; `None` when the path came as it was signed, or is no bucket's.
pub(crate) fn with_signed_slash(request: &Signed<'_>, secret_key: &SecretString) -> Option<Uri> {
    let path = request.uri.path();
    let names_bucket = path.len() > 1 && !path[1..].contains('/');
    if !names_bucket || !fits(request, secret_key) {
        return None;
    }
    let mut parts = request.uri.clone().into_parts();
    let target = match request.uri.query() {
        Some(query) => format!("{path}/?{query}"),
        None => format!("{path}/"),
    };
    parts.path_and_query = Some(target.parse().ok()?);
    Uri::from_parts(parts).ok()
}

fn fits(request: &Signed<'_>, secret_key: &SecretString) -> bool {
    let Ok(signature) = STANDARD.decode(request.signature) else { return false };
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(secret_key.expose_secret().as_bytes()) else { return false };
    mac.update(text_to_sign(request).as_bytes());
    mac.verify_slice(&signature).is_ok()
}

fn text_to_sign(request: &Signed<'_>) -> String {
    let header = |name: &str| request.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut text =
        format!("{}\n{}\n{}\n{}\n", request.method, header("content-md5"), header("content-type"), request.date);
    let mut names: Vec<&str> =
        request.headers.keys().map(http::HeaderName::as_str).filter(|name| name.starts_with("x-amz-")).collect();
    names.sort_unstable();
    for name in names {
        let values: Vec<_> =
            request.headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).map(str::trim).collect();
        text += &format!("{name}:{}\n", values.join(","));
    }
    text + request.uri.path() + "/" + &signed_parameters(request.uri.query().unwrap_or_default())
}

fn signed_parameters(query: &str) -> String {
    let given: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let mut text = String::new();
    for name in SIGNED_PARAMETERS {
        if let Some((_, value)) = given.iter().find(|(given, _)| given == name) {
            text.push(if text.is_empty() { '?' } else { '&' });
            text += name;
            if !value.is_empty() {
                text += &format!("={value}");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(uri: &str, signed_path: &str) -> Option<String> {
        let uri: Uri = uri.parse().expect("a target");
        let secret_key = SecretString::from("secret");
        let mut mac = Hmac::<Sha1>::new_from_slice(b"secret").expect("any length");
        mac.update(format!("GET\n\n\ndate\n{signed_path}").as_bytes());
        let signature = STANDARD.encode(mac.finalize().into_bytes());
        let headers = HeaderMap::new();
        let request =
            Signed { method: &Method::GET, uri: &uri, headers: &headers, date: "date", signature: &signature };
        with_signed_slash(&request, &secret_key).map(|uri| uri.to_string())
    }

    #[test]
    fn a_slash_that_was_signed_is_added() {
        assert_eq!(target("/photos", "/photos/").as_deref(), Some("/photos/"));
        assert_eq!(target("/photos?prefix=a&acl", "/photos/?acl").as_deref(), Some("/photos/?prefix=a&acl"));
        assert_eq!(target("/photos", "/photos"), None);
        assert_eq!(target("/photos/key", "/photos/key/"), None, "an object of another name");
        assert_eq!(target("/", "//"), None);
    }
}
