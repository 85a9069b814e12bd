//! Buckets as websites, as browsers meet them.

use s3_store::Settings;

use crate::answer::Answer;
use crate::client::{Client, Request, Signature};
use crate::harness::Endpoint;

/// An endpoint with a bucket of Ada's that everybody may read.
async fn with_site(configuration: &str) -> Endpoint {
    let websites = Settings { website_domains: vec!["web.lan".to_owned()], ..Settings::default() };
    let endpoint = Endpoint::start_with(websites).await;
    endpoint.make_bucket("photos").await;
    for (key, content) in [("index.html", "home"), ("docs/index.html", "docs"), ("a b.html", "page")] {
        let put = Request::new("PUT", &format!("/photos/{key}")).header("content-type", "text/html").body(content);
        assert_eq!(endpoint.ada.send(put).await.told(), "200");
    }
    let policy = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject",
        "Resource":"arn:aws:s3:::photos/*"},{"Effect":"Deny","Principal":"*","Action":"s3:GetObject",
        "Resource":"arn:aws:s3:::photos/secret*"}]}"#;
    assert_eq!(endpoint.ada.send(Request::new("PUT", "/photos?q:policy").body(policy)).await.status, 204);
    configure(&endpoint, configuration).await;
    endpoint
}

async fn configure(endpoint: &Endpoint, configuration: &str) {
    let document = format!("<WebsiteConfiguration>{configuration}</WebsiteConfiguration>");
    let put = endpoint.ada.send(Request::new("PUT", "/photos?q:website").body(document)).await;
    assert_eq!(put.told(), "200", "{}", put.text());
}

async fn ask(endpoint: &Endpoint, host: &str, request: Request) -> Answer {
    let visitor = Client { host: host.to_owned(), ..endpoint.ada.clone() };
    visitor.send(request.signed(Signature::None)).await
}

async fn visit(endpoint: &Endpoint, path: &str) -> Answer {
    ask(endpoint, "photos.web.lan:9000", Request::new("GET", path)).await
}

const INDEX: &str = "<IndexDocument><Suffix>index.html</Suffix></IndexDocument>";

fn location(answer: &Answer) -> (u16, String) {
    (answer.status, answer.header("location").unwrap_or_default().to_owned())
}

#[tokio::test]
async fn folders_show_their_index_and_errors_a_page() {
    let endpoint = with_site(INDEX).await;
    for (path, content) in [("/", "home"), ("/docs/", "docs"), ("/index.html", "home"), ("/a b.html", "page")] {
        let shown = visit(&endpoint, path).await;
        assert_eq!((shown.status, shown.text().as_str()), (200, content), "{path}");
        assert_eq!(shown.header("content-type"), Some("text/html"), "{path}");
    }
    assert_eq!(location(&visit(&endpoint, "/docs").await), (302, "/docs/".to_owned()));
    for (path, status, code) in [("/<x>", 403, "AccessDenied"), ("/secret", 403, "AccessDenied")] {
        let failed = visit(&endpoint, path).await;
        let text = failed.text();
        assert_eq!(failed.status, status, "{path} {text}");
        assert!(text.contains("<h1>403 Forbidden</h1>") && text.contains(&format!("<li>Code: {code}</li>")), "{text}");
        assert!(!text.contains("<x>"), "{text}");
        assert_eq!(
            (failed.header("x-amz-error-code"), failed.header("content-type")),
            (Some(code), Some("text/html; charset=utf-8"))
        );
        assert!(failed.header("x-amz-request-id").is_some());
    }
    // Who may list the bucket is told what is not there.
    let list = Request::new("PUT", "/photos?q:acl").header("x-amz-acl", "public-read");
    assert_eq!(endpoint.ada.send(list).await.told(), "200");
    assert_eq!(visit(&endpoint, "/missing").await.header("x-amz-error-code"), Some("NoSuchKey"));
    let head = ask(&endpoint, "photos.web.lan", Request::new("HEAD", "/missing")).await;
    assert_eq!((head.status, head.text().as_str()), (404, ""));
    let range = ask(&endpoint, "photos.web.lan", Request::new("GET", "/").header("range", "bytes=1-2")).await;
    assert_eq!((range.status, range.text().as_str()), (206, "om"));
    let etag = visit(&endpoint, "/").await.header("etag").expect("a tag").to_owned();
    let again = ask(&endpoint, "photos.web.lan", Request::new("GET", "/").header("if-none-match", &etag)).await;
    assert_eq!((again.status, again.text().as_str()), (304, ""));
}

