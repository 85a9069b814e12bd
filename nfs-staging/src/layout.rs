//! The layout of CloudStack's secondary storage, in a bucket and in the staging directory.
//!
//! | | key in the bucket | path in staging |
//! |---|---|---|
//! | template, ISO | `template/tmpl/<account>/<template>/<unique name>/<file>` | `template/tmpl/<account>/<template>/<file>` |
//! | snapshot | `snapshots/<account>/<volume>/<file>` | the same |
//! | volume | `volumes/<account>/<volume>/<file>` | the same |
//!
//! In staging the unique name of a template stands in its `template.properties`, so the way back needs it. Numbers are
//! CloudStack's ids (a Java `long`, written without leading zeros: a stray directory under `volumes/` that is no number
//! breaks CloudStack's volume sync). File names come from source URLs, so they may hold spaces, `?`, `%`, `&` and anything
//! else but `/` and control characters.

use std::fmt;

use crate::{Error, Result};

/// Longest file name that file systems take, in bytes.
const NAME_BYTES_MAX: usize = 255;
/// What the names of our own files in the export begin with.
pub(crate) const RESERVED_PREFIX: &str = ".cloudhold-";
/// What NFS clients call files that were deleted while open.
pub(crate) const SILLY_RENAME_PREFIX: &str = ".nfs";
/// Where CloudStack describes a staged template.
pub(crate) const TEMPLATE_PROPERTIES: &str = "template.properties";
/// Where CloudStack describes a staged volume.
pub(crate) const VOLUME_PROPERTIES: &str = "volume.properties";

/// What a staged file is to CloudStack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A template or an ISO.
    Template,
    /// A snapshot.
    Snapshot,
    /// A volume.
    Volume,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Template, Self::Snapshot, Self::Volume];

    /// The directories above the account's, which are never removed.
    pub(crate) fn roots(self) -> &'static [&'static str] {
        match self {
            Self::Template => &["template", "tmpl"],
            Self::Snapshot => &["snapshots"],
            Self::Volume => &["volumes"],
        }
    }
}

/// The path of a staged file beneath the staging directory.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StagedPath {
    /// What it is.
    pub(crate) kind: Kind,
    /// The account's id.
    pub(crate) account: u64,
    /// The template's or the volume's id.
    pub(crate) id: u64,
    /// The file name.
    pub(crate) file: String,
}

/// An object key of the layout.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LayoutKey {
    /// Where the object is staged.
    staged: StagedPath,
    /// The unique name; only templates have one.
    unique_name: Option<String>,
}

impl StagedPath {
    /// Reads a path relative to the staging directory.
    pub fn parse(text: &str) -> Result<Self> {
        let refuse = |why| Error::Layout { name: text.to_owned(), why };
        let parts: Vec<&str> = text.split('/').collect();
        let (kind, account, id, file) = match parts[..] {
            ["template", "tmpl", account, id, file] => (Kind::Template, account, id, file),
            ["snapshots", account, id, file] => (Kind::Snapshot, account, id, file),
            ["volumes", account, id, file] => (Kind::Volume, account, id, file),
            _ => {
                return Err(refuse(
                    "expected template/tmpl/<account>/<template>/<file>, snapshots/<account>/<volume>/<file> or volumes/<account>/<volume>/<file>",
                ));
            }
        };
        Self::new(kind, account, id, file).map_err(refuse)
    }

