//! What real clients put on the wire beside the letter of the contract; each of these trips one of them.

use serde_json::json;

use crate::setup::{PASSWORD, Server, authorization};

#[tokio::test]
async fn a_needless_body_beside_the_query_is_ignored() {
    let server = Server::start().await;
    server.with_users(&["u"]).await;
    let headers = [("Authorization", authorization(PASSWORD)), ("Content-Type", "application/json".to_owned())];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    for (method, target) in [
        ("PUT", "/user/credentials?groupId=g&userId=u"),
        ("POST", "/user/password?groupId=g&userId=u&password=Abcdefg1x"),
        ("GET", "/user?groupId=g&userId=u"),
        ("DELETE", "/user?groupId=g&userId=u"),
    ] {
        let answer = server.send_with(method, target, &headers, br#"{"groupId":"g","userId":"u"}"#).await;
        assert_eq!(answer.status, 200, "{method} {target}: {answer:?}");
    }
}

#[tokio::test]
async fn calls_without_body_length_and_content_type_are_taken() {
    let server = Server::start().await;
    server.with_users(&["u"]).await;
    let answer = server.send("PUT", "/user/credentials?userId=u&groupId=g", b"").await;
    assert_eq!(answer.json()["active"], json!(true));
    assert_eq!(server.send("PUT", "/group", br#"{"groupId":"untyped"}"#).await.status, 200);
}

#[tokio::test]
async fn a_get_with_a_content_type_and_no_body_is_taken() {
    let server = Server::start().await;
    let headers = [("Authorization", &*authorization(PASSWORD)), ("Content-Type", "application/json")];
    let answer = server.send_with("GET", "/group?groupId=0", &headers, b"").await;
    assert_eq!(answer.json()["groupId"], json!("0"));
}

#[tokio::test]
async fn raw_pipes_stars_and_latin_1_in_the_query_are_values() {
    let server = Server::start().await;
    server.with_users(&["u"]).await;
    for target in ["/user?userId=a|b&groupId=g", "/user?userId=*&groupId=*", "/user?userId=Jos%E9&groupId=g"] {
        assert_eq!(server.send("GET", target, b"").await.status, 204, "{target}");
    }
    assert_eq!(server.send("GET", "/user/list?groupId=*&userType=all&userStatus=all", b"").await.json(), json!([]));
}

#[tokio::test]
async fn bodies_are_utf_8_and_else_latin_1() {
    let server = Server::start().await;
    server.with_users(&[]).await;
    let user = |id: &str| format!(r#"{{"userId":"{id}","groupId":"g","userType":"User","fullName":"José Núñez"}}"#);
    let latin_1: Vec<u8> = user("latin").chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    assert_eq!(server.send("PUT", "/user", &latin_1).await.json()["fullName"], json!("José Núñez"));
    assert_eq!(server.send("PUT", "/user", user("utf").as_bytes()).await.json()["fullName"], json!("José Núñez"));
}

#[tokio::test]
async fn python_bools_are_bools() {
    let server = Server::start().await;
    server.with_users(&["u"]).await;
    let body = br#"{"userId":"u","groupId":"g","userType":"User","active":"False"}"#;
    assert_eq!(server.send("POST", "/user", body).await.status, 200);
    assert_eq!(server.send("GET", "/user?userId=u&groupId=g", b"").await.json()["active"], json!("false"));
}

#[tokio::test]
async fn the_reason_stands_in_the_phrase_and_in_an_html_page() {
    let server = Server::start().await;
    server.with_users(&[]).await;
    let answer = server.send("PUT", "/group", br#"{"groupId":"g"}"#).await;
    assert_eq!((answer.status, answer.reason.as_str()), (409, "A group of that id exists already"));
    assert_eq!(answer.header("content-type"), Some("text/html;charset=UTF-8"));
    assert!(answer.body.contains("A group of that id exists already"), "{}", answer.body);
    let answer = server.send("PUT", "/user", br#"{"userId":"u","groupId":"g","userType":"<script>\r\n"}"#).await;
    assert_eq!(answer.status, 400);
    assert!(!answer.body.contains("<script>"), "{}", answer.body);
}

#[tokio::test]
async fn the_version_is_plain_text_and_the_health_is_empty() {
    let server = Server::start().await;
    let answer = server.send("GET", "/system/version", b"").await;
    assert_eq!(answer.status, 200);
    assert!(answer.header("content-type").unwrap().starts_with("text/plain"));
    assert!(answer.body.starts_with("8.1 Cloudhold"), "{}", answer.body);
    for method in ["HEAD", "GET"] {
        let answer = server.send_with(method, "/.healthCheck", &[], b"").await;
        assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    }
}

#[tokio::test]
async fn a_body_of_more_than_a_mebibyte_is_refused() {
    let server = Server::start().await;
    let answer = server.send("PUT", "/group", &vec![b' '; (1 << 20) + 1]).await;
    assert_eq!(answer.status, 413);
    let chunked = format!(
        "PUT /group HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: {}\r\nTransfer-Encoding: chunked\r\n\r\n\
         14\r\n{{\"groupId\":\"inbits\"}}\r\n0\r\n\r\n",
        authorization(PASSWORD)
    );
    assert_eq!(server.exchange(chunked.as_bytes()).await.status, 200);
}
