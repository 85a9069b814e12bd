//! Users: made, changed, found, listed, and the administrator that stays.

use engine::{CanonicalId, NewUser, PageRequest, Role, UserChange, UserFilter};
use serde_json::json;

use crate::support::{OPERATOR, Store, caller, failure, gid, new_user, profile, secret, uid};

const ALL: PageRequest = PageRequest { prefix: String::new(), from: None, rows_max: 100 };

async fn ids(store: &Store, filter: UserFilter, page: PageRequest) -> Vec<String> {
    let users = store.engine.list_users(OPERATOR, &gid("g"), filter, page).await.expect("a list");
    users.into_iter().map(|user| user.user_id.to_string()).collect()
}

#[tokio::test]
async fn a_user_is_kept_as_given_and_found_by_both_names() {
    let mut store = Store::open().await;
    store.group("g").await;
    let new = NewUser {
        full_name: "Jürgen Ångström (jå)".into(),
        email: String::new(),
        active: false,
        role: Role::GroupAdmin,
        profile: profile(&json!({"address1": null, "city": "Köln"})),
        ..new_user("g", "u")
    };
    let made = store.engine.create_user(OPERATOR, new).await.expect("a user");
    assert_eq!((made.full_name.as_str(), made.email.as_str()), ("Jürgen Ångström (jå)", ""));
    assert_eq!((made.active, made.role), (false, Role::GroupAdmin));
    assert!(CanonicalId::new(made.canonical_id.as_str()).is_ok(), "32 hexadecimal digits");
    store.restart().await;
    let by_name = store.engine.find_user(OPERATOR, &gid("g"), &uid("u")).await.expect("a look-up");
    assert_eq!(by_name.as_ref(), Some(&made));
    let by_id = store.engine.find_user_by_canonical_id(OPERATOR, &made.canonical_id).await.expect("a look-up");
    assert_eq!(by_id, by_name);
}

#[tokio::test]
async fn ids_are_unique_in_their_group_only() {
    let store = Store::open().await;
    store.group("g").await;
    store.group("h").await;
    let (one, two) = (store.user("g", "u").await, store.user("h", "u").await);
    assert_ne!(one.canonical_id, two.canonical_id);
    assert_eq!(failure(store.engine.create_user(OPERATOR, new_user("g", "u")).await), "UserExists");
    assert_eq!(failure(store.engine.create_user(OPERATOR, new_user("x", "u")).await), "NoSuchGroup");
}

#[tokio::test]
async fn a_first_key_comes_with_the_user_only_when_asked() {
    let store = Store::open().await;
    store.group("g").await;
    for (name, with_credential, count) in [("one", true, 1), ("two", false, 0)] {
        let new = NewUser { with_credential, ..new_user("g", name) };
        let user = store.engine.create_user(OPERATOR, new).await.expect("a user");
        let keys = store.engine.list_credentials(OPERATOR, &user.canonical_id).await.expect("a list");
        assert_eq!(keys.len(), count);
        for key in keys {
            let login =
                store.engine.key_login(key.access_key.as_str()).await.expect("a look-up").expect("a working key");
            assert_eq!(login.account().canonical_id, user.canonical_id);
        }
    }
}

#[tokio::test]
async fn a_change_merges_and_leaves_the_rest() {
    let store = Store::open().await;
    store.group("g").await;
    let new = NewUser { profile: profile(&json!({"city": "Rom", "zip": "1"})), ..new_user("g", "u") };
    let made = store.engine.create_user(OPERATOR, new).await.expect("a user");
    let change =
        UserChange { email: Some(String::new()), profile: profile(&json!({"zip": "2"})), ..Default::default() };
    let changed = store.engine.change_user(OPERATOR, &gid("g"), &uid("u"), change).await.expect("a change");
    let wanted = engine::User { email: String::new(), profile: profile(&json!({"city": "Rom", "zip": "2"})), ..made };
    assert_eq!(changed, wanted);
    assert_eq!(store.engine.find_user(OPERATOR, &gid("g"), &uid("u")).await.expect("a look-up"), Some(wanted));
    for (group, user) in [("g", "v"), ("h", "u")] {
        let refused = store.engine.change_user(OPERATOR, &gid(group), &uid(user), UserChange::default()).await;
        assert_eq!(failure(refused), "NoSuchUser");
    }
}

#[tokio::test]
async fn roles_belong_to_their_groups() {
    let store = Store::open().await;
    store.group("g").await;
    for (group, role, fits) in [
        ("g", Role::User, true),
        ("g", Role::GroupAdmin, true),
        ("g", Role::SystemAdmin, false),
        ("0", Role::User, false),
        ("0", Role::GroupAdmin, false),
        ("0", Role::SystemAdmin, true),
    ] {
        let id = format!("new-{}", role.as_str());
        let made = store.engine.create_user(OPERATOR, NewUser { role, ..new_user(group, &id) }).await;
        match made {
            Ok(user) => assert!(fits && user.role == role),
            Err(error) => assert!(!fits && matches!(error, engine::Error::Invalid { what: "userType", .. })),
        }
    }
    let to = async |group: &str, user: &str, role| {
        let change = UserChange { role: Some(role), ..Default::default() };
        store.engine.change_user(OPERATOR, &gid(group), &uid(user), change).await
    };
    assert_eq!(to("g", "new-User", Role::GroupAdmin).await.expect("a change").role, Role::GroupAdmin);
    assert_eq!(failure(to("g", "new-User", Role::SystemAdmin).await), "Invalid");
    assert_eq!(failure(to("0", "admin", Role::User).await), "Invalid");
    assert!(to("0", "admin", Role::SystemAdmin).await.is_ok(), "the role it has");
}

