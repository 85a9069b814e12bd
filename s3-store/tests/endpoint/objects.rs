//! Objects: keys, headers, ranges, conditions, copies, deletions.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};

use crate::client::{Client, Payload, Request, Signature, sha256_hex};
use crate::harness::Endpoint;

#[tokio::test]
async fn keys_round_trip() {
    let endpoint = Endpoint::with_bucket("photos").await;
    let keys = [
        "a b",
        "a+b",
        "a%b",
        "a%2Fb",
        "a?x=y&z",
        "dir//file",
        "/leading",
        "trailing/",
        "//",
        "größe",
        "日本",
        "a#b",
        "a'b\"c<d>&e",
        "template/tmpl/1/200/x/disk.qcow2?sig=1%2F2",
        "..",
        "a/../b",
        ".",
        "~-_.!*()",
    ];
    for signature in [Signature::V4(Payload::Hash), Signature::V2, Signature::V4Link(60)] {
        for key in keys {
            let path = format!("/photos/{key}");
            let put = endpoint.ada.send(Request::new("PUT", &path).body(key).signed(signature.clone())).await;
            assert_eq!(put.told(), "200", "{key} {signature:?} {}", put.text());
            let got = endpoint.ada.send(Request::new("GET", &path).signed(signature.clone())).await;
            assert_eq!(got.text(), key, "{signature:?}");
            assert_eq!(
                endpoint.ada.send(Request::new("HEAD", &path).signed(signature.clone())).await.status,
                200,
                "{key}"
            );
        }
        let listed = endpoint.get("/photos?q:encoding-type=url").await.elements("Key");
        let mut decoded: Vec<_> = listed
            .iter()
            .map(|key| percent_encoding::percent_decode_str(key).decode_utf8().expect("text").into_owned())
            .collect();
        decoded.sort();
        let mut expected = keys.map(str::to_owned).to_vec();
        expected.sort();
        assert_eq!(decoded, expected);
        for key in keys {
            let deleted =
                endpoint.ada.send(Request::new("DELETE", &format!("/photos/{key}")).signed(signature.clone())).await;
            assert_eq!(deleted.told(), "204");
        }
        assert!(endpoint.get("/photos").await.elements("Key").is_empty());
    }
    let long = endpoint.ada.send(Request::new("PUT", &format!("/photos/{}", "x".repeat(1025)))).await;
    assert_eq!(long.told(), "400 KeyTooLongError");
}

#[tokio::test]
async fn headers_and_metadata_come_back() {
    let endpoint = Endpoint::with_bucket("photos").await;
    let kept = [
        ("content-type", "text/plain; charset=utf-8"),
        ("content-encoding", "gzip"),
        ("content-language", "de"),
        ("content-disposition", "attachment; filename=\"a.txt\""),
        ("cache-control", "no-cache"),
        ("expires", "Tue, 01 Oct 2030 10:00:00 GMT"),
        ("x-amz-meta-color", "red"),
        ("x-amz-meta-size-of-thing", "7"),
        ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
    ];
    let put = kept
        .iter()
        .fold(Request::new("PUT", "/photos/key").body("content"), |put, (name, value)| put.header(name, value));
    let put = endpoint.ada.send(put).await;
    let tag = format!("\"{}\"", hex::encode(Md5::digest(b"content")));
    assert_eq!((put.told().as_str(), put.header("etag")), ("200", Some(tag.as_str())));
    for method in ["GET", "HEAD"] {
        let got = endpoint.ada.send(Request::new(method, "/photos/key")).await;
        for (name, value) in kept {
            assert_eq!(got.header(name), Some(value), "{method} {name}");
        }
        assert_eq!(got.header("etag"), Some(tag.as_str()));
        assert_eq!(got.header("content-length"), Some("7"));
        assert_eq!(got.header("accept-ranges"), Some("bytes"));
        assert!(got.header("last-modified").is_some_and(|date| date.ends_with(" GMT")));
        assert_eq!(got.text(), if method == "GET" { "content" } else { "" });
        let overrides = "response-content-type=a%2Fb&response-content-disposition=inline&response-cache-control=private\
            &response-content-language=fr&response-content-encoding=br&response-expires=Wed%2C%2002%20Oct%202030%2010%3A00%3A00%20GMT";
        for signature in [Signature::V4(Payload::Hash), Signature::V2, Signature::V4Link(60)] {
            let request = Request::new(method, &format!("/photos/key?q:{overrides}")).signed(signature);
            let got = endpoint.ada.send(request).await;
            for (name, value) in [
                ("content-type", "a/b"),
                ("content-disposition", "inline"),
                ("cache-control", "private"),
                ("content-language", "fr"),
                ("content-encoding", "br"),
                ("expires", "Wed, 02 Oct 2030 10:00:00 GMT"),
            ] {
                assert_eq!(got.header(name), Some(value), "{method} {name}");
            }
        }
    }
    endpoint.put("/photos/plain", b"x").await;
    let plain = endpoint.get("/photos/plain").await;
    assert_eq!(plain.header("content-type"), Some("binary/octet-stream"));
    assert_eq!(plain.header("x-amz-storage-class"), None);
    let large = Request::new("PUT", "/photos/large").header("x-amz-meta-large", &"x".repeat(2100)).body("x");
    assert_eq!(endpoint.ada.send(large).await.told(), "400 MetadataTooLarge");
    let class = Request::new("PUT", "/photos/key").header("x-amz-storage-class", "GLACIER").body("x");
    assert_eq!(endpoint.ada.send(class).await.told(), "400 InvalidStorageClass");
}

