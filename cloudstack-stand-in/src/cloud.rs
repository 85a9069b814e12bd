//! The state of a CloudStack: who and what is in it. All in memory, and the same each time it is made.

use std::collections::HashMap;
use std::sync::OnceLock;

use serde::Deserialize;
use uuid::Uuid;

use crate::events::Event;
use crate::ids::IdSource;
use crate::jobs::Job;
use crate::model::{Account, Domain, Keys, Project, Role, RoleKind, State, Table, User};
use crate::settings::{self, Setting};

/// The password of every user of a new cloud but the root admin's, whose password is `password`.
pub const DEFAULT_PASSWORD: &str = "Passw0rd!x";

pub(crate) const ROOT_DOMAIN: u32 = 1;
/// The numbers 1 belong to CloudStack's own system account.
pub(crate) const ADMIN_ACCOUNT: u32 = 2;
pub(crate) const ADMIN_USER: u32 = 2;
/// Indexes into [`roles`].
pub(crate) const ROOT_ADMIN_ROLE: usize = 0;
pub(crate) const USER_ROLE: usize = 3;

const ADMIN_API_KEY: &str = "ZOduiMyth9Lz7s-1wNwMXjTefSHTZ6-183DsXGEfea-1i3Hj-ITjAk2hzFTxZ5ctPJlLnI66n7qS7n5zFN3hfw";
const ADMIN_SECRET_KEY: &str = "DaY4J_kuwPfvKsD3En5AnMXRxYQzHDbgy95EuHAAglhVOUYkzk1V8g5eIE6FS7sWiPpHQTIxRzL-Nxnz4ckqDg";

/// A CloudStack's tenants, settings and history. Made by [`Cloud::empty`], [`Cloud::recorded`] or [`Cloud::grown`], then
/// given to [`crate::StandIn::start`].
#[derive(Debug, Clone)]
pub struct Cloud {
    pub(crate) ids: IdSource,
    pub(crate) domains: Table<Domain>,
    pub(crate) accounts: Table<Account>,
    pub(crate) users: Table<User>,
    pub(crate) projects: Vec<Project>,
    pub(crate) events: Vec<Event>,
    pub(crate) settings: Vec<Setting>,
    pub(crate) jobs: HashMap<Uuid, Job>,
    pub(crate) stores: Vec<serde_json::Value>,
    /// API key to user.
    pub(crate) key_owners: HashMap<String, u32>,
    pub(crate) management_server: Uuid,
    /// Changes are made without events.
    pub(crate) quiet: bool,
    /// moveDomain answers the new path but changes nothing, as was once recorded.
    pub(crate) moves_do_not_stick: bool,
}

/// What a new user is called. Nothing has a default, because CloudStack wants all of it.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    pub(crate) username: String,
    pub(crate) first_name: String,
    pub(crate) last_name: String,
    pub(crate) email: String,
}

impl Cloud {
    /// Nothing but what an installation brings: ROOT, its account `admin` with one user, and the settings unset.
    ///
    /// # Panics
    /// Never: the embedded data is well-formed.
    #[must_use]
    pub fn empty() -> Self {
        let mut cloud = Self {
            ids: IdSource::new(0x00c1_0d57_ac4b_0000),
            domains: Table::starting_at(ROOT_DOMAIN),
            accounts: Table::starting_at(ADMIN_ACCOUNT),
            users: Table::starting_at(ADMIN_USER),
            projects: Vec::new(),
            events: Vec::new(),
            settings: settings::fresh(),
            jobs: HashMap::new(),
            stores: Vec::new(),
            key_owners: HashMap::new(),
            management_server: fixed("7cb140cf-26b3-4767-9183-421f90b6853b"),
            quiet: false,
            moves_do_not_stick: false,
        };
        cloud.install();
        cloud
    }

