//! Bodies on their way in: framing, digests, trailers, sizes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::Digest;

use crate::answer::exchange;
use crate::client::{Client, Payload, Request, Signature};
use crate::harness::Endpoint;

fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|at| (at % 251) as u8).collect()
}

fn crc32(bytes: &[u8]) -> String {
    let sum = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32IsoHdlc, bytes);
    STANDARD.encode(u32::try_from(sum).expect("32 bits").to_be_bytes())
}

fn trailer(value: &str) -> (String, String) {
    ("x-amz-checksum-crc32".to_owned(), value.to_owned())
}

/// Clients that sign for a region that the protocol layer knows, and for one whose chunks have to be signed anew for it.
fn in_regions(endpoint: &Endpoint) -> [Client; 2] {
    ["us-east-1", "my_zone"].map(|region| Client { region: region.to_owned(), ..endpoint.ada.clone() })
}

#[tokio::test]
async fn chunked_bodies_are_unframed_and_proven() {
    let endpoint = Endpoint::with_bucket("photos").await;
    let body = bytes(300_000);
    let good = trailer(&crc32(&body));
    let payloads = [
        Payload::SignedChunks(64 << 10, None),
        Payload::SignedChunks(64 << 10, Some(good.clone())),
        Payload::UnsignedChunks(64 << 10, good.clone()),
        // One chunk for all: some SDKs send an object so.
        Payload::UnsignedChunks(1 << 20, good.clone()),
    ];
    for (payload, client) in payloads.iter().flat_map(|payload| in_regions(&endpoint).map(|client| (payload, client))) {
        let request = Request::new("PUT", "/photos/key").body(body.clone()).signed(Signature::V4(payload.clone()));
        let put = client.send(request).await;
        assert_eq!(put.told(), "200", "{payload:?} {}", put.text());
        let got = endpoint.ada.send(Request::new("GET", "/photos/key").header("x-amz-checksum-mode", "ENABLED")).await;
        assert_eq!(got.body, body, "{payload:?}");
        assert_eq!(got.header("content-encoding"), None);
        if *payload != Payload::SignedChunks(64 << 10, None) {
            assert_eq!(got.header("x-amz-checksum-crc32"), Some(good.1.as_str()), "{payload:?}");
        }
    }
}

#[tokio::test]
async fn wrong_trailers_are_refused_and_nothing_is_stored() {
    let endpoint = Endpoint::with_bucket("photos").await;
    let body = bytes(100_000);
    let cases = [
        (trailer("AAAAAA=="), "400 BadDigest"),
        (trailer("not base64"), "400 MalformedTrailerError"),
        (("x-amz-checksum-other".to_owned(), "AAAA".to_owned()), "400 InvalidRequest"),
    ];
    for (wrong, told) in cases {
        for payload in
            [Payload::SignedChunks(64 << 10, Some(wrong.clone())), Payload::UnsignedChunks(64 << 10, wrong.clone())]
        {
            for client in in_regions(&endpoint) {
                let request = Request::new("PUT", "/photos/key").body(body.clone());
                let answer = client.send(request.signed(Signature::V4(payload.clone()))).await;
                assert_eq!(answer.told(), told, "{payload:?} {}", client.region);
            }
        }
    }
    assert_eq!(endpoint.get("/photos/key").await.told(), "404 NoSuchKey");
}

/// The bytes of a signed request, with one part of its body replaced.
fn tampered(client: &Client, payload: Payload, from: &[u8], to: &[u8]) -> Vec<u8> {
    let request = Request::new("PUT", "/photos/key").body(bytes(100_000)).signed(Signature::V4(payload));
    let wire = client.wire(request);
    let at = wire.windows(from.len()).rposition(|window| window == from).expect("the part is there");
    let mut changed = [&wire[..at], to, &wire[at + from.len()..]].concat();
    // The length of the framed body changed with it.
    let text = String::from_utf8_lossy(&wire).into_owned();
    let length: usize = text
        .split("\r\ncontent-length: ")
        .nth(1)
        .and_then(|rest| rest.split("\r\n").next()?.parse().ok())
        .expect("a length");
    let (old, new) = (
        format!("\r\ncontent-length: {length}\r\n"),
        format!("\r\ncontent-length: {}\r\n", length + to.len() - from.len()),
    );
    let at = changed.windows(old.len()).position(|window| window == old.as_bytes()).expect("a length");
    changed.splice(at..at + old.len(), new.into_bytes());
    changed
}

