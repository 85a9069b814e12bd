//! SQL of temporary keys. The secret enters and leaves sealed, of the token only a keyed hash is here.

use super::super::users::identity;
use super::super::{Tx, values};
use crate::{CanonicalId, Identity, Result};

/// A temporary key to be stored.
#[derive(Clone, Debug)]
pub(crate) struct SessionRow {
    pub(crate) access_key: String,
    pub(crate) account: CanonicalId,
    /// The account of who asked for it.
    pub(crate) caller: CanonicalId,
    /// The temporary key with which it was asked for.
    pub(crate) parent: Option<String>,
    /// The user or role; empty for the account's root.
    pub(crate) entity: String,
    pub(crate) session_name: String,
    pub(crate) policy: Option<String>,
    pub(crate) sealed_secret: Vec<u8>,
    pub(crate) token_hash: Vec<u8>,
    pub(crate) expires_us: i64,
}

/// A temporary key with its active account; it may have ended by the clock.
pub(crate) struct SessionLogin {
    pub(crate) session: SessionRow,
    pub(crate) account: Identity,
}

/// Stores a temporary key; `false` when its account or the account's group is not active, or gone, or the session is that asked for it.
pub(crate) async fn insert(tx: &mut Tx, row: &SessionRow) -> Result<bool> {
    let now_us = tx.now_us();
    let inserted = tx
        .execute(
            "INSERT INTO iam_sessions (access_key, account_ref, entity_ref, session_name, policy, secret, token_hash,
                                   created_us, expires_us, caller_ref, parent_key)
         SELECT $1, u.id, $3, $4, $5, $6, $7, $8, $9, $10, $11
         FROM users u
         JOIN groups g ON g.id = u.group_ref
         WHERE u.id = $2
           AND u.active = 1
           AND g.active = 1
           AND (CAST($11 AS TEXT) IS NULL OR EXISTS (SELECT 1 FROM iam_sessions p WHERE p.access_key = $11))",
            values![
                &row.access_key,
                row.account.as_str(),
                &row.entity,
                &row.session_name,
                row.policy.as_ref(),
                &row.sealed_secret,
                &row.token_hash,
                now_us,
                row.expires_us,
                row.caller.as_str(),
                row.parent.as_ref()
            ],
        )
        .await?;
    Ok(inserted == 1)
}

pub(crate) async fn count(tx: &mut Tx, account: &CanonicalId, entity: &str) -> Result<(usize, usize)> {
    let row = tx
        .fetch_one(
            "SELECT COUNT(*) AS count, COUNT(CASE WHEN entity_ref = $2 THEN 1 END) AS of_entity
             FROM iam_sessions WHERE account_ref = $1",
            values![account.as_str(), entity],
        )
        .await?;
    let number = |column| row.size(column).map(|count| usize::try_from(count).unwrap_or(usize::MAX));
    Ok((number("count")?, number("of_entity")?))
}

/// The log-in behind a temporary key of active users in active groups: whose it is, and who asked for it.
pub(crate) async fn find_login(tx: &mut Tx, access_key: &str) -> Result<Option<SessionLogin>> {
    let row = tx
        .fetch_optional(
            "SELECT s.caller_ref AS caller_ref,
                    s.parent_key AS parent_key,
                    s.entity_ref AS entity_ref,
                    s.session_name AS session_name,
                    s.policy AS policy,
                    s.secret AS secret,
                    s.token_hash AS token_hash,
                    s.expires_us AS expires_us,
                    u.id AS id,
                    g.group_id AS group_id,
                    u.user_id AS user_id,
                    u.role AS role,
                    u.full_name AS full_name
             FROM iam_sessions s
             JOIN users u ON u.id = s.account_ref
             JOIN groups g ON g.id = u.group_ref
             JOIN users c ON c.id = s.caller_ref
             JOIN groups h ON h.id = c.group_ref
             WHERE s.access_key = $1
               AND u.active = 1
               AND g.active = 1
               AND c.active = 1
               AND h.active = 1",
            values![access_key],
        )
        .await?;
    row.map(|row| {
        let account = identity(&row)?;
        let session = SessionRow {
            access_key: access_key.to_owned(),
            account: account.canonical_id.clone(),
            caller: CanonicalId::stored(row.text("caller_ref")?),
            parent: row.opt_text("parent_key")?,
            entity: row.text("entity_ref")?,
            session_name: row.text("session_name")?,
            policy: row.opt_text("policy")?,
            sealed_secret: row.blob("secret")?,
            token_hash: row.blob("token_hash")?,
            expires_us: row.int("expires_us")?,
        };
        Ok(SessionLogin { session, account })
    })
    .transpose()
}

/// Deletes the sessions that a condition is true of, and those that were asked for with them, however far down.
macro_rules! delete_with_those_below {
    ($of:literal) => {
        concat!(
            "DELETE FROM iam_sessions WHERE access_key IN (
                 WITH RECURSIVE ended (access_key) AS (
                     SELECT access_key FROM iam_sessions WHERE ",
            $of,
            "
                     UNION
                     SELECT s.access_key FROM ended e JOIN iam_sessions s ON s.parent_key = e.access_key
                 )
                 SELECT access_key FROM ended)"
        )
    };
}

/// Ends the sessions of a user or role.
pub(crate) async fn delete_of_entity(tx: &mut Tx, account: &CanonicalId, entity: &str) -> Result<()> {
    tx.execute(delete_with_those_below!("account_ref = $1 AND entity_ref = $2"), values![account.as_str(), entity])
        .await?;
    Ok(())
}

/// Ends all sessions of an account, and those that it has in others.
pub(crate) async fn delete_of_account(tx: &mut Tx, account: &CanonicalId) -> Result<()> {
    tx.execute(delete_with_those_below!("account_ref = $1 OR caller_ref = $1"), values![account.as_str()]).await?;
    Ok(())
}

/// Ends the sessions of all accounts of a group of users, and those that they have in others.
pub(crate) async fn delete_of_group(tx: &mut Tx, group_ref: &str) -> Result<()> {
    tx.execute(
        delete_with_those_below!(
            "account_ref IN (SELECT id FROM users WHERE group_ref = $1)
                        OR caller_ref IN (SELECT id FROM users WHERE group_ref = $1)"
        ),
        values![group_ref],
    )
    .await?;
    Ok(())
}

/// Whether any session ended before a time.
pub(crate) async fn has_older(tx: &mut Tx, before_us: i64) -> Result<bool> {
    let row = tx
        .fetch_optional("SELECT 1 AS found FROM iam_sessions WHERE expires_us <= $1 LIMIT 1", values![before_us])
        .await?;
    Ok(row.is_some())
}

/// Forgets some of the sessions that ended before a time; returns how many, 0 when none is left.
pub(crate) async fn delete_older(tx: &mut Tx, before_us: i64, rows_max: u32) -> Result<u64> {
    tx.execute(
        "DELETE FROM iam_sessions
         WHERE access_key IN (SELECT access_key FROM iam_sessions WHERE expires_us <= $1 LIMIT $2)",
        values![before_us, rows_max],
    )
    .await
}
