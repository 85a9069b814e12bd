//! Evict: only what the bucket has goes.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};

use nfs_staging::{Error, EvictOutcome, EvictScope, FileState, Kept, PushOutcome};

use crate::support::{MIB, TEMPLATE, TEMPLATE_PATH, VOLUME, World, image, noise, operator, silent};

#[tokio::test(flavor = "multi_thread")]
async fn a_template_goes_round() {
    let world = World::new().await;
    let content = image(17 * MIB, 1);
    world.put_in_parts(TEMPLATE, &content).await;
    world.pull(TEMPLATE).await.unwrap();
    let changed = image(19 * MIB, 2);
    world.write(TEMPLATE_PATH, &changed);
    assert_eq!(world.evict(TEMPLATE_PATH).await.unwrap().outcome, EvictOutcome::Kept(Kept::FileChanged));
    world.push(TEMPLATE_PATH).await.unwrap();
    let evicted = world.evict(TEMPLATE_PATH).await.unwrap();
    assert_eq!((evicted.outcome, evicted.size_bytes), (EvictOutcome::Evicted, changed.len() as u64));
    // The directories of the layout stay, those of the account and the template go.
    assert!(world.at("template/tmpl").is_dir() && !world.at("template/tmpl/1").exists());
    assert_eq!(world.records(), 0);
    world.pull(TEMPLATE).await.unwrap();
    assert!(world.read(TEMPLATE_PATH) == changed);
    assert!(world.at("template/tmpl/1/200/template.properties").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_differs_stays() {
    let world = World::new().await;
    world.put(VOLUME, b"content").await;
    world.pull(VOLUME).await.unwrap();
    // Of the same length, with the time of the last change set back.
    let modified = std::fs::metadata(world.at(VOLUME)).unwrap().modified().unwrap();
    world.write(VOLUME, b"CONTENT");
    std::fs::File::options().write(true).open(world.at(VOLUME)).unwrap().set_modified(modified).unwrap();
    assert_eq!(world.evict(VOLUME).await.unwrap().outcome, EvictOutcome::Kept(Kept::FileChanged));
    assert_eq!(world.read(VOLUME), b"CONTENT");
    world.write(VOLUME, b"more than that");
    assert_eq!(world.evict(VOLUME).await.unwrap().outcome, EvictOutcome::Kept(Kept::FileChanged));
    // Back to what it was: touched, and equal.
    world.write(VOLUME, b"content");
    std::fs::set_permissions(world.at(VOLUME), std::fs::Permissions::from_mode(0o666)).unwrap();
    assert_eq!(world.evict(VOLUME).await.unwrap().outcome, EvictOutcome::Evicted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_whose_object_differs_or_is_gone_stays() {
    let world = World::new().await;
    world.put(VOLUME, b"content").await;
    world.pull(VOLUME).await.unwrap();
    world.put(VOLUME, b"CONTENT").await;
    assert_eq!(world.evict(VOLUME).await.unwrap().outcome, EvictOutcome::Kept(Kept::ObjectChanged));
    world.delete(VOLUME).await;
    assert_eq!(world.evict(VOLUME).await.unwrap().outcome, EvictOutcome::Kept(Kept::ObjectGone));
    assert_eq!(world.read(VOLUME), b"content");
    // Pushed again it may go.
    world.push(VOLUME).await.unwrap();
    assert_eq!(world.evict(VOLUME).await.unwrap().outcome, EvictOutcome::Evicted);
    assert_eq!(world.get(VOLUME).await, b"content");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nothing_is_known_of_stays() {
    let world = World::new().await;
    world.put(VOLUME, b"content").await;
    world.write(VOLUME, b"content");
    assert_eq!(world.evict(VOLUME).await.unwrap().outcome, EvictOutcome::Kept(Kept::Unproven));
    assert!(matches!(world.evict("volumes/9/9/nothing").await, Err(Error::NotStaged { .. })));
    assert!(matches!(world.evict("../data/keys.json").await, Err(Error::Layout { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn all_and_old_files_are_chosen() {
    let world = World::new().await;
    for name in ["a", "b", "c"] {
        world.put(&format!("volumes/1/1/{name}"), name.as_bytes()).await;
        world.pull(&format!("volumes/1/1/{name}")).await.unwrap();
    }
    world.write("snapshots/1/2/mine", b"mine");
    std::fs::remove_file(world.at("volumes/1/1/c")).unwrap();
    let evict = async |scope| {
        let answers = world.staging.evict(&operator(), &scope, &silent()).await.unwrap();
        answers.into_iter().map(|answer| (answer.path, answer.outcome)).collect::<BTreeMap<_, _>>()
    };
    assert_eq!(evict(EvictScope::OlderThanS(3600)).await, BTreeMap::new());
    // The record of the file that somebody removed was dropped.
    assert_eq!(world.records(), 2);
    let all = evict(EvictScope::All).await;
    let expected = [
        ("snapshots/1/2/mine", EvictOutcome::Kept(Kept::Unproven)),
        ("volumes/1/1/a", EvictOutcome::Evicted),
        ("volumes/1/1/b", EvictOutcome::Evicted),
    ];
    assert_eq!(all, expected.map(|(path, outcome)| (path.to_owned(), outcome)).into());
    assert!(world.at("volumes").is_dir() && !world.at("volumes/1").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn age_counts_from_the_last_use() {
    let world = World::new().await;
    world.put(VOLUME, b"content").await;
    world.pull(VOLUME).await.unwrap();
    // Setting times back is itself a change of attributes, so the file is as young as before.
    let old = SystemTime::now() - Duration::from_secs(90 * 24 * 3600);
    std::fs::File::options().write(true).open(world.at(VOLUME)).unwrap().set_modified(old).unwrap();
    let scope = EvictScope::OlderThanS(3600);
    assert_eq!(world.staging.evict(&operator(), &scope, &silent()).await.unwrap(), vec![]);
    let scope = EvictScope::OlderThanS(0);
    assert_eq!(world.staging.evict(&operator(), &scope, &silent()).await.unwrap()[0].outcome, EvictOutcome::Evicted);
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_pull_is_given_up() {
    let world = World::new().await;
    world.put(VOLUME, &noise(20 * MIB, 4)).await;
    world.pull_until(VOLUME, 5 << 20).await;
    assert_eq!(world.evict(VOLUME).await.unwrap().outcome, EvictOutcome::Discarded);
    assert_eq!(world.staging.list().await.unwrap(), vec![]);
    assert_eq!(world.records(), 0);
    assert!(!world.at("volumes/2").exists());
}

/// The state in which a crash between renaming aside and removing leaves a file.
async fn crash_while_evicting(world: &World, aside: &str) {
    world.put(VOLUME, b"content").await;
    world.pull(VOLUME).await.unwrap();
    let state = world.temp.path().join("data/staging-state");
    let record = std::fs::read_dir(state).unwrap().next().unwrap().unwrap().path();
    let mut text: serde_json::Value = serde_json::from_slice(&std::fs::read(&record).unwrap()).unwrap();
    text["evicting"] = aside.into();
    std::fs::write(&record, text.to_string()).unwrap();
    std::fs::rename(world.at(VOLUME), world.at(VOLUME).with_file_name(aside)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_while_evicting_loses_nothing() {
    let mut world = World::new().await;
    crash_while_evicting(&world, ".cloudhold-evict-1").await;
    world.reopen().await;
    assert_eq!(world.read(VOLUME), b"content");
    assert_eq!(world.leftovers(VOLUME), Vec::<String>::new());
    assert_eq!(world.evict(VOLUME).await.unwrap().outcome, EvictOutcome::Evicted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_while_evicting_overwrites_nothing() {
    let mut world = World::new().await;
    crash_while_evicting(&world, ".cloudhold-evict-1").await;
    world.write(VOLUME, b"somebody else's");
    world.reopen().await;
    assert_eq!(world.read(VOLUME), b"somebody else's");
    assert_eq!(world.leftovers(VOLUME), [".cloudhold-evict-1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_planted_after_a_crash_keeps_nothing_from_starting() {
    let mut world = World::new().await;
    crash_while_evicting(&world, ".cloudhold-evict-1").await;
    let (real, hidden) = (world.at("volumes/2"), world.at("volumes/hidden"));
    std::fs::rename(&real, &hidden).unwrap();
    std::os::unix::fs::symlink(&hidden, &real).unwrap();
    world.reopen().await;
    assert!(hidden.join("14/.cloudhold-evict-1").exists());
    // Once the link is gone the next start puts the file back.
    std::fs::remove_file(&real).unwrap();
    std::fs::rename(&hidden, &real).unwrap();
    world.reopen().await;
    assert_eq!(world.read(VOLUME), b"content");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_that_cloudstack_renamed_is_known() {
    const RENAMED: &str = "template/tmpl/1/200/0b9f5a3e-0f0c-3c3b-8b7a-8d1b6a1f2c11.qcow2";
    let world = World::new().await;
    let content = image(2 * MIB, 5);
    world.put(TEMPLATE, &content).await;
    world.pull(TEMPLATE).await.unwrap();
    // What its createtmplt.sh does: a random name, other rights, a description of its own.
    std::fs::rename(world.at(TEMPLATE_PATH), world.at(RENAMED)).unwrap();
    std::fs::set_permissions(world.at(RENAMED), std::fs::Permissions::from_mode(0o666)).unwrap();
    let description = "filename=0b9f5a3e-0f0c-3c3b-8b7a-8d1b6a1f2c11.qcow2\nuniquename=200-1-uniq\n";
    world.write("template/tmpl/1/200/template.properties", description.as_bytes());
    let state = world.listed(RENAMED).await.unwrap().state;
    assert!(matches!(state, FileState::Touched { key, .. } if key == TEMPLATE));
    let old = world.staging.evict(&operator(), &EvictScope::OlderThanS(3600), &silent()).await.unwrap();
    assert_eq!((old, world.records()), (vec![], 1));
    let pushed = world.push(RENAMED).await.unwrap();
    assert_eq!((pushed.key.as_str(), pushed.outcome), (TEMPLATE, PushOutcome::AlreadyThere));
    assert_eq!(world.evict(RENAMED).await.unwrap().outcome, EvictOutcome::Evicted);
    assert!(!world.at("template/tmpl/1").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_file_with_other_content_stays() {
    let world = World::new().await;
    world.put("volumes/1/2/a", b"content").await;
    world.pull("volumes/1/2/a").await.unwrap();
    std::fs::rename(world.at("volumes/1/2/a"), world.at("volumes/1/2/b")).unwrap();
    let modified = std::fs::metadata(world.at("volumes/1/2/b")).unwrap().modified().unwrap();
    world.write("volumes/1/2/b", b"CONTENT");
    std::fs::File::options().write(true).open(world.at("volumes/1/2/b")).unwrap().set_modified(modified).unwrap();
    assert_eq!(world.evict("volumes/1/2/b").await.unwrap().outcome, EvictOutcome::Kept(Kept::FileChanged));
    assert_eq!(world.read("volumes/1/2/b"), b"CONTENT");
}
