//! Users, groups, roles and policies of an account's own: what they have in common.

use serde::{Deserialize, Serialize};

use crate::{CanonicalId, Error, Result};

/// Most entries of a page.
const ITEMS_MAX: usize = 1000;
/// Entries of a page that nobody said anything about.
const ITEMS_USUAL: usize = 100;
const PATH_CHARS_MAX: usize = 512;

/// A kind of identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IamKind {
    /// A user, with keys of its own.
    User,
    /// Users together.
    Group,
    /// Rights that are taken on for a time.
    Role,
    /// Rights that several may have.
    Policy,
}

impl IamKind {
    /// The word in ARNs and in the database.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Group => "group",
            Self::Role => "role",
            Self::Policy => "policy",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        [Self::User, Self::Group, Self::Role, Self::Policy].into_iter().find(|kind| kind.as_str() == text)
    }

    /// The word for people.
    pub fn noun(self) -> &'static str {
        self.as_str()
    }

    /// How its ids begin, as in AWS.
    fn id_prefix(self) -> &'static str {
        match self {
            Self::User => "AIDA",
            Self::Group => "AGPA",
            Self::Role => "AROA",
            Self::Policy => "ANPA",
        }
    }

    fn name_chars_max(self) -> usize {
        match self {
            Self::User | Self::Role => 64,
            Self::Group | Self::Policy => 128,
        }
    }

    /// The most of an account.
    pub(crate) fn count_max(self) -> usize {
        match self {
            Self::User => 5000,
            Self::Group => 300,
            Self::Role => 1000,
            Self::Policy => 1500,
        }
    }

    /// What it is called where there are too many.
    pub(crate) fn nouns(self) -> &'static str {
        match self {
            Self::User => "users",
            Self::Group => "groups",
            Self::Role => "roles",
            Self::Policy => "policies",
        }
    }
}

/// Who has policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IamHolder {
    /// A user.
    User,
    /// A group: all its users.
    Group,
    /// A role: its sessions.
    Role,
}

impl IamHolder {
    /// What it is.
    pub fn kind(self) -> IamKind {
        match self {
            Self::User => IamKind::User,
            Self::Group => IamKind::Group,
            Self::Role => IamKind::Role,
        }
    }

    /// One of three things, by who is meant.
    pub(crate) fn pick<T>(self, user: T, group: T, role: T) -> T {
        match self {
            Self::User => user,
            Self::Group => group,
            Self::Role => role,
        }
    }
}

/// A user, group, role or policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IamEntity {
    /// The immutable id; of no other that was or will be.
    pub id: String,
    /// The account that it belongs to.
    pub account: CanonicalId,
    /// What it is.
    pub kind: IamKind,
    /// Its name as it was given.
    pub name: String,
    /// Its path, which begins and ends with a slash.
    pub path: String,
    /// When it was made, in microseconds of the Unix epoch.
    pub created_us: i64,
    pub(crate) details: Details,
}

/// What only some kinds have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Details {
    /// Of roles and policies, for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) description: String,
    /// Of a role: the policy that says who may take it on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trust: Option<String>,
    /// Of a role: how long a session may be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) session_seconds_max: Option<u32>,
    /// Of a policy: the version that counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) default_version: Option<u32>,
    /// Of a policy: the number of the newest version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) newest_version: Option<u32>,
    /// Of a policy: when it got its newest version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) changed_us: Option<i64>,
}

impl IamEntity {
    /// Its ARN.
    pub fn arn(&self) -> String {
        arn(&self.account, self.kind, &self.path, &self.name)
    }

    /// What people wrote about it; may be empty.
    pub fn description(&self) -> &str {
        &self.details.description
    }

    /// Of a role: the policy that says who may take it on.
    pub fn trust(&self) -> &str {
        self.details.trust.as_deref().unwrap_or_default()
    }

    /// Of a role: how long a session may be, in seconds.
    pub fn session_seconds_max(&self) -> u32 {
        self.details.session_seconds_max.unwrap_or(super::sessions::ROLE_SECONDS_USUAL)
    }
}

/// The ARN of something in an account.
pub(crate) fn arn(account: &CanonicalId, kind: IamKind, path: &str, name: &str) -> String {
    format!("arn:aws:iam::{account}:{}{path}{name}", kind.as_str())
}

