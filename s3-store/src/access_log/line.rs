//! The line of a request in the log of a bucket, with the fields of S3 in their order.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, HOST, REFERER, USER_AGENT};
use http::{HeaderMap, Method, StatusCode, Uri, Version};
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use crate::context::RequestContext;

const TIME: &[BorrowedFormatItem<'_>] =
    format_description!("[[[day]/[month repr:short]/[year]:[hour]:[minute]:[second] +0000]");
/// What would end a quoted field early, or the line.
const QUOTED: &AsciiSet = &CONTROLS.add(b'"');
/// What would end a field without quotes early.
const WORD: &AsciiSet = &CONTROLS.add(b' ');
/// What stays as it is in a key.
const KEY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// A request as it came.
pub(crate) struct Asked {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) version: Version,
    pub(crate) headers: HeaderMap,
    pub(crate) peer: Option<IpAddr>,
    pub(crate) started: Instant,
    /// When that was, in microseconds of the Unix epoch.
    pub(crate) started_us: i64,
}

/// A key that one request for many deletions named.
#[derive(Clone, Debug)]
pub(crate) struct DeletedKey {
    pub(crate) key: String,
    pub(crate) version_id: Option<String>,
    /// The code of the error when it was not deleted.
    pub(crate) error: Option<String>,
}

/// A request and its answer.
pub(crate) struct Line {
    pub(crate) asked: Asked,
    pub(crate) context: RequestContext,
    pub(crate) bucket: String,
    /// Whether the host names the bucket, so that the whole path is the key.
    pub(crate) host_is_bucket: bool,
    pub(crate) status: StatusCode,
    pub(crate) answer_headers: HeaderMap,
}

impl Line {
    /// The line of the request, and those of the keys that it deleted.
    pub(crate) fn lines(&self, owner: &str, sent_bytes: u64, times: (Duration, Duration)) -> Vec<String> {
        let whole = self.line(owner, sent_bytes, times);
        let of_key = |deleted: &DeletedKey| self.line_of_key(owner, deleted);
        std::iter::once(whole).chain(self.context.deleted_keys().iter().map(of_key)).collect()
    }

    fn line(&self, owner: &str, sent_bytes: u64, (total, turnaround): (Duration, Duration)) -> String {
        let answer = |name| self.answer_headers.get(name).and_then(|value| value.to_str().ok());
        let fields = [
            self.operation(),
            or_none(encoded_key(self.key())),
            quoted(&format!("{} {} {:?}", self.asked.method, self.target(), self.asked.version)),
            self.status.as_u16().to_string(),
            or_none(self.context.error_code().unwrap_or_default()),
            count(sent_bytes),
            self.object_size_bytes().map_or_else(none, |size| size.to_string()),
            total.as_millis().to_string(),
            turnaround.as_millis().to_string(),
            self.header(REFERER.as_str()),
            self.header(USER_AGENT.as_str()),
            or_none(answer("x-amz-version-id").unwrap_or_default()),
        ];
        format!("{} {} {}", self.head(owner), fields.join(" "), self.tail())
    }

    /// Of such a key no more is told than what became of it.
    fn line_of_key(&self, owner: &str, deleted: &DeletedKey) -> String {
        let fields = [
            "BATCH.DELETE.OBJECT".to_owned(),
            or_none(utf8_percent_encode(&deleted.key, KEY).to_string()),
            none(),
            if deleted.error.is_some() { none() } else { StatusCode::NO_CONTENT.as_u16().to_string() },
            or_none(deleted.error.as_deref().unwrap_or_default()),
            none(),
            none(),
            none(),
            none(),
            none(),
            none(),
            or_none(deleted.version_id.as_deref().unwrap_or_default()),
        ];
        format!("{} {} {}", self.head(owner), fields.join(" "), self.tail())
    }

