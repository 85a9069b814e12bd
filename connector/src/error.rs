//! The one error of this crate.

use crate::{cloudstack::CloudError, state::StateError};

/// Why the connector could not do what was asked. The texts are for operators and hold no secret.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration cannot work.
    #[error("configuration: {0}")]
    Config(String),
    /// CloudStack did not give what is needed.
    #[error("{}", chain(.0))]
    CloudStack(CloudStackError),
    /// The Admin API did not do what is needed.
    #[error("the target's Admin API: {}", chain(.0))]
    Target(#[from] admin_api::client::Error),
    /// The connector's own database.
    #[error("the connector's state: {}", chain(.0))]
    State(StateFailure),
    /// The CloudStack behind the address is not the one that this state belongs to.
    #[error(
        "this CloudStack has another ROOT domain ({found}) than the one this state belongs to ({known}): nothing is \
         changed. Point cloudstack.url back, or give the connector a new state"
    )]
    AnotherCloud {
        /// The ROOT that is remembered.
        known: String,
        /// The ROOT that was found, or what was found in its place.
        found: String,
    },
    /// CloudStack's answers do not fit together, so nothing is concluded from them.
    #[error("CloudStack's lists do not agree with themselves: {0}")]
    Disagreement(String),
    /// Another node does the work now.
    #[error("another node reconciles now")]
    NotTheOwner,
    /// The connector is shutting down.
    #[error("the connector is shutting down")]
    Stopped,
}

/// An error and what it came from, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// An error between the connector and CloudStack.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct CloudStackError(#[from] CloudError);

/// An error of the connector's own database.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct StateFailure(#[from] StateError);

impl From<CloudError> for Error {
    fn from(error: CloudError) -> Self {
        Self::CloudStack(error.into())
    }
}

impl From<StateError> for Error {
    fn from(error: StateError) -> Self {
        Self::State(error.into())
    }
}

impl CloudStackError {
    /// True when CloudStack answered, and its answer about one id was of no use: it may well know the next one.
    pub(crate) fn is_about_one_id(&self) -> bool {
        matches!(self.0, CloudError::Refused { .. } | CloudError::Odd { .. } | CloudError::NotThere)
    }

    /// True when CloudStack refused this one question and may well answer another.
    pub(crate) fn is_about_one_thing(&self) -> bool {
        matches!(self.0, CloudError::Refused { .. } | CloudError::NotThere) && !self.0.is_transient()
    }
}
