//! Sessions (STS): temporary keys, of a role that somebody takes on or of one's own.

use std::time::Duration;

use futures::FutureExt;
use secrecy::{ExposeSecret, SecretString};

use super::action::IamAction;
use super::entity::{IamEntity, IamKind, is_plain, name_key, random_letters};
use super::error::IamError;
use super::inline::check_document;
use super::principal::{Rights, Who, assumed_role_arn, iam_fact};
use crate::access::policy::{Policy, Question, Verdict};
use crate::clock::micros;
use crate::key_logins::{temporary_secret_place, token_proof};
use crate::metadata::Tx;
use crate::metadata::iam::entities;
use crate::metadata::iam::sessions::{self as metadata, SessionRow};
use crate::secrets::{HashLabel, new_secret_key, new_token};
use crate::{Caller, CanonicalId, Engine, Error, Result, work};

/// The shortest session.
const SECONDS_MIN: u32 = 900;
/// A session of a role that nobody said anything about, and the longest of a role that says nothing.
pub(super) const ROLE_SECONDS_USUAL: u32 = 3600;
/// The longest session of a role that was taken on by a session of another one.
const CHAINED_SECONDS_MAX: u32 = 3600;
/// A session of one's own keys that nobody said anything about, and the longest.
const OWN_SECONDS: (u32, u32) = (43_200, 129_600);
/// The longest session of the root's own keys.
const ROOT_SECONDS_MAX: u32 = 3600;
/// How long a session that has ended is told from one that never was.
const KEPT: Duration = Duration::from_secs(3600);
/// Most sessions of an account that are kept, those that ended within that time included.
const SESSIONS_MAX: usize = 20_000;
/// Most sessions of one user or role, and of the root, so that none uses up what all have together.
const OF_ONE_MAX: usize = 5_000;

/// A role to be taken on.
#[derive(Clone, Debug, Default)]
pub struct AssumeRole {
    /// The role, which may be of another account.
    pub role_arn: String,
    /// What the session is called.
    pub session_name: String,
    /// A policy that limits the session further.
    pub policy: Option<String>,
    /// How long it is to be, in seconds; an hour when absent.
    pub duration_seconds: Option<u32>,
    /// What the role's policy may ask for (`sts:ExternalId`).
    pub external_id: Option<String>,
}

/// A temporary key. The secret and the token are told this once.
#[derive(Clone, Debug)]
pub struct SessionKey {
    /// The public half.
    pub access_key: String,
    /// The secret half.
    pub secret_key: SecretString,
    /// What requests must carry beside their signature.
    pub token: SecretString,
    /// When it ends, in microseconds of the Unix epoch.
    pub expires_us: i64,
    /// Of a role's session: its id.
    pub user_id: String,
    /// Of a role's session: its ARN.
    pub arn: String,
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallerIdentity {
    /// The id: a user's, `role:session`, or the account's.
    pub user_id: String,
    /// The account.
    pub account: String,
    /// The ARN.
    pub arn: String,
}

/// Whose session it is to be.
struct Session {
    account: CanonicalId,
    /// The account of who asks.
    caller: CanonicalId,
    /// The temporary key with which it is asked for, of a role that was taken on before.
    parent: Option<String>,
    entity: String,
    name: String,
    policy: Option<String>,
    seconds: u32,
}

impl Engine {
    /// Who asks: told to everybody who has a key.
    pub fn caller_identity(&self, caller: &Caller) -> Result<CallerIdentity> {
        let account = caller.must_act_in_account()?;
        let user_id = caller.named("aws:userid").ok_or(Error::AccessDenied)?;
        let arn = caller.arn().ok_or(Error::AccessDenied)?;
        Ok(CallerIdentity { user_id, account: account.canonical_id.to_string(), arn })
    }

    /// Takes a role on. Its own policy must let the caller in. Where it names the caller's account alone, or everybody and the role is of
    /// another account, the caller's policies must allow it, too. No root takes roles on.
    pub async fn assume_role(&self, caller: &Caller, asked: AssumeRole) -> Result<SessionKey> {
        let who = caller.principal().map(super::Principal::who);
        let parent = match who {
            Some(Who::User(_) | Who::UserSession(_)) => None,
            Some(Who::RoleSession { access_key, .. }) => Some(access_key.clone()),
            Some(Who::RootSession) | None => return Err(Error::AccessDenied),
        };
        check_session_name(&asked.session_name)?;
        if let Some(policy) = &asked.policy {
            check_document(policy)?;
        }
        let role = self.find_role(&asked.role_arn).await?;
        may_assume(caller, &asked, role.as_ref())?;
        let role = role.ok_or(Error::AccessDenied)?;
        let longest = role.session_seconds_max().min(if parent.is_some() { CHAINED_SECONDS_MAX } else { u32::MAX });
        let seconds = check_seconds(asked.duration_seconds, (ROLE_SECONDS_USUAL, longest))?;
        let (user_id, arn) =
            (format!("{}:{}", role.id, asked.session_name), assumed_role_arn(&role, &asked.session_name));
        let session = Session {
            account: role.account,
            caller: caller.must_act_in_account()?.canonical_id.clone(),
            parent,
            entity: role.id,
            name: asked.session_name,
            policy: asked.policy,
            seconds,
        };
        Ok(SessionKey { user_id, arn, ..self.open_key_session(session).await? })
    }

