//! A CloudStack, a store and a connector between them, for one test.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU8, Ordering},
    },
    time::Duration,
};

use admin_api::{
    AdminApi,
    client::{AdminClient, ClientConfig},
};
use axum::{extract::Request, http::StatusCode, middleware::Next, response::IntoResponse};
use cloudstack_stand_in::{Cloud, Control, Options, StandIn};
use connector::{Clock, CloudStackConfig, Config, Connector, ConnectorConfig, Doors, Plan, RunReport};
use engine::{Caller, Engine};
use tempfile::TempDir;
use time::OffsetDateTime;
use tokio::{net::TcpListener, runtime::Handle, task::JoinHandle};
use url::Url;

pub(crate) const USER: &str = "sysadmin";
pub(crate) const PASSWORD: &str = "s3cret pass+word";

/// What a user at the target is, without its ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Person {
    pub(crate) full_name: String,
    pub(crate) email: String,
    pub(crate) active: bool,
}

/// Groups by id with their names, and users by (group, user).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Actual {
    pub(crate) groups: BTreeMap<String, String>,
    pub(crate) users: BTreeMap<(String, String), Person>,
}

/// How the store's door behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Well,
    /// Every call fails for now.
    Away,
    /// Every list is empty.
    Forgetful,
}

/// A test's world; all of it ends with the test.
pub(crate) struct World {
    pub(crate) control: Control,
    pub(crate) engine: Engine,
    pub(crate) admin_url: Url,
    pub(crate) connector: Connector,
    pub(crate) config: Config,
    /// How the store's door behaves.
    mood: Arc<AtomicU8>,
    /// Seconds that the connector's clock is ahead.
    ahead_s: Arc<AtomicI64>,
    folder: TempDir,
    task: JoinHandle<()>,
    _stand_in: StandIn,
}

impl Drop for World {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl World {
    /// The recorded tenants.
    pub(crate) async fn recorded() -> Self {
        Self::with(Cloud::recorded(), |_| ()).await
    }

    /// A world of one's own; `change` may change the configuration.
    pub(crate) async fn with(cloud: Cloud, change: impl FnOnce(&mut Config)) -> Self {
        Self::apart(cloud, change, &Handle::current()).await
    }

    /// The same, with the CloudStack and the store on a runtime of their own, so that their work can be told apart.
    pub(crate) async fn apart(cloud: Cloud, change: impl FnOnce(&mut Config), others: &Handle) -> Self {
        let stand_in = others.spawn(StandIn::start(cloud, Options::default())).await.unwrap().unwrap();
        let control = stand_in.control().clone();
        let folder = tempfile::tempdir().unwrap();
        let mood = Arc::new(AtomicU8::new(Mood::Well as u8));
        let (engine, admin_url, task) =
            others.spawn(store(folder.path().join("data"), Arc::clone(&mood))).await.unwrap();
        let (api_key, secret_key) = control.admin_keys();
        let cloudstack = CloudStackConfig {
            url: control.base_url(),
            api_key: Some(api_key),
            secret_key: Some(secret_key.into()),
            page_pause_ms: 0,
            request_timeout_s: 20,
            admin_timeout_s: Some(30),
            poll_interval_s: 1,
            ..CloudStackConfig::default()
        };
        let mut config = Config { cloudstack, connector: ConnectorConfig::default() };
        change(&mut config);
        let ahead_s = Arc::new(AtomicI64::new(0));
        let path = folder.path().join("connector.db");
        let connector = open(&config, &admin_url, path, &ahead_s).await.unwrap();
        Self { control, engine, admin_url, connector, config, mood, ahead_s, folder, task, _stand_in: stand_in }
    }

    /// Closes the connector and opens it again, as after a restart.
    pub(crate) async fn restart(&mut self) {
        self.connector.shutdown().await;
        self.connector = self.open_again().await.unwrap();
    }

    /// Another connector on the same state.
    pub(crate) async fn open_again(&self) -> Result<Connector, connector::Error> {
        open(&self.config, &self.admin_url, self.state_path(), &self.ahead_s).await
    }

    pub(crate) fn state_path(&self) -> PathBuf {
        self.folder.path().join("connector.db")
    }

    /// Changes how the store's door behaves.
    pub(crate) fn store_is(&self, mood: Mood) {
        self.mood.store(mood as u8, Ordering::SeqCst);
    }

    /// Turns the connector's clock forward.
    pub(crate) fn later(&self, by: Duration) {
        self.ahead_s.fetch_add(i64::try_from(by.as_secs()).unwrap(), Ordering::SeqCst);
    }

    pub(crate) async fn sync(&self) -> RunReport {
        self.connector.sync(None, &|_| ()).await.unwrap()
    }

    pub(crate) async fn plan(&self) -> Plan {
        self.connector.plan().await.unwrap()
    }

