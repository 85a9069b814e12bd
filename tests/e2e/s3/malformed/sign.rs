//! Signs requests, also broken ones: so the damage reaches the code behind the check of the signature. What is signed is read as the
//! server reads it; what it cannot read, it refuses before.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use percent_encoding::percent_decode;
use rand::RngExt as _;
use rand::rngs::StdRng;
use sha1::Sha1;
use sha2::Sha256;
use tests::{Tenant, sha256};
use time::format_description::well_known::Rfc2822;
use time::macros::format_description;
use time::{Duration, OffsetDateTime};

use super::chunks::Plan;
use super::pools::{any, number, on_one_line, pick};
use super::request::{Request, encoded};

/// How a request is signed.
#[derive(Clone, Debug)]
pub(super) enum Scheme {
    None,
    V4(Payload),
    V4Link,
    V2,
    V2Link,
}

/// What a version 4 signature says of the body.
#[derive(Clone, Debug)]
pub(super) enum Payload {
    Hash,
    Unsigned,
    Chunks(Plan),
}

/// What stands in a signature beside the request.
#[derive(Clone, Debug)]
pub(super) struct Stamp {
    access_key: String,
    secret_key: String,
    /// As `x-amz-date` has it.
    time: String,
    /// As `Date` has it.
    date: String,
    day: String,
    region: String,
    service: String,
    algorithm: String,
    /// Seconds of the life of a version 4 link, and the end of a version 2 link.
    expires: [String; 2],
}

impl Stamp {
    /// Of a tenant at a moment that is so many seconds off.
    pub(super) fn new(tenant: &Tenant, skew_s: i64) -> Self {
        let now = OffsetDateTime::now_utc() + Duration::seconds(skew_s);
        let time = now.format(format_description!("[year][month][day]T[hour][minute][second]Z")).unwrap();
        Self {
            access_key: tenant.access_key.clone(),
            secret_key: tenant.secret_key.clone(),
            day: time[..8].to_owned(),
            time,
            date: now.format(&Rfc2822).unwrap(),
            region: "us-east-1".to_owned(),
            service: "s3".to_owned(),
            algorithm: "AWS4-HMAC-SHA256".to_owned(),
            expires: ["600".to_owned(), (now.unix_timestamp() + 600).to_string()],
        }
    }

    /// The same for another service than S3.
    pub(super) fn of_service(mut self, service: &str) -> Self {
        service.clone_into(&mut self.service);
        self
    }

    /// Changes what is signed with; the signature will be right for it.
    pub(super) fn damage(&mut self, random: &mut StdRng) {
        let value = String::from_utf8_lossy(&on_one_line(any(random))).into_owned();
        match random.random_range(0..8) {
            0 => self.time = value,
            1 => self.date = value,
            2 => self.day = value,
            3 => {
                let regions = [value, "US".to_owned(), String::new(), "a/b".to_owned()];
                self.region.clone_from(pick(random, &regions));
            }
            4 => self.service = (*pick(random, &["sts", "iam", "", "S3", "s3/s3"])).to_owned(),
            5 => {
                let algorithms = ["AWS4-ECDSA-P256-SHA256", "AWS4-HMAC-SHA512", "", "aws4-hmac-sha256"];
                self.algorithm = (*pick(random, &algorithms)).to_owned();
            }
            6 => self.access_key = value,
            _ => self.expires = [0, 1].map(|_| String::from_utf8_lossy(&number(random)).into_owned()),
        }
    }

    fn scope(&self) -> String {
        format!("{}/{}/{}/aws4_request", self.day, self.region, self.service)
    }

    fn mac(&self, text: &str) -> String {
        let first = format!("AWS4{}", self.secret_key).into_bytes();
        let texts = [&self.day, &self.region, &self.service, "aws4_request"];
        let key = texts.iter().fold(first, |key, text| hmac_sha256(&key, text.as_bytes()));
        hex::encode(hmac_sha256(&key, text.as_bytes()))
    }

    /// The signature of version 4 over something of that kind.
    pub(super) fn mac_of(&self, kind: &str, rest: &str) -> String {
        self.mac(&format!("{kind}\n{}\n{}\n{rest}", self.time, self.scope()))
    }

