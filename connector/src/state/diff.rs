//! Where the snapshot and what is known of the target differ, a batch at a time, so that memory does not grow with the
//! cloud. The conditions only narrow down, as the scope does; what a difference means is decided in `plan`.

use sqlx::AssertSqlSafe;

use super::{
    State, StateError,
    known::{KnownGroup, KnownUser, Origin},
    row,
};
use crate::scope::Scope;

/// Rows a batch.
const BATCH_ROWS: u32 = 256;

/// A domain that CloudStack shows and that needs a group.
#[derive(Debug, Clone)]
pub(crate) struct LivingGroup {
    pub(crate) group_id: String,
    pub(crate) group_name: String,
    pub(crate) known: Option<KnownGroup>,
}

/// An account that CloudStack shows.
#[derive(Debug, Clone)]
pub(crate) struct LivingUser {
    pub(crate) user_id: String,
    pub(crate) group_id: String,
    pub(crate) full_name: String,
    pub(crate) email: String,
    pub(crate) state: String,
    pub(crate) known: Option<KnownUser>,
}

/// A user of ours whose account is missing, or is in another domain now.
#[derive(Debug, Clone)]
pub(crate) struct GoneUser {
    pub(crate) known: KnownUser,
    pub(crate) account_missing: bool,
    /// The domain that the group stands for is missing.
    pub(crate) domain_missing: bool,
    /// Where the account is, or was last.
    pub(crate) current_domain: String,
}

/// A group of ours whose domain is missing.
#[derive(Debug, Clone)]
pub(crate) struct GoneGroup {
    pub(crate) known: KnownGroup,
    /// Users of ours in it that are not to be deleted now.
    pub(crate) users_staying: u64,
}

row! {
    struct LivingRow {
        user_id: String,
        group_id: String,
        full_name: String,
        email: String,
        state: String,
        known_name: Option<String>,
        known_email: Option<String>,
        active: Option<i64>,
        origin: Option<String>,
        deactivated_by_us: Option<i64>,
        delete_after_us: Option<i64>,
    }
}

impl From<LivingRow> for LivingUser {
    fn from(row: LivingRow) -> Self {
        let known = row.known_name.map(|full_name| KnownUser {
            user_id: row.user_id.clone(),
            group_id: row.group_id.clone(),
            full_name,
            email: row.known_email.unwrap_or_default(),
            active: row.active.unwrap_or(0) != 0,
            origin: Origin::parse(row.origin.as_deref().unwrap_or_default()),
            deactivated_by_us: row.deactivated_by_us.unwrap_or(0) != 0,
            delete_after_us: row.delete_after_us,
        });
        let LivingRow { user_id, group_id, full_name, email, state, .. } = row;
        Self { user_id, group_id, full_name, email, state, known }
    }
}

row! {
    struct GoneRow {
        user_id: String,
        group_id: String,
        full_name: String,
        email: String,
        active: i64,
        origin: String,
        deactivated_by_us: i64,
        delete_after_us: Option<i64>,
        account_missing: i64,
        domain_missing: i64,
        current_domain: String,
    }
}

impl From<GoneRow> for GoneUser {
    fn from(row: GoneRow) -> Self {
        Self {
            account_missing: row.account_missing != 0,
            domain_missing: row.domain_missing != 0,
            current_domain: row.current_domain,
            known: KnownUser {
                user_id: row.user_id,
                group_id: row.group_id,
                full_name: row.full_name,
                email: row.email,
                active: row.active != 0,
                origin: Origin::parse(&row.origin),
                deactivated_by_us: row.deactivated_by_us != 0,
                delete_after_us: row.delete_after_us,
            },
        }
    }
}

