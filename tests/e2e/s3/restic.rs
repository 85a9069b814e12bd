//! restic, which speaks through minio-go: back up, check every byte, restore, forget.

use tests::{Output, Script, Server, Tenant};

use super::tree;

struct Restic<'a> {
    server: &'a Server,
    tenant: &'a Tenant,
    tls: bool,
    options: &'a [&'a str],
    password: &'a str,
}

impl Restic<'_> {
    async fn output(&self, words: &[&str]) -> Output {
        let doors = self.server.doors();
        let endpoint = if self.tls { &doors.s3_tls } else { &doors.s3 };
        let script = Script::program("restic")
            .s3(self.server, self.tls, self.tenant)
            .env("RESTIC_REPOSITORY", format!("s3:{endpoint}/restic/deep/repository"))
            .env("RESTIC_PASSWORD", self.password)
            .args(&["--quiet", "--cacert"])
            .arg(&doors.ca_file)
            .args(self.options);
        script.args(words).within(&self.server.scratch()).run().await
    }

    async fn run(&self, words: &[&str]) -> String {
        self.output(words).await.ok()
    }
}

async fn round_trip(tls: bool, options: &[&str]) {
    let server = Server::start().await;
    let tenant = server.tenant("acme", "ada").await;
    let (from, to) = (server.scratch().join("tree"), server.scratch().join("back"));
    let restic = Restic { server: &server, tenant: &tenant, tls, options, password: "secret" };

    // The bucket comes with the repository.
    restic.run(&["init"]).await;
    tree::plant(&from);
    restic.run(&["backup", "tree"]).await;
    tree::change(&from);
    restic.run(&["backup", "tree"]).await;
    restic.run(&["check", "--read-data"]).await;
    let snapshots = restic.run(&["snapshots", "--json"]).await;
    assert_eq!(snapshots.matches("\"short_id\"").count(), 2, "{snapshots}");

    restic.run(&["restore", "latest", "--target", "back"]).await;
    tree::assert_same(&from, &to.join("tree"));
    restic.run(&["forget", "--keep-last", "1", "--prune"]).await;
    restic.run(&["check", "--read-data"]).await;
    let stranger = Restic { password: "other", ..restic };
    let refused = stranger.output(&["snapshots"]).await.failed();
    assert!(refused.contains("wrong password"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn on_the_plain_door() {
    round_trip(false, &["-o", "s3.list-objects-v1=true"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls() {
    round_trip(true, &[]).await;
}
