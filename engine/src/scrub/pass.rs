//! A pass through everything, with its place kept in the database.

use std::sync::Arc;

use futures::FutureExt;
use serde::{Deserialize, Serialize};

use super::verify::{Pace, verify};
use super::{Damage, ScrubReport};
use crate::metadata::scan::go_on;
use crate::metadata::scrub::{self as rows, Bytes, Found, Item};
use crate::metadata::{check, store_info};
use crate::names::ContentId;
use crate::{Error, Inner, OnProgress, Result};

/// The line of `store_info` that has the scrubber's state.
const STATE: &str = "scrub";
/// Bytes verified between two notes of the place.
const BETWEEN_NOTES_BYTES: u64 = 256 << 20;

/// What the scrubber remembers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    /// When the scrubber first looked at this store, or last ended a pass: the next is due an interval later.
    pub(crate) since_us: Option<i64>,
    /// The pass that is under way.
    pub(crate) pass: Option<Pass>,
    /// The last pass that came to its end.
    pub(crate) last: Option<ScrubReport>,
}

/// A pass under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pass {
    pub(crate) started_us: i64,
    pub(crate) item_count: u64,
    pub(crate) size_bytes: u64,
    /// Bytes that there were when it began, or last went on.
    #[serde(default)]
    pub(crate) total_bytes: u64,
    place: Place,
}

/// After what a pass goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Place {
    /// The content of that id, in hexadecimal; empty before the first.
    Content(String),
    /// The piece of that number, of content of which not all was verified yet.
    Piece(String, i64),
    /// The part of that upload and number.
    Part(String, i64),
}

/// What is remembered; a state of an unknown form counts as none.
pub(crate) async fn state(inner: &Arc<Inner>) -> Result<State> {
    let text = inner.db.read("scrub_state", |tx| store_info::find(tx, STATE).boxed()).await?;
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default())
}

/// Keeps the state, and what was found damaged.
pub(crate) async fn keep(inner: &Arc<Inner>, state: &State, damage: Vec<Damage>) -> Result<()> {
    let text =
        serde_json::to_string(state).map_err(|_| Error::Internal("the scrubber's state could not be written"))?;
    inner
        .db
        .write("scrub_state", move |tx| {
            let (text, damage) = (text.clone(), damage.clone());
            async move {
                for one in &damage {
                    rows::note_damage(tx, one).await?;
                }
                store_info::set(tx, STATE, &text).await
            }
            .boxed()
        })
        .await
}

/// Gives up the pass that is under way.
pub(super) async fn forget_place(inner: &Arc<Inner>) -> Result<()> {
    let state = state(inner).await?;
    keep(inner, &State { pass: None, ..state }, Vec::new()).await
}

/// Goes on with the pass that is under way, or begins one. Returns what it saw, or `None` when it stepped back before its end. The caller
/// has the turn.
pub(crate) async fn run_pass(
    inner: &Arc<Inner>,
    rate_bytes_per_second: u64,
    on_progress: &OnProgress,
    may_go_on: impl Fn() -> bool + Send,
) -> Result<Option<ScrubReport>> {
    let mut state = state(inner).await?;
    let now_us = inner.settings.clock.now_us();
    let place = Place::Content(String::new());
    let fresh = Pass { started_us: now_us, item_count: 0, size_bytes: 0, total_bytes: 0, place };
    let total_bytes = inner.db.read("scrub_size", |tx| rows::size_bytes(tx).boxed()).await;
    // It is for those who watch: what cannot be read is found on the way.
    let total_bytes = total_bytes.or_else(|error| unreadable(error).map(|_| 0))?;
    let mut walk = Walk {
        inner: inner.clone(),
        pace: Pace::new(rate_bytes_per_second),
        on_progress: on_progress.clone(),
        pass: Pass { total_bytes, ..state.pass.take().unwrap_or(fresh) },
        found: Vec::new(),
        noted_bytes: 0,
        skipping: 0,
        state,
    };
    if !walk.contents(&may_go_on).await? || !walk.parts(&may_go_on).await? {
        walk.note().await?;
        return Ok(None);
    }
    walk.end().await.map(Some)
}

