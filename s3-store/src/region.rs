//! Signatures of version 4 whose region is no name to the protocol layer (`US`, as s3cmd writes, or `my_zone`), or whose time is in another
//! form than it knows. Any region is taken here: such a request is compared with its signature under the region that it names, and goes on
//! signed under one that passes.

use hmac::{Hmac, KeyInit, Mac};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Method, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use crate::chunk_signatures::{Chain, Signatures};

const UNRESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
const UNRESERVED_AND_SLASH: AsciiSet = UNRESERVED.remove(b'/');
/// The region that stands for every other.
const REGION_PLAIN: &str = "us-east-1";

/// A request as its version 4 signature sees it.
pub(crate) struct Signed<'a> {
    pub(crate) method: &'a Method,
    pub(crate) uri: &'a Uri,
    pub(crate) headers: &'a HeaderMap,
    /// `<access key>/<date>/<region>/s3/aws4_request`.
    pub(crate) credential: &'a str,
    pub(crate) signed_headers: &'a str,
    pub(crate) signature: &'a str,
    /// When it was signed: `YYYYMMDDTHHMMSSZ`.
    pub(crate) time: &'a str,
    /// The same as the request says it: where `Date` does, S3 signs its text, and SDKs sign the form above.
    pub(crate) said_time: &'a str,
    /// Whether the signature stands in the query.
    pub(crate) in_query: bool,
}

/// What is to be put in the place of what came.
#[derive(Debug)]
pub(crate) enum Resigned {
    /// The `Authorization` header, and the signatures of the chunks of its body, which carry it on.
    Header(HeaderValue, Option<Signatures>),
    /// The target of a link.
    Target(Uri),
}

