//! `/user`, `/user/list` and `/user/password`.

use axum::response::Response;
use engine::{CanonicalId, Error, GroupId, NewUser, Profile, Role, User, UserChange, UserFilter, UserId};
use secrecy::SecretString;
use serde_json::Value;

use crate::{
    AdminApi, answer,
    audit::Trail,
    error::Refusal,
    page,
    request::Call,
    wire::{Contact, UserInfo, UserStatus, UserType, UserTypeFilter, UserUpdate},
};

fn role(user_type: UserType) -> Role {
    match user_type {
        UserType::User => Role::User,
        UserType::GroupAdmin => Role::GroupAdmin,
        UserType::SystemAdmin => Role::SystemAdmin,
    }
}

fn user_type(role: Role) -> UserType {
    match role {
        Role::User => UserType::User,
        Role::GroupAdmin => UserType::GroupAdmin,
        Role::SystemAdmin => UserType::SystemAdmin,
    }
}

/// A user as clients are shown it.
fn info(user: &User) -> Result<UserInfo, Refusal> {
    let contact = serde_json::from_value(Value::Object(user.profile.clone())).map_err(|error| {
        tracing::error!(user = %user.canonical_id, %error, "the kept fields of a user are malformed");
        Refusal::internal()
    })?;
    Ok(UserInfo {
        user_id: user.user_id.as_str().to_owned(),
        user_type: user_type(user.role),
        full_name: user.full_name.clone(),
        email_addr: user.email.clone(),
        contact,
        group_id: user.group_id.as_str().to_owned(),
        active: user.active,
        canonical_user_id: Some(user.canonical_id.as_str().to_owned()),
        ldap_enabled: false,
    })
}

/// The fields of an address that are set.
fn profile(contact: &Contact) -> Result<Profile, Refusal> {
    match serde_json::to_value(contact) {
        Ok(Value::Object(mut fields)) => {
            fields.retain(|_, value| !value.is_null());
            Ok(fields)
        }
        Ok(_) | Err(_) => Err(Refusal::internal()),
    }
}

/// How a call names a user.
enum Named {
    /// By group and id.
    Pair(GroupId, UserId),
    /// By its immutable id.
    Canonical(CanonicalId),
    /// By an id that no user can have.
    Nobody,
}

impl Named {
    fn read(group_id: Option<&str>, user_id: Option<&str>, canonical_id: Option<&str>) -> Result<Self, Refusal> {
        match (group_id, user_id, canonical_id) {
            (Some(group_id), Some(user_id), _) => match (GroupId::new(group_id), UserId::new(user_id)) {
                (Ok(group_id), Ok(user_id)) => Ok(Self::Pair(group_id, user_id)),
                (Err(_), _) | (_, Err(_)) => Ok(Self::Nobody),
            },
            (None, None, Some(canonical_id)) => {
                Ok(CanonicalId::new(canonical_id).map_or(Self::Nobody, Self::Canonical))
            }
            (None, _, _) => Err(Refusal::bad_request("Parameter groupId is missing")),
            (Some(_), None, _) => Err(Refusal::bad_request("Parameter userId is missing")),
        }
    }

    fn of_query(call: &Call) -> Result<Self, Refusal> {
        let params = call.params();
        Self::read(params.get("groupId"), params.get("userId"), params.get("canonicalUserId"))
    }

    /// The group and id, for the calls that need them.
    async fn pair(self, api: &AdminApi, call: &Call) -> Result<(GroupId, UserId), Error> {
        match self {
            Self::Pair(group_id, user_id) => Ok((group_id, user_id)),
            Self::Canonical(id) => {
                let user = api.engine.find_user_by_canonical_id(call.caller(), &id).await?.ok_or(Error::NoSuchUser)?;
                Ok((user.group_id, user.user_id))
            }
            Self::Nobody => Err(Error::NoSuchUser),
        }
    }

    async fn find(self, api: &AdminApi, call: &Call) -> Result<Option<User>, Refusal> {
        match self {
            Self::Pair(group_id, user_id) => Ok(api.engine.find_user(call.caller(), &group_id, &user_id).await?),
            Self::Canonical(id) => Ok(api.engine.find_user_by_canonical_id(call.caller(), &id).await?),
            Self::Nobody => Ok(None),
        }
    }
}

