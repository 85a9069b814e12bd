//! Malformed requests, by the thousand: the real binary must answer each or end the connection, never with an error of its own, never with
//! more memory, and what is stored must stay as it was.
//!
//! `CLOUDHOLD_MALFORMED_CASES` sets how many (5,000 when nobody says), `CLOUDHOLD_MALFORMED_SEED` takes others than the usual ones, and
//! `CLOUDHOLD_MALFORMED_CASE` sends just that one case of the seed and shows its bytes.

mod case;
mod chunks;
mod damage;
mod documents;
mod forms;
mod identities;
mod oracle;
mod pools;
mod raw;
mod request;
mod run;
mod sign;
mod visits;
mod wire;

use run::{Run, Told};

/// Cases when nobody says how many.
const CASES: u64 = 5_000;
/// The seed when nobody names one: the tests of a change must not depend on chance.
const SEED: u64 = 1;
/// Cases after which the store is looked after.
const CASES_OF_BATCH: u64 = 1_000;
/// Cases after which the memory is looked at for the first time: caches fill until then. Of many cases it is a fifth.
const WARM_UP_CASES_MIN: u64 = 1_000;
/// How much larger than after the warm-up the process may be at the end: so many times, or so many bytes.
const GROWTH_MAX: u64 = 2;
const GROWTH_BYTES_MAX: u64 = 64 << 20;
/// Failures after which a run ends.
const FAILURES_MAX: usize = 20;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_requests_are_refused_and_harm_nothing() {
    let seed = number("CLOUDHOLD_MALFORMED_SEED").unwrap_or(SEED);
    let single = number("CLOUDHOLD_MALFORMED_CASE");
    let cases = single.map_or(0..number("CLOUDHOLD_MALFORMED_CASES").unwrap_or(CASES), |case| case..case + 1);
    println!("CLOUDHOLD_MALFORMED_SEED={seed}");
    let mut run = Run::prepared(seed, single.is_some()).await;
    let before = run.kept_content().await;
    let warm_up = WARM_UP_CASES_MIN.max((cases.end - cases.start) / 5);
    let mut warm = None;
    let mut from = cases.start;
    while from < cases.end && run.failures.len() < FAILURES_MAX {
        let to = cases.end.min((from / CASES_OF_BATCH + 1) * CASES_OF_BATCH);
        run.batch(from..to).await;
        from = to;
        if warm.is_none() && from >= warm_up {
            warm = Some(run.memory_bytes());
        }
    }
    run.told.iter().for_each(|(what, count)| println!("{count:>7} {what}"));
    assert!(run.failures.is_empty(), "{} of {from} cases failed:\n{}", run.failures.len(), run.failures.join("\n"));
    assert_eq!(run.kept_content().await, before, "what was stored before is not as it was; seed {seed}");
    if let (None, Some(warm)) = (single, warm) {
        let now = run.memory_bytes();
        println!("memory: {} MiB after {warm_up} cases, {} MiB at the end", warm >> 20, now >> 20);
        let most = (warm * GROWTH_MAX).max(warm + GROWTH_BYTES_MAX);
        assert!(now <= most, "the memory grew from {warm} to {now} bytes; seed {seed}");
        assert_reached(&run.told);
    }
}

/// A generator whose requests do not get past the signature would show nothing.
fn assert_reached(told: &Told) {
    let count =
        |begins: &str| told.iter().filter(|(what, _)| what.starts_with(begins)).map(|(_, count)| *count).sum::<u64>();
    let all: u64 = told.values().sum();
    assert!(count("200") + count("204") > all / 20, "hardly anything was taken: {told:?}");
    assert!(count("403") < all / 2, "most were refused for who asked: {told:?}");
    for code in [
        "400 MalformedXML",
        "400 InvalidArgument",
        "403 SignatureDoesNotMatch",
        "400 MalformedPolicy",
        "400 MalformedPOSTRequest",
        "400 ValidationError",
        "400 InvalidAction",
        "400 MalformedPolicyDocument",
        "404 NoSuchEntity",
        "404 NoSuchWebsiteConfiguration",
    ] {
        assert!(count(code) > 0, "no answer was {code}: {told:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn before_they_are_broken_the_requests_are_good() {
    Run::prepared(0, false).await.as_they_are().await;
}
