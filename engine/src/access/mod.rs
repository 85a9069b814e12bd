//! Who may do what with buckets and objects: owners, access control lists, policies, and what an owner blocks against the world.

pub(crate) mod acl;
pub(crate) mod action;
mod begun;
pub(crate) mod policy;
pub(crate) mod public;

use self::acl::{Acl, GivenAcl, Permission};
use self::action::{Action, ByAcl, Level};
use self::policy::{Question, Verdict};
use self::public::ObjectOwnership;
use crate::lock::SaidLock;
use crate::meta::Meta;
use crate::rules::KnownBucket;
use crate::{Caller, CanonicalId, Error, ObjectKey, Result};

/// What is known of the object that is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ObjectSide<'a> {
    /// Who owns it.
    pub(crate) owner: &'a CanonicalId,
    /// Its list; `None` for the owner alone.
    pub(crate) acl: Option<&'a Acl>,
    /// Its tags.
    pub(crate) tags: &'a [(String, String)],
}

/// A request for one action on a bucket, or on an object in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) action: Action,
    pub(crate) key: Option<&'a ObjectKey>,
    /// The object, where it is there and the answer depends on it.
    pub(crate) object: Option<ObjectSide<'a>>,
    /// The tags that are given to it.
    pub(crate) new_tags: &'a [(String, String)],
    /// What is said of its lock.
    pub(crate) said_lock: Option<SaidLock>,
    /// The upload that it is a part or the end of.
    pub(crate) upload: Option<&'a Meta>,
    /// Whose account began the upload that it stops or shows.
    pub(crate) begun_by: Option<&'a CanonicalId>,
    /// The prefix of a listing that no request asked for, where the answer depends on one.
    pub(crate) prefix: Option<&'a str>,
}

impl<'a> Wanted<'a> {
    /// An action on the bucket itself.
    pub(crate) fn on_bucket(action: Action) -> Self {
        let (key, object, said_lock, upload, begun_by, prefix) = (None, None, None, None, None, None);
        Self { action, key, object, new_tags: &[], said_lock, upload, begun_by, prefix }
    }

    /// An action at a key, whatever is there.
    pub(crate) fn at(action: Action, key: &'a ObjectKey) -> Self {
        Self { key: Some(key), ..Self::on_bucket(action) }
    }

    /// An action on an object that is there.
    pub(crate) fn on_object(action: Action, key: &'a ObjectKey, object: ObjectSide<'a>) -> Self {
        Self { object: Some(object), ..Self::at(action, key) }
    }
}

impl KnownBucket {
    /// Lets a caller do something, or refuses it. [`Error::AccessDenied`].
    pub(crate) fn must_allow(&self, caller: &Caller, wanted: &Wanted<'_>) -> Result<()> {
        if self.allows(caller, wanted) { Ok(()) } else { Err(Error::AccessDenied) }
    }

    /// What a principal says of an object beside storing it is an action each, as it is in a request of its own.
    pub(crate) fn must_allow_beside(
        &self,
        caller: &Caller,
        key: &ObjectKey,
        acl: &GivenAcl,
        lock: SaidLock,
    ) -> Result<()> {
        let locks = [
            (lock.retention.is_some(), Action::PutObjectRetention),
            (lock.legal_hold == Some(true), Action::PutObjectLegalHold),
        ];
        // What is locked keeps the bucket's owner from its own, so that it has to be allowed by it.
        let may_lock = |action| self.allows(caller, &Wanted { said_lock: Some(lock), ..Wanted::at(action, key) });
        let may = locks.into_iter().all(|(is_said, action)| !is_said || may_lock(action))
            && (*acl == GivenAcl::None || self.allows_beside(caller, &Wanted::at(Action::PutObjectAcl, key)));
        if may { Ok(()) } else { Err(Error::AccessDenied) }
    }

    /// Whether somebody who may store an object may say more of it. Where the bucket is not its account's, the object is all the same, so the
    /// bucket's owner has nothing against it unless its policy says so.
    fn allows_beside(&self, caller: &Caller, wanted: &Wanted<'_>) -> bool {
        if caller.acts_in(&self.bucket.owner) {
            return self.allows(caller, wanted);
        }
        self.questioned(caller, wanted, |question| {
            self.verdict(question) != Verdict::Denied
                && caller.principal().is_none_or(|principal| principal.rights(question).allow())
        })
    }

    /// What the policy of the bucket says.
    fn verdict(&self, question: &Question<'_>) -> Verdict {
        self.rules.policy.as_ref().map_or(Verdict::Silent, |policy| policy.ask(question))
    }

