//! Roles: who may take them on, and for how long.

use futures::FutureExt;

use super::action::IamAction;
use super::entities::{check_description, find_for};
use super::entity::{IamKind, name_key};
use super::error::IamError;
use super::inline::check_size;
use crate::access::policy::Policy;
use crate::metadata::iam::entities;
use crate::{Caller, Engine, Error, Result};

/// The shortest and the longest that the sessions of a role may be limited to.
const SESSION_SECONDS_MAX: std::ops::RangeInclusive<u32> = 3600..=43_200;

/// A change of a role: what is `None` stays.
#[derive(Clone, Debug, Default)]
pub struct RoleChange {
    /// What people write about it.
    pub description: Option<String>,
    /// How long a session may be, in seconds.
    pub session_seconds_max: Option<u32>,
    /// The policy that says who may take it on.
    pub trust: Option<String>,
}

impl Engine {
    /// The instance profiles that have a role: none is offered, so there is none, and tools that look before they delete a role are told so.
    pub async fn iam_instance_profiles_of_role(&self, caller: &Caller, name: &str) -> Result<()> {
        let (caller, name) = (caller.clone(), name.to_owned());
        self.inner
            .db
            .read("iam_instance_profiles_of_role", move |tx| {
                async move {
                    let action = IamAction::ListInstanceProfilesForRole;
                    find_for(tx, &caller, action, IamKind::Role, &name, &[]).await.map(|_| ())
                }
                .boxed()
            })
            .await
    }

    /// Changes a role. With another trust it is `UpdateAssumeRolePolicy`, else `UpdateRole`. Sessions that are there stay.
    pub async fn change_iam_role(&self, caller: &Caller, name: &str, change: RoleChange) -> Result<()> {
        let asked = (caller.clone(), name.to_owned(), change);
        self.change_identity(caller.share(), "change_iam_role", move |tx| {
            let (caller, name, change) = asked.clone();
            async move {
                let action = match change.trust {
                    Some(_) => IamAction::UpdateAssumeRolePolicy,
                    None => IamAction::UpdateRole,
                };
                let mut role = find_for(tx, &caller, action, IamKind::Role, &name, &[]).await?;
                if let Some(trust) = change.trust {
                    check_size(&trust)?;
                    Policy::of_trust(&trust)
                        .and_then(Policy::must_be_offered)
                        .map_err(|why| IamError::MalformedPolicy(why.0))?;
                    role.details.trust = Some(trust);
                }
                if let Some(description) = change.description {
                    role.details.description = check_description(&description)?;
                }
                if let Some(seconds) = change.session_seconds_max {
                    role.details.session_seconds_max = Some(check_session_seconds(seconds)?);
                }
                entities::update(tx, &role, &name_key(&role.name)).await
            }
            .boxed()
        })
        .await
    }
}

/// Checks how long the sessions of a role may be.
pub(super) fn check_session_seconds(seconds: u32) -> Result<u32> {
    if SESSION_SECONDS_MAX.contains(&seconds) {
        return Ok(seconds);
    }
    Err(Error::invalid("MaxSessionDuration", "must be 3600 to 43200 seconds"))
}
