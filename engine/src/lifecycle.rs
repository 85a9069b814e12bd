//! What becomes of objects with time: rules of a bucket that expire versions and give uploads up.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::tags::Tags;
use crate::{Error, Result, Settings};

/// Most rules of a bucket, as in S3.
pub const LIFECYCLE_RULES_MAX: usize = 1000;
const ID_CHARS_MAX: usize = 255;
/// Most days of a rule, which end before dates have five digits.
const DAYS_MAX: u32 = 1_000_000;

/// The rules of a bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Stored")]
pub struct Lifecycle {
    rules: Vec<LifecycleRule>,
    move_size: MoveSize,
}

/// Which objects are too small to be moved to another storage class when nothing else is said. Moves are not offered, so it is kept and
/// shown alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum MoveSize {
    /// Those below 128 KiB.
    #[default]
    AllStorageClasses128K,
    /// That depends on the storage class.
    VariesByStorageClass,
}

impl MoveSize {
    /// The word of S3.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AllStorageClasses128K => "all_storage_classes_128K",
            Self::VariesByStorageClass => "varies_by_storage_class",
        }
    }

    /// Reads the word of S3.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::AllStorageClasses128K, Self::VariesByStorageClass].into_iter().find(|size| size.as_str() == text)
    }
}

/// Rules as they are kept: at first they were all there was.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Stored {
    Rules(Vec<LifecycleRule>),
    WithSize { rules: Vec<LifecycleRule>, move_size: MoveSize },
}

impl From<Stored> for Lifecycle {
    fn from(stored: Stored) -> Self {
        match stored {
            Stored::Rules(rules) => Self { rules, move_size: MoveSize::default() },
            Stored::WithSize { rules, move_size } => Self { rules, move_size },
        }
    }
}

impl From<Lifecycle> for Stored {
    fn from(Lifecycle { rules, move_size }: Lifecycle) -> Self {
        match move_size {
            MoveSize::AllStorageClasses128K => Self::Rules(rules),
            MoveSize::VariesByStorageClass => Self::WithSize { rules, move_size },
        }
    }
}

/// A rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LifecycleRule {
    /// Its name.
    pub id: String,
    /// Whether it counts.
    pub enabled: bool,
    /// Which objects it is about.
    pub filter: LifecycleFilter,
    /// Whether it was given in the first form of rules, which have a prefix and no filter, and is shown so.
    #[serde(default)]
    pub has_first_form: bool,
    /// When current versions go.
    pub expiration: Option<Expiration>,
    /// When versions go that are not current any more.
    pub noncurrent: Option<NoncurrentExpiration>,
    /// After how many days open uploads are given up.
    pub abort_uploads_days: Option<u32>,
}

/// Which objects a rule is about: those that fit all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LifecycleFilter {
    /// Keys begin with this.
    pub prefix: String,
    /// They have all these tags.
    pub tags: Tags,
    /// They are larger than this.
    pub larger_than_bytes: Option<u64>,
    /// They are smaller than this.
    pub smaller_than_bytes: Option<u64>,
}

/// When current versions go. Where a bucket keeps versions, a delete marker is laid on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Expiration {
    /// So many days after they were made, at the end of the day.
    Days(u32),
    /// At a time, in microseconds of the Unix epoch.
    Date(i64),
    /// Never; but delete markers under which nothing is left go.
    LoneMarkers,
}

/// When versions go that are not current any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoncurrentExpiration {
    /// So many days after another took their place, at the end of the day.
    pub days: u32,
    /// So many of the newest stay however old they are.
    pub keep_newest: Option<u32>,
}

/// A version of a key as the rules look at it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Aged<'a> {
    pub(crate) key: &'a str,
    pub(crate) tags: &'a Tags,
    pub(crate) size_bytes: u64,
    pub(crate) is_marker: bool,
    pub(crate) modified_us: i64,
    /// When another took its place; `None` for the newest.
    pub(crate) replaced_us: Option<i64>,
    /// How many versions that are not current either are newer.
    pub(crate) newer_noncurrent: usize,
    /// Whether it is the only one of its key.
    pub(crate) is_alone: bool,
}

