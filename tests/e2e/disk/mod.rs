//! A disk that is full or fails, seen from every door: each says so in its own form, reads go on, and nothing acknowledged is lost.
//!
//! The whole server runs in the test's process, because its disk is simulated. How the engine comes through is tested there, step by step.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use admin_api::client::{AdminClient, ClientConfig, Error, GroupInfo, UserInfo};
use engine::{Caller, GroupId, UserId};
use reqwest::Method;
use secrecy::{ExposeSecret as _, SecretString};
use server::config::PortChoice;
use server::{Config, FirstCredentials, Running};
use simulated_disk::{Failure, SimulatedDisk, Target};
use tempfile::TempDir;
use tests::{S3, binary, content, run};

const BUCKET: &str = "photos";
const PASSWORD: &str = "a-password-of-16-letters";

/// A server on a simulated disk, with a tenant who has a bucket and one object of each kind.
struct House {
    folder: TempDir,
    disk: SimulatedDisk,
    running: Running,
    s3: S3,
    keys: (String, String),
}

async fn start(folder: &TempDir, disk: &SimulatedDisk) -> Running {
    let mut config = Config::new(folder.path().join("data"));
    config.doors.ports = PortChoice::Auto;
    config.disk = Some(Arc::new(disk.clone()));
    server::start(config).await.unwrap()
}

impl House {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let disk = SimulatedDisk::open(folder.path()).unwrap();
        let running = start(&folder, &disk).await;
        let admin = admin(&running);
        admin.put_group(&GroupInfo::new("acme", "/acme/")).await.unwrap();
        admin.put_user(&UserInfo { full_name: "Ada".to_owned(), ..UserInfo::new("acme", "ada") }).await.unwrap();
        let key = admin.put_credential("acme", "ada").await.unwrap();
        let keys = (key.access_key, key.secret_key.expose_secret().to_owned());
        let (group, user) = (GroupId::new("acme").unwrap(), UserId::new("ada").unwrap());
        let password = SecretString::from(PASSWORD.to_owned());
        running.engine.set_password(&Caller::LocalOperator, &group, &user, &password).await.unwrap();
        let s3 = S3::new(running.doors.s3.as_deref().unwrap(), &keys.0, &keys.1);
        s3.create_bucket(BUCKET).await;
        let house = Self { folder, disk, running, s3, keys };
        house.put("small", 500).await;
        house.put("large", 50_000).await;
        house
    }

    /// Ends the server and starts another on what the disk shows it.
    async fn restart(self) -> Self {
        let Self { folder, disk, running, keys, .. } = self;
        running.shutdown().await;
        disk.restart();
        let running = start(&folder, &disk).await;
        let s3 = S3::new(running.doors.s3.as_deref().unwrap(), &keys.0, &keys.1);
        Self { folder, disk, running, s3, keys }
    }

    async fn put(&self, key: &str, size_bytes: usize) {
        let _ = self.s3.put(BUCKET, key, content(size_bytes, size_bytes as u64)).await.unwrap().ok();
    }

    /// Stores something by S3 and returns the refusal: status and code.
    async fn refused_put(&self, size_bytes: usize) -> (u16, String, String) {
        let answer = self.s3.put(BUCKET, "more", content(size_bytes, 1)).await.unwrap();
        let element = |name| answer.element(name).unwrap_or_default();
        (answer.status.as_u16(), element("Code"), element("Message"))
    }

    /// Everything that was stored can be read.
    async fn reads_go_on(&self) {
        for (key, size_bytes) in [("small", 500), ("large", 50_000)] {
            let answer = self.s3.get(BUCKET, key).await.unwrap().ok();
            assert!(answer.body == content(size_bytes, size_bytes as u64), "{key} differs");
        }
        let keys = self.s3.keys(BUCKET).await;
        assert!(keys.contains(&"small".to_owned()) && keys.contains(&"large".to_owned()), "{keys:?}");
        assert!(admin(&self.running).get_user("acme", "ada").await.unwrap().is_some());
    }

    /// Makes a group by the Admin API and returns the refusal.
    async fn refused_group(&self) -> (u16, String) {
        match admin(&self.running).put_group(&GroupInfo::new("other", "/other/")).await {
            Err(Error::Refused { status, reason }) => (status, reason),
            other => panic!("{other:?}"),
        }
    }

    /// Makes a user of identities by the IAM door and returns the refusal: status and code.
    async fn refused_identity(&self) -> (u16, String) {
        let iam = S3::new(self.running.doors.iam.as_deref().unwrap(), &self.keys.0, &self.keys.1).of_service("iam");
        let form = b"Action=CreateUser&UserName=bob&Version=2010-05-08".to_vec();
        let answer = iam.send(Method::POST, "", "", form).await.unwrap();
        (answer.status.as_u16(), answer.element("Code").unwrap_or_default())
    }

    /// What `/health` says: the status and the JSON.
    async fn health(&self) -> (u16, serde_json::Value) {
        let url = format!("{}/health", self.running.doors.metrics.as_deref().unwrap());
        let answer = tests::http().get(url).header("accept", "application/json").send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// Runs a command of the binary beside the server.
    async fn command(&self, words: &[&str]) -> tests::Output {
        let mut command = tokio::process::Command::new(binary());
        command.args(words).arg("--data-dir").arg(self.running.data_dir());
        run(&mut command, Duration::from_secs(60)).await
    }

    /// A template that was pulled from a bucket and written to since; returns its name in the staging directory.
    async fn changed_template(&self) -> &'static str {
        const KEY: &str = "template/tmpl/1/200/200-2-a1b2c3d4-1111-2222-3333-444455556666/debian-12.qcow2";
        const STAGED: &str = "template/tmpl/1/200/debian-12.qcow2";
        let prepared = self.command(&["secondary-storage", "prepare", "--bucket", "secondary", "--json"]).await.ok();
        let prepared: serde_json::Value = serde_json::from_str(&prepared).unwrap();
        let made = |field: &str| prepared["made"][field].as_str().unwrap().to_owned();
        let s3 = S3::new(self.running.doors.s3.as_deref().unwrap(), &made("access_key"), &made("secret_key"));
        let _ = s3.put("secondary", KEY, content(70_000, 7)).await.unwrap().ok();
        let _ = self.command(&["staging", "pull", "secondary", KEY]).await.ok();
        std::fs::write(PathBuf::from(made("staging_dir")).join(STAGED), content(80_000, 8)).unwrap();
        STAGED
    }
}

