//! One connection to PostgreSQL breaks, before each request or when the server has done it, and the process lives on: whoever is told of it
//! finds old or new, and everybody else what is acknowledged.
//!
//! That the process dies there is for the other tests, which run on both databases.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use engine::Error;
use simulated_disk::{Moment, SimulatedDisk};

use crate::cable::Cable;
use crate::check::{Told, check_reopened};
use crate::model::{Content, Operation, view};
use crate::points::in_parallel;
use crate::store::{Prepared, Store, is_on_postgres};

const BUCKET: &str = "connections";

/// The end of the connection that breaks.
fn cable(store: &Store) -> &Cable {
    store.cable.as_ref().unwrap()
}

/// Does operations while a connection breaks; returns whether that was met.
async fn break_and_go_on(prepared: &Prepared, operations: &[Operation], number: u64, moment: Moment) -> bool {
    let root = prepared.copy();
    let disk = SimulatedDisk::open(root.path()).unwrap();
    let store = Store::open(&disk, root.path(), &prepared.ada).await.unwrap();
    cable(&store).break_connection_in(number, moment);
    let (client, mut model, mut is_met) = (store.client(BUCKET), None, false);
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
    cable(&store).mend();
    check_reopened(&store, &[(BUCKET.to_owned(), vec![view(&model)])]).await;
    store.close().await;
    is_met
}

/// The number of requests of an undisturbed run.
async fn requests_of(prepared: &Prepared, operations: &[Operation]) -> u64 {
    let root = prepared.copy();
    let disk = SimulatedDisk::open(root.path()).unwrap();
    let store = Store::open(&disk, root.path(), &prepared.ada).await.unwrap();
    let (client, mut model, before) = (store.client(BUCKET), None, cable(&store).requests());
    for operation in operations {
        client.perform(operation, &model).await.unwrap();
        model = operation.apply(&model);
    }
    let count = cable(&store).requests() - before;
    assert_eq!(client.view().await.unwrap(), view(&model));
    store.close().await;
    count
}

fn put(key: &str, size: usize) -> Operation {
    Operation::Put { key: key.to_owned(), content: Content::noise(size, key.len() as u64 + size as u64) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_breaks_leaves_old_or_new_and_the_store_goes_on() {
    if !is_on_postgres() {
        return;
    }
    let operations: Arc<[Operation]> = [
        Operation::CreateBucket,
        put("large", 5_000),
        put("large", 6_000),
        Operation::CreateUpload { key: "k".to_owned() },
        Operation::PutPart { key: "k".to_owned(), number: 1, content: Content::noise(5_000, 1) },
        Operation::Complete { key: "k".to_owned() },
        Operation::Delete { keys: vec!["large".to_owned()] },
    ]
    .into();
    let prepared = Arc::new(Prepared::new().await);
    let count = requests_of(&prepared, &operations).await;
    let faults: Vec<_> =
        (1..=count).flat_map(|number| [Moment::Before, Moment::After].map(|moment| (number, moment))).collect();
    let met = Arc::new(AtomicUsize::new(0));
    in_parallel(faults.clone(), |(number, moment)| {
        let (prepared, operations, met) = (prepared.clone(), operations.clone(), met.clone());
        async move {
            let _told = Told(format!("the connection broke {moment:?} request {number} of {operations:?}"));
            let is_met = break_and_go_on(&prepared, &operations, number, moment).await;
            met.fetch_add(usize::from(is_met), Ordering::Relaxed);
        }
    })
    .await;
    // Some break that nobody uses.
    let (met, count) = (met.load(Ordering::Relaxed), faults.len());
    assert!(count > 50 && met > count / 2, "only {met} of {count} were met");
}
