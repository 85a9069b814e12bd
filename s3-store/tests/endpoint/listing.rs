//! Listings: paging, folding, coding.

use crate::client::{Request, encode};
use crate::harness::Endpoint;

const KEYS: [&str; 7] = ["a", "b/1", "b/2", "b/c/3", "d e", "f+g%", "größe/x"];

async fn filled() -> Endpoint {
    let endpoint = Endpoint::with_bucket("photos").await;
    for key in KEYS {
        endpoint.put(&format!("/photos/{key}"), key.as_bytes()).await;
    }
    endpoint
}

#[tokio::test]
async fn version_1_pages_by_marker() {
    let endpoint = filled().await;
    let mut seen = Vec::new();
    let mut marker = String::new();
    loop {
        let page = endpoint.get(&format!("/photos?q:max-keys=3&marker={}", encode(&marker))).await;
        assert_eq!(page.told(), "200");
        assert_eq!(page.element("MaxKeys"), "3");
        assert!(page.elements("NextMarker").is_empty(), "only with a delimiter: {}", page.text());
        assert_eq!(page.elements("DisplayName").len(), page.elements("Key").len());
        seen.extend(page.elements("Key"));
        if page.element("IsTruncated") == "false" {
            break;
        }
        marker = page.elements("Key").pop().expect("a truncated page has keys");
    }
    assert_eq!(seen, KEYS);
}

#[tokio::test]
async fn version_1_names_the_next_marker_beside_a_delimiter() {
    let endpoint = filled().await;
    let page = endpoint.get("/photos?q:delimiter=%2F&max-keys=2").await;
    assert_eq!((page.elements("Key"), page.element("NextMarker")), (vec!["a".to_owned()], "b/".to_owned()));
    assert!(page.text().contains("<CommonPrefixes><Prefix>b/</Prefix></CommonPrefixes>"), "{}", page.text());
    let page = endpoint.get("/photos?q:delimiter=%2F&marker=b%2F").await;
    assert_eq!(page.elements("Key"), ["d e", "f+g%"]);
    assert_eq!(page.element("IsTruncated"), "false");
    let inside = endpoint.get("/photos?q:delimiter=%2F&prefix=b%2F").await;
    assert_eq!(inside.elements("Key"), ["b/1", "b/2"]);
    assert!(inside.text().contains("<Prefix>b/c/</Prefix>"));
}

#[tokio::test]
async fn version_2_pages_by_token() {
    let endpoint = filled().await;
    let mut seen = Vec::new();
    let mut token: Option<String> = None;
    loop {
        let mut request = Request::new("GET", "/photos?q:list-type=2&max-keys=3");
        if let Some(token) = &token {
            request = request.query("continuation-token", token);
        }
        let page = endpoint.ada.send(request).await;
        assert_eq!(page.element("KeyCount"), page.elements("Key").len().to_string());
        assert!(page.elements("Owner").is_empty());
        if let Some(token) = &token {
            assert_eq!(page.element("ContinuationToken"), *token);
        }
        seen.extend(page.elements("Key"));
        if page.element("IsTruncated") == "false" {
            assert!(page.elements("NextContinuationToken").is_empty());
            break;
        }
        token = Some(page.element("NextContinuationToken"));
    }
    assert_eq!(seen, KEYS);
    let after = endpoint.get("/photos?q:list-type=2&start-after=b%2Fc%2F3&fetch-owner=true").await;
    assert_eq!(after.elements("Key"), KEYS[4..]);
    assert_eq!(after.elements("ID").len(), 3);
    let folded = endpoint.get("/photos?q:list-type=2&delimiter=%2F").await;
    assert_eq!(folded.element("KeyCount"), "5");
    let wrong = endpoint.get("/photos?q:list-type=2&continuation-token=nonsense").await;
    assert_eq!(wrong.told(), "400 InvalidArgument");
}

