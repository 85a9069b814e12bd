//! A real qcow2 template of more than 200 MB, from the upload to the second pull.

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use tests::{Environment, Script, Server, content, sha256_of_file};

const TEMPLATE_BYTES_MIN: u64 = 200 << 20;
const KEY: &str = "template/tmpl/1/200/200-2-a1b2c3d4-1111-2222-3333-444455556666/debian-12.qcow2";
const STAGED: &str = "template/tmpl/1/200/debian-12.qcow2";

/// A qcow2 file whose content does not compress: random blocks in a raw disk, converted by qemu-img.
async fn template(folder: &Path) -> PathBuf {
    let (raw, path) = (folder.join("disk.raw"), folder.join("debian-12.qcow2"));
    let disk = fs::File::create(&raw).unwrap();
    for (megabyte, seed) in (0..TEMPLATE_BYTES_MIN + (4 << 20)).step_by(4 << 20).zip(0..) {
        disk.write_all_at(&content(4 << 20, seed), megabyte).unwrap();
    }
    disk.set_len(1 << 30).unwrap();
    let convert = Script::program("qemu-img").args(&["convert", "-O", "qcow2"]).arg(&raw).arg(&path);
    let _ = convert.run().await.ok();
    fs::remove_file(raw).unwrap();
    let size_bytes = fs::metadata(&path).unwrap().len();
    assert!(size_bytes >= TEMPLATE_BYTES_MIN, "the template has only {size_bytes} bytes");
    path
}

async fn qemu_finds_no_fault(path: &Path) {
    let _ = Script::program("qemu-img").args(&["check"]).arg(path).run().await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_goes_both_ways_and_stays_the_same() {
    let server = Server::start().await;
    let folder = server.scratch();
    let prepared = server.json(&["secondary-storage", "prepare", "--bucket", "secondary"]).await;
    let made = |field: &str| prepared["made"][field].as_str().unwrap().to_owned();
    let tenant = tests::Tenant {
        group: made("group"),
        user: made("user"),
        access_key: made("access_key"),
        secret_key: made("secret_key"),
    };
    let source = template(&folder).await;
    let original = sha256_of_file(&source);
    let upload = Script::python(Environment::Current, "template_upload.py").s3(&server, false, &tenant);
    let _ = upload.args(&["secondary", KEY]).arg(&source).run().await.ok();

    let staged = PathBuf::from(made("staging_dir")).join(STAGED);
    let _ = server.command(&["staging", "pull", "secondary", KEY]).await.ok();
    assert_eq!(sha256_of_file(&staged), original, "the first pull");
    qemu_finds_no_fault(&staged).await;
    let again = server.command(&["staging", "pull", "secondary", KEY]).await.ok();
    assert!(again.contains("already there"), "{again}");

    // CloudStack writes into the staged file; qemu-io keeps it a valid image.
    let write = Script::program("qemu-io").args(&["-f", "qcow2", "-c", "write -P 0x5a 5M 3M"]).arg(&staged);
    let _ = write.run().await.ok();
    let changed = sha256_of_file(&staged);
    assert_ne!(changed, original);
    let words = server.command(&["staging", "evict", STAGED]).await;
    assert_eq!(words.code, Some(1), "what is in no bucket stays: {}", words.stdout);
    assert!(staged.exists());
    let pushed = server.command(&["staging", "push", STAGED]).await.ok();
    assert!(pushed.contains("stored"), "{pushed}");
    let pushed = server.command(&["staging", "push", STAGED]).await.ok();
    assert!(pushed.contains("already there"), "{pushed}");

    let _ = server.command(&["staging", "evict", STAGED]).await.ok();
    assert!(!staged.exists(), "evicted");
    let _ = server.command(&["staging", "pull", "secondary", KEY]).await.ok();
    assert_eq!(sha256_of_file(&staged), changed, "the second pull");
    qemu_finds_no_fault(&staged).await;

    let listed = server.command(&["staging", "list"]).await.ok();
    assert!(listed.contains(STAGED) && listed.contains(&format!("equal to s3://secondary/{KEY}")), "{listed}");
    let s3 = server.s3(&tenant);
    assert_eq!(tests::sha256(&s3.get("secondary", KEY).await.unwrap().ok().body), changed, "by S3");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_goes_on_after_a_kill() {
    let mut server = Server::start().await;
    let prepared = server.json(&["secondary-storage", "prepare", "--bucket", "secondary"]).await;
    let made = |field: &str| prepared["made"][field].as_str().unwrap().to_owned();
    let tenant = tests::Tenant {
        group: made("group"),
        user: made("user"),
        access_key: made("access_key"),
        secret_key: made("secret_key"),
    };
    let body = content(96 << 20, 7);
    let _ = server.s3(&tenant).put("secondary", KEY, body.clone()).await.unwrap().ok();
    let staging = PathBuf::from(made("staging_dir"));
    let data_dir = server.data_dir();
    let pull = tokio::spawn(async move {
        let mut command = tokio::process::Command::new(tests::binary());
        command.args(["staging", "pull", "secondary", KEY, "--data-dir"]).arg(data_dir);
        tests::run(&mut command, std::time::Duration::from_secs(120)).await
    });
    // Somewhere in the middle, if the machine is not too fast; the end is the same.
    let directory = staging.join("template/tmpl/1/200");
    for _ in 0..2000 {
        if fs::read_dir(&directory).is_ok_and(|mut entries| entries.next().is_some()) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    server.kill().await;
    let _ = pull.await.unwrap();
    let staged = staging.join(STAGED);
    if staged.exists() {
        assert!(fs::read(&staged).unwrap() == body, "a file under its final name is whole");
    }
    server.restart().await;
    let _ = server.command(&["staging", "pull", "secondary", KEY]).await.ok();
    assert!(fs::read(&staged).unwrap() == body, "the content differs");
}
