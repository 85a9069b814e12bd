//! SQL of changes to many keys at once: objects that are stored and objects that are deleted, in about as few statements as for one.
//!
//! Each way to the database costs more than what SQLite does there, so what a group commit has to change is looked up in one statement,
//! decided, and written in a few. What is rare (a key that stands there twice, a version that is named, content that is shared,
//! suspended versioning) is changed one by one.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use super::contents::{self, NewContent};
use super::many::{Many, Part, execute_many, fetch_many};
use super::objects::{self, Made, Marker, NewVersion, Version};
use super::settle::settle;
use super::tx::{self, UsageChanges, UsageDelta};
use super::{Row, Tx, Value, outbox, quota, values, versions};
use crate::buckets::{Durability, Versioning};
use crate::events::{EventKind, Happened, Notify};
use crate::journal::Note;
use crate::names::{ContentId, ObjectKey, VersionId};
use crate::objects::{Deleted, WriteConditions};
use crate::version_ids::VersionIds;
use crate::{Error, Result};

/// A change that is wanted at one key.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) bucket_id: i64,
    pub(crate) key: ObjectKey,
    pub(crate) wanted: Wanted,
    /// Who is told of it.
    pub(crate) notify: Option<Arc<Notify>>,
}

/// What is wanted at a key.
#[derive(Debug)]
pub(crate) enum Wanted {
    /// A new version with new content.
    Put(Box<NewObject>),
    /// That there is no current version, or that the version named is gone.
    Delete { version_id: Option<VersionId>, if_match: Option<String>, bypass: bool },
}

/// An object that is to be stored.
#[derive(Debug)]
pub(crate) struct NewObject {
    pub(crate) version: NewVersion,
    pub(crate) content: NewContent,
    pub(crate) conditions: WriteConditions,
    /// What is told of it.
    pub(crate) told_as: EventKind,
}

/// A change that was made.
#[derive(Debug)]
pub(crate) enum Done {
    Put(Box<Made>),
    Deleted(Deleted),
}

/// What became of each change, in their order. Refusals that concern one key alone are among them; any other error is the error of all
/// changes that belong together.
pub(crate) type Outcomes = Result<Vec<Result<Done>>>;

/// A transaction that is made of changes.
pub(crate) struct Changes<T> {
    pub(crate) name: &'static str,
    pub(crate) ids: VersionIds,
    /// Whether they are answered once they are durable, or before.
    pub(crate) durability: Durability,
    pub(crate) changes: Vec<Change>,
    /// Makes the answer of what became of them.
    pub(crate) finish: fn(Vec<Result<Done>>) -> Result<T>,
}

impl<T> Changes<T> {
    pub(super) fn group(&self) -> Group<'_> {
        Group { ids: &self.ids, changes: &self.changes }
    }

    /// Makes them; on an error the caller undoes them.
    pub(super) async fn make(&self, tx: &mut Tx) -> Result<T> {
        let group = self.group();
        let planned = plan(tx, &[group]).await?.pop().ok_or(Error::Internal("a plan was lost"))?;
        let Planned { outcomes, rows } = planned?;
        write(tx, rows).await?;
        let mut done = Vec::with_capacity(self.changes.len());
        for (change, outcome) in self.changes.iter().zip(outcomes) {
            done.push(match outcome {
                Some(outcome) => outcome,
                None => alone(settle(tx, &self.ids, change).await)?,
            });
        }
        (self.finish)(done)
    }
}

/// Changes that belong together: an error that is not about one key alone is everybody's.
#[derive(Clone, Copy)]
pub(super) struct Group<'a> {
    ids: &'a VersionIds,
    changes: &'a [Change],
}

impl Group<'_> {
    pub(super) fn changes_count(&self) -> usize {
        self.changes.len()
    }

    /// Where it begins to change something.
    pub(super) fn place(&self) -> Option<(i64, &[u8])> {
        self.changes.first().map(|change| (change.bucket_id, change.key.as_bytes()))
    }
}

