//! Lists, policies, tags, locks and attributes, as they go over the wire.

use crate::client::{Request, Signature};
use crate::harness::Endpoint;

fn open_policy() -> String {
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject",
        "Resource":"arn:aws:s3:::photos/public/*","Condition":{"StringLike":{"aws:Referer":"https://a.lan/*"}}}]}"#
        .to_owned()
}

#[tokio::test]
async fn a_list_is_set_by_name_header_and_document() {
    let endpoint = Endpoint::with_bucket("photos").await;
    endpoint.put("/photos/key", b"content").await;
    let nobody = async || endpoint.ada.send(Request::new("GET", "/photos/key").signed(Signature::None)).await.status;
    assert_eq!(nobody().await, 403);
    let by_name = Request::new("PUT", "/photos/key?q:acl").header("x-amz-acl", "public-read");
    assert_eq!(endpoint.ada.send(by_name).await.told(), "200");
    assert_eq!(nobody().await, 200);
    let shown = endpoint.get("/photos/key?q:acl").await;
    assert_eq!(shown.elements("URI"), ["http://acs.amazonaws.com/groups/global/AllUsers"]);
    assert_eq!(shown.elements("Permission"), ["READ", "FULL_CONTROL"]);
    let owner = endpoint.ada_id.as_str();
    let document = format!(
        "<AccessControlPolicy><Owner><ID>{owner}</ID></Owner><AccessControlList><Grant>\
         <Grantee xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"CanonicalUser\"><ID>{owner}</ID></Grantee>\
         <Permission>READ_ACP</Permission></Grant></AccessControlList></AccessControlPolicy>"
    );
    let by_document = Request::new("PUT", "/photos/key?q:acl").body(document.clone());
    assert_eq!(endpoint.ada.send(by_document).await.told(), "200");
    assert_eq!(endpoint.get("/photos/key?q:acl").await.elements("Permission"), ["READ_ACP"]);
    assert_eq!(nobody().await, 403);
    let both = Request::new("PUT", "/photos/key?q:acl").body(document).header("x-amz-acl", "private");
    assert_eq!(endpoint.ada.send(both).await.told(), "400 UnexpectedContent");
    let none = Request::new("PUT", "/photos/key?q:acl");
    assert_eq!(endpoint.ada.send(none).await.told(), "400 MissingSecurityHeader");
    let again = Request::new("PUT", "/photos").header("x-amz-acl", "public-read");
    assert_eq!(endpoint.ada.send(again).await.told(), "409 BucketAlreadyExists");
}

#[tokio::test]
async fn a_policy_sees_what_a_request_tells() {
    let endpoint = Endpoint::with_bucket("photos").await;
    endpoint.put("/photos/public/key", b"content").await;
    assert_eq!(endpoint.get("/photos?q:policy").await.told(), "404 NoSuchBucketPolicy");
    let put = Request::new("PUT", "/photos?q:policy").body(open_policy());
    assert_eq!(endpoint.ada.send(put).await.status, 204);
    assert_eq!(endpoint.get("/photos?q:policy").await.text(), open_policy());
    assert_eq!(endpoint.get("/photos?q:policyStatus").await.element("IsPublic"), "true");
    for (referer, status) in [("https://a.lan/page", 200), ("https://b.lan/page", 403)] {
        let get = Request::new("GET", "/photos/public/key").signed(Signature::None).header("referer", referer);
        assert_eq!(endpoint.ada.send(get).await.status, status, "{referer}");
    }
    let broken = Request::new("PUT", "/photos?q:policy").body("{}");
    assert_eq!(endpoint.ada.send(broken).await.told(), "400 MalformedPolicy");
    assert_eq!(endpoint.ada.send(Request::new("DELETE", "/photos?q:policy")).await.status, 204);
    let get = Request::new("GET", "/photos/public/key").signed(Signature::None).header("referer", "https://a.lan/page");
    assert_eq!(endpoint.ada.send(get).await.status, 403);
}

