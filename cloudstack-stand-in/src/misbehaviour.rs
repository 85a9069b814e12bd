//! How the stand-in misbehaves when it is told to: slow, failing, lying.

use std::time::Duration;

use crate::Cloud;
use crate::answer::Answer;
use crate::cloud::ROOT_DOMAIN;

/// A wrong answer that looks right, or an answer that is none. Each has status 200.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lie {
    /// Every list is `{}`, as if there were nothing.
    Nothing,
    /// Every list is a count of 0 with an empty array.
    EmptyArray,
    /// No body at all.
    EmptyBody,
    /// The JSON ends in the middle.
    Truncated,
    /// An HTML page, as a broken proxy sends it.
    Html,
    /// The count is off by this many; the rows are right.
    CountOff(i64),
    /// The count is right, but each page lacks its last rows, this many.
    ShortPages(usize),
    /// Every page is the first one.
    RepeatPages,
    /// The second page is left out: asked for page 2, page 3 comes.
    SkipPages,
    /// Domains without ROOT; the count agrees.
    WithoutRoot,
    /// Only this domain (a uuid) and what is below it is seen, as by a key that lost its rights; counts agree.
    OnlyBelow {
        /// The uuid of the domain.
        domain: String,
        /// Asked for something else by its id, the answer is the one for what is gone (431), else a refusal (531).
        others_are_gone: bool,
    },
    /// It is another CloudStack: ROOT has this uuid.
    OtherRoot(String),
}

/// Failures that are still to come.
#[derive(Debug, Clone)]
struct Failure {
    command: Option<String>,
    status: u16,
    left: u32,
}

/// What the stand-in was told to do wrong.
#[derive(Debug, Default)]
pub(crate) struct Behaviour {
    pub(crate) slow: Duration,
    failures: Vec<Failure>,
    lies: Vec<(Option<String>, Lie)>,
}

fn is_meant(about: Option<&String>, command: &str) -> bool {
    about.is_none_or(|about| about.eq_ignore_ascii_case(command))
}

impl Behaviour {
    pub(crate) fn fail(&mut self, command: Option<&str>, status: u16, count: u32) {
        self.failures.push(Failure { command: command.map(str::to_owned), status, left: count });
    }

    pub(crate) fn lie(&mut self, command: Option<&str>, lie: Lie) {
        self.lies.push((command.map(str::to_owned), lie));
    }

    pub(crate) fn behave(&mut self) {
        *self = Self::default();
    }

    /// The status with which this request must fail, if it must; that failure is used up then.
    pub(crate) fn take_failure(&mut self, command: &str) -> Option<u16> {
        let meant = |failure: &&mut Failure| failure.left > 0 && is_meant(failure.command.as_ref(), command);
        let failure = self.failures.iter_mut().find(meant)?;
        failure.left -= 1;
        Some(failure.status)
    }

    /// The lies about this command.
    pub(crate) fn lies_about(&self, command: &str) -> Vec<Lie> {
        let meant = self.lies.iter().filter(|(about, _)| is_meant(about.as_ref(), command));
        meant.map(|(_, lie)| lie.clone()).collect()
    }
}

/// Changes a finished answer, where the lie is about its text.
pub(crate) fn distort(lie: &Lie, cloud: &Cloud, answer: &mut Answer) {
    match lie {
        Lie::EmptyBody => answer.body.clear(),
        Lie::Truncated => {
            let mut half = answer.body.len() / 2;
            while !answer.body.is_char_boundary(half) {
                half -= 1;
            }
            answer.body.truncate(half);
        }
        Lie::Html => {
            "<!doctype html><title>Welcome</title><p>It works!</p>".clone_into(&mut answer.body);
            answer.html = true;
        }
        Lie::OtherRoot(uuid) => answer.body = answer.body.replace(&root_uuid(cloud), uuid),
        Lie::Nothing
        | Lie::EmptyArray
        | Lie::CountOff(_)
        | Lie::ShortPages(_)
        | Lie::RepeatPages
        | Lie::SkipPages
        | Lie::WithoutRoot
        | Lie::OnlyBelow { .. } => {}
    }
}

/// The uuid of ROOT.
pub(crate) fn root_uuid(cloud: &Cloud) -> String {
    cloud.domains.get(ROOT_DOMAIN).map(|root| root.uuid.to_string()).unwrap_or_default()
}
