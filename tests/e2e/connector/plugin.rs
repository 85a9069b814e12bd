//! The plug-in's commands on the connector's door, asked by forwarded sessions.

use tests::{CloudWorld, Session, http, recording, without_time};

#[tokio::test(flavor = "multi_thread")]
async fn the_answers_are_the_recorded_ones_but_for_time_and_signature() {
    let world = CloudWorld::recorded().await;
    world.sync().await;
    for (domain, account, name) in [
        ("/", "admin", "root-admin"),
        ("/", "operator", "operator"),
        ("/acme", "ada", "ada"),
        ("/acme", "acme-admin", "acme-admin"),
        ("/acme", "josé", "jose"),
        ("/acme/dev", "devbot", "devbot"),
        ("/globex", "homer", "homer"),
        ("/Größe-東京", "東京", "taro"),
    ] {
        let recording = recording(&format!("cloudian-sso-login-{name}"));
        let expected = &recording["answer"]["body"]["cloudianssologinresponse"]["cloudianssologin"]["url"];
        let link = world.link(&world.account(domain, account)).await;
        assert_eq!(without_time(&link), without_time(expected.as_str().unwrap()), "{name}");
    }
    let session = world.sign_in(&world.account("/acme", "ada")).await;
    let (status, answer) = world.plugin("cloudianIsEnabled", &session).await;
    assert_eq!((status, answer), (200, recording("cloudian-is-enabled-user")["answer"]["body"].clone()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_none_gets_no_link() {
    let world = CloudWorld::recorded().await;
    world.sync().await;
    let session = world.sign_in(&world.account("/acme", "ada")).await;
    let stranger = Session { id: "node0unknown".to_owned(), key: session.key.clone() };
    let (status, answer) = world.plugin("cloudianSsoLogin", &stranger).await;
    assert!(status >= 400 && !answer.to_string().contains("ssosecurelogin"), "{status} {answer}");

    let url = format!("{}/client/cloudhold/api", world.server.doors().connector);
    let http = http();
    let query = [("command", "cloudianSsoLogin"), ("response", "json"), ("sessionkey", "wrong")];
    let cookies = format!("JSESSIONID={}; sessionkey={}", session.id, session.key);
    let before = world.control.requests().len();
    let answer = http.get(url).query(&query).header("cookie", cookies).send().await.unwrap();
    assert!(answer.status().as_u16() >= 400);
    assert_eq!(world.control.requests().len(), before, "a wrong key would end the session at CloudStack");
    let (status, _) = world.plugin("cloudianSsoLogin", &session).await;
    assert_eq!(status, 200, "the session still lives");
}
