//! Users: a CloudStack account is one. The S3 account is the user.

use std::time::Duration;

use futures::FutureExt;

use crate::clock::micros;
use crate::groups::{NewGroup, PageRequest, Profile, check_text, insert_group};
use crate::metadata::credentials::{self, CredentialRow, Holder};
use crate::metadata::trash::{self, TrashRow};
use crate::metadata::users as metadata;
use crate::metadata::{Tx, groups, iam, logins};
use crate::password::check_rule;
use crate::secrets::{new_access_key, new_secret_key};
use crate::{Caller, CanonicalId, Engine, Error, GroupId, Result, Role, UserId};

/// The id of the first system administrator.
const SYSTEM_ADMIN: &str = "admin";
/// The name of the system group.
const SYSTEM_GROUP_NAME: &str = "System Admin";

/// A user as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The immutable id.
    pub canonical_id: CanonicalId,
    /// The group.
    pub group_id: GroupId,
    /// The id in the group.
    pub user_id: UserId,
    /// What the user may do.
    pub role: Role,
    /// The full name; never null, may be empty.
    pub full_name: String,
    /// The e-mail address; never null, may be empty.
    pub email: String,
    /// Whether the user may sign in and use its keys (its group must be active, too).
    pub active: bool,
    /// Further fields of the Admin API (`address1`, `city` ...), kept as given.
    pub profile: Profile,
    /// When it was made, in microseconds of the Unix epoch.
    pub created_us: i64,
}

impl User {
    /// The name that S3 shows beside the owner id.
    pub fn display_name(&self) -> String {
        display_name(&self.full_name, self.user_id.as_str())
    }
}

/// The full name, or the id of a user who has none.
pub(crate) fn display_name(full_name: &str, user_id: &str) -> String {
    if full_name.is_empty() { user_id.to_owned() } else { full_name.to_owned() }
}

/// A user to be made.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// The group, which must exist.
    pub group_id: GroupId,
    /// The id in the group.
    pub user_id: UserId,
    /// What the user may do.
    pub role: Role,
    /// The full name.
    pub full_name: String,
    /// The e-mail address.
    pub email: String,
    /// Whether the user may sign in and use its keys.
    pub active: bool,
    /// Further fields, kept as given.
    pub profile: Profile,
    /// Whether a first key pair is made in the same transaction, as HyperStore does.
    pub with_credential: bool,
}

/// A change of a user: what is `None` or absent stays.
#[derive(Clone, Debug, Default)]
pub struct UserChange {
    /// The new full name.
    pub full_name: Option<String>,
    /// The new e-mail address.
    pub email: Option<String>,
    /// Whether the user may sign in and use its keys.
    pub active: Option<bool>,
    /// `User` or `GroupAdmin`; nobody becomes or ceases to be SystemAdmin this way.
    pub role: Option<Role>,
    /// Fields to be set; the others stay.
    pub profile: Profile,
}

/// Which users a list shows.
#[derive(Clone, Debug, Default)]
pub struct UserFilter {
    /// Only users of this role.
    pub role: Option<Role>,
    /// Only active or only inactive users.
    pub active: Option<bool>,
}

impl Engine {
    /// Makes a user. [`crate::Error::NoSuchGroup`] or [`crate::Error::UserExists`]. The id of a user in the trash is free: it gets
    /// a new canonical id and none of the old data.
    pub async fn create_user(&self, caller: &Caller, user: NewUser) -> Result<User> {
        caller.must_administer()?;
        check_texts(&user.full_name, &user.email)?;
        check_role(&user.group_id, user.role)?;
        let canonical_id = CanonicalId::random();
        let credential = match user.with_credential {
            true => Some(self.seal_credential(&canonical_id, Holder::Root, new_access_key(), &new_secret_key())?),
            false => None,
        };
        self.inner
            .db
            .write("create_user", move |tx| {
                let (user, canonical_id, credential) = (user.clone(), canonical_id.clone(), credential.clone());
                async move { insert_user(tx, user, canonical_id, credential).await }.boxed()
            })
            .await
    }

    /// Changes a user; [`crate::Error::NoSuchUser`] when there is none. Deactivating takes its access (keys and sessions) at once.
    pub async fn change_user(
        &self,
        caller: &Caller,
        group_id: &GroupId,
        user_id: &UserId,
        change: UserChange,
    ) -> Result<User> {
        caller.must_administer()?;
        check_texts(change.full_name.as_deref().unwrap_or_default(), change.email.as_deref().unwrap_or_default())?;
        let (group_id, user_id) = (group_id.clone(), user_id.clone());
        self.change_identity(caller.share(), "change_user", move |tx| {
            let (group_id, user_id, change) = (group_id.clone(), user_id.clone(), change.clone());
            async move { change_user(tx, &group_id, &user_id, change).await }.boxed()
        })
        .await
    }

