//! Multipart uploads.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};

use crate::answer::Answer;
use crate::client::{Payload, Request, Signature};
use crate::harness::Endpoint;

fn part_bytes(number: u32) -> Vec<u8> {
    (0..1000 * number).map(|at| ((at * 7 + number) % 251) as u8).collect()
}

async fn begin(endpoint: &Endpoint, headers: &[(&str, &str)]) -> String {
    let request = headers
        .iter()
        .fold(Request::new("POST", "/photos/big?q:uploads"), |request, (name, value)| request.header(name, value));
    let begun = endpoint.ada.send(request).await;
    assert_eq!(begun.told(), "200", "{}", begun.text());
    assert_eq!((begun.element("Bucket").as_str(), begun.element("Key").as_str()), ("photos", "big"));
    begun.element("UploadId")
}

async fn put_part(endpoint: &Endpoint, upload: &str, number: u32) -> Answer {
    let request = Request::new("PUT", "/photos/big").query("partNumber", &number.to_string()).query("uploadId", upload);
    endpoint.ada.send(request.body(part_bytes(number))).await
}

fn document(parts: &[(u32, String)]) -> String {
    let parts: String = parts
        .iter()
        .map(|(number, tag)| format!("<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>"))
        .collect();
    format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>")
}

async fn complete(endpoint: &Endpoint, upload: &str, parts: &[(u32, String)]) -> Answer {
    let request = Request::new("POST", "/photos/big").query("uploadId", upload).body(document(parts));
    endpoint.ada.send(request).await
}

/// An object of parts 1, 2 and 5, and their tags.
async fn uploaded() -> (Endpoint, Vec<(u32, String)>) {
    let endpoint = Endpoint::with_bucket("photos").await;
    let upload = begin(
        &endpoint,
        &[
            ("content-type", "application/x-qcow2"),
            ("x-amz-meta-color", "red"),
            ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
        ],
    )
    .await;
    let mut parts = Vec::new();
    for number in [1, 2, 5] {
        let put = put_part(&endpoint, &upload, number).await;
        let tag = put.header("etag").expect("a tag").to_owned();
        assert_eq!(tag, format!("\"{}\"", hex::encode(Md5::digest(part_bytes(number)))));
        parts.push((number, tag));
    }
    let listed = endpoint.ada.send(Request::new("GET", "/photos/big").query("uploadId", &upload)).await;
    assert_eq!(listed.elements("PartNumber"), ["1", "2", "5"]);
    assert_eq!(listed.elements("Size"), ["1000", "2000", "5000"]);
    let done = complete(&endpoint, &upload, &parts).await;
    assert_eq!(done.told(), "200", "{}", done.text());
    (endpoint, parts)
}

#[tokio::test]
async fn parts_become_an_object() {
    let (endpoint, _) = uploaded().await;
    let whole: Vec<u8> = [1, 2, 5].into_iter().flat_map(part_bytes).collect();
    let got = endpoint.get("/photos/big").await;
    assert_eq!(got.body, whole);
    let tags: Vec<u8> = [1, 2, 5].into_iter().flat_map(|number| Md5::digest(part_bytes(number)).to_vec()).collect();
    let tag = format!("\"{}-3\"", hex::encode(Md5::digest(&tags)));
    assert_eq!(got.header("etag"), Some(tag.as_str()));
    assert_eq!(got.header("content-type"), Some("application/x-qcow2"));
    assert_eq!(got.header("x-amz-meta-color"), Some("red"));
    assert_eq!(got.header("x-amz-storage-class"), Some("REDUCED_REDUNDANCY"));
    assert_eq!(got.header("x-amz-mp-parts-count"), None, "only beside a part number");
    assert!(endpoint.get("/photos?q:uploads").await.elements("UploadId").is_empty());
}

