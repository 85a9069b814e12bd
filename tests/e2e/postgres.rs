//! The whole store with its metadata in PostgreSQL.

use futures::future::join_all;
use test_databases::{new_postgres, run_sql};
use tests::{Server, content};

const BUCKET: &str = "shared";

async fn start(url: &str) -> Server {
    Server::with_config(&format!("[data]\npostgres_url = \"{url}\"\n")).await
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
    s3.create_bucket(BUCKET).await;
    for number in 0..20 {
        let _ = s3.put(BUCKET, &format!("{number}"), body(number)).await.unwrap().ok();
    }
    let config = format!("[data]\npostgres_url = \"{}\"\n", new_postgres());
    server.configure(&config);
    let config = server.scratch().join("postgres.toml");
    std::fs::copy(server.data_dir().parent().unwrap().join("cloudhold.toml"), &config).unwrap();
    let words = ["migrate-metadata", "--config", config.to_str().unwrap()];
    assert!(server.command(&words).await.failed().contains("in use"), "not while the store runs");
    server.stop().await;
    let moved = server.json(&words).await;
    assert!(moved["tables"]["versions"].as_u64().unwrap() >= 20, "{moved}");
    server.restart().await;
    let s3 = server.s3(&tenant);
    for number in 0..20 {
        let got = s3.get(BUCKET, &format!("{number}")).await.unwrap().ok();
        assert!(got.body == body(number), "object {number} has other bytes");
    }
    assert!(!server.data_dir().join("metadata.sqlite").exists());
}
