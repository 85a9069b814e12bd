//! `s3s-e2e`, the suite of the S3 protocol library's makers: the AWS SDK for Rust and STS, against the store.

use tests::{Script, Server, cargo_program};

fn suite(server: &Server, tenant: &tests::Tenant) -> Script {
    let endpoint = server.doors().s3.clone();
    cargo_program("s3s-e2e").s3(server, false, tenant).env("AWS_ENDPOINT_URL", endpoint)
}

#[tokio::test(flavor = "multi_thread")]
async fn all_of_it() {
    let server = Server::start().await;
    let tenant = server.tenant("acme", "ada").await;
    let said = suite(&server, &tenant).run().await.ok();
    println!("{said}");
}
