//! Log-in, session keys and log-out, as recorded.

use cloudstack_stand_in::{Cloud, Options, StandIn};
use serde_json::Value;

use crate::common::{Comparison, Got, ask, fetch, owned, recording, send};

struct Browser {
    stand_in: StandIn,
}

impl Browser {
    async fn at(cloud: Cloud) -> Self {
        Self { stand_in: StandIn::start(cloud, Options::default()).await.unwrap() }
    }

    async fn log_in(&self, user: &str, password: &str, domain: &str) -> Got {
        let form = [("command", "login"), ("username", user), ("password", password), ("domain", domain)];
        send(&self.stand_in.base_url(), &owned(&[&form[..], &[("response", "json")]].concat()), "").await.unwrap()
    }

    async fn call(&self, session: &str, command: &str, key: Option<&str>) -> Got {
        let mut form = vec![("command", command), ("response", "json")];
        form.extend(key.map(|key| ("sessionkey", key)));
        send(&self.stand_in.base_url(), &owned(&form), session).await.unwrap()
    }
}

/// The cookie header and the session key of a log-in.
fn session(got: &Got) -> (String, String) {
    assert_eq!(got.status, 200, "{}", got.text);
    let cookies: Vec<&str> = got.cookies.iter().map(|cookie| cookie.split(';').next().unwrap()).collect();
    (cookies.join("; "), got.inner()["sessionkey"].as_str().unwrap().to_owned())
}

fn assert_recorded(name: &str, got: &Got) {
    let recorded = &recording(name)["answer"];
    assert_eq!((&recorded["status"], &recorded["body"]), (&Value::from(got.status), &got.json()), "{name}");
}

#[tokio::test]
async fn a_log_in_answers_and_sets_cookies_as_recorded() {
    let browser = Browser::at(Cloud::recorded()).await;
    let got = browser.log_in("admin", "password", "/").await;
    Comparison::default().same("login", &recording("login")["answer"]["body"], &got.json());
    let key = got.inner()["sessionkey"].as_str().unwrap().to_owned();
    assert_eq!(key.len(), 27);
    assert!(got.cookies[0].starts_with("JSESSIONID=node0") && got.cookies[0].ends_with(".node0; Path=/client"));
    assert_eq!(got.cookies[1], format!("sessionkey={key};HttpOnly;SameSite=Lax"));

    let control = browser.stand_in.control();
    let acme = control.domain_id("/acme").unwrap();
    control.rename_domain(&acme, "acme-corp").unwrap();
    let ada = control.account_id("/acme-corp", "ada").unwrap();
    control.update_first_user(&ada, "Augusta Ada", "King", "countess@acme.example").unwrap();
    let got = browser.log_in("ada", "Passw0rd!x", "/acme-corp").await;
    Comparison::default().same("login-user", &recording("login-user")["answer"]["body"], &got.json());

    let (cookies, key) = session(&got);
    let got = browser.call(&cookies, "listAccounts", Some(&key)).await;
    Comparison::default().same("me", &recording("session-list-accounts")["answer"]["body"], &got.json());
}

#[tokio::test]
async fn refused_log_ins_answer_as_recorded() {
    let browser = Browser::at(Cloud::recorded()).await;
    assert_recorded("login-wrong-password", &browser.log_in("admin", "wrong", "/").await);
    let control = browser.stand_in.control();
    let homer = control.account_id("/globex", "homer").unwrap();
    control.rename_account(&homer, "homer-j").unwrap();
    control.disable_account(&homer).unwrap();
    assert_recorded("disabled-account-login", &browser.log_in("homer", "Passw0rd!x", "/globex").await);
    control.lock_account(&homer).unwrap();
    assert_recorded("locked-account-login", &browser.log_in("homer", "Passw0rd!x", "/globex").await);
    assert_eq!(browser.log_in("homer", "Passw0rd!x", "/nowhere").await.status, 531);
    control.enable_account(&homer).unwrap();
    assert_eq!(browser.log_in("homer", "Passw0rd!x", "globex").await.status, 200);
}

