//! The recorded requests of CloudStack's own plug-in, sent to the real binary in their order.

use reqwest::Method;
use reqwest::header::{ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, HeaderName};
use serde_json::Value;
use tests::{Server, http, root_folder};

/// The status that a real server gives: nobody is made in a group that was not announced.
fn expected_status(request: &Value) -> u64 {
    let announced = request["group_was_announced"].as_bool().unwrap();
    let target = request["target"].as_str().unwrap();
    match request["method"].as_str().unwrap() {
        "PUT" | "POST" if !announced && target == "/user" => 400,
        "GET" if !announced && target.starts_with("/user?") => 204,
        _ => request["stand_in_status"].as_u64().unwrap(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plug_ins_requests_are_answered_as_recorded() {
    let server = Server::start().await;
    let account = server.first_credentials().admin_api;
    let http = http();
    let path = root_folder().join("tests/data/recordings/plugin-requests.jsonl");
    let recording = std::fs::read_to_string(path).unwrap();
    let mut count = 0;
    for line in recording.lines() {
        let request: Value = serde_json::from_str(line).unwrap();
        let text = |field: &str| request[field].as_str().unwrap();
        let method = Method::from_bytes(text("method").as_bytes()).unwrap();
        let mut sent = http.request(method, format!("{}{}", server.doors().admin_api, text("target")));
        for (name, value) in request["headers"].as_object().unwrap() {
            let name: HeaderName = name.parse().unwrap();
            // The password is this store's own, and the rest belongs to the connection.
            if ![AUTHORIZATION, CONNECTION, CONTENT_LENGTH, ACCEPT_ENCODING].contains(&name) {
                sent = sent.header(name, value.as_str().unwrap());
            }
        }
        let body: Vec<u8> = text("body_latin1").chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
        let answer = sent.basic_auth(&account.user, Some(&account.password)).body(body).send().await.unwrap();
        assert_eq!(u64::from(answer.status().as_u16()), expected_status(&request), "{line}");
        count += 1;
    }
    assert_eq!(count, 55);
    // The log of all this shows neither passwords nor query strings.
    let log = server.log();
    assert!(!log.contains(&account.password) && !log.contains("userId="), "the log tells too much");
}
