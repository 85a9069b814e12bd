//! s3cmd, with both versions of the signature.

use std::fs;

use tests::{Environment, Script, Server, content};

/// Enough for parts of 5 MB.
const LARGE_BYTES: usize = 12 << 20;

pub(super) async fn round_trip(server: &Server, signature_v2: bool, tls: bool) {
    let tenant = server.tenant("acme", "ada").await;
    let folder = server.scratch();
    let url = server.s3_url(tls);
    let host = url.split_once("://").unwrap().1;
    let front = if server.hosts_file().is_some() { "%(bucket)s." } else { "" };
    let switch = |on: bool| if on { "True" } else { "False" };
    let config = format!(
        "[default]\naccess_key = {}\nsecret_key = {}\nhost_base = {host}\nhost_bucket = {front}{host}\nuse_https = {}\n\
         ca_certs_file = {}\nsignature_v2 = {}\nmultipart_chunk_size_mb = 5\nbucket_location = us-east-1\n",
        tenant.access_key,
        tenant.secret_key,
        switch(tls),
        server.doors().ca_file.display(),
        switch(signature_v2),
    );
    fs::write(folder.join("s3cfg"), config).unwrap();
    let s3cmd = async |words: &[&str]| {
        let program = Environment::Current.program("s3cmd");
        let script = Script::program(program).finding_hosts_of(server).args(&["-c", "s3cfg", "--no-progress"]);
        script.args(words).within(&folder).run().await.ok()
    };

    s3cmd(&["mb", "s3://my.s3cmd"]).await;
    for (name, size_bytes) in [("small", 100), ("large", LARGE_BYTES), ("name ä+&.txt", 5000)] {
        fs::write(folder.join(name), content(size_bytes, 3)).unwrap();
        let target = format!("s3://my.s3cmd/{name}");
        s3cmd(&["put", name, &target]).await;
        s3cmd(&["get", &target, "back", "--force"]).await;
        assert!(fs::read(folder.join("back")).unwrap() == content(size_bytes, 3), "{name} differs");
    }
    let info = s3cmd(&["info", "s3://my.s3cmd/large"]).await;
    assert!(info.contains(&LARGE_BYTES.to_string()), "{info}");
    let listed = s3cmd(&["ls", "s3://my.s3cmd"]).await;
    assert_eq!(listed.lines().count(), 3, "{listed}");
    assert!(s3cmd(&["ls"]).await.contains(" s3://my.s3cmd\n"));
    s3cmd(&["cp", "s3://my.s3cmd/small", "s3://my.s3cmd/copied"]).await;
    s3cmd(&["mv", "s3://my.s3cmd/copied", "s3://my.s3cmd/moved"]).await;
    fs::create_dir(folder.join("tree")).unwrap();
    fs::write(folder.join("tree/one"), "1").unwrap();
    fs::write(folder.join("tree/two"), "2").unwrap();
    s3cmd(&["sync", "tree/", "s3://my.s3cmd/tree/"]).await;
    let listed = s3cmd(&["ls", "--recursive", "s3://my.s3cmd"]).await;
    assert!(listed.contains("s3://my.s3cmd/moved") && listed.contains("s3://my.s3cmd/tree/two"), "{listed}");
    assert!(!listed.contains("s3://my.s3cmd/copied"), "{listed}");
    s3cmd(&["del", "--recursive", "--force", "s3://my.s3cmd"]).await;
    s3cmd(&["rb", "s3://my.s3cmd"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_v4_on_the_plain_door() {
    round_trip(&Server::start().await, false, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_v4_over_tls() {
    round_trip(&Server::start().await, false, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_v2_on_the_plain_door() {
    round_trip(&Server::start().await, true, false).await;
}