/// Makes the changes of several who know nothing of each other, as far as that goes in one: those that are left to be made by themselves
/// are `None`. Nobody's refusal touches the changes of another.
pub(super) async fn make_together(tx: &mut Tx, groups: &[Group<'_>]) -> Result<Vec<Option<Outcomes>>> {
    let plans = plan(tx, groups).await?;
    // Where there is no room for all of them, they are made one by one, as far as there is room.
    let full = quota::full_buckets(tx, &usage_of(&plans)).await?;
    let (mut together, mut all) = (Vec::with_capacity(groups.len()), Rows::default());
    for planned in plans {
        together.push(match planned {
            Err(error) => Some(Err(error)),
            Ok(planned) if planned.changes_any(&full) => None,
            Ok(Planned { outcomes, rows }) => {
                let outcomes: Option<Vec<_>> = outcomes.into_iter().collect();
                if outcomes.is_some() {
                    all.add(rows);
                }
                outcomes.map(Ok)
            }
        });
    }
    write(tx, all).await?;
    Ok(together)
}

/// Tells the refusals that concern one key from the errors of all.
fn alone(result: Result<Done>) -> Result<Result<Done>> {
    match result {
        Err(error @ (Error::PreconditionFailed { .. } | Error::NoSuchKey { .. } | Error::ObjectLocked)) => {
            Ok(Err(error))
        }
        other => other.map(Ok),
    }
}

/// What is to be written for some changes, and what is answered then. Changes without an outcome are to be made one by one.
struct Planned {
    outcomes: Vec<Option<Result<Done>>>,
    rows: Rows,
}

impl Planned {
    /// Whether it changes what one of some buckets holds.
    fn changes_any(&self, buckets: &BTreeSet<i64>) -> bool {
        !buckets.is_empty() && self.rows.usage.iter().any(|(bucket_id, _)| buckets.contains(bucket_id))
    }
}

/// How all plans together change what buckets hold.
fn usage_of(plans: &[Result<Planned>]) -> UsageChanges {
    let mut usage = UsageChanges::new();
    for (bucket_id, delta) in plans.iter().flatten().flat_map(|planned| &planned.rows.usage) {
        tx::add_usage(&mut usage, *bucket_id, *delta);
    }
    usage
}

/// Looks up what the changes meet and decides on each. Changes at a key that stands there before are left for later.
async fn plan(tx: &mut Tx, groups: &[Group<'_>]) -> Result<Vec<Result<Planned>>> {
    let mut keys = HashSet::new();
    let all = || groups.iter().flat_map(|group| group.changes);
    let is_first: Vec<bool> = all().map(|change| keys.insert((change.bucket_id, &change.key))).collect();
    let first: Vec<&Change> = all().zip(&is_first).filter(|(_, is_first)| **is_first).map(|(one, _)| one).collect();
    let (mut met, mut is_first) = (look(tx, &first).await?.into_iter(), is_first.into_iter());
    let mut plans = Vec::with_capacity(groups.len());
    for group in groups {
        let mut planned = Ok(Planned { outcomes: Vec::with_capacity(group.changes.len()), rows: Rows::default() });
        for change in group.changes {
            let met = if is_first.next().unwrap_or_default() { met.next() } else { None };
            if let Ok(so_far) = &mut planned
                && let Err(error) = so_far.add(tx, group.ids, change, met).await
            {
                planned = Err(error);
            }
        }
        plans.push(planned);
    }
    Ok(plans)
}

impl Planned {
    /// Decides on a change by what it meets. [`Err`] when that is refused to all that belong together.
    async fn add(&mut self, tx: &mut Tx, ids: &VersionIds, change: &Change, met: Option<Result<Met>>) -> Result<()> {
        let outcome = match met.transpose()? {
            Some(met) if !met.is_rare(change) => Some(alone(self.decide(tx, ids, change, met).await)?),
            Some(_) | None => None,
        };
        self.outcomes.push(outcome);
        Ok(())
    }

    async fn decide(&mut self, tx: &mut Tx, ids: &VersionIds, change: &Change, met: Met) -> Result<Done> {
        let Met { versioning, current } = met;
        let etag = current.as_ref().map(|current| current.etag.as_str());
        match &change.wanted {
            Wanted::Put(new) => {
                objects::check_conditions(etag, &new.conditions)?;
                if let (Some(current), Versioning::Off) = (current, versioning) {
                    self.rows.remove(tx, change, &current);
                }
                let seq = tx.take_seq().await?;
                let version = new.version.clone().into_version(seq, versions::id_of(ids, versioning, seq), tx.now_us());
                self.rows.store(change, &version, &new.content)?;
                self.rows.tell(tx, change, &Happened::to_version(new.told_as, &change.key, &version))?;
                Ok(Done::Put(Box::new(Made { version, versioning })))
            }
            Wanted::Delete { version_id: _, if_match, bypass: _ } => {
                let conditions = WriteConditions { if_match: if_match.clone(), if_none_match: None };
                objects::check_conditions(etag, &conditions)?;
                if let Some(current) = &current {
                    self.rows.hide(change);
                    if versioning == Versioning::Off {
                        self.rows.remove(tx, change, current);
                    }
                }
                if versioning == Versioning::Off {
                    if current.is_some() && change.notify.is_some() {
                        let seq = tx.take_seq().await?;
                        self.rows.tell(tx, change, &Happened::deletion(EventKind::Removed, &change.key, seq, None))?;
                    }
                    return Ok(Done::Deleted(Deleted::default()));
                }
                let seq = tx.take_seq().await?;
                let id = versions::id_of(ids, versioning, seq);
                let marker = Marker { seq, version_id: id.clone(), modified_us: tx.now_us() };
                self.rows.markers.push(versions::values_of_marker(change.bucket_id, &change.key, &marker));
                self.rows.notes.push(versions::note_of_marker(change.bucket_id, &change.key, &marker));
                let made = Happened::deletion(EventKind::MarkerCreated, &change.key, seq, Some(&id));
                self.rows.tell(tx, change, &made)?;
                Ok(Done::Deleted(Deleted { marker: Some(id), ..Deleted::default() }))
            }
        }
    }
}

/// What a change meets.
struct Met {
    versioning: Versioning,
    current: Option<Current>,
}

/// The current version of a key, with how its content is kept.
struct Current {
    seq: i64,
    etag: String,
    size_bytes: i64,
    content_id: ContentId,
    refs: i64,
    blob_id: Option<Vec<u8>>,
    in_pieces: bool,
}

impl Met {
    /// Whether this is so rare that it is left to the statements for one change.
    fn is_rare(&self, change: &Change) -> bool {
        let names_version = matches!(change.wanted, Wanted::Delete { version_id: Some(_), .. });
        let is_shared = self.current.as_ref().is_some_and(|current| current.refs != 1);
        names_version || self.versioning == Versioning::Suspended || (self.versioning == Versioning::Off && is_shared)
    }

    fn from_row(row: &Row, change: &Change) -> Result<Self> {
        let versioning = row.opt_text("versioning")?.ok_or(Error::NoSuchBucket)?;
        let versioning = super::buckets::versioning_of(&versioning)?;
        let Some(seq) = row.opt_int("seq")? else { return Ok(Self { versioning, current: None }) };
        objects::confirm_place(row, change.bucket_id, &change.key)?;
        let content_id =
            row.opt_blob("content_id")?.ok_or_else(|| Error::corrupt("an object version has no content"))?;
        let refs = row.opt_int("refs")?;
        let refs = refs.ok_or_else(|| Error::corrupt("a version refers to content that is not there"))?;
        let current = Current {
            seq,
            etag: row.text("etag")?,
            size_bytes: row.int("size_bytes")?,
            content_id: ContentId::stored(&content_id)?,
            refs,
            blob_id: row.opt_blob("blob_id")?,
            in_pieces: row.flag("in_pieces")?,
        };
        if row.blob("content_row")? != content_id {
            return Err(Error::corrupt("the index of contents leads to other content"));
        }
        Ok(Self { versioning, current: Some(current) })
    }
}

macro_rules! look {
    ($more:literal) => {
        Many::new(
            3,
            &[Part {
                before: "WITH wanted (place, bucket_id, key) AS (VALUES ",
                row: "($1, $2, $3)",
                between: ", ",
                after: concat!(
                    ")
            SELECT w.place, b.versioning, q.value AS quota, v.bucket_id, v.key, v.seq, v.etag, v.size_bytes, v.content_id,
                   o.id AS content_row, o.refs, o.blob_id,
                   CASE WHEN o.blob_id IS NULL AND o.data IS NULL THEN 1 ELSE 0 END AS in_pieces",
                    $more,
                    "
            FROM wanted w
            LEFT JOIN buckets b ON b.id = w.bucket_id AND b.trashed = 0
            LEFT JOIN bucket_settings q ON q.bucket_id = w.bucket_id AND q.kind = 'quota'
            LEFT JOIN current c ON c.bucket_id = w.bucket_id AND c.key = w.key
            LEFT JOIN versions v ON v.bucket_id = c.bucket_id AND v.key = c.key AND v.seq = c.seq
            LEFT JOIN contents o ON o.id = v.content_id"
                ),
            }],
        )
    };
}

static LOOK: Many = look!("");

/// Where others write at the same time, and nothing is current, the newest version is read besides, for nothing but to have been read: see
/// [`versions::note_newest`]. And the number that a version takes is brought along, which would be another way to the server for each.
static LOOK_AMONG_OTHERS: Many = look!(
    ",
                   CASE WHEN c.seq IS NULL THEN
                       (SELECT MAX(n.seq) FROM versions n WHERE n.bucket_id = w.bucket_id AND n.key = w.key)
                   END AS newest_seq,
                   nextval('commit_sequence') AS next_seq"
);

/// What each change meets, in their order.
async fn look(tx: &mut Tx, changes: &[&Change]) -> Result<Vec<Result<Met>>> {
    let mut met: Vec<Option<Result<Met>>> = changes.iter().map(|_| None).collect();
    let places = || (0_i64..).zip(changes);
    let rows = places().map(|(place, change)| values![place, change.bucket_id, change.key.as_bytes()]).collect();
    let look = if tx.is_embedded() { &LOOK } else { &LOOK_AMONG_OTHERS };
    for row in fetch_many(tx, look, rows).await? {
        if !tx.is_embedded() {
            tx.keep_seq(row.int("next_seq")?);
        }
        let place = usize::try_from(row.int("place")?).unwrap_or(usize::MAX);
        if let (Some(met), Some(change)) = (met.get_mut(place), changes.get(place)) {
            quota::note(tx, change.bucket_id, row.opt_text("quota")?.as_deref())?;
            *met = Some(Met::from_row(&row, change));
        }
    }
    met.into_iter().map(|met| met.ok_or(Error::Internal("a look-up lost a key"))).collect()
}

/// Rows that are written and removed, each list by one statement.
#[derive(Default)]
struct Rows {
    /// Objects: a version, the current version, the content.
    stored: Vec<Vec<Value>>,
    markers: Vec<Vec<Value>>,
    hidden: Vec<Vec<Value>>,
    removed_versions: Vec<Vec<Value>>,
    removed_contents: Vec<Vec<Value>>,
    garbage: Vec<Vec<Value>>,
    unused_contents: Vec<Vec<Value>>,
    usage: Vec<(i64, UsageDelta)>,
    events: Vec<Vec<Value>>,
    notes: Vec<Note>,
}

impl Rows {
    fn add(&mut self, other: Self) {
        let Self {
            stored,
            markers,
            hidden,
            removed_versions,
            removed_contents,
            garbage,
            unused_contents,
            usage,
            events,
            notes,
        } = other;
        self.stored.extend(stored);
        self.markers.extend(markers);
        self.hidden.extend(hidden);
        self.removed_versions.extend(removed_versions);
        self.removed_contents.extend(removed_contents);
        self.garbage.extend(garbage);
        self.unused_contents.extend(unused_contents);
        self.usage.extend(usage);
        self.events.extend(events);
        self.notes.extend(notes);
    }

    /// Notes what happened for those who are told of it.
    fn tell(&mut self, tx: &Tx, change: &Change, happened: &Happened<'_>) -> Result<()> {
        if let Some(notify) = &change.notify {
            self.events.extend(outbox::rows(tx, change.bucket_id, notify, happened)?);
        }
        Ok(())
    }

    fn store(&mut self, change: &Change, version: &Version, content: &NewContent) -> Result<()> {
        let mut row = objects::values_of(change.bucket_id, &change.key, version)?;
        row.extend(contents::values_of(content));
        self.stored.push(row);
        self.notes.push(objects::note_of(change.bucket_id, &change.key, version, content.place.blob().copied()));
        let size_bytes = contents::to_i64(version.size_bytes);
        self.usage.push((change.bucket_id, UsageDelta { object_count: 1, size_bytes, upload_size_bytes: 0 }));
        Ok(())
    }

    fn hide(&mut self, change: &Change) {
        self.hidden.push(values![change.bucket_id, change.key.as_bytes()]);
    }

    /// Removes the current version, and its content, which it has for itself.
    fn remove(&mut self, tx: &Tx, change: &Change, current: &Current) {
        let content_id = current.content_id.as_bytes();
        self.removed_versions.push(values![change.bucket_id, change.key.as_bytes(), current.seq]);
        self.notes.push(Note::removed(change.bucket_id, change.key.as_bytes(), current.seq));
        self.removed_contents.push(values![content_id]);
        match &current.blob_id {
            Some(blob_id) => self.garbage.push(values![blob_id, content_id, tx.now_us()]),
            None if current.in_pieces => self.unused_contents.push(values![content_id, tx.now_us()]),
            None => {}
        }
        let delta = UsageDelta { object_count: -1, size_bytes: -current.size_bytes, upload_size_bytes: 0 };
        self.usage.push((change.bucket_id, delta));
    }
}

/// Writes the rows, what is removed before what comes in its place.
async fn write(tx: &mut Tx, rows: Rows) -> Result<()> {
    let Rows {
        stored,
        markers,
        hidden,
        removed_versions,
        removed_contents,
        garbage,
        unused_contents,
        usage,
        events,
        notes,
    } = rows;
    execute_many(tx, &versions::REMOVE, removed_versions).await?;
    execute_many(tx, &contents::REMOVE, removed_contents).await?;
    execute_many(tx, &super::garbage::ADD, garbage).await?;
    execute_many(tx, &super::leftovers::ADD_CONTENTS, unused_contents).await?;
    execute_many(tx, &versions::HIDE, hidden).await?;
    execute_many(tx, &versions::MARK, markers).await?;
    execute_many(tx, &objects::STORE, stored).await?;
    execute_many(tx, &outbox::ADD, events).await?;
    for (bucket_id, delta) in usage {
        tx.change_usage(bucket_id, delta);
    }
    notes.into_iter().for_each(|note| tx.note(note));
    Ok(())
}
