//! What hangs together with the rows that an event named: a scope is widened by it, so that a run over it plans what a run
//! over everything would plan for those rows.

use super::{State, StateError};
use crate::scope::{Scope, Touched, ids};

impl State {
    /// The accounts of these domains and the users of their groups: they differ when a domain comes or goes.
    pub(crate) async fn users_below(&self, cloud_id: &str, touched: &Touched) -> Result<Vec<String>, StateError> {
        self.ids_of(
            "SELECT account_id FROM account \
             WHERE cloud_id = $1 AND domain_id IN (SELECT value FROM json_each($2)) \
             UNION \
             SELECT user_id FROM known_user \
             WHERE cloud_id = $1 AND group_id IN (SELECT value FROM json_each($2))",
            cloud_id,
            &ids(&touched.groups),
        )
        .await
    }

    /// Widens a scope by the groups that its users are in or are to be in: one may have to be made first, and one may be
    /// left by its last user. A group that goes takes its other users with it.
    pub(crate) async fn widen(&self, cloud_id: &str, scope: &mut Scope) -> Result<(), StateError> {
        let Scope::Of(touched) = scope else { return Ok(()) };
        let groups = self
            .ids_of(
                "SELECT domain_id FROM account \
                 WHERE cloud_id = $1 AND account_id IN (SELECT value FROM json_each($2)) \
                 UNION \
                 SELECT group_id FROM known_user \
                 WHERE cloud_id = $1 AND user_id IN (SELECT value FROM json_each($2))",
                cloud_id,
                &ids(&touched.users),
            )
            .await?;
        touched.groups.extend(groups);
        let users = self
            .ids_of(
                "SELECT k.user_id FROM domain d \
                 CROSS JOIN known_user k ON k.cloud_id = d.cloud_id AND k.group_id = d.domain_id \
                 WHERE d.cloud_id = $1 AND d.domain_id IN (SELECT value FROM json_each($2)) \
                   AND d.missing_since_us IS NOT NULL",
                cloud_id,
                &ids(&touched.groups),
            )
            .await?;
        touched.users.extend(users);
        Ok(())
    }

    /// The domains that changed, came back or went missing since a time.
    pub(crate) async fn domains_changed(&self, cloud_id: &str, since_us: i64) -> Result<Vec<String>, StateError> {
        let rows: Vec<(String,)> = sqlx::query_as(
            "SELECT domain_id FROM domain WHERE cloud_id = $1 AND (touched_us >= $2 OR missing_since_us >= $2)",
        )
        .bind(cloud_id)
        .bind(since_us)
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(|(id,)| id).collect())
    }

    /// A domain that was seen and all below it, gone or not.
    pub(crate) async fn subtree(&self, cloud_id: &str, domain_id: &str) -> Result<Vec<String>, StateError> {
        self.ids_of(
            "WITH RECURSIVE tree (domain_id) AS ( \
                 SELECT $2 \
                 UNION \
                 SELECT d.domain_id FROM domain d JOIN tree t ON d.parent_id = t.domain_id WHERE d.cloud_id = $1 \
             ) \
             SELECT domain_id FROM tree",
            cloud_id,
            domain_id,
        )
        .await
    }

    async fn ids_of(&self, query: &'static str, cloud_id: &str, of: &str) -> Result<Vec<String>, StateError> {
        let rows: Vec<(String,)> = sqlx::query_as(query).bind(cloud_id).bind(of).fetch_all(&self.pool).await?;
        Ok(rows.into_iter().map(|(id,)| id).collect())
    }
}
