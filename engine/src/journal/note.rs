//! What the journal says of a change, and the line that says it.
//!
//! A line is mostly a commit: eight hexadecimal digits of the CRC32C of the rest, a space, a JSON object. No secret is in it.

use std::borrow::Cow;

use crc_fast::{CrcAlgorithm, checksum};
use serde::{Deserialize, Serialize};

/// A change that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "did", rename_all = "snake_case")]
pub(crate) enum Note {
    /// An object version was stored.
    Stored {
        /// The bucket's number.
        bucket: i64,
        key: String,
        /// The version's number, which no other has.
        seq: i64,
        version: String,
        size_bytes: u64,
        /// The blob with its bytes; none when they lay in the database, or in parts.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        blob: Option<String>,
    },
    /// A delete marker was made.
    Marked { bucket: i64, key: String, seq: i64, version: String },
    /// A version or a marker was removed.
    Removed { bucket: i64, key: String, seq: i64 },
    /// A part of an upload was stored.
    Part {
        bucket: i64,
        key: String,
        upload: String,
        number: u32,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        blob: Option<String>,
    },
    /// Anything else.
    Other {
        how: How,
        /// The kind of thing.
        what: Cow<'static, str>,
        /// Its name or number.
        name: String,
        /// The bucket that it is in, or is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bucket: Option<i64>,
    },
}

/// How a thing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum How {
    Made,
    Changed,
    Deleted,
}

impl How {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Made => "made",
            Self::Changed => "changed",
            Self::Deleted => "deleted",
        }
    }
}

impl Note {
    /// That a version or a marker was removed; keys are text.
    pub(crate) fn removed(bucket: i64, key: &[u8], seq: i64) -> Self {
        Self::Removed { bucket, key: String::from_utf8_lossy(key).into_owned(), seq }
    }

    /// A change of something that has a name.
    pub(crate) fn other(how: How, what: &'static str, name: impl Into<String>) -> Self {
        Self::Other { how, what: Cow::Borrowed(what), name: name.into(), bucket: None }
    }

    /// A change of a bucket, or of something in it.
    pub(crate) fn in_bucket(how: How, what: &'static str, bucket: i64, name: impl Into<String>) -> Self {
        Self::Other { how, what: Cow::Borrowed(what), name: name.into(), bucket: Some(bucket) }
    }
}

/// What a line is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Event {
    /// A commit.
    #[default]
    Commit,
    /// That the last commit failed.
    Failed,
    /// That a process began, and the database with it.
    Started,
    /// That a file was begun.
    Continued,
}

/// A line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Line<'a> {
    /// When it was written, in microseconds of the Unix epoch.
    pub(super) at_us: i64,
    #[serde(default)]
    pub(super) event: Event,
    /// The number that the embedded database takes next before a commit: where it is not that of the line before, lines are missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) before: Option<i64>,
    /// The number that it takes next: after the commit, when it has made it; at a start, as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) next: Option<i64>,
    pub(super) notes: Cow<'a, [Note]>,
}

const DIGITS: usize = 8;

fn crc(text: &[u8]) -> String {
    format!("{:08x}", checksum(CrcAlgorithm::Crc32Iscsi, text))
}

impl Line<'_> {
    /// Its text, with the end of the line.
    pub(super) fn to_bytes(&self) -> serde_json::Result<Vec<u8>> {
        let text = serde_json::to_vec(self)?;
        let mut line = Vec::with_capacity(text.len() + DIGITS + 2);
        line.extend_from_slice(crc(&text).as_bytes());
        line.push(b' ');
        line.extend_from_slice(&text);
        line.push(b'\n');
        Ok(line)
    }
}

/// What a line says, without its end; `None` when it is damaged.
pub(super) fn parse(line: &[u8]) -> Option<Line<'static>> {
    let (digits, rest) = line.split_at_checked(DIGITS)?;
    let text = rest.strip_prefix(b" ")?;
    if digits != crc(text).as_bytes() {
        return None;
    }
    serde_json::from_slice(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_of_a_line_is_found() {
        let stored = Note::Stored {
            bucket: 7,
            key: "ключ \"1\"\n".to_owned(),
            seq: 41,
            version: "null".to_owned(),
            size_bytes: 5,
            blob: None,
        };
        let notes = vec![
            stored,
            Note::removed(7, b"old", 12),
            Note::Marked { bucket: 7, key: "m".to_owned(), seq: 42, version: "v".to_owned() },
            Note::Part { bucket: 7, key: "p".to_owned(), upload: "u".to_owned(), number: 3, blob: Some("00ff".into()) },
            Note::other(How::Deleted, "user", "group/user"),
        ];
        let notes = Cow::Owned(notes);
        let commit =
            Line { at_us: 1_763_812_702_123_456, event: Event::Commit, before: Some(40), next: Some(43), notes };
        let mut line = commit.to_bytes().unwrap();
        assert_eq!(line.pop(), Some(b'\n'));
        assert!(!line.contains(&b'\n'), "a line is a line");
        assert_eq!(parse(&line), Some(commit));
        for bit in 0..line.len() * 8 {
            line[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(parse(&line), None, "bit {bit}");
            line[bit / 8] ^= 1 << (bit % 8);
        }
        assert_eq!(parse(&line[..line.len() - 1]), None);
        assert_eq!(parse(b"short"), None);
    }
}
