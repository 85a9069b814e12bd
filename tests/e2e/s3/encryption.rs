//! Server-side encryption as other people's clients ask for it. Each client stores, reads, copies and sends in parts under its own
//! keys, the store's and those with names, and is refused with wrong ones; what it stored must not be readable among the files of
//! the store.
//!
//! Customers' keys go over TLS, but for some clients that a setting lets send them in the open.

use std::path::Path;

use tests::{Environment, Output, Script, Server, Tenant, content, go, java, java_trust, javascript};

/// Stands in everything that a client asks to be encrypted.
const SEALED: &str = "this must not be readable on the disk";
/// Stands in what a client stores as it is: a search that does not find it would show nothing.
const OPEN: &str = "this is stored as it came, and so the search finds it";
const KMS_KEY: &str = "payroll";
/// Enough that the programs send it in parts.
const LARGE_BYTES: usize = 20 << 20;

struct World {
    server: Server,
    tenant: Tenant,
    tls: bool,
}

impl World {
    async fn new(tls: bool) -> Self {
        let keys = format!("[engine]\nkms_keys = [\"{KMS_KEY}\"]\n");
        let server = Server::with_config(&format!("{keys}[s3]\ncustomer_keys_need_tls = {tls}\n")).await;
        let tenant = server.tenant("acme", "ada").await;
        Self { server, tenant, tls }
    }

    /// Runs a script that does all of it, and looks at what it stored.
    async fn run(self, script: Script) {
        let script = script.env("SEALED", SEALED).env("OPEN", OPEN).env("KMS_KEY", KMS_KEY);
        assert_eq!(script.s3(&self.server, self.tls, &self.tenant).run().await.ok().trim(), "done");
        self.look().await;
    }

    /// Stops the store, so that all is in its files, and searches them.
    async fn look(mut self) {
        assert!(self.server.stop().await.success());
        let files = self.server.data_dir();
        assert!(!holds(&files, SEALED), "sealed bytes can be read among the files of the store");
        assert!(holds(&files, OPEN), "the search does not find what was stored as it is");
    }
}

/// Whether a text stands in any file of a folder.
fn holds(folder: &Path, text: &str) -> bool {
    std::fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            holds(&path, text)
        } else {
            // A socket cannot be read.
            std::fs::read(&path).unwrap_or_default().windows(text.len()).any(|part| part == text.as_bytes())
        }
    })
}

