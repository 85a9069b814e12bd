//! Nothing is deleted or deactivated because of an answer that is wrong, cut, empty or from somebody else.

use cloudstack_stand_in::{Cloud, Lie};
use connector::Error;

use crate::world::{Mood, World};

const OTHER_ROOT: &str = "00000000-0000-4000-8000-00000000abcd";

/// Every way in which the stand-in can lie about lists.
fn lies(world: &World) -> Vec<Lie> {
    let acme = world.control.domain_id("/domain-000001").unwrap();
    vec![
        Lie::Nothing,
        Lie::EmptyArray,
        Lie::EmptyBody,
        Lie::Truncated,
        Lie::Html,
        Lie::CountOff(1),
        Lie::CountOff(-1),
        Lie::CountOff(-500),
        Lie::ShortPages(1),
        Lie::RepeatPages,
        Lie::SkipPages,
        Lie::WithoutRoot,
        Lie::OnlyBelow { domain: acme.clone(), others_are_gone: false },
        Lie::OnlyBelow { domain: acme, others_are_gone: true },
        Lie::OtherRoot(OTHER_ROOT.to_owned()),
    ]
}

/// 601 accounts, so that lists have two pages; the limit is out of the way, because it must not be what saves us.
async fn synced() -> World {
    let world = World::with(Cloud::grown(12, 600), |config| {
        config.cloudstack.max_removals = 100_000;
        config.cloudstack.max_removals_percent = 100;
    })
    .await;
    world.sync().await;
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn no_lie_takes_anything_away() {
    let world = synced().await;
    let before = world.actual().await;
    for command in [None, Some("listDomains"), Some("listAccounts")] {
        for lie in lies(&world) {
            world.control.lie(command, lie.clone());
            let result = world.connector.sync(None, &|_| ()).await;
            let polled = world.connector.poll().await;
            world.control.behave();
            assert_eq!(world.actual().await, before, "{command:?} {lie:?}: {result:?} {polled:?}");
        }
    }
    let report = world.sync().await;
    assert_eq!(report.outcome, "nothing to do", "it recovers");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_failure_takes_anything_away() {
    let world = synced().await;
    let before = world.actual().await;
    for status in [401, 431, 432, 500, 503, 530] {
        for command in ["listDomains", "listAccounts", "listEvents", "listConfigurations"] {
            world.control.fail(Some(command), status, 100);
            _ = world.connector.sync(None, &|_| ()).await;
            _ = world.connector.poll().await;
            world.control.behave();
            assert_eq!(world.actual().await, before, "{status} of {command}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lie_while_something_is_really_gone_does_not_widen_what_goes() {
    let world = synced().await;
    let accounts = world.control.account_ids();
    world.control.delete_account(&accounts[5]).unwrap();
    // The count agrees with what is shown, so the pass is trusted; the ids asked for one by one tell the truth.
    world.control.lie(Some("listAccounts"), Lie::ShortPages(3));
    world.control.lie(Some("listAccounts"), Lie::CountOff(-6));
    let report = world.connector.sync(None, &|_| ()).await;
    world.control.behave();
    assert_eq!(world.actual().await.users.len(), 599, "{report:?}");
    assert_eq!(world.user_of(&accounts[5]).await, None);
    assert!(world.plan().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cloud_that_vanished_changes_nothing_and_says_so() {
    let world = synced().await;
    let before = world.actual().await;
    world.control.vanish().await;
    let error = world.connector.sync(None, &|_| ()).await.unwrap_err();
    assert!(matches!(error, Error::CloudStack(_)), "{error}");
    assert!(error.to_string().contains("cannot be reached"), "{error}");
    assert_eq!(world.actual().await, before);
    assert!(world.connector.status().await.last_error.unwrap().contains("cannot be reached"));
    world.control.come_back().await.unwrap();
    assert_eq!(world.sync().await.outcome, "nothing to do");
    assert_eq!(world.connector.status().await.last_error, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_cloud_stops_everything_until_the_right_one_is_back() {
    let world = World::recorded().await;
    world.sync().await;
    let before = world.actual().await;
    world.control.lie(None, Lie::OtherRoot(OTHER_ROOT.to_owned()));
    let error = world.connector.sync(None, &|_| ()).await.unwrap_err();
    assert!(
        matches!(&error, Error::AnotherCloud { known, found }
        if *known == world.control.root_id() && found == OTHER_ROOT),
        "{error}"
    );
    assert!(world.connector.status().await.stopped.unwrap().contains(OTHER_ROOT));
    assert!(world.connector.plan().await.is_err());
    assert_eq!(world.actual().await, before);
    world.control.behave();
    assert_eq!(world.sync().await.outcome, "nothing to do");
    assert_eq!(world.connector.status().await.stopped, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_is_never_bound_to_a_key_that_sees_no_root() {
    let world = World::recorded().await;
    let acme = world.control.domain_id("/acme").unwrap();
    world.control.lie(None, Lie::OnlyBelow { domain: acme, others_are_gone: false });
    let error = world.connector.sync(None, &|_| ()).await.unwrap_err();
    assert!(error.to_string().contains("root admin"), "{error}");
    assert_eq!(world.connector.status().await.cloud_id, None);
    assert!(world.actual().await.groups.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_a_tenant_is_told_what_it_lacks() {
    let control_of = |world: &World| world.control.clone();
    let mut world = World::recorded().await;
    let ada = world.account("/acme", "ada");
    let (api_key, secret_key) = control_of(&world).keys_for(&ada).unwrap();
    world.config.cloudstack.api_key = Some(api_key);
    world.config.cloudstack.secret_key = Some(secret_key.into());
    world.restart().await;
    let error = world.connector.sync(None, &|_| ()).await.unwrap_err();
    assert!(error.to_string().contains("does not allow"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_list_of_the_store_makes_nothing_forgotten() {
    let world = World::recorded().await;
    world.sync().await;
    let ada = world.account("/acme", "ada");
    world.control.disable_account(&ada).unwrap();
    world.sync().await;
    let before = (world.actual().await, world.connector.status().await.owned);
    world.store_is(Mood::Forgetful);
    let report = world.connector.verify(&|_| ()).await.unwrap();
    assert_eq!(report.outcome, "nothing to do");
    world.store_is(Mood::Well);
    assert_eq!((world.actual().await, world.connector.status().await.owned), before);
    world.control.enable_account(&ada).unwrap();
    world.sync().await;
    assert!(world.user_of(&ada).await.unwrap().active, "it is remembered who deactivated it");
}

#[tokio::test(flavor = "multi_thread")]
async fn quiet_polls_notice_another_cloud_within_a_minute() {
    let world = World::recorded().await;
    world.sync().await;
    world.control.lie(Some("listDomains"), Lie::OtherRoot(OTHER_ROOT.to_owned()));
    world.later(std::time::Duration::from_secs(61));
    let error = world.connector.poll().await.unwrap_err();
    assert!(matches!(error, Error::AnotherCloud { .. }), "{error}");
    assert!(world.connector.status().await.stopped.unwrap().contains(OTHER_ROOT));
    world.control.behave();
    world.connector.poll().await.unwrap();
    assert_eq!(world.connector.status().await.stopped, None);
}
