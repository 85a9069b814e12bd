//! A run behind events plans and applies what they named, and is as careful as one over everything.

use cloudstack_stand_in::Cloud;
use sqlx::SqlitePool;

use crate::world::World;

/// Makes the connector remember a user otherwise than it is, so that the next whole plan has a change which no event named.
async fn forget_name(world: &World, account: &str) {
    let state = SqlitePool::connect(&format!("sqlite://{}", world.state_path().display())).await.unwrap();
    let forgotten = sqlx::query("UPDATE known_user SET full_name = 'another' WHERE user_id = $1").bind(account);
    assert_eq!(forgotten.execute(&state).await.unwrap().rows_affected(), 1);
    state.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_changes_what_it_names_and_the_next_pass_the_rest() {
    let world = World::recorded().await;
    world.sync().await;
    let (ada, homer) = (world.account("/acme", "ada"), world.account("/globex", "homer"));
    forget_name(&world, &homer).await;
    world.control.rename_account(&ada, "ada-2").unwrap();
    let report = world.connector.poll().await.unwrap();
    assert_eq!((report.applied, report.failed), (1, 0), "{report:?}");
    assert_eq!(world.user_of(&ada).await.unwrap().full_name, "Ada Byron (ada-2)");
    let left = world.plan().await;
    assert_eq!(
        left.changes.iter().filter_map(|change| change.user_id.as_ref()).collect::<Vec<_>>(),
        [&homer],
        "{left}"
    );
    assert_eq!(world.sync().await.applied, 1);
    assert!(world.plan().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_about_a_domain_reaches_its_subtree_and_no_further() {
    let world = World::recorded().await;
    world.sync().await;
    let id = |path: &str| world.control.domain_id(path).unwrap();
    let (acme, dev, temporary, nested) = (id("/acme"), id("/acme/dev"), id("/temporary"), id("/temporary/nested"));
    let homer = world.account("/globex", "homer");
    forget_name(&world, &homer).await;
    world.control.rename_domain(&acme, "acme-corp").unwrap();
    world.control.delete_domain(&temporary, true).unwrap();
    let report = world.connector.poll().await.unwrap();
    assert_eq!(report.failed, 0, "{report:?}");
    let groups = world.actual().await.groups;
    assert_eq!((groups[&acme].as_str(), groups[&dev].as_str()), ("/acme-corp/", "/acme-corp/dev/"));
    assert!(!groups.contains_key(&temporary) && !groups.contains_key(&nested));
    assert_eq!(world.trashed().await, 2);
    let left = world.plan().await;
    assert_eq!((left.counts.total(), left.counts.change), (1, 1), "{left}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_and_went_before_anybody_looked_is_nothing_to_do() {
    let world = World::recorded().await;
    world.sync().await;
    let before = world.actual().await;
    let acme = world.control.domain_id("/acme").unwrap();
    let domain = world.control.create_domain(&acme, "short").unwrap();
    world.control.create_account(&domain, "brief").unwrap();
    world.control.delete_domain(&domain, true).unwrap();
    let account = world.control.create_account(&acme, "late").unwrap();
    world.control.delete_account(&account).unwrap();
    let report = world.connector.poll().await.unwrap();
    assert_eq!((report.outcome.as_str(), world.actual().await), ("nothing to do", before));
    assert!(world.plan().await.is_empty());
}

/// 50 accounts in 2 domains, of which 6 and more are too many; 6 are gone and held back.
async fn held() -> (World, Vec<String>) {
    let world = World::with(Cloud::grown(2, 50), |_| ()).await;
    world.sync().await;
    let accounts: Vec<String> = world.control.account_ids().into_iter().skip(1).collect();
    accounts[0..6].iter().for_each(|account| world.control.delete_account(account).unwrap());
    assert_eq!(world.sync().await.held.len(), 1);
    (world, accounts)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_back_stays_so_whatever_an_event_names() {
    let (world, accounts) = held().await;
    world.control.rename_account(&accounts[10], "renamed").unwrap();
    let report = world.connector.poll().await.unwrap();
    assert_eq!((report.applied, report.failed, world.actual().await.users.len()), (1, 0, 50), "{report:?}");
    let status = world.connector.status().await;
    assert_eq!((status.pending.total(), status.pending.remove, status.held.len()), (6, 6, 1));
    // What is shown can be confirmed.
    let report = world.connector.sync(Some(&status.held[0].token), &|_| ()).await.unwrap();
    assert_eq!((report.applied, world.actual().await.users.len()), (6, 44), "{report:?}");
    assert!(world.connector.status().await.held.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_one_removal_counts_all_that_are_due() {
    let (mut world, accounts) = held().await;
    // What is counted is what the state tells, not what somebody was shown.
    world.restart().await;
    world.control.delete_account(&accounts[6]).unwrap();
    world.control.rename_account(&accounts[10], "renamed").unwrap();
    let report = world.connector.poll().await.unwrap();
    assert_eq!((report.applied, report.held.len(), report.held[0].count), (1, 1, 1), "{report:?}");
    assert!(report.held[0].why.starts_with("7 deletions"), "{report:?}");
    assert_eq!(world.actual().await.users.len(), 50);
    let status = world.connector.status().await;
    assert_eq!((status.pending.remove, status.held[0].count), (7, 7));
    let report = world.connector.sync(Some(&status.held[0].token), &|_| ()).await.unwrap();
    assert_eq!((report.applied, world.actual().await.users.len()), (7, 43), "{report:?}");
}