impl<'a> Aged<'a> {
    /// The current version of a key, which is an object.
    pub(crate) fn current(key: &'a str, tags: &'a Tags, size_bytes: u64, modified_us: i64) -> Self {
        Self {
            key,
            tags,
            size_bytes,
            is_marker: false,
            modified_us,
            replaced_us: None,
            newer_noncurrent: 0,
            is_alone: false,
        }
    }
}

/// How long a day is: shorter in tests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Day(pub(crate) i64);

impl Day {
    pub(crate) fn of(settings: &Settings) -> Self {
        Self(crate::clock::micros(settings.lifecycle_day).max(1))
    }

    /// When so many days after a time are over: at the midnight that follows, as S3 has it.
    fn end_of(self, from_us: i64, days: u32) -> i64 {
        let Self(day_us) = self;
        let after_us = from_us.saturating_add(i64::from(days).saturating_mul(day_us));
        after_us.div_euclid(day_us).saturating_add(i64::from(after_us.rem_euclid(day_us) > 0)).saturating_mul(day_us)
    }
}

impl Lifecycle {
    /// Checks rules and names those that have no name. [`Error::Invalid`].
    pub fn new(mut rules: Vec<LifecycleRule>) -> Result<Self> {
        let invalid = |why: &str| Err(Error::invalid("lifecycle rule", why));
        if rules.is_empty() || rules.len() > LIFECYCLE_RULES_MAX {
            return invalid("must be one of 1 to 1000");
        }
        let mut ids = HashSet::new();
        for rule in &mut rules {
            if rule.id.is_empty() {
                rule.id = hex::encode(rand::random::<[u8; 16]>());
            }
            if rule.id.chars().count() > ID_CHARS_MAX {
                return invalid("must have an ID of 255 characters at most");
            }
            if !ids.insert(rule.id.clone()) {
                return invalid("must have an ID of its own");
            }
            rule.check()?;
        }
        Ok(Self { rules, move_size: MoveSize::default() })
    }

    /// With what is too small to be moved.
    #[must_use]
    pub fn with_move_size(mut self, move_size: MoveSize) -> Self {
        self.move_size = move_size;
        self
    }

    /// The rules.
    pub fn rules(&self) -> &[LifecycleRule] {
        &self.rules
    }

    /// What is too small to be moved.
    pub fn move_size(&self) -> MoveSize {
        self.move_size
    }

    fn enabled(&self) -> impl Iterator<Item = &LifecycleRule> {
        self.rules.iter().filter(|rule| rule.enabled)
    }

    /// The most newest versions that a rule keeps: of versions that are newer, nobody needs to count more.
    pub(crate) fn newest_kept_max(&self) -> u32 {
        self.enabled().filter_map(|rule| rule.noncurrent?.keep_newest).max().unwrap_or_default()
    }

    /// When a current version goes, and by which rule; `None` for never.
    pub(crate) fn expires(&self, version: &Aged<'_>, day: Day) -> Option<(i64, &str)> {
        let due = self.enabled().filter(|rule| rule.filter.fits(version)).filter_map(|rule| match rule.expiration? {
            Expiration::Days(days) => Some((day.end_of(version.modified_us, days), rule.id.as_str())),
            Expiration::Date(at_us) => Some((at_us, rule.id.as_str())),
            Expiration::LoneMarkers => None,
        });
        due.min()
    }

    /// Whether a version is to go now.
    pub(crate) fn is_due(&self, version: &Aged<'_>, day: Day, now_us: i64) -> bool {
        match (version.replaced_us, version.is_marker) {
            (None, false) => self.expires(version, day).is_some_and(|(at_us, _)| at_us <= now_us),
            (None, true) => version.is_alone && self.is_lone_marker_due(version, day, now_us),
            (Some(replaced_us), _) => {
                self.enabled().filter(|rule| rule.filter.fits(version)).filter_map(|rule| rule.noncurrent).any(|rule| {
                    let kept = rule.keep_newest.is_some_and(|count| version.newer_noncurrent < count as usize);
                    !kept && day.end_of(replaced_us, rule.days) <= now_us
                })
            }
        }
    }

    /// A marker with nothing beneath goes with a rule that says so, or once it is as old as the rule lets objects become.
    fn is_lone_marker_due(&self, marker: &Aged<'_>, day: Day, now_us: i64) -> bool {
        self.enabled().filter(|rule| rule.filter.fits(marker)).any(|rule| match rule.expiration {
            Some(Expiration::LoneMarkers) => true,
            Some(Expiration::Days(days)) => day.end_of(marker.modified_us, days) <= now_us,
            Some(Expiration::Date(_)) | None => false,
        })
    }

