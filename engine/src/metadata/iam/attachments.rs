//! SQL of which policies an identity has beside its own.

use super::super::{Tx, values};
use super::entities::select_entities;
use crate::Result;
use crate::iam::IamEntity;
use crate::journal::{How, Note};

/// The ARNs of an identity's policies, after one.
pub(crate) async fn of_entity(tx: &mut Tx, entity: &str, after: &str, rows_max: usize) -> Result<Vec<String>> {
    let rows = tx
        .fetch_all(
            "SELECT policy_arn FROM iam_attachments
             WHERE entity_ref = $1 AND policy_arn > $2
             ORDER BY policy_arn
             LIMIT $3",
            values![entity, after, i64::try_from(rows_max).unwrap_or(i64::MAX)],
        )
        .await?;
    rows.iter().map(|row| row.text("policy_arn")).collect()
}

/// The identities of the account that have a policy, by their ids.
pub(crate) async fn entities_of_policy(tx: &mut Tx, policy_arn: &str, account: &str) -> Result<Vec<IamEntity>> {
    let rows = tx
        .fetch_all(
            select_entities!(
                "JOIN iam_attachments a ON a.entity_ref = e.id
                 WHERE a.policy_arn = $1 AND e.account_ref = $2
                 ORDER BY e.id"
            ),
            values![policy_arn, account],
        )
        .await?;
    rows.iter().map(IamEntity::try_from).collect()
}

/// How many identities of the account that a policy of its own belongs to have it.
pub(crate) async fn count_of_policy(tx: &mut Tx, policy_arn: &str, account: &str) -> Result<u64> {
    let row = tx
        .fetch_one(
            "SELECT COUNT(*) AS count FROM iam_attachments a
             JOIN iam_entities e ON e.id = a.entity_ref
             WHERE a.policy_arn = $1 AND e.account_ref = $2",
            values![policy_arn, account],
        )
        .await?;
    row.size("count")
}

pub(crate) async fn insert(tx: &mut Tx, entity: &str, policy_arn: &str) -> Result<()> {
    tx.execute(
        "INSERT INTO iam_attachments (entity_ref, policy_arn) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        values![entity, policy_arn],
    )
    .await?;
    tx.note(Note::other(How::Made, "attachment of a policy", format!("{policy_arn} to {entity}")));
    Ok(())
}

/// Takes one away; `false` when there was none.
pub(crate) async fn delete(tx: &mut Tx, entity: &str, policy_arn: &str) -> Result<bool> {
    let deleted = tx
        .execute("DELETE FROM iam_attachments WHERE entity_ref = $1 AND policy_arn = $2", values![entity, policy_arn])
        .await?;
    tx.note(Note::other(How::Deleted, "attachment of a policy", format!("{policy_arn} to {entity}")));
    Ok(deleted > 0)
}
