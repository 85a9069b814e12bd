//! The groups and users at the target that are ours to change, and how they were when last seen.
//!
//! A pass compares the snapshot with these rows and not with the target itself: with 100,000 users that is one join in
//! place of 100,000 questions. What may differ from the truth is asked: all of it now and then (see `verify`), and each
//! row that a crash left `dirty`.

use sqlx::SqliteConnection;

use super::{
    State, StateError,
    removals::{self, Removed},
    row,
};
use crate::report::Owned;

/// How a group or user came to be ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The connector made it.
    Made,
    /// It was there, with the id of a tenant that CloudStack showed.
    Adopted,
}

impl Origin {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Made => "made",
            Self::Adopted => "adopted",
        }
    }

    /// From the column, whose CHECK allows no third value.
    pub(crate) fn parse(text: &str) -> Self {
        if text == "made" { Self::Made } else { Self::Adopted }
    }
}

/// A group as it was when last seen at the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KnownGroup {
    pub(crate) group_id: String,
    pub(crate) group_name: String,
    pub(crate) origin: Origin,
}

/// A user as it was when last seen at the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KnownUser {
    pub(crate) user_id: String,
    pub(crate) group_id: String,
    pub(crate) full_name: String,
    pub(crate) email: String,
    pub(crate) active: bool,
    pub(crate) origin: Origin,
    pub(crate) deactivated_by_us: bool,
    pub(crate) delete_after_us: Option<i64>,
}

/// Something that is now so at the target, to be remembered.
#[derive(Debug, Clone)]
pub(crate) enum Fact {
    /// The group is there like this.
    Group(KnownGroup),
    /// The group is not there.
    NoGroup { group_id: String },
    /// The user is there like this.
    User(KnownUser),
    /// The user is not there.
    NoUser { group_id: String, user_id: String },
    /// The target made a removal.
    Removed { removed: Removed, confirmed: bool },
    /// The target did not make a removal that was written down.
    NotRemoved(Removed),
}

/// What a batch is about to do.
#[derive(Debug, Default)]
pub(crate) struct Intent {
    /// Users that are changed: group, user, and whether it is to be deactivated.
    pub(crate) users: Vec<(String, String, bool)>,
    /// Groups that are changed.
    pub(crate) groups: Vec<String>,
    /// What is deleted or deactivated.
    pub(crate) removals: Vec<Removed>,
    /// True when an operator confirmed the removals.
    pub(crate) confirmed: bool,
}

row! {
    /// A row of `known_user`.
    pub(super) struct UserRow {
        user_id: String,
        group_id: String,
        full_name: String,
        email: String,
        active: i64,
        origin: String,
        deactivated_by_us: i64,
        delete_after_us: Option<i64>,
    }
}

impl From<UserRow> for KnownUser {
    fn from(row: UserRow) -> Self {
        Self {
            user_id: row.user_id,
            group_id: row.group_id,
            full_name: row.full_name,
            email: row.email,
            active: row.active != 0,
            origin: Origin::parse(&row.origin),
            deactivated_by_us: row.deactivated_by_us != 0,
            delete_after_us: row.delete_after_us,
        }
    }
}

const USER_COLUMNS: &str = "SELECT user_id, group_id, full_name, email, active, origin, deactivated_by_us, \
                            delete_after_us FROM known_user ";

