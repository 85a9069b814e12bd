//! The handle with which a test or the demonstration changes the stand-in while it runs.

mod tenants;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use uuid::Uuid;

use crate::answer::ApiError;
use crate::api::{Core, lock};
use crate::clock::Clock;
use crate::cloud::{ADMIN_USER, DEFAULT_PASSWORD, ROOT_DOMAIN};
use crate::events::By;
use crate::misbehaviour::{Lie, root_uuid};
use crate::model::{Keys, Row, State, Table};
use crate::server::Door;
use crate::{Cloud, RequestRecord};

/// Why a change was refused, in CloudStack's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ControlError(String);

impl From<ApiError> for ControlError {
    fn from(error: ApiError) -> Self {
        Self(error.text)
    }
}

/// Changes tenants and behaviour of a running stand-in. Ids are uuids as text; every change is made by the root admin and
/// writes the events that CloudStack writes, unless [`Control::suppress_events`] was called.
#[derive(Debug, Clone)]
pub struct Control {
    pub(crate) core: Arc<Mutex<Core>>,
    pub(crate) door: Arc<Door>,
}

impl Control {
    fn core(&self) -> MutexGuard<'_, Core> {
        lock(&self.core)
    }

    fn change<Done>(
        &self,
        work: impl FnOnce(&mut Cloud, By) -> Result<Done, ControlError>,
    ) -> Result<Done, ControlError> {
        let mut core = self.core();
        let by = By { user: ADMIN_USER, at_s: core.clock.now_s() };
        work(&mut core.cloud, by)
    }

    /// `http://127.0.0.1:PORT/client/api`
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}/client/api", self.door.address())
    }

    /// `http://127.0.0.1:PORT/client/`
    #[must_use]
    pub fn page_url(&self) -> String {
        format!("http://{}/client/", self.door.address())
    }

    // Who is who.

    /// The root admin's API key and secret key.
    #[must_use]
    pub fn admin_keys(&self) -> (String, String) {
        let core = self.core();
        let keys = core.cloud.users.get(ADMIN_USER).and_then(|user| user.keys.as_ref());
        keys.map(|keys| (keys.api_key.clone(), keys.secret_key.clone())).unwrap_or_default()
    }

    /// The keys of an account's first user, made if it has none (without an event).
    ///
    /// # Errors
    /// When there is no such account, or it has no user.
    pub fn keys_for(&self, account: &str) -> Result<(String, String), ControlError> {
        self.change(|cloud, _| {
            let user = first_user(cloud, account)?;
            let known = cloud.users.get(user).and_then(|user| user.keys.as_deref().cloned());
            let keys = known.unwrap_or_else(|| Keys { api_key: cloud.ids.key(), secret_key: cloud.ids.key() });
            cloud.give_keys(user, keys.clone());
            Ok((keys.api_key, keys.secret_key))
        })
    }

    /// Domain path (for `command=login`), user name and password of an account's first user.
    ///
    /// # Errors
    /// When there is no such account, or it has no user.
    pub fn login_of(&self, account: &str) -> Result<(String, String, String), ControlError> {
        self.change(|cloud, _| {
            let number = first_user(cloud, account)?;
            let user = cloud.users.get(number).ok_or_else(|| missing("user", account))?;
            let domain = cloud.accounts.get(user.account).map_or(ROOT_DOMAIN, |account| account.domain);
            let password = user.password.clone().unwrap_or_else(|| DEFAULT_PASSWORD.to_owned());
            Ok((cloud.inner_path(domain), user.username.clone(), password))
        })
    }

    /// ROOT's uuid.
    #[must_use]
    pub fn root_id(&self) -> String {
        root_uuid(&self.core().cloud)
    }

    /// The uuid of the domain at a path such as `/acme/dev`.
    #[must_use]
    pub fn domain_id(&self, path: &str) -> Option<String> {
        let core = self.core();
        let number = core.cloud.domain_at(path)?;
        core.cloud.domains.get(number).map(|domain| domain.uuid.to_string())
    }

    /// The uuid of an account by the path of its domain and its name.
    #[must_use]
    pub fn account_id(&self, domain_path: &str, name: &str) -> Option<String> {
        let core = self.core();
        let domain = core.cloud.domain_at(domain_path)?;
        core.cloud.account_in(domain, name).map(|account| account.uuid.to_string())
    }

    /// The uuids of all domains, ROOT first.
    #[must_use]
    pub fn domain_ids(&self) -> Vec<String> {
        self.core().cloud.domains.rows().iter().map(|domain| domain.uuid.to_string()).collect()
    }

    /// The uuids of all accounts, the root admin's first.
    #[must_use]
    pub fn account_ids(&self) -> Vec<String> {
        self.core().cloud.accounts.rows().iter().map(|account| account.uuid.to_string()).collect()
    }

    /// The state of an account, if it is there.
    #[must_use]
    pub fn account_state(&self, account: &str) -> Option<State> {
        let uuid = Uuid::parse_str(account).ok()?;
        self.core().cloud.accounts.by_uuid(&uuid).map(|account| account.state)
    }

    // Behaviour.

    /// Waits this long before each answer.
    pub fn slow(&self, per_request: Duration) {
        self.core().behaviour.slow = per_request;
    }

    /// Answers the next `count` requests (of one command, or of all) with this status and an error.
    pub fn fail(&self, command: Option<&str>, status: u16, count: u32) {
        self.core().behaviour.fail(command, status, count);
    }

    /// Lies from now on (about one command, or about all). Lies add up.
    pub fn lie(&self, command: Option<&str>, lie: Lie) {
        self.core().behaviour.lie(command, lie);
    }

    /// Ends slowness, failures and lies.
    pub fn behave(&self) {
        self.core().behaviour.behave();
    }

    /// Closes the port and every connection. Tenants and sessions stay.
    pub async fn vanish(&self) {
        self.door.close().await;
    }

    /// Opens the same port again.
    ///
    /// # Errors
    /// When somebody else has it by now.
    pub async fn come_back(&self) -> io::Result<()> {
        self.door.reopen().await
    }

    // Time and log.

    /// Stops the clock at this time, in milliseconds since 1970.
    pub fn freeze_clock(&self, at_ms: i64) {
        self.core().clock = Clock::Stopped { at_ms };
    }

    /// Moves the clock forward, whether it runs or stands.
    pub fn advance_clock(&self, by: Duration) {
        self.core().clock.advance(by);
    }

    /// Every request since the start or the last [`Control::clear_requests`].
    #[must_use]
    pub fn requests(&self) -> Vec<RequestRecord> {
        self.core().log.clone()
    }

    /// How often a command was asked for.
    #[must_use]
    pub fn request_count(&self, command: &str) -> usize {
        self.core().log.iter().filter(|record| record.command == command).count()
    }

    /// Forgets the requests so far.
    pub fn clear_requests(&self) {
        self.core().log.clear();
    }

    /// The parameters with which stores were added (no keys), oldest first, as JSON objects.
    #[must_use]
    pub fn added_stores(&self) -> Vec<serde_json::Value> {
        self.core().cloud.stores.iter().map(|store| store["given"].clone()).collect()
    }
}

fn missing(kind: &str, id: &str) -> ControlError {
    ControlError(format!("there is no {kind} {id}"))
}

fn find<T: Row>(table: &Table<T>, kind: &str, id: &str) -> Result<u32, ControlError> {
    let row = Uuid::parse_str(id).ok().and_then(|uuid| table.by_uuid(&uuid));
    row.map(Row::number).ok_or_else(|| missing(kind, id))
}

fn first_user(cloud: &Cloud, account: &str) -> Result<u32, ControlError> {
    let number = find(&cloud.accounts, "account", account)?;
    let users = cloud.accounts.get(number).map(|row| row.users.as_slice()).unwrap_or_default();
    users.first().copied().ok_or_else(|| missing("user of", account))
}
