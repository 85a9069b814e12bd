//! What an operator sets on buckets.

use tests::{Server, content};

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_is_set_shown_obeyed_and_taken_away() {
    let server = Server::start().await;
    let s3 = server.s3(&server.tenant("acme", "ada").await);
    s3.create_bucket("limited").await;
    let refused = server.command(&["bucket", "quota", "set", "limited"]).await.failed();
    assert!(refused.contains("--size"), "{refused}");
    let set = server.command(&["bucket", "quota", "set", "limited", "--size", "1M", "--objects", "2"]).await.ok();
    assert!(set.contains("of 1.00 MiB") && set.contains("0 of 2"), "{set}");
    let _ = s3.put("limited", "a", content(600_000, 1)).await.unwrap().ok();
    assert_eq!(s3.put("limited", "b", content(600_000, 2)).await.unwrap().status, 403);
    let shown = server.json(&["bucket", "quota", "show", "limited"]).await;
    assert_eq!((&shown["size_bytes"], &shown["size_bytes_max"]), (&600_000.into(), &(1 << 20).into()), "{shown}");
    let cleared = server.command(&["bucket", "quota", "clear", "limited"]).await.ok();
    assert!(cleared.contains("no limit"), "{cleared}");
    let _ = s3.put("limited", "b", content(600_000, 2)).await.unwrap().ok();
    let missing = server.command(&["bucket", "quota", "show", "missing"]).await.failed();
    assert!(missing.contains("no such bucket"), "{missing}");
}
