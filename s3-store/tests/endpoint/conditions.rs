//! What the conditions of policies are told of requests.

use std::time::Duration;

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::answer::Answer;
use crate::client::{Client, Request};
use crate::harness::Endpoint;
use crate::iam::iam_user;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Denies everybody an action on the objects of the bucket `photos` where a condition holds.
async fn deny(endpoint: &Endpoint, action: &str, condition: &Value) {
    let statement = json!({
        "Effect": "Deny", "Principal": "*", "Action": action, "Resource": "arn:aws:s3:::photos/*", "Condition": condition,
    });
    let policy = json!({ "Version": "2012-10-17", "Statement": [statement] }).to_string();
    let put = endpoint.ada.send(Request::new("PUT", "/photos?q:policy").body(policy)).await;
    assert_eq!(put.status, 204, "{condition}: {}", put.text());
}

#[tokio::test]
async fn facts_that_every_request_has_are_told() {
    let endpoint = Endpoint::with_bucket("photos").await;
    endpoint.put("/photos/key", b"content").await;
    let ada = endpoint.ada_id.as_str();
    for (operator, fact, value, holds) in [
        ("Bool", "aws:ViaAWSService", "false", true),
        ("Bool", "aws:PrincipalIsAWSService", "false", true),
        ("Bool", "aws:PrincipalIsAWSService", "true", false),
        ("StringEquals", "aws:RequestedRegion", "us-east-1", true),
        ("StringNotEquals", "aws:RequestedRegion", "us-east-1", false),
        ("StringEquals", "aws:ResourceAccount", ada, true),
        ("StringNotEquals", "aws:ResourceAccount", ada, false),
        ("StringEquals", "s3:ResourceAccount", ada, true),
        ("NumericLessThan", "s3:signatureAge", "300000", true),
        ("NumericGreaterThan", "s3:signatureAge", "300000", false),
    ] {
        deny(&endpoint, "s3:GetObject", &json!({ operator: { fact: value } })).await;
        let expected = if holds { 403 } else { 200 };
        assert_eq!(endpoint.get("/photos/key").await.status, expected, "{operator} {fact} {value}");
    }
    let late = Client { skew_s: -500, ..endpoint.ada.clone() };
    assert_eq!(late.send(Request::new("GET", "/photos/key")).await.status, 403, "it was signed some minutes ago");
}

#[tokio::test]
async fn what_is_said_of_locks_is_told() {
    let endpoint = Endpoint::start().await;
    let make = Request::new("PUT", "/photos").header("x-amz-bucket-object-lock-enabled", "true");
    assert_eq!(endpoint.ada.send(make).await.told(), "200");
    let until = |days: u32| (OffsetDateTime::now_utc() + DAY * days).format(&Rfc3339).expect("a time");
    let put = async |mode: &str, days: u32| {
        let request = Request::new("PUT", "/photos/key")
            .header("x-amz-object-lock-mode", mode)
            .header("x-amz-object-lock-retain-until-date", &until(days));
        endpoint.ada.send(request.body("content")).await.status
    };
    let prolong = async |days: u32| {
        let until = until(days);
        let document =
            format!("<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>{until}</RetainUntilDate></Retention>");
        endpoint.ada.send(Request::new("PUT", "/photos/key?q:retention").body(document)).await.status
    };
    for action in ["s3:PutObject", "s3:PutObjectRetention"] {
        deny(&endpoint, action, &json!({ "NumericGreaterThan": { "s3:object-lock-remaining-retention-days": "10" } }))
            .await;
        assert_eq!((put("GOVERNANCE", 12).await, put("GOVERNANCE", 5).await), (403, 200), "{action}");
    }
    assert_eq!((prolong(12).await, prolong(9).await), (403, 200));
    deny(&endpoint, "s3:PutObject", &json!({ "StringNotEquals": { "s3:object-lock-mode": "GOVERNANCE" } })).await;
    assert_eq!((put("COMPLIANCE", 1).await, put("GOVERNANCE", 1).await), (403, 200));
    deny(&endpoint, "s3:PutObjectLegalHold", &json!({ "StringEquals": { "s3:object-lock-legal-hold": "OFF" } })).await;
    for (status, expected) in [("ON", 200), ("OFF", 403)] {
        let document = format!("<LegalHold><Status>{status}</Status></LegalHold>");
        let held = endpoint.ada.send(Request::new("PUT", "/photos/key?q:legal-hold").body(document)).await;
        assert_eq!(held.status, expected, "{status}");
    }
}

#[tokio::test]
async fn the_place_that_a_bucket_is_asked_for_is_told() {
    let endpoint = Endpoint::start().await;
    let condition = json!({ "StringEquals": { "s3:LocationConstraint": "eu-west-1", "aws:ResourceAccount": endpoint.ada_id.as_str() } });
    let statement = json!({ "Effect": "Allow", "Action": "s3:CreateBucket", "Resource": "*", "Condition": condition });
    let policy = json!({ "Version": "2012-10-17", "Statement": [statement] }).to_string();
    let user = iam_user(&endpoint, "maker", Some(&policy)).await;
    let make = async |location: &str| -> Answer {
        let place = format!("<LocationConstraint>{location}</LocationConstraint>");
        let body = format!("<CreateBucketConfiguration>{place}</CreateBucketConfiguration>");
        user.send(Request::new("PUT", "/photos").body(body)).await
    };
    assert_eq!(make("eu-west-2").await.told(), "403 AccessDenied");
    assert_eq!(make("eu-west-1").await.told(), "200");
}

