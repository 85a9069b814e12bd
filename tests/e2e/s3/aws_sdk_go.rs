//! The AWS SDK for Go v2.

use tests::{Server, go};

async fn round_trip(tls: bool) {
    let server = Server::start().await;
    let tenant = server.tenant("acme", "ada").await;
    assert_eq!(go().s3(&server, tls, &tenant).run().await.ok().trim(), "done");
}

#[tokio::test(flavor = "multi_thread")]
async fn on_the_plain_door() {
    round_trip(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls() {
    round_trip(true).await;
}
