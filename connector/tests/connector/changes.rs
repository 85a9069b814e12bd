//! Changes of tenants, each seen once by a full pass and once by events alone.

use crate::world::World;

/// How a change comes to be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Pass,
    Events,
}

const WAYS: [By; 2] = [By::Pass, By::Events];

async fn synced() -> World {
    let world = World::recorded().await;
    world.sync().await;
    world
}

async fn follow(world: &World, by: By) {
    world.control.clear_requests();
    match by {
        By::Pass => drop(world.sync().await),
        By::Events => {
            world.connector.poll().await.unwrap();
            assert_eq!(world.control.requests().iter().filter(|request| is_full_list(request)).count(), 0);
        }
    }
    assert!(world.plan().await.is_empty(), "{by:?}: {}", world.plan().await);
}

/// All accounts: what events must make needless.
fn is_full_list(request: &cloudstack_stand_in::RequestRecord) -> bool {
    request.command == "listAccounts" && request.parameter("id").is_none() && request.parameter("domainid").is_none()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_domain_and_account() {
    for by in WAYS {
        let world = synced().await;
        let domain = world.control.create_domain(&world.control.domain_id("/acme").unwrap(), "new").unwrap();
        let account =
            world.control.create_account_as(&domain, "eve", "User", "Eve", "Moneypenny", "eve@x.org").unwrap();
        follow(&world, by).await;
        let actual = world.actual().await;
        assert_eq!(actual.groups[&domain], "/acme/new/", "{by:?}");
        let eve = &actual.users[&(domain, account)];
        assert_eq!(
            (eve.full_name.as_str(), eve.email.as_str(), eve.active),
            ("Eve Moneypenny (eve)", "eve@x.org", true)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_account_and_a_renamed_user() {
    for by in WAYS {
        let world = synced().await;
        let (ada, homer) = (world.account("/acme", "ada"), world.account("/globex", "homer"));
        world.control.rename_account(&homer, "homer-j").unwrap();
        world.control.update_first_user(&ada, "Augusta Ada", "King", "countess@acme.example").unwrap();
        follow(&world, by).await;
        assert_eq!(world.user_of(&homer).await.unwrap().full_name, "Homer Simpson (homer-j)", "{by:?}");
        let ada = world.user_of(&ada).await.unwrap();
        assert_eq!((ada.full_name.as_str(), ada.email.as_str()), ("Augusta Ada King (ada)", "countess@acme.example"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_first_user_leaves_the_next_ones_name() {
    for by in WAYS {
        let world = synced().await;
        let ada = world.account("/acme", "ada");
        world.control.delete_first_user(&ada).unwrap();
        follow(&world, by).await;
        assert_eq!(world.user_of(&ada).await.unwrap().full_name, "Annabella Byron (ada)", "{by:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_domain_renames_everything_below_it() {
    for by in WAYS {
        let world = synced().await;
        let id = |path: &str| world.control.domain_id(path).unwrap();
        let (acme, dev) = (id("/acme"), id("/acme/dev"));
        world.control.rename_domain(&acme, "acme-corp").unwrap();
        follow(&world, by).await;
        let groups = world.actual().await.groups;
        assert_eq!((groups[&acme].as_str(), groups[&dev].as_str()), ("/acme-corp/", "/acme-corp/dev/"), "{by:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moved_domain_keeps_its_users() {
    for by in WAYS {
        let world = synced().await;
        let (dev, globex) =
            (world.control.domain_id("/acme/dev").unwrap(), world.control.domain_id("/globex").unwrap());
        let users = world.actual().await.users;
        world.control.move_domain(&dev, &globex).unwrap();
        follow(&world, by).await;
        let actual = world.actual().await;
        assert_eq!(actual.groups[&dev], "/globex/dev/", "{by:?}");
        assert_eq!(actual.users, users);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn disabled_and_locked_accounts_are_kept_out_until_they_are_enabled() {
    for by in WAYS {
        let world = synced().await;
        let (ada, homer) = (world.account("/acme", "ada"), world.account("/globex", "homer"));
        world.control.disable_account(&ada).unwrap();
        world.control.lock_account(&homer).unwrap();
        follow(&world, by).await;
        assert!(!world.user_of(&ada).await.unwrap().active, "{by:?}");
        assert!(!world.user_of(&homer).await.unwrap().active, "{by:?}");
        world.control.enable_account(&ada).unwrap();
        world.control.enable_account(&homer).unwrap();
        follow(&world, by).await;
        assert!(world.user_of(&ada).await.unwrap().active, "{by:?}");
        assert!(world.user_of(&homer).await.unwrap().active, "{by:?}");
        assert_eq!(world.trashed().await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whom_an_operator_deactivated_stays_out() {
    for by in WAYS {
        let world = synced().await;
        let (acme, ada) = (world.control.domain_id("/acme").unwrap(), world.account("/acme", "ada"));
        let update =
            admin_api::client::UserUpdate { active: Some(false), ..admin_api::client::UserUpdate::of(&acme, &ada) };
        world.admin().post_user(&update).await.unwrap();
        world.control.disable_account(&ada).unwrap();
        follow(&world, by).await;
        world.control.enable_account(&ada).unwrap();
        follow(&world, by).await;
        assert!(!world.user_of(&ada).await.unwrap().active, "{by:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_begins_disabled_has_a_user_that_may_not_enter() {
    for by in WAYS {
        let world = synced().await;
        let account = world.control.create_account(&world.control.domain_id("/acme").unwrap(), "late").unwrap();
        world.control.disable_account(&account).unwrap();
        follow(&world, by).await;
        assert!(!world.user_of(&account).await.unwrap().active, "{by:?}");
        world.control.enable_account(&account).unwrap();
        follow(&world, by).await;
        assert!(world.user_of(&account).await.unwrap().active, "{by:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_account_goes_to_the_trash() {
    for by in WAYS {
        let world = synced().await;
        let ada = world.account("/acme", "ada");
        world.control.delete_account(&ada).unwrap();
        follow(&world, by).await;
        assert_eq!(world.user_of(&ada).await, None, "{by:?}");
        assert_eq!((world.actual().await.users.len(), world.trashed().await), (11, 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_domain_goes_with_everything_in_it() {
    for by in WAYS {
        let world = synced().await;
        let (temporary, nested) =
            (world.control.domain_id("/temporary").unwrap(), world.control.domain_id("/temporary/nested").unwrap());
        world.control.delete_domain(&temporary, true).unwrap();
        follow(&world, by).await;
        let actual = world.actual().await;
        assert!(!actual.groups.contains_key(&temporary) && !actual.groups.contains_key(&nested), "{by:?}");
        assert_eq!((actual.groups.len(), actual.users.len(), world.trashed().await), (6, 10, 2), "{by:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_domains_group_stays_while_strangers_are_in_it() {
    let world = synced().await;
    let temporary = world.control.domain_id("/temporary").unwrap();
    world.admin().put_user(&admin_api::client::UserInfo::new(&temporary, "by-hand")).await.unwrap();
    world.control.delete_domain(&temporary, true).unwrap();
    let report = world.sync().await;
    assert!(report.failures.iter().any(|line| line.contains("1 users are still in it")), "{report:?}");
    let actual = world.actual().await;
    assert!(actual.groups.contains_key(&temporary));
    assert!(actual.users.contains_key(&(temporary.clone(), "by-hand".to_owned())));
    world.admin().delete_user(&temporary, "by-hand").await.unwrap();
    world.sync().await;
    assert!(!world.actual().await.groups.contains_key(&temporary));
}
