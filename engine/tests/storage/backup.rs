//! Back-ups, tested by restoring them.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use engine::{
    BackupOptions, BackupReport, Caller, Engine, Error, OnProgress, Restored, Result, Settings, VerifyReport,
};

use crate::check::furnish;
use crate::world::{World, elsewhere, everything, noise};

const OPERATOR: Caller = Caller::LocalOperator;

async fn back_up(world: &World, to: &Path) -> BackupReport {
    // Names of back-ups are times.
    world.clock.advance(Duration::from_secs(1));
    let options = BackupOptions::default();
    world.engine.back_up(&OPERATOR, to, options, &OnProgress::nobody()).await.unwrap()
}

async fn restore(from: &Path, to: &Settings, key_file: Option<&Path>, force: bool) -> Result<Restored> {
    engine::restore_backup(&OPERATOR, to, from, key_file, force, &OnProgress::nobody()).await
}

async fn verify(path: &Path) -> VerifyReport {
    engine::verify_backup(&OPERATOR, &Settings::new("unused"), path, &OnProgress::nobody()).await.unwrap()
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn keys(world: &World) -> PathBuf {
    world.directory.path().join("keys.json")
}

/// Opens what was restored and compares everything.
async fn assert_restored(world: &World, to: &Settings, expected: &std::collections::BTreeMap<String, Vec<u8>>) {
    let engine = Engine::open(to.clone()).await.unwrap();
    assert_eq!(&everything(&engine, &world.ada).await, expected);
    let check = engine.check(&OPERATOR, Default::default(), &OnProgress::nobody()).await.unwrap();
    assert!(check.is_clean(), "{check:?}");
    engine.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_store_is_the_one_that_was_backed_up() {
    let (world, bucket) = furnish(World::new().await).await;
    let (pool, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let before = everything(&world.engine, &world.ada).await;
    let first = back_up(&world, pool.path()).await;
    assert_eq!((first.blob_count, first.copied_count, first.damaged.len()), (3, 3, 0), "{first:?}");
    assert!(first.left_out.iter().any(|what| what.contains("key ring")));
    assert!(!files(pool.path()).iter().any(|file| file.ends_with("keys.json")));

    // Only what is new is copied; what is gone stays in the older back-up.
    world.put(&bucket, "large", noise(400_000)).await;
    world.delete(&bucket, "large-copy").await;
    world.put(&bucket, "tiny", noise(1)).await;
    world.clock.advance(Duration::from_secs(120));
    world.engine.run_workers().await.unwrap();
    let after = everything(&world.engine, &world.ada).await;
    let second = back_up(&world, pool.path()).await;
    assert_eq!((second.blob_count, second.copied_count, second.copied_size_bytes), (3, 1, 400_000), "{second:?}");

    let (old, new) = (elsewhere(&to.path().join("old")), elsewhere(&to.path().join("new")));
    let restored = restore(&first.path, &old, Some(&keys(&world)), false).await.unwrap();
    assert_eq!((restored.blob_count, restored.damaged.len()), (3, 0), "{restored:?}");
    let newest = restore(pool.path(), &new, Some(&keys(&world)), false).await.unwrap();
    assert_eq!(newest.taken_us, second.taken_us, "the newest of the directory");
    assert_restored(&world, &old, &before).await;
    assert_restored(&world, &new, &after).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_back_up_beside_writes_is_one_state_of_the_store() {
    let world = World::new().await;
    let bucket = world.bucket("busy").await;
    let (stop, rounds) = (AtomicBool::new(false), AtomicUsize::new(1));
    for number in 0..30 {
        world.put(&bucket, &format!("a{number}"), noise(60_000)).await;
    }
    let pool = tempfile::tempdir().unwrap();
    // Two objects change together, one after the other: no state has the second newer than the first.
    let writes = async {
        while !stop.load(Ordering::Relaxed) {
            let round = rounds.load(Ordering::Relaxed);
            world.put(&bucket, "first", noise(20_000 + round)).await;
            world.put(&bucket, "second", noise(20_000 + round)).await;
            world.delete(&bucket, &format!("a{}", round % 30)).await;
            world.put(&bucket, &format!("a{}", (round + 7) % 30), noise(60_000 + round)).await;
            world.clock.advance(Duration::from_secs(90));
            world.engine.run_workers().await.unwrap();
            rounds.store(round + 1, Ordering::Relaxed);
        }
    };
    let backups = async {
        let mut made = Vec::new();
        for _ in 0..5 {
            made.push(back_up(&world, pool.path()).await);
            // On a busy machine, too, each is of another state.
            let round = rounds.load(Ordering::Relaxed);
            while rounds.load(Ordering::Relaxed) == round {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        stop.store(true, Ordering::Relaxed);
        made
    };
    let ((), made) = tokio::join!(writes, backups);
    for backup in made {
        assert!(backup.damaged.is_empty(), "{backup:?}");
        let to = tempfile::tempdir().unwrap();
        let settings = elsewhere(to.path());
        restore(&backup.path, &settings, Some(&keys(&world)), false).await.unwrap();
        let engine = Engine::open(settings).await.unwrap();
        let check = engine.check(&OPERATOR, Default::default(), &OnProgress::nobody()).await.unwrap();
        assert!(check.is_clean(), "{check:?}");
        let all = everything(&engine, &world.ada).await;
        for bytes in all.values() {
            assert!(*bytes == noise(bytes.len()), "every object has its own bytes");
        }
        let size = |name: &str| all.get(name).map_or(0, Vec::len);
        assert!(size("busy/first") >= size("busy/second"));
        engine.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_waits_for_a_running_back_up() {
    let world = World::new().await;
    let bucket = world.bucket("held").await;
    for number in 0..20 {
        world.put(&bucket, &format!("o{number}"), noise(50_000)).await;
    }
    let pool = tempfile::tempdir().unwrap();
    let (sender, began) = std::sync::mpsc::channel();
    // The back-up is held at its first blob until everything was deleted and would be freed.
    let (release, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(Some(wait));
    let on_progress = OnProgress::new(move |progress| {
        if progress.is_bytes
            && let Some(wait) = wait.lock().unwrap().take()
        {
            sender.send(()).unwrap();
            wait.recv().unwrap();
        }
    });
    let running = {
        let (engine, path) = (world.engine.clone(), pool.path().to_owned());
        tokio::spawn(async move { engine.back_up(&OPERATOR, &path, BackupOptions::default(), &on_progress).await })
    };
    tokio::task::spawn_blocking(move || began.recv().unwrap()).await.unwrap();
    for number in 0..20 {
        world.delete(&bucket, &format!("o{number}")).await;
    }
    world.clock.advance(Duration::from_secs(120));
    world.engine.run_workers().await.unwrap();
    assert_eq!(world.blob_count(), 20, "a running back-up holds what it needs");
    release.send(()).unwrap();
    let report = running.await.unwrap().unwrap();
    assert_eq!((report.copied_count, report.damaged.len()), (20, 0), "{report:?}");
    world.engine.run_workers().await.unwrap();
    assert_eq!(world.blob_count(), 0, "and then no longer");
    assert!(verify(pool.path()).await.damaged.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_back_up_that_was_cut_off_is_none_and_the_next_goes_on() {
    let (world, _) = furnish(World::new().await).await;
    let pool = tempfile::tempdir().unwrap();
    let first = back_up(&world, pool.path()).await;
    // As if it had been cut off: no manifest under its name, one copy half written, one blob not yet copied.
    std::fs::rename(&first.path, first.path.with_extension("000000Z.part")).unwrap();
    let copies: Vec<PathBuf> = files(&pool.path().join("blobs"));
    std::fs::remove_file(&copies[0]).unwrap();
    std::fs::write(copies[0].with_extension("part"), "half").unwrap();
    let length = copies[1].metadata().unwrap().len();
    std::fs::OpenOptions::new().write(true).open(&copies[1]).unwrap().set_len(length / 2).unwrap();
    let none = engine::verify_backup(&OPERATOR, &Settings::new("unused"), pool.path(), &OnProgress::nobody()).await;
    assert!(matches!(none, Err(Error::Unusable(_))), "{none:?}");

    let second = back_up(&world, pool.path()).await;
    assert_eq!((second.blob_count, second.copied_count), (3, 2), "{second:?}");
    assert!(verify(&second.path).await.damaged.is_empty());
    let left = std::fs::read_dir(pool.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(left.into_iter().all(|name| !name.ends_with(".part")));
    let to = tempfile::tempdir().unwrap();
    let settings = elsewhere(to.path());
    restore(pool.path(), &settings, Some(&keys(&world)), false).await.unwrap();
    assert_restored(&world, &settings, &everything(&world.engine, &world.ada).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_damage_of_a_back_up_is_found() {
    let (world, _) = furnish(World::new().await).await;
    let pool = tempfile::tempdir().unwrap();
    let made = back_up(&world, pool.path()).await;
    assert!(verify(pool.path()).await.damaged.is_empty());
    let blob = files(&pool.path().join("blobs")).remove(0);
    for file in [blob.clone(), made.path.join("metadata.sqlite"), made.path.join("blobs.txt")] {
        let whole = std::fs::read(&file).unwrap();
        for at in [0, whole.len() / 3, whole.len() / 2, whole.len() - 1] {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            std::fs::write(&file, &damaged).unwrap();
            assert_eq!(verify(pool.path()).await.damaged.len(), 1, "{file:?} at {at}");
        }
        std::fs::write(&file, &whole).unwrap();
    }
    std::fs::remove_file(&blob).unwrap();
    assert_eq!(verify(pool.path()).await.damaged.len(), 1);
    // What is whole is restored all the same, and the rest is named.
    let to = tempfile::tempdir().unwrap();
    let restored = restore(pool.path(), &elsewhere(to.path()), Some(&keys(&world)), false).await.unwrap();
    assert_eq!((restored.blob_count, restored.damaged.len()), (2, 1), "{restored:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_blob_of_the_store_is_named_and_not_copied() {
    let (world, _) = furnish(World::new().await).await;
    let (_, blob, at) = world.blobs().remove(0);
    let mut bytes = std::fs::read(&blob).unwrap();
    bytes[at.start + 5000] ^= 1;
    std::fs::write(&blob, bytes).unwrap();
    let pool = tempfile::tempdir().unwrap();
    let made = back_up(&world, pool.path()).await;
    assert_eq!((made.blob_count, made.damaged.len()), (2, 1), "{made:?}");
    assert_eq!(verify(pool.path()).await.damaged.len(), 1);
}

/// Flips a bit in the bytes of a copy, which neither its head nor its foot nor its table of blocks shows.
fn rot(pool: &Path) -> PathBuf {
    let copy = files(&pool.join("blobs")).remove(0);
    let mut bytes = std::fs::read(&copy).unwrap();
    bytes[5000] ^= 1;
    std::fs::write(&copy, bytes).unwrap();
    copy
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_rots_is_made_anew_when_it_is_read() {
    let (world, _) = furnish(World::new().await).await;
    let pool = tempfile::tempdir().unwrap();
    let first = back_up(&world, pool.path()).await;
    rot(pool.path());
    assert_eq!(verify(&first.path).await.damaged.len(), 1);
    world.clock.advance(Duration::from_secs(1));
    let options = BackupOptions { verify_pool: true, ..BackupOptions::default() };
    let made = world.engine.back_up(&OPERATOR, pool.path(), options, &OnProgress::nobody()).await.unwrap();
    assert_eq!((made.blob_count, made.verified_count, made.copied_count), (3, 2, 1), "{made:?}");
    assert_eq!((made.replaced.len(), made.damaged.len()), (1, 0), "{made:?}");
    assert!(made.replaced[0].contains("block"), "{made:?}");
    for backup in [&first.path, &made.path] {
        assert!(verify(backup).await.damaged.is_empty(), "both rest on the copy");
    }
    // Where the store has lost it, too, it is in no back-up.
    let copy = rot(pool.path());
    let id = copy.file_name().unwrap().to_str().unwrap().to_owned();
    let (_, blob, at) = world.blobs().into_iter().find(|(blob, ..)| *blob == id).unwrap();
    let mut bytes = std::fs::read(&blob).unwrap();
    bytes[at.start + 5000] ^= 1;
    std::fs::write(&blob, bytes).unwrap();
    world.clock.advance(Duration::from_secs(1));
    let made = world.engine.back_up(&OPERATOR, pool.path(), options, &OnProgress::nobody()).await.unwrap();
    assert_eq!((made.blob_count, made.replaced.len(), made.damaged.len()), (2, 0, 1), "{made:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn in_so_many_back_ups_every_copy_is_read_once() {
    let (world, _) = furnish(World::new().await).await;
    let pool = tempfile::tempdir().unwrap();
    let first = back_up(&world, pool.path()).await;
    assert_eq!(first.verified_count, 0, "what was copied just now was read just now");
    rot(pool.path());
    let (mut verified, mut replaced) = (0, 0);
    for _ in 0..32 {
        let made = back_up(&world, pool.path()).await;
        (verified, replaced) = (verified + made.verified_count, replaced + made.replaced.len());
        assert_eq!((made.blob_count, made.damaged.len()), (3, 0), "{made:?}");
    }
    assert_eq!((verified, replaced), (2, 1));
    assert!(verify(&first.path).await.damaged.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn pruning_removes_what_killed_back_ups_left_half_written() {
    let (world, _) = furnish(World::new().await).await;
    let pool = tempfile::tempdir().unwrap();
    back_up(&world, pool.path()).await;
    let blobs = pool.path().join("blobs");
    let copies = files(&blobs);
    std::fs::write(copies[0].with_extension("part"), "half").unwrap();
    std::fs::write(copies[1].with_extension("other"), "somebody's own").unwrap();
    let (_, removed) = engine::prune_backups(&OPERATOR, &Settings::new("unused"), pool.path(), 1).await.unwrap();
    assert_eq!(removed, 0, "no blob");
    let left = files(&blobs);
    assert_eq!(left.len(), 4, "{left:?}");
    assert!(left.iter().all(|file| file.extension().is_none_or(|end| end == "other")), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pruning_keeps_what_the_others_need() {
    let (world, bucket) = furnish(World::new().await).await;
    let pool = tempfile::tempdir().unwrap();
    for size in [100_000, 200_000, 150_000] {
        world.put(&bucket, "large", noise(size)).await;
        world.delete(&bucket, "large-copy").await;
        back_up(&world, pool.path()).await;
    }
    let listed = engine::list_backups(&OPERATOR, pool.path()).await.unwrap();
    assert_eq!(listed.len(), 3);
    assert!(listed[0].taken_us > listed[2].taken_us && listed[0].blob_count == Some(3));
    let settings = Settings::new("unused");
    let (removed, blobs) = engine::prune_backups(&OPERATOR, &settings, pool.path(), 2).await.unwrap();
    assert_eq!((removed, blobs), (vec![listed[2].path.clone()], 1));
    for backup in engine::list_backups(&OPERATOR, pool.path()).await.unwrap() {
        assert!(verify(&backup.path).await.damaged.is_empty());
    }
    assert!(engine::prune_backups(&OPERATOR, &settings, pool.path(), 0).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn only_an_empty_directory_and_the_right_key_ring_will_do() {
    let (world, _) = furnish(World::new().await).await;
    let (pool, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    back_up(&world, pool.path()).await;
    let other = World::new().await;
    let (free, theirs) = (elsewhere(to.path()), elsewhere(other.directory.path()));
    let wrong = restore(pool.path(), &free, Some(&keys(&other)), false).await;
    assert!(matches!(wrong, Err(Error::Unusable(_))), "{wrong:?}");
    assert!(std::fs::read_dir(to.path()).unwrap().next().is_none(), "a wrong ring is seen before anything is written");

    let back_up = async |world: &World, to: &Path| {
        world.engine.back_up(&OPERATOR, to, BackupOptions::default(), &OnProgress::nobody()).await
    };
    let inside = back_up(&world, &world.directory.path().join("b")).await;
    assert!(matches!(inside, Err(Error::Invalid { .. })), "{inside:?}");
    let foreign = back_up(&other, pool.path()).await;
    assert!(matches!(foreign, Err(Error::Unusable(_))), "{foreign:?}");
    let taken = back_up(&world, other.directory.path()).await;
    assert!(matches!(taken, Err(Error::Unusable(_))), "{taken:?}");

    let running = restore(pool.path(), &theirs, Some(&keys(&world)), true).await;
    assert!(matches!(running, Err(Error::Locked(_))), "{running:?}");
    other.engine.close().await;
    let full = restore(pool.path(), &theirs, Some(&keys(&world)), false).await;
    assert!(matches!(full, Err(Error::Unusable(_))), "{full:?}");
    let forced = restore(pool.path(), &theirs, Some(&keys(&world)), true).await.unwrap();
    let aside = forced.moved_aside.unwrap();
    assert!(aside.join("keys.json").exists());
    std::fs::remove_dir_all(aside).unwrap();
    assert_restored(&world, &theirs, &everything(&world.engine, &world.ada).await).await;

    let without = restore(pool.path(), &free, None, false).await.unwrap();
    assert_eq!(without.key_file, None);
    let refused = Engine::open(free.clone()).await;
    let Err(Error::Unusable(said)) = refused else { panic!("{refused:?}") };
    assert!(said.contains("key ring"), "{said}");
    std::fs::copy(keys(&world), to.path().join("keys.json")).unwrap();
    assert_restored(&world, &free, &everything(&world.engine, &world.ada).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_alone_is_brought_together_with_the_blobs() {
    let (mut world, _) = furnish(World::new().await).await;
    let (pool, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let before = everything(&world.engine, &world.ada).await;
    let options = BackupOptions { metadata_only: true, ..BackupOptions::default() };
    let made = world.engine.back_up(&OPERATOR, pool.path(), options, &OnProgress::nobody()).await.unwrap();
    assert!(files(&pool.path().join(made.path.file_name().unwrap())).len() == 2, "metadata and manifest");
    let refused = restore(pool.path(), &elsewhere(to.path()), None, false).await;
    let Err(Error::Unusable(said)) = refused else { panic!("{refused:?}") };
    assert!(said.contains("rebuild-index --snapshot"), "{said}");
    world.engine.close().await;
    world.lose_database();
    let options = engine::RebuildOptions { snapshot: Some(made.path.join("metadata.sqlite")), force: false };
    engine::rebuild_index(&OPERATOR, world.settings(), &options, &OnProgress::nobody()).await.unwrap();
    world.open_again().await;
    assert_eq!(everything(&world.engine, &world.ada).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_machines_owner_backs_up_and_restores() {
    let (world, _) = furnish(World::new().await).await;
    let (pool, settings, nobody) = (tempfile::tempdir().unwrap(), Settings::new("unused"), OnProgress::nobody());
    for caller in [Caller::anonymous(), world.ada.clone(), Caller::AdminService] {
        let denied = |done: Result<()>| assert!(matches!(done, Err(Error::AccessDenied)), "{done:?}");
        let path = pool.path();
        denied(world.engine.back_up(&caller, path, BackupOptions::default(), &nobody).await.map(|_| ()));
        denied(engine::list_backups(&caller, path).await.map(|_| ()));
        denied(engine::verify_backup(&caller, &settings, path, &nobody).await.map(|_| ()));
        denied(engine::prune_backups(&caller, &settings, path, 1).await.map(|_| ()));
        denied(engine::restore_backup(&caller, &settings, path, None, false, &nobody).await.map(|_| ()));
    }
    assert!(std::fs::read_dir(pool.path()).unwrap().next().is_none());
}
