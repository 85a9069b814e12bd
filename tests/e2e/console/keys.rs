//! Security credentials: a key made in the browser works until it is switched off there.

use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use secrecy::SecretString;
use tests::{Browser, S3, Server, test_id};

const PASSWORD: &str = "Correct-horse-7";

async fn sign_in(server: &Server, browser: &Browser, group: &str, user: &str) {
    browser.client.goto(&format!("{}/Cloudian/login.htm", server.doors().console)).await.unwrap();
    browser.type_into("#groupid", group).await;
    browser.type_into("#userid", user).await;
    browser.type_into("#password", PASSWORD).await;
    browser.click(&test_id("login-submit")).await;
    browser.element(&test_id("signed-in-as")).await;
}

/// Waits until the store answers the key with a status.
async fn answers(s3: &S3, expected: StatusCode) {
    let started = Instant::now();
    loop {
        let status = s3.send(Method::GET, "", "", Vec::new()).await.unwrap().status;
        if status == expected {
            return;
        }
        assert!(started.elapsed() < Duration::from_secs(20), "{status} instead of {expected}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_made_shown_used_and_switched_off() {
    let server = Server::start().await;
    let first = server.tenant("acme", "ada").await;
    server.admin().set_password("acme", "ada", &SecretString::from(PASSWORD)).await.unwrap();
    let browser = Browser::start().await;
    sign_in(&server, &browser, "acme", "ada").await;
    browser.client.goto(&format!("{}/Cloudian/credentials.htm", server.doors().console)).await.unwrap();
    let page = browser.client.source().await.unwrap();
    assert!(page.contains(&first.access_key) && !page.contains(&first.secret_key), "secrets are shown on demand only");

    let row = format!("[data-access-key=\"{}\"]", first.access_key);
    browser.click(&format!("{row} [data-testid=\"show-secret\"]")).await;
    let shown = browser.text(&format!("{row} [data-testid=\"secret-key\"]")).await;
    assert_eq!(shown, first.secret_key);

    browser.click(&test_id("create-key")).await;
    let other = format!("[data-testid=\"key-row\"]:not({row}) [data-testid=\"access-key\"]");
    let access_key = browser.text(&other).await;
    let row = format!("[data-access-key=\"{access_key}\"]");
    let keys = server.admin().list_credentials("acme", "ada", true).await.unwrap();
    let key = keys.iter().find(|key| key.access_key == access_key).expect("the new key is there");
    let s3 = S3::new(&server.doors().s3, &access_key, secrecy::ExposeSecret::expose_secret(&key.secret_key));
    answers(&s3, StatusCode::OK).await;
    browser.click(&format!("{row} [data-testid=\"switch-key\"]")).await;
    answers(&s3, StatusCode::FORBIDDEN).await;
    answers(&server.s3(&first), StatusCode::OK).await;
}
