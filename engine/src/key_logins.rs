//! What an access key stands for: the root of an account, a user of its own, or a session, with the policies that bind it.

use std::sync::Arc;

use futures::FutureExt;
use secrecy::SecretString;
use subtle::{Choice, ConstantTimeEq};

use crate::access::policy::Policy;
use crate::credentials::secret_place;
use crate::iam::{IamEntity, IamError, IamKind, Principal, Who, documents_of};
use crate::metadata::credentials::{Holder, LoginRow};
use crate::metadata::iam::sessions::{self, SessionLogin};
use crate::metadata::{Tx, credentials, iam};
use crate::secrets::{HashLabel, Place};
use crate::{AccessKeyId, Caller, Engine, Error, Facts, Identity, Result};

/// What a signature check needs: the secret, and who the caller is once the signature fits.
#[derive(Clone, Debug)]
pub struct KeyLogin {
    /// The secret half.
    pub secret_key: SecretString,
    proven: Proven,
}

/// Who a key stands for.
#[derive(Clone, Debug)]
enum Proven {
    Root(Arc<Identity>),
    Iam(Arc<Principal>),
}

impl KeyLogin {
    /// The caller, once the signature was seen to fit.
    pub fn caller(&self, facts: Facts) -> Caller {
        match &self.proven {
            Proven::Root(identity) => Caller::User(identity.clone(), facts),
            Proven::Iam(principal) => Caller::Iam(principal.clone(), facts),
        }
    }

    /// The account that the key belongs to.
    pub fn account(&self) -> &Arc<Identity> {
        match &self.proven {
            Proven::Root(identity) => identity,
            Proven::Iam(principal) => principal.account(),
        }
    }
}

/// An access key that is on, of an active user in an active group; it may have ended by the clock.
#[derive(Clone, Debug)]
pub(crate) struct FoundLogin {
    login: KeyLogin,
    expires_us: Option<i64>,
    /// Of a temporary key: the keyed hash of the token that belongs to it.
    token_hash: Option<Vec<u8>>,
}

impl FoundLogin {
    fn has_ended(&self, now_us: i64) -> bool {
        self.expires_us.is_some_and(|expires_us| expires_us <= now_us)
    }
}

/// What the database knows of an access key.
enum Stored {
    Permanent(LoginRow, Option<Holding>),
    Temporary(SessionLogin, Option<Holding>),
}

/// Who a key of an account's own users or roles stands for, with the texts of its policies.
struct Holding {
    entity: IamEntity,
    documents: Vec<String>,
}

impl Engine {
    /// The log-in behind an access key that needs no token: `None` when the key is unknown, off, expired, temporary, or its user or group
    /// is not active. Served from a cache that every change of identity empties before it is answered.
    pub async fn key_login(&self, access_key: &str) -> Result<Option<KeyLogin>> {
        self.key_login_with_token(access_key, None).await
    }

    /// The log-in behind an access key and the token that came with it. A temporary key without its token is as good as unknown.
    /// [`IamError::InvalidToken`] for a token that is not the key's, [`IamError::ExpiredToken`] for a session that has ended.
    pub async fn key_login_with_token(&self, access_key: &str, token: Option<&str>) -> Result<Option<KeyLogin>> {
        let Some(found) = self.found_login(access_key).await? else { return Ok(None) };
        let has_ended = found.has_ended(self.inner.settings.clock.now_us());
        match (&found.token_hash, token) {
            (None, None) if has_ended => Ok(None),
            (None, None) => Ok(Some(found.login)),
            (Some(_), None) => Ok(None),
            (None, Some(_)) => Err(IamError::InvalidToken.into()),
            (Some(hash), Some(token)) => {
                let hashes = self.inner.keys.keyed_hashes(HashLabel::TemporaryKey, &token_proof(access_key, token));
                let fits = hashes.iter().fold(Choice::from(0), |fits, one| fits | one.ct_eq(hash));
                match (bool::from(fits), has_ended) {
                    (false, _) => Err(IamError::InvalidToken.into()),
                    (true, true) => Err(IamError::ExpiredToken.into()),
                    (true, false) => Ok(Some(found.login)),
                }
            }
        }
    }

    /// The secret of a key whose log-in was looked up in this request already: it says nothing of who the caller is.
    pub async fn key_secret(&self, access_key: &str) -> Result<Option<SecretString>> {
        Ok(self.found_login(access_key).await?.map(|found| found.login.secret_key))
    }

