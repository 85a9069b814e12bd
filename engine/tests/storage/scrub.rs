//! The scrubber: what it verifies and finds, that it goes on where it stood, and that it holds nothing up.

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use engine::{
    Body, BucketName, Caller, CompleteUpload, CompletedPart, Database, Digests, Error, NewObject, OnProgress,
    ScrubOptions, ScrubReport,
};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, Row};

use crate::check::furnish;
use crate::world::{World, key, noise};

const DAY: Duration = Duration::from_secs(24 * 3600);

pub(crate) async fn scrub(world: &World) -> ScrubReport {
    let options = ScrubOptions { rate_bytes_per_second: Some(0), restart: false };
    world.engine.scrub(&Caller::LocalOperator, options, &OnProgress::nobody()).await.unwrap()
}

fn flip(path: &std::path::Path, at: u64) {
    let file = std::fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
}

fn status(world: &World, name: &str) -> String {
    world.engine.workers().into_iter().find(|worker| worker.name == name).unwrap().last_result
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_verified_and_damage_is_listed_until_it_is_mended() {
    let (mut world, _) = furnish(World::new().await).await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let tell = seen.clone();
    let on_progress = OnProgress::new(move |progress| tell.lock().unwrap().push(progress));
    let whole = world.engine.scrub(&Caller::LocalOperator, ScrubOptions::default(), &on_progress).await.unwrap();
    // Three contents of their own (the empty one among them) and three pieces, and three parts that are open.
    assert_eq!((whole.item_count, whole.damage.len()), (9, 0), "{whole:?}");
    assert_eq!(whole.size_bytes, 100 + 300_000 + 2 * 42_050);
    let last = seen.lock().unwrap().iter().rev().find(|progress| progress.total.is_some()).cloned().unwrap();
    assert_eq!((last.done, last.total), (whole.size_bytes, Some(whole.size_bytes)));

    let large = world.largest_blob();
    flip(&large, 4096 + 200_000);
    world.sql("UPDATE contents SET data = CAST('other' AS BLOB) WHERE size_bytes = 100").await;
    let damaged = scrub(&world).await;
    let subjects: Vec<&str> = damaged.damage.iter().map(|damage| damage.subject.as_str()).collect();
    assert_eq!(subjects.len(), 2, "{damaged:?}");
    let of_large = damaged.damage.iter().find(|damage| damage.detail.contains("block 1")).unwrap();
    assert_eq!(of_large.objects, ["checked/large", "checked/large-copy"]);
    assert_eq!(world.engine.damage(&Caller::LocalOperator).await.unwrap(), damaged.damage);

    // It is remembered, also that it was found before; and forgotten when it is whole again.
    world.restart().await;
    let remembered = world.engine.damage(&Caller::LocalOperator).await.unwrap();
    assert_eq!(remembered, damaged.damage);
    flip(&large, 4096 + 200_000);
    let mended = scrub(&world).await;
    assert_eq!(mended.damage.len(), 1);
    assert_eq!(
        mended.damage[0].found_us,
        remembered.iter().find(|one| one.subject == mended.damage[0].subject).unwrap().found_us
    );
    assert_eq!(world.blobs().len(), 3, "nothing is deleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_machines_owner_may_scrub() {
    let world = World::new().await;
    for caller in [Caller::anonymous(), world.ada.clone(), Caller::AdminService] {
        let refused = world.engine.scrub(&caller, ScrubOptions::default(), &OnProgress::nobody()).await;
        assert!(matches!(refused, Err(Error::AccessDenied)), "{refused:?}");
        assert!(matches!(world.engine.damage(&caller).await, Err(Error::AccessDenied)));
        assert!(matches!(world.engine.scrub_under_way(&caller).await, Err(Error::AccessDenied)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_is_due_each_week() {
    let (world, _) = furnish(World::new().await).await;
    world.engine.run_workers().await.unwrap();
    assert!(status(&world, "scrubber").contains("not due"), "{}", status(&world, "scrubber"));
    world.clock.advance(DAY * 6);
    world.engine.run_workers().await.unwrap();
    assert!(status(&world, "scrubber").contains("no pass yet"), "{}", status(&world, "scrubber"));
    world.clock.advance(DAY * 2);
    world.engine.run_workers().await.unwrap();
    assert!(status(&world, "scrubber").contains("bytes verified; 0 damaged"), "{}", status(&world, "scrubber"));
    world.engine.run_workers().await.unwrap();
    assert!(status(&world, "scrubber").contains("last pass ended"), "{}", status(&world, "scrubber"));
}

/// Ends the pass that is under way; returns how much was verified with its first step, too.
async fn go_on(world: &World) -> (u64, ScrubReport) {
    let first = Arc::new(Mutex::new(None));
    let tell = first.clone();
    let on_progress = OnProgress::new(move |progress| {
        tell.lock().unwrap().get_or_insert(progress.done);
    });
    let options = ScrubOptions { rate_bytes_per_second: Some(0), restart: false };
    let report = world.engine.scrub(&Caller::LocalOperator, options, &on_progress).await.unwrap();
    let first = first.lock().unwrap().unwrap();
    (first, report)
}

/// A store with one object of twenty parts of 100,000 bytes, on which a slow pass is under way in the background.
async fn in_the_middle_of_one_object(damage: bool) -> (World, tokio::task::JoinHandle<engine::Result<()>>) {
    let mut world = World::new().await;
    let bucket = world.bucket("huge").await;
    let upload = world.engine.create_upload(&world.ada, &bucket, &key("o"), NewObject::default(), None).await.unwrap();
    let mut parts = Vec::new();
    for number in 1..=20 {
        let body = Body::from_bytes(noise(100_000));
        let part =
            world.engine.put_part(&world.ada, &bucket, &key("o"), &upload.upload_id, number, body).await.unwrap();
        parts.push(CompletedPart { number, etag: part.etag, checksums: Digests::default() });
    }
    let complete = CompleteUpload { parts, ..CompleteUpload::default() };
    world.engine.complete_upload(&world.ada, &bucket, &key("o"), &upload.upload_id, complete).await.unwrap();
    world.engine.run_workers().await.unwrap();
    if damage {
        // They lie in their pack in the order in which they came.
        let (_, pack, at) = world.blobs().into_iter().nth(2).unwrap();
        flip(&pack, at.start as u64 + 4096 + 50);
    }
    world.restart_with(|settings| settings.scrub_rate_bytes_per_second = 200_000).await;
    world.clock.advance(DAY * 9);
    let engine = world.engine.clone();
    let background = tokio::spawn(async move { engine.run_workers().await });
    (world, background)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_steps_back_in_the_middle_of_an_object() {
    let (world, background) = in_the_middle_of_one_object(false).await;
    for _ in 0..500 {
        if !status(&world, "metadata snapshots").is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!(!background.is_finished(), "the pass takes 10 s at this rate");
    let (first, report) = go_on(&world).await;
    background.await.unwrap().unwrap();
    assert!(status(&world, "scrubber").contains("stepped back"), "{}", status(&world, "scrubber"));
    assert!(first > 100_000, "it began where the other stood: {first}");
    assert_eq!((report.item_count, report.damage.len()), (20, 0), "each once: {report:?}");
}

/// Its place is noted with the damage that it finds.
#[tokio::test(flavor = "multi_thread")]
async fn a_pass_goes_on_after_a_restart_where_it_stood() {
    let (mut world, background) = in_the_middle_of_one_object(true).await;
    while world.engine.damage(&Caller::LocalOperator).await.unwrap().is_empty() {
        assert!(!background.is_finished(), "the pass takes 10 s at this rate");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    background.abort();
    let _ = background.await;
    world.restart().await;
    let under_way = world.engine.scrub_under_way(&Caller::LocalOperator).await.unwrap().unwrap();
    assert!(
        (300_000..2_000_000).contains(&under_way.size_bytes) && under_way.total_bytes == 2_000_000,
        "{under_way:?}"
    );
    let (first, report) = go_on(&world).await;
    assert_eq!(world.engine.scrub_under_way(&Caller::LocalOperator).await.unwrap(), None);
    assert!((400_000..2_000_000).contains(&first), "the first three pieces were verified before: {first}");
    assert_eq!((report.item_count, report.size_bytes), (20, 2_000_000), "each once: {report:?}");
    assert_eq!(report.damage.len(), 1, "{report:?}");
    assert_eq!(report.damage[0].objects, ["huge/o"]);
}

/// A pass so slow that it does not end stands aside for everything: garbage is collected, and a scrub that is asked for takes over where
/// it stands.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_pass_holds_nothing_up_and_goes_on_where_it_stood() {
    let mut world = World::new().await;
    let bucket = world.bucket("slow").await;
    for number in 0..40 {
        world.put(&bucket, &format!("o{number}"), noise(100_000)).await;
    }
    world.engine.run_workers().await.unwrap();
    world.restart_with(|settings| settings.scrub_rate_bytes_per_second = 200_000).await;
    world.clock.advance(DAY * 9);
    let background = {
        let engine = world.engine.clone();
        tokio::spawn(async move { engine.run_workers().await })
    };
    // It runs once it is past the others' turn.
    for _ in 0..500 {
        if !status(&world, "metadata snapshots").is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!(!background.is_finished(), "the pass takes 20 s at this rate");

    world.delete(&bucket, "o0").await;
    world.put(&bucket, "new", noise(100_000)).await;
    let (first, report) = go_on(&world).await;
    background.await.unwrap().unwrap();
    assert!(status(&world, "scrubber").contains("stepped back"), "{}", status(&world, "scrubber"));
    assert!(first > 100_000, "it began where the other stood: {first}");
    assert!((39..=41).contains(&report.item_count), "each once: {report:?}");
    assert!(report.damage.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_cannot_be_read_is_damage_and_ends_no_pass() {
    let (world, _) = furnish(World::new().await).await;
    for statement in [
        "UPDATE contents SET size_bytes = -1 WHERE size_bytes = 100",
        "UPDATE pieces SET size_bytes = -1 WHERE number = 2",
        "UPDATE upload_parts SET blob_id = CAST('short' AS BLOB) WHERE number = 1",
    ] {
        assert_eq!(world.sql(statement).await, 1, "{statement}");
    }
    let report = scrub(&world).await;
    let found = |start: &str| report.damage.iter().find(|damage| damage.subject.starts_with(start)).unwrap();
    assert_eq!((report.item_count, report.damage.len()), (6, 3), "the others are verified: {report:?}");
    assert!(found("content ").detail.contains("size_bytes is negative"), "{report:?}");
    assert_eq!(found("content ").objects, ["checked/small", "checked/small-copy"]);
    assert_eq!(found("piece 2 of content ").objects, ["checked/parts"]);
    assert!(found("part 1 of upload ").objects.is_empty());
    assert_eq!(world.engine.damage(&Caller::LocalOperator).await.unwrap(), report.damage);
}

/// Objects that fill a page of SQLite's file each, and that file.
async fn with_pages() -> (World, BucketName, PathBuf) {
    let world = World::on(Database::Embedded).await;
    let bucket = world.bucket("pages").await;
    for number in 0..200 {
        world.put(&bucket, &format!("o{number}"), noise(3000 + number)).await;
    }
    world.engine.close().await;
    world.sql("PRAGMA wal_checkpoint(TRUNCATE)").await;
    let file = world.directory.path().join("metadata.sqlite");
    (world, bucket, file)
}

/// Makes a page of SQLite's file one that SQLite calls malformed.
fn break_page(file: &Path, number: u64) {
    let file = std::fs::OpenOptions::new().write(true).open(file).unwrap();
    file.write_all_at(&[0xff; 8], number * 4096).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_the_database_that_cannot_be_read_costs_the_rows_in_it() {
    let (mut world, _, file) = with_pages().await;
    let (bytes, sought) = (std::fs::read(&file).unwrap(), noise(3100));
    let at = bytes.windows(100).position(|window| window == &sought[..100]).unwrap();
    break_page(&file, at as u64 / 4096);
    world.open_again().await;
    let report = scrub(&world).await;
    assert_eq!((report.item_count, report.damage.len()), (199, 2), "{report:?}");
    let of_row = report.damage.iter().find(|damage| damage.subject.starts_with("content ")).unwrap();
    assert_eq!(of_row.objects, ["pages/o100"], "{report:?}");
    assert!(report.damage.iter().any(|damage| damage.subject == "database"), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_ends_also_where_not_even_ids_can_be_read() {
    let (mut world, bucket, file) = with_pages().await;
    world.open_again().await;
    let upload =
        world.engine.create_upload(&world.ada, &bucket, &key("open"), NewObject::default(), None).await.unwrap();
    let body = Body::from_bytes(noise(500));
    world.engine.put_part(&world.ada, &bucket, &key("open"), &upload.upload_id, 1, body).await.unwrap();
    world.engine.close().await;
    let mut connection = SqliteConnectOptions::new().filename(&file).connect().await.unwrap();
    let root = "SELECT rootpage FROM sqlite_schema WHERE name = 'sqlite_autoindex_contents_1'";
    let root: i64 = sqlx::query(root).fetch_one(&mut connection).await.unwrap().get(0);
    connection.close().await.unwrap();
    break_page(&file, root.cast_unsigned() - 1);
    world.open_again().await;
    let report = scrub(&world).await;
    assert!(report.damage.iter().any(|damage| damage.subject == "contents"), "{report:?}");
    assert!(report.damage.iter().any(|damage| damage.subject == "database"), "{report:?}");
    assert_eq!(report.item_count, 1, "the part is behind the contents: {report:?}");
}
