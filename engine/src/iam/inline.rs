//! Policies that belong to one user, group or role.

use futures::FutureExt;

use super::action::IamAction;
use super::entities::find_for;
use super::entity::{IamHolder, IamListing, IamPage, check_policy_name};
use super::error::IamError;
use crate::access::policy::Policy;
use crate::metadata::iam::policies as metadata;
use crate::{Caller, Engine, Result};

/// Largest text of a policy.
const DOCUMENT_BYTES_MAX: usize = 10 * 1024;
/// Most policies of one identity's own.
pub(super) const INLINE_MAX: usize = 20;

impl IamHolder {
    fn put(self) -> IamAction {
        self.pick(IamAction::PutUserPolicy, IamAction::PutGroupPolicy, IamAction::PutRolePolicy)
    }

    fn get(self) -> IamAction {
        self.pick(IamAction::GetUserPolicy, IamAction::GetGroupPolicy, IamAction::GetRolePolicy)
    }

    fn list(self) -> IamAction {
        self.pick(IamAction::ListUserPolicies, IamAction::ListGroupPolicies, IamAction::ListRolePolicies)
    }

    fn delete(self) -> IamAction {
        self.pick(IamAction::DeleteUserPolicy, IamAction::DeleteGroupPolicy, IamAction::DeleteRolePolicy)
    }
}

impl Engine {
    /// Gives a user, group or role a policy of its own, or another text of it. [`IamError::MalformedPolicy`].
    pub async fn put_iam_policy(
        &self,
        caller: &Caller,
        holder: IamHolder,
        name: &str,
        policy_name: &str,
        document: &str,
    ) -> Result<()> {
        let asked = (caller.clone(), name.to_owned(), policy_name.to_owned(), document.to_owned());
        self.change_identity(caller.share(), "put_iam_policy", move |tx| {
            let (caller, name, policy_name, document) = asked.clone();
            async move {
                let found = find_for(tx, &caller, holder.put(), holder.kind(), &name, &[]).await?;
                check_policy_name(&policy_name)?;
                check_document(&document)?;
                let own = metadata::inline(tx, &found.id, "", INLINE_MAX).await?;
                if own.len() >= INLINE_MAX && !own.iter().any(|(name, _)| *name == policy_name) {
                    let limit = IamError::LimitExceeded { what: "policies of its own", count_max: INLINE_MAX };
                    return Err(limit.into());
                }
                metadata::put_inline(tx, &found.id, &policy_name, &document).await
            }
            .boxed()
        })
        .await
    }

    /// The text of a policy of an identity's own. [`IamError::NoSuchPart`].
    pub async fn iam_policy_of(
        &self,
        caller: &Caller,
        holder: IamHolder,
        name: &str,
        policy_name: &str,
    ) -> Result<String> {
        let (caller, name, policy_name) = (caller.clone(), name.to_owned(), policy_name.to_owned());
        self.inner
            .db
            .read("iam_policy_of", move |tx| {
                async move {
                    let found = find_for(tx, &caller, holder.get(), holder.kind(), &name, &[]).await?;
                    let document = metadata::find_inline(tx, &found.id, &policy_name).await?;
                    document.ok_or_else(|| no_such_policy(policy_name).into())
                }
                .boxed()
            })
            .await
    }

    /// The names of the policies of an identity's own.
    pub async fn list_iam_policies_of(
        &self,
        caller: &Caller,
        holder: IamHolder,
        name: &str,
        page: &IamPage,
    ) -> Result<IamListing<String>> {
        let items_max = page.items_max()?;
        let (caller, name, after) = (caller.clone(), name.to_owned(), page.after().to_owned());
        let found = self
            .inner
            .db
            .read("list_iam_policies_of", move |tx| {
                async move {
                    let found = find_for(tx, &caller, holder.list(), holder.kind(), &name, &[]).await?;
                    metadata::inline(tx, &found.id, &after, items_max + 1).await
                }
                .boxed()
            })
            .await?;
        Ok(IamListing::cut(found, items_max, |(name, _)| name.clone()).map(|(name, _)| name))
    }

    /// Takes a policy of its own from a user, group or role. [`IamError::NoSuchPart`].
    pub async fn delete_iam_policy_of(
        &self,
        caller: &Caller,
        holder: IamHolder,
        name: &str,
        policy_name: &str,
    ) -> Result<()> {
        let asked = (caller.clone(), name.to_owned(), policy_name.to_owned());
        self.change_identity(caller.share(), "delete_iam_policy_of", move |tx| {
            let (caller, name, policy_name) = asked.clone();
            async move {
                let found = find_for(tx, &caller, holder.delete(), holder.kind(), &name, &[]).await?;
                let deleted = metadata::delete_inline(tx, &found.id, &policy_name).await?;
                deleted.then_some(()).ok_or_else(|| no_such_policy(policy_name).into())
            }
            .boxed()
        })
        .await
    }
}

fn no_such_policy(name: String) -> IamError {
    IamError::NoSuchPart { what: "policy of that name", name }
}

/// Refuses the text of a policy that is too long.
pub(super) fn check_size(document: &str) -> Result<()> {
    if document.len() > DOCUMENT_BYTES_MAX {
        let limit = IamError::LimitExceeded { what: "bytes of the policy", count_max: DOCUMENT_BYTES_MAX };
        return Err(limit.into());
    }
    Ok(())
}

/// Checks the text of the policy of an identity.
pub(super) fn check_document(document: &str) -> Result<()> {
    check_size(document)?;
    let policy = Policy::of_identity(document).and_then(Policy::must_be_offered);
    policy.map(|_| ()).map_err(|why| IamError::MalformedPolicy(why.0).into())
}
