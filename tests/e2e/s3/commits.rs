//! Writes that arrive together share a commit.

use futures::future::join_all;
use tests::{Server, content};

const CLIENTS: usize = 64;
const PUTS_EACH: usize = 8;
/// At least so many writes must share a commit.
const PUTS_PER_COMMIT: f64 = 8.0;

#[tokio::test(flavor = "multi_thread")]
async fn many_small_writes_share_few_commits() {
    // A disk that takes 5 ms to be sure, as many do.
    let server = Server::with_config("[engine.faults]\nfsync_delay_ms = 5\n").await;
    let tenant = server.tenant("acme", "ada").await;
    let s3 = server.s3(&tenant);
    s3.create_bucket("commits").await;

    let before = server.metric("cloudhold_metadata_commits_total").await;
    let client = async |client: usize| {
        for number in 0..PUTS_EACH {
            let body = content(4096, u64::try_from(client * PUTS_EACH + number).unwrap());
            let _ = s3.put("commits", &format!("{client}/{number}"), body).await.unwrap().ok();
        }
    };
    join_all((0..CLIENTS).map(client)).await;
    let commits = server.metric("cloudhold_metadata_commits_total").await - before;

    let puts = (CLIENTS * PUTS_EACH) as f64;
    assert!(commits > 0.0, "commits are not counted");
    assert!(puts / commits >= PUTS_PER_COMMIT, "{puts} writes took {commits} commits");
    assert_eq!(s3.keys("commits").await.len(), CLIENTS * PUTS_EACH);
    let last = s3.get("commits", "63/7").await.unwrap().ok();
    assert!(last.body == content(4096, 511), "the content differs");
}
