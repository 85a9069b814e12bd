//! SQL of groups.

use super::{Row, Tx, values};
use crate::groups::{Group, PageRequest, Profile};
use crate::journal::{How, Note};
use crate::{Error, GroupId, Result};

/// Sorts behind every character that an id may hold, so that `prefix` and `prefix` with this behind it enclose what begins with it.
const BEHIND_ALL: char = '\u{7f}';

/// A group with the immutable reference that rows of other tables use.
#[derive(Clone, Debug)]
pub(crate) struct GroupRow {
    pub(crate) id: String,
    pub(crate) group: Group,
}

impl TryFrom<&Row> for GroupRow {
    type Error = Error;

    fn try_from(row: &Row) -> Result<Self> {
        let id = row.text("id")?;
        let profile = stored_profile("groups", &id, &row.text("profile")?)?;
        let group = Group {
            group_id: GroupId::stored(row.text("group_id")?),
            group_name: row.text("group_name")?,
            active: row.flag("active")?,
            profile,
            created_us: row.int("created_us")?,
        };
        Ok(Self { id, group })
    }
}

pub(crate) async fn find(tx: &mut Tx, group_id: &GroupId) -> Result<Option<GroupRow>> {
    let row = tx
        .fetch_optional(
            "SELECT id, group_id, group_name, active, profile, created_us
             FROM groups
             WHERE group_id = $1",
            values![group_id.as_str()],
        )
        .await?;
    row.as_ref().map(GroupRow::try_from).transpose()
}

/// Makes a group; `false` when its id is taken.
pub(crate) async fn insert(tx: &mut Tx, row: &GroupRow) -> Result<bool> {
    let GroupRow { id, group } = row;
    let inserted = tx
        .execute(
            "INSERT INTO groups (id, group_id, group_name, active, profile, created_us)
             VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT DO NOTHING",
            values![
                id,
                group.group_id.as_str(),
                &group.group_name,
                group.active,
                profile_text(&group.profile)?,
                group.created_us
            ],
        )
        .await?;
    if inserted == 1 {
        tx.note(Note::other(How::Made, "group", group.group_id.as_str()));
    }
    Ok(inserted == 1)
}

/// Writes what may change of a group.
pub(crate) async fn update(tx: &mut Tx, row: &GroupRow) -> Result<()> {
    let GroupRow { id, group } = row;
    tx.execute(
        "UPDATE groups
         SET group_name = $2,
             active = $3,
             profile = $4
         WHERE id = $1",
        values![id, &group.group_name, group.active, profile_text(&group.profile)?],
    )
    .await?;
    tx.note(Note::other(How::Changed, "group", group.group_id.as_str()));
    Ok(())
}

pub(crate) async fn delete(tx: &mut Tx, row: &GroupRow) -> Result<()> {
    tx.execute("DELETE FROM groups WHERE id = $1", values![&row.id]).await?;
    tx.note(Note::other(How::Deleted, "group", row.group.group_id.as_str()));
    Ok(())
}

pub(crate) async fn has_users(tx: &mut Tx, id: &str) -> Result<bool> {
    let row = tx.fetch_optional("SELECT 1 AS found FROM users WHERE group_ref = $1 LIMIT 1", values![id]).await?;
    Ok(row.is_some())
}

pub(crate) async fn list(tx: &mut Tx, page: &PageRequest) -> Result<Vec<Group>> {
    let (from, before) = bounds(page);
    let rows = tx
        .fetch_all(
            "SELECT id, group_id, group_name, active, profile, created_us
             FROM groups
             WHERE group_id >= $1
               AND group_id < $2
             ORDER BY group_id
             LIMIT $3",
            values![from, before, limit(page)],
        )
        .await?;
    rows.iter().map(|row| GroupRow::try_from(row).map(|row| row.group)).collect()
}

/// The first id of a page, and what all its ids sort before.
pub(super) fn bounds(page: &PageRequest) -> (String, String) {
    let from = page.from.iter().chain([&page.prefix]).max().cloned().unwrap_or_default();
    (from, format!("{}{BEHIND_ALL}", page.prefix))
}

pub(super) fn limit(page: &PageRequest) -> i64 {
    i64::try_from(page.rows_max).unwrap_or(i64::MAX)
}

pub(super) fn profile_text(profile: &Profile) -> Result<String> {
    serde_json::to_string(profile).map_err(|_| Error::Internal("a profile could not be written"))
}

pub(super) fn stored_profile(table: &str, id: &str, text: &str) -> Result<Profile> {
    serde_json::from_str(text).map_err(|_| Error::corrupt(format!("{table}.profile of row {id} is no JSON object")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_enclose_exactly_what_begins_with_the_prefix() {
        let ids = ["-", "0", "A", "a", "a-", "a.b", "ab", "az", "a~", "b", "z", "zz"];
        for prefix in ["", "a", "a-", "ab", "z", "é", "\u{7f}"] {
            for from in [None, Some("a-"), Some("ab"), Some("zzz")] {
                let page = PageRequest { prefix: prefix.into(), from: from.map(Into::into), rows_max: 1 };
                let (first, before) = bounds(&page);
                for id in ids {
                    let wanted = id.starts_with(prefix) && from.is_none_or(|from| id >= from);
                    assert_eq!(id >= first.as_str() && id < before.as_str(), wanted, "{id} {prefix} {from:?}");
                }
            }
        }
    }
}
