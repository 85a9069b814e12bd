//! A whole store in the test's process: it starts, answers at every door, and ends.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;
use std::time::{Duration, Instant};

use admin_api::client::{AdminClient, ClientConfig};
use secrecy::ExposeSecret as _;
use server::config::PortChoice;
use server::{Config, Doors, FirstCredentials, Running, start, start_demo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

fn config(dir: &Path) -> Config {
    let mut config = Config::new(dir);
    config.doors.ports = PortChoice::Auto;
    config
}

/// A client that trusts the local CA.
fn http(doors: &Doors) -> reqwest::Client {
    let ca = reqwest::Certificate::from_pem(&std::fs::read(&doors.ca_file).unwrap()).unwrap();
    reqwest::Client::builder().tls_certs_only([ca]).cookie_store(true).no_proxy().build().unwrap()
}

fn admin(running: &Running) -> AdminClient {
    let known = FirstCredentials::read(running.data_dir()).unwrap().unwrap();
    let url = running.doors.admin_api_tls.as_deref().unwrap().parse().unwrap();
    let mut config = ClientConfig::new(url, known.admin_user, known.admin_password);
    config.ca_file = Some(running.doors.ca_file.clone());
    AdminClient::new(config).unwrap()
}

/// A connection to a plain door.
async fn connect(url: &Option<String>) -> TcpStream {
    TcpStream::connect(url.as_deref().unwrap().strip_prefix("http://").unwrap()).await.unwrap()
}

#[tokio::test]
async fn every_door_answers_and_the_files_tell_where() {
    let folder = tempfile::tempdir().unwrap();
    let running = start(config(folder.path())).await.unwrap();
    assert!(running.is_first_start);
    let doors = Doors::read(folder.path()).unwrap();
    assert_eq!(doors, running.doors);
    let http = http(&doors);
    let status = async |url: &Option<String>, path: &str| {
        http.get(format!("{}{path}", url.as_deref().unwrap())).send().await.unwrap().status().as_u16()
    };
    assert_eq!(status(&doors.s3, "/").await, 403);
    assert_eq!(status(&doors.s3_tls, "/").await, 403);
    assert_eq!(status(&doors.iam, "/").await, 403);
    assert_eq!(status(&doors.iam_tls, "/").await, 403);
    assert_eq!(status(&doors.admin_api, "/group/list").await, 401);
    assert_eq!(status(&doors.console, "/Cloudian/login.htm").await, 200);
    assert_eq!(status(&doors.console_plain, "/Cloudian/login.htm").await, 200);
    assert_eq!(status(&doors.connector, "/client/cloudhold/api").await, 503);
    assert_eq!(status(&doors.metrics, "/health").await, 200);
    let metrics = http.get(format!("{}/metrics", doors.metrics.as_deref().unwrap())).send().await.unwrap();
    assert!(metrics.text().await.unwrap().contains("cloudhold_http_requests_total"));
    assert!(admin(&running).version().await.unwrap().contains("Cloudhold"));

    running.shutdown().await;
    assert!(Doors::read(folder.path()).is_err());
    assert!(!folder.path().join("control.sock").exists());
}

#[tokio::test]
async fn a_second_start_keeps_the_way_in_and_two_at_once_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let first = start(config(folder.path())).await.unwrap();
    let ca = std::fs::read(&first.doors.ca_file).unwrap();
    let refused = start(config(folder.path())).await.err().expect("two stores on one directory");
    assert!(format!("{refused:#}").contains("in use"), "{refused:#}");
    assert!(Doors::read(folder.path()).is_ok(), "the refused one left the files of the other alone");
    first.shutdown().await;

    let second = start(config(folder.path())).await.unwrap();
    assert!(!second.is_first_start);
    assert_eq!(ca, std::fs::read(&second.doors.ca_file).unwrap());
    admin(&second).version().await.unwrap();
    second.shutdown().await;
}

#[tokio::test]
async fn a_start_that_fails_leaves_nothing_running() {
    let folder = tempfile::tempdir().unwrap();
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut wrong = config(folder.path());
    wrong.doors.ports = PortChoice::Usual;
    let doors = &mut wrong.doors;
    for door in [
        &mut doors.s3,
        &mut doors.s3_tls,
        &mut doors.iam,
        &mut doors.iam_tls,
        &mut doors.admin_api,
        &mut doors.admin_api_tls,
        &mut doors.console,
        &mut doors.console_tls,
        &mut doors.connector,
    ] {
        door.port = Some(0);
    }
    doors.metrics.port = Some(taken.local_addr().unwrap().port());
    let refused = start(wrong).await.err().expect("a port that is taken");
    assert!(format!("{refused:#}").contains("doors.metrics.port"), "{refused:#}");
    assert!(Doors::read(folder.path()).is_err());
    start(config(folder.path())).await.unwrap().shutdown().await;
}

