//! Policies that belong to the store, by the names that AWS gives them.

use super::error::IamError;
use crate::Result;

/// How the ARNs of the store's own policies begin.
const PREFIX: &str = "arn:aws:iam::aws:policy/";

/// A policy of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Managed {
    pub(super) name: &'static str,
    pub(super) document: &'static str,
}

/// All of them, by name.
pub(super) const ALL: [Managed; 5] = [
    Managed {
        name: "AdministratorAccess",
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#,
    },
    Managed {
        name: "AmazonS3FullAccess",
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}"#,
    },
    Managed {
        name: "AmazonS3ReadOnlyAccess",
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:Get*","s3:List*"],"Resource":"*"}]}"#,
    },
    Managed {
        name: "IAMFullAccess",
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iam:*","Resource":"*"}]}"#,
    },
    Managed {
        name: "IAMReadOnlyAccess",
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["iam:Get*","iam:List*"],"Resource":"*"}]}"#,
    },
];

impl Managed {
    pub(super) fn arn(self) -> String {
        format!("{PREFIX}{}", self.name)
    }

    /// Its id, the same in every store.
    pub(super) fn id(self) -> String {
        format!("ANPA{}", self.name.to_ascii_uppercase())
    }
}

/// Whether an ARN is of the store's own policies, whether it is there or not.
pub(super) fn is_managed(arn: &str) -> bool {
    arn.starts_with(PREFIX)
}

/// The policy of the store that has an ARN.
pub(super) fn find(arn: &str) -> Option<Managed> {
    let name = arn.strip_prefix(PREFIX)?;
    ALL.into_iter().find(|managed| managed.name == name)
}

/// Refuses to change a policy of the store.
pub(super) fn must_be_own(arn: &str) -> Result<()> {
    if is_managed(arn) { Err(IamError::Unmodifiable("a policy of the store").into()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::policy::Policy;

    #[test]
    fn all_of_them_can_be_read() {
        for managed in ALL {
            assert!(Policy::of_identity(managed.document).is_ok(), "{}", managed.name);
            assert_eq!(find(&managed.arn()), Some(managed));
        }
        assert!(ALL.is_sorted_by_key(|managed| managed.name));
    }
}
