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
    /// Whether other events would fare no better: the target is not there.
    pub(crate) fn is_of_target(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Broker(_) | Self::TooSlow | Self::File { .. } | Self::Client(_) => true,
            Self::Refused(status) => *status >= 500 || *status == 429,
            Self::NotTaken(_) | Self::Message(_) => false,
        }
    }
}
