//! Versions and delete markers as clients see them.

use crate::answer::Answer;
use crate::client::Request;
use crate::harness::Endpoint;

fn configuration(status: &str) -> String {
    format!(
        "<VersioningConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Status>{status}</Status>\
         </VersioningConfiguration>"
    )
}

impl Endpoint {
    async fn set_versioning(&self, document: impl Into<Vec<u8>>) -> Answer {
        self.ada.send(Request::new("PUT", "/photos?q:versioning").body(document)).await
    }

    async fn versioned() -> Self {
        let endpoint = Self::with_bucket("photos").await;
        assert_eq!(endpoint.set_versioning(configuration("Enabled")).await.told(), "200");
        endpoint
    }

    /// Stores an object and gives its version.
    async fn put_version(&self, path: &str, body: &str) -> String {
        version_of(&self.put(path, body.as_bytes()).await)
    }

    async fn send(&self, method: &str, path: &str) -> Answer {
        self.ada.send(Request::new(method, path)).await
    }

    async fn of_version(&self, method: &str, path: &str, version: &str) -> Answer {
        self.ada.send(Request::new(method, path).query("versionId", version)).await
    }
}

fn version_of(answer: &Answer) -> String {
    answer.header("x-amz-version-id").expect("a version").to_owned()
}

fn marker_of(answer: &Answer) -> (Option<&str>, Option<&str>) {
    (answer.header("x-amz-delete-marker"), answer.header("x-amz-version-id"))
}

#[tokio::test]
async fn versioning_is_switched_on_and_suspended_and_never_off() {
    let endpoint = Endpoint::with_bucket("photos").await;
    let status = async || endpoint.get("/photos?q:versioning").await.elements("Status");
    assert!(status().await.is_empty());
    for wanted in ["Suspended", "Enabled", "Suspended"] {
        let set = endpoint.set_versioning(configuration(wanted)).await;
        assert_eq!(set.told(), "200", "{}", set.text());
        assert_eq!(status().await, [wanted]);
    }
    let mfa =
        "<VersioningConfiguration><MfaDelete>Enabled</MfaDelete><Status>Enabled</Status></VersioningConfiguration>";
    for (document, told) in [
        (configuration("Off"), "400 MalformedXML"),
        ("nonsense".to_owned(), "400 MalformedXML"),
        ("<VersioningConfiguration/>".to_owned(), "400 IllegalVersioningConfigurationException"),
        (mfa.to_owned(), "501 NotImplemented"),
    ] {
        assert_eq!(endpoint.set_versioning(document.clone()).await.told(), told, "{document}");
    }
    assert_eq!(status().await, ["Suspended"]);
}

#[tokio::test]
async fn no_version_is_named_where_none_is_kept() {
    let endpoint = Endpoint::with_bucket("photos").await;
    let put = endpoint.put("/photos/key", b"x").await;
    let copy = Request::new("PUT", "/photos/copy").header("x-amz-copy-source", "photos/key");
    for answer in [put, endpoint.get("/photos/key").await, endpoint.ada.send(copy).await] {
        assert_eq!(answer.header("x-amz-version-id"), None);
        assert_eq!(answer.header("x-amz-copy-source-version-id"), None);
    }
    assert_eq!(marker_of(&endpoint.send("DELETE", "/photos/key").await), (None, None));
    assert_eq!(marker_of(&endpoint.get("/photos/key").await), (Some("false"), None));
}

#[tokio::test]
async fn a_version_is_read_and_deleted_by_its_id() {
    let endpoint = Endpoint::versioned().await;
    let first = endpoint.put_version("/photos/key", "one").await;
    let second = endpoint.put_version("/photos/key", "two").await;
    for (version, text) in [(&first, "one"), (&second, "two")] {
        let got = endpoint.of_version("GET", "/photos/key", version).await;
        assert_eq!((got.text().as_str(), version_of(&got)), (text, version.clone()));
        assert_eq!(version_of(&endpoint.of_version("HEAD", "/photos/key", version).await), *version);
    }
    assert_eq!(version_of(&endpoint.get("/photos/key").await), second);
    let deleted = endpoint.of_version("DELETE", "/photos/key", &second).await;
    assert_eq!((deleted.status, marker_of(&deleted)), (204, (None, Some(second.as_str()))));
    assert_eq!(endpoint.get("/photos/key").await.text(), "one");
    assert_eq!(endpoint.of_version("GET", "/photos/key", &second).await.told(), "404 NoSuchVersion");
    assert_eq!(endpoint.of_version("GET", "/photos/key", "nonsense").await.told(), "400 InvalidArgument");
    assert_eq!(endpoint.of_version("DELETE", "/photos/key", &second).await.status, 204, "again is no error");
}