#[tokio::test]
async fn a_wrong_session_key_ends_the_session() {
    let browser = Browser::at(Cloud::recorded()).await;
    for (name, wrong) in [("session-wrong-key", Some("wrong")), ("session-no-key", None)] {
        let (cookies, key) = session(&browser.log_in("ada", "Passw0rd!x", "/acme").await);
        assert_eq!(browser.call(&cookies, "listUsers", Some(&key)).await.status, 200);
        assert_recorded(name, &browser.call(&cookies, "listUsers", wrong).await);
        assert_recorded("session-after-wrong-key", &browser.call(&cookies, "listUsers", Some(&key)).await);
    }
}

#[tokio::test]
async fn a_session_ends_with_its_log_out_its_time_and_its_account() {
    let browser = Browser::at(Cloud::recorded()).await;
    let control = browser.stand_in.control();
    let (cookies, key) = session(&browser.log_in("ada", "Passw0rd!x", "/acme").await);
    assert_recorded("logout", &browser.call(&cookies, "logout", Some(&key)).await);
    assert_recorded("session-after-logout", &browser.call(&cookies, "listUsers", Some(&key)).await);

    let (cookies, key) = session(&browser.log_in("ada", "Passw0rd!x", "/acme").await);
    control.advance_clock(std::time::Duration::from_secs(1_801));
    assert_eq!(browser.call(&cookies, "listUsers", Some(&key)).await.status, 401);

    let (cookies, key) = session(&browser.log_in("ada", "Passw0rd!x", "/acme").await);
    control.disable_account(&control.account_id("/acme", "ada").unwrap()).unwrap();
    assert_eq!(browser.call(&cookies, "listUsers", Some(&key)).await.status, 401);
}

#[tokio::test]
async fn the_second_user_of_an_account_signs_in_as_the_account() {
    let browser = Browser::at(Cloud::recorded()).await;
    let (cookies, key) = session(&browser.log_in("ada-ops", "Passw0rd!x", "/acme").await);
    let got = browser.call(&cookies, "cloudianSsoLogin", Some(&key)).await.inner();
    let url = got["cloudianssologin"]["url"].as_str().unwrap();
    assert!(url.contains("user=6d3a14a3-4e97-4ae7-8b3b-8962928bfe28&group=2e3dad65-9803-4c9f-9f91-655ce5028621"));
}

#[tokio::test]
async fn random_secrets_replace_the_published_ones() {
    let known = Browser::at(Cloud::recorded()).await.stand_in.control().admin_keys();
    let browser = Browser::at(Cloud::recorded().with_random_secrets()).await;
    let control = browser.stand_in.control();
    assert_eq!(browser.log_in("ada", "Passw0rd!x", "/acme").await.status, 531);
    assert_eq!(browser.log_in("admin", "password", "/").await.status, 531);
    let ada = control.account_id("/acme", "ada").unwrap();
    let (domain, user, password) = control.login_of(&ada).unwrap();
    assert_eq!((domain.as_str(), user.as_str()), ("/acme/", "ada"));
    assert_eq!(browser.log_in(&user, &password, &domain).await.status, 200);
    let url = browser.stand_in.base_url();
    assert_eq!(ask(&url, &known, &[("command", "listUsers")]).await.status, 401);
    assert_eq!(ask(&url, &control.admin_keys(), &[("command", "listUsers")]).await.status, 200);
}

#[tokio::test]
async fn there_is_a_page_to_log_in_and_to_come_back_to() {
    let browser = Browser::at(Cloud::recorded()).await;
    for url in [browser.stand_in.page_url(), browser.stand_in.page_url().replace("/client/", "/client")] {
        let got = fetch(&url).await;
        assert!(got.status == 303 || got.text.contains("Cloudian Storage"), "{url}: {}", got.status);
    }
}
