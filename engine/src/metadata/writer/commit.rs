//! Commits of all that waits.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::checkpoint::Checkpoints;
use super::job::{CommitFailure, Job, Ran, caught};
use super::{BATCH_MAX, Queue, Serving};
use crate::journal::{Journal, Numbers};
use crate::metadata::changes::{self, Group};
use crate::metadata::tx::{self, Connection, Sequence, Tx};
use crate::metadata::{usage, values};
use crate::read_only::ReadOnly;
use crate::settings::Faults;
use crate::{Durability, Error};

/// How long an answered transaction may stay without being durable.
const RELAXED_MAX: Duration = Duration::from_secs(1);

/// Commits what waits in the queue until that is closed. It blocks its thread at times: for the journal.
pub(super) async fn commit_batches(
    tx: Tx,
    queue: Arc<Queue>,
    faults: Faults,
    journal: Journal,
    mut checkpoints: Checkpoints,
    read_only: ReadOnly,
) {
    let serving = Serving(queue);
    let (durability, committed_next) = (Durability::Strict, counted(&tx));
    let mut committer = Committer { tx, faults, journal, committed_next, durability, sync_due: None };
    let mut batch = Vec::with_capacity(BATCH_MAX);
    loop {
        committer.wait_for(&serving.0, &mut batch).await;
        let is_closed = batch.is_empty() && serving.0.lock().is_closed;
        if is_closed && committer.sync_due.is_none() {
            break;
        }
        let commit = match read_only.reason() {
            Some(why) => Err(CommitFailure::ReadOnly(why)),
            None => committer.commit(&mut batch).await,
        };
        if let Err(CommitFailure::ReadOnly(why)) = &commit {
            read_only.begin(why);
        }
        for job in batch.drain(..) {
            job.answer(commit.clone());
        }
        // Whatever came of it, there is no later.
        if is_closed {
            break;
        }
        // Nobody waits for this but those who come next. A log that fills the disk is what a checkpoint can make short.
        if matches!(commit, Ok(()) | Err(CommitFailure::DiskFull))
            && let Err(CommitFailure::ReadOnly(why)) = checkpoints.keep_log_short(&mut committer.tx).await
        {
            read_only.begin(&why);
        }
        if read_only.reason().is_some() {
            committer.sync_due = None;
        }
    }
    if let Connection::Writer(link) = committer.tx.connection {
        link.close().await;
    }
}

/// Commits on the one connection that writes.
struct Committer {
    tx: Tx,
    faults: Faults,
    journal: Journal,
    /// The number that the database takes next.
    committed_next: i64,
    /// How the connection commits.
    durability: Durability,
    /// When commits that are not durable yet must be.
    sync_due: Option<Instant>,
}

impl Committer {
    /// Waits for transactions, or until what was committed before must be made durable, or until there will be none any more.
    async fn wait_for(&self, queue: &Queue, batch: &mut Vec<Box<dyn Job>>) {
        match self.sync_due {
            None => queue.take(batch).await,
            Some(due) => tokio::time::timeout_at(due, queue.take(batch)).await.unwrap_or_default(),
        }
    }

    /// Commits a batch, which may be empty when it is only about what was committed before.
    async fn commit(&mut self, batch: &mut [Box<dyn Job>]) -> std::result::Result<(), CommitFailure> {
        let is_due = batch.is_empty() || self.sync_due.is_some_and(|due| Instant::now() >= due);
        let is_relaxed = batch.iter().all(|job| job.durability() == Durability::Relaxed);
        let durability = if is_relaxed && !is_due { Durability::Relaxed } else { Durability::Strict };
        let committed = self.commit_as(durability, batch).await;
        match (&committed, durability) {
            (Ok(()), Durability::Strict) => self.sync_due = None,
            (Ok(()), Durability::Relaxed) => {
                self.sync_due.get_or_insert_with(|| Instant::now() + RELAXED_MAX);
            }
            // What is due stays due, but not at once: a full disk would be asked without a pause.
            (Err(_), _) => self.sync_due = self.sync_due.map(|_| Instant::now() + RELAXED_MAX),
        }
        committed
    }

    async fn commit_as(
        &mut self,
        durability: Durability,
        batch: &mut [Box<dyn Job>],
    ) -> std::result::Result<(), CommitFailure> {
        self.tx.name = "group_commit";
        self.become_as(durability).await?;
        let committed = match run_batch(&mut self.tx, batch).await {
            Ok(()) => self.end(durability).await,
            Err(failure) => Err(failure),
        };
        if committed.is_err() {
            // The connection must not stay inside the failed transaction; whether ROLLBACK finds one does not matter.
            let _ = self.tx.execute("ROLLBACK", Vec::new()).await;
            return committed;
        }
        tx::count_commit(batch.len(), std::mem::take(&mut self.tx.statements));
        Ok(())
    }

