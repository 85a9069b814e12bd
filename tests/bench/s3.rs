//! The load on an S3 endpoint that the command line describes: each operation at each size and number of clients.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::Args;
use secrecy::SecretString;

use crate::Place;
use crate::body::Payload;
use crate::client::Client;
use crate::cloudhold::Cloudhold;
use crate::content::BLOCK_BYTES;
use crate::drive::Limit;
use crate::endpoint::Endpoint;
use crate::load::{Load, Operation, Shape};
use crate::measure::Watch;
use crate::report::{self, Report};
use crate::sign::Signer;
use crate::sizes;

/// What is asked of the endpoint.
#[derive(Clone, Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    target: TargetArguments,
    #[command(flatten)]
    pub(crate) phases: PhaseArguments,
}

/// Which endpoint.
#[derive(Clone, Debug, Args)]
struct TargetArguments {
    /// The endpoint; a store of our own is started when none is named
    #[arg(long, env = "BENCH_ENDPOINT", requires = "access_key", requires = "secret_key")]
    endpoint: Option<String>,
    /// Measure the TLS door of our own store instead of the plain one
    #[arg(long, conflicts_with = "endpoint")]
    tls: bool,
    /// Configuration of our own store, as in cloudhold.toml
    #[arg(long, conflicts_with = "endpoint", default_value = "", hide_default_value = true, value_name = "TOML")]
    configuration: String,
    /// Certificates to trust at an https endpoint
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    #[arg(long, env = "BENCH_ACCESS_KEY")]
    access_key: Option<String>,
    #[arg(long, env = "BENCH_SECRET_KEY", hide_env_values = true)]
    secret_key: Option<SecretString>,
    #[arg(long, env = "BENCH_REGION", default_value = "us-east-1")]
    region: String,
    #[arg(long, default_value = "bench")]
    bucket: String,
    /// The bucket is there already
    #[arg(long)]
    keep_bucket: bool,
    /// The number of the first object; a second run on the same bucket needs another one
    #[arg(long, default_value_t = 0)]
    first_object: u64,
    /// The endpoint's processes, when they run on this machine
    #[arg(long, value_delimiter = ',')]
    pid: Vec<u32>,
}

/// Which phases.
#[derive(Clone, Debug, Args)]
pub(crate) struct PhaseArguments {
    /// What the clients do, one after the other
    #[arg(long, value_delimiter = ',', default_value = "put,get")]
    operations: Vec<Operation>,
    /// How many clients work at once, one number a phase
    #[arg(long, value_delimiter = ',', default_value = "1,16,64")]
    clients: Vec<usize>,
    /// How large the objects are, one size a phase
    #[arg(long, value_delimiter = ',', default_value = "4KiB", value_parser = sizes::parse)]
    sizes: Vec<u64>,
    /// How PUTs prove their bodies, one way a phase. A signed body above 1 MiB is hashed before the phase when --count is given, and else
    /// as part of its PUT
    #[arg(long, value_delimiter = ',', default_value = "unsigned")]
    payload: Vec<Payload>,
    /// Larger objects are written in parts of this size, a multiple of 1 MiB
    #[arg(long, value_parser = sizes::parse)]
    part_size: Option<u64>,
    /// How long each phase lasts
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// How many operations each phase has, whatever the time
    #[arg(long, conflicts_with = "seconds")]
    count: Option<u64>,
    /// How long the clients of a phase work before anything is counted
    #[arg(long, default_value_t = 1.0)]
    warm_up_seconds: f64,
    /// Objects that are there before a phase which reads or deletes: 1,000, or 4 above 16 MiB, when nothing is said
    #[arg(long)]
    objects: Option<u64>,
}

impl PhaseArguments {
    /// All phases in their order: sizes, then clients, then operations.
    ///
    /// # Errors
    /// When parts are not of whole blocks.
    pub(crate) fn shapes(&self) -> anyhow::Result<Vec<Shape>> {
        let whole = |part_bytes: u64| part_bytes > 0 && part_bytes.is_multiple_of(BLOCK_BYTES as u64);
        ensure!(self.part_size.is_none_or(whole), "--part-size must be a multiple of 1 MiB");
        let limit = self.count.map_or(Limit::Time(Duration::from_secs(self.seconds)), Limit::Operations);
        let warm_up = if self.count.is_some() { 0.0 } else { self.warm_up_seconds };
        let warm_up = Duration::try_from_secs_f64(warm_up)?;
        let mut shapes = Vec::new();
        for &size_bytes in &self.sizes {
            let objects_min = self.objects.unwrap_or(if size_bytes > 16 << 20 { 4 } else { 1000 });
            for &clients in &self.clients {
                for &operation in &self.operations {
                    let payloads =
                        if operation == Operation::Put { self.payload.as_slice() } else { &self.payload[..1] };
                    shapes.extend(payloads.iter().map(|&payload| Shape {
                        operation,
                        size_bytes,
                        clients,
                        payload,
                        part_bytes: self.part_size,
                        limit,
                        warm_up,
                        objects_min,
                    }));
                }
            }
        }
        Ok(shapes)
    }
}

/// Measures the endpoint that is named, or a store of our own.
///
/// # Errors
/// When there is no endpoint to work with.
pub(crate) async fn run(arguments: &Arguments, place: &Place, report: &mut Report) -> anyhow::Result<()> {
    let (target, shapes) = (&arguments.target, arguments.phases.shapes()?);
    println!("{}", report::head());
    if let Some(url) = &target.endpoint {
        let secret_key = target.secret_key.clone().context("--secret-key is missing")?;
        let access_key = target.access_key.clone().context("--access-key is missing")?;
        let signer = Signer::new(access_key, secret_key, target.region.clone());
        let endpoint = Endpoint::new(url, target.ca_file.as_deref(), signer, target.bucket.clone())?;
        let watch = Watch { store_pids: target.pid.clone(), metrics_url: None };
        let mut load = Load::new("s3", Arc::new(endpoint), watch, target.first_object);
        return phases(&mut load, &shapes, target.keep_bucket, report).await;
    }
    let store = Cloudhold::start(&place.binary, &place.directory, &target.configuration).await?;
    let mut load = own_load(&store, target.tls).await?;
    report.store_rss_idle_bytes = load.watch.look().await?.store.map(|usage| usage.rss_bytes);
    phases(&mut load, &shapes, false, report).await?;
    store.stop().await
}

/// A load on a store of our own.
///
/// # Errors
/// When the store gives no key.
pub(crate) async fn own_load(store: &Cloudhold, tls: bool) -> anyhow::Result<Load> {
    let key = store.new_key().await?;
    let signer = Signer::new(key.access_key, key.secret_key, "us-east-1".to_owned());
    let url = if tls { &store.doors.s3_tls } else { &store.doors.s3 };
    let endpoint = Endpoint::new(url, Some(&store.doors.ca_file), signer, "bench".to_owned())?;
    Ok(Load::new("s3", Arc::new(endpoint), store.watch(), 0))
}

/// Runs phases one after the other.
///
/// # Errors
/// When the endpoint cannot be worked with at all.
pub(crate) async fn phases(
    load: &mut Load,
    shapes: &[Shape],
    keep_bucket: bool,
    report: &mut Report,
) -> anyhow::Result<()> {
    if !keep_bucket {
        Client::new(load.endpoint.clone()).make_bucket().await?;
    }
    for shape in shapes {
        load.phase(shape, report).await?;
    }
    Ok(())
}
