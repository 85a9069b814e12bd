//! Decides whether a history of one key is linearizable: the search of Wing and Gong, with what was tried remembered, as Lowe does.

use std::collections::HashSet;

/// What a key holds: one of the values that were ever written, each written once; `None` when there is no object.
pub(crate) type State = Option<u32>;

/// What was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Put(u32),
    /// `If-None-Match: *`.
    PutIfAbsent(u32),
    /// `If-Match` with the tag of the first value; the second is written.
    PutIfMatch(u32, u32),
    Delete,
    DeleteIfMatch(u32),
    Read,
}

/// What was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Done,
    /// The condition does not hold.
    Refused,
    /// The condition needs an object, and there is none.
    Missing,
    Found(State),
}

/// An operation with its place in time: it took effect somewhere between the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Operation {
    pub(crate) call: Call,
    pub(crate) answer: Answer,
    pub(crate) invoked: u64,
    pub(crate) answered: u64,
}

/// What a key that is used by one client alone would do.
pub(crate) fn apply(state: State, call: Call) -> (Answer, State) {
    let if_match = |wanted: u32, then: State| match state {
        None => (Answer::Missing, state),
        Some(value) if value != wanted => (Answer::Refused, state),
        Some(_) => (Answer::Done, then),
    };
    match call {
        Call::Put(value) => (Answer::Done, Some(value)),
        Call::PutIfAbsent(value) if state.is_none() => (Answer::Done, Some(value)),
        Call::PutIfAbsent(_) => (Answer::Refused, state),
        Call::PutIfMatch(wanted, value) => if_match(wanted, Some(value)),
        Call::Delete => (Answer::Done, None),
        Call::DeleteIfMatch(wanted) => if_match(wanted, None),
        Call::Read => (Answer::Found(state), state),
    }
}

/// Whether some order of the operations, in which none comes after one that was invoked only when it was answered, gives every answer.
/// At most 128 operations.
pub(crate) fn is_linearizable(history: &[Operation]) -> bool {
    assert!(history.len() <= 128, "{} operations are too many", history.len());
    let all = if history.len() == 128 { u128::MAX } else { (1 << history.len()) - 1 };
    let mut tried = HashSet::new();
    let mut waiting: Vec<(u128, State)> = vec![(0, None)];
    while let Some((done, state)) = waiting.pop() {
        if done == all {
            return true;
        }
        if !tried.insert((done, state)) {
            continue;
        }
        let open = || history.iter().enumerate().filter(|(at, _)| done & (1 << at) == 0);
        // Whatever was invoked after the first answer that is still to come cannot be next.
        let first_answer = open().map(|(_, operation)| operation.answered).min().unwrap_or(u64::MAX);
        for (at, operation) in open().filter(|(_, operation)| operation.invoked < first_answer) {
            let (answer, next) = apply(state, operation.call);
            if answer == operation.answer {
                waiting.push((done | (1 << at), next));
            }
        }
    }
    false
}