    fn install(&mut self) {
        let root = fixed("a109743b-e629-11f1-955b-02fc00000001");
        self.add_domain(root, "ROOT".to_owned(), None, None);
        let admin = fixed("a1099f7b-e629-11f1-955b-02fc00000001");
        let account = self.add_account(admin, "admin".to_owned(), ROOT_DOMAIN, ROOT_ADMIN_ROLE, None);
        let person = Person {
            username: "admin".to_owned(),
            first_name: "Admin".to_owned(),
            last_name: "User".to_owned(),
            email: "admin@mailprovider.com".to_owned(),
        };
        let user = self.add_user(fixed("a10b37e3-e629-11f1-955b-02fc00000001"), account, person, 1_795_320_189);
        if let Some(account) = self.accounts.get_mut(account) {
            account.is_default = true;
        }
        if let Some(user) = self.users.get_mut(user) {
            user.is_default = true;
            user.password = Some("password".to_owned());
        }
        let keys = Keys { api_key: ADMIN_API_KEY.to_owned(), secret_key: ADMIN_SECRET_KEY.to_owned() };
        self.give_keys(user, keys);
    }

    /// Sets a global setting before the start, where it counts for `cloudian.connector.enabled`.
    ///
    /// # Panics
    /// When there is no such setting or the value is of the wrong type, which is a mistake in the program.
    #[must_use]
    pub fn with_setting(mut self, name: &str, value: &str) -> Self {
        let setting = self.settings.iter_mut().find(|setting| setting.name == name);
        let outcome = setting.map(|setting| setting.set(value));
        assert_eq!(outcome, Some(Ok(())), "the setting {name} cannot be set");
        self
    }

    /// Gives the root admin another password and other keys, for a stand-in that strangers could reach.
    #[must_use]
    pub fn with_admin_secrets(mut self, password: &str, api_key: &str, secret_key: &str) -> Self {
        if let Some(user) = self.users.get_mut(ADMIN_USER) {
            user.password = Some(password.to_owned());
        }
        self.give_keys(ADMIN_USER, Keys { api_key: api_key.to_owned(), secret_key: secret_key.to_owned() });
        self
    }

    /// Gives everybody secrets that nobody can know beforehand: one random password for all users, random keys for the
    /// root admin, and random keys for whoever gets some later. [`crate::Control`] tells them.
    #[must_use]
    pub fn with_random_secrets(mut self) -> Self {
        // Keys from a random seed are guessable only by trying 2^64 seeds, which is enough for a stand-in.
        self.ids = IdSource::new(rand::random());
        let (password, api_key, secret_key) = (self.ids.key(), self.ids.key(), self.ids.key());
        let password = &password[..24];
        self.with_user_passwords(password).with_admin_secrets(password, &api_key, &secret_key)
    }

    /// Gives every user but the root admin this password.
    #[must_use]
    pub fn with_user_passwords(mut self, password: &str) -> Self {
        let others: Vec<u32> =
            self.users.rows().iter().map(|user| user.number).filter(|number| *number != ADMIN_USER).collect();
        for number in others {
            if let Some(user) = self.users.get_mut(number) {
                user.password = Some(password.to_owned());
            }
        }
        self
    }

    pub(crate) fn add_domain(&mut self, uuid: Uuid, name: String, parent: Option<u32>, created_s: Option<i64>) -> u32 {
        if let Some(parent) = parent.and_then(|parent| self.domains.get_mut(parent)) {
            parent.children += 1;
        }
        let number = self.domains.next_number();
        self.domains.push(Domain { number, uuid, name, parent, created_s, children: 0 })
    }

    pub(crate) fn add_account(
        &mut self,
        uuid: Uuid,
        name: String,
        domain: u32,
        role: usize,
        created_s: Option<i64>,
    ) -> u32 {
        let number = self.accounts.next_number();
        let state = State::Enabled;
        let users = Vec::new();
        self.accounts.push(Account { number, uuid, name, domain, role, state, created_s, is_default: false, users })
    }