    pub(crate) fn new(kind: Kind, account: &str, id: &str, file: &str) -> std::result::Result<Self, &'static str> {
        check_file_name(file)?;
        Ok(Self { kind, account: number(account)?, id: number(id)?, file: file.to_owned() })
    }

    /// What it is to CloudStack.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The file name.
    pub fn file_name(&self) -> &str {
        &self.file
    }

    /// The names of the directories down to the file, outermost first.
    pub(crate) fn directories(&self) -> Vec<String> {
        let roots = self.kind.roots().iter().map(|&name| name.to_owned());
        roots.chain([self.account.to_string(), self.id.to_string()]).collect()
    }

    /// The path of the directory that holds the file.
    pub(crate) fn directory(&self) -> String {
        self.directories().join("/")
    }

    /// The key of this file in a bucket. A template needs its unique name, others have none.
    pub fn key(&self, unique_name: Option<&str>) -> Result<LayoutKey> {
        let refuse = |why| Error::Layout { name: self.to_string(), why };
        match (self.kind, unique_name) {
            (Kind::Template, Some(name)) => check_name(name).map_err(refuse)?,
            (Kind::Template, None) => return Err(refuse("the key of a template needs its unique name")),
            (Kind::Snapshot | Kind::Volume, None) => (),
            (Kind::Snapshot | Kind::Volume, Some(_)) => return Err(refuse("only templates have a unique name")),
        }
        Ok(LayoutKey { staged: self.clone(), unique_name: unique_name.map(str::to_owned) })
    }

    /// Whether both lie in the same directory, that is belong to the same template or volume.
    pub(crate) fn is_beside(&self, other: &Self) -> bool {
        (self.kind, self.account, self.id) == (other.kind, other.account, other.id)
    }
}

impl fmt::Display for StagedPath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.directory(), self.file)
    }
}

impl LayoutKey {
    /// Reads an object key.
    pub fn parse(text: &str) -> Result<Self> {
        let refuse = |why| Error::Layout { name: text.to_owned(), why };
        let parts: Vec<&str> = text.split('/').collect();
        let (kind, account, id, unique, file) = match parts[..] {
            ["template", "tmpl", account, id, unique, file] => (Kind::Template, account, id, Some(unique), file),
            ["snapshots", account, id, file] => (Kind::Snapshot, account, id, None, file),
            ["volumes", account, id, file] => (Kind::Volume, account, id, None, file),
            _ => {
                return Err(refuse(
                    "expected template/tmpl/<account>/<template>/<unique name>/<file>, snapshots/<account>/<volume>/<file> or volumes/<account>/<volume>/<file>",
                ));
            }
        };
        unique.map_or(Ok(()), check_name).map_err(refuse)?;
        let staged = StagedPath::new(kind, account, id, file).map_err(refuse)?;
        Ok(Self { staged, unique_name: unique.map(str::to_owned) })
    }

    /// Where the object is staged.
    pub fn staged(&self) -> &StagedPath {
        &self.staged
    }

    /// The unique name of a template.
    pub fn unique_name(&self) -> Option<&str> {
        self.unique_name.as_deref()
    }
}

impl fmt::Display for LayoutKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.unique_name {
            Some(unique) => write!(out, "{}/{unique}/{}", self.staged.directory(), self.staged.file),
            None => self.staged.fmt(out),
        }
    }
}

/// Whether a name in the export is a file of CloudStack's content, not of its or our bookkeeping.
pub(crate) fn is_content_name(name: &str) -> bool {
    check_file_name(name).is_ok() && !name.starts_with(SILLY_RENAME_PREFIX)
}

fn check_file_name(name: &str) -> std::result::Result<(), &'static str> {
    check_name(name)?;
    if name.starts_with(RESERVED_PREFIX) {
        return Err("names that begin with .cloudhold- are reserved");
    }
    if matches!(name, TEMPLATE_PROPERTIES | VOLUME_PROPERTIES) {
        return Err("template.properties and volume.properties describe staged files and are none themselves");
    }
    Ok(())
}

fn check_name(name: &str) -> std::result::Result<(), &'static str> {
    if name.is_empty() {
        return Err("a name in it is empty");
    }
    if matches!(name, "." | "..") {
        return Err("'.' and '..' are no names");
    }
    if name.len() > NAME_BYTES_MAX {
        return Err("a name in it has more than 255 bytes");
    }
    if name.chars().any(|c| c == '/' || c.is_control()) {
        return Err("names may hold neither '/' nor control characters");
    }
    Ok(())
}

