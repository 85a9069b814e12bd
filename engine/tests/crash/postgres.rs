//! The process dies, or the power fails, at every step and between all requests to the database, with PostgreSQL beneath; or one connection
//! breaks.
//!
//! The database is another machine's: it does not die with the process, and has what it answered and what it did not come to answer.

use std::sync::Arc;
use std::time::Duration;

use engine::disk::{Disk, LocalDisk};
use engine::{Caller, Database, Engine, Error, PostgresSettings, Settings};
use futures::future::join_all;
use simulated_disk::{Moment, SimulatedDisk, Target};
use tempfile::TempDir;
use test_databases::new_postgres;

use crate::cable::Cable;
use crate::check::{Told, check_quarantine, check_reopened};
use crate::model::{Content, Model, Operation, View, view};
use crate::points::every_crash;
use crate::store::{Manner, Store, data_dir, scratch};
use crate::tenants::{group, user};

/// Stores that are crashed at one time.
const PARALLEL: usize = 4;

/// What happens, and at which number of what.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Step(u64, Moment),
    Request(u64, Moment),
    /// One connection breaks at a request, and the process lives on.
    Connection(u64, Moment),
}

/// A store that lives through many crashes, one after the other: each begins with what the last one left, in a bucket of its own.
struct Life {
    directory: TempDir,
    url: String,
    ada: Caller,
    faults: usize,
    /// Faults that somebody met.
    met: usize,
}

fn database(url: &str) -> Database {
    Database::Postgres(PostgresSettings { url: url.to_owned().into(), connections_max: 4 })
}

impl Life {
    async fn new() -> Self {
        let (directory, url) = (scratch(), new_postgres());
        let settings = Settings { database: database(&url), ..Settings::new(data_dir(directory.path())) };
        let engine = Engine::open(settings).await.unwrap();
        group(&engine).await;
        let ada = user(&engine, "ada").await;
        engine.close().await;
        Self { directory, url, ada, faults: 0, met: 0 }
    }

    fn begin(&self) -> Running<'_> {
        let disk = SimulatedDisk::open(self.directory.path()).unwrap();
        let cable = Cable::lay(&self.url, disk.clone());
        Running { life: self, bucket: format!("bucket-{}", self.faults), disk, cable }
    }

    async fn suffer(&mut self, operations: &[Operation], fault: Fault) {
        let _told = Told(format!("{fault:?} of {operations:?}, after {} others", self.faults));
        let is_met = match fault {
            Fault::Step(number, moment) => {
                self.crash(operations, number, |running| running.disk.crash_in(number, moment)).await
            }
            Fault::Request(number, moment) => {
                self.crash(operations, number, |running| running.cable.cut_in(number, moment)).await
            }
            Fault::Connection(number, moment) => self.begin().break_and_go_on(operations, number, moment).await,
        };
        self.faults += 1;
        self.met += usize::from(is_met);
    }

    async fn crash(&mut self, operations: &[Operation], seed: u64, arm: impl FnOnce(&Running<'_>)) -> bool {
        let running = self.begin();
        arm(&running);
        let allowed = running.run_until_cut(operations).await;
        let (after, bucket, is_met) = (scratch(), running.bucket.clone(), running.cable.is_cut());
        // What a dead process leaves, and what a power cut does, in turn.
        let disk: Arc<dyn Disk> = if seed.is_multiple_of(2) {
            running.disk.leave(after.path()).unwrap();
            Arc::new(LocalDisk)
        } else {
            running.disk.cut_power(seed, after.path()).unwrap();
            Arc::new(SimulatedDisk::open(after.path()).unwrap())
        };
        drop(running);
        let opened = Store::open_on(disk, after.path(), &self.ada, Manner::default(), database(&self.url)).await;
        let store = opened.unwrap();
        check_reopened(&store, &[(bucket, allowed)]).await;
        store.engine.close().await;
        self.directory = after;
        check_quarantine(self.directory.path(), self.faults + 1);
        is_met
    }
}