#[tokio::test]
async fn only_pages_are_read_and_only_of_websites() {
    let endpoint = with_site(INDEX).await;
    for method in ["PUT", "POST", "DELETE"] {
        let refused = ask(&endpoint, "photos.web.lan", Request::new(method, "/index.html")).await;
        assert_eq!((refused.status, refused.header("allow")), (405, Some("GET, HEAD")), "{method}");
    }
    // A signature changes nothing: it is nobody in particular who reads.
    let visitor = Client { host: "photos.web.lan".to_owned(), ..endpoint.ada.clone() };
    assert_eq!(visitor.send(Request::new("GET", "/secret")).await.status, 403);
    let of = async |host: &str| {
        let answer = ask(&endpoint, host, Request::new("GET", "/")).await;
        (answer.status, answer.header("x-amz-error-code").unwrap_or_default().to_owned())
    };
    assert_eq!(of("nothing.web.lan").await, (404, "NoSuchBucket".to_owned()));
    endpoint.make_bucket("plain").await;
    assert_eq!(of("plain.web.lan").await, (404, "NoSuchWebsiteConfiguration".to_owned()));
    // The API is where it was.
    assert_eq!(endpoint.get("/photos/index.html").await.text(), "home");
    assert_eq!(endpoint.ada.send(Request::new("DELETE", "/photos?q:website")).await.status, 204);
    assert_eq!(of("photos.web.lan").await, (404, "NoSuchWebsiteConfiguration".to_owned()));
    assert_eq!(endpoint.get("/photos?q:website").await.told(), "404 NoSuchWebsiteConfiguration");
    // A bucket that is called as its host.
    endpoint.make_bucket("www.web.lan").await;
    assert_eq!(of("www.web.lan").await, (404, "NoSuchWebsiteConfiguration".to_owned()));
}

#[tokio::test]
async fn a_page_of_its_own_tells_errors_with_their_status() {
    let endpoint = with_site(&format!("{INDEX}<ErrorDocument><Key>oops.html</Key></ErrorDocument>")).await;
    let without = visit(&endpoint, "/secret").await;
    assert!(without.text().contains("Custom Error Document"), "{}", without.text());
    endpoint.put("/photos/oops.html", b"sorry").await;
    let shown = visit(&endpoint, "/secret").await;
    assert_eq!((shown.status, shown.text().as_str()), (403, "sorry"));
    assert_eq!(shown.header("x-amz-error-code"), Some("AccessDenied"));
}

