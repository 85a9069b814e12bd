//! Sub-resources that no bucket or object of this store has: asking for one is answered with the truth that there is none, taking one
//! away succeeds because afterwards there is none. Setting one is not offered, see [`crate::OPERATIONS`].

use s3s::S3Error;

use crate::error::none_such;

/// What a bucket or object may be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Absent {
    Replication,
}

impl Absent {
    pub(crate) fn error(self) -> S3Error {
        let (code, message) = match self {
            Self::Replication => {
                ("ReplicationConfigurationNotFoundError", "The replication configuration was not found")
            }
        };
        none_such(code, message)
    }
}
