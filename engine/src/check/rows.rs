//! Rows against rows: versions, current objects, contents, pieces, parts.

use futures::FutureExt;

use super::bytes::{BlobCheck, Owner};
use super::{Checker, Fix, Problem, object_name};
use crate::Result;
use crate::metadata::check::{self, ContentRow, Held, PartRow, PieceRow, VersionPlace, VersionRow};
use crate::metadata::repair::RowFix;
use crate::metadata::scan::go_on;

impl Checker {
    pub(super) async fn versions(&mut self) -> Result<()> {
        let mut after = VersionPlace::first();
        loop {
            let from = after.clone();
            let rows = self.read(|tx| async move { check::versions(tx, &from).await }.boxed()).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            go_on(&mut after, last.place.clone())?;
            self.report.examined.versions += rows.len() as u64;
            for row in &rows {
                self.version(row);
            }
            self.settle().await?;
        }
    }

    fn version(&mut self, row: &VersionRow) {
        let name = object_name(row.bucket.as_deref(), &row.place);
        let lose = || Fix::Row(RowFix::Lose(row.place.clone()));
        if row.bucket.is_none() {
            self.found(Problem::VersionWithoutBucket, name, "there is no such bucket", lose());
            return;
        }
        match (row.is_object, row.content_size_bytes) {
            (true, None) => {
                let detail = row.content_id.as_ref().map_or_else(
                    || "it names no content".to_owned(),
                    |id| format!("content {} is not there", hex::encode(id)),
                );
                self.found(Problem::VersionWithoutContent, name, detail, lose());
                return;
            }
            (true, Some(size)) if size != row.size_bytes => {
                let detail = format!("the version has {} bytes, its content {size}", row.size_bytes);
                self.found(Problem::SizesDiffer, name.clone(), detail, Fix::Nothing);
            }
            (true, Some(_)) | (false, _) => {}
        }
        if let Some(detail) = wrong_current(row) {
            self.found(Problem::CurrentWrong, name, detail, set_current(&row.place));
        }
    }

    pub(super) async fn current(&mut self) -> Result<()> {
        let mut after = VersionPlace::first();
        loop {
            let from = after.clone();
            let rows = self.read(|tx| async move { check::current(tx, &from).await }.boxed()).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            go_on(&mut after, last.place.clone())?;
            self.report.examined.current += rows.len() as u64;
            for row in rows.iter().filter(|row| !row.has_object) {
                let name = object_name(row.bucket.as_deref(), &row.place);
                self.found(Problem::CurrentWrong, name, "it names no object", set_current(&row.place));
            }
            self.settle().await?;
        }
    }

    pub(super) async fn contents(&mut self) -> Result<()> {
        let mut after = Vec::new();
        loop {
            let from = after.clone();
            let rows = self.read(|tx| async move { check::contents(tx, &from).await }.boxed()).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            go_on(&mut after, last.id.as_bytes().to_vec())?;
            self.report.examined.contents += rows.len() as u64;
            let mut blobs = Vec::new();
            for row in &rows {
                let subject = format!("content {}", row.id);
                if let Some(detail) = malformed_content(row) {
                    self.found(Problem::ContentMalformed, subject.clone(), detail, Fix::Nothing);
                }
                blobs.extend(self.held(&row.held, Owner::Content(row.id), &subject)?);
            }
            self.look_at_blobs(blobs).await?;
            self.settle().await?;
        }
    }

    pub(super) async fn pieces_and_parts(&mut self) -> Result<()> {
        self.pieces().await?;
        self.parts().await
    }

    async fn pieces(&mut self) -> Result<()> {
        let mut after = (Vec::new(), i64::MIN);
        loop {
            let from = after.clone();
            let rows = self.read(|tx| async move { check::pieces(tx, (&from.0, from.1)).await }.boxed()).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            go_on(&mut after, (last.content_id.as_bytes().to_vec(), last.number))?;
            self.report.examined.pieces += rows.len() as u64;
            let mut blobs = Vec::new();
            for row in &rows {
                blobs.extend(self.piece(row)?);
            }
            self.look_at_blobs(blobs).await?;
            self.settle().await?;
        }
    }

