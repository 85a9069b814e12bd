//! The reverse proxy that the documentation describes, with a real nginx: one host for CloudStack's pages and the plug-in's commands.

use std::net::TcpListener;
use std::process::Stdio;
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::SET_COOKIE;
use serde_json::Value;
use tests::{CloudWorld, http, root_folder};
use tokio::process::{Child, Command};

/// Where CloudStack and the connector's door lie in the documented configuration.
const DOCUMENTED_CLOUDSTACK: &str = "http://127.0.0.1:8080";
const DOCUMENTED_DOOR: &str = "http://127.0.0.1:8099";

/// The server block of the how-to page, without TLS and with this test's addresses.
fn server_block(world: &CloudWorld, port: u16) -> String {
    let page = std::fs::read_to_string(root_folder().join("docs/how-to/reverse-proxy.md")).unwrap();
    let block = page.split("```nginx\n").nth(1).unwrap().split("```").next().unwrap();
    let cloudstack = world.control.base_url();
    let cloudstack = cloudstack.strip_suffix("/client/api").unwrap();
    assert!(block.contains(DOCUMENTED_CLOUDSTACK) && block.contains(DOCUMENTED_DOOR), "{block}");
    let plain = block.lines().filter(|line| !line.contains("ssl_certificate")).collect::<Vec<_>>().join("\n");
    plain
        .replace("listen 443 ssl;", &format!("listen 127.0.0.1:{port};"))
        .replace(DOCUMENTED_DOOR, &world.server.doors().connector)
        .replace(DOCUMENTED_CLOUDSTACK, cloudstack)
}

/// Starts nginx with a block, in a folder of its own, as one process: it is ended by a kill, and would leave workers behind.
async fn nginx(folder: &std::path::Path, block: &str) -> Child {
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {}/{kind};", folder.display()))
        .join(" ");
    let configuration = format!(
        "daemon off; master_process off; pid {0}/pid; error_log stderr; events {{}} http {{ access_log off; {temporary} {block} }}",
        folder.display()
    );
    let file = folder.join("nginx.conf");
    std::fs::write(&file, configuration).unwrap();
    Command::new("nginx")
        .args(["-e", "stderr", "-c"])
        .arg(file)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("nginx is installed by ./test")
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_proxy_serves_the_button_under_cloudstacks_host() {
    let world = CloudWorld::recorded().await;
    world.sync().await;
    let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
    let _nginx = nginx(folder.path(), &server_block(&world, port)).await;
    let host = format!("http://127.0.0.1:{port}");
    wait_for(&host).await;

    let (domain, user, password) = world.control.login_of(&world.account("/acme", "ada")).unwrap();
    let form = [
        ("command", "login"),
        ("response", "json"),
        ("domain", domain.as_str()),
        ("username", user.as_str()),
        ("password", password.as_str()),
    ];
    let login = http().post(format!("{host}/client/api")).form(&form).send().await.unwrap();
    let cookies = login.headers().get_all(SET_COOKIE).iter();
    let cookies: Vec<_> =
        cookies.map(|cookie| cookie.to_str().unwrap().split(';').next().unwrap().to_owned()).collect();
    let body: Value = login.json().await.unwrap();
    let key = body["loginresponse"]["sessionkey"].as_str().unwrap();

    let ask = async |key: &str| {
        let query = [("command", "cloudianSsoLogin"), ("response", "json"), ("sessionkey", key)];
        let request = http().get(format!("{host}/client/cloudhold/api")).query(&query);
        let answer = request.header("cookie", cookies.join("; ")).send().await.unwrap();
        (answer.status(), answer.json::<Value>().await.unwrap())
    };
    let (status, _) = ask("wrong").await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    let (status, answer) = ask(key).await;
    let link = answer["cloudianssologinresponse"]["cloudianssologin"]["url"].as_str().unwrap_or_default();
    assert!(status == StatusCode::OK && link.contains("/Cloudian/ssosecurelogin.htm?user="), "{status} {answer}");
}

/// Waits until nginx answers.
async fn wait_for(host: &str) {
    for _ in 0..200 {
        if http().get(format!("{host}/client/")).send().await.is_ok_and(|answer| answer.status() == StatusCode::OK) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("nginx does not answer at {host}");
}