#[tokio::test]
async fn parts_are_read_by_number() {
    let (endpoint, _) = uploaded().await;
    for (number, part, range) in
        [(1, 1, "bytes 0-999/8000"), (2, 2, "bytes 1000-2999/8000"), (3, 5, "bytes 3000-7999/8000")]
    {
        for method in ["HEAD", "GET"] {
            let got =
                endpoint.ada.send(Request::new(method, "/photos/big").query("partNumber", &number.to_string())).await;
            assert_eq!(got.status, 206, "{method} {number}");
            assert_eq!(got.header("content-range"), Some(range));
            assert_eq!(got.header("x-amz-mp-parts-count"), Some("3"));
            assert_eq!(got.header("content-length"), Some((1000 * part).to_string().as_str()));
            if method == "GET" {
                assert_eq!(got.body, part_bytes(part));
            }
        }
    }
    assert_eq!(endpoint.get("/photos/big?q:partNumber=4").await.told(), "400 InvalidPart");
    assert_eq!(endpoint.get("/photos/big?q:partNumber=0").await.told(), "400 InvalidArgument");
    let both = Request::new("GET", "/photos/big?q:partNumber=1").header("range", "bytes=0-1");
    assert_eq!(endpoint.ada.send(both).await.told(), "400 InvalidRequest");
}

#[tokio::test]
async fn a_single_put_has_one_part_and_no_count() {
    let endpoint = Endpoint::with_bucket("photos").await;
    endpoint.put("/photos/key", b"content").await;
    let got = endpoint.get("/photos/key?q:partNumber=1").await;
    assert_eq!((got.status, got.text().as_str(), got.header("x-amz-mp-parts-count")), (206, "content", None));
    assert_eq!(endpoint.get("/photos/key?q:partNumber=2").await.told(), "400 InvalidPart");
    endpoint.put("/photos/empty", b"").await;
    let empty = endpoint.get("/photos/empty?q:partNumber=1").await;
    assert_eq!((empty.status, empty.header("content-range")), (200, None));
}

#[tokio::test]
async fn wrong_completions_are_refused() {
    let endpoint = Endpoint::with_bucket("photos").await;
    let upload = begin(&endpoint, &[]).await;
    let mut parts = Vec::new();
    for number in [1, 2] {
        parts.push((number, put_part(&endpoint, &upload, number).await.header("etag").expect("a tag").to_owned()));
    }
    let swapped = vec![parts[1].clone(), parts[0].clone()];
    assert_eq!(complete(&endpoint, &upload, &swapped).await.told(), "400 InvalidPartOrder");
    let missing = vec![parts[0].clone(), (7, parts[1].1.clone())];
    assert_eq!(complete(&endpoint, &upload, &missing).await.told(), "400 InvalidPart");
    let other_tag = vec![(1, "\"00000000000000000000000000000000\"".to_owned())];
    assert_eq!(complete(&endpoint, &upload, &other_tag).await.told(), "400 InvalidPart");
    assert_eq!(complete(&endpoint, &upload, &[]).await.told(), "400 MalformedXML");
    let nonsense = Request::new("POST", "/photos/big").query("uploadId", &upload).body("<Complete");
    assert_eq!(endpoint.ada.send(nonsense).await.told(), "400 MalformedXML");
    let sized = |size: &str| {
        let request =
            Request::new("POST", "/photos/big").query("uploadId", &upload).header("x-amz-mp-object-size", size);
        endpoint.ada.send(request.body(document(&parts)))
    };
    for size in ["1", "-1"] {
        assert_eq!(sized(size).await.told(), "400 InvalidRequest", "{size}");
    }
    let conditional = Request::new("POST", "/photos/big").query("uploadId", &upload).header("if-match", "\"00\"");
    assert_eq!(endpoint.ada.send(conditional.body(document(&parts))).await.status, 404, "If-Match without an object");
    assert_eq!(sized("3000").await.told(), "200");
    assert_eq!(complete(&endpoint, &"0".repeat(32), &parts).await.told(), "404 NoSuchUpload");
    assert_eq!(complete(&endpoint, "not-an-id", &parts).await.told(), "404 NoSuchUpload");
}

