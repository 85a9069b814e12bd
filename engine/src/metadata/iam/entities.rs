//! SQL of users, groups, roles and policies.

use super::super::{Row, Tx, values};
use crate::iam::{Details, IamEntity, IamKind};
use crate::journal::{How, Note};
use crate::{CanonicalId, Error, Result};

/// Entities; what is in `$rest` chooses them.
macro_rules! select_entities {
    ($rest:literal) => {
        concat!(
            "SELECT e.id AS id,
                    e.account_ref AS account_ref,
                    e.kind AS kind,
                    e.name AS name,
                    e.path AS path,
                    e.details AS details,
                    e.created_us AS created_us
             FROM iam_entities e ",
            $rest
        )
    };
}
pub(super) use select_entities;

impl TryFrom<&Row> for IamEntity {
    type Error = Error;

    fn try_from(row: &Row) -> Result<Self> {
        let id = row.text("id")?;
        let kind = IamKind::parse(&row.text("kind")?);
        Ok(Self {
            kind: kind.ok_or_else(|| Error::corrupt(format!("iam_entities.kind of row {id} is unknown")))?,
            details: serde_json::from_str(&row.text("details")?)
                .map_err(|error| Error::corrupt(format!("iam_entities.details of row {id}: {error}")))?,
            account: CanonicalId::stored(row.text("account_ref")?),
            name: row.text("name")?,
            path: row.text("path")?,
            created_us: row.int("created_us")?,
            id,
        })
    }
}

fn details_text(details: &Details) -> Result<String> {
    serde_json::to_string(details).map_err(|_| Error::Internal("the details of an identity cannot be written"))
}

pub(crate) async fn find(
    tx: &mut Tx,
    account: &CanonicalId,
    kind: IamKind,
    name_key: &str,
) -> Result<Option<IamEntity>> {
    let row = tx
        .fetch_optional(
            select_entities!("WHERE e.account_ref = $1 AND e.kind = $2 AND e.name_key = $3"),
            values![account.as_str(), kind.as_str(), name_key],
        )
        .await?;
    row.as_ref().map(IamEntity::try_from).transpose()
}

pub(crate) async fn find_by_id(tx: &mut Tx, id: &str) -> Result<Option<IamEntity>> {
    let row = tx.fetch_optional(select_entities!("WHERE e.id = $1"), values![id]).await?;
    row.as_ref().map(IamEntity::try_from).transpose()
}

/// Those after a name, in the order of their names, with paths that begin with a prefix.
pub(crate) async fn list(
    tx: &mut Tx,
    account: &CanonicalId,
    kind: IamKind,
    path_prefix: &str,
    after: &str,
    rows_max: usize,
) -> Result<Vec<IamEntity>> {
    let prefix_chars = i64::try_from(path_prefix.chars().count()).unwrap_or(i64::MAX);
    let rows = tx
        .fetch_all(
            select_entities!(
                "WHERE e.account_ref = $1
                   AND e.kind = $2
                   AND e.name_key > $3
                   AND ($4 = 0 OR SUBSTR(e.path, 1, CAST($4 AS INTEGER)) = $5)
                 ORDER BY e.name_key
                 LIMIT $6"
            ),
            values![
                account.as_str(),
                kind.as_str(),
                after,
                prefix_chars,
                path_prefix,
                i64::try_from(rows_max).unwrap_or(i64::MAX)
            ],
        )
        .await?;
    rows.iter().map(IamEntity::try_from).collect()
}

pub(crate) async fn count(tx: &mut Tx, account: &CanonicalId, kind: IamKind) -> Result<usize> {
    let row = tx
        .fetch_one(
            "SELECT COUNT(*) AS count FROM iam_entities WHERE account_ref = $1 AND kind = $2",
            values![account.as_str(), kind.as_str()],
        )
        .await?;
    Ok(usize::try_from(row.size("count")?).unwrap_or(usize::MAX))
}

/// Stores one; `false` when its name is taken.
pub(crate) async fn insert(tx: &mut Tx, entity: &IamEntity, name_key: &str) -> Result<bool> {
    let inserted = tx
        .execute(
            "INSERT INTO iam_entities (id, account_ref, kind, name, name_key, path, details, created_us)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
             ON CONFLICT DO NOTHING",
            values![
                &entity.id,
                entity.account.as_str(),
                entity.kind.as_str(),
                &entity.name,
                name_key,
                &entity.path,
                details_text(&entity.details)?,
                entity.created_us
            ],
        )
        .await?;
    if inserted == 1 {
        tx.note(Note::other(How::Made, entity.kind.as_str(), name_of(entity)));
    }
    Ok(inserted == 1)
}

/// What the journal calls an entity.
fn name_of(entity: &IamEntity) -> String {
    format!("{} ({}) of account {}", entity.name, entity.id, entity.account)
}

/// Writes what may change of one.
pub(crate) async fn update(tx: &mut Tx, entity: &IamEntity, name_key: &str) -> Result<()> {
    tx.execute(
        "UPDATE iam_entities
         SET name = $2,
             name_key = $3,
             path = $4,
             details = $5
         WHERE id = $1",
        values![&entity.id, &entity.name, name_key, &entity.path, details_text(&entity.details)?],
    )
    .await?;
    tx.note(Note::other(How::Changed, entity.kind.as_str(), name_of(entity)));
    Ok(())
}

/// Deletes one; what hangs on it is deleted apart.
pub(crate) async fn delete(tx: &mut Tx, id: &str) -> Result<()> {
    tx.execute("DELETE FROM iam_entities WHERE id = $1", values![id]).await?;
    tx.note(Note::other(How::Deleted, "identity", id));
    Ok(())
}
