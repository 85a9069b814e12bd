//! The checker itself: it takes what could have been, and finds what could not.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::checker::{Answer, Call, Operation, State, apply, is_linearizable};

fn operation(call: Call, answer: Answer, invoked: u64, answered: u64) -> Operation {
    Operation { call, answer, invoked, answered }
}

#[test]
fn what_could_have_been_is_taken() {
    use Answer::{Done, Found, Missing, Refused};
    let histories: [Vec<Operation>; 4] = [
        vec![],
        // A read beside a write may find the old or the new.
        vec![
            operation(Call::Put(1), Done, 0, 9),
            operation(Call::Read, Found(None), 1, 2),
            operation(Call::Read, Found(Some(1)), 3, 4),
        ],
        // One of two racing creations wins, whichever was invoked first.
        vec![operation(Call::PutIfAbsent(1), Refused, 0, 9), operation(Call::PutIfAbsent(2), Done, 1, 8)],
        // The condition failed because a deletion came between.
        vec![
            operation(Call::Put(1), Done, 0, 1),
            operation(Call::PutIfMatch(1, 2), Missing, 2, 9),
            operation(Call::DeleteIfMatch(1), Done, 3, 8),
        ],
    ];
    for history in histories {
        assert!(is_linearizable(&history), "{history:?}");
    }
}

#[test]
fn what_could_not_have_been_is_found() {
    use Answer::{Done, Found, Refused};
    let histories: [Vec<Operation>; 5] = [
        // Both of two racing creations win.
        vec![operation(Call::PutIfAbsent(1), Done, 0, 9), operation(Call::PutIfAbsent(2), Done, 1, 8)],
        // A read after an answered write finds the old.
        vec![operation(Call::Put(1), Done, 0, 1), operation(Call::Read, Found(None), 2, 3)],
        // New, then old again.
        vec![
            operation(Call::Put(1), Done, 0, 9),
            operation(Call::Read, Found(Some(1)), 1, 2),
            operation(Call::Read, Found(None), 3, 4),
        ],
        // Two replace the same value.
        vec![
            operation(Call::Put(1), Done, 0, 1),
            operation(Call::PutIfMatch(1, 2), Done, 2, 9),
            operation(Call::PutIfMatch(1, 3), Done, 3, 8),
        ],
        // Refused although nobody ever wrote.
        vec![operation(Call::PutIfAbsent(1), Refused, 0, 1)],
    ];
    for history in histories {
        assert!(!is_linearizable(&history), "{history:?}");
    }
}

/// A key that decides an operation when it is invoked or when it is answered, and, when `broken`, writes only when it is answered what it
/// decided before: the mistake of a store that checks conditions and does not check them again.
fn simulate(seed: u64, broken: bool) -> Vec<Operation> {
    const CLIENTS: usize = 4;
    let mut random = StdRng::seed_from_u64(seed);
    let (mut state, mut history, mut value): (State, Vec<Operation>, u32) = (None, Vec::new(), 0);
    let mut running: [Option<(Operation, State)>; CLIENTS] = [None; CLIENTS];
    for now in 0..60 {
        let client = &mut running[random.random_range(0..CLIENTS)];
        match client.take() {
            Some((mut operation, after)) => {
                operation.answered = now;
                let writes = operation.answer == Answer::Done;
                if broken && writes {
                    state = after;
                }
                history.push(operation);
            }
            None => {
                value += 1;
                let known = random.random_range(0..=value);
                let call = match random.random_range(0..6) {
                    0 => Call::PutIfAbsent(value),
                    1 | 2 => Call::PutIfMatch(state.unwrap_or(known), value),
                    3 => Call::DeleteIfMatch(state.unwrap_or(known)),
                    4 => Call::Put(value),
                    _ => Call::Read,
                };
                let (answer, after) = apply(state, call);
                if !broken {
                    state = after;
                }
                *client = Some((Operation { call, answer, invoked: now, answered: 0 }, after));
            }
        }
    }
    // Who was not answered yet is answered at the end.
    for (operation, after) in running.into_iter().flatten() {
        if broken && operation.answer == Answer::Done {
            state = after;
        }
        history.push(Operation { answered: 100, ..operation });
    }
    let (answer, _) = apply(state, Call::Read);
    history.push(Operation { call: Call::Read, answer, invoked: 101, answered: 102 });
    history
}

#[test]
fn a_store_that_does_not_check_again_is_found_and_one_that_does_is_not() {
    let found = (0..200).filter(|seed| !is_linearizable(&simulate(*seed, true))).count();
    assert!(found > 100, "only {found} of 200 broken histories were found");
    for seed in 0..200 {
        let history = simulate(seed, false);
        assert!(is_linearizable(&history), "seed {seed}: {history:?}");
    }
}
