//! Every operation that is offered is refused to whom the bucket does not belong; every other is refused to all.

use s3_store::{OPERATIONS, OfferedOperation, Target};

use crate::answer::Answer;
use crate::client::{Client, Request, Signature};
use crate::harness::Endpoint;

/// The request of an operation on `bucket`, with its key and upload.
pub(crate) fn request(operation: &OfferedOperation, bucket: &str, upload: &str) -> Request {
    let path = match operation.target {
        Target::Service => "/".to_owned(),
        Target::Bucket => format!("/{bucket}"),
        Target::Object => format!("/{bucket}/key"),
    };
    let query = operation.query.replace("{upload}", upload);
    let request = Request::new(operation.method, &format!("{path}?q:{query}")).body(operation.body);
    match operation.header {
        Some((name, value)) => request.header(name, &value.replace("{source}", &format!("{bucket}/key"))),
        None => request,
    }
}

pub(crate) async fn with_upload() -> (Endpoint, String) {
    let endpoint = Endpoint::with_bucket("photos").await;
    endpoint.put("/photos/key", b"content").await;
    let begun = endpoint.ada.send(Request::new("POST", "/photos/key?q:uploads")).await;
    let upload = begun.element("UploadId");
    assert_eq!(upload.len(), 32, "{}", begun.text());
    (endpoint, upload)
}

/// What nobody may learn from a refusal: who owns the bucket `photos` and by which keys, what is in it, how it is kept.
pub(crate) fn tells_nothing(endpoint: &Endpoint, operation: &str, answer: &Answer) {
    const MD5_OF_CONTENT: &str = "9a0364b9e99bb480dd25e1f0284c8555";
    let told = format!("{:?} {}", answer.headers, answer.text()).to_ascii_lowercase();
    let owner = [endpoint.ada_id.as_str(), &endpoint.ada.access_key, &endpoint.ada.secret_key];
    // The whole path: a few characters of it may stand in the random id of an answer.
    let path = endpoint.data.path().to_string_lossy();
    for secret in
        owner.into_iter().chain([MD5_OF_CONTENT, "last-modified", "x-amz-version-id", "sqlite", &path, ".rs:"])
    {
        assert!(!told.contains(&secret.to_ascii_lowercase()), "{operation} tells {secret}: {told}");
    }
}

#[tokio::test]
async fn strangers_are_refused_everything() {
    let (endpoint, upload) = with_upload().await;
    for operation in OPERATIONS {
        let request = request(operation, "photos", &upload);
        let anonymous = endpoint.ada.send(request.clone().signed(Signature::None)).await;
        assert_eq!(anonymous.status, 403, "{} by nobody: {}", operation.name, anonymous.text());
        tells_nothing(&endpoint, operation.name, &anonymous);
        let stranger = endpoint.bob.send(request).await;
        tells_nothing(&endpoint, operation.name, &stranger);
        match operation.name {
            // A user may list its own buckets, and is told that the name is taken.
            "ListBuckets" => assert!(stranger.elements("Name").is_empty(), "{}", stranger.text()),
            "CreateBucket" => assert_eq!(stranger.told(), "409 BucketAlreadyExists"),
            // Each of many has an answer of its own.
            "DeleteObjects" => assert_eq!(stranger.elements("Code"), ["AccessDenied"], "{}", stranger.text()),
            name => assert_eq!(stranger.status, 403, "{name} by a stranger: {}", stranger.text()),
        }
    }
    let kept = endpoint.get("/photos/key").await;
    assert_eq!(kept.text(), "content");
    let parts = endpoint.ada.send(Request::new("GET", "/photos/key").query("uploadId", &upload)).await;
    assert_eq!(parts.told(), "200", "the upload is still there");
    assert!(parts.elements("Part").is_empty());
}

#[tokio::test]
async fn owners_are_answered() {
    for operation in OPERATIONS {
        let (endpoint, upload) = with_upload().await;
        let answer = endpoint.ada.send(request(operation, "photos", &upload)).await;
        let told = answer.told();
        let fits = match operation.name {
            "DeleteBucket" => told == "409 BucketNotEmpty",
            "CompleteMultipartUpload" => told == "400 InvalidPart",
            // An object onto itself, unchanged.
            "CopyObject" => told == "400 InvalidRequest",
            // The bucket has no object lock, and keeps no versions that it could lock.
            "PutObjectLockConfiguration" => told == "409 InvalidBucketState",
            name if name.ends_with("ObjectRetention") || name.ends_with("ObjectLegalHold") => {
                told == "400 InvalidRequest"
            }
            name if name.starts_with("Get") && told.starts_with("404 ") => {
                told.ends_with("Error") || told.starts_with("404 NoSuch")
            }
            _ => matches!(told.as_str(), "200" | "204"),
        };
        assert!(fits, "{}: {told} {}", operation.name, answer.text());
    }
}

