//! The trash: who is in it, how it comes back, and how it ends.

use std::time::Duration;

use engine::{CanonicalId, NewUser, Role, User, UserChange};
use secrecy::ExposeSecret;
use serde_json::json;

use crate::support::{OPERATOR, Store, failure, gid, identity, new_user, profile, secret, uid};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

async fn delete(store: &Store, user: &User) {
    store.engine.delete_user(OPERATOR, &user.group_id, &user.user_id).await.expect("deleted");
}

async fn trashed_ids(store: &Store) -> Vec<CanonicalId> {
    let trash = store.engine.list_trash(OPERATOR).await.expect("the trash");
    trash.into_iter().map(|user| user.canonical_id).collect()
}

#[tokio::test]
async fn a_deleted_user_waits_in_the_trash_oldest_first() {
    let mut store = Store::open().await;
    store.group("g").await;
    let (first, second) = (store.user("g", "z").await, store.user("g", "a").await);
    delete(&store, &first).await;
    store.hand.advance(DAY);
    delete(&store, &second).await;
    store.restart().await;
    let trash = store.engine.list_trash(OPERATOR).await.expect("the trash");
    assert_eq!(trash.len(), 2);
    let found = &trash[0];
    assert_eq!((&found.canonical_id, &found.group_id, &found.user_id), (&first.canonical_id, &gid("g"), &uid("z")));
    assert_eq!((found.group_name.as_str(), found.full_name.as_str()), ("/g/", "Name of z"));
    assert_eq!((found.bucket_count, found.size_bytes), (0, 0));
    assert_eq!(found.purge_after_us - found.trashed_us, 7 * 86_400_000_000);
    assert_eq!(trash[1].canonical_id, second.canonical_id);
}

#[tokio::test]
async fn a_restored_user_is_as_it_was_but_without_access() {
    let store = Store::open().await;
    store.group("g").await;
    for (id, role, active) in [("one", Role::User, true), ("two", Role::GroupAdmin, false)] {
        let extra = profile(&json!({"city": "Köln"}));
        let new = NewUser { role, active, profile: extra, with_credential: true, ..new_user("g", id) };
        let user = store.engine.create_user(OPERATOR, new).await.expect("a user");
        store.engine.set_password(OPERATOR, &gid("g"), &uid(id), &secret("Correct-Horse-1")).await.expect("set");
        let session = store.engine.open_session(&identity(&user), DAY * 30).await;
        store.hand.advance(DAY);
        delete(&store, &user).await;
        let restored = store.engine.restore_user(OPERATOR, &user.canonical_id).await.expect("restored");
        assert_eq!(restored, user);
        assert_eq!(store.engine.find_user(OPERATOR, &gid("g"), &uid(id)).await.expect("a look-up"), Some(user.clone()));
        assert_eq!(store.engine.list_credentials(OPERATOR, &user.canonical_id).await.expect("a list").len(), 0);
        let login = store.engine.login_with_password(&gid("g"), &uid(id), &secret("Correct-Horse-1")).await;
        assert_eq!(failure(login), "LoginRefused");
        if active {
            let (token, _) = session.expect("a session");
            assert!(store.engine.session(token.expose_secret()).await.expect("a look-up").is_none());
        }
        assert_eq!(trashed_ids(&store).await, []);
        assert_eq!(failure(store.engine.restore_user(OPERATOR, &user.canonical_id).await), "NotInTrash");
    }
}

#[tokio::test]
async fn a_restored_user_brings_its_group_back() {
    let store = Store::open().await;
    store.group("g").await;
    let (one, two) = (store.user("g", "one").await, store.user("g", "two").await);
    delete(&store, &one).await;
    delete(&store, &two).await;
    store.engine.delete_group(OPERATOR, &gid("g")).await.expect("an empty group");
    for user in [&one, &two] {
        store.engine.restore_user(OPERATOR, &user.canonical_id).await.expect("restored");
        let group = store.engine.find_group(OPERATOR, &gid("g")).await.expect("a look-up").expect("the group");
        assert_eq!((group.group_name.as_str(), group.active), ("/g/", true));
    }
    let key = store.key(&one).await;
    assert!(store.key_works(&key).await);
}

#[tokio::test]
async fn the_name_of_a_trashed_user_is_free_and_then_taken() {
    let store = Store::open().await;
    store.group("g").await;
    let old = store.user("g", "u").await;
    delete(&store, &old).await;
    let new = store.user("g", "u").await;
    assert_ne!(new.canonical_id, old.canonical_id);
    assert_eq!(failure(store.engine.restore_user(OPERATOR, &old.canonical_id).await), "UserExists");
    assert_eq!(
        trashed_ids(&store).await,
        std::slice::from_ref(&old.canonical_id),
        "a refused restoration leaves it there"
    );
    delete(&store, &new).await;
    store.engine.restore_user(OPERATOR, &old.canonical_id).await.expect("the name is free again");
    assert_eq!(trashed_ids(&store).await, [new.canonical_id]);
}

#[tokio::test]
async fn a_refused_restoration_does_not_bring_the_group_back() {
    let store = Store::open().await;
    let nobody = CanonicalId::new(&"0".repeat(32)).expect("an id");
    assert_eq!(failure(store.engine.restore_user(OPERATOR, &nobody).await), "NotInTrash");
    assert_eq!(failure(store.engine.purge_user(OPERATOR, &nobody).await), "NotInTrash");
    store.group("g").await;
    let user = store.user("g", "u").await;
    delete(&store, &user).await;
    store.engine.delete_group(OPERATOR, &gid("g")).await.expect("an empty group");
    store.hand.advance(DAY * 8);
    assert_eq!(failure(store.engine.restore_user(OPERATOR, &user.canonical_id).await), "NotInTrash");
    assert_eq!(store.engine.find_group(OPERATOR, &gid("g")).await.expect("a look-up"), None);
}

#[tokio::test]
async fn a_change_cannot_reach_into_the_trash() {
    let store = Store::open().await;
    store.group("g").await;
    let user = store.user("g", "u").await;
    delete(&store, &user).await;
    let changed = store.engine.change_user(OPERATOR, &gid("g"), &uid("u"), UserChange::default()).await;
    assert_eq!(failure(changed), "NoSuchUser");
    assert_eq!(failure(store.engine.create_credential(OPERATOR, &user.canonical_id).await), "NoSuchUser");
    let password = secret("Correct-Horse-1");
    let set = store.engine.set_password(OPERATOR, &gid("g"), &uid("u"), &password).await;
    assert_eq!(failure(set), "NoSuchUser");
}