#[tokio::test]
async fn small_parts_are_refused() {
    let endpoint = Endpoint::with_bucket("photos").await;
    let upload = begin(&endpoint, &[]).await;
    let mut parts = Vec::new();
    for number in [1, 2] {
        let request =
            Request::new("PUT", "/photos/big").query("partNumber", &number.to_string()).query("uploadId", &upload);
        let put = endpoint.ada.send(request.body("tiny")).await;
        parts.push((number, put.header("etag").expect("a tag").to_owned()));
    }
    assert_eq!(complete(&endpoint, &upload, &parts).await.told(), "400 EntityTooSmall");
}

#[tokio::test]
async fn an_aborted_upload_is_gone() {
    let endpoint = Endpoint::with_bucket("photos").await;
    let upload = begin(&endpoint, &[]).await;
    put_part(&endpoint, &upload, 1).await;
    let abort = || Request::new("DELETE", "/photos/big").query("uploadId", &upload);
    assert_eq!(endpoint.ada.send(abort()).await.told(), "204");
    assert_eq!(endpoint.ada.send(abort()).await.told(), "404 NoSuchUpload");
    assert_eq!(put_part(&endpoint, &upload, 1).await.told(), "404 NoSuchUpload");
}

#[tokio::test]
async fn part_numbers_have_limits() {
    let endpoint = Endpoint::with_bucket("photos").await;
    let upload = begin(&endpoint, &[]).await;
    for number in ["0", "10001", "-1", "x"] {
        let request =
            Request::new("PUT", "/photos/big").query("partNumber", number).query("uploadId", &upload).body("x");
        assert_eq!(endpoint.ada.send(request).await.told(), "400 InvalidArgument", "{number}");
    }
    let last = Request::new("PUT", "/photos/big").query("partNumber", "10000").query("uploadId", &upload).body("x");
    assert_eq!(endpoint.ada.send(last).await.told(), "200");
}

#[tokio::test]
async fn uploads_and_parts_are_listed_in_pages() {
    let endpoint = Endpoint::with_bucket("photos").await;
    let mut ids = Vec::new();
    for key in ["a", "a", "b/1", "b/2", "c d"] {
        ids.push(
            endpoint.ada.send(Request::new("POST", &format!("/photos/{key}?q:uploads"))).await.element("UploadId"),
        );
    }
    let mut seen = Vec::new();
    let mut request = Request::new("GET", "/photos?q:uploads&max-uploads=2");
    loop {
        let page = endpoint.ada.send(request).await;
        assert_eq!(page.told(), "200", "{}", page.text());
        seen.extend(page.elements("UploadId"));
        if page.element("IsTruncated") == "false" {
            break;
        }
        request = Request::new("GET", "/photos?q:uploads&max-uploads=2")
            .query("key-marker", &page.element("NextKeyMarker"))
            .query("upload-id-marker", &page.element("NextUploadIdMarker"));
    }
    seen.sort();
    let mut all = ids.clone();
    all.sort();
    assert_eq!(seen, all);
    let folded = endpoint.get("/photos?q:uploads&delimiter=%2F&encoding-type=url").await;
    assert_eq!(folded.elements("Key"), ["a", "a", "c%20d"]);
    assert!(folded.text().contains("<CommonPrefixes><Prefix>b/</Prefix></CommonPrefixes>"), "{}", folded.text());
    let upload = &ids[4];
    for number in 1..=3 {
        let put = Request::new("PUT", "/photos/c d")
            .query("partNumber", &number.to_string())
            .query("uploadId", upload)
            .body("x");
        assert_eq!(endpoint.ada.send(put).await.told(), "200");
    }
    let page = endpoint.ada.send(Request::new("GET", "/photos/c d?q:max-parts=2").query("uploadId", upload)).await;
    assert_eq!(page.elements("PartNumber"), ["1", "2"]);
    assert_eq!(
        (page.element("IsTruncated"), page.element("NextPartNumberMarker")),
        ("true".to_owned(), "2".to_owned())
    );
    let page =
        endpoint.ada.send(Request::new("GET", "/photos/c d?q:part-number-marker=2").query("uploadId", upload)).await;
    assert_eq!((page.elements("PartNumber"), page.element("IsTruncated")), (vec!["3".to_owned()], "false".to_owned()));
}

