//! The commands of `docs/how-to/iam.md`, as they stand there, by the AWS command line.

use std::fs;

use serde_json::Value;
use tests::{Environment, Script, Server, Tenant, root_folder};

/// The blocks of commands of the page, with the address and the account of a test in the place of the example's.
fn blocks(server: &Server, account: &str) -> Vec<String> {
    let page = fs::read_to_string(root_folder().join("docs/how-to/iam.md")).unwrap();
    let blocks = page.split("```sh\n").skip(1).map(|block| block.split_once("```").unwrap().0);
    let known = |text: &str| {
        let text = text.replace("https://store.example.com:16443", &server.doors().iam_tls);
        text.replace("<account id>", account)
    };
    // The keys are in the environment.
    blocks
        .map(|block| known(block).lines().filter(|line| !line.contains("=...")).collect::<Vec<_>>().join("\n"))
        .collect()
}

/// Runs commands by the shell, as somebody.
fn shell(environment: Environment, server: &Server, who: &Tenant, commands: &str) -> Script {
    let folder = environment.program("aws").parent().unwrap().display().to_string();
    let script = Script::program("bash").s3(server, true, who).env("PATH", format!("{folder}:/usr/bin:/bin"));
    script.args(&["-euo", "pipefail", "-c", commands])
}

/// The document of an answer that has a field, among those of several commands.
fn answer(output: &str, field: &str) -> Value {
    let answers: Vec<Value> = serde_json::Deserializer::from_str(output).into_iter().collect::<Result<_, _>>().unwrap();
    answers.into_iter().find_map(|mut answer| answer.get_mut(field).map(Value::take)).unwrap()
}

/// Those who have the keys of an answer.
fn with_keys(keys: &Value) -> Tenant {
    let text = |name: &str| keys[name].as_str().unwrap().to_owned();
    Tenant {
        group: String::new(),
        user: String::new(),
        access_key: text("AccessKeyId"),
        secret_key: text("SecretAccessKey"),
    }
}

async fn the_page_does_what_it_says(environment: Environment) {
    let server = Server::start().await;
    let root = server.tenant("acme", "ada").await;
    let run = async |who: &Tenant, commands: &str| shell(environment, &server, who, commands).run().await.ok();
    let who = run(&root, &format!("aws sts get-caller-identity --endpoint-url {}", server.doors().iam_tls)).await;
    let account = answer(&who, "Account").as_str().unwrap().to_owned();
    let [users, role] = blocks(&server, &account).try_into().unwrap();
    let made = run(&root, &users).await;
    let user = with_keys(&answer(&made, "AccessKey"));

    let s3 = format!("aws --endpoint-url {} s3api", server.doors().s3_tls);
    run(&root, &format!("{s3} create-bucket --bucket backups")).await;
    run(&user, &format!("{s3} put-object --bucket backups --key backup/today")).await;
    let refused = shell(environment, &server, &user, &format!("{s3} put-object --bucket backups --key other/today"));
    assert!(refused.run().await.failed().contains("AccessDenied"));

    // The first command of the second block needs the function that the first block defines.
    let function = users.lines().find(|line| line.starts_with("aws()")).unwrap();
    let (by_root, by_user) = role.split_at(role.find("aws sts assume-role").unwrap());
    run(&root, &format!("{function}\n{by_root}")).await;
    let taken = run(&user, &format!("{function}\n{by_user}")).await;
    let keys = answer(&taken, "Credentials");
    let token = keys["SessionToken"].as_str().unwrap();
    let session = with_keys(&keys);
    let as_role = |command: &str| {
        shell(environment, &server, &session, &format!("{s3} {command}")).env("AWS_SESSION_TOKEN", token)
    };
    let listed = as_role("list-objects-v2 --bucket backups").run().await.ok();
    assert!(listed.contains("backup/today"), "{listed}");
    assert!(as_role("delete-object --bucket backups --key backup/today").run().await.failed().contains("AccessDenied"));
}

#[tokio::test(flavor = "multi_thread")]
async fn by_the_command_line_of_today() {
    the_page_does_what_it_says(Environment::Current).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn by_the_command_line_of_before() {
    the_page_does_what_it_says(Environment::Old).await;
}
