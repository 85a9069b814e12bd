//! The snapshot of CloudStack: what it last showed, folded in as it comes, and what it no longer shows.
//!
//! A row is never taken out because a list lacks it. It is marked as missing after a trusted pass, or when CloudStack
//! denied its id; and it goes when nothing at the target hangs on it any more.

use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use super::{State, StateError};
use crate::{
    cloudstack::{Account, Domain},
    names,
};

/// Rows in one statement: twelve bound values each stay below SQLite's limit.
const ROWS_PER_STATEMENT: usize = 500;

/// How long removals are remembered: the limit looks back a day, people a month.
const REMOVALS_KEPT_US: i64 = 30 * 86_400_000_000;

/// How rows come into the snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fold {
    /// As part of a pass, which counts what it sees.
    InPass,
    /// By themselves, because an event or a sign-in named them.
    Alone,
}

/// What a full pass has seen so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) domains: u64,
    pub(crate) accounts: u64,
}

impl State {
    /// Begins a pass: it has seen nothing yet.
    pub(crate) async fn begin_pass(&self) -> Result<(), StateError> {
        sqlx::query("DELETE FROM seen").execute(&self.pool).await?;
        Ok(())
    }

    /// Folds domains in. Rows that say nothing new are not written.
    pub(crate) async fn fold_domains(&self, cloud_id: &str, domains: &[Domain], fold: Fold) -> Result<(), StateError> {
        let now_us = self.now_us();
        let mut tx = self.write().await?;
        for chunk in domains.chunks(ROWS_PER_STATEMENT) {
            let mut query = QueryBuilder::<Sqlite>::new(
                "INSERT INTO domain (cloud_id, domain_id, parent_id, level, group_name, touched_us) ",
            );
            query.push_values(chunk, |mut row, domain| {
                row.push_bind(cloud_id)
                    .push_bind(&domain.id)
                    .push_bind(&domain.parent_id)
                    .push_bind(i64::from(domain.level))
                    .push_bind(names::group_name(&domain.path))
                    .push_bind(now_us);
            });
            query.push(
                " ON CONFLICT (cloud_id, domain_id) DO UPDATE SET parent_id = excluded.parent_id, \
                 level = excluded.level, group_name = excluded.group_name, touched_us = excluded.touched_us, \
                 missing_since_us = NULL \
                 WHERE domain.missing_since_us IS NOT NULL OR domain.group_name <> excluded.group_name \
                    OR domain.parent_id IS NOT excluded.parent_id OR domain.level <> excluded.level",
            );
            query.build().execute(&mut *tx).await?;
        }
        if fold == Fold::InPass {
            note_seen(&mut tx, "domain", domains.iter().map(|domain| domain.id.as_str())).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Folds accounts in. Rows that say nothing new are not written.
    pub(crate) async fn fold_accounts(
        &self,
        cloud_id: &str,
        accounts: &[Account],
        fold: Fold,
    ) -> Result<(), StateError> {
        let now_us = self.now_us();
        let mut tx = self.write().await?;
        for chunk in accounts.chunks(ROWS_PER_STATEMENT) {
            fold_chunk(&mut tx, cloud_id, chunk, now_us).await?;
        }
        if fold == Fold::InPass {
            note_seen(&mut tx, "account", accounts.iter().map(|account| account.id.as_str())).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// How many different domains and accounts the pass has shown.
    pub(crate) async fn seen_in_pass(&self) -> Result<Seen, StateError> {
        let (domains, accounts): (i64, i64) = sqlx::query_as(
            "SELECT (SELECT count(DISTINCT id) FROM seen WHERE what = 'domain'), \
                    (SELECT count(DISTINCT id) FROM seen WHERE what = 'account')",
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(Seen { domains: domains.unsigned_abs(), accounts: accounts.unsigned_abs() })
    }

    /// True when the pass has shown the ROOT domain itself.
    pub(crate) async fn root_seen(&self, cloud_id: &str) -> Result<bool, StateError> {
        let found: (i64,) = sqlx::query_as(
            "SELECT count(*) FROM domain WHERE cloud_id = $1 AND domain_id = $1 AND level = 0 \
             AND EXISTS (SELECT 1 FROM seen WHERE what = 'domain' AND id = $1)",
        )
        .bind(cloud_id)
        .fetch_one(&self.pool)
        .await?;
        Ok(found.0 == 1)
    }

    /// True when the pass has shown an account of the ROOT domain itself: the built-in admin cannot be deleted, so
    /// whoever does not see it does not see everything.
    pub(crate) async fn root_account_seen(&self, cloud_id: &str) -> Result<bool, StateError> {
        let found: (i64,) = sqlx::query_as(
            "SELECT count(*) FROM account WHERE cloud_id = $1 AND domain_id = $1 \
             AND account_id IN (SELECT id FROM seen WHERE what = 'account')",
        )
        .bind(cloud_id)
        .fetch_one(&self.pool)
        .await?;
        Ok(found.0 > 0)
    }

    /// After a pass that can be trusted: what it did not show, and what did not come in since it began, is missing.
    pub(crate) async fn end_trusted_pass(&self, cloud_id: &str, began_us: i64) -> Result<(), StateError> {
        self.miss_domains(cloud_id, began_us).await?;
        let now_us = self.now_us();
        sqlx::query(
            "UPDATE account SET missing_since_us = $1 \
             WHERE cloud_id = $2 AND touched_us < $3 AND missing_since_us IS NULL \
               AND account_id NOT IN (SELECT id FROM seen WHERE what = 'account')",
        )
        .bind(now_us)
        .bind(cloud_id)
        .bind(began_us)
        .execute(&self.pool)
        .await?;
        sqlx::query("UPDATE cloud SET trusted_pass_us = $1 WHERE one = 1").bind(now_us).execute(&self.pool).await?;
        Ok(())
    }

    /// Marks domains that a trusted read of all domains did not show.
    pub(crate) async fn miss_domains(&self, cloud_id: &str, began_us: i64) -> Result<(), StateError> {
        sqlx::query(
            "UPDATE domain SET missing_since_us = $1 \
             WHERE cloud_id = $2 AND touched_us < $3 AND missing_since_us IS NULL \
               AND domain_id NOT IN (SELECT id FROM seen WHERE what = 'domain')",
        )
        .bind(self.now_us())
        .bind(cloud_id)
        .bind(began_us)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Marks an account whose id CloudStack denied.
    pub(crate) async fn miss_account(&self, cloud_id: &str, account_id: &str) -> Result<(), StateError> {
        sqlx::query(
            "UPDATE account SET missing_since_us = $1 \
             WHERE cloud_id = $2 AND account_id = $3 AND missing_since_us IS NULL",
        )
        .bind(self.now_us())
        .bind(cloud_id)
        .bind(account_id)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Accounts, as far as they are thought to be there, of a domain and all below it, gone or not.
    pub(crate) async fn accounts_in_subtree(&self, cloud_id: &str, domain_id: &str) -> Result<Vec<String>, StateError> {
        let rows: Vec<(String,)> = sqlx::query_as(
            "WITH RECURSIVE tree (domain_id) AS ( \
                 SELECT $2 \
                 UNION \
                 SELECT d.domain_id FROM domain d JOIN tree t ON d.parent_id = t.domain_id WHERE d.cloud_id = $1 \
             ) \
             SELECT a.account_id FROM account a JOIN tree t ON t.domain_id = a.domain_id \
             WHERE a.cloud_id = $1 AND a.missing_since_us IS NULL",
        )
        .bind(cloud_id)
        .bind(domain_id)
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(|(id,)| id).collect())
    }

    /// The accounts whose first user this is.
    pub(crate) async fn accounts_of_first_user(
        &self,
        cloud_id: &str,
        user_id: &str,
    ) -> Result<Vec<String>, StateError> {
        let rows: Vec<(String,)> =
            sqlx::query_as("SELECT account_id FROM account WHERE cloud_id = $1 AND first_user_id = $2")
                .bind(cloud_id)
                .bind(user_id)
                .fetch_all(&self.pool)
                .await?;
        Ok(rows.into_iter().map(|(id,)| id).collect())
    }

    /// True when the domain was seen and is not missing.
    pub(crate) async fn has_domain(&self, cloud_id: &str, domain_id: &str) -> Result<bool, StateError> {
        let found: (i64,) = sqlx::query_as(
            "SELECT count(*) FROM domain WHERE cloud_id = $1 AND domain_id = $2 AND missing_since_us IS NULL",
        )
        .bind(cloud_id)
        .bind(domain_id)
        .fetch_one(&self.pool)
        .await?;
        Ok(found.0 == 1)
    }

    /// Forgets what is missing and has nothing left at the target.
    pub(crate) async fn prune(&self, cloud_id: &str) -> Result<(), StateError> {
        let mut tx = self.write().await?;
        for statement in [
            "DELETE FROM account WHERE cloud_id = $1 AND missing_since_us IS NOT NULL AND NOT EXISTS \
             (SELECT 1 FROM known_user k WHERE k.cloud_id = account.cloud_id AND k.user_id = account.account_id)",
            "DELETE FROM domain WHERE cloud_id = $1 AND missing_since_us IS NOT NULL AND NOT EXISTS \
             (SELECT 1 FROM known_group k WHERE k.cloud_id = domain.cloud_id AND k.group_id = domain.domain_id) \
             AND NOT EXISTS \
             (SELECT 1 FROM known_user k WHERE k.cloud_id = domain.cloud_id AND k.group_id = domain.domain_id)",
        ] {
            sqlx::query(statement).bind(cloud_id).execute(&mut *tx).await?;
        }
        sqlx::query("DELETE FROM removal WHERE cloud_id = $1 AND at_us < $2")
            .bind(cloud_id)
            .bind(self.now_us().saturating_sub(REMOVALS_KEPT_US))
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }
}

async fn note_seen(tx: &mut SqliteConnection, what: &str, ids: impl Iterator<Item = &str>) -> Result<(), StateError> {
    let ids: Vec<&str> = ids.collect();
    for chunk in ids.chunks(ROWS_PER_STATEMENT) {
        let mut query = QueryBuilder::<Sqlite>::new("INSERT INTO seen (what, id) ");
        query.push_values(chunk, |mut row, id| {
            row.push_bind(what).push_bind(*id);
        });
        query.build().execute(&mut *tx).await?;
    }
    Ok(())
}

async fn fold_chunk(
    tx: &mut SqliteConnection,
    cloud_id: &str,
    chunk: &[Account],
    now_us: i64,
) -> Result<(), StateError> {
    let mut query = QueryBuilder::<Sqlite>::new(
        "INSERT INTO account (cloud_id, account_id, domain_id, full_name, email, state, provisioned, first_user_id, \
         touched_us) ",
    );
    query.push_values(chunk, |mut row, account| {
        row.push_bind(cloud_id)
            .push_bind(&account.id)
            .push_bind(&account.domain_id)
            .push_bind(names::full_name(account))
            .push_bind(names::email(account))
            .push_bind(&account.state)
            .push_bind(i64::from(names::is_provisioned(account)))
            .push_bind(account.users.first().map(|user| user.id.as_str()))
            .push_bind(now_us);
    });
    query.push(
        " ON CONFLICT (cloud_id, account_id) DO UPDATE SET domain_id = excluded.domain_id, \
         full_name = excluded.full_name, email = excluded.email, state = excluded.state, \
         provisioned = excluded.provisioned, first_user_id = excluded.first_user_id, \
         touched_us = excluded.touched_us, missing_since_us = NULL \
         WHERE account.missing_since_us IS NOT NULL OR account.domain_id <> excluded.domain_id \
            OR account.full_name <> excluded.full_name OR account.email <> excluded.email \
            OR account.state <> excluded.state OR account.provisioned <> excluded.provisioned \
            OR account.first_user_id IS NOT excluded.first_user_id",
    );
    query.build().execute(&mut *tx).await?;
    Ok(())
}
