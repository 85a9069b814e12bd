//! In front of another HyperStore, which has no trash, a deleted account's user is deactivated first.

use std::time::Duration;

use connector::TargetKind;

use crate::world::{PASSWORD, USER, World};

const DAY: Duration = Duration::from_secs(86_400);

async fn synced() -> World {
    let mut world = World::recorded().await;
    let target = &mut world.config.connector.target;
    target.kind = TargetKind::Hyperstore;
    target.protocol = Some("http".into());
    target.host = Some("127.0.0.1".into());
    target.port = world.admin_url.port();
    target.user = Some(USER.into());
    target.password = Some(PASSWORD.into());
    world.restart().await;
    world.sync().await;
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_deleted_when_its_day_has_come_and_its_group_after_it() {
    let world = synced().await;
    let temporary = world.control.domain_id("/temporary").unwrap();
    let account = world.account("/temporary", "tmpuser");
    world.control.delete_domain(&temporary, true).unwrap();
    world.sync().await;
    assert!(!world.user_of(&account).await.unwrap().active);
    assert!(world.actual().await.groups.contains_key(&temporary));
    assert!(world.plan().await.to_string().contains("2 deactivated users wait"));
    world.later(DAY * 6);
    world.sync().await;
    assert!(world.user_of(&account).await.is_some(), "six days are not seven");
    world.later(DAY + Duration::from_secs(60));
    world.sync().await;
    assert_eq!(world.user_of(&account).await, None);
    assert!(!world.actual().await.groups.contains_key(&temporary));
    assert!(world.plan().await.is_empty());
}
