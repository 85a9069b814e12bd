//! The process dies, or the power fails, before and after every step and every request to the database, with PostgreSQL beneath.
//!
//! The database is another machine's: it does not die with the process, and has what it answered and what it did not come to answer.

use std::sync::Arc;
use std::time::Duration;

use engine::disk::{Disk, LocalDisk};
use engine::{Caller, Database, Engine, PostgresSettings, Settings};
use simulated_disk::{Moment, SimulatedDisk};
use tempfile::TempDir;
use test_databases::{copy_postgres, new_postgres};

use crate::cable::Cable;
use crate::check::{Told, check_quarantine, check_reopened};
use crate::model::{Content, Model, Operation, View, view};
use crate::points::{every_crash, in_parallel};
use crate::store::{Manner, Store, copy_directory, data_dir, scratch};
use crate::tenants::{group, user};

const BUCKET: &str = "postgres";

/// What happens at which number of what.
#[derive(Clone, Copy, Debug)]
enum Crash {
    Step(u64, Moment),
    Request(u64, Moment),
}

/// A data directory and a database that were made once and are copied for each run.
struct Prepared {
    directory: TempDir,
    url: String,
    ada: Caller,
}

fn database(url: &str) -> Database {
    Database::Postgres(PostgresSettings { url: url.to_owned().into(), connections_max: 4 })
}

impl Prepared {
    async fn new() -> Self {
        let (directory, url) = (scratch(), new_postgres());
        let settings = Settings { database: database(&url), ..Settings::new(data_dir(directory.path())) };
        let engine = Engine::open(settings).await.unwrap();
        group(&engine).await;
        let ada = user(&engine, "ada").await;
        engine.close().await;
        Self { directory, url, ada }
    }
}

/// A running store, on copies.
struct Running {
    root: TempDir,
    url: String,
    disk: SimulatedDisk,
    cable: Cable,
}

impl Running {
    fn new(prepared: &Prepared) -> Self {
        let root = scratch();
        copy_directory(prepared.directory.path(), root.path());
        let url = copy_postgres(&prepared.url);
        let disk = SimulatedDisk::open(root.path()).unwrap();
        let cable = Cable::lay(&url, disk.clone());
        Self { root, url, disk, cable }
    }

    async fn open(&self, ada: &Caller) -> engine::Result<Store> {
        let database = database(&self.cable.url(&self.url));
        Store::open_on(Arc::new(self.disk.clone()), self.root.path(), ada, Manner::default(), database).await
    }

    /// Does operations until everything is cut; returns what the bucket may hold then. What was cut off is left to itself, as nothing that
    /// it does arrives any more.
    async fn run_until_cut(&self, ada: &Caller, operations: &[Operation]) -> Vec<View> {
        let mut model: Model = None;
        let store = match self.unless_cut(self.open(ada)).await {
            Some(Ok(store)) => store,
            Some(Err(error)) => {
                assert!(self.cable.is_cut(), "{error:?}");
                return vec![view(&model)];
            }
            None => return vec![view(&model)],
        };
        for operation in operations {
            let next = operation.apply(&model);
            match self.unless_cut(store.client(BUCKET).perform(operation, &model)).await {
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
}

/// The steps and the requests of an undisturbed run, and how many of each come before the operations.
async fn trail_of(prepared: &Prepared, operations: &[Operation]) -> ((usize, Vec<String>), (u64, u64)) {
    let running = Running::new(prepared);
    let store = running.open(&prepared.ada).await.unwrap();
    let (steps, requests) = (running.disk.trail().len(), running.cable.requests());
    let mut model = None;
    for operation in operations {
        store.client(BUCKET).perform(operation, &model).await.unwrap();
        model = operation.apply(&model);
    }
    assert_eq!(store.client(BUCKET).view().await.unwrap(), view(&model));
    store.engine.close().await;
    ((steps, running.disk.trail()), (requests, running.cable.requests()))
}

async fn crash_once(prepared: &Prepared, operations: &[Operation], crash: Crash) {
    let _told = Told(format!("{crash:?} of {operations:?}"));
    let running = Running::new(prepared);
    let seed = match crash {
        Crash::Step(number, moment) => {
            running.disk.crash_in(number, moment);
            number
        }
        Crash::Request(number, moment) => {
            running.cable.cut_in(number, moment);
            number
        }
    };
    let allowed = running.run_until_cut(&prepared.ada, operations).await;
    let after = scratch();
    // The bytes of a dead process and of a power cut in turn: each crash costs a database.
    let disk: Arc<dyn Disk> = if seed % 2 == 0 {
        running.disk.leave(after.path()).unwrap();
        Arc::new(LocalDisk)
    } else {
        running.disk.cut_power(seed, after.path()).unwrap();
        Arc::new(SimulatedDisk::open(after.path()).unwrap())
    };
    let reopened = Store::open_on(disk, after.path(), &prepared.ada, Manner::default(), database(&running.url)).await;
    let store = reopened.unwrap();
    check_reopened(&store, &[(BUCKET.to_owned(), allowed)]).await;
    store.engine.close().await;
    check_quarantine(after.path(), 1);
}

async fn at_every_step_and_request(operations: &[Operation]) {
    let prepared = Arc::new(Prepared::new().await);
    let operations: Arc<[Operation]> = operations.into();
    let ((steps, trail), (first, last)) = trail_of(&prepared, &operations).await;
    assert!(last - first > 10, "only {} requests", last - first);
    let moments = [Moment::Before, Moment::After];
    let requests = (first + 1..=last).flat_map(|number| moments.map(|moment| Crash::Request(number, moment)));
    let steps = every_crash(&trail, steps).into_iter().map(|(number, moment)| Crash::Step(number, moment));
    in_parallel(steps.chain(requests), |crash| {
        let (prepared, operations) = (prepared.clone(), operations.clone());
        async move { crash_once(&prepared, &operations, crash).await }
    })
    .await;
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
