//! Checking, scrubbing, backing up, restoring and rebuilding, with the real binary on running and on stopped stores.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tests::{Output, S3, Script, Server, binary, content};

/// The objects of the tests: small ones lie in the database, larger ones in a pack, large ones in files, one comes in parts, of which the
/// last is small. So there are four blobs.
const SIZES: [(&str, usize); 5] =
    [("small", 100), ("inline", 16_000), ("packed", 50_000), ("blob", 300_000), ("large", 3 << 20)];

async fn fill(s3: &S3) {
    s3.create_bucket("kept").await;
    for (index, (name, size)) in SIZES.into_iter().enumerate() {
        let _ = s3.put("kept", name, content(size, index as u64)).await.unwrap().ok();
    }
    let (one, two) = (content(5 << 20, 10), content(1000, 11));
    let _ = s3.put_parts("kept", "parts", &[&one, &two]).await.unwrap().unwrap().ok();
}

async fn assert_filled(s3: &S3) {
    for (index, (name, size)) in SIZES.into_iter().enumerate() {
        assert!(s3.get("kept", name).await.unwrap().ok().body == content(size, index as u64), "{name}");
    }
    let parts = [content(5 << 20, 10), content(1000, 11)].concat();
    assert!(s3.get("kept", "parts").await.unwrap().ok().body == parts);
}

