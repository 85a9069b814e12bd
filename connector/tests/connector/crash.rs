//! A run that is cut short at any moment heals with the next one.

use std::time::Duration;

use cloudstack_stand_in::Cloud;
use connector::Error;

use crate::{events::wait, world::World};

#[tokio::test(flavor = "multi_thread")]
async fn a_first_pass_cut_short_anywhere_is_finished_by_the_next() {
    let whole = World::with(Cloud::grown(5, 300), |_| ()).await;
    whole.sync().await;
    let expected = whole.actual().await;
    let mut world = World::with(Cloud::grown(5, 300), |_| ()).await;
    for after_ms in [5, 30, 60, 120, 250, 500] {
        let cut = tokio::time::timeout(Duration::from_millis(after_ms), world.connector.sync(None, &|_| ())).await;
        world.restart().await;
        if cut.is_ok() {
            break;
        }
    }
    world.sync().await;
    assert_eq!(world.actual().await, expected);
    assert!(world.plan().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn deactivations_cut_short_anywhere_can_be_taken_back() {
    let mut world = World::with(Cloud::grown(2, 60), |config| config.cloudstack.max_removals = 1000).await;
    world.sync().await;
    let expected = world.actual().await;
    let accounts = world.control.account_ids();
    for after_ms in [1, 5, 10, 20, 40, 80] {
        accounts[1..40].iter().for_each(|account| world.control.disable_account(account).unwrap());
        _ = tokio::time::timeout(Duration::from_millis(after_ms), world.connector.sync(None, &|_| ())).await;
        world.restart().await;
        accounts[1..40].iter().for_each(|account| world.control.enable_account(account).unwrap());
        world.sync().await;
        assert_eq!(world.actual().await, expected, "cut after {after_ms} ms");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_state_adopts_what_it_made() {
    let mut world = World::recorded().await;
    world.sync().await;
    let expected = world.actual().await;
    world.connector.shutdown().await;
    for suffix in ["", "-wal", "-shm"] {
        _ = std::fs::remove_file(format!("{}{suffix}", world.state_path().display()));
    }
    world.connector = world.open_again().await.unwrap();
    assert!(world.plan().await.is_empty());
    assert_eq!(world.connector.status().await.owned.users, 12);
    assert_eq!(world.actual().await, expected);
    // Seen alive by this state and gone later: now it may be deleted.
    let ada = world.account("/acme", "ada");
    world.control.delete_account(&ada).unwrap();
    world.sync().await;
    assert_eq!(world.user_of(&ada).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_vanished_while_the_state_was_lost_is_never_deleted() {
    let mut world = World::recorded().await;
    world.sync().await;
    world.connector.shutdown().await;
    for suffix in ["", "-wal", "-shm"] {
        _ = std::fs::remove_file(format!("{}{suffix}", world.state_path().display()));
    }
    let ada = world.account("/acme", "ada");
    world.control.delete_account(&ada).unwrap();
    world.connector = world.open_again().await.unwrap();
    world.connector.sync(None, &|_| ()).await.unwrap();
    assert!(world.user_of(&ada).await.unwrap().active, "this state never saw that it was there");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_connectors_on_one_state_do_not_work_at_the_same_time() {
    let world = World::with(Cloud::grown(5, 600), |_| ()).await;
    let other = world.open_again().await.unwrap();
    world.control.slow(Duration::from_millis(50));
    let (first, second) = tokio::join!(world.connector.sync(None, &|_| ()), async {
        tokio::time::sleep(Duration::from_millis(60)).await;
        other.sync(None, &|_| ()).await
    });
    assert!(first.is_ok());
    assert!(matches!(second, Err(Error::NotTheOwner)), "{second:?}");
    world.control.slow(Duration::ZERO);
    assert_eq!(other.sync(None, &|_| ()).await.unwrap().outcome, "nothing to do");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_one_process_of_a_folder_waits_for_nobodys_lease() {
    let mut world = World::recorded().await;
    world.connector.shutdown().await;
    let state = sqlx::SqlitePool::connect(&format!("sqlite://{}", world.state_path().display())).await.unwrap();
    sqlx::query("INSERT INTO lease (name, owner, until_us) VALUES ('reconcile', 'elsewhere/7/7/x', 9000000000000000)")
        .execute(&state)
        .await
        .unwrap();
    state.close().await;
    let connector = world.start_background().await;
    wait(|| async { world.actual().await.users.len() == 12 }).await;
    connector.shutdown().await;
    world.connector = world.open_again().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_while_it_works_cuts_nothing_short() {
    let world = World::recorded().await;
    world.control.slow(Duration::from_millis(50));
    let left = tokio::time::timeout(Duration::from_millis(20), world.connector.sync(None, &|_| ())).await;
    assert!(left.is_err(), "{left:?}");
    assert_ne!(world.connector.status().await.doing, "waiting");
    wait(|| async { world.connector.status().await.doing == "waiting" }).await;
    assert_eq!(world.actual().await.users.len(), 12);
    assert_eq!(world.sync().await.outcome, "nothing to do");
}
