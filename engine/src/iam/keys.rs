//! Access keys of an account's own users, and of its root where its root asks.

use futures::FutureExt;
use secrecy::SecretString;

use super::action::IamAction;
use super::entities::find_for;
use super::entity::{IamKind, random_letters};
use super::error::IamError;
use crate::credentials::insert_credential;
use crate::metadata::credentials::{self as metadata, CredentialRow, Holder};
use crate::metadata::{Tx, iam};
use crate::secrets::new_secret_key;
use crate::{AccessKeyId, Caller, Engine, Error, Result};

/// An access key as it is shown; its secret only when it was made.
#[derive(Clone, Debug)]
pub struct IamKey {
    /// The name of the user; `None` for the account's root.
    pub user: Option<String>,
    /// The public half.
    pub access_key: AccessKeyId,
    /// Whether requests signed with it are taken.
    pub active: bool,
    /// When it was made, in microseconds of the Unix epoch.
    pub created_us: i64,
}

/// Whose keys are asked for.
#[derive(Clone, Debug)]
struct Whose {
    caller: Caller,
    /// `None` for who asks.
    user: Option<String>,
}

impl Engine {
    /// Makes a key for a user by its name, or for who asks. The secret is told this once.
    pub async fn create_iam_key(&self, caller: &Caller, user: Option<&str>) -> Result<(IamKey, SecretString)> {
        let whose = Whose::new(caller, user);
        let (account, id) = (caller.must_ask_for_identities()?, format!("AKIA{}", random_letters(16)));
        let (access_key, secret) = (AccessKeyId::new(&id)?, new_secret_key());
        let row = self.seal_credential(&account.canonical_id, Holder::Root, access_key, &secret)?;
        let count_max = self.inner.settings.keys_per_user_max;
        let key = self
            .change_identity(caller.share(), "create_iam_key", move |tx| {
                let (whose, row) = (whose.clone(), row.clone());
                async move {
                    let (holder, name) = whose.find(tx, IamAction::CreateAccessKey).await?;
                    let row = CredentialRow { holder, ..row };
                    insert_credential(tx, &row, count_max).await?;
                    Ok(shown(row, name))
                }
                .boxed()
            })
            .await?;
        Ok((key, secret))
    }

    /// The keys of a user by its name, or of who asks, oldest first.
    pub async fn list_iam_keys(&self, caller: &Caller, user: Option<&str>) -> Result<Vec<IamKey>> {
        let whose = Whose::new(caller, user);
        let (rows, name) = self
            .inner
            .db
            .read("list_iam_keys", move |tx| {
                async move {
                    let (holder, name) = whose.find(tx, IamAction::ListAccessKeys).await?;
                    let account = whose.caller.must_ask_for_identities()?;
                    Ok((metadata::list(tx, &account.canonical_id, &holder).await?, name))
                }
                .boxed()
            })
            .await?;
        Ok(rows.into_iter().map(|row| shown(row, name.clone())).collect())
    }

    /// Switches a key on or off. [`IamError::NoSuchPart`], also for the key of somebody else.
    pub async fn set_iam_key_active(
        &self,
        caller: &Caller,
        user: Option<&str>,
        access_key: &str,
        active: bool,
    ) -> Result<()> {
        let (whose, access_key) = (Whose::new(caller, user), access_key.to_owned());
        self.change_identity(caller.share(), "set_iam_key_active", move |tx| {
            let (whose, access_key) = (whose.clone(), access_key.clone());
            async move {
                let found = whose.find_key(tx, IamAction::UpdateAccessKey, &access_key).await?;
                metadata::set_active(tx, &found, active).await
            }
            .boxed()
        })
        .await
    }

    /// Deletes a key. [`IamError::NoSuchPart`], also for the key of somebody else.
    pub async fn delete_iam_key(&self, caller: &Caller, user: Option<&str>, access_key: &str) -> Result<()> {
        let (whose, access_key) = (Whose::new(caller, user), access_key.to_owned());
        self.change_identity(caller.share(), "delete_iam_key", move |tx| {
            let (whose, access_key) = (whose.clone(), access_key.clone());
            async move {
                let found = whose.find_key(tx, IamAction::DeleteAccessKey, &access_key).await?;
                metadata::delete(tx, &found).await
            }
            .boxed()
        })
        .await
    }
}

impl Whose {
    fn new(caller: &Caller, user: Option<&str>) -> Self {
        Self { caller: caller.clone(), user: user.map(str::to_owned) }
    }

    /// Whose keys they are, for who may do `action` with them, and the name to show.
    async fn find(&self, tx: &mut Tx, action: IamAction) -> Result<(Holder, Option<String>)> {
        self.caller.must_ask_for_identities()?;
        let name = match (&self.user, self.caller.principal()) {
            (Some(name), _) => name.clone(),
            (None, None) => return Ok((Holder::Root, None)),
            (None, Some(principal)) => {
                let user = principal.user().ok_or(Error::AccessDenied)?;
                // It may have been renamed since its key was looked up.
                let found = iam::entities::find_by_id(tx, &user.id).await?;
                found.ok_or(Error::AccessDenied)?.name
            }
        };
        let user = find_for(tx, &self.caller, action, IamKind::User, &name, &[]).await?;
        Ok((Holder::Iam(user.id), Some(user.name)))
    }

    async fn find_key(&self, tx: &mut Tx, action: IamAction, access_key: &str) -> Result<AccessKeyId> {
        let (holder, _) = self.find(tx, action).await?;
        let account = self.caller.must_ask_for_identities()?;
        let keys = metadata::list(tx, &account.canonical_id, &holder).await?;
        let found = keys.into_iter().find(|row| row.access_key.as_str() == access_key);
        let missing = || IamError::NoSuchPart { what: "access key", name: access_key.to_owned() };
        found.map(|row| row.access_key).ok_or_else(|| missing().into())
    }
}

fn shown(row: CredentialRow, user: Option<String>) -> IamKey {
    IamKey { user, access_key: row.access_key, active: row.active, created_us: row.created_us }
}
