//! A CloudStack that vanishes, lies or is another one deletes nobody.

use cloudstack_stand_in::{Cloud, Lie};
use tests::CloudWorld;

#[tokio::test(flavor = "multi_thread")]
async fn a_cloudstack_that_vanished_deletes_nothing() {
    let world = CloudWorld::recorded().await;
    world.sync().await;
    let before = world.actual().await;
    world.control.vanish().await;
    let words = world.server.command(&["connector", "sync"]).await.failed();
    assert!(!words.is_empty());
    assert_eq!(world.actual().await, before);
    world.control.come_back().await.unwrap();
    world.sync().await;
    assert_eq!(world.actual().await, before);
    assert_eq!(world.planned().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_lie_deletes_anybody() {
    let world = CloudWorld::with(Cloud::grown(8, 600), "").await;
    world.sync().await;
    let before = world.actual().await;
    let only = world.control.domain_ids()[1].clone();
    for lie in [
        Lie::Nothing,
        Lie::EmptyArray,
        Lie::EmptyBody,
        Lie::Truncated,
        Lie::Html,
        Lie::CountOff(-3),
        Lie::ShortPages(7),
        Lie::RepeatPages,
        Lie::SkipPages,
        Lie::WithoutRoot,
        Lie::OnlyBelow { domain: only, others_are_gone: true },
        Lie::OtherRoot("00000000-1111-2222-3333-444444444444".to_owned()),
    ] {
        world.control.lie(None, lie.clone());
        // Whether it fails or finds a way around is its own matter.
        let output = world.server.command(&["connector", "sync"]).await;
        assert_eq!(world.actual().await, before, "{lie:?}: {}{}", output.stdout, output.stderr);
        world.control.behave();
    }
    for status in [401, 431, 500, 503] {
        world.control.fail(None, status, 3);
        let _ = world.server.command(&["connector", "sync"]).await;
        assert_eq!(world.actual().await, before, "{status}");
        world.control.behave();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_removals_wait_for_a_word() {
    let world = CloudWorld::with(Cloud::grown(4, 40), "").await;
    world.sync().await;
    let before = world.actual().await;
    for account in world.control.account_ids().iter().skip(1).take(10) {
        world.control.delete_account(account).unwrap();
    }
    let report = world.sync().await;
    assert_eq!(report["held"][0]["count"], 10, "{report}");
    assert_eq!(world.actual().await, before);
    let status = world.server.command(&["connector", "status"]).await.ok();
    assert!(status.contains("Held back"), "{status}");
    let report = world.server.json(&["connector", "sync", "--confirm"]).await;
    assert_eq!((&report["failed"], report["held"].as_array().unwrap().len()), (&0.into(), 0), "{report}");
    assert_eq!(world.actual().await.users.len(), before.users.len() - 10);
}