    /// Whether an open upload is to be given up now.
    pub(crate) fn gives_up(&self, key: &str, created_us: i64, day: Day, now_us: i64) -> bool {
        self.end_of_upload(key, created_us, day).is_some_and(|(at_us, _)| at_us <= now_us)
    }

    /// When an open upload is given up, and by which rule; `None` for never.
    pub(crate) fn end_of_upload(&self, key: &str, created_us: i64, day: Day) -> Option<(i64, &str)> {
        let fitting = self.enabled().filter(|rule| key.starts_with(&rule.filter.prefix));
        fitting.filter_map(|rule| Some((day.end_of(created_us, rule.abort_uploads_days?), rule.id.as_str()))).min()
    }
}

impl LifecycleRule {
    fn check(&self) -> Result<()> {
        let invalid = |why: &str| Err(Error::invalid("lifecycle rule", why));
        let days = [
            self.noncurrent.map(|noncurrent| noncurrent.days),
            self.abort_uploads_days,
            self.expiration.and_then(|expiration| match expiration {
                Expiration::Days(days) => Some(days),
                Expiration::Date(_) | Expiration::LoneMarkers => None,
            }),
        ];
        if days.contains(&Some(0)) {
            return invalid("must have days greater than 0");
        }
        if days.into_iter().flatten().any(|days| days > DAYS_MAX) {
            return invalid("must have at most 1,000,000 days");
        }
        if self.expiration.is_none() && self.noncurrent.is_none() && self.abort_uploads_days.is_none() {
            return invalid("must have an action");
        }
        if self.noncurrent.is_some_and(|noncurrent| noncurrent.keep_newest == Some(0)) {
            return invalid("must keep a number of versions greater than 0, or none");
        }
        let (larger, smaller) = (self.filter.larger_than_bytes, self.filter.smaller_than_bytes);
        if larger.zip(smaller).is_some_and(|(larger, smaller)| larger >= smaller) {
            return invalid("must have a greatest size above its least");
        }
        let has_details = !self.filter.tags.is_empty() || larger.is_some() || smaller.is_some();
        if has_details && (self.abort_uploads_days.is_some() || self.expiration == Some(Expiration::LoneMarkers)) {
            return invalid("about uploads or delete markers can be filtered by prefix only");
        }
        Ok(())
    }
}

impl LifecycleFilter {
    fn fits(&self, version: &Aged<'_>) -> bool {
        let has = |tag: &(String, String)| version.tags.pairs().contains(tag);
        // A marker has neither tags nor a size.
        let details = version.is_marker && self.tags.is_empty()
            || self.tags.pairs().iter().all(has)
                && self.larger_than_bytes.is_none_or(|least| version.size_bytes > least)
                && self.smaller_than_bytes.is_none_or(|most| version.size_bytes < most);
        version.key.starts_with(&self.prefix) && details
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Day = Day(100);

    fn rule(expiration: Option<Expiration>) -> LifecycleRule {
        LifecycleRule { enabled: true, expiration, ..LifecycleRule::default() }
    }

    fn version(modified_us: i64, replaced_us: Option<i64>, tags: &Tags) -> Aged<'_> {
        Aged { replaced_us, ..Aged::current("logs/a", tags, 10, modified_us) }
    }

    #[test]
    fn days_end_at_midnight() {
        assert_eq!((DAY.end_of(0, 1), DAY.end_of(1, 1), DAY.end_of(99, 1), DAY.end_of(100, 2)), (100, 200, 200, 300));
    }

