//! The plain door: to the TLS door, or the console itself behind a proxy.

use axum::body::Body;
use engine::Role;
use http::{Request, StatusCode, header};

use crate::harness::{Browser, House, PASSWORD, console_state};

#[tokio::test]
async fn the_plain_door_only_leads_to_the_encrypted_one() {
    let house = House::new().await;
    let mut browser = Browser::new(console::plain_router(house.state.clone(), 8443));
    let mut asked = async |host: &str, method: &str, path: &str| {
        let request = Request::builder().method(method).uri(path).header(header::HOST, host);
        browser.send(request.body(Body::empty()).unwrap()).await
    };
    let answer = asked("store.example:8088", "GET", "/Cloudian/logout.htm?redirect=x").await;
    assert_eq!(answer.status, StatusCode::TEMPORARY_REDIRECT);
    assert_eq!(answer.location(), "https://store.example:8443/Cloudian/logout.htm?redirect=x");
    assert_eq!(asked("[::1]:8088", "GET", "/").await.location(), "https://[::1]:8443/");
    for (host, method) in [("store.example", "POST"), ("a@b", "GET"), ("", "GET")] {
        let answer = asked(host, method, "/Cloudian/login.htm").await;
        assert_eq!((answer.status, answer.location()), (StatusCode::FORBIDDEN, ""), "{host} {method}");
    }
}

#[tokio::test]
async fn behind_a_proxy_it_is_the_console_and_counts_the_proxys_clients() {
    let house = House::new().await;
    house.user("acme", "ada", Role::User).await;
    let settings = console::Settings { behind_proxy: true, ..console::Settings::default() };
    let state = console_state(&house.engine, settings, house.cloud.clone());
    let mut browser = Browser::new(console::plain_router(state, 8443));
    let page = browser.get("/Cloudian/login.htm").await;
    assert_eq!(page.status, StatusCode::OK);
    let token = browser.token.clone();
    let mut attempt = async |client: &str, password: &str| {
        let form = format!("_csrf={token}&groupid=acme&userid=ada&password={password}");
        let request = Request::post("/Cloudian/login.htm").header("x-forwarded-for", client);
        browser.send(request.body(Body::from(form)).unwrap()).await.status
    };
    for _ in 0..8 {
        assert_eq!(attempt("6.6.6.6", "wrong").await, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(attempt("6.6.6.6", "wrong").await, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(
        attempt("10.9.9.9, 6.6.6.6", "wrong").await,
        StatusCode::TOO_MANY_REQUESTS,
        "what clients claim is ignored"
    );
    assert_eq!(attempt("7.7.7.7", PASSWORD).await, StatusCode::SEE_OTHER);
}