    /// A temporary key with the caller's own rights. A session gets none.
    pub async fn session_key(&self, caller: &Caller, duration_seconds: Option<u32>) -> Result<SessionKey> {
        let account = caller.must_act_in_account()?.canonical_id.clone();
        let (entity, seconds_max) = match caller.principal().map(super::Principal::who) {
            None => (String::new(), ROOT_SECONDS_MAX),
            Some(Who::User(user)) => (user.id.clone(), OWN_SECONDS.1),
            Some(Who::UserSession(_) | Who::RoleSession { .. } | Who::RootSession) => return Err(Error::AccessDenied),
        };
        // Nobody needs to be allowed this, but it may be denied.
        if caller.rights_for(IamAction::GetSessionToken, "*", &[]).is_some_and(Rights::deny) {
            return Err(Error::AccessDenied);
        }
        let seconds = match duration_seconds {
            // A root asks for as long as others, and gets an hour.
            Some(given) if entity.is_empty() => Some(given.min(ROOT_SECONDS_MAX)),
            given => given,
        };
        let seconds = check_seconds(seconds, (OWN_SECONDS.0.min(seconds_max), seconds_max))?;
        let caller = account.clone();
        let name = String::new();
        self.open_key_session(Session { account, caller, parent: None, entity, name, policy: None, seconds }).await
    }

    /// Forgets sessions that ended an hour ago, and returns how many. Writes nothing when there are none.
    pub(crate) async fn forget_ended_sessions(&self) -> Result<u64> {
        let before_us = self.inner.settings.clock.now_us() - micros(KEPT);
        if !self.inner.db.read("find_ended_sessions", |tx| metadata::has_older(tx, before_us).boxed()).await? {
            return Ok(0);
        }
        let mut count = 0;
        loop {
            let forgotten = self
                .inner
                .db
                .write("forget_ended_sessions", move |tx| metadata::delete_older(tx, before_us, work::ROWS_MAX).boxed())
                .await?;
            if forgotten == 0 {
                return Ok(count);
            }
            count += forgotten;
        }
    }

    async fn find_role(&self, arn: &str) -> Result<Option<IamEntity>> {
        let Some((account, name)) = role_in_arn(arn) else { return Ok(None) };
        let found = self
            .inner
            .db
            .read("find_role", move |tx| {
                async move { entities::find(tx, &account, IamKind::Role, &name_key(&name)).await }.boxed()
            })
            .await?;
        Ok(found.filter(|role| role.arn() == arn))
    }