    #[test]
    fn rules_are_about_what_fits_their_filter() {
        let none = Tags::default();
        let tagged = Tags::of_object(vec![("kind".to_owned(), "log".to_owned())]).expect("tags");
        let due = |filter: LifecycleFilter, tags: &Tags| {
            let rules = Lifecycle::new(vec![LifecycleRule { filter, ..rule(Some(Expiration::Days(1))) }]);
            rules.expect("rules").is_due(&version(0, None, tags), DAY, 100)
        };
        let filter = LifecycleFilter::default;
        assert!(due(filter(), &none));
        assert!(due(LifecycleFilter { prefix: "logs/".to_owned(), ..filter() }, &none));
        assert!(!due(LifecycleFilter { prefix: "other/".to_owned(), ..filter() }, &none));
        assert!(due(LifecycleFilter { tags: tagged.clone(), ..filter() }, &tagged));
        assert!(!due(LifecycleFilter { tags: tagged.clone(), ..filter() }, &none));
        assert!(due(LifecycleFilter { larger_than_bytes: Some(9), ..filter() }, &none));
        assert!(!due(LifecycleFilter { larger_than_bytes: Some(10), ..filter() }, &none));
        assert!(!due(LifecycleFilter { smaller_than_bytes: Some(10), ..filter() }, &none));
        let off = LifecycleRule { enabled: false, ..rule(Some(Expiration::Days(1))) };
        assert!(!Lifecycle::new(vec![off]).expect("rules").is_due(&version(0, None, &none), DAY, 100));
    }

    #[test]
    fn versions_go_when_they_are_due() {
        let none = Tags::default();
        let of = |rule: LifecycleRule| Lifecycle::new(vec![rule]).expect("rules");
        let days = of(rule(Some(Expiration::Days(2))));
        assert!(!days.is_due(&version(0, None, &none), DAY, 199));
        assert!(days.is_due(&version(0, None, &none), DAY, 200));
        assert!(!days.is_due(&version(0, Some(0), &none), DAY, 1_000), "it is not current");
        assert!(of(rule(Some(Expiration::Date(150)))).is_due(&version(140, None, &none), DAY, 150));
        let noncurrent = NoncurrentExpiration { days: 1, keep_newest: Some(2) };
        let noncurrent = of(LifecycleRule { noncurrent: Some(noncurrent), ..rule(None) });
        let old = |newer_noncurrent| Aged { newer_noncurrent, ..version(0, Some(100), &none) };
        assert!(!noncurrent.is_due(&old(1), DAY, 10_000));
        assert!(noncurrent.is_due(&old(2), DAY, 200));
        assert!(!noncurrent.is_due(&old(2), DAY, 199));
        let markers = of(rule(Some(Expiration::LoneMarkers)));
        let marker = Aged { is_marker: true, is_alone: true, ..version(0, None, &none) };
        assert!(markers.is_due(&marker, DAY, 1));
        assert!(!markers.is_due(&Aged { is_alone: false, ..marker }, DAY, 1));
        assert!(!markers.is_due(&version(0, None, &none), DAY, 10_000));
        let uploads = of(LifecycleRule { abort_uploads_days: Some(1), ..rule(None) });
        assert!(uploads.gives_up("k", 0, DAY, 100) && !uploads.gives_up("k", 1, DAY, 100));
    }

    #[test]
    fn rules_from_before_there_was_more_are_read() {
        let of = |size| Lifecycle::new(vec![rule(Some(Expiration::Days(1)))]).expect("rules").with_move_size(size);
        for (size, start) in [(MoveSize::AllStorageClasses128K, '['), (MoveSize::VariesByStorageClass, '{')] {
            let text = serde_json::to_string(&of(size)).expect("text");
            assert!(text.starts_with(start), "{text}");
            let read: Lifecycle = serde_json::from_str(&text).expect("rules");
            assert_eq!((read.move_size(), read.rules().len()), (size, 1));
        }
    }

    #[test]
    fn rules_that_say_nothing_or_too_much_are_refused() {
        let tagged = LifecycleFilter {
            tags: Tags::of_object(vec![("a".to_owned(), "b".to_owned())]).expect("tags"),
            ..LifecycleFilter::default()
        };
        for bad in [
            vec![],
            vec![rule(None)],
            vec![rule(Some(Expiration::Days(0)))],
            vec![rule(Some(Expiration::Days(DAYS_MAX + 1)))],
            vec![LifecycleRule { id: "x".repeat(256), ..rule(Some(Expiration::Days(1))) }],
            vec![LifecycleRule { id: "x".to_owned(), ..rule(Some(Expiration::Days(1))) }; 2],
            vec![LifecycleRule { filter: tagged, ..rule(Some(Expiration::LoneMarkers)) }],
        ] {
            assert!(Lifecycle::new(bad.clone()).is_err(), "{bad:?}");
        }
    }
}
