//! A store under malformed requests: what is prepared for them, how they are sent, and what is looked at between them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::ops::Range;

use engine::IamAction;
use futures::StreamExt as _;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use s3_store::OPERATIONS;
use tests::{Server, Tenant, content};

use super::case::{Case, Door, World, valid};
use super::chunks::Plan;
use super::forms::{self, Part};
use super::oracle::{code_of, judge};
use super::request::Request;
use super::sign::{Payload, Scheme, Stamp, UNKNOWN_TO_V2};
use super::wire::{Answer, Ending, Heard, Step, exchange};
use super::{identities, visits};

/// Connections at once.
const CONNECTIONS: usize = 32;
/// Cases that share a bucket: what one of them sets there is in the way of the others only so long.
const CASES_OF_BUCKET: u64 = 200;
/// The bucket that is a website, and the one that must not change with what is in it: sizes in bytes by key.
const KEPT: &str = "kept";
const SHOWN: &str = "shown";
const KEPT_OBJECTS: [(&str, usize); 4] =
    [("key", 5), ("folder/empty", 0), ("folder/packed", 20_000), ("folder/file", 400_000)];
/// Short limits, so that who waits for the rest of a request does not wait for long; small parts, so that uploads complete.
const CONFIGURATION: &str = "[doors]\nheader_timeout_s = 2\nidle_timeout_s = 2\nrate_grace_s = 2\n\
    [engine]\npart_size_bytes_min = 1024\nbuckets_per_user_max = 100000\n[s3]\nwebsite_domains = [\"site.lan\"]\n";
/// Bytes of a request that a failure shows; `CLOUDHOLD_MALFORMED_CASE` shows all.
const SHOWN_BYTES_MAX: usize = 8 << 10;

/// How many answers there were, by status and code.
pub(super) type Told = BTreeMap<String, u64>;

fn name_of(bucket: u64) -> String {
    format!("play-{bucket}")
}

/// A run against one store.
pub(super) struct Run {
    server: Server,
    s3: SocketAddr,
    iam: SocketAddr,
    world: World,
    seed: u64,
    /// Whether all is shown.
    is_single: bool,
    log_read_bytes: u64,
    pub(super) told: Told,
    pub(super) failures: Vec<String>,
}

impl Run {
    pub(super) async fn prepared(seed: u64, is_single: bool) -> Self {
        let server = Server::with_config(CONFIGURATION).await;
        let (player, keeper) = (server.tenant("acme", "ada").await, server.tenant("other", "bob").await);
        let host = |url: &str| url.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let (s3_host, iam_host) = (host(&server.doors().s3), host(&server.doors().iam));
        let (s3, iam) = (s3_host.parse().unwrap(), iam_host.parse().unwrap());
        let (bucket, upload, account) = (String::new(), String::new(), String::new());
        let (shown, kept) = (SHOWN.to_owned(), KEPT.to_owned());
        let world = World { s3_host, iam_host, player, account, keeper, bucket, upload, shown, kept };
        let mut run = Self {
            server,
            s3,
            iam,
            world,
            seed,
            is_single,
            log_read_bytes: 0,
            told: Told::new(),
            failures: Vec::new(),
        };
        run.world.account = run.account().await;
        run.with_website().await;
        let keeper = &run.world.keeper;
        run.good(keeper, Request::new("PUT", &format!("/{KEPT}"))).await;
        for (key, size) in KEPT_OBJECTS {
            run.good(keeper, Request::new("PUT", &format!("/{KEPT}/{key}")).body(content(size, size as u64))).await;
        }
        run
    }

    pub(super) fn memory_bytes(&self) -> u64 {
        self.server.memory_bytes()
    }

    fn addr(&self, door: Door) -> SocketAddr {
        match door {
            Door::S3 => self.s3,
            Door::Iam => self.iam,
        }
    }

    async fn ask(&self, tenant: &Tenant, request: Request, scheme: &Scheme) -> Answer {
        self.ask_at((Door::S3, "s3"), tenant, request, scheme).await
    }

    async fn ask_at(&self, of: (Door, &str), tenant: &Tenant, request: Request, scheme: &Scheme) -> Answer {
        let is_head = request.method == b"HEAD";
        let (head, body) = self.world.signed(request, of, tenant, scheme);
        let heard = exchange(self.addr(of.0), &[Step::Send([head, body].concat())], Ending::Asks, &[is_head]).await;
        heard.unwrap().answers.into_iter().next().expect("a good request is answered")
    }

    async fn good(&self, tenant: &Tenant, request: Request) -> Answer {
        let answer = self.ask(tenant, request.clone(), &Scheme::V4(Payload::Hash)).await;
        assert!(answer.status < 300, "{request:?}: {} {}", answer.status, String::from_utf8_lossy(&answer.body));
        answer
    }

