//! SQL of the texts of policies: those of an identity's own, and the versions of those that stand for themselves.

use super::super::{Tx, values};
use crate::journal::{How, Note};
use crate::{Error, Result};

/// A version of a policy.
#[derive(Clone, Debug)]
pub(crate) struct VersionRow {
    pub(crate) version: u32,
    pub(crate) document: String,
    pub(crate) created_us: i64,
}

/// The policies of an identity's own by name, after one.
pub(crate) async fn inline(tx: &mut Tx, entity: &str, after: &str, rows_max: usize) -> Result<Vec<(String, String)>> {
    let rows = tx
        .fetch_all(
            "SELECT name, document FROM iam_inline_policies
             WHERE entity_ref = $1 AND name > $2
             ORDER BY name
             LIMIT $3",
            values![entity, after, i64::try_from(rows_max).unwrap_or(i64::MAX)],
        )
        .await?;
    rows.iter().map(|row| Ok((row.text("name")?, row.text("document")?))).collect()
}

pub(crate) async fn find_inline(tx: &mut Tx, entity: &str, name: &str) -> Result<Option<String>> {
    let row = tx
        .fetch_optional(
            "SELECT document FROM iam_inline_policies WHERE entity_ref = $1 AND name = $2",
            values![entity, name],
        )
        .await?;
    row.map(|row| row.text("document")).transpose()
}

pub(crate) async fn put_inline(tx: &mut Tx, entity: &str, name: &str, document: &str) -> Result<()> {
    tx.execute(
        "INSERT INTO iam_inline_policies (entity_ref, name, document)
         VALUES ($1, $2, $3)
         ON CONFLICT (entity_ref, name) DO UPDATE
         SET document = excluded.document",
        values![entity, name, document],
    )
    .await?;
    tx.note(Note::other(How::Changed, "policy of an identity", format!("{name} of {entity}")));
    Ok(())
}

/// Deletes one; `false` when there was none.
pub(crate) async fn delete_inline(tx: &mut Tx, entity: &str, name: &str) -> Result<bool> {
    let deleted = tx
        .execute("DELETE FROM iam_inline_policies WHERE entity_ref = $1 AND name = $2", values![entity, name])
        .await?;
    tx.note(Note::other(How::Deleted, "policy of an identity", format!("{name} of {entity}")));
    Ok(deleted > 0)
}

pub(crate) async fn insert_version(tx: &mut Tx, policy: &str, row: &VersionRow) -> Result<()> {
    tx.execute(
        "INSERT INTO iam_policy_versions (policy_ref, version, document, created_us) VALUES ($1, $2, $3, $4)",
        values![policy, row.version, &row.document, row.created_us],
    )
    .await?;
    tx.note(Note::other(How::Made, "version of a policy", format!("v{} of {policy}", row.version)));
    Ok(())
}

/// The versions of a policy, newest first.
pub(crate) async fn versions(tx: &mut Tx, policy: &str) -> Result<Vec<VersionRow>> {
    let rows = tx
        .fetch_all(
            "SELECT version, document, created_us FROM iam_policy_versions
             WHERE policy_ref = $1
             ORDER BY version DESC",
            values![policy],
        )
        .await?;
    rows.iter()
        .map(|row| {
            Ok(VersionRow {
                version: u32::try_from(row.int("version")?)
                    .map_err(|_| Error::corrupt(format!("iam_policy_versions.version of row {policy}")))?,
                document: row.text("document")?,
                created_us: row.int("created_us")?,
            })
        })
        .collect()
}

pub(crate) async fn find_version(tx: &mut Tx, policy: &str, version: u32) -> Result<Option<VersionRow>> {
    Ok(versions(tx, policy).await?.into_iter().find(|row| row.version == version))
}

pub(crate) async fn delete_version(tx: &mut Tx, policy: &str, version: u32) -> Result<()> {
    tx.execute("DELETE FROM iam_policy_versions WHERE policy_ref = $1 AND version = $2", values![policy, version])
        .await?;
    tx.note(Note::other(How::Deleted, "version of a policy", format!("v{version} of {policy}")));
    Ok(())
}
