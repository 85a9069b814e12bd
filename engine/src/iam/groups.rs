//! Who is in which group.

use futures::FutureExt;

use super::action::IamAction;
use super::entities::find_for;
use super::entity::{IamEntity, IamKind, IamListing, IamPage, name_key};
use super::error::IamError;
use crate::metadata::Tx;
use crate::metadata::iam::{entities, members};
use crate::{Caller, Engine, Result};

/// Most groups of a user.
const GROUPS_OF_USER_MAX: usize = 10;

impl Engine {
    /// Puts a user into a group; one that is in it stays.
    pub async fn add_user_to_iam_group(&self, caller: &Caller, group: &str, user: &str) -> Result<()> {
        let (caller, group, user) = (caller.clone(), group.to_owned(), user.to_owned());
        self.change_identity(caller.share(), "add_user_to_iam_group", move |tx| {
            let (caller, group, user) = (caller.clone(), group.clone(), user.clone());
            async move {
                let group = find_for(tx, &caller, IamAction::AddUserToGroup, IamKind::Group, &group, &[]).await?;
                let user = find_user(tx, &group, &user).await?;
                let groups = members::groups_of(tx, &user.id, "", GROUPS_OF_USER_MAX).await?;
                if groups.len() >= GROUPS_OF_USER_MAX && !groups.iter().any(|one| one.id == group.id) {
                    let limit = IamError::LimitExceeded { what: "groups of the user", count_max: GROUPS_OF_USER_MAX };
                    return Err(limit.into());
                }
                members::insert(tx, &group.id, &user.id).await
            }
            .boxed()
        })
        .await
    }

    /// Takes a user out of a group.
    pub async fn remove_user_from_iam_group(&self, caller: &Caller, group: &str, user: &str) -> Result<()> {
        let (caller, group, user) = (caller.clone(), group.to_owned(), user.to_owned());
        self.change_identity(caller.share(), "remove_user_from_iam_group", move |tx| {
            let (caller, group, user) = (caller.clone(), group.clone(), user.clone());
            async move {
                let group = find_for(tx, &caller, IamAction::RemoveUserFromGroup, IamKind::Group, &group, &[]).await?;
                let found = find_user(tx, &group, &user).await?;
                let removed = members::delete(tx, &group.id, &found.id).await?;
                removed.then_some(()).ok_or(IamError::NoSuchPart { what: "user in the group", name: user }.into())
            }
            .boxed()
        })
        .await
    }

    /// A group with its users.
    pub async fn iam_group(
        &self,
        caller: &Caller,
        group: &str,
        page: &IamPage,
    ) -> Result<(IamEntity, IamListing<IamEntity>)> {
        let items_max = page.items_max()?;
        let (caller, group, after) = (caller.clone(), group.to_owned(), page.after().to_owned());
        let (group, users) = self
            .inner
            .db
            .read("iam_group", move |tx| {
                async move {
                    let group = find_for(tx, &caller, IamAction::GetGroup, IamKind::Group, &group, &[]).await?;
                    let users = members::users_of(tx, &group.id, &after, items_max + 1).await?;
                    Ok((group, users))
                }
                .boxed()
            })
            .await?;
        Ok((group, IamListing::cut(users, items_max, |user| name_key(&user.name))))
    }

    /// The groups of a user.
    pub async fn iam_groups_of_user(
        &self,
        caller: &Caller,
        user: &str,
        page: &IamPage,
    ) -> Result<IamListing<IamEntity>> {
        let items_max = page.items_max()?;
        let (caller, user, after) = (caller.clone(), user.to_owned(), page.after().to_owned());
        let groups = self
            .inner
            .db
            .read("iam_groups_of_user", move |tx| {
                async move {
                    let user = find_for(tx, &caller, IamAction::ListGroupsForUser, IamKind::User, &user, &[]).await?;
                    members::groups_of(tx, &user.id, &after, items_max + 1).await
                }
                .boxed()
            })
            .await?;
        Ok(IamListing::cut(groups, items_max, |group| name_key(&group.name)))
    }
}

/// A user of the account that a group belongs to: who may fill the group may name its users.
async fn find_user(tx: &mut Tx, group: &IamEntity, name: &str) -> Result<IamEntity> {
    let found = entities::find(tx, &group.account, IamKind::User, &name_key(name)).await?;
    found.ok_or_else(|| IamError::NoSuchEntity { kind: IamKind::User, name: name.to_owned() }.into())
}