/// A pass that is walked.
struct Walk {
    inner: Arc<Inner>,
    pace: Pace,
    on_progress: OnProgress,
    state: State,
    pass: Pass,
    /// Damage that was not noted yet.
    found: Vec<Damage>,
    /// Bytes that were verified when the place was last noted.
    noted_bytes: u64,
    /// How often contents were passed over since some could be read.
    skipping: u32,
}

impl Walk {
    /// Verifies contents; `false` when it has to step back.
    async fn contents(&mut self, may_go_on: &(impl Fn() -> bool + Send)) -> Result<bool> {
        loop {
            let mut after = match &self.pass.place {
                Place::Content(after) => hex::decode(after).unwrap_or_default(),
                Place::Piece(id, number) => {
                    let (content, number) = (id.clone(), *number);
                    if let Ok(id) = ContentId::stored(&hex::decode(id).unwrap_or_default())
                        && !self.pieces(id, number, may_go_on).await?
                    {
                        return Ok(false);
                    }
                    self.pass.place = Place::Content(content);
                    continue;
                }
                Place::Part(..) => return Ok(true),
            };
            let page = match self.page(&after).await {
                Ok(page) => page,
                Err(error) => {
                    self.skip(&after, unreadable(error)?).await?;
                    continue;
                }
            };
            self.skipping = 0;
            if page.is_empty() {
                self.pass.place = Place::Part(String::new(), i64::MIN);
            }
            for Found { place, item } in page {
                if !may_go_on() {
                    return Ok(false);
                }
                if let Err(error) = go_on(&mut after, place.clone()) {
                    self.skip(&after, unreadable(error)?).await?;
                    break;
                }
                match item {
                    Ok(item) => {
                        if !self.content(&item, may_go_on).await? {
                            return Ok(false);
                        }
                    }
                    Err(error) => {
                        let id = ContentId::stored(&place).ok();
                        self.damaged(format!("content {}", hex::encode(&place)), unreadable(error)?, id).await?;
                    }
                }
                self.pass.place = Place::Content(hex::encode(place));
                self.note_now_and_then().await?;
            }
        }
    }

    /// The contents after an id. Where they cannot be read together, one by one.
    async fn page(&self, after: &[u8]) -> Result<Vec<Found<Vec<u8>>>> {
        let (db, from) = (&self.inner.db, after.to_vec());
        match db.read("scrub", |tx| async move { rows::contents(tx, &from).await }.boxed()).await {
            Err(error) if error.is_unreadable_row() => {}
            page => return page,
        }
        let (from, mut page) = (after.to_vec(), Vec::new());
        for place in db.read("scrub_ids", |tx| async move { rows::content_ids(tx, &from).await }.boxed()).await? {
            let id = place.clone();
            let found = db.read("scrub_one", |tx| async move { rows::content(tx, &id).await }.boxed()).await;
            page.extend(found.unwrap_or_else(|error| Some(Found { place, item: Err(error) })));
        }
        Ok(page)
    }

    /// Goes past contents of which not even the ids can be read. How many they are, and how close their ids lie, nobody knows: steps
    /// that double soon lead behind them, and pass over hardly more than twice as much. The first is within a run of ids
    /// (`content_ids.rs`).
    async fn skip(&mut self, after: &[u8], detail: String) -> Result<()> {
        if self.skipping == 0 {
            let detail = format!("rows behind {} cannot be read: {detail}", hex::encode(after));
            self.damaged("contents".to_owned(), detail, None).await?;
        }
        self.pass.place = match step_past(after, self.skipping) {
            Some(to) => Place::Content(hex::encode(to)),
            None => Place::Part(String::new(), i64::MIN),
        };
        self.skipping += 1;
        self.note().await
    }

