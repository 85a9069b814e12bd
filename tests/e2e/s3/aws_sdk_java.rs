//! The AWS SDK for Java v2: its blocking and its asynchronous client, and its transfer manager.

use tests::{Server, java, java_trust};

#[tokio::test(flavor = "multi_thread")]
async fn on_the_plain_door() {
    let server = Server::start().await;
    let tenant = server.tenant("acme", "ada").await;
    assert_eq!(java("java-v2").s3(&server, false, &tenant).run().await.ok().trim(), "done");
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls() {
    let server = Server::start().await;
    let tenant = server.tenant("acme", "ada").await;
    let program = java("java-v2").env("JAVA_TOOL_OPTIONS", java_trust(&server).await);
    assert_eq!(program.s3(&server, true, &tenant).run().await.ok().trim(), "done");
}