/// A store that runs, on its disk and its cable.
struct Running<'l> {
    life: &'l Life,
    bucket: String,
    disk: SimulatedDisk,
    cable: Cable,
}

impl Running<'_> {
    async fn open(&self) -> engine::Result<Store> {
        let database = database(&self.cable.url(&self.life.url));
        let root = self.life.directory.path();
        Store::open_on(Arc::new(self.disk.clone()), root, &self.life.ada, Manner::default(), database).await
    }

    /// Does operations until everything is cut; returns what the bucket may hold then. What was cut off is left to itself, as nothing that
    /// it does arrives any more.
    async fn run_until_cut(&self, operations: &[Operation]) -> Vec<View> {
        let mut model: Model = None;
        let store = match self.unless_cut(self.open()).await {
            Some(Ok(store)) => store,
            Some(Err(error)) => {
                assert!(self.cable.is_cut(), "{error:?}");
                return vec![view(&model)];
            }
            None => return vec![view(&model)],
        };
        for operation in operations {
            let next = operation.apply(&model);
            match self.unless_cut(store.client(&self.bucket).perform(operation, &model)).await {
                Some(Ok(())) => model = next,
                None => return vec![view(&model), view(&next)],
                Some(Err(error)) => {
                    assert!(self.cable.is_cut(), "{error:?}");
                    return vec![view(&model), view(&next)];
                }
            }
        }
        let _ = self.unless_cut(store.engine.close()).await;
        vec![view(&model)]
    }

    async fn unless_cut<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let cut = async {
            while !self.cable.is_cut() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::select! {
            biased;
            done = work => Some(done),
            () = cut => None,
        }
    }

    /// Does operations while a connection breaks: whoever is told of it finds old or new, and everybody else what is acknowledged.
    async fn break_and_go_on(&self, operations: &[Operation], number: u64, moment: Moment) -> bool {
        let store = self.open().await.unwrap();
        self.cable.break_connection_in(number, moment);
        let (client, mut model, mut is_met) = (store.client(&self.bucket), None, false);
        for operation in operations {
            let next = operation.apply(&model);
            match client.perform(operation, &model).await {
                Ok(()) => model = next,
                Err(error) => {
                    is_met = true;
                    assert!(matches!(error, Error::DatabaseUnreachable { .. }), "{error:?}");
                    if client.view().await.unwrap() == view(&next) {
                        model = next;
                    }
                    break;
                }
            }
        }
        // How many requests there are differs a little: what is looked at now is not to meet it.
        self.cable.mend();
        check_reopened(&store, &[(self.bucket.clone(), vec![view(&model)])]).await;
        store.engine.close().await;
        is_met
    }

    /// The steps and the requests of an undisturbed run, and how many of each come before the operations.
    async fn trail(&self, operations: &[Operation]) -> ((usize, Vec<String>), (u64, u64)) {
        let store = self.open().await.unwrap();
        let (steps, requests) = (self.disk.trail().len(), self.cable.requests());
        let (client, mut model) = (store.client(&self.bucket), None);
        for operation in operations {
            client.perform(operation, &model).await.unwrap();
            model = operation.apply(&model);
        }
        let requests = (requests, self.cable.requests());
        assert_eq!(client.view().await.unwrap(), view(&model));
        store.engine.close().await;
        ((steps, self.disk.trail()), requests)
    }
}

/// Lets stores live through faults, a few at one time. Most of the faults must be met: some connections break that nobody uses.
async fn live_through(operations: &Arc<[Operation]>, faults: Vec<Fault>) {
    let count = faults.len();
    assert!(count > 50, "only {count} faults");
    let lives = (0..PARALLEL).map(|at| {
        let (operations, faults) = (operations.clone(), faults.clone());
        tokio::spawn(async move {
            let mut life = Life::new().await;
            for fault in faults.into_iter().skip(at).step_by(PARALLEL) {
                life.suffer(&operations, fault).await;
            }
            life.met
        })
    });
    let met: usize = join_all(lives).await.into_iter().map(|met| met.unwrap()).sum();
    assert!(met > count / 2, "only {met} of {count} faults were met");
}