    /// Makes a bucket for some cases, with an object and an upload; every other one keeps locks and so versions.
    async fn with_bucket(&mut self, number: u64) {
        let bucket = name_of(number);
        let player = self.world.player.clone();
        let lock = (number % 2).to_string().replace('0', "false").replace('1', "true");
        let request = Request::new("PUT", &format!("/{bucket}")).header("x-amz-bucket-object-lock-enabled", lock);
        self.good(&player, request).await;
        self.good(&player, Request::new("PUT", &format!("/{bucket}/key")).body("an object")).await;
        let began = self.good(&player, Request::new("POST", &format!("/{bucket}/key")).query("uploads")).await;
        let text = String::from_utf8_lossy(&began.body).into_owned();
        let id = text.split_once("<UploadId>").and_then(|(_, rest)| rest.split_once("</UploadId>")).expect("an id").0;
        let part =
            Request::new("PUT", &format!("/{bucket}/key")).query(&format!("partNumber=1&uploadId={id}")).body("");
        self.good(&player, part).await;
        self.world.upload = id.to_owned();
        self.world.bucket = bucket;
    }

    /// The number of the player's account.
    async fn account(&self) -> String {
        let (request, service) = identities::good(IamAction::GetCallerIdentity, "");
        let of = (Door::Iam, service);
        let answer = self.ask_at(of, &self.world.player, request, &Scheme::V4(Payload::Hash)).await;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        text.split_once("<Account>")
            .and_then(|(_, rest)| rest.split_once("</Account>"))
            .expect("an account")
            .0
            .to_owned()
    }

    /// Makes the bucket that is a website.
    async fn with_website(&self) {
        let player = &self.world.player;
        let policy = format!(
            r#"{{"Statement":{{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::{SHOWN}/*"}}}}"#
        );
        let bucket = || Request::new("PUT", &format!("/{SHOWN}"));
        self.good(player, bucket()).await;
        self.good(player, bucket().query("website").body(visits::CONFIGURATION)).await;
        self.good(player, bucket().query("policy").body(policy)).await;
        for key in ["index.html", "folder/index.html", "error.html", "key"] {
            let page = Request::new("PUT", &format!("/{SHOWN}/{key}")).header("content-type", "text/html");
            self.good(player, page.body(format!("<p>{key}"))).await;
        }
        let moved = Request::new("PUT", &format!("/{SHOWN}/moved"));
        self.good(player, moved.header("x-amz-website-redirect-location", "/elsewhere")).await;
    }

    /// Everything that can be read of the bucket that must not change.
    pub(super) async fn kept_content(&self) -> Vec<(String, u16, String)> {
        let of_bucket =
            ["", "versions", "uploads", "acl", "policy", "tagging", "cors", "lifecycle", "versioning", "object-lock"];
        let of_bucket = of_bucket.iter().chain(&["ownershipControls", "publicAccessBlock", "encryption", "website"]);
        let mut targets: Vec<(String, &str)> = of_bucket.map(|query| (format!("/{KEPT}"), *query)).collect();
        for (key, _) in KEPT_OBJECTS {
            targets.extend(["", "acl", "tagging"].map(|query| (format!("/{KEPT}/{key}"), query)));
        }
        let mut all = Vec::new();
        for (path, query) in targets {
            let answer =
                self.ask(&self.world.keeper, Request::new("GET", &path).query(query), &Scheme::V4(Payload::Hash)).await;
            // Errors have an id of their own each.
            let text = code_of(&answer).unwrap_or_else(|| hex::encode(&answer.body));
            all.push((format!("{path}?{query}"), answer.status, text));
        }
        all
    }

    /// Sends the cases of a batch, several at once, then looks whether all is well.
    pub(super) async fn batch(&mut self, cases: Range<u64>) {
        let mut all = Vec::new();
        for number in cases.clone() {
            let bucket = number / CASES_OF_BUCKET;
            if self.world.bucket != name_of(bucket) {
                self.with_bucket(bucket).await;
            }
            all.push((number, Case::new(self.seed, number, &self.world)));
        }
        // Those that wait for the server to end the connection begin first, so that they wait beside the others.
        all.sort_by_key(|(_, case)| case.ending != Ending::Waits);
        let all = futures::stream::iter(all).map(|(number, case)| {
            let addr = self.addr(case.door);
            let sent = tokio::spawn(async move {
                let heard = exchange(addr, &case.steps, case.ending, &case.heads).await;
                (number, case, heard)
            });
            async { sent.await.unwrap() }
        });
        let mut all = all.buffer_unordered(CONNECTIONS);
        let mut ended = Vec::new();
        while let Some(each) = all.next().await {
            ended.push(each);
        }
        drop(all);
        ended.iter().for_each(|(number, case, heard)| self.note(*number, case, heard));
        self.look_after(&cases).await;
    }

