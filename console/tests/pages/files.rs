//! Buckets and what is in them: create, upload, look, download, delete.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use bytes::Bytes;
use engine::{BucketName, Caller, NewObject, ObjectKey};
use http::{Request, StatusCode, header};

use crate::harness::{Browser, House, count_of};

async fn with_bucket(house: &House) -> Browser {
    let mut browser = house.tenant("ada").await;
    let page = browser.get("/Cloudian/").await;
    assert_eq!(count_of(&page.text(), "no-buckets"), 1);
    let answer = browser.post("/Cloudian/bucket/create", &[("name", "photos")]).await;
    assert_eq!(answer.location(), "/Cloudian/?said=bucket-created", "{}", answer.text());
    browser
}

async fn upload(browser: &mut Browser, prefix: &str, files: &[(&str, &[u8])]) {
    let token = browser.token.clone();
    let path = format!("/Cloudian/object/upload?bucket=photos&prefix={prefix}");
    let answer = browser.upload(&path, Some(&token), files).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text());
    assert!(answer.location().contains("said=uploaded"));
}

#[tokio::test]
async fn buckets_are_created_listed_and_deleted() {
    let house = House::new().await;
    let mut browser = with_bucket(&house).await;
    let page = browser.get("/Cloudian/?said=bucket-created").await.text();
    assert!(page.contains("The bucket was created.") && page.contains("data-bucket=\"photos\""));

    for (name, status) in [("Photos", 422), ("ab", 422), ("", 422)] {
        let answer = browser.post("/Cloudian/bucket/create", &[("name", name)]).await;
        assert_eq!(answer.status.as_u16(), status, "{name}");
        assert_eq!(count_of(&answer.text(), "problem"), 1);
        assert!(answer.text().contains("data-bucket=\"photos\""), "the list stays");
    }
    let again = browser.post("/Cloudian/bucket/create", &[("name", "photos")]).await;
    assert_eq!(again.location(), "/Cloudian/?said=bucket-there");
    let mut other = house.tenant("bob").await;
    other.get("/Cloudian/").await;
    assert_eq!(other.post("/Cloudian/bucket/create", &[("name", "photos")]).await.status, StatusCode::CONFLICT);

    upload(&mut browser, "", &[("a.txt", b"a")]).await;
    let full = browser.post("/Cloudian/bucket/delete", &[("name", "photos")]).await;
    assert_eq!(full.status, StatusCode::CONFLICT);
    browser.post("/Cloudian/object/delete", &[("bucket", "photos"), ("key", "a.txt")]).await;
    let answer = browser.post("/Cloudian/bucket/delete", &[("name", "photos")]).await;
    assert_eq!(answer.location(), "/Cloudian/?said=bucket-deleted");
    assert_eq!(count_of(&browser.get("/Cloudian/").await.text(), "no-buckets"), 1);
}

#[tokio::test]
async fn a_bucket_is_relaxed_and_made_strict_again() {
    let house = House::new().await;
    let mut browser = with_bucket(&house).await;
    assert_eq!(count_of(&browser.get("/Cloudian/").await.text(), "relaxed"), 0);
    let mut set = async |name: &str, durability: &str| {
        browser.post("/Cloudian/bucket/durability", &[("name", name), ("durability", durability)]).await
    };
    assert_eq!(set("photos", "relaxed").await.location(), "/Cloudian/?said=bucket-relaxed");
    assert_eq!(set("photos", "loose").await.status, StatusCode::BAD_REQUEST);
    assert_eq!(set("nowhere", "relaxed").await.status, StatusCode::NOT_FOUND);
    let page = browser.get("/Cloudian/?said=bucket-relaxed").await.text();
    assert!(page.contains("up to a second before it is on disk.") && count_of(&page, "relaxed") == 1, "{page}");
    let answer = browser.post("/Cloudian/bucket/durability", &[("name", "photos"), ("durability", "strict")]).await;
    assert_eq!(answer.location(), "/Cloudian/?said=bucket-strict");
    assert_eq!(count_of(&browser.get("/Cloudian/").await.text(), "relaxed"), 0);
}