async fn at_every_step_and_request(operations: &[Operation]) {
    let operations: Arc<[Operation]> = operations.into();
    let ((steps, trail), (first, last)) = Life::new().await.begin().trail(&operations).await;
    // What a process leaves that dies before a request is what it leaves when it dies after the one before.
    let requests = (first..=last).map(|number| Fault::Request(number, Moment::After));
    let steps = every_crash(&trail, steps).into_iter().map(|(number, moment)| Fault::Step(number, moment));
    live_through(&operations, steps.chain(requests).collect()).await;
}

fn put(key: &str, size: usize) -> Operation {
    Operation::Put { key: key.to_owned(), content: Content::noise(size, key.len() as u64 + size as u64) }
}

fn delete(key: &str) -> Operation {
    Operation::Delete { keys: vec![key.to_owned()] }
}

#[tokio::test(flavor = "multi_thread")]
async fn puts_overwrites_copies_and_deletes_are_old_or_new() {
    at_every_step_and_request(&[
        Operation::CreateBucket,
        put("small", 300),
        put("large", 5_000),
        put("large", 6_000),
        Operation::Copy { from: "large".to_owned(), to: "copy".to_owned() },
        delete("large"),
        Operation::KeepVersions,
        delete("copy"),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_are_old_or_new() {
    let part = |number, size| Operation::PutPart { key: "k".to_owned(), number, content: Content::noise(size, 1) };
    at_every_step_and_request(&[
        Operation::CreateBucket,
        put("k", 300),
        Operation::CreateUpload { key: "k".to_owned() },
        part(1, 5_000),
        part(2, 2_000),
        Operation::Complete { key: "k".to_owned() },
        Operation::Clean,
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_breaks_leaves_old_or_new_and_the_store_goes_on() {
    let operations: Arc<[Operation]> = [
        Operation::CreateBucket,
        put("large", 5_000),
        put("large", 6_000),
        Operation::CreateUpload { key: "k".to_owned() },
        Operation::PutPart { key: "k".to_owned(), number: 1, content: Content::noise(5_000, 1) },
        Operation::Complete { key: "k".to_owned() },
        delete("large"),
    ]
    .into();
    let (_, (first, last)) = Life::new().await.begin().trail(&operations).await;
    let moments = [Moment::Before, Moment::After];
    let faults = (1..=last - first).flat_map(|number| moments.map(|moment| Fault::Connection(number, moment)));
    live_through(&operations, faults.collect()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_that_cannot_be_synced_makes_the_store_read_only() {
    let life = Life::new().await;
    let running = life.begin();
    let store = running.open().await.unwrap();
    let (client, mut model) = (store.client(&running.bucket), None);
    for operation in [Operation::CreateBucket, put("small", 300), put("large", 5_000)] {
        client.perform(&operation, &model).await.unwrap();
        model = operation.apply(&model);
    }
    running.disk.fail_sync(Target::Blob, 1);
    for operation in [put("large", 6_000), put("small", 400), delete("small")] {
        let refused = client.perform(&operation, &model).await;
        assert!(matches!(refused, Err(Error::ReadOnly(_))), "{refused:?}");
    }
    assert!(store.engine.health().await.read_only.is_some(), "and says so");
    assert_eq!(client.view().await.unwrap(), view(&model));
    store.engine.close().await;

    running.disk.restart();
    let store = running.open().await.unwrap();
    let later = put("large", 7_000);
    store.client(&running.bucket).perform(&later, &model).await.unwrap();
    check_reopened(&store, &[(running.bucket.clone(), vec![view(&later.apply(&model))])]).await;
    store.engine.close().await;
}
