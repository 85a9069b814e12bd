//! Rules that hold for every address of the console: who is let in, what a form must carry, which headers an answer has.

use axum::body::Body;
use console::{Access, endpoints};
use engine::Role;
use http::{Method, Request, StatusCode, header};

use crate::harness::{House, multipart};

fn concrete(path: &str) -> String {
    path.replace("{version}", "0").replace("{name}", "console.css")
}

fn request(method: &Method, path: &str) -> Request<Body> {
    Request::builder().method(method).uri(concrete(path)).body(Body::empty()).unwrap()
}

#[tokio::test]
async fn every_page_that_is_not_open_needs_a_session() {
    let house = House::new().await;
    let guarded: Vec<_> = endpoints()
        .into_iter()
        .filter(|endpoint| !matches!(endpoint.access, Access::Open | Access::LoginForm))
        .collect();
    assert!(guarded.len() > 15);
    for endpoint in guarded {
        let answer = house.browser().send(request(&endpoint.method, endpoint.path)).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{endpoint:?}");
        assert!(answer.location().starts_with("/Cloudian/login.htm"), "{endpoint:?}");

        let mut scripted = request(&endpoint.method, endpoint.path);
        scripted.headers_mut().insert("hx-request", "true".parse().unwrap());
        let answer = house.browser().send(scripted).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{endpoint:?}");
        assert!(answer.header("hx-redirect").starts_with("/Cloudian/login.htm"), "{endpoint:?}");

        let mut forged = house.browser();
        forged.cookies.insert(console::SESSION_COOKIE.to_owned(), "0123456789abcdef0123456789abcdef".to_owned());
        let answer = forged.send(request(&endpoint.method, endpoint.path)).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{endpoint:?}");
    }
}

#[tokio::test]
async fn every_form_needs_the_token_of_its_session() {
    let house = House::new().await;
    let mut other = house.tenant("other").await;
    other.get("/Cloudian/").await;
    let posts: Vec<_> = endpoints().into_iter().filter(|endpoint| endpoint.method == Method::POST).collect();
    assert!(posts.len() > 8);
    let mut admin = house.admin().await;
    for endpoint in posts {
        assert!(matches!(endpoint.access, Access::SessionAndToken | Access::AdministratorAndToken | Access::LoginForm));
        for token in ["", "wrong", other.token.as_str()] {
            let answer = admin.post_with_token(endpoint.path, &[("name", "a-bucket")], token).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{endpoint:?} {token}");
            let mut scripted = request(&endpoint.method, endpoint.path);
            scripted.headers_mut().insert("x-csrf-token", token.parse().unwrap());
            assert_eq!(admin.send(scripted).await.status, StatusCode::FORBIDDEN, "{endpoint:?} {token}");
        }
        let multipart = multipart(endpoint.path, None, &[("a.txt", b"x")]);
        assert_eq!(admin.send(multipart).await.status, StatusCode::FORBIDDEN, "{endpoint:?}");
    }
    assert!(admin.get("/Cloudian/connector.htm").await.status.is_success(), "the session has not suffered");
}

#[tokio::test]
async fn the_operators_pages_are_for_system_administrators() {
    let house = House::new().await;
    house.user("acme", "chief", Role::GroupAdmin).await;
    for mut browser in [house.tenant("ada").await, house.signed_in("acme", "chief").await] {
        browser.get("/Cloudian/").await;
        for endpoint in endpoints() {
            if matches!(endpoint.access, Access::Administrator | Access::AdministratorAndToken) {
                let mut sent = request(&endpoint.method, endpoint.path);
                sent.headers_mut().insert("x-csrf-token", browser.token.parse().unwrap());
                assert_eq!(browser.send(sent).await.status, StatusCode::FORBIDDEN, "{endpoint:?}");
            }
        }
    }
    assert_eq!(*house.cloud.looks.lock().unwrap(), 0);
}

