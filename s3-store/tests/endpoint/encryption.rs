//! Server-side encryption: what headers ask for and answers say.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};
use s3_store::Settings;

use crate::client::{Payload, Request, Signature};
use crate::harness::Endpoint;

const ALGORITHM: &str = "x-amz-server-side-encryption";
const KMS_KEY: &str = "x-amz-server-side-encryption-aws-kms-key-id";

/// An endpoint that takes the keys of customers on its plain door, with a bucket.
async fn trusting() -> Endpoint {
    let settings = Settings { customer_keys_need_tls: false, ..Settings::default() };
    let endpoint = Endpoint::start_with(settings).await;
    endpoint.make_bucket("photos").await;
    endpoint
}

/// A request with the key that consists of a number.
fn with_key(request: Request, prefix: &str, number: u8) -> Request {
    let key = [number; 32];
    request
        .header(&format!("{prefix}-customer-algorithm"), "AES256")
        .header(&format!("{prefix}-customer-key"), &STANDARD.encode(key))
        .header(&format!("{prefix}-customer-key-MD5"), &STANDARD.encode(Md5::digest(key)))
}

fn put(key: &str) -> Request {
    Request::new("PUT", &format!("/photos/{key}")).body("content")
}

#[tokio::test]
async fn answers_say_how_an_object_is_encrypted() {
    let endpoint = Endpoint::with_bucket("photos").await;
    let managed = endpoint.ada.send(put("managed").header(ALGORITHM, "AES256")).await;
    let kms = endpoint.ada.send(put("kms").header(ALGORITHM, "aws:kms")).await;
    assert_eq!((managed.header(ALGORITHM), managed.header(KMS_KEY)), (Some("AES256"), None));
    assert_eq!((kms.header(ALGORITHM), kms.header(KMS_KEY)), (Some("aws:kms"), Some("aws/s3")));
    for method in ["GET", "HEAD"] {
        let read = endpoint.ada.send(Request::new(method, "/photos/kms")).await;
        assert_eq!((read.header(ALGORITHM), read.header(KMS_KEY)), (Some("aws:kms"), Some("aws/s3")), "{method}");
        let wrong = endpoint.ada.send(Request::new(method, "/photos/kms").header(ALGORITHM, "aws:kms")).await;
        assert_eq!(wrong.status, 400, "{method}");
    }
    let unknown = endpoint.ada.send(put("x").header(ALGORITHM, "aws:kms").header(KMS_KEY, "nobody")).await;
    assert_eq!(unknown.told(), "400 KMS.NotFoundException");
    endpoint.put("/photos/open", b"content").await;
    assert_eq!(endpoint.get("/photos/open").await.header(ALGORITHM), None);
}

#[tokio::test]
async fn a_customers_key_is_shown_with_every_request() {
    let endpoint = trusting().await;
    let stored = endpoint.ada.send(with_key(put("key"), ALGORITHM, 1)).await;
    assert_eq!(stored.told(), "200");
    assert_eq!(stored.header("x-amz-server-side-encryption-customer-algorithm"), Some("AES256"));
    assert!(stored.header("x-amz-server-side-encryption-customer-key-md5").is_some());
    let read = |number: Option<u8>| {
        let get = Request::new("GET", "/photos/key");
        number.map_or_else(|| get.clone(), |number| with_key(get.clone(), ALGORITHM, number))
    };
    let right = endpoint.ada.send(read(Some(1))).await;
    assert_eq!((right.told().as_str(), right.text().as_str()), ("200", "content"));
    assert_eq!(endpoint.ada.send(read(Some(2))).await.told(), "400 InvalidRequest");
    assert_eq!(endpoint.ada.send(read(None)).await.told(), "400 InvalidRequest");

    let copy = |source: u8| {
        let copy = Request::new("PUT", "/photos/copy").header("x-amz-copy-source", "/photos/key");
        with_key(with_key(copy, "x-amz-copy-source-server-side-encryption", source), ALGORITHM, 3)
    };
    assert_eq!(endpoint.ada.send(copy(2)).await.told(), "400 InvalidRequest");
    assert_eq!(endpoint.ada.send(copy(1)).await.told(), "200");
    let copied = endpoint.ada.send(with_key(Request::new("GET", "/photos/copy"), ALGORITHM, 3)).await;
    assert_eq!(copied.text(), "content");
}