#[tokio::test]
async fn tampered_chunks_are_refused() {
    let endpoint = Endpoint::with_bucket("photos").await;
    let signed = || Payload::SignedChunks(64 << 10, None);
    let unsigned = || Payload::UnsignedChunks(64 << 10, trailer(&crc32(&bytes(100_000))));
    let last = format!("0\r\nx-amz-checksum-crc32:{}\r\n\r\n", crc32(&bytes(100_000)));
    let with_trailer = || Payload::SignedChunks(64 << 10, Some(trailer(&crc32(&bytes(100_000)))));
    let cases: [(Payload, &[u8], &[u8], &str); 8] = [
        (signed(), &[1, 2, 3, 4, 5], &[1, 2, 3, 4, 6], "400 SignatureDoesNotMatch"),
        (with_trailer(), b"x-amz-checksum-crc32:", b"x-amz-checksum-crc33:", "400 SignatureDoesNotMatch"),
        (with_trailer(), b"x-amz-trailer-signature:", b"x-amz-trailer-signature:0", "400 SignatureDoesNotMatch"),
        (unsigned(), &[1, 2, 3, 4, 5], &[1, 2, 3, 4, 6], "400 BadDigest"),
        (unsigned(), last.as_bytes(), b"", "400 IncompleteBody"),
        (unsigned(), last.as_bytes(), b"0\r\n\r\n", "400 MalformedTrailerError"),
        (unsigned(), b"10000\r\n", b"1000g\r\n", "400 InvalidRequest"),
        (signed(), b"10000;chunk-signature=", b"fffffff;chunk-signature=", "400 InvalidRequest"),
    ];
    let in_each = cases.iter().flat_map(|case| in_regions(&endpoint).map(|client| (case, client)));
    for ((payload, from, to, told), client) in in_each {
        let wire = tampered(&client, payload.clone(), from, to);
        let addr = endpoint.addr;
        let answer = tokio::task::spawn_blocking(move || exchange(addr, &wire)).await.expect("an answer");
        // A signature that does not fit is 403 as everywhere.
        let told = told.replace("400 SignatureDoesNotMatch", "403 SignatureDoesNotMatch");
        assert_eq!(answer.told(), told, "{payload:?} {to:?}");
    }
    assert_eq!(endpoint.get("/photos/key").await.told(), "404 NoSuchKey");
}

#[tokio::test]
async fn the_decoded_length_must_be_true() {
    let endpoint = Endpoint::with_bucket("photos").await;
    let body = bytes(100_000);
    for payload in [
        Payload::SignedChunks(64 << 10, None),
        Payload::SignedChunks(64 << 10, Some(trailer(&crc32(&body)))),
        Payload::UnsignedChunks(64 << 10, trailer(&crc32(&body))),
    ] {
        for length in ["99999", "100001", "0"] {
            let put =
                Request::new("PUT", "/photos/key").header("x-amz-decoded-content-length", length).body(body.clone());
            let told = endpoint.ada.send(put.signed(Signature::V4(payload.clone()))).await.told();
            assert_eq!(told, "400 IncompleteBody", "{payload:?} {length}");
        }
    }
    assert_eq!(endpoint.get("/photos/key").await.told(), "404 NoSuchKey");
}

#[tokio::test]
async fn chunked_framing_is_never_stored_as_data() {
    let endpoint = Endpoint::with_bucket("photos").await;
    for signature in [Signature::V2, Signature::None, Signature::V4Link(60)] {
        let request = Request::new("PUT", "/photos/key")
            .header("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER")
            .header("x-amz-decoded-content-length", "5")
            .body("5\r\nhello\r\n0\r\n\r\n")
            .signed(signature.clone());
        assert_eq!(endpoint.ada.send(request).await.told(), "400 InvalidRequest", "{signature:?}");
    }
}

