//! Asking the target what it really holds: as a whole now and then, and row by row where a crash left a change open.
//!
//! A normal pass trusts what is remembered, because asking for 100,000 users would cost more than all the rest. So the
//! first pass, one pass a day (configurable) and whoever asks for it compare everything: tenants that are there already
//! are adopted, and what somebody changed or deleted behind our back is seen.

use std::collections::{HashMap, HashSet};

use admin_api::client::{GroupInfo, UserInfo};
use futures::{StreamExt, TryStreamExt, stream};

use crate::{
    error::Error,
    report::{Progress, ProgressFn},
    state::{Fact, KnownUser, Removed, State},
    target::{Target, found_group, found_user},
};

/// Groups asked for at the same time.
const GROUPS_AT_ONCE: usize = 8;

/// Compares all that is remembered with the target, and adopts what is there with a tenant's id.
pub(crate) async fn everything(
    state: &State,
    target: &Target,
    cloud_id: &str,
    progress: &ProgressFn,
) -> Result<(), Error> {
    let mut groups = target.groups().await?;
    let present: HashSet<String> = groups.iter().map(|group| group.group_id.clone()).collect();
    for known in state.known_groups(cloud_id).await? {
        if present.contains(&known.group_id) {
            continue;
        }
        // A list may be short or empty; the answer about the very id decides.
        match target.group(&known.group_id).await? {
            Some(found) => groups.push(found),
            None => forget_group(state, cloud_id, known.group_id).await?,
        }
    }
    let (mut ours, mut done) = (Vec::new(), 0);
    for group in groups {
        if state.has_domain(cloud_id, &group.group_id).await? {
            ours.push(group);
        }
    }
    let total = u64::try_from(ours.len()).unwrap_or(0);
    // Asked one after the other when their turn comes: a question is large, and there may be ten thousand.
    let questions = ours.into_iter().map(|group| users_at(target, group));
    let mut asked = stream::iter(questions).buffer_unordered(GROUPS_AT_ONCE);
    while let Some((group, users)) = asked.try_next().await? {
        let mut facts = vec![Fact::Group(found_group(&group))];
        facts.extend(users_of(state, target, cloud_id, &group.group_id, users).await?);
        state.record(cloud_id, &facts).await?;
        done += 1;
        progress(Progress { step: "comparing groups".to_owned(), done, total });
    }
    state.set_verified().await?;
    Ok(())
}

async fn users_at(target: &Target, group: GroupInfo) -> Result<(GroupInfo, Vec<UserInfo>), Error> {
    let users = target.users(&group.group_id).await?;
    Ok((group, users))
}

/// What is so with the users of one group: those of ours that are there, those adopted now, those that are gone.
async fn users_of(
    state: &State,
    target: &Target,
    cloud_id: &str,
    group_id: &str,
    users: Vec<UserInfo>,
) -> Result<Vec<Fact>, Error> {
    let mut known: HashMap<String, KnownUser> =
        state.known_users_in(cloud_id, group_id).await?.into_iter().map(|user| (user.user_id.clone(), user)).collect();
    let tenants: HashSet<String> = state.accounts_in_domain(cloud_id, group_id).await?.into_iter().collect();
    let mut facts = Vec::new();
    for user in users {
        let before = known.remove(&user.user_id);
        if before.is_some() || tenants.contains(&user.user_id) {
            let found = found_user(&user, before.as_ref());
            if before.as_ref() != Some(&found) {
                facts.push(Fact::User(found));
            }
        }
    }
    for unlisted in known.values() {
        facts.push(match target.user(group_id, &unlisted.user_id).await? {
            Some(found) => Fact::User(found_user(&found, Some(unlisted))),
            None => no_user(unlisted),
        });
    }
    Ok(facts)
}

async fn forget_group(state: &State, cloud_id: &str, group_id: String) -> Result<(), Error> {
    let mut facts: Vec<Fact> = state.known_users_in(cloud_id, &group_id).await?.iter().map(no_user).collect();
    facts.push(Fact::NoGroup { group_id });
    Ok(state.record(cloud_id, &facts).await?)
}

fn no_user(user: &KnownUser) -> Fact {
    Fact::NoUser { group_id: user.group_id.clone(), user_id: user.user_id.clone() }
}

/// Asks how the changes ended that were under way when a run was cut short.
pub(crate) async fn open_changes(state: &State, target: &Target, cloud_id: &str) -> Result<(), Error> {
    for removed in state.open_removals(cloud_id).await? {
        let fact = if is_made(target, &removed).await? {
            Fact::Removed { removed, confirmed: false }
        } else {
            Fact::NotRemoved(removed)
        };
        state.record(cloud_id, &[fact]).await?;
    }
    for group in state.dirty_groups(cloud_id).await? {
        let fact = match target.group(&group.group_id).await? {
            Some(found) => Fact::Group(found_group(&found)),
            None => Fact::NoGroup { group_id: group.group_id },
        };
        state.record(cloud_id, &[fact]).await?;
    }
    loop {
        let users = state.dirty_users(cloud_id).await?;
        if users.is_empty() {
            return Ok(());
        }
        for user in users {
            let fact = match target.user(&user.group_id, &user.user_id).await? {
                Some(found) => Fact::User(found_user(&found, Some(&user))),
                None => no_user(&user),
            };
            state.record(cloud_id, &[fact]).await?;
        }
    }
}

/// Whether the target shows the mark of a removal.
async fn is_made(target: &Target, removed: &Removed) -> Result<bool, Error> {
    if removed.user_id.is_empty() {
        return Ok(target.group(&removed.group_id).await?.is_none());
    }
    let user = target.user(&removed.group_id, &removed.user_id).await?;
    Ok(user.is_none_or(|user| !removed.deletes && !user.active))
}
