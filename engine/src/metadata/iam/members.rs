//! SQL of who is in which group.

use super::super::{Tx, values};
use super::entities::select_entities;
use crate::Result;
use crate::iam::IamEntity;
use crate::journal::{How, Note};

/// The users of a group after a name, in the order of their names.
pub(crate) async fn users_of(tx: &mut Tx, group: &str, after: &str, rows_max: usize) -> Result<Vec<IamEntity>> {
    let rows = tx
        .fetch_all(
            select_entities!(
                "JOIN iam_members m ON m.user_ref = e.id
                 WHERE m.group_ref = $1 AND e.name_key > $2
                 ORDER BY e.name_key
                 LIMIT $3"
            ),
            values![group, after, i64::try_from(rows_max).unwrap_or(i64::MAX)],
        )
        .await?;
    rows.iter().map(IamEntity::try_from).collect()
}

/// The groups of a user after a name, in the order of their names.
pub(crate) async fn groups_of(tx: &mut Tx, user: &str, after: &str, rows_max: usize) -> Result<Vec<IamEntity>> {
    let rows = tx
        .fetch_all(
            select_entities!(
                "JOIN iam_members m ON m.group_ref = e.id
                 WHERE m.user_ref = $1 AND e.name_key > $2
                 ORDER BY e.name_key
                 LIMIT $3"
            ),
            values![user, after, i64::try_from(rows_max).unwrap_or(i64::MAX)],
        )
        .await?;
    rows.iter().map(IamEntity::try_from).collect()
}

pub(crate) async fn insert(tx: &mut Tx, group: &str, user: &str) -> Result<()> {
    tx.execute(
        "INSERT INTO iam_members (group_ref, user_ref) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        values![group, user],
    )
    .await?;
    tx.note(Note::other(How::Made, "member of a group", format!("{user} of {group}")));
    Ok(())
}

/// Takes a user out of a group; `false` when it was not in it.
pub(crate) async fn delete(tx: &mut Tx, group: &str, user: &str) -> Result<bool> {
    let deleted =
        tx.execute("DELETE FROM iam_members WHERE group_ref = $1 AND user_ref = $2", values![group, user]).await?;
    tx.note(Note::other(How::Deleted, "member of a group", format!("{user} of {group}")));
    Ok(deleted > 0)
}

/// Takes a user out of all its groups.
pub(crate) async fn delete_of_user(tx: &mut Tx, user: &str) -> Result<()> {
    tx.execute("DELETE FROM iam_members WHERE user_ref = $1", values![user]).await?;
    Ok(())
}