#[tokio::test]
async fn several_files_come_back_identical() {
    let house = House::new().await;
    let mut browser = with_bucket(&house).await;
    let large: Vec<u8> = (0..3_000_000_u32).map(|number| (number * 7 % 251) as u8).collect();
    upload(&mut browser, "", &[("plan.html", b"<script>alert(1)</script>"), ("größe 1.bin", &large)]).await;

    let page = browser.get("/Cloudian/bucket.htm?bucket=photos").await.text();
    assert_eq!(count_of(&page, "object-row"), 2);
    assert!(page.contains("3.00 MB") && page.contains("data-key=\"größe 1.bin\""), "{page}");

    let answer = browser.get("/Cloudian/object/download?bucket=photos&key=gr%C3%B6%C3%9Fe+1.bin").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.body == large, "the bytes differ");
    assert_eq!(answer.header(header::CONTENT_LENGTH), "3000000");
    assert!(answer.header(header::CONTENT_DISPOSITION).contains("filename*=UTF-8''gr%C3%B6%C3%9Fe%201.bin"));

    let html = browser.get("/Cloudian/object/download?bucket=photos&key=plan.html").await;
    assert!(html.header(header::CONTENT_DISPOSITION).starts_with("attachment;"));
    assert!(html.header(header::CONTENT_SECURITY_POLICY).contains("sandbox"));
    assert_eq!(html.header(header::X_CONTENT_TYPE_OPTIONS), "nosniff");
    assert_eq!(html.header(header::CONTENT_TYPE), "text/html");
}

