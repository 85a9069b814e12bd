//! A link signs in once, the right user only, and not at all when anything about it is wrong.

use std::time::{SystemTime, UNIX_EPOCH};

use reqwest::header::SET_COOKIE;
use reqwest::redirect::Policy;
use sso::{Login, SharedKey, login_url};
use tests::Server;

const KEY: &str = "Kr7-example-shared-key";
const CONFIG: &str = "[cloudstack]\nsso_key = \"Kr7-example-shared-key\"\n";

fn now_ms() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

fn link(server: &Server, key: &str, user: &str, group: &str, at_ms: i64) -> String {
    let console = format!("{}/Cloudian/", server.doors().console).parse().unwrap();
    let login = Login { user: user.to_owned(), group: group.to_owned(), timestamp_ms: at_ms };
    login_url(&console, &SharedKey::new(key.to_owned()).unwrap(), &login, "/Cloudian/").unwrap()
}

/// Follows a link one step. Whether it opened a session.
async fn opens(server: &Server, link: &str) -> bool {
    let ca = reqwest::Certificate::from_pem(&std::fs::read(&server.doors().ca_file).unwrap()).unwrap();
    let http = reqwest::Client::builder().no_proxy().redirect(Policy::none()).tls_certs_only([ca]).build().unwrap();
    let answer = http.get(link).send().await.unwrap();
    assert!(!answer.status().is_server_error(), "{}", answer.status());
    let cookies = answer.headers().get_all(SET_COOKIE).iter();
    cookies
        .filter_map(|cookie| cookie.to_str().ok())
        .any(|cookie| cookie.starts_with("__Host-") && !cookie.contains("=;"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_works_once_also_after_a_restart() {
    let mut server = Server::with_config(CONFIG).await;
    server.tenant("acme", "ada").await;
    let link = link(&server, KEY, "ada", "acme", now_ms());
    assert!(opens(&server, &link).await);
    assert!(!opens(&server, &link).await, "a link works once");
    let old = server.doors().console.clone();
    server.kill().await;
    server.restart().await;
    let moved = link.replace(&old, &server.doors().console);
    assert!(!opens(&server, &moved).await, "a used link stays used after a restart");
}

#[tokio::test(flavor = "multi_thread")]
async fn links_that_are_forged_old_or_for_nobody_open_nothing() {
    let server = Server::with_config(CONFIG).await;
    server.tenant("acme", "ada").await;
    let now = now_ms();
    let good = link(&server, KEY, "ada", "acme", now);
    for (bad, why) in [
        (link(&server, "another-shared-key-of-somebody", "ada", "acme", now), "another key"),
        (link(&server, KEY, "ada", "acme", now - 400_000), "too old"),
        (link(&server, KEY, "ada", "acme", now + 400_000), "from the future"),
        (link(&server, KEY, "nobody", "acme", now), "no such user"),
        (link(&server, KEY, "ada", "other", now), "no such group"),
        (good.replace("user=ada", "user=admin"), "another user"),
        (format!("{good}&user=ada"), "a parameter twice"),
    ] {
        assert!(!opens(&server, &bad).await, "{why}: {bad}");
    }
    assert!(opens(&server, &good).await, "and the good one is still good");
}