    /// Lets the connection sync its commits, or leave that. It can be changed between transactions only.
    async fn become_as(&mut self, durability: Durability) -> std::result::Result<(), CommitFailure> {
        if self.durability == durability {
            return Ok(());
        }
        let statement = match durability {
            Durability::Strict => "PRAGMA synchronous = FULL",
            Durability::Relaxed => "PRAGMA synchronous = NORMAL",
        };
        self.tx.execute(statement, Vec::new()).await.map_err(|error| CommitFailure::logged(&error))?;
        self.durability = durability;
        Ok(())
    }

    async fn end(&mut self, durability: Durability) -> std::result::Result<(), CommitFailure> {
        if durability == Durability::Strict && !self.faults.fsync_delay.is_zero() {
            tokio::time::sleep(self.faults.fsync_delay).await;
        }
        self.tx.name = "group_commit";
        // A commit that changes nothing syncs nothing: one that is only about those before takes a number for itself.
        if self.sync_due.is_some() && durability == Durability::Strict {
            self.tx.skip_seq();
        }
        let is_noted = self.note();
        let next = counted(&self.tx);
        let commit = "UPDATE sequence SET next = $1 WHERE id = 1 AND next <> $1;\nCOMMIT";
        match self.tx.execute(commit, values![next]).await {
            Ok(_) => {
                self.committed_next = next;
                Ok(())
            }
            Err(error) => {
                let failure = CommitFailure::logged(&error);
                // Whether it was made although it failed, the next start sees.
                if is_noted && !matches!(failure, CommitFailure::ReadOnly(_)) {
                    self.journal.take_back_blocking(next);
                }
                Err(failure)
            }
        }
    }

    /// Notes what is about to be committed. The number that is taken next tells afterwards whether it was, so it has to grow; and that none
    /// is missing, so it is noted whenever it grows.
    fn note(&mut self) -> bool {
        let notes = std::mem::take(&mut self.tx.committing_notes);
        match (notes.is_empty(), counted(&self.tx) == self.committed_next) {
            (true, true) => return false,
            (false, true) => self.tx.skip_seq(),
            (_, false) => {}
        }
        let numbers = Numbers { before: self.committed_next, next: counted(&self.tx) };
        self.journal.write_blocking(&notes, numbers);
        true
    }
}

async fn run_batch(tx: &mut Tx, batch: &mut [Box<dyn Job>]) -> std::result::Result<(), CommitFailure> {
    let logged = |error: Error| CommitFailure::logged(&error);
    tx.committing.clear();
    tx.committing_notes.clear();
    tx.execute("BEGIN IMMEDIATE;\nSAVEPOINT one", Vec::new()).await.map_err(logged)?;
    let is_done = run_together(tx, batch).await?;
    for (job, is_done) in batch.iter_mut().zip(is_done) {
        if is_done {
            continue;
        }
        tx.begin_step(job.name());
        let ran = job.run(tx).await;
        tx::count_rows(job.name(), tx.rows);
        end_step(tx, ran).await?;
    }
    let usage = std::mem::take(&mut tx.committing);
    usage::add_deltas(tx, &usage).await.map_err(logged)
}

/// Makes the changes of all that are made of changes, as far as that goes together; says which of the batch are done by that.
async fn run_together(tx: &mut Tx, batch: &mut [Box<dyn Job>]) -> std::result::Result<Vec<bool>, CommitFailure> {
    let (places, groups): (Vec<usize>, Vec<Group<'_>>) =
        batch.iter().enumerate().filter_map(|(place, job)| Some((place, job.changes()?))).unzip();
    let mut is_done = vec![false; batch.len()];
    if groups.is_empty() {
        return Ok(is_done);
    }
    tx.begin_step("changes");
    let made = caught(changes::make_together(tx, &groups)).await;
    tx::count_rows("changes", tx.rows);
    let ran = match &made {
        Ok(_) => Ran::Stays,
        // One of them may be to blame: each is tried by itself then.
        Err(error) => CommitFailure::of(error).map_or(Ran::Undone, Ran::Broken),
    };
    end_step(tx, ran).await?;
    for (place, outcomes) in places.into_iter().zip(made.unwrap_or_default()) {
        if let Some(outcomes) = outcomes {
            batch[place].keep(outcomes);
            is_done[place] = true;
        }
    }
    Ok(is_done)
}

/// Ends a savepoint: either way the next one finds one in which nothing was done yet. COMMIT releases the last.
async fn end_step(tx: &mut Tx, ran: Ran) -> std::result::Result<(), CommitFailure> {
    let next_savepoint = match ran {
        Ran::Stays => {
            for (bucket_id, delta) in std::mem::take(&mut tx.usage) {
                tx::add_usage(&mut tx.committing, bucket_id, delta);
            }
            tx.committing_notes.append(&mut tx.notes);
            "RELEASE one;\nSAVEPOINT one"
        }
        Ran::Undone => "ROLLBACK TO one",
        Ran::Broken(failure) => return Err(failure),
    };
    tx.execute(next_savepoint, Vec::new()).await.map_err(|error| CommitFailure::logged(&error))?;
    Ok(())
}

/// The number that is taken next; the writer's transactions count by themselves.
fn counted(tx: &Tx) -> i64 {
    match tx.sequence {
        Sequence::Counted { next } => next,
        Sequence::Shared { .. } => 0,
    }
}
