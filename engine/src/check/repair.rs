//! Settles findings: sets right what can be, when that was asked for, and puts them into the report.

use futures::FutureExt;

use super::{Checker, Fix};
use crate::bytes::outflow::Source;
use crate::metadata::repair::{self, RowFix};
use crate::names::{BlobId, ContentId};
use crate::{Result, bytes};

impl Checker {
    /// Settles what was found since the last time.
    pub(super) async fn settle(&mut self) -> Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let mut pending = std::mem::take(&mut self.pending);
        if self.options.repair {
            let rows: Vec<RowFix> = pending.iter().filter_map(|(_, fix)| row_fix(fix)).collect();
            let mut changed = self.change_rows(rows).await?.into_iter();
            for (finding, fix) in &mut pending {
                finding.repaired = match fix {
                    Fix::Nothing => None,
                    Fix::Row(fix) => changed.next().unwrap_or_default().then(|| done(fix).to_owned()),
                    Fix::Quarantine(id) => self.quarantine(*id).await?,
                    Fix::BringBack(id) => self.bring_back(*id).await?,
                    Fix::PutContentAside(id) => self.put_content_aside(*id).await?,
                };
            }
        }
        for (finding, _) in pending {
            tracing::warn!(
                problem = finding.problem.describe(),
                subject = finding.subject,
                detail = finding.detail,
                repaired = finding.repaired,
                "the check found a contradiction"
            );
            self.report.add(finding);
        }
        Ok(())
    }

    /// Makes changes of the database in one transaction; says of each whether there was something to change.
    async fn change_rows(&self, fixes: Vec<RowFix>) -> Result<Vec<bool>> {
        if fixes.is_empty() {
            return Ok(Vec::new());
        }
        let write = self.inner.db.write("repair", move |tx| {
            let fixes = fixes.clone();
            async move {
                let mut changed = Vec::with_capacity(fixes.len());
                for fix in &fixes {
                    changed.push(fix.apply(tx).await?);
                }
                Ok(changed)
            }
            .boxed()
        });
        write.await
    }

    async fn quarantine(&self, id: BlobId) -> Result<Option<String>> {
        let store = self.inner.store.clone();
        match bytes::blocking(move || store.quarantine(id)).await {
            Ok(()) => Ok(Some("put into quarantine".to_owned())),
            // It stays where it is, and the finding stays open.
            Err(error) => error.damage().map(|what| not_done(id, &what)),
        }
    }

    async fn bring_back(&self, id: BlobId) -> Result<Option<String>> {
        let store = self.inner.store.clone();
        match bytes::blocking(move || store.bring_back(id)).await {
            Ok(true) => Ok(Some("brought back".to_owned())),
            // It is gone.
            Ok(false) => Ok(None),
            // What lies there is no blob that could be read.
            Err(error) => error.damage().map(|what| not_done(id, &what)),
        }
    }

    /// Writes inline bytes to blobs in quarantine, drops the rows, and puts the blobs there as well. A crash in between leaves blobs
    /// without rows, which go the same way.
    async fn put_content_aside(&self, id: ContentId) -> Result<Option<String>> {
        let sources = self.read(|tx| repair::sources(tx, id).boxed()).await?;
        let Some(sources) = sources else { return Ok(None) };
        let mut blobs = Vec::with_capacity(sources.len());
        for source in sources {
            let store = self.inner.store.clone();
            match source {
                Source::Blob { id, .. } => blobs.push(id),
                Source::Inline(data) => {
                    let id = BlobId::random();
                    bytes::blocking(move || {
                        let mut writer = store.create(id, Some(data.len() as u64))?;
                        writer.write(&data)?;
                        writer.finish()
                    })
                    .await?;
                    blobs.push(id);
                }
            }
        }
        self.change_rows(vec![RowFix::DropContent(id)]).await?;
        let mut names = Vec::with_capacity(blobs.len());
        for blob in blobs {
            if self.quarantine(blob).await?.is_some() {
                names.push(blob.to_string());
            }
        }
        Ok(Some(format!("its bytes are in quarantine: {}", names.join(", "))))
    }
}

/// A blob that could not be moved.
fn not_done(id: BlobId, what: &str) -> Option<String> {
    tracing::error!(%id, what, "a blob could not be moved");
    None
}

fn row_fix(fix: &Fix) -> Option<RowFix> {
    match fix {
        Fix::Row(fix) => Some(fix.clone()),
        Fix::Nothing | Fix::Quarantine(_) | Fix::BringBack(_) | Fix::PutContentAside(_) => None,
    }
}

/// What a change did, for people.
fn done(fix: &RowFix) -> &'static str {
    match fix {
        RowFix::SetCurrent { .. } => "the latest version is current",
        RowFix::AddRefs { .. } | RowFix::AddUsage { .. } => "counted anew",
        RowFix::KeepBlob(_) => "no longer garbage",
        RowFix::Lose(_) => "put aside; it comes back when its bytes do",
        RowFix::Return(_) => "brought back",
        RowFix::DropContent(_) => "dropped",
    }
}
