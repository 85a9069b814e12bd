//! Uploads by HTML form: what the policy allows is stored, and nothing else.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::Digest as _;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::client::{Request, Signature, hmac_sha1, hmac_sha256};
use crate::harness::Endpoint;

/// A form for the bucket of these tests, with a file behind its fields.
pub(crate) fn form(fields: &[(&str, &str)], file: &[u8]) -> Request {
    let mut body = Vec::new();
    for (name, value) in fields {
        body.extend(format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n").bytes());
    }
    let head = "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"C:\\dir\\cat.png\"\r\n\
        Content-Type: image/png\r\n\r\n";
    body.extend(head.bytes());
    body.extend(file);
    body.extend(b"\r\n--x--\r\n");
    Request::new("POST", "/photos")
        .signed(Signature::None)
        .header("content-type", "multipart/form-data; boundary=x")
        .body(body)
}

pub(crate) fn policy(expiration: &str, conditions: &Value) -> String {
    STANDARD.encode(json!({ "expiration": expiration, "conditions": conditions }).to_string())
}

pub(crate) const LATER: &str = "2099-01-01T00:00:00Z";

/// Conditions that allow every key and the fields of these tests.
fn conditions() -> Value {
    json!([
        { "bucket": "photos" },
        ["starts-with", "$key", ""],
        ["starts-with", "$acl", ""],
        ["starts-with", "$content-type", ""],
        ["starts-with", "$success_action_status", ""],
        ["starts-with", "$success_action_redirect", ""],
        ["starts-with", "$x-amz-meta-color", ""],
        ["content-length-range", 3, 100_000],
    ])
}

impl Endpoint {
    /// Posts a form that is signed by signature version 2.
    pub(crate) async fn post(&self, policy: &str, fields: &[(&str, &str)], file: &[u8]) -> Answer {
        let signature = hmac_sha1(&self.ada.secret_key, policy);
        let mut all =
            vec![("AWSAccessKeyId", self.ada.access_key.as_str()), ("policy", policy), ("signature", &signature)];
        all.extend(fields);
        self.ada.send(form(&all, file)).await
    }
}

#[tokio::test]
async fn a_form_becomes_an_object() {
    let endpoint = Endpoint::with_bucket("photos").await;
    let policy = policy(LATER, &conditions());
    let fields =
        [("key", "dir/${filename}"), ("Content-Type", "image/png"), ("x-amz-meta-color", "grey"), ("x-ignore-me", "y")];
    let file: Vec<u8> = (0..90_000_u32).map(|at| at.to_le_bytes()[0]).collect();
    let answer = endpoint.post(&policy, &fields, &file).await;
    assert_eq!(answer.told(), "204", "{}", answer.text());
    assert_eq!(answer.header("location"), Some("/photos/dir/cat.png"));
    let got = endpoint.get("/photos/dir/cat.png").await;
    assert_eq!((got.header("content-type"), got.header("x-amz-meta-color")), (Some("image/png"), Some("grey")));
    assert_eq!(got.body, file);
    assert_eq!(got.header("etag"), answer.header("etag"));

    let created = endpoint.post(&policy, &[("key", "a&b"), ("success_action_status", "201")], b"four").await;
    assert_eq!((created.told().as_str(), created.element("Key").as_str()), ("201", "a&amp;b"));
    let redirected =
        endpoint.post(&policy, &[("key", "c"), ("success_action_redirect", "http://a.lan/done?x=1")], b"four").await;
    assert_eq!(redirected.status, 303);
    let target = redirected.header("location").expect("a target");
    assert!(target.starts_with("http://a.lan/done?x=1&bucket=photos&key=c&etag=%22"), "{target}");
}

#[tokio::test]
async fn a_form_may_be_signed_by_version_4() {
    let endpoint = Endpoint::with_bucket("photos").await;
    let credential = format!("{}/20990101/eu/s3/aws4_request", endpoint.ada.access_key);
    let conditions = json!([
        { "bucket": "photos" },
        ["eq", "$key", "k"],
        { "x-amz-algorithm": "AWS4-HMAC-SHA256" },
        { "x-amz-credential": credential },
        { "x-amz-date": "20990101T000000Z" },
    ]);
    let policy = policy(LATER, &conditions);
    let start = format!("AWS4{}", endpoint.ada.secret_key).into_bytes();
    let key = ["20990101", "eu", "s3", "aws4_request"].iter().fold(start, |key, text| hmac_sha256(&key, text));
    let signature = hex::encode(hmac_sha256(&key, &policy));
    let fields = |signature: &'static str| {
        [
            ("key", "k"),
            ("policy", &*policy),
            ("x-amz-algorithm", "AWS4-HMAC-SHA256"),
            ("x-amz-credential", &*credential),
            ("x-amz-date", "20990101T000000Z"),
            ("x-amz-signature", signature),
        ]
    };
    let good = endpoint.ada.send(form(&fields(signature.leak()), b"x")).await;
    assert_eq!(good.told(), "204", "{}", good.text());
    let bad = endpoint.ada.send(form(&fields("00"), b"x")).await;
    assert_eq!(bad.told(), "403 SignatureDoesNotMatch");
}