#[tokio::test]
async fn ranges() {
    let endpoint = Endpoint::with_bucket("photos").await;
    endpoint.put("/photos/key", b"0123456789").await;
    for (range, text, content_range) in [
        ("bytes=0-9", "0123456789", "bytes 0-9/10"),
        ("bytes=2-4", "234", "bytes 2-4/10"),
        ("bytes=8-100", "89", "bytes 8-9/10"),
        ("bytes=5-", "56789", "bytes 5-9/10"),
        ("bytes=-3", "789", "bytes 7-9/10"),
        ("bytes=-100", "0123456789", "bytes 0-9/10"),
    ] {
        for method in ["GET", "HEAD"] {
            let got = endpoint.ada.send(Request::new(method, "/photos/key").header("range", range)).await;
            assert_eq!((got.status, got.header("content-range")), (206, Some(content_range)), "{method} {range}");
            assert_eq!(got.header("content-length"), Some(text.len().to_string().as_str()));
            assert_eq!(got.text(), if method == "GET" { text } else { "" });
        }
    }
    endpoint.put("/photos/empty", b"").await;
    for (path, range, size) in
        [("/photos/key", "bytes=10-", 10), ("/photos/key", "bytes=40-50", 10), ("/photos/empty", "bytes=0-1", 0)]
    {
        let got = endpoint.ada.send(Request::new("GET", path).header("range", range)).await;
        assert_eq!(got.told(), "416 InvalidRange", "{range}");
        assert_eq!(got.header("content-range"), Some(format!("bytes */{size}").as_str()));
    }
}

#[tokio::test]
async fn ranges_that_cannot_be_read_mean_the_whole() {
    let endpoint = Endpoint::with_bucket("photos").await;
    endpoint.put("/photos/key", b"0123456789").await;
    for range in ["bytes=0-1,4-5", "bytes=5-2", "bytes=x", "lines=1-2"] {
        for signature in [Signature::V2, Signature::V4Link(60), Signature::V4(Payload::Hash)] {
            let request = Request::new("GET", "/photos/key").signed(signature.clone()).unsigned_header("range", range);
            let got = endpoint.ada.send(request).await;
            assert_eq!((got.told().as_str(), got.text().as_str()), ("200", "0123456789"), "{range} {signature:?}");
        }
        let signed = endpoint.ada.send(Request::new("GET", "/photos/key").header("range", range)).await;
        assert_eq!(signed.status, 400, "a signed one cannot be taken away");
    }
}

#[tokio::test]
async fn conditional_reads() {
    let endpoint = Endpoint::with_bucket("photos").await;
    let tag = endpoint.put("/photos/key", b"content").await.header("etag").expect("a tag").to_owned();
    let (past, future) = ("Tue, 01 Oct 2024 10:00:00 GMT", "Tue, 01 Oct 2075 10:00:00 GMT");
    let list = format!("\"other\", {tag}");
    for (name, value, status) in [
        ("if-match", tag.as_str(), 200),
        ("if-match", tag.trim_matches('"'), 200),
        ("if-match", list.as_str(), 200),
        ("if-match", "\"other\"", 412),
        ("if-none-match", tag.as_str(), 304),
        ("if-none-match", list.as_str(), 304),
        ("if-none-match", "\"other\"", 200),
        ("if-modified-since", past, 200),
        ("if-modified-since", future, 304),
        ("if-unmodified-since", past, 412),
        ("if-unmodified-since", future, 200),
    ] {
        for method in ["GET", "HEAD"] {
            let got = endpoint.ada.send(Request::new(method, "/photos/key").header(name, value)).await;
            assert_eq!(got.status, status, "{method} {name}: {value}");
            if status == 304 {
                assert_eq!((got.body.len(), got.header("etag")), (0, Some(tag.as_str())));
                assert!(got.header("last-modified").is_some());
            }
        }
    }
}

