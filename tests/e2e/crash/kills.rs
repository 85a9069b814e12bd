//! Killed again and again, at any moment, also while it starts: whatever was acknowledged is there, whatever was not is old or new, and
//! nothing is left behind.
//!
//! `CLOUDHOLD_KILLS` sets how often, `CLOUDHOLD_KILLS_SEED` repeats what was done in a run before (not its moments).

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use engine::{Caller, Clock, ClockHand, Database, Engine, PostgresSettings, Settings};
use futures::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use reqwest::Method;
use serde_json::Value;
use test_databases::new_postgres;
use tests::{S3, S3Answer, Server, Tenant};

use crate::crash::oracle::{Change, Content, Key, Keys, Listed};

/// Kills when nobody says how many.
const KILLS: u64 = 100;
/// The same where a start and each change take longer.
const KILLS_ON_POSTGRES: u64 = 40;
const CLIENTS: u64 = 6;
/// A bucket without versions and one that keeps them.
const BUCKETS: [(&str, bool); 2] = [("plain", false), ("kept", true)];
const KEYS_OF_CLIENT: u64 = 3;
/// Versions of a key beyond which they are deleted again.
const VERSIONS_MAX: usize = 6;
/// The longest that a round writes before it is killed.
const WRITING_MAX: Duration = Duration::from_millis(250);
/// Rounds after which every byte is read, not only those that were touched.
const WHOLE_EVERY: u64 = 20;
/// Rounds after which everything that a kill leaves behind is cleaned away: so much more would look like an old database.
const CLEAN_EVERY: u64 = 100;
/// Small parts, so that uploads of several are quick.
const CONFIGURATION: &str = "[engine]\npart_size_bytes_min = 1024\n";

/// The keys of one client in each bucket.
type Own = [Keys; 2];

/// A client with its keys.
struct Client {
    s3: S3,
    random: StdRng,
    own: Arc<Mutex<Own>>,
    acknowledged: u64,
}

impl Client {
    /// Changes keys until the connection breaks; returns how many changes were acknowledged.
    async fn write(mut self) -> u64 {
        loop {
            let at = self.random.random_range(0..BUCKETS.len());
            let key = {
                let own = self.own.lock().unwrap();
                let names: Vec<&String> = own[at].keys().collect();
                names[self.random.random_range(0..names.len())].clone()
            };
            if self.change(at, &key).await.is_err() {
                return self.acknowledged;
            }
        }
    }

    async fn change(&mut self, at: usize, key: &str) -> reqwest::Result<()> {
        let (bucket, keeps_versions) = BUCKETS[at];
        let old = self.own.lock().unwrap()[at][key].clone();
        let copied = self.own.lock().unwrap()[at].iter().find_map(|(name, other)| {
            let source = (name != key).then(|| other.current().cloned()).flatten()?;
            Some((name.clone(), source))
        });
        let versions: Vec<String> = old.history.iter().filter_map(|version| version.id.clone()).collect();
        let removes = keeps_versions && (versions.len() > VERSIONS_MAX || self.random.random_bool(0.15));
        match self.random.random_range(0..10) {
            _ if removes && !versions.is_empty() => {
                let id = versions[self.random.random_range(0..versions.len())].clone();
                self.begin(at, key, Change::Remove(id.clone()));
                let path = format!("{bucket}/{key}");
                let answer = self.s3.send(Method::DELETE, &path, &format!("versionId={id}"), Vec::new()).await?;
                self.acknowledge(at, key, &answer);
            }
            0 | 1 => {
                self.begin(at, key, Change::Delete);
                let answer = self.s3.delete(bucket, key).await?;
                self.acknowledge(at, key, &answer);
            }
            2 if copied.is_some() => {
                let (from, content) = copied.unwrap();
                self.begin(at, key, Change::Put(content));
                let answer = self.s3.copy(bucket, &from, key).await?;
                self.acknowledge(at, key, &answer);
            }
            3 => {
                let content = Content { parts: vec![self.piece(2_000), self.piece(30_000)], is_multipart: true };
                let (first, second) = (content.part(0), content.part(1));
                self.begin(at, key, Change::Put(content));
                let answer = self.s3.put_parts(bucket, key, &[&first, &second]).await?;
                self.acknowledge(at, key, &answer.expect("every step of an upload is taken"));
            }
            _ => {
                let size = [0, 100, 3_000, 16_385, 40_000, 200_000][self.random.random_range(0..6)];
                let content = Content { parts: vec![self.piece(size)], is_multipart: false };
                let body = content.bytes();
                self.begin(at, key, Change::Put(content));
                let answer = self.s3.put(bucket, key, body).await?;
                self.acknowledge(at, key, &answer);
            }
        }
        Ok(())
    }