    /// A user, or `None`.
    pub async fn find_user(&self, caller: &Caller, group_id: &GroupId, user_id: &UserId) -> Result<Option<User>> {
        let user = self.user_by_name(group_id, user_id).await?;
        must_see_user(caller, group_id, user.as_ref())?;
        Ok(user)
    }

    /// A user by its immutable id, or `None`.
    pub async fn find_user_by_canonical_id(&self, caller: &Caller, id: &CanonicalId) -> Result<Option<User>> {
        let id = id.clone();
        let user = self
            .inner
            .db
            .read("find_user_by_canonical_id", move |tx| async move { metadata::find_by_id(tx, &id).await }.boxed())
            .await?;
        match &user {
            Some(found) => must_see_user(caller, &found.group_id, user.as_ref())?,
            None => caller.must_administer()?,
        }
        Ok(user)
    }

    /// Users of a group in the order of their ids; empty for an unknown group.
    pub async fn list_users(
        &self,
        caller: &Caller,
        group_id: &GroupId,
        filter: UserFilter,
        page: PageRequest,
    ) -> Result<Vec<User>> {
        caller.must_see_group(group_id)?;
        let group_id = group_id.clone();
        self.inner
            .db
            .read("list_users", move |tx| async move { metadata::list(tx, &group_id, &filter, &page).await }.boxed())
            .await
    }

    /// Deletes a user: its keys, password, sessions and identities of its own are gone at once, its buckets go to the trash for the grace period (or are
    /// purged when that is 0). [`crate::Error::NoSuchUser`] when there is none.
    pub async fn delete_user(&self, caller: &Caller, group_id: &GroupId, user_id: &UserId) -> Result<()> {
        caller.must_administer()?;
        let (group_id, user_id) = (group_id.clone(), user_id.clone());
        let grace = self.inner.settings.trash_grace;
        self.change_identity(caller.share(), "delete_user", move |tx| {
            let (group_id, user_id) = (group_id.clone(), user_id.clone());
            async move { delete_user(tx, &group_id, &user_id, grace).await }.boxed()
        })
        .await?;
        if grace.is_zero() {
            self.inner.wake_workers();
        }
        Ok(())
    }

    /// Sets a console password (9 to 64 characters, three of lower, upper, digit, special: [`crate::Error::WeakPassword`]) and ends the
    /// user's sessions.
    pub async fn set_password(
        &self,
        caller: &Caller,
        group_id: &GroupId,
        user_id: &UserId,
        password: &secrecy::SecretString,
    ) -> Result<()> {
        let user = self.user_by_name(group_id, user_id).await?;
        let Some(user) = user else {
            caller.must_administer()?;
            return Err(Error::NoSuchUser);
        };
        caller.must_act_for(&user.canonical_id)?;
        check_rule(password)?;
        let hash = self.inner.passwords.hash(password).await?;
        self.inner
            .db
            .write("set_password", move |tx| {
                let (id, hash) = (user.canonical_id.clone(), hash.clone());
                async move { set_password(tx, &id, &hash).await }.boxed()
            })
            .await
    }

    async fn user_by_name(&self, group_id: &GroupId, user_id: &UserId) -> Result<Option<User>> {
        let (group_id, user_id) = (group_id.clone(), user_id.clone());
        self.inner
            .db
            .read("find_user", move |tx| async move { metadata::find(tx, &group_id, &user_id).await }.boxed())
            .await
    }

    /// Makes the system group and its administrator in a new store. Returns whether the administrator still has no password.
    pub(crate) async fn ensure_system(&self) -> Result<bool> {
        self.inner.db.write("ensure_system", |tx| ensure_system(tx).boxed()).await
    }
}

/// A user sees itself; its group's administrator and the system's see it, too.
fn must_see_user(caller: &Caller, group_id: &GroupId, user: Option<&User>) -> Result<()> {
    match user {
        Some(user) if caller.must_act_for(&user.canonical_id).is_ok() => Ok(()),
        Some(_) | None => caller.must_see_group(group_id),
    }
}

fn check_texts(full_name: &str, email: &str) -> Result<()> {
    check_text("fullName", full_name)?;
    check_text("emailAddr", email)
}

/// System administrators live in the system group, and nobody else does.
fn check_role(group_id: &GroupId, role: Role) -> Result<()> {
    if group_id.is_system() == (role == Role::SystemAdmin) {
        return Ok(());
    }
    Err(Error::invalid("userType", "must be SystemAdmin in group 0, and only there"))
}

