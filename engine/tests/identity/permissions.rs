//! Every operation is refused to everybody who may not do it, and a refused one changes nothing.

use std::collections::BTreeSet;
use std::time::Duration;

use engine::{
    AccessKeyId, Caller, Credential, Engine, Error, GroupChange, IamHolder, IamKind, NewUser, PageRequest, Role, User,
    UserChange, UserFilter,
};
use futures::FutureExt;
use futures::future::BoxFuture;

use crate::iam::{as_iam_user, as_session, new};
use crate::support::{OPERATOR, Store, caller, gid, name_of, new_group, new_user, secret, uid};

const ALL: PageRequest = PageRequest { prefix: String::new(), from: None, rows_max: 100 };

/// What the operations aim at: the user `u` of the group `g`, its key, and a user in the trash.
#[derive(Clone)]
struct Target {
    engine: Engine,
    user: User,
    key: Credential,
    trashed: User,
}

/// How an operation answers those who may not do it.
#[derive(Clone, Copy, PartialEq)]
enum Refusal {
    /// With [`Error::AccessDenied`].
    Denied,
    /// As if the key did not exist; nobody who proved nothing gets even that.
    Hidden,
}

/// Who may do it beside the system's administrators.
#[derive(Clone, Copy, PartialEq)]
enum Also {
    Nobody,
    TheUser,
    ItsGroupAdmin,
    Both,
}

type Run = for<'a> fn(&'a Target, &'a Caller) -> BoxFuture<'a, Result<(), Error>>;

struct Operation {
    name: &'static str,
    also: Also,
    refusal: Refusal,
    run: Run,
}

macro_rules! operations {
    ($($name:ident, $also:ident, $refusal:ident, |$target:ident, $caller:ident| $call:expr;)*) => {
        [$(Operation {
            name: stringify!($name),
            also: Also::$also,
            refusal: Refusal::$refusal,
            run: |$target, $caller| async move { $call.await.map(|_| ()) }.boxed(),
        }),*]
    };
}

fn operations() -> Vec<Operation> {
    Vec::from(operations! {
        create_group, Nobody, Denied, |t, c| t.engine.create_group(c, new_group("new"));
        change_group, Nobody, Denied, |t, c| t.engine.change_group(c, &t.user.group_id, off_group());
        find_group, ItsGroupAdmin, Denied, |t, c| t.engine.find_group(c, &t.user.group_id);
        list_groups, Nobody, Denied, |t, c| t.engine.list_groups(c, ALL);
        delete_group, Nobody, Denied, |t, c| t.engine.delete_group(c, &gid("empty"));
        create_user, Nobody, Denied, |t, c| t.engine.create_user(c, new_user("g", "new"));
        change_user, Nobody, Denied, |t, c| t.engine.change_user(c, &t.user.group_id, &t.user.user_id, off_user());
        find_user, Both, Denied, |t, c| t.engine.find_user(c, &t.user.group_id, &t.user.user_id);
        find_user_by_canonical_id, Both, Denied, |t, c| t.engine.find_user_by_canonical_id(c, &t.user.canonical_id);
        list_users, ItsGroupAdmin, Denied, |t, c| t.engine.list_users(c, &t.user.group_id, UserFilter::default(), ALL);
        delete_user, Nobody, Denied, |t, c| t.engine.delete_user(c, &t.user.group_id, &t.user.user_id);
        set_password, TheUser, Denied,
            |t, c| t.engine.set_password(c, &t.user.group_id, &t.user.user_id, &secret("Correct-Horse-1"));
        create_credential, TheUser, Denied, |t, c| t.engine.create_credential(c, &t.user.canonical_id);
        import_credential, TheUser, Denied,
            |t, c| t.engine.import_credential(c, &t.user.canonical_id, given_key(), secret("secret"));
        find_credential, TheUser, Hidden, |t, c| found(t.engine.find_credential(c, &t.key.access_key));
        list_credentials, TheUser, Denied, |t, c| t.engine.list_credentials(c, &t.user.canonical_id);
        set_credential_active, TheUser, Hidden, |t, c| t.engine.set_credential_active(c, &t.key.access_key, false);
        delete_credential, TheUser, Hidden, |t, c| t.engine.delete_credential(c, &t.key.access_key);
        set_service_account, Nobody, Denied, |t, c| t.engine.set_service_account(c, "sysadmin", &secret("stolen"));
        list_trash, Nobody, Denied, |t, c| t.engine.list_trash(c);
        restore_user, Nobody, Denied, |t, c| t.engine.restore_user(c, &t.trashed.canonical_id);
        purge_user, Nobody, Denied, |t, c| t.engine.purge_user(c, &t.trashed.canonical_id);
    })
}