#[tokio::test]
async fn pages_are_let_in_by_the_rules_of_the_bucket() {
    let endpoint = Endpoint::with_bucket("photos").await;
    let rules = "<CORSConfiguration><CORSRule><AllowedMethod>PUT</AllowedMethod><AllowedOrigin>https://*.lan</AllowedOrigin>\
        <AllowedHeader>x-amz-*</AllowedHeader><ExposeHeader>x-amz-meta-a</ExposeHeader><MaxAgeSeconds>7</MaxAgeSeconds>\
        </CORSRule></CORSConfiguration>";
    assert_eq!(endpoint.ada.send(Request::new("PUT", "/photos?q:cors").body(rules)).await.told(), "200");
    assert_eq!(endpoint.get("/photos?q:cors").await.element("AllowedOrigin"), "https://*.lan");
    let preflight = async |origin: &str, method: &str| {
        let request = Request::new("OPTIONS", "/photos/key")
            .signed(Signature::None)
            .header("origin", origin)
            .header("access-control-request-method", method)
            .header("access-control-request-headers", "x-amz-date");
        endpoint.ada.send(request).await
    };
    let allowed = preflight("https://a.lan", "PUT").await;
    assert_eq!(allowed.told(), "200");
    assert_eq!(allowed.header("access-control-allow-origin"), Some("https://a.lan"));
    assert_eq!(allowed.header("access-control-max-age"), Some("7"));
    assert_eq!(preflight("https://a.lan", "GET").await.told(), "403 AccessForbidden");
    assert_eq!(preflight("https://a.org", "PUT").await.told(), "403 AccessForbidden");
    let put = Request::new("PUT", "/photos/key").body("x").header("origin", "https://a.lan");
    assert_eq!(endpoint.ada.send(put).await.header("access-control-expose-headers"), Some("x-amz-meta-a, ETag"));
    let foreign = Request::new("PUT", "/photos/key").body("x").header("origin", "https://a.org");
    assert_eq!(endpoint.ada.send(foreign).await.header("access-control-allow-origin"), None);
    let bad = "<CORSConfiguration><CORSRule><AllowedMethod>SING</AllowedMethod><AllowedOrigin>*</AllowedOrigin></CORSRule>\
        </CORSConfiguration>";
    assert_eq!(endpoint.ada.send(Request::new("PUT", "/photos?q:cors").body(bad)).await.told(), "400 InvalidRequest");
}

#[tokio::test]
async fn tags_are_counted_and_shown_in_order() {
    let endpoint = Endpoint::with_bucket("photos").await;
    let put = Request::new("PUT", "/photos/key").body("x").header("x-amz-tagging", "b=2&a=1");
    assert_eq!(endpoint.ada.send(put).await.told(), "200");
    assert_eq!(endpoint.get("/photos/key?q:tagging").await.elements("Key"), ["a", "b"]);
    assert_eq!(endpoint.get("/photos/key").await.header("x-amz-tagging-count"), Some("2"));
    let head = endpoint.ada.send(Request::new("HEAD", "/photos/key")).await;
    assert_eq!(head.header("x-amz-tagging-count"), Some("2"));
    let copy = Request::new("PUT", "/photos/copy").header("x-amz-copy-source", "photos/key");
    assert_eq!(endpoint.ada.send(copy).await.told(), "200");
    assert_eq!(endpoint.get("/photos/copy?q:tagging").await.elements("Key"), ["a", "b"]);
    assert_eq!(endpoint.ada.send(Request::new("DELETE", "/photos/key?q:tagging")).await.status, 204);
    assert!(endpoint.get("/photos/key?q:tagging").await.elements("Key").is_empty());
}

#[tokio::test]
async fn a_complete_may_be_asked_for_again() {
    let endpoint = Endpoint::with_bucket("photos").await;
    let upload = endpoint.ada.send(Request::new("POST", "/photos/key?q:uploads")).await.element("UploadId");
    let part = Request::new("PUT", "/photos/key").query("partNumber", "1").query("uploadId", &upload).body("part");
    let etag = endpoint.ada.send(part).await.header("etag").expect("a tag").to_owned();
    let complete = |etag: &str| {
        let list = format!(
            "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
        );
        Request::new("POST", "/photos/key").query("uploadId", &upload).body(list)
    };
    let first = endpoint.ada.send(complete(&etag)).await;
    let again = endpoint.ada.send(complete(&etag)).await;
    assert_eq!((again.told(), again.element("ETag")), ("200".to_owned(), first.element("ETag")));
    let other = endpoint.ada.send(complete("00000000000000000000000000000000")).await;
    assert_eq!(other.told(), "404 NoSuchUpload");
    let attributes = Request::new("GET", "/photos/key?q:attributes")
        .header("x-amz-object-attributes", "ObjectParts,ObjectSize,ETag,Checksum,StorageClass");
    let shown = endpoint.ada.send(attributes).await;
    assert_eq!(shown.told(), "200", "{}", shown.text());
    assert_eq!((shown.element("ObjectSize"), shown.element("PartsCount")), ("4".to_owned(), "1".to_owned()));
    assert_eq!(shown.elements("Size"), ["4"]);
    // What has come in its place is not what the upload made.
    endpoint.put("/photos/key", b"other").await;
    assert_eq!(endpoint.ada.send(complete(&etag)).await.told(), "404 NoSuchUpload");
}

