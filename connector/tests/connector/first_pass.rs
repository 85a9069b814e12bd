//! The first pass: the recorded tenants become the right groups and users, and a second pass finds nothing to do.

use std::collections::BTreeMap;

use admin_api::client::{GroupInfo, UserInfo};
use cloudstack_stand_in::Cloud;
use serde_json::Value;

use crate::world::{Actual, Person, World};

fn recorded(name: &str, list: &str) -> Vec<Value> {
    let path = format!("{}/../tests/data/recordings/cloudstack-4.23/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let recording: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let body = &recording["answer"]["body"];
    let response = body.as_object().unwrap().values().next().unwrap();
    response[list].as_array().unwrap().clone()
}

/// What the recorded tenants must become, computed from the recordings alone.
fn expected() -> Actual {
    let mut expected = Actual::default();
    for domain in recorded("list-domains-minimal", "domain") {
        let path = domain["path"].as_str().unwrap();
        let name = if path == "ROOT" { "/".to_owned() } else { format!("{}/", path.strip_prefix("ROOT").unwrap()) };
        expected.groups.insert(domain["id"].as_str().unwrap().to_owned(), name);
    }
    for account in recorded("list-accounts-minimal", "account") {
        if account["name"] == "admin" && account["rolename"] == "Root Admin" {
            continue;
        }
        let (user, text) = (&account["user"][0], |value: &Value| value.as_str().unwrap().to_owned());
        let full_name =
            format!("{} {} ({})", text(&user["firstname"]), text(&user["lastname"]), text(&account["name"]));
        let person = Person { full_name, email: text(&user["email"]), active: true };
        expected.users.insert((text(&account["domainid"]), text(&account["id"])), person);
    }
    expected
}

#[tokio::test(flavor = "multi_thread")]
async fn the_recorded_tenants_become_the_right_groups_and_users() {
    let world = World::recorded().await;
    let expected = expected();
    assert_eq!((expected.groups.len(), expected.users.len()), (8, 12));

    let plan = world.plan().await;
    assert_eq!((plan.counts.add, plan.counts.change, plan.counts.remove), (20, 0, 0), "{plan}");
    assert!(plan.to_string().contains("+ group /acme/dev/ ["), "{plan}");
    assert!(plan.to_string().contains("+ user José Núñez (josé) ["), "{plan}");
    assert!(plan.to_string().ends_with("Plan: 20 to add, 0 to change, 0 to remove."), "{plan}");
    assert_eq!(world.actual().await, Actual::default(), "a plan changes nothing");

    let report = world.sync().await;
    assert_eq!((report.applied, report.failed), (20, 0), "{report:?}");
    assert_eq!(world.actual().await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_plans_nothing_and_leaves_no_trace() {
    let mut world = World::recorded().await;
    world.sync().await;
    assert!(world.plan().await.is_empty());
    let report = world.sync().await;
    assert_eq!((report.applied, report.failed, report.outcome.as_str()), (0, 0, "nothing to do"));
    assert_eq!(world.connector.status().await.runs.len(), 1);
    world.restart().await;
    assert!(world.plan().await.is_empty());
    world.connector.verify(&|_| ()).await.unwrap();
    assert!(world.plan().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_500_accounts_lose_nobody() {
    let world = World::with(Cloud::grown(20, 1203), |_| ()).await;
    let report = world.sync().await;
    assert_eq!((report.applied, report.failed), (1223, 0), "{:?}", report.failures);
    let actual = world.actual().await;
    assert_eq!((actual.groups.len(), actual.users.len()), (20, 1203));
    let users: Vec<&String> = actual.users.keys().map(|(_, user)| user).collect();
    // All but the root admin, who comes first.
    for account in world.control.account_ids().iter().skip(1) {
        assert!(users.contains(&account), "{account} is lost");
    }
    assert!(world.plan().await.is_empty());
    // The list pages, and every page was asked for with a size.
    for request in world.control.requests().iter().filter(|request| request.command == "listAccounts") {
        assert_eq!(request.parameter("pagesize"), Some("500"));
        assert_eq!(request.method, "POST");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn root_gets_a_group_only_when_one_of_its_accounts_needs_one() {
    let world = World::with(Cloud::grown(2, 2), |_| ()).await;
    world.sync().await;
    let root = world.control.root_id();
    assert!(!world.actual().await.groups.contains_key(&root));
    let account = world.control.create_account(&root, "helper").unwrap();
    world.sync().await;
    let actual = world.actual().await;
    assert_eq!(actual.groups[&root], "/");
    assert!(actual.users.contains_key(&(root, account)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_without_users_has_its_name_and_no_address() {
    let world = World::recorded().await;
    let ada = world.account("/acme", "ada");
    for _ in 0..2 {
        world.control.delete_first_user(&ada).unwrap();
    }
    world.sync().await;
    let person = world.user_of(&ada).await.unwrap();
    assert_eq!((person.full_name.as_str(), person.email.as_str()), ("ada", ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_already_is_adopted_and_what_is_not_ours_is_left_alone() {
    let world = World::recorded().await;
    let admin = world.admin();
    let acme = world.control.domain_id("/acme").unwrap();
    let (ada, jose) = (world.account("/acme", "ada"), world.account("/acme", "josé"));
    admin.put_group(&GroupInfo::new(&acme, "/stale/")).await.unwrap();
    admin.put_user(&UserInfo { full_name: "Stale".into(), ..UserInfo::new(&acme, &ada) }).await.unwrap();
    admin.put_user(&UserInfo { active: false, ..UserInfo::new(&acme, &jose) }).await.unwrap();
    admin.put_user(&UserInfo { full_name: "Hand made".into(), ..UserInfo::new(&acme, "by-hand") }).await.unwrap();
    admin.put_group(&GroupInfo::new("staff", "by hand")).await.unwrap();
    admin.put_user(&UserInfo::new("staff", "boss")).await.unwrap();

    let plan = world.plan().await;
    assert_eq!((plan.counts.add, plan.counts.change, plan.counts.remove), (17, 3, 0), "{plan}");
    world.sync().await;
    let mut expected = expected();
    let person = |full_name: &str| Person { full_name: full_name.into(), email: String::new(), active: true };
    expected.users.insert((acme.clone(), "by-hand".into()), person("Hand made"));
    expected.groups.insert("staff".into(), "by hand".into());
    expected.users.insert(("staff".into(), "boss".into()), person(""));
    // Somebody deactivated José, so he stays so.
    expected.users.get_mut(&(acme, jose)).unwrap().active = false;
    let actual = world.actual().await;
    assert_eq!(actual.groups, expected.groups);
    let differing: BTreeMap<_, _> =
        actual.users.iter().filter(|(key, person)| expected.users.get(*key) != Some(*person)).collect();
    assert!(differing.is_empty() && actual.users.len() == expected.users.len(), "{differing:?}");
    assert!(world.plan().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_in_by_password_does_what_a_key_does() {
    let world = World::with(Cloud::recorded(), |config| {
        config.cloudstack.api_key = None;
        config.cloudstack.secret_key = None;
        config.cloudstack.username = Some("admin".into());
        config.cloudstack.password = Some("password".into());
    })
    .await;
    world.sync().await;
    assert_eq!(world.actual().await, expected());
    assert_eq!(world.control.request_count("login"), 1, "one session serves all");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_deleted_behind_our_back_is_made_again() {
    let world = World::recorded().await;
    world.sync().await;
    let (acme, ada) = (world.control.domain_id("/acme").unwrap(), world.account("/acme", "ada"));
    world.admin().delete_user(&acme, &ada).await.unwrap();
    world.connector.verify(&|_| ()).await.unwrap();
    assert_eq!(world.actual().await, expected());
}
