//! Loads on an S3 endpoint: what each client does, and the phases that figures are made of.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::ensure;
use clap::ValueEnum;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use crate::body::Payload;
use crate::client::{Client, Page, key};
use crate::content::{BLOCK_BYTES, Piece};
use crate::drive::{Done, Limit, Worker};
use crate::endpoint::Endpoint;
use crate::measure::{Name, Watch};
use crate::report::{Phase, Report};

/// Clients that write what a phase reads.
const WRITERS: usize = 32;

/// What the clients of a phase do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Operation {
    /// Write objects with keys never used before
    Put,
    /// Read objects picked at random, and compare all their bytes
    Get,
    /// Ask for the heads of objects picked at random
    Head,
    /// List a page of 1,000 from a random place on
    List,
    /// Delete objects, each once
    Delete,
    /// 45 % GET, 15 % PUT, 10 % DELETE and 30 % HEAD
    Mixed,
}

impl Operation {
    /// The word for the table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Put => "PUT",
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::List => "LIST",
            Self::Delete => "DELETE",
            Self::Mixed => "MIXED",
        }
    }

    /// What a client does next; `lot` is a number from 0 to 99.
    fn drawn(self, lot: u32) -> Self {
        match (self, lot) {
            (Self::Mixed, 0..45) => Self::Get,
            (Self::Mixed, 45..60) => Self::Put,
            (Self::Mixed, 60..70) => Self::Delete,
            (Self::Mixed, _) => Self::Head,
            (one, _) => one,
        }
    }

    /// Whether clients may share the objects that are there: not when they delete some.
    fn shares_objects(self) -> bool {
        match self {
            Self::Get | Self::Head | Self::List => true,
            Self::Put | Self::Delete | Self::Mixed => false,
        }
    }

    fn uses_payload(self) -> bool {
        matches!(self, Self::Put | Self::Mixed)
    }
}

/// A phase.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) operation: Operation,
    pub(crate) size_bytes: u64,
    pub(crate) clients: usize,
    pub(crate) payload: Payload,
    /// Larger objects are written in parts of this size.
    pub(crate) part_bytes: Option<u64>,
    pub(crate) limit: Limit,
    /// How long the clients work before anything is counted.
    pub(crate) warm_up: Duration,
    /// Objects that are there before a phase which needs some; they are written when there are less.
    pub(crate) objects_min: u64,
}

/// A load on one endpoint, phase after phase.
pub(crate) struct Load {
    /// What the endpoint is called in the table.
    pub(crate) level: String,
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) watch: Watch,
    /// The number of the next object.
    next: Arc<AtomicU64>,
    /// The objects that are there, by size.
    written: BTreeMap<u64, Vec<u64>>,
}

impl Load {
    /// A load that writes objects from `first` on.
    pub(crate) fn new(level: &str, endpoint: Arc<Endpoint>, watch: Watch, first: u64) -> Self {
        let next = Arc::new(AtomicU64::new(first));
        Self { level: level.to_owned(), endpoint, watch, next, written: BTreeMap::new() }
    }

    /// Runs a phase and adds it to the report.
    ///
    /// # Errors
    /// When the endpoint cannot be worked with at all; operations that fail are counted in the report.
    pub(crate) async fn phase(&mut self, shape: &Shape, report: &mut Report) -> anyhow::Result<Phase> {
        ensure!(shape.clients > 0, "a phase needs at least one client");
        if shape.operation != Operation::Put {
            self.fill(shape).await?;
        }
        self.hash_ahead(shape).await?;
        let objects = self.written.remove(&shape.size_bytes).unwrap_or_default();
        let workers = self.workers(shape, &objects);
        let workers = if shape.warm_up.is_zero() {
            workers
        } else {
            crate::drive::drive(workers, Limit::Time(shape.warm_up)).await?.0
        };
        let payload = if shape.operation.uses_payload() { shape.payload.name() } else { "" };
        let name =
            Name { level: &self.level, operation: shape.operation.name(), payload, size_bytes: shape.size_bytes };
        let (workers, phase) = self.watch.phase(name, workers, shape.limit, report).await?;
        let mut left =
            if shape.operation == Operation::Put || shape.operation.shares_objects() { objects } else { Vec::new() };
        if !shape.operation.shares_objects() {
            left.extend(workers.into_iter().flat_map(|worker| worker.objects));
        }
        self.written.insert(shape.size_bytes, left);
        Ok(phase)
    }

    /// Writes so many more objects that there are enough, uncounted.
    pub(crate) async fn fill(&mut self, shape: &Shape) -> anyhow::Result<()> {
        let there = self.written.get(&shape.size_bytes).map_or(0, Vec::len) as u64;
        let Some(missing @ 1..) = shape.objects_min.checked_sub(there) else { return Ok(()) };
        let payload = Payload::Unsigned;
        let clients = WRITERS.min(usize::try_from(missing).unwrap_or(WRITERS));
        let fill = Shape { operation: Operation::Put, clients, payload, ..*shape };
        let (workers, tally) = crate::drive::drive(self.workers(&fill, &[]), Limit::Operations(missing)).await?;
        ensure!(tally.errors == 0, "objects to be read cannot be written: {}", tally.error_texts.join("; "));
        let written = workers.into_iter().flat_map(|worker| worker.objects);
        self.written.entry(shape.size_bytes).or_default().extend(written);
        Ok(())
    }