    pub(crate) fn add_user(&mut self, uuid: Uuid, account: u32, person: Person, created_s: i64) -> u32 {
        let number = self.users.next_number();
        if let Some(account) = self.accounts.get_mut(account) {
            account.users.push(number);
        }
        let Person { username, first_name, last_name, email } = person;
        self.users.push(User {
            number,
            uuid,
            account,
            username,
            first_name,
            last_name,
            email,
            created_s,
            state: State::Enabled,
            is_default: false,
            password: None,
            keys: None,
        })
    }

    /// Replaces the keys of a user.
    pub(crate) fn give_keys(&mut self, user: u32, keys: Keys) {
        self.key_owners.retain(|_, owner| *owner != user);
        self.key_owners.insert(keys.api_key.clone(), user);
        if let Some(user) = self.users.get_mut(user) {
            user.keys = Some(Box::new(keys));
        }
    }

    /// `ROOT/acme/dev`, also of a domain that is gone.
    pub(crate) fn path(&self, domain: u32) -> String {
        let Some(domain) = self.domains.get_or_gone(domain) else { return String::new() };
        match domain.parent {
            None => domain.name.clone(),
            Some(parent) => format!("{}/{}", self.path(parent), domain.name),
        }
    }

    /// `/acme/dev/`, as CloudStack keeps paths itself.
    pub(crate) fn inner_path(&self, domain: u32) -> String {
        let path = self.path(domain);
        format!("{}/", path.strip_prefix("ROOT").unwrap_or(&path))
    }

    /// Whether a domain is another one or stands somewhere below it.
    pub(crate) fn is_within(&self, domain: u32, ancestor: u32) -> bool {
        let mut at = Some(domain);
        while let Some(number) = at {
            if number == ancestor {
                return true;
            }
            at = self.domains.get(number).and_then(|domain| domain.parent);
        }
        false
    }

    /// How deep a domain stands; ROOT is 0.
    pub(crate) fn level(&self, domain: &Domain) -> u32 {
        let parent = domain.parent.and_then(|parent| self.domains.get_or_gone(parent));
        parent.map_or(0, |parent| self.level(parent) + 1)
    }

    /// The domain with a path like `/acme/dev`, with or without slashes at its ends; the empty one is ROOT.
    pub(crate) fn domain_at(&self, path: &str) -> Option<u32> {
        let mut at = ROOT_DOMAIN;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            let below = |domain: &&Domain| domain.parent == Some(at) && domain.name == name;
            at = self.domains.rows().iter().find(below)?.number;
        }
        Some(at)
    }

    pub(crate) fn account_in(&self, domain: u32, name: &str) -> Option<&Account> {
        self.accounts.rows().iter().find(|account| account.domain == domain && account.name == name)
    }

    pub(crate) fn setting(&self, name: &str) -> &str {
        self.settings.iter().find(|setting| setting.name == name).map_or("", |setting| setting.value.as_str())
    }

    /// Whether a user may do anything at all: neither it nor its account is disabled or locked.
    pub(crate) fn may_act(&self, user: &User) -> bool {
        let account = self.accounts.get(user.account);
        user.state == State::Enabled && account.is_some_and(|account| account.state == State::Enabled)
    }

    pub(crate) fn role_of(&self, account: &Account) -> RoleKind {
        roles().get(account.role).map_or(RoleKind::User, |role| role.kind)
    }
}

/// The built-in roles, in the order in which listRoles shows them.
pub(crate) fn roles() -> &'static [Role] {
    #[derive(Deserialize)]
    struct File {
        roles: Vec<Role>,
    }
    static ROLES: OnceLock<Vec<Role>> = OnceLock::new();
    ROLES.get_or_init(|| {
        let file: File =
            serde_json::from_str(include_str!("../data/roles.json")).expect("the embedded roles are well-formed");
        file.roles
    })
}

fn fixed(uuid: &str) -> Uuid {
    Uuid::parse_str(uuid).expect("a uuid in this file is well-formed")
}