#[tokio::test]
async fn a_delete_marker_says_that_it_is_one() {
    let endpoint = Endpoint::versioned().await;
    let first = endpoint.put_version("/photos/key", "one").await;
    let deleted = endpoint.send("DELETE", "/photos/key").await;
    let marker = version_of(&deleted);
    assert_eq!((deleted.status, marker_of(&deleted)), (204, (Some("true"), Some(marker.as_str()))));
    for method in ["GET", "HEAD"] {
        let gone = endpoint.send(method, "/photos/key").await;
        assert_eq!((gone.status, marker_of(&gone)), (404, (Some("true"), Some(marker.as_str()))), "{method}");
        let named = endpoint.of_version(method, "/photos/key", &marker).await;
        assert_eq!((named.status, marker_of(&named)), (405, (Some("true"), Some(marker.as_str()))), "{method}");
        assert_eq!(named.header("allow"), Some("DELETE"));
        assert!(named.header("last-modified").is_some());
    }
    assert_eq!(endpoint.get("/photos/key").await.told(), "404 NoSuchKey");
    assert_eq!(endpoint.of_version("GET", "/photos/key", &marker).await.told(), "405 MethodNotAllowed");
    let copy = |source: &str| Request::new("PUT", "/photos/copy").header("x-amz-copy-source", source);
    let of_marker = endpoint.ada.send(copy(&format!("photos/key?versionId={marker}"))).await;
    assert_eq!(of_marker.told(), "400 InvalidRequest", "{}", of_marker.text());
    assert_eq!(endpoint.ada.send(copy("photos/key")).await.told(), "404 NoSuchKey");
    let restored = endpoint.ada.send(copy(&format!("photos/key?versionId={first}"))).await;
    assert_eq!((restored.told().as_str(), restored.header("x-amz-copy-source-version-id")), ("200", Some(&*first)));
    assert_eq!(version_of(&endpoint.get("/photos/copy").await), version_of(&restored));

    let gone = endpoint.of_version("DELETE", "/photos/key", &marker).await;
    assert_eq!((gone.status, marker_of(&gone)), (204, (Some("true"), Some(marker.as_str()))));
    assert_eq!(endpoint.get("/photos/key").await.text(), "one");
}

#[tokio::test]
async fn suspended_buckets_speak_of_the_version_null() {
    let endpoint = Endpoint::versioned().await;
    let kept = endpoint.put_version("/photos/key", "kept").await;
    assert_eq!(endpoint.set_versioning(configuration("Suspended")).await.told(), "200");
    // What is stored replaces the version `null`, and makes none.
    assert_eq!(endpoint.put("/photos/key", b"null").await.header("x-amz-version-id"), None);
    assert_eq!(version_of(&endpoint.get("/photos/key").await), "null");
    assert_eq!(marker_of(&endpoint.send("DELETE", "/photos/key").await), (Some("true"), Some("null")));
    let listed = endpoint.get("/photos?q:versions").await;
    assert_eq!(listed.elements("VersionId"), ["null", kept.as_str()], "{}", listed.text());
    assert_eq!((listed.elements("DeleteMarker").len(), listed.elements("IsLatest").len()), (1, 2));
    assert_eq!(marker_of(&endpoint.of_version("DELETE", "/photos/key", "null").await), (Some("true"), Some("null")));
    assert_eq!(endpoint.get("/photos/key").await.text(), "kept");
}

