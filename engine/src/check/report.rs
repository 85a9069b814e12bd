//! What a check found.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Findings of a kind that a report lists one by one; further ones are only counted. Those of one kind crowd out no other: names of lost
/// objects are nowhere else.
const FINDINGS_MAX: u64 = 10_000;

/// A kind of contradiction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Problem {
    /// The database itself is damaged, or a row cannot be read.
    DatabaseDamaged,
    /// The disk failed while something was read or put aside. There may be more behind it that was not looked at.
    DiskFailed,
    /// An object's bytes are not there. Reading it is an error; a repair puts its version aside.
    BytesMissing,
    /// The bytes of a part of an open upload are not there: it must be uploaded again.
    PartBytesMissing,
    /// A blob that rows refer to is missing where it belongs but lies in quarantine, from where a repair brings it back.
    BlobInQuarantine,
    /// A blob cannot be opened, or is not what its row says.
    BlobDamaged,
    /// No row knows a blob. A repair puts it into quarantine.
    BlobWithoutRow,
    /// Several rows refer to one blob; the first of them to go would take it from the others.
    BlobShared,
    /// A blob that is in use is noted to be freed.
    BlobUsedAndGarbage,
    /// A version belongs to no bucket.
    VersionWithoutBucket,
    /// A version refers to content that is not there.
    VersionWithoutContent,
    /// A version and its content have different sizes.
    SizesDiffer,
    /// The table of current objects names another version than the latest, or says something else than that does.
    CurrentWrong,
    /// Content whose bytes are in no place, in two, or in pieces that do not add up.
    ContentMalformed,
    /// A piece belongs to no content.
    PieceWithoutContent,
    /// A part belongs to no open upload of a bucket.
    PartWithoutUpload,
    /// Content is shared by another number of versions than it says.
    SharesWrong,
    /// No version refers to content. A repair puts its bytes aside.
    ContentUnused,
    /// A bucket holds something else than its counters say.
    UsageWrong,
    /// A version that was put aside has its bytes again; a repair brings it back.
    LostVersionWhole,
}

impl Problem {
    /// A few words for people.
    pub fn describe(self) -> &'static str {
        match self {
            Self::DatabaseDamaged => "the database is damaged",
            Self::DiskFailed => "the disk failed",
            Self::BytesMissing => "bytes of an object are missing",
            Self::PartBytesMissing => "bytes of a part are missing",
            Self::BlobInQuarantine => "a blob in use lies in quarantine",
            Self::BlobDamaged => "a blob is damaged",
            Self::BlobWithoutRow => "a blob without a row",
            Self::BlobShared => "a blob with several rows",
            Self::BlobUsedAndGarbage => "a blob in use that is noted as garbage",
            Self::VersionWithoutBucket => "a version without a bucket",
            Self::VersionWithoutContent => "a version without content",
            Self::SizesDiffer => "sizes that differ",
            Self::CurrentWrong => "a wrong current version",
            Self::ContentMalformed => "malformed content",
            Self::PieceWithoutContent => "a piece without content",
            Self::PartWithoutUpload => "a part without an upload",
            Self::SharesWrong => "a wrong reference count",
            Self::ContentUnused => "content that nothing uses",
            Self::UsageWrong => "a wrong usage counter",
            Self::LostVersionWhole => "a lost version whose bytes are back",
        }
    }
}

/// One contradiction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Its kind.
    pub problem: Problem,
    /// What it concerns: an object, a bucket, or the id of a blob or content.
    pub subject: String,
    /// What contradicts what.
    pub detail: String,
    /// What a repair did about it; `None` when nothing was done.
    pub repaired: Option<String>,
}

/// How often a kind was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// All of them.
    pub found: u64,
    /// Those that were set right.
    pub repaired: u64,
}

/// How much was looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Examined {
    /// Object versions, delete markers among them.
    pub versions: u64,
    /// Current objects.
    pub current: u64,
    /// Contents.
    pub contents: u64,
    /// Pieces of multipart content.
    pub pieces: u64,
    /// Parts of open uploads.
    pub parts: u64,
    /// Blobs on the disk.
    pub blobs: u64,
    /// Buckets.
    pub buckets: u64,
    /// Versions put aside by earlier repairs.
    pub lost_versions: u64,
}

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckReport {
    /// When it began, in microseconds of the Unix epoch.
    pub started_us: i64,
    /// When it ended.
    pub ended_us: i64,
    /// How much was looked at.
    pub examined: Examined,
    /// How often each kind was found.
    pub found: BTreeMap<Problem, Tally>,
    /// The findings; of very many of a kind only the first.
    pub findings: Vec<Finding>,
}

impl CheckReport {
    /// Whether nothing was found.
    pub fn is_clean(&self) -> bool {
        self.found.is_empty()
    }

    /// How many findings were not set right.
    pub fn open_count(&self) -> u64 {
        self.found.values().map(|tally| tally.found - tally.repaired).sum()
    }

    /// How often a kind was found.
    pub fn count(&self, problem: Problem) -> u64 {
        self.found.get(&problem).map_or(0, |tally| tally.found)
    }

    pub(super) fn add(&mut self, finding: Finding) {
        let tally = self.found.entry(finding.problem).or_default();
        tally.found += 1;
        tally.repaired += u64::from(finding.repaired.is_some());
        if tally.found <= FINDINGS_MAX {
            self.findings.push(finding);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_of_one_kind_crowd_out_no_other() {
        let mut report = CheckReport::default();
        let add = |report: &mut CheckReport, problem, number| {
            let subject = format!("{number}");
            report.add(Finding { problem, subject, detail: String::new(), repaired: None });
        };
        (0..FINDINGS_MAX + 5).for_each(|number| add(&mut report, Problem::BlobWithoutRow, number));
        add(&mut report, Problem::BytesMissing, 0);
        let listed = |problem| report.findings.iter().filter(|finding| finding.problem == problem).count() as u64;
        assert_eq!((listed(Problem::BlobWithoutRow), listed(Problem::BytesMissing)), (FINDINGS_MAX, 1));
        assert_eq!(report.count(Problem::BlobWithoutRow), FINDINGS_MAX + 5);
    }
}
