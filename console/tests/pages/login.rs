//! The log-in page.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Body;
use console::SESSION_COOKIE;
use engine::Role;
use http::{Method, Request, StatusCode, header};

use crate::harness::{House, PASSWORD};

#[tokio::test]
async fn the_right_password_signs_in() {
    let house = House::new().await;
    house.user("acme", "ada", Role::User).await;
    let mut browser = house.browser();
    let answer = browser.login("acme", "ada", PASSWORD).await;
    assert_eq!((answer.status, answer.location()), (StatusCode::SEE_OTHER, "/Cloudian/"), "{}", answer.text());
    assert!(browser.get("/Cloudian/").await.text().contains("Full Name (ada)"));
    assert_eq!(browser.get("/Cloudian/login.htm").await.location(), "/Cloudian/", "who is in need not sign in");
}

#[tokio::test]
async fn administrators_write_zero_or_the_groups_name() {
    let house = House::new().await;
    house.set_password("0", "admin").await;
    for group in ["0", "System Admin", " system admin "] {
        let mut browser = house.browser();
        let answer = browser.login(group, "admin", PASSWORD).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{group}");
        let home = browser.get("/Cloudian/").await;
        assert_eq!(home.location(), "/Cloudian/connector.htm");
    }
}

#[tokio::test]
async fn wrong_ones_are_refused_alike() {
    let house = House::new().await;
    house.user("acme", "ada", Role::User).await;
    let mut texts = Vec::new();
    for (group, user, password) in
        [("acme", "ada", "wrong"), ("acme", "ghost", PASSWORD), ("ghost", "ada", PASSWORD), ("*", "", "")]
    {
        let mut browser = house.browser();
        let answer = browser.login(group, user, password).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        assert!(!browser.is_signed_in() && !answer.text().contains(PASSWORD));
        let page = answer.text();
        texts.push(page.split("data-testid=\"problem\"").nth(1).unwrap().split("</p>").next().unwrap().to_owned());
    }
    texts.dedup();
    assert_eq!(texts.len(), 1, "{texts:?}");
}

#[tokio::test]
async fn a_log_in_from_another_site_is_refused() {
    let house = House::new().await;
    house.user("acme", "ada", Role::User).await;
    let fields = [("groupid", "acme"), ("userid", "ada"), ("password", PASSWORD)];
    let mut browser = house.browser();
    assert_eq!(browser.post("/Cloudian/login.htm", &fields).await.status, StatusCode::FORBIDDEN);
    browser.get("/Cloudian/login.htm").await;
    let other = "0".repeat(32);
    assert_eq!(browser.post_with_token("/Cloudian/login.htm", &fields, &other).await.status, StatusCode::FORBIDDEN);
    assert!(!browser.is_signed_in());
}

#[tokio::test]
async fn guessing_is_slowed_down() {
    let house = House::new().await;
    house.user("acme", "ada", Role::User).await;
    let mut guesser = house.browser();
    for _ in 0..8 {
        assert_eq!(guesser.login("acme", "ada", "wrong").await.status, StatusCode::UNAUTHORIZED);
    }
    let answer = guesser.login("acme", "ada", PASSWORD).await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(answer.header(header::RETRY_AFTER).parse::<u64>().unwrap() > 200);

    let mut elsewhere = house.browser();
    elsewhere.peer = SocketAddr::from(([10, 0, 0, 9], 1));
    assert_eq!(elsewhere.login("acme", "ada", PASSWORD).await.status, StatusCode::SEE_OTHER);
    house.hand.advance(Duration::from_secs(301));
    assert_eq!(guesser.login("acme", "ada", PASSWORD).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn the_page_that_was_wanted_comes_after_the_log_in_and_no_other_site() {
    let house = House::new().await;
    house.user("acme", "ada", Role::User).await;
    let mut browser = house.browser();
    let wanted = browser.get("/Cloudian/bucket.htm?bucket=photos&prefix=a%2F").await;
    let page = browser.get(wanted.location()).await.text();
    assert!(page.contains("value=\"bucket.htm?bucket=photos&#38;prefix=a%2F\""), "{page}");

    let fields = |next| [("groupid", "acme"), ("userid", "ada"), ("password", PASSWORD), ("next", next)];
    for (next, location) in [
        ("bucket.htm?bucket=photos&prefix=a%2F", "/Cloudian/bucket.htm?bucket=photos&prefix=a%2F"),
        ("//evil.example", "/Cloudian/"),
        ("https://evil.example/", "/Cloudian/"),
    ] {
        let mut browser = house.browser();
        browser.get("/Cloudian/login.htm").await;
        assert_eq!(browser.post("/Cloudian/login.htm", &fields(next)).await.location(), location);
    }
}

#[tokio::test]
async fn load_balancers_get_an_answer() {
    let house = House::new().await;
    for method in [Method::HEAD, Method::OPTIONS, Method::GET] {
        let request = Request::builder().method(method).uri("/Cloudian/login.htm").body(Body::empty()).unwrap();
        assert_eq!(house.browser().send(request).await.status, StatusCode::OK);
    }
    assert_eq!(house.browser().get("/").await.location(), "/Cloudian/");
}

#[tokio::test]
async fn a_session_ends_with_its_time() {
    let house = House::new().await;
    let mut browser = house.tenant("ada").await;
    assert!(browser.cookies.contains_key(SESSION_COOKIE));
    house.hand.advance(Duration::from_secs(8 * 60 * 60 + 1));
    assert_eq!(browser.get("/Cloudian/").await.status, StatusCode::SEE_OTHER);
}