#[tokio::test]
async fn a_body_that_stands_still_holds_no_door() {
    let folder = tempfile::tempdir().unwrap();
    let mut impatient = config(folder.path());
    impatient.doors.idle_timeout_s = 1;
    let running = start(impatient).await.unwrap();
    let known = FirstCredentials::read(running.data_dir()).unwrap().unwrap();
    let http = http(&running.doors);
    let doors = &running.doors;
    for (url, path) in
        [(&doors.console, "/Cloudian/login.htm"), (&doors.admin_api, "/user"), (&doors.admin_api_tls, "/user")]
    {
        let never = reqwest::Body::wrap_stream(futures::stream::pending::<std::io::Result<Vec<u8>>>());
        let method = if path == "/user" { reqwest::Method::PUT } else { reqwest::Method::POST };
        let request = http
            .request(method, format!("{}{path}", url.as_deref().unwrap()))
            .basic_auth(&known.admin_user, Some(known.admin_password.expose_secret()))
            .body(never);
        let answered = timeout(Duration::from_secs(10), request.send()).await.expect("the body is given up");
        assert!(answered.map_or(true, |answer| answer.status().is_client_error()), "{path}");
    }
    running.shutdown().await;
}

#[tokio::test]
async fn a_request_that_runs_at_shutdown_is_finished() {
    use base64::Engine as _;
    use secrecy::ExposeSecret as _;
    let folder = tempfile::tempdir().unwrap();
    let running = start(config(folder.path())).await.unwrap();
    let known = FirstCredentials::read(folder.path()).unwrap().unwrap();
    let login = format!("{}:{}", known.admin_user, known.admin_password.expose_secret());
    let login = base64::engine::general_purpose::STANDARD.encode(login);
    let body = r#"{"groupId":"late","groupName":"late","active":"true"}"#;
    let mut stream = connect(&running.doors.admin_api).await;
    let head = format!(
        "PUT /group HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {login}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&body.as_bytes()[..10]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;

    let address = running.doors.admin_api.clone();
    let ending = tokio::spawn(running.shutdown());
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(TcpStream::connect(address.unwrap().strip_prefix("http://").unwrap()).await.is_err(), "no new connections");
    assert!(!ending.is_finished());
    stream.write_all(&body.as_bytes()[10..]).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    ending.await.unwrap();
}

#[tokio::test]
async fn a_request_that_never_ends_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    config.doors.shutdown_timeout_s = 1;
    let running = start(config).await.unwrap();
    let mut stream = connect(&running.doors.s3).await;
    stream.write_all(b"PUT /b/k HTTP/1.1\r\nHost: x\r\nContent-").await.unwrap();
    let mut other = connect(&running.doors.admin_api).await;
    other.write_all(b"PUT /group HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n").await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let began = Instant::now();
    running.shutdown().await;
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_client_that_does_not_say_what_it_wants_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    config.doors.header_timeout_s = 1;
    let running = start(config).await.unwrap();
    for said in [&b""[..], b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow"] {
        let mut stream = connect(&running.doors.s3).await;
        stream.write_all(said).await.unwrap();
        let mut rest = Vec::new();
        let closed = timeout(Duration::from_secs(20), stream.read_to_end(&mut rest)).await;
        assert!(closed.is_ok(), "the connection is still open");
    }
    running.shutdown().await;
}

#[tokio::test]
async fn connections_beyond_the_limit_wait() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    config.doors.connections_max = 1;
    let running = start(config).await.unwrap();
    let ask = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut first = connect(&running.doors.metrics).await;
    first.write_all(ask).await.unwrap();
    let mut answer = [0; 12];
    first.read_exact(&mut answer).await.unwrap();
    let mut second = connect(&running.doors.metrics).await;
    second.write_all(ask).await.unwrap();
    assert!(timeout(Duration::from_millis(500), second.read_exact(&mut answer)).await.is_err(), "it did not wait");
    drop(first);
    timeout(Duration::from_secs(10), second.read_exact(&mut answer)).await.expect("its turn came").unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    drop(second);
    running.shutdown().await;
}

#[tokio::test]
async fn metrics_with_a_token_are_for_those_who_know_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    config.doors.metrics_token = Some("0123456789abcdef".into());
    let running = start(config).await.unwrap();
    let url = format!("{}/metrics", running.doors.metrics.as_deref().unwrap());
    let http = http(&running.doors);
    assert_eq!(http.get(&url).send().await.unwrap().status(), 401);
    assert_eq!(http.get(&url).bearer_auth("0123456789abcdeF").send().await.unwrap().status(), 401);
    assert_eq!(http.get(&url).bearer_auth("0123456789abcdef").send().await.unwrap().status(), 200);
    running.shutdown().await;
}

#[tokio::test]
async fn the_demo_reconciles_and_its_link_signs_in_once() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("demo");
    let demo = start_demo(dir.clone(), PortChoice::Auto).await.unwrap();
    let http = http(&demo.running.doors);
    let landed = http.get(&demo.tenant.link).send().await.unwrap();
    assert_eq!(landed.status(), 200);
    assert!(!landed.url().path().contains("login"), "{}", landed.url().path());
    assert_eq!(http.get(&demo.tenant.link).send().await.unwrap().status(), 403);
    let wrong: Vec<String> = demo
        .running
        .connector
        .as_ref()
        .unwrap()
        .check()
        .await
        .iter()
        .map(ToString::to_string)
        .filter(|line| !line.starts_with("ok"))
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    assert!(demo.running.connector.as_ref().unwrap().plan().await.unwrap().is_empty());
    demo.running.shutdown().await;

    let refused = start(config(&dir)).await.err().expect("a demo's directory");
    assert!(format!("{refused:#}").contains("belongs to a demo"), "{refused:#}");
}