#[tokio::test]
async fn every_answer_carries_the_security_headers() {
    let house = House::new().await;
    let mut tenant = house.tenant("ada").await;
    let mut seen = vec![tenant.get("/Cloudian/no-such-page.htm").await];
    for endpoint in endpoints() {
        seen.push(house.browser().send(request(&endpoint.method, endpoint.path)).await);
        if endpoint.path != "/Cloudian/logout.htm" {
            seen.push(tenant.send(request(&endpoint.method, endpoint.path)).await);
        }
    }
    for answer in seen {
        let policy = answer.header(header::CONTENT_SECURITY_POLICY);
        for part in ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"] {
            assert!(policy.contains(part), "{policy}");
        }
        assert!(!policy.contains("unsafe"));
        assert_eq!(answer.header(header::X_CONTENT_TYPE_OPTIONS), "nosniff");
        assert_eq!(answer.header(header::X_FRAME_OPTIONS), "DENY");
        assert_eq!(answer.header(header::REFERRER_POLICY), "no-referrer");
        assert_eq!(answer.header(header::CACHE_CONTROL), "no-store");
        let page = answer.text();
        for inline in [" style=", "<style", " onclick=", "javascript:", "hx-on"] {
            assert!(!page.contains(inline), "{inline} in {page}");
        }
    }
}

#[tokio::test]
async fn assets_of_a_page_exist_and_may_be_kept() {
    let house = House::new().await;
    let mut browser = house.browser();
    let page = browser.get("/Cloudian/login.htm").await.text();
    let mut found = 0;
    for part in page.split("=\"").skip(1) {
        let path = part.split('"').next().unwrap();
        if path.starts_with("/Cloudian/assets/") {
            let answer = browser.get(path).await;
            assert_eq!(answer.status, StatusCode::OK, "{path}");
            assert!(answer.header(header::CACHE_CONTROL).contains("immutable"));
            found += 1;
        }
    }
    assert!(found >= 4);
}

#[tokio::test]
async fn other_tenants_buckets_are_refused() {
    let house = House::new().await;
    let mut ada = house.tenant("ada").await;
    ada.get("/Cloudian/").await;
    ada.post("/Cloudian/bucket/create", &[("name", "adas-bucket")]).await;
    let token = ada.token.clone();
    ada.upload("/Cloudian/object/upload?bucket=adas-bucket&prefix=", Some(&token), &[("a.txt", b"secret")]).await;

    house.user("acme", "chief", Role::GroupAdmin).await;
    let strangers = [house.tenant("bob").await, house.signed_in("acme", "chief").await, house.admin().await];
    for mut stranger in strangers {
        stranger.get("/Cloudian/credentials.htm").await;
        let token = stranger.token.clone();
        for path in
            ["/Cloudian/bucket.htm?bucket=adas-bucket", "/Cloudian/object/download?bucket=adas-bucket&key=a.txt"]
        {
            let answer = stranger.get(path).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path}");
            assert!(!answer.text().contains("secret"));
        }
        let upload = "/Cloudian/object/upload?bucket=adas-bucket&prefix=";
        assert_eq!(stranger.upload(upload, Some(&token), &[("b.txt", b"x")]).await.status, StatusCode::FORBIDDEN);
        for (path, fields) in [
            ("/Cloudian/object/delete", &[("bucket", "adas-bucket"), ("key", "a.txt")][..]),
            ("/Cloudian/folder/create", &[("bucket", "adas-bucket"), ("name", "x")]),
            ("/Cloudian/bucket/delete", &[("name", "adas-bucket")]),
            ("/Cloudian/bucket/durability", &[("name", "adas-bucket"), ("durability", "relaxed")]),
        ] {
            let answer = stranger.post_with_token(path, fields, &token).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path}");
        }
    }
    let answer = ada.get("/Cloudian/object/download?bucket=adas-bucket&key=a.txt").await;
    assert_eq!(answer.body, "secret");
}
