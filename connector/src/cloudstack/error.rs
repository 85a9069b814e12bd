//! What can go wrong between the connector and CloudStack.

/// Why CloudStack did not give what was asked. The texts never hold keys, passwords or the requests' parameters.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CloudError {
    /// 401: a wrong key or signature, a disabled account, an ended session, or a command that is not registered.
    #[error("CloudStack refuses the credentials for {command}, or the command is not registered (401)")]
    Unauthorized {
        /// The command.
        command: &'static str,
    },
    /// 432: the command exists, but not for this caller's role.
    #[error("CloudStack does not allow {command} for the role of this key (432)")]
    NotAllowed {
        /// The command.
        command: &'static str,
    },
    /// 431 with one of the texts that CloudStack has for an id which is not there.
    #[error("CloudStack knows no such id")]
    NotThere,
    /// 531 at log-in: a wrong password, or a disabled or locked account.
    #[error("CloudStack refuses the user name and password (531)")]
    LoginRefused,
    /// The log-in wants a second factor, which nobody is there to give.
    #[error("the log-in needs a second factor: use an API key")]
    SecondFactor,
    /// Any other error that CloudStack answered in its own words.
    #[error("CloudStack answered {command} with error {code}: {text}")]
    Refused {
        /// The command.
        command: &'static str,
        /// CloudStack's code, which is the HTTP status.
        code: u16,
        /// CloudStack's words, shortened.
        text: String,
    },
    /// No answer came: name, connection, TLS or time.
    #[error("CloudStack cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    /// An answer that is no answer of CloudStack: cut, empty, or of another shape.
    #[error("the answer to {command} is not one of CloudStack: {what}")]
    Odd {
        /// The command.
        command: &'static str,
        /// What is wrong with it.
        what: String,
    },
    /// The client cannot be built from its configuration.
    #[error("the CloudStack client cannot be set up: {0}")]
    Config(String),
}

impl CloudError {
    /// True when the same request may succeed later without anybody changing anything.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Odd { .. } => true,
            Self::Refused { code, .. } => matches!(code, 408 | 429 | 500..=529 | 530 | 533 | 534),
            Self::Unauthorized { .. }
            | Self::NotAllowed { .. }
            | Self::NotThere
            | Self::LoginRefused
            | Self::SecondFactor
            | Self::Config(_) => false,
        }
    }

    /// A transport error, with its URL taken out because a proxy's might hold a password.
    pub(crate) fn unreachable(error: reqwest::Error) -> Self {
        Self::Unreachable(error.without_url())
    }
}
