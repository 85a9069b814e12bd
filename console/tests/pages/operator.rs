//! Pages of administrators: the connector's state, groups and users.

use console::{ChangeKind, ConnectorState, Held, PendingChange, Run, RunOutcome};
use engine::Role;
use http::StatusCode;

use crate::harness::{House, count_of};

fn held_state() -> ConnectorState {
    let run = Run {
        started_us: 1_725_937_474_949_000,
        duration_ms: Some(1500),
        trigger: "full pass".to_owned(),
        outcome: RunOutcome::Held,
        summary: "1 created, 6 held back".to_owned(),
    };
    let change = PendingChange {
        kind: ChangeKind::Delete,
        what: "user",
        name: "Ada <ada>".to_owned(),
        id: "u-1".to_owned(),
        why: "not in CloudStack any more".to_owned(),
        held: true,
    };
    ConnectorState {
        configured: true,
        cloud_url: Some("https://cloud.example.com/client/api".to_owned()),
        last_pass: Some(run.clone()),
        pending: vec![change],
        pending_count: 6,
        held: Some(Held {
            why: "6 of 40 would be deleted, which is more than the limit.".to_owned(),
            token: "t-1".to_owned(),
            deletion_count: 6,
            deactivation_count: 0,
        }),
        runs: vec![run],
        ..ConnectorState::default()
    }
}

#[tokio::test]
async fn an_administrator_sees_what_is_held_back_and_why() {
    let house = House::new().await;
    let mut admin = house.admin().await;
    assert_eq!(admin.get("/Cloudian/").await.location(), "/Cloudian/connector.htm");
    assert_eq!(admin.get("/Cloudian/admin.htm").await.location(), "/Cloudian/");
    let off = admin.get("/Cloudian/connector.htm").await.text();
    assert_eq!(count_of(&off, "connector-off"), 1);

    *house.cloud.state.lock().unwrap() = held_state();
    let page = admin.get("/Cloudian/connector.htm").await.text();
    assert!(page.contains("more than the limit") && page.contains("Ada &#60;ada&#62;") && page.contains("and 5 more"));
    assert_eq!((count_of(&page, "pending-row"), count_of(&page, "run-row")), (1, 1));
}

#[tokio::test]
async fn held_changes_are_applied_only_when_confirmed_and_as_shown() {
    let house = House::new().await;
    *house.cloud.state.lock().unwrap() = held_state();
    let mut admin = house.admin().await;
    admin.get("/Cloudian/connector.htm").await;
    let path = "/Cloudian/connector/apply";
    assert_eq!(admin.post(path, &[("held", "t-1")]).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(admin.post(path, &[("held", "t-0"), ("confirm", "yes")]).await.status, StatusCode::CONFLICT);
    assert!(house.cloud.applied.lock().unwrap().is_empty());
    let done = admin.post(path, &[("held", "t-1"), ("confirm", "yes")]).await;
    assert_eq!(done.location(), "/Cloudian/connector.htm?said=applied");
    assert_eq!(*house.cloud.applied.lock().unwrap(), ["t-1"]);

    let looked = admin.post("/Cloudian/connector/look", &[]).await;
    assert_eq!(looked.location(), "/Cloudian/connector.htm?said=looking");
    assert_eq!(*house.cloud.looks.lock().unwrap(), 1);
}

#[tokio::test]
async fn groups_and_users_are_shown_to_those_who_may_see_them() {
    let house = House::new().await;
    house.user("acme", "chief", Role::GroupAdmin).await;
    house.user("umbrella", "bob", Role::User).await;
    let mut tenant = house.tenant("ada").await;

    let mut admin = house.admin().await;
    let groups = admin.get("/Cloudian/groups.htm").await.text();
    assert!(groups.contains("data-id=\"acme\"") && groups.contains("data-id=\"umbrella\""));
    let users = admin.get("/Cloudian/users.htm?group=acme").await.text();
    assert_eq!(count_of(&users, "user-row"), 2);
    assert_eq!(admin.get("/Cloudian/users.htm?group=nowhere").await.status, StatusCode::NOT_FOUND);

    let mut chief = house.signed_in("acme", "chief").await;
    assert_eq!(chief.get("/Cloudian/groups.htm").await.location(), "/Cloudian/users.htm?group=acme");
    assert_eq!(count_of(&chief.get("/Cloudian/users.htm?group=acme").await.text(), "user-row"), 2);
    assert_eq!(chief.get("/Cloudian/users.htm?group=umbrella").await.status, StatusCode::FORBIDDEN);

    for path in ["/Cloudian/groups.htm", "/Cloudian/users.htm?group=acme"] {
        assert_eq!(tenant.get(path).await.status, StatusCode::FORBIDDEN, "{path}");
    }
}