    async fn found_login(&self, access_key: &str) -> Result<Option<FoundLogin>> {
        if AccessKeyId::new(access_key).is_err() {
            // No database is asked for what no key can be called.
            return Ok(None);
        }
        if let Some(found) = self.inner.identities.get(access_key) {
            return Ok(Some(found));
        }
        // Noted before the database is read: see the cache.
        let generation = self.inner.identities.generation();
        let wanted = access_key.to_owned();
        let stored =
            self.inner.db.read("key_login", move |tx| async move { find_stored(tx, &wanted).await }.boxed()).await?;
        let Some(stored) = stored else { return Ok(None) };
        let Some(found) = self.open_stored(access_key, stored)? else { return Ok(None) };
        self.inner.identities.insert(generation, access_key, found.clone());
        Ok(Some(found))
    }

    /// `None` for a key whose user or role is gone.
    fn open_stored(&self, access_key: &str, stored: Stored) -> Result<Option<FoundLogin>> {
        let (proven, place, sealed, expires_us, token_hash) = match stored {
            Stored::Permanent(row, holding) => {
                let account = Arc::new(row.identity);
                let proven = match (row.holder, holding) {
                    (Holder::Root, _) => Proven::Root(account),
                    (Holder::Iam(_), Some(Holding { entity, documents })) => {
                        let principal = Principal::new(account, Who::User(entity), read_policies(&documents)?, None);
                        Proven::Iam(Arc::new(principal))
                    }
                    (Holder::Iam(_), None) => return Ok(None),
                };
                (proven, secret_place(access_key), row.sealed_secret, row.expires_us, None)
            }
            Stored::Temporary(SessionLogin { session, account }, holding) => {
                let limits = session.policy.as_deref().map(read_policy).transpose()?;
                let is_root = session.entity.is_empty();
                let (who, documents) = match holding {
                    None if is_root => (Who::RootSession, Vec::new()),
                    None => return Ok(None),
                    Some(Holding { entity, documents }) => match entity.kind {
                        IamKind::User => (Who::UserSession(entity), documents),
                        IamKind::Role => {
                            let (session_name, access_key) = (session.session_name, access_key.to_owned());
                            (Who::RoleSession { role: entity, session_name, access_key }, documents)
                        }
                        IamKind::Group | IamKind::Policy => {
                            return Err(Error::corrupt("a session is of what takes on no rights"));
                        }
                    },
                };
                let principal = Principal::new(Arc::new(account), who, read_policies(&documents)?, limits);
                let (expires_us, token_hash) = (Some(session.expires_us), Some(session.token_hash));
                let place = temporary_secret_place(access_key);
                (Proven::Iam(Arc::new(principal)), place, session.sealed_secret, expires_us, token_hash)
            }
        };
        let secret_key = self.inner.keys.open_text(place, &sealed)?;
        Ok(Some(FoundLogin { login: KeyLogin { secret_key, proven }, expires_us, token_hash }))
    }
}

/// The token belongs to its key, so that it fits no other.
pub(crate) fn token_proof<'a>(access_key: &'a str, token: &'a str) -> [&'a [u8]; 2] {
    [access_key.as_bytes(), token.as_bytes()]
}

/// Where the secret of a temporary key lies.
pub(crate) fn temporary_secret_place(access_key: &str) -> Place<'_> {
    Place { table: "iam_sessions", column: "secret", row: access_key }
}

fn read_policies(documents: &[String]) -> Result<Vec<Policy>> {
    documents.iter().map(|document| read_policy(document)).collect()
}

/// A policy that cannot be read might deny something, so who has it is let in nowhere.
fn read_policy(document: &str) -> Result<Policy> {
    Policy::of_identity(document).map_err(|_| Error::corrupt("the policy of an identity cannot be read"))
}

async fn find_stored(tx: &mut Tx, access_key: &str) -> Result<Option<Stored>> {
    if let Some(row) = credentials::find_login(tx, access_key).await? {
        let holding = match &row.holder {
            Holder::Root => None,
            Holder::Iam(entity) => find_holding(tx, entity).await?,
        };
        return Ok(Some(Stored::Permanent(row, holding)));
    }
    let Some(login) = sessions::find_login(tx, access_key).await? else { return Ok(None) };
    let entity = login.session.entity.clone();
    let holding = if entity.is_empty() { None } else { find_holding(tx, &entity).await? };
    Ok(Some(Stored::Temporary(login, holding)))
}

async fn find_holding(tx: &mut Tx, entity: &str) -> Result<Option<Holding>> {
    let Some(entity) = iam::entities::find_by_id(tx, entity).await? else { return Ok(None) };
    let documents = documents_of(tx, &entity).await?;
    Ok(Some(Holding { entity, documents }))
}