    async fn content(&mut self, item: &Item, may_go_on: &(impl Fn() -> bool + Send)) -> Result<bool> {
        self.verify(item).await?;
        match (&item.bytes, item.content_id) {
            (Bytes::Pieces, Some(id)) => self.pieces(id, i64::MIN, may_go_on).await,
            (Bytes::Pieces | Bytes::Inline(_) | Bytes::Blob(_), _) => Ok(true),
        }
    }

    /// Verifies the pieces of some content after a number; `false` when it has to step back.
    async fn pieces(&mut self, id: ContentId, mut after: i64, may_go_on: &(impl Fn() -> bool + Send)) -> Result<bool> {
        loop {
            let page = match self.inner.db.read("scrub", |tx| rows::pieces(tx, id, after).boxed()).await {
                Ok(page) if page.is_empty() => return Ok(true),
                Ok(page) => page,
                Err(error) => return self.broken_pieces(id, error).await,
            };
            for Found { place, item } in page {
                if !may_go_on() {
                    return Ok(false);
                }
                if let Err(error) = go_on(&mut after, place) {
                    return self.broken_pieces(id, error).await;
                }
                match item {
                    Ok(item) => self.verify(&item).await?,
                    Err(error) => {
                        self.damaged(format!("piece {place} of content {id}"), unreadable(error)?, Some(id)).await?;
                    }
                }
                self.pass.place = Place::Piece(id.to_string(), place);
                self.note_now_and_then().await?;
            }
        }
    }

    /// What is left of some content cannot be found: the pass goes on behind it.
    async fn broken_pieces(&mut self, id: ContentId, error: Error) -> Result<bool> {
        self.damaged(format!("pieces of content {id}"), unreadable(error)?, Some(id)).await?;
        Ok(true)
    }

    async fn parts(&mut self, may_go_on: &(impl Fn() -> bool + Send)) -> Result<bool> {
        while let Place::Part(upload, number) = self.pass.place.clone() {
            let mut after = (upload.clone(), number);
            let page =
                self.inner.db.read("scrub", |tx| async move { rows::parts(tx, (&upload, number)).await }.boxed());
            let page = match page.await {
                Ok(page) if page.is_empty() => break,
                Ok(page) => page,
                // They are the last of all.
                Err(error) => {
                    self.damaged("parts".to_owned(), unreadable(error)?, None).await?;
                    break;
                }
            };
            for Found { place, item } in page {
                if !may_go_on() {
                    return Ok(false);
                }
                if let Err(error) = go_on(&mut after, place.clone()) {
                    self.damaged("parts".to_owned(), unreadable(error)?, None).await?;
                    return Ok(true);
                }
                match item {
                    Ok(item) => self.verify(&item).await?,
                    Err(error) => {
                        let subject = format!("part {} of upload {}", place.1, place.0);
                        self.damaged(subject, unreadable(error)?, None).await?;
                    }
                }
                self.pass.place = Place::Part(place.0, place.1);
                self.note_now_and_then().await?;
            }
        }
        Ok(true)
    }

    /// Notes damage, with the objects that it concerns as far as they can be told.
    async fn damaged(&mut self, subject: String, detail: String, content_id: Option<ContentId>) -> Result<()> {
        tracing::error!(subject, detail, "the scrubber found damage");
        let objects = match content_id {
            Some(id) => self.inner.db.read("damaged_objects", |tx| rows::objects_of(tx, id).boxed()).await,
            None => Ok(Vec::new()),
        };
        let objects = objects.or_else(|error| unreadable(error).map(|_| Vec::new()))?;
        let now_us = self.inner.settings.clock.now_us();
        self.found.push(Damage { subject, detail, objects, found_us: now_us, seen_us: now_us });
        Ok(())
    }

