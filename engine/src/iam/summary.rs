//! How many identities an account has, and how many it may have.

use futures::FutureExt;

use super::action::IamAction;
use super::entity::{self, IamKind};
use crate::metadata::iam::entities;
use crate::{Caller, Engine, Result};

/// What an account has and may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountSummary {
    /// Each kind with how many there are, and how many there may be.
    pub counts: Vec<(IamKind, usize, usize)>,
    /// The most keys of a user.
    pub keys_per_user_max: u32,
}

impl Engine {
    /// The identity providers that the caller's account trusts: none is offered, so there is none, and tools that look are told so.
    pub fn iam_identity_providers(&self, caller: &Caller) -> Result<()> {
        let account = &caller.must_ask_for_identities()?.canonical_id;
        let all = format!("arn:aws:iam::{account}:oidc-provider/");
        caller.must_manage(IamAction::ListOpenIDConnectProviders, &all, &[])
    }

    /// The names that the caller's account has beside its id: none can be given, so there is none, and tools that look are told so.
    pub fn iam_account_aliases(&self, caller: &Caller) -> Result<()> {
        let account = &caller.must_ask_for_identities()?.canonical_id;
        caller.must_manage(IamAction::ListAccountAliases, &entity::arn(account, IamKind::User, "/", ""), &[])
    }

    /// How many identities the caller's account has.
    pub async fn iam_summary(&self, caller: &Caller) -> Result<AccountSummary> {
        let account = caller.must_ask_for_identities()?.canonical_id.clone();
        caller.must_manage(IamAction::GetAccountSummary, &entity::arn(&account, IamKind::User, "/", ""), &[])?;
        let counts = self
            .inner
            .db
            .read("iam_summary", move |tx| {
                async move {
                    let mut counts = Vec::new();
                    for kind in [IamKind::User, IamKind::Group, IamKind::Role, IamKind::Policy] {
                        counts.push((kind, entities::count(tx, &account, kind).await?, kind.count_max()));
                    }
                    Ok(counts)
                }
                .boxed()
            })
            .await?;
        Ok(AccountSummary { counts, keys_per_user_max: self.inner.settings.keys_per_user_max })
    }
}
