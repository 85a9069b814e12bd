//! The binary as operators use it: started, asked, stopped, killed.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// How long a start may take on a busy machine.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// The binary in a folder of its own, without the environment's settings.
fn cloudhold(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cloudhold"));
    let ours = std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CLOUDHOLD_"));
    for (name, _) in ours {
        command.env_remove(name);
    }
    command.current_dir(folder).stdin(Stdio::null());
    command
}

/// A running store; it is killed when the test ends early.
struct Store {
    child: Child,
    folder: PathBuf,
    dir: PathBuf,
}

impl Store {
    fn start(folder: &Path, dir: &str) -> Self {
        let log = std::fs::File::create(folder.join("serve.log")).unwrap();
        Self::start_with(folder, dir, Stdio::null(), log)
    }

    fn start_with(folder: &Path, dir: &str, out: Stdio, log: std::fs::File) -> Self {
        let child = cloudhold(folder)
            .args(["serve", "--ports", "auto", "--data-dir", dir])
            .stdout(out)
            .stderr(log)
            .spawn()
            .unwrap();
        let store = Self { child, folder: folder.to_owned(), dir: folder.join(dir) };
        store.wait_for_doors();
        store
    }

    fn wait_for_doors(&self) {
        let began = Instant::now();
        // The file of a killed store may still be there, so the socket must answer, too.
        while !self.ask(&["status"]).status.success() {
            let log = std::fs::read_to_string(self.folder.join("serve.log")).unwrap_or_default();
            assert!(began.elapsed() < START_TIMEOUT, "the store does not start: {log}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn ask(&self, words: &[&str]) -> Output {
        cloudhold(&self.folder).args(words).arg("--data-dir").arg(&self.dir).output().unwrap()
    }

    fn json(&self, words: &[&str]) -> Value {
        let output = self.ask(&[words, &["--json"]].concat());
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Sends a signal and gives the exit code.
    fn end(mut self, signal: Signal) -> Option<i32> {
        self.signal(signal);
        self.child.wait().unwrap().code()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_running_store_answers_commands_and_ends_in_peace() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::start(folder.path(), "data");
    let dir = store.dir.clone();
    assert_eq!(store.json(&["status"])["health"]["status"], "ok");
    assert_eq!(store.json(&["trash", "list"]), Value::Array(Vec::new()));
    assert_eq!(store.json(&["staging", "list"])["files"], Value::Array(Vec::new()));
    let plan = store.ask(&["connector", "plan"]);
    assert_eq!(plan.status.code(), Some(1));
    assert!(errors(&plan).contains("no CloudStack is configured"), "{}", errors(&plan));

    store.signal(Signal::HUP);
    assert_eq!(store.json(&["status"])["health"]["status"], "ok");
    assert_eq!(store.end(Signal::TERM), Some(0));
    assert!(!dir.join("doors.json").exists() && !dir.join("control.sock").exists());
    let gone = cloudhold(folder.path()).args(["status", "--data-dir", "data"]).output().unwrap();
    assert_eq!(gone.status.code(), Some(1));
    assert!(
        errors(&gone).contains("no store runs on") && errors(&gone).contains("cloudhold serve"),
        "{}",
        errors(&gone)
    );
}

#[test]
fn secondary_storage_is_prepared_once_however_often_it_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::start(folder.path(), "data");
    let first = store.json(&["secondary-storage", "prepare"]);
    assert_eq!(first, store.json(&["secondary-storage", "prepare"]));
    assert_eq!(first["addImageStore"]["details[0].value"], first["made"]["access_key"]);
    let output = store.ask(&["secondary-storage", "prepare", "--zone", "z-1", "--signer", "v2"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("cs addImageStore name=cloudhold provider=S3") && text.contains("S3SignerType"), "{text}");
    assert!(text.contains("cmk create secondarystagingstore") && text.contains("zoneid=z-1"), "{text}");
    // Another user's bucket is not taken.
    let other = store.ask(&["secondary-storage", "prepare", "--group", "somebody-else"]);
    assert_eq!(other.status.code(), Some(1));
    assert!(errors(&other).contains("belongs to somebody else"), "{}", errors(&other));
}

#[test]
fn a_killed_store_starts_again_with_the_same_way_in() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::start(folder.path(), "data");
    let key = store.json(&["secondary-storage", "prepare"])["made"]["access_key"].clone();
    let credentials = std::fs::read(store.dir.join("first-credentials.json")).unwrap();
    let dir = store.dir.clone();
    assert_eq!(store.end(Signal::KILL), None);
    assert!(dir.join("doors.json").exists(), "a killed store cannot tidy up");

    let again = Store::start(folder.path(), "data");
    assert_eq!(credentials, std::fs::read(dir.join("first-credentials.json")).unwrap());
    assert_eq!(again.json(&["secondary-storage", "prepare"])["made"]["access_key"], key);
    assert_eq!(again.end(Signal::INT), Some(0));
}

#[test]
fn the_first_passwords_are_shown_once_and_never_in_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let (out, log) = (folder.path().join("out"), folder.path().join("serve.log"));
    let passwords = || {
        let text = std::fs::read(folder.path().join("data/first-credentials.json")).unwrap();
        let json: Value = serde_json::from_slice(&text).unwrap();
        ["admin_api", "console"].map(|of| json[of]["password"].as_str().unwrap().to_owned())
    };
    // Both outputs in one file: that is the log, as in a journal.
    for (stdout, shown) in [(&out, true), (&out, false), (&log, false)] {
        if stdout == &log {
            std::fs::remove_dir_all(folder.path().join("data")).unwrap();
        }
        let (to, errors) = (std::fs::File::create(stdout).unwrap(), std::fs::File::create(&log).unwrap());
        let to = if stdout == &log { errors.try_clone().unwrap() } else { to };
        let store = Store::start_with(folder.path(), "data", to.into(), errors);
        let read = |path: &Path| std::fs::read_to_string(path).unwrap();
        let began = Instant::now();
        while !read(stdout).contains("Clients of the TLS doors") {
            assert!(began.elapsed() < START_TIMEOUT);
            std::thread::sleep(Duration::from_millis(20));
        }
        for password in passwords() {
            assert_eq!(read(stdout).contains(&password), shown, "{}", read(stdout));
            assert!(!read(&log).contains(&password));
        }
        assert_eq!(store.end(Signal::TERM), Some(0));
    }
}

#[test]
fn the_log_has_no_word_of_the_protocol_layer_even_at_its_lowest_level() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("cloudhold.toml"), "[log]\nfilter = \"trace\"\n").unwrap();
    let store = Store::start(folder.path(), "data");
    let doors: Value = serde_json::from_slice(&std::fs::read(store.dir.join("doors.json")).unwrap()).unwrap();
    let address = doors["s3"].as_str().unwrap().strip_prefix("http://").unwrap();
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    let head = format!("GET /hush-bucket?hush-query=1 HTTP/1.1\r\nhost: {address}\r\nx-amz-meta-a: hush-header\r\n");
    stream.write_all(format!("{head}connection: close\r\n\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    assert_eq!(store.end(Signal::TERM), Some(0));
    let log = std::fs::read_to_string(folder.path().join("serve.log")).unwrap();
    assert!(log.contains("/hush-bucket"), "{log}");
    for word in ["s3s::", "hush-query", "hush-header"] {
        let line = log.lines().find(|line| line.contains(word));
        assert_eq!(line, None, "{word}");
    }
}

#[test]
fn a_long_data_directory_works() {
    let folder = tempfile::tempdir().unwrap();
    let dir = format!("{}/{}", "a".repeat(120), "b".repeat(120));
    std::fs::create_dir_all(folder.path().join(&dir)).unwrap();
    let store = Store::start(folder.path(), &dir);
    assert_eq!(store.json(&["status"])["health"]["status"], "ok");
}

#[test]
fn mistakes_are_named_before_anything_is_touched() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("cloudhold.toml"), "[doors.s3]\nprot = 1\n").unwrap();
    let refused = cloudhold(folder.path()).arg("serve").output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(errors(&refused).contains("did you mean `doors.s3.port`?"), "{}", errors(&refused));
    assert!(!folder.path().join("data").exists());
    let unknown = cloudhold(folder.path()).arg("sevre").output().unwrap();
    assert_eq!(unknown.status.code(), Some(2));
    assert!(errors(&unknown).contains("serve"), "{}", errors(&unknown));
}

#[test]
fn config_show_hides_secrets() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("cloudhold.toml"),
        "[cloudstack]\nurl = \"http://c.example/client/api\"\napi_key = \"hush-key\"\nsecret_key = \"hush-secret\"\n",
    )
    .unwrap();
    let shown = cloudhold(folder.path())
        .args(["config", "show"])
        .env("CLOUDHOLD_CLOUDSTACK__SSO_KEY", "hush-sso")
        .env("CLOUDHOLD_ENGINE__READERS", "3")
        .output()
        .unwrap();
    let text = String::from_utf8(shown.stdout).unwrap();
    assert!(text.contains("http://c.example/client/api") && text.contains("engine.readers = 3"), "{text}");
    assert!(text.contains("cloudstack.sso_key = (secret)") && !text.contains("hush"), "{text}");
}