impl State {
    /// Remembers facts, all or none.
    pub(crate) async fn record(&self, cloud_id: &str, facts: &[Fact]) -> Result<(), StateError> {
        if facts.is_empty() {
            return Ok(());
        }
        let now_us = self.now_us();
        let mut tx = self.write().await?;
        for fact in facts {
            record_one(&mut tx, cloud_id, fact, now_us).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// How much is ours.
    pub(crate) async fn owned(&self, cloud_id: &str) -> Result<Owned, StateError> {
        let (groups, users): (i64, i64) = sqlx::query_as(
            "SELECT (SELECT count(*) FROM known_group WHERE cloud_id = $1), \
                    (SELECT count(*) FROM known_user WHERE cloud_id = $1)",
        )
        .bind(cloud_id)
        .fetch_one(&self.pool)
        .await?;
        Ok(Owned { groups: groups.unsigned_abs(), users: users.unsigned_abs() })
    }

    /// Writes down what a batch is about to do, all or none, before the target is asked for any of it.
    pub(crate) async fn begin_changes(&self, cloud_id: &str, intent: &Intent) -> Result<(), StateError> {
        let now_us = self.now_us();
        let mut tx = self.write().await?;
        for (group_id, user_id, deactivating) in &intent.users {
            sqlx::query(
                "UPDATE known_user SET dirty = 1, deactivated_by_us = max(deactivated_by_us, $4) \
                 WHERE cloud_id = $1 AND user_id = $2 AND group_id = $3",
            )
            .bind(cloud_id)
            .bind(user_id)
            .bind(group_id)
            .bind(i64::from(*deactivating))
            .execute(&mut *tx)
            .await?;
        }
        for group_id in &intent.groups {
            sqlx::query("UPDATE known_group SET dirty = 1 WHERE cloud_id = $1 AND group_id = $2")
                .bind(cloud_id)
                .bind(group_id)
                .execute(&mut *tx)
                .await?;
        }
        for removed in &intent.removals {
            removals::count_one(&mut tx, cloud_id, removed, intent.confirmed, now_us).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Users whose last change may or may not have reached the target.
    pub(crate) async fn dirty_users(&self, cloud_id: &str) -> Result<Vec<KnownUser>, StateError> {
        let query = format!("{USER_COLUMNS} WHERE cloud_id = $1 AND dirty = 1 ORDER BY user_id LIMIT 10000");
        let rows: Vec<UserRow> =
            sqlx::query_as(sqlx::AssertSqlSafe(query)).bind(cloud_id).fetch_all(&self.pool).await?;
        Ok(rows.into_iter().map(KnownUser::from).collect())
    }

    /// Groups whose last change may or may not have reached the target.
    pub(crate) async fn dirty_groups(&self, cloud_id: &str) -> Result<Vec<KnownGroup>, StateError> {
        self.groups_where(cloud_id, "dirty = 1").await
    }

    /// All groups that are ours.
    pub(crate) async fn known_groups(&self, cloud_id: &str) -> Result<Vec<KnownGroup>, StateError> {
        self.groups_where(cloud_id, "1 = 1").await
    }

    async fn groups_where(&self, cloud_id: &str, condition: &'static str) -> Result<Vec<KnownGroup>, StateError> {
        let query = format!(
            "SELECT group_id, group_name, origin FROM known_group WHERE cloud_id = $1 AND {condition} ORDER BY group_id"
        );
        let rows: Vec<(String, String, String)> =
            sqlx::query_as(sqlx::AssertSqlSafe(query)).bind(cloud_id).fetch_all(&self.pool).await?;
        Ok(rows
            .into_iter()
            .map(|(group_id, group_name, origin)| KnownGroup { group_id, group_name, origin: Origin::parse(&origin) })
            .collect())
    }

    /// The users of a group that are ours.
    pub(crate) async fn known_users_in(&self, cloud_id: &str, group_id: &str) -> Result<Vec<KnownUser>, StateError> {
        let query = format!("{USER_COLUMNS} WHERE cloud_id = $1 AND group_id = $2");
        let rows: Vec<UserRow> =
            sqlx::query_as(sqlx::AssertSqlSafe(query)).bind(cloud_id).bind(group_id).fetch_all(&self.pool).await?;
        Ok(rows.into_iter().map(KnownUser::from).collect())
    }

    /// One user that is ours.
    pub(crate) async fn known_user(
        &self,
        cloud_id: &str,
        group_id: &str,
        user_id: &str,
    ) -> Result<Option<KnownUser>, StateError> {
        let query = format!("{USER_COLUMNS} WHERE cloud_id = $1 AND user_id = $2 AND group_id = $3");
        let row: Option<UserRow> = sqlx::query_as(sqlx::AssertSqlSafe(query))
            .bind(cloud_id)
            .bind(user_id)
            .bind(group_id)
            .fetch_optional(&self.pool)
            .await?;
        Ok(row.map(KnownUser::from))
    }

    /// Those of the ids that are accounts which CloudStack showed, with the domain each is in.
    pub(crate) async fn accounts_in_domain(&self, cloud_id: &str, domain_id: &str) -> Result<Vec<String>, StateError> {
        let rows: Vec<(String,)> =
            sqlx::query_as("SELECT account_id FROM account WHERE cloud_id = $1 AND domain_id = $2 AND provisioned = 1")
                .bind(cloud_id)
                .bind(domain_id)
                .fetch_all(&self.pool)
                .await?;
        Ok(rows.into_iter().map(|(id,)| id).collect())
    }

    /// Users whose day of deletion is still to come.
    pub(crate) async fn waiting_deletions(&self, cloud_id: &str, now_us: i64) -> Result<u64, StateError> {
        let found: (i64,) =
            sqlx::query_as("SELECT count(*) FROM known_user WHERE cloud_id = $1 AND delete_after_us > $2")
                .bind(cloud_id)
                .bind(now_us)
                .fetch_one(&self.pool)
                .await?;
        Ok(found.0.unsigned_abs())
    }
}

async fn record_one(tx: &mut SqliteConnection, cloud_id: &str, fact: &Fact, now_us: i64) -> Result<(), StateError> {
    match fact {
        Fact::Group(group) => record_group(tx, cloud_id, group).await,
        Fact::User(user) => record_user(tx, cloud_id, user).await,
        Fact::NoGroup { group_id } => {
            let query = sqlx::query("DELETE FROM known_group WHERE cloud_id = $1 AND group_id = $2");
            query.bind(cloud_id).bind(group_id).execute(tx).await?;
            Ok(())
        }
        Fact::NoUser { group_id, user_id } => {
            let query = sqlx::query("DELETE FROM known_user WHERE cloud_id = $1 AND user_id = $2 AND group_id = $3");
            query.bind(cloud_id).bind(user_id).bind(group_id).execute(tx).await?;
            Ok(())
        }
        Fact::Removed { removed, confirmed } => removals::settle(tx, cloud_id, removed, *confirmed, now_us).await,
        Fact::NotRemoved(removed) => removals::drop_open(tx, cloud_id, &removed.group_id, &removed.user_id).await,
    }
}

/// A group that we made stays made, whoever else finds it later.
async fn record_group(tx: &mut SqliteConnection, cloud_id: &str, group: &KnownGroup) -> Result<(), StateError> {
    sqlx::query(
        "INSERT INTO known_group (cloud_id, group_id, group_name, origin, dirty) VALUES ($1, $2, $3, $4, 0) \
         ON CONFLICT (cloud_id, group_id) DO UPDATE SET group_name = excluded.group_name, dirty = 0",
    )
    .bind(cloud_id)
    .bind(&group.group_id)
    .bind(&group.group_name)
    .bind(group.origin.as_str())
    .execute(tx)
    .await?;
    Ok(())
}

async fn record_user(tx: &mut SqliteConnection, cloud_id: &str, user: &KnownUser) -> Result<(), StateError> {
    sqlx::query(
        "INSERT INTO known_user (cloud_id, user_id, group_id, full_name, email, active, origin, deactivated_by_us, \
         delete_after_us, dirty) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0) \
         ON CONFLICT (cloud_id, user_id, group_id) DO UPDATE SET full_name = excluded.full_name, \
         email = excluded.email, active = excluded.active, deactivated_by_us = excluded.deactivated_by_us, \
         delete_after_us = excluded.delete_after_us, dirty = 0",
    )
    .bind(cloud_id)
    .bind(&user.user_id)
    .bind(&user.group_id)
    .bind(&user.full_name)
    .bind(&user.email)
    .bind(i64::from(user.active))
    .bind(user.origin.as_str())
    .bind(i64::from(user.deactivated_by_us))
    .bind(user.delete_after_us)
    .execute(tx)
    .await?;
    Ok(())
}
