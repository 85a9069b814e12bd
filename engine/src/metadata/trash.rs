//! SQL of the trash.

use super::groups::{profile_text, stored_profile};
use super::users::{path_of, stored_role};
use super::{Row, Tx, values};
use crate::journal::{How, Note};
use crate::{CanonicalId, Error, GroupId, Result, TrashedUser, User, UserId};

/// The end of the grace period of a user that is being purged: no clock is before it.
const PURGING_US: i64 = 0;

/// A deleted user as it was.
#[derive(Clone, Debug)]
pub(crate) struct TrashRow {
    pub(crate) user: User,
    pub(crate) group_name: String,
    pub(crate) trashed_us: i64,
    pub(crate) purge_after_us: i64,
}

impl TryFrom<&Row> for TrashRow {
    type Error = Error;

    fn try_from(row: &Row) -> Result<Self> {
        let id = row.text("id")?;
        let user = User {
            group_id: GroupId::stored(row.text("group_id")?),
            user_id: UserId::stored(row.text("user_id")?),
            role: stored_role("trash", &id, &row.text("role")?)?,
            full_name: row.text("full_name")?,
            email: row.text("email")?,
            active: row.flag("active")?,
            profile: stored_profile("trash", &id, &row.text("profile")?)?,
            created_us: row.int("created_us")?,
            canonical_id: CanonicalId::stored(id),
        };
        let (trashed_us, purge_after_us) = (row.int("trashed_us")?, row.int("purge_after_us")?);
        Ok(Self { user, group_name: row.text("group_name")?, trashed_us, purge_after_us })
    }
}

impl TryFrom<&Row> for TrashedUser {
    type Error = Error;

    fn try_from(row: &Row) -> Result<Self> {
        Ok(Self {
            canonical_id: CanonicalId::stored(row.text("id")?),
            group_id: GroupId::stored(row.text("group_id")?),
            group_name: row.text("group_name")?,
            user_id: UserId::stored(row.text("user_id")?),
            full_name: row.text("full_name")?,
            bucket_count: row.size("bucket_count")?,
            size_bytes: row.size("size_bytes")?,
            trashed_us: row.int("trashed_us")?,
            purge_after_us: row.int("purge_after_us")?,
        })
    }
}

pub(crate) async fn insert(tx: &mut Tx, row: &TrashRow) -> Result<()> {
    let TrashRow { user, group_name, trashed_us, purge_after_us } = row;
    tx.execute(
        "INSERT INTO trash (id, group_id, group_name, user_id, role, full_name, email, active, profile,
                            created_us, trashed_us, purge_after_us)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        values![
            user.canonical_id.as_str(),
            user.group_id.as_str(),
            group_name,
            user.user_id.as_str(),
            user.role.as_str(),
            &user.full_name,
            &user.email,
            user.active,
            profile_text(&user.profile)?,
            user.created_us,
            *trashed_us,
            *purge_after_us
        ],
    )
    .await?;
    tx.note(Note::other(How::Deleted, "user", path_of(user)));
    Ok(())
}

pub(crate) async fn find(tx: &mut Tx, id: &CanonicalId) -> Result<Option<TrashRow>> {
    let row = tx
        .fetch_optional(
            "SELECT id, group_id, group_name, user_id, role, full_name, email, active, profile,
                    created_us, trashed_us, purge_after_us
             FROM trash
             WHERE id = $1",
            values![id.as_str()],
        )
        .await?;
    row.as_ref().map(TrashRow::try_from).transpose()
}

/// What is in the trash, oldest first, with the bytes of objects and open uploads.
pub(crate) async fn list(tx: &mut Tx) -> Result<Vec<TrashedUser>> {
    let rows = tx
        .fetch_all(
            "SELECT t.id AS id,
                    t.group_id AS group_id,
                    t.group_name AS group_name,
                    t.user_id AS user_id,
                    t.full_name AS full_name,
                    t.trashed_us AS trashed_us,
                    t.purge_after_us AS purge_after_us,
                    (SELECT COUNT(*) FROM buckets b WHERE b.owner_ref = t.id) AS bucket_count,
                    CAST(COALESCE((SELECT SUM(s.size_bytes + s.upload_size_bytes)
                                   FROM buckets b
                                   JOIN usage_totals s ON s.bucket_id = b.id
                                   WHERE b.owner_ref = t.id), 0)
                       + COALESCE((SELECT SUM(d.size_bytes + d.upload_size_bytes)
                                   FROM buckets b
                                   JOIN usage_deltas d ON d.bucket_id = b.id
                                   WHERE b.owner_ref = t.id), 0) AS BIGINT) AS size_bytes
             FROM trash t
             ORDER BY t.trashed_us, t.id",
            values![],
        )
        .await?;
    rows.iter().map(TrashedUser::try_from).collect()
}

/// Ends the grace period.
pub(crate) async fn set_purge_after(tx: &mut Tx, id: &CanonicalId, purge_after_us: i64) -> Result<()> {
    tx.execute("UPDATE trash SET purge_after_us = $2 WHERE id = $1", values![id.as_str(), purge_after_us]).await?;
    tx.note(Note::other(How::Changed, "grace of a deleted user", id.as_str()));
    Ok(())
}

/// Puts all buckets of a user into the trash, or takes them out. A trashed bucket keeps its name reserved.
pub(crate) async fn set_buckets_trashed(tx: &mut Tx, owner: &CanonicalId, trashed: bool) -> Result<()> {
    tx.execute("UPDATE buckets SET trashed = $2 WHERE owner_ref = $1", values![owner.as_str(), trashed]).await?;
    Ok(())
}

/// The users whose grace period has ended, oldest first.
pub(crate) async fn due(tx: &mut Tx, now_us: i64) -> Result<Vec<CanonicalId>> {
    let rows = tx
        .fetch_all("SELECT id FROM trash WHERE purge_after_us <= $1 ORDER BY purge_after_us, id", values![now_us])
        .await?;
    rows.iter().map(|row| row.text("id").map(CanonicalId::stored)).collect()
}

/// Begins to purge a user whose grace period has ended; from here on it cannot be restored, whatever the clock says. Returns whether it
/// began, or had begun before.
pub(crate) async fn begin_purge(tx: &mut Tx, id: &CanonicalId, now_us: i64) -> Result<bool> {
    let begun = tx
        .execute(
            "UPDATE trash SET purge_after_us = $3 WHERE id = $1 AND purge_after_us <= $2",
            values![id.as_str(), now_us, PURGING_US],
        )
        .await?;
    Ok(begun > 0)
}

/// Whether a bucket belongs to a user that is being purged.
pub(crate) async fn is_purging(tx: &mut Tx, bucket_id: i64) -> Result<bool> {
    let row = tx
        .fetch_optional(
            "SELECT 1 AS one FROM buckets b JOIN trash t ON t.id = b.owner_ref
             WHERE b.id = $1 AND b.trashed = 1 AND t.purge_after_us = $2",
            values![bucket_id, PURGING_US],
        )
        .await?;
    Ok(row.is_some())
}

/// Drops a user from the trash: after its buckets are gone, or when it was restored.
pub(crate) async fn forget(tx: &mut Tx, id: &CanonicalId) -> Result<()> {
    tx.execute("DELETE FROM trash WHERE id = $1", values![id.as_str()]).await?;
    tx.note(Note::other(How::Deleted, "grace of a deleted user", id.as_str()));
    Ok(())
}
