//! Groups: made, changed, listed, deleted, and the one that stays.

use engine::{Database, GroupChange, NewGroup, PageRequest, UserChange};
use secrecy::ExposeSecret;
use serde_json::json;

use crate::support::{OPERATOR, Store, failure, gid, new_group, profile, uid};

fn page(prefix: &str, from: Option<&str>, rows_max: usize) -> PageRequest {
    PageRequest { prefix: prefix.into(), from: from.map(Into::into), rows_max }
}

#[tokio::test]
async fn a_new_store_has_the_system_group_with_its_active_admin() {
    let mut store = Store::open().await;
    for _ in 0..2 {
        let group = store.engine.find_group(OPERATOR, &gid("0")).await.expect("a look-up").expect("group 0");
        assert_eq!((group.group_name.as_str(), group.active), ("System Admin", true));
        let users =
            store.engine.list_users(OPERATOR, &gid("0"), engine::UserFilter::default(), page("", None, 10)).await;
        let users = users.expect("a list");
        assert_eq!(users.len(), 1, "one administrator, also after a restart");
        assert_eq!(
            (users[0].user_id.as_str(), users[0].role, users[0].active),
            ("admin", engine::Role::SystemAdmin, true)
        );
        assert_eq!(store.engine.list_groups(OPERATOR, page("", None, 10)).await.expect("a list").len(), 1);
        store.restart().await;
    }
}

#[tokio::test]
async fn a_group_is_kept_as_given_also_after_a_restart() {
    let mut store = Store::open().await;
    let extra = profile(&json!({"ldapGroup": null, "s3endpointshttp": ["ALL"], "n": 1}));
    let new =
        NewGroup {
            group_name: "/Größe/ÜÀ 日本/".into(), active: false, profile: extra.clone(), ..new_group("g")
        };
    let made = store.engine.create_group(OPERATOR, new).await.expect("a group");
    assert_eq!((made.group_name.as_str(), made.active, &made.profile), ("/Größe/ÜÀ 日本/", false, &extra));
    store.restart().await;
    let found = store.engine.find_group(OPERATOR, &gid("g")).await.expect("a look-up");
    assert_eq!(found, Some(made));
    assert_eq!(store.engine.find_group(OPERATOR, &gid("G")).await.expect("a look-up"), None, "ids keep their case");
}

#[tokio::test]
async fn an_id_is_taken_once() {
    let store = Store::open().await;
    store.group("g").await;
    assert_eq!(failure(store.engine.create_group(OPERATOR, new_group("g")).await), "GroupExists");
    assert_eq!(failure(store.engine.create_group(OPERATOR, new_group("0")).await), "GroupExists");
}

#[tokio::test]
async fn a_change_merges_and_leaves_the_rest() {
    let store = Store::open().await;
    let new = NewGroup { profile: profile(&json!({"a": 1, "b": 2})), ..new_group("g") };
    let made = store.engine.create_group(OPERATOR, new).await.expect("a group");
    let change = GroupChange {
        group_name: Some("new".into()),
        profile: profile(&json!({"b": 3, "c": 4})),
        ..Default::default()
    };
    let changed = store.engine.change_group(OPERATOR, &gid("g"), change).await.expect("a change");
    assert_eq!(changed.group_name, "new");
    assert_eq!((changed.active, changed.created_us), (made.active, made.created_us));
    assert_eq!(changed.profile, profile(&json!({"a": 1, "b": 3, "c": 4})));
    assert_eq!(store.engine.find_group(OPERATOR, &gid("g")).await.expect("a look-up"), Some(changed));
    assert_eq!(failure(store.engine.change_group(OPERATOR, &gid("h"), GroupChange::default()).await), "NoSuchGroup");
}

