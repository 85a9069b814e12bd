//! The whole store with its metadata in PostgreSQL.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::future::join_all;
use test_databases::{new_postgres, run_sql};
use tests::{S3, Server, content};

const BUCKET: &str = "shared";

fn config(url: &str) -> String {
    format!("[data]\npostgres_url = \"{url}\"\n")
}

async fn start(url: &str) -> Server {
    Server::with_config(&config(url)).await
}

/// Names a database for the next start of the server, and for commands, which find the file by its path.
fn name_database(server: &mut Server, url: &str) -> String {
    server.configure(&config(url));
    let path = server.data_dir().parent().unwrap().join("cloudhold.toml");
    path.to_str().unwrap().to_owned()
}

/// Takes a database away, whoever is connected to it.
fn drop_database(url: &str) {
    let name = run_sql(url, "SELECT current_database()");
    run_sql(&url.replace(&name, "postgres"), &format!("DROP DATABASE {name} WITH (FORCE)"));
}

/// The snapshots that are whole.
fn snapshots(server: &Server) -> BTreeSet<PathBuf> {
    let names = std::fs::read_dir(server.data_dir().join("snapshots")).into_iter().flatten();
    names.map(|name| name.unwrap().path()).filter(|path| path.extension().is_some_and(|end| end == "sqlite")).collect()
}

async fn put_some(s3: &S3) {
    s3.create_bucket(BUCKET).await;
    for number in 0..20 {
        let _ = s3.put(BUCKET, &format!("{number}"), body(number)).await.unwrap().ok();
    }
}

async fn assert_some(s3: &S3) {
    assert_eq!(s3.keys(BUCKET).await.len(), 20);
    for number in 0..20 {
        let got = s3.get(BUCKET, &format!("{number}")).await.unwrap().ok();
        assert!(got.body == body(number), "object {number} has other bytes");
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn body(number: u64) -> Vec<u8> {
    content(if number.is_multiple_of(2) { 4_000 } else { 100_000 }, number)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_there_after_a_kill() {
    let url = new_postgres();
    let mut server = start(&url).await;
    let tenant = server.tenant("acme", "ada").await;
    let s3 = server.s3(&tenant);
    s3.create_bucket(BUCKET).await;
    let puts = (0..40).map(|number| {
        let s3 = s3.clone();
        async move { s3.put(BUCKET, &format!("{number}"), body(number)).await.unwrap().ok() }
    });
    join_all(puts).await;
    let _ = s3.delete(BUCKET, "7").await.unwrap().ok();
    server.kill().await;
    server.restart().await;
    let s3 = server.s3(&tenant);
    assert_eq!(s3.keys(BUCKET).await.len(), 39);
    for number in (0..40).filter(|number| *number != 7) {
        let got = s3.get(BUCKET, &format!("{number}")).await.unwrap().ok();
        assert!(got.body == body(number), "object {number} has other bytes");
    }
    assert!(!server.data_dir().join("metadata.sqlite").exists());
    assert!(!server.log().contains("postgres://"), "the URL is in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_away_is_a_clear_answer_and_no_loss() {
    let url = new_postgres();
    let server = start(&url).await;
    let tenant = server.tenant("acme", "ada").await;
    let s3 = server.s3(&tenant);
    s3.create_bucket(BUCKET).await;
    let _ = s3.put(BUCKET, "before", body(1)).await.unwrap().ok();
    let name = run_sql(&url, "SELECT current_database()");
    let other = url.replace(&name, "postgres");
    run_sql(&other, &format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false"));
    run_sql(&other, &format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"));
    let refused = s3.put(BUCKET, "away", body(1)).await.unwrap();
    assert_eq!(refused.status.as_u16(), 503);
    assert_eq!(refused.element("Code").as_deref(), Some("ServiceUnavailable"));
    run_sql(&other, &format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true"));
    let _ = s3.put(BUCKET, "after", body(3)).await.unwrap().ok();
    assert_eq!(s3.keys(BUCKET).await, ["after", "before"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_moves_from_sqlite() {
    let mut server = Server::start().await;
    let tenant = server.tenant("acme", "ada").await;
    let s3 = server.s3(&tenant);
    put_some(&s3).await;
    let config = name_database(&mut server, &new_postgres());
    let words = ["migrate-metadata", "--config", &config];
    assert!(server.command(&words).await.failed().contains("in use"), "not while the store runs");
    server.stop().await;
    let moved = server.json(&words).await;
    assert!(moved["tables"]["versions"].as_u64().unwrap() >= 20, "{moved}");
    server.restart().await;
    assert_some(&server.s3(&tenant)).await;
    assert!(!server.data_dir().join("metadata.sqlite").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_database_and_directory_come_back_from_a_back_up() {
    let url = new_postgres();
    let mut server = start(&url).await;
    let tenant = server.tenant("acme", "ada").await;
    put_some(&server.s3(&tenant)).await;
    let (backups, keys) = (server.scratch().join("backups"), server.scratch().join("keys.json"));
    let made = server.json(&["backup", text(&backups), "--verify"]).await;
    assert_eq!(
        (&made["made"]["blob_count"], &made["verified"]["damaged"]),
        (&10.into(), &serde_json::json!([])),
        "{made}"
    );
    std::fs::copy(server.data_dir().join("keys.json"), &keys).unwrap();
    server.kill().await;
    drop_database(&url);
    std::fs::remove_dir_all(server.data_dir()).unwrap();

    let new = new_postgres();
    let config = name_database(&mut server, &new);
    let words = ["restore", text(&backups), "--key-file", text(&keys), "--config", &config];
    let restored = server.command(&words).await.ok();
    assert!(restored.contains("10 blobs"), "{restored}");
    server.restart().await;
    assert_some(&server.s3(&tenant)).await;
    assert!(server.command(&["fsck"]).await.ok().contains("everything agrees"));
    assert!(!server.data_dir().join("metadata.sqlite").exists());

    // Over a store that is there: refused while it runs, then kept beside the restored one.
    let forced = [&words[..], &["--force"]].concat();
    assert!(server.command(&forced).await.failed().contains("a running store is connected"));
    server.stop().await;
    assert!(server.command(&words).await.failed().contains("is not empty"));
    let said = server.command(&forced).await.ok();
    assert!(said.contains("the tables that were in the database are in the schema metadata_before_"), "{said}");
    server.restart().await;
    assert_some(&server.s3(&tenant)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_database_comes_back_from_an_automatic_snapshot() {
    let url = new_postgres();
    let mut server = Server::with_config(&format!("{}[engine]\nsnapshot_interval_s = 1\n", config(&url))).await;
    let tenant = server.tenant("acme", "ada").await;
    put_some(&server.s3(&tenant)).await;
    // Whether one is due is looked at each minute.
    let (early, mut waited) = (snapshots(&server), 0);
    while snapshots(&server).is_subset(&early) {
        assert!(waited < 900, "there is no snapshot");
        tokio::time::sleep(Duration::from_millis(200)).await;
        waited += 1;
    }
    server.kill().await;
    drop_database(&url);

    let config = name_database(&mut server, &new_postgres());
    let refused = server.command(&["serve", "--ports", "auto", "--config", &config]).await.failed();
    assert!(refused.contains("cloudhold rebuild-index"), "{refused}");
    let rebuilt = server.command(&["rebuild-index", "--config", &config]).await.ok();
    assert!(rebuilt.contains("restored") && rebuilt.contains("snapshots/metadata-"), "{rebuilt}");
    server.restart().await;
    assert_some(&server.s3(&tenant)).await;
    assert!(server.command(&["fsck"]).await.ok().contains("everything agrees"));
}