    fn piece(&mut self, size: usize) -> (usize, u64) {
        (size, self.random.random_range(0..1 << 40))
    }

    fn with_key(&self, at: usize, key: &str, change: impl FnOnce(&mut Key)) {
        change(self.own.lock().unwrap()[at].get_mut(key).expect("a key of its own"));
    }

    fn begin(&self, at: usize, key: &str, change: Change) {
        self.with_key(at, key, |key| {
            key.pending = Some(change);
            key.is_touched = true;
        });
    }

    fn acknowledge(&mut self, at: usize, key: &str, answer: &S3Answer) {
        let text = String::from_utf8_lossy(&answer.body);
        assert!(answer.status.is_success(), "{key}: {} {text}", answer.status);
        self.with_key(at, key, |key| {
            let change = key.pending.take().expect("a change is under way");
            key.history = key.after(&change, answer.version_id.as_deref(), BUCKETS[at].1);
        });
        self.acknowledged += 1;
    }
}

/// What a bucket lists, by key. Objects and markers of a key come newest first.
async fn listed(s3: &S3, bucket: &str) -> std::collections::BTreeMap<String, Listed> {
    let page = s3.send(Method::GET, bucket, "max-keys=1000&versions=", Vec::new()).await.unwrap().ok();
    assert_eq!(page.element("IsTruncated").as_deref(), Some("false"), "the test keeps few versions");
    let mut keys = std::collections::BTreeMap::<String, Listed>::new();
    for (kind, is_marker) in [("Version", false), ("DeleteMarker", true)] {
        for block in page.elements(kind) {
            let text = |name: &str| {
                let (open, close) = (format!("<{name}>"), format!("</{name}>"));
                let found = block.split_once(&open).and_then(|(_, rest)| rest.split_once(&close));
                found.map(|(text, _)| text.replace("&quot;", "").replace('"', "")).unwrap_or_default()
            };
            let entry = keys.entry(text("Key")).or_default();
            if is_marker {
                entry.markers.push(text("VersionId"));
                entry.is_deleted |= text("IsLatest") == "true";
            } else {
                entry.objects.push((text("VersionId"), text("ETag")));
            }
        }
    }
    keys
}

/// Compares the store with what was acknowledged, and settles what was under way.
async fn check(s3: &S3, own: &Mutex<Own>, whole: bool) -> Result<(), String> {
    for (at, (bucket, keeps_versions)) in BUCKETS.into_iter().enumerate() {
        let mut keys = own.lock().unwrap()[at].clone();
        let there = listed(s3, bucket).await;
        for (name, key) in &mut keys {
            let found = there.get(name).cloned().unwrap_or_default();
            key.settle(&found, keeps_versions).map_err(|why| format!("{bucket}/{name}:\n{why}"))?;
            if whole || std::mem::take(&mut key.is_touched) {
                read(s3, bucket, name, key, keeps_versions).await?;
            }
        }
        own.lock().unwrap()[at] = keys;
    }
    Ok(())
}

