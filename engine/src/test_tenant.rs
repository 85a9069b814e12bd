//! The tenant of unit tests.

use crate::names::{GroupId, UserId};
use crate::{Caller, Engine, Identity, NewGroup, NewUser, Profile, Role};

/// Makes a group with one user, who is the root of an account.
pub(crate) async fn ada(engine: &Engine) -> Caller {
    let group_id = GroupId::new("acme").expect("a new store");
    let profile = Profile::default();
    let group = NewGroup { group_id: group_id.clone(), group_name: "acme".to_owned(), active: true, profile };
    engine.create_group(&Caller::LocalOperator, group).await.expect("a new store");
    let new = NewUser {
        group_id,
        user_id: UserId::new("ada").expect("a new store"),
        role: Role::User,
        full_name: "ada".to_owned(),
        email: String::new(),
        active: true,
        profile: Profile::default(),
        with_credential: false,
    };
    let user = engine.create_user(&Caller::LocalOperator, new).await.expect("a new store");
    let identity = Identity {
        canonical_id: user.canonical_id,
        group_id: user.group_id,
        user_id: user.user_id,
        display_name: user.full_name,
        role: user.role,
    };
    Caller::user(identity.into())
}
