//! Links from CloudStack: in once, as the right user, and out again to CloudStack's page.

use std::time::Duration;

use axum::body::Body;
use console::SESSION_COOKIE;
use engine::{Caller, GroupId, Role, UserChange, UserId};
use http::{Request, StatusCode};

use crate::harness::{CLOUD, House};

#[tokio::test]
async fn a_link_signs_the_right_user_in() {
    let house = House::new().await;
    house.user("acme", "ada", Role::User).await;
    let mut browser = house.browser();
    let answer = browser.get(&house.link("acme", "ada", 0, "/")).await;
    assert_eq!((answer.status, answer.location()), (StatusCode::SEE_OTHER, "/Cloudian/"));
    let page = browser.get("/Cloudian/").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text().contains("Full Name (ada)"), "{}", page.text());
}

#[tokio::test]
async fn a_used_link_is_refused_also_after_a_restart() {
    let house = House::new().await;
    house.user("acme", "ada", Role::User).await;
    let link = house.link("acme", "ada", 0, "/");
    assert_eq!(house.browser().get(&link).await.status, StatusCode::SEE_OTHER);

    let mut again = house.browser();
    let answer = again.get(&link).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert!(answer.text().contains("used already"));
    assert!(!again.is_signed_in());

    let reordered = link.replacen("user=ada&group=acme", "group=acme&user=ada", 1);
    assert_ne!(link, reordered);
    assert_eq!(house.browser().get(&reordered).await.status, StatusCode::FORBIDDEN);

    let house = house.restart().await;
    assert_eq!(house.browser().get(&link).await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn of_two_at_once_one_gets_in() {
    let house = House::new().await;
    house.user("acme", "ada", Role::User).await;
    let link = house.link("acme", "ada", 0, "/");
    let (mut one, mut two) = (house.browser(), house.browser());
    let (first, second) = tokio::join!(one.get(&link), two.get(&link));
    let mut statuses = [first.status, second.status];
    statuses.sort();
    assert_eq!(statuses, [StatusCode::SEE_OTHER, StatusCode::FORBIDDEN]);
}

#[tokio::test]
async fn looking_at_a_link_does_not_use_it_up() {
    let house = House::new().await;
    house.user("acme", "ada", Role::User).await;
    let link = house.link("acme", "ada", 0, "/");
    let mut browser = house.browser();
    browser.send(Request::head(&link).body(Body::empty()).unwrap()).await;
    assert!(!browser.is_signed_in());
    assert_eq!(browser.get(&link).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_wrong_clock_is_told_and_refused_in_both_directions() {
    let house = House::new().await;
    house.user("acme", "ada", Role::User).await;
    for age_ms in [301_000, -302_000] {
        let answer = house.browser().get(&house.link("acme", "ada", age_ms, "/")).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN);
        assert!(answer.text().contains("clocks"), "{}", answer.text());
    }
    for age_ms in [290_000, -290_000] {
        let answer = house.browser().get(&house.link("acme", "ada", age_ms, "/")).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER);
    }
}

#[tokio::test]
async fn forged_and_incomplete_links_are_refused_without_a_hint() {
    let house = House::new().await;
    house.user("acme", "ada", Role::User).await;
    let link = house.link("acme", "ada", 0, "/");
    for (changed, status) in [
        (link.replace("user=ada", "user=admin").replace("group=acme", "group=0"), StatusCode::FORBIDDEN),
        (link.replace("signature=", "signature=AA"), StatusCode::FORBIDDEN),
        (link.replace("&signature=", "&sig="), StatusCode::BAD_REQUEST),
        (format!("{link}&user=ada"), StatusCode::BAD_REQUEST),
        (format!("{link}&x=%zz"), StatusCode::BAD_REQUEST),
        ("/Cloudian/ssosecurelogin.htm".to_owned(), StatusCode::BAD_REQUEST),
    ] {
        let mut browser = house.browser();
        let answer = browser.get(&changed).await;
        assert_eq!(answer.status, status, "{changed}");
        assert!(!browser.is_signed_in() && !answer.text().contains("ada"));
    }
    assert_eq!(house.browser().get(&link).await.status, StatusCode::SEE_OTHER, "forgeries do not use the link up");
}

#[tokio::test]
async fn a_link_leads_only_into_the_console() {
    let house = House::new().await;
    house.user("acme", "ada", Role::User).await;
    for (redirect, location) in [
        ("admin.htm", "/Cloudian/admin.htm"),
        ("explorer.htm", "/Cloudian/explorer.htm"),
        ("/Cloudian/credentials.htm", "/Cloudian/credentials.htm"),
    ] {
        house.hand.advance(Duration::from_millis(5));
        let answer = house.browser().get(&house.link("acme", "ada", 0, redirect)).await;
        assert_eq!(answer.location(), location);
    }
    house.hand.advance(Duration::from_millis(5));
    for bad in ["//evil.example", "https%3A%2F%2Fevil.example%2F", "%2F%5Cevil.example", "..%2Fclient"] {
        let link = house.link("acme", "ada", 0, "/").replace("redirect=/", &format!("redirect={bad}"));
        let mut browser = house.browser();
        let answer = browser.get(&link).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{bad}");
        assert!(!browser.is_signed_in() && answer.location().is_empty());
    }
}

#[tokio::test]
async fn unknown_and_switched_off_users_are_refused() {
    let house = House::new().await;
    house.user("acme", "ada", Role::User).await;
    let off = UserChange { active: Some(false), ..UserChange::default() };
    let (group, user) = (GroupId::new("acme").unwrap(), UserId::new("ada").unwrap());
    house.engine.change_user(&Caller::LocalOperator, &group, &user, off).await.unwrap();
    for (group, user) in [("acme", "ada"), ("acme", "nobody"), ("nowhere", "ada"), ("r d lab", "ada")] {
        let mut browser = house.browser();
        let answer = browser.get(&house.link(group, user, 0, "/")).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN);
        assert!(answer.text().contains("not ready"), "{}", answer.text());
        assert!(!browser.is_signed_in());
    }
}

#[tokio::test]
async fn without_a_key_no_link_is_taken() {
    let house = House::new().await;
    house.user("acme", "ada", Role::User).await;
    *house.cloud.key.lock().unwrap() = None;
    let answer = house.browser().get(&house.link("acme", "ada", 0, "/")).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_new_sign_in_ends_the_former_session() {
    let house = House::new().await;
    let mut browser = house.tenant("ada").await;
    let former = browser.clone();
    house.user("acme", "bob", Role::User).await;
    browser.get(&house.link("acme", "bob", 0, "/")).await;
    assert_ne!(browser.cookies[SESSION_COOKIE], former.cookies[SESSION_COOKIE]);
    assert!(browser.get("/Cloudian/").await.text().contains("Full Name (bob)"));
    assert_eq!(former.clone().get("/Cloudian/").await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn signing_out_in_cloudstack_leads_back_to_its_page() {
    let house = House::new().await;
    let mut browser = house.tenant("ada").await;
    let former = browser.clone();
    let target = format!("{CLOUD}/client/#/user/login");
    let encoded: String = url::form_urlencoded::byte_serialize(target.as_bytes()).collect();
    let answer = browser.get(&format!("/Cloudian/logout.htm?redirect={encoded}")).await;
    assert_eq!((answer.status, answer.location()), (StatusCode::SEE_OTHER, target.as_str()));
    assert!(!browser.is_signed_in());
    assert_eq!(former.clone().get("/Cloudian/").await.status, StatusCode::SEE_OTHER, "the session itself has ended");
}

#[tokio::test]
async fn signing_out_leads_nowhere_else() {
    let house = House::new().await;
    for wanted in [
        "https%3A%2F%2Fevil.example%2F",
        "https%3A%2F%2Fcloud.example.com.evil.example%2F",
        "https%3A%2F%2Fcloud.example.com%40evil.example%2F",
        "http%3A%2F%2Fcloud.example.com%2F",
        "%2F%2Fevil.example",
        "javascript%3Aalert(1)",
        "https%3A%2F%2Fcloud.example.com%2F&redirect=https%3A%2F%2Fevil.example",
    ] {
        let mut browser = house.signed_in("0", "admin").await;
        let answer = browser.get(&format!("/Cloudian/logout.htm?redirect={wanted}")).await;
        assert_eq!((answer.status, answer.location()), (StatusCode::OK, ""), "{wanted}");
        assert!(answer.text().contains("signed out") && !browser.is_signed_in());
        house.hand.advance(Duration::from_millis(5));
    }
}

#[tokio::test]
async fn the_button_signs_out() {
    let house = House::new().await;
    let mut browser = house.tenant("ada").await;
    browser.get("/Cloudian/").await;
    let former = browser.clone();
    let answer = browser.post("/Cloudian/logout.htm", &[]).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(!browser.is_signed_in());
    assert_eq!(former.clone().get("/Cloudian/").await.status, StatusCode::SEE_OTHER);
}
