//! Listings of drawn keys, by drawn prefixes, delimiters, markers and lengths of pages, compared with brute force: everything is looked at,
//! folded and cut.
//!
//! Each run draws others. A failure tells the seed of its draw: `CLOUDHOLD_SEED` draws that one again, and `CLOUDHOLD_LISTINGS` makes it so
//! many draws.

use std::collections::BTreeMap;

use engine::{BucketName, DeleteTarget, ListEntry, ListRequest, VersionId, VersionListRequest, Versioning};
use futures::{StreamExt, stream};
use simulated_disk::Random;

use crate::world::{World, key};

/// Buckets that are drawn when nobody says how many.
const DRAWS: u64 = 8;
const KEYS: usize = 80;
/// Listings that are asked of each bucket.
const REQUESTS: usize = 25;
const KEY_BYTES_MAX: usize = 1024;
/// Writes that run at the same time.
const PARALLEL: usize = 16;

/// What keys, prefixes, delimiters and markers of a draw are made of: few words, so that they meet each other.
struct Words(Vec<String>);

impl Words {
    fn draw(random: &mut Random) -> Self {
        let count = 3 + random.index(6);
        Self((0..count).map(|_| word(random)).collect())
    }

    fn one<'w>(&'w self, random: &mut Random) -> &'w str {
        &self.0[random.index(self.0.len())]
    }

    /// A text of so many words, as far as a key has room for them.
    fn text(&self, random: &mut Random, words: usize) -> String {
        let mut text = String::new();
        for _ in 0..words {
            let word = self.one(random);
            if text.len() + word.len() > KEY_BYTES_MAX {
                break;
            }
            text.push_str(word);
        }
        text
    }

    fn key(&self, random: &mut Random) -> String {
        let words = if random.chance(3) { KEY_BYTES_MAX } else { 1 + random.index(7) };
        self.text(random, words)
    }
}

fn word(random: &mut Random) -> String {
    const COMMON: [&str; 6] = ["a", "b", "/", "//", "ab", "é"];
    if random.chance(50) {
        return COMMON[random.index(COMMON.len())].to_owned();
    }
    let count = 1 + random.index(3);
    (0..count).map(|_| character(random)).collect()
}

/// Any character that a key may have. Those around which UTF-8 takes another byte come often, as they sort beside each other.
fn character(random: &mut Random) -> char {
    const EDGES: [char; 10] = [
        '\u{1}',
        '\u{7f}',
        '\u{80}',
        '\u{7ff}',
        '\u{800}',
        '\u{d7ff}',
        '\u{e000}',
        '\u{ffff}',
        '\u{10000}',
        '\u{10ffff}',
    ];
    if random.chance(40) {
        return EDGES[random.index(EDGES.len())];
    }
    let end = [0x80, 0x800, 0x1_0000, 0x11_0000][random.index(4)];
    loop {
        let drawn = u32::try_from(random.below(end)).ok().and_then(char::from_u32);
        if let Some(drawn) = drawn.filter(|drawn| *drawn != '\0') {
            return drawn;
        }
    }
}

/// What begins a text and ends at any of its characters.
fn cut(random: &mut Random, text: &str) -> String {
    let count = text.chars().count();
    text.chars().take(random.index(count + 1)).collect()
}

/// Of each key its versions, the oldest first, each with whether it is a delete marker.
type Kept = BTreeMap<String, Vec<(VersionId, bool)>>;

/// A line of a listing, as far as it is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Line {
    Object { key: String, version_id: Option<VersionId>, is_latest: bool, is_marker: bool },
    Prefix(String),
}

impl Line {
    fn of(entry: ListEntry) -> Self {
        match entry {
            ListEntry::Object(object) => Self::Object {
                key: object.key.to_string(),
                version_id: object.version_id,
                is_latest: object.latest,
                is_marker: object.delete_marker,
            },
            ListEntry::CommonPrefix(prefix) => Self::Prefix(prefix),
        }
    }
}

/// The common prefix that a key folds into.
fn folded<'k>(key: &'k str, list: &ListRequest) -> Option<&'k str> {
    let delimiter = list.delimiter.as_deref()?;
    let at = key.strip_prefix(list.prefix.as_str())?.find(delimiter)?;
    Some(&key[..list.prefix.len() + at + delimiter.len()])
}

/// Whether all of a key lies behind the marker. A marker that is a common prefix has everything beneath it behind it.
fn is_after(key: &str, list: &ListRequest) -> bool {
    list.after.as_deref().is_none_or(|after| {
        let is_beneath = folded(after, list) == Some(after) && key.starts_with(after);
        key > after && !is_beneath
    })
}