#[tokio::test]
async fn a_change_to_the_same_values_writes_nothing() {
    let store = Store::open().await;
    store.group("g").await;
    store.user("g", "u").await;
    // The length of SQLite's log, or which transaction wrote each row last.
    let written = || match &store.settings.database {
        Database::Embedded => std::fs::metadata(store.path("metadata.sqlite-wal")).expect("the log").len().to_string(),
        Database::Postgres(postgres) => {
            let writers = "SELECT string_agg(xmin::text, ' ' ORDER BY id) FROM (SELECT xmin, id FROM groups
                           UNION ALL SELECT xmin, id FROM users) AS rows";
            test_databases::run_sql(postgres.url.expose_secret(), writers)
        }
    };
    let before = written();
    let same = GroupChange { group_name: Some("/g/".into()), active: Some(true), ..Default::default() };
    store.engine.change_group(OPERATOR, &gid("g"), same).await.expect("a change");
    let same = UserChange { full_name: Some("Name of u".into()), active: Some(true), ..Default::default() };
    store.engine.change_user(OPERATOR, &gid("g"), &uid("u"), same).await.expect("a change");
    assert_eq!(written(), before);
    let other = GroupChange { group_name: Some("/h/".into()), ..Default::default() };
    store.engine.change_group(OPERATOR, &gid("g"), other).await.expect("a change");
    assert_ne!(written(), before, "the measure works");
}

#[tokio::test]
async fn lists_are_in_the_order_of_bytes_with_prefix_start_and_limit() {
    let store = Store::open().await;
    for id in ["b", "a-1", "B", "a.1", "a", "a_1", "ab"] {
        store.group(id).await;
    }
    let list = async |request| {
        let groups = store.engine.list_groups(OPERATOR, request).await.expect("a list");
        groups.into_iter().map(|group| group.group_id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(list(page("", None, 100)).await, ["0", "B", "a", "a-1", "a.1", "a_1", "ab", "b"]);
    assert_eq!(list(page("a", None, 100)).await, ["a", "a-1", "a.1", "a_1", "ab"]);
    assert_eq!(list(page("a", Some("a.1"), 2)).await, ["a.1", "a_1"], "the start is inclusive");
    assert_eq!(list(page("a", Some("a0"), 100)).await, ["a_1", "ab"], "the start need not exist");
    assert_eq!(list(page("a", Some("B"), 1)).await, ["a"], "a start before the prefix");
    assert_eq!(list(page("a", Some("b"), 100)).await, [""; 0]);
    assert_eq!(list(page("x", None, 100)).await, [""; 0]);
    assert_eq!(list(page("", None, 0)).await, [""; 0]);
}

#[tokio::test]
async fn only_an_empty_group_can_be_deleted() {
    let store = Store::open().await;
    store.group("g").await;
    store.user("g", "u").await;
    assert_eq!(failure(store.engine.delete_group(OPERATOR, &gid("g")).await), "GroupNotEmpty");
    let off = UserChange { active: Some(false), ..Default::default() };
    store.engine.change_user(OPERATOR, &gid("g"), &uid("u"), off).await.expect("a change");
    assert_eq!(
        failure(store.engine.delete_group(OPERATOR, &gid("g")).await),
        "GroupNotEmpty",
        "an inactive user counts"
    );
    store.engine.delete_user(OPERATOR, &gid("g"), &uid("u")).await.expect("deleted");
    store.engine.delete_group(OPERATOR, &gid("g")).await.expect("a user in the trash does not count");
    assert_eq!(store.engine.find_group(OPERATOR, &gid("g")).await.expect("a look-up"), None);
    assert_eq!(failure(store.engine.delete_group(OPERATOR, &gid("g")).await), "NoSuchGroup");
}

#[tokio::test]
async fn the_system_group_stays_and_stays_active() {
    let store = Store::open().await;
    assert_eq!(failure(store.engine.delete_group(OPERATOR, &gid("0")).await), "Protected");
    let off = GroupChange { active: Some(false), ..Default::default() };
    assert_eq!(failure(store.engine.change_group(OPERATOR, &gid("0"), off).await), "Protected");
    assert!(store.engine.find_group(OPERATOR, &gid("0")).await.expect("a look-up").expect("group 0").active);
    let renamed = GroupChange { group_name: Some("Operators".into()), ..Default::default() };
    assert_eq!(
        store.engine.change_group(OPERATOR, &gid("0"), renamed).await.expect("a change").group_name,
        "Operators"
    );
}

#[tokio::test]
async fn names_are_bounded() {
    let store = Store::open().await;
    for (name, fits) in
        [("x".repeat(1024), true), ("x".repeat(1025), false), ("a\0b".into(), false), (String::new(), true)]
    {
        let id = format!("g{}", name.len());
        let made = store.engine.create_group(OPERATOR, NewGroup { group_name: name, ..new_group(&id) }).await;
        assert_eq!(made.is_ok(), fits, "{id}");
    }
}
