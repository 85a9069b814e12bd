//! Access keys of users. Root keys today; IAM keys will stand beside them.

use std::sync::Arc;

use futures::FutureExt;
use secrecy::{ExposeSecret, SecretString};

use crate::metadata::credentials::{self as metadata, CredentialRow};
use crate::metadata::{Tx, users};
use crate::secrets::{Place, new_access_key, new_secret_key};
use crate::{AccessKeyId, Caller, CanonicalId, Engine, Error, Identity, Result};

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

/// What a signature check needs: the secret, and who the caller is once the signature fits.
#[derive(Clone, Debug)]
pub struct KeyLogin {
    /// The secret half.
    pub secret_key: SecretString,
    /// The user.
    pub identity: Arc<Identity>,
}

/// An access key that is on, of an active user in an active group; it may have ended by the clock.
#[derive(Clone, Debug)]
pub(crate) struct FoundLogin {
    login: KeyLogin,
    expires_us: Option<i64>,
}

impl FoundLogin {
    /// The log-in, unless the key has ended.
    fn at(self, now_us: i64) -> Option<KeyLogin> {
        match self.expires_us {
            Some(expires_us) if expires_us <= now_us => None,
            Some(_) | None => Some(self.login),
        }
    }
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
        self.change_identity("set_credential_active", move |tx| {
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
        self.change_identity("delete_credential", move |tx| {
            let (caller, access_key) = (caller.clone(), access_key.clone());
            async move {
                must_find_own(tx, &caller, &access_key).await?;
                metadata::delete(tx, &access_key).await
            }
            .boxed()
        })
        .await
    }

    /// The log-in behind an access key: `None` when the key is unknown, off, expired, or its user or group is not active. Served from
    /// a cache that every change of identity empties before it is answered.
    pub async fn key_login(&self, access_key: &str) -> Result<Option<KeyLogin>> {
        let now_us = self.inner.settings.clock.now_us();
        if let Some(found) = self.inner.identities.get(access_key) {
            return Ok(found.at(now_us));
        }
        // Noted before the database is read: see the cache.
        let generation = self.inner.identities.generation();
        let wanted = access_key.to_owned();
        let row = self
            .inner
            .db
            .read("key_login", move |tx| async move { metadata::find_login(tx, &wanted).await }.boxed())
            .await?;
        let Some(row) = row else { return Ok(None) };
        let secret_key = self.inner.keys.open_text(secret_place(access_key), &row.sealed_secret)?;
        let login = KeyLogin { secret_key, identity: Arc::new(row.identity) };
        let found = FoundLogin { login, expires_us: row.expires_us };
        self.inner.identities.insert(generation, access_key, found.clone());
        Ok(found.at(now_us))
    }

    /// A new key as it is stored, its secret sealed.
    pub(crate) fn seal_credential(
        &self,
        owner: &CanonicalId,
        access_key: AccessKeyId,
        secret_key: &SecretString,
    ) -> Result<CredentialRow> {
        let place = secret_place(access_key.as_str());
        let sealed_secret = self.inner.keys.seal(place, secret_key.expose_secret().as_bytes())?;
        let created_us = self.inner.settings.clock.now_us();
        Ok(CredentialRow {
            access_key,
            owner: owner.clone(),
            sealed_secret,
            active: true,
            created_us,
            expires_us: None,
        })
    }

    fn open_credential(&self, row: CredentialRow) -> Result<Credential> {
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
        let row = self.seal_credential(owner, access_key, &secret_key)?;
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
fn secret_place(access_key: &str) -> Place<'_> {
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
        Caller::Anonymous(_) => Err(Error::AccessDenied),
        Caller::User(..) | Caller::AdminService | Caller::LocalOperator => Ok(()),
    }
}

/// A key that the caller may not touch is as good as none.
async fn must_find_own(tx: &mut Tx, caller: &Caller, access_key: &AccessKeyId) -> Result<()> {
    let found = metadata::find(tx, access_key).await?;
    let visible = found.filter(|row| caller.must_act_for(&row.owner).is_ok());
    visible.map(|_| ()).ok_or(Error::NoSuchCredential)
}

async fn insert_credential(tx: &mut Tx, row: &CredentialRow, count_max: u32) -> Result<()> {
    users::must_exist(tx, &row.owner).await?;
    if metadata::find(tx, &row.access_key).await?.is_some() {
        return Err(Error::CredentialExists);
    }
    if metadata::count(tx, &row.owner).await? >= u64::from(count_max) {
        return Err(Error::TooManyCredentials { count_max });
    }
    if !metadata::insert(tx, row).await? {
        return Err(Error::CredentialExists);
    }
    Ok(())
}

async fn list_credentials(tx: &mut Tx, owner: &CanonicalId) -> Result<Vec<CredentialRow>> {
    users::must_exist(tx, owner).await?;
    metadata::list(tx, owner).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{GroupId, Role, UserId};

    fn found(expires_us: Option<i64>) -> FoundLogin {
        let identity = Identity {
            canonical_id: CanonicalId::random(),
            group_id: GroupId::system(),
            user_id: UserId::new("somebody").expect("a user id"),
            display_name: "Some Body".into(),
            role: Role::User,
        };
        FoundLogin {
            login: KeyLogin { secret_key: SecretString::from("secret"), identity: Arc::new(identity) },
            expires_us,
        }
    }

    #[test]
    fn a_key_ends_at_its_time() {
        assert!(found(Some(100)).at(99).is_some());
        assert!(found(Some(100)).at(100).is_none());
        assert!(found(None).at(i64::MAX).is_some());
    }
}