#[tokio::test]
async fn parts_are_copied() {
    let (endpoint, _) = uploaded().await;
    endpoint.make_bucket("copies").await;
    let upload = endpoint.ada.send(Request::new("POST", "/copies/copy?q:uploads")).await.element("UploadId");
    let mut parts = Vec::new();
    for (number, range) in [(1, Some("bytes=500-1499")), (2, None)] {
        let mut request =
            Request::new("PUT", "/copies/copy").query("partNumber", &number.to_string()).query("uploadId", &upload);
        request = request.header("x-amz-copy-source", "/photos/big");
        if let Some(range) = range {
            request = request.header("x-amz-copy-source-range", range);
        }
        let copied = endpoint.ada.send(request).await;
        assert_eq!(copied.told(), "200", "{}", copied.text());
        parts.push((number, copied.element("ETag")));
    }
    let outside = Request::new("PUT", "/copies/copy").query("partNumber", "3").query("uploadId", &upload);
    let outside = outside.header("x-amz-copy-source", "/photos/big").header("x-amz-copy-source-range", "bytes=0-8000");
    assert_eq!(endpoint.ada.send(outside).await.told(), "416 InvalidRange");
    let done = Request::new("POST", "/copies/copy").query("uploadId", &upload).body(document(&parts));
    assert_eq!(endpoint.ada.send(done).await.told(), "200");
    let whole = endpoint.get("/photos/big").await.body;
    assert_eq!(endpoint.get("/copies/copy").await.body, [&whole[500..1500], &whole].concat());
}

#[tokio::test]
async fn a_copied_part_says_which_version_it_is_of() {
    let endpoint = Endpoint::with_bucket("photos").await;
    let upload = begin(&endpoint, &[]).await;
    let copy = async || {
        let request = Request::new("PUT", "/photos/big").query("partNumber", "1").query("uploadId", &upload);
        let copied = endpoint.ada.send(request.header("x-amz-copy-source", "/photos/source")).await;
        assert_eq!(copied.told(), "200", "{}", copied.text());
        copied.header("x-amz-copy-source-version-id").map(str::to_owned)
    };
    endpoint.put("/photos/source", b"content").await;
    assert_eq!(copy().await, None);
    let versions = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    let versions = Request::new("PUT", "/photos?q:versioning").body(versions);
    assert_eq!(endpoint.ada.send(versions).await.told(), "200");
    let put = endpoint.put("/photos/source", b"content").await;
    assert_eq!(copy().await.as_deref(), put.header("x-amz-version-id"));
}

#[tokio::test]
async fn an_upload_says_when_it_is_given_up() {
    let endpoint = Endpoint::with_bucket("photos").await;
    let rule = |id: &str, prefix: &str, days: u32| {
        format!(
            "<Rule><ID>{id}</ID><Status>Enabled</Status><Filter><Prefix>{prefix}</Prefix></Filter><AbortIncompleteMultipartUpload>\
             <DaysAfterInitiation>{days}</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule>"
        )
    };
    let rules = [rule("late", "b", 9), rule("a b", "bi", 2), rule("other", "c", 1)].concat();
    let put = Request::new("PUT", "/photos?q:lifecycle");
    let put = put.body(format!("<LifecycleConfiguration>{rules}</LifecycleConfiguration>"));
    assert_eq!(endpoint.ada.send(put).await.told(), "200");
    for (key, rule) in [("/photos/big", Some("a%20b")), ("/photos/free", None)] {
        let begun = endpoint.ada.send(Request::new("POST", key).query("uploads", "")).await;
        let upload = begun.element("UploadId");
        let listed = endpoint.ada.send(Request::new("GET", key).query("uploadId", &upload)).await;
        for answer in [&begun, &listed] {
            assert_eq!(answer.told(), "200", "{}", answer.text());
            assert_eq!(answer.header("x-amz-abort-rule-id"), rule, "{key}");
            let date = answer.header("x-amz-abort-date");
            assert_eq!(date.map(|date| date.ends_with(" 00:00:00 GMT")), rule.map(|_| true), "{date:?}");
        }
        assert_eq!(begun.header("x-amz-abort-date"), listed.header("x-amz-abort-date"));
    }
}

