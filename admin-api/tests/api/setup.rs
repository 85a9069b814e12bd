//! A server for one test, and the two ways to talk to it.

use std::{net::SocketAddr, time::Duration};

use admin_api::{
    AdminApi, Settings,
    client::{AdminClient, ClientConfig, GroupInfo, UserInfo},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use engine::{Caller, Engine};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use url::Url;

/// The service account of the recordings.
pub(crate) const USER: &str = "sysadmin";
/// Its password there.
pub(crate) const PASSWORD: &str = "s3cret pass+word";

/// A running server; it ends with the test.
pub(crate) struct Server {
    pub(crate) engine: Engine,
    address: SocketAddr,
    task: JoinHandle<()>,
    _data_dir: TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    pub(crate) async fn start() -> Self {
        crate::audit::listen();
        let data_dir = tempfile::tempdir().unwrap();
        let engine = Engine::open(engine::Settings::new(data_dir.path().join("data"))).await.unwrap();
        engine.set_service_account(&Caller::LocalOperator, USER, &PASSWORD.into()).await.unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let api = AdminApi::new(engine.clone(), Settings::default());
        let service = admin_api::router(api).into_make_service_with_connect_info::<SocketAddr>();
        let task = tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
        Self { engine, address, task, _data_dir: data_dir }
    }

    /// A client that logs in with `password`.
    pub(crate) fn client_with(&self, password: &str) -> AdminClient {
        let base_url = Url::parse(&format!("http://{}", self.address)).unwrap();
        let mut config = ClientConfig::new(base_url, USER, password.into());
        config.timeout = Duration::from_secs(20);
        AdminClient::new(config).unwrap()
    }

    pub(crate) fn client(&self) -> AdminClient {
        self.client_with(PASSWORD)
    }

    /// Makes the group `g` with the users named.
    pub(crate) async fn with_users(&self, users: &[&str]) -> AdminClient {
        let client = self.client();
        client.put_group(&GroupInfo::new("g", "/g/")).await.unwrap();
        for user in users {
            client.put_user(&UserInfo::new("g", *user)).await.unwrap();
        }
        client
    }

    /// Sends a request as it is, byte for byte, with the log-in.
    pub(crate) async fn send(&self, method: &str, target: &str, body: &[u8]) -> Answer {
        self.send_with(method, target, &[("Authorization", &authorization(PASSWORD))], body).await
    }

    /// Sends a request as it is, byte for byte, with these headers and a length.
    pub(crate) async fn send_with(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut head = format!("{method} {target} HTTP/1.1\r\nHost: admin.example\r\nConnection: close\r\n");
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        if !body.is_empty() {
            head += &format!("Content-Length: {}\r\n", body.len());
        }
        head += "\r\n";
        self.exchange(&[head.as_bytes(), body].concat()).await
    }

    /// Sends these bytes and reads until the server closes.
    pub(crate) async fn exchange(&self, request: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        // The server may answer and close before it has read everything, as for a body that is too large.
        _ = stream.write_all(request).await;
        let mut answer = Vec::new();
        _ = stream.read_to_end(&mut answer).await;
        Answer::parse(&answer)
    }
}

/// The value of `Authorization` for the service account with `password`.
pub(crate) fn authorization(password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{USER}:{password}")))
}

/// An answer as it came over the connection.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) reason: String,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head in {text:?}"));
        let mut lines = head.lines();
        let mut status = lines.next().unwrap().splitn(3, ' ').skip(1);
        Self {
            status: status.next().unwrap().parse().unwrap(),
            reason: status.next().unwrap_or_default().to_owned(),
            headers: lines
                .filter_map(|line| line.split_once(": "))
                .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
                .collect(),
            body: body.to_owned(),
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON, which must be announced as such.
    pub(crate) fn json(&self) -> serde_json::Value {
        assert_eq!(self.status, 200, "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/json"), "{self:?}");
        serde_json::from_str(&self.body).unwrap()
    }
}
