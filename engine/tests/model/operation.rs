//! Operations as they are generated. They name versions, uploads and tags by their place in what happened so far, so that a sequence that
//! is cut while it is shrunk still means something.

use engine::{Selection, Versioning};
use proptest::prelude::*;
use proptest::sample::select;

/// One of the few buckets.
pub(crate) type BucketPick = u8;

/// Which version of a key.
#[derive(Clone, Debug)]
pub(crate) enum VersionPick {
    /// None is named.
    Unnamed,
    Null,
    /// The so-manieth of all that were ever made in any bucket, which may be gone or another key's.
    Made(usize),
    /// The so-manieth of those that the key has.
    OfKey(usize),
    /// One that was never made.
    Unknown,
}

/// Which entity tag.
#[derive(Clone, Copy, Debug)]
pub(crate) enum TagPick {
    /// That of the current version.
    Current,
    /// That of the oldest version.
    Oldest,
    Nonsense,
    Any,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct WriteConditionPick {
    pub(crate) if_match: Option<TagPick>,
    pub(crate) if_none_match: Option<TagPick>,
}

/// Times are given in seconds relative to the version's own.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReadConditionPick {
    pub(crate) if_match: Option<TagPick>,
    pub(crate) if_none_match: Option<TagPick>,
    pub(crate) modified_since_s: Option<i64>,
    pub(crate) unmodified_since_s: Option<i64>,
}

#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) bucket: BucketPick,
    pub(crate) key: String,
    pub(crate) version: VersionPick,
    pub(crate) conditions: ReadConditionPick,
}

/// What Complete names.
#[derive(Clone, Copy, Debug)]
pub(crate) enum PartsPick {
    All,
    /// All but the first.
    Later,
    Backwards,
    WrongTag,
    /// One too many.
    Missing,
    None,
    WrongSize,
}

#[derive(Clone, Debug)]
pub(crate) struct ListPick {
    pub(crate) prefix: String,
    pub(crate) delimiter: Option<String>,
    pub(crate) after: Option<String>,
    pub(crate) entries_max: usize,
}

#[derive(Clone, Debug)]
pub(crate) enum Operation {
    CreateBucket(BucketPick),
    DeleteBucket(BucketPick),
    SetVersioning(BucketPick, Versioning),
    Put {
        bucket: BucketPick,
        key: String,
        size: usize,
        seed: u8,
        conditions: WriteConditionPick,
        broken: bool,
    },
    Copy {
        source: Source,
        bucket: BucketPick,
        key: String,
        replace: Option<u8>,
        conditions: WriteConditionPick,
    },
    Delete {
        bucket: BucketPick,
        targets: Vec<(String, VersionPick, Option<TagPick>)>,
    },
    Read {
        source: Source,
        selection: Option<Selection>,
    },
    CreateUpload {
        bucket: BucketPick,
        key: String,
        seed: u8,
        crc32: bool,
    },
    PutPart {
        upload: usize,
        number: u32,
        size: usize,
        seed: u8,
    },
    /// The range is a start and a length.
    CopyPart {
        source: Source,
        range: Option<(u64, u64)>,
        upload: usize,
        number: u32,
    },
    Complete {
        upload: usize,
        parts: PartsPick,
        conditions: WriteConditionPick,
    },
    Abort {
        upload: usize,
    },
    ListParts {
        upload: usize,
        after: u32,
        parts_max: usize,
    },
    List {
        bucket: BucketPick,
        list: ListPick,
    },
    ListVersions {
        bucket: BucketPick,
        list: ListPick,
        after_version: VersionPick,
    },
    ListUploads {
        bucket: BucketPick,
        list: ListPick,
        after_upload: Option<usize>,
    },
    /// Follows the pages of both listings to their end.
    ListAll {
        bucket: BucketPick,
        list: ListPick,
    },
    Buckets,
    Restart,
    Work,
}

/// Sequences of at most so many operations.
pub(crate) fn sequence(operations_max: usize) -> impl Strategy<Value = Vec<Operation>> {
    prop::collection::vec(operation(), 1..=operations_max)
}

