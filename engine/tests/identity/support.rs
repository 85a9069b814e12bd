//! A store of its own for each test, and short ways to fill it.

use std::path::PathBuf;
use std::sync::Arc;

use engine::{
    Caller, Clock, ClockHand, Credential, Engine, Error, Group, GroupId, Identity, NewGroup, NewUser, Profile, Role,
    Settings, User, UserId,
};
use secrecy::SecretString;
use tempfile::TempDir;

use crate::conflicts::inject_conflicts;
use crate::databases::database;

/// The operator, who may do everything.
pub(crate) const OPERATOR: &Caller = &Caller::LocalOperator;

/// An open store in a directory that goes with it.
pub(crate) struct Store {
    pub(crate) engine: Engine,
    pub(crate) hand: ClockHand,
    pub(crate) settings: Settings,
    _dir: TempDir,
}

impl Store {
    pub(crate) async fn open() -> Self {
        Self::open_with(|_| ()).await
    }

    pub(crate) async fn open_with(change: impl FnOnce(&mut Settings)) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let mut settings = Settings::new(dir.path());
        let (clock, hand) = Clock::movable();
        settings.clock = clock;
        settings.database = database();
        change(&mut settings);
        let engine = Engine::open(settings.clone()).await.expect("a store");
        inject_conflicts(&settings.database);
        Self { engine, hand, settings, _dir: dir }
    }

    /// Closes the store and opens it again, as a restart does.
    pub(crate) async fn restart(&mut self) {
        self.engine.close().await;
        self.engine = Engine::open(self.settings.clone()).await.expect("the store opened again");
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.settings.data_dir.join(name)
    }

    pub(crate) async fn group(&self, id: &str) -> Group {
        self.engine.create_group(OPERATOR, new_group(id)).await.expect("a group")
    }

    pub(crate) async fn user(&self, group: &str, user: &str) -> User {
        self.engine.create_user(OPERATOR, new_user(group, user)).await.expect("a user")
    }

    pub(crate) async fn user_with_role(&self, group: &str, user: &str, role: Role) -> User {
        let new = NewUser { role, ..new_user(group, user) };
        self.engine.create_user(OPERATOR, new).await.expect("a user")
    }

    pub(crate) async fn key(&self, owner: &User) -> Credential {
        self.engine.create_credential(OPERATOR, &owner.canonical_id).await.expect("a key")
    }

    /// The user `u` in the group `g` and a key of it.
    pub(crate) async fn user_with_key(&self) -> (User, Credential) {
        self.group("g").await;
        let user = self.user("g", "u").await;
        let key = self.key(&user).await;
        (user, key)
    }

    /// Whether requests signed with the key are taken.
    pub(crate) async fn key_works(&self, key: &Credential) -> bool {
        self.engine.key_login(key.access_key.as_str()).await.expect("a look-up").is_some()
    }
}

pub(crate) fn gid(text: &str) -> GroupId {
    GroupId::new(text).expect("a group id")
}

pub(crate) fn uid(text: &str) -> UserId {
    UserId::new(text).expect("a user id")
}

pub(crate) fn secret(text: &str) -> SecretString {
    SecretString::from(text)
}

pub(crate) fn new_group(id: &str) -> NewGroup {
    NewGroup { group_id: gid(id), group_name: format!("/{id}/"), active: true, profile: Profile::new() }
}

pub(crate) fn new_user(group: &str, user: &str) -> NewUser {
    NewUser {
        group_id: gid(group),
        user_id: uid(user),
        role: Role::User,
        full_name: format!("Name of {user}"),
        email: format!("{user}@example.com"),
        active: true,
        profile: Profile::new(),
        with_credential: false,
    }
}

pub(crate) fn profile(json: &serde_json::Value) -> Profile {
    json.as_object().cloned().expect("an object")
}

pub(crate) fn identity(user: &User) -> Identity {
    Identity {
        canonical_id: user.canonical_id.clone(),
        group_id: user.group_id.clone(),
        user_id: user.user_id.clone(),
        display_name: user.full_name.clone(),
        role: user.role,
    }
}

pub(crate) fn caller(user: &User) -> Caller {
    Caller::user(Arc::new(identity(user)))
}

/// The name of an error's variant, to compare by.
pub(crate) fn name_of(error: &Error) -> String {
    let debug = format!("{error:?}");
    debug.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default().to_owned()
}

/// What an operation that must fail failed with.
pub(crate) fn failure<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
    name_of(&result.expect_err("should be refused"))
}
