//! Users as they are shown, the account's root among them.

use futures::FutureExt;

use super::action::IamAction;
use super::entities::find_for;
use super::entity::{IamEntity, IamKind};
use super::principal::root_arn;
use crate::{Caller, Engine, Error, Result};

/// A user as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IamUserShown {
    /// Its id; of the root, the account's.
    pub id: String,
    /// Its name; of the root, none.
    pub name: Option<String>,
    /// Its path.
    pub path: String,
    /// Its ARN.
    pub arn: String,
    /// When it was made, in microseconds of the Unix epoch.
    pub created_us: i64,
}

impl From<IamEntity> for IamUserShown {
    fn from(user: IamEntity) -> Self {
        let arn = user.arn();
        Self { arn, id: user.id, name: Some(user.name), path: user.path, created_us: user.created_us }
    }
}

impl Engine {
    /// A user by its name, or who asks.
    pub async fn iam_user(&self, caller: &Caller, name: Option<&str>) -> Result<IamUserShown> {
        let name = match name {
            Some(name) => name.to_owned(),
            None => match caller.principal() {
                Some(principal) => principal.user().ok_or(Error::AccessDenied)?.name.clone(),
                None => return self.root_user(caller).await,
            },
        };
        let caller = caller.clone();
        let found = self
            .inner
            .db
            .read("iam_user", move |tx| {
                async move { find_for(tx, &caller, IamAction::GetUser, IamKind::User, &name, &[]).await }.boxed()
            })
            .await?;
        Ok(found.into())
    }

    async fn root_user(&self, caller: &Caller) -> Result<IamUserShown> {
        let account = caller.must_ask_for_identities()?;
        let user = self.find_user_by_canonical_id(caller, &account.canonical_id).await?.ok_or(Error::AccessDenied)?;
        Ok(IamUserShown {
            id: account.canonical_id.to_string(),
            name: None,
            path: "/".to_owned(),
            arn: root_arn(account),
            created_us: user.created_us,
        })
    }
}