/// Reads every version of a key, and what is current.
async fn read(s3: &S3, bucket: &str, name: &str, key: &Key, keeps_versions: bool) -> Result<(), String> {
    let path = format!("{bucket}/{name}");
    let current = s3.get(bucket, name).await.map_err(|error| error.to_string())?;
    let expected = key.current().map(Content::bytes);
    let found = current.status.is_success().then_some(current.body);
    if found != expected {
        return Err(format!("{path}: {} is not what is current of {:?}", current.status, key.history));
    }
    for version in key.history.iter().filter(|_| keeps_versions) {
        let (Some(id), Some(content)) = (&version.id, &version.content) else { continue };
        let answer = s3.send(Method::GET, &path, &format!("versionId={id}"), Vec::new()).await;
        let answer = answer.map_err(|error| error.to_string())?;
        if !answer.status.is_success() || answer.body != content.bytes() {
            return Err(format!("{path}, version {id}: {} is not {content:?}", answer.status));
        }
    }
    Ok(())
}

async fn prepared(database: Option<&str>) -> (Server, Tenant) {
    let metadata = database.map_or_else(String::new, |url| format!("[data]\npostgres_url = \"{url}\"\n"));
    let server = Server::with_config(&format!("{CONFIGURATION}{metadata}")).await;
    let tenant = server.tenant("acme", "ada").await;
    let s3 = server.s3(&tenant);
    for (bucket, keeps_versions) in BUCKETS {
        s3.create_bucket(bucket).await;
        if keeps_versions {
            let enabled = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>".to_vec();
            let _ = s3.send(Method::PUT, bucket, "versioning=", enabled).await.unwrap().ok();
        }
    }
    (server, tenant)
}

fn keys_of(client: u64) -> Own {
    let keys = || (0..KEYS_OF_CLIENT).map(|key| (format!("{client}/{key}"), Key::default())).collect();
    [keys(), keys()]
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_however_often_it_is_killed() {
    kill_again_and_again(KILLS, None).await;
}

/// The database lives on, and gives up whatever transaction the process was in.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_with_postgresql_beneath() {
    kill_again_and_again(KILLS_ON_POSTGRES, Some(&new_postgres())).await;
}

