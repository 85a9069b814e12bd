//! Pages of other origins: the preflight needs no signature, and every answer says what may be read.

use crate::client::{Payload, Request, Signature};
use crate::harness::Endpoint;

#[tokio::test]
async fn a_preflight_is_answered_for_every_path() {
    let endpoint = Endpoint::with_bucket("photos").await;
    for path in ["/", "/photos", "/photos/dir/key", "/photos?q:location", "/photos?q:delete", "/no-such-bucket/key"] {
        for method in ["GET", "PUT", "POST", "DELETE", "HEAD"] {
            let request = Request::new("OPTIONS", path)
                .signed(Signature::None)
                .header("origin", "https://cloud.lan:8443")
                .header("access-control-request-method", method)
                .header("access-control-request-headers", "authorization,x-amz-date,x-amz-meta-color");
            let answer = endpoint.ada.send(request).await;
            assert_eq!(answer.told(), "200", "{method} {path}");
            assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
            assert_eq!(
                answer.header("access-control-allow-headers"),
                Some("authorization,x-amz-date,x-amz-meta-color")
            );
            assert!(answer.header("access-control-allow-methods").is_some_and(|methods| methods.contains(method)));
        }
    }
    let without_origin = endpoint.ada.send(Request::new("OPTIONS", "/photos").signed(Signature::None)).await;
    assert_eq!(without_origin.told(), "400 BadRequest");
}

#[tokio::test]
async fn answers_and_errors_may_be_read_by_pages() {
    let endpoint = Endpoint::with_bucket("photos").await;
    let put = Request::new("PUT", "/photos/key").body("x").header("x-amz-meta-color", "red");
    endpoint.ada.send(put).await;
    for (path, signature, status) in [
        ("/photos/key", Signature::V4(Payload::Hash), 200),
        ("/photos/missing", Signature::V4(Payload::Hash), 404),
        ("/photos/key", Signature::None, 403),
        ("/photos/key", Signature::V4Link(1_000_000), 403),
        ("/photos?q:inventory", Signature::V4(Payload::Hash), 501),
    ] {
        let request = Request::new("GET", path).header("origin", "https://cloud.lan").signed(signature.clone());
        let answer = endpoint.ada.send(request).await;
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{path} {status}");
        let exposed = answer.header("access-control-expose-headers").unwrap_or_default().to_owned();
        for name in ["ETag", "x-amz-request-id", "x-amz-version-id", "Content-Length", "Content-Range"] {
            assert!(exposed.contains(name), "{name}");
        }
        assert_eq!(exposed.contains("x-amz-meta-color"), status == 200);
        let plain = endpoint.ada.send(Request::new("GET", path).signed(signature)).await;
        assert_eq!(plain.header("access-control-allow-origin"), None);
    }
}

/// The rule that CloudStack's provider sets exposes nothing, and its bucket browser uploads in parts.
#[tokio::test]
async fn the_entity_tag_may_be_read_whatever_a_rule_exposes() {
    let endpoint = Endpoint::with_bucket("photos").await;
    let rule = |exposed: &str| {
        format!(
            "<CORSConfiguration><CORSRule><ID>AllowAny</ID><AllowedOrigin>*</AllowedOrigin><AllowedHeader>*</AllowedHeader>\
             <AllowedMethod>GET</AllowedMethod><AllowedMethod>PUT</AllowedMethod>{exposed}</CORSRule></CORSConfiguration>"
        )
    };
    for (exposed, shown) in [
        ("", "ETag"),
        ("<ExposeHeader>x-amz-version-id</ExposeHeader>", "x-amz-version-id, ETag"),
        ("<ExposeHeader>etag</ExposeHeader><ExposeHeader>Date</ExposeHeader>", "etag, Date"),
    ] {
        let set = endpoint.ada.send(Request::new("PUT", "/photos?q:cors").body(rule(exposed))).await;
        assert_eq!(set.told(), "200", "{}", set.text());
        let put = Request::new("PUT", "/photos/key").body("x").header("origin", "https://cloud.lan");
        let stored = endpoint.ada.send(put).await;
        assert_eq!(stored.header("access-control-expose-headers"), Some(shown));
        assert!(stored.header("etag").is_some());
        let kept = endpoint.get("/photos?q:cors").await;
        assert_eq!(kept.elements("ExposeHeader").len(), exposed.matches("<ExposeHeader>").count(), "{}", kept.text());
    }
}
