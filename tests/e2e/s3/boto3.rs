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

async fn rules(environment: Environment, tls: bool) {
    let server = Server::with_config("[engine]\naccess_log_period_s = 1\n").await;
    let (ada, eve) = (server.tenant("acme", "ada").await, server.tenant("acme", "eve").await);
    let script = Script::python(environment, "boto3_rules.py").s3(&server, tls, &ada);
    let script = script.env("OTHER_ACCESS_KEY", &eve.access_key).env("OTHER_SECRET_KEY", &eve.secret_key);
    let _ = script.run().await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_policies_locks_forms_pages_and_logs() {
    rules(Environment::Current, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_policies_locks_forms_pages_and_logs_over_tls() {
    rules(Environment::Current, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_policies_locks_forms_pages_and_logs_of_the_old_one() {
    rules(Environment::Old, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_policies_locks_forms_pages_and_logs_of_the_old_one_over_tls() {
    rules(Environment::Old, true).await;
}
