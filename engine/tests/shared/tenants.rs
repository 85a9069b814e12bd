//! The group of the tests, and users in it.

use std::sync::Arc;

use engine::{Caller, Engine, GroupId, Identity, NewGroup, NewUser, Profile, Role, UserId};

/// Makes the group in which all tenants of a test are.
pub(crate) async fn group(engine: &Engine) {
    let group_id = GroupId::new("acme").unwrap();
    let group = NewGroup { group_id, group_name: "/acme/".into(), active: true, profile: Profile::new() };
    engine.create_group(&Caller::LocalOperator, group).await.unwrap();
}

/// Makes a user in that group.
pub(crate) async fn user(engine: &Engine, id: &str) -> Caller {
    let new = NewUser {
        group_id: GroupId::new("acme").unwrap(),
        user_id: UserId::new(id).unwrap(),
        role: Role::User,
        full_name: id.into(),
        email: String::new(),
        active: true,
        profile: Profile::new(),
        with_credential: false,
    };
    let user = engine.create_user(&Caller::LocalOperator, new).await.unwrap();
    Caller::user(Arc::new(Identity {
        canonical_id: user.canonical_id,
        group_id: user.group_id,
        user_id: user.user_id,
        display_name: user.full_name,
        role: user.role,
    }))
}
