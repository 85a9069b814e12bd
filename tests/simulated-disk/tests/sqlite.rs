//! SQLite on the simulated disk: what it committed survives every power cut exactly when it synced it.

#![expect(clippy::unwrap_used, reason = "a test whose database cannot be set up must fail")]

use std::path::Path;

use simulated_disk::{Failure, Moment, SimulatedDisk, Target};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Row};

use engine::disk::Disk;

async fn open(disk: &SimulatedDisk, root: &Path, synchronous: SqliteSynchronous) -> SqliteConnection {
    SqliteConnectOptions::new()
        .filename(root.join("test.sqlite"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(synchronous)
        .vfs(disk.sqlite_vfs().unwrap().to_owned())
        .connect()
        .await
        .unwrap()
}

/// Inserts until the disk dies; returns how many rows were acknowledged.
async fn insert_until_dead(
    root: &Path,
    synchronous: SqliteSynchronous,
    steps: u64,
    moment: Moment,
) -> (SimulatedDisk, i64) {
    let disk = SimulatedDisk::open(root).unwrap();
    let mut connection = open(&disk, root, synchronous).await;
    sqlx::query("CREATE TABLE t (n INTEGER)").execute(&mut connection).await.unwrap();
    disk.crash_in(steps, moment);
    let mut acknowledged = 0;
    while sqlx::query("INSERT INTO t VALUES (1)").execute(&mut connection).await.is_ok() {
        acknowledged += 1;
    }
    let _ = connection.close().await;
    (disk, acknowledged)
}

/// The rows that are found after a power cut.
async fn count_after_power_cut(disk: &SimulatedDisk, seed: u64) -> i64 {
    let after = tempfile::tempdir().unwrap();
    disk.cut_power(seed, after.path()).unwrap();
    let disk = SimulatedDisk::open(after.path()).unwrap();
    let mut connection = open(&disk, after.path(), SqliteSynchronous::Full).await;
    let check: String = sqlx::query("PRAGMA integrity_check").fetch_one(&mut connection).await.unwrap().get(0);
    assert_eq!(check, "ok");
    let count = sqlx::query("SELECT COUNT(*) FROM t").fetch_one(&mut connection).await;
    let count = count.map_or(0, |row| row.get(0));
    connection.close().await.unwrap();
    count
}

#[tokio::test]
async fn commits_survive_when_they_are_synced() {
    for seed in 0..60 {
        let root = tempfile::tempdir().unwrap();
        let moment = if seed % 2 == 0 { Moment::Before } else { Moment::After };
        let (disk, acknowledged) = insert_until_dead(root.path(), SqliteSynchronous::Full, 1 + seed % 30, moment).await;
        let found = count_after_power_cut(&disk, seed).await;
        assert!((acknowledged..=acknowledged + 1).contains(&found), "{acknowledged} acknowledged, {found} found");
    }
}

#[tokio::test]
async fn commits_that_are_not_synced_are_lost_sometimes() {
    let mut lost = 0;
    for seed in 0..60 {
        let root = tempfile::tempdir().unwrap();
        let (disk, acknowledged) = insert_until_dead(root.path(), SqliteSynchronous::Normal, 20, Moment::Before).await;
        lost += i64::from(count_after_power_cut(&disk, seed).await < acknowledged);
    }
    assert!(lost > 10, "only {lost} of 60: the disk keeps what it need not");
}

#[tokio::test]
async fn a_sync_that_fails_and_a_full_disk_are_reported() {
    let root = tempfile::tempdir().unwrap();
    let disk = SimulatedDisk::open(root.path()).unwrap();
    let mut connection = open(&disk, root.path(), SqliteSynchronous::Full).await;
    sqlx::query("CREATE TABLE t (n INTEGER, b BLOB)").execute(&mut connection).await.unwrap();
    let code = |error: sqlx::Error| error.as_database_error().unwrap().code().unwrap().into_owned();
    let insert = "INSERT INTO t VALUES (1, zeroblob(50000))";

    disk.fill_after(2);
    assert_eq!(code(sqlx::query(insert).execute(&mut connection).await.unwrap_err()), "13");
    disk.free_space();
    sqlx::query(insert).execute(&mut connection).await.unwrap();

    // Also when it fails for lack of room, SQLite says of a sync that it failed, and not that the disk is full.
    for failure in Failure::ALL {
        disk.fail_sync_as(Target::Log, 1, failure);
        assert!(!disk.has_failed());
        assert_eq!(code(sqlx::query(insert).execute(&mut connection).await.unwrap_err()), "1034", "{failure:?}");
        assert!(disk.has_failed());
    }
    connection.close().await.unwrap();
}
