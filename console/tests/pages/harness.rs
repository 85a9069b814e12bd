//! A console over a real engine, and a browser that keeps cookies.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use bytes::Bytes;
use console::{ConnectorFailure, ConnectorState, ConnectorView, ConsoleState, SESSION_COOKIE, SsoKeySource};
use engine::{Caller, Clock, ClockHand, Engine, GroupId, NewGroup, NewUser, Role, User, UserId};
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use secrecy::SecretString;
use tempfile::TempDir;
use tower::ServiceExt;
use url::form_urlencoded;

pub(crate) const SSO_KEY: &str = "Kr7-example-shared-key";
pub(crate) const PASSWORD: &str = "Correct-horse-7";
pub(crate) const CLOUD: &str = "https://cloud.example.com";

/// What CloudStack's side of the console answers in these tests.
pub(crate) struct Cloud {
    pub(crate) key: Mutex<Option<&'static str>>,
    pub(crate) state: Mutex<ConnectorState>,
    pub(crate) applied: Mutex<Vec<String>>,
    pub(crate) looks: Mutex<u32>,
}

impl SsoKeySource for Cloud {
    fn shared_key(&self) -> Option<sso::SharedKey> {
        self.key.lock().unwrap().map(|key| sso::SharedKey::new(key.to_owned()).unwrap())
    }

    fn logout_origins(&self) -> Vec<String> {
        vec![CLOUD.to_owned()]
    }
}

#[async_trait]
impl ConnectorView for Cloud {
    async fn status(&self) -> Result<ConnectorState, ConnectorFailure> {
        Ok(self.state.lock().unwrap().clone())
    }

    async fn look_now(&self) -> Result<(), ConnectorFailure> {
        *self.looks.lock().unwrap() += 1;
        Ok(())
    }

    async fn apply_held(&self, token: &str) -> Result<(), ConnectorFailure> {
        let held = self.state.lock().unwrap().held.as_ref().map(|held| held.token.clone());
        if held.as_deref() != Some(token) {
            return Err(ConnectorFailure::Changed);
        }
        self.applied.lock().unwrap().push(token.to_owned());
        Ok(())
    }
}

pub(crate) struct House {
    pub(crate) dir: TempDir,
    pub(crate) engine: Engine,
    pub(crate) clock: Clock,
    pub(crate) hand: ClockHand,
    pub(crate) cloud: Arc<Cloud>,
    pub(crate) state: ConsoleState,
    pub(crate) router: Router,
}

impl House {
    pub(crate) async fn new() -> Self {
        let (clock, hand) = Clock::movable();
        let cloud = Cloud {
            key: Mutex::new(Some(SSO_KEY)),
            state: Mutex::default(),
            applied: Mutex::default(),
            looks: Mutex::default(),
        };
        Self::open(TempDir::new().unwrap(), clock, hand, Arc::new(cloud)).await
    }

    async fn open(dir: TempDir, clock: Clock, hand: ClockHand, cloud: Arc<Cloud>) -> Self {
        let settings = engine::Settings { clock: clock.clone(), ..engine::Settings::new(dir.path().join("data")) };
        let engine = Engine::open(settings).await.unwrap();
        let state = console_state(&engine, console::Settings::default(), cloud.clone());
        let router = console::router(state.clone());
        Self { dir, engine, clock, hand, cloud, state, router }
    }

    /// Stops the store and starts it again on the same data.
    pub(crate) async fn restart(self) -> Self {
        self.engine.close().await;
        Self::open(self.dir, self.clock, self.hand, self.cloud).await
    }

    pub(crate) async fn user(&self, group: &str, user: &str, role: Role) -> User {
        let group_id = GroupId::new(group).unwrap();
        let operator = Caller::LocalOperator;
        if self.engine.find_group(&operator, &group_id).await.unwrap().is_none() {
            let new = NewGroup {
                group_id: group_id.clone(),
                group_name: format!("/{group}/"),
                active: true,
                profile: engine::Profile::new(),
            };
            self.engine.create_group(&operator, new).await.unwrap();
        }
        let new = NewUser {
            group_id: group_id.clone(),
            user_id: UserId::new(user).unwrap(),
            role,
            full_name: format!("Full Name ({user})"),
            email: format!("{user}@example.com"),
            active: true,
            profile: engine::Profile::new(),
            with_credential: false,
        };
        let made = self.engine.create_user(&operator, new).await.unwrap();
        self.set_password(group, user).await;
        made
    }

    pub(crate) async fn set_password(&self, group: &str, user: &str) {
        let (group_id, user_id) = (GroupId::new(group).unwrap(), UserId::new(user).unwrap());
        let password = SecretString::from(PASSWORD.to_owned());
        self.engine.set_password(&Caller::LocalOperator, &group_id, &user_id, &password).await.unwrap();
    }

    pub(crate) fn browser(&self) -> Browser {
        Browser::new(self.router.clone())
    }

    /// A browser of a new tenant that is signed in.
    pub(crate) async fn tenant(&self, user: &str) -> Browser {
        self.user("acme", user, Role::User).await;
        self.signed_in("acme", user).await
    }

    /// A browser of the system's administrator.
    pub(crate) async fn admin(&self) -> Browser {
        self.set_password("0", "admin").await;
        self.signed_in("0", "admin").await
    }