#[tokio::test]
async fn the_last_active_system_administrator_stays() {
    let store = Store::open().await;
    let off = || UserChange { active: Some(false), ..Default::default() };
    let admin = uid("admin");
    assert_eq!(failure(store.engine.delete_user(OPERATOR, &gid("0"), &admin).await), "Protected");
    assert_eq!(failure(store.engine.change_user(OPERATOR, &gid("0"), &admin, off()).await), "Protected");
    let second = store.user_with_role("0", "second", Role::SystemAdmin).await;
    store.engine.change_user(OPERATOR, &gid("0"), &admin, off()).await.expect("there is another one");
    assert_eq!(failure(store.engine.delete_user(OPERATOR, &gid("0"), &second.user_id).await), "Protected");
    store.engine.delete_user(OPERATOR, &gid("0"), &admin).await.expect("an inactive one may go");
    let renamed = UserChange { full_name: Some("Second".into()), ..Default::default() };
    store.engine.change_user(OPERATOR, &gid("0"), &second.user_id, renamed).await.expect("other changes are fine");
}

#[tokio::test]
async fn a_deleted_administrator_does_not_come_back_with_a_restart() {
    let mut store = Store::open().await;
    store.user_with_role("0", "second", Role::SystemAdmin).await;
    store.engine.delete_user(OPERATOR, &gid("0"), &uid("admin")).await.expect("deleted");
    store.restart().await;
    assert_eq!(store.engine.find_user(OPERATOR, &gid("0"), &uid("admin")).await.expect("a look-up"), None);
}

#[tokio::test]
async fn lists_filter_and_page_in_the_order_of_bytes() {
    let store = Store::open().await;
    store.group("g").await;
    store.group("h").await;
    store.user("h", "aa").await;
    for id in ["b", "a2", "Z", "a1", "a3"] {
        store.user("g", id).await;
    }
    store.user_with_role("g", "boss", Role::GroupAdmin).await;
    let off = UserChange { active: Some(false), ..Default::default() };
    store.engine.change_user(OPERATOR, &gid("g"), &uid("a2"), off).await.expect("a change");

    assert_eq!(ids(&store, UserFilter::default(), ALL).await, ["Z", "a1", "a2", "a3", "b", "boss"]);
    let page = PageRequest { prefix: "a".into(), from: Some("a2".into()), rows_max: 1 };
    assert_eq!(ids(&store, UserFilter::default(), page).await, ["a2"]);
    let active = |active| UserFilter { active: Some(active), role: None };
    assert_eq!(ids(&store, active(false), ALL).await, ["a2"]);
    assert_eq!(ids(&store, active(true), ALL).await, ["Z", "a1", "a3", "b", "boss"]);
    assert_eq!(ids(&store, UserFilter { role: Some(Role::GroupAdmin), active: None }, ALL).await, ["boss"]);
    assert_eq!(ids(&store, UserFilter { role: Some(Role::SystemAdmin), active: None }, ALL).await, [""; 0]);
    let unknown = store.engine.list_users(OPERATOR, &gid("x"), UserFilter::default(), ALL).await;
    assert_eq!(unknown.expect("a list"), []);
}

#[tokio::test]
async fn users_see_themselves_and_group_admins_their_group() {
    let store = Store::open().await;
    store.group("g").await;
    store.group("h").await;
    let (user, other) = (store.user("g", "u").await, store.user("h", "u").await);
    let boss = store.user_with_role("g", "boss", Role::GroupAdmin).await;
    let (as_user, as_boss) = (caller(&user), caller(&boss));
    for caller in [&as_user, &as_boss] {
        assert_eq!(store.engine.find_user(caller, &gid("g"), &uid("u")).await.expect("allowed").as_ref(), Some(&user));
        let found = store.engine.find_user_by_canonical_id(caller, &user.canonical_id).await;
        assert_eq!(found.expect("allowed").as_ref(), Some(&user));
        assert_eq!(failure(store.engine.find_user(caller, &gid("h"), &uid("u")).await), "AccessDenied");
        let found = store.engine.find_user_by_canonical_id(caller, &other.canonical_id).await;
        assert_eq!(failure(found), "AccessDenied");
    }
    assert_eq!(failure(store.engine.find_user(&as_user, &gid("g"), &uid("nobody")).await), "AccessDenied");
    assert_eq!(store.engine.find_user(&as_boss, &gid("g"), &uid("nobody")).await.expect("allowed"), None);
    let listed = store.engine.list_users(&as_boss, &gid("g"), UserFilter::default(), ALL).await.expect("allowed");
    assert_eq!(listed, [boss, user]);
    assert!(store.engine.find_group(&as_boss, &gid("g")).await.expect("allowed").is_some());
}

#[tokio::test]
async fn a_password_needs_its_rule_and_its_user() {
    let store = Store::open().await;
    store.group("g").await;
    store.user("g", "u").await;
    let set = async |user: &str, password: &str| {
        store.engine.set_password(OPERATOR, &gid("g"), &uid(user), &secret(password)).await
    };
    assert_eq!(failure(set("u", "weak").await), "WeakPassword");
    assert_eq!(failure(set("nobody", "Correct-Horse-1").await), "NoSuchUser");
    set("u", "Correct-Horse-1").await.expect("set");
}
