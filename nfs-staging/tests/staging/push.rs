//! Push: where files go, what it replaces, and how it goes on after an interruption.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nfs_staging::{Error, FileState, Progress, PushOutcome, PushRequest, Stage, Step};

use crate::support::{
    BUCKET, MIB, TEMPLATE, TEMPLATE_PATH, VOLUME, World, image, noise, operator, push_request, silent,
};

#[tokio::test(flavor = "multi_thread")]
async fn files_are_cut_as_cloudstack_cuts_them() {
    let world = World::new().await;
    for (size, parts) in [(0, None), (1, None), (16 * MIB, None), (16 * MIB + 1, Some(4)), (40 * MIB, Some(8))] {
        let content = noise(size, size as u64);
        let path = format!("snapshots/2/{size}/6f3d");
        world.write(&path, &content);
        let pushed = world.push(&path).await.unwrap();
        assert_eq!((pushed.key.as_str(), pushed.outcome), (path.as_str(), PushOutcome::Stored { resumed_bytes: 0 }));
        let info = world.head(&path).await.unwrap();
        assert_eq!((info.parts_count, info.size_bytes, info.etag), (parts, size as u64, pushed.etag));
        assert!(world.get(&path).await == content);
        assert_eq!(world.push(&path).await.unwrap().outcome, PushOutcome::AlreadyThere);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_that_was_pulled_and_changed_goes_back_to_its_key() {
    let world = World::new().await;
    world.put(TEMPLATE, &image(2 * MIB, 1)).await;
    world.pull(TEMPLATE).await.unwrap();
    let changed = image(18 * MIB, 2);
    world.write(TEMPLATE_PATH, &changed);
    assert!(matches!(world.listed(TEMPLATE_PATH).await.unwrap().state, FileState::Touched { .. }));
    let request = PushRequest { bucket: None, ..push_request(TEMPLATE_PATH) };
    let pushed = world.staging.push(&operator(), &request, &silent()).await.unwrap();
    assert_eq!((pushed.bucket.as_str(), pushed.key.as_str()), (BUCKET, TEMPLATE));
    assert!(world.get(TEMPLATE).await == changed);
    assert!(matches!(world.listed(TEMPLATE_PATH).await.unwrap().state, FileState::Proven { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_finds_its_unique_name_in_its_description() {
    let world = World::new().await;
    world.write("template/tmpl/2/201/0f1e.qcow2", b"image");
    let unknown = world.push("template/tmpl/2/201/0f1e.qcow2").await;
    assert!(matches!(unknown, Err(Error::TargetUnknown { what: "key", .. })));
    world.write("template/tmpl/2/201/template.properties", b"#Mon\nfilename=0f1e.qcow2\nuniquename=201-2-a b\n");
    let pushed = world.push("template/tmpl/2/201/0f1e.qcow2").await.unwrap();
    assert_eq!(pushed.key, "template/tmpl/2/201/201-2-a b/0f1e.qcow2");
    let nowhere = PushRequest { bucket: None, ..push_request("template/tmpl/2/201/0f1e.qcow2") };
    assert!(world.staging.push(&operator(), &nowhere, &silent()).await.is_ok());

    world.write(VOLUME, b"volume");
    let nowhere = PushRequest { bucket: None, ..push_request(VOLUME) };
    let unknown = world.staging.push(&operator(), &nowhere, &silent()).await;
    assert!(matches!(unknown, Err(Error::TargetUnknown { what: "bucket", .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_may_rename_but_not_move_to_another_tenant() {
    let world = World::new().await;
    world.write("template/tmpl/2/201/0f1e.qcow2", b"image");
    let to = |key: &str| PushRequest { key: Some(key.to_owned()), ..push_request("template/tmpl/2/201/0f1e.qcow2") };
    for bad in [
        "template/tmpl/3/201/u/0f1e.qcow2",
        "template/tmpl/2/202/u/0f1e.qcow2",
        "volumes/2/201/0f1e.qcow2",
        "elsewhere",
    ] {
        let refused = world.staging.push(&operator(), &to(bad), &silent()).await;
        assert!(matches!(refused, Err(Error::Layout { .. })), "{bad}");
    }
    let key = "template/tmpl/2/201/u/original name.qcow2?version=7";
    world.staging.push(&operator(), &to(key), &silent()).await.unwrap();
    assert_eq!(world.get(key).await, b"image");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_of_somebody_else_is_replaced_only_when_told() {
    let world = World::new().await;
    world.write(VOLUME, b"mine");
    world.put(VOLUME, b"theirs").await;
    assert!(matches!(world.push(VOLUME).await, Err(Error::ObjectExists { .. })));
    let request = PushRequest { overwrite: true, ..push_request(VOLUME) };
    world.staging.push(&operator(), &request, &silent()).await.unwrap();
    assert_eq!(world.get(VOLUME).await, b"mine");
    // The object on record was replaced since.
    world.put(VOLUME, b"theirs again").await;
    world.write(VOLUME, b"mine again");
    assert!(matches!(world.push(VOLUME).await, Err(Error::ObjectExists { .. })));
    assert_eq!(world.get(VOLUME).await, b"theirs again");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_push_goes_on_where_it_stopped() {
    let mut world = World::new().await;
    let content = noise(43 * MIB, 3);
    world.write(VOLUME, &content);
    for stop_mib in [6, 12, 31] {
        world.push_until(VOLUME, stop_mib << 20).await;
        assert!(world.head(VOLUME).await.is_err());
        assert_eq!(world.open_uploads().await, 1);
        world.reopen().await;
    }
    let pushed = world.push(VOLUME).await.unwrap();
    assert_eq!(pushed.outcome, PushOutcome::Stored { resumed_bytes: 30 << 20 });
    assert!(world.get(VOLUME).await == content);
    assert_eq!(world.open_uploads().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_of_a_file_that_changed_between_are_stored_again() {
    let world = World::new().await;
    let mut content = noise(30 * MIB, 4);
    world.write(VOLUME, &content);
    world.push_until(VOLUME, 21 << 20).await;
    content[7 * MIB] ^= 1;
    world.write(VOLUME, &content);
    let pushed = world.push(VOLUME).await.unwrap();
    assert_eq!(pushed.outcome, PushOutcome::Stored { resumed_bytes: 15 << 20 });
    assert!(world.get(VOLUME).await == content);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_of_another_size_or_that_is_gone_is_begun_anew() {
    let world = World::new().await;
    world.write(VOLUME, &noise(30 * MIB, 5));
    world.push_until(VOLUME, 11 << 20).await;
    let content = noise(31 * MIB, 5);
    world.write(VOLUME, &content);
    assert_eq!(world.push(VOLUME).await.unwrap().outcome, PushOutcome::Stored { resumed_bytes: 0 });
    assert!(world.get(VOLUME).await == content);
    assert_eq!(world.open_uploads().await, 0);
}

/// What somebody does to a file.
type Change = fn(&std::fs::File);

/// Changes the file when the push has read so far.
fn changing(
    world: &World,
    path: &str,
    at_bytes: u64,
    change: impl Fn(&std::fs::File) + Send + Sync + 'static,
) -> Arc<dyn Progress> {
    let (file, done) = (world.at(path), AtomicBool::new(false));
    Arc::new(move |step: Step| {
        if step.stage == Stage::Copying && step.done_bytes >= at_bytes && !done.swap(true, Ordering::SeqCst) {
            // A clock that ticks coarsely would hide a change within the tick in which the file was made.
            std::thread::sleep(std::time::Duration::from_millis(20));
            change(&OpenOptions::new().write(true).open(&file).unwrap());
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_changes_while_it_is_read_makes_no_object() {
    let world = World::new().await;
    for (size, name) in [(4 * MIB, "small"), (20 * MIB, "large")] {
        let changes: [(&str, Change); 2] = [
            ("overwritten", |file| file.write_all_at(b"changed", 100).unwrap()),
            ("truncated", |file| file.set_len(2 << 20).unwrap()),
        ];
        for (kind, change) in changes {
            let path = format!("volumes/1/2/{name}-{kind}");
            world.write(&path, &noise(size, 6));
            let progress = changing(&world, &path, 1 << 20, change);
            let pushed = world.staging.push(&operator(), &push_request(&path), &progress).await;
            assert!(matches!(pushed, Err(Error::FileChanged { .. })), "{path}: {pushed:?}");
            assert!(world.head(&path).await.is_err(), "{path}");
        }
    }
    assert_eq!(world.open_uploads().await, 0);
    assert_eq!(world.records(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_staged_is_refused() {
    let world = World::new().await;
    assert!(matches!(world.push(VOLUME).await, Err(Error::NotStaged { .. })));
    assert!(matches!(world.push("etc/passwd").await, Err(Error::Layout { .. })));
    assert!(matches!(world.push("volumes/1/2/../../../data/keys.json").await, Err(Error::Layout { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_obeys_the_quota_of_the_bucket() {
    let world = World::new().await;
    let name = engine::BucketName::new(BUCKET).unwrap();
    let quota = Some(engine::Quota { size_bytes_max: Some(20 << 20), objects_max: None });
    world.engine.set_bucket_quota(&operator(), &name, quota).await.unwrap();
    for (size, path) in [(21 * MIB, "snapshots/2/1/one"), (40 * MIB, "snapshots/2/1/in-parts")] {
        world.write(path, &noise(size, 1));
        let refused = world.push(path).await;
        let is_refused = matches!(&refused, Err(Error::Object { source: engine::Error::QuotaExceeded(_), .. }));
        assert!(is_refused, "{refused:?}");
        assert!(world.head(path).await.is_err());
    }
}
