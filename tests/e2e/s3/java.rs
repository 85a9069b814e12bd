//! The AWS SDK for Java v1, which is inside CloudStack, with both signers that an image store can name.

use tests::{Server, java, java_trust};

async fn round_trip(signer: &str) {
    let server = Server::start().await;
    let tenant = server.tenant("acme", "ada").await;
    let output = java("java-v1").args(&[signer]).s3(&server, false, &tenant).run().await.ok();
    assert_eq!(output.trim(), "done");
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls() {
    let server = Server::start().await;
    let tenant = server.tenant("acme", "ada").await;
    let program = java("java-v1").args(&["AWSS3V4SignerType"]).env("JAVA_TOOL_OPTIONS", java_trust(&server).await);
    assert_eq!(program.s3(&server, true, &tenant).run().await.ok().trim(), "done");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_v4_signer() {
    round_trip("AWSS3V4SignerType").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_v2_signer() {
    round_trip("S3SignerType").await;
}
