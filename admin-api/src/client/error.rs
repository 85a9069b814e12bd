//! What can go wrong between this client and an Admin API.

/// Why a call to the Admin API did not do what was asked.
///
/// The texts never carry query strings or bodies: the API puts passwords and secret keys there.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server does not take the user and password (401).
    #[error("the Admin API refuses the user and password")]
    Unauthorized,
    /// The group, user or credential is not there.
    #[error("not found")]
    NotFound,
    /// The group, user or access key is there already (409).
    #[error("exists already")]
    Exists,
    /// No more of these are allowed, such as access keys of a user (403).
    #[error("the maximum is reached")]
    Limit,
    /// The server understood and refused.
    #[error("refused with status {status}: {reason}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// What the server said, shortened.
        reason: String,
    },
    /// No answer came: name, connection, TLS or time.
    #[error("the Admin API cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    /// The answer makes no sense as an Admin API.
    #[error("not an answer of an Admin API: {0}")]
    Protocol(String),
    /// The client cannot be built from its configuration.
    #[error("the Admin API client cannot be set up: {what}")]
    Config {
        /// What is wrong with the configuration.
        what: String,
        /// The cause, where there is one below.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
}

impl Error {
    /// True when the same call may succeed later without anybody changing anything.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            Self::Refused { status, .. } => matches!(status, 408 | 429 | 500..=599),
            Self::Unauthorized
            | Self::NotFound
            | Self::Exists
            | Self::Limit
            | Self::Protocol(_)
            | Self::Config { .. } => false,
        }
    }

    /// A transport error, with its URL taken out because the query may hold a secret.
    pub(super) fn unreachable(error: reqwest::Error) -> Self {
        Self::Unreachable(error.without_url())
    }

    pub(super) fn config(what: impl Into<String>) -> Self {
        Self::Config { what: what.into(), source: None }
    }

    pub(super) fn config_from(
        what: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Config { what: what.into(), source: Some(source.into()) }
    }
}

/// The result of a call.
pub type Result<T> = std::result::Result<T, Error>;
