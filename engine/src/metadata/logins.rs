//! SQL of passwords, sessions, used sign-on links and service accounts. Only hashes of secrets are stored here.

use super::users::identity;
use super::{Tx, values};
use crate::journal::{How, Note};
use crate::{CanonicalId, GroupId, Identity, Result, UserId};

/// An active user of an active group, with its password's hash.
pub(crate) struct PasswordLogin {
    pub(crate) identity: Identity,
    pub(crate) hash: Option<String>,
}

/// A session of an active user of an active group; it may have ended by the clock.
pub(crate) struct SessionRow {
    pub(crate) identity: Identity,
    pub(crate) csrf_token: String,
    pub(crate) expires_us: i64,
}

pub(crate) async fn find_active_user(
    tx: &mut Tx,
    group_id: &GroupId,
    user_id: &UserId,
) -> Result<Option<PasswordLogin>> {
    let row = tx
        .fetch_optional(
            "SELECT u.id AS id,
                    g.group_id AS group_id,
                    u.user_id AS user_id,
                    u.role AS role,
                    u.full_name AS full_name,
                    p.hash AS hash
             FROM users u
             JOIN groups g ON g.id = u.group_ref
             LEFT JOIN passwords p ON p.user_ref = u.id
             WHERE g.group_id = $1
               AND u.user_id = $2
               AND u.active = 1
               AND g.active = 1",
            values![group_id.as_str(), user_id.as_str()],
        )
        .await?;
    row.map(|row| Ok(PasswordLogin { identity: identity(&row)?, hash: row.opt_text("hash")? })).transpose()
}

pub(crate) async fn set_password(tx: &mut Tx, user: &CanonicalId, hash: &str) -> Result<()> {
    let now_us = tx.now_us();
    tx.execute(
        "INSERT INTO passwords (user_ref, hash, changed_us)
         VALUES ($1, $2, $3)
         ON CONFLICT (user_ref) DO UPDATE
         SET hash = excluded.hash,
             changed_us = excluded.changed_us",
        values![user.as_str(), hash, now_us],
    )
    .await?;
    tx.note(Note::other(How::Changed, "password of a user", user.as_str()));
    Ok(())
}

pub(crate) async fn has_password(tx: &mut Tx, user: &CanonicalId) -> Result<bool> {
    let row = tx.fetch_optional("SELECT 1 AS found FROM passwords WHERE user_ref = $1", values![user.as_str()]).await?;
    Ok(row.is_some())
}

pub(crate) async fn delete_password(tx: &mut Tx, user: &CanonicalId) -> Result<()> {
    tx.execute("DELETE FROM passwords WHERE user_ref = $1", values![user.as_str()]).await?;
    tx.note(Note::other(How::Deleted, "password of a user", user.as_str()));
    Ok(())
}

/// Remembers a link's signature; `false` when it was there already.
pub(crate) async fn insert_link(tx: &mut Tx, signature: &[u8], expires_us: i64) -> Result<bool> {
    let inserted = tx
        .execute(
            "INSERT INTO used_links (signature, expires_us)
             VALUES ($1, $2)
             ON CONFLICT (signature) DO NOTHING",
            values![signature, expires_us],
        )
        .await?;
    Ok(inserted == 1)
}

/// Opens a session; `false` when the user or its group is not active, or gone.
pub(crate) async fn insert_session(
    tx: &mut Tx,
    token_hash: &[u8],
    user: &CanonicalId,
    csrf_token: &str,
    expires_us: i64,
) -> Result<bool> {
    let now_us = tx.now_us();
    let inserted = tx
        .execute(
            "INSERT INTO sessions (token_hash, user_ref, csrf_token, created_us, expires_us)
             SELECT $1, u.id, $3, $4, $5
             FROM users u
             JOIN groups g ON g.id = u.group_ref
             WHERE u.id = $2
               AND u.active = 1
               AND g.active = 1",
            values![token_hash, user.as_str(), csrf_token, now_us, expires_us],
        )
        .await?;
    Ok(inserted == 1)
}

