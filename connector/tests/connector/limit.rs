//! The limit on removals: many at once wait for an operator's word.

use std::time::Duration;

use cloudstack_stand_in::Cloud;

use crate::world::{Mood, World};

/// 50 accounts in 2 domains: 52 are owned, so 6 and more are too many.
async fn synced() -> (World, Vec<String>) {
    let world = World::with(Cloud::grown(2, 50), |_| ()).await;
    world.sync().await;
    let accounts = world.control.account_ids().into_iter().skip(1).collect();
    (world, accounts)
}

async fn active(world: &World) -> usize {
    world.actual().await.users.values().filter(|person| person.active).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_removals_are_all_held_until_somebody_confirms() {
    let (world, accounts) = synced().await;
    accounts[0..3].iter().for_each(|account| world.control.delete_account(account).unwrap());
    accounts[3..6].iter().for_each(|account| world.control.disable_account(account).unwrap());
    world.control.rename_account(&accounts[10], "renamed").unwrap();

    let plan = world.plan().await;
    assert_eq!((plan.counts.remove, plan.held_count()), (6, 6), "{plan}");
    assert!(plan.to_string().contains("--confirm"), "{plan}");
    assert!(plan.to_string().contains("(held back)"), "{plan}");
    let report = world.sync().await;
    assert_eq!((report.applied, report.held.len()), (1, 1), "only the new name: {report:?}");
    assert_eq!((world.actual().await.users.len(), active(&world).await), (50, 50));
    let status = world.connector.status().await;
    assert_eq!((status.pending.remove, status.held.len()), (6, 1));
    assert_eq!(status.pending_changes.iter().filter(|change| change.held).count(), 6);

    let report = world.connector.sync(Some(&status.held[0].token), &|_| ()).await.unwrap();
    assert_eq!((report.applied, report.held.len()), (6, 0), "{report:?}");
    assert_eq!((world.actual().await.users.len(), active(&world).await, world.trashed().await), (47, 44, 3));
    // What was confirmed does not count against what comes next.
    world.control.delete_account(&accounts[20]).unwrap();
    world.sync().await;
    assert_eq!(world.actual().await.users.len(), 46);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_few_within_a_day_add_up_whichever_way_they_come() {
    let (world, accounts) = synced().await;
    for (at, account) in accounts[0..5].iter().enumerate() {
        world.control.disable_account(account).unwrap();
        if at % 2 == 0 {
            world.sync().await
        } else {
            world.connector.poll().await.unwrap()
        };
    }
    assert_eq!(active(&world).await, 45);
    world.control.delete_account(&accounts[5]).unwrap();
    let report = world.connector.poll().await.unwrap();
    assert_eq!(report.held.len(), 1, "{report:?}");
    assert_eq!(world.actual().await.users.len(), 50);
    world.later(Duration::from_secs(24 * 3600 + 60));
    world.sync().await;
    assert_eq!(world.actual().await.users.len(), 49, "a day later the five do not count any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_of_very_many_pass() {
    let world = World::with(Cloud::grown(2, 100), |_| ()).await;
    world.sync().await;
    let accounts = world.control.account_ids();
    accounts[1..11].iter().for_each(|account| world.control.disable_account(account).unwrap());
    let report = world.sync().await;
    assert_eq!((report.applied, report.held.len()), (10, 0), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn removals_of_a_run_that_was_cut_stay_counted() {
    let (mut world, accounts) = synced().await;
    accounts[0..5].iter().for_each(|account| world.control.delete_account(account).unwrap());
    // Four are asked for at a time, and the fifth waits for CloudStack while they are gone already.
    world.control.slow(Duration::from_millis(300));
    tokio::select! {
        report = world.connector.sync(None, &|_| ()) => panic!("nothing was cut: {report:?}"),
        () = async {
            while world.actual().await.users.len() == 50 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        } => {}
    }
    world.restart().await;
    world.control.slow(Duration::ZERO);
    let left = world.actual().await.users.len();
    assert!((45..50).contains(&left), "{left}");
    accounts[5..9].iter().for_each(|account| world.control.delete_account(account).unwrap());
    let report = world.sync().await;
    assert_eq!(report.held.len(), 1, "{} were deleted before: {report:?}", 50 - left);
    assert_eq!(world.actual().await.users.len(), left);
}

#[tokio::test(flavor = "multi_thread")]
async fn removals_that_the_store_did_not_make_do_not_count() {
    let (world, accounts) = synced().await;
    accounts[0..4].iter().for_each(|account| world.control.delete_account(account).unwrap());
    world.store_is(Mood::Away);
    for _ in 0..2 {
        assert!(world.connector.sync(None, &|_| ()).await.is_err());
    }
    world.store_is(Mood::Well);
    let report = world.sync().await;
    assert_eq!((report.applied, report.held.len()), (4, 0), "{report:?}");
    world.control.delete_account(&accounts[4]).unwrap();
    assert_eq!(world.sync().await.held.len(), 0, "the fifth of a day");
    world.control.delete_account(&accounts[5]).unwrap();
    assert_eq!(world.sync().await.held.len(), 1, "the sixth of a day");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_confirmation_is_of_what_was_shown_and_of_nothing_else() {
    let (world, accounts) = synced().await;
    accounts[0..6].iter().for_each(|account| world.control.delete_account(account).unwrap());
    let shown = world.plan().await.held[0].token.clone();
    accounts[6..9].iter().for_each(|account| world.control.delete_account(account).unwrap());
    let report = world.connector.sync(Some(&shown), &|_| ()).await.unwrap();
    assert_eq!((report.applied, report.held[0].count), (0, 9), "{report:?}");
    assert!(report.held[0].why.contains("what was confirmed is not"), "{report:?}");
    assert_eq!(world.actual().await.users.len(), 50);
    let shown = world.plan().await.held[0].token.clone();
    let report = world.connector.sync(Some(&shown), &|_| ()).await.unwrap();
    assert_eq!((report.applied, report.held.len()), (9, 0), "{report:?}");
    assert_eq!(world.actual().await.users.len(), 41);
}
