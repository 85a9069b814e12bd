//! Ways to become a [`Caller`] beside a signature: password, sign-on link, session, service account.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use secrecy::{ExposeSecret, SecretString};
use subtle::{Choice, ConstantTimeEq};

use crate::clock::micros;
use crate::metadata::Tx;
use crate::metadata::logins::{self as metadata, PasswordLogin, SessionRow};
use crate::secrets::{HashLabel, new_token};
use crate::unkept_sessions::UnkeptSession;
use crate::{Caller, Engine, Error, GroupId, Identity, Result, UserId, work};

/// Most characters of a service account's name.
const SERVICE_NAME_CHARS_MAX: usize = 64;

/// A console session.
#[derive(Clone, Debug)]
pub struct Session {
    /// Who is signed in.
    pub identity: Arc<Identity>,
    /// What forms of this session must carry.
    pub csrf_token: String,
    /// When it ends, in microseconds of the Unix epoch.
    pub expires_us: i64,
}

impl Engine {
    /// Checks a console password. [`crate::Error::LoginRefused`] for anything that does not fit, after the same work whether the user
    /// exists or not.
    pub async fn login_with_password(
        &self,
        group_id: &GroupId,
        user_id: &UserId,
        password: &SecretString,
    ) -> Result<Arc<Identity>> {
        let found = self.find_active_user(group_id, user_id).await?;
        let stored = found.as_ref().and_then(|login| login.hash.as_deref());
        let fits = self.inner.passwords.verify(stored, password).await?;
        match found {
            Some(login) if fits => Ok(Arc::new(login.identity)),
            Some(_) | None => Err(Error::LoginRefused),
        }
    }

    /// The active user of an active group, for a door that has proven the log-in itself (a signed link).
    /// [`crate::Error::LoginRefused`] when there is none.
    pub async fn login_by_proof(&self, group_id: &GroupId, user_id: &UserId) -> Result<Arc<Identity>> {
        let found = self.find_active_user(group_id, user_id).await?;
        found.map(|login| Arc::new(login.identity)).ok_or(Error::LoginRefused)
    }

    /// Remembers the signature of a sign-on link until it can no longer be used; [`crate::Error::LinkUsed`] when it was seen before,
    /// also before a restart.
    pub async fn claim_link(&self, signature: &[u8], expires_us: i64) -> Result<()> {
        let signature = signature.to_vec();
        let claimed = self
            .inner
            .db
            .write("claim_link", move |tx| {
                let signature = signature.clone();
                async move { metadata::insert_link(tx, &signature, expires_us).await }.boxed()
            })
            .await?;
        if claimed { Ok(()) } else { Err(Error::LinkUsed) }
    }

    /// Opens a session and returns its token, which is kept only as a hash. While the store takes no writes it is open until the process ends.
    pub async fn open_session(&self, identity: &Identity, lifetime: Duration) -> Result<(SecretString, Session)> {
        let (token, csrf_token) = (new_token(), new_token());
        let token_hash = self.inner.keys.keyed_hash(HashLabel::Session, &[token.as_bytes()])?;
        let expires_us = self.inner.settings.clock.now_us().saturating_add(micros(lifetime));
        let session = Session { identity: Arc::new(identity.clone()), csrf_token, expires_us };
        let (hash, user, csrf_token) = (token_hash.clone(), identity.canonical_id.clone(), session.csrf_token.clone());
        let opened = self.inner.db.write("open_session", move |tx| {
            let (hash, user, csrf_token) = (hash.clone(), user.clone(), csrf_token.clone());
            async move { metadata::insert_session(tx, &hash, &user, &csrf_token, expires_us).await }.boxed()
        });
        let opened = match opened.await {
            Err(error) if takes_no_writes(&error) => self.open_unkept_session(token_hash, &session, error).await?,
            opened => opened?,
        };
        if opened { Ok((SecretString::from(token), session)) } else { Err(Error::LoginRefused) }
    }

    /// Opens a session in memory; `false` when the user or its group is not active, or gone, and the error when there is no room.
    async fn open_unkept_session(&self, token_hash: Vec<u8>, session: &Session, error: Error) -> Result<bool> {
        let Some(login) = self.find_active_login(&session.identity).await? else { return Ok(false) };
        let unkept = UnkeptSession {
            identity: login.identity,
            password_hash: login.hash,
            csrf_token: session.csrf_token.clone(),
            expires_us: session.expires_us,
        };
        let now_us = self.inner.settings.clock.now_us();
        if self.inner.unkept_sessions.open(token_hash, unkept, now_us) { Ok(true) } else { Err(error) }
    }

    /// The session of a token: `None` when unknown or ended, or when its user or group is no longer active.
    pub async fn session(&self, token: &str) -> Result<Option<Session>> {
        let hashes = self.inner.keys.keyed_hashes(HashLabel::Session, &[token.as_bytes()]);
        let now_us = self.inner.settings.clock.now_us();
        if self.inner.unkept_sessions.has_ended(&hashes) {
            return Ok(None);
        }
        if let Some(unkept) = self.inner.unkept_sessions.find(&hashes) {
            let login = self.find_active_login(&unkept.identity).await?;
            let login = login.filter(|login| login.hash == unkept.password_hash && unkept.expires_us > now_us);
            return Ok(login.map(|login| Session {
                identity: Arc::new(login.identity),
                csrf_token: unkept.csrf_token,
                expires_us: unkept.expires_us,
            }));
        }
        let found = self.inner.db.read("find_session", |tx| find_session(tx, hashes).boxed()).await?;
        Ok(found.filter(|row| row.expires_us > now_us).map(|row| Session {
            identity: Arc::new(row.identity),
            csrf_token: row.csrf_token,
            expires_us: row.expires_us,
        }))
    }

