//! Every call leaves a line in the audit log, and no log line of any level holds a secret.

use std::{
    io::Write,
    sync::{Arc, Mutex},
};

use tracing::level_filters::LevelFilter;

use crate::setup::{PASSWORD, Server, authorization};

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// The audit lines that contain `what`.
    fn audits(&self, what: &str) -> usize {
        self.text().lines().filter(|line| line.contains("admin_api::audit") && line.contains(what)).count()
    }
}

// One thread, so that the server's tasks log to this test's subscriber.
#[tokio::test(flavor = "current_thread")]
async fn calls_are_recorded_without_their_secrets() {
    const CONSOLE_PASSWORD: &str = "Console-Password-1";
    const SECRET_KEY: &str = "SecretKeySecretKeySecretKeySecretKey1234";
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);

    let server = Server::start().await;
    let put = br#"{"groupId":"g","groupName":"/g/"}"#;
    assert_eq!(server.send("PUT", "/group", put).await.status, 200);
    let put = br#"{"groupId":"g","userId":"u","userType":"User"}"#;
    assert_eq!(server.send("PUT", "/user", put).await.status, 200);
    let target = format!("/user/password?groupId=g&userId=u&password={CONSOLE_PASSWORD}");
    assert_eq!(server.send("POST", &target, b"").await.status, 200);
    let target = format!("/user/credentials?groupId=g&userId=u&accessKey=imported&secretKey={SECRET_KEY}");
    assert_eq!(server.send("POST", &target, b"").await.status, 200);
    let listed = server.send("GET", "/user/credentials/list?groupId=g&userId=u", b"").await.json();
    assert_eq!(server.send("DELETE", "/group?groupId=g", b"").await.status, 409);
    let wrong = authorization("Wrong-Password-1");
    assert_eq!(server.send_with("GET", "/group/list", &[("Authorization", &wrong)], b"").await.status, 401);

    assert_eq!(log.audits("PutGroup"), 1);
    assert_eq!(log.audits(r#"group=Some("g") user=Some("u")"#), 4);
    assert_eq!(log.audits("PostPassword"), 1);
    assert_eq!(log.audits(r#"access_key=Some("imported")"#), 1);
    assert_eq!(log.audits("The group still has users"), 1);
    assert_eq!(log.audits("status=401"), 1);
    let (text, made) = (log.text(), listed[0]["secretKey"].as_str().unwrap());
    for secret in [CONSOLE_PASSWORD, SECRET_KEY, made, PASSWORD, "Wrong-Password-1", &authorization(PASSWORD)] {
        assert!(!text.contains(secret), "a secret is in the log");
    }
}