    fn piece(&mut self, row: &PieceRow) -> Result<Option<BlobCheck>> {
        let subject = format!("piece {} of content {}", row.number, row.content_id);
        if !row.has_content {
            self.found(Problem::PieceWithoutContent, subject.clone(), "there is no such content", Fix::Nothing);
        }
        if row.start_bytes != row.expected_start_bytes {
            let detail =
                format!("it begins at {}, the one before ends at {}", row.start_bytes, row.expected_start_bytes);
            self.found(Problem::ContentMalformed, subject.clone(), detail, Fix::Nothing);
        }
        if let Some(detail) = malformed_place(&row.held) {
            self.found(Problem::ContentMalformed, subject.clone(), detail, Fix::Nothing);
        }
        self.held(&row.held, Owner::Content(row.content_id), &subject)
    }

    async fn parts(&mut self) -> Result<()> {
        let mut after = (String::new(), i64::MIN);
        loop {
            let from = after.clone();
            let rows = self.read(|tx| async move { check::parts(tx, (&from.0, from.1)).await }.boxed()).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            go_on(&mut after, (last.upload_id.clone(), last.number))?;
            self.report.examined.parts += rows.len() as u64;
            let mut blobs = Vec::new();
            for row in &rows {
                blobs.extend(self.part(row)?);
            }
            self.look_at_blobs(blobs).await?;
            self.settle().await?;
        }
    }

    fn part(&mut self, row: &PartRow) -> Result<Option<BlobCheck>> {
        let subject = format!("part {} of upload {}", row.number, row.upload_id);
        if !row.has_upload {
            let detail = "there is no such upload, or no bucket of it";
            self.found(Problem::PartWithoutUpload, subject.clone(), detail, Fix::Nothing);
        }
        if let Some(detail) = malformed_place(&row.held) {
            self.found(Problem::ContentMalformed, subject.clone(), detail, Fix::Nothing);
        }
        self.held(&row.held, Owner::Part, &subject)
    }
}

fn set_current(place: &VersionPlace) -> Fix {
    Fix::Row(RowFix::SetCurrent { bucket_id: place.bucket_id, key: place.key.clone() })
}

/// Only the latest version of a key may be current, and it must be when it is an object.
fn wrong_current(row: &VersionRow) -> Option<String> {
    let seq = row.place.seq;
    match (row.is_latest, row.is_object, row.current_seq) {
        (true, true, Some(current)) if current == seq => {
            row.current_differs.then(|| "the row of the current object says something else".to_owned())
        }
        (true, true, None) => Some("the latest version is not current".to_owned()),
        (true, true, Some(current)) => Some(format!("version {current} is current, {seq} is the latest")),
        (true, false, Some(current)) => Some(format!("version {current} is current although the object is deleted")),
        (true, false, None) | (false, _, _) => None,
    }
}

fn malformed_content(row: &ContentRow) -> Option<String> {
    let held = &row.held;
    let places = u8::from(held.blob_id.is_some()) + u8::from(held.data_bytes.is_some());
    match (places, row.piece_count) {
        (1, 0) => malformed_place(held),
        (0, 1..) if row.pieces_size_bytes == held.size_bytes => None,
        (0, 1..) => Some(format!("its pieces have {} bytes, it has {}", row.pieces_size_bytes, held.size_bytes)),
        (0, _) => Some("its bytes are nowhere".to_owned()),
        (_, _) => Some("its bytes are in more than one place".to_owned()),
    }
}

/// Bytes in one place, and as many as there should be.
fn malformed_place(held: &Held) -> Option<String> {
    match (&held.blob_id, held.data_bytes) {
        (Some(_), None) => None,
        (None, Some(data_bytes)) if data_bytes == held.size_bytes => None,
        (None, Some(data_bytes)) => Some(format!("{data_bytes} bytes are there, {} should be", held.size_bytes)),
        (None, None) => Some("its bytes are nowhere".to_owned()),
        (Some(_), Some(_)) => Some("its bytes are in two places".to_owned()),
    }
}
