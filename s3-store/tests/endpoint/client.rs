//! A small client that signs by itself and sends exactly what it is told, also what no SDK would.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use time::macros::format_description;

use crate::answer::{Answer, exchange};

const UNRESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
const UNRESERVED_AND_SLASH: AsciiSet = UNRESERVED.remove(b'/');

/// The form of times in signatures of version 4.
pub(crate) const BASIC: &[time::format_description::BorrowedFormatItem<'_>] =
    format_description!("[year][month][day]T[hour][minute][second]Z");

/// Encodes a parameter as signature version 4 wants it.
pub(crate) fn encode(text: &str) -> String {
    utf8_percent_encode(text, &UNRESERVED).to_string()
}

/// Encodes a path as signature version 4 wants it.
pub(crate) fn encode_path(text: &str) -> String {
    utf8_percent_encode(text, &UNRESERVED_AND_SLASH).to_string()
}

pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

pub(crate) fn hmac_sha256(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

pub(crate) fn hmac_sha1(key: &str, text: &str) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(key.as_bytes()).expect("any length");
    mac.update(text.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

/// How the body of a version 4 request is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Payload {
    /// By its hash.
    Hash,
    /// By a hash that is given.
    GivenHash(String),
    /// Not at all.
    Unsigned,
    /// In signed chunks of so many bytes, with the trailer `name:value` when given.
    SignedChunks(usize, Option<(String, String)>),
    /// In unsigned chunks of so many bytes, with a trailer.
    UnsignedChunks(usize, (String, String)),
}

/// How a request is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Signature {
    None,
    V4(Payload),
    /// A link that lives so many seconds.
    V4Link(i64),
    V2,
    /// A link that ends at that second of the Unix epoch.
    V2Link(i64),
}

/// A key pair, where it is used, and when.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) addr: SocketAddr,
    pub(crate) access_key: String,
    pub(crate) secret_key: String,
    pub(crate) region: String,
    pub(crate) host: String,
    /// The bucket that the host names, which version 2 signs; empty for path style.
    pub(crate) host_bucket: String,
    /// Added to the time, in seconds.
    pub(crate) skew_s: i64,
    /// The service that version 4 signs for.
    pub(crate) service: String,
    /// The token of a temporary key.
    pub(crate) token: Option<String>,
    /// Whether version 4 signs the text of a `date`, not the time that it means.
    pub(crate) signs_date_as_it_stands: bool,
}

/// A request that is being made.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// The path as it goes over the wire.
    pub(crate) path: String,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: Vec<(String, String)>,
    /// Headers that the signature does not cover.
    pub(crate) unsigned_headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) signature: Signature,
}

impl Request {
    /// A request for a path that is not encoded yet. The query is `a=b&c`, encoded.
    pub(crate) fn new(method: &str, path: &str) -> Self {
        let (path, query) = path.split_once("?q:").unwrap_or((path, ""));
        Self {
            method: method.to_owned(),
            path: encode_path(path),
            query: url::form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
            headers: Vec::new(),
            unsigned_headers: Vec::new(),
            body: Vec::new(),
            signature: Signature::V4(Payload::Hash),
        }
    }

    pub(crate) fn query(mut self, name: &str, value: &str) -> Self {
        self.query.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_ascii_lowercase(), value.to_owned()));
        self
    }

    pub(crate) fn unsigned_header(mut self, name: &str, value: &str) -> Self {
        self.unsigned_headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub(crate) fn signed(mut self, signature: Signature) -> Self {
        self.signature = signature;
        self
    }

    fn query_text(&self) -> String {
        let mut pairs: Vec<_> = self.query.iter().map(|(name, value)| (encode(name), encode(value))).collect();
        pairs.sort();
        pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
    }
}

impl Client {
    fn now(&self) -> OffsetDateTime {
        OffsetDateTime::now_utc() + time::Duration::seconds(self.skew_s)
    }

