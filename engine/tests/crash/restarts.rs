//! What comes after a failed sync of the log fails, too: the power goes while the process ends or the next one starts, or that one cannot
//! sync either.
//!
//! What the failed sync lost is still in memory, as a log that looks whole. It must not get into the file of the database in part.

use std::sync::Arc;

use simulated_disk::{Failure, Moment, SimulatedDisk, Target};
use tempfile::TempDir;

use crate::check::{Told, check_reopened};
use crate::model::{Content, Model, Operation, view};
use crate::points::{every_crash, in_parallel};
use crate::store::{Prepared, Store, is_on_postgres, scratch};

const BUCKET: &str = "restarts";
/// Power cuts drawn at each step.
const SEEDS: u64 = 2;

fn put(key: &str, size: usize) -> Operation {
    Operation::Put { key: key.to_owned(), content: Content::noise(size, key.len() as u64 + size as u64) }
}

/// How a process ends.
#[derive(Clone, Copy, Debug)]
enum End {
    /// It closes the store.
    Closed,
    /// It is killed.
    Killed,
}

/// Which sync of the log fails, and what comes then.
#[derive(Clone, Copy, Debug)]
struct Case {
    is_relaxed: bool,
    number: u64,
    end: End,
}

/// A relaxed bucket has commits that were answered and not synced when the sync fails; they are lost with it, new pages of the database
/// among them.
fn operations(is_relaxed: bool) -> Vec<Operation> {
    let begin: &[Operation] =
        if is_relaxed { &[Operation::CreateBucket, Operation::Relax] } else { &[Operation::CreateBucket] };
    let puts = (0..if is_relaxed { 12 } else { 3 }).map(|number| put(&format!("k{number}"), 3_000 + number));
    let upload = Operation::CreateUpload { key: "upload".to_owned() };
    begin.iter().cloned().chain([put("large", 5_000)]).chain(puts).chain([upload]).collect()
}

/// A store after its sync failed, and what may be in its bucket.
struct Failed {
    root: TempDir,
    disk: SimulatedDisk,
    store: Store,
    allowed: Vec<Model>,
}

impl Failed {
    async fn new(prepared: &Prepared, case: Case) -> Self {
        let root = prepared.copy();
        let disk = SimulatedDisk::open(root.path()).unwrap();
        let store = Store::open(&disk, root.path(), &prepared.ada).await.unwrap();
        let client = store.client(BUCKET);
        disk.fail_sync(Target::Log, case.number);
        let (mut model, mut allowed) = (None, vec![None]);
        for operation in operations(case.is_relaxed) {
            let next = operation.apply(&model);
            let done = client.perform(&operation, &model).await;
            let is_relaxed = matches!(operation, Operation::Put { .. }) && case.is_relaxed;
            if done.is_ok() && !is_relaxed {
                allowed.clear();
            }
            allowed.push(next.clone());
            if done.is_err() {
                break;
            }
            model = next;
        }
        assert!(disk.has_failed() && store.engine.health().await.read_only.is_some(), "{case:?}: it did not fail");
        Self { root, disk, store, allowed }
    }

    /// Ends the process and starts another one, and lets the disk die at a step of that.
    async fn end_and_start(&self, prepared: &Prepared, end: End, crash: Option<(u64, Moment)>) {
        let Self { root, disk, store, .. } = self;
        if let End::Killed = end {
            disk.crash_now();
            store.close().await;
            disk.restart();
        }
        if let Some((steps, moment)) = crash {
            disk.crash_in(steps, moment);
        }
        if let End::Closed = end {
            store.close().await;
        }
        if let Ok(store) = Store::open(disk, root.path(), &prepared.ada).await {
            store.close().await;
        }
    }

    async fn cut_and_check(&self, prepared: &Prepared) {
        for seed in 0..SEEDS {
            let _told = Told(format!("power cut {seed}"));
            let after = scratch();
            self.disk.cut_power(seed, after.path()).unwrap();
            let disk = SimulatedDisk::open(after.path()).unwrap();
            let store = Store::open(&disk, after.path(), &prepared.ada).await.unwrap();
            check_reopened(&store, &[(BUCKET.to_owned(), self.allowed.iter().map(view).collect())]).await;
            store.close().await;
        }
    }
}

async fn cut_at_every_step(case: Case) {
    let prepared = Arc::new(Prepared::new().await);
    let failed = Failed::new(&prepared, case).await;
    let before = failed.disk.trail().len();
    failed.end_and_start(&prepared, case.end, None).await;
    let trail = failed.disk.trail();
    in_parallel(every_crash(&trail, before), |(step, moment)| {
        let prepared = prepared.clone();
        let what = trail.get(step as usize - 1).cloned().unwrap_or_default();
        async move {
            let _told = Told(format!("{case:?}, {moment:?} step {step}, which is: {what}"));
            let failed = Failed::new(&prepared, case).await;
            Box::pin(failed.end_and_start(&prepared, case.end, Some((step - before as u64, moment)))).await;
            failed.cut_and_check(&prepared).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_after_a_failed_sync_may_be_cut_off() {
    if is_on_postgres() {
        return;
    }
    for number in [2, 5] {
        cut_at_every_step(Case { is_relaxed: false, number, end: End::Killed }).await;
    }
    cut_at_every_step(Case { is_relaxed: true, number: 4, end: End::Killed }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_after_a_failed_sync_may_be_cut_off() {
    if is_on_postgres() {
        return;
    }
    cut_at_every_step(Case { is_relaxed: false, number: 2, end: End::Closed }).await;
    cut_at_every_step(Case { is_relaxed: true, number: 4, end: End::Closed }).await;
}

/// The next one does all of it again.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_cannot_sync_is_refused_and_harms_nothing() {
    if is_on_postgres() {
        return;
    }
    let prepared = Prepared::new().await;
    let case = Case { is_relaxed: false, number: 2, end: End::Killed };
    for failure in Failure::ALL {
        for target in [Target::Database, Target::Log, Target::Directory] {
            let _told = Told(format!("a sync of {target:?} failed at the start, {failure:?}"));
            let failed = Failed::new(&prepared, case).await;
            let Failed { root, disk, store, allowed } = &failed;
            disk.crash_now();
            store.close().await;
            disk.restart();
            disk.fail_sync_as(target, 1, failure);
            let refused = Store::open(disk, root.path(), &prepared.ada).await.err();
            assert!(refused.is_some() && disk.has_failed(), "it opened, or nothing was synced");
            failed.cut_and_check(&prepared).await;
            disk.restart();
            let store = Store::open(disk, root.path(), &prepared.ada).await.unwrap();
            let seen = store.client(BUCKET).view().await.unwrap();
            assert!(allowed.iter().any(|model| view(model) == seen), "{seen:?}");
            disk.crash_now();
            store.close().await;
            failed.cut_and_check(&prepared).await;
        }
    }
}
