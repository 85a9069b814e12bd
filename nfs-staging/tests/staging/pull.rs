//! Pull: what it writes, what it leaves alone, and how it goes on after an interruption.

use nfs_staging::{Error, FileState, PullOutcome, PullRequest};

use crate::support::{
    BUCKET, MIB, TEMPLATE, TEMPLATE_PATH, VOLUME, World, image, inode, noise, operator, pull_request, silent,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_template_comes_with_its_description() {
    let world = World::new().await;
    let content = image(3 * MIB, 1);
    let info = world.put(TEMPLATE, &content).await;
    let pulled = world.pull(TEMPLATE).await.unwrap();
    assert_eq!((pulled.path.as_str(), pulled.size_bytes), (TEMPLATE_PATH, content.len() as u64));
    assert_eq!((pulled.etag, pulled.outcome), (info.etag, PullOutcome::Written { resumed_bytes: 0 }));
    assert_eq!(pulled.warnings, Vec::<String>::new());
    assert_eq!(world.read(TEMPLATE_PATH), content);
    let text = String::from_utf8(world.read("template/tmpl/1/200/template.properties")).unwrap();
    for line in ["id=200", "uniquename=200-1-uniq", "size=3145728", "qcow2=true", "qcow2.virtualsize=21474836480"] {
        assert!(text.lines().any(|found| found == line), "{line} in {text}");
    }
    assert_eq!(world.leftovers(TEMPLATE_PATH), Vec::<String>::new());
    let listed = world.listed(TEMPLATE_PATH).await.unwrap();
    assert_eq!(listed.state, FileState::Proven { bucket: BUCKET.to_owned(), key: TEMPLATE.to_owned() });
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_of_any_cut_are_verified_and_written() {
    let world = World::new().await;
    for (number, size) in [0, 1, MIB, 5 * MIB + 1, 23 * MIB + 17].into_iter().enumerate() {
        let content = noise(size, number as u64);
        let (whole, parts) = (format!("volumes/1/{number}/whole"), format!("volumes/1/{number}/parts"));
        world.put(&whole, &content).await;
        world.pull(&whole).await.unwrap();
        assert!(world.read(&whole) == content, "{whole}");
        if size > 0 {
            let info = world.put_in_parts(&parts, &content).await;
            assert!(info.etag.contains('-'));
            world.pull(&parts).await.unwrap();
            assert!(world.read(&parts) == content, "{parts}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_content_is_not_written_again() {
    let mut world = World::new().await;
    let content = noise(6 * MIB, 2);
    world.put_in_parts(VOLUME, &content).await;
    world.pull(VOLUME).await.unwrap();
    let before = inode(&world.at(VOLUME));
    assert_eq!(world.pull(VOLUME).await.unwrap().outcome, PullOutcome::AlreadyThere);
    // Without a record the content is read and compared.
    std::fs::remove_dir_all(world.temp.path().join("data/staging-state")).unwrap();
    world.reopen().await;
    assert_eq!(world.listed(VOLUME).await.unwrap().state, FileState::Unproven);
    assert_eq!(world.pull(VOLUME).await.unwrap().outcome, PullOutcome::AlreadyThere);
    assert_eq!(inode(&world.at(VOLUME)), before);
    assert!(matches!(world.listed(VOLUME).await.unwrap().state, FileState::Proven { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn other_content_is_replaced_only_when_told() {
    let world = World::new().await;
    world.put(VOLUME, b"object").await;
    for other in [b"staged".as_slice(), b"longer than it"] {
        world.write(VOLUME, other);
        assert!(matches!(world.pull(VOLUME).await, Err(Error::FileExists { .. })));
        assert_eq!(world.read(VOLUME), other);
    }
    let request = PullRequest { overwrite: true, ..pull_request(VOLUME) };
    world.staging.pull(&operator(), &request, &silent()).await.unwrap();
    assert_eq!(world.read(VOLUME), b"object");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_pull_goes_on_where_it_stopped() {
    let mut world = World::new().await;
    let content = noise(40 * MIB, 3);
    world.put_in_parts(VOLUME, &content).await;
    let mut seen = 0;
    for stop_mib in [3, 11, 30] {
        world.pull_until(VOLUME, stop_mib << 20).await;
        assert!(!world.at(VOLUME).exists());
        assert_eq!(world.leftovers(VOLUME).len(), 1);
        let listed = world.listed(VOLUME).await.unwrap();
        assert!(
            matches!(listed.state, FileState::PartlyPulled { total_bytes, .. } if total_bytes == content.len() as u64)
        );
        assert!(
            listed.size_bytes >= stop_mib << 20 && listed.size_bytes > seen,
            "{} after {stop_mib} MiB",
            listed.size_bytes
        );
        seen = listed.size_bytes;
        world.reopen().await;
    }
    let pulled = world.pull(VOLUME).await.unwrap();
    assert_eq!(pulled.outcome, PullOutcome::Written { resumed_bytes: seen });
    assert!(world.read(VOLUME) == content);
    assert_eq!(world.leftovers(VOLUME), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_of_a_replaced_object_begins_anew() {
    let world = World::new().await;
    world.put_in_parts(VOLUME, &noise(20 * MIB, 4)).await;
    world.pull_until(VOLUME, 8 << 20).await;
    let content = noise(20 * MIB, 5);
    world.put_in_parts(VOLUME, &content).await;
    assert_eq!(world.pull(VOLUME).await.unwrap().outcome, PullOutcome::Written { resumed_bytes: 0 });
    assert!(world.read(VOLUME) == content);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_that_loses_the_record_or_the_part_only_costs_time() {
    let mut world = World::new().await;
    let content = noise(20 * MIB, 6);
    world.put(VOLUME, &content).await;
    world.pull_until(VOLUME, 8 << 20).await;
    let state = world.temp.path().join("data/staging-state");
    std::fs::remove_dir_all(&state).unwrap();
    world.reopen().await;
    assert_eq!(world.pull(VOLUME).await.unwrap().outcome, PullOutcome::Written { resumed_bytes: 0 });
    assert!(world.read(VOLUME) == content);

    std::fs::remove_file(world.at(VOLUME)).unwrap();
    world.pull_until(VOLUME, 8 << 20).await;
    let part = world.at(VOLUME).with_file_name(&world.leftovers(VOLUME)[0]);
    std::fs::remove_file(part).unwrap();
    assert_eq!(world.pull(VOLUME).await.unwrap().outcome, PullOutcome::Written { resumed_bytes: 0 });
    assert!(world.read(VOLUME) == content);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_exist_or_fit_is_refused_and_leaves_nothing() {
    let world = World::new().await;
    world.put("photos/cat.jpg", b"cat").await;
    assert!(matches!(world.pull("photos/cat.jpg").await, Err(Error::Layout { .. })));
    let missing = world.pull(VOLUME).await;
    assert!(matches!(missing, Err(Error::Object { source: engine::Error::NoSuchKey { .. }, .. })));
    let elsewhere = PullRequest { bucket: "elsewhere".to_owned(), ..pull_request(VOLUME) };
    let missing = world.staging.pull(&operator(), &elsewhere, &silent()).await;
    assert!(matches!(missing, Err(Error::Object { source: engine::Error::NoSuchBucket, .. })));
    world.put(VOLUME, b"secret").await;
    let denied = world.staging.pull(&engine::Caller::anonymous(), &pull_request(VOLUME), &silent()).await;
    assert!(matches!(denied, Err(Error::Object { source: engine::Error::AccessDenied, .. })));
    assert_eq!(std::fs::read_dir(world.staging.dir()).unwrap().count(), 0);
    assert_eq!(world.records(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_pulls_of_one_path_do_not_meet() {
    let world = World::new().await;
    world.put_in_parts(VOLUME, &noise(20 * MIB, 7)).await;
    let request = pull_request(VOLUME);
    let (caller, quiet) = (operator(), silent());
    let (one, other) =
        tokio::join!(world.staging.pull(&caller, &request, &quiet), world.staging.pull(&caller, &request, &quiet));
    assert!(matches!((one, other), (Ok(_), Err(Error::Busy { .. })) | (Err(Error::Busy { .. }), Ok(_))));
    assert_eq!(world.pull(VOLUME).await.unwrap().outcome, PullOutcome::AlreadyThere);
}