/// An object with a governance lock, and its version.
async fn with_locked_object() -> (Endpoint, String) {
    let endpoint = Endpoint::start().await;
    let make = Request::new("PUT", "/photos").header("x-amz-bucket-object-lock-enabled", "true");
    assert_eq!(endpoint.ada.send(make).await.told(), "200");
    let put = Request::new("PUT", "/photos/key")
        .body("x")
        .header("x-amz-object-lock-mode", "GOVERNANCE")
        .header("x-amz-object-lock-retain-until-date", "2099-01-01T00:00:00Z");
    let put = endpoint.ada.send(put).await;
    assert_eq!(put.told(), "200");
    let version = put.header("x-amz-version-id").expect("a version").to_owned();
    (endpoint, version)
}

#[tokio::test]
async fn a_lock_is_shown_and_kept() {
    let (endpoint, version) = with_locked_object().await;
    let got = endpoint.get("/photos/key").await;
    assert_eq!(got.header("x-amz-object-lock-mode"), Some("GOVERNANCE"));
    assert_eq!(got.header("x-amz-object-lock-retain-until-date"), Some("2099-01-01T00:00:00.000Z"));
    assert_eq!(endpoint.get("/photos/key?q:retention").await.element("Mode"), "GOVERNANCE");
    let delete = || Request::new("DELETE", "/photos/key").query("versionId", &version);
    assert_eq!(endpoint.ada.send(delete()).await.told(), "403 AccessDenied");
    let bypass = delete().header("x-amz-bypass-governance-retention", "true");
    assert_eq!(endpoint.ada.send(bypass).await.told(), "204");
}

/// Holds that events end are not offered, and a lock must neither seem to have one nor end by being asked for it.
#[tokio::test]
async fn holds_for_events_are_refused_and_change_nothing() {
    let (endpoint, _) = with_locked_object().await;
    for (name, value) in [("x-amz-object-lock-event-hold", "ON"), ("x-amz-object-lock-event-hold-duration-days", "7")] {
        for request in [
            Request::new("PUT", "/photos/held").body("x"),
            Request::new("PUT", "/photos/held").header("x-amz-copy-source", "photos/key"),
            Request::new("POST", "/photos/held?q:uploads"),
        ] {
            assert_eq!(endpoint.ada.send(request.header(name, value)).await.told(), "501 NotImplemented", "{name}");
        }
    }
    assert_eq!(endpoint.get("/photos/held").await.told(), "404 NoSuchKey");
    for document in [
        "<Retention><EventHold>ON</EventHold></Retention>",
        "<Retention><EventHoldDuration><Days>7</Days></EventHoldDuration></Retention>",
    ] {
        let set = Request::new("PUT", "/photos/key?q:retention").body(document);
        let set = set.header("x-amz-bypass-governance-retention", "true");
        assert_eq!(endpoint.ada.send(set).await.told(), "501 NotImplemented", "{document}");
    }
    assert_eq!(endpoint.get("/photos/key?q:retention").await.element("Mode"), "GOVERNANCE");
    let end = Request::new("PUT", "/photos/key?q:retention").body("<Retention/>");
    let end = end.header("x-amz-bypass-governance-retention", "true");
    assert_eq!(endpoint.ada.send(end).await.told(), "200");
}

#[tokio::test]
async fn rules_are_shown_in_the_form_in_which_they_were_given_and_told_of_objects() {
    let endpoint = Endpoint::with_bucket("photos").await;
    let put = async |rule: &str| {
        let document = format!("<LifecycleConfiguration><Rule>{rule}</Rule></LifecycleConfiguration>");
        endpoint.ada.send(Request::new("PUT", "/photos?q:lifecycle").body(document)).await.told()
    };
    let goes = "<ID>a b</ID><Status>Enabled</Status><Expiration><Days>1</Days></Expiration>";
    assert_eq!(put(&format!("{goes}<Prefix>tmp/</Prefix>")).await, "200");
    let first = endpoint.get("/photos?q:lifecycle").await;
    assert!(first.elements("Filter").is_empty() && first.elements("Prefix") == ["tmp/"], "{}", first.text());
    assert_eq!(put(&format!("{goes}<Filter><Prefix>tmp/</Prefix></Filter>")).await, "200");
    let second = endpoint.get("/photos?q:lifecycle").await;
    assert_eq!(second.elements("Filter"), ["<Prefix>tmp/</Prefix>"], "{}", second.text());
    let told = endpoint.put("/photos/tmp/a", b"x").await.header("x-amz-expiration").map(str::to_owned);
    let told = told.expect("when it goes");
    assert!(told.starts_with("expiry-date=\"") && told.ends_with(" 00:00:00 GMT\", rule-id=\"a%20b\""), "{told}");
    assert_eq!(endpoint.get("/photos/tmp/a").await.header("x-amz-expiration"), Some(told.as_str()));
    assert_eq!(endpoint.put("/photos/kept", b"x").await.header("x-amz-expiration"), None);
}

