//! Access keys on their page.

use engine::Caller;
use http::StatusCode;
use secrecy::ExposeSecret;

use crate::harness::{House, count_of};

fn access_key_in(page: &str) -> String {
    page.split("data-access-key=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_key_is_made_shown_switched_and_deleted() {
    let house = House::new().await;
    let mut browser = house.tenant("ada").await;
    let page = browser.get("/Cloudian/credentials.htm").await.text();
    assert_eq!(count_of(&page, "no-keys"), 1);
    assert!(page.contains("https://s3.example.com:9443"));

    let made = browser.post("/Cloudian/credentials/create", &[]).await;
    assert_eq!(made.location(), "/Cloudian/credentials.htm?said=key-created");
    let page = browser.get("/Cloudian/credentials.htm").await.text();
    let access_key = access_key_in(&page);
    let secret = house.engine.key_login(&access_key).await.unwrap().unwrap().secret_key;
    assert!(!page.contains(secret.expose_secret()), "the secret is shown on demand only");

    let fields = [("access_key", access_key.as_str())];
    let shown = browser.post("/Cloudian/credentials/show", &fields).await;
    assert_eq!(shown.status, StatusCode::OK);
    assert_eq!(count_of(&shown.text(), "secret-key"), 1);
    assert!(shown.text().contains(secret.expose_secret()));
    assert_eq!(shown.header("cache-control"), "no-store");

    let off = browser.post("/Cloudian/credentials/switch", &[("access_key", &access_key), ("active", "false")]).await;
    assert_eq!(off.location(), "/Cloudian/credentials.htm?said=key-off");
    assert!(house.engine.key_login(&access_key).await.unwrap().is_none());
    browser.post("/Cloudian/credentials/switch", &[("access_key", &access_key), ("active", "true")]).await;
    assert!(house.engine.key_login(&access_key).await.unwrap().is_some());

    let deleted = browser.post("/Cloudian/credentials/delete", &fields).await;
    assert_eq!(deleted.location(), "/Cloudian/credentials.htm?said=key-deleted");
    assert!(house.engine.key_login(&access_key).await.unwrap().is_none());
}

#[tokio::test]
async fn keys_have_a_limit_that_is_said() {
    let house = House::new().await;
    let mut browser = house.tenant("ada").await;
    browser.get("/Cloudian/credentials.htm").await;
    for _ in 0..5 {
        assert_eq!(browser.post("/Cloudian/credentials/create", &[]).await.status, StatusCode::SEE_OTHER);
    }
    let full = browser.post("/Cloudian/credentials/create", &[]).await;
    assert_eq!(full.status, StatusCode::CONFLICT);
    assert!(full.text().contains("5 access keys"));
    assert_eq!(count_of(&full.text(), "key-row"), 5);
}

#[tokio::test]
async fn the_keys_of_others_stay_theirs() {
    let house = House::new().await;
    let bob = house.user("acme", "bob", engine::Role::User).await;
    let key = house.engine.create_credential(&Caller::LocalOperator, &bob.canonical_id).await.unwrap();
    let mut ada = house.tenant("ada").await;
    ada.get("/Cloudian/credentials.htm").await;
    let fields = [("access_key", key.access_key.as_str()), ("active", "false")];
    for path in ["switch", "delete", "show"] {
        let answer = ada.post(&format!("/Cloudian/credentials/{path}"), &fields).await;
        assert!(!answer.text().contains(key.secret_key.expose_secret()));
        assert_ne!(answer.status, StatusCode::SEE_OTHER, "{path}");
    }
    assert!(house.engine.key_login(key.access_key.as_str()).await.unwrap().is_some());
}