    /// From the owner to the id of the request.
    fn head(&self, owner: &str) -> String {
        let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.asked.started_us) * 1000);
        let time = time.ok().and_then(|time| time.format(TIME).ok()).unwrap_or_else(none);
        let peer = self.asked.peer.map_or_else(none, |peer| peer.to_canonical().to_string());
        let requester = or_none(self.context.requester().unwrap_or_default());
        format!("{owner} {} {time} {peer} {requester} {}", self.bucket, self.context.request_id())
    }

    /// From the second id of the request to the end. Ciphers and versions of TLS, access points and whether a list was needed are not
    /// known here.
    fn tail(&self) -> String {
        let (signature, place) = self.signature();
        let host = self.asked.headers.get(HOST).and_then(|host| host.to_str().ok());
        let host = host.or_else(|| self.asked.uri.authority().map(http::uri::Authority::as_str));
        let host = or_none(utf8_percent_encode(host.unwrap_or_default(), WORD).to_string());
        format!("{} {signature} - {place} {host} - - -", self.context.host_id())
    }

    /// Path and query as they came, but for what would let somebody else send the request again.
    fn target(&self) -> String {
        let Some(query) = self.asked.uri.query() else { return self.asked.uri.path().to_owned() };
        let proofs = ["x-amz-signature", "x-amz-security-token", "signature"];
        let shown = query.split('&').map(|pair| match pair.split_once('=') {
            Some((name, _)) if proofs.contains(&name.to_ascii_lowercase().as_str()) => format!("{name}=-"),
            Some(_) | None => pair.to_owned(),
        });
        format!("{}?{}", self.asked.uri.path(), shown.collect::<Vec<_>>().join("&"))
    }

    fn header(&self, name: &str) -> String {
        let value = self.asked.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        quoted(value.as_deref().unwrap_or("-"))
    }

    /// The key as it stands in the path.
    fn key(&self) -> &str {
        let path = self.asked.uri.path();
        let path = path.strip_prefix('/').unwrap_or(path);
        if self.host_is_bucket { path } else { path.split_once('/').map_or("", |(_, key)| key) }
    }

    /// How it was signed, when somebody was known by that: the version, and where.
    fn signature(&self) -> (&'static str, &'static str) {
        if self.context.requester().is_none() {
            return ("-", "-");
        }
        let header = self.asked.headers.get(AUTHORIZATION).map_or(&b""[..], |value| value.as_bytes());
        let query = self.asked.uri.query().unwrap_or_default();
        match (header.is_empty(), header.starts_with(b"AWS4-"), query.contains("X-Amz-Signature=")) {
            (false, true, _) => ("SigV4", "AuthHeader"),
            (false, false, _) => ("SigV2", "AuthHeader"),
            (true, _, true) => ("SigV4", "QueryString"),
            (true, _, false) if query.contains("Signature=") => ("SigV2", "QueryString"),
            // The proof of a form stands among its fields.
            (true, _, false) => ("-", "-"),
        }
    }

    fn object_size_bytes(&self) -> Option<u64> {
        let number = |headers: &HeaderMap, name: &str| headers.get(name)?.to_str().ok()?.parse().ok();
        match self.context.operation() {
            Some("GetObject" | "HeadObject") if self.status.is_success() => {
                let range = self.answer_headers.get(CONTENT_RANGE).and_then(|range| range.to_str().ok());
                match range.and_then(|range| range.rsplit_once('/')) {
                    Some((_, whole)) => whole.parse().ok(),
                    None => number(&self.answer_headers, CONTENT_LENGTH.as_str()),
                }
            }
            Some("PutObject" | "UploadPart") => {
                let decoded = number(&self.asked.headers, "x-amz-decoded-content-length");
                decoded.or_else(|| number(&self.asked.headers, CONTENT_LENGTH.as_str()))
            }
            Some(_) | None => None,
        }
    }

    fn operation(&self) -> String {
        let method = self.asked.method.as_str();
        match self.context.operation() {
            Some("WebsiteGet") => format!("WEBSITE.{method}.OBJECT"),
            Some("CopyObject") => "REST.COPY.OBJECT".to_owned(),
            Some("UploadPartCopy") => "REST.COPY.PART".to_owned(),
            Some(operation) => format!("REST.{method}.{}", resource(operation, self.key().is_empty())),
            None => format!("REST.{method}.{}", if self.key().is_empty() { "BUCKET" } else { "OBJECT" }),
        }
    }
}