    /// The signature of a form's policy: of version 4 and version 2.
    pub(super) fn macs_of_policy(&self, policy: &str) -> [String; 2] {
        [self.mac(policy), hmac_sha1(&self.secret_key, policy)]
    }

    pub(super) fn access_key(&self) -> &str {
        &self.access_key
    }

    pub(super) fn time(&self) -> &str {
        &self.time
    }

    pub(super) fn credential(&self) -> String {
        format!("{}/{}", self.access_key, self.scope())
    }
}

/// Damage to a signature after it was made: it does not fit any more.
#[derive(Clone, Debug)]
pub(super) enum Tamper {
    /// One character is another.
    Flip,
    /// Something else stands in its place.
    Signature(Vec<u8>),
    Credential(Vec<u8>),
    Names(Vec<u8>),
    /// The whole header or parameter is something else.
    Whole(Vec<u8>),
    Twice,
    /// Another signature is there, too.
    Both,
}

impl Tamper {
    pub(super) fn any(random: &mut StdRng) -> Self {
        let value = any(random);
        match random.random_range(0..9) {
            0 | 1 => Self::Flip,
            2 => Self::Signature(value),
            3 => Self::Credential(value),
            4 => Self::Names(value),
            5 => Self::Whole(value),
            6 => Self::Twice,
            7 => Self::Both,
            _ => Self::Names(
                pick(random, &["", "x", ";", "host;host", "HOST;X-AMZ-DATE", "host;;x-amz-date"]).as_bytes().to_vec(),
            ),
        }
    }
}

/// Signs a request and gives the signature that fits, whatever was done to it afterwards.
pub(super) fn sign(
    request: &mut Request,
    scheme: &Scheme,
    stamp: &Stamp,
    tamper: Option<&Tamper>,
    random: &mut StdRng,
) -> Option<String> {
    match scheme {
        Scheme::None => None,
        Scheme::V4(payload) => Some(sign_v4(request, payload, stamp, tamper, random)),
        Scheme::V4Link => Some(sign_v4_link(request, stamp, tamper)),
        Scheme::V2 => Some(sign_v2(request, stamp, tamper)),
        Scheme::V2Link => Some(sign_v2_link(request, stamp, tamper)),
    }
}

fn sign_v4(
    request: &mut Request,
    payload: &Payload,
    stamp: &Stamp,
    tamper: Option<&Tamper>,
    random: &mut StdRng,
) -> String {
    let hash = match payload {
        Payload::Hash => sha256(&request.body),
        Payload::Unsigned => "UNSIGNED-PAYLOAD".to_owned(),
        Payload::Chunks(plan) => plan.announce(request),
    };
    if !request.has("x-amz-date") {
        request.add("x-amz-date", &stamp.time);
    }
    if !request.has("x-amz-content-sha256") {
        request.add("x-amz-content-sha256", &hash);
    }
    let hash = header_values(request, "x-amz-content-sha256").join(",");
    let names = signed_names(request);
    let right = v4_signature(request, stamp, &names, &hash);
    let (credential, names, signature) = tampered(tamper, stamp.credential(), names, right.clone());
    let algorithm = &stamp.algorithm;
    let value =
        [algorithm.as_bytes(), b" Credential=", &credential, b", SignedHeaders=", &names, b", Signature=", &signature];
    add_authorization(request, value.concat(), tamper, stamp);
    if let Payload::Chunks(plan) = payload {
        request.body = plan.frame(&request.body, &right, stamp, random);
    }
    right
}

fn sign_v4_link(request: &mut Request, stamp: &Stamp, tamper: Option<&Tamper>) -> String {
    let names = signed_names(request);
    let parameters = [
        ("X-Amz-Algorithm", stamp.algorithm.clone()),
        ("X-Amz-Credential", stamp.credential()),
        ("X-Amz-Date", stamp.time.clone()),
        ("X-Amz-Expires", stamp.expires[0].clone()),
        ("X-Amz-SignedHeaders", names.clone()),
    ];
    for (name, value) in parameters {
        request.query.push((name.as_bytes().to_vec(), Some(encoded(value.as_bytes()))));
    }
    let right = v4_signature(request, stamp, &names, "UNSIGNED-PAYLOAD");
    let (credential, names, signature) = tampered(tamper, stamp.credential(), names, right.clone());
    for (name, value) in [("X-Amz-Credential", credential), ("X-Amz-SignedHeaders", names)] {
        if let Some((_, given)) = request.query.iter_mut().find(|(given, _)| given == name.as_bytes()) {
            *given = Some(encoded(&value));
        }
    }
    add_parameter(request, "X-Amz-Signature", &signature, tamper);
    right
}