impl State {
    /// Domains whose group is not there or is called otherwise; ROOT only when an account of its own needs one.
    pub(crate) async fn differing_groups(
        &self,
        cloud_id: &str,
        scope: &Scope,
        after: &str,
    ) -> Result<Vec<LivingGroup>, StateError> {
        type Row = (String, String, Option<String>, Option<String>);
        let ids = scope.group_ids();
        let ahead = ahead("d.domain_id", ids.is_some());
        let query = format!(
            "SELECT d.domain_id, d.group_name, k.group_name, k.origin \
             FROM domain d \
             LEFT JOIN known_group k ON k.cloud_id = d.cloud_id AND k.group_id = d.domain_id \
             WHERE d.cloud_id = $1 AND {ahead} AND d.missing_since_us IS NULL \
               AND (k.group_id IS NULL OR k.group_name <> d.group_name) \
               AND (d.level > 0 OR EXISTS (SELECT 1 FROM account a WHERE a.cloud_id = d.cloud_id \
                    AND a.domain_id = d.domain_id AND a.provisioned = 1 AND a.missing_since_us IS NULL)) \
             ORDER BY d.domain_id LIMIT $4",
        );
        let query = sqlx::query_as(AssertSqlSafe(query)).bind(cloud_id).bind(after).bind(ids).bind(BATCH_ROWS);
        let rows: Vec<Row> = query.fetch_all(&self.pool).await?;
        let living = |(group_id, group_name, known, origin): Row| {
            let known = known.map(|name| KnownGroup {
                group_id: group_id.clone(),
                group_name: name,
                origin: Origin::parse(origin.as_deref().unwrap_or_default()),
            });
            LivingGroup { group_id, group_name, known }
        };
        Ok(rows.into_iter().map(living).collect())
    }

    /// Accounts whose user is not there or is otherwise than it should be.
    pub(crate) async fn differing_users(
        &self,
        cloud_id: &str,
        scope: &Scope,
        after: &str,
    ) -> Result<Vec<LivingUser>, StateError> {
        let ids = scope.user_ids();
        let ahead = ahead("a.account_id", ids.is_some());
        // CROSS JOIN keeps SQLite from going over the domains first and sorting all accounts afterwards.
        let query = format!(
            "SELECT a.account_id AS user_id, a.domain_id AS group_id, a.full_name, a.email, a.state, \
                    k.full_name AS known_name, k.email AS known_email, k.active, k.origin, k.deactivated_by_us, \
                    k.delete_after_us \
             FROM account a \
             CROSS JOIN domain d \
                     ON d.cloud_id = a.cloud_id AND d.domain_id = a.domain_id AND d.missing_since_us IS NULL \
             LEFT JOIN known_user k \
                    ON k.cloud_id = a.cloud_id AND k.user_id = a.account_id AND k.group_id = a.domain_id \
             WHERE a.cloud_id = $1 AND {ahead} AND a.missing_since_us IS NULL AND a.provisioned = 1 \
               AND (k.user_id IS NULL OR k.full_name <> a.full_name OR k.email <> a.email \
                    OR k.delete_after_us IS NOT NULL \
                    OR (k.active = 0 AND k.deactivated_by_us = 1 AND a.state = 'enabled') \
                    OR (k.active = 1 AND a.state IN ('disabled', 'locked'))) \
             ORDER BY a.account_id LIMIT $4",
        );
        let query = sqlx::query_as(AssertSqlSafe(query)).bind(cloud_id).bind(after).bind(ids).bind(BATCH_ROWS);
        let rows: Vec<LivingRow> = query.fetch_all(&self.pool).await?;
        Ok(rows.into_iter().map(LivingUser::from).collect())
    }

