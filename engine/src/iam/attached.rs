//! Which policies that stand for themselves a user, group or role has.

use futures::FutureExt;

use super::action::IamAction;
use super::entities::find_for;
use super::entity::{IamHolder, IamListing, IamPage};
use super::error::IamError;
use super::policies::{find_policy, name_in_arn};
use crate::metadata::iam::attachments as metadata;
use crate::{Caller, Engine, Result};

/// Most attached policies of one identity.
const ATTACHED_MAX: usize = 20;

impl IamHolder {
    fn attach(self) -> IamAction {
        self.pick(IamAction::AttachUserPolicy, IamAction::AttachGroupPolicy, IamAction::AttachRolePolicy)
    }

    fn detach(self) -> IamAction {
        self.pick(IamAction::DetachUserPolicy, IamAction::DetachGroupPolicy, IamAction::DetachRolePolicy)
    }

    fn list_attached(self) -> IamAction {
        self.pick(
            IamAction::ListAttachedUserPolicies,
            IamAction::ListAttachedGroupPolicies,
            IamAction::ListAttachedRolePolicies,
        )
    }
}

impl Engine {
    /// Gives a user, group or role a policy of the account or of the store; one that it has stays.
    pub async fn attach_iam_policy(
        &self,
        caller: &Caller,
        holder: IamHolder,
        name: &str,
        policy_arn: &str,
    ) -> Result<()> {
        let asked = (caller.clone(), name.to_owned(), policy_arn.to_owned());
        self.change_identity(caller.share(), "attach_iam_policy", move |tx| {
            let (caller, name, policy_arn) = asked.clone();
            async move {
                let told = [("iam:policyarn", policy_arn.as_str())];
                let found = find_for(tx, &caller, holder.attach(), holder.kind(), &name, &told).await?;
                let policy = find_policy(tx, &found.account, &policy_arn).await?;
                let attached = metadata::of_entity(tx, &found.id, "", ATTACHED_MAX).await?;
                if attached.len() >= ATTACHED_MAX && !attached.contains(&policy.arn) {
                    let limit = IamError::LimitExceeded { what: "attached policies", count_max: ATTACHED_MAX };
                    return Err(limit.into());
                }
                metadata::insert(tx, &found.id, &policy.arn).await
            }
            .boxed()
        })
        .await
    }

    /// Takes a policy from a user, group or role. [`IamError::NoSuchPart`].
    pub async fn detach_iam_policy(
        &self,
        caller: &Caller,
        holder: IamHolder,
        name: &str,
        policy_arn: &str,
    ) -> Result<()> {
        let asked = (caller.clone(), name.to_owned(), policy_arn.to_owned());
        self.change_identity(caller.share(), "detach_iam_policy", move |tx| {
            let (caller, name, policy_arn) = asked.clone();
            async move {
                let told = [("iam:policyarn", policy_arn.as_str())];
                let found = find_for(tx, &caller, holder.detach(), holder.kind(), &name, &told).await?;
                let detached = metadata::delete(tx, &found.id, &policy_arn).await?;
                let missing = IamError::NoSuchPart { what: "attached policy", name: policy_arn };
                detached.then_some(()).ok_or(missing.into())
            }
            .boxed()
        })
        .await
    }

    /// The names and ARNs of the policies that a user, group or role has beside its own.
    pub async fn list_attached_iam_policies(
        &self,
        caller: &Caller,
        holder: IamHolder,
        name: &str,
        page: &IamPage,
    ) -> Result<IamListing<(String, String)>> {
        let items_max = page.items_max()?;
        let (caller, name, after) = (caller.clone(), name.to_owned(), page.after().to_owned());
        let arns = self
            .inner
            .db
            .read("list_attached_iam_policies", move |tx| {
                async move {
                    let found = find_for(tx, &caller, holder.list_attached(), holder.kind(), &name, &[]).await?;
                    metadata::of_entity(tx, &found.id, &after, items_max + 1).await
                }
                .boxed()
            })
            .await?;
        Ok(IamListing::cut(arns, items_max, Clone::clone).map(|arn| (name_in_arn(&arn).to_owned(), arn)))
    }
}
