//! s3fs, the file system of Python's data tools.

use tests::{Environment, Script, Server};

async fn round_trip(tls: bool) {
    let server = Server::start().await;
    let tenant = server.tenant("acme", "ada").await;
    let _ = Script::python(Environment::Tools, "s3fs_round_trip.py").s3(&server, tls, &tenant).run().await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn on_the_plain_door() {
    round_trip(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls() {
    round_trip(true).await;
}
