//! A stand-in CloudStack with a real store that follows it.

use std::collections::BTreeMap;

use cloudstack_stand_in::{Cloud, Control, Options, StandIn};
use reqwest::header::{COOKIE, SET_COOKIE};
use serde_json::Value;

use crate::clients::{http, root_folder};
use crate::server::Server;

/// What a user of the store is, without its ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The full name.
    pub full_name: String,
    /// The e-mail address.
    pub email: String,
    /// Whether the user may enter.
    pub active: bool,
}

/// The groups of a store by id with their names, and its users by group and id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Actual {
    /// Names by group id.
    pub groups: BTreeMap<String, String>,
    /// People by group id and user id.
    pub users: BTreeMap<(String, String), Person>,
}

/// A CloudStack and the store beside it.
#[derive(Debug)]
pub struct CloudWorld {
    /// Changes what is in the CloudStack.
    pub control: Control,
    /// The store.
    pub server: Server,
    _stand_in: StandIn,
}

/// A session at CloudStack, as a browser has it.
#[derive(Clone, Debug)]
pub struct Session {
    /// The value of the cookie JSESSIONID.
    pub id: String,
    /// The session key.
    pub key: String,
}

impl CloudWorld {
    /// The recorded tenants, and a store that looks at them only when it is told to.
    pub async fn recorded() -> Self {
        Self::with(Cloud::recorded(), "").await
    }

    /// Other tenants; `more` is added to the section `[cloudstack]` and may open further ones. Events are not looked at between two
    /// passes unless `more` says so, so that a test sees what its own pass did.
    pub async fn with(cloud: Cloud, more: &str) -> Self {
        let stand_in = StandIn::start(cloud, Options::default()).await.unwrap();
        let control = stand_in.control().clone();
        let (api_key, secret_key) = control.admin_keys();
        let url = control.base_url();
        let rest = if more.contains("poll_interval_s") { "" } else { "poll_interval_s = 3600" };
        let toml = format!(
            "[cloudstack]\nurl = \"{url}\"\napi_key = \"{api_key}\"\nsecret_key = \"{secret_key}\"\npage_pause_ms = 0\n{rest}\n{more}\n"
        );
        let server = Server::with_config(&toml).await;
        Self { control, server, _stand_in: stand_in }
    }

    /// Runs a pass by `cloudhold connector sync`.
    pub async fn sync(&self) -> Value {
        self.server.json(&["connector", "sync"]).await
    }

    /// The plan of `cloudhold connector plan`.
    pub async fn plan(&self) -> Value {
        self.server.json(&["connector", "plan"]).await
    }

    /// How many changes the plan has.
    ///
    /// # Panics
    /// When the plan has no counts.
    pub async fn planned(&self) -> u64 {
        let plan = self.plan().await;
        ["add", "change", "remove"].iter().map(|kind| plan["counts"][kind].as_u64().unwrap()).sum()
    }

    /// All groups and users of the store but group 0.
    pub async fn actual(&self) -> Actual {
        let admin = self.server.admin();
        let mut actual = Actual::default();
        for group in admin.list_all_groups().await.unwrap() {
            if group.group_id == "0" {
                continue;
            }
            for user in admin.list_all_users(&group.group_id).await.unwrap() {
                let person = Person { full_name: user.full_name, email: user.email_addr, active: user.active };
                actual.users.insert((group.group_id.clone(), user.user_id), person);
            }
            actual.groups.insert(group.group_id, group.group_name);
        }
        actual
    }

    /// The store's user of an account.
    ///
    /// # Panics
    /// When an account has several.
    pub async fn user_of(&self, account: &str) -> Option<Person> {
        let users = self.actual().await.users;
        let mut found = users.into_iter().filter(|((_, user), _)| user == account).map(|(_, person)| person);
        let person = found.next();
        assert!(found.next().is_none(), "{account} has several users");
        person
    }

    /// The id of an account that is there.
    ///
    /// # Panics
    /// When it is not.
    #[must_use]
    pub fn account(&self, domain: &str, name: &str) -> String {
        self.control.account_id(domain, name).unwrap_or_else(|| panic!("no {name} in {domain}"))
    }

    /// Signs an account's first user in at CloudStack.
    ///
    /// # Panics
    /// When CloudStack refuses.
    pub async fn sign_in(&self, account: &str) -> Session {
        let (domain, user, password) = self.control.login_of(account).unwrap();
        let form = [
            ("command", "login"),
            ("response", "json"),
            ("domain", domain.as_str()),
            ("username", user.as_str()),
            ("password", password.as_str()),
        ];
        let answer = http().post(self.control.base_url()).form(&form).send().await.unwrap();
        let cookies = answer.headers().get_all(SET_COOKIE).iter();
        let id = cookies
            .filter_map(|cookie| {
                cookie.to_str().ok()?.split(';').next()?.strip_prefix("JSESSIONID=").map(str::to_owned)
            })
            .next()
            .expect("CloudStack gives a session");
        let body: Value = answer.json().await.unwrap();
        Session { id, key: body["loginresponse"]["sessionkey"].as_str().unwrap().to_owned() }
    }

    /// Asks the connector's door as CloudStack's pages would. Returns status and answer.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn plugin(&self, command: &str, session: &Session) -> (u16, Value) {
        let url = format!("{}/client/cloudhold/api", self.server.doors().connector);
        let query = [("command", command), ("response", "json"), ("sessionkey", &session.key)];
        let cookies = format!("lang=de; JSESSIONID={}; sessionkey={}", session.id, session.key);
        let answer = http().get(url).query(&query).header(COOKIE, cookies).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// A sign-on link for an account, from the connector's door.
    ///
    /// # Panics
    /// When it gives none.
    pub async fn link(&self, account: &str) -> String {
        let (status, answer) = self.plugin("cloudianSsoLogin", &self.sign_in(account).await).await;
        let url = answer["cloudianssologinresponse"]["cloudianssologin"]["url"].as_str();
        url.unwrap_or_else(|| panic!("{status}: {answer}")).to_owned()
    }
}

/// A recorded exchange with a CloudStack.
///
/// # Panics
/// When there is none of that name.
#[must_use]
pub fn recording(name: &str) -> Value {
    let path = root_folder().join(format!("tests/data/recordings/cloudstack-4.23/{name}.json"));
    let text = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&text).unwrap()
}

/// A sign-on link without its time and signature.
///
/// # Panics
/// When it has no query.
#[must_use]
pub fn without_time(link: &str) -> String {
    let (base, query) = link.split_once('?').unwrap();
    let changing = |pair: &str| pair.starts_with("timestamp=") || pair.starts_with("signature=");
    let kept: Vec<&str> = query.split('&').map(|pair| if changing(pair) { "..." } else { pair }).collect();
    format!("{base}?{}", kept.join("&"))
}
