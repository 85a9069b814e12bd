//! Buckets, path style and virtual-host style.

use crate::client::{Client, Payload, Request, Signature};
use crate::harness::Endpoint;

fn location(region: &str) -> String {
    format!("<CreateBucketConfiguration><LocationConstraint>{region}</LocationConstraint></CreateBucketConfiguration>")
}

#[tokio::test]
async fn making_a_bucket_takes_any_location_and_repeats() {
    let endpoint = Endpoint::start().await;
    for body in [String::new(), location("auto"), location("eu-west-1"), location("Nowhere_7")] {
        let made = endpoint.ada.send(Request::new("PUT", "/photos").body(body.clone())).await;
        assert_eq!(made.told(), "200", "{body} {}", made.text());
        assert_eq!(made.header("location"), Some("/photos"));
    }
    assert_eq!(endpoint.bob.send(Request::new("PUT", "/photos")).await.told(), "409 BucketAlreadyExists");
    let listed = endpoint.ada.send(Request::new("GET", "/")).await;
    assert_eq!(listed.elements("Name"), ["photos"]);
    assert_eq!(listed.elements("ID"), [endpoint.ada_id.as_str()]);
    assert!(endpoint.bob.send(Request::new("GET", "/")).await.elements("Name").is_empty());
}

#[tokio::test]
async fn a_bucket_is_made_again_only_as_it_is() {
    const LOCK: (&str, &str) = ("x-amz-bucket-object-lock-enabled", "true");
    const ENFORCED: (&str, &str) = ("x-amz-object-ownership", "BucketOwnerEnforced");
    const BY_WRITER: (&str, &str) = ("x-amz-object-ownership", "ObjectWriter");
    let endpoint = Endpoint::start().await;
    let make = async |bucket: &str, headers: &[(&str, &str)]| {
        let request = headers.iter().fold(Request::new("PUT", bucket), |to, (name, value)| to.header(name, value));
        endpoint.ada.send(request).await.told()
    };
    assert_eq!(make("/plain", &[]).await, "200");
    assert_eq!(make("/plain", &[BY_WRITER, ("x-amz-acl", "private")]).await, "200", "that is what it has");
    assert_eq!(make("/plain", &[LOCK]).await, "409 BucketAlreadyOwnedByYou");
    assert_eq!(make("/plain", &[ENFORCED]).await, "409 BucketAlreadyOwnedByYou");
    let lock = endpoint.get("/plain?q:object-lock").await;
    assert_eq!(lock.told(), "404 ObjectLockConfigurationNotFoundError");
    assert_eq!(endpoint.get("/plain?q:ownershipControls").await.status, 404);
    for headers in [&[LOCK, ENFORCED][..], &[LOCK, ENFORCED], &[LOCK], &[ENFORCED], &[]] {
        assert_eq!(make("/locked", headers).await, "200", "{headers:?}");
    }
    assert_eq!(make("/locked", &[LOCK, BY_WRITER]).await, "409 BucketAlreadyOwnedByYou");
    let by_list = Request::new("PUT", "/plain?q:acl").header("x-amz-acl", "private");
    assert_eq!(endpoint.ada.send(by_list).await.told(), "200");
    assert_eq!(make("/plain", &[]).await, "200", "a list that gives nothing away is as none");
}

#[tokio::test]
async fn a_bucket_is_made_with_its_tags() {
    let endpoint = Endpoint::start().await;
    let tags = |value: &str| format!("<Tags><Tag><Key>team</Key><Value>{value}</Value></Tag></Tags>");
    let make = async |bucket: &str, inner: &str| {
        let document = format!("<CreateBucketConfiguration>{inner}</CreateBucketConfiguration>");
        endpoint.ada.send(Request::new("PUT", bucket).body(document)).await.told()
    };
    let inner = format!("<LocationConstraint>lan</LocationConstraint>{}", tags("blue"));
    assert_eq!(make("/photos", &inner).await, "200");
    assert_eq!(endpoint.get("/photos?q:tagging").await.element("Value"), "blue");
    assert_eq!(make("/photos", "").await, "200", "nothing is said of its tags");
    assert_eq!(make("/photos", &tags("blue")).await, "200", "that is what it has");
    assert_eq!(make("/photos", &tags("red")).await, "409 BucketAlreadyOwnedByYou");
    assert_eq!(endpoint.get("/photos?q:tagging").await.element("Value"), "blue");
    for (inner, told) in [
        ("<Tags><Tag><Key>a</Key></Tag></Tags>".to_owned(), "400 MalformedXML"),
        (format!("{0}{0}", tags("blue")), "400 MalformedXML"),
        (tags("blue").replace("team", "aws:team"), "400 InvalidTag"),
        ("<Bucket><Type>Directory</Type></Bucket>".to_owned(), "501 NotImplemented"),
    ] {
        assert_eq!(make("/other", &inner).await, told, "{inner}");
    }
    assert_eq!(endpoint.get("/other").await.told(), "404 NoSuchBucket");
    assert_eq!(make("/other", "<Tags/>").await, "200");
    assert_eq!(endpoint.get("/other?q:tagging").await.told(), "404 NoSuchTagSet");
}

#[tokio::test]
async fn names_follow_the_rules_of_s3() {
    let endpoint = Endpoint::start().await;
    for name in ["ab", "Photos", "a_b", "-ab", "ab-", "a..b", "10.0.0.1", &"x".repeat(64)] {
        let made = endpoint.ada.send(Request::new("PUT", &format!("/{name}"))).await;
        assert_eq!(made.told(), "400 InvalidBucketName", "{name}");
    }
}

