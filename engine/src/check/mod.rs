//! The check of the whole store (`fsck`): rows against rows, rows against bytes, counters against a recount.
//!
//! It runs on an open store. Each page of rows is read from one consistent state, and what could be a change under way is looked at
//! again before it is reported, so that a store in use is not called broken. A repair puts aside and corrects; it never deletes bytes.

mod bytes;
mod repair;
mod report;
mod rows;
mod shares;

use std::collections::HashMap;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;

pub use report::{CheckReport, Examined, Finding, Problem, Tally};

use crate::metadata::Tx;
use crate::metadata::check::{self, VersionPlace};
use crate::metadata::repair::RowFix;
use crate::metadata::scan::go_on;
use crate::names::{BlobId, ContentId};
use crate::work::orphans;
use crate::{Caller, Engine, Error, Inner, OnProgress, Result};

/// How the check is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CheckOptions {
    /// Sets right what can be set right. Bytes are only ever put aside.
    pub repair: bool,
    /// Puts blobs without rows aside however many there are. Without it, so many that the database may be an old one stay where they are.
    pub trust_database: bool,
    /// Puts objects aside whose bytes are gone however many they are. Without it, so many that the disk with the blobs may not be there stay
    /// where they are.
    pub trust_disk: bool,
}

impl Engine {
    /// Checks the whole store, and repairs it when that is asked for.
    pub async fn check(&self, caller: &Caller, options: CheckOptions, on_progress: &OnProgress) -> Result<CheckReport> {
        caller.must_operate()?;
        if let (true, Some(why)) = (options.repair, self.inner.db.read_only()) {
            return Err(Error::ReadOnly(why));
        }
        let started_us = self.inner.settings.clock.now_us();
        let mut checker = Checker {
            inner: self.inner.clone(),
            options,
            on_progress: on_progress.clone(),
            report: CheckReport { started_us, ..CheckReport::default() },
            pending: Vec::new(),
            broken: HashMap::new(),
            blobs: (0, 0),
        };
        checker.run().await?;
        checker.report.ended_us = self.inner.settings.clock.now_us();
        Ok(checker.report)
    }
}

/// A check under way.
struct Checker {
    inner: Arc<Inner>,
    options: CheckOptions,
    on_progress: OnProgress,
    report: CheckReport,
    /// Findings that were not yet settled, with what would set each right.
    pending: Vec<(Finding, Fix)>,
    /// Content whose bytes are not all there, with what is missing.
    broken: HashMap<ContentId, String>,
    /// How many blobs rows refer to, and how many of those are not there.
    blobs: (usize, usize),
}

/// A part of the check.
type Step = for<'c> fn(&'c mut Checker) -> BoxFuture<'c, Result<()>>;

/// What sets a finding right.
#[derive(Clone, Debug)]
enum Fix {
    /// Nothing that a program could know.
    Nothing,
    Row(RowFix),
    /// Puts a blob aside.
    Quarantine(BlobId),
    /// Brings a blob back from quarantine.
    BringBack(BlobId),
    /// Puts the bytes of content aside that no version refers to, and drops its rows.
    PutContentAside(ContentId),
}