pub(crate) async fn find_session(tx: &mut Tx, token_hash: &[u8]) -> Result<Option<SessionRow>> {
    let row = tx
        .fetch_optional(
            "SELECT s.csrf_token AS csrf_token,
                    s.expires_us AS expires_us,
                    u.id AS id,
                    g.group_id AS group_id,
                    u.user_id AS user_id,
                    u.role AS role,
                    u.full_name AS full_name
             FROM sessions s
             JOIN users u ON u.id = s.user_ref
             JOIN groups g ON g.id = u.group_ref
             WHERE s.token_hash = $1
               AND u.active = 1
               AND g.active = 1",
            values![token_hash],
        )
        .await?;
    row.map(|row| {
        Ok(SessionRow {
            csrf_token: row.text("csrf_token")?,
            expires_us: row.int("expires_us")?,
            identity: identity(&row)?,
        })
    })
    .transpose()
}

pub(crate) async fn delete_session(tx: &mut Tx, token_hash: &[u8]) -> Result<u64> {
    tx.execute("DELETE FROM sessions WHERE token_hash = $1", values![token_hash]).await
}

pub(crate) async fn delete_sessions_of(tx: &mut Tx, user: &CanonicalId) -> Result<()> {
    tx.execute("DELETE FROM sessions WHERE user_ref = $1", values![user.as_str()]).await?;
    Ok(())
}

/// Ends the sessions of all users of a group.
pub(crate) async fn delete_sessions_of_group(tx: &mut Tx, group_ref: &str) -> Result<()> {
    tx.execute(
        "DELETE FROM sessions WHERE user_ref IN (SELECT id FROM users WHERE group_ref = $1)",
        values![group_ref],
    )
    .await?;
    Ok(())
}

/// Whether any session or link has ended.
pub(crate) async fn has_expired(tx: &mut Tx, now_us: i64) -> Result<bool> {
    let row = tx
        .fetch_one(
            "SELECT (SELECT COUNT(*) FROM sessions WHERE expires_us <= $1)
                  + (SELECT COUNT(*) FROM used_links WHERE expires_us <= $1) AS count",
            values![now_us],
        )
        .await?;
    Ok(row.size("count")? > 0)
}

/// Forgets some of the sessions and links that have ended; returns how many, 0 when none is left.
pub(crate) async fn delete_expired(tx: &mut Tx, now_us: i64, rows_max: u32) -> Result<u64> {
    let sessions = tx
        .execute(
            "DELETE FROM sessions
             WHERE token_hash IN (SELECT token_hash FROM sessions WHERE expires_us <= $1 LIMIT $2)",
            values![now_us, rows_max],
        )
        .await?;
    let links = tx
        .execute(
            "DELETE FROM used_links
             WHERE signature IN (SELECT signature FROM used_links WHERE expires_us <= $1 LIMIT $2)",
            values![now_us, rows_max],
        )
        .await?;
    Ok(sessions + links)
}

/// Ends all sessions, those of access keys among them.
pub(crate) async fn end_all_sessions(tx: &mut Tx) -> Result<()> {
    for sql in ["DELETE FROM sessions", "DELETE FROM iam_sessions"] {
        tx.execute(sql, Vec::new()).await?;
    }
    Ok(())
}

pub(crate) async fn set_service_account(tx: &mut Tx, name: &str, keyed_hash: &[u8]) -> Result<()> {
    let now_us = tx.now_us();
    tx.execute(
        "INSERT INTO service_accounts (name, keyed_hash, created_us)
         VALUES ($1, $2, $3)
         ON CONFLICT (name) DO UPDATE
         SET keyed_hash = excluded.keyed_hash,
             created_us = excluded.created_us",
        values![name, keyed_hash, now_us],
    )
    .await?;
    tx.note(Note::other(How::Changed, "service account", name));
    Ok(())
}

pub(crate) async fn find_service_account(tx: &mut Tx, name: &str) -> Result<Option<Vec<u8>>> {
    let row = tx.fetch_optional("SELECT keyed_hash FROM service_accounts WHERE name = $1", values![name]).await?;
    row.map(|row| row.blob("keyed_hash")).transpose()
}