#[tokio::test]
async fn what_the_policy_does_not_allow_is_not_stored() {
    let endpoint = Endpoint::with_bucket("photos").await;
    let good = policy(LATER, &conditions());
    let strict = policy(LATER, &json!([{ "bucket": "photos" }, ["starts-with", "$key", "user/"]]));
    let elsewhere = policy(LATER, &json!([{ "bucket": "other" }, ["starts-with", "$key", ""]]));
    let late = policy("2000-01-01T00:00:00Z", &conditions());
    let key = ("key", "k");
    for (policy, fields, file, told) in [
        (&good, vec![key], &b"xy"[..], "400 EntityTooSmall"),
        (&good, vec![key], &[0; 100_001], "400 EntityTooLarge"),
        (&good, vec![key, ("x-amz-meta-size", "large")], b"four", "403 AccessDenied"),
        (&good, vec![], b"four", "400 InvalidArgument"),
        (&good, vec![key, ("acl", "everybody")], b"four", "400 InvalidArgument"),
        (&strict, vec![key], b"four", "403 AccessDenied"),
        (&elsewhere, vec![key], b"four", "403 AccessDenied"),
        (&late, vec![key], b"four", "403 AccessDenied"),
        (&"e30=".to_owned(), vec![key], b"four", "400 InvalidPolicyDocument"),
    ] {
        let answer = endpoint.post(policy, &fields, file).await;
        assert_eq!(answer.told(), told, "{fields:?} {}", answer.text());
    }
    let signature = hmac_sha1(&endpoint.bob.secret_key, &good);
    let of_another = [key, ("AWSAccessKeyId", &endpoint.bob.access_key), ("policy", &good), ("signature", &signature)];
    assert_eq!(endpoint.ada.send(form(&of_another, b"four")).await.told(), "403 AccessDenied");
    let unknown = [key, ("AWSAccessKeyId", "AKIAIOSFODNN7EXAMPLE"), ("policy", &good), ("signature", &signature)];
    assert_eq!(endpoint.ada.send(form(&unknown, b"four")).await.told(), "403 InvalidAccessKeyId");
    let unsigned = [key, ("AWSAccessKeyId", &endpoint.ada.access_key), ("policy", &good)];
    assert_eq!(endpoint.ada.send(form(&unsigned, b"four")).await.told(), "400 InvalidArgument");
    assert_eq!(endpoint.ada.send(form(&[key], b"four")).await.told(), "403 AccessDenied");
    assert!(endpoint.get("/photos").await.elements("Key").is_empty());
}

#[tokio::test]
async fn tags_are_a_document_of_several_lines() {
    let endpoint = Endpoint::with_bucket("photos").await;
    let policy = policy(LATER, &json!([{ "bucket": "photos" }, ["eq", "$key", "k"], ["starts-with", "$tagging", ""]]));
    let document = "<Tagging>\r\n  <TagSet>\n    <Tag><Key>a</Key><Value>b</Value></Tag>\n  </TagSet>\n</Tagging>\n";
    let answer = endpoint.post(&policy, &[("key", "k"), ("tagging", document)], b"four").await;
    assert_eq!(answer.told(), "204", "{}", answer.text());
    let tags = endpoint.get("/photos/k?q:tagging").await;
    assert_eq!((tags.element("Key").as_str(), tags.element("Value").as_str()), ("a", "b"));
    let answer = endpoint.post(&policy, &[("key", "k"), ("tagging", "a=b")], b"four").await;
    assert_eq!(answer.told(), "400 MalformedXML");
}

#[tokio::test]
async fn the_digest_of_a_form_is_checked() {
    let endpoint = Endpoint::with_bucket("photos").await;
    let policy =
        policy(LATER, &json!([{ "bucket": "photos" }, ["eq", "$key", "k"], ["starts-with", "$Content-MD5", ""]]));
    let md5 = STANDARD.encode(md5::Md5::digest(b"four"));
    let post =
        async |file: &[u8], md5: &str| endpoint.post(&policy, &[("key", "k"), ("Content-MD5", md5)], file).await.told();
    assert_eq!(post(b"five", &md5).await, "400 BadDigest");
    assert_eq!(post(b"four", "AAAA").await, "400 InvalidDigest");
    assert_eq!(endpoint.get("/photos/k").await.told(), "404 NoSuchKey");
    assert_eq!(post(b"four", &md5).await, "204");
}

