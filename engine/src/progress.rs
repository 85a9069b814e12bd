//! How far long work is, told to whoever asked for it.

use std::fmt;
use std::sync::Arc;

/// How far something is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// What is being done, in a few words.
    pub what: String,
    /// How much is done.
    pub done: u64,
    /// How much there is, when that is known.
    pub total: Option<u64>,
    /// Whether `done` and `total` are bytes.
    pub is_bytes: bool,
}

/// Is told now and then how far something is; must not block.
#[derive(Clone)]
pub struct OnProgress(Arc<dyn Fn(Progress) + Send + Sync>);

impl OnProgress {
    /// Tells a function.
    pub fn new(tell: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }

    /// Tells nobody.
    pub fn nobody() -> Self {
        Self::new(|_| ())
    }

    pub(crate) fn count(&self, what: &str, done: u64, total: Option<u64>) {
        (self.0)(Progress { what: what.to_owned(), done, total, is_bytes: false });
    }

    pub(crate) fn bytes(&self, what: &str, done: u64, total: Option<u64>) {
        (self.0)(Progress { what: what.to_owned(), done, total, is_bytes: true });
    }
}

impl fmt::Debug for OnProgress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("OnProgress")
    }
}
