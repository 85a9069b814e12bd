//! `s3s-e2e`, the suite of the protocol library's makers, with the AWS SDK for Rust. All of it but `AssumeRole`, which it asks for with a
//! role that is no ARN, as stores take it that have no roles; that is refused here as it is by AWS.

use tests::{Output, Server, cargo_program};

async fn run(patterns: &[&str]) -> Output {
    let server = Server::start().await;
    let tenant = server.tenant("acme", "ada").await;
    let script = cargo_program("s3s-e2e").s3(&server, false, &tenant).env("AWS_ENDPOINT_URL", &server.doors().s3);
    patterns.iter().fold(script, |script, pattern| script.args(&["--filter", pattern])).run().await
}

#[tokio::test(flavor = "multi_thread")]
async fn all_but_one() {
    let said = run(&["^Basic/", "^Advanced/[^S]"]).await.ok();
    let passed = |name: &str| said.lines().any(|line| line.contains("PASSED") && line.contains(name));
    for name in [
        "test_get_object",
        "test_put_object_with_checksum_algorithm",
        "test_multipart_upload",
        "test_put_presigned_url",
    ] {
        assert!(passed(name), "{name}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_is_no_arn_is_refused() {
    let said = run(&["^Advanced/STS"]).await.failed();
    assert!(said.contains("not authorized to perform: sts:AssumeRole"), "{said}");
}
