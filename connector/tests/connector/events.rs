//! Events are hints: doubled, late, lost or about nothing, they do no harm.

use std::time::Duration;

use cloudstack_stand_in::Cloud;

use crate::world::{Mood, World};

#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_cloud_is_asked_one_question_a_poll() {
    let world = World::recorded().await;
    world.sync().await;
    world.connector.poll().await.unwrap();
    world.control.clear_requests();
    for _ in 0..3 {
        assert_eq!(world.connector.poll().await.unwrap().outcome, "nothing to do");
    }
    let commands: Vec<String> = world.control.requests().into_iter().map(|request| request.command).collect();
    assert_eq!(commands, ["listEvents"; 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_taken_in_once_though_polls_overlap() {
    let world = World::recorded().await;
    world.sync().await;
    let ada = world.account("/acme", "ada");
    world.control.rename_account(&ada, "ada-2").unwrap();
    world.connector.poll().await.unwrap();
    world.control.clear_requests();
    world.connector.poll().await.unwrap();
    assert_eq!(world.control.request_count("listAccounts"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_during_an_outage_is_seen_after_it() {
    let world = World::recorded().await;
    world.sync().await;
    let ada = world.account("/acme", "ada");
    world.control.vanish().await;
    assert!(world.connector.poll().await.is_err());
    world.control.come_back().await.unwrap();
    world.control.disable_account(&ada).unwrap();
    world.connector.poll().await.unwrap();
    assert!(!world.user_of(&ada).await.unwrap().active);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_that_fails_is_made_again_at_the_next_poll() {
    let world = World::recorded().await;
    world.sync().await;
    let ada = world.account("/acme", "ada");
    world.control.rename_account(&ada, "ada-2").unwrap();
    world.control.fail(Some("listAccounts"), 530, 3);
    assert!(world.connector.poll().await.is_err());
    world.connector.poll().await.unwrap();
    assert_eq!(world.user_of(&ada).await.unwrap().full_name, "Ada Byron (ada-2)");
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_events_are_repaired_by_the_next_pass() {
    let world = World::recorded().await;
    world.sync().await;
    let ada = world.account("/acme", "ada");
    world.control.suppress_events(true);
    world.control.delete_account(&ada).unwrap();
    world.connector.poll().await.unwrap();
    assert!(world.user_of(&ada).await.unwrap().active);
    world.sync().await;
    assert_eq!(world.user_of(&ada).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn very_many_events_become_one_full_pass() {
    let world = World::with(Cloud::grown(3, 700), |config| config.cloudstack.max_removals = 1000).await;
    world.sync().await;
    let accounts = world.control.account_ids();
    for account in accounts.iter().skip(1).take(600) {
        world.control.lock_account(account).unwrap();
    }
    world.control.clear_requests();
    world.connector.poll().await.unwrap();
    assert!(world.control.request_count("listAccounts") < 20);
    let active = world.actual().await.users.values().filter(|person| person.active).count();
    assert_eq!(active, 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_background_work_follows_by_itself() {
    let mut world = World::recorded().await;
    world.connector.shutdown().await;
    let connector = world.start_background().await;
    let ada = world.account("/acme", "ada");
    wait(|| async { world.user_of(&ada).await.is_some() }).await;
    wait(|| async { connector.status().await.last_pass.is_some_and(|pass| pass.trusted) }).await;
    world.control.rename_account(&ada, "ada-2").unwrap();
    wait(|| async { world.user_of(&ada).await.unwrap().full_name == "Ada Byron (ada-2)" }).await;
    connector.shutdown().await;
    world.connector = world.open_again().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_background_work_rests_while_it_is_off_or_does_not_know() {
    let mut world = World::recorded().await;
    world.connector.shutdown().await;
    world.control.set_setting("cloudian.connector.enabled", "false").unwrap();
    let connector = world.start_background().await;
    let says = |word: &'static str| {
        let connector = connector.clone();
        move || {
            let connector = connector.clone();
            async move { connector.status().await.last_error.is_some_and(|error| error.contains(word)) }
        }
    };
    wait(says("enabled is false")).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(world.actual().await.groups.is_empty());
    connector.shutdown().await;

    world.control.set_setting("cloudian.connector.enabled", "true").unwrap();
    world.control.fail(Some("listConfigurations"), 530, 1000);
    let connector = world.start_background().await;
    wait(|| async { connector.status().await.last_error.is_some_and(|error| error.contains("not known")) }).await;
    assert!(world.actual().await.groups.is_empty());
    world.control.behave();
    wait(|| async { world.actual().await.users.len() == 12 }).await;
    connector.shutdown().await;
    world.connector = world.open_again().await.unwrap();
}

pub(crate) async fn wait<F: Future<Output = bool>>(condition: impl Fn() -> F) {
    for _ in 0..300 {
        if condition().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("it did not come to pass within 30 seconds");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_store_did_not_take_is_tried_again_without_another_event() {
    let world = World::recorded().await;
    world.sync().await;
    let ada = world.account("/acme", "ada");
    world.control.disable_account(&ada).unwrap();
    world.store_is(Mood::Away);
    assert!(world.connector.poll().await.is_err());
    assert!(world.connector.poll().await.is_err(), "it is tried again");
    world.store_is(Mood::Well);
    world.connector.poll().await.unwrap();
    assert!(!world.user_of(&ada).await.unwrap().active);
    assert_eq!(world.connector.poll().await.unwrap().outcome, "nothing to do");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_background_work_soon_tries_again_what_the_store_did_not_take() {
    let mut world = World::recorded().await;
    world.connector.shutdown().await;
    let connector = world.start_background().await;
    wait(|| async { connector.status().await.last_poll.is_some() }).await;
    let ada = world.account("/acme", "ada");
    world.store_is(Mood::Away);
    world.control.disable_account(&ada).unwrap();
    wait(|| async { connector.status().await.last_error.is_some() }).await;
    world.store_is(Mood::Well);
    wait(|| async { !world.user_of(&ada).await.unwrap().active }).await;
    connector.shutdown().await;
    world.connector = world.open_again().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_odd_answer_about_one_id_keeps_nobody_else_waiting() {
    let world = World::recorded().await;
    world.sync().await;
    let mut ids = [world.account("/acme", "ada"), world.account("/globex", "homer")];
    ids.sort();
    ids.iter().for_each(|id| world.control.rename_account(id, "renamed").unwrap());
    // All tries of the first question.
    world.control.fail(Some("listAccounts"), 530, 3);
    assert!(world.connector.poll().await.is_err());
    let renamed = async |id: &str| world.user_of(id).await.unwrap().full_name.contains("renamed");
    assert_eq!((renamed(&ids[0]).await, renamed(&ids[1]).await), (false, true));
    world.connector.poll().await.unwrap();
    assert!(renamed(&ids[0]).await, "and it is asked again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_domain_of_very_many_accounts_is_read_as_a_whole() {
    let world = World::with(Cloud::grown(1, 700), |_| ()).await;
    world.sync().await;
    let domain = world.control.domain_id("/domain-000001").unwrap();
    world.control.delete_domain(&domain, true).unwrap();
    world.control.clear_requests();
    let report = world.connector.poll().await.unwrap();
    assert_eq!(report.held.len(), 1, "{report:?}");
    assert!(world.control.request_count("listAccounts") < 20);
}