#[tokio::test]
async fn parts_are_judged_by_what_their_upload_was_begun_with() {
    let endpoint = Endpoint::with_bucket("photos").await;
    let begin = async |headers: &[(&str, &str)]| {
        let request = Request::new("POST", "/photos/key?q:uploads");
        endpoint.ada.send(headers.iter().fold(request, |to, (name, value)| to.header(name, value))).await
    };
    for (fact, value, header, given) in [
        ("s3:x-amz-server-side-encryption", "AES256", "x-amz-server-side-encryption", "AES256"),
        ("s3:x-amz-acl", "bucket-owner-full-control", "x-amz-acl", "bucket-owner-full-control"),
        ("s3:RequestObjectTag/kind", "photo", "x-amz-tagging", "kind=photo"),
    ] {
        deny(&endpoint, "s3:PutObject", &json!({ "StringNotEquals": { fact: value } })).await;
        assert_eq!(begin(&[]).await.told(), "403 AccessDenied", "{fact}");
        let upload = begin(&[(header, given)]).await.element("UploadId");
        let at = |method: &str| Request::new(method, "/photos/key").query("uploadId", &upload);
        let part = endpoint.ada.send(at("PUT").query("partNumber", "1").body("content")).await;
        assert_eq!(part.told(), "200", "{fact}: {}", part.text());
        let etag = part.header("etag").expect("a tag");
        let document = format!(
            "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
        );
        let complete = endpoint.ada.send(at("POST").body(document)).await;
        assert_eq!(complete.told(), "200", "{fact}: {}", complete.text());
        assert_eq!(endpoint.get("/photos/key").await.text(), "content");
    }
}

#[tokio::test]
async fn a_part_says_nothing_that_its_upload_did_not_say() {
    let endpoint = Endpoint::with_bucket("photos").await;
    let upload = endpoint.ada.send(Request::new("POST", "/photos/key?q:uploads")).await.element("UploadId");
    deny(&endpoint, "s3:PutObject", &json!({ "StringNotEquals": { "s3:x-amz-acl": "private" } })).await;
    let part = Request::new("PUT", "/photos/key").query("uploadId", &upload).query("partNumber", "1");
    let part = part.header("x-amz-acl", "private").body("content");
    assert_eq!(endpoint.ada.send(part).await.told(), "403 AccessDenied");
}

#[tokio::test]
async fn a_copy_carries_tags_by_who_may_read_and_give_them() {
    let endpoint = Endpoint::with_bucket("photos").await;
    let tagged = Request::new("PUT", "/photos/tagged").header("x-amz-tagging", "kind=photo").body("content");
    assert_eq!(endpoint.ada.send(tagged).await.told(), "200");
    endpoint.put("/photos/plain", b"content").await;
    let user = async |name: &str, statements: Value| {
        let policy = json!({ "Version": "2012-10-17", "Statement": statements }).to_string();
        iam_user(&endpoint, name, Some(&policy)).await
    };
    let allow = |actions: &[&str]| json!({ "Effect": "Allow", "Action": actions, "Resource": "*" });
    let copy = async |client: &Client, source: &str, directive: &str| {
        let request = Request::new("PUT", "/photos/copy").header("x-amz-copy-source", source);
        client.send(request.header("x-amz-tagging-directive", directive)).await.told()
    };
    let whole = ["s3:GetObject", "s3:PutObject", "s3:GetObjectTagging", "s3:PutObjectTagging"];
    for (index, missing) in ["s3:GetObjectTagging", "s3:PutObjectTagging"].into_iter().enumerate() {
        let actions: Vec<&str> = whole.into_iter().filter(|action| *action != missing).collect();
        let user = user(&format!("without{index}"), allow(&actions)).await;
        assert_eq!(copy(&user, "photos/tagged", "COPY").await, "403 AccessDenied", "{missing}");
        assert_eq!(copy(&user, "photos/tagged", "REPLACE").await, "200", "no tags come along");
        assert_eq!(copy(&user, "photos/plain", "COPY").await, "200", "there are none");
    }
    let deny = json!({
        "Effect": "Deny", "Action": "s3:PutObject", "Resource": "*",
        "Condition": { "StringNotEquals": { "s3:RequestObjectTag/kind": "photo" } },
    });
    let photographer = user("photographer", json!([allow(&whole), deny])).await;
    assert_eq!(copy(&photographer, "photos/tagged", "COPY").await, "200", "they are judged as if they were given");
    assert_eq!(copy(&photographer, "photos/plain", "COPY").await, "403 AccessDenied");
}
