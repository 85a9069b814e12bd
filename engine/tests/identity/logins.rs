//! Passwords, sign-on links, sessions and service accounts.

use std::sync::Arc;
use std::time::Duration;

use engine::{Body, BucketName, Caller, GroupChange, NewObject, ObjectKey, UserChange};
use secrecy::{ExposeSecret, SecretString};
use simulated_disk::{SimulatedDisk, Target};

use crate::support::{OPERATOR, Store, caller, failure, gid, identity, secret, uid};

const HOUR: Duration = Duration::from_secs(3600);
const PASSWORD: &str = "Correct-Horse-1";

async fn store_with_password() -> Store {
    let store = Store::open().await;
    store.group("g").await;
    store.user("g", "u").await;
    store.engine.set_password(OPERATOR, &gid("g"), &uid("u"), &secret(PASSWORD)).await.expect("set");
    store
}

async fn logs_in(store: &Store, password: &str) -> bool {
    match store.engine.login_with_password(&gid("g"), &uid("u"), &secret(password)).await {
        Ok(identity) => identity.user_id == uid("u"),
        Err(engine::Error::LoginRefused) => false,
        Err(other) => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_password_logs_in_until_it_is_replaced() {
    let mut store = store_with_password().await;
    assert!(logs_in(&store, PASSWORD).await);
    assert!(!logs_in(&store, "Correct-Horse-2").await);
    store.restart().await;
    assert!(logs_in(&store, PASSWORD).await);
    let own = caller(&store.engine.find_user(OPERATOR, &gid("g"), &uid("u")).await.expect("ok").expect("u"));
    store.engine.set_password(&own, &gid("g"), &uid("u"), &secret("Other-Horse-1")).await.expect("its own");
    assert!(!logs_in(&store, PASSWORD).await, "also when it was remembered");
    assert!(logs_in(&store, "Other-Horse-1").await);
}

#[tokio::test]
async fn nobody_logs_in_without_a_user_a_password_or_while_inactive() {
    let store = store_with_password().await;
    store.user("g", "without").await;
    for (group, user) in [("g", "without"), ("g", "nobody"), ("nowhere", "u"), ("0", "admin")] {
        for password in [PASSWORD, ""] {
            let refused = store.engine.login_with_password(&gid(group), &uid(user), &secret(password)).await;
            assert_eq!(failure(refused), "LoginRefused", "{group} {user}");
        }
    }
    for active in [false, true] {
        let change = UserChange { active: Some(active), ..Default::default() };
        store.engine.change_user(OPERATOR, &gid("g"), &uid("u"), change).await.expect("a change");
        assert_eq!(logs_in(&store, PASSWORD).await, active);
    }
    for active in [false, true] {
        let change = GroupChange { active: Some(active), ..Default::default() };
        store.engine.change_group(OPERATOR, &gid("g"), change).await.expect("a change");
        assert_eq!(logs_in(&store, PASSWORD).await, active);
    }
}

#[tokio::test]
async fn a_proven_log_in_needs_an_active_user_in_an_active_group() {
    let store = store_with_password().await;
    let proof = async || store.engine.login_by_proof(&gid("g"), &uid("u")).await;
    assert_eq!(proof().await.expect("logged in").group_id, gid("g"));
    let refused = store.engine.login_by_proof(&gid("g"), &uid("nobody")).await;
    assert_eq!(failure(refused), "LoginRefused");
    let off = GroupChange { active: Some(false), ..Default::default() };
    store.engine.change_group(OPERATOR, &gid("g"), off).await.expect("a change");
    assert_eq!(failure(proof().await), "LoginRefused");
}

#[tokio::test]
async fn a_link_is_used_once_also_across_restarts_and_at_once() {
    let mut store = Store::open().await;
    let expires_us = store.settings.clock.now_us() + 600_000_000;
    let claims = (0..16).map(|_| store.engine.claim_link(b"signature", expires_us));
    let claimed = futures::future::join_all(claims).await;
    assert_eq!(claimed.iter().filter(|claim| claim.is_ok()).count(), 1);
    store.engine.claim_link(b"signaturf", expires_us).await.expect("another link");
    store.restart().await;
    assert_eq!(failure(store.engine.claim_link(b"signature", expires_us).await), "LinkUsed");
    store.engine.run_workers().await.expect("the workers");
    assert_eq!(failure(store.engine.claim_link(b"signature", expires_us).await), "LinkUsed", "not forgotten too early");
    store.hand.advance(Duration::from_secs(601));
    store.engine.run_workers().await.expect("the workers");
    store.engine.claim_link(b"signature", expires_us).await.expect("forgotten once its clock refuses it");
}

#[tokio::test]
async fn a_session_lasts_its_time_also_across_restarts() {
    let mut store = store_with_password().await;
    let user = store.engine.login_by_proof(&gid("g"), &uid("u")).await.expect("logged in");
    let (token, opened) = store.engine.open_session(&user, HOUR).await.expect("a session");
    let (second, other) = store.engine.open_session(&user, HOUR).await.expect("a session");
    assert_ne!(token.expose_secret(), second.expose_secret());
    assert_ne!(opened.csrf_token, other.csrf_token);
    assert!(token.expose_secret().len() >= 43 && opened.csrf_token.len() >= 43);
    store.restart().await;
    let found = store.engine.session(token.expose_secret()).await.expect("a look-up").expect("the session");
    assert_eq!((found.identity, found.csrf_token, found.expires_us), (user, opened.csrf_token, opened.expires_us));
    store.hand.advance(HOUR - Duration::from_secs(60));
    assert!(store.engine.session(token.expose_secret()).await.expect("a look-up").is_some());
    store.hand.advance(Duration::from_secs(61));
    assert!(store.engine.session(token.expose_secret()).await.expect("a look-up").is_none());
    store.engine.run_workers().await.expect("the workers");
    assert!(store.engine.session(token.expose_secret()).await.expect("a look-up").is_none());
}

#[tokio::test]
async fn closing_a_session_ends_that_one() {
    let store = store_with_password().await;
    let user = store.engine.login_by_proof(&gid("g"), &uid("u")).await.expect("logged in");
    let (one, _) = store.engine.open_session(&user, HOUR).await.expect("a session");
    let (two, _) = store.engine.open_session(&user, HOUR).await.expect("a session");
    store.engine.close_session(one.expose_secret()).await.expect("closed");
    store.engine.close_session(one.expose_secret()).await.expect("no error");
    store.engine.close_session("nonsense").await.expect("no error");
    assert!(store.engine.session(one.expose_secret()).await.expect("a look-up").is_none());
    assert!(store.engine.session(two.expose_secret()).await.expect("a look-up").is_some());
    assert!(store.engine.session("").await.expect("a look-up").is_none());
}

#[tokio::test]
async fn a_session_opens_only_for_an_active_user_that_exists() {
    let store = store_with_password().await;
    let user = store.engine.find_user(OPERATOR, &gid("g"), &uid("u")).await.expect("a look-up").expect("u");
    let off = UserChange { active: Some(false), ..Default::default() };
    store.engine.change_user(OPERATOR, &gid("g"), &uid("u"), off).await.expect("a change");
    assert_eq!(failure(store.engine.open_session(&identity(&user), HOUR).await), "LoginRefused");
    store.engine.delete_user(OPERATOR, &gid("g"), &uid("u")).await.expect("deleted");
    assert_eq!(failure(store.engine.open_session(&identity(&user), HOUR).await), "LoginRefused");
}

#[tokio::test]
async fn a_service_account_logs_in_with_its_own_password_only() {
    let mut store = Store::open().await;
    assert!(!store.engine.has_service_account("sysadmin").await.expect("a look-up"));
    let set = async |store: &Store, name: &str, password: &str| {
        store.engine.set_service_account(OPERATOR, name, &secret(password)).await
    };
    set(&store, "sysadmin", "generated-1").await.expect("set");
    set(&store, "connector", "generated-2").await.expect("set");
    store.restart().await;
    assert!(store.engine.has_service_account("sysadmin").await.expect("a look-up"));
    let login = async |store: &Store, name: &str, password: &str| {
        store.engine.login_service_account(name, &secret(password)).await
    };
    let caller = login(&store, "sysadmin", "generated-1").await.expect("logged in");
    assert!(matches!(caller, Caller::AdminService));
    for (name, password) in [
        ("sysadmin", "generated-2"),
        ("connector", "generated-1"),
        ("sysadmin", ""),
        ("SYSADMIN", "generated-1"),
        ("nobody", "generated-1"),
        ("nobody", ""),
        ("", ""),
    ] {
        assert_eq!(failure(login(&store, name, password).await), "LoginRefused", "{name} {password}");
    }
    set(&store, "sysadmin", "generated-3").await.expect("replaced");
    assert_eq!(failure(login(&store, "sysadmin", "generated-1").await), "LoginRefused");
    login(&store, "sysadmin", "generated-3").await.expect("logged in");
    for (name, password) in [("", "x"), ("a:b", "x"), ("a b", "x"), ("name", ""), (&"n".repeat(65), "x")] {
        assert_eq!(failure(set(&store, name, password).await), "Invalid", "{name} {password}");
    }
}

async fn sign_in(store: &Store) -> SecretString {
    let user = store.engine.login_with_password(&gid("g"), &uid("u"), &secret(PASSWORD)).await.expect("logged in");
    store.engine.open_session(&user, HOUR).await.expect("a session").0
}

async fn is_signed_in(store: &Store, token: &SecretString) -> bool {
    let found = store.engine.session(token.expose_secret()).await.expect("a look-up");
    found.is_some_and(|session| session.identity.user_id == uid("u") && session.csrf_token.len() >= 43)
}

/// A blob cannot be synced, so that nothing is written any more.
async fn becomes_read_only(store: &Store, disk: &SimulatedDisk) {
    let user = store.engine.find_user(OPERATOR, &gid("g"), &uid("u")).await.expect("a look-up").expect("u");
    let (owner, bucket) = (caller(&user), BucketName::new("bucket").expect("a name"));
    store.engine.create_bucket(&owner, &bucket).await.expect("a bucket");
    disk.fail_sync(Target::Blob, 1);
    let (key, body) = (ObjectKey::new("k").expect("a key"), Body::from_bytes(vec![7; 50_000]));
    let put = store.engine.put_object(&owner, &bucket, &key, NewObject::default(), body).await;
    assert_eq!(failure(put), "ReadOnly");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_takes_no_writes_lets_people_sign_in_and_out() {
    let mut disk = None;
    let mut store = Store::open_with(|settings| {
        let simulated = SimulatedDisk::open(&settings.data_dir).expect("a disk");
        settings.data_dir = settings.data_dir.join("data");
        settings.disk = Arc::new(simulated.clone());
        disk = Some(simulated);
    })
    .await;
    let disk = disk.expect("a disk");
    store.group("g").await;
    store.user("g", "u").await;
    store.engine.set_password(OPERATOR, &gid("g"), &uid("u"), &secret(PASSWORD)).await.expect("set");
    let (kept, left) = (sign_in(&store).await, sign_in(&store).await);
    becomes_read_only(&store, &disk).await;

    let (one, two) = (sign_in(&store).await, sign_in(&store).await);
    for token in [&kept, &left, &one, &two] {
        assert!(is_signed_in(&store, token).await);
    }
    assert!(!logs_in(&store, "Correct-Horse-2").await);
    for token in [&left, &one, &one] {
        store.engine.close_session(token.expose_secret()).await.expect("closed");
        assert!(!is_signed_in(&store, token).await);
    }
    assert!(is_signed_in(&store, &kept).await && is_signed_in(&store, &two).await);
    // A link must be remembered to be used once.
    let expires_us = store.settings.clock.now_us() + 600_000_000;
    assert_eq!(failure(store.engine.claim_link(b"signature", expires_us).await), "ReadOnly");
    store.hand.advance(HOUR);
    assert!(!is_signed_in(&store, &two).await, "it lasts its time");

    disk.restart();
    store.restart().await;
    assert!(!is_signed_in(&store, &one).await && !is_signed_in(&store, &two).await);
    let again = sign_in(&store).await;
    store.restart().await;
    assert!(is_signed_in(&store, &again).await, "it is kept again");
}
