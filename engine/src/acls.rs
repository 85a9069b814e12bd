//! Access control lists as they are asked for and given: names become ids on the way in, and ids are shown with names on the way out.

use std::collections::HashMap;
use std::sync::Arc;

use futures::FutureExt;

use crate::access::acl::{Acl, CannedAcl, GRANTS_MAX, GivenAcl, GivenGrantee, Grant, Grantee, Permission};
use crate::access::action::Action;
use crate::access::public::ObjectOwnership;
use crate::access::{ObjectSide, Wanted};
use crate::events::{EventKind, Happened, Notify};
use crate::lock::SaidLock;
use crate::meta::Meta;
use crate::metadata::{self, Tx, objects as rows, users, versions};
use crate::rules::KnownBucket;
use crate::tags::TouchedVersion;
use crate::{BucketName, Caller, CanonicalId, Engine, Error, NewLock, ObjectKey, Result, RuleError, VersionId};

/// A user as lists show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The immutable id.
    pub canonical_id: CanonicalId,
    /// The name beside it; empty for a user who is gone.
    pub display_name: String,
}

/// A list as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownAcl {
    /// Whose the bucket or object is.
    pub owner: Person,
    /// The grants.
    pub grants: Vec<ShownGrant>,
}

/// A grant as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownGrant {
    /// Whom it is for.
    pub grantee: Grantee,
    /// The name of a user.
    pub display_name: Option<String>,
    /// What it gives.
    pub permission: Permission,
}

/// A list that a request sets.
#[derive(Clone, Debug, Default)]
pub struct NewAcl {
    /// The list. [`GivenAcl::None`] is an error.
    pub acl: GivenAcl,
    /// The owner that the request names, which must be the one who is it.
    pub owner: Option<String>,
}

/// Which object is meant.
#[derive(Clone, Debug)]
pub struct ObjectName {
    /// Its bucket.
    pub bucket: BucketName,
    /// Its key.
    pub key: ObjectKey,
    /// Its version; the current one when `None`.
    pub version_id: Option<VersionId>,
}

/// Who will own something new, and its list; `None` for the owner alone.
#[derive(Clone, Debug)]
pub(crate) struct Possession {
    pub(crate) owner: CanonicalId,
    pub(crate) acl: Option<Acl>,
}

impl Engine {
    /// The list of a bucket.
    pub async fn bucket_acl(&self, caller: &Caller, name: &BucketName) -> Result<ShownAcl> {
        let known = self.allowed_bucket(caller, name, &Wanted::on_bucket(Action::GetBucketAcl)).await?;
        self.show_acl(known.bucket.owner.clone(), known.rules.acl.clone()).await
    }

    /// Sets the list of a bucket. [`RuleError::AclsDisabled`], [`RuleError::NoSuchGrantee`], [`Error::AccessDenied`] for one that gives something
    /// to the world where that is blocked.
    pub async fn set_bucket_acl(&self, caller: &Caller, name: &BucketName, new: NewAcl) -> Result<()> {
        let known = self.allowed_bucket(caller, name, &Wanted::on_bucket(Action::PutBucketAcl)).await?;
        let acl = self.given_acl(&known, &known.bucket.owner, new).await?;
        self.store_bucket_acl(caller, &known, &acl).await
    }

    /// The list of an object.
    pub async fn object_acl(&self, caller: &Caller, object: &ObjectName) -> Result<ShownAcl> {
        let action = either(object, Action::GetObjectAcl, Action::GetObjectVersionAcl);
        let (known, version) = self.find_version(caller, object, action).await?;
        self.show_acl(known.owner_of(&version.meta).clone(), version.meta.acl().cloned()).await
    }