#[tokio::test]
async fn uploads_tell_the_version_they_made() {
    let endpoint = Endpoint::versioned().await;
    endpoint.put("/photos/key", b"before").await;
    let upload = endpoint.send("POST", "/photos/key?q:uploads").await.element("UploadId");
    let part = Request::new("PUT", "/photos/key").query("partNumber", "1").query("uploadId", &upload).body("part");
    let etag = endpoint.ada.send(part).await.header("etag").expect("a tag").to_owned();
    let list = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
    );
    let complete = Request::new("POST", "/photos/key").query("uploadId", &upload).body(list);
    let done = endpoint.ada.send(complete).await;
    let version = version_of(&done);
    assert_eq!(endpoint.of_version("GET", "/photos/key", &version).await.text(), "part");
    assert_eq!(endpoint.get("/photos?q:versions").await.elements("VersionId").first(), Some(&version));
}

#[tokio::test]
async fn many_versions_and_markers_are_deleted_at_once() {
    let endpoint = Endpoint::versioned().await;
    let first = endpoint.put_version("/photos/a", "1").await;
    endpoint.put("/photos/a", b"2").await;
    let delete = async |objects: &str| {
        let request = Request::new("POST", "/photos?q:delete").body(format!("<Delete>{objects}</Delete>"));
        endpoint.ada.send(request).await
    };
    let object =
        |key: &str, version: &str| format!("<Object><Key>{key}</Key><VersionId>{version}</VersionId></Object>");
    let done =
        delete(&format!("{}<Object><Key>a</Key></Object><Object><Key>b</Key></Object>", object("a", &first))).await;
    assert_eq!(done.elements("VersionId"), [first.as_str()], "{}", done.text());
    assert_eq!(done.elements("DeleteMarker"), ["true", "true"]);
    let markers = done.elements("DeleteMarkerVersionId");
    assert_eq!(version_of(&endpoint.get("/photos/a").await), markers[0]);
    let done = delete(&format!("{}{}", object("a", &markers[0]), object("b", "nonsense"))).await;
    assert_eq!(
        (done.elements("DeleteMarkerVersionId"), done.elements("Code")),
        (vec![markers[0].clone()], vec!["InvalidArgument".to_owned()])
    );
    assert_eq!(endpoint.get("/photos/a").await.text(), "2");
    assert_eq!(endpoint.send("DELETE", "/photos").await.told(), "409 BucketNotEmpty");
}

#[tokio::test]
async fn versions_are_listed_newest_first_in_pages() {
    let endpoint = Endpoint::versioned().await;
    let mut expected = Vec::new();
    for key in ["a", "b/1", "c"] {
        let mut versions = Vec::new();
        for round in 0..3 {
            versions.push((key.to_owned(), endpoint.put_version(&format!("/photos/{key}"), &round.to_string()).await));
        }
        versions.reverse();
        expected.extend(versions);
    }
    let (mut seen, mut markers) = (Vec::new(), None::<(String, String)>);
    loop {
        let mut request = Request::new("GET", "/photos?q:versions&max-keys=2");
        if let Some((key, version)) = &markers {
            request = request.query("key-marker", key).query("version-id-marker", version);
        }
        let page = endpoint.ada.send(request).await;
        seen.extend(page.elements("Key").into_iter().zip(page.elements("VersionId")));
        if page.element("IsTruncated") == "false" {
            break;
        }
        markers = Some((page.element("NextKeyMarker"), page.element("NextVersionIdMarker")));
        assert_eq!(markers, seen.last().cloned());
    }
    assert_eq!(seen, expected);
    let folded = endpoint.get("/photos?q:versions&delimiter=%2F").await;
    assert_eq!(folded.elements("Key"), ["a", "a", "a", "c", "c", "c"]);
    assert_eq!(folded.elements("IsLatest"), ["true", "false", "false", "true", "false", "false"]);
    assert!(folded.text().contains("<CommonPrefixes><Prefix>b/</Prefix></CommonPrefixes>"));
    let after_key = endpoint.get("/photos?q:versions&key-marker=b%2F1").await;
    assert_eq!(after_key.elements("Key"), ["c", "c", "c"]);
}
