//! boto3: today's, which sends checksums by itself, and the last one that did not.

use tests::{Environment, Script, Server};

async fn round_trip(environment: Environment, tls: bool) {
    let server = Server::start().await;
    let tenant = server.tenant("acme", "ada").await;
    let _ = Script::python(environment, "boto3_round_trip.py").s3(&server, tls, &tenant).run().await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn today_on_the_plain_door() {
    round_trip(Environment::Current, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn today_over_tls() {
    round_trip(Environment::Current, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn before_default_checksums_on_the_plain_door() {
    round_trip(Environment::Old, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn before_default_checksums_over_tls() {
    round_trip(Environment::Old, true).await;
}
