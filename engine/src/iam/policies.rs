//! Policies that stand for themselves: those of the store, and those of an account with their versions.

use futures::FutureExt;

use super::action::IamAction;
use super::entity::{self, IamEntity, IamHolder, IamKind, IamListing, IamPage, name_key};
use super::error::IamError;
use super::managed::{self, Managed};
use crate::metadata::Tx;
use crate::metadata::iam::policies::VersionRow;
use crate::metadata::iam::{attachments, entities, members, policies as metadata};
use crate::{Caller, CanonicalId, Engine, Error, Result};

/// Most versions of a policy that are kept.
const VERSIONS_MAX: usize = 5;

/// A policy that stands for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IamPolicy {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its path.
    pub path: String,
    /// Its ARN.
    pub arn: String,
    /// What people wrote about it; may be empty.
    pub description: String,
    /// The version that counts.
    pub default_version: u32,
    /// How many identities of the account have it.
    pub attachment_count: u64,
    /// When it was made, in microseconds of the Unix epoch.
    pub created_us: i64,
    /// When it got its newest version, in microseconds of the Unix epoch.
    pub changed_us: i64,
}

/// A version of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IamPolicyVersion {
    /// Its number, from 1 on.
    pub version: u32,
    /// Its text.
    pub document: String,
    /// Whether it is the one that counts.
    pub is_default: bool,
    /// When it was made, in microseconds of the Unix epoch.
    pub created_us: i64,
}

/// Whose policies a list shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PolicyScope {
    /// The store's and the account's.
    #[default]
    All,
    /// The store's.
    Aws,
    /// The account's.
    Local,
}

/// A policy by its ARN: one of the store's, or one of the account's.
pub(super) struct FoundPolicy {
    pub(super) arn: String,
    kind: FoundKind,
}

enum FoundKind {
    Managed(Managed),
    Own(IamEntity),
}

impl Engine {
    /// A policy of the account or of the store.
    pub async fn iam_policy(&self, caller: &Caller, arn: &str) -> Result<IamPolicy> {
        self.read_policy("iam_policy", IamAction::GetPolicy, caller, arn, |tx, account, found| {
            async move { shown(tx, &account, found).await }.boxed()
        })
        .await
    }

    /// Policies by name: the account's, then the store's. With `attached_only` those that an identity of the account has.
    pub async fn list_iam_policies(
        &self,
        caller: &Caller,
        scope: PolicyScope,
        attached_only: bool,
        page: &IamPage,
    ) -> Result<IamListing<IamPolicy>> {
        let account = caller.must_ask_for_identities()?.canonical_id.clone();
        caller.must_manage(IamAction::ListPolicies, &entity::arn(&account, IamKind::Policy, "/", ""), &[])?;
        let items_max = page.items_max()?;
        let (prefix, after) = (page.path_prefix.clone(), page.after().to_owned());
        let mut found = self
            .inner
            .db
            .read("list_iam_policies", move |tx| {
                async move {
                    let rows = IamKind::Policy.count_max();
                    let own = match scope {
                        PolicyScope::Aws => Vec::new(),
                        PolicyScope::All | PolicyScope::Local => {
                            entities::list(tx, &account, IamKind::Policy, &prefix, "", rows).await?
                        }
                    };
                    let shows_store = scope != PolicyScope::Local && (prefix.is_empty() || prefix == "/");
                    let managed = managed::ALL.into_iter().filter(|_| shows_store).map(FoundKind::Managed);
                    let mut policies = Vec::new();
                    for kind in own.into_iter().map(FoundKind::Own).chain(managed) {
                        policies.push(shown(tx, &account, FoundPolicy::new(kind)).await?);
                    }
                    Ok(policies)
                }
                .boxed()
            })
            .await?;
        found.retain(|policy| !attached_only || policy.attachment_count > 0);
        found.sort_by_key(|policy| policy.arn.clone());
        found.retain(|policy| policy.arn > after);
        Ok(IamListing::cut(found, items_max, |policy| policy.arn.clone()))
    }

