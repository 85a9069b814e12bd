//! SQL of access keys. Secrets enter and leave it sealed.

use super::users::identity;
use super::{Row, Tx, values};
use crate::journal::{How, Note};
use crate::{AccessKeyId, CanonicalId, Error, Identity, Result};

/// The kind of a key of an account's root.
const ROOT: &str = "root";
/// The kind of a key of a user of the account's own.
const IAM: &str = "iam";

/// Whose keys of an account are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    /// The account's root.
    Root,
    /// A user of the account's own, by its id.
    Iam(String),
}

impl Holder {
    fn kind(&self) -> &'static str {
        match self {
            Self::Root => ROOT,
            Self::Iam(_) => IAM,
        }
    }

    /// What stands in the column of the user: nothing for the root.
    fn entity(&self) -> &str {
        match self {
            Self::Root => "",
            Self::Iam(id) => id,
        }
    }
}

/// A stored access key.
#[derive(Clone, Debug)]
pub(crate) struct CredentialRow {
    pub(crate) access_key: AccessKeyId,
    pub(crate) owner: CanonicalId,
    pub(crate) holder: Holder,
    pub(crate) sealed_secret: Vec<u8>,
    pub(crate) active: bool,
    pub(crate) created_us: i64,
    pub(crate) expires_us: Option<i64>,
}

/// An access key that is on, with its active user.
pub(crate) struct LoginRow {
    pub(crate) holder: Holder,
    pub(crate) sealed_secret: Vec<u8>,
    pub(crate) expires_us: Option<i64>,
    pub(crate) identity: Identity,
}

impl TryFrom<&Row> for CredentialRow {
    type Error = Error;

    fn try_from(row: &Row) -> Result<Self> {
        Ok(Self {
            access_key: AccessKeyId::stored(row.text("access_key")?),
            owner: CanonicalId::stored(row.text("owner_ref")?),
            holder: holder(row)?,
            sealed_secret: row.blob("secret")?,
            active: row.flag("active")?,
            created_us: row.int("created_us")?,
            expires_us: row.opt_int("expires_us")?,
        })
    }
}

/// Whose a key is; a kind that is not known belongs to nobody.
fn holder(row: &Row) -> Result<Holder> {
    let (kind, entity) = (row.text("kind")?, row.text("entity_ref")?);
    match (kind.as_str(), entity.is_empty()) {
        (ROOT, true) => Ok(Holder::Root),
        (IAM, false) => Ok(Holder::Iam(entity)),
        _ => Err(Error::corrupt("credentials.kind of a row is unknown")),
    }
}

/// Stores a key; `false` when its id is taken.
pub(crate) async fn insert(tx: &mut Tx, row: &CredentialRow) -> Result<bool> {
    let inserted = tx
        .execute(
            "INSERT INTO credentials (access_key, owner_ref, kind, secret, active, created_us, expires_us, entity_ref)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
             ON CONFLICT DO NOTHING",
            values![
                row.access_key.as_str(),
                row.owner.as_str(),
                row.holder.kind(),
                &row.sealed_secret,
                row.active,
                row.created_us,
                row.expires_us,
                row.holder.entity()
            ],
        )
        .await?;
    if inserted == 1 {
        tx.note(Note::other(How::Made, "access key", row.access_key.as_str()));
    }
    Ok(inserted == 1)
}

pub(crate) async fn count(tx: &mut Tx, owner: &CanonicalId, holder: &Holder) -> Result<u64> {
    let row = tx
        .fetch_one(
            "SELECT COUNT(*) AS count FROM credentials WHERE owner_ref = $1 AND kind = $2 AND entity_ref = $3",
            values![owner.as_str(), holder.kind(), holder.entity()],
        )
        .await?;
    row.size("count")
}

/// A key of an account's root.
pub(crate) async fn find(tx: &mut Tx, access_key: &AccessKeyId) -> Result<Option<CredentialRow>> {
    let row = tx
        .fetch_optional(
            "SELECT access_key, owner_ref, kind, entity_ref, secret, active, created_us, expires_us
             FROM credentials
             WHERE access_key = $1
               AND kind = $2",
            values![access_key.as_str(), ROOT],
        )
        .await?;
    row.as_ref().map(CredentialRow::try_from).transpose()
}

/// The keys of the root or of one user of an account.
pub(crate) async fn list(tx: &mut Tx, owner: &CanonicalId, holder: &Holder) -> Result<Vec<CredentialRow>> {
    let rows = tx
        .fetch_all(
            "SELECT access_key, owner_ref, kind, entity_ref, secret, active, created_us, expires_us
             FROM credentials
             WHERE owner_ref = $1
               AND kind = $2
               AND entity_ref = $3
             ORDER BY created_us, access_key",
            values![owner.as_str(), holder.kind(), holder.entity()],
        )
        .await?;
    rows.iter().map(CredentialRow::try_from).collect()
}

pub(crate) async fn set_active(tx: &mut Tx, access_key: &AccessKeyId, active: bool) -> Result<()> {
    tx.execute(
        "UPDATE credentials SET active = $2 WHERE access_key = $1 AND active <> $2",
        values![access_key.as_str(), active],
    )
    .await?;
    tx.note(Note::other(How::Changed, "access key", access_key.as_str()));
    Ok(())
}

pub(crate) async fn delete(tx: &mut Tx, access_key: &AccessKeyId) -> Result<()> {
    tx.execute("DELETE FROM credentials WHERE access_key = $1", values![access_key.as_str()]).await?;
    tx.note(Note::other(How::Deleted, "access key", access_key.as_str()));
    Ok(())
}

pub(crate) async fn delete_of(tx: &mut Tx, owner: &CanonicalId) -> Result<()> {
    tx.execute("DELETE FROM credentials WHERE owner_ref = $1", values![owner.as_str()]).await?;
    tx.note(Note::other(How::Deleted, "access keys of an account", owner.as_str()));
    Ok(())
}

/// The log-in behind a key that is on, of an active user in an active group.
pub(crate) async fn find_login(tx: &mut Tx, access_key: &str) -> Result<Option<LoginRow>> {
    let row = tx
        .fetch_optional(
            "SELECT c.kind AS kind,
                    c.entity_ref AS entity_ref,
                    c.secret AS secret,
                    c.expires_us AS expires_us,
                    u.id AS id,
                    g.group_id AS group_id,
                    u.user_id AS user_id,
                    u.role AS role,
                    u.full_name AS full_name
             FROM credentials c
             JOIN users u ON u.id = c.owner_ref
             JOIN groups g ON g.id = u.group_ref
             WHERE c.access_key = $1
               AND c.active = 1
               AND u.active = 1
               AND g.active = 1",
            values![access_key],
        )
        .await?;
    row.map(|row| {
        Ok(LoginRow {
            holder: holder(&row)?,
            sealed_secret: row.blob("secret")?,
            expires_us: row.opt_int("expires_us")?,
            identity: identity(&row)?,
        })
    })
    .transpose()
}