/// What an operation is about, in the words of these logs.
fn resource(operation: &str, is_bucket: bool) -> &'static str {
    match operation {
        "GetBucketLocation" => "LOCATION",
        "GetBucketVersioning" | "PutBucketVersioning" => "VERSIONING",
        "GetBucketAcl" | "PutBucketAcl" | "GetObjectAcl" | "PutObjectAcl" => "ACL",
        "ListObjectVersions" => "BUCKETVERSIONS",
        "ListMultipartUploads" | "CreateMultipartUpload" => "UPLOADS",
        "CompleteMultipartUpload" | "AbortMultipartUpload" | "ListParts" => "UPLOAD",
        "UploadPart" => "PART",
        "DeleteObjects" => "MULTI_OBJECT_DELETE",
        "GetObjectAttributes" => "OBJECT_ATTRIBUTES",
        "GetObjectTagging" | "PutObjectTagging" | "DeleteObjectTagging" => "OBJECT_TAGGING",
        "GetBucketTagging" | "PutBucketTagging" | "DeleteBucketTagging" => "TAGGING",
        "GetBucketCors" | "PutBucketCors" | "DeleteBucketCors" => "CORS",
        "GetBucketEncryption" | "PutBucketEncryption" | "DeleteBucketEncryption" => "ENCRYPTION",
        "GetBucketOwnershipControls" | "PutBucketOwnershipControls" | "DeleteBucketOwnershipControls" => {
            "OWNERSHIP_CONTROLS"
        }
        "GetBucketPolicy" | "PutBucketPolicy" | "DeleteBucketPolicy" => "BUCKETPOLICY",
        "GetBucketPolicyStatus" => "POLICY_STATUS",
        "GetPublicAccessBlock" | "PutPublicAccessBlock" | "DeletePublicAccessBlock" => "PUBLIC_ACCESS_BLOCK",
        "GetBucketLifecycleConfiguration" | "PutBucketLifecycleConfiguration" | "DeleteBucketLifecycle" => "LIFECYCLE",
        "GetObjectLockConfiguration" | "PutObjectLockConfiguration" => "OBJECT_LOCK_CONFIGURATION",
        "GetObjectLegalHold" | "PutObjectLegalHold" => "OBJECT_LOCK_LEGALHOLD",
        "GetObjectRetention" | "PutObjectRetention" => "OBJECT_LOCK_RETENTION",
        "GetBucketWebsite" | "PutBucketWebsite" | "DeleteBucketWebsite" => "WEBSITE",
        "GetBucketNotificationConfiguration" | "PutBucketNotificationConfiguration" => "NOTIFICATION",
        "GetBucketRequestPayment" | "PutBucketRequestPayment" => "REQUEST_PAYMENT",
        "GetBucketAccelerateConfiguration" | "PutBucketAccelerateConfiguration" => "ACCELERATE",
        "GetBucketReplication" | "DeleteBucketReplication" => "REPLICATION",
        "GetBucketLogging" | "PutBucketLogging" => "LOGGING_STATUS",
        _ if is_bucket => "BUCKET",
        _ => "OBJECT",
    }
}

fn none() -> String {
    "-".to_owned()
}

fn or_none(text: impl Into<String>) -> String {
    let text = text.into();
    if text.is_empty() { none() } else { text }
}

/// Nothing sent is told as no number.
fn count(bytes: u64) -> String {
    if bytes == 0 { none() } else { bytes.to_string() }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", utf8_percent_encode(text, QUOTED))
}