    /// The users, groups and roles of the account that have a policy beside their own, or those of one kind.
    pub async fn list_iam_policy_holders(
        &self,
        caller: &Caller,
        arn: &str,
        holder: Option<IamHolder>,
        page: &IamPage,
    ) -> Result<IamListing<IamEntity>> {
        let items_max = page.items_max()?;
        let action = IamAction::ListEntitiesForPolicy;
        let mut found = self
            .read_policy("list_iam_policy_holders", action, caller, arn, |tx, account, found| {
                async move { attachments::entities_of_policy(tx, &found.arn, account.as_str()).await }.boxed()
            })
            .await?;
        found.retain(|one| holder.is_none_or(|holder| one.kind == holder.kind()));
        found.retain(|one| one.path.starts_with(&page.path_prefix) && one.id.as_str() > page.after());
        Ok(IamListing::cut(found, items_max, |one| one.id.clone()))
    }

    /// The versions of a policy, newest first.
    pub async fn iam_policy_versions(&self, caller: &Caller, arn: &str) -> Result<Vec<IamPolicyVersion>> {
        self.read_policy("iam_policy_versions", IamAction::ListPolicyVersions, caller, arn, |tx, _, found| {
            async move { versions_of(tx, found).await }.boxed()
        })
        .await
    }

    /// A version of a policy. [`IamError::NoSuchPart`].
    pub async fn iam_policy_version(&self, caller: &Caller, arn: &str, version: u32) -> Result<IamPolicyVersion> {
        let found = self
            .read_policy("iam_policy_version", IamAction::GetPolicyVersion, caller, arn, |tx, _, found| {
                async move { versions_of(tx, found).await }.boxed()
            })
            .await?;
        found.into_iter().find(|one| one.version == version).ok_or_else(|| no_such_version(version).into())
    }

    /// Gives a policy another text, which counts at once when it is `default`; the texts before are kept, five in all.
    pub async fn create_iam_policy_version(
        &self,
        caller: &Caller,
        arn: &str,
        document: &str,
        default: bool,
    ) -> Result<IamPolicyVersion> {
        let asked = (caller.clone(), arn.to_owned(), document.to_owned());
        self.change_identity(caller.share(), "create_iam_policy_version", move |tx| {
            let (caller, arn, document) = asked.clone();
            async move {
                let mut policy = find_own(tx, &caller, IamAction::CreatePolicyVersion, &arn).await?;
                super::inline::check_document(&document)?;
                if metadata::versions(tx, &policy.id).await?.len() >= VERSIONS_MAX {
                    let limit = IamError::LimitExceeded { what: "versions of the policy", count_max: VERSIONS_MAX };
                    return Err(limit.into());
                }
                let version = policy.details.newest_version.unwrap_or_default() + 1;
                let row = VersionRow { version, document, created_us: tx.now_us() };
                metadata::insert_version(tx, &policy.id, &row).await?;
                policy.details.newest_version = Some(version);
                policy.details.changed_us = Some(row.created_us);
                if default {
                    policy.details.default_version = Some(version);
                }
                entities::update(tx, &policy, &name_key(&policy.name)).await?;
                Ok(IamPolicyVersion {
                    version,
                    document: row.document,
                    is_default: default,
                    created_us: row.created_us,
                })
            }
            .boxed()
        })
        .await
    }

    /// Makes another version of a policy the one that counts.
    pub async fn set_default_iam_policy_version(&self, caller: &Caller, arn: &str, version: u32) -> Result<()> {
        let asked = (caller.clone(), arn.to_owned());
        self.change_identity(caller.share(), "set_default_iam_policy_version", move |tx| {
            let (caller, arn) = asked.clone();
            async move {
                let mut policy = find_own(tx, &caller, IamAction::SetDefaultPolicyVersion, &arn).await?;
                metadata::find_version(tx, &policy.id, version).await?.ok_or_else(|| no_such_version(version))?;
                policy.details.default_version = Some(version);
                entities::update(tx, &policy, &name_key(&policy.name)).await
            }
            .boxed()
        })
        .await
    }

