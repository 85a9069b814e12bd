//! What lies on the disk: no secret in clear, and a key ring that fits or nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use engine::{AccessKeyId, Engine, Error};
use secrecy::ExposeSecret;

use crate::support::{OPERATOR, Store, gid, identity, secret, uid};

fn why_unusable(opened: Result<Engine, Error>) -> String {
    match opened {
        Err(Error::Unusable(why)) => why,
        other => panic!("should be refused as unusable: {other:?}"),
    }
}

fn contains(bytes: &[u8], wanted: &str) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted.as_bytes())
}

#[tokio::test]
async fn no_secret_lies_in_the_database_in_clear() {
    let store = Store::open().await;
    let (user, key) = store.user_with_key().await;
    let given = AccessKeyId::new("AKIAEXAMPLE").expect("a key id");
    let imported = "Imported+Secret/Key0123456789";
    store.engine.import_credential(OPERATOR, &user.canonical_id, given, secret(imported)).await.expect("a key");
    store.engine.set_password(OPERATOR, &gid("g"), &uid("u"), &secret("Correct-Horse-1")).await.expect("set");
    store.engine.set_service_account(OPERATOR, "sysadmin", &secret("Generated-Password")).await.expect("set");
    let (token, _) = store.engine.open_session(&identity(&user), Duration::from_secs(60)).await.expect("a session");
    let read = |name: &str| fs::read(store.path(name)).unwrap_or_default();
    // SQLite's own files, and a snapshot: that is all there is to be looked into when the database is PostgreSQL's.
    let mut bytes = fs::read(store.engine.take_snapshot(OPERATOR).await.expect("a snapshot").path).expect("its file");
    bytes.extend(read("metadata.sqlite"));
    bytes.extend(read("metadata.sqlite-wal"));
    store.engine.close().await;
    bytes.extend(read("metadata.sqlite"));
    assert!(contains(&bytes, key.access_key.as_str()), "the search finds what is there");
    for clear in
        [key.secret_key.expose_secret(), imported, "Correct-Horse-1", "Generated-Password", token.expose_secret()]
    {
        assert!(!contains(&bytes, clear), "{clear} lies in the database");
    }
}

#[tokio::test]
async fn debug_output_shows_no_secret() {
    let store = Store::open().await;
    let (_, key) = store.user_with_key().await;
    let login = store.engine.key_login(key.access_key.as_str()).await.expect("a look-up").expect("a working key");
    let shown = format!("{key:?} {login:?} {:?}", store.engine);
    assert!(!shown.contains(key.secret_key.expose_secret()));
}

#[tokio::test]
async fn a_store_opens_with_its_own_ring_only() {
    let store = Store::open().await;
    let (_, key) = store.user_with_key().await;
    let other = Store::open().await;
    store.engine.close().await;
    let ring = store.path("keys.json");
    let own = fs::read(&ring).expect("the ring");

    fs::remove_file(&ring).expect("removed");
    assert!(why_unusable(Engine::open(store.settings.clone()).await).contains("is missing"));
    assert!(!ring.exists(), "no new ring takes its place");

    fs::copy(other.path("keys.json"), &ring).expect("another ring");
    let why = why_unusable(Engine::open(store.settings.clone()).await);
    assert!(why.contains("does not fit the database"), "{why}");

    fs::write(&ring, own).expect("its own again");
    fs::set_permissions(&ring, fs::Permissions::from_mode(0o644)).expect("a mode");
    assert!(why_unusable(Engine::open(store.settings.clone()).await).contains("0600"));
    fs::set_permissions(&ring, fs::Permissions::from_mode(0o600)).expect("a mode");

    let engine = Engine::open(store.settings.clone()).await.expect("its own ring");
    let login = engine.key_login(key.access_key.as_str()).await.expect("a look-up").expect("a working key");
    assert_eq!(login.secret_key.expose_secret(), key.secret_key.expose_secret());
}

#[tokio::test]
async fn the_ring_may_lie_elsewhere() {
    let elsewhere = tempfile::tempdir().expect("a directory");
    let file = elsewhere.path().join("ring.json");
    let mut store = Store::open_with(|settings| settings.key_file = Some(file.clone())).await;
    assert!(file.exists() && !store.path("keys.json").exists());
    let (_, key) = store.user_with_key().await;
    store.restart().await;
    assert!(store.key_works(&key).await);
}