#[tokio::test]
async fn rules_say_what_is_too_small_to_be_moved() {
    const SIZE: &str = "x-amz-transition-default-minimum-object-size";
    let endpoint = Endpoint::with_bucket("photos").await;
    let document = "<LifecycleConfiguration><Rule><ID>a</ID><Status>Enabled</Status><Filter/><Expiration><Days>1</Days></Expiration>\
        </Rule></LifecycleConfiguration>";
    let put = || Request::new("PUT", "/photos?q:lifecycle").body(document);
    let varies = put().header(SIZE, "varies_by_storage_class");
    for (request, size) in [(put(), "all_storage_classes_128K"), (varies, "varies_by_storage_class")] {
        let answer = endpoint.ada.send(request).await;
        assert_eq!((answer.status, answer.header(SIZE)), (200, Some(size)));
        let shown = endpoint.get("/photos?q:lifecycle").await;
        assert_eq!((shown.header(SIZE), shown.element("ID").as_str()), (Some(size), "a"));
    }
    assert_eq!(endpoint.ada.send(put().header(SIZE, "none")).await.told(), "400 InvalidRequest");
}

#[tokio::test]
async fn a_condition_sees_what_is_listed() {
    let endpoint = Endpoint::with_bucket("photos").await;
    for key in ["home/bob/a", "secret/b"] {
        endpoint.put(&format!("/photos/{key}"), b"x").await;
    }
    let policy = r#"{"Statement":{"Effect":"Allow","Principal":"*","Action":["s3:ListBucket","s3:ListBucketVersions"],
        "Resource":"arn:aws:s3:::photos","Condition":{"StringLike":{"s3:prefix":"home/*"}}}}"#;
    assert_eq!(endpoint.ada.send(Request::new("PUT", "/photos?q:policy").body(policy)).await.status, 204);
    for (parameters, told) in [
        (&[("prefix", "home/bob/")][..], "200"),
        (&[("prefix", "secret/")], "403 AccessDenied"),
        (&[], "403 AccessDenied"),
        (&[("Prefix", "home/bob/")], "403 AccessDenied"),
        (&[("Prefix", "home/bob/"), ("prefix", "secret/")], "403 AccessDenied"),
        (&[("prefix", "home/bob/"), ("prefix", "secret/")], "400 InvalidArgument"),
    ] {
        for of in ["/photos", "/photos?q:versions", "/photos?q:list-type=2"] {
            let listing =
                parameters.iter().fold(Request::new("GET", of), |request, (name, value)| request.query(name, value));
            assert_eq!(endpoint.bob.send(listing).await.told(), told, "{of} {parameters:?}");
        }
    }
}

#[tokio::test]
async fn lifecycle_rules_say_what_they_are_about() {
    let endpoint = Endpoint::with_bucket("photos").await;
    let put = async |filter: &str, days: u32| {
        let document = format!(
            "<LifecycleConfiguration><Rule><ID>a</ID><Status>Enabled</Status>{filter}<Expiration><Days>{days}</Days></Expiration>\
             </Rule></LifecycleConfiguration>"
        );
        endpoint.ada.send(Request::new("PUT", "/photos?q:lifecycle").body(document)).await.told()
    };
    let tag = "<Tag><Key>a</Key><Value>b</Value></Tag>";
    let apart = format!("<Filter><And><Prefix>a</Prefix>{tag}</And><Prefix>b</Prefix></Filter>");
    for filter in ["", apart.as_str()] {
        assert_eq!(put(filter, 1).await, "400 MalformedXML", "{filter}");
    }
    for filter in [
        "<Filter/>",
        "<Filter><Prefix/></Filter>",
        "<Prefix/>",
        &format!("<Filter><And><Prefix>t</Prefix>{tag}</And></Filter>"),
    ] {
        assert_eq!(put(filter, 1).await, "200", "{filter}");
    }
    // What stands beside the others counts, too.
    for beside in [
        format!("<Filter><And>{tag}</And><Prefix>tmp/</Prefix></Filter>"),
        format!("<Filter><Prefix>tmp/</Prefix>{tag}</Filter>"),
        format!("<Filter><And><Prefix>t</Prefix>{tag}</And><Prefix>tmp/</Prefix></Filter>"),
    ] {
        assert_eq!(put(&beside, 1).await, "200", "{beside}");
        let shown = endpoint.get("/photos?q:lifecycle").await;
        assert_eq!(
            (shown.elements("Prefix"), shown.elements("Key")),
            (vec!["tmp/".to_owned()], vec!["a".to_owned()]),
            "{beside}"
        );
    }
    assert_eq!(put("<Prefix/>", 1_000_001).await, "400 InvalidArgument");
    assert_eq!(put("<Prefix/>", 1_000_000).await, "200");
    assert!(
        endpoint.put("/photos/late", b"x").await.header("x-amz-expiration").is_some_and(|told| told.contains("GMT"))
    );
}
