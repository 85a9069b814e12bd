//! Which operations had which outcomes: sequences that are refused throughout would show nothing.

use std::collections::BTreeMap;
use std::sync::Mutex;

/// Outcomes that must have come. Rarer ones come too, but not in every run.
const EXPECTED: [&str; 27] = [
    "Abort ok",
    "Complete InvalidPart",
    "Complete ok",
    "Copy NoSuchKey",
    "Copy PreconditionFailed",
    "Copy ok",
    "CreateBucket ok",
    "Delete NoSuchKey",
    "Delete PreconditionFailed",
    "Delete ok",
    "DeleteBucket BucketNotEmpty",
    "List NoSuchBucket",
    "List ok",
    "ListAll ok",
    "ListParts NoSuchUpload",
    "ListParts ok",
    "ListUploads ok",
    "ListVersions ok",
    "Put BadDigest",
    "Put NoSuchBucket",
    "Put PreconditionFailed",
    "Put ok",
    "PutPart ok",
    "Read NoSuchKey",
    "Read NoSuchVersion",
    "Read delete marker",
    "Read ok",
];

static SEEN: Mutex<BTreeMap<String, usize>> = Mutex::new(BTreeMap::new());

/// Notes an outcome: `ok`, or the word of the refusal.
pub(crate) fn note(operation: &str, outcome: &str) {
    *SEEN.lock().unwrap().entry(format!("{operation} {outcome}")).or_default() += 1;
}

/// The outcomes that should have come and did not.
pub(crate) fn missing() -> Vec<&'static str> {
    let seen = SEEN.lock().unwrap();
    EXPECTED.into_iter().filter(|expected| !seen.contains_key(*expected)).collect()
}

/// All outcomes with how often they came.
pub(crate) fn all() -> String {
    format!("{:#?}", SEEN.lock().unwrap())
}
