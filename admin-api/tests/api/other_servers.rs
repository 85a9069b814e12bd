//! The client in front of servers that are not ours: the peculiarities that were seen on real clusters, and answers that
//! must not be believed.

use std::{sync::Arc, sync::Mutex, time::Duration};

use admin_api::client::{AdminClient, ClientConfig, Error, GroupInfo, UserInfo, UserUpdate};
use axum::{Router, body::Bytes, extract::State, http::StatusCode, response::IntoResponse, routing};
use tokio::net::TcpListener;
use url::Url;

async fn serve(router: Router) -> AdminClient {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let base_url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let mut config = ClientConfig::new(base_url, "sysadmin", "public".into());
    config.timeout = Duration::from_secs(1);
    AdminClient::new(config).unwrap()
}

/// Bodies that were sent.
type Sent = Arc<Mutex<Vec<String>>>;

#[tokio::test]
async fn the_answers_of_an_older_hyperstore_are_understood() {
    const USER: &str = r#"{"userId":"u","userType":"User","fullName":"U","emailAddr":null,"groupId":"g","active":true,
        "canonicalUserId":"b3940886468689d375ebf8747b151c37","ldapEnabled":false,"groupuser":null}"#;
    let sent = Sent::default();
    let remember = |State(sent): State<Sent>, body: Bytes| async move {
        sent.lock().unwrap().push(String::from_utf8(body.to_vec()).unwrap());
        StatusCode::OK
    };
    let router = Router::new()
        .route("/user", routing::put(remember).post(remember).get(|| async { USER }))
        .route("/user/list", routing::get(|| async { "" }))
        .route("/group/list", routing::get(|| async { StatusCode::NO_CONTENT }))
        .route("/user/credentials/list", routing::get(|| async { StatusCode::BAD_REQUEST }))
        .with_state(sent.clone());
    let client = serve(router).await;

    let made = client.put_user(&UserInfo::new("g", "u")).await.unwrap();
    assert_eq!(made.canonical_user_id.as_deref(), Some("b3940886468689d375ebf8747b151c37"));
    assert!(made.active && made.email_addr.is_empty());
    client.post_user(&UserUpdate { active: Some(false), ..UserUpdate::of("g", "u") }).await.unwrap();
    assert!(client.list_all_users("g").await.unwrap().is_empty());
    assert!(client.list_all_groups().await.unwrap().is_empty());
    assert!(matches!(client.list_credentials("g", "u", true).await, Err(Error::NotFound)));

    let sent = sent.lock().unwrap();
    assert_eq!(sent[1], r#"{"userId":"u","groupId":"g","active":"false"}"#, "an update sends what is set and no null");
}

#[tokio::test]
async fn a_server_that_does_not_page_loses_nobody() {
    let rows: Vec<_> = (0..101).map(|n| serde_json::json!({"groupId": format!("g{n:03}"), "active": true})).collect();
    let rows = serde_json::to_string(&rows).unwrap();
    let client = serve(Router::new().route("/group/list", routing::get(move || async move { rows }))).await;
    assert_eq!(client.list_all_groups().await.unwrap().len(), 101);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = [("location", "http://127.0.0.1:9/group")];
    let router = Router::new().fallback(move || async move { (StatusCode::FOUND, elsewhere) });
    let error = serve(router).await.get_group("g").await.unwrap_err();
    assert!(matches!(error, Error::Protocol(_)), "{error:?}");
}

#[tokio::test]
async fn empty_broken_and_foreign_answers_are_no_answers() {
    for body in ["", "{", "<html>a log-in page</html>", "[]", r#"{"groupId":7}"#] {
        let client = serve(Router::new().fallback(move || async move { body })).await;
        let error = client.get_group("g").await.unwrap_err();
        assert!(matches!(error, Error::Protocol(_)) && !error.is_transient(), "{body}: {error:?}");
    }
    let client = serve(Router::new().fallback(|| async { "{" })).await;
    assert!(matches!(client.list_all_users("g").await, Err(Error::Protocol(_))));
}

#[tokio::test]
async fn refusals_carry_the_title_of_the_page_and_know_whether_they_pass() {
    let page = |status: StatusCode| {
        let body = "<html><head><title>Error 400 Invalid group</title></head></html>";
        Router::new().fallback(move || async move { (status, body).into_response() })
    };
    let client = serve(page(StatusCode::BAD_REQUEST)).await;
    let error = client.put_group(&GroupInfo::new("g", "/")).await.unwrap_err();
    assert_eq!(error.to_string(), "refused with status 400: Error 400 Invalid group");
    assert!(!error.is_transient());
    for status in [StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS] {
        assert!(serve(page(status)).await.version().await.unwrap_err().is_transient());
    }
}

#[tokio::test]
async fn a_server_that_is_too_slow_is_unreachable() {
    let slow = Router::new().fallback(|| async { tokio::time::sleep(Duration::from_secs(5)).await });
    let error = serve(slow).await.version().await.unwrap_err();
    assert!(matches!(error, Error::Unreachable(_)) && error.is_transient(), "{error:?}");
}