/// The user that the query names; 400 when there is none.
pub(crate) async fn required(api: &AdminApi, call: &Call) -> Result<User, Refusal> {
    Named::of_query(call)?.find(api, call).await?.ok_or_else(|| Error::NoSuchUser.into())
}

/// A user as a client sent it.
fn sent(call: &Call, trail: &mut Trail) -> Result<UserUpdate, Refusal> {
    let mut sent: UserUpdate = call.json()?;
    sent.group_id = sent.group_id.filter(|id| !id.is_empty());
    sent.user_id = sent.user_id.filter(|id| !id.is_empty());
    trail.about(sent.group_id.as_deref(), sent.user_id.as_deref());
    Ok(sent)
}

pub(crate) async fn put(api: &AdminApi, call: &Call, trail: &mut Trail) -> Result<Response, Refusal> {
    let sent = sent(call, trail)?;
    let missing = |name: &str| Refusal::bad_request(format!("The user has no {name}"));
    let user = NewUser {
        group_id: GroupId::new(&sent.group_id.ok_or_else(|| missing("groupId"))?)?,
        user_id: UserId::new(&sent.user_id.ok_or_else(|| missing("userId"))?)?,
        role: role(sent.user_type.ok_or_else(|| missing("userType"))?),
        full_name: sent.full_name.unwrap_or_default(),
        email: sent.email_addr.unwrap_or_default(),
        active: sent.active.unwrap_or(true),
        profile: profile(&sent.contact)?,
        with_credential: true,
    };
    let user = api.engine.create_user(call.caller(), user).await?;
    answer::json(&info(&user)?)
}

pub(crate) async fn post(api: &AdminApi, call: &Call, trail: &mut Trail) -> Result<Response, Refusal> {
    let sent = sent(call, trail)?;
    let named = Named::read(sent.group_id.as_deref(), sent.user_id.as_deref(), sent.canonical_user_id.as_deref())?;
    let (group_id, user_id) = named.pair(api, call).await?;
    let change = UserChange {
        full_name: sent.full_name,
        email: sent.email_addr,
        active: sent.active,
        role: sent.user_type.map(role),
        profile: profile(&sent.contact)?,
    };
    api.engine.change_user(call.caller(), &group_id, &user_id, change).await?;
    Ok(answer::done())
}

pub(crate) async fn get(api: &AdminApi, call: &Call) -> Result<Response, Refusal> {
    match Named::of_query(call)?.find(api, call).await? {
        Some(user) => answer::json(&info(&user)?),
        None => Ok(answer::absent()),
    }
}

pub(crate) async fn delete(api: &AdminApi, call: &Call) -> Result<Response, Refusal> {
    let (group_id, user_id) = Named::of_query(call)?.pair(api, call).await?;
    api.engine.delete_user(call.caller(), &group_id, &user_id).await?;
    Ok(answer::done())
}

pub(crate) async fn list(api: &AdminApi, call: &Call) -> Result<Response, Refusal> {
    let params = call.params();
    let group_id = params.required("groupId")?;
    params.required("userStatus")?;
    let status = params.parsed::<UserStatus>("userStatus")?.unwrap_or_default();
    let user_type = params.parsed::<UserTypeFilter>("userType")?.unwrap_or_default();
    let page = page::requested(params)?;
    let filter = UserFilter {
        role: match user_type {
            UserTypeFilter::All => None,
            UserTypeFilter::Only(user_type) => Some(role(user_type)),
        },
        active: match status {
            UserStatus::All => None,
            UserStatus::Active => Some(true),
            UserStatus::Inactive => Some(false),
        },
    };
    // An unknown group has no users, and so has one that cannot exist.
    let users = match GroupId::new(group_id) {
        Ok(group_id) => api.engine.list_users(call.caller(), &group_id, filter, page).await?,
        Err(_) => Vec::new(),
    };
    let users = users.iter().map(info).collect::<Result<Vec<_>, _>>()?;
    answer::json(&users)
}

pub(crate) async fn password(api: &AdminApi, call: &Call) -> Result<Response, Refusal> {
    let password: SecretString = call.params().required("password")?.into();
    let named = Named::of_query(call)?;
    let set = async {
        let (group_id, user_id) = named.pair(api, call).await?;
        api.engine.set_password(call.caller(), &group_id, &user_id, &password).await
    };
    match set.await {
        Ok(()) => Ok(answer::done()),
        Err(Error::NoSuchUser | Error::NoSuchGroup) => Ok(answer::absent()),
        Err(error) => Err(error.into()),
    }
}