    async fn verify(&mut self, item: &Item) -> Result<()> {
        if let Some(detail) = verify(&self.inner, item, &mut self.pace).await? {
            self.damaged(subject(item), detail, item.content_id).await?;
        }
        // Pieces are counted each.
        if !matches!(item.bytes, Bytes::Pieces) {
            self.pass.item_count += 1;
            self.pass.size_bytes += item.size_bytes;
        }
        self.on_progress.bytes(
            "verifying",
            self.pass.size_bytes,
            Some(self.pass.total_bytes.max(self.pass.size_bytes)),
        );
        Ok(())
    }

    async fn note_now_and_then(&mut self) -> Result<()> {
        if !self.found.is_empty() || self.pass.size_bytes - self.noted_bytes >= BETWEEN_NOTES_BYTES {
            self.note().await?;
        }
        Ok(())
    }

    async fn note(&mut self) -> Result<()> {
        self.noted_bytes = self.pass.size_bytes;
        let state = State { pass: Some(self.pass.clone()), ..self.state.clone() };
        keep(&self.inner, &state, std::mem::take(&mut self.found)).await
    }

    /// Looks at the database's own structure, and forgets damage that is no more.
    async fn end(mut self) -> Result<ScrubReport> {
        self.on_progress.bytes("checking the database", self.pass.size_bytes, None);
        let lines = match self.inner.db.read("integrity", |tx| check::integrity(tx).boxed()).await {
            Err(error) if error.is_unreadable_row() => vec![error.to_string()],
            lines => lines?,
        };
        let now_us = self.inner.settings.clock.now_us();
        if !lines.is_empty() {
            let detail = lines.join("; ");
            tracing::error!(detail, "the scrubber found damage in the database");
            let subject = "database".to_owned();
            self.found.push(Damage { subject, detail, objects: Vec::new(), found_us: now_us, seen_us: now_us });
        }
        let Pass { started_us, item_count, size_bytes, .. } = self.pass;
        let report = ScrubReport { started_us, ended_us: now_us, item_count, size_bytes, damage: Vec::new() };
        let state = State { since_us: Some(now_us), pass: None, last: Some(report.clone()) };
        keep(&self.inner, &state, self.found).await?;
        let inner = &self.inner;
        inner.db.write("forget_damage", move |tx| rows::forget_damage_before(tx, started_us).boxed()).await?;
        Ok(report)
    }
}

/// The first half of an id that comes after another by a step: 64 ids of a run at first, and twice as many each time.
fn step_past(after: &[u8], times: u32) -> Option<[u8; 8]> {
    const FIRST: u64 = 64;
    let mut half = [0; 8];
    half.iter_mut().zip(after).for_each(|(to, from)| *to = *from);
    let step = FIRST.checked_mul(1_u64.checked_shl(times)?)?;
    u64::from_be_bytes(half).checked_add(step).map(u64::to_be_bytes)
}

/// What is wrong with rows that the database does not give; other errors come back.
fn unreadable(error: Error) -> Result<String> {
    match error {
        Error::Corrupt(what) => Ok(what),
        Error::Metadata { source, .. } => Ok(source.to_string()),
        error => Err(error),
    }
}

fn subject(item: &Item) -> String {
    match (item.content_id, &item.upload_id) {
        (Some(id), _) if item.number == 0 => format!("content {id}"),
        (Some(id), _) => format!("piece {} of content {id}", item.number),
        (None, Some(upload)) => format!("part {} of upload {upload}", item.number),
        (None, None) => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_over_ids_that_cannot_be_read_begin_in_a_run_and_double() {
        assert_eq!(step_past(&[], 0), Some(64_u64.to_be_bytes()));
        assert_eq!(
            step_past(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16], 2),
            Some([1, 2, 3, 4, 5, 6, 8, 8])
        );
        assert_eq!(step_past(&[0xff; 16], 0), None, "nothing is behind the last");
        // Whatever cannot be read, a few dozen steps lead behind all there can be.
        let (mut at, mut times) = (Vec::new(), 0);
        while let Some(next) = step_past(&at, times) {
            assert!(next.as_slice() > at.as_slice());
            (at, times) = (next.to_vec(), times + 1);
        }
        assert!(times < 64, "{times} steps");
    }
}