    /// A client hashes a large body for longer than it sends it; that is done before the phase when its objects are known.
    async fn hash_ahead(&self, shape: &Shape) -> anyhow::Result<()> {
        let Limit::Operations(count) = shape.limit else { return Ok(()) };
        let signs = shape.operation == Operation::Put && shape.payload == Payload::Signed;
        if !signs || shape.size_bytes <= BLOCK_BYTES as u64 {
            return Ok(());
        }
        let first = self.next.load(Ordering::Relaxed);
        let part_bytes = shape.part_bytes.unwrap_or(u64::MAX);
        let pieces =
            (first..first + count).flat_map(|object| Piece::parts(object, shape.size_bytes, part_bytes)).collect();
        self.endpoint.hash_ahead(pieces).await
    }

    fn workers(&self, shape: &Shape, objects: &[u64]) -> Vec<Working> {
        let parts = share_out(objects, shape.clients);
        let own = |at: usize| match shape.operation {
            Operation::Put => Vec::new(),
            Operation::Get | Operation::Head | Operation::List => objects.to_vec(),
            Operation::Delete | Operation::Mixed => parts[at].clone(),
        };
        let worker = |at: usize| Working {
            client: Client::new(self.endpoint.clone()),
            shape: *shape,
            next: self.next.clone(),
            objects: own(at),
            random: StdRng::seed_from_u64(at as u64),
        };
        (0..shape.clients).map(worker).collect()
    }
}

/// Shares objects out, so that no client deletes what another reads.
fn share_out(objects: &[u64], clients: usize) -> Vec<Vec<u64>> {
    let mut parts = vec![Vec::new(); clients];
    for (at, object) in objects.iter().enumerate() {
        parts[at % clients].push(*object);
    }
    parts
}

/// A client at work.
struct Working {
    client: Client,
    shape: Shape,
    next: Arc<AtomicU64>,
    /// What it may read and delete, and what it wrote.
    objects: Vec<u64>,
    random: StdRng,
}

impl Worker for Working {
    async fn step(&mut self) -> anyhow::Result<Option<Done>> {
        let mut operation = self.shape.operation.drawn(self.random.random_range(0..100));
        if self.objects.is_empty() && operation != Operation::Put {
            if self.shape.operation != Operation::Mixed {
                return Ok(None);
            }
            operation = Operation::Put;
        }
        let bytes = self.work(operation).await?;
        Ok(Some(Done { operation: operation.name(), bytes }))
    }
}

impl Working {
    async fn work(&mut self, operation: Operation) -> anyhow::Result<u64> {
        let Shape { size_bytes, payload, part_bytes, .. } = self.shape;
        match operation {
            Operation::Put => {
                let object = self.next.fetch_add(1, Ordering::Relaxed);
                self.client.put(object, size_bytes, payload, part_bytes).await?;
                self.objects.push(object);
                Ok(size_bytes)
            }
            Operation::Get => {
                let object = self.any();
                self.client.get(object, size_bytes).await.map(|()| size_bytes)
            }
            Operation::Head => {
                let object = self.any();
                self.client.head(object, size_bytes).await.map(|()| 0)
            }
            Operation::List => {
                let (prefix, after) = ("load/".to_owned(), key(self.any()));
                let page = Page { prefix, after, delimiter: None, entries_max: 1000 };
                self.client.list(&page).await.map(|_| 0)
            }
            Operation::Delete => {
                let at = self.random.random_range(0..self.objects.len());
                let object = self.objects.swap_remove(at);
                self.client.delete(object).await.map(|()| 0)
            }
            // `drawn` never answers this.
            Operation::Mixed => Ok(0),
        }
    }

    fn any(&mut self) -> u64 {
        self.objects[self.random.random_range(0..self.objects.len())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mix_is_of_the_documented_shares() {
        let count = |wanted| (0..100).filter(|lot| Operation::Mixed.drawn(*lot) == wanted).count();
        let shares = [Operation::Get, Operation::Put, Operation::Delete, Operation::Head].map(count);
        assert_eq!(shares, [45, 15, 10, 30]);
        assert!((0..100).all(|lot| Operation::List.drawn(lot) == Operation::List));
    }

    #[test]
    fn every_object_is_given_to_one_client() {
        let objects: Vec<u64> = (0..10).collect();
        let parts = share_out(&objects, 4);
        assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), [3, 3, 2, 2]);
        let mut all: Vec<u64> = parts.concat();
        all.sort_unstable();
        assert_eq!(all, objects);
    }
}