    /// A client of the store's Admin API.
    pub(crate) fn admin(&self) -> AdminClient {
        AdminClient::new(target(&self.admin_url)).unwrap()
    }

    /// All groups and users of the store but group 0.
    pub(crate) async fn actual(&self) -> Actual {
        let client = self.admin();
        let mut actual = Actual::default();
        for group in client.list_all_groups().await.unwrap() {
            if group.group_id == "0" {
                continue;
            }
            for user in client.list_all_users(&group.group_id).await.unwrap() {
                let person = Person { full_name: user.full_name, email: user.email_addr, active: user.active };
                actual.users.insert((group.group_id.clone(), user.user_id), person);
            }
            actual.groups.insert(group.group_id, group.group_name);
        }
        actual
    }

    /// The one user of an account.
    pub(crate) async fn user_of(&self, account: &str) -> Option<Person> {
        let users = self.actual().await.users;
        let mut found = users.into_iter().filter(|((_, user), _)| user == account).map(|(_, person)| person);
        let person = found.next();
        assert!(found.next().is_none(), "{account} has several users");
        person
    }

    /// The uuid of a recorded account.
    pub(crate) fn account(&self, domain_path: &str, name: &str) -> String {
        self.control.account_id(domain_path, name).unwrap_or_else(|| panic!("no {name} in {domain_path}"))
    }

    /// The value of one of CloudStack's settings.
    pub(crate) async fn setting(&self, name: &str) -> String {
        let url = self.control.base_url();
        let (domain, username, password) = self.control.login_of(&self.control.account_ids()[0]).unwrap();
        let http = reqwest::Client::builder().cookie_store(true).build().unwrap();
        let login = [
            ("command", "login"),
            ("username", &username),
            ("password", &password),
            ("domain", &domain),
            ("response", "json"),
        ];
        let answer: serde_json::Value = http.post(&url).form(&login).send().await.unwrap().json().await.unwrap();
        let key = answer["loginresponse"]["sessionkey"].as_str().unwrap();
        let query = [("command", "listConfigurations"), ("name", name), ("response", "json"), ("sessionkey", key)];
        let answer: serde_json::Value = http.get(&url).query(&query).send().await.unwrap().json().await.unwrap();
        let list = answer["listconfigurationsresponse"]["configuration"].as_array().unwrap();
        let found = list.iter().find(|setting| setting["name"] == name).unwrap();
        found["value"].as_str().unwrap().to_owned()
    }

    /// A connector with its background work on the state of this world, which must be closed.
    pub(crate) async fn start_background(&self) -> Connector {
        let clock = Clock::system();
        Connector::start(self.config.clone(), target(&self.admin_url), &self.state_path(), Doors::default(), clock)
            .await
            .unwrap()
    }

    /// How many users lie in the store's trash.
    pub(crate) async fn trashed(&self) -> usize {
        self.engine.list_trash(&Caller::LocalOperator).await.unwrap().len()
    }
}

fn target(admin_url: &Url) -> ClientConfig {
    let mut config = ClientConfig::new(admin_url.clone(), USER, PASSWORD.into());
    config.timeout = Duration::from_secs(30);
    config
}

async fn open(
    config: &Config,
    admin_url: &Url,
    path: PathBuf,
    ahead_s: &Arc<AtomicI64>,
) -> Result<Connector, connector::Error> {
    let ahead_s = Arc::clone(ahead_s);
    let clock =
        Clock::from_fn(move || OffsetDateTime::now_utc() + time::Duration::seconds(ahead_s.load(Ordering::SeqCst)));
    let doors = Doors {
        admin: vec![admin_url.clone()],
        console: Vec::new(),
        admin_credentials: Some((USER.to_owned(), PASSWORD.into())),
    };
    Connector::prepare(config.clone(), target(admin_url), &path, doors, clock).await
}

/// A store with its Admin API on a free port.
async fn store(folder: PathBuf, mood: Arc<AtomicU8>) -> (Engine, Url, JoinHandle<()>) {
    let engine = Engine::open(engine::Settings::new(folder)).await.unwrap();
    engine.set_service_account(&Caller::LocalOperator, USER, &PASSWORD.into()).await.unwrap();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let api = AdminApi::new(engine.clone(), admin_api::Settings::default());
    let moody = axum::middleware::from_fn(move |request: Request, next: Next| {
        let mood = mood.load(Ordering::SeqCst);
        async move {
            let is_list = request.uri().path().ends_with("/list");
            if mood == Mood::Away as u8 {
                return StatusCode::SERVICE_UNAVAILABLE.into_response();
            }
            if mood == Mood::Forgetful as u8 && is_list {
                return StatusCode::NO_CONTENT.into_response();
            }
            next.run(request).await
        }
    });
    let service = admin_api::router(api).layer(moody).into_make_service_with_connect_info::<SocketAddr>();
    let task = tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
    (engine, url, task)
}
