//! Who is told of changes in a bucket: the targets, of which kinds of events, about which keys.

use std::collections::BTreeSet;

use futures::FutureExt;
use serde::{Deserialize, Serialize};

use crate::access::Wanted;
use crate::access::action::Action;
use crate::events::{EventKind, Notify};
use crate::metadata;
use crate::rules::{self, BucketSetting};
use crate::{BucketName, Caller, Engine, Error, Result};

/// Most rules of a bucket, as in S3.
pub const NOTIFICATION_RULES_MAX: usize = 100;
const ID_CHARS_MAX: usize = 255;

/// The rules of a bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Notifications(Vec<NotificationRule>);

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotificationRule {
    /// Its name.
    pub id: String,
    /// The target, by the name that the operator gave it.
    pub target: String,
    /// How a door named the target, to be shown again.
    pub shown_as: ShownAs,
    /// Kinds of events.
    pub events: Vec<EventFilter>,
    /// Keys begin with this.
    pub prefix: String,
    /// Keys end with this.
    pub suffix: String,
}

/// What a target was called: it may be one or the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ShownAs {
    /// A queue.
    Queue(String),
    /// A topic.
    Topic(String),
}

/// Some kinds of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventFilter {
    /// One kind.
    One(EventKind),
    /// All of a family.
    All(EventFamily),
}

/// Kinds of events that belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventFamily {
    /// Something was stored.
    ObjectCreated,
    /// Something was deleted.
    ObjectRemoved,
    /// Tags were changed.
    ObjectTagging,
    /// Something went by the rules of a lifecycle.
    LifecycleExpiration,
}

impl EventFamily {
    const ALL: [Self; 4] = [Self::ObjectCreated, Self::ObjectRemoved, Self::ObjectTagging, Self::LifecycleExpiration];

    fn name(self) -> &'static str {
        match self {
            Self::ObjectCreated => "ObjectCreated",
            Self::ObjectRemoved => "ObjectRemoved",
            Self::ObjectTagging => "ObjectTagging",
            Self::LifecycleExpiration => "LifecycleExpiration",
        }
    }

    fn has(self, kind: EventKind) -> bool {
        kind.name().split(':').next() == Some(self.name())
    }
}

impl EventFilter {
    /// Reads the name of a kind, or `<family>:*`.
    pub fn parse(name: &str) -> Option<Self> {
        match name.strip_suffix(":*") {
            Some(family) => EventFamily::ALL.into_iter().find(|known| known.name() == family).map(Self::All),
            None => EventKind::OF_OBJECTS.into_iter().find(|known| known.name() == name).map(Self::One),
        }
    }

    /// The name that [`EventFilter::parse`] reads.
    pub fn name(self) -> String {
        match self {
            Self::One(kind) => kind.name().to_owned(),
            Self::All(family) => format!("{}:*", family.name()),
        }
    }

    fn fits(self, kind: EventKind) -> bool {
        match self {
            Self::One(one) => one == kind,
            Self::All(family) => family.has(kind),
        }
    }
}

impl Notifications {
    /// Checks rules. [`Error::Invalid`].
    pub fn new(mut rules: Vec<NotificationRule>) -> Result<Self> {
        if rules.len() > NOTIFICATION_RULES_MAX {
            return Err(Error::invalid("number of notifications", format!("must be at most {NOTIFICATION_RULES_MAX}")));
        }
        for (number, rule) in rules.iter_mut().enumerate() {
            if rule.id.is_empty() {
                rule.id = format!("notification-{}", number + 1);
            }
            rule.check()?;
        }
        let ids: BTreeSet<&str> = rules.iter().map(|rule| rule.id.as_str()).collect();
        if ids.len() != rules.len() {
            return Err(Error::invalid("notification", "must have an Id of its own"));
        }
        for (number, rule) in rules.iter().enumerate() {
            if rules[number + 1..].iter().any(|other| rule.overlaps(other)) {
                return Err(Error::invalid(
                    "notification",
                    "shares a kind of event and keys with another one of the bucket",
                ));
            }
        }
        Ok(Self(rules))
    }

    /// The rules.
    pub fn rules(&self) -> &[NotificationRule] {
        &self.0
    }

    /// The targets that are told of something, each with the rule that wants it.
    pub(crate) fn wanting(&self, kind: EventKind, key: &str) -> impl Iterator<Item = &NotificationRule> {
        let key = key.to_owned();
        self.0.iter().filter(move |rule| rule.wants(kind, &key))
    }
}

impl NotificationRule {
    fn check(&self) -> Result<()> {
        if self.id.chars().count() > ID_CHARS_MAX {
            return Err(Error::invalid("Id of a notification", format!("must have at most {ID_CHARS_MAX} characters")));
        }
        if self.events.is_empty() {
            return Err(Error::invalid("notification", "must name a kind of event"));
        }
        Ok(())
    }