fn fold<'k>(lines: impl Iterator<Item = (&'k str, Line)>, list: &ListRequest) -> Vec<Line> {
    let mut all = Vec::new();
    for (key, line) in lines.filter(|(key, _)| key.starts_with(&list.prefix)) {
        let line = folded(key, list).map_or(line, |prefix| Line::Prefix(prefix.to_owned()));
        let is_again = matches!(line, Line::Prefix(_)) && all.last() == Some(&line);
        if !is_again {
            all.push(line);
        }
    }
    all
}

/// All that a listing of objects has to give, in one page.
fn objects(kept: &Kept, list: &ListRequest) -> Vec<Line> {
    let current = kept
        .iter()
        .filter(|(key, versions)| is_after(key, list) && versions.last().is_some_and(|(_, is_marker)| !is_marker));
    let line = |key: &String| Line::Object { key: key.clone(), version_id: None, is_latest: true, is_marker: false };
    fold(current.map(|(key, _)| (key.as_str(), line(key))), list)
}

/// All that a listing of versions has to give, in one page.
fn versions(kept: &Kept, request: &VersionListRequest) -> Vec<Line> {
    let list = &request.list;
    // A version belongs to a key, and beneath a common prefix none is shown.
    let begun = list.after.as_deref().filter(|after| {
        request.after_version.is_some() && *after >= list.prefix.as_str() && folded(after, list) != Some(after)
    });
    let mut lines = Vec::new();
    for (key, versions) in kept {
        let place = || versions.iter().position(|(id, _)| Some(id) == request.after_version.as_ref());
        let left = match begun {
            // Of a version that is not there, and is `null`, nobody knows what is older.
            Some(begun) if begun == key => place().unwrap_or(versions.len()),
            Some(_) | None if is_after(key, list) => versions.len(),
            Some(_) | None => 0,
        };
        for (at, (id, is_marker)) in versions.iter().enumerate().take(left).rev() {
            let (version_id, is_latest) = (Some(id.clone()), at + 1 == versions.len());
            lines.push((key.as_str(), Line::Object { key: key.clone(), version_id, is_latest, is_marker: *is_marker }));
        }
    }
    fold(lines.into_iter(), list)
}

/// A bucket with drawn keys, and what it holds.
struct Drawn<'w> {
    seed: u64,
    world: &'w World,
    bucket: BucketName,
    words: Words,
    keys: Vec<String>,
    kept: Kept,
}

impl<'w> Drawn<'w> {
    async fn draw(world: &'w World, seed: u64, random: &mut Random) -> Self {
        use Versioning::{Enabled, Off, Suspended};
        let bucket = world.bucket("drawn").await;
        let words = Words::draw(random);
        let keys = (0..KEYS).map(|_| words.key(random)).collect();
        let mut drawn = Self { seed, world, bucket, words, keys, kept: Kept::new() };
        let phases = [&[Off, Off][..], &[Enabled, Enabled, Enabled], &[Off, Enabled, Enabled, Suspended, Suspended]];
        for versioning in phases[random.index(phases.len())] {
            if *versioning != Off {
                world.engine.set_versioning(&world.ada, &drawn.bucket, *versioning).await.unwrap();
            }
            drawn.write_some(random).await;
        }
        drawn
    }

    /// Stores or deletes at many keys, at each of them once.
    async fn write_some(&mut self, random: &mut Random) {
        let mut wanted: Vec<(String, bool)> = Vec::new();
        for key in &self.keys {
            if random.chance(70) && wanted.iter().all(|(other, _)| other != key) {
                wanted.push((key.clone(), random.chance(25)));
            }
        }
        let writes = wanted.into_iter().map(|(key, is_deleted)| self.write(key, is_deleted));
        let made: Vec<_> = stream::iter(writes).buffer_unordered(PARALLEL).collect().await;
        for (key, is_deleted, id) in made {
            let Some(id) = id else {
                self.kept.remove(&key);
                continue;
            };
            let versions = self.kept.entry(key).or_default();
            versions.retain(|(other, _)| *other != id);
            versions.push((id, is_deleted));
        }
    }

    /// Stores an object or deletes what is current; gives the version or marker that this made.
    async fn write(&self, name: String, is_deleted: bool) -> (String, bool, Option<VersionId>) {
        let Self { world, bucket, .. } = self;
        let id = if is_deleted {
            let target = DeleteTarget::current(key(&name));
            let mut deleted = world.engine.delete_objects(&world.ada, bucket, vec![target]).await.unwrap();
            deleted.remove(0).unwrap().marker
        } else {
            Some(world.put(bucket, &name, "x").await.version_id)
        };
        (name, is_deleted, id)
    }