#[tokio::test]
async fn a_form_that_breaks_off_leaves_nothing() {
    let endpoint = Endpoint::with_bucket("photos").await;
    let public = Request::new("PUT", "/photos?q:acl").header("x-amz-acl", "public-read-write");
    assert_eq!(endpoint.ada.send(public).await.told(), "200");
    let whole = form(&[("key", "k")], b"four");
    assert_eq!(endpoint.ada.send(whole.clone()).await.told(), "204", "an open bucket takes forms of everybody");
    let cut = Request { body: whole.body[..whole.body.len() - 9].to_vec(), ..form(&[("key", "cut")], b"four") };
    assert_eq!(endpoint.ada.send(cut).await.told(), "400 IncompleteBody");
    let fields = vec![("x-ignore-a", "b"); 101];
    assert_eq!(endpoint.ada.send(form(&fields, b"four")).await.told(), "400 MaxPostPreDataLengthExceededError");
    let long = "x".repeat(30_000);
    let answer = endpoint.ada.send(form(&[("key", "k2"), ("x-amz-meta-a", &long)], b"four")).await;
    assert_eq!(answer.told(), "400 MaxPostPreDataLengthExceededError");
    let without_file = Request { body: b"--x--\r\n".to_vec(), ..form(&[], b"") };
    assert_eq!(endpoint.ada.send(without_file).await.told(), "400 InvalidArgument");
    assert_eq!(endpoint.get("/photos").await.elements("Key"), ["k"]);
}

#[tokio::test]
async fn a_form_that_does_not_come_to_its_file_is_refused() {
    let endpoint = Endpoint::with_bucket("photos").await;
    let file = b"--x\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nfour\r\n--x--\r\n";
    let much = vec![b'-'; 3 << 20];
    let header = [&b"--x\r\nContent-Disposition: form-data; name=\"a\"; of=\""[..], &much].concat();
    let padding = [&b"--x"[..], &vec![b' '; 3 << 20]].concat();
    let value = [&b"--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n"[..], &much].concat();
    let nothing = b"--x\r\nContent-Disposition: form-data; name=\"\"\r\n\r\n\r\n".repeat(50_000);
    for start in [much.clone(), header, padding, value, nothing] {
        let body = [&start[..], b"\r\n", file].concat();
        let answer = endpoint.ada.send(Request { body, ..form(&[], b"") }).await;
        let start = String::from_utf8_lossy(&start[..60]);
        assert_eq!(answer.told(), "400 MaxPostPreDataLengthExceededError", "{start:?}");
    }
    let public = Request::new("PUT", "/photos?q:acl").header("x-amz-acl", "public-read-write");
    assert_eq!(endpoint.ada.send(public).await.told(), "200");
    let many: Vec<String> = (0..99).map(|number| format!("x-ignore-{number}")).collect();
    let fields: Vec<(&str, &str)> =
        [("key", "large")].into_iter().chain(many.iter().map(|name| (&**name, "b"))).collect();
    let large = form(&fields, &vec![b'x'; 3 << 20]);
    assert_eq!(endpoint.ada.send(large.clone()).await.told(), "204", "as many fields as a form may have");
    let body = String::from_utf8(large.body.clone()).expect("text").replace("name=\"file\"", "name=\"File\"");
    let stored = endpoint.ada.send(Request { body: body.into_bytes(), ..large }).await;
    assert_eq!(stored.told(), "204", "{}", stored.text());
}

#[tokio::test]
async fn a_bucket_judges_what_the_fields_say() {
    let endpoint = Endpoint::with_bucket("photos").await;
    let denying = r#"{"Statement":{"Effect":"Deny","Principal":"*","Action":"s3:PutObject","Resource":"arn:aws:s3:::photos/*",
        "Condition":{"StringNotEquals":{"s3:x-amz-server-side-encryption":"AES256"}}}}"#;
    assert_eq!(endpoint.ada.send(Request::new("PUT", "/photos?q:policy").body(denying)).await.status, 204);
    let conditions = json!([{ "bucket": "photos" }, ["starts-with", "$key", ""], ["starts-with", "$x-amz-server-side-encryption", ""]]);
    let policy = policy(LATER, &conditions);
    let signature = hmac_sha1(&endpoint.ada.secret_key, &policy);
    let signed = [
        ("AWSAccessKeyId", endpoint.ada.access_key.as_str()),
        ("policy", policy.as_str()),
        ("signature", &signature),
        ("key", "k"),
    ];
    let header = form(&signed, b"four").header("x-amz-server-side-encryption", "AES256");
    assert_eq!(endpoint.ada.send(header).await.told(), "403 AccessDenied", "the header of the request says nothing");
    let mut fields = signed.to_vec();
    fields.push(("x-amz-server-side-encryption", "AES256"));
    let stored = endpoint.ada.send(form(&fields, b"four")).await;
    assert_eq!(stored.told(), "204", "{}", stored.text());
}

#[tokio::test]
async fn metadata_that_no_header_could_show_is_refused() {
    let endpoint = Endpoint::with_bucket("photos").await;
    let conditions =
        json!([{ "bucket": "photos" }, ["starts-with", "$key", ""], ["starts-with", "$x-amz-meta-a b", ""]]);
    let answer = endpoint.post(&policy(LATER, &conditions), &[("key", "k"), ("x-amz-meta-a b", "c")], b"four").await;
    assert_eq!(answer.told(), "400 InvalidArgument", "{}", answer.text());
    assert_eq!(endpoint.get("/photos/k").await.told(), "404 NoSuchKey");
}