#[tokio::test]
async fn what_a_policy_refuses_is_refused_before_headers_are_judged() {
    let endpoint = trusting().await;
    let policy = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Principal": "*", "Action": "s3:PutObject",
        "Resource": "arn:aws:s3:::photos/*", "Condition": {"StringNotEquals": {"s3:x-amz-server-side-encryption": "AES256"}}}]}"#;
    let set = endpoint.ada.send(Request::new("PUT", "/photos?q:policy").body(policy)).await;
    assert_eq!(set.told(), "204", "{}", set.text());
    assert_eq!(endpoint.ada.send(put("key").header(ALGORITHM, "AES192")).await.told(), "403 AccessDenied");
    assert_eq!(endpoint.ada.send(put("key")).await.told(), "403 AccessDenied");
    assert_eq!(endpoint.ada.send(put("key").header(ALGORITHM, "AES256")).await.told(), "200");
}

#[tokio::test]
async fn a_customers_key_is_not_taken_in_the_open() {
    let endpoint = Endpoint::with_bucket("photos").await;
    assert_eq!(endpoint.ada.send(with_key(put("key"), ALGORITHM, 1)).await.told(), "400 InvalidRequest");
    assert_eq!(endpoint.get("/photos/key").await.told(), "404 NoSuchKey");
}

#[tokio::test]
async fn a_bucket_has_a_default_until_it_is_taken_away() {
    let endpoint = Endpoint::with_bucket("photos").await;
    let set = |algorithm: &str, key: &str| {
        let document = format!(
            "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>{algorithm}</SSEAlgorithm>\
             {key}</ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>"
        );
        endpoint.ada.send(Request::new("PUT", "/photos?q:encryption").body(document))
    };
    let shown = async || endpoint.get("/photos?q:encryption").await;
    assert_eq!(shown().await.told(), "404 ServerSideEncryptionConfigurationNotFoundError");
    assert_eq!(set("AES256", "").await.told(), "200");
    assert_eq!(shown().await.element("SSEAlgorithm"), "AES256");
    assert_eq!(endpoint.put("/photos/key", b"x").await.header(ALGORITHM), Some("AES256"));
    assert_eq!(set("aws:kms", "").await.told(), "200");
    assert_eq!(endpoint.put("/photos/key", b"x").await.header(ALGORITHM), Some("aws:kms"));
    assert_eq!(set("AES256", "<KMSMasterKeyID>k</KMSMasterKeyID>").await.told(), "400 InvalidArgument");
    assert_eq!(set("rot13", "").await.told(), "400 MalformedXML");
    assert_eq!(endpoint.ada.send(Request::new("DELETE", "/photos?q:encryption")).await.told(), "204");
    assert_eq!(endpoint.put("/photos/key", b"x").await.header(ALGORITHM), None);
}

