//! Where groups and users are kept: an Admin API, ours or another HyperStore's, always over HTTP like any client.

use std::{future::Future, sync::RwLock, time::Duration};

use admin_api::client::{AdminClient, ClientConfig, Error, GroupInfo, GroupUpdate, UserInfo, UserType, UserUpdate};
use backon::{ExponentialBuilder, Retryable};

use crate::state::{KnownGroup, KnownUser, Origin};

/// Tries of one call before it counts as failed.
const TRIES_MAX: usize = 5;

/// An Admin API. The time limit of its calls follows the settings.
pub(crate) struct Target {
    config: ClientConfig,
    client: RwLock<AdminClient>,
}

impl Target {
    pub(crate) fn new(config: ClientConfig) -> Result<Self, Error> {
        let client = RwLock::new(AdminClient::new(config.clone())?);
        Ok(Self { config, client })
    }

    /// The address, for people.
    pub(crate) fn address(&self) -> String {
        self.config.base_url.to_string()
    }

    /// Sets how long one call may take.
    pub(crate) fn set_timeout(&self, limit: Duration) -> Result<(), Error> {
        let mut config = self.config.clone();
        config.timeout = limit;
        let client = AdminClient::new(config)?;
        *self.client.write().unwrap_or_else(std::sync::PoisonError::into_inner) = client;
        Ok(())
    }

    pub(crate) fn client(&self) -> AdminClient {
        self.client.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// The group, if it is there.
    pub(crate) async fn group(&self, group_id: &str) -> Result<Option<GroupInfo>, Error> {
        let client = self.client();
        again(|| client.get_group(group_id)).await
    }

    /// Makes a group; false when there is one of that id already.
    pub(crate) async fn make_group(&self, group_id: &str, name: &str) -> Result<bool, Error> {
        let client = self.client();
        let group = GroupInfo::new(group_id, name);
        made(again(|| client.put_group(&group)).await)
    }

    /// Renames a group.
    pub(crate) async fn rename_group(&self, group_id: &str, name: &str) -> Result<(), Error> {
        let client = self.client();
        let update = GroupUpdate { group_name: Some(name.to_owned()), ..GroupUpdate::of(group_id) };
        again(|| client.post_group(&update)).await
    }

    /// Deletes a group; one that is not there is as good as deleted.
    pub(crate) async fn delete_group(&self, group_id: &str) -> Result<(), Error> {
        let client = self.client();
        match again(|| client.delete_group(group_id)).await {
            Err(Error::NotFound) if self.group(group_id).await?.is_none() => Ok(()),
            other => other,
        }
    }

    /// All groups.
    pub(crate) async fn groups(&self) -> Result<Vec<GroupInfo>, Error> {
        let client = self.client();
        again(|| client.list_all_groups()).await
    }

    /// The user, if it is there.
    pub(crate) async fn user(&self, group_id: &str, user_id: &str) -> Result<Option<UserInfo>, Error> {
        let client = self.client();
        again(|| client.get_user(group_id, user_id)).await
    }

    /// All users of a group.
    pub(crate) async fn users(&self, group_id: &str) -> Result<Vec<UserInfo>, Error> {
        let client = self.client();
        again(|| client.list_all_users(group_id)).await
    }

    /// Makes a user; false when there is one of that id in the group already.
    pub(crate) async fn make_user(&self, user: &KnownUser) -> Result<bool, Error> {
        let client = self.client();
        let info = UserInfo {
            user_type: UserType::User,
            full_name: user.full_name.clone(),
            email_addr: user.email.clone(),
            active: user.active,
            ..UserInfo::new(&user.group_id, &user.user_id)
        };
        made(again(|| client.put_user(&info)).await.map(drop))
    }

    /// Changes name and address.
    pub(crate) async fn update_user(&self, user: &KnownUser, full_name: &str, email: &str) -> Result<(), Error> {
        let client = self.client();
        let update = UserUpdate {
            full_name: Some(full_name.to_owned()),
            email_addr: Some(email.to_owned()),
            ..UserUpdate::of(&user.group_id, &user.user_id)
        };
        again(|| client.post_user(&update)).await
    }

    /// Lets a user in or keeps it out.
    pub(crate) async fn set_active(&self, user: &KnownUser, active: bool) -> Result<(), Error> {
        let client = self.client();
        let update = UserUpdate { active: Some(active), ..UserUpdate::of(&user.group_id, &user.user_id) };
        again(|| client.post_user(&update)).await
    }

    /// Deletes a user; one that is not there is as good as deleted.
    pub(crate) async fn delete_user(&self, group_id: &str, user_id: &str) -> Result<(), Error> {
        let client = self.client();
        match again(|| client.delete_user(group_id, user_id)).await {
            Err(Error::NotFound) if self.user(group_id, user_id).await?.is_none() => Ok(()),
            other => other,
        }
    }
}

/// What is remembered of a group found at the target.
pub(crate) fn found_group(group: &GroupInfo) -> KnownGroup {
    KnownGroup { group_id: group.group_id.clone(), group_name: group.group_name.clone(), origin: Origin::Adopted }
}

/// What is remembered of a user found at the target, given what was remembered before.
pub(crate) fn found_user(user: &UserInfo, before: Option<&KnownUser>) -> KnownUser {
    KnownUser {
        user_id: user.user_id.clone(),
        group_id: user.group_id.clone(),
        full_name: user.full_name.clone(),
        email: user.email_addr.clone(),
        active: user.active,
        origin: before.map_or(Origin::Adopted, |known| known.origin),
        deactivated_by_us: !user.active && before.is_some_and(|known| known.deactivated_by_us),
        delete_after_us: before.and_then(|known| known.delete_after_us),
    }
}

fn made(result: Result<(), Error>) -> Result<bool, Error> {
    match result {
        Ok(()) => Ok(true),
        Err(Error::Exists) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Calls again with growing pauses while the failure may pass. Every call here may be made twice: making what is there
/// answers "exists", and deleting what is gone answers "not found".
async fn again<T, F, Fut>(call: F) -> Result<T, Error>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, Error>>,
{
    let backoff = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(Duration::from_secs(3))
        .with_max_times(TRIES_MAX - 1)
        .with_jitter();
    call.retry(backoff).when(Error::is_transient).await
}