async fn cloudhold(folder: &Path, words: &[&str]) -> Output {
    Script::program(binary()).args(words).within(folder).run().await
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn blobs(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { blobs(&path) } else { vec![path] }).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_is_backed_up_while_it_runs_and_restored() {
    let mut server = Server::start().await;
    let tenant = server.tenant("acme", "ada").await;
    let s3 = server.s3(&tenant);
    fill(&s3).await;
    let backups = server.scratch().join("backups");
    let first = server.json(&["backup", text(&backups), "--verify"]).await;
    assert_eq!((&first["made"]["blob_count"], &first["made"]["copied_count"]), (&4.into(), &4.into()), "{first}");
    assert_eq!(first["verified"]["damaged"], Value::Array(Vec::new()));

    let _ = s3.put("kept", "later", content(100_000, 99)).await.unwrap().ok();
    let second = server.command(&["backup", text(&backups)]).await;
    assert!(second.stderr.contains("NOT IN IT the key ring"), "{second:?}");
    let said = second.ok();
    assert!(said.contains("5 blobs") && said.contains("1 copied now"), "{said}");
    let listed = server.json(&["backup", "list", text(&backups)]).await;
    assert_eq!(listed.as_array().unwrap().len(), 2, "{listed}");

    // Everything is lost but the key ring.
    let keys = server.scratch().join("keys.json");
    std::fs::copy(server.data_dir().join("keys.json"), &keys).unwrap();
    server.kill().await;
    let refused = server.command(&["restore", text(&backups), "--key-file", text(&keys)]).await.failed();
    assert!(refused.contains("is not empty") && refused.contains("--force"), "{refused}");
    std::fs::remove_dir_all(server.data_dir()).unwrap();
    let restored = server.command(&["restore", text(&backups), "--key-file", text(&keys)]).await.ok();
    assert!(restored.contains("5 blobs"), "{restored}");
    server.restart().await;
    // Its access keys are good: they were read with the ring.
    let s3 = server.s3(&tenant);
    assert_filled(&s3).await;
    assert!(s3.get("kept", "later").await.unwrap().ok().body == content(100_000, 99));
    assert!(server.command(&["fsck"]).await.ok().contains("everything agrees"));

    let pruned = server.json(&["backup", "prune", text(&backups), "--keep", "1"]).await;
    assert_eq!(pruned["removed"].as_array().unwrap().len(), 1, "{pruned}");
    let whole = server.command(&["backup", "verify", text(&backups)]).await.ok();
    assert!(whole.starts_with("whole"), "{whole}");
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_is_found_on_running_and_on_stopped_stores() {
    let mut server = Server::start().await;
    let s3 = server.s3(&server.tenant("acme", "ada").await);
    fill(&s3).await;
    assert!(server.command(&["fsck"]).await.ok().contains("everything agrees"));
    let whole = server.json(&["scrub", "--rate", "0"]).await;
    assert_eq!((&whole["damage"], &whole["item_count"]), (&Value::Array(Vec::new()), &7.into()), "{whole}");

    let blob = blobs(&server.data_dir().join("blobs")).into_iter().find(|blob| {
        let length = blob.metadata().unwrap().len();
        (300_000..310_000).contains(&length)
    });
    let blob = blob.unwrap();
    let mut bytes = std::fs::read(&blob).unwrap();
    bytes[100_000] ^= 4;
    std::fs::write(&blob, &bytes).unwrap();
    let scrubbed = server.command(&["scrub", "--rate", "0"]).await;
    assert_eq!(scrubbed.code, Some(1), "{scrubbed:?}");
    assert!(scrubbed.stdout.contains("object kept/blob"), "{scrubbed:?}");
    let status = server.command(&["status"]).await.ok();
    assert!(status.contains("DAMAGED") && status.contains("kept/blob"), "{status}");
    assert_eq!(server.metric("cloudhold_damaged_items").await, 1.0);

    server.stop().await;
    std::fs::remove_file(&blob).unwrap();
    let lost = server.command(&["fsck"]).await;
    assert_eq!(lost.code, Some(1), "{lost:?}");
    assert!(lost.stdout.contains("kept/blob") && lost.stdout.contains("bytes of an object are missing"), "{lost:?}");
    let repaired = server.command(&["fsck", "--repair"]).await.ok();
    assert!(repaired.contains("comes back when its bytes do"), "{repaired}");
    bytes[100_000] ^= 4;
    std::fs::write(&blob, &bytes).unwrap();
    let back = server.json(&["fsck", "--repair"]).await;
    assert_eq!(back["found"]["lost_version_whole"]["repaired"], 1, "{back}");
    let clean = server.command(&["scrub", "--rate", "0"]).await.ok();
    assert!(clean.starts_with("whole"), "{clean}");
    server.restart().await;
    let tenant = server.key_of("acme", "ada").await;
    assert_filled(&server.s3(&tenant)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_database_comes_back_from_a_snapshot() {
    let mut server = Server::start().await;
    let tenant = server.tenant("acme", "ada").await;
    let s3 = server.s3(&tenant);
    fill(&s3).await;
    let backups = server.scratch().join("backups");
    let made = server.json(&["backup", text(&backups), "--metadata-only"]).await;
    let snapshot = PathBuf::from(made["made"]["path"].as_str().unwrap()).join("metadata.sqlite");
    let _ = s3.put("kept", "newer", content(50_000, 5)).await.unwrap().ok();
    let running = server.command(&["rebuild-index", "--snapshot", text(&snapshot)]).await.failed();
    assert!(running.contains("in use by another process"), "{running}");
    server.kill().await;
    let whole = server.command(&["rebuild-index", "--snapshot", text(&snapshot)]).await.failed();
    assert!(whole.contains("the database is whole"), "{whole}");

    for file in ["metadata.sqlite", "metadata.sqlite-wal"] {
        std::fs::write(server.data_dir().join(file), "this was a database").unwrap();
    }
    let refused = server.command(&["serve", "--ports", "auto"]).await.failed();
    assert!(refused.contains("cloudhold rebuild-index"), "{refused}");
    let rebuilt = server.command(&["rebuild-index", "--snapshot", text(&snapshot)]).await.ok();
    assert!(
        rebuilt.contains("1 blobs") && rebuilt.contains("LOST") && rebuilt.contains("old database is in"),
        "{rebuilt}"
    );
    assert!(rebuilt.contains("kept/newer (its bytes: blob ") && !rebuilt.contains("UNNAMED"), "{rebuilt}");
    server.restart().await;
    let s3 = server.s3(&tenant);
    assert_filled(&s3).await;
    assert_eq!(s3.get("kept", "newer").await.unwrap().status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_make_no_store() {
    let folder = tempfile::tempdir().unwrap();
    for words in [&["fsck"][..], &["scrub"], &["backup", "backups"]] {
        let said = cloudhold(folder.path(), &[words, &["--data-dir", "nowhere"]].concat()).await.failed();
        assert!(said.contains("no store runs on") && said.contains("there is none in it"), "{words:?}: {said}");
    }
    let said = cloudhold(folder.path(), &["rebuild-index", "--data-dir", "nowhere"]).await.failed();
    assert!(said.contains("no data directory"), "{said}");
    let said = cloudhold(folder.path(), &["restore", "nothing", "--data-dir", "nowhere"]).await.failed();
    assert!(said.contains("holds no back-ups"), "{said}");
    assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none());
}
