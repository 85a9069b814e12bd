//! Automatic snapshots of the metadata.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use engine::{Caller, Database, Error};
use test_databases::asked_for_on_its_own_server;

use crate::databases::postgres;
use crate::world::{World, noise};

const HOUR: Duration = Duration::from_secs(3600);

fn count(world: &World) -> usize {
    world.engine.snapshots(&Caller::LocalOperator).unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_is_taken_each_hour_in_which_something_changed() {
    // A server of its own: what other tests write would look like a change of this store.
    let database = asked_for_on_its_own_server().map_or(Database::Embedded, |url| postgres(&url));
    let world = World::on(database).await;
    let bucket = world.bucket("snapshots").await;
    world.put(&bucket, "o", noise(10)).await;
    world.engine.run_workers().await.unwrap();
    assert_eq!(count(&world), 1);
    world.put(&bucket, "o", noise(20)).await;
    world.engine.run_workers().await.unwrap();
    assert_eq!(count(&world), 1, "an hour has not passed");
    world.clock.advance(HOUR * 2);
    world.engine.run_workers().await.unwrap();
    assert_eq!(count(&world), 2);
    world.clock.advance(HOUR * 2);
    world.engine.run_workers().await.unwrap();
    assert_eq!(count(&world), 2, "nothing changed");
    let newest = &world.engine.snapshots(&Caller::LocalOperator).unwrap()[0];
    assert_eq!(newest.path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let folder = world.directory.path().join("snapshots");
    assert_eq!(folder.metadata().unwrap().permissions().mode() & 0o777, 0o700);
}

#[tokio::test(flavor = "multi_thread")]
async fn old_snapshots_and_halves_are_removed() {
    let mut world = World::new().await;
    world.restart_with(|settings| (settings.snapshots_kept, settings.snapshot_days_kept) = (3, 2)).await;
    let bucket = world.bucket("kept").await;
    for number in 0..60 {
        world.put(&bucket, "o", noise(number)).await;
        world.clock.advance(HOUR);
        world.engine.take_snapshot(&Caller::LocalOperator).await.unwrap();
    }
    // Of two days; the newest three may all be of the younger one.
    assert!((3..=5).contains(&count(&world)), "{}", count(&world));
    let half = world.directory.path().join("snapshots/metadata-20260101T000000.000000Z.sqlite.part");
    std::fs::write(&half, "half").unwrap();
    world.engine.take_snapshot(&Caller::LocalOperator).await.unwrap();
    assert!(!half.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_machines_owner_sees_and_takes_snapshots() {
    let world = World::new().await;
    for caller in [Caller::anonymous(), world.ada.clone(), Caller::AdminService] {
        assert!(matches!(world.engine.take_snapshot(&caller).await, Err(Error::AccessDenied)));
        assert!(matches!(world.engine.snapshots(&caller), Err(Error::AccessDenied)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_go_on_while_a_snapshot_is_taken() {
    let world = World::new().await;
    let bucket = world.bucket("busy").await;
    for number in 0..200 {
        world.put(&bucket, &format!("o{number}"), noise(10_000)).await;
    }
    let snapshot = async { world.engine.take_snapshot(&Caller::LocalOperator).await.unwrap() };
    let writes = async {
        for number in 0..100 {
            world.put(&bucket, &format!("n{number}"), noise(100)).await;
        }
    };
    let (taken, ()) = tokio::join!(snapshot, writes);
    assert!(taken.path.exists());
}
