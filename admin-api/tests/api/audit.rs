//! Every call leaves a line in the audit log, and no log line of any level holds a secret.

use std::{cell::RefCell, io::Write, sync::Once};

use tracing::level_filters::LevelFilter;

use crate::setup::{PASSWORD, Server, authorization};

thread_local! {
    /// What was logged on this thread, once a test has asked for it.
    static LOG: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

struct ThreadLog;

impl Write for ThreadLog {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOG.with_borrow_mut(|log| log.iter_mut().for_each(|log| log.extend_from_slice(bytes)));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Lets every thread be listened to. All servers start with this: whether a line of the program is logged at all is decided when
/// it is first reached, by whichever test that is.
pub(crate) fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let all = tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE).with_ansi(false);
        tracing::subscriber::set_global_default(all.with_writer(|| ThreadLog).finish()).unwrap();
    });
}

fn logged() -> String {
    LOG.with_borrow(|log| String::from_utf8(log.clone().unwrap()).unwrap())
}

/// How many audit lines contain `what`.
fn audits(what: &str) -> usize {
    logged().lines().filter(|line| line.contains("admin_api::audit") && line.contains(what)).count()
}

// One thread, so that the server's tasks log where this test listens.
#[tokio::test(flavor = "current_thread")]
async fn calls_are_recorded_without_their_secrets() {
    const CONSOLE_PASSWORD: &str = "Console-Password-1";
    const SECRET_KEY: &str = "SecretKeySecretKeySecretKeySecretKey1234";
    LOG.set(Some(Vec::new()));

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

    assert_eq!(audits("PutGroup"), 1);
    assert_eq!(audits(r#"group=Some("g") user=Some("u")"#), 4);
    assert_eq!(audits("PostPassword"), 1);
    assert_eq!(audits(r#"access_key=Some("imported")"#), 1);
    assert_eq!(audits("The group still has users"), 1);
    assert_eq!(audits("status=401"), 1);
    let (text, made) = (logged(), listed[0]["secretKey"].as_str().unwrap());
    for secret in [CONSOLE_PASSWORD, SECRET_KEY, made, PASSWORD, "Wrong-Password-1", &authorization(PASSWORD)] {
        assert!(!text.contains(secret), "a secret is in the log");
    }
}