    /// Signs in by a link, as CloudStack makes them.
    pub(crate) async fn signed_in(&self, group: &str, user: &str) -> Browser {
        let mut browser = self.browser();
        let answer = browser.get(&self.link(group, user, 0, "/")).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text());
        browser
    }

    /// A link whose time is `age_ms` before now.
    pub(crate) fn link(&self, group: &str, user: &str, age_ms: i64, redirect: &str) -> String {
        let key = sso::SharedKey::new(SSO_KEY.to_owned()).unwrap();
        let timestamp_ms = self.clock.now_ms() - age_ms;
        let login = sso::Login { user: user.to_owned(), group: group.to_owned(), timestamp_ms };
        let console = sso::ConsoleAddress::new("https", "console.example.com", 8443).unwrap();
        let link = console.login_url(&key, &login, redirect).unwrap();
        link.strip_prefix("https://console.example.com:8443").unwrap().to_owned()
    }
}

pub(crate) fn console_state(engine: &Engine, settings: console::Settings, cloud: Arc<Cloud>) -> ConsoleState {
    let s3_urls = vec!["https://s3.example.com:9443".to_owned()];
    ConsoleState::new(engine.clone(), settings, cloud.clone(), cloud, s3_urls)
}

/// A browser: keeps cookies, and the token of the page it saw last.
#[derive(Clone)]
pub(crate) struct Browser {
    pub(crate) router: Router,
    pub(crate) cookies: HashMap<String, String>,
    pub(crate) token: String,
    pub(crate) peer: SocketAddr,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn header(&self, name: impl header::AsHeaderName) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn location(&self) -> &str {
        self.header(header::LOCATION)
    }
}

impl Browser {
    pub(crate) fn new(router: Router) -> Self {
        let peer = SocketAddr::from(([127, 0, 0, 1], 40_000));
        Self { router, cookies: HashMap::new(), token: String::new(), peer }
    }

    pub(crate) async fn send(&mut self, mut request: Request<Body>) -> Answer {
        request.extensions_mut().insert(ConnectInfo(self.peer));
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if !cookies.is_empty() {
            request.headers_mut().insert(header::COOKIE, cookies.join("; ").parse().unwrap());
        }
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        self.keep_cookies(&parts.headers);
        let body = body.collect().await.unwrap().to_bytes();
        let answer = Answer { status: parts.status, headers: parts.headers, body };
        if let Some(token) = token_in(&answer.text()) {
            self.token = token;
        }
        answer
    }

    fn keep_cookies(&mut self, headers: &HeaderMap) {
        for cookie in headers.get_all(header::SET_COOKIE) {
            let cookie = cookie.to_str().unwrap();
            for wanted in ["Secure", "HttpOnly", "SameSite=Lax", "Path=/"] {
                assert!(cookie.split("; ").any(|part| part == wanted), "{wanted} is missing");
            }
            assert!(cookie.starts_with("__Host-") && !cookie.contains("Domain"));
            let (name, rest) = cookie.split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            if cookie.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    /// Sends a form with the token of the last page.
    pub(crate) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let token = self.token.clone();
        self.post_with_token(path, fields, &token).await
    }

    pub(crate) async fn post_with_token(&mut self, path: &str, fields: &[(&str, &str)], token: &str) -> Answer {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("_csrf", token).extend_pairs(fields);
        let request = Request::post(path)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::from(form.finish()))
            .unwrap();
        self.send(request).await
    }

    /// Sends a multipart form: the token as its first field when given, then files.
    pub(crate) async fn upload(&mut self, path: &str, token: Option<&str>, files: &[(&str, &[u8])]) -> Answer {
        let request = multipart(path, token, files);
        self.send(request).await
    }

    pub(crate) fn is_signed_in(&self) -> bool {
        self.cookies.contains_key(SESSION_COOKIE)
    }

    pub(crate) async fn login(&mut self, group: &str, user: &str, password: &str) -> Answer {
        self.get("/Cloudian/login.htm").await;
        self.post("/Cloudian/login.htm", &[("groupid", group), ("userid", user), ("password", password)]).await
    }
}

pub(crate) fn multipart(path: &str, token: Option<&str>, files: &[(&str, &[u8])]) -> Request<Body> {
    const BOUNDARY: &str = "----console-test-boundary";
    let mut body = Vec::new();
    if let Some(token) = token {
        body.extend_from_slice(
            format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"_csrf\"\r\n\r\n{token}\r\n").as_bytes(),
        );
    }
    for (name, bytes) in files {
        let head = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    Request::builder()
        .method(Method::POST)
        .uri(path)
        .header(header::CONTENT_TYPE, format!("multipart/form-data; boundary={BOUNDARY}"))
        .body(Body::from(body))
        .unwrap()
}

/// The token in the first form of a page.
fn token_in(page: &str) -> Option<String> {
    let after = page.split_once("name=\"_csrf\" value=\"")?.1;
    let token = after.split('"').next()?;
    (!token.is_empty()).then(|| token.to_owned())
}

/// Every element of a page with this test id, from its tag to the next one with the same id.
pub(crate) fn count_of(page: &str, test_id: &str) -> usize {
    page.matches(&format!("data-testid=\"{test_id}\"")).count()
}