    /// Signs, sends, and reads the answer.
    pub(crate) async fn send(&self, request: Request) -> Answer {
        let bytes = self.wire(request);
        let addr = self.addr;
        tokio::task::spawn_blocking(move || exchange(addr, &bytes)).await.expect("the exchange ran")
    }

    /// The token of a temporary key goes where the signature goes.
    fn add_token(&self, request: &mut Request) {
        let Some(token) = self.token.clone() else { return };
        match request.signature {
            Signature::None => {}
            Signature::V4(_) | Signature::V2 => request.headers.push(("x-amz-security-token".to_owned(), token)),
            Signature::V4Link(_) | Signature::V2Link(_) => {
                request.query.push(("X-Amz-Security-Token".to_owned(), token));
            }
        }
    }

    /// The bytes of the request.
    pub(crate) fn wire(&self, mut request: Request) -> Vec<u8> {
        request.headers.insert(0, ("host".to_owned(), self.host.clone()));
        self.add_token(&mut request);
        match request.signature.clone() {
            Signature::None => {}
            Signature::V4(payload) => self.sign_v4(&mut request, &payload),
            Signature::V4Link(expires_s) => self.sign_v4_link(&mut request, expires_s),
            Signature::V2 => self.sign_v2(&mut request),
            Signature::V2Link(at_s) => self.sign_v2_link(&mut request, at_s),
        }
        let query = request.query_text();
        let target = if query.is_empty() { request.path.clone() } else { format!("{}?{query}", request.path) };
        let mut head = format!("{} {target} HTTP/1.1\r\nconnection: close\r\n", request.method);
        for (name, value) in request.headers.iter().chain(&request.unsigned_headers) {
            head += &format!("{name}: {value}\r\n");
        }
        let has_length =
            request.headers.iter().any(|(name, _)| name == "content-length" || name == "transfer-encoding");
        if !has_length && (!request.body.is_empty() || request.method == "PUT" || request.method == "POST") {
            head += &format!("content-length: {}\r\n", request.body.len());
        }
        head += "\r\n";
        [head.into_bytes(), request.body].concat()
    }

    fn scope(&self, date: &str) -> String {
        format!("{}/{}/{}/aws4_request", &date[..8], self.region, self.service)
    }

    fn v4_key(&self, date: &str) -> Vec<u8> {
        let start = format!("AWS4{}", self.secret_key);
        [&date[..8], &self.region, &self.service, "aws4_request"]
            .iter()
            .fold(start.into_bytes(), |key, text| hmac_sha256(&key, text))
    }

    fn amz_date(&self) -> String {
        self.now().format(BASIC).expect("a date")
    }

    /// The time of a signature: that of the request's own `date`, else now.
    fn time_of_signature(&self, request: &Request) -> String {
        let own = request.headers.iter().find(|(name, _)| name == "date").map(|(_, date)| date.as_str());
        match own.and_then(|date| OffsetDateTime::parse(date, &Rfc2822).ok()) {
            Some(date) => date.to_offset(time::UtcOffset::UTC).format(BASIC).expect("a date"),
            None => own.filter(|date| date.len() == 16).map_or_else(|| self.amz_date(), str::to_owned),
        }
    }

