//! SQL of users.

use super::groups::{bounds, limit, profile_text, stored_profile};
use super::{Row, Tx, values};
use crate::groups::PageRequest;
use crate::journal::{How, Note};
use crate::{CanonicalId, Error, GroupId, Identity, Result, Role, User, UserFilter, UserId};

/// Users with their group's id; what is in `$rest` chooses them.
macro_rules! select_users {
    ($rest:literal) => {
        concat!(
            "SELECT u.id AS id,
                    g.group_id AS group_id,
                    u.user_id AS user_id,
                    u.role AS role,
                    u.full_name AS full_name,
                    u.email AS email,
                    u.active AS active,
                    u.profile AS profile,
                    u.created_us AS created_us
             FROM users u
             JOIN groups g ON g.id = u.group_ref ",
            $rest
        )
    };
}

impl TryFrom<&Row> for User {
    type Error = Error;

    fn try_from(row: &Row) -> Result<Self> {
        let id = row.text("id")?;
        Ok(Self {
            group_id: GroupId::stored(row.text("group_id")?),
            user_id: UserId::stored(row.text("user_id")?),
            role: stored_role("users", &id, &row.text("role")?)?,
            full_name: row.text("full_name")?,
            email: row.text("email")?,
            active: row.flag("active")?,
            profile: stored_profile("users", &id, &row.text("profile")?)?,
            created_us: row.int("created_us")?,
            canonical_id: CanonicalId::stored(id),
        })
    }
}

/// Reads an identity from a row with the columns `id`, `group_id`, `user_id`, `role` and `full_name` of a user.
pub(super) fn identity(row: &Row) -> Result<Identity> {
    let (id, user_id, full_name) = (row.text("id")?, row.text("user_id")?, row.text("full_name")?);
    Ok(Identity {
        group_id: GroupId::stored(row.text("group_id")?),
        display_name: crate::users::display_name(&full_name, &user_id),
        user_id: UserId::stored(user_id),
        role: stored_role("users", &id, &row.text("role")?)?,
        canonical_id: CanonicalId::stored(id),
    })
}

pub(super) fn stored_role(table: &str, id: &str, text: &str) -> Result<Role> {
    Role::parse(text).map_err(|_| Error::corrupt(format!("{table}.role of row {id} is unknown")))
}

pub(crate) async fn find(tx: &mut Tx, group_id: &GroupId, user_id: &UserId) -> Result<Option<User>> {
    let row = tx
        .fetch_optional(
            select_users!("WHERE g.group_id = $1 AND u.user_id = $2"),
            values![group_id.as_str(), user_id.as_str()],
        )
        .await?;
    row.as_ref().map(User::try_from).transpose()
}

pub(crate) async fn find_by_id(tx: &mut Tx, id: &CanonicalId) -> Result<Option<User>> {
    let row = tx.fetch_optional(select_users!("WHERE u.id = $1"), values![id.as_str()]).await?;
    row.as_ref().map(User::try_from).transpose()
}

/// The one user who has an e-mail address; `None` when nobody or several have it.
pub(crate) async fn only_of_email(tx: &mut Tx, email: &str) -> Result<Option<CanonicalId>> {
    let rows = tx.fetch_all("SELECT id FROM users WHERE email = $1 ORDER BY id LIMIT 2", values![email]).await?;
    match rows.as_slice() {
        [one] if !email.is_empty() => Ok(Some(CanonicalId::stored(one.text("id")?))),
        _ => Ok(None),
    }
}

/// Refuses the id of a user that does not exist.
pub(crate) async fn must_exist(tx: &mut Tx, id: &CanonicalId) -> Result<()> {
    let row = tx.fetch_optional("SELECT 1 AS found FROM users WHERE id = $1", values![id.as_str()]).await?;
    row.map(|_| ()).ok_or(Error::NoSuchUser)
}

pub(crate) async fn list(
    tx: &mut Tx,
    group_id: &GroupId,
    filter: &UserFilter,
    page: &PageRequest,
) -> Result<Vec<User>> {
    let (from, before) = bounds(page);
    let role = filter.role.map_or("", Role::as_str);
    let active = filter.active.map_or(-1, i64::from);
    let rows = tx
        .fetch_all(
            select_users!(
                "WHERE g.group_id = $1
                   AND u.user_id >= $2
                   AND u.user_id < $3
                   AND ($4 = '' OR u.role = $4)
                   AND ($5 < 0 OR u.active = $5)
                 ORDER BY u.user_id
                 LIMIT $6"
            ),
            values![group_id.as_str(), from, before, role, active, limit(page)],
        )
        .await?;
    rows.iter().map(User::try_from).collect()
}

/// Makes a user in the group with the reference `group_ref`; `false` when its id is taken.
pub(crate) async fn insert(tx: &mut Tx, group_ref: &str, user: &User) -> Result<bool> {
    let inserted = tx
        .execute(
            "INSERT INTO users (id, group_ref, user_id, role, full_name, email, active, profile, created_us)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
             ON CONFLICT DO NOTHING",
            values![
                user.canonical_id.as_str(),
                group_ref,
                user.user_id.as_str(),
                user.role.as_str(),
                &user.full_name,
                &user.email,
                user.active,
                profile_text(&user.profile)?,
                user.created_us
            ],
        )
        .await?;
    if inserted == 1 {
        tx.note(Note::other(How::Made, "user", path_of(user)));
    }
    Ok(inserted == 1)
}

/// What the journal calls a user.
pub(super) fn path_of(user: &User) -> String {
    format!("{}/{}", user.group_id, user.user_id)
}

/// Writes what may change of a user.
pub(crate) async fn update(tx: &mut Tx, user: &User) -> Result<()> {
    tx.execute(
        "UPDATE users
         SET role = $2,
             full_name = $3,
             email = $4,
             active = $5,
             profile = $6
         WHERE id = $1",
        values![
            user.canonical_id.as_str(),
            user.role.as_str(),
            &user.full_name,
            &user.email,
            user.active,
            profile_text(&user.profile)?
        ],
    )
    .await?;
    tx.note(Note::other(How::Changed, "user", path_of(user)));
    Ok(())
}

/// Deletes the user's row; its keys, password and sessions are deleted apart.
pub(crate) async fn delete(tx: &mut Tx, id: &CanonicalId) -> Result<()> {
    tx.execute("DELETE FROM users WHERE id = $1", values![id.as_str()]).await?;
    Ok(())
}

/// How many active system administrators there are.
pub(crate) async fn count_active_system_admins(tx: &mut Tx) -> Result<u64> {
    let role = Role::SystemAdmin.as_str();
    let row = tx.fetch_one("SELECT COUNT(*) AS count FROM users WHERE role = $1 AND active = 1", values![role]).await?;
    row.size("count")
}