    /// Sets the list of an object. Errors as of [`Engine::set_bucket_acl`].
    pub async fn set_object_acl(&self, caller: &Caller, object: &ObjectName, new: NewAcl) -> Result<TouchedVersion> {
        let action = either(object, Action::PutObjectAcl, Action::PutObjectVersionAcl);
        let (known, version) = self.find_version(caller, object, action).await?;
        let owner = known.owner_of(&version.meta).clone();
        let acl = self.given_acl(&known, &owner, new).await?;
        let change = move |meta: &mut Meta| {
            meta.set_acl(Some(acl.clone()));
            Ok(())
        };
        self.write_meta(caller, &known, &object.key, &version, Some(EventKind::AclSet), change).await
    }

    /// An object that is there, when the caller may do something with it.
    pub(crate) async fn find_version(
        &self,
        caller: &Caller,
        object: &ObjectName,
        action: Action,
    ) -> Result<(Arc<KnownBucket>, rows::Version)> {
        self.find_version_for(caller, object, Wanted::at(action, &object.key)).await
    }

    /// The same for an action of which more is known, such as the tags that it gives.
    pub(crate) async fn find_version_for(
        &self,
        caller: &Caller,
        object: &ObjectName,
        wanted: Wanted<'_>,
    ) -> Result<(Arc<KnownBucket>, rows::Version)> {
        let known = self.known_bucket(&object.bucket).await?;
        let (ids, bucket_id, named) = (self.inner.version_ids.clone(), known.bucket.id, object.clone());
        let found = self
            .inner
            .db
            .read_for(caller.share(), "find_version", |tx| {
                async move { versions::find(tx, &ids, bucket_id, &named.key, named.version_id.as_ref()).await }.boxed()
            })
            .await;
        let version = found.map_err(|error| known.hide_absence(caller, &object.key, error))?;
        known.must_allow(caller, &Wanted { object: Some(known.side_of(&version.meta)), ..wanted })?;
        Ok((known, version))
    }

    /// Changes what is kept with a version, when the caller may do that.
    pub(crate) async fn change_meta(
        &self,
        caller: &Caller,
        object: &ObjectName,
        action: Action,
        told: Option<EventKind>,
        change: impl Fn(&mut Meta) -> Result<()> + Send + Sync + 'static,
    ) -> Result<TouchedVersion> {
        let (known, version) = self.find_version(caller, object, action).await?;
        self.write_meta(caller, &known, &object.key, &version, told, change).await
    }

    /// Changes what is kept with a version that the caller was judged by, and with no other: one that came in its place may be somebody
    /// else's. [`Error::NoSuchKey`] when it is gone meanwhile.
    pub(crate) async fn write_meta(
        &self,
        caller: &Caller,
        known: &KnownBucket,
        key: &ObjectKey,
        version: &rows::Version,
        told: Option<EventKind>,
        change: impl Fn(&mut Meta) -> Result<()> + Send + Sync + 'static,
    ) -> Result<TouchedVersion> {
        let (bucket_id, key, seq) = (known.bucket.id, key.clone(), version.seq);
        let (change, versioning) = (Arc::new(change), known.bucket.versioning);
        let told = Notify::of(known, caller).zip(told);
        let is_told = told.is_some();
        let touched = self
            .inner
            .db
            .write_for(caller.share(), "change_object", move |tx| {
                let (key, change, told) = (key.clone(), change.clone(), told.clone());
                async move {
                    metadata::buckets::must_exist(tx, bucket_id).await?;
                    let found = versions::by_seq(tx, bucket_id, &key, seq).await?;
                    let mut version = found.ok_or(Error::NoSuchKey { marker: None })?;
                    change(&mut version.meta)?;
                    versions::set_meta(tx, bucket_id, &key, &version).await?;
                    if let Some((notify, kind)) = told {
                        let seq = tx.take_seq().await?;
                        let happened = Happened { seq, ..Happened::to_version(kind, &key, &version) };
                        metadata::outbox::add(tx, bucket_id, &notify, &happened).await?;
                    }
                    let tags = version.meta.tags().clone();
                    Ok(TouchedVersion { version_id: version.version_id, versioning, tags })
                }
                .boxed()
            })
            .await?;
        self.ring(is_told);
        Ok(touched)
    }