/// Today's SDKs say in the same document which ways of encryption a bucket blocks.
#[tokio::test]
async fn a_bucket_blocks_no_way_of_encryption() {
    let endpoint = Endpoint::with_bucket("photos").await;
    let set = |blocked: &str| {
        let document = format!(
            "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>aws:kms</SSEAlgorithm>\
             </ApplyServerSideEncryptionByDefault><BucketKeyEnabled>true</BucketKeyEnabled><BlockedEncryptionTypes>{blocked}\
             </BlockedEncryptionTypes></Rule></ServerSideEncryptionConfiguration>"
        );
        Request::new("PUT", "/photos?q:encryption").body(document)
    };
    let (none, customers) = ("<EncryptionType>NONE</EncryptionType>", "<EncryptionType>SSE-C</EncryptionType>");
    for (blocked, told) in [
        (customers.to_owned(), "501 NotImplemented"),
        (format!("{none}{customers}"), "501 NotImplemented"),
        ("<EncryptionType><a/></EncryptionType>".to_owned(), "400 MalformedXML"),
        (format!("{none}</BlockedEncryptionTypes><Other/><BlockedEncryptionTypes>"), "400 MalformedXML"),
    ] {
        assert_eq!(endpoint.ada.send(set(&blocked)).await.told(), told, "{blocked}");
    }
    for refused in [set(none), set(customers)] {
        assert_eq!(endpoint.bob.send(refused.clone()).await.told(), "403 AccessDenied");
        assert_eq!(endpoint.bob.send(refused.clone().signed(Signature::None)).await.told(), "403 AccessDenied");
        let other = refused.header("x-amz-expected-bucket-owner", "somebody");
        assert_eq!(endpoint.ada.send(other).await.told(), "403 AccessDenied");
    }
    let wrong = set(none).header("content-md5", &STANDARD.encode(Md5::digest("other")));
    assert_eq!(endpoint.ada.send(wrong).await.told(), "400 BadDigest");
    let shown = endpoint.get("/photos?q:encryption").await;
    assert_eq!(shown.told(), "404 ServerSideEncryptionConfigurationNotFoundError", "nothing was set so far");
    for signature in [Signature::V4(Payload::Hash), Signature::V2] {
        let done = endpoint.ada.send(set(none).signed(signature)).await;
        assert_eq!((done.told().as_str(), done.text().as_str()), ("200", ""));
        assert!(done.header("x-amz-request-id").is_some());
    }
    let shown = endpoint.get("/photos?q:encryption").await;
    assert_eq!((shown.element("SSEAlgorithm"), shown.element("BucketKeyEnabled")), ("aws:kms".into(), "true".into()));
}

#[tokio::test]
async fn complete_needs_the_customers_key_where_there_is_a_checksum() {
    let endpoint = trusting().await;
    for (checksum, without_key) in [(None, "200"), (Some("CRC32"), "400 InvalidRequest")] {
        let begin = with_key(Request::new("POST", "/photos/key?q:uploads"), ALGORITHM, 1);
        let begin = checksum.iter().fold(begin, |begin, name| begin.header("x-amz-checksum-algorithm", name));
        let upload = endpoint.ada.send(begin).await.element("UploadId");
        let part = Request::new("PUT", &format!("/photos/key?q:partNumber=1&uploadId={upload}")).body("content");
        let part = endpoint.ada.send(with_key(part, ALGORITHM, 1)).await;
        assert_eq!(part.told(), "200", "{}", part.text());
        let tag = part.header("etag").expect("a tag").to_owned();
        let sum = part.header("x-amz-checksum-crc32").map(|sum| format!("<ChecksumCRC32>{sum}</ChecksumCRC32>"));
        assert_eq!(sum.is_some(), checksum.is_some());
        let document = format!(
            "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{tag}</ETag>{}</Part></CompleteMultipartUpload>",
            sum.unwrap_or_default()
        );
        let complete = || Request::new("POST", &format!("/photos/key?q:uploadId={upload}")).body(document.clone());
        let wrong = endpoint.ada.send(with_key(complete(), ALGORITHM, 2)).await;
        assert_eq!(wrong.told(), "400 InvalidRequest", "{checksum:?}");
        assert_eq!(endpoint.ada.send(complete()).await.told(), without_key, "{checksum:?}");
        // To ask again after it was done is no error.
        let done = endpoint.ada.send(with_key(complete(), ALGORITHM, 1)).await;
        assert_eq!(done.told(), "200", "{checksum:?} {}", done.text());
    }
}
