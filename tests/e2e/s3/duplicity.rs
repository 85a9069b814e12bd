//! duplicity over boto3: a full back-up, an incremental one, verify and restore.

use tests::{Environment, Script, Server};

use super::tree;

async fn round_trip(tls: bool) {
    let server = Server::start().await;
    let tenant = server.tenant("acme", "ada").await;
    let (from, to) = (server.scratch().join("tree"), server.scratch().join("back"));
    let doors = server.doors();
    let endpoint = if tls { &doors.s3_tls } else { &doors.s3 };
    server.s3(&tenant).create_bucket("duplicity").await;
    let duplicity = async |words: &[&str]| {
        let script = Script::program(Environment::Tools.program("duplicity")).s3(&server, tls, &tenant).args(words);
        let script = script.args(&["--no-encryption", "--s3-endpoint-url", endpoint]);
        script.within(&server.scratch()).run().await.ok()
    };
    let target = "boto3+s3://duplicity/deep/back-up";

    tree::plant(&from);
    // Volumes of 6 MB go up in parts of 5 MB.
    let sizes = ["--volsize", "6", "--s3-multipart-chunk-size", "5"];
    duplicity(&[&["full"][..], &sizes, &["tree", target]].concat()).await;
    tree::change(&from);
    duplicity(&[&["incremental"][..], &sizes, &["tree", target]].concat()).await;
    // Nothing of the back-up is on this machine: each run begins with an empty home.
    let verified = duplicity(&["verify", "--compare-data", target, "tree"]).await;
    assert!(verified.contains("0 difference(s) found"), "{verified}");
    duplicity(&["restore", target, "back"]).await;
    tree::assert_same(&from, &to);
    let status = duplicity(&["collection-status", target]).await;
    assert!(status.contains("Number of contained backup sets: 2"), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn on_the_plain_door() {
    round_trip(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls() {
    round_trip(true).await;
}