    /// The list that a request sets on something that is there.
    async fn given_acl(&self, known: &KnownBucket, owner: &CanonicalId, new: NewAcl) -> Result<Acl> {
        if new.owner.is_some_and(|named| named != owner.as_str()) {
            return Err(Error::AccessDenied);
        }
        if known.ownership() == ObjectOwnership::BucketOwnerEnforced {
            return match new.acl {
                GivenAcl::Canned(CannedAcl::BucketOwnerFullControl) => Ok(Acl::private(owner)),
                GivenAcl::None | GivenAcl::Canned(_) | GivenAcl::Grants(_) => Err(RuleError::AclsDisabled.into()),
            };
        }
        let acl = self.resolve_acl(new.acl, owner, &known.bucket.owner).await?;
        let acl = acl.ok_or_else(|| Error::invalid("access control list", "is missing"))?;
        refuse_blocked(known, &acl)?;
        Ok(acl)
    }

    /// Who will own an object that a caller stores, and its list.
    pub(crate) async fn possession_of_new(
        &self,
        caller: &Caller,
        (known, key): (&KnownBucket, &ObjectKey),
        given: &GivenAcl,
        lock: &NewLock,
    ) -> Result<Possession> {
        known.must_allow_beside(caller, key, given, SaidLock::of_new(lock, self.clock().now_us()))?;
        let bucket_owner = &known.bucket.owner;
        // What nobody signed belongs to the bucket's owner, who else could not get rid of it.
        let writer = caller.account().map_or(bucket_owner, |account| &account.canonical_id);
        let owner = match (known.ownership(), given) {
            (
                ObjectOwnership::BucketOwnerEnforced | ObjectOwnership::BucketOwnerPreferred,
                GivenAcl::Canned(CannedAcl::BucketOwnerFullControl),
            )
            | (ObjectOwnership::BucketOwnerEnforced, GivenAcl::None) => {
                return Ok(Possession { owner: bucket_owner.clone(), acl: None });
            }
            (ObjectOwnership::BucketOwnerEnforced, GivenAcl::Canned(_) | GivenAcl::Grants(_)) => {
                return Err(RuleError::AclsDisabled.into());
            }
            (ObjectOwnership::BucketOwnerPreferred | ObjectOwnership::ObjectWriter, _) => writer.clone(),
        };
        let acl = self.resolve_acl(given.clone(), &owner, bucket_owner).await?;
        if let Some(acl) = &acl {
            refuse_blocked(known, acl)?;
        }
        Ok(Possession { acl: acl.filter(|acl| *acl != Acl::private(&owner)), owner })
    }

    /// The list of a request, with users found by id or e-mail address; `None` when it gives none.
    pub(crate) async fn resolve_acl(
        &self,
        given: GivenAcl,
        owner: &CanonicalId,
        bucket_owner: &CanonicalId,
    ) -> Result<Option<Acl>> {
        let grants = match given {
            GivenAcl::None => return Ok(None),
            GivenAcl::Canned(name) => return Ok(Some(Acl::canned(name, owner, bucket_owner))),
            GivenAcl::Grants(grants) => grants,
        };
        if grants.len() > GRANTS_MAX {
            return Err(Error::invalid("access control list", format!("has more than {GRANTS_MAX} grants")));
        }
        self.inner
            .db
            .read("resolve_acl", |tx| {
                async move {
                    let mut resolved = Vec::with_capacity(grants.len());
                    for grant in grants {
                        let grantee = resolve_grantee(tx, grant.grantee).await?;
                        resolved.push(Grant { grantee, permission: grant.permission });
                    }
                    Ok(Some(Acl { grants: resolved }))
                }
                .boxed()
            })
            .await
    }

