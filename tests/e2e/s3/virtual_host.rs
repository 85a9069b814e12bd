//! Buckets as host names: the clients that otherwise name the bucket in the path are told to name it in the host. Over TLS the store's
//! certificate covers one label, so names with dots are for the plain door.

use serde::Deserialize;
use tests::{BASE_DOMAIN, Environment, Script, Server, go, java, java_trust, javascript};

use super::{awscli, rclone, s3cmd};

/// Buckets that programs ask for and nobody made.
const NOT_THERE: [&str; 2] = ["nobody-made-this-one", "not-there-at-all"];
/// Fewer answers than any of the clients gets.
const ANSWERS_MIN: usize = 20;

/// A request to an S3 door, as the log has it.
#[derive(Debug, Deserialize)]
struct Asked {
    door: String,
    method: String,
    host: String,
    path: String,
    status: u16,
}

fn asked(server: &Server) -> Vec<Asked> {
    let log = server.log();
    // What the start says to people is no JSON.
    let lines = log.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let requests = lines.filter(|line| line["target"] == "access").map(|line| serde_json::from_value(line).unwrap());
    requests.filter(|asked: &Asked| asked.door.starts_with("s3")).collect()
}

/// Whether the client made and used the bucket by its host, listed all buckets at the base domain, and asked for nothing else there.
fn assert_by_host(server: &Server, bucket: &str) {
    let (mut by_host, mut made, mut listed) = (0, false, false);
    for asked in asked(server) {
        let name = asked.host.rsplit_once(':').map_or(asked.host.as_str(), |(name, _port)| name);
        if name == BASE_DOMAIN {
            assert_eq!((asked.method.as_str(), asked.path.as_str()), ("GET", "/"), "by path: {asked:?}");
            listed |= asked.status == 200;
        } else {
            assert!(name.ends_with(&format!(".{BASE_DOMAIN}")), "another host: {asked:?}");
            let is_good = name.strip_suffix(BASE_DOMAIN) == Some(&format!("{bucket}.")) && asked.status < 300;
            by_host += usize::from(is_good);
            made |= is_good && asked.method == "PUT" && asked.path == "/";
        }
    }
    assert!(made && listed && by_host >= ANSWERS_MIN, "made {made}, listed {listed}, {by_host} answers by host");
}

async fn start(buckets: &[&str]) -> Server {
    Server::with_hosts_of_buckets(&[buckets, &NOT_THERE].concat()).await
}

/// Runs a program that does its round trip in the bucket that it is told.
async fn run(script: Script, bucket: &str, tls: bool) {
    let [versions, locks] = ["versions", "locks"].map(|more| format!("{bucket}-{more}"));
    let server = start(&[bucket, &versions, &locks]).await;
    let tenant = server.tenant("acme", "ada").await;
    let script = if tls { script.env("JAVA_TOOL_OPTIONS", java_trust(&server).await) } else { script };
    let _ = script.s3(&server, tls, &tenant).env("S3_BUCKET", bucket).run().await.ok();
    assert_by_host(&server, bucket);
}

#[tokio::test(flavor = "multi_thread")]
async fn boto3() {
    run(Script::python(Environment::Current, "boto3_round_trip.py"), "boto3.with.dots", false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn boto3_over_tls() {
    run(Script::python(Environment::Current, "boto3_round_trip.py"), "boto3", true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn aws_sdk_go() {
    run(go(), "aws-sdk-go.with.dots", false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn aws_sdk_go_over_tls() {
    run(go(), "aws-sdk-go", true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn aws_sdk_js() {
    run(javascript("aws_sdk.js"), "aws-sdk-js.with.dots", false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn aws_sdk_js_over_tls() {
    run(javascript("aws_sdk.js"), "aws-sdk-js", true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn minio_js() {
    run(javascript("minio.js"), "minio-js.with.dots", false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn aws_sdk_java_v2() {
    run(java("java-v2"), "java-v2.with.dots", false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn aws_sdk_java_v1_with_the_v2_signer() {
    run(java("java-v1").args(&["S3SignerType"]), "java-v1.with.dots", false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn aws_sdk_java_v1_with_the_v4_signer_over_tls() {
    run(java("java-v1").args(&["AWSS3V4SignerType"]), "java-v1", true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn aws_command_line_over_tls() {
    let server = start(&["aws"]).await;
    awscli::round_trip(&server, Environment::Current, true).await;
    assert_by_host(&server, "aws");
}

#[tokio::test(flavor = "multi_thread")]
async fn rclone() {
    let server = start(&["my.rclone"]).await;
    rclone::round_trip(&server, false).await;
    assert_by_host(&server, "my.rclone");
}

#[tokio::test(flavor = "multi_thread")]
async fn s3cmd() {
    for signature_v2 in [false, true] {
        let server = start(&["my.s3cmd"]).await;
        s3cmd::round_trip(&server, signature_v2, false).await;
        assert_by_host(&server, "my.s3cmd");
    }
}
