//! What is said of durability: that a bucket is relaxed, and which writes were answered before they were durable.

use serde_json::json;

use crate::answer::Answer;
use crate::client::Request;
use crate::forms::{LATER, policy};
use crate::harness::Endpoint;

const HEADER: &str = "x-cloudhold-durability";

fn said(answer: &Answer) -> Option<&str> {
    answer.header(HEADER)
}

fn asking(bucket: &str, durability: &str) -> Request {
    Request::new("PUT", &format!("/{bucket}")).header(HEADER, durability)
}

#[tokio::test]
async fn a_relaxed_bucket_is_asked_for_and_shows_it() {
    let endpoint = Endpoint::with_bucket("strict").await;
    assert_eq!(endpoint.ada.send(asking("relaxed", "loose")).await.told(), "400 InvalidArgument");
    assert_eq!(endpoint.ada.send(Request::new("HEAD", "/relaxed")).await.status, 404, "nothing was made");
    let made = endpoint.ada.send(asking("relaxed", "relaxed")).await;
    assert_eq!((made.status, said(&made)), (200, Some("relaxed")));
    for (bucket, shown) in [("strict", None), ("relaxed", Some("relaxed"))] {
        let object = format!("/{bucket}/key");
        endpoint.put(&object, b"x").await;
        for method in ["GET", "HEAD"] {
            let read = endpoint.ada.send(Request::new(method, &object)).await;
            assert_eq!((read.status, said(&read)), (200, shown), "{method} {object}");
        }
        let head = endpoint.ada.send(Request::new("HEAD", &format!("/{bucket}"))).await;
        assert_eq!((head.status, said(&head)), (200, shown), "HEAD {bucket}");
    }
    assert_eq!(endpoint.bob.send(asking("relaxed", "strict")).await.told(), "409 BucketAlreadyExists");
    let again = endpoint.ada.send(asking("relaxed", "strict")).await;
    assert_eq!((again.status, said(&again)), (200, None));
    assert_eq!(said(&endpoint.ada.send(Request::new("HEAD", "/relaxed")).await), None);
}

/// Stores and deletes in the bucket of the forms, in all ways that are answered early where it is relaxed.
async fn store_and_delete(endpoint: &Endpoint) -> Vec<(&'static str, Answer)> {
    let send = |request: Request| endpoint.ada.send(request);
    let conditions = json!([{ "bucket": "photos" }, ["starts-with", "$key", ""]]);
    let delete_many = |keys: &[&str]| {
        let keys: String = keys.iter().map(|key| format!("<Object><Key>{key}</Key></Object>")).collect();
        Request::new("POST", "/photos?q:delete").body(format!("<Delete>{keys}</Delete>"))
    };
    let too_long = "x".repeat(1025);
    vec![
        ("PUT", send(Request::new("PUT", "/photos/put").body("x")).await),
        ("a form", endpoint.post(&policy(LATER, &conditions), &[("key", "form")], b"form").await),
        ("DELETE", send(Request::new("DELETE", "/photos/put")).await),
        ("DELETE of nothing", send(Request::new("DELETE", "/photos/put")).await),
        ("DeleteObjects", send(delete_many(&["form", "nothing"])).await),
        ("DeleteObjects, of which one is refused", send(delete_many(&["form", &too_long])).await),
    ]
}

/// Does in the bucket of the forms what is durable before its answer, wherever that is.
async fn do_strictly(endpoint: &Endpoint) -> Vec<(&'static str, Answer)> {
    let send = |request: Request| endpoint.ada.send(request);
    endpoint.put("/photos/source", &[7; 40_000]).await;
    let copy = || Request::new("PUT", "/photos/copy").header("x-amz-copy-source", "/photos/source");
    let mut answers = vec![
        ("a copy", send(copy()).await),
        ("a copy whose bytes are read", send(copy().header("x-amz-checksum-algorithm", "SHA256")).await),
        ("a copy that is encrypted", send(copy().header("x-amz-server-side-encryption", "AES256")).await),
    ];
    let begun = send(Request::new("POST", "/photos/parts?q:uploads")).await;
    let upload = begun.element("UploadId");
    let part = |number: &str| {
        let part = Request::new("PUT", "/photos/parts").query("partNumber", number);
        part.query("uploadId", &upload)
    };
    let first = send(part("1").body(vec![1; 20_000])).await;
    let second = send(part("2").header("x-amz-copy-source", "/photos/source")).await;
    let tags = [first.header("etag").unwrap_or_default().to_owned(), second.element("ETag")];
    let parts: String = (1..).zip(tags).fold(String::new(), |parts, (number, tag)| {
        parts + &format!("<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>")
    });
    let document = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
    let complete = || Request::new("POST", "/photos/parts").query("uploadId", &upload).body(document.clone());
    answers.extend([("an upload", begun), ("a part", first), ("a copied part", second)]);
    answers.push(("Complete", send(complete()).await));
    answers.push(("Complete again", send(complete()).await));
    let given_up = send(Request::new("POST", "/photos/other?q:uploads")).await.element("UploadId");
    answers.push(("an abort", send(Request::new("DELETE", "/photos/other").query("uploadId", &given_up)).await));
    let tags = "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>";
    answers.push(("tags", send(Request::new("PUT", "/photos/source?q:tagging").body(tags)).await));
    answers
}

#[tokio::test]
async fn writes_say_so_exactly_where_they_are_answered_early() {
    let endpoint = Endpoint::with_bucket("photos").await;
    for (durability, shown) in [("strict", None), ("relaxed", Some("relaxed"))] {
        assert_eq!(endpoint.ada.send(asking("photos", durability)).await.status, 200);
        for (what, answer) in store_and_delete(&endpoint).await {
            assert!(answer.status < 300, "{what}: {}", answer.text());
            assert_eq!(said(&answer), shown, "{what} in a {durability} bucket");
        }
        for (what, answer) in do_strictly(&endpoint).await {
            assert!(answer.status < 300, "{what}: {}", answer.text());
            assert_eq!(said(&answer), None, "{what} in a {durability} bucket");
        }
    }
}

#[tokio::test]
async fn nothing_is_said_of_deletions_that_were_all_refused() {
    let endpoint = Endpoint::start().await;
    endpoint.ada.send(asking("photos", "relaxed")).await;
    let body = "<Delete><Object><Key>a</Key></Object></Delete>";
    let refused = endpoint.bob.send(Request::new("POST", "/photos?q:delete").body(body)).await;
    assert_eq!((refused.elements("Code"), said(&refused)), (vec!["AccessDenied".to_owned()], None));
}
