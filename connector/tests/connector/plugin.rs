//! The plug-in's commands, asked by sessions of a CloudStack as a browser has them.

use admin_api::client::UserUpdate;
use axum::{
    body::Body,
    http::{Request, header::SET_COOKIE},
};
use cloudstack_stand_in::Lie;
use serde_json::Value;
use tower::ServiceExt;

use crate::world::World;

const PATH: &str = connector::PLUGIN_PATH;

/// A session as a browser has it.
#[derive(Debug, Clone)]
struct Session {
    id: String,
    key: String,
}

impl Session {
    fn cookies(&self) -> String {
        format!("lang=de; JSESSIONID={}; sessionkey={}", self.id, self.key)
    }
}

struct Answer {
    status: u16,
    body: Value,
}

async fn log_in(world: &World, account: &str) -> Session {
    let (domain, username, password) = world.control.login_of(account).unwrap();
    let form = [
        ("command", "login"),
        ("username", username.as_str()),
        ("password", password.as_str()),
        ("domain", domain.as_str()),
        ("response", "json"),
    ];
    let answer = reqwest::Client::new().post(world.control.base_url()).form(&form).send().await.unwrap();
    let id = answer
        .headers()
        .get_all(SET_COOKIE)
        .iter()
        .find_map(|cookie| cookie.to_str().unwrap().split(';').next().unwrap().strip_prefix("JSESSIONID="))
        .unwrap()
        .to_owned();
    let body: Value = answer.json().await.unwrap();
    Session { id, key: body["loginresponse"]["sessionkey"].as_str().unwrap().to_owned() }
}

async fn ask(world: &World, request: Request<Body>) -> Answer {
    let response = world.connector.router().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    assert_eq!(response.headers()["content-type"], "application/json;charset=utf-8");
    let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    Answer { status, body: serde_json::from_slice(&body).unwrap() }
}

async fn command(world: &World, command: &str, session: &Session) -> Answer {
    let uri = format!("{PATH}?command={command}&response=json&sessionkey={}", session.key);
    ask(world, Request::get(uri).header("cookie", session.cookies()).body(Body::empty()).unwrap()).await
}

async fn link(world: &World, account: &str) -> String {
    let answer = command(world, "cloudianSsoLogin", &log_in(world, account).await).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body["cloudianssologinresponse"]["cloudianssologin"]["url"].as_str().unwrap().to_owned()
}

