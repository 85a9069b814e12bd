//! Users, groups, roles and policies: making, finding, listing, renaming and deleting them.

use futures::FutureExt;

use super::action::IamAction;
use super::entity::{
    self, Details, IamEntity, IamKind, IamListing, IamPage, NewIamEntity, check_name, name_key, new_id,
};
use super::error::IamError;
use crate::access::policy::Policy;
use crate::metadata::iam::entities as metadata;
use crate::metadata::iam::{attachments, members, policies, sessions};
use crate::metadata::{Tx, credentials};
use crate::{Caller, Engine, Error, Result};

impl IamKind {
    fn pick(self, [user, group, role, policy]: [IamAction; 4]) -> IamAction {
        match self {
            Self::User => user,
            Self::Group => group,
            Self::Role => role,
            Self::Policy => policy,
        }
    }

    fn create(self) -> IamAction {
        use IamAction::{CreateGroup, CreatePolicy, CreateRole, CreateUser};
        self.pick([CreateUser, CreateGroup, CreateRole, CreatePolicy])
    }

    fn list(self) -> IamAction {
        use IamAction::{ListGroups, ListPolicies, ListRoles, ListUsers};
        self.pick([ListUsers, ListGroups, ListRoles, ListPolicies])
    }

    fn delete(self) -> IamAction {
        use IamAction::{DeleteGroup, DeletePolicy, DeleteRole, DeleteUser};
        self.pick([DeleteUser, DeleteGroup, DeleteRole, DeletePolicy])
    }
}

impl Engine {
    /// Makes a user, group, role or policy. [`IamError::EntityExists`] also for a name that differs in case alone,
    /// [`IamError::MalformedPolicy`], [`IamError::LimitExceeded`].
    pub async fn create_iam_entity(&self, caller: &Caller, kind: IamKind, new: NewIamEntity) -> Result<IamEntity> {
        let account = caller.must_ask_for_identities()?.canonical_id.clone();
        let path = entity::check_path(&new.path).and_then(|path| check_name(kind, &new.name).map(|()| path));
        let arn = entity::arn(&account, kind, path.as_deref().unwrap_or("/"), &new.name);
        caller.must_manage(kind.create(), &arn, &[])?;
        let entity = IamEntity {
            id: new_id(kind),
            account,
            kind,
            path: path?,
            created_us: self.inner.settings.clock.now_us(),
            details: details_of(kind, &new, self.inner.settings.clock.now_us())?,
            name: new.name,
        };
        let document = (kind == IamKind::Policy).then_some(new.document);
        self.change_identity(caller.share(), "create_iam_entity", move |tx| {
            let (entity, document) = (entity.clone(), document.clone());
            async move { insert(tx, entity, document).await }.boxed()
        })
        .await
    }

    /// Users, groups, roles or policies of the caller's account, by name without regard to case.
    pub async fn list_iam_entities(
        &self,
        caller: &Caller,
        kind: IamKind,
        page: &IamPage,
    ) -> Result<IamListing<IamEntity>> {
        let account = caller.must_ask_for_identities()?.canonical_id.clone();
        let all = entity::arn(&account, kind, if page.path_prefix.is_empty() { "/" } else { &page.path_prefix }, "");
        caller.must_manage(kind.list(), &all, &[])?;
        let items_max = page.items_max()?;
        let (after, prefix) = (page.after().to_owned(), page.path_prefix.clone());
        let found = self
            .inner
            .db
            .read("list_iam_entities", move |tx| {
                async move { metadata::list(tx, &account, kind, &prefix, &after, items_max + 1).await }.boxed()
            })
            .await?;
        Ok(IamListing::cut(found, items_max, |entity| name_key(&entity.name)))
    }

    /// A group or role by its name.
    pub async fn iam_entity(&self, caller: &Caller, kind: IamKind, name: &str) -> Result<IamEntity> {
        use IamAction::{GetGroup, GetPolicy, GetRole, GetUser};
        let action = kind.pick([GetUser, GetGroup, GetRole, GetPolicy]);
        let (caller, name) = (caller.clone(), name.to_owned());
        self.inner
            .db
            .read("iam_entity", move |tx| async move { find_for(tx, &caller, action, kind, &name, &[]).await }.boxed())
            .await
    }

    /// Gives a user or group another name or path; its id stays, and with it keys, policies and members.
    pub async fn rename_iam_entity(
        &self,
        caller: &Caller,
        kind: IamKind,
        name: &str,
        new_name: Option<&str>,
        new_path: Option<&str>,
    ) -> Result<()> {
        let action = match kind {
            IamKind::User => IamAction::UpdateUser,
            IamKind::Group => IamAction::UpdateGroup,
            IamKind::Role | IamKind::Policy => return Err(Error::invalid("name", "of a role or policy stays")),
        };
        let (caller, name) = (caller.clone(), name.to_owned());
        let (new_name, new_path) = (new_name.map(str::to_owned), new_path.map(str::to_owned));
        self.change_identity(caller.share(), "rename_iam_entity", move |tx| {
            let (caller, name) = (caller.clone(), name.clone());
            let (new_name, new_path) = (new_name.clone(), new_path.clone());
            async move {
                let found = find_for(tx, &caller, action, kind, &name, &[]).await?;
                rename(tx, &caller, action, found, new_name, new_path).await
            }
            .boxed()
        })
        .await
    }

