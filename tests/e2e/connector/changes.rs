//! What changes in CloudStack changes in the store.

use reqwest::StatusCode;
use tests::{CloudWorld, content};

#[tokio::test(flavor = "multi_thread")]
async fn renames_and_moves_keep_ids_and_data() {
    let world = CloudWorld::recorded().await;
    world.sync().await;
    let (acme, dev) = (world.control.domain_id("/acme").unwrap(), world.control.domain_id("/acme/dev").unwrap());
    let (ada, globex) = (world.account("/acme", "ada"), world.control.domain_id("/globex").unwrap());
    let s3 = world.server.s3(&world.server.key_of(&acme, &ada).await);
    s3.create_bucket("adas-bucket").await;

    world.control.rename_domain(&acme, "acme-corp").unwrap();
    world.control.rename_account(&ada, "ada-l").unwrap();
    world.control.move_domain(&dev, &globex).unwrap();
    let report = world.sync().await;
    assert_eq!(report["failed"], 0, "{report}");

    let actual = world.actual().await;
    assert_eq!(actual.groups[&acme], "/acme-corp/");
    assert_eq!(actual.groups[&dev], "/globex/dev/");
    let person = world.user_of(&ada).await.unwrap();
    assert!(person.full_name.ends_with("(ada-l)"), "{person:?}");
    assert_eq!(s3.keys("adas-bucket").await, Vec::<String>::new(), "the key and the bucket are the same");
    assert_eq!(world.planned().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn disabling_and_locking_take_the_access_and_enabling_gives_it_back() {
    let world = CloudWorld::recorded().await;
    world.sync().await;
    let (acme, ada) = (world.control.domain_id("/acme").unwrap(), world.account("/acme", "ada"));
    let s3 = world.server.s3(&world.server.key_of(&acme, &ada).await);
    s3.create_bucket("adas-bucket").await;
    let _ = s3.put("adas-bucket", "thing", content(100, 1)).await.unwrap().ok();
    for lock in [false, true] {
        if lock {
            world.control.lock_account(&ada).unwrap();
        } else {
            world.control.disable_account(&ada).unwrap();
        }
        world.sync().await;
        assert!(!world.user_of(&ada).await.unwrap().active);
        assert_eq!(s3.get("adas-bucket", "thing").await.unwrap().status, StatusCode::FORBIDDEN);
        world.control.enable_account(&ada).unwrap();
        world.sync().await;
        assert!(world.user_of(&ada).await.unwrap().active);
        assert_eq!(s3.get("adas-bucket", "thing").await.unwrap().ok().body, content(100, 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_account_loses_its_access_and_its_data_waits_in_the_trash() {
    let world = CloudWorld::recorded().await;
    world.sync().await;
    let (acme, ada) = (world.control.domain_id("/acme").unwrap(), world.account("/acme", "ada"));
    let s3 = world.server.s3(&world.server.key_of(&acme, &ada).await);
    s3.create_bucket("adas-bucket").await;
    let _ = s3.put("adas-bucket", "thing", content(100_000, 1)).await.unwrap().ok();

    world.control.delete_account(&ada).unwrap();
    let report = world.sync().await;
    assert_eq!(report["failed"], 0, "{report}");
    assert_eq!(world.user_of(&ada).await, None);
    assert_eq!(s3.get("adas-bucket", "thing").await.unwrap().status, StatusCode::FORBIDDEN);

    let trash = world.server.json(&["trash", "list"]).await;
    let trashed = trash.as_array().unwrap().iter().find(|user| user["user_id"] == ada.as_str()).unwrap();
    assert_eq!((&trashed["bucket_count"], &trashed["size_bytes"]), (&1.into(), &100_000.into()));
    let id = trashed["canonical_id"].as_str().unwrap();
    let _ = world.server.command(&["trash", "restore", id]).await.ok();
    let again = world.server.s3(&world.server.key_of(&acme, &ada).await);
    assert_eq!(again.get("adas-bucket", "thing").await.unwrap().ok().body, content(100_000, 1));
    assert_eq!(s3.get("adas-bucket", "thing").await.unwrap().status, StatusCode::FORBIDDEN, "the old key stays dead");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_domain_goes_with_its_users() {
    let world = CloudWorld::recorded().await;
    world.sync().await;
    let dev = world.control.domain_id("/acme/dev").unwrap();
    let devbot = world.account("/acme/dev", "devbot");
    world.control.delete_domain(&dev, true).unwrap();
    // Users go before their group does, be it in the same pass or the next.
    world.sync().await;
    world.sync().await;
    assert_eq!(world.user_of(&devbot).await, None);
    assert!(!world.actual().await.groups.contains_key(&dev));
    assert_eq!(world.planned().await, 0);
}
