//! The AWS command line: cp, sync, ls, rm and presign.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::{Duration, SystemTime};

use reqwest::Version;
use tests::{BASE_DOMAIN, Environment, Script, Server, Tenant, content};

/// Enough that the client sends it in parts.
const LARGE_BYTES: usize = 20 << 20;

/// Where buckets are host names; by itself it names them in paths, as soon as it is told of an endpoint.
const BY_HOST: &str = "[default]\ns3 =\n  addressing_style = virtual\n";

struct Aws<'a> {
    environment: Environment,
    server: &'a Server,
    tenant: &'a Tenant,
    tls: bool,
    folder: &'a Path,
}

impl Aws<'_> {
    async fn run(&self, words: &[&str]) -> String {
        Script::program(self.environment.program("aws"))
            .s3(self.server, self.tls, self.tenant)
            .env("AWS_CONFIG_FILE", self.folder.join("config"))
            .args(&["--endpoint-url", &self.server.s3_url(self.tls)])
            .args(words)
            .within(self.folder)
            .run()
            .await
            .ok()
    }
}

pub(super) async fn round_trip(server: &Server, environment: Environment, tls: bool) {
    let tenant = server.tenant("acme", "ada").await;
    let folder = server.scratch();
    fs::write(folder.join("config"), if server.hosts_file().is_some() { BY_HOST } else { "" }).unwrap();
    let aws = Aws { environment, server, tenant: &tenant, tls, folder: &folder };

    aws.run(&["s3", "mb", "s3://aws"]).await;
    fs::write(folder.join("large"), content(LARGE_BYTES, 1)).unwrap();
    aws.run(&["s3", "cp", "large", "s3://aws/in/large", "--no-progress"]).await;
    aws.run(&["s3", "cp", "s3://aws/in/large", "back", "--no-progress"]).await;
    assert!(fs::read(folder.join("back")).unwrap() == content(LARGE_BYTES, 1), "the copy differs");
    aws.run(&["s3", "cp", "s3://aws/in/large", "s3://aws/in/copied", "--no-progress"]).await;

    for (number, name) in ["a.txt", "ä b.txt", "deep/er/c+d.txt"].into_iter().enumerate() {
        let path = folder.join("tree").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content(1000 * number + 7, 2)).unwrap();
        // S3 tells times in whole seconds: a file of the very second of its upload would look newer than its object.
        let minute_ago = SystemTime::now() - Duration::from_secs(60);
        fs::File::options().write(true).open(path).unwrap().set_modified(minute_ago).unwrap();
    }
    let first = aws.run(&["s3", "sync", "tree", "s3://aws/tree", "--no-progress"]).await;
    assert_eq!(first.lines().count(), 3, "{first}");
    assert_eq!(
        aws.run(&["s3", "sync", "tree", "s3://aws/tree", "--no-progress"]).await,
        "",
        "a second sync has nothing to do"
    );
    aws.run(&["s3", "sync", "s3://aws/tree", "tree-back", "--no-progress"]).await;
    for name in ["a.txt", "ä b.txt", "deep/er/c+d.txt"] {
        let (sent, came) = (folder.join("tree").join(name), folder.join("tree-back").join(name));
        assert_eq!(fs::read(sent).unwrap(), fs::read(came).unwrap(), "{name}");
    }

    let listed = aws.run(&["s3", "ls", "s3://aws/", "--recursive", "--summarize"]).await;
    assert!(listed.contains("Total Objects: 5") && listed.contains(&LARGE_BYTES.to_string()), "{listed}");
    presigned(&aws).await;

    fs::remove_file(folder.join("tree/a.txt")).unwrap();
    let gone = aws.run(&["s3", "sync", "tree", "s3://aws/tree", "--delete"]).await;
    assert!(gone.contains("delete: s3://aws/tree/a.txt"), "{gone}");
    aws.run(&["s3", "rm", "s3://aws", "--recursive"]).await;
    assert_eq!(aws.run(&["s3", "ls", "s3://aws/", "--recursive"]).await, "");
    aws.run(&["s3", "rb", "s3://aws"]).await;
    assert_eq!(aws.run(&["s3", "ls"]).await, "");
}

async fn presigned(aws: &Aws<'_>) {
    let url = aws.run(&["s3", "presign", "s3://aws/tree/deep/er/c+d.txt", "--expires-in", "60"]).await;
    let ca = fs::read(&aws.server.doors().ca_file).unwrap();
    let http = reqwest::Client::builder().no_proxy().tls_certs_only([reqwest::Certificate::from_pem(&ca).unwrap()]);
    // Port 0 stands for the one of the address that is asked for.
    let http = http.resolve(&format!("aws.{BASE_DOMAIN}"), (Ipv4Addr::LOCALHOST, 0).into());
    let answer = http.build().unwrap().get(url.trim()).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    // As a browser would follow it.
    assert_eq!(answer.version(), if aws.tls { Version::HTTP_2 } else { Version::HTTP_11 });
    assert_eq!(answer.bytes().await.unwrap(), content(2007, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn today_on_the_plain_door() {
    round_trip(&Server::start().await, Environment::Current, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn before_default_checksums_over_tls() {
    round_trip(&Server::start().await, Environment::Old, true).await;
}