/// An id as CloudStack writes it, so that each has exactly one spelling.
fn number(text: &str) -> std::result::Result<u64, &'static str> {
    const WHY: &str = "account, template and volume are numbers without leading zeros";
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    let value: i64 = plain.then(|| text.parse().ok()).flatten().ok_or(WHY)?;
    u64::try_from(value).map_err(|_| WHY)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_template_loses_its_unique_name_in_staging() {
        let text = "template/tmpl/1/3/routing-3/systemvmtemplate-4.20.2-x86_64-kvm.qcow2.bz2";
        let key = LayoutKey::parse(text).unwrap();
        assert_eq!(key.staged().to_string(), "template/tmpl/1/3/systemvmtemplate-4.20.2-x86_64-kvm.qcow2.bz2");
        assert_eq!(key.unique_name(), Some("routing-3"));
        assert_eq!(key.staged().key(Some("routing-3")).unwrap(), key);
        assert!(key.staged().key(None).is_err());
    }

    #[test]
    fn snapshots_and_volumes_keep_their_path() {
        for text in ["snapshots/2/14/6f3d", "volumes/2/14/disk 1.qcow2?x=y&z=%20+ü"] {
            let key = LayoutKey::parse(text).unwrap();
            assert_eq!(key.to_string(), text);
            assert_eq!(key.staged().to_string(), text);
            assert!(key.staged().key(Some("name")).is_err());
        }
    }

    #[test]
    fn keys_outside_the_layout_are_refused() {
        let long = format!("volumes/1/2/{}", "x".repeat(256));
        let bad = [
            "",
            "/",
            "photo.jpg",
            "volumes/1/2",
            "volumes/1/2/",
            "volumes/1/2/a/b",
            "volumes/x/2/f",
            "volumes/1/-2/f",
            "volumes/+1/2/f",
            "volumes/01/2/f",
            "volumes/1/99999999999999999999/f",
            "volumes/1/2/.",
            "volumes/1/2/..",
            "volumes/../2/f",
            "volumes/1/2/a\0b",
            "volumes/1/2/a\nb",
            "/volumes/1/2/f",
            "volumes//1/2/f",
            "template/tmpl/1/2/f",
            "template/tmpl/1/2/../f",
            "template/tmpl/1/2/u/f/",
            "template/other/1/2/u/f",
            "template/tmpl/1/2/u/template.properties",
            "volumes/1/2/volume.properties",
            "volumes/1/2/.cloudhold-part-1",
            "systemvm/1/2/f",
            &long,
        ];
        for text in bad {
            assert!(matches!(LayoutKey::parse(text), Err(Error::Layout { .. })), "{text:?}");
        }
        for text in
            ["template/tmpl/1/2/u/f", "template/tmpl/1/2/..", "volumes/1/2/..", "../volumes/1/2/f", "snapshots/1/2"]
        {
            assert!(matches!(StagedPath::parse(text), Err(Error::Layout { .. })), "{text:?}");
        }
    }

    fn name() -> impl Strategy<Value = String> {
        // Every character but '/' and the control characters, in names that the rules take.
        proptest::string::string_regex("[^/\\p{Cc}]{1,40}")
            .unwrap()
            .prop_filter("reserved", |name| check_file_name(name).is_ok())
    }

    fn staged() -> impl Strategy<Value = StagedPath> {
        let kind = prop::sample::select(Kind::ALL.to_vec());
        let ids = (0..=i64::MAX as u64, 0..=i64::MAX as u64);
        (kind, ids, name()).prop_map(|(kind, (account, id), file)| StagedPath { kind, account, id, file })
    }

    proptest! {
        #[test]
        fn paths_and_keys_map_both_ways(path in staged(), unique in name()) {
            let unique = (path.kind == Kind::Template).then_some(unique);
            prop_assert_eq!(&StagedPath::parse(&path.to_string()).unwrap(), &path);
            let key = path.key(unique.as_deref()).unwrap();
            let again = LayoutKey::parse(&key.to_string()).unwrap();
            prop_assert_eq!(again.staged(), &path);
            prop_assert_eq!(again.unique_name(), unique.as_deref());
            prop_assert_eq!(again, key);
        }

        #[test]
        fn whatever_is_taken_is_written_as_it_was_read(text in "(template/tmpl|snapshots|volumes|x|\\.\\.)(/([0-9]{1,3}|[a.%?]{1,3}|)){1,5}") {
            if let Ok(key) = LayoutKey::parse(&text) {
                prop_assert_eq!(key.to_string(), text.clone());
            }
            if let Ok(path) = StagedPath::parse(&text) {
                prop_assert_eq!(path.to_string(), text);
            }
        }
    }
}