impl Checker {
    async fn run(&mut self) -> Result<()> {
        let steps: [(&'static str, Step); 9] = [
            ("the database's own structure", |this| this.database().boxed()),
            ("blobs without rows", |this| this.unknown_blobs().boxed()),
            ("versions", |this| this.versions().boxed()),
            ("current objects", |this| this.current().boxed()),
            ("contents", |this| this.contents().boxed()),
            ("pieces and parts", |this| this.pieces_and_parts().boxed()),
            ("objects whose bytes are gone", |this| this.broken_objects().boxed()),
            ("reference counts", |this| this.shares().boxed()),
            ("usage", |this| this.usage().boxed()),
        ];
        let total = steps.len() as u64;
        for (number, (name, step)) in steps.into_iter().enumerate() {
            self.on_progress.count(&format!("checking {name}"), number as u64, Some(total));
            match step(self).await {
                // A row that cannot even be read is a finding like others; the rest is looked at all the same.
                Err(error) if error.is_unreadable_row() => {
                    let detail = std::error::Error::source(&error).map(|source| format!(": {source}"));
                    let detail = format!("{error}{}", detail.unwrap_or_default());
                    self.found(Problem::DatabaseDamaged, format!("while reading {name}"), detail, Fix::Nothing);
                    self.settle().await?;
                }
                // So is a disk that fails; what was not looked at for that is not called whole.
                Err(error @ Error::Io { .. }) => {
                    let detail = error.damage()?;
                    self.found(Problem::DiskFailed, format!("while checking {name}"), detail, Fix::Nothing);
                    self.settle().await?;
                }
                done => done?,
            }
        }
        self.on_progress.count("checked", total, Some(total));
        Ok(())
    }

    /// Notes a finding; it is settled with the others of its page.
    fn found(&mut self, problem: Problem, subject: impl Into<String>, detail: impl Into<String>, fix: Fix) {
        let finding = Finding { problem, subject: subject.into(), detail: detail.into(), repaired: None };
        self.pending.push((finding, fix));
    }

    /// Reads on one consistent state.
    async fn read<T, F>(&self, body: F) -> Result<T>
    where
        T: Send,
        F: for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T>> + Send,
    {
        self.inner.db.read("check", body).await
    }

    async fn database(&mut self) -> Result<()> {
        for line in self.read(|tx| check::integrity(tx).boxed()).await? {
            self.found(Problem::DatabaseDamaged, "database", line, Fix::Nothing);
        }
        self.settle().await
    }

    /// Names the objects whose bytes are not all there, and those put aside whose bytes are back.
    async fn broken_objects(&mut self) -> Result<()> {
        if !self.broken.is_empty() {
            self.name_broken_objects().await?;
        }
        let mut after = VersionPlace::first();
        loop {
            let from = after.clone();
            let lost = self.read(|tx| async move { check::shares(tx, &from, true).await }.boxed()).await?;
            let Some((last, _)) = lost.last() else { return Ok(()) };
            go_on(&mut after, last.clone())?;
            for (place, content_id) in lost {
                self.report.examined.lost_versions += 1;
                self.look_at_lost(place, content_id).await?;
            }
            self.settle().await?;
        }
    }

    async fn name_broken_objects(&mut self) -> Result<()> {
        let may_lose = self.options.trust_disk || !self.are_too_many_missing();
        let mut after = VersionPlace::first();
        loop {
            let from = after.clone();
            let versions = self.read(|tx| async move { check::shares(tx, &from, false).await }.boxed()).await?;
            let Some((last, _)) = versions.last() else { return Ok(()) };
            go_on(&mut after, last.clone())?;
            for (place, content_id) in versions {
                let id = content_id.map(|id| ContentId::stored(&id)).transpose()?;
                let Some(detail) = id.and_then(|id| self.broken.get(&id)).cloned() else { continue };
                let subject = self.name_of(&place).await?;
                let (detail, fix) = match may_lose {
                    true => (detail, Fix::Row(RowFix::Lose(place))),
                    false => (
                        format!("{detail}; so many are missing that the disk with the blobs may not be there"),
                        Fix::Nothing,
                    ),
                };
                self.found(Problem::BytesMissing, subject, detail, fix);
            }
            self.settle().await?;
        }
    }

    /// Whether so many blobs are missing that it is not they that were lost: more than a few, or all of several.
    fn are_too_many_missing(&self) -> bool {
        let (all, missing) = self.blobs;
        orphans::are_too_many(missing, all) || (missing == all && all > 1)
    }

    /// A version as people name it: bucket and key.
    async fn name_of(&self, place: &VersionPlace) -> Result<String> {
        let id = place.bucket_id;
        let bucket = self.read(|tx| check::bucket_name(tx, id).boxed()).await?;
        Ok(object_name(bucket.as_deref(), place))
    }

    /// Counts what each bucket holds.
    async fn usage(&mut self) -> Result<()> {
        let mut after = i64::MIN;
        while let Some(bucket) = self.read(|tx| check::count_bucket(tx, after).boxed()).await? {
            go_on(&mut after, bucket.id)?;
            self.report.examined.buckets += 1;
            let by = bucket.counted.minus(bucket.kept);
            if !by.is_nothing() {
                let detail = format!("kept {}, counted {}", shown(&bucket.kept), shown(&bucket.counted));
                let fix = Fix::Row(RowFix::AddUsage { bucket_id: bucket.id, by });
                self.found(Problem::UsageWrong, format!("bucket {}", bucket.name), detail, fix);
            }
            self.settle().await?;
        }
        Ok(())
    }
}

fn object_name(bucket: Option<&str>, place: &VersionPlace) -> String {
    let bucket = bucket.map_or_else(|| format!("(bucket {})", place.bucket_id), str::to_owned);
    format!("{bucket}/{} (version {})", String::from_utf8_lossy(&place.key), place.seq)
}

fn shown(usage: &crate::metadata::UsageDelta) -> String {
    let crate::metadata::UsageDelta { object_count, size_bytes, upload_size_bytes } = usage;
    format!("{object_count} objects of {size_bytes} bytes and uploads of {upload_size_bytes} bytes")
}