#[tokio::test]
async fn conditional_writes() {
    let endpoint = Endpoint::with_bucket("photos").await;
    let put = |name: &'static str, value: String| {
        endpoint.ada.send(Request::new("PUT", "/photos/key").body("x").header(name, &value))
    };
    assert_eq!(put("if-match", "\"00\"".to_owned()).await.status, 404);
    let first = put("if-none-match", "*".to_owned()).await;
    assert_eq!(first.told(), "200");
    assert_eq!(put("if-none-match", "*".to_owned()).await.told(), "412 PreconditionFailed");
    assert_eq!(put("if-match", "\"00\"".to_owned()).await.told(), "412 PreconditionFailed");
    let tag = first.header("etag").expect("a tag").to_owned();
    assert_eq!(put("if-match", tag.clone()).await.told(), "200");
    let delete = |tag: &str| endpoint.ada.send(Request::new("DELETE", "/photos/key").header("if-match", tag));
    assert_eq!(delete("\"00\"").await.told(), "412 PreconditionFailed");
    assert_eq!(delete(&tag).await.told(), "204");
}

#[tokio::test]
async fn of_two_that_race_one_wins() {
    let endpoint = Endpoint::with_bucket("photos").await;
    for round in 0..8 {
        let path = format!("/photos/lock-{round}");
        let put = || endpoint.ada.send(Request::new("PUT", &path).body("x").header("if-none-match", "*"));
        let answers = tokio::join!(put(), put(), put());
        let mut statuses = [answers.0.status, answers.1.status, answers.2.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 412, 412]);
    }
}

#[tokio::test]
async fn copies() {
    let endpoint = Endpoint::with_bucket("photos").await;
    endpoint.make_bucket("other").await;
    let put = Request::new("PUT", "/photos/a b+ü%")
        .body("content")
        .header("x-amz-meta-color", "red")
        .header("content-type", "a/b");
    let tag = endpoint.ada.send(put).await.header("etag").expect("a tag").to_owned();
    let copy = |target: &str| Request::new("PUT", target).header("x-amz-copy-source", "/photos/a%20b%2B%C3%BC%25");
    let copied = endpoint.ada.send(copy("/other/copy")).await;
    assert_eq!((copied.told().as_str(), copied.element("ETag")), ("200", tag.clone()));
    let got = endpoint.get("/other/copy").await;
    assert_eq!(
        (got.text().as_str(), got.header("x-amz-meta-color"), got.header("content-type")),
        ("content", Some("red"), Some("a/b"))
    );
    let replaced =
        copy("/photos/a b+ü%").header("x-amz-metadata-directive", "REPLACE").header("x-amz-meta-color", "blue");
    assert_eq!(endpoint.ada.send(replaced).await.told(), "200");
    let got = endpoint.get("/photos/a b+ü%").await;
    assert_eq!((got.text().as_str(), got.header("x-amz-meta-color")), ("content", Some("blue")));
    assert_eq!(endpoint.ada.send(copy("/photos/a b+ü%")).await.told(), "400 InvalidRequest");
    let conditional = |name: &str, value: &str| endpoint.ada.send(copy("/other/copy").header(name, value));
    assert_eq!(conditional("x-amz-copy-source-if-match", "\"00\"").await.told(), "412 PreconditionFailed");
    assert_eq!(conditional("x-amz-copy-source-if-none-match", &tag).await.told(), "412 PreconditionFailed");
    assert_eq!(conditional("if-none-match", "*").await.told(), "412 PreconditionFailed");
    let missing = Request::new("PUT", "/other/copy").header("x-amz-copy-source", "photos/missing");
    assert_eq!(endpoint.ada.send(missing).await.told(), "404 NoSuchKey");
    let foreign = Request::new("PUT", "/bobs/copy").header("x-amz-copy-source", "photos/a%20b%2B%C3%BC%25");
    assert_eq!(endpoint.bob.send(Request::new("PUT", "/bobs")).await.told(), "200");
    assert_eq!(endpoint.bob.send(foreign).await.told(), "403 AccessDenied");
}

