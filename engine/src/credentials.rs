//! Access keys of users: those of an account's root. Keys of its own users (IAM) are beside them and never among them.

use futures::FutureExt;
use secrecy::{ExposeSecret, SecretString};

use crate::metadata::credentials::{self as metadata, CredentialRow, Holder};
use crate::metadata::{Tx, users};
use crate::secrets::{Place, new_access_key, new_secret_key};
use crate::{AccessKeyId, Caller, CanonicalId, Engine, Error, Result};

/// Most characters of a secret key given from outside.
const SECRET_CHARS_MAX: usize = 128;

/// An access key and its secret.
#[derive(Clone, Debug)]
pub struct Credential {
    /// The public half: 20 lower-case hexadecimal digits when made here.
    pub access_key: AccessKeyId,
    /// The secret half: 40 characters when made here.
    pub secret_key: SecretString,
    /// Whose it is.
    pub owner: CanonicalId,
    /// Whether requests signed with it are taken.
    pub active: bool,
    /// When it was made, in microseconds of the Unix epoch.
    pub created_us: i64,
    /// When it ends, in microseconds of the Unix epoch.
    pub expires_us: Option<i64>,
}

impl Engine {
    /// Makes a random key pair for a user. [`crate::Error::TooManyCredentials`] at the limit.
    pub async fn create_credential(&self, caller: &Caller, owner: &CanonicalId) -> Result<Credential> {
        self.store_credential(caller, owner, new_access_key(), new_secret_key()).await
    }

    /// Stores a given key pair for a user. [`crate::Error::CredentialExists`], [`crate::Error::TooManyCredentials`], or
    /// [`crate::Error::Invalid`] for a secret with characters outside `[A-Za-z0-9+/=]`.
    pub async fn import_credential(
        &self,
        caller: &Caller,
        owner: &CanonicalId,
        access_key: AccessKeyId,
        secret_key: SecretString,
    ) -> Result<Credential> {
        self.store_credential(caller, owner, access_key, secret_key).await
    }

    /// A key pair, or `None`. A user finds only its own.
    pub async fn find_credential(&self, caller: &Caller, access_key: &AccessKeyId) -> Result<Option<Credential>> {
        must_be_known(caller)?;
        let wanted = access_key.clone();
        let found = self
            .inner
            .db
            .read("find_credential", move |tx| async move { metadata::find(tx, &wanted).await }.boxed())
            .await?;
        let visible = found.filter(|row| caller.must_act_for(&row.owner).is_ok());
        visible.map(|row| self.open_credential(row)).transpose()
    }

    /// The key pairs of a user, oldest first.
    pub async fn list_credentials(&self, caller: &Caller, owner: &CanonicalId) -> Result<Vec<Credential>> {
        caller.must_act_for(owner)?;
        let owner = owner.clone();
        let rows = self
            .inner
            .db
            .read("list_credentials", move |tx| async move { list_credentials(tx, &owner).await }.boxed())
            .await?;
        rows.into_iter().map(|row| self.open_credential(row)).collect()
    }

    /// Switches a key pair on or off. [`crate::Error::NoSuchCredential`].
    pub async fn set_credential_active(&self, caller: &Caller, access_key: &AccessKeyId, active: bool) -> Result<()> {
        must_be_known(caller)?;
        let (caller, access_key) = (caller.clone(), access_key.clone());
        self.change_identity(caller.share(), "set_credential_active", move |tx| {
            let (caller, access_key) = (caller.clone(), access_key.clone());
            async move {
                must_find_own(tx, &caller, &access_key).await?;
                metadata::set_active(tx, &access_key, active).await
            }
            .boxed()
        })
        .await
    }

    /// Deletes a key pair. [`crate::Error::NoSuchCredential`].
    pub async fn delete_credential(&self, caller: &Caller, access_key: &AccessKeyId) -> Result<()> {
        must_be_known(caller)?;
        let (caller, access_key) = (caller.clone(), access_key.clone());
        self.change_identity(caller.share(), "delete_credential", move |tx| {
            let (caller, access_key) = (caller.clone(), access_key.clone());
            async move {
                must_find_own(tx, &caller, &access_key).await?;
                metadata::delete(tx, &access_key).await
            }
            .boxed()
        })
        .await
    }