/// Something to be made.
#[derive(Clone, Debug, Default)]
pub struct NewIamEntity {
    /// Its name.
    pub name: String,
    /// Its path; `/` when empty.
    pub path: String,
    /// Of roles and policies, for people.
    pub description: String,
    /// Of a role: the policy that says who may take it on. Of a policy: its text.
    pub document: String,
    /// Of a role: how long a session may be, in seconds; an hour when absent.
    pub session_seconds_max: Option<u32>,
}

/// A part of a list.
#[derive(Clone, Debug, Default)]
pub struct IamPage {
    /// Goes on after what this marks.
    pub marker: Option<String>,
    /// The most entries; 100 when absent.
    pub items_max: Option<usize>,
    /// Only what has a path that begins so; `/` or empty for all.
    pub path_prefix: String,
}

impl IamPage {
    pub(crate) fn items_max(&self) -> Result<usize> {
        match self.items_max {
            None => Ok(ITEMS_USUAL),
            Some(items_max @ 1..=ITEMS_MAX) => Ok(items_max),
            Some(_) => Err(Error::invalid("MaxItems", format!("must be 1 to {ITEMS_MAX}"))),
        }
    }

    pub(crate) fn after(&self) -> &str {
        self.marker.as_deref().unwrap_or_default()
    }
}

/// A page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IamListing<T> {
    /// The entries.
    pub items: Vec<T>,
    /// Where the next page begins; `None` after the last one.
    pub marker: Option<String>,
}

impl<T> IamListing<T> {
    /// A page of what was read one entry further than it shows.
    pub(crate) fn cut(mut items: Vec<T>, items_max: usize, name: impl Fn(&T) -> String) -> Self {
        let more = items.len() > items_max;
        items.truncate(items_max);
        let marker = items.last().filter(|_| more).map(name);
        Self { items, marker }
    }

    pub(crate) fn map<U>(self, change: impl FnMut(T) -> U) -> IamListing<U> {
        IamListing { items: self.items.into_iter().map(change).collect(), marker: self.marker }
    }
}

/// The form in which names are compared.
pub(crate) fn name_key(name: &str) -> String {
    name.to_ascii_lowercase()
}

/// A new id of a kind.
pub(crate) fn new_id(kind: IamKind) -> String {
    format!("{}{}", kind.id_prefix(), random_letters(17))
}

/// Random capital letters and digits.
pub(crate) fn random_letters(count: usize) -> String {
    const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    (0..count).map(|_| char::from(LETTERS[usize::from(rand::random::<u8>()) % LETTERS.len()])).collect()
}

/// Whether a text has only characters that names may have.
pub(crate) fn is_plain(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'=' | b',' | b'.' | b'@' | b'_' | b'-'))
}

/// Checks a name given from outside.
pub(crate) fn check_name(kind: IamKind, name: &str) -> Result<()> {
    let chars_max = kind.name_chars_max();
    if name.is_empty() || name.len() > chars_max || !is_plain(name) {
        return Err(Error::invalid("name", format!("must be 1 to {chars_max} of letters, digits, and +=,.@_-")));
    }
    Ok(())
}

/// Checks the name of a policy of an identity's own.
pub(crate) fn check_policy_name(name: &str) -> Result<()> {
    check_name(IamKind::Policy, name)
}

/// Checks a path given from outside; an empty one is `/`.
pub(crate) fn check_path(path: &str) -> Result<String> {
    if path.is_empty() {
        return Ok("/".to_owned());
    }
    let plain = path.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'*' | b'?' | b':'));
    if !path.starts_with('/') || !path.ends_with('/') || path.len() > PATH_CHARS_MAX || !plain {
        let why = format!("must begin and end with '/' and have at most {PATH_CHARS_MAX} printable characters");
        return Err(Error::invalid("path", why));
    }
    Ok(path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_paths_have_no_wildcards() {
        for good in ["a", "Ada.Lovelace+1@example,x=y_z-", &"x".repeat(64)] {
            assert!(check_name(IamKind::User, good).is_ok(), "{good}");
        }
        for bad in ["", "a/b", "a*", "a b", "ä", "a:b", &"x".repeat(65)] {
            assert!(check_name(IamKind::User, bad).is_err(), "{bad}");
        }
        assert_eq!(check_path("").expect("a path"), "/");
        assert_eq!(check_path("/a/b/").expect("a path"), "/a/b/");
        for bad in ["a", "/a", "a/", "/a*/", "/a:b/", "/ä/"] {
            assert!(check_path(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ids_tell_their_kind_and_are_random() {
        let id = new_id(IamKind::Role);
        assert!(id.starts_with("AROA") && id.len() == 21, "{id}");
        assert_ne!(id, new_id(IamKind::Role));
    }
}