#[tokio::test]
async fn url_coding_is_for_every_name() {
    let endpoint = filled().await;
    for list in ["", "&list-type=2", "&versions"] {
        let page = endpoint.get(&format!("/photos?q:encoding-type=url{list}")).await;
        assert_eq!(
            page.elements("Key"),
            ["a", "b/1", "b/2", "b/c/3", "d%20e", "f%2Bg%25", "gr%C3%B6%C3%9Fe/x"],
            "{list}"
        );
        assert_eq!(page.element("EncodingType"), "url");
        let folded = endpoint.get(&format!("/photos?q:encoding-type=url&delimiter=%2F&prefix=gr%C3%B6{list}")).await;
        // What decoding would not change is left as it is in the oldest form, where some clients do not decode it.
        let prefix = if list.is_empty() { "<Prefix>grö</Prefix>" } else { "<Prefix>gr%C3%B6</Prefix>" };
        assert!(folded.text().contains(prefix), "{}", folded.text());
        assert!(folded.text().contains("<Prefix>gr%C3%B6%C3%9Fe/</Prefix>"), "{}", folded.text());
    }
    let plus = endpoint.get("/photos?q:encoding-type=url&prefix=f%2B").await;
    assert!(plus.text().contains("<Prefix>f%2B</Prefix>"), "{}", plus.text());
    assert_eq!(endpoint.get("/photos?q:encoding-type=base64").await.told(), "400 InvalidArgument");
}

/// A parser of XML makes a line feed of a carriage return: the client would go on with another key.
#[tokio::test]
async fn a_carriage_return_in_a_key_is_told_as_one() {
    let endpoint = Endpoint::with_bucket("photos").await;
    endpoint.put("/photos/a\rb", b"x").await;
    for listing in ["/photos?q:list-type=2", "/photos"] {
        let text = endpoint.get(listing).await.text();
        assert!(text.contains("<Key>a&#13;b</Key>"), "{listing}: {text}");
    }
}

#[tokio::test]
async fn limits_of_a_page() {
    let endpoint = filled().await;
    for list in ["", "&list-type=2", "&versions"] {
        let none = endpoint.get(&format!("/photos?q:max-keys=0{list}")).await;
        assert_eq!((none.elements("Key").len(), none.element("IsTruncated")), (0, "false".to_owned()), "{list}");
        assert_eq!(endpoint.get(&format!("/photos?q:max-keys=5000{list}")).await.element("MaxKeys"), "1000");
        assert_eq!(endpoint.get(&format!("/photos?q:max-keys=-1{list}")).await.told(), "400 InvalidArgument");
        assert_eq!(endpoint.get(&format!("/photos?q:max-keys=x{list}")).await.told(), "400 InvalidArgument");
    }
}

#[tokio::test]
async fn versions_of_a_bucket_without_versions_are_null() {
    let endpoint = filled().await;
    let page = endpoint.get("/photos?q:versions&max-keys=2").await;
    assert_eq!(page.elements("Key"), ["a", "b/1"]);
    assert_eq!(page.elements("VersionId"), ["null", "null"]);
    assert_eq!(page.elements("IsLatest"), ["true", "true"]);
    let (key, version) = (page.element("NextKeyMarker"), page.element("NextVersionIdMarker"));
    assert_eq!((key.as_str(), version.as_str()), ("b/1", "null"));
    let next = Request::new("GET", "/photos?q:versions").query("key-marker", &key).query("version-id-marker", &version);
    assert_eq!(endpoint.ada.send(next).await.elements("Key"), KEYS[2..]);
    assert_eq!(endpoint.get("/photos?q:versions&version-id-marker=null").await.told(), "400 InvalidArgument");
}

#[tokio::test]
async fn version_2_tells_what_is_kept_with_objects_when_asked_as_minio_is() {
    let endpoint = Endpoint::with_bucket("photos").await;
    let put = Request::new("PUT", "/photos/a").body("x").header("content-type", "image/png");
    let put = put.header("x-amz-meta-taken-by", "Ada").header("x-amz-tagging", "trip=1");
    assert_eq!(endpoint.ada.send(put).await.told(), "200");
    let page = endpoint.get("/photos?q:list-type=2&metadata=true").await;
    let expected = "<UserMetadata><content-type>image/png</content-type><X-Amz-Meta-Taken-By>Ada</X-Amz-Meta-Taken-By>\
                    </UserMetadata><UserTags>trip=1</UserTags></Contents>";
    assert!(page.text().contains(expected), "{}", page.text());
    let plain = endpoint.get("/photos?q:list-type=2").await;
    assert_eq!(plain.element("Key"), "a");
    assert!(!plain.text().contains("UserMetadata"), "{}", plain.text());
}