    /// Ends a session; an unknown one is no error. While the store takes no writes it is ended until the process is.
    pub async fn close_session(&self, token: &str) -> Result<()> {
        let hashes = self.inner.keys.keyed_hashes(HashLabel::Session, &[token.as_bytes()]);
        if self.inner.unkept_sessions.close(&hashes) {
            return Ok(());
        }
        let of_token = hashes.clone();
        let closed = self.inner.db.write("close_session", move |tx| {
            let hashes = of_token.clone();
            async move {
                for hash in &hashes {
                    metadata::delete_session(tx, hash).await?;
                }
                Ok(())
            }
            .boxed()
        });
        match closed.await {
            Err(error) if takes_no_writes(&error) && self.inner.unkept_sessions.end(hashes) => Ok(()),
            closed => closed,
        }
    }

    /// Makes or replaces a service account of the Admin API with a generated secret; only a keyed hash is kept.
    pub async fn set_service_account(&self, caller: &Caller, name: &str, password: &SecretString) -> Result<()> {
        caller.must_administer()?;
        check_service_account(name, password)?;
        let (name, hash) =
            (name.to_owned(), self.inner.keys.keyed_hash(HashLabel::ServiceAccount, &proof(name, password))?);
        self.inner
            .db
            .write("set_service_account", move |tx| {
                let (name, hash) = (name.clone(), hash.clone());
                async move { metadata::set_service_account(tx, &name, &hash).await }.boxed()
            })
            .await
    }

    /// Whether a service account of that name exists.
    pub async fn has_service_account(&self, name: &str) -> Result<bool> {
        Ok(self.find_service_account(name).await?.is_some())
    }

    /// Checks a service account in constant time and gives [`Caller::AdminService`]. [`crate::Error::LoginRefused`].
    pub async fn login_service_account(&self, name: &str, password: &SecretString) -> Result<Caller> {
        let stored = self.find_service_account(name).await?;
        let hashes = self.inner.keys.keyed_hashes(HashLabel::ServiceAccount, &proof(name, password));
        // An unknown name is compared, too; no keyed hash is empty, so that it never fits.
        let stored = stored.unwrap_or_default();
        let fits = hashes.iter().fold(Choice::from(0), |fits, hash| fits | hash.ct_eq(&stored));
        if fits.into() { Ok(Caller::AdminService) } else { Err(Error::LoginRefused) }
    }

    /// Forgets sessions and used links that have ended, and returns how many. Writes nothing when there are none.
    pub(crate) async fn forget_expired_logins(&self) -> Result<u64> {
        let now_us = self.inner.settings.clock.now_us();
        if !self.inner.db.read("find_expired_logins", |tx| metadata::has_expired(tx, now_us).boxed()).await? {
            return Ok(0);
        }
        let mut count = 0;
        loop {
            let forgotten = self
                .inner
                .db
                .write("forget_expired_logins", move |tx| metadata::delete_expired(tx, now_us, work::ROWS_MAX).boxed())
                .await?;
            if forgotten == 0 {
                return Ok(count);
            }
            count += forgotten;
        }
    }

    /// The user of an identity with its password, unless it is another one by now, or not active.
    async fn find_active_login(&self, identity: &Identity) -> Result<Option<PasswordLogin>> {
        let found = self.find_active_user(&identity.group_id, &identity.user_id).await?;
        Ok(found.filter(|login| login.identity.canonical_id == identity.canonical_id))
    }

    async fn find_active_user(&self, group_id: &GroupId, user_id: &UserId) -> Result<Option<PasswordLogin>> {
        let (group_id, user_id) = (group_id.clone(), user_id.clone());
        self.inner
            .db
            .read("find_active_user", move |tx| {
                async move { metadata::find_active_user(tx, &group_id, &user_id).await }.boxed()
            })
            .await
    }

    async fn find_service_account(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let name = name.to_owned();
        self.inner
            .db
            .read("find_service_account", move |tx| {
                async move { metadata::find_service_account(tx, &name).await }.boxed()
            })
            .await
    }
}

/// Whether the store as a whole takes no writes.
fn takes_no_writes(error: &Error) -> bool {
    matches!(error, Error::ReadOnly(_) | Error::DiskFull)
}

/// The session of the first hash that names one: the ring may hold older keys than the current one.
async fn find_session(tx: &mut Tx, hashes: Vec<Vec<u8>>) -> Result<Option<SessionRow>> {
    for hash in hashes {
        if let Some(found) = metadata::find_session(tx, &hash).await? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// The name belongs to what is hashed, so that a hash fits no other account.
fn proof<'a>(name: &'a str, password: &'a SecretString) -> [&'a [u8]; 2] {
    [name.as_bytes(), password.expose_secret().as_bytes()]
}

/// A colon would end the name in HTTP Basic authentication.
fn check_service_account(name: &str, password: &SecretString) -> Result<()> {
    let plain = name.bytes().all(|b| b.is_ascii_graphic() && b != b':');
    if name.is_empty() || name.len() > SERVICE_NAME_CHARS_MAX || !plain {
        let why = format!("must be 1 to {SERVICE_NAME_CHARS_MAX} printable characters without ':'");
        return Err(Error::invalid("the service account's name", why));
    }
    if password.expose_secret().is_empty() {
        return Err(Error::invalid("the service account's password", "must not be empty"));
    }
    Ok(())
}
