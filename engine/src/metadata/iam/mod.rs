//! SQL of identities of an account's own.

pub(crate) mod attachments;
pub(crate) mod entities;
pub(crate) mod members;
pub(crate) mod policies;
pub(crate) mod sessions;

use super::{Tx, values};
use crate::journal::{How, Note};
use crate::{CanonicalId, Result};

/// Deletes everything of an account's own but its keys.
pub(crate) async fn delete_of_account(tx: &mut Tx, account: &CanonicalId) -> Result<()> {
    sessions::delete_of_account(tx, account).await?;
    const OF_ACCOUNT: [&str; 5] = [
        "DELETE FROM iam_members WHERE group_ref IN (SELECT id FROM iam_entities WHERE account_ref = $1)",
        "DELETE FROM iam_attachments WHERE entity_ref IN (SELECT id FROM iam_entities WHERE account_ref = $1)",
        "DELETE FROM iam_inline_policies WHERE entity_ref IN (SELECT id FROM iam_entities WHERE account_ref = $1)",
        "DELETE FROM iam_policy_versions WHERE policy_ref IN (SELECT id FROM iam_entities WHERE account_ref = $1)",
        "DELETE FROM iam_entities WHERE account_ref = $1",
    ];
    for sql in OF_ACCOUNT {
        tx.execute(sql, values![account.as_str()]).await?;
    }
    tx.note(Note::other(How::Deleted, "identities of an account", account.as_str()));
    Ok(())
}