    /// Puts what is wanted as policies are asked.
    fn questioned<T>(&self, caller: &Caller, wanted: &Wanted<'_>, answer: impl FnOnce(&Question<'_>) -> T) -> T {
        let facts = |name: &str| self.fact(caller, wanted, name);
        let (action, resource) = (wanted.action.qualified(), self.arn_of_wanted(wanted));
        answer(&Question { caller, action: &action, resource: &resource, facts: &facts })
    }

    /// Whether a caller may do something.
    pub(crate) fn allows(&self, caller: &Caller, wanted: &Wanted<'_>) -> bool {
        match caller {
            Caller::LocalOperator => return true,
            // No administrator reads a tenant's objects.
            Caller::AdminService => return false,
            Caller::Anonymous(_) | Caller::User(..) | Caller::Iam(..) | Caller::LogDelivery(_) => {}
        }
        self.questioned(caller, wanted, |question| self.allows_asked(question, wanted))
            && (wanted.new_tags.is_empty() || self.allows_tags(caller, wanted))
    }

    fn allows_asked(&self, question: &Question<'_>, wanted: &Wanted<'_>) -> bool {
        let (caller, verdict) = (question.caller, self.verdict(question));
        let Some(principal) = caller.principal() else { return self.lets_in(caller, wanted, verdict) };
        let rights = principal.rights(question);
        let kept = principal.is_root() && wanted.action.is_kept_for_owner();
        if rights.deny() || (verdict == Verdict::Denied && !kept) {
            return false;
        }
        // Its account's own bucket may let it in by its name; else it gets of what its account may do what its policies give it.
        let by_name = verdict == Verdict::Allowed
            && caller.acts_in(&self.bucket.owner)
            && self.policy_reaches(wanted)
            && rights.are_within_session();
        by_name || (rights.allow() && self.lets_in(caller, wanted, verdict))
    }

    /// Whether somebody may give tags to what it stores.
    fn allows_tags(&self, caller: &Caller, wanted: &Wanted<'_>) -> bool {
        let Wanted { new_tags, .. } = *wanted;
        wanted.action != Action::PutObject
            || wanted.key.is_none_or(|key| {
                let giving = Wanted { new_tags, ..Wanted::at(Action::PutObjectTagging, key) };
                self.allows_beside(caller, &giving)
            })
    }

    fn arn_of_wanted(&self, wanted: &Wanted<'_>) -> String {
        let bucket = self.bucket.name.as_str();
        wanted.key.map_or_else(|| arn_of(bucket), |key| arn_of(&format!("{bucket}/{}", key.as_str())))
    }

    /// Whether bucket and object let in the caller's account, or nobody in particular, after what the policy of the bucket said.
    fn lets_in(&self, caller: &Caller, wanted: &Wanted<'_>, verdict: Verdict) -> bool {
        let owns_bucket = caller.acts_in(&self.bucket.owner);
        match verdict {
            Verdict::Denied if owns_bucket && wanted.action.is_kept_for_owner() => true,
            Verdict::Denied => false,
            Verdict::Allowed | Verdict::Delegated if self.is_open_to(owns_bucket) && self.policy_reaches(wanted) => {
                true
            }
            Verdict::Allowed | Verdict::Delegated | Verdict::Silent => {
                (owns_bucket && self.owner_may(wanted)) || self.list_allows(caller, wanted)
            }
        }
    }

    /// Whether a policy's permission counts: one that is public may be restricted to the owner.
    fn is_open_to(&self, owns_bucket: bool) -> bool {
        let restricts = self.rules.public_access.is_some_and(|block| block.restrict_public_buckets);
        !restricts || owns_bucket || !self.rules.policy.as_ref().is_some_and(policy::Policy::is_public)
    }

    /// The policy of a bucket gives away what its owner has, and not what others own in it.
    fn policy_reaches(&self, wanted: &Wanted<'_>) -> bool {
        match (wanted.action.by_acl(), wanted.object) {
            (ByAcl::OfObject(_), Some(object)) => *object.owner == self.bucket.owner,
            _ => true,
        }
    }

    /// What the owner of a bucket may do because of that alone: all, but for reading what others own in it.
    fn owner_may(&self, wanted: &Wanted<'_>) -> bool {
        match (wanted.action.level(), wanted.object) {
            (Level::Object, Some(object)) => {
                *object.owner == self.bucket.owner || !matches!(wanted.action.by_acl(), ByAcl::OfObject(_))
            }
            (Level::Object, None) | (Level::Bucket, _) => true,
        }
    }

    fn list_allows(&self, caller: &Caller, wanted: &Wanted<'_>) -> bool {
        let by = wanted.action.by_acl();
        let owns_object = wanted.object.is_some_and(|object| caller.acts_in(object.owner));
        if owns_object && by != ByAcl::Never && wanted.action.level() == Level::Object {
            return true;
        }
        let are_off = self.ownership() == ObjectOwnership::BucketOwnerEnforced;
        let ignore_public = self.rules.public_access.is_some_and(|block| block.ignore_public_acls);
        let gives = |acl: Option<&Acl>, permission: Permission| {
            !are_off && acl.is_some_and(|acl| acl.allows(caller, permission, ignore_public))
        };
        match by {
            ByAcl::OfBucket(permission) => gives(self.rules.acl.as_ref(), permission),
            ByAcl::OfObject(permission) => gives(wanted.object.and_then(|object| object.acl), permission),
            ByAcl::OfUpload => wanted.begun_by.is_some_and(|account| caller.acts_in(account)),
            ByAcl::Never => false,
        }
    }

    /// The values of a fact of a request: what the store knows itself, then what the request told.
    fn fact(&self, caller: &Caller, wanted: &Wanted<'_>, name: &str) -> Option<Vec<String>> {
        if let Some(told) = wanted.upload.and_then(|upload| upload.fact_at_beginning(name)) {
            return told;
        }
        let new_tags = wanted.upload.map_or(wanted.new_tags, |upload| upload.tags().pairs());
        if let Some(tag) = name.strip_prefix("s3:existingobjecttag/") {
            return tag_values(wanted.object?.tags, tag);
        }
        if let Some(tag) = name.strip_prefix("s3:requestobjecttag/") {
            return tag_values(new_tags, tag);
        }
        let one = |text: &str| Some(vec![text.to_owned()]);
        match name {
            "s3:requestobjecttagkeys" if !new_tags.is_empty() => {
                Some(new_tags.iter().map(|(key, _)| key.clone()).collect())
            }
            "s3:prefix" if wanted.prefix.is_some() => wanted.prefix.and_then(one),
            "aws:resourceaccount" | "s3:resourceaccount" => one(self.bucket.owner.as_str()),
            // Not every door has a region of its own.
            "aws:requestedregion" => caller_fact(caller, name).or_else(|| one(&self.region)),
            _ if name.starts_with("s3:object-lock-") => wanted.said_lock?.fact(name).map(|value| vec![value]),
            _ => caller_fact(caller, name),
        }
    }

    /// Who owns what others store here.
    pub(crate) fn ownership(&self) -> ObjectOwnership {
        self.rules.ownership.unwrap_or_default()
    }
}