#[tokio::test]
async fn a_bucket_says_where_it_is_and_goes_when_it_is_empty() {
    let endpoint = Endpoint::with_bucket("photos").await;
    let head = endpoint.ada.send(Request::new("HEAD", "/photos")).await;
    assert_eq!((head.status, head.header("x-amz-bucket-region")), (200, Some("us-east-1")));
    let location = endpoint.get("/photos?q:location").await;
    assert_eq!((location.told().as_str(), location.element("LocationConstraint").as_str()), ("200", ""));
    let versioning = endpoint.get("/photos?q:versioning").await;
    assert_eq!((versioning.told().as_str(), versioning.elements("Status").len()), ("200", 0));
    endpoint.put("/photos/key", b"x").await;
    assert_eq!(endpoint.ada.send(Request::new("DELETE", "/photos")).await.told(), "409 BucketNotEmpty");
    assert_eq!(endpoint.ada.send(Request::new("DELETE", "/photos/key")).await.told(), "204");
    assert_eq!(endpoint.ada.send(Request::new("DELETE", "/photos")).await.told(), "204");
    assert_eq!(endpoint.ada.send(Request::new("HEAD", "/photos")).await.status, 404);
}

#[tokio::test]
async fn the_region_that_is_reported_is_configured() {
    let settings = s3_store::Settings { region: "lan-1".to_owned(), ..s3_store::Settings::default() };
    let endpoint = Endpoint::start_with(settings).await;
    endpoint.make_bucket("photos").await;
    assert_eq!(endpoint.get("/photos?q:location").await.element("LocationConstraint"), "");
    let text = endpoint.get("/photos?q:location").await.text();
    assert!(text.contains(">lan-1</LocationConstraint>"), "{text}");
}

#[tokio::test]
async fn the_owner_has_full_control() {
    let endpoint = Endpoint::with_bucket("photos").await;
    endpoint.put("/photos/key", b"x").await;
    for path in ["/photos?q:acl", "/photos/key?q:acl"] {
        let acl = endpoint.get(path).await;
        assert_eq!(acl.elements("Permission"), ["FULL_CONTROL"], "{}", acl.text());
        assert_eq!(acl.elements("ID"), [endpoint.ada_id.as_str(), endpoint.ada_id.as_str()]);
    }
}

#[tokio::test]
async fn lists_of_buckets_have_pages() {
    let endpoint = Endpoint::start().await;
    for name in ["aaa", "bbb-1", "bbb-2", "bbb-3"] {
        endpoint.make_bucket(name).await;
    }
    let page = endpoint.get("/?q:max-buckets=2&prefix=bbb").await;
    assert_eq!(page.elements("Name"), ["bbb-1", "bbb-2"]);
    let next = Request::new("GET", "/").query("continuation-token", &page.element("ContinuationToken"));
    let page = endpoint.ada.send(next.query("prefix", "bbb")).await;
    assert_eq!(page.elements("Name"), ["bbb-3"]);
    assert!(page.elements("ContinuationToken").is_empty());
    assert_eq!(endpoint.get("/?q:max-buckets=0").await.told(), "400 InvalidArgument");
}

#[tokio::test]
async fn hosts_beneath_a_base_domain_are_buckets() {
    let settings = s3_store::Settings { base_domains: vec!["s3.lan".to_owned()], ..s3_store::Settings::default() };
    let endpoint = Endpoint::start_with(settings).await;
    let port = endpoint.addr.port();
    let at = |host: String| Client { host, ..endpoint.ada.clone() };
    for signature in [Signature::V4(Payload::Hash), Signature::V2, Signature::V4Link(60)] {
        for host in ["photos.s3.lan".to_owned(), format!("photos.s3.lan:{port}")] {
            let by_host = Client { host_bucket: "photos".to_owned(), ..at(host.clone()) };
            assert_eq!(by_host.send(Request::new("PUT", "/").signed(signature.clone())).await.told(), "200", "{host}");
            let put = by_host.send(Request::new("PUT", "/dir/a b").body(host.clone()).signed(signature.clone())).await;
            assert_eq!(put.told(), "200", "{host} {}", put.text());
            // The same by path, under the base domain, an unknown host and an address.
            for other in
                ["s3.lan".to_owned(), format!("s3.lan:{port}"), "elsewhere.lan".to_owned(), endpoint.addr.to_string()]
            {
                let got =
                    at(other.clone()).send(Request::new("GET", "/photos/dir/a b").signed(signature.clone())).await;
                assert_eq!((got.told().as_str(), got.text()), ("200", host.clone()), "{other}");
            }
        }
    }
    // Beneath a base domain, the path of the health check is a key like any other.
    assert_eq!(at("photos.s3.lan".to_owned()).send(Request::new("GET", "/.healthCheck")).await.told(), "404 NoSuchKey");
}

#[tokio::test]
async fn a_bucket_may_be_asked_for_with_and_without_object_lock() {
    let endpoint = Endpoint::start().await;
    let none = "404 ObjectLockConfigurationNotFoundError";
    for (path, value, told) in [("/locked", "true", "200"), ("/plain", "false", none), ("/python", "False", none)] {
        let request = Request::new("PUT", path).header("x-amz-bucket-object-lock-enabled", value);
        assert_eq!(endpoint.ada.send(request).await.told(), "200", "{value}");
        let lock = endpoint.get(&format!("{path}?q:object-lock")).await;
        assert_eq!(lock.told(), told, "{value}");
    }
    let versioning = endpoint.get("/locked?q:versioning").await;
    assert!(versioning.text().contains("<Status>Enabled</Status>"), "{}", versioning.text());
}