fn bucket() -> impl Strategy<Value = BucketPick> {
    prop_oneof![6 => Just(0_u8), 6 => Just(1_u8), 1 => Just(2_u8)]
}

/// Mostly keys that come again, with every kind of byte that a key may have, around each other in the order of bytes.
fn key() -> impl Strategy<Value = String> {
    let often = select(vec!["a", "a/b", "a/c", "b", "é/\u{10ffff}", "\u{1}"]).prop_map(str::to_owned);
    prop_oneof![4 => often, 1 => pieces(1..5)]
}

fn pieces(count: std::ops::Range<usize>) -> impl Strategy<Value = String> {
    let piece = select(vec!["a", "b", "/", "//", "\u{1}", "\u{7f}", "é", "\u{10ffff}", " ", "A", "%", "\u{2028}"]);
    prop::collection::vec(piece, count).prop_map(|pieces| pieces.concat())
}

/// Sizes around where content moves into blobs, and one of several blocks.
fn size() -> impl Strategy<Value = usize> {
    prop_oneof![20 => select(vec![0_usize, 1, 31, 32, 64, 65, 100]), 2 => select(vec![30_000_usize, 150_000, 300_000])]
}

fn version() -> impl Strategy<Value = VersionPick> {
    prop_oneof![
        6 => Just(VersionPick::Unnamed),
        2 => Just(VersionPick::Null),
        5 => (0..6_usize).prop_map(VersionPick::OfKey),
        2 => (0..60_usize).prop_map(VersionPick::Made),
        1 => Just(VersionPick::Unknown),
    ]
}

fn tag() -> impl Strategy<Value = TagPick> {
    select(vec![TagPick::Current, TagPick::Current, TagPick::Oldest, TagPick::Nonsense, TagPick::Any])
}

/// Something in one of so many cases.
fn rarely<S: Strategy>(one_of: u32, strategy: S) -> impl Strategy<Value = Option<S::Value>>
where
    S::Value: Clone,
{
    prop::option::weighted(1.0 / f64::from(one_of), strategy)
}

fn write_conditions() -> impl Strategy<Value = WriteConditionPick> {
    (rarely(6, tag()), rarely(6, tag()))
        .prop_map(|(if_match, if_none_match)| WriteConditionPick { if_match, if_none_match })
}

fn read_conditions() -> impl Strategy<Value = ReadConditionPick> {
    (rarely(14, tag()), rarely(14, tag()), rarely(14, -1..=1_i64), rarely(14, -1..=1_i64)).prop_map(
        |(if_match, if_none_match, modified_since_s, unmodified_since_s)| ReadConditionPick {
            if_match,
            if_none_match,
            modified_since_s,
            unmodified_since_s,
        },
    )
}

fn source() -> impl Strategy<Value = Source> {
    (bucket(), key(), version(), read_conditions()).prop_map(|(bucket, key, version, conditions)| Source {
        bucket,
        key,
        version,
        conditions,
    })
}

fn selection() -> impl Strategy<Value = Selection> {
    let at = || prop_oneof![4 => 0..120_u64, 1 => 131_000..131_100_u64, 1 => 299_990..300_010_u64];
    prop_oneof![
        at().prop_map(Selection::From),
        (at(), at()).prop_map(|(first, last)| Selection::Between(first, last)),
        at().prop_map(Selection::Last),
        (0..5_u32).prop_map(Selection::Part),
    ]
}

fn list() -> impl Strategy<Value = ListPick> {
    let prefix = prop_oneof![3 => Just(String::new()), 2 => select(vec!["a", "a/", "é", "/"]).prop_map(str::to_owned), 1 => pieces(1..3)];
    let delimiter = select(vec!["/", "/", "b", "//", "\u{10ffff}"]).prop_map(str::to_owned);
    let after = prop_oneof![3 => key(), 1 => Just("a/".to_owned()), 1 => pieces(1..3)];
    let entries_max = select(vec![0_usize, 1, 2, 3, 1000]);
    (prefix, prop::option::of(delimiter), prop::option::of(after), entries_max)
        .prop_map(|(prefix, delimiter, after, entries_max)| ListPick { prefix, delimiter, after, entries_max })
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        60 => writes(),
        30 => uploads(),
        40 => reads(),
        2 => Just(Operation::Restart),
        3 => Just(Operation::Work),
    ]
}

