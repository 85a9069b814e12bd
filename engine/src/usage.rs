//! How much is stored: exact, counted in the transaction that changes it.

use futures::FutureExt;

use crate::buckets::Bucket;
use crate::metadata::{self, Tx};
use crate::{Caller, CanonicalId, Engine, Error, GroupId, Result, UserId};

/// What a bucket holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Object versions, without delete markers.
    pub object_count: u64,
    /// Logical bytes of all versions.
    pub size_bytes: u64,
    /// Logical bytes of open multipart uploads.
    pub upload_size_bytes: u64,
}

/// The usage of one bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketUsage {
    /// The bucket's name.
    pub bucket: String,
    /// What it holds.
    pub usage: Usage,
}

/// The usage of one user, all buckets in the order of their names; a user without buckets has an empty list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserUsage {
    /// The immutable id.
    pub canonical_id: CanonicalId,
    /// The id in the group.
    pub user_id: UserId,
    /// Its buckets.
    pub buckets: Vec<BucketUsage>,
}

impl Engine {
    /// The usage of all users of a group, or of one of them. [`Error::NoSuchGroup`], [`Error::NoSuchUser`].
    pub async fn usage_of_group(
        &self,
        caller: &Caller,
        group_id: &GroupId,
        user_id: Option<&UserId>,
    ) -> Result<Vec<UserUsage>> {
        caller.must_see_group(group_id)?;
        let (group_id, user_id) = (group_id.clone(), user_id.cloned());
        self.inner
            .db
            .read("usage_of_group", |tx| async move { of_group(tx, &group_id, user_id.as_ref()).await }.boxed())
            .await
    }
}

async fn of_group(tx: &mut Tx, group_id: &GroupId, user_id: Option<&UserId>) -> Result<Vec<UserUsage>> {
    let users = metadata::usage::users_of_group(tx, group_id).await?.ok_or(Error::NoSuchGroup)?;
    let mut answer = Vec::new();
    for (canonical_id, id) in users {
        if user_id.is_some_and(|wanted| *wanted != id) {
            continue;
        }
        let buckets = metadata::buckets::of_owner(tx, &canonical_id).await?;
        let usage = |bucket: Bucket| BucketUsage { bucket: bucket.name.to_string(), usage: bucket.usage };
        let buckets = buckets.into_iter().map(usage).collect();
        answer.push(UserUsage { canonical_id, user_id: id, buckets });
    }
    if user_id.is_some() && answer.is_empty() {
        return Err(Error::NoSuchUser);
    }
    Ok(answer)
}