#[tokio::test]
async fn a_copy_has_the_checksum_that_is_asked_for() {
    let endpoint = Endpoint::with_bucket("photos").await;
    let sha256 = |body: &[u8]| STANDARD.encode(hex::decode(sha256_hex(body)).expect("a digest"));
    for body in [b"content".to_vec(), vec![7; 100_000]] {
        endpoint.put("/photos/key", &body).await;
        let copy = |target: &str, algorithm: &str| {
            let request = Request::new("PUT", target).header("x-amz-copy-source", "photos/key");
            request.header("x-amz-checksum-algorithm", algorithm)
        };
        assert_eq!(endpoint.ada.send(copy("/photos/copy", "SHA512")).await.told(), "400 InvalidRequest");
        // The second onto itself: what was asked for is there, and shared.
        for target in ["/photos/copy", "/photos/key", "/photos/key"] {
            let copied = endpoint.ada.send(copy(target, "SHA256")).await;
            assert_eq!(copied.told(), "200", "{target}: {}", copied.text());
            assert_eq!(copied.element("ChecksumSHA256"), sha256(&body), "{target}");
            assert_eq!(copied.element("ChecksumType"), "FULL_OBJECT");
            let got = endpoint.ada.send(Request::new("GET", target).header("x-amz-checksum-mode", "ENABLED")).await;
            assert_eq!(got.header("x-amz-checksum-sha256"), Some(sha256(&body).as_str()));
            assert!(got.header("x-amz-checksum-crc64nvme").is_none() && got.body == body);
        }
    }
}

#[tokio::test]
async fn headers_of_an_answer_are_chosen_by_who_signs() {
    let endpoint = Endpoint::with_bucket("photos").await;
    let put = Request::new("PUT", "/photos/key").header("x-amz-acl", "public-read").body("content");
    assert_eq!(endpoint.ada.send(put).await.told(), "200");
    for name in
        ["cache-control", "content-disposition", "content-encoding", "content-language", "content-type", "expires"]
    {
        let value = if name == "expires" { "Tue, 01 Oct 2024 10:00:00 GMT" } else { "text/html" };
        let get = || Request::new("GET", "/photos/key").query(&format!("response-{name}"), value);
        let signed = endpoint.ada.send(get().signed(Signature::V4Link(60))).await;
        assert_eq!((signed.status, signed.header(name)), (200, Some(value)));
        let unsigned = endpoint.ada.send(get().signed(Signature::None)).await;
        assert_eq!(unsigned.told(), "400 InvalidRequest", "{name}");
        let head = Request { method: "HEAD".to_owned(), ..get() };
        assert_eq!(endpoint.ada.send(head.signed(Signature::None)).await.status, 400, "{name}");
    }
    assert_eq!(endpoint.ada.send(Request::new("GET", "/photos/key").signed(Signature::None)).await.status, 200);
}

#[tokio::test]
async fn conditions_of_a_deletion_that_are_not_offered_are_refused() {
    let endpoint = Endpoint::with_bucket("photos").await;
    endpoint.put("/photos/key", b"content").await;
    for (name, value) in [
        ("x-amz-if-match-size", "1"),
        ("x-amz-if-match-size", "7"),
        ("x-amz-if-match-last-modified-time", "Tue, 01 Oct 2024 10:00:00 GMT"),
    ] {
        let delete = Request::new("DELETE", "/photos/key").header(name, value);
        assert_eq!(endpoint.ada.send(delete).await.told(), "501 NotImplemented", "{name}");
    }
    for condition in ["<Size>1</Size>", "<LastModifiedTime>Tue, 01 Oct 2024 10:00:00 GMT</LastModifiedTime>"] {
        let document = format!("<Delete><Object><Key>key</Key>{condition}</Object></Delete>");
        let delete = Request::new("POST", "/photos?q:delete").body(document);
        assert_eq!(endpoint.ada.send(delete).await.told(), "501 NotImplemented", "{condition}");
    }
    assert_eq!(endpoint.get("/photos/key").await.text(), "content");
}