fn recorded(name: &str) -> Value {
    let path = format!("{}/../tests/data/recordings/cloudstack-4.23/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// A link without its time and signature.
fn without_time(link: &str) -> String {
    let (base, query) = link.split_once('?').unwrap();
    let kept: Vec<&str> = query
        .split('&')
        .map(|pair| if pair.starts_with("timestamp=") || pair.starts_with("signature=") { "..." } else { pair })
        .collect();
    format!("{base}?{}", kept.join("&"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answers_are_the_recorded_ones_but_for_time_and_signature() {
    let world = World::recorded().await;
    for (domain, account, name) in [
        ("/", "admin", "root-admin"),
        ("/", "operator", "operator"),
        ("/acme", "ada", "ada"),
        ("/acme", "acme-admin", "acme-admin"),
        ("/acme", "admin", "admin-of-acme"),
        ("/acme", "josé", "jose"),
        ("/acme/dev", "devbot", "devbot"),
        ("/globex", "homer", "homer"),
        ("/Größe-東京", "東京", "taro"),
    ] {
        let account = world.account(domain, account);
        let recording = recorded(&format!("cloudian-sso-login-{name}"));
        let expected = &recording["answer"]["body"]["cloudianssologinresponse"]["cloudianssologin"]["url"];
        let link = link(&world, &account).await;
        assert_eq!(without_time(&link), without_time(expected.as_str().unwrap()), "{name}");
    }
    let session = log_in(&world, &world.account("/acme", "ada")).await;
    let answer = command(&world, "cloudianIsEnabled", &session).await;
    assert_eq!(answer.body, recorded("cloudian-is-enabled-user")["answer"]["body"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_links_signature_is_that_of_the_shared_key() {
    let world = World::recorded().await;
    let link = link(&world, &world.account("/acme", "ada")).await;
    let url = url::Url::parse(&link).unwrap();
    let of = |name: &str| url.query_pairs().find(|(found, _)| found == name).unwrap().1.into_owned();
    let key = sso::SharedKey::new("Kr7-example-shared-key".to_owned()).unwrap();
    let login = sso::Login { user: of("user"), group: of("group"), timestamp_ms: of("timestamp").parse().unwrap() };
    assert_eq!(sso::sign(&key, &login).unwrap().to_base64(), of("signature"));
    let age_ms = time::OffsetDateTime::now_utc().unix_timestamp() * 1000 - login.timestamp_ms;
    assert!(age_ms.abs() < 60_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn group_and_user_are_made_on_demand_and_kept_up_to_date() {
    let world = World::recorded().await;
    let (devbot, dev) = (world.account("/acme/dev", "devbot"), world.control.domain_id("/acme/dev").unwrap());
    link(&world, &devbot).await;
    let actual = world.actual().await;
    assert_eq!((actual.groups.len(), actual.users.len()), (1, 1));
    assert_eq!(actual.groups[&dev], "/acme/dev/");
    world.control.update_first_user(&devbot, "Dev", "Bot II", "bot@acme.example").unwrap();
    link(&world, &devbot).await;
    let person = world.user_of(&devbot).await.unwrap();
    assert_eq!((person.full_name.as_str(), person.email.as_str()), ("Dev Bot II (devbot)", "bot@acme.example"));
    // The next pass finds them as they should be.
    world.sync().await;
    assert!(world.plan().await.is_empty());
    assert_eq!(world.connector.status().await.owned.users, 12);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_user_of_an_account_is_the_same_storage_user() {
    let world = World::recorded().await;
    let ada = world.account("/acme", "ada");
    let first = link(&world, &ada).await;
    world.control.delete_first_user(&ada).unwrap();
    let second = link(&world, &ada).await;
    assert_eq!(without_time(&first), without_time(&second));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_operator_deactivated_stays_out_and_what_we_did_comes_back() {
    let world = World::recorded().await;
    world.sync().await;
    let (acme, ada, jose) =
        (world.control.domain_id("/acme").unwrap(), world.account("/acme", "ada"), world.account("/acme", "josé"));
    let update = UserUpdate { active: Some(false), ..UserUpdate::of(&acme, &jose) };
    world.admin().post_user(&update).await.unwrap();
    let session = log_in(&world, &jose).await;
    let answer = command(&world, "cloudianSsoLogin", &session).await;
    assert_eq!(answer.status, 530);
    assert!(answer.body["cloudianssologinresponse"]["errortext"].as_str().unwrap().contains("failed to add user"));

    world.control.disable_account(&ada).unwrap();
    world.sync().await;
    world.control.enable_account(&ada).unwrap();
    link(&world, &ada).await;
    assert!(world.user_of(&ada).await.unwrap().active);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_console_admin_is_an_error_without_side_effects() {
    let world = World::recorded().await;
    world.control.set_setting("cloudian.cmc.admin.user", "nobody").unwrap();
    let session = log_in(&world, &world.account("/", "admin")).await;
    let answer = command(&world, "cloudianSsoLogin", &session).await;
    assert_eq!(answer.status, 530);
    let content = &answer.body["cloudianssologinresponse"];
    assert_eq!(content["errorcode"], 530);
    assert!(content["errortext"].as_str().unwrap().contains("failed to find mapped Cloudian user"));
    assert!(world.actual().await.groups.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_is_never_forwarded_so_the_session_lives_on() {
    let world = World::recorded().await;
    let session = log_in(&world, &world.account("/acme", "ada")).await;
    world.control.clear_requests();
    for bad in ["", "wrong", &session.key[..26], &format!("{}x", session.key)] {
        let uri = format!("{PATH}?command=cloudianSsoLogin&response=json&sessionkey={bad}");
        let request = Request::get(uri).header("cookie", session.cookies()).body(Body::empty()).unwrap();
        let answer = ask(&world, request).await;
        assert_eq!(answer.status, 401, "{bad}");
        let recording = recorded("session-wrong-key");
        let expected = &recording["answer"]["body"]["listusersresponse"];
        assert_eq!(answer.body["cloudianssologinresponse"], *expected);
    }
    let without_cookies =
        Request::get(format!("{PATH}?command=cloudianSsoLogin&sessionkey={}", session.key)).body(Body::empty());
    assert_eq!(ask(&world, without_cookies.unwrap()).await.status, 401);
    assert_eq!(world.control.request_count("listAccounts"), 0, "nothing was forwarded");
    assert_eq!(command(&world, "cloudianSsoLogin", &session).await.status, 200, "the session lives");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_two_cookies_are_forwarded_and_no_listall() {
    let world = World::recorded().await;
    link(&world, &world.account("/acme", "ada")).await;
    let requests = world.control.requests();
    let asked = requests.iter().find(|request| request.command == "listAccounts").unwrap();
    let names: Vec<&str> = asked.parameters.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["command", "response", "details", "page", "pagesize"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_who_are_not_clear_are_refused() {
    let world = World::recorded().await;
    let ada = log_in(&world, &world.account("/acme", "ada")).await;
    // A session that ended.
    let ended = Session { id: "node0nobody.node0".to_owned(), key: "AAAAAAAAAAAAAAAAAAAAAAAAAAA".to_owned() };
    let answer = command(&world, "cloudianSsoLogin", &ended).await;
    assert_eq!((answer.status, &answer.body["cloudianssologinresponse"]["errorcode"]), (401, &Value::from(401)));
    // An API key, whose signature covers the command and so proves nothing here.
    let uri = format!("{PATH}?command=cloudianSsoLogin&apiKey=k&signature=s&sessionkey={}", ada.key);
    let answer = ask(&world, Request::get(uri).header("cookie", ada.cookies()).body(Body::empty()).unwrap()).await;
    assert_eq!(answer.status, 401);
    assert!(answer.body["cloudianssologinresponse"]["errortext"].as_str().unwrap().contains("session"));
    // Lists that do not say who it is.
    for lie in [Lie::Nothing, Lie::EmptyArray, Lie::Html, Lie::Truncated, Lie::CountOff(1)] {
        world.control.lie(Some("listAccounts"), lie.clone());
        let answer = command(&world, "cloudianSsoLogin", &ada).await;
        world.control.behave();
        assert!(answer.status == 401 || answer.status == 530, "{lie:?}: {}", answer.body);
        assert!(answer.body["cloudianssologinresponse"]["errortext"].is_string());
    }
    assert!(world.actual().await.groups.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn while_it_is_off_the_command_does_not_exist() {
    let world = World::recorded().await;
    world.control.set_setting("cloudian.connector.enabled", "false").unwrap();
    let session = log_in(&world, &world.account("/acme", "ada")).await;
    let answer = command(&world, "cloudianSsoLogin", &session).await;
    assert_eq!((answer.status, &answer.body), (401, &recorded("cloudian-sso-login-off")["answer"]["body"]));
    let answer = command(&world, "cloudianIsEnabled", &session).await;
    assert_eq!(answer.body["cloudianisenabledresponse"]["cloudianisenabled"]["enabled"], false);
    let answer = command(&world, "listNonsense", &session).await;
    assert_eq!((answer.status, &answer.body), (401, &recorded("error-unknown-command")["answer"]["body"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_posted_form_does_what_a_query_does() {
    let world = World::recorded().await;
    let session = log_in(&world, &world.account("/acme", "ada")).await;
    let request = Request::post(PATH)
        .header("cookie", session.cookies())
        .header("content-type", "application/x-www-form-urlencoded; charset=UTF-8")
        .body(Body::from(format!("command=cloudianSsoLogin&response=json&sessionkey={}", session.key)))
        .unwrap();
    assert_eq!(ask(&world, request).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_signs_in_through_another_cloud() {
    let world = World::recorded().await;
    world.sync().await;
    let session = log_in(&world, &world.account("/acme", "ada")).await;
    world.control.lie(None, Lie::OtherRoot("00000000-0000-4000-8000-00000000abcd".to_owned()));
    assert!(world.connector.sync(None, &|_| ()).await.is_err());
    assert_eq!(command(&world, "cloudianSsoLogin", &session).await.status, 530);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_of_another_cloud_is_signed_in_or_made() {
    let world = World::recorded().await;
    world.sync().await;
    let (ada, admin) = (world.account("/acme", "ada"), world.account("/", "admin"));
    world.admin().delete_user(&world.control.domain_id("/acme").unwrap(), &ada).await.unwrap();
    let before = world.actual().await;
    let sessions = [log_in(&world, &ada).await, log_in(&world, &admin).await];
    world.control.lie(Some("listDomains"), Lie::OtherRoot("00000000-0000-4000-8000-00000000abcd".to_owned()));
    for session in &sessions {
        let answer = command(&world, "cloudianSsoLogin", session).await;
        assert_ne!(answer.status, 200, "{}", answer.body);
    }
    assert_eq!(world.actual().await, before, "nothing is made for it");
    assert!(world.connector.status().await.stopped.is_some());
    world.control.behave();
    world.connector.poll().await.unwrap();
    assert_eq!(command(&world, "cloudianSsoLogin", &sessions[0]).await.status, 200);
}