/// The same request under a plain region; `None` when its region is plain already, or its signature does not fit, which the protocol
/// layer will say.
pub(crate) fn with_plain_region(request: &Signed<'_>, secret_key: &SecretString) -> Option<Resigned> {
    let [access_key, date, region, _, _] = request.credential.split('/').collect::<Vec<_>>().try_into().ok()?;
    let plain = region.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if plain && request.time == request.said_time {
        return None;
    }
    let mut query: Vec<(String, String)> =
        url::form_urlencoded::parse(request.uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
    let payload = payload(request);
    let came = Scope { secret_key, time: request.time, date, region, service: "s3" };
    let came = came.that_fits(request, &canonical(request, &query, &payload))?;
    let credential = format!("{access_key}/{date}/{REGION_PLAIN}/s3/aws4_request");
    for (_, value) in query.iter_mut().filter(|(name, _)| name == "X-Amz-Credential") {
        value.clone_from(&credential);
    }
    let goes = Scope { region: REGION_PLAIN, time: request.time, ..came };
    let signature = hex::encode(goes.mac(&canonical(request, &query, &payload)).finalize().into_bytes());
    if request.in_query {
        return target(request.uri, query, &signature);
    }
    let in_chunks = payload.starts_with("STREAMING-AWS4-HMAC-");
    let signatures =
        in_chunks.then(|| Signatures { came: came.chain(request.signature), goes: goes.chain(&signature) });
    authorization(request, &credential, &signature).map(|header| Resigned::Header(header, signatures))
}

/// Whether the signature of a request is that of a secret, for a service and for a body of that hash.
pub(crate) fn fits(request: &Signed<'_>, secret_key: &SecretString, service: &str, payload: &str) -> bool {
    let Ok([_, date, region, _, _]) = <[&str; 5]>::try_from(request.credential.split('/').collect::<Vec<_>>()) else {
        return false;
    };
    let query: Vec<(String, String)> =
        url::form_urlencoded::parse(request.uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
    let scope = Scope { secret_key, time: request.time, date, region, service };
    scope.that_fits(request, &canonical(request, &query, payload)).is_some()
}

fn authorization(request: &Signed<'_>, credential: &str, signature: &str) -> Option<HeaderValue> {
    let names = request.signed_headers;
    let value = format!("AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature}");
    debug_assert!(request.headers.contains_key(AUTHORIZATION), "it was read from there");
    HeaderValue::try_from(value).ok()
}

fn target(uri: &Uri, mut query: Vec<(String, String)>, signature: &str) -> Option<Resigned> {
    for (_, value) in query.iter_mut().filter(|(name, _)| name == "X-Amz-Signature") {
        signature.clone_into(value);
    }
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(format!("{}?{}", uri.path(), query_text(&query)).parse().ok()?);
    Uri::from_parts(parts).ok().map(Resigned::Target)
}

/// Under which a request is signed.
#[derive(Clone, Copy)]
struct Scope<'a> {
    secret_key: &'a SecretString,
    time: &'a str,
    date: &'a str,
    region: &'a str,
    service: &'a str,
}

impl<'a> Scope<'a> {
    /// The scope with the form of the time that the signature of a request is over; `None` when it fits with neither.
    fn that_fits(self, request: &Signed<'a>, canonical: &str) -> Option<Self> {
        let given = hex::decode(request.signature).ok()?;
        let mut forms = [request.time, request.said_time].into_iter().map(|time| Self { time, ..self });
        forms.find(|scope| scope.mac(canonical).verify_slice(&given).is_ok())
    }

    fn mac(&self, canonical: &str) -> Hmac<Sha256> {
        let hash = hex::encode(Sha256::digest(canonical));
        keyed(&self.key(), &format!("AWS4-HMAC-SHA256\n{}\n{}\n{hash}", self.time, self.text()))
    }

    fn key(&self) -> Vec<u8> {
        signing_key(self.secret_key, [self.date, self.region, self.service])
    }

    fn text(&self) -> String {
        format!("{}/{}/{}/aws4_request", self.date, self.region, self.service)
    }

    /// The signatures of chunks that follow that of a request.
    fn chain(&self, signature: &str) -> Chain {
        Chain { key: self.key(), time: self.time.to_owned(), scope: self.text(), previous: signature.to_owned() }
    }
}

/// The key of version 4 that signs for a date (`YYYYMMDD`), a region and a service.
pub(crate) fn signing_key(secret_key: &SecretString, scope: [&str; 3]) -> Vec<u8> {
    let start = format!("AWS4{}", secret_key.expose_secret()).into_bytes();
    let texts = scope.iter().chain(&["aws4_request"]);
    texts.fold(start, |key, text| keyed(&key, text).finalize().into_bytes().to_vec())
}

pub(crate) fn keyed(key: &[u8], text: &str) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of every length");
    mac.update(text.as_bytes());
    mac
}

fn header(headers: &HeaderMap, name: &str) -> String {
    let values: Vec<_> =
        headers.get_all(name).iter().filter_map(|value| std::str::from_utf8(value.as_bytes()).ok()).collect();
    let words: Vec<_> = values.iter().map(|value| value.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    words.join(",")
}

fn query_text(query: &[(String, String)]) -> String {
    let encode = |text: &str| utf8_percent_encode(text, &UNRESERVED).to_string();
    let pairs: Vec<_> = query.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    pairs.join("&")
}

/// What a request says of the hash of its body.
fn payload(request: &Signed<'_>) -> String {
    if request.in_query { "UNSIGNED-PAYLOAD".to_owned() } else { header(request.headers, "x-amz-content-sha256") }
}

fn canonical(request: &Signed<'_>, query: &[(String, String)], payload: &str) -> String {
    let path = percent_decode_str(request.uri.path()).decode_utf8_lossy();
    let path = utf8_percent_encode(&path, &UNRESERVED_AND_SLASH);
    let mut query: Vec<_> = query.iter().filter(|(name, _)| name != "X-Amz-Signature").cloned().collect();
    query.sort();
    let mut text = format!("{}\n{path}\n{}\n", request.method, query_text(&query));
    let mut names: Vec<&str> = request.signed_headers.split(';').collect();
    names.sort_unstable();
    for name in &names {
        text += &format!("{name}:{}\n", header(request.headers, name));
    }
    text + "\n" + &names.join(";") + "\n" + payload
}