/// A client that trusts the server's own certificate.
fn admin(running: &Running) -> AdminClient {
    let known = FirstCredentials::read(running.data_dir()).unwrap().unwrap();
    let url = running.doors.admin_api_tls.as_deref().unwrap().parse().unwrap();
    let mut config = ClientConfig::new(url, known.admin_user, known.admin_password);
    config.ca_file = Some(running.doors.ca_file.clone());
    AdminClient::new(config).unwrap()
}

/// Somebody at the console, who is signed in.
struct Visitor {
    http: reqwest::Client,
    console: String,
    token: String,
}

impl Visitor {
    async fn sign_in(running: &Running) -> Self {
        let ca = reqwest::Certificate::from_pem(&std::fs::read(&running.doors.ca_file).unwrap()).unwrap();
        let http = reqwest::Client::builder().tls_certs_only([ca]).cookie_store(true).no_proxy().build().unwrap();
        let console = format!("{}/Cloudian", running.doors.console.as_deref().unwrap());
        let mut visitor = Self { http, console, token: String::new() };
        visitor.look("/login.htm").await;
        let fields = [("groupid", "acme"), ("userid", "ada"), ("password", PASSWORD)];
        let (status, page) = visitor.post("/login.htm", &fields).await;
        assert_eq!(status, 200, "{page}");
        visitor.look("/").await;
        visitor
    }

    /// Looks at a page and keeps the token of its forms.
    async fn look(&mut self, path: &str) -> String {
        let page = self.http.get(format!("{}{path}", self.console)).send().await.unwrap().text().await.unwrap();
        let token = page.split_once("name=\"_csrf\" value=\"").and_then(|(_, rest)| rest.split_once('"'));
        self.token = token.map(|(token, _)| token.to_owned()).unwrap_or_default();
        page
    }

