//! Every operation on identities is refused to everybody who may not do it, and a refused one changes nothing.

use std::collections::BTreeSet;

use engine::{
    AssumeRole, Caller, Engine, Error, IamHolder, IamKind, IamPage, NewIamEntity, PolicyScope, Role, RoleChange,
};
use futures::FutureExt;
use futures::future::BoxFuture;

use crate::iam::{as_iam_user, as_session, new, policy, trust};
use crate::support::{Store, caller, name_of};

const S3: &str = "arn:aws:iam::aws:policy/AmazonS3FullAccess";

/// What the operations aim at: the account's user `ada` in the group `staff`, the role `reader`, a key and a policy.
struct Target {
    engine: Engine,
    policy: String,
    role: String,
    key: String,
}

type Run = for<'a> fn(&'a Target, &'a Caller) -> BoxFuture<'a, Result<(), Error>>;

struct Operation {
    name: &'static str,
    run: Run,
}

macro_rules! operations {
    ($($name:ident, |$target:ident, $caller:ident| $call:expr;)*) => {
        [$(Operation {
            name: stringify!($name),
            run: |$target, $caller| async move { $call.await.map(|_| ()) }.boxed(),
        }),*]
    };
}

fn operations() -> Vec<Operation> {
    const USER: IamHolder = IamHolder::User;
    Vec::from(operations! {
        create_iam_entity, |t, c| t.engine.create_iam_entity(c, IamKind::User, new("new"));
        list_iam_entities, |t, c| empty(users(t, c));
        iam_entity, |t, c| t.engine.iam_entity(c, IamKind::Role, "reader");
        rename_iam_entity, |t, c| t.engine.rename_iam_entity(c, IamKind::User, "ada", Some("eve"), None);
        delete_iam_entity, |t, c| t.engine.delete_iam_entity(c, IamKind::Role, "spare");
        iam_user, |t, c| t.engine.iam_user(c, Some("ada"));
        iam_group, |t, c| t.engine.iam_group(c, "staff", &ALL);
        iam_groups_of_user, |t, c| t.engine.iam_groups_of_user(c, "ada", &ALL);
        add_user_to_iam_group, |t, c| t.engine.add_user_to_iam_group(c, "staff", "plain");
        remove_user_from_iam_group, |t, c| t.engine.remove_user_from_iam_group(c, "staff", "ada");
        put_iam_policy, |t, c| t.engine.put_iam_policy(c, USER, "plain", "p", &full());
        iam_policy_of, |t, c| t.engine.iam_policy_of(c, USER, "ada", "own");
        list_iam_policies_of, |t, c| t.engine.list_iam_policies_of(c, USER, "ada", &ALL);
        delete_iam_policy_of, |t, c| t.engine.delete_iam_policy_of(c, USER, "ada", "own");
        attach_iam_policy, |t, c| t.engine.attach_iam_policy(c, USER, "plain", S3);
        detach_iam_policy, |t, c| t.engine.detach_iam_policy(c, USER, "ada", &t.policy);
        list_attached_iam_policies, |t, c| t.engine.list_attached_iam_policies(c, USER, "ada", &ALL);
        iam_policy, |t, c| t.engine.iam_policy(c, &t.policy);
        list_iam_policies, |t, c| empty(local(t, c));
        list_iam_policy_holders, |t, c| t.engine.list_iam_policy_holders(c, &t.policy, None, &ALL);
        iam_policy_versions, |t, c| t.engine.iam_policy_versions(c, &t.policy);
        iam_policy_version, |t, c| t.engine.iam_policy_version(c, &t.policy, 1);
        create_iam_policy_version, |t, c| t.engine.create_iam_policy_version(c, &t.policy, &full(), true);
        set_default_iam_policy_version, |t, c| t.engine.set_default_iam_policy_version(c, &t.policy, 2);
        delete_iam_policy_version, |t, c| t.engine.delete_iam_policy_version(c, &t.policy, 2);
        delete_iam_policy, |t, c| t.engine.delete_iam_policy(c, &t.policy);
        iam_instance_profiles_of_role, |t, c| t.engine.iam_instance_profiles_of_role(c, "reader");
        change_iam_role, |t, c| t.engine.change_iam_role(c, "reader", open_role());
        create_iam_key, |t, c| t.engine.create_iam_key(c, Some("ada"));
        list_iam_keys, |t, c| t.engine.list_iam_keys(c, Some("ada"));
        set_iam_key_active, |t, c| t.engine.set_iam_key_active(c, Some("ada"), &t.key, false);
        delete_iam_key, |t, c| t.engine.delete_iam_key(c, Some("ada"), &t.key);
        iam_summary, |t, c| own_summary(t, c);
        assume_role, |t, c| t.engine.assume_role(c, asked(t));
    })
}