fn sign_v2(request: &mut Request, stamp: &Stamp, tamper: Option<&Tamper>) -> String {
    if !request.has("date") && !request.has("x-amz-date") {
        request.add("date", &stamp.date);
    }
    let date = if request.has("x-amz-date") { String::new() } else { only_value(request, "date") };
    let right = hmac_sha1(&stamp.secret_key, &v2_text(request, &date));
    let (access_key, _, signature) = tampered(tamper, stamp.access_key.clone(), String::new(), right.clone());
    add_authorization(request, [b"AWS ", &*access_key, b":", &signature].concat(), tamper, stamp);
    right
}

fn sign_v2_link(request: &mut Request, stamp: &Stamp, tamper: Option<&Tamper>) -> String {
    let right = hmac_sha1(&stamp.secret_key, &v2_text(request, &stamp.expires[1]));
    let (access_key, _, signature) = tampered(tamper, stamp.access_key.clone(), String::new(), right.clone());
    for (name, value) in [("AWSAccessKeyId", access_key), ("Expires", stamp.expires[1].clone().into_bytes())] {
        request.query.push((name.as_bytes().to_vec(), Some(encoded(&value))));
    }
    add_parameter(request, "Signature", &signature, tamper);
    right
}

fn tampered(
    tamper: Option<&Tamper>,
    credential: String,
    names: String,
    signature: String,
) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
    let (mut credential, mut names, mut signature) =
        (credential.into_bytes(), names.into_bytes(), signature.into_bytes());
    match tamper {
        Some(Tamper::Flip) => signature[7] = if signature[7] == b'0' { b'1' } else { b'0' },
        Some(Tamper::Signature(value)) => signature.clone_from(value),
        Some(Tamper::Credential(value)) => credential.clone_from(value),
        Some(Tamper::Names(value)) => names.clone_from(value),
        Some(Tamper::Whole(_) | Tamper::Twice | Tamper::Both) | None => {}
    }
    (credential, names, signature)
}

fn add_authorization(request: &mut Request, value: Vec<u8>, tamper: Option<&Tamper>, stamp: &Stamp) {
    match tamper {
        Some(Tamper::Whole(other)) => request.add("authorization", other),
        Some(Tamper::Twice) => {
            request.add("authorization", &value);
            request.add("authorization", &value);
        }
        Some(Tamper::Both) => {
            request.add("authorization", &value);
            request.query.push((b"AWSAccessKeyId".to_vec(), Some(encoded(stamp.access_key.as_bytes()))));
        }
        Some(Tamper::Flip | Tamper::Signature(_) | Tamper::Credential(_) | Tamper::Names(_)) | None => {
            request.add("authorization", value);
        }
    }
}

fn add_parameter(request: &mut Request, name: &str, value: &[u8], tamper: Option<&Tamper>) {
    let pair = (name.as_bytes().to_vec(), Some(encoded(value)));
    match tamper {
        Some(Tamper::Whole(other)) => request.query.push((name.as_bytes().to_vec(), Some(other.clone()))),
        Some(Tamper::Twice) => request.query.extend([pair.clone(), pair]),
        Some(Tamper::Both) => {
            request.query.push(pair);
            request.add("authorization", "AWS AKIAIOSFODNN7EXAMPLE:frJIUN8DYpKDtOLCwo//yllqDzg=");
        }
        Some(Tamper::Flip | Tamper::Signature(_) | Tamper::Credential(_) | Tamper::Names(_)) | None => {
            request.query.push(pair);
        }
    }
}

/// The names of all headers; what a server adds or takes away by itself is not signed.
fn signed_names(request: &Request) -> String {
    let names = request.headers.iter().map(|(name, _)| String::from_utf8_lossy(name).to_ascii_lowercase());
    let names: BTreeSet<String> =
        names.filter(|name| !matches!(name.as_str(), "authorization" | "content-length")).collect();
    names.into_iter().collect::<Vec<_>>().join(";")
}

