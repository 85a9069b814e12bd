//! The trash: users that were deleted, with their buckets, until the grace period ends.

use futures::FutureExt;

use crate::groups::{NewGroup, Profile, insert_group};
use crate::metadata::trash::{self as metadata, TrashRow};
use crate::metadata::{Tx, groups, users};
use crate::{Caller, CanonicalId, Engine, Error, GroupId, Result, User, UserId};

/// A deleted user whose data is still there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrashedUser {
    /// The immutable id, which restoring brings back.
    pub canonical_id: CanonicalId,
    /// The group it was in, which may be gone.
    pub group_id: GroupId,
    /// The group's description then.
    pub group_name: String,
    /// Its id in the group.
    pub user_id: UserId,
    /// Its full name.
    pub full_name: String,
    /// How many buckets wait with it.
    pub bucket_count: u64,
    /// How many bytes wait with it.
    pub size_bytes: u64,
    /// When it was deleted, in microseconds of the Unix epoch.
    pub trashed_us: i64,
    /// When its data will be purged, in microseconds of the Unix epoch.
    pub purge_after_us: i64,
}

impl Engine {
    /// What is in the trash, oldest first.
    pub async fn list_trash(&self, caller: &Caller) -> Result<Vec<TrashedUser>> {
        caller.must_administer()?;
        self.inner.db.read("list_trash", |tx| metadata::list(tx).boxed()).await
    }

    /// Brings a deleted user back with its buckets, and its group when that is gone. No key, password or session revives.
    /// [`crate::Error::NotInTrash`], also once the grace period has ended; [`crate::Error::UserExists`] when the id was taken meanwhile.
    pub async fn restore_user(&self, caller: &Caller, id: &CanonicalId) -> Result<User> {
        caller.must_administer()?;
        let id = id.clone();
        self.change_identity(caller.share(), "restore_user", move |tx| {
            let id = id.clone();
            async move { restore_user(tx, &id).await }.boxed()
        })
        .await
    }

    /// Ends the grace period of a deleted user now. [`crate::Error::NotInTrash`].
    pub async fn purge_user(&self, caller: &Caller, id: &CanonicalId) -> Result<()> {
        caller.must_administer()?;
        let id = id.clone();
        self.inner
            .db
            .write("purge_user", move |tx| {
                let id = id.clone();
                async move { end_grace(tx, &id).await }.boxed()
            })
            .await?;
        self.inner.wake_workers();
        Ok(())
    }
}

/// What may still be restored: once the grace period has ended, buckets may be half gone.
async fn must_find(tx: &mut Tx, id: &CanonicalId) -> Result<TrashRow> {
    let now_us = tx.now_us();
    let found = metadata::find(tx, id).await?;
    found.filter(|row| row.purge_after_us > now_us).ok_or(Error::NotInTrash)
}

async fn restore_user(tx: &mut Tx, id: &CanonicalId) -> Result<User> {
    let TrashRow { user, group_name, trashed_us: _, purge_after_us: _ } = must_find(tx, id).await?;
    if groups::find(tx, &user.group_id).await?.is_none() {
        let group_id = user.group_id.clone();
        insert_group(tx, NewGroup { group_id, group_name, active: true, profile: Profile::new() }).await?;
    }
    let group = groups::find(tx, &user.group_id).await?.ok_or(Error::NoSuchGroup)?;
    if !users::insert(tx, &group.id, &user).await? {
        return Err(Error::UserExists);
    }
    metadata::set_buckets_trashed(tx, id, false).await?;
    metadata::forget(tx, id).await?;
    Ok(user)
}

async fn end_grace(tx: &mut Tx, id: &CanonicalId) -> Result<()> {
    let found = metadata::find(tx, id).await?.ok_or(Error::NotInTrash)?;
    let purge_after_us = found.purge_after_us.min(tx.now_us());
    metadata::set_purge_after(tx, id, purge_after_us).await
}