const ALL: IamPage = IamPage { marker: None, items_max: None, path_prefix: String::new() };

/// Operations that tell of the caller alone, or that there is nothing.
const OF_THE_CALLER: [&str; 4] = ["caller_identity", "iam_account_aliases", "iam_identity_providers", "session_key"];

fn full() -> String {
    policy("Allow", "*", "*")
}

fn open_role() -> RoleChange {
    RoleChange { trust: Some(trust("*")), ..RoleChange::default() }
}

fn asked(target: &Target) -> AssumeRole {
    AssumeRole { role_arn: target.role.clone(), session_name: "stolen".to_owned(), ..AssumeRole::default() }
}

async fn users(target: &Target, caller: &Caller) -> Result<Vec<engine::IamEntity>, Error> {
    Ok(target.engine.list_iam_entities(caller, IamKind::User, &ALL).await?.items)
}

async fn local(target: &Target, caller: &Caller) -> Result<Vec<engine::IamPolicy>, Error> {
    Ok(target.engine.list_iam_policies(caller, PolicyScope::Local, false, &ALL).await?.items)
}

/// Another account's own list is empty, which is as good as refused.
async fn empty<T>(list: impl Future<Output = Result<Vec<T>, Error>>) -> Result<(), Error> {
    if list.await?.is_empty() { Err(Error::NoSuchUser) } else { Ok(()) }
}

/// Another account's own numbers tell nothing of this one.
async fn own_summary(target: &Target, caller: &Caller) -> Result<(), Error> {
    let summary = target.engine.iam_summary(caller).await?;
    if summary.counts.iter().all(|(_, count, _)| *count == 0) { Err(Error::NoSuchUser) } else { Ok(()) }
}

