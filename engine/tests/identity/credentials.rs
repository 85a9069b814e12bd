//! Access keys: made, imported, switched, deleted, and what they log in.

use std::time::Duration;

use engine::{AccessKeyId, CanonicalId, UserChange};
use secrecy::ExposeSecret;

use crate::support::{OPERATOR, Store, caller, failure, gid, secret, uid};

fn key_id(text: &str) -> AccessKeyId {
    AccessKeyId::new(text).expect("a key id")
}

#[tokio::test]
async fn a_made_key_has_its_shape_and_logs_its_user_in() {
    let mut store = Store::open().await;
    let (user, key) = store.user_with_key().await;
    assert_eq!((key.access_key.as_str().len(), key.secret_key.expose_secret().len()), (20, 40));
    assert_eq!((&key.owner, key.active, key.expires_us), (&user.canonical_id, true, None));
    store.restart().await;
    for _ in 0..2 {
        let login = store.engine.key_login(key.access_key.as_str()).await.expect("a look-up").expect("a working key");
        assert_eq!(login.secret_key.expose_secret(), key.secret_key.expose_secret());
        assert_eq!(login.account().canonical_id, user.canonical_id);
        assert_eq!(login.account().display_name, "Name of u");
    }
    let found = store.engine.find_credential(OPERATOR, &key.access_key).await.expect("a look-up").expect("the key");
    assert_eq!(found.secret_key.expose_secret(), key.secret_key.expose_secret());
    assert!(store.engine.key_login("nobody").await.expect("a look-up").is_none());
}

#[tokio::test]
async fn a_user_without_a_full_name_is_shown_by_its_id() {
    let store = Store::open().await;
    let (_, key) = store.user_with_key().await;
    let nameless = UserChange { full_name: Some(String::new()), ..Default::default() };
    store.engine.change_user(OPERATOR, &gid("g"), &uid("u"), nameless).await.expect("a change");
    let login = store.engine.key_login(key.access_key.as_str()).await.expect("a look-up").expect("a working key");
    assert_eq!(login.account().display_name, "u");
}

#[tokio::test]
async fn imported_keys_are_checked_and_unique() {
    let store = Store::open().await;
    let (user, _) = store.user_with_key().await;
    let other = store.user("g", "v").await;
    let import = async |owner: &CanonicalId, id: &str, text: &str| {
        store.engine.import_credential(OPERATOR, owner, key_id(id), secret(text)).await
    };
    let made = import(&user.canonical_id, "AKIAEXAMPLE", "wJalr/XUtn+FEMI=").await.expect("a key");
    assert_eq!(made.secret_key.expose_secret(), "wJalr/XUtn+FEMI=");
    assert!(store.key_works(&made).await);
    for owner in [&user.canonical_id, &other.canonical_id] {
        assert_eq!(failure(import(owner, "AKIAEXAMPLE", "other").await), "CredentialExists");
    }
    let longest = "x".repeat(128);
    import(&user.canonical_id, "LONG", &longest).await.expect("a key");
    for bad in ["", "with blank", "dash-", "ümlaut", "new\nline", &"x".repeat(129)] {
        assert_eq!(failure(import(&user.canonical_id, "BAD", bad).await), "Invalid", "{bad:?}");
    }
    let nobody = CanonicalId::new(&"0".repeat(32)).expect("an id");
    assert_eq!(failure(import(&nobody, "NOBODY", "secret").await), "NoSuchUser");
}

#[tokio::test]
async fn keys_are_limited_also_when_made_at_once() {
    let store = Store::open_with(|settings| settings.keys_per_user_max = 3).await;
    store.group("g").await;
    let user = store.user("g", "u").await;
    let made =
        futures::future::join_all((0..8).map(|_| store.engine.create_credential(OPERATOR, &user.canonical_id))).await;
    assert_eq!(made.iter().filter(|result| result.is_ok()).count(), 3);
    for refused in made.into_iter().filter(Result::is_err) {
        assert_eq!(failure(refused), "TooManyCredentials");
    }
    let keys = store.engine.list_credentials(OPERATOR, &user.canonical_id).await.expect("a list");
    store.engine.set_credential_active(OPERATOR, &keys[0].access_key, false).await.expect("switched off");
    assert_eq!(failure(store.engine.create_credential(OPERATOR, &user.canonical_id).await), "TooManyCredentials");
    store.engine.delete_credential(OPERATOR, &keys[0].access_key).await.expect("deleted");
    store.engine.create_credential(OPERATOR, &user.canonical_id).await.expect("there is room again");
}

#[tokio::test]
async fn a_list_is_of_one_user_oldest_first() {
    let store = Store::open().await;
    let (user, first) = store.user_with_key().await;
    let other = store.user("g", "v").await;
    store.key(&other).await;
    store.hand.advance(Duration::from_secs(1));
    let second = store.key(&user).await;
    let listed = store.engine.list_credentials(OPERATOR, &user.canonical_id).await.expect("a list");
    let ids: Vec<_> = listed.iter().map(|key| &key.access_key).collect();
    assert_eq!(ids, [&first.access_key, &second.access_key]);
    let nobody = CanonicalId::new(&"0".repeat(32)).expect("an id");
    assert_eq!(failure(store.engine.list_credentials(OPERATOR, &nobody).await), "NoSuchUser");
}

#[tokio::test]
async fn a_switched_key_works_only_while_it_is_on() {
    let store = Store::open().await;
    let (user, key) = store.user_with_key().await;
    for active in [false, false, true] {
        store.engine.set_credential_active(OPERATOR, &key.access_key, active).await.expect("switched");
        assert_eq!(store.key_works(&key).await, active);
        let found = store.engine.find_credential(OPERATOR, &key.access_key).await.expect("a look-up").expect("the key");
        assert_eq!(found.active, active);
    }
    store.engine.delete_credential(OPERATOR, &key.access_key).await.expect("deleted");
    assert!(!store.key_works(&key).await);
    assert_eq!(store.engine.list_credentials(OPERATOR, &user.canonical_id).await.expect("a list").len(), 0);
    assert_eq!(failure(store.engine.delete_credential(OPERATOR, &key.access_key).await), "NoSuchCredential");
    let switched = store.engine.set_credential_active(OPERATOR, &key.access_key, true).await;
    assert_eq!(failure(switched), "NoSuchCredential");
}

#[tokio::test]
async fn a_user_manages_its_own_keys_and_sees_no_others() {
    let store = Store::open().await;
    let (user, key) = store.user_with_key().await;
    let other = store.user("g", "v").await;
    let other_key = store.key(&other).await;
    let me = caller(&user);

    let own = store.engine.create_credential(&me, &user.canonical_id).await.expect("its own");
    assert_eq!(store.engine.list_credentials(&me, &user.canonical_id).await.expect("its own").len(), 2);
    store.engine.set_credential_active(&me, &own.access_key, false).await.expect("its own");
    assert!(store.engine.find_credential(&me, &own.access_key).await.expect("its own").is_some());
    store.engine.delete_credential(&me, &own.access_key).await.expect("its own");

    let id = &other_key.access_key;
    assert!(store.engine.find_credential(&me, id).await.expect("as if there were none").is_none());
    assert_eq!(failure(store.engine.set_credential_active(&me, id, false).await), "NoSuchCredential");
    assert_eq!(failure(store.engine.delete_credential(&me, id).await), "NoSuchCredential");
    assert_eq!(failure(store.engine.create_credential(&me, &other.canonical_id).await), "AccessDenied");
    assert!(store.key_works(&other_key).await && store.key_works(&key).await);
}