/// Kills so often when nobody says how often.
async fn kill_again_and_again(kills: u64, database: Option<&str>) {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let kills = number("CLOUDHOLD_KILLS").unwrap_or(kills);
    let seed = number("CLOUDHOLD_KILLS_SEED").unwrap_or_else(rand::random);
    println!("CLOUDHOLD_KILLS_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let (mut server, tenant) = prepared(database).await;
    let snapshot = snapshot(&mut server, database).await;
    let own: Vec<Arc<Mutex<Own>>> = (0..CLIENTS).map(|client| Arc::new(Mutex::new(keys_of(client)))).collect();
    let (mut acknowledged, mut starting) = (0, Duration::ZERO);
    for kill in 0..kills {
        let s3 = server.s3(&tenant);
        let clients = own.iter().map(|own| {
            let random = StdRng::seed_from_u64(random.random());
            tokio::spawn(Client { s3: s3.clone(), random, own: own.clone(), acknowledged: 0 }.write())
        });
        let clients: Vec<_> = clients.collect();
        tokio::time::sleep(WRITING_MAX.mul_f64(random.random::<f64>())).await;
        server.kill().await;
        for client in join_all(clients).await {
            acknowledged += client.unwrap();
        }
        while random.random_bool(0.25) {
            server.restart_and_kill(starting.mul_f64(random.random::<f64>())).await;
        }
        let started = Instant::now();
        server.restart().await;
        starting = started.elapsed();
        let s3 = server.s3(&tenant);
        let whole = kill % WHOLE_EVERY == WHOLE_EVERY - 1 || kill + 1 == kills;
        for outcome in join_all(own.iter().map(|own| check(&s3, own, whole))).await {
            outcome.unwrap_or_else(|why| panic!("after kill {kill} of seed {seed}: {why}"));
        }
        if kill % CLEAN_EVERY == CLEAN_EVERY - 1 || kill + 1 == kills {
            server.stop().await;
            nothing_is_left(&server, database).await;
            server.restart().await;
        }
    }
    assert!(acknowledged > kills, "only {acknowledged} changes were acknowledged: the test shows nothing");
    println!("{acknowledged} changes acknowledged, {kills} kills");
    let own: Vec<Own> = own.iter().map(|own| own.lock().unwrap().clone()).collect();
    what_is_lost_is_named(&mut server, database, &snapshot, &own).await;
}

/// Takes a snapshot of the store while nothing is in it.
async fn snapshot(server: &mut Server, database: Option<&str>) -> PathBuf {
    server.stop().await;
    let (engine, _) = open(server, database).await;
    let taken = engine.take_snapshot(&Caller::LocalOperator).await.unwrap();
    engine.close().await;
    server.restart().await;
    taken.path
}

/// When the database is lost, a rebuild names just what is there that came since the snapshot, after however many kills. With PostgreSQL it
/// may not know of what was made or removed without an answer.
async fn what_is_lost_is_named(server: &mut Server, database: Option<&str>, snapshot: &Path, own: &[Own]) {
    server.stop().await;
    for file in ["metadata.sqlite", "metadata.sqlite-wal", "metadata.sqlite-shm"] {
        let _ = std::fs::remove_file(server.data_dir().join(file));
    }
    let config = config(server);
    let words = ["rebuild-index", "--json", "--snapshot", snapshot.to_str().unwrap(), "--config", &config, "--force"];
    let words = if database.is_some() { &words[..] } else { &words[..words.len() - 1] };
    let report: Value = serde_json::from_str(&server.command(words).await.ok()).unwrap();
    let list = std::fs::read_to_string(report["unrestored"]["file"].as_str().unwrap()).unwrap();
    let mut named: Vec<[String; 4]> = list
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|line| {
            ["object_lost", "marker_lost", "returned", "bytes_lost"].contains(&line["what"].as_str().unwrap())
        })
        .map(|line| ["what", "bucket", "key", "version"].map(|name| line[name].as_str().unwrap().to_owned()))
        .collect();
    let mut acknowledged = Vec::new();
    for keys in own {
        for ((bucket, _), keys) in BUCKETS.iter().zip(keys) {
            for (key, version) in keys.iter().flat_map(|(key, has)| has.history.iter().map(move |one| (key, one))) {
                let what = if version.content.is_some() { "object_lost" } else { "marker_lost" };
                let id = version.id.clone().expect("the last check has seen all");
                acknowledged.push([what.to_owned(), (*bucket).to_owned(), key.clone(), id]);
            }
        }
    }
    if database.is_some() {
        let is_unanswered = |[_, bucket, key, version]: &[String; 4]| {
            let at = BUCKETS.iter().position(|(name, _)| name == bucket).expect("a bucket of the test");
            own.iter().filter_map(|keys| keys[at].get(key)).any(|key| key.unanswered.contains(version))
        };
        named.retain(|one| !is_unanswered(one));
        acknowledged.retain(|one| !is_unanswered(one));
    }
    named.sort();
    acknowledged.sort();
    assert!(acknowledged.len() > 20, "the test shows nothing");
    assert_eq!(named, acknowledged, "{list}");
    assert_eq!(report["unrestored"]["told"]["gaps"], serde_json::json!([]), "{report}");
}

fn config(server: &Server) -> String {
    server.data_dir().parent().unwrap().join("cloudhold.toml").to_str().unwrap().to_owned()
}

/// Opens the store of a server that is stopped.
async fn open(server: &Server, database: Option<&str>) -> (Engine, ClockHand) {
    let (clock, hand) = Clock::movable();
    let connections_max = 4;
    let database = database.map_or(Database::Embedded, |url| {
        Database::Postgres(PostgresSettings { url: url.to_owned().into(), connections_max })
    });
    let settings = Settings { clock, database, ..Settings::new(server.data_dir()) };
    (Engine::open(settings).await.unwrap(), hand)
}

/// After all background work, the store has exactly the blobs and rows that belong together.
async fn nothing_is_left(server: &Server, database: Option<&str>) {
    let (engine, hand) = open(server, database).await;
    hand.advance(Duration::from_secs(120));
    engine.run_workers().await.unwrap();
    engine.close().await;
    let said = server.command(&["fsck", "--config", &config(server)]).await.ok();
    assert!(said.contains("everything agrees"), "{said}");
}
