//! rclone: copy, check, sync and ranges.

use std::fs;

use tests::{Script, Server, Tenant, content};

/// Enough that rclone sends it in parts.
const LARGE_BYTES: usize = 22 << 20;

/// rclone, which knows the store as `hold` and tries everything once.
pub(super) fn script(server: &Server, tenant: &Tenant, provider: &str, tls: bool) -> Script {
    Script::program("rclone")
        .finding_hosts_of(server)
        .env("RCLONE_CONFIG_HOLD_TYPE", "s3")
        .env("RCLONE_CONFIG_HOLD_PROVIDER", provider)
        .env("RCLONE_CONFIG_HOLD_ENDPOINT", server.s3_url(tls))
        .env("RCLONE_CONFIG_HOLD_FORCE_PATH_STYLE", if server.hosts_file().is_some() { "false" } else { "true" })
        .env("RCLONE_CONFIG_HOLD_ACCESS_KEY_ID", &tenant.access_key)
        .env("RCLONE_CONFIG_HOLD_SECRET_ACCESS_KEY", &tenant.secret_key)
        .env("RCLONE_CONFIG_HOLD_REGION", "us-east-1")
        .env("RCLONE_CA_CERT", &server.doors().ca_file)
        .env("RCLONE_RETRIES", "1")
        .env("RCLONE_LOW_LEVEL_RETRIES", "1")
        .env("RCLONE_S3_UPLOAD_CUTOFF", "8M")
        .env("RCLONE_S3_CHUNK_SIZE", "8M")
}

pub(super) async fn round_trip(server: &Server, tls: bool) {
    let tenant = server.tenant("acme", "ada").await;
    let folder = server.scratch();
    let rclone =
        async |words: &[&str]| script(server, &tenant, "Other", tls).args(words).within(&folder).run().await.ok();

    let names = [("large", LARGE_BYTES), ("empty", 0), ("deep/ä b+c.bin", 70_000), ("deep/er/one", 1)];
    for (name, size_bytes) in names {
        let path = folder.join("tree").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content(size_bytes, 4)).unwrap();
    }
    rclone(&["mkdir", "hold:my.rclone"]).await;
    rclone(&["copy", "tree", "hold:my.rclone/tree"]).await;
    // Compares MD5 where it is known, and with --download every byte.
    rclone(&["check", "tree", "hold:my.rclone/tree"]).await;
    rclone(&["check", "--download", "tree", "hold:my.rclone/tree"]).await;
    let listed = rclone(&["lsf", "--recursive", "hold:my.rclone"]).await;
    assert!(listed.contains("tree/deep/ä b+c.bin\n") && listed.contains("tree/large\n"), "{listed}");

    let part = rclone(&["cat", "--offset", "65530", "--count", "12", "hold:my.rclone/tree/large"]).await;
    let expected = content(LARGE_BYTES, 4)[65530..65542].to_vec();
    assert_eq!(part, String::from_utf8_lossy(&expected), "a range differs");

    rclone(&["copyto", "hold:my.rclone/tree/large", "hold:my.rclone/copied"]).await;
    rclone(&["copyto", "hold:my.rclone/copied", "back"]).await;
    assert!(fs::read(folder.join("back")).unwrap() == content(LARGE_BYTES, 4), "the copy differs");

    fs::remove_file(folder.join("tree/empty")).unwrap();
    fs::write(folder.join("tree/deep/er/one"), "two").unwrap();
    rclone(&["sync", "tree", "hold:my.rclone/tree"]).await;
    rclone(&["check", "--download", "tree", "hold:my.rclone/tree"]).await;
    rclone(&["sync", "hold:my.rclone/tree", "tree-back"]).await;
    rclone(&["check", "tree-back", "tree"]).await;
    assert!(rclone(&["lsd", "hold:"]).await.contains(" my.rclone\n"));
    rclone(&["purge", "hold:my.rclone"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_the_plain_door() {
    round_trip(&Server::start().await, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls() {
    round_trip(&Server::start().await, true).await;
}
