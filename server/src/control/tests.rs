//! The socket from both sides.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use axum::Router;
use axum::routing::{get, post};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::wire::{Progress, Refused, with_progress};
use super::*;

/// A store's socket with a few commands; it ends when the returned token is dropped from the test.
fn store(dir: &Path) -> tokio_util::sync::DropGuard {
    let commands = Router::new()
        .route("/echo", get(async || axum::Json(json!({"answer": 42}))))
        .route("/refuse", post(async || Refused::from(anyhow::anyhow!("no such thing"))))
        .route(
            "/work",
            post(async || {
                with_progress(|report| async move {
                    report.report(Progress { what: "half".to_owned(), done: 1, total: Some(2), is_bytes: false });
                    tokio::task::yield_now().await;
                    Ok(json!("done"))
                })
            }),
        )
        .route("/fail", post(async || with_progress(|_| async { anyhow::bail!("broken in the middle") })));
    let router = Router::new().nest("/v1", commands);
    let stop = CancellationToken::new();
    tokio::spawn(serve(bind(dir).unwrap(), router, stop.clone(), stop.clone(), TaskTracker::new()));
    stop.drop_guard()
}

fn long_folder(folder: &Path) -> PathBuf {
    let long = folder.join("a-name-that-is-long-enough".repeat(5)).join("and-then-more".repeat(5));
    std::fs::create_dir_all(&long).unwrap();
    assert!(long.as_os_str().len() > 150);
    long
}

#[tokio::test]
async fn commands_are_answered_also_where_the_path_is_long() {
    let folder = tempfile::tempdir().unwrap();
    for dir in [folder.path().to_owned(), long_folder(folder.path())] {
        let _store = store(&dir);
        let client = ControlClient::new(&dir);
        assert_eq!(client.get::<Value>("echo").await.unwrap(), json!({"answer": 42}));
        let mode = std::fs::metadata(dir.join(FILE_NAME)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[tokio::test]
async fn progress_comes_before_the_end_and_errors_as_words() {
    let folder = tempfile::tempdir().unwrap();
    let _store = store(folder.path());
    let client = ControlClient::new(folder.path());
    let mut seen = Vec::new();
    let done: String = client.run("work", &json!({}), |progress| seen.push(progress.what)).await.unwrap();
    assert_eq!((done.as_str(), seen), ("done", vec!["half".to_owned()]));
    let failed = client.run::<Value>("fail", &json!({}), |_| ()).await.unwrap_err();
    assert_eq!(failed.to_string(), "broken in the middle");
    let refused = client.post::<Value>("refuse", &json!({})).await.unwrap_err();
    assert_eq!(refused.to_string(), "no such thing");
    let unknown = client.get::<Value>("nonesuch").await.unwrap_err();
    assert!(unknown.to_string().contains("another version"), "{unknown}");
}

#[tokio::test]
async fn without_a_store_it_says_so_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let client = ControlClient::new(folder.path());
    let absent = client.get::<Value>("echo").await.unwrap_err().to_string();
    assert!(absent.contains("no store runs on") && absent.contains("cloudhold serve --data-dir"), "{absent}");
    // A socket that a killed process left.
    drop(bind(folder.path()).unwrap());
    let left = client.get::<Value>("echo").await.unwrap_err().to_string();
    assert!(left.contains("no store runs on"), "{left}");
    // And the next start takes its place.
    let _store = store(folder.path());
    client.get::<Value>("echo").await.unwrap();
}

#[test]
fn only_the_same_user_and_root_may_give_commands() {
    assert!(socket::is_allowed(1000, 1000));
    assert!(socket::is_allowed(0, 1000));
    assert!(!socket::is_allowed(1001, 1000));
    assert!(!socket::is_allowed(1000, 0));
}

/// A process of another user is refused by the check of the peer, whatever the mode of the file says.
#[tokio::test]
async fn a_process_of_another_user_is_refused() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let folder = tempfile::tempdir_in("/tmp").unwrap();
    let _store = store(folder.path());
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::set_permissions(folder.path().join(FILE_NAME), std::fs::Permissions::from_mode(0o777)).unwrap();
    let asked = |user: &'static str| {
        let socket = folder.path().join(FILE_NAME);
        async move {
            let mut command = tokio::process::Command::new("curl");
            command.args(["--silent", "--max-time", "5", "--unix-socket"]).arg(&socket).arg("http://localhost/v1/echo");
            if user == "nobody" {
                command.uid(65534).gid(65534);
            }
            command.output().await.map(|output| (output.status.success(), output.stdout))
        }
    };
    let Ok((answered, text)) = asked("root").await else { return };
    assert!(answered && text == br#"{"answer":42}"#);
    let (answered, text) = asked("nobody").await.unwrap();
    assert!(!answered && text.is_empty(), "{}", String::from_utf8_lossy(&text));
}
