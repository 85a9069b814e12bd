//! Access that is taken is gone when the change is answered: keys from the cache, sessions from the database, whatever else runs.

use std::time::Duration;

use engine::{Credential, GroupChange, Identity, User, UserChange};
use secrecy::{ExposeSecret, SecretString};

use crate::support::{OPERATOR, Store, failure, gid, identity, secret, uid};

const HOUR: Duration = Duration::from_secs(3600);

/// The user `u` with a key that the cache knows and an open session.
struct SignedIn {
    store: Store,
    user: User,
    key: Credential,
    token: SecretString,
}

impl SignedIn {
    async fn new() -> Self {
        let store = Store::open().await;
        let (user, key) = store.user_with_key().await;
        let (token, _) = store.engine.open_session(&identity(&user), HOUR).await.expect("a session");
        let signed_in = Self { store, user, key, token };
        assert_eq!(signed_in.access().await, (true, true));
        signed_in
    }

    /// Whether the key and the session work.
    async fn access(&self) -> (bool, bool) {
        let session = self.store.engine.session(self.token.expose_secret()).await.expect("a look-up");
        (self.store.key_works(&self.key).await, session.is_some())
    }

    async fn set_user_active(&self, active: bool) {
        let change = UserChange { active: Some(active), ..Default::default() };
        self.store.engine.change_user(OPERATOR, &gid("g"), &uid("u"), change).await.expect("a change");
    }

    async fn set_group_active(&self, active: bool) {
        let change = GroupChange { active: Some(active), ..Default::default() };
        self.store.engine.change_group(OPERATOR, &gid("g"), change).await.expect("a change");
    }
}

#[tokio::test]
async fn deactivating_a_user_takes_keys_and_sessions_and_gives_back_keys_only() {
    let signed_in = SignedIn::new().await;
    signed_in.set_user_active(false).await;
    assert_eq!(signed_in.access().await, (false, false));
    signed_in.set_user_active(true).await;
    assert_eq!(signed_in.access().await, (true, false));
}

#[tokio::test]
async fn deactivating_a_group_takes_keys_and_sessions_of_its_users_only() {
    let signed_in = SignedIn::new().await;
    let store = &signed_in.store;
    store.group("h").await;
    let other = store.user("h", "v").await;
    let other_key = store.key(&other).await;
    let (other_token, _) = store.engine.open_session(&identity(&other), HOUR).await.expect("a session");
    signed_in.set_group_active(false).await;
    assert_eq!(signed_in.access().await, (false, false));
    assert!(store.key_works(&other_key).await);
    assert!(store.engine.session(other_token.expose_secret()).await.expect("a look-up").is_some());
    signed_in.set_group_active(true).await;
    assert_eq!(signed_in.access().await, (true, false));
}

#[tokio::test]
async fn deleting_a_user_takes_everything_for_good() {
    let signed_in = SignedIn::new().await;
    let (store, user) = (&signed_in.store, &signed_in.user);
    store.engine.set_password(OPERATOR, &gid("g"), &uid("u"), &secret("Correct-Horse-1")).await.expect("set");
    store.engine.delete_user(OPERATOR, &gid("g"), &uid("u")).await.expect("deleted");
    assert_eq!(signed_in.access().await, (false, false));
    assert_eq!(failure(store.engine.delete_user(OPERATOR, &gid("g"), &uid("u")).await), "NoSuchUser");
    assert_eq!(store.engine.find_user(OPERATOR, &gid("g"), &uid("u")).await.expect("a look-up"), None);
    assert!(store.engine.find_credential(OPERATOR, &signed_in.key.access_key).await.expect("a look-up").is_none());
    let login = store.engine.login_with_password(&gid("g"), &uid("u"), &secret("Correct-Horse-1")).await;
    assert_eq!(failure(login), "LoginRefused");
    let again = store.user("g", "u").await;
    assert_ne!(again.canonical_id, user.canonical_id, "the same name is another user");
    assert_eq!(signed_in.access().await, (false, false));
    let login = store.engine.login_with_password(&gid("g"), &uid("u"), &secret("Correct-Horse-1")).await;
    assert_eq!(failure(login), "LoginRefused");
}

#[tokio::test]
async fn a_new_password_ends_the_sessions() {
    let signed_in = SignedIn::new().await;
    let password = secret("Correct-Horse-1");
    signed_in.store.engine.set_password(OPERATOR, &gid("g"), &uid("u"), &password).await.expect("set");
    assert_eq!(signed_in.access().await, (true, false));
}

#[tokio::test]
async fn a_changed_name_and_role_show_at_once() {
    let signed_in = SignedIn::new().await;
    let change =
        UserChange { full_name: Some("New Name".into()), role: Some(engine::Role::GroupAdmin), ..Default::default() };
    signed_in.store.engine.change_user(OPERATOR, &gid("g"), &uid("u"), change).await.expect("a change");
    let check = |identity: &Identity| {
        assert_eq!((identity.display_name.as_str(), identity.role), ("New Name", engine::Role::GroupAdmin));
    };
    let key = signed_in.key.access_key.as_str();
    check(signed_in.store.engine.key_login(key).await.expect("a look-up").expect("a working key").account());
    let session = signed_in.store.engine.session(signed_in.token.expose_secret()).await;
    check(&session.expect("a look-up").expect("a session").identity);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_at_the_same_time_bring_no_revoked_key_back() {
    let signed_in = SignedIn::new().await;
    let id = signed_in.key.access_key.clone();
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let (engine, id) = (signed_in.store.engine.clone(), id.clone());
            tokio::spawn(async move {
                loop {
                    engine.key_login(id.as_str()).await.expect("a look-up");
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for round in 0..100 {
        let active = round % 2 == 1;
        signed_in.store.engine.set_credential_active(OPERATOR, &id, active).await.expect("switched");
        for _ in 0..5 {
            assert_eq!(signed_in.store.key_works(&signed_in.key).await, active, "round {round}");
        }
    }
    for reader in readers {
        reader.abort();
    }
}

#[tokio::test]
async fn a_change_takes_effect_when_its_caller_goes_away() {
    let signed_in = SignedIn::new().await;
    let (group, user) = (gid("g"), uid("u"));
    {
        let mut deletion = std::pin::pin!(signed_in.store.engine.delete_user(OPERATOR, &group, &user));
        assert!(futures::poll!(&mut deletion).is_pending(), "the caller goes away before the commit");
    }
    for _ in 0..500 {
        if signed_in.access().await == (false, false) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the key still works");
}