/// The values of the tags of a name in lower case; `None` where there is no such tag.
fn tag_values(tags: &[(String, String)], name: &str) -> Option<Vec<String>> {
    let values: Vec<_> =
        tags.iter().filter(|(key, _)| key.to_lowercase() == name).map(|(_, value)| value.clone()).collect();
    (!values.is_empty()).then_some(values)
}

/// The values of a fact that has nothing to do with what is asked for: who asks, then what the request told.
pub(crate) fn caller_fact(caller: &Caller, name: &str) -> Option<Vec<String>> {
    let value = match (name, caller) {
        ("aws:userid" | "aws:username" | "aws:principalaccount" | "aws:principalarn" | "aws:principaltype", _) => {
            caller.named(name)
        }
        // The delivery of access logs says itself that it is a service; nobody else is one, nor asked by one.
        ("aws:principalisawsservice" | "aws:viaawsservice", _) => {
            return caller.facts().values(name).or_else(|| Some(vec!["false".to_owned()]));
        }
        _ => return caller.facts().values(name),
    };
    value.map(|value| vec![value])
}

/// The ARN of a bucket, or of `bucket/key`.
fn arn_of(name: &str) -> String {
    format!("arn:aws:s3:::{name}")
}

impl Caller {
    /// Lets a caller do something with its account that is not about a bucket that is there, and says which account that is.
    /// [`Error::AccessDenied`].
    pub(crate) fn must_be_allowed_in_account(&self, action: Action, resource: &str) -> Result<&CanonicalId> {
        self.must_be_allowed_in_account_told(action, resource, &[])
    }

    /// The same where the request tells facts, by their names in lower case, that are in no header.
    pub(crate) fn must_be_allowed_in_account_told(
        &self,
        action: Action,
        resource: &str,
        told: &[(&str, &str)],
    ) -> Result<&CanonicalId> {
        let account = self.must_act_in_account()?;
        let Some(principal) = self.principal() else { return Ok(&account.canonical_id) };
        let one = |text: &str| Some(vec![text.to_owned()]);
        let facts = |name: &str| match (told.iter().find(|(told, _)| *told == name), name) {
            (Some((_, value)), _) => one(value),
            (None, "aws:resourceaccount" | "s3:resourceaccount") => one(account.canonical_id.as_str()),
            (None, _) => caller_fact(self, name),
        };
        let (action, resource) = (action.qualified(), arn_of(resource));
        let rights = principal.rights(&Question { caller: self, action: &action, resource: &resource, facts: &facts });
        if rights.allow() { Ok(&account.canonical_id) } else { Err(Error::AccessDenied) }
    }
}