    async fn show_acl(&self, owner: CanonicalId, acl: Option<Acl>) -> Result<ShownAcl> {
        let acl = acl.unwrap_or_else(|| Acl::private(&owner)).groups_first();
        let mut ids = vec![owner.clone()];
        ids.extend(acl.grants.iter().filter_map(|grant| match &grant.grantee {
            Grantee::User(id) => Some(id.clone()),
            Grantee::AllUsers | Grantee::AuthenticatedUsers | Grantee::LogDelivery => None,
        }));
        let names = self.display_names(ids).await?;
        let name = |id: &CanonicalId| names.get(id).cloned().unwrap_or_default();
        let shown = |grant: Grant| ShownGrant {
            display_name: match &grant.grantee {
                Grantee::User(id) => Some(name(id)),
                Grantee::AllUsers | Grantee::AuthenticatedUsers | Grantee::LogDelivery => None,
            },
            permission: grant.permission,
            grantee: grant.grantee,
        };
        let grants = acl.grants.into_iter().map(shown).collect();
        Ok(ShownAcl { owner: Person { display_name: name(&owner), canonical_id: owner }, grants })
    }

    /// The names of users by id; those who are gone have none.
    pub async fn display_names(&self, mut ids: Vec<CanonicalId>) -> Result<HashMap<CanonicalId, String>> {
        ids.sort();
        ids.dedup();
        self.inner
            .db
            .read("display_names", |tx| {
                async move {
                    let mut names = HashMap::new();
                    for id in ids {
                        if let Some(user) = users::find_by_id(tx, &id).await? {
                            names.insert(id, user.display_name());
                        }
                    }
                    Ok(names)
                }
                .boxed()
            })
            .await
    }
}

impl KnownBucket {
    /// Who owns a version in this bucket.
    pub(crate) fn owner_of<'a>(&'a self, meta: &'a Meta) -> &'a CanonicalId {
        match (self.ownership(), meta.owner()) {
            (ObjectOwnership::BucketOwnerEnforced, _) | (_, None) => &self.bucket.owner,
            (ObjectOwnership::BucketOwnerPreferred | ObjectOwnership::ObjectWriter, Some(owner)) => owner,
        }
    }

    /// What the rules look at of a version in this bucket.
    pub(crate) fn side_of<'a>(&'a self, meta: &'a Meta) -> ObjectSide<'a> {
        ObjectSide { owner: self.owner_of(meta), acl: meta.acl(), tags: meta.tags().pairs() }
    }

    /// Who may not list a bucket is not told what it lacks.
    pub(crate) fn hide_absence(&self, caller: &Caller, key: &ObjectKey, error: Error) -> Error {
        let is_absence = matches!(error, Error::NoSuchKey { .. } | Error::NoSuchVersion | Error::IsDeleteMarker { .. });
        let listing = Wanted { prefix: Some(key.as_str()), ..Wanted::on_bucket(Action::ListBucket) };
        let may_list = || self.allows(caller, &listing);
        if is_absence && !may_list() { Error::AccessDenied } else { error }
    }
}

/// An action, or that on a version where one is named.
pub(crate) fn either(object: &ObjectName, plain: Action, of_version: Action) -> Action {
    if object.version_id.is_some() { of_version } else { plain }
}

fn refuse_blocked(known: &KnownBucket, acl: &Acl) -> Result<()> {
    let blocked = known.rules.public_access.is_some_and(|block| block.block_public_acls);
    if blocked && acl.is_public() { Err(Error::AccessDenied) } else { Ok(()) }
}

async fn resolve_grantee(tx: &mut Tx, given: GivenGrantee) -> Result<Grantee> {
    match given {
        GivenGrantee::Group(group) => Ok(group),
        GivenGrantee::Id(id) => {
            let id = CanonicalId::new(&id).map_err(|_| RuleError::NoSuchGrantee { by_email: false })?;
            users::must_exist(tx, &id).await.map_err(|error| match error {
                Error::NoSuchUser => RuleError::NoSuchGrantee { by_email: false }.into(),
                other => other,
            })?;
            Ok(Grantee::User(id))
        }
        GivenGrantee::Email(email) => {
            let found = users::only_of_email(tx, &email).await?;
            found.map(Grantee::User).ok_or(RuleError::NoSuchGrantee { by_email: true }.into())
        }
    }
}
