//! How long a large upload takes to become an object: a Complete of as many parts as an upload may have.

use std::sync::Arc;
use std::time::Instant;

use anyhow::ensure;
use clap::Args;
use futures::{StreamExt as _, TryStreamExt as _, stream};

use crate::Place;
use crate::body::Payload;
use crate::client::Client;
use crate::cloudhold::Cloudhold;
use crate::content::Piece;
use crate::endpoint::Endpoint;
use crate::report::{Goal, Report};
use crate::s3::own_load;
use crate::sizes;

/// Parts may be this small, so that the upload of so many is quick.
const CONFIGURATION: &str = "[engine]\npart_size_bytes_min = 1024\n";

/// How many parts, and how often.
#[derive(Clone, Debug, Args)]
pub(crate) struct Arguments {
    /// Parts of each upload
    #[arg(long, default_value_t = 10_000)]
    parts: usize,
    #[arg(long, default_value = "20000", value_parser = sizes::parse)]
    part_size: u64,
    /// Uploads, one after the other
    #[arg(long, default_value_t = 3)]
    uploads: u64,
    /// Clients that send the parts
    #[arg(long, default_value_t = 16)]
    clients: usize,
}

/// Sends the parts of each upload, measures its Complete, and looks whether the object has them all.
///
/// # Errors
/// When the store refuses anything, or the object has another size.
pub(crate) async fn run(arguments: &Arguments, place: &Place, report: &mut Report) -> anyhow::Result<()> {
    ensure!(arguments.parts > 0 && arguments.clients > 0, "an upload needs parts, and somebody who sends them");
    let store = Cloudhold::start(&place.binary, &place.directory, CONFIGURATION).await?;
    let load = own_load(&store, false).await?;
    let mut client = Client::new(load.endpoint.clone());
    client.make_bucket().await?;
    let mut slowest_s = 0.0_f64;
    for object in 0..arguments.uploads {
        let upload = client.begin_upload(object).await?;
        let etags = send_parts(arguments, object, &upload, &load.endpoint).await?;
        let began = Instant::now();
        client.complete_upload(object, &upload, &etags).await?;
        slowest_s = slowest_s.max(began.elapsed().as_secs_f64());
        client.head(object, arguments.parts as u64 * arguments.part_size).await?;
    }
    report.figure(
        format!("Complete of {} parts, the slowest", arguments.parts),
        slowest_s,
        "s",
        Some(Goal::AtMost(1.0)),
    );
    let peak_bytes = load.watch.look().await?.store.map_or(0, |usage| usage.rss_peak_bytes);
    report.figure("memory, at most", peak_bytes as f64 / f64::from(1 << 20), "MiB", Some(Goal::AtMost(250.0)));
    store.stop().await
}

/// Sends all parts, by several clients. Answers their ETags.
async fn send_parts(
    arguments: &Arguments,
    object: u64,
    upload: &str,
    endpoint: &Arc<Endpoint>,
) -> anyhow::Result<Vec<String>> {
    // All of them have the same bytes, which costs least to make.
    let part = Piece::whole(object, arguments.part_size);
    let numbers: Vec<usize> = (1..=arguments.parts).collect();
    let share = numbers.len().div_ceil(arguments.clients);
    let shares = numbers.chunks(share).map(|numbers| send(numbers, part, upload, endpoint.clone()));
    let etags: Vec<Vec<String>> = stream::iter(shares).buffered(arguments.clients).try_collect().await?;
    Ok(etags.concat())
}

async fn send(numbers: &[usize], part: Piece, upload: &str, endpoint: Arc<Endpoint>) -> anyhow::Result<Vec<String>> {
    let (mut client, mut etags) = (Client::new(endpoint), Vec::new());
    for number in numbers {
        etags.push(client.put_part(upload, *number, part, Payload::Unsigned).await?);
    }
    Ok(etags)
}