#[tokio::test]
async fn checksums_of_parts_make_that_of_the_whole() {
    let endpoint = Endpoint::with_bucket("photos").await;
    for (kind, suffix) in [("COMPOSITE", "-2"), ("FULL_OBJECT", "")] {
        let upload = begin(&endpoint, &[("x-amz-checksum-algorithm", "CRC32"), ("x-amz-checksum-type", kind)]).await;
        let mut parts = String::new();
        for number in [1, 2] {
            let sum = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32IsoHdlc, &part_bytes(number));
            let sum = STANDARD.encode(u32::try_from(sum).expect("32 bits").to_be_bytes());
            let payload = Payload::UnsignedChunks(700, ("x-amz-checksum-crc32".to_owned(), sum.clone()));
            let request =
                Request::new("PUT", "/photos/big").query("partNumber", &number.to_string()).query("uploadId", &upload);
            let put = endpoint.ada.send(request.body(part_bytes(number)).signed(Signature::V4(payload))).await;
            assert_eq!(put.told(), "200", "{}", put.text());
            assert_eq!(put.header("x-amz-checksum-crc32"), Some(sum.as_str()));
            let tag = put.header("etag").expect("a tag");
            parts += &format!(
                "<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag><ChecksumCRC32>{sum}</ChecksumCRC32></Part>"
            );
        }
        let document = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
        let done =
            endpoint.ada.send(Request::new("POST", "/photos/big").query("uploadId", &upload).body(document)).await;
        assert_eq!(done.told(), "200", "{kind} {}", done.text());
        assert_eq!(done.element("ChecksumType"), kind);
        let head =
            endpoint.ada.send(Request::new("HEAD", "/photos/big").header("x-amz-checksum-mode", "ENABLED")).await;
        assert_eq!(head.header("x-amz-checksum-type"), Some(kind));
        let sum = head.header("x-amz-checksum-crc32").expect("a checksum").to_owned();
        assert_eq!(done.element("ChecksumCRC32"), sum);
        assert!(sum.ends_with(suffix) && sum.contains('-') != suffix.is_empty(), "{sum}");
        if suffix.is_empty() {
            let whole: Vec<u8> = [1, 2].into_iter().flat_map(part_bytes).collect();
            let expected = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32IsoHdlc, &whole);
            assert_eq!(sum, STANDARD.encode(u32::try_from(expected).expect("32 bits").to_be_bytes()));
        }
    }
}

#[tokio::test]
async fn an_upload_begins_without_a_length() {
    let endpoint = Endpoint::with_bucket("photos").await;
    // As the XenServer plug-in does: version 2, and no Content-Length.
    let wire = endpoint.ada.wire(Request::new("POST", "/photos/big?q:uploads").signed(Signature::V2));
    let wire =
        String::from_utf8(wire).expect("text").replace("content-length: 0\r\n", "").replace("?uploads= ", "?uploads ");
    assert!(!wire.contains("content-length"));
    let addr = endpoint.addr;
    let exchange = tokio::task::spawn_blocking(move || crate::answer::exchange(addr, wire.as_bytes()));
    let begun = exchange.await.expect("an answer");
    assert_eq!((begun.told().as_str(), begun.element("UploadId").len()), ("200", 32), "{}", begun.text());
}