    fn a_key(&self, random: &mut Random) -> &str {
        &self.keys[random.index(self.keys.len())]
    }

    /// What one of the keys begins with.
    fn cut_key(&self, random: &mut Random) -> String {
        let key = self.a_key(random);
        cut(random, key)
    }

    fn request(&self, random: &mut Random) -> VersionListRequest {
        let mut prefix = match random.below(20) {
            0..8 => String::new(),
            8..15 => self.cut_key(random),
            15..19 => self.words.text(random, 2),
            _ => "\0".to_owned(),
        };
        if random.chance(3) {
            prefix.push(character(random));
        }
        let delimiter = match random.below(10) {
            0..3 => None,
            3..7 => Some(self.words.one(random).to_owned()),
            7..9 => Some(self.words.text(random, 2)),
            _ => Some(String::from(character(random))),
        };
        let entries_max = [1, 2, 3, 7, 1000][random.index(5)];
        let mut list = ListRequest { prefix, delimiter, after: None, entries_max, described: false };
        list.after = match random.below(20) {
            0..8 => None,
            8..14 => Some(self.a_key(random).to_owned()),
            14..16 => Some(self.cut_key(random)).filter(|after| !after.is_empty()),
            16..18 => folded(self.a_key(random), &list).map(str::to_owned),
            _ => Some(self.words.text(random, 3)),
        };
        let of_key = list.after.as_ref().and_then(|after| self.kept.get(after)).filter(|versions| !versions.is_empty());
        let after_version = match of_key {
            Some(versions) if random.chance(50) => Some(versions[random.index(versions.len())].0.clone()),
            Some(_) | None if list.after.is_some() && random.chance(20) => Some(VersionId::null()),
            Some(_) | None => None,
        };
        VersionListRequest { list, after_version }
    }

    /// Follows the pages of a listing as a client does, and compares each with its share of what is expected.
    async fn follow(&self, first: &VersionListRequest, is_of_versions: bool, expected: &[Line]) {
        let Self { seed, world, bucket, .. } = self;
        let (mut request, mut left) = (first.clone(), expected);
        loop {
            let page = match is_of_versions {
                true => world.engine.list_versions(&world.ada, bucket, &request).await,
                false => world.engine.list_objects(&world.ada, bucket, &request.list).await,
            };
            let page = page.unwrap();
            let lines: Vec<Line> = page.entries.into_iter().map(Line::of).collect();
            let (now, later) = left.split_at(left.len().min(request.list.entries_max));
            assert!(
                lines == now && page.truncated != later.is_empty(),
                "CLOUDHOLD_SEED={seed}: {request:?} (versions: {is_of_versions}) gave {lines:?}, and more: {}; this was to come: {left:?}",
                page.truncated
            );
            if later.is_empty() {
                return;
            }
            (request.list.after, request.after_version) = match lines.last() {
                Some(Line::Object { key, version_id, .. }) => (Some(key.clone()), version_id.clone()),
                Some(Line::Prefix(prefix)) => (Some(prefix.clone()), None),
                None => panic!("CLOUDHOLD_SEED={seed}: a page that is cut has no entry"),
            };
            left = later;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_equal_brute_force_on_drawn_keys() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let given = number("CLOUDHOLD_SEED");
    let draws = number("CLOUDHOLD_LISTINGS").unwrap_or(if given.is_some() { 1 } else { DRAWS });
    let first = given.unwrap_or_else(rand::random);
    let (mut lines, mut folds, mut requests) = (0, 0, 0);
    for seed in (0..draws).map(|draw| first.wrapping_add(draw)) {
        let (world, mut random) = (World::new().await, Random::new(seed));
        let drawn = Drawn::draw(&world, seed, &mut random).await;
        for _ in 0..REQUESTS {
            let request = drawn.request(&mut random);
            let (objects, versions) = (objects(&drawn.kept, &request.list), versions(&drawn.kept, &request));
            drawn.follow(&request, false, &objects).await;
            drawn.follow(&request, true, &versions).await;
            lines += objects.len() + versions.len();
            folds += objects.iter().chain(&versions).filter(|line| matches!(line, Line::Prefix(_))).count();
            requests += 1;
        }
    }
    println!("{draws} draws from CLOUDHOLD_SEED={first}: {requests} requests, {lines} lines, {folds} common prefixes");
    if draws >= DRAWS {
        assert!(lines > 10 * requests && folds > requests, "CLOUDHOLD_SEED={first}: {lines} lines, {folds} folds");
    }
}