    fn sign_v4(&self, request: &mut Request, payload: &Payload) {
        let date = self.time_of_signature(request);
        // S3 signs a date as it stands, SDKs in the form of version 4.
        let said = request.headers.iter().find(|(name, _)| name == "date").filter(|_| self.signs_date_as_it_stands);
        let said = said.map_or_else(|| date.clone(), |(_, said)| said.clone());
        let hash = match payload {
            Payload::Hash => sha256_hex(&request.body),
            Payload::GivenHash(hash) => hash.clone(),
            Payload::Unsigned => "UNSIGNED-PAYLOAD".to_owned(),
            Payload::SignedChunks(_, None) => "STREAMING-AWS4-HMAC-SHA256-PAYLOAD".to_owned(),
            Payload::SignedChunks(_, Some(_)) => "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER".to_owned(),
            Payload::UnsignedChunks(..) => "STREAMING-UNSIGNED-PAYLOAD-TRAILER".to_owned(),
        };
        // A request with a date of its own is signed by that.
        if !request.headers.iter().any(|(name, _)| name == "date") {
            request.headers.push(("x-amz-date".to_owned(), date.clone()));
        }
        request.headers.push(("x-amz-content-sha256".to_owned(), hash.clone()));
        if let Payload::SignedChunks(_, Some((name, _))) | Payload::UnsignedChunks(_, (name, _)) = payload {
            request.headers.push(("x-amz-trailer".to_owned(), name.clone()));
        }
        if matches!(payload, Payload::SignedChunks(..) | Payload::UnsignedChunks(..)) {
            let length = request.body.len().to_string();
            if !request.headers.iter().any(|(name, _)| name == "x-amz-decoded-content-length") {
                request.headers.push(("x-amz-decoded-content-length".to_owned(), length));
            }
            request.headers.push(("content-encoding".to_owned(), "aws-chunked".to_owned()));
        }
        let names = signed_names(&request.headers);
        let signature = self.v4_signature(request, (&date, &said), &names, &hash);
        let scope = self.scope(&date);
        let value = format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
            self.access_key
        );
        request.headers.push(("authorization".to_owned(), value));
        self.frame(request, payload, (&date, &said), signature);
    }

    fn v4_signature(&self, request: &Request, (date, said): (&str, &str), names: &str, hash: &str) -> String {
        let mut canonical = format!("{}\n{}\n{}\n", request.method, request.path, request.query_text());
        for name in names.split(';') {
            let values: Vec<_> = request
                .headers
                .iter()
                .filter(|(given, _)| given == name)
                .map(|(_, value)| value.split_whitespace().collect::<Vec<_>>().join(" "))
                .collect();
            canonical += &format!("{name}:{}\n", values.join(","));
        }
        canonical += &format!("\n{names}\n{hash}");
        let text = format!("AWS4-HMAC-SHA256\n{said}\n{}\n{}", self.scope(date), sha256_hex(canonical.as_bytes()));
        hex::encode(hmac_sha256(&self.v4_key(date), &text))
    }

    fn frame(&self, request: &mut Request, payload: &Payload, (date, said): (&str, &str), mut previous: String) {
        let scope = self.scope(date);
        let sign = |kind: &str, rest: &str| {
            hex::encode(hmac_sha256(&self.v4_key(date), &format!("{kind}\n{said}\n{scope}\n{rest}")))
        };
        let mut framed = Vec::new();
        match payload {
            Payload::Hash | Payload::GivenHash(_) | Payload::Unsigned => return,
            Payload::SignedChunks(size, trailer) => {
                for chunk in request.body.chunks(*size).chain([&[][..]]) {
                    let rest = format!("{previous}\n{}\n{}", sha256_hex(b""), sha256_hex(chunk));
                    previous = sign("AWS4-HMAC-SHA256-PAYLOAD", &rest);
                    framed.extend(format!("{:x};chunk-signature={previous}\r\n", chunk.len()).into_bytes());
                    framed.extend(chunk);
                    if !chunk.is_empty() || trailer.is_none() {
                        framed.extend(b"\r\n");
                    }
                }
                if let Some((name, value)) = trailer {
                    let line = format!("{name}:{value}\n");
                    let signature =
                        sign("AWS4-HMAC-SHA256-TRAILER", &format!("{previous}\n{}", sha256_hex(line.as_bytes())));
                    framed
                        .extend(format!("{name}:{value}\r\nx-amz-trailer-signature:{signature}\r\n\r\n").into_bytes());
                }
            }
            Payload::UnsignedChunks(size, (name, value)) => {
                for chunk in request.body.chunks(*size) {
                    framed.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
                    framed.extend(chunk);
                    framed.extend(b"\r\n");
                }
                framed.extend(format!("0\r\n{name}:{value}\r\n\r\n").into_bytes());
            }
        }
        request.body = framed;
    }

    fn sign_v4_link(&self, request: &mut Request, expires_s: i64) {
        let date = self.amz_date();
        let names = signed_names(&request.headers);
        for (name, value) in [
            ("X-Amz-Algorithm", "AWS4-HMAC-SHA256".to_owned()),
            ("X-Amz-Credential", format!("{}/{}", self.access_key, self.scope(&date))),
            ("X-Amz-Date", date.clone()),
            ("X-Amz-Expires", expires_s.to_string()),
            ("X-Amz-SignedHeaders", names.clone()),
        ] {
            request.query.push((name.to_owned(), value));
        }
        // Only S3 leaves the body of a link open.
        let hash = if self.service == "s3" { "UNSIGNED-PAYLOAD".to_owned() } else { sha256_hex(&request.body) };
        let signature = self.v4_signature(request, (&date, &date), &names, &hash);
        request.query.push(("X-Amz-Signature".to_owned(), signature));
    }

    fn v2_text(&self, request: &Request, date: &str) -> String {
        let header = |name: &str| {
            request.headers.iter().find(|(given, _)| given == name).map_or("", |(_, value)| value.as_str())
        };
        let mut amz: Vec<_> = request.headers.iter().filter(|(name, _)| name.starts_with("x-amz-")).collect();
        amz.sort();
        let amz: String = amz.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let mut signed: Vec<_> = request
            .query
            .iter()
            .filter(|(name, _)| V2_PARAMETERS.contains(&name.as_str()) || name.starts_with("response-"))
            .collect();
        signed.sort();
        let signed: Vec<_> = signed
            .iter()
            .map(|(name, value)| if value.is_empty() { name.clone() } else { format!("{name}={value}") })
            .collect();
        let query = if signed.is_empty() { String::new() } else { format!("?{}", signed.join("&")) };
        let (md5, kind) = (header("content-md5"), header("content-type"));
        let bucket = if self.host_bucket.is_empty() { String::new() } else { format!("/{}", self.host_bucket) };
        format!("{}\n{md5}\n{kind}\n{date}\n{amz}{bucket}{}{query}", request.method, request.path)
    }

    fn sign_v2(&self, request: &mut Request) {
        if !request.headers.iter().any(|(name, _)| name == "date" || name == "x-amz-date") {
            let date = self.now().format(&Rfc2822).expect("a date");
            request.headers.push(("date".to_owned(), date));
        }
        let by_amz = request.headers.iter().any(|(name, _)| name == "x-amz-date");
        let date =
            request.headers.iter().find(|(name, _)| name == "date").filter(|_| !by_amz).map(|(_, date)| date.clone());
        let text = self.v2_text(request, &date.unwrap_or_default());
        let value = format!("AWS {}:{}", self.access_key, hmac_sha1(&self.secret_key, &text));
        request.headers.push(("authorization".to_owned(), value));
    }

    fn sign_v2_link(&self, request: &mut Request, at_s: i64) {
        let signature = hmac_sha1(&self.secret_key, &self.v2_text(request, &at_s.to_string()));
        for (name, value) in
            [("AWSAccessKeyId", self.access_key.clone()), ("Expires", at_s.to_string()), ("Signature", signature)]
        {
            request.query.push((name.to_owned(), value));
        }
    }
}

/// Parameters that a version 2 signature covers, of those that the tests use.
const V2_PARAMETERS: [&str; 7] = ["acl", "delete", "location", "partNumber", "policy", "uploadId", "uploads"];

fn signed_names(headers: &[(String, String)]) -> String {
    let mut names: Vec<_> = headers.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    names.join(";")
}