    /// A new key as it is stored, its secret sealed.
    pub(crate) fn seal_credential(
        &self,
        owner: &CanonicalId,
        holder: Holder,
        access_key: AccessKeyId,
        secret_key: &SecretString,
    ) -> Result<CredentialRow> {
        let place = secret_place(access_key.as_str());
        let sealed_secret = self.inner.keys.seal(place, secret_key.expose_secret().as_bytes())?;
        let created_us = self.inner.settings.clock.now_us();
        Ok(CredentialRow {
            access_key,
            owner: owner.clone(),
            holder,
            sealed_secret,
            active: true,
            created_us,
            expires_us: None,
        })
    }

    pub(crate) fn open_credential(&self, row: CredentialRow) -> Result<Credential> {
        let secret_key = self.inner.keys.open_text(secret_place(row.access_key.as_str()), &row.sealed_secret)?;
        Ok(Credential {
            access_key: row.access_key,
            secret_key,
            owner: row.owner,
            active: row.active,
            created_us: row.created_us,
            expires_us: row.expires_us,
        })
    }

    async fn store_credential(
        &self,
        caller: &Caller,
        owner: &CanonicalId,
        access_key: AccessKeyId,
        secret_key: SecretString,
    ) -> Result<Credential> {
        caller.must_act_for(owner)?;
        check_secret(&secret_key)?;
        let row = self.seal_credential(owner, Holder::Root, access_key, &secret_key)?;
        let stored = row.clone();
        let count_max = self.inner.settings.keys_per_user_max;
        self.inner
            .db
            .write("store_credential", move |tx| {
                let row = stored.clone();
                async move { insert_credential(tx, &row, count_max).await }.boxed()
            })
            .await?;
        self.open_credential(row)
    }
}

/// Where the secret of an access key lies.
pub(crate) fn secret_place(access_key: &str) -> Place<'_> {
    Place { table: "credentials", column: "secret", row: access_key }
}

/// A query's `+` that was decoded to a blank would corrupt a key silently, so other characters are refused.
fn check_secret(secret_key: &SecretString) -> Result<()> {
    let text = secret_key.expose_secret();
    let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'='));
    if text.is_empty() || text.len() > SECRET_CHARS_MAX || !plain {
        let why = format!("must be 1 to {SECRET_CHARS_MAX} characters of A-Z, a-z, 0-9, '+', '/' and '='");
        return Err(Error::invalid("secretKey", why));
    }
    Ok(())
}

/// Whoever proved nothing learns nothing about keys, not even that one does not exist.
fn must_be_known(caller: &Caller) -> Result<()> {
    match caller {
        Caller::Anonymous(_) | Caller::LogDelivery(_) => Err(Error::AccessDenied),
        Caller::User(..) | Caller::Iam(..) | Caller::AdminService | Caller::LocalOperator => Ok(()),
    }
}

/// A key that the caller may not touch is as good as none.
async fn must_find_own(tx: &mut Tx, caller: &Caller, access_key: &AccessKeyId) -> Result<()> {
    let found = metadata::find(tx, access_key).await?;
    let visible = found.filter(|row| caller.must_act_for(&row.owner).is_ok());
    visible.map(|_| ()).ok_or(Error::NoSuchCredential)
}

pub(crate) async fn insert_credential(tx: &mut Tx, row: &CredentialRow, count_max: u32) -> Result<()> {
    users::must_exist(tx, &row.owner).await?;
    if metadata::find(tx, &row.access_key).await?.is_some() {
        return Err(Error::CredentialExists);
    }
    if metadata::count(tx, &row.owner, &row.holder).await? >= u64::from(count_max) {
        return Err(Error::TooManyCredentials { count_max });
    }
    if !metadata::insert(tx, row).await? {
        return Err(Error::CredentialExists);
    }
    Ok(())
}

async fn list_credentials(tx: &mut Tx, owner: &CanonicalId) -> Result<Vec<CredentialRow>> {
    users::must_exist(tx, owner).await?;
    metadata::list(tx, owner, &Holder::Root).await
}