/// The values of a header that are text, with single spaces.
fn header_values(request: &Request, name: &str) -> Vec<String> {
    let values = request.headers.iter().filter(|(given, _)| given.eq_ignore_ascii_case(name.as_bytes()));
    let texts = values.filter_map(|(_, value)| std::str::from_utf8(value).ok());
    texts.map(|text| text.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

fn v4_signature(request: &Request, stamp: &Stamp, names: &str, payload: &str) -> String {
    let path = percent_decode(&request.path).decode_utf8_lossy().into_owned();
    let path = path.split('/').map(|part| encoded(part.as_bytes())).collect::<Vec<_>>().join(&b'/');
    let mut query: Vec<(Vec<u8>, Vec<u8>)> = url::form_urlencoded::parse(&request.query_bytes())
        .map(|(name, value)| (encoded(name.as_bytes()), encoded(value.as_bytes())))
        .collect();
    query.sort_by(|one, other| one.0.cmp(&other.0));
    let query: Vec<_> = query.iter().map(|(name, value)| [name, &b"="[..], value].concat()).collect();
    let mut canonical = [&request.method, &b"\n"[..], &path, b"\n", &query.join(&b'&'), b"\n"].concat();
    let mut found = Vec::new();
    for name in names.split(';') {
        let values = header_values(request, name);
        if !values.is_empty() {
            canonical.extend(format!("{name}:{}\n", values.join(",")).bytes());
            found.push(name);
        }
    }
    canonical.extend(format!("\n{}\n{payload}", found.join(";")).bytes());
    stamp.mac_of("AWS4-HMAC-SHA256", &sha256(&canonical))
}

/// Sub-resources that came after version 2, whose signatures do not cover them.
pub(super) const UNKNOWN_TO_V2: [&str; 7] =
    ["attributes", "encryption", "legal-hold", "ownershipControls", "policyStatus", "publicAccessBlock", "retention"];

/// Parameters that a version 2 signature covers, in their order.
const V2_PARAMETERS: &str = "\
    accelerate acl analytics cors delete inventory lifecycle location logging metrics notification object-lock partNumber policy \
    replication requestPayment response-cache-control response-content-disposition response-content-encoding \
    response-content-language response-content-type response-expires restore select tagging torrent uploadId uploads versionId \
    versioning versions website";

/// The value of a header that stands exactly once.
fn only_value(request: &Request, name: &str) -> String {
    let mut values = request.headers.iter().filter(|(given, _)| given.eq_ignore_ascii_case(name.as_bytes()));
    let value = values.next().map(|(_, value)| String::from_utf8_lossy(value).trim().to_owned());
    if values.next().is_some() { String::new() } else { value.unwrap_or_default() }
}

fn v2_text(request: &Request, date: &str) -> String {
    let method = String::from_utf8_lossy(&request.method);
    let (md5, kind) = (only_value(request, "content-md5"), only_value(request, "content-type"));
    let mut text = format!("{method}\n{md5}\n{kind}\n{date}\n");
    for name in signed_names(request).split(';').filter(|name| name.starts_with("x-amz-")) {
        let values = request.headers.iter().filter(|(given, _)| given.eq_ignore_ascii_case(name.as_bytes()));
        let values: Vec<_> = values.filter_map(|(_, value)| std::str::from_utf8(value).ok()).map(str::trim).collect();
        if !values.is_empty() {
            text += &format!("{name}:{}\n", values.join(","));
        }
    }
    text += &String::from_utf8_lossy(&request.path);
    let given: Vec<(String, String)> = url::form_urlencoded::parse(&request.query_bytes()).into_owned().collect();
    let mut mark = '?';
    for name in V2_PARAMETERS.split_whitespace() {
        let mut values = given.iter().filter(|(given, _)| *given == name).map(|(_, value)| value);
        if let (Some(value), None) = (values.next(), values.next()) {
            text.push(mark);
            mark = '&';
            text += name;
            if !value.is_empty() {
                text += &format!("={value}");
            }
        }
    }
    text
}

fn hmac_sha256(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length");
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

fn hmac_sha1(key: &str, text: &str) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(key.as_bytes()).expect("any length");
    mac.update(text.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}
