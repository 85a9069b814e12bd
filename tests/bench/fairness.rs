//! Whether one large upload starves small writes: small PUTs alone, and beside the upload.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::ensure;
use clap::Args;
use tokio::sync::watch;

use crate::Place;
use crate::body::Payload;
use crate::client::Client;
use crate::cloudhold::Cloudhold;
use crate::content::Piece;
use crate::drive::Limit;
use crate::endpoint::Endpoint;
use crate::load::{Operation, Shape};
use crate::report::{self, Goal, Report};
use crate::s3::own_load;
use crate::sizes;

/// The number of the object that is uploaded; no small one has it.
const LARGE: u64 = 999_999_999;

/// How large, and beside how many.
#[derive(Clone, Debug, Args)]
pub(crate) struct Arguments {
    /// Size of the upload. It is given up when the small PUTs are over: with 50 GiB it always lasts longer, and needs only the disk that
    /// it fills meanwhile
    #[arg(long, default_value = "50GiB", value_parser = sizes::parse)]
    upload: u64,
    /// Size of its parts, a multiple of 1 MiB
    #[arg(long, default_value = "256MiB", value_parser = sizes::parse)]
    part_size: u64,
    /// How many such uploads run at once
    #[arg(long, default_value_t = 1)]
    uploads: u64,
    /// Clients that write small objects
    #[arg(long, default_value_t = 8)]
    clients: usize,
    #[arg(long, default_value = "4KiB", value_parser = sizes::parse)]
    size: u64,
    /// How long each phase lasts
    #[arg(long, default_value_t = 15)]
    seconds: u64,
}

/// Measures small PUTs alone, beside the upload, and alone again.
///
/// # Errors
/// When the upload fails, or ends too early to tell anything.
pub(crate) async fn run(arguments: &Arguments, place: &Place, report: &mut Report) -> anyhow::Result<()> {
    let store = Cloudhold::start(&place.binary, &place.directory, "").await?;
    let mut load = own_load(&store, false).await?;
    Client::new(load.endpoint.clone()).make_bucket().await?;
    let shape = Shape {
        operation: Operation::Put,
        size_bytes: arguments.size,
        clients: arguments.clients,
        payload: Payload::Signed,
        part_bytes: None,
        limit: Limit::Time(Duration::from_secs(arguments.seconds)),
        warm_up: Duration::from_secs(1),
        objects_min: 0,
    };
    println!("{}", report::head());
    let before = load.phase(&shape, report).await?;
    let (stop, stopped) = watch::channel(false);
    let sent = Arc::new(AtomicU64::new(0));
    let uploads: Vec<_> = (0..arguments.uploads)
        .map(|at| upload(arguments.clone(), LARGE - at, load.endpoint.clone(), sent.clone(), stopped.clone()))
        .map(tokio::spawn)
        .collect();
    load.level = "s3 beside upload".to_owned();
    let beside = load.phase(&shape, report).await?;
    let sent_bytes = sent.load(Ordering::Relaxed);
    let too_early = uploads.iter().any(tokio::task::JoinHandle::is_finished);
    stop.send_replace(true);
    for upload in uploads {
        upload.await??;
    }
    ensure!(!too_early, "the upload ended before the small PUTs did: give a larger --upload");
    load.level = "s3".to_owned();
    let after = load.phase(&shape, report).await?;
    let idle_p99_us = before.latency.p99_us.min(after.latency.p99_us);
    let rate = sent_bytes as f64 / f64::from(1 << 20) / (arguments.seconds + 1) as f64;
    report.figure("upload beside small PUTs", rate, "MiB/s", None);
    let ratio = beside.latency.p99_us / idle_p99_us;
    report.figure("p99 of small PUTs beside an upload, to idle", ratio, "times", Some(Goal::AtMost(3.0)));
    let slower = beside.operations_per_s / before.operations_per_s.max(after.operations_per_s);
    report.figure("rate of small PUTs beside an upload, to idle", slower, "times", None);
    store.stop().await
}

/// Uploads part after part until it is told to stop, then gives the upload up.
async fn upload(
    arguments: Arguments,
    object: u64,
    endpoint: Arc<Endpoint>,
    sent: Arc<AtomicU64>,
    mut stopped: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let mut client = Client::new(endpoint.clone());
    let id = client.begin_upload(object).await?;
    for (index, part) in Piece::parts(object, arguments.upload, arguments.part_size).enumerate() {
        tokio::select! {
            done = client.put_part(&id, index + 1, part, Payload::Unsigned) => drop(done?),
            _ = stopped.wait_for(|stopped| *stopped) => break,
        }
        sent.fetch_add(part.size_bytes, Ordering::Relaxed);
    }
    // The part that was under way holds the other connection.
    Client::new(endpoint).abort_upload(object, &id).await
}