    fn wants(&self, kind: EventKind, key: &str) -> bool {
        self.events.iter().any(|filter| filter.fits(kind))
            && key.starts_with(self.prefix.as_str())
            && key.ends_with(self.suffix.as_str())
    }

    /// Whether there can be an event that both want.
    fn overlaps(&self, other: &Self) -> bool {
        let share_kind = EventKind::OF_OBJECTS.into_iter().any(|kind| {
            let fits = |rule: &Self| rule.events.iter().any(|filter| filter.fits(kind));
            fits(self) && fits(other)
        });
        let either = |one: &str, two: &str, within: fn(&str, &str) -> bool| within(one, two) || within(two, one);
        share_kind
            && either(&self.prefix, &other.prefix, |long, short| long.starts_with(short))
            && either(&self.suffix, &other.suffix, |long, short| long.ends_with(short))
    }
}

impl Engine {
    /// Sets who is told of changes in a bucket, from the next one on; no rule at all takes it away. Each target is sent a test.
    /// [`Error::Invalid`] for a target that the operator did not configure.
    pub async fn set_notifications(&self, caller: &Caller, name: &BucketName, wanted: Notifications) -> Result<()> {
        let known = self.allowed_bucket(caller, name, &Wanted::on_bucket(Action::PutBucketNotification)).await?;
        let targets: BTreeSet<String> = wanted.rules().iter().map(|rule| rule.target.clone()).collect();
        if !targets.iter().all(|target| self.inner.settings.event_targets.contains(target)) {
            return Err(Error::invalid("destination of a notification", "is none that this store has"));
        }
        if targets.is_empty() {
            return self.set_bucket_setting::<Notifications>(caller, name, None).await;
        }
        let (value, bucket_id) = (rules::to_json(&wanted)?, known.bucket.id);
        let notify = std::sync::Arc::new(Notify::new(&known, caller, wanted));
        self.change_bucket(caller.share(), "set_notifications", move |tx| {
            let (value, targets, notify) = (value.clone(), targets.clone(), notify.clone());
            async move {
                metadata::buckets::must_exist(tx, bucket_id).await?;
                metadata::settings::set(tx, bucket_id, Notifications::KIND, Some(&value)).await?;
                for target in targets {
                    let event = notify.test(tx.now_us());
                    metadata::outbox::add_one(tx, bucket_id, &target, &event).await?;
                }
                Ok(())
            }
            .boxed()
        })
        .await?;
        self.inner.events_added.notify_one();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(id: &str, events: &[&str], prefix: &str, suffix: &str) -> NotificationRule {
        NotificationRule {
            id: id.to_owned(),
            target: "t".to_owned(),
            shown_as: ShownAs::Queue("t".to_owned()),
            events: events.iter().map(|name| EventFilter::parse(name).expect("an event")).collect(),
            prefix: prefix.to_owned(),
            suffix: suffix.to_owned(),
        }
    }

    #[test]
    fn names_of_events_are_read_and_written() {
        for name in ["ObjectCreated:*", "ObjectCreated:Put", "ObjectRemoved:DeleteMarkerCreated", "ObjectAcl:Put"] {
            assert_eq!(EventFilter::parse(name).map(EventFilter::name).as_deref(), Some(name));
        }
        for name in ["", "ObjectCreated", "ObjectCreated:Nothing", "Replication:*", "TestEvent", "*"] {
            assert_eq!(EventFilter::parse(name), None, "{name}");
        }
    }

    #[test]
    fn rules_want_kinds_and_keys() {
        let rules = Notifications::new(vec![rule("a", &["ObjectCreated:*"], "in/", ".jpg")]).expect("valid");
        let wanted = |kind, key| rules.wanting(kind, key).count();
        assert_eq!(wanted(EventKind::CreatedCopy, "in/a.jpg"), 1);
        assert_eq!(wanted(EventKind::CreatedCopy, "in/a.png"), 0);
        assert_eq!(wanted(EventKind::CreatedCopy, "a.jpg"), 0);
        assert_eq!(wanted(EventKind::Removed, "in/a.jpg"), 0);
    }

    #[test]
    fn rules_of_a_bucket_do_not_overlap() {
        let both = |one, two| Notifications::new(vec![one, two]).is_ok();
        assert!(both(rule("a", &["ObjectCreated:Put"], "a", ""), rule("b", &["ObjectCreated:Put"], "b", "")));
        assert!(both(rule("a", &["ObjectCreated:Put"], "", ""), rule("b", &["ObjectRemoved:*"], "", "")));
        assert!(!both(rule("a", &["ObjectCreated:*"], "a", ""), rule("b", &["ObjectCreated:Put"], "ab", "")));
        assert!(!both(rule("a", &["ObjectCreated:*"], "a", ".x"), rule("a", &["ObjectRemoved:*"], "", "")), "ids");
        assert!(Notifications::new(vec![rule("a", &[], "", "")]).is_err());
    }
}