    /// Users of ours whose account is missing or elsewhere. Only accounts that CloudStack once showed are in the
    /// snapshot, so that nothing is deleted of which CloudStack never said that it was there.
    pub(crate) async fn gone_users(
        &self,
        cloud_id: &str,
        scope: &Scope,
        after: (&str, &str),
    ) -> Result<Vec<GoneUser>, StateError> {
        let ids = scope.user_ids();
        // An id stands for several rows, so the one that was reached may have more of them. The plus keeps SQLite from
        // going over all users that come after it.
        let ahead = match &ids {
            None => "(k.user_id, k.group_id) > ($2, $5) AND $3 IS NULL",
            Some(_) => {
                "k.user_id IN (SELECT value FROM json_each($3) WHERE value >= $2) \
                 AND (+k.user_id, k.group_id) > ($2, $5)"
            }
        };
        let query = format!(
            "SELECT k.user_id, k.group_id, k.full_name, k.email, k.active, k.origin, k.deactivated_by_us, \
                    k.delete_after_us, a.missing_since_us IS NOT NULL AS account_missing, \
                    coalesce(d.missing_since_us IS NOT NULL, 0) AS domain_missing, a.domain_id AS current_domain \
             FROM known_user k \
             JOIN account a ON a.cloud_id = k.cloud_id AND a.account_id = k.user_id \
             LEFT JOIN domain d ON d.cloud_id = k.cloud_id AND d.domain_id = k.group_id \
             WHERE k.cloud_id = $1 AND {ahead} \
               AND (a.missing_since_us IS NOT NULL OR a.domain_id <> k.group_id) \
             ORDER BY k.user_id, k.group_id LIMIT $4",
        );
        let query = sqlx::query_as(AssertSqlSafe(query)).bind(cloud_id).bind(after.0).bind(ids).bind(BATCH_ROWS);
        let rows: Vec<GoneRow> = query.bind(after.1).fetch_all(&self.pool).await?;
        Ok(rows.into_iter().map(GoneUser::from).collect())
    }

    /// Groups of ours whose domain is missing. `due_us` is the time up to which waiting deletions are due; `None` where
    /// nothing waits.
    pub(crate) async fn gone_groups(
        &self,
        cloud_id: &str,
        scope: &Scope,
        after: &str,
        due_us: Option<i64>,
    ) -> Result<Vec<GoneGroup>, StateError> {
        let ids = scope.group_ids();
        let ahead = ahead("g.group_id", ids.is_some());
        let query = format!(
            "SELECT g.group_id, g.group_name, g.origin, \
                    (SELECT count(*) FROM known_user k \
                     LEFT JOIN account a ON a.cloud_id = k.cloud_id AND a.account_id = k.user_id \
                     WHERE k.cloud_id = g.cloud_id AND k.group_id = g.group_id \
                       AND NOT (a.account_id IS NOT NULL \
                                AND (a.missing_since_us IS NOT NULL OR a.domain_id <> k.group_id) \
                                AND ($5 IS NULL OR coalesce(k.delete_after_us <= $5, 0)))) AS staying \
             FROM known_group g \
             JOIN domain d ON d.cloud_id = g.cloud_id AND d.domain_id = g.group_id AND d.missing_since_us IS NOT NULL \
             WHERE g.cloud_id = $1 AND {ahead} \
             ORDER BY g.group_id LIMIT $4",
        );
        let query = sqlx::query_as(AssertSqlSafe(query)).bind(cloud_id).bind(after).bind(ids).bind(BATCH_ROWS);
        let rows: Vec<(String, String, String, i64)> = query.bind(due_us).fetch_all(&self.pool).await?;
        let gone = |(group_id, group_name, origin, staying): (String, String, String, i64)| GoneGroup {
            known: KnownGroup { group_id, group_name, origin: Origin::parse(&origin) },
            users_staying: staying.unsigned_abs(),
        };
        Ok(rows.into_iter().map(gone).collect())
    }
}

/// The keys that a walk has still before it, as a condition on their column: those after $2, and only those in $3 when there
/// are such ids. The two are written as one, because SQLite would rather go over all that come after $2.
fn ahead(column: &str, has_ids: bool) -> String {
    if has_ids {
        format!("{column} IN (SELECT value FROM json_each($3) WHERE value > $2)")
    } else {
        // Without ids $3 is NULL, and stands here so that the parameters are the same.
        format!("{column} > $2 AND $3 IS NULL")
    }
}
