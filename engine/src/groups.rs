//! Groups: a CloudStack domain is one.

use futures::FutureExt;

use crate::metadata::groups::{self as metadata, GroupRow};
use crate::metadata::{Tx, iam, logins};
use crate::{Caller, Engine, Error, GroupId, Result};

/// Most characters of a name or an address.
const TEXT_CHARS_MAX: usize = 1024;

/// A group as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its id.
    pub group_id: GroupId,
    /// Its description; CloudStack's domain path with a slash at both ends.
    pub group_name: String,
    /// Whether its users may sign in and use their keys.
    pub active: bool,
    /// Further fields of the Admin API (`ldap...`, `s3endpoints...`), kept as given.
    pub profile: Profile,
    /// When it was made, in microseconds of the Unix epoch.
    pub created_us: i64,
}

/// Fields that are kept as given and mean nothing to the engine.
pub type Profile = serde_json::Map<String, serde_json::Value>;

/// A group to be made.
#[derive(Clone, Debug)]
pub struct NewGroup {
    /// Its id.
    pub group_id: GroupId,
    /// Its description.
    pub group_name: String,
    /// Whether its users may sign in and use their keys.
    pub active: bool,
    /// Further fields, kept as given.
    pub profile: Profile,
}

/// A change of a group: what is `None` or absent stays.
#[derive(Clone, Debug, Default)]
pub struct GroupChange {
    /// The new description.
    pub group_name: Option<String>,
    /// Whether its users may sign in and use their keys.
    pub active: Option<bool>,
    /// Fields to be set; the others stay.
    pub profile: Profile,
}

/// A page of a list that is ordered by id.
#[derive(Clone, Debug, Default)]
pub struct PageRequest {
    /// Only ids that begin with this.
    pub prefix: String,
    /// The first id to return (inclusive).
    pub from: Option<String>,
    /// The most rows to return.
    pub rows_max: usize,
}

impl Engine {
    /// Makes a group. [`crate::Error::GroupExists`] when the id is taken.
    pub async fn create_group(&self, caller: &Caller, group: NewGroup) -> Result<Group> {
        caller.must_administer()?;
        check_text("groupName", &group.group_name)?;
        self.inner
            .db
            .write("create_group", move |tx| {
                let group = group.clone();
                async move { insert_group(tx, group).await }.boxed()
            })
            .await
    }

    /// Changes a group; [`crate::Error::NoSuchGroup`] when there is none. Deactivating takes its users' access at once.
    pub async fn change_group(&self, caller: &Caller, group_id: &GroupId, change: GroupChange) -> Result<Group> {
        caller.must_administer()?;
        if let Some(group_name) = &change.group_name {
            check_text("groupName", group_name)?;
        }
        let group_id = group_id.clone();
        self.change_identity(caller.share(), "change_group", move |tx| {
            let (group_id, change) = (group_id.clone(), change.clone());
            async move { change_group(tx, &group_id, change).await }.boxed()
        })
        .await
    }

    /// A group, or `None`.
    pub async fn find_group(&self, caller: &Caller, group_id: &GroupId) -> Result<Option<Group>> {
        caller.must_see_group(group_id)?;
        let group_id = group_id.clone();
        let found = self
            .inner
            .db
            .read("find_group", move |tx| async move { metadata::find(tx, &group_id).await }.boxed())
            .await?;
        Ok(found.map(|row| row.group))
    }

    /// Groups in the order of their ids.
    pub async fn list_groups(&self, caller: &Caller, page: PageRequest) -> Result<Vec<Group>> {
        caller.must_administer()?;
        self.inner.db.read("list_groups", move |tx| async move { metadata::list(tx, &page).await }.boxed()).await
    }

    /// Deletes a group without users ([`crate::Error::GroupNotEmpty`] otherwise). Users in the trash do not count.
    pub async fn delete_group(&self, caller: &Caller, group_id: &GroupId) -> Result<()> {
        caller.must_administer()?;
        if group_id.is_system() {
            return Err(Error::Protected("the system group"));
        }
        let group_id = group_id.clone();
        self.change_identity(caller.share(), "delete_group", move |tx| {
            let group_id = group_id.clone();
            async move { delete_group(tx, &group_id).await }.boxed()
        })
        .await
    }
}

/// Refuses a text that is too long or holds a NUL, which not every database keeps.
pub(crate) fn check_text(what: &'static str, text: &str) -> Result<()> {
    if text.chars().count() > TEXT_CHARS_MAX || text.contains('\0') {
        return Err(Error::invalid(what, format!("must have at most {TEXT_CHARS_MAX} characters and no NUL")));
    }
    Ok(())
}

/// Makes a group inside a transaction.
pub(crate) async fn insert_group(tx: &mut Tx, new: NewGroup) -> Result<Group> {
    let NewGroup { group_id, group_name, active, profile } = new;
    if group_id.is_system() && !active {
        return Err(Error::Protected("the system group"));
    }
    let group = Group { group_id, group_name, active, profile, created_us: tx.now_us() };
    let row = GroupRow { id: hex::encode(rand::random::<[u8; 16]>()), group };
    if !metadata::insert(tx, &row).await? {
        return Err(Error::GroupExists);
    }
    Ok(row.group)
}

async fn change_group(tx: &mut Tx, group_id: &GroupId, change: GroupChange) -> Result<Group> {
    let mut row = metadata::find(tx, group_id).await?.ok_or(Error::NoSuchGroup)?;
    let before = row.group.clone();
    let GroupChange { group_name, active, profile } = change;
    row.group.group_name = group_name.unwrap_or(row.group.group_name);
    row.group.active = active.unwrap_or(row.group.active);
    row.group.profile.extend(profile);
    if row.group == before {
        return Ok(before);
    }
    if !row.group.active {
        if group_id.is_system() {
            return Err(Error::Protected("the system group"));
        }
        logins::delete_sessions_of_group(tx, &row.id).await?;
        iam::sessions::delete_of_group(tx, &row.id).await?;
    }
    metadata::update(tx, &row).await?;
    Ok(row.group)
}

async fn delete_group(tx: &mut Tx, group_id: &GroupId) -> Result<()> {
    let row = metadata::find(tx, group_id).await?.ok_or(Error::NoSuchGroup)?;
    if metadata::has_users(tx, &row.id).await? {
        return Err(Error::GroupNotEmpty);
    }
    metadata::delete(tx, &row).await
}
