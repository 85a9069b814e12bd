//! Every operation refuses whoever does not log in.

use admin_api::Endpoint;

use crate::setup::{Server, authorization};

#[tokio::test]
async fn every_operation_answers_401_without_the_right_password() {
    let server = Server::start().await;
    let wrong = authorization("wrong");
    for &endpoint in Endpoint::ALL {
        let (method, path) = endpoint.route();
        let target = format!("{path}?groupId=0&userId=admin&userType=all&userStatus=all");
        for headers in [&[][..], &[("Authorization", "Basic !")], &[("Authorization", "Bearer x")]] {
            let answer = server.send_with(method.as_str(), &target, headers, b"").await;
            if endpoint.needs_login() {
                assert_eq!(answer.status, 401, "{endpoint:?}");
                assert_eq!(answer.header("www-authenticate"), Some("Basic realm=\"CloudianAdmin\""));
            } else {
                assert_eq!(answer.status, 200, "{endpoint:?}");
            }
        }
    }
    let answer = server.send_with("GET", "/group/list", &[("Authorization", &wrong)], b"").await;
    assert_eq!((answer.status, answer.reason.as_str()), (401, "Unauthorized"));
}

#[tokio::test]
async fn only_the_health_is_open() {
    let open: Vec<_> = Endpoint::ALL.iter().copied().filter(|endpoint| !endpoint.needs_login()).collect();
    assert_eq!(open, [Endpoint::HeadHealth, Endpoint::GetHealth]);
}

#[tokio::test]
async fn what_is_unknown_is_told_only_after_the_log_in() {
    let server = Server::start().await;
    for (method, target, status) in
        [("GET", "/nothing", 404), ("GET", "/Group", 404), ("PATCH", "/group", 405), ("HEAD", "/user", 405)]
    {
        assert_eq!(server.send_with(method, target, &[], b"").await.status, 401, "{method} {target}");
        assert_eq!(server.send(method, target, b"").await.status, status, "{method} {target}");
    }
    let answer = server.send("DELETE", "/group/list", b"").await;
    assert_eq!((answer.status, answer.header("allow")), (405, Some("GET")));
}

#[tokio::test]
async fn repeated_wrong_passwords_are_slowed_down() {
    let server = Server::start().await;
    let wrong = authorization("wrong");
    let mut slowest = std::time::Duration::ZERO;
    for _ in 0..7 {
        let started = std::time::Instant::now();
        let answer = server.send_with("GET", "/system/version", &[("Authorization", &wrong)], b"").await;
        assert_eq!(answer.status, 401);
        slowest = slowest.max(started.elapsed());
    }
    assert!(slowest >= std::time::Duration::from_millis(200), "{slowest:?}");
    assert_eq!(server.send("GET", "/system/version", b"").await.status, 200, "the right password is not locked out");
}