    fn note(&mut self, number: u64, case: &Case, heard: &Result<Heard, String>) {
        let judged = heard.as_ref().map_err(Clone::clone).and_then(|heard| judge(case, heard));
        for answer in heard.iter().flat_map(|heard| &heard.answers) {
            let what = format!("{} {}", answer.status, code_of(answer).unwrap_or_default());
            *self.told.entry(what).or_default() += 1;
        }
        if heard.as_ref().is_ok_and(|heard| heard.answers.is_empty()) {
            *self.told.entry("no answer".to_owned()).or_default() += 1;
        }
        let bytes = case.bytes();
        if self.is_single {
            println!("{:?} {}\n{}\n{heard:?}", case.ending, case.what, bytes.escape_ascii());
        }
        if let Err(why) = judged {
            let shown = &bytes[..bytes.len().min(SHOWN_BYTES_MAX)];
            let mut text = format!("CLOUDHOLD_MALFORMED_SEED={} CLOUDHOLD_MALFORMED_CASE={number}: {why}\n", self.seed);
            let _ = writeln!(
                text,
                "    ({}; the first {} of {} bytes:) {}",
                case.what,
                shown.len(),
                bytes.len(),
                shown.escape_ascii()
            );
            self.failures.push(text);
        }
    }

    /// Whether the store is well and said nothing of a panic, and no secret.
    async fn look_after(&mut self, cases: &Range<u64>) {
        let (first, size) = KEPT_OBJECTS[0];
        let answer = self.good(&self.world.keeper, Request::new("GET", &format!("/{KEPT}/{first}"))).await;
        assert_eq!(answer.body, content(size, size as u64));
        let log = self.server.log_from(self.log_read_bytes);
        self.log_read_bytes += log.len() as u64;
        let secrets = [&self.world.player.secret_key, &self.world.keeper.secret_key];
        for line in String::from_utf8_lossy(&log).lines() {
            if line.contains("panicked") || secrets.iter().any(|secret| line.contains(secret.as_str())) {
                self.failures.push(format!("seed {}, one of the cases {cases:?}: the log says {line}", self.seed));
            }
        }
    }

    /// Every operation signed in every way is good before it is broken, and so is a form.
    pub(super) async fn as_they_are(&mut self) {
        self.with_bucket(1).await;
        for (path, status) in
            [("/", 200), ("/folder", 302), ("/key", 200), ("/old/page", 301), ("/moved", 301), ("/missing", 403)]
        {
            let visit = visits::good(SHOWN, path);
            let answer = self.ask(&self.world.player, visit, &Scheme::None).await;
            assert_eq!(answer.status, status, "{path}: {}", String::from_utf8_lossy(&answer.body));
        }
        let mut random = StdRng::seed_from_u64(0);
        for operation in OPERATIONS {
            let mut schemes = vec![
                Scheme::V4(Payload::Hash),
                Scheme::V4(Payload::Unsigned),
                Scheme::V4Link,
                Scheme::V2,
                Scheme::V2Link,
            ];
            if operation.body == "bytes" {
                schemes.extend((0..8).map(|_| Scheme::V4(Payload::Chunks(Plan::any(&mut random)))));
            }
            for scheme in schemes {
                let request = valid(operation, &self.world, &self.world.bucket);
                let answer = self.ask(&self.world.player, request, &scheme).await;
                let code = code_of(&answer).unwrap_or_default();
                // A link that does not sign what it is about is refused whole.
                let is_uncovered = matches!(scheme, Scheme::V2Link) && UNKNOWN_TO_V2.contains(&operation.query);
                let is_good = if is_uncovered {
                    answer.status == 403 && code == "AccessDenied"
                } else {
                    answer.status < 300
                        || matches!(answer.status, 404 | 409)
                        || matches!(code.as_str(), "InvalidPart" | "InvalidRequest")
                };
                assert!(
                    is_good,
                    "{} by {scheme:?}: {} {}",
                    operation.name,
                    answer.status,
                    String::from_utf8_lossy(&answer.body)
                );
            }
        }
        self.identities_as_they_are().await;
        for _ in 0..50 {
            let stamp = Stamp::new(&self.world.player, 0);
            let (request, _) = forms::request(&self.world.bucket, &stamp, Part::Nothing, &mut random);
            let answer = self.ask(&self.world.player, request, &Scheme::None).await;
            assert!(answer.status < 400, "{} {}", answer.status, String::from_utf8_lossy(&answer.body));
        }
    }

    /// Every question about identities is understood at both doors.
    async fn identities_as_they_are(&self) {
        for action in IamAction::ALL {
            for door in [Door::Iam, Door::S3] {
                let (request, service) = identities::good(*action, &self.world.account);
                let scheme = Scheme::V4(Payload::Hash);
                let answer = self.ask_at((door, service), &self.world.player, request, &scheme).await;
                let code = code_of(&answer).unwrap_or_default();
                let is_good = answer.status < 300
                    || matches!(answer.status, 404 | 409)
                    || matches!(code.as_str(), "UnmodifiableEntity" | "AccessDenied");
                assert!(is_good, "{} at {door:?}: {}", action.name(), String::from_utf8_lossy(&answer.body));
            }
        }
    }
}
