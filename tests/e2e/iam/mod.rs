//! The doors of identities, asked by boto3 and the AWS command line.

mod page;

use tests::{Environment, Script, Server};

async fn users_roles_and_sessions(tls: bool) {
    let server = Server::start().await;
    let tenant = server.tenant("acme", "ada").await;
    let door = if tls { &server.doors().iam_tls } else { &server.doors().iam };
    let script = Script::python(Environment::Current, "boto3_iam.py").s3(&server, tls, &tenant);
    let _ = script.env("IAM_ENDPOINT", door).run().await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn users_roles_and_sessions_on_the_plain_door() {
    users_roles_and_sessions(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn users_roles_and_sessions_over_tls() {
    users_roles_and_sessions(true).await;
}
