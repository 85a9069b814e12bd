//! Tags of buckets and objects: names with values, for people and for rules.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::access::Wanted;
use crate::access::action::Action;
use crate::acls::either;
use crate::events::EventKind;
use crate::meta::Meta;
use crate::{Caller, Engine, ObjectName, Result, RuleError, VersionId, Versioning};

/// Most tags of an object, as in S3.
pub const OBJECT_TAGS_MAX: usize = 10;
/// Most tags of a bucket, as in S3.
pub const BUCKET_TAGS_MAX: usize = 50;
const KEY_CHARS_MAX: usize = 128;
const VALUE_CHARS_MAX: usize = 256;

/// Tags in the order of their keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tags(Vec<(String, String)>);

impl Tags {
    /// Checks the tags of an object. [`RuleError::InvalidTag`], [`RuleError::TooManyTags`].
    pub fn of_object(tags: Vec<(String, String)>) -> Result<Self> {
        Self::checked(tags, OBJECT_TAGS_MAX)
    }

    /// Checks the tags of a bucket. [`RuleError::InvalidTag`], [`RuleError::TooManyTags`].
    pub fn of_bucket(tags: Vec<(String, String)>) -> Result<Self> {
        Self::checked(tags, BUCKET_TAGS_MAX)
    }

    /// The tags.
    pub fn pairs(&self) -> &[(String, String)] {
        &self.0
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn checked(mut tags: Vec<(String, String)>, count_max: usize) -> Result<Self> {
        if tags.len() > count_max {
            return Err(RuleError::TooManyTags { count_max }.into());
        }
        let mut keys = HashSet::new();
        for (key, value) in &tags {
            if key.is_empty() || key.chars().count() > KEY_CHARS_MAX || !key.chars().all(is_taggable) {
                return Err(RuleError::InvalidTag("The TagKey you have provided is invalid").into());
            }
            if value.chars().count() > VALUE_CHARS_MAX || !value.chars().all(is_taggable) {
                return Err(RuleError::InvalidTag("The TagValue you have provided is invalid").into());
            }
            if key.to_lowercase().starts_with("aws:") {
                return Err(RuleError::InvalidTag("System tags cannot be added/updated by requester").into());
            }
            if !keys.insert(key.as_str()) {
                return Err(RuleError::InvalidTag("Cannot provide multiple Tags with the same key").into());
            }
        }
        tags.sort();
        Ok(Self(tags))
    }
}

/// The version that a request was about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TouchedVersion {
    /// Its id.
    pub version_id: VersionId,
    /// How its bucket keeps versions.
    pub versioning: Versioning,
    /// Its tags.
    pub tags: Tags,
}

impl Engine {
    /// The tags of an object, and the version that has them.
    pub async fn object_tags(&self, caller: &Caller, object: &ObjectName) -> Result<TouchedVersion> {
        let action = either(object, Action::GetObjectTagging, Action::GetObjectVersionTagging);
        let (known, version) = self.find_version(caller, object, action).await?;
        Ok(TouchedVersion {
            versioning: known.bucket.versioning,
            tags: version.meta.tags().clone(),
            version_id: version.version_id,
        })
    }

    /// Gives an object other tags.
    pub async fn set_object_tags(&self, caller: &Caller, object: &ObjectName, tags: Tags) -> Result<TouchedVersion> {
        let action = either(object, Action::PutObjectTagging, Action::PutObjectVersionTagging);
        let wanted = Wanted { new_tags: tags.pairs(), ..Wanted::at(action, &object.key) };
        let (known, version) = self.find_version_for(caller, object, wanted).await?;
        let change = move |meta: &mut Meta| {
            meta.set_tags(tags.clone());
            Ok(())
        };
        self.write_meta(caller, &known, &object.key, &version, Some(EventKind::Tagged), change).await
    }

    /// Takes the tags of an object away.
    pub async fn delete_object_tags(&self, caller: &Caller, object: &ObjectName) -> Result<TouchedVersion> {
        let action = either(object, Action::DeleteObjectTagging, Action::DeleteObjectVersionTagging);
        let change = |meta: &mut Meta| {
            meta.set_tags(Tags::default());
            Ok(())
        };
        self.change_meta(caller, object, action, Some(EventKind::Untagged), change).await
    }
}

/// Letters, digits and spaces of any language, and some signs.
fn is_taggable(c: char) -> bool {
    c.is_alphanumeric() || c.is_whitespace() || matches!(c, '_' | '.' | ':' | '/' | '=' | '+' | '-' | '@')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    fn of(pairs: &[(&str, &str)]) -> Result<Tags> {
        Tags::of_object(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn tags_are_bounded_and_unique() {
        assert!(of(&[("a", "1"), ("b", "")]).is_ok());
        assert!(of(&[("größe", "zwölf +1")]).is_ok());
        assert!(matches!(of(&[("a", "1"), ("a", "2")]), Err(Error::Rule(RuleError::InvalidTag(_)))));
        assert!(matches!(of(&[("", "1")]), Err(Error::Rule(RuleError::InvalidTag(_)))));
        assert!(matches!(of(&[("aws:x", "1")]), Err(Error::Rule(RuleError::InvalidTag(_)))));
        assert!(matches!(of(&[("a", "<")]), Err(Error::Rule(RuleError::InvalidTag(_)))));
        assert!(of(&[(&"k".repeat(128), &"v".repeat(256))]).is_ok());
        assert!(matches!(of(&[(&"k".repeat(129), "")]), Err(Error::Rule(RuleError::InvalidTag(_)))));
        assert!(matches!(of(&[("k", &"v".repeat(257))]), Err(Error::Rule(RuleError::InvalidTag(_)))));
        let many: Vec<_> = (0..11).map(|number| (number.to_string(), String::new())).collect();
        assert!(matches!(Tags::of_object(many.clone()), Err(Error::Rule(RuleError::TooManyTags { count_max: 10 }))));
        assert!(Tags::of_bucket(many).is_ok());
    }
}
