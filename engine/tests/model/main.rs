//! The engine against a small reference model of plain maps, under generated operations: every answer and every error must be the same.
//!
//! `PROPTEST_CASES` sets how many sequences of operations are tried. A failure is shrunk to the shortest sequence that shows it; the
//! sequence alone decides what happens.

#![expect(clippy::unwrap_used, reason = "a test whose world cannot be set up must fail")]

#[path = "../shared/blobs.rs"]
mod blobs;
#[path = "../shared/conflicts.rs"]
mod conflicts;
mod content;
#[path = "../shared/databases.rs"]
mod databases;
mod drive;
mod listing;
mod lists;
mod model;
mod multipart;
mod operation;
mod resolve;
mod seen;
#[path = "../shared/tenants.rs"]
mod tenants;
mod whole;
mod world;

use proptest::test_runner::{Config, TestCaseError, TestRunner};
use tokio::runtime::Runtime;

/// Sequences that are tried when nobody says how many.
const CASES: u32 = 60;
/// Most rounds of as many sequences.
const ROUNDS_MAX: u32 = 10;
/// Most operations of a sequence.
const OPERATIONS_MAX: usize = 120;

/// Generated operations and the futures that run them are large where nothing is optimised.
const STACK_SIZE_BYTES: usize = 64 << 20;

#[test]
fn every_answer_is_the_models() {
    let thread = std::thread::Builder::new().stack_size(STACK_SIZE_BYTES).spawn(try_rounds).unwrap();
    if let Err(failure) = thread.join().unwrap() {
        panic!("{failure}");
    }
    // Fewer sequences than usual need not show everything.
    let missing = if cases() < CASES { Vec::new() } else { seen::missing() };
    assert!(missing.is_empty(), "never seen: {missing:?}; seen: {}", seen::all());
}

/// Tries sequences until so many as are wanted were tried and every expected outcome came. What comes a handful of times in a round
/// stays away from one round in hundreds by chance, but from ten only when something is wrong.
fn try_rounds() -> Result<(), String> {
    for _ in 0..ROUNDS_MAX {
        try_sequences()?;
        if cases() < CASES || seen::missing().is_empty() {
            break;
        }
    }
    Ok(())
}

fn cases() -> u32 {
    if std::env::var_os("PROPTEST_CASES").is_some() { Config::default().cases } else { CASES }
}

fn try_sequences() -> Result<(), String> {
    let config = Config { cases: cases(), failure_persistence: None, max_shrink_iters: 4000, ..Config::default() };
    let runtime = Runtime::new().unwrap();
    let operations = operation::sequence(OPERATIONS_MAX);
    let tried = TestRunner::new(config)
        .run(&operations, |operations| runtime.block_on(drive::run(&operations)).map_err(TestCaseError::fail));
    tried.map_err(|failure| failure.to_string())
}