#[tokio::test]
async fn a_broken_download_is_resumed() {
    let house = House::new().await;
    let mut browser = with_bucket(&house).await;
    upload(&mut browser, "", &[("a.bin", b"0123456789")]).await;
    let path = "/Cloudian/object/download?bucket=photos&key=a.bin";
    let whole = browser.get(path).await;
    let etag = whole.header(header::ETAG).to_owned();
    let mut ranged = async |range: &str, if_range: &str| {
        let request = Request::get(path).header(header::RANGE, range).header(header::IF_RANGE, if_range);
        browser.send(request.body(Body::empty()).unwrap()).await
    };
    let rest = ranged("bytes=4-", &etag).await;
    assert_eq!((rest.status, rest.body.as_ref()), (StatusCode::PARTIAL_CONTENT, &b"456789"[..]));
    assert_eq!(rest.header(header::CONTENT_RANGE), "bytes 4-9/10");
    let changed = ranged("bytes=4-", "\"another\"").await;
    assert_eq!((changed.status, changed.body.len()), (StatusCode::OK, 10));
    let outside = ranged("bytes=50-", &etag).await;
    assert_eq!(outside.status, StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(outside.header(header::CONTENT_RANGE), "bytes */10");
}

#[tokio::test]
async fn folders_are_walked_made_and_removed() {
    let house = House::new().await;
    let mut browser = with_bucket(&house).await;
    upload(&mut browser, "2026/may/", &[("a.txt", b"a")]).await;
    let top = browser.get("/Cloudian/bucket.htm?bucket=photos").await.text();
    assert_eq!((count_of(&top, "folder-row"), count_of(&top, "object-row")), (1, 0));
    assert!(top.contains("prefix=2026%2F"));
    let may = browser.get("/Cloudian/bucket.htm?bucket=photos&prefix=2026%2Fmay%2F").await.text();
    assert_eq!((count_of(&may, "object-row"), count_of(&may, "crumb")), (1, 2));

    let made =
        browser.post("/Cloudian/folder/create", &[("bucket", "photos"), ("prefix", "2026/"), ("name", "june")]).await;
    assert_eq!(made.location(), "/Cloudian/bucket.htm?bucket=photos&prefix=2026%2F&said=folder-created");
    let june = browser.get("/Cloudian/bucket.htm?bucket=photos&prefix=2026%2Fjune%2F").await.text();
    assert_eq!((count_of(&june, "no-objects"), count_of(&june, "remove-folder")), (1, 1));
    let fields = [("bucket", "photos"), ("prefix", "2026/june/"), ("key", "2026/june/")];
    let removed = browser.post("/Cloudian/object/delete", &fields).await;
    assert_eq!(removed.location(), "/Cloudian/bucket.htm?bucket=photos&prefix=2026%2F&said=deleted");
    for name in ["", "a/b"] {
        let fields = [("bucket", "photos"), ("prefix", ""), ("name", name)];
        assert_eq!(browser.post("/Cloudian/folder/create", &fields).await.status, StatusCode::BAD_REQUEST);
    }
}

#[tokio::test]
async fn long_lists_have_pages_and_can_be_searched() {
    let house = House::new().await;
    let mut browser = with_bucket(&house).await;
    let owner = house.engine.session(&browser.cookies[console::SESSION_COOKIE]).await.unwrap().unwrap();
    let caller = Caller::user(owner.identity);
    let bucket = BucketName::new("photos").unwrap();
    for number in 0..405 {
        let key = ObjectKey::new(format!("file-{number:03}&\"<b>.txt")).unwrap();
        let body = engine::Body::from_bytes(Bytes::from_static(b"x"));
        house.engine.put_object(&caller, &bucket, &key, NewObject::default(), body).await.unwrap();
    }
    let mut path = "/Cloudian/bucket.htm?bucket=photos".to_owned();
    let mut counts = Vec::new();
    loop {
        let page = browser.get(&path).await.text();
        assert!(!page.contains("<b>."), "names are escaped");
        counts.push(count_of(&page, "object-row"));
        let Some(before) = page.split("\" rel=\"next\"").next().filter(|before| before.len() < page.len()) else {
            break;
        };
        path = before.rsplit("href=\"").next().unwrap().replace("&#38;", "&");
    }
    assert_eq!(counts, [200, 200, 5]);
    let found = browser.get("/Cloudian/bucket.htm?bucket=photos&find=file-40").await.text();
    assert_eq!(count_of(&found, "object-row"), 5);
}

#[tokio::test]
async fn several_files_are_deleted_at_once() {
    let house = House::new().await;
    let mut browser = with_bucket(&house).await;
    upload(&mut browser, "", &[("a", b"1"), ("b", b"2"), ("c", b"3")]).await;
    let answer = browser.post("/Cloudian/object/delete", &[("bucket", "photos"), ("key", "a"), ("key", "c")]).await;
    assert_eq!(answer.location(), "/Cloudian/bucket.htm?bucket=photos&said=deleted");
    let page = browser.get("/Cloudian/bucket.htm?bucket=photos").await.text();
    assert!(count_of(&page, "object-row") == 1 && page.contains("data-key=\"b\""));
    let none = browser.post("/Cloudian/object/delete", &[("bucket", "photos")]).await;
    assert_eq!(none.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn an_upload_without_files_or_cut_short_stores_nothing() {
    let house = House::new().await;
    let mut browser = with_bucket(&house).await;
    browser.get("/Cloudian/").await;
    let token = browser.token.clone();
    let path = "/Cloudian/object/upload?bucket=photos&prefix=";
    assert_eq!(browser.upload(path, Some(&token), &[]).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(browser.upload(path, Some(&token), &[("", b"")]).await.status, StatusCode::BAD_REQUEST);

    let cut = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"cut.bin\"\r\n\r\nhalf of the";
    let request = Request::post(path)
        .header(header::CONTENT_TYPE, "multipart/form-data; boundary=b")
        .header("x-csrf-token", &token)
        .body(Body::from(cut))
        .unwrap();
    let answer = browser.send(request).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.text());
    assert!(answer.text().contains("cut.bin"));
    let page = browser.get("/Cloudian/bucket.htm?bucket=photos").await.text();
    assert_eq!(count_of(&page, "object-row"), 0);
}

#[tokio::test]
async fn a_large_upload_is_stored_whole_from_a_stream() {
    const PIECE: usize = 256 << 10;
    const PIECES: usize = 400;
    let house = House::new().await;
    let mut browser = with_bucket(&house).await;
    browser.get("/Cloudian/").await;
    let made = Arc::new(AtomicUsize::new(0));
    let piece = Bytes::from(vec![7_u8; PIECE]);
    let head =
        Bytes::from_static(b"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"big.bin\"\r\n\r\n");
    let counted = made.clone();
    let pieces = (0..PIECES).map(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        piece.clone()
    });
    let all = std::iter::once(head).chain(pieces).chain([Bytes::from_static(b"\r\n--b--\r\n")]);
    let stream = futures::stream::iter(all.map(Ok::<_, std::io::Error>));
    let request = Request::post("/Cloudian/object/upload?bucket=photos&prefix=")
        .header(header::CONTENT_TYPE, "multipart/form-data; boundary=b")
        .header("x-csrf-token", &browser.token)
        .body(Body::from_stream(stream))
        .unwrap();
    let answer = browser.send(request).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text());
    assert_eq!(made.load(Ordering::SeqCst), PIECES);
    let answer = browser.get("/Cloudian/object/download?bucket=photos&key=big.bin").await;
    assert_eq!(answer.body.len(), PIECE * PIECES);
    assert!(answer.body.iter().all(|byte| *byte == 7));
}
