//! Killed in the middle of a reconcile: the next pass finishes what the first began.

use std::time::Duration;

use cloudstack_stand_in::Cloud;
use tests::{CloudWorld, binary};

const ROUNDS: u32 = 5;
const DOMAINS: u32 = 20;
const ACCOUNTS: u32 = 600;

#[tokio::test(flavor = "multi_thread")]
async fn the_next_pass_finishes_what_was_begun() {
    let mut world = CloudWorld::with(Cloud::grown(DOMAINS, ACCOUNTS), "").await;
    let mut seen = Vec::new();
    for round in 0..ROUNDS {
        // The start begins a pass by itself, and the command asks for one more.
        let data_dir = world.server.data_dir();
        let sync = tokio::spawn(async move {
            let mut command = tokio::process::Command::new(binary());
            command.args(["connector", "sync", "--data-dir"]).arg(data_dir);
            tests::run(&mut command, Duration::from_secs(120)).await
        });
        // Each round dies when a good part more is done, in the middle of the pass.
        let enough = (ACCOUNTS as usize / (ROUNDS as usize + 1)) * (round as usize + 1);
        while world.actual().await.users.len() < enough {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        world.server.kill().await;
        let _ = sync.await.unwrap();
        world.server.restart().await;
        seen.push(world.actual().await.users.len());
    }
    assert!(seen.iter().any(|users| *users < ACCOUNTS as usize), "no pass was cut: {seen:?}");
    let report = world.sync().await;
    assert_eq!(report["failed"], 0, "{report}");
    let actual = world.actual().await;
    let found = (actual.groups.len() as u64, actual.users.len() as u64);
    assert_eq!(found, (DOMAINS.into(), ACCOUNTS.into()), "after {seen:?}");
    for account in world.control.account_ids().iter().skip(1) {
        assert!(actual.users.keys().any(|(_, user)| user == account), "{account} is lost");
    }
    assert_eq!(world.planned().await, 0);
    let trash = world.server.json(&["trash", "list"]).await;
    assert_eq!(trash.as_array().unwrap().len(), 0, "nobody was deleted on the way");
}
