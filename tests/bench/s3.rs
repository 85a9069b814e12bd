//! The load on an S3 endpoint: small objects at several numbers of clients, then large ones.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::{Args, ValueEnum as _};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use secrecy::SecretString;

use crate::Place;
use crate::cloudhold::Cloudhold;
use crate::connection::{Connection, Endpoint, Payload};
use crate::drive::{Limit, Worker};
use crate::measure::{Name, Watch};
use crate::report::{self, Report};
use crate::sign::Signer;

/// What is asked of the endpoint.
#[derive(Clone, Debug, Args)]
pub(crate) struct Arguments {
    /// The endpoint; a store of our own is started when none is named
    #[arg(long, requires = "access_key", requires = "secret_key")]
    endpoint: Option<String>,
    /// Measure the TLS door of our own store instead of the plain one
    #[arg(long, conflicts_with = "endpoint")]
    tls: bool,
    /// Certificates to trust at an https endpoint
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    #[arg(long)]
    access_key: Option<String>,
    #[arg(long, env = "BENCH_SECRET_KEY", hide_env_values = true)]
    secret_key: Option<SecretString>,
    #[arg(long, default_value = "us-east-1")]
    region: String,
    #[arg(long, default_value = "bench")]
    bucket: String,
    /// The bucket is there already
    #[arg(long)]
    keep_bucket: bool,
    /// The endpoint's process, when it runs on this machine
    #[arg(long)]
    pid: Option<u32>,
    /// How many clients work at once, one number a phase
    #[arg(long, value_delimiter = ',', default_value = "1,16,64")]
    clients: Vec<usize>,
    /// How long each phase with small objects lasts
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    #[arg(long, default_value_t = 4096)]
    size_bytes: u64,
    /// How the small PUTs prove their bodies, one way a phase
    #[arg(long, value_delimiter = ',', default_value = "unsigned,signed")]
    payload: Vec<Payload>,
    #[arg(long, default_value_t = 256)]
    large_size_mib: u64,
    /// How many large objects are written and read, one after the other; 0 leaves them out
    #[arg(long, default_value_t = 4)]
    large_count: u64,
    /// How the large PUTs prove their bodies
    #[arg(long, value_delimiter = ',', default_value = "unsigned,chunked")]
    large_payload: Vec<Payload>,
}

/// Measures the endpoint that is named, or a store of our own.
pub(crate) async fn run(arguments: &Arguments, place: &Place, report: &mut Report) -> anyhow::Result<()> {
    ensure!(arguments.clients.iter().all(|clients| *clients > 0), "a phase needs at least one client");
    if let Some(url) = &arguments.endpoint {
        let secret_key = arguments.secret_key.clone().context("--secret-key is missing")?;
        let access_key = arguments.access_key.clone().context("--access-key is missing")?;
        let signer = Signer::new(access_key, secret_key, arguments.region.clone());
        let endpoint = Endpoint::new(url, arguments.ca_file.as_deref(), signer, arguments.bucket.clone())?;
        let watch = Watch { store_pid: arguments.pid, metrics_url: None };
        return Load::new(arguments, endpoint, watch).run(report).await;
    }
    let store = Cloudhold::start(&place.binary, &place.directory, "").await?;
    let key = store.new_key().await?;
    let signer = Signer::new(key.access_key, key.secret_key, arguments.region.clone());
    let url = if arguments.tls { &store.doors.s3_tls } else { &store.doors.s3 };
    let endpoint = Endpoint::new(url, Some(&store.doors.ca_file), signer, arguments.bucket.clone())?;
    let watch = Watch { store_pid: Some(store.pid), metrics_url: Some(store.doors.metrics.clone()) };
    report.store_rss_idle_bytes = watch.look().await?.store.map(|usage| usage.rss_bytes);
    Load::new(arguments, endpoint, watch).run(report).await?;
    store.stop().await
}

struct Load<'a> {
    arguments: &'a Arguments,
    endpoint: Arc<Endpoint>,
    watch: Watch,
    /// The number of the next object.
    next: Arc<AtomicU64>,
}

impl<'a> Load<'a> {
    fn new(arguments: &'a Arguments, endpoint: Endpoint, watch: Watch) -> Self {
        Self { arguments, endpoint: Arc::new(endpoint), watch, next: Arc::default() }
    }

    async fn run(&self, report: &mut Report) -> anyhow::Result<()> {
        if !self.arguments.keep_bucket {
            Connection::new(self.endpoint.clone()).make_bucket().await?;
        }
        println!("{}", report::head());
        let time = Limit::Time(Duration::from_secs(self.arguments.seconds));
        for &clients in &self.arguments.clients {
            let mut written = Vec::new();
            for &payload in &self.arguments.payload {
                written.extend(self.put(clients, self.arguments.size_bytes, payload, time, report).await?);
            }
            self.get(clients, self.arguments.size_bytes, written, time, report).await?;
        }
        if self.arguments.large_count > 0 {
            let size_bytes = self.arguments.large_size_mib << 20;
            let count = Limit::Operations(self.arguments.large_count);
            let mut written = Vec::new();
            for &payload in &self.arguments.large_payload {
                written.extend(self.put(1, size_bytes, payload, count, report).await?);
            }
            self.get(1, size_bytes, written, count, report).await?;
        }
        Ok(())
    }

    /// A phase of PUTs. Answers which objects are there now.
    async fn put(
        &self,
        clients: usize,
        size_bytes: u64,
        payload: Payload,
        limit: Limit,
        report: &mut Report,
    ) -> anyhow::Result<Vec<u64>> {
        let worker = |_| Put {
            connection: Connection::new(self.endpoint.clone()),
            next: self.next.clone(),
            size_bytes,
            payload,
            written: Vec::new(),
        };
        let word = payload.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        let name = Name { level: "s3", operation: "PUT", payload: &word, size_bytes };
        let workers = self.watch.phase(name, (0..clients).map(worker).collect(), limit, report).await?;
        Ok(workers.into_iter().flat_map(|worker| worker.written).collect())
    }

    /// A phase of GETs of objects picked at random.
    async fn get(
        &self,
        clients: usize,
        size_bytes: u64,
        written: Vec<u64>,
        limit: Limit,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        ensure!(
            !written.is_empty(),
            "there is nothing to be read: {:?}",
            report.phases.last().map(|phase| &phase.error_texts)
        );
        let written: Arc<[u64]> = written.into();
        let worker = |seed| Get {
            connection: Connection::new(self.endpoint.clone()),
            written: written.clone(),
            random: StdRng::seed_from_u64(seed),
            size_bytes,
        };
        let name = Name { level: "s3", operation: "GET", payload: "", size_bytes };
        self.watch.phase(name, (0..clients as u64).map(worker).collect(), limit, report).await?;
        Ok(())
    }
}

struct Put {
    connection: Connection,
    next: Arc<AtomicU64>,
    size_bytes: u64,
    payload: Payload,
    written: Vec<u64>,
}

impl Worker for Put {
    async fn step(&mut self) -> anyhow::Result<u64> {
        let object = self.next.fetch_add(1, Ordering::Relaxed);
        let bytes = self.connection.put(object, self.size_bytes, self.payload).await?;
        self.written.push(object);
        Ok(bytes)
    }
}

struct Get {
    connection: Connection,
    written: Arc<[u64]>,
    random: StdRng,
    size_bytes: u64,
}

impl Worker for Get {
    async fn step(&mut self) -> anyhow::Result<u64> {
        let object = self.written[self.random.random_range(0..self.written.len())];
        self.connection.get(object, self.size_bytes).await
    }
}