/// Without an active administrator nobody could let one in again.
async fn must_not_be_last_admin(tx: &mut Tx, user: &User) -> Result<()> {
    let is_admin = user.role == Role::SystemAdmin && user.active;
    if is_admin && metadata::count_active_system_admins(tx).await? <= 1 {
        return Err(Error::Protected("the last active system administrator"));
    }
    Ok(())
}

async fn insert_user(
    tx: &mut Tx,
    new: NewUser,
    canonical_id: CanonicalId,
    credential: Option<CredentialRow>,
) -> Result<User> {
    let NewUser { group_id, user_id, role, full_name, email, active, profile, with_credential: _ } = new;
    let group = groups::find(tx, &group_id).await?.ok_or(Error::NoSuchGroup)?;
    let created_us = tx.now_us();
    let user = User { canonical_id, group_id, user_id, role, full_name, email, active, profile, created_us };
    if !metadata::insert(tx, &group.id, &user).await? {
        return Err(Error::UserExists);
    }
    if let Some(credential) = credential
        && !credentials::insert(tx, &credential).await?
    {
        return Err(Error::CredentialExists);
    }
    Ok(user)
}

async fn change_user(tx: &mut Tx, group_id: &GroupId, user_id: &UserId, change: UserChange) -> Result<User> {
    let before = metadata::find(tx, group_id, user_id).await?.ok_or(Error::NoSuchUser)?;
    let UserChange { full_name, email, active, role, profile } = change;
    let mut user = before.clone();
    user.full_name = full_name.unwrap_or(user.full_name);
    user.email = email.unwrap_or(user.email);
    user.active = active.unwrap_or(user.active);
    user.role = role.unwrap_or(user.role);
    user.profile.extend(profile);
    if user == before {
        return Ok(before);
    }
    check_role(group_id, user.role)?;
    if !user.active {
        must_not_be_last_admin(tx, &before).await?;
        logins::delete_sessions_of(tx, &user.canonical_id).await?;
        iam::sessions::delete_of_account(tx, &user.canonical_id).await?;
    }
    metadata::update(tx, &user).await?;
    Ok(user)
}

/// Takes the user's access and moves it to the trash, in one transaction.
async fn delete_user(tx: &mut Tx, group_id: &GroupId, user_id: &UserId, grace: Duration) -> Result<()> {
    let group = groups::find(tx, group_id).await?.ok_or(Error::NoSuchUser)?;
    let user = metadata::find(tx, group_id, user_id).await?.ok_or(Error::NoSuchUser)?;
    must_not_be_last_admin(tx, &user).await?;
    let id = user.canonical_id.clone();
    credentials::delete_of(tx, &id).await?;
    iam::delete_of_account(tx, &id).await?;
    logins::delete_password(tx, &id).await?;
    logins::delete_sessions_of(tx, &id).await?;
    trash::set_buckets_trashed(tx, &id, true).await?;
    let trashed_us = tx.now_us();
    let purge_after_us = trashed_us.saturating_add(micros(grace));
    trash::insert(tx, &TrashRow { user, group_name: group.group.group_name, trashed_us, purge_after_us }).await?;
    metadata::delete(tx, &id).await
}

async fn set_password(tx: &mut Tx, id: &CanonicalId, hash: &str) -> Result<()> {
    metadata::must_exist(tx, id).await?;
    logins::set_password(tx, id, hash).await?;
    logins::delete_sessions_of(tx, id).await
}

async fn ensure_system(tx: &mut Tx) -> Result<bool> {
    let (group_id, user_id) = (GroupId::system(), UserId::new(SYSTEM_ADMIN)?);
    if groups::find(tx, &group_id).await?.is_none() {
        let group_name = SYSTEM_GROUP_NAME.to_owned();
        let group = NewGroup { group_id: group_id.clone(), group_name, active: true, profile: Profile::new() };
        insert_group(tx, group).await?;
        let admin = NewUser {
            group_id: group_id.clone(),
            user_id: user_id.clone(),
            role: Role::SystemAdmin,
            full_name: SYSTEM_GROUP_NAME.to_owned(),
            email: String::new(),
            active: true,
            profile: Profile::new(),
            with_credential: false,
        };
        insert_user(tx, admin, CanonicalId::random(), None).await?;
    }
    match metadata::find(tx, &group_id, &user_id).await? {
        Some(admin) => Ok(!logins::has_password(tx, &admin.canonical_id).await?),
        None => Ok(false),
    }
}