/// Bytes with the mark in them, as a file.
fn marked(path: &Path, size_bytes: usize) -> Vec<u8> {
    let mut bytes = content(size_bytes, 9);
    bytes[size_bytes / 2..][..SEALED.len()].copy_from_slice(SEALED.as_bytes());
    std::fs::write(path, &bytes).unwrap();
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn boto3_over_tls() {
    World::new(true).await.run(Script::python(Environment::Current, "boto3_encryption.py")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn boto3_from_before_default_checksums() {
    World::new(false).await.run(Script::python(Environment::Old, "boto3_encryption.py")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn aws_sdk_go() {
    World::new(true).await.run(go().args(&["encryption"])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn aws_sdk_js() {
    World::new(false).await.run(javascript("aws_sdk_encryption.js")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn minio_js() {
    World::new(true).await.run(javascript("minio_encryption.js")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn aws_sdk_java_v2() {
    World::new(false).await.run(java("java-v2").args(&["encryption"])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn aws_sdk_java_v1() {
    let world = World::new(true).await;
    let trust = java_trust(&world.server).await;
    let script = java("java-v1").args(&["AWSS3V4SignerType", "encryption"]);
    world.run(script.env("JAVA_TOOL_OPTIONS", trust)).await;
}

impl World {
    async fn aws(&self, words: &[&str]) -> Output {
        let script = Script::program(Environment::Current.program("aws")).s3(&self.server, self.tls, &self.tenant);
        let script = script.args(&["--endpoint-url", &self.server.s3_url(self.tls)]).args(words);
        script.within(&self.server.scratch()).run().await
    }

    async fn copied(&self, from: &str, to: &str, options: &[&str]) -> Output {
        self.aws(&[&["s3", "cp", from, to, "--no-progress"], options].concat()).await
    }

    /// What HEAD tells of an object.
    async fn head(&self, key: &str, options: &[&str]) -> serde_json::Value {
        let words = ["s3api", "head-object", "--bucket", "aws", "--output", "json", "--key", key];
        serde_json::from_str(&self.aws(&[&words, options].concat()).await.ok()).unwrap()
    }

    async fn assert_back(&self, from: &str, options: &[&str], expected: &[u8]) {
        let _ = self.copied(from, "back", options).await.ok();
        assert!(std::fs::read(self.server.scratch().join("back")).unwrap() == expected, "{from} differs");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn aws_command_line() {
    let world = World::new(true).await;
    let folder = world.server.scratch();
    let large = marked(&folder.join("large"), LARGE_BYTES);
    std::fs::write(folder.join("key"), content(32, 1)).unwrap();
    std::fs::write(folder.join("other"), content(32, 2)).unwrap();
    std::fs::write(folder.join("open"), OPEN).unwrap();
    let own = ["--sse-c", "AES256", "--sse-c-key", "fileb://key"];
    let other = ["--sse-c", "AES256", "--sse-c-key", "fileb://other"];
    let from_own = ["--sse-c-copy-source", "AES256", "--sse-c-copy-source-key", "fileb://key"];

    let _ = world.aws(&["s3", "mb", "s3://aws"]).await.ok();
    let _ = world.copied("open", "s3://aws/open", &[]).await.ok();
    let _ = world.copied("large", "s3://aws/customer", &own).await.ok();
    world.assert_back("s3://aws/customer", &own, &large).await;
    for options in [&[][..], &other] {
        let refused = world.copied("s3://aws/customer", "stolen", options).await;
        let said = refused.failed();
        assert!(said.contains("400"), "{said}");
        assert!(!folder.join("stolen").exists(), "something came");
    }
    let options = [&other[..], &from_own].concat();
    let _ = world.copied("s3://aws/customer", "s3://aws/copied", &options).await.ok();
    world.assert_back("s3://aws/copied", &other, &large).await;

    let _ = world.copied("large", "s3://aws/managed", &["--sse", "AES256"]).await.ok();
    assert_eq!(world.head("managed", &[]).await["ServerSideEncryption"], "AES256");
    let named = ["--sse", "aws:kms", "--sse-kms-key-id", KMS_KEY];
    let _ = world.copied("large", "s3://aws/named", &named).await.ok();
    assert_eq!(world.head("named", &[]).await["SSEKMSKeyId"], KMS_KEY);
    for from in ["s3://aws/managed", "s3://aws/named"] {
        world.assert_back(from, &[], &large).await;
    }
    let unknown = world.copied("large", "s3://aws/unknown", &["--sse", "aws:kms", "--sse-kms-key-id", "nobodys"]).await;
    let said = unknown.failed();
    assert!(said.contains("KMS.NotFoundException"), "{said}");

    let rule = r#"{"Rules":[{"ApplyServerSideEncryptionByDefault":{"SSEAlgorithm":"AES256"}}]}"#;
    let words = ["s3api", "put-bucket-encryption", "--bucket", "aws", "--server-side-encryption-configuration", rule];
    let _ = world.aws(&words).await.ok();
    let _ = world.copied("large", "s3://aws/default", &[]).await.ok();
    assert_eq!(world.head("default", &[]).await["ServerSideEncryption"], "AES256");
    world.assert_back("s3://aws/default", &[], &large).await;
    world.look().await;
}

impl World {
    async fn rclone(&self, options: &[(&str, &str)], words: &[&str]) -> Output {
        // Of "Other" it has no such options, and "AWS" is never asked by path.
        let mut script = super::rclone::script(&self.server, &self.tenant, "Minio", self.tls);
        for (name, value) in options {
            script = script.env(&format!("RCLONE_CONFIG_HOLD_{name}"), value);
        }
        script.args(words).within(&self.server.scratch()).run().await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rclone() {
    let world = World::new(true).await;
    let folder = world.server.scratch();
    std::fs::create_dir_all(folder.join("tree/deep")).unwrap();
    let large = marked(&folder.join("tree/large"), LARGE_BYTES);
    marked(&folder.join("tree/deep/small"), 70_000);
    std::fs::write(folder.join("open"), OPEN).unwrap();
    let customer = |key| [("SSE_CUSTOMER_ALGORITHM", "AES256"), ("SSE_CUSTOMER_KEY", key)];
    let own = customer("a key of exactly thirty-two byte");
    let other = customer("another one of thirty-two bytes.");

    let _ = world.rclone(&[], &["mkdir", "hold:rclone"]).await.ok();
    let _ = world.rclone(&[], &["copyto", "open", "hold:rclone/open"]).await.ok();
    let _ = world.rclone(&own, &["copy", "tree", "hold:rclone/customer"]).await.ok();
    let _ = world.rclone(&own, &["check", "--download", "tree", "hold:rclone/customer"]).await.ok();
    let _ = world.rclone(&own, &["copyto", "hold:rclone/customer/large", "hold:rclone/copied"]).await.ok();
    let _ = world.rclone(&own, &["copyto", "hold:rclone/copied", "back"]).await.ok();
    assert!(std::fs::read(folder.join("back")).unwrap() == large, "the copy differs");
    let range = ["cat", "--offset", "8388600", "--count", "20", "hold:rclone/customer/large"];
    let part = world.rclone(&own, &range).await.ok();
    assert_eq!(part, String::from_utf8_lossy(&large[8_388_600..8_388_620]), "a range over two parts differs");
    for options in [&[][..], &other] {
        let refused = world.rclone(options, &["copy", "hold:rclone/customer", "stolen"]).await;
        let said = refused.failed();
        assert!(said.contains("400"), "{said}");
        assert!(!folder.join("stolen/large").exists(), "something came");
    }

    let s3 = world.server.s3(&world.tenant);
    let named = [("SERVER_SIDE_ENCRYPTION", "aws:kms"), ("SSE_KMS_KEY_ID", KMS_KEY)];
    for (to, options) in [("managed", &[("SERVER_SIDE_ENCRYPTION", "AES256")][..]), ("named", &named)] {
        let target = format!("hold:rclone/{to}");
        let _ = world.rclone(options, &["copy", "tree", &target]).await.ok();
        let _ = world.rclone(&[], &["check", "--download", "tree", &target]).await.ok();
        for key in ["large", "deep/small"] {
            let head = s3.get("rclone", &format!("{to}/{key}")).await.unwrap().ok();
            assert_eq!(head.encryption.as_deref(), Some(options[0].1), "{to}/{key}");
        }
    }
    let unknown = [("SERVER_SIDE_ENCRYPTION", "aws:kms"), ("SSE_KMS_KEY_ID", "nobodys")];
    let refused = world.rclone(&unknown, &["copy", "tree", "hold:rclone/unknown"]).await;
    let said = refused.failed();
    assert!(said.contains("KMS.NotFoundException"), "{said}");
    world.look().await;
}