    /// Deletes a user, group or role that has no keys, policies or members any more. [`IamError::DeleteConflict`]. Its sessions end, and a
    /// user leaves its groups.
    pub async fn delete_iam_entity(&self, caller: &Caller, kind: IamKind, name: &str) -> Result<()> {
        let (caller, name) = (caller.clone(), name.to_owned());
        self.change_identity(caller.share(), "delete_iam_entity", move |tx| {
            let (caller, name) = (caller.clone(), name.clone());
            async move {
                let found = find_for(tx, &caller, kind.delete(), kind, &name, &[]).await?;
                must_be_bare(tx, &found).await?;
                sessions::delete_of_entity(tx, &found.account, &found.id).await?;
                members::delete_of_user(tx, &found.id).await?;
                metadata::delete(tx, &found.id).await
            }
            .boxed()
        })
        .await
    }
}

/// Finds something of the caller's account that it may do `action` with. Who may not is not told whether it is there.
pub(super) async fn find_for(
    tx: &mut Tx,
    caller: &Caller,
    action: IamAction,
    kind: IamKind,
    name: &str,
    told: &[(&str, &str)],
) -> Result<IamEntity> {
    let account = &caller.must_ask_for_identities()?.canonical_id;
    let found = metadata::find(tx, account, kind, &name_key(name)).await?;
    let arn = found.as_ref().map_or_else(|| entity::arn(account, kind, "/", name), IamEntity::arn);
    caller.must_manage(action, &arn, told)?;
    found.ok_or_else(|| IamError::NoSuchEntity { kind, name: name.to_owned() }.into())
}

fn details_of(kind: IamKind, new: &NewIamEntity, now_us: i64) -> Result<Details> {
    let described = Details { description: check_description(&new.description)?, ..Details::default() };
    Ok(match kind {
        IamKind::User | IamKind::Group => Details::default(),
        IamKind::Role => {
            super::inline::check_size(&new.document)?;
            Policy::of_trust(&new.document)
                .and_then(Policy::must_be_offered)
                .map_err(|why| IamError::MalformedPolicy(why.0))?;
            let session_seconds_max = new.session_seconds_max.map(super::roles::check_session_seconds).transpose()?;
            Details { trust: Some(new.document.clone()), session_seconds_max, ..described }
        }
        IamKind::Policy => {
            super::inline::check_document(&new.document)?;
            Details { default_version: Some(1), newest_version: Some(1), changed_us: Some(now_us), ..described }
        }
    })
}

/// Checks what people write about something.
pub(super) fn check_description(text: &str) -> Result<String> {
    const CHARS_MAX: usize = 1000;
    let plain = |letter: char| !letter.is_control() || matches!(letter, '\t' | '\n' | '\r');
    if text.chars().count() > CHARS_MAX || !text.chars().all(plain) {
        return Err(Error::invalid("description", format!("must have at most {CHARS_MAX} printable characters")));
    }
    Ok(text.to_owned())
}

async fn insert(tx: &mut Tx, entity: IamEntity, document: Option<String>) -> Result<IamEntity> {
    // The account may have been deleted since its key was looked up; nothing may be left of it then.
    crate::metadata::users::must_exist(tx, &entity.account).await.map_err(|_| Error::AccessDenied)?;
    let kind = entity.kind;
    if metadata::count(tx, &entity.account, kind).await? >= kind.count_max() {
        return Err(IamError::LimitExceeded { what: kind.nouns(), count_max: kind.count_max() }.into());
    }
    if !metadata::insert(tx, &entity, &name_key(&entity.name)).await? {
        return Err(IamError::EntityExists { kind, name: entity.name }.into());
    }
    if let Some(document) = document {
        let row = policies::VersionRow { version: 1, document, created_us: entity.created_us };
        policies::insert_version(tx, &entity.id, &row).await?;
    }
    Ok(entity)
}

async fn rename(
    tx: &mut Tx,
    caller: &Caller,
    action: IamAction,
    mut entity: IamEntity,
    new_name: Option<String>,
    new_path: Option<String>,
) -> Result<()> {
    let name = new_name.unwrap_or_else(|| entity.name.clone());
    let path = new_path.map_or_else(|| Ok(entity.path.clone()), |path| entity::check_path(&path))?;
    check_name(entity.kind, &name)?;
    // Whoever may rename only some must not give one a name that policies give more to.
    caller.must_manage(action, &entity::arn(&entity.account, entity.kind, &path, &name), &[])?;
    let key = name_key(&name);
    if key != name_key(&entity.name) && metadata::find(tx, &entity.account, entity.kind, &key).await?.is_some() {
        return Err(IamError::EntityExists { kind: entity.kind, name }.into());
    }
    (entity.name, entity.path) = (name, path);
    metadata::update(tx, &entity, &key).await
}

/// Refuses to delete what something hangs on.
async fn must_be_bare(tx: &mut Tx, entity: &IamEntity) -> Result<()> {
    let conflict = |what| Err(IamError::DeleteConflict(what).into());
    if !policies::inline(tx, &entity.id, "", 1).await?.is_empty() {
        return conflict("policies of its own");
    }
    if !attachments::of_entity(tx, &entity.id, "", 1).await?.is_empty() {
        return conflict("attached policies");
    }
    match entity.kind {
        IamKind::User => {
            let holder = credentials::Holder::Iam(entity.id.clone());
            if credentials::count(tx, &entity.account, &holder).await? > 0 {
                return conflict("access keys");
            }
        }
        IamKind::Group => {
            if !members::users_of(tx, &entity.id, "", 1).await?.is_empty() {
                return conflict("users in it");
            }
        }
        IamKind::Role | IamKind::Policy => {}
    }
    Ok(())
}