    /// Forgets a version of a policy that does not count. [`IamError::DeleteConflict`] for the one that does.
    pub async fn delete_iam_policy_version(&self, caller: &Caller, arn: &str, version: u32) -> Result<()> {
        let asked = (caller.clone(), arn.to_owned());
        self.change_identity(caller.share(), "delete_iam_policy_version", move |tx| {
            let (caller, arn) = asked.clone();
            async move {
                let policy = find_own(tx, &caller, IamAction::DeletePolicyVersion, &arn).await?;
                metadata::find_version(tx, &policy.id, version).await?.ok_or_else(|| no_such_version(version))?;
                if policy.details.default_version == Some(version) {
                    return Err(IamError::DeleteConflict("the version that counts").into());
                }
                metadata::delete_version(tx, &policy.id, version).await
            }
            .boxed()
        })
        .await
    }

    /// Deletes a policy of the account that no identity has, and that has one version. [`IamError::DeleteConflict`].
    pub async fn delete_iam_policy(&self, caller: &Caller, arn: &str) -> Result<()> {
        let asked = (caller.clone(), arn.to_owned());
        self.change_identity(caller.share(), "delete_iam_policy", move |tx| {
            let (caller, arn) = asked.clone();
            async move {
                let policy = find_own(tx, &caller, IamAction::DeletePolicy, &arn).await?;
                if attachments::count_of_policy(tx, &arn, policy.account.as_str()).await? > 0 {
                    return Err(IamError::DeleteConflict("attachments to identities").into());
                }
                let versions = metadata::versions(tx, &policy.id).await?;
                if versions.len() > 1 {
                    return Err(IamError::DeleteConflict("versions beside the one that counts").into());
                }
                for row in versions {
                    metadata::delete_version(tx, &policy.id, row.version).await?;
                }
                entities::delete(tx, &policy.id).await
            }
            .boxed()
        })
        .await
    }

    async fn read_policy<T: Send + 'static>(
        &self,
        name: &'static str,
        action: IamAction,
        caller: &Caller,
        arn: &str,
        read: for<'t> fn(&'t mut Tx, CanonicalId, FoundPolicy) -> futures::future::BoxFuture<'t, Result<T>>,
    ) -> Result<T> {
        let account = caller.must_ask_for_identities()?.canonical_id.clone();
        caller.must_manage(action, arn, &[])?;
        let arn = arn.to_owned();
        self.inner
            .db
            .read(name, move |tx| {
                async move {
                    let found = find_policy(tx, &account, &arn).await?;
                    read(tx, account, found).await
                }
                .boxed()
            })
            .await
    }
}

impl FoundPolicy {
    fn new(kind: FoundKind) -> Self {
        let arn = match &kind {
            FoundKind::Managed(managed) => managed.arn(),
            FoundKind::Own(policy) => policy.arn(),
        };
        Self { arn, kind }
    }
}

/// The policy of an ARN, as an account may see it: its own and the store's.
pub(super) async fn find_policy(tx: &mut Tx, account: &CanonicalId, arn: &str) -> Result<FoundPolicy> {
    let missing = || Error::from(IamError::NoSuchEntity { kind: IamKind::Policy, name: arn.to_owned() });
    if managed::is_managed(arn) {
        return managed::find(arn).map(|found| FoundPolicy::new(FoundKind::Managed(found))).ok_or_else(missing);
    }
    let found = entities::find(tx, account, IamKind::Policy, &name_key(name_in_arn(arn))).await?;
    // The path is part of an ARN, and another account's policy of the same name is another one.
    found
        .filter(|policy| policy.arn() == arn)
        .map(|policy| FoundPolicy::new(FoundKind::Own(policy)))
        .ok_or_else(missing)
}

