//! Hooks around real actions.

use std::path::{Path, PathBuf};
use std::process::Command;

use nfs_staging::{Error, EvictOutcome, HookSettings, Kept};

use crate::support::{VOLUME, World};

/// Writes an executable shell script. Another process writes it, because a file that this one has open for writing while a
/// parallel test forks cannot be executed.
fn script(dir: &Path, name: &str, text: &str) -> PathBuf {
    let (source, target) = (dir.join(format!("{name}.text")), dir.join(name));
    std::fs::write(&source, format!("#!/bin/sh\n{text}\n")).unwrap();
    assert!(Command::new("install").args(["-m", "0755"]).arg(&source).arg(&target).status().unwrap().success());
    target
}

#[tokio::test(flavor = "multi_thread")]
async fn each_action_calls_its_hooks_in_order() {
    // The log of the hooks lies beside the export, which is where they run.
    const NOTE: &str = "test -e \"$CLOUDHOLD_STAGING_PATH\" && there=yes || there=no\n\
        echo \"$CLOUDHOLD_STAGING_ACTION $CLOUDHOLD_STAGING_BUCKET/$CLOUDHOLD_STAGING_KEY $CLOUDHOLD_STAGING_SIZE_BYTES $there\" >> ../log";
    let world = World::with_hooks(|dir| {
        let hook = Some(script(dir, "hook", NOTE));
        HookSettings {
            before_pull: hook.clone(),
            after_pull: hook.clone(),
            before_push: hook.clone(),
            after_push: hook.clone(),
            before_evict: hook.clone(),
            after_evict: hook,
            ..HookSettings::default()
        }
    })
    .await;
    world.put(VOLUME, b"content").await;
    world.pull(VOLUME).await.unwrap();
    world.write(VOLUME, b"other content");
    world.push(VOLUME).await.unwrap();
    world.evict(VOLUME).await.unwrap();
    let log = std::fs::read_to_string(world.temp.path().join("log")).unwrap();
    let line = |action: &str, size: u32, there: &str| format!("{action} secondary/{VOLUME} {size} {there}");
    let expected = [
        line("before_pull", 7, "no"),
        line("after_pull", 7, "yes"),
        line("before_push", 13, "yes"),
        line("after_push", 13, "yes"),
        line("before_evict", 13, "yes"),
        line("after_evict", 13, "no"),
    ];
    assert_eq!(log.lines().collect::<Vec<_>>(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_before_that_fails_stops_the_action() {
    let world = World::with_hooks(|dir| {
        let no = Some(script(dir, "no", "echo not now >&2; exit 7"));
        HookSettings { before_pull: no.clone(), before_push: no.clone(), before_evict: no, ..HookSettings::default() }
    })
    .await;
    world.put(VOLUME, b"content").await;
    let refused = world.pull(VOLUME).await.unwrap_err();
    assert_eq!(refused.to_string(), "the hook before_pull ended with status 7: not now");
    assert!(!world.at("volumes").exists());
    world.write("volumes/1/2/mine", b"mine");
    assert!(matches!(world.push("volumes/1/2/mine").await, Err(Error::Hook { hook: "before_push", .. })));
    assert!(world.head("volumes/1/2/mine").await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_before_evict_that_fails_keeps_the_file() {
    let world = World::with_hooks(|dir| {
        let no = Some(script(dir, "no", "exit 1"));
        HookSettings { before_evict: no, ..HookSettings::default() }
    })
    .await;
    world.write(VOLUME, b"content");
    world.push(VOLUME).await.unwrap();
    let outcome = world.evict(VOLUME).await.unwrap().outcome;
    assert!(matches!(outcome, EvictOutcome::Kept(Kept::Failed(why)) if why.contains("before_evict")));
    assert_eq!(world.read(VOLUME), b"content");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_after_that_fails_or_hangs_is_a_warning() {
    let world = World::with_hooks(|dir| HookSettings {
        after_pull: Some(script(dir, "fails", "exit 3")),
        after_push: Some(script(dir, "hangs", "sleep 60")),
        time_limit_s: 1,
        ..HookSettings::default()
    })
    .await;
    world.put(VOLUME, b"content").await;
    assert_eq!(world.pull(VOLUME).await.unwrap().warnings, ["the hook after_pull ended with status 3"]);
    world.write(VOLUME, b"other");
    assert_eq!(world.push(VOLUME).await.unwrap().warnings, ["the hook after_push ran longer than 1 s and was killed"]);
    assert_eq!(world.get(VOLUME).await, b"other");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_before_push_may_work_on_the_file() {
    let world = World::with_hooks(|dir| HookSettings {
        before_push: Some(script(dir, "adds", "printf more >> \"$CLOUDHOLD_STAGING_PATH\"")),
        ..HookSettings::default()
    })
    .await;
    world.write(VOLUME, b"content");
    assert_eq!(world.push(VOLUME).await.unwrap().size_bytes, 11);
    assert_eq!(world.get(VOLUME).await, b"contentmore");
}
