//! `cloudhold demo`: the link and the key that it prints work.

use std::process::Stdio;
use std::time::Duration;

use reqwest::Certificate;
use serde_json::Value;
use tests::{S3, binary, content};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

const LIMIT: Duration = Duration::from_secs(120);

/// Reads the JSON object that the demo prints when it is ready.
async fn ready(stdout: impl tokio::io::AsyncRead + Unpin) -> Value {
    let mut lines = BufReader::new(stdout).lines();
    let mut text = String::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        text += &line;
        if let Ok(value) = serde_json::from_str(&text) {
            return value;
        }
    }
    panic!("the demo ended: {text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_link_and_the_key_work() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("demo");
    let mut command = Command::new(binary());
    command.args(["demo", "--json", "--data-dir"]).arg(&dir).stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    let demo = tokio::time::timeout(LIMIT, ready(child.stdout.take().unwrap())).await.unwrap();
    let text = |field: &str| demo[field].as_str().unwrap();

    let ca = std::fs::read(demo["doors"]["ca_file"].as_str().unwrap()).unwrap();
    let http =
        reqwest::Client::builder().no_proxy().cookie_store(true).tls_certs_only([Certificate::from_pem(&ca).unwrap()]);
    let page = http.build().unwrap().get(text("link")).send().await.unwrap();
    assert_eq!(page.status(), 200);
    let page = page.text().await.unwrap();
    assert!(page.contains("data-testid=\"signed-in-as\"") && page.contains("(ada)"), "{page}");

    let s3 = S3::new(demo["doors"]["s3"].as_str().unwrap(), text("access_key"), text("secret_key"));
    s3.create_bucket("hello").await;
    let _ = s3.put("hello", "world.txt", content(50_000, 1)).await.unwrap().ok();
    assert_eq!(s3.get("hello", "world.txt").await.unwrap().ok().body, content(50_000, 1));

    let serve = async |words: &[&str]| {
        let mut command = Command::new(binary());
        command.args(words).arg("--data-dir").arg(&dir);
        tests::run(&mut command, LIMIT).await
    };
    let plan = serve(&["connector", "plan"]).await.ok();
    assert!(plan.contains("Nothing to do"), "{plan}");
    child.kill().await.unwrap();
    let said = serve(&["serve", "--ports", "auto"]).await.failed();
    assert!(said.contains("belongs to a demo"), "{said}");
}