fn off_group() -> GroupChange {
    GroupChange { active: Some(false), ..Default::default() }
}

fn off_user() -> UserChange {
    UserChange { active: Some(false), ..Default::default() }
}

fn given_key() -> AccessKeyId {
    AccessKeyId::new("GIVEN").expect("a key id")
}

/// A key that is not found counts as refused.
async fn found(look_up: impl Future<Output = Result<Option<Credential>, Error>>) -> Result<(), Error> {
    look_up.await?.map(|_| ()).ok_or(Error::NoSuchCredential)
}

struct World {
    store: Store,
    target: Target,
    group_admin: User,
    strangers: [(&'static str, Caller); 4],
}

async fn world() -> World {
    let store = Store::open().await;
    let (user, key) = store.user_with_key().await;
    for group in ["h", "empty"] {
        store.group(group).await;
    }
    let trashed = store.user("g", "trashed").await;
    store.engine.delete_user(OPERATOR, &gid("g"), &trashed.user_id).await.expect("deleted");
    store.engine.set_service_account(OPERATOR, "sysadmin", &secret("generated")).await.expect("set");
    let group_admin = store.user_with_role("g", "boss", Role::GroupAdmin).await;
    let strangers = [
        ("nobody", Caller::anonymous()),
        ("a user of the same group", caller(&store.user("g", "other").await)),
        ("a user of another group with the same id", caller(&store.user("h", "u").await)),
        ("the administrator of another group", caller(&store.user_with_role("h", "boss", Role::GroupAdmin).await)),
    ];
    let target = Target { engine: store.engine.clone(), user, key, trashed };
    World { store, target, group_admin, strangers }
}

/// Everything that an operation could have changed.
async fn state(world: &World) -> String {
    let engine = &world.store.engine;
    let groups = engine.list_groups(OPERATOR, ALL).await.expect("groups");
    let mut users = Vec::new();
    for group in &groups {
        let found = engine.list_users(OPERATOR, &group.group_id, UserFilter::default(), ALL).await.expect("users");
        for user in found {
            let keys = engine.list_credentials(OPERATOR, &user.canonical_id).await.expect("keys");
            users.push((user, keys));
        }
    }
    let trash = engine.list_trash(OPERATOR).await.expect("the trash");
    let service = engine.login_service_account("sysadmin", &secret("generated")).await.is_ok();
    let password = engine.login_with_password(&gid("g"), &uid("u"), &secret("Correct-Horse-1")).await.is_ok();
    format!("{groups:?} {users:?} {trash:?} {service} {password}")
}

#[tokio::test]
async fn each_operation_is_refused_to_everybody_who_may_not_do_it() {
    let world = world().await;
    let before = state(&world).await;
    let (its_admin, itself) = (caller(&world.group_admin), caller(&world.target.user));
    for operation in operations() {
        let mut refused: Vec<(&str, &Caller)> = world.strangers.iter().map(|(who, caller)| (*who, caller)).collect();
        if matches!(operation.also, Also::Nobody | Also::ItsGroupAdmin) {
            refused.push(("the user itself", &itself));
        }
        if matches!(operation.also, Also::Nobody | Also::TheUser) {
            refused.push(("the administrator of its group", &its_admin));
        }
        for (who, caller) in refused {
            let error = (operation.run)(&world.target, caller).await.expect_err(&format!("{}: {who}", operation.name));
            let wanted = match (operation.refusal, caller) {
                (Refusal::Hidden, Caller::User(..)) => "NoSuchCredential",
                (Refusal::Hidden | Refusal::Denied, _) => "AccessDenied",
            };
            assert_eq!(name_of(&error), wanted, "{}: {who}", operation.name);
        }
    }
    assert_eq!(state(&world).await, before, "refused operations change nothing");
}

#[tokio::test]
async fn each_operation_is_open_to_those_who_may_do_it() {
    for operation in operations() {
        let mut who = vec!["system administrator", "admin service", "operator"];
        match operation.also {
            Also::Nobody => (),
            Also::TheUser => who.push("user"),
            Also::ItsGroupAdmin => who.push("group administrator"),
            Also::Both => who.extend(["user", "group administrator"]),
        }
        for who in who {
            let world = world().await;
            let caller = match who {
                "system administrator" => caller(&system_admin(&world.store).await),
                "admin service" => Caller::AdminService,
                "operator" => Caller::LocalOperator,
                "user" => caller(&world.target.user),
                _ => caller(&world.group_admin),
            };
            (operation.run)(&world.target, &caller).await.unwrap_or_else(|e| panic!("{}: {who}: {e}", operation.name));
            world.store.engine.close().await;
        }
    }
}

/// Whatever its policies give it, and whoever its account is.
#[tokio::test]
async fn no_identity_of_an_account_s_own_passes_for_the_account() {
    let world = world().await;
    let engine = &world.store.engine;
    let admin = system_admin(&world.store).await;
    let before = state(&world).await;
    for owner in [&admin, &world.group_admin, &world.target.user] {
        let root = caller(owner);
        engine.create_iam_entity(&root, IamKind::User, new("full")).await.expect("a user");
        let all = "arn:aws:iam::aws:policy/AdministratorAccess";
        engine.attach_iam_policy(&root, IamHolder::User, "full", all).await.expect("attached");
        let full = as_iam_user(engine, &root, "full").await;
        let session = as_session(engine, &engine.session_key(&root, None).await.expect("a session")).await;
        for operation in operations() {
            for caller in [&full, &session] {
                let error = (operation.run)(&world.target, caller).await.expect_err(operation.name);
                let wanted = match operation.refusal {
                    Refusal::Hidden => "NoSuchCredential",
                    Refusal::Denied => "AccessDenied",
                };
                assert_eq!(name_of(&error), wanted, "{} by {caller:?}", operation.name);
            }
        }
    }
    assert_eq!(state(&world).await, before, "refused operations change nothing");
}

async fn system_admin(store: &Store) -> User {
    let new = NewUser { role: Role::SystemAdmin, ..new_user("0", "second") };
    store.engine.create_user(OPERATOR, new).await.expect("an administrator")
}

/// A new operation without a line in the table above fails here.
#[test]
fn the_table_names_every_operation_that_takes_a_caller() {
    let sources = [
        include_str!("../../src/groups.rs"),
        include_str!("../../src/users.rs"),
        include_str!("../../src/credentials.rs"),
        include_str!("../../src/logins.rs"),
        include_str!("../../src/trash.rs"),
    ];
    let mut written = BTreeSet::new();
    for source in sources {
        for text in source.split("pub async fn ").skip(1) {
            let (name, rest) = text.split_once('(').expect("a function");
            let signature = rest.split('{').next().expect("a signature");
            if signature.contains("caller: &Caller") {
                written.insert(name);
            }
        }
    }
    let tested: BTreeSet<&str> = operations().iter().map(|operation| operation.name).collect();
    assert_eq!(written, tested);
}

#[tokio::test]
async fn a_stranger_learns_nothing_from_errors_or_lists() {
    let world = world().await;
    let Some((_, stranger)) = world.strangers.get(1) else { panic!("a stranger") };
    let engine = &world.store.engine;
    let unknown = AccessKeyId::new("0123456789").expect("a key id");
    for key in [&unknown, &world.target.key.access_key] {
        assert!(engine.find_credential(stranger, key).await.expect("no error").is_none());
    }
    for user in ["u", "nobody"] {
        let error = engine.find_user(stranger, &gid("h"), &uid(user)).await.expect_err("refused");
        assert_eq!(name_of(&error), "AccessDenied");
        let password = secret("Correct-Horse-1");
        let error = engine.set_password(stranger, &gid("h"), &uid(user), &password).await.expect_err("refused");
        assert_eq!(name_of(&error), "AccessDenied");
    }
    let session = engine.open_session(&crate::support::identity(&world.target.user), Duration::from_secs(60)).await;
    assert!(session.is_ok(), "sessions are opened by doors that proved the log-in, not by callers");
}