struct World {
    store: Store,
    root: Caller,
    target: Target,
    /// With what each is told, when it may not.
    strangers: Vec<(&'static str, Caller, &'static [&'static str])>,
}

async fn world() -> World {
    let store = Store::open().await;
    let (user, _) = store.user_with_key().await;
    store.group("h").await;
    let (root, engine) = (caller(&user), store.engine.clone());
    for name in ["ada", "plain"] {
        engine.create_iam_entity(&root, IamKind::User, new(name)).await.expect("a user");
    }
    engine.create_iam_entity(&root, IamKind::Group, new("staff")).await.expect("a group");
    engine.add_user_to_iam_group(&root, "staff", "ada").await.expect("added");
    let ada = format!("arn:aws:iam::{}:user/ada", user.canonical_id);
    for name in ["reader", "spare"] {
        let role = NewIamEntity { document: trust(&ada), ..new(name) };
        engine.create_iam_entity(&root, IamKind::Role, role).await.expect("a role");
    }
    let document = policy("Allow", "s3:GetObject", "*");
    engine.put_iam_policy(&root, IamHolder::User, "ada", "own", &document).await.expect("a policy");
    let made = NewIamEntity { document: document.clone(), ..new("mine") };
    let made = engine.create_iam_entity(&root, IamKind::Policy, made).await.expect("a policy").arn();
    engine.create_iam_policy_version(&root, &made, &document, false).await.expect("a version");
    engine.attach_iam_policy(&root, IamHolder::User, "ada", &made).await.expect("attached");
    let (key, _) = engine.create_iam_key(&root, Some("ada")).await.expect("a key");
    let role = format!("arn:aws:iam::{}:role/reader", user.canonical_id);
    let target = Target { engine, policy: made, role, key: key.access_key.to_string() };
    let strangers = strangers(&store, &root).await;
    World { store, root, target, strangers }
}

async fn strangers(store: &Store, root: &Caller) -> Vec<(&'static str, Caller, &'static [&'static str])> {
    const DENIED: &[&str] = &["AccessDenied"];
    let engine = &store.engine;
    let plain = as_iam_user(engine, root, "plain").await;
    let root_session = as_session(engine, &engine.session_key(root, None).await.expect("a session")).await;
    let session = as_session(engine, &engine.session_key(&plain, None).await.expect("a session")).await;
    let admin = store.user_with_role("h", "boss", Role::GroupAdmin).await;
    vec![
        ("nobody", Caller::anonymous(), DENIED),
        ("the admin service", Caller::AdminService, DENIED),
        ("a user without the action", plain, DENIED),
        ("a session of such a user", session, DENIED),
        ("a session of the root", root_session, DENIED),
        // It acts in its own account, where none of this is.
        ("another account", caller(&admin), &["AccessDenied", "Iam", "NoSuchUser"]),
    ]
}

/// Everything of the account that an operation could have changed.
async fn state(world: &World) -> String {
    let (engine, root) = (&world.store.engine, &world.root);
    let mut text = String::new();
    for kind in [IamKind::User, IamKind::Group, IamKind::Role, IamKind::Policy] {
        text += &format!("{:?}", engine.list_iam_entities(root, kind, &ALL).await.expect("a list"));
    }
    for name in ["ada", "plain"] {
        text += &format!("{:?}", engine.iam_groups_of_user(root, name, &ALL).await.expect("groups"));
        let user = IamHolder::User;
        text += &format!("{:?}", engine.list_iam_policies_of(root, user, name, &ALL).await.expect("policies"));
        text += &format!("{:?}", engine.list_attached_iam_policies(root, user, name, &ALL).await.expect("policies"));
        text += &format!("{:?}", engine.list_iam_keys(root, Some(name)).await.expect("keys"));
    }
    text + &format!("{:?}", engine.iam_policy_versions(root, &world.target.policy).await.expect("versions"))
}

#[tokio::test]
async fn each_operation_on_identities_is_refused_to_everybody_who_may_not_do_it() {
    let world = world().await;
    let before = state(&world).await;
    for operation in operations() {
        for (who, caller, told) in &world.strangers {
            // To make something in one's own account is no offence.
            if *who == "another account" && operation.name == "create_iam_entity" {
                continue;
            }
            let error = (operation.run)(&world.target, caller).await.expect_err(&format!("{}: {who}", operation.name));
            assert!(told.contains(&name_of(&error).as_str()), "{}: {who}: {error}", operation.name);
        }
    }
    assert_eq!(state(&world).await, before, "refused operations change nothing");
}

#[tokio::test]
async fn each_operation_on_identities_is_open_to_the_root_and_to_who_has_the_action() {
    for operation in operations() {
        for is_root in [true, false] {
            let world = world().await;
            let engine = &world.store.engine;
            engine.put_iam_policy(&world.root, IamHolder::User, "ada", "full", &full()).await.expect("a policy");
            let ada = as_iam_user(engine, &world.root, "ada").await;
            if operation.name == "delete_iam_policy" {
                let policy = &world.target.policy;
                engine.detach_iam_policy(&world.root, IamHolder::User, "ada", policy).await.expect("detached");
                engine.delete_iam_policy_version(&world.root, policy, 2).await.expect("deleted");
            }
            let caller = if is_root { &world.root } else { &ada };
            let done = (operation.run)(&world.target, caller).await;
            match (operation.name, is_root) {
                ("assume_role", true) => assert!(matches!(done, Err(Error::AccessDenied)), "no root takes roles on"),
                (name, _) => done.unwrap_or_else(|error| panic!("{name}, root {is_root}: {error}")),
            }
            engine.close().await;
        }
    }
}

/// A new operation without a line in the table above fails here.
#[test]
fn the_table_names_every_operation_on_identities() {
    let sources = [
        include_str!("../../src/iam/attached.rs"),
        include_str!("../../src/iam/entities.rs"),
        include_str!("../../src/iam/groups.rs"),
        include_str!("../../src/iam/inline.rs"),
        include_str!("../../src/iam/keys.rs"),
        include_str!("../../src/iam/policies.rs"),
        include_str!("../../src/iam/roles.rs"),
        include_str!("../../src/iam/sessions.rs"),
        include_str!("../../src/iam/summary.rs"),
        include_str!("../../src/iam/users.rs"),
    ];
    let mut written = BTreeSet::new();
    for source in sources {
        for text in source.split("    pub ").skip(1) {
            let text = text.trim_start_matches("async ");
            let Some((name, rest)) = text.strip_prefix("fn ").and_then(|text| text.split_once('(')) else { continue };
            if rest.split('{').next().unwrap_or_default().contains("caller: &Caller") {
                written.insert(name);
            }
        }
    }
    let tested: BTreeSet<&str> = operations().iter().map(|operation| operation.name).chain(OF_THE_CALLER).collect();
    assert_eq!(written, tested);
}