    async fn post(&self, path: &str, fields: &[(&str, &str)]) -> (u16, String) {
        let fields: Vec<_> = [("_csrf", self.token.as_str())].into_iter().chain(fields.iter().copied()).collect();
        let answer = self.http.post(format!("{}{path}", self.console)).form(&fields).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_said_at_every_door_and_passes() {
    let house = House::new().await;
    let mut visitor = Visitor::sign_in(&house.running).await;
    house.disk.fill_after(0);
    for size_bytes in [500, 50_000] {
        let (status, code, _) = house.refused_put(size_bytes).await;
        assert_eq!((status, code.as_str()), (507, "InsufficientStorage"));
    }
    let (status, reason) = house.refused_group().await;
    assert_eq!((status, reason.as_str()), (503, "The disk is full"));
    assert_eq!(house.refused_identity().await, (503, "ServiceUnavailable".to_owned()));
    let (status, page) = visitor.post("/bucket/create", &[("name", "another")]).await;
    assert_eq!(status, 507);
    assert!(page.contains("There is no space left."), "{page}");
    house.reads_go_on().await;
    assert!(visitor.look("/").await.contains(BUCKET), "the console shows the buckets");
    signs_in_and_out(&house).await;
    assert_eq!(house.health().await.0, 200, "a full disk is no reason for a restart");

    house.disk.free_space();
    house.put("more", 60_000).await;
    admin(&house.running).put_group(&GroupInfo::new("other", "/other/")).await.unwrap();
    house.reads_go_on().await;
    house.running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fails_makes_every_door_read_only_until_a_restart() {
    for (target, failure) in
        [(Target::Log, Failure::Broken), (Target::Log, Failure::Full), (Target::Blob, Failure::Full)]
    {
        let house = House::new().await;
        let mut visitor = Visitor::sign_in(&house.running).await;
        let template = house.changed_template().await;
        house.disk.fail_sync_as(target, 1, failure);
        for _ in 0..2 {
            let (status, code, message) = house.refused_put(50_000).await;
            assert_eq!((status, code.as_str()), (503, "ServiceUnavailable"));
            assert!(message.contains("read-only until it is restarted"), "{message}");
        }
        is_said_elsewhere(&house, &mut visitor).await;
        let push = house.command(&["staging", "push", template]).await;
        assert_eq!(push.code, Some(1), "{}", push.stdout);
        assert!(format!("{}{}", push.stdout, push.stderr).contains("read-only"), "{push:?}");
        house.reads_go_on().await;

        let house = house.restart().await;
        house.reads_go_on().await;
        house.put("more", 60_000).await;
        let _ = house.command(&["staging", "push", template]).await.ok();
        assert_eq!(house.health().await.1["status"], "ok");
        house.running.shutdown().await;
    }
}

/// Somebody who was not signed in before looks at the console.
async fn signs_in_and_out(house: &House) {
    let mut visitor = Visitor::sign_in(&house.running).await;
    assert!(visitor.look("/").await.contains(BUCKET), "the console shows the buckets");
    let (status, page) = visitor.post("/logout.htm", &[]).await;
    assert_eq!(status, 200, "{page}");
    assert!(!visitor.look("/").await.contains(BUCKET), "signed out");
}

/// At every door but that of S3, and to the operator.
async fn is_said_elsewhere(house: &House, visitor: &mut Visitor) {
    let (status, reason) = house.refused_group().await;
    assert_eq!(status, 503);
    assert!(reason.contains("read-only"), "{reason}");
    assert_eq!(house.refused_identity().await, (503, "ServiceUnavailable".to_owned()));
    let (status, page) = visitor.post("/bucket/create", &[("name", "another")]).await;
    assert_eq!(status, 503);
    assert!(page.contains("The store takes no changes at the moment."), "{page}");
    assert!(visitor.look("/").await.contains(BUCKET), "the console shows the buckets");
    signs_in_and_out(house).await;

    let (status, health) = house.health().await;
    assert_eq!((status, health["status"].as_str()), (503, Some("read-only")));
    assert!(health["read_only"].as_str().unwrap().contains("could not be made durable"), "{health}");
    let url = format!("{}/metrics", house.running.doors.metrics.as_deref().unwrap());
    let metrics = tests::http().get(url).send().await.unwrap().text().await.unwrap();
    assert!(metrics.lines().any(|line| line == "cloudhold_read_only 1"), "{metrics}");
    let status = house.command(&["status"]).await;
    assert_eq!(status.code, Some(1));
    assert!(status.stdout.contains("READ-ONLY until it is restarted"), "{}", status.stdout);
}