#[tokio::test]
async fn a_bucket_that_does_not_exist_is_said_so() {
    let endpoint = Endpoint::start().await;
    for operation in
        OPERATIONS.iter().filter(|operation| operation.target != Target::Service && operation.name != "CreateBucket")
    {
        let answer = endpoint.ada.send(request(operation, "nothing-here", &"0".repeat(32))).await;
        assert_eq!(answer.status, 404, "{}: {}", operation.name, answer.text());
        if operation.method != "HEAD" {
            assert_eq!(answer.told(), "404 NoSuchBucket", "{}", operation.name);
        }
    }
}

#[tokio::test]
async fn what_is_not_offered_is_said_so() {
    let endpoint = Endpoint::with_bucket("photos").await;
    endpoint.put("/photos/key", b"content").await;
    for (method, path) in [
        ("PUT", "/photos?q:replication"),
        ("GET", "/photos/key?q:torrent"),
        ("GET", "/photos?q:inventory"),
        ("POST", "/photos/key?q:restore"),
        ("POST", "/photos/key?q:select&select-type=2"),
    ] {
        let answer =
            endpoint.ada.send(Request::new(method, path).body(if method == "GET" { "" } else { "<X/>" })).await;
        assert_eq!(answer.told(), "501 NotImplemented", "{method} {path} {}", answer.text());
        assert!(answer.text().contains("<Message>"), "{}", answer.text());
    }
    for (method, path) in [
        ("POST", "/photos/key"),
        ("POST", "/"),
        ("PATCH", "/photos/key"),
        ("TRACE", "/photos"),
        ("get", "/photos"),
        ("PROPFIND", "/"),
    ] {
        let answer = endpoint.ada.send(Request::new(method, path).body("<X/>")).await;
        assert_eq!(answer.told(), "405 MethodNotAllowed", "{method} {path} {}", answer.text());
    }
    assert_eq!(endpoint.get("/photos/key").await.text(), "content");
    for (path, document) in [
        (
            "/photos?q:requestPayment",
            "<RequestPaymentConfiguration><Payer>Requester</Payer></RequestPaymentConfiguration>",
        ),
        ("/photos?q:accelerate", "<AccelerateConfiguration><Status>Enabled</Status></AccelerateConfiguration>"),
    ] {
        let answer = endpoint.ada.send(Request::new("PUT", path).body(document)).await;
        assert_eq!(answer.told(), "501 NotImplemented", "{path} {}", answer.text());
        let refused = endpoint.bob.send(Request::new("PUT", path).body(document)).await;
        assert_eq!(refused.told(), "403 AccessDenied", "{path}");
    }
    assert_eq!(endpoint.get("/photos?q:requestPayment").await.element("Payer"), "BucketOwner");
}

#[tokio::test]
async fn a_subresource_never_becomes_the_plain_operation() {
    let endpoint = Endpoint::with_bucket("empty").await;
    for (method, path) in [
        ("DELETE", "/empty?q:acl"),
        ("DELETE", "/empty?q:versioning"),
        ("DELETE", "/empty?q:whatever"),
        ("DELETE", "/empty?q:uploads"),
        ("PUT", "/empty/key?q:cors"),
        ("PUT", "/empty/key?q:uploads"),
        ("PUT", "/empty/key?q:uploadId=00000000000000000000000000000000"),
        ("PUT", "/empty/key?q:partNumber=1"),
        ("PUT", "/empty/key?q:renameObject"),
        ("PUT", "/other?q:metadataConfiguration"),
        ("GET", "/empty/key?q:uploads"),
    ] {
        let answer = endpoint.ada.send(Request::new(method, path)).await;
        assert_eq!(answer.told(), "405 MethodNotAllowed", "{method} {path} {}", answer.text());
    }
    let listed = endpoint.ada.send(Request::new("GET", "/")).await;
    assert_eq!(listed.elements("Name"), ["empty"]);
    assert!(endpoint.get("/empty").await.elements("Key").is_empty());
}

#[tokio::test]
async fn a_suspended_user_is_refused_everything() {
    let (endpoint, upload) = with_upload().await;
    let group = engine::GroupId::new("acme").expect("an id");
    let user = engine::UserId::new("ada").expect("an id");
    let change = engine::UserChange { active: Some(false), ..Default::default() };
    endpoint.engine.change_user(&engine::Caller::LocalOperator, &group, &user, change).await.expect("suspended");
    let ada: &Client = &endpoint.ada;
    for operation in OPERATIONS {
        let answer = ada.send(request(operation, "photos", &upload)).await;
        assert_eq!(answer.status, 403, "{}", operation.name);
    }
}