#[tokio::test]
async fn visitors_are_sent_elsewhere() {
    let rules = "<RoutingRules>\
        <RoutingRule><Condition><KeyPrefixEquals>old/</KeyPrefixEquals></Condition>\
        <Redirect><ReplaceKeyPrefixWith>new/</ReplaceKeyPrefixWith><HttpRedirectCode>302</HttpRedirectCode></Redirect></RoutingRule>\
        <RoutingRule><Condition><HttpErrorCodeReturnedEquals>403</HttpErrorCodeReturnedEquals></Condition>\
        <Redirect><Protocol>https</Protocol><HostName>a.lan</HostName><ReplaceKeyWith>missing.html</ReplaceKeyWith></Redirect>\
        </RoutingRule></RoutingRules>";
    let endpoint = with_site(&format!("{INDEX}{rules}")).await;
    let of = async |path: &str| location(&visit(&endpoint, path).await);
    assert_eq!(of("/old/a b").await, (302, "http://photos.web.lan:9000/new/a%20b".to_owned()));
    assert_eq!(of("/secret").await, (301, "https://a.lan/missing.html".to_owned()));
    let shown = endpoint.get("/photos?q:website").await;
    assert_eq!(shown.elements("KeyPrefixEquals"), ["old/"]);
    assert_eq!(shown.elements("HttpRedirectCode"), ["302"]);
    let moved = Request::new("PUT", "/photos/moved").header("x-amz-website-redirect-location", "/docs/");
    assert_eq!(endpoint.ada.send(moved).await.told(), "200");
    assert_eq!(of("/moved").await, (301, "/docs/".to_owned()));
    let head = endpoint.ada.send(Request::new("HEAD", "/photos/moved")).await;
    assert_eq!(head.header("x-amz-website-redirect-location"), Some("/docs/"));
    // It is not copied, and can be given to the copy.
    let copy = |to: &str| Request::new("PUT", to).header("x-amz-copy-source", "photos/moved");
    assert_eq!(endpoint.ada.send(copy("/photos/copied")).await.told(), "200");
    assert_eq!(of("/copied").await, (200, String::new()));
    let with = copy("/photos/copied").header("x-amz-website-redirect-location", "https://b.lan/");
    assert_eq!(endpoint.ada.send(with).await.told(), "200");
    assert_eq!(of("/copied").await, (301, "https://b.lan/".to_owned()));
    let wrong = Request::new("PUT", "/photos/wrong").header("x-amz-website-redirect-location", "b.lan");
    assert_eq!(endpoint.ada.send(wrong).await.told(), "400 InvalidRedirectLocation");
    configure(&endpoint, "<RedirectAllRequestsTo><HostName>c.lan</HostName></RedirectAllRequestsTo>").await;
    assert_eq!(location(&visit(&endpoint, "/x/y?q:z=1").await), (301, "http://c.lan/x/y?z=1".to_owned()));
}

#[tokio::test]
async fn a_website_that_makes_no_sense_is_refused() {
    let endpoint = Endpoint::with_bucket("photos").await;
    for (configuration, told) in [
        ("<IndexDocument><Suffix>a/b</Suffix></IndexDocument>".to_owned(), "400 InvalidArgument"),
        ("<ErrorDocument><Key>e</Key></ErrorDocument>".to_owned(), "400 InvalidArgument"),
        (format!("{INDEX}<RedirectAllRequestsTo><HostName>c</HostName></RedirectAllRequestsTo>"), "400 InvalidRequest"),
        (
            format!(
                "{INDEX}<RoutingRules><RoutingRule><Redirect><HttpRedirectCode>200</HttpRedirectCode></Redirect></RoutingRule></RoutingRules>"
            ),
            "400 InvalidRequest",
        ),
    ] {
        let document = format!("<WebsiteConfiguration>{configuration}</WebsiteConfiguration>");
        let put = endpoint.ada.send(Request::new("PUT", "/photos?q:website").body(document)).await;
        assert_eq!(put.told(), told, "{configuration}");
    }
}

#[tokio::test]
async fn a_bucket_is_found_by_the_whole_host_whatever_its_first_part_is() {
    let endpoint = with_site(INDEX).await;
    endpoint.make_bucket("my.web.lan").await;
    let document = format!("<WebsiteConfiguration>{INDEX}</WebsiteConfiguration>");
    let put = endpoint.ada.send(Request::new("PUT", "/my.web.lan?q:website").body(document)).await;
    assert_eq!(put.told(), "200", "{}", put.text());
    let shown = ask(&endpoint, "my.web.lan", Request::new("GET", "/")).await;
    assert_eq!(
        shown.header("x-amz-error-code"),
        Some("AccessDenied"),
        "it is there, and open to nobody: {}",
        shown.text()
    );
}