#[tokio::test]
async fn documents_do_not_come_in_chunks() {
    let endpoint = Endpoint::with_bucket("photos").await;
    endpoint.put("/photos/key", b"content").await;
    let tagging = "<Tagging><TagSet></TagSet></Tagging>";
    let delete = "<Delete><Object><Key>key</Key></Object></Delete>";
    for payload in [Payload::SignedChunks(7, None), Payload::UnsignedChunks(7, trailer("AAAAAA=="))] {
        for (method, path, document) in
            [("PUT", "/photos/key?q:tagging", tagging), ("POST", "/photos?q:delete", delete)]
        {
            let request = Request::new(method, path).body(document).signed(Signature::V4(payload.clone()));
            assert_eq!(endpoint.ada.send(request).await.told(), "400 InvalidRequest", "{payload:?} {path}");
        }
    }
    assert_eq!(endpoint.get("/photos/key").await.told(), "200");
}

#[tokio::test]
async fn what_would_be_lost_of_a_document_is_refused() {
    let endpoint = Endpoint::with_bucket("photos").await;
    endpoint.put("/photos/key", b"content").await;
    let tagging = "<Tagging><TagSet><Tag><Key>a</Key><Value><![CDATA[b]]></Value></Tag></TagSet></Tagging>";
    let delete = "<Delete><Object><Key><![CDATA[key]]></Key></Object></Delete>";
    for (method, path, document) in [("PUT", "/photos/key?q:tagging", tagging), ("POST", "/photos?q:delete", delete)] {
        let answer = endpoint.ada.send(Request::new(method, path).body(document)).await;
        assert_eq!(answer.told(), "400 MalformedXML", "{path}");
    }
    assert!(endpoint.get("/photos/key?q:tagging").await.elements("Tag").is_empty());
}

#[tokio::test]
async fn digests_in_headers_are_checked() {
    let endpoint = Endpoint::with_bucket("photos").await;
    let md5 = STANDARD.encode(md5::Md5::digest(b"content"));
    let good = [
        ("content-md5", md5),
        ("x-amz-checksum-crc32", crc32(b"content")),
        ("x-amz-checksum-sha1", STANDARD.encode(sha1::Sha1::digest(b"content"))),
        ("x-amz-checksum-sha256", STANDARD.encode(sha2::Sha256::digest(b"content"))),
    ];
    for (name, value) in good {
        let put = |body: &'static str| Request::new("PUT", "/photos/key").header(name, &value).body(body);
        for signature in [Signature::V4(Payload::Hash), Signature::V4(Payload::Unsigned), Signature::V2] {
            let right = endpoint.ada.send(put("content").signed(signature.clone())).await;
            assert_eq!(right.told(), "200", "{name} {}", right.text());
            assert_eq!(endpoint.ada.send(put("contenT").signed(signature)).await.told(), "400 BadDigest", "{name}");
        }
        if name != "content-md5" {
            let got =
                endpoint.ada.send(Request::new("HEAD", "/photos/key").header("x-amz-checksum-mode", "ENABLED")).await;
            assert_eq!(got.header(name), Some(value.as_str()));
            assert_eq!(got.header("x-amz-checksum-type"), Some("FULL_OBJECT"));
        }
        let malformed = endpoint.ada.send(Request::new("PUT", "/photos/key").header(name, "x").body("content")).await;
        assert_eq!(malformed.status, 400, "{name}");
    }
    for name in ["x-amz-checksum-sha512", "x-amz-checksum-xxhash3"] {
        let unknown = Request::new("PUT", "/photos/unknown").header(name, "AAAA").body("content");
        assert_eq!(endpoint.ada.send(unknown).await.told(), "400 InvalidRequest", "{name}");
    }
    assert_eq!(endpoint.get("/photos/unknown").await.told(), "404 NoSuchKey");
}