/// The name at the end of an ARN.
pub(super) fn name_in_arn(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or_default()
}

fn no_such_version(version: u32) -> IamError {
    IamError::NoSuchPart { what: "version of the policy", name: format!("v{version}") }
}

async fn find_own(tx: &mut Tx, caller: &Caller, action: IamAction, arn: &str) -> Result<IamEntity> {
    caller.must_manage(action, arn, &[])?;
    managed::must_be_own(arn)?;
    let account = caller.must_ask_for_identities()?.canonical_id.clone();
    match find_policy(tx, &account, arn).await?.kind {
        FoundKind::Own(policy) => Ok(policy),
        FoundKind::Managed(_) => Err(IamError::Unmodifiable("a policy of the store").into()),
    }
}

async fn shown(tx: &mut Tx, account: &CanonicalId, found: FoundPolicy) -> Result<IamPolicy> {
    let attachment_count = attachments::count_of_policy(tx, &found.arn, account.as_str()).await?;
    let arn = found.arn;
    Ok(match found.kind {
        FoundKind::Managed(managed) => IamPolicy {
            id: managed.id(),
            name: managed.name.to_owned(),
            path: "/".to_owned(),
            arn,
            description: String::new(),
            default_version: 1,
            attachment_count,
            created_us: 0,
            changed_us: 0,
        },
        FoundKind::Own(policy) => IamPolicy {
            arn,
            default_version: policy.details.default_version.unwrap_or(1),
            changed_us: policy.details.changed_us.unwrap_or(policy.created_us),
            description: policy.details.description,
            attachment_count,
            created_us: policy.created_us,
            id: policy.id,
            name: policy.name,
            path: policy.path,
        },
    })
}

async fn versions_of(tx: &mut Tx, found: FoundPolicy) -> Result<Vec<IamPolicyVersion>> {
    match found.kind {
        FoundKind::Managed(managed) => Ok(vec![IamPolicyVersion {
            version: 1,
            document: managed.document.to_owned(),
            is_default: true,
            created_us: 0,
        }]),
        FoundKind::Own(policy) => {
            let counts = policy.details.default_version;
            let rows = metadata::versions(tx, &policy.id).await?;
            let version = |row: VersionRow| IamPolicyVersion {
                is_default: counts == Some(row.version),
                version: row.version,
                document: row.document,
                created_us: row.created_us,
            };
            Ok(rows.into_iter().map(version).collect())
        }
    }
}

/// The texts of all policies that bind a user or role: its own, those that it has beside, and those of its groups.
pub(crate) async fn documents_of(tx: &mut Tx, entity: &IamEntity) -> Result<Vec<String>> {
    let mut ids = vec![entity.id.clone()];
    if entity.kind == IamKind::User {
        ids.extend(members::groups_of(tx, &entity.id, "", usize::MAX).await?.into_iter().map(|group| group.id));
    }
    let mut documents = Vec::new();
    for id in ids {
        documents.extend(metadata::inline(tx, &id, "", usize::MAX).await?.into_iter().map(|(_, document)| document));
        for arn in attachments::of_entity(tx, &id, "", usize::MAX).await? {
            documents.push(document_of(tx, &entity.account, &arn).await?);
        }
    }
    Ok(documents)
}

/// The text of a policy that counts. A policy that an identity has is there: nobody can delete it before.
async fn document_of(tx: &mut Tx, account: &CanonicalId, arn: &str) -> Result<String> {
    let found = find_policy(tx, account, arn).await?;
    let versions = versions_of(tx, found).await?;
    let counts = versions.into_iter().find(|version| version.is_default);
    counts.map(|version| version.document).ok_or_else(|| Error::corrupt("a policy has no version that counts"))
}