    async fn open_key_session(&self, session: Session) -> Result<SessionKey> {
        let (access_key, secret_key, token) = (format!("ASIA{}", random_letters(16)), new_secret_key(), new_token());
        let expires_us = self.inner.settings.clock.now_us() + micros(Duration::from_secs(session.seconds.into()));
        let keys = &self.inner.keys;
        let row = SessionRow {
            sealed_secret: keys.seal(temporary_secret_place(&access_key), secret_key.expose_secret().as_bytes())?,
            token_hash: keys.keyed_hash(HashLabel::TemporaryKey, &token_proof(&access_key, &token))?,
            access_key: access_key.clone(),
            account: session.account,
            caller: session.caller,
            parent: session.parent,
            entity: session.entity,
            session_name: session.name,
            policy: session.policy,
            expires_us,
        };
        self.inner
            .db
            .write("open_key_session", move |tx| {
                let row = row.clone();
                async move { insert(tx, &row).await }.boxed()
            })
            .await?;
        let token = SecretString::from(token);
        Ok(SessionKey { access_key, secret_key, token, expires_us, user_id: String::new(), arn: String::new() })
    }
}

/// What a session is made of may be gone by now: then nothing must be left of it.
async fn insert(tx: &mut Tx, row: &SessionRow) -> Result<()> {
    let is_there = row.entity.is_empty() || entities::find_by_id(tx, &row.entity).await?.is_some();
    let (of_account, of_entity) = metadata::count(tx, &row.account, &row.entity).await?;
    for (count, count_max) in [(of_account, SESSIONS_MAX), (of_entity, OF_ONE_MAX)] {
        if count >= count_max {
            return Err(IamError::LimitExceeded { what: "sessions", count_max }.into());
        }
    }
    if is_there && metadata::insert(tx, row).await? { Ok(()) } else { Err(Error::AccessDenied) }
}

/// The account and name in the ARN of a role.
fn role_in_arn(arn: &str) -> Option<(CanonicalId, String)> {
    let (account, rest) = arn.strip_prefix("arn:aws:iam::")?.split_once(':')?;
    let path = rest.strip_prefix("role/")?;
    Some((CanonicalId::new(account).ok()?, path.rsplit('/').next()?.to_owned()))
}

/// Lets the caller take a role on, or refuses it in the same words whether the role is there or not.
fn may_assume(caller: &Caller, asked: &AssumeRole, role: Option<&IamEntity>) -> Result<()> {
    let role = role.ok_or(Error::AccessDenied)?;
    let mut told = vec![("sts:rolesessionname", asked.session_name.as_str())];
    told.extend(asked.external_id.as_deref().map(|id| ("sts:externalid", id)));
    let rights = caller.rights_for(IamAction::AssumeRole, &asked.role_arn, &told).ok_or(Error::AccessDenied)?;
    let trust = Policy::of_trust(role.trust()).map_err(|_| Error::corrupt("a role's policy cannot be read"))?;
    let facts = |name: &str| iam_fact(caller, &told, name);
    let action = IamAction::AssumeRole.qualified();
    let question = Question { caller, action: &action, resource: &asked.role_arn, facts: &facts };
    let verdict = trust.ask(&question);
    let is_own = caller.acts_in(&role.account);
    let may = match verdict {
        Verdict::Denied | Verdict::Silent => false,
        Verdict::Delegated => rights.allow(),
        Verdict::Allowed if is_own || trust.allows_by_name(&question) => !rights.deny() && rights.are_within_session(),
        Verdict::Allowed => rights.allow(),
    };
    if may { Ok(()) } else { Err(Error::AccessDenied) }
}

fn check_session_name(name: &str) -> Result<()> {
    if !(2..=64).contains(&name.len()) || !is_plain(name) {
        return Err(Error::invalid("RoleSessionName", "must be 2 to 64 of letters, digits, and +=,.@_-"));
    }
    Ok(())
}

/// How long a session is to be: as asked for, or as is usual.
fn check_seconds(asked: Option<u32>, (usual, longest): (u32, u32)) -> Result<u32> {
    let seconds = asked.unwrap_or_else(|| usual.min(longest));
    if (SECONDS_MIN..=longest).contains(&seconds) {
        return Ok(seconds);
    }
    Err(Error::invalid("DurationSeconds", format!("must be {SECONDS_MIN} to {longest}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::iam::NewIamEntity;
    use crate::test_tenant::ada;
    use crate::{Facts, Settings};

    #[tokio::test]
    async fn one_caller_cannot_use_up_the_sessions_of_all() {
        let directory = tempfile::tempdir().expect("a directory");
        let engine = Engine::open(Settings::new(directory.path())).await.expect("a store");
        let root = ada(&engine).await;
        let account = root.must_act_in_account().expect("an account").canonical_id.clone();
        let row = SessionRow {
            access_key: String::new(),
            account: account.clone(),
            caller: account,
            parent: None,
            entity: String::new(),
            session_name: String::new(),
            policy: None,
            sealed_secret: vec![0],
            token_hash: vec![0],
            expires_us: i64::MAX,
        };
        let filled = engine.inner.db.write("fill_sessions", move |tx| {
            let row = row.clone();
            async move {
                for number in 1..OF_ONE_MAX {
                    let row = SessionRow { access_key: format!("ASIA{number:016}"), ..row.clone() };
                    assert!(metadata::insert(tx, &row).await?);
                }
                Ok(())
            }
            .boxed()
        });
        filled.await.expect("all but one");
        engine.session_key(&root, None).await.expect("the last one");
        let refused = engine.session_key(&root, None).await;
        let limit = IamError::LimitExceeded { what: "sessions", count_max: OF_ONE_MAX };
        assert!(matches!(&refused, Err(Error::Iam(error)) if *error == limit), "{refused:?}");

        let new = NewIamEntity { name: "bob".to_owned(), ..NewIamEntity::default() };
        engine.create_iam_entity(&root, IamKind::User, new).await.expect("a user");
        let (key, _) = engine.create_iam_key(&root, Some("bob")).await.expect("a key");
        let login = engine.key_login_with_token(key.access_key.as_str(), None).await.expect("a look-up");
        let bob = login.expect("a working key").caller(Facts::default());
        engine.session_key(&bob, None).await.expect("a session of somebody else");
    }

    #[test]
    fn roles_are_found_in_their_arns() {
        let id = "0123456789abcdef0123456789abcdef";
        let found = role_in_arn(&format!("arn:aws:iam::{id}:role/a/b/reader")).expect("a role");
        assert_eq!((found.0.as_str(), found.1.as_str()), (id, "reader"));
        for arn in
            ["", "arn:aws:iam:::role/reader", "arn:aws:iam::123:role/reader", &format!("arn:aws:iam::{id}:user/u")]
        {
            assert_eq!(role_in_arn(arn), None, "{arn}");
        }
    }

    #[test]
    fn sessions_are_as_long_as_allowed() {
        assert_eq!(check_seconds(None, (3600, 43_200)).expect("seconds"), 3600);
        assert_eq!(check_seconds(None, (43_200, 3600)).expect("seconds"), 3600);
        assert_eq!(check_seconds(Some(900), (3600, 3600)).expect("seconds"), 900);
        assert!(check_seconds(Some(899), (3600, 3600)).is_err());
        assert!(check_seconds(Some(3601), (3600, 3600)).is_err());
    }
}
