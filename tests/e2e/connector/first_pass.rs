//! The recorded tenants become the right groups and users, and a second plan is empty.

use cloudstack_stand_in::Cloud;
use serde_json::Value;
use tests::{Actual, CloudWorld, Person, recording};

fn recorded(name: &str, list: &str) -> Vec<Value> {
    let recording = recording(name);
    let body = recording["answer"]["body"].as_object().unwrap().values().next().unwrap();
    body[list].as_array().unwrap().clone()
}

/// What the recorded tenants must become, computed from the recordings alone.
fn expected() -> Actual {
    let mut expected = Actual::default();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    for domain in recorded("list-domains-minimal", "domain") {
        let path = text(&domain["path"]);
        let name = format!("{}/", path.strip_prefix("ROOT").unwrap());
        expected.groups.insert(text(&domain["id"]), name);
    }
    for account in recorded("list-accounts-minimal", "account") {
        if account["name"] == "admin" && account["rolename"] == "Root Admin" {
            continue;
        }
        let user = &account["user"][0];
        let name = format!("{} {} ({})", text(&user["firstname"]), text(&user["lastname"]), text(&account["name"]));
        let person = Person { full_name: name, email: text(&user["email"]), active: true };
        expected.users.insert((text(&account["domainid"]), text(&account["id"])), person);
    }
    expected
}

#[tokio::test(flavor = "multi_thread")]
async fn the_recorded_tenants_reconcile_and_a_second_plan_is_empty() {
    // The first pass of a start must not get in between.
    let world = CloudWorld::recorded().await;
    let report = world.sync().await;
    assert_eq!(report["failed"], 0, "{report}");
    let expected = expected();
    assert_eq!((expected.groups.len(), expected.users.len()), (8, 12));
    assert_eq!(world.actual().await, expected);

    let plan = world.server.command(&["connector", "plan"]).await.ok();
    assert!(plan.contains("Nothing to do"), "{plan}");
    assert_eq!(world.planned().await, 0);
    let status = world.server.command(&["connector", "status"]).await.ok();
    assert!(status.contains("8 groups, 12 users"), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_start_looks_by_itself_and_events_are_followed() {
    let world = CloudWorld::with(Cloud::recorded(), "poll_interval_s = 1").await;
    wait_for(&world, "the first pass", async || world.actual().await == expected()).await;
    let acme = world.control.domain_id("/acme").unwrap();
    let account = world.control.create_account(&acme, "newcomer").unwrap();
    wait_for(&world, "the new account", async || world.user_of(&account).await.is_some()).await;
    world.control.disable_account(&account).unwrap();
    let inactive = async || world.user_of(&account).await.is_some_and(|person| !person.active);
    wait_for(&world, "the disabled account", inactive).await;
}

async fn wait_for(world: &CloudWorld, what: &str, mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..300 {
        if holds().await {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    panic!("{what} was not seen: {}", world.server.command(&["connector", "status"]).await.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_accounts_than_one_page_lose_nobody() {
    let world = CloudWorld::with(Cloud::grown(20, 1203), "").await;
    let report = world.sync().await;
    assert_eq!(report["failed"], 0, "{report}");
    let actual = world.actual().await;
    assert_eq!((actual.groups.len(), actual.users.len()), (20, 1203));
    let users: std::collections::BTreeSet<&String> = actual.users.keys().map(|(_, user)| user).collect();
    // All but the root admin, who comes first.
    for account in world.control.account_ids().iter().skip(1) {
        assert!(users.contains(account), "{account} is lost");
    }
    assert_eq!(world.planned().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn check_says_what_is_wrong() {
    let world = CloudWorld::recorded().await;
    let output = world.server.command(&["connector", "check"]).await;
    // The recorded settings name other doors than ours, which check must see.
    assert_eq!(output.code, Some(1), "{}", output.stdout);
    assert!(output.stdout.contains("cloudian.admin."), "{}", output.stdout);
    assert!(output.stdout.lines().any(|line| line.starts_with("ok")), "{}", output.stdout);
    world.control.vanish().await;
    let output = world.server.command(&["connector", "check"]).await;
    assert_eq!(output.code, Some(1), "{}", output.stdout);
}
