//! Why an event was not delivered, or the notifier could not start.

use std::path::PathBuf;

/// Why something about a target does not work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file that the settings name cannot be read.
    #[error("{path} cannot be read")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The token of a webhook has characters that no header may have.
    #[error("the token is no single line of printable characters")]
    Token,
    /// The HTTP client cannot be made.
    #[error("the HTTP client cannot be made")]
    Client(#[source] reqwest::Error),
    /// The receiver could not be reached, or gave no answer in time.
    #[error("the receiver cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    /// The receiver answered that it did not take the event.
    #[error("the receiver answered {0}")]
    Refused(u16),
    /// The broker could not be reached, or the connection to it broke.
    #[error("the broker cannot be used")]
    Broker(#[source] lapin::Error),
    /// The broker did not confirm the event, or knew no queue for it.
    #[error("the broker did not take the event: {0}")]
    NotTaken(&'static str),
    /// The target did not answer in time.
    #[error("the target did not answer in time")]
    TooSlow,
    /// The event cannot be written.
    #[error("the event cannot be written")]
    Message(#[source] serde_json::Error),
}

impl Error {
    /// Whether other events would fare no better: the target is not there. One that fails at an event, or takes too long over it, may take
    /// others: whoever stores objects decides what is told.
    pub(crate) fn is_of_target(&self) -> bool {
        match self {
            Self::Unreachable(error) => error.is_connect(),
            Self::Broker(_) | Self::File { .. } | Self::Client(_) => true,
            Self::Refused(status) => matches!(status, 429 | 502..=504),
            Self::TooSlow | Self::NotTaken(_) | Self::Message(_) | Self::Token => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_at_one_event_says_nothing_of_others() {
        for status in [400, 403, 404, 500, 501] {
            assert!(!Error::Refused(status).is_of_target(), "{status}");
        }
        for status in [429, 502, 503, 504] {
            assert!(Error::Refused(status).is_of_target(), "{status}");
        }
        assert!(!Error::TooSlow.is_of_target());
    }
}