#[tokio::test]
async fn the_signed_hash_of_data_is_checked() {
    let endpoint = Endpoint::with_bucket("photos").await;
    let wrong = Payload::GivenHash(crate::client::sha256_hex(b"other"));
    let put = Request::new("PUT", "/photos/key").body("content").signed(Signature::V4(wrong.clone()));
    assert_eq!(endpoint.ada.send(put).await.told(), "400 XAmzContentSHA256Mismatch");
    assert_eq!(endpoint.get("/photos/key").await.told(), "404 NoSuchKey");
    let document = Request::new("POST", "/photos?q:delete").body("<Delete><Object><Key>k</Key></Object></Delete>");
    let document = document.signed(Signature::V4(wrong.clone()));
    assert_eq!(endpoint.ada.send(document).await.told(), "400 XAmzContentSHA256Mismatch");
    let nothing = Request::new("PUT", "/photos/key?q:tagging").signed(Signature::V4(wrong));
    assert_eq!(endpoint.ada.send(nothing).await.told(), "400 XAmzContentSHA256Mismatch");
}

#[tokio::test]
async fn digests_of_documents_are_checked() {
    let endpoint = Endpoint::with_bucket("photos").await;
    endpoint.put("/photos/key", b"content").await;
    let document = "<Delete><Object><Key>key</Key></Object></Delete>";
    let delete = |name: &str, value: &str| Request::new("POST", "/photos?q:delete").header(name, value).body(document);
    let wrong_md5 = STANDARD.encode(md5::Md5::digest(b"other"));
    assert_eq!(endpoint.ada.send(delete("content-md5", &wrong_md5)).await.told(), "400 BadDigest");
    assert_eq!(endpoint.ada.send(delete("x-amz-checksum-crc32", &crc32(b"other"))).await.told(), "400 BadDigest");
    assert_eq!(endpoint.get("/photos/key").await.told(), "200");
    let md5 = STANDARD.encode(md5::Md5::digest(document));
    assert_eq!(endpoint.ada.send(delete("content-md5", &md5)).await.told(), "200");
    assert_eq!(endpoint.get("/photos/key").await.told(), "404 NoSuchKey");
}

#[tokio::test]
async fn a_body_without_a_length_is_refused() {
    let endpoint = Endpoint::with_bucket("photos").await;
    for signature in [Signature::V2, Signature::V4(Payload::Unsigned), Signature::V4Link(60)] {
        let request = Request::new("PUT", "/photos/key").body("5\r\nhello\r\n0\r\n\r\n").signed(signature.clone());
        let answer = endpoint.ada.send(request.header("transfer-encoding", "chunked")).await;
        assert_eq!(answer.told(), "411 MissingContentLength", "{signature:?}");
    }
}

#[tokio::test]
async fn a_connection_that_ends_early_stores_nothing() {
    let endpoint = Endpoint::with_bucket("photos").await;
    for signature in [Signature::V2, Signature::V4(Payload::Unsigned), Signature::V4(Payload::Hash)] {
        let wire = endpoint.ada.wire(Request::new("PUT", "/photos/key").body(bytes(100_000)).signed(signature));
        let addr = endpoint.addr;
        tokio::task::spawn_blocking(move || {
            use std::io::Write;
            let mut stream = std::net::TcpStream::connect(addr).expect("the server listens");
            stream.write_all(&wire[..wire.len() - 10_000]).expect("sent");
        })
        .await
        .expect("sent");
    }
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert_eq!(endpoint.get("/photos/key").await.told(), "404 NoSuchKey");
}

#[tokio::test]
async fn a_refused_upload_is_answered_though_the_client_sends_first() {
    let endpoint = Endpoint::with_bucket("photos").await;
    for size in [100_000, 6 << 20] {
        let request =
            Request::new("PUT", "/no-such-bucket/key").body(bytes(size)).signed(Signature::V4(Payload::Unsigned));
        assert_eq!(endpoint.ada.send(request).await.told(), "404 NoSuchBucket", "{size}");
    }
}

#[tokio::test]
async fn large_documents_are_refused() {
    let settings = s3_store::Settings { document_size_bytes_max: 64 << 10, ..s3_store::Settings::default() };
    let endpoint = Endpoint::start_with(settings).await;
    endpoint.make_bucket("photos").await;
    let large = Request::new("POST", "/photos?q:delete").body(vec![b' '; 65 << 10]);
    assert_eq!(endpoint.ada.send(large).await.status, 400);
}