/// A key of a path in one form, however the client wrote it.
fn encoded_key(key: &str) -> String {
    let bytes: Vec<u8> = percent_encoding::percent_decode_str(key).collect();
    percent_encoding::percent_encode(&bytes, KEY).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(method: &str, uri: &str, operation: &'static str) -> Line {
        let context = RequestContext::new();
        context.set_operation(operation);
        let headers = [("host", "s3.lan"), ("user-agent", "a \"b\""), ("authorization", "AWS4-HMAC-SHA256 x")];
        Line {
            asked: Asked {
                method: method.parse().expect("a method"),
                uri: uri.parse().expect("a target"),
                version: Version::HTTP_11,
                headers: headers
                    .into_iter()
                    .map(|(name, value)| (name.parse().expect("name"), value.parse().expect("value")))
                    .collect(),
                peer: Some("::ffff:10.0.0.1".parse().expect("an address")),
                started: Instant::now(),
                started_us: 1_763_812_702_123_456,
            },
            context,
            bucket: "b".to_owned(),
            host_is_bucket: false,
            status: StatusCode::OK,
            answer_headers: [("content-range", "bytes 0-3/10")]
                .into_iter()
                .map(|(name, value)| (name.parse().expect("name"), value.parse().expect("value")))
                .collect(),
        }
    }

    fn text(line: &Line) -> String {
        let ids = [line.context.request_id(), line.context.host_id()];
        let lines = line.lines("owner", 4, (Duration::from_millis(7), Duration::from_millis(3)));
        ids.iter().fold(lines.join("|"), |text, id| text.replace(id, "ID"))
    }

    #[test]
    fn a_line_has_the_fields_of_s3() {
        let mut get = line("GET", "/b/a%20b/c?versionId=v", "GetObject");
        assert_eq!(
            text(&get),
            "owner b [22/Nov/2025:11:58:22 +0000] 10.0.0.1 - ID REST.GET.OBJECT a%20b/c \
             \"GET /b/a%20b/c?versionId=v HTTP/1.1\" 200 - 4 10 7 3 \"-\" \"a %22b%22\" - ID - - - s3.lan - - -"
        );
        get.host_is_bucket = true;
        assert!(text(&get).contains(" b/a%20b/c \"GET"));
        let signed = text(&line("GET", "/b/k?X-Amz-Signature=abc&x-amz-security-Token=t&a=b", "GetObject"));
        assert!(signed.contains("\"GET /b/k?X-Amz-Signature=-&x-amz-security-Token=-&a=b HTTP/1.1\""), "{signed}");
        assert!(text(&line("GET", "/b?list-type=2", "ListObjectsV2")).contains(" REST.GET.BUCKET - "));
        assert!(text(&line("GET", "/b/k", "WebsiteGet")).contains(" WEBSITE.GET.OBJECT k "));
        assert!(text(&line("PUT", "/b/k", "CopyObject")).contains(" REST.COPY.OBJECT k "));
    }

    #[test]
    fn each_key_of_many_has_its_line() {
        let many = line("POST", "/b?delete", "DeleteObjects");
        let gone = DeletedKey { key: "a b".to_owned(), version_id: Some("v".to_owned()), error: None };
        let kept = DeletedKey { key: "c".to_owned(), version_id: None, error: Some("AccessDenied".to_owned()) };
        many.context.set_deleted_keys(vec![gone, kept]);
        let text = text(&many);
        let lines: Vec<&str> = text.split('|').collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[0].contains(" REST.POST.MULTI_OBJECT_DELETE - "), "{text}");
        assert!(lines[1].contains(" BATCH.DELETE.OBJECT a%20b - 204 - - - - - - - v ID "), "{text}");
        assert!(lines[2].contains(" BATCH.DELETE.OBJECT c - - AccessDenied "), "{text}");
    }

    #[test]
    fn every_operation_has_a_word() {
        for offered in crate::OPERATIONS {
            let is_bucket = offered.target != crate::Target::Object;
            let word = resource(offered.name, is_bucket);
            let is_plain =
                offered.query.is_empty() || offered.query == "list-type=2" || offered.name == "UploadPartCopy";
            assert_eq!(matches!(word, "BUCKET" | "OBJECT"), is_plain, "{}: {word}", offered.name);
        }
    }
}
