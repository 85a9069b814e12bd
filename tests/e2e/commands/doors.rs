//! A store that runs: its files, its health, its metrics, its end.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use tests::{Server, content, http};

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// What the start says. The doors open before it is said.
async fn greeting(server: &Server) -> String {
    for _ in 0..500 {
        let log = server.log();
        if log.contains("this machine only") {
            return log;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the start does not say how to open the doors: {}", server.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn serve_works_without_any_configuration() {
    let server = Server::start().await;
    let dir = server.data_dir();
    assert_eq!(mode(&dir), 0o700);
    for secret in ["first-credentials.json", "control.sock", "keys.json"] {
        assert_eq!(mode(&dir.join(secret)), 0o600, "{secret}");
    }
    let log = greeting(&server).await;
    assert!(log.contains(&server.doors().s3) && log.contains("first-credentials.json"), "{log}");
    let first = server.first_credentials();
    assert!(
        !log.contains(&first.admin_api.password) && !log.contains(&first.console.password),
        "a password in the log"
    );
    assert_eq!((first.admin_api.user.as_str(), first.console.group.as_str()), ("sysadmin", "0"));
    assert_eq!(server.doors().version, 1);
    assert!(server.admin().healthy().await.unwrap());
    let status = server.command(&["status"]).await.ok();
    assert!(status.starts_with("ok"), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn health_and_metrics_tell_how_it_is() {
    let server = Server::start().await;
    let health = http().get(format!("{}/health", server.doors().metrics)).send().await.unwrap();
    assert_eq!(health.status(), 200);
    assert_eq!(health.text().await.unwrap(), "ok\n");
    let tenant = server.tenant("acme", "ada").await;
    let s3 = server.s3(&tenant);
    s3.create_bucket("measured").await;
    let before = server.metric("cloudhold_metadata_commits_total").await;
    let _ = s3.put("measured", "thing", content(10, 1)).await.unwrap().ok();
    assert!(server.metric("cloudhold_metadata_commits_total").await > before);
    assert!(server.metric("cloudhold_disk_free_bytes").await > 0.0);
    let text = http().get(format!("{}/metrics", server.doors().metrics)).send().await.unwrap().text().await.unwrap();
    assert!(!text.contains("acme") && !text.contains("measured"), "metrics name no tenant: {text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_store_on_the_same_data_is_refused() {
    let server = Server::start().await;
    let words = server.command(&["serve", "--ports", "auto"]).await.failed();
    assert!(words.contains(&server.data_dir().display().to_string()), "{words}");
    assert!(server.admin().healthy().await.unwrap(), "the first goes on");
    let text = std::fs::read_to_string(server.data_dir().join("doors.json")).unwrap();
    assert!(text.contains(&server.doors().s3), "the first one's doors.json stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_lets_requests_finish() {
    let mut server = Server::start().await;
    let tenant = server.tenant("acme", "ada").await;
    let s3 = server.s3(&tenant);
    s3.create_bucket("last").await;
    let upload = {
        let s3 = s3.clone();
        tokio::spawn(async move { s3.put("last", "large", content(64 << 20, 1)).await })
    };
    tokio::time::sleep(Duration::from_millis(150)).await;
    let status = server.stop().await;
    assert_eq!(status.code(), Some(0), "{status}");
    let answered = upload.await.unwrap();
    server.restart().await;
    let s3 = server.s3(&tenant);
    let found = s3.get("last", "large").await.unwrap();
    match answered {
        Ok(answer) if answer.status.is_success() => assert!(found.ok().body == content(64 << 20, 1)),
        // It came too late to be let in, and was told so.
        Ok(_) | Err(_) => assert_eq!(found.status, 404),
    }
}