fn writes() -> impl Strategy<Value = Operation> {
    let versioning = select(vec![Versioning::Enabled, Versioning::Enabled, Versioning::Suspended, Versioning::Off]);
    let put = (bucket(), key(), size(), any::<u8>(), write_conditions(), prop::bool::weighted(0.05)).prop_map(
        |(bucket, key, size, seed, conditions, broken)| Operation::Put { bucket, key, size, seed, conditions, broken },
    );
    let copy = (source(), bucket(), key(), prop::option::of(any::<u8>()), write_conditions()).prop_map(
        |(source, bucket, key, replace, conditions)| Operation::Copy { source, bucket, key, replace, conditions },
    );
    let target = (key(), version(), rarely(4, tag()));
    let delete = (bucket(), prop::collection::vec(target, 1..3))
        .prop_map(|(bucket, targets)| Operation::Delete { bucket, targets });
    prop_oneof![
        3 => bucket().prop_map(Operation::CreateBucket),
        1 => bucket().prop_map(Operation::DeleteBucket),
        4 => (bucket(), versioning).prop_map(|(bucket, versioning)| Operation::SetVersioning(bucket, versioning)),
        20 => put,
        8 => copy,
        8 => delete,
    ]
}

fn uploads() -> impl Strategy<Value = Operation> {
    let upload = || 0..8_usize;
    let number = || prop_oneof![20 => 1..5_u32, 1 => Just(0_u32), 1 => Just(10_001_u32)];
    let create = (bucket(), key(), any::<u8>(), any::<bool>())
        .prop_map(|(bucket, key, seed, crc32)| Operation::CreateUpload { bucket, key, seed, crc32 });
    let put = (upload(), number(), size(), any::<u8>()).prop_map(|(upload, number, size, seed)| Operation::PutPart {
        upload,
        number,
        size,
        seed,
    });
    let copy = (source(), prop::option::of((0..70_u64, 0..40_u64)), upload(), number())
        .prop_map(|(source, range, upload, number)| Operation::CopyPart { source, range, upload, number });
    let parts = prop_oneof![
        10 => Just(PartsPick::All),
        6 => select(vec![
            PartsPick::Later,
            PartsPick::Backwards,
            PartsPick::WrongTag,
            PartsPick::Missing,
            PartsPick::None,
            PartsPick::WrongSize,
        ]),
    ];
    let complete = (upload(), parts, write_conditions()).prop_map(|(upload, parts, conditions)| Operation::Complete {
        upload,
        parts,
        conditions,
    });
    let list = (upload(), 0..4_u32, select(vec![1_usize, 2, 1000]))
        .prop_map(|(upload, after, parts_max)| Operation::ListParts { upload, after, parts_max });
    prop_oneof![
        6 => create,
        16 => put,
        4 => copy,
        8 => complete,
        1 => upload().prop_map(|upload| Operation::Abort { upload }),
        3 => list,
    ]
}

fn reads() -> impl Strategy<Value = Operation> {
    let read =
        (source(), prop::option::of(selection())).prop_map(|(source, selection)| Operation::Read { source, selection });
    let versions = (bucket(), list(), version()).prop_map(|(bucket, list, after_version)| Operation::ListVersions {
        bucket,
        list,
        after_version,
    });
    let uploads = (bucket(), list(), prop::option::of(0..8_usize))
        .prop_map(|(bucket, list, after_upload)| Operation::ListUploads { bucket, list, after_upload });
    prop_oneof![
        12 => read,
        4 => (bucket(), list()).prop_map(|(bucket, list)| Operation::List { bucket, list }),
        5 => versions,
        2 => uploads,
        2 => (bucket(), list()).prop_map(|(bucket, list)| Operation::ListAll { bucket, list }),
        2 => Just(Operation::Buckets),
    ]
}