#[tokio::test]
async fn many_objects_are_deleted_at_once() {
    let endpoint = Endpoint::with_bucket("photos").await;
    for key in ["a", "b&c", "größe/x"] {
        endpoint.put(&format!("/photos/{key}"), b"x").await;
    }
    let delete = |document: &str| endpoint.ada.send(Request::new("POST", "/photos?q:delete").body(document));
    let keys = "<Object><Key>a</Key></Object><Object><Key>b&amp;c</Key><VersionId>null</VersionId></Object>\
        <Object><Key>missing</Key></Object>";
    let deleted = delete(&format!("<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{keys}</Delete>")).await;
    assert_eq!(deleted.told(), "200", "{}", deleted.text());
    assert_eq!(deleted.elements("Key"), ["a", "b&amp;c", "missing"]);
    assert_eq!(endpoint.get("/photos").await.elements("Key"), ["größe/x"]);
    let long = format!("<Object><Key>{}</Key></Object>", "x".repeat(1025));
    let mixed = delete(&format!("<Delete><Quiet>true</Quiet>{long}<Object><Key>größe/x</Key></Object></Delete>")).await;
    assert_eq!(mixed.elements("Deleted").len(), 0);
    assert_eq!(mixed.elements("Code"), ["KeyTooLongError"]);
    assert!(endpoint.get("/photos").await.elements("Key").is_empty());
    assert_eq!(delete("<Delete></Delete>").await.told(), "400 MalformedXML");
    assert_eq!(delete("nonsense").await.told(), "400 MalformedXML");
    let thousand_one = "<Object><Key>k</Key></Object>".repeat(1001);
    assert_eq!(delete(&format!("<Delete>{thousand_one}</Delete>")).await.told(), "400 MalformedXML");
}

#[tokio::test]
async fn deleting_what_is_not_there_succeeds() {
    let endpoint = Endpoint::with_bucket("photos").await;
    assert_eq!(endpoint.ada.send(Request::new("DELETE", "/photos/missing")).await.told(), "204");
    assert_eq!(endpoint.ada.send(Request::new("DELETE", "/photos/missing?q:versionId=null")).await.told(), "204");
    assert_eq!(
        endpoint.ada.send(Request::new("DELETE", "/photos/missing?q:versionId=x")).await.told(),
        "400 InvalidArgument"
    );
}

#[tokio::test]
async fn what_is_not_kept_is_not_accepted() {
    let endpoint = Endpoint::with_bucket("photos").await;
    for (name, value, told) in [
        ("x-amz-server-side-encryption", "AES128", "400 InvalidArgument"),
        ("x-amz-server-side-encryption-aws-kms-key-id", "key", "400 InvalidArgument"),
        ("x-amz-server-side-encryption-customer-algorithm", "AES256", "400 InvalidRequest"),
        ("x-amz-tagging", "a=1&a=2", "400 InvalidTag"),
        ("x-amz-object-lock-mode", "GOVERNANCE", "400 InvalidArgument"),
        ("x-amz-object-lock-legal-hold", "ON", "400 InvalidRequest"),
        ("x-amz-acl", "everybody", "400 InvalidArgument"),
        ("x-amz-grant-read", "uri=x", "400 InvalidArgument"),
        ("x-amz-grant-read", "id=00000000000000000000000000000000", "400 InvalidArgument"),
        ("x-amz-grant-read", "emailAddress=nobody@example.lan", "400 UnresolvableGrantByEmailAddress"),
    ] {
        let put = Request::new("PUT", "/photos/key").body("x").header(name, value);
        assert_eq!(endpoint.ada.send(put).await.told(), told, "{name}");
    }
    let owner = Request::new("PUT", "/photos/key").body("x").header("x-amz-expected-bucket-owner", "123456789012");
    assert_eq!(endpoint.ada.send(owner).await.told(), "403 AccessDenied");
    assert_eq!(endpoint.get("/photos/key").await.told(), "404 NoSuchKey");
    let private = Request::new("PUT", "/photos/key").body("x").header("x-amz-acl", "private");
    assert_eq!(endpoint.ada.send(private).await.told(), "200");
}

#[tokio::test]
async fn a_large_object_streams() {
    let endpoint = Endpoint::with_bucket("photos").await;
    let body: Vec<u8> = (0..20_000_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let client = Client { region: "auto".to_owned(), ..endpoint.ada.clone() };
    let put = Request::new("PUT", "/photos/large")
        .body(body.clone())
        .signed(Signature::V4(Payload::SignedChunks(128 << 10, None)));
    let put = client.send(put).await;
    assert_eq!(put.header("etag"), Some(format!("\"{}\"", hex::encode(Md5::digest(&body))).as_str()));
    assert_eq!(endpoint.get("/photos/large").await.body, body);
}
