//! Which operation is which call.

use engine::{Caller, Engine, IamAction, IamHolder};

use super::error::Failure;
use super::params::Params;
use super::{groups, holders, keys, policies, roles, sessions, users};

/// Runs an operation. The result is what stands in its answer; `None` for one that has none.
pub(super) async fn run(
    engine: &Engine,
    caller: &Caller,
    action: IamAction,
    params: &Params,
) -> Result<Option<String>, Failure> {
    use IamAction as A;
    let asked = &Asked { engine, caller, params };
    let (user, group, role) = (IamHolder::User, IamHolder::Group, IamHolder::Role);
    match action {
        A::CreateUser => users::create(asked).await,
        A::GetUser => users::get(asked).await,
        A::ListUsers => users::list(asked).await,
        A::UpdateUser => users::update(asked).await,
        A::DeleteUser => users::delete(asked).await,
        A::GetAccountSummary => users::summary(asked).await,
        A::ListAccountAliases => users::account_aliases(asked),
        A::ListOpenIDConnectProviders => users::identity_providers(asked),
        A::CreateAccessKey => keys::create(asked).await,
        A::ListAccessKeys => keys::list(asked).await,
        A::UpdateAccessKey => keys::update(asked).await,
        A::DeleteAccessKey => keys::delete(asked).await,
        A::CreateGroup => groups::create(asked).await,
        A::GetGroup => groups::get(asked).await,
        A::ListGroups => groups::list(asked).await,
        A::UpdateGroup => groups::update(asked).await,
        A::DeleteGroup => groups::delete(asked).await,
        A::AddUserToGroup => groups::add_user(asked).await,
        A::RemoveUserFromGroup => groups::remove_user(asked).await,
        A::ListGroupsForUser => groups::of_user(asked).await,
        A::CreateRole => roles::create(asked).await,
        A::GetRole => roles::get(asked).await,
        A::ListRoles => roles::list(asked).await,
        A::ListInstanceProfilesForRole => roles::instance_profiles(asked).await,
        A::UpdateRole => roles::update(asked).await,
        A::UpdateAssumeRolePolicy => roles::update_trust(asked).await,
        A::DeleteRole => roles::delete(asked).await,
        A::PutUserPolicy => holders::put(asked, user).await,
        A::PutGroupPolicy => holders::put(asked, group).await,
        A::PutRolePolicy => holders::put(asked, role).await,
        A::GetUserPolicy => holders::get(asked, user).await,
        A::GetGroupPolicy => holders::get(asked, group).await,
        A::GetRolePolicy => holders::get(asked, role).await,
        A::ListUserPolicies => holders::list(asked, user).await,
        A::ListGroupPolicies => holders::list(asked, group).await,
        A::ListRolePolicies => holders::list(asked, role).await,
        A::DeleteUserPolicy => holders::delete(asked, user).await,
        A::DeleteGroupPolicy => holders::delete(asked, group).await,
        A::DeleteRolePolicy => holders::delete(asked, role).await,
        A::AttachUserPolicy => holders::attach(asked, user).await,
        A::AttachGroupPolicy => holders::attach(asked, group).await,
        A::AttachRolePolicy => holders::attach(asked, role).await,
        A::DetachUserPolicy => holders::detach(asked, user).await,
        A::DetachGroupPolicy => holders::detach(asked, group).await,
        A::DetachRolePolicy => holders::detach(asked, role).await,
        A::ListAttachedUserPolicies => holders::attached(asked, user).await,
        A::ListAttachedGroupPolicies => holders::attached(asked, group).await,
        A::ListAttachedRolePolicies => holders::attached(asked, role).await,
        A::CreatePolicy => policies::create(asked).await,
        A::GetPolicy => policies::get(asked).await,
        A::ListPolicies => policies::list(asked).await,
        A::DeletePolicy => policies::delete(asked).await,
        A::CreatePolicyVersion => policies::create_version(asked).await,
        A::GetPolicyVersion => policies::version(asked).await,
        A::ListPolicyVersions => policies::versions(asked).await,
        A::SetDefaultPolicyVersion => policies::set_default(asked).await,
        A::DeletePolicyVersion => policies::delete_version(asked).await,
        A::ListEntitiesForPolicy => policies::holders(asked).await,
        A::AssumeRole => sessions::assume_role(asked).await,
        A::GetSessionToken => sessions::session_token(asked).await,
        A::GetCallerIdentity => sessions::caller_identity(asked),
    }
}

/// What is asked, and of whom.
pub(super) struct Asked<'a> {
    pub(super) engine: &'a Engine,
    pub(super) caller: &'a Caller,
    pub(super) params: &'a Params,
}

/// What an operation gives.
pub(super) type Answer = Result<Option<String>, Failure>;

/// The answer of an operation that tells nothing but that it was done.
pub(super) fn done(result: engine::Result<()>) -> Answer {
    result.map(|()| None).map_err(Failure::of)
}

/// An operation of an account's own users as well as of others' kinds: which name its parameter has.
pub(super) fn name_of(holder: IamHolder) -> &'static str {
    match holder {
        IamHolder::User => "UserName",
        IamHolder::Group => "GroupName",
        IamHolder::Role => "RoleName",
    }
}
