//! Single flipped bits in the database: found, or without influence on any object's bytes. In SQLite's file only: PostgreSQL's pages are
//! its own to check.

use std::collections::BTreeMap;
use std::os::unix::fs::FileExt;

use engine::{Database, Engine, Settings};
use futures::TryStreamExt;

use crate::check::furnish;
use crate::world::{World, everything, key, noise};

/// Flips that are tried, at places that are spread over the file; CLOUDHOLD_TEST_FLIPS asks for more.
const FLIPS: u64 = 150;
/// A store that has not answered by then never will: to look at it takes a fraction of a second.
const HANGS_AFTER: std::time::Duration = std::time::Duration::from_secs(120);

/// What came of a flip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    /// The store does not open.
    Refused,
    /// A read ends with an error.
    FailedRead,
    /// All reads are right or find nothing, and the check finds a contradiction.
    FoundByCheck,
    /// All reads are right, and the check finds nothing: the bit is in nothing that matters to bytes (a time, a free page).
    Harmless,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_of_the_database_never_gives_other_bytes() {
    let (mut world, bucket) = furnish(World::on(Database::Embedded).await).await;
    for number in 0..20 {
        world.put(&bucket, &format!("object-{number}"), noise(300 * number)).await;
    }
    let expected = everything(&world.engine, &world.ada).await;
    world.engine.close().await;
    world.sql("PRAGMA wal_checkpoint(TRUNCATE)").await;
    let file = world.directory.path().join("metadata.sqlite");
    let whole = std::fs::read(&file).unwrap();
    assert!(!world.directory.path().join("metadata.sqlite-wal").exists(), "all is in the one file");
    let flips = std::env::var("CLOUDHOLD_TEST_FLIPS").ok().and_then(|text| text.parse().ok()).unwrap_or(FLIPS);
    let bits = whole.len() as u64 * 8;
    let mut outcomes: BTreeMap<Outcome, u32> = BTreeMap::new();
    // One bit that is to be looked at again.
    let only: Option<u64> = std::env::var("CLOUDHOLD_TEST_FLIP").ok().and_then(|text| text.parse().ok());
    for number in 0..only.map_or(flips, |_| 1) {
        // Coprime to the number of bits as good as always, so that places do not repeat.
        let bit = only.unwrap_or(number.wrapping_mul(bits / flips + 7919) % bits);
        let mut byte = [whole[usize::try_from(bit / 8).unwrap()]];
        byte[0] ^= 1 << (bit % 8);
        std::fs::write(&file, &whole).unwrap();
        std::fs::OpenOptions::new().write(true).open(&file).unwrap().write_all_at(&byte, bit / 8).unwrap();
        let looked = look(world.directory.path(), &world.ada, &bucket, &expected, bit);
        let Ok(outcome) = tokio::time::timeout(HANGS_AFTER, looked).await else {
            world.directory.disable_cleanup(true);
            panic!(
                "bit {bit}: no end within {HANGS_AFTER:?}; the store is kept in {}",
                world.directory.path().display()
            );
        };
        *outcomes.entry(outcome).or_default() += 1;
        for log in ["metadata.sqlite-wal", "metadata.sqlite-shm"] {
            let _ = std::fs::remove_file(world.directory.path().join(log));
        }
    }
    println!("{flips} flips: {outcomes:?}");
    let found = |outcome| outcomes.get(&outcome).copied().unwrap_or_default();
    assert!(found(Outcome::FailedRead) + found(Outcome::FoundByCheck) + found(Outcome::Refused) > 0, "{outcomes:?}");
}

async fn look(
    directory: &std::path::Path,
    owner: &engine::Caller,
    bucket: &engine::BucketName,
    expected: &BTreeMap<String, Vec<u8>>,
    bit: u64,
) -> Outcome {
    let settings = Settings { background_work: false, ..Settings::new(directory) };
    let Ok(engine) = Engine::open(settings).await else { return Outcome::Refused };
    let mut outcome = Outcome::Harmless;
    let mut missing = 0;
    for (name, bytes) in expected {
        let name = name.strip_prefix("checked/").unwrap();
        let read = engine.get_object(owner, bucket, &key(name), &engine::ReadObject::default()).await;
        let read = match read {
            Ok(read) => read.body.try_collect::<Vec<_>>().await.map_err(drop),
            Err(engine::Error::NoSuchKey { .. } | engine::Error::NoSuchBucket | engine::Error::AccessDenied) => {
                missing += 1;
                continue;
            }
            Err(_) => Err(()),
        };
        match read {
            Ok(read) => assert!(
                read.concat() == *bytes,
                "bit {bit}: {} other bytes of {name} with {} bytes",
                read.concat().len(),
                bytes.len()
            ),
            Err(()) => outcome = Outcome::FailedRead,
        }
    }
    if outcome == Outcome::Harmless {
        let nobody = engine::OnProgress::nobody();
        let check = engine.check(&engine::Caller::LocalOperator, Default::default(), &nobody).await;
        let clean = check.is_ok_and(|report| report.is_clean());
        assert!(!clean || missing == 0, "bit {bit}: {missing} objects are not found, and the check finds nothing");
        if !clean {
            outcome = Outcome::FoundByCheck;
        }
    }
    engine.close().await;
    outcome
}
