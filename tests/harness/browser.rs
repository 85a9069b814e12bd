//! A headless Chromium with an empty profile, driven through chromedriver.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use fantoccini::elements::Element;
use fantoccini::error::CmdError;
use fantoccini::{Client, ClientBuilder, Locator};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::json;
use tempfile::TempDir;
use tokio::process::{Child, Command};

const START_LIMIT: Duration = Duration::from_secs(60);
/// How long an element or file may take to appear.
const LIMIT: Duration = Duration::from_secs(60);

/// A browser; it ends with all its processes when this is dropped.
#[derive(Debug)]
pub struct Browser {
    /// What the test does with it.
    pub client: Client,
    driver: Child,
    group: Pid,
    folder: TempDir,
}

impl Browser {
    /// Starts a browser that takes any certificate and saves downloads without asking.
    ///
    /// # Panics
    /// When chromium or chromedriver is missing or does not start.
    pub async fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("cloudhold-browser-").tempdir().unwrap();
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let mut command = Command::new("chromedriver");
        command
            .arg(format!("--port={port}"))
            .env("HOME", folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            // Chromium is a child of the driver: the whole group is killed at the end.
            .process_group(0)
            .kill_on_drop(true);
        let driver = command.spawn().expect("chromedriver of Debian's package chromium-driver");
        let group = Pid::from_raw(i32::try_from(driver.id().unwrap()).unwrap()).unwrap();
        let started = Instant::now();
        let client = loop {
            match connect(port, &folder).await {
                Ok(client) => break client,
                Err(error) => assert!(started.elapsed() < START_LIMIT, "no browser: {error}"),
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        };
        Self { client, driver, group, folder }
    }

    /// Where downloads are saved.
    #[must_use]
    pub fn downloads(&self) -> PathBuf {
        self.folder.path().join("downloads")
    }

    /// Waits until a download is complete and gives its content.
    ///
    /// # Panics
    /// When it does not come.
    pub async fn downloaded(&self, name: &str) -> Vec<u8> {
        let path = self.downloads().join(name);
        let started = Instant::now();
        while !path.exists() {
            assert!(started.elapsed() < LIMIT, "{name} was not downloaded");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        std::fs::read(path).unwrap()
    }

    /// Waits for an element by its CSS selector.
    ///
    /// # Panics
    /// Shows the page when it does not come.
    pub async fn element(&self, css: &str) -> Element {
        match self.client.wait().at_most(LIMIT).for_element(Locator::Css(css)).await {
            Ok(element) => element,
            Err(error) => {
                let url = self.client.current_url().await.map(|url| url.to_string()).unwrap_or_default();
                panic!("{css} is not on {url}: {error}\n{}", self.client.source().await.unwrap_or_default())
            }
        }
    }

    /// Waits for an element and clicks it.
    ///
    /// # Panics
    /// Shows the page when it does not come, or cannot be clicked.
    pub async fn click(&self, css: &str) {
        while again(self.element(css).await.click().await).is_none() {}
    }

    /// Waits for an element and reads its text.
    ///
    /// # Panics
    /// Shows the page when it does not come.
    pub async fn text(&self, css: &str) -> String {
        loop {
            if let Some(text) = again(self.element(css).await.text().await) {
                return text;
            }
        }
    }

    /// Waits for an element and types into it.
    ///
    /// # Panics
    /// Shows the page when it does not come, or takes no keys.
    pub async fn type_into(&self, css: &str, text: &str) {
        while again(self.element(css).await.send_keys(text).await).is_none() {}
    }

    /// Waits until the browser is at an address that begins so.
    ///
    /// # Panics
    /// When it does not get there.
    pub async fn arrives_at(&self, start: &str) {
        let started = Instant::now();
        loop {
            let url = self.client.current_url().await.unwrap();
            if url.as_str().starts_with(start) {
                return;
            }
            assert!(started.elapsed() < LIMIT, "the browser is at {url} instead of {start}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.driver.start_kill();
        let _ = kill_process_group(self.group, Signal::KILL);
    }
}

/// The selector of the element with a `data-testid`.
#[must_use]
pub fn test_id(id: &str) -> String {
    format!("[data-testid=\"{id}\"]")
}

/// `None` when the page replaced the element between finding and using it, so that it must be looked for again.
fn again<T>(result: Result<T, CmdError>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) if error.is_stale_element_reference() => None,
        Err(error) => panic!("{error}"),
    }
}

async fn connect(port: u16, folder: &TempDir) -> Result<Client, fantoccini::error::NewSessionError> {
    let profile = folder.path().join("profile");
    let arguments = [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-first-run",
        "--no-proxy-server",
        "--ignore-certificate-errors",
        &format!("--user-data-dir={}", profile.display()),
    ];
    let options = json!({
        "args": arguments,
        "prefs": {
            "download.default_directory": folder.path().join("downloads"),
            "download.prompt_for_download": false,
        },
    });
    let mut capabilities = serde_json::Map::new();
    capabilities.insert("acceptInsecureCerts".to_owned(), json!(true));
    capabilities.insert("goog:chromeOptions".to_owned(), options);
    let mut builder = ClientBuilder::rustls().expect("the driver is reached without TLS");
    builder.capabilities(capabilities).connect(&format!("http://127.0.0.1:{port}")).await
}
