//! What can be asked of identities: the operations of IAM and STS, which are the actions of policies, too.

/// A service of identities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IamService {
    /// Users, groups, roles, policies.
    Iam,
    /// Sessions.
    Sts,
}

impl IamService {
    /// Its name in policies and signatures.
    pub fn name(self) -> &'static str {
        match self {
            Self::Iam => "iam",
            Self::Sts => "sts",
        }
    }
}

macro_rules! actions {
    ($($service:ident: $($name:ident),*;)*) => {
        /// An operation, and the action that policies allow it by.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum IamAction {
            $($(#[doc = concat!("`", stringify!($name), "`")] $name,)*)*
        }

        impl IamAction {
            /// All of them.
            pub const ALL: &'static [Self] = &[$($(Self::$name,)*)*];

            /// Its name without the service.
            pub fn name(self) -> &'static str {
                match self {
                    $($(Self::$name => stringify!($name),)*)*
                }
            }

            /// Whose operation it is.
            pub fn service(self) -> IamService {
                match self {
                    $($(Self::$name => IamService::$service,)*)*
                }
            }
        }
    };
}

actions! {
    Iam:
        CreateUser, GetUser, ListUsers, UpdateUser, DeleteUser,
        CreateAccessKey, ListAccessKeys, UpdateAccessKey, DeleteAccessKey,
        PutUserPolicy, GetUserPolicy, ListUserPolicies, DeleteUserPolicy,
        AttachUserPolicy, DetachUserPolicy, ListAttachedUserPolicies,
        CreateGroup, GetGroup, ListGroups, UpdateGroup, DeleteGroup,
        AddUserToGroup, RemoveUserFromGroup, ListGroupsForUser,
        PutGroupPolicy, GetGroupPolicy, ListGroupPolicies, DeleteGroupPolicy,
        AttachGroupPolicy, DetachGroupPolicy, ListAttachedGroupPolicies,
        CreateRole, GetRole, ListRoles, UpdateRole, UpdateAssumeRolePolicy, DeleteRole,
        PutRolePolicy, GetRolePolicy, ListRolePolicies, DeleteRolePolicy,
        AttachRolePolicy, DetachRolePolicy, ListAttachedRolePolicies,
        CreatePolicy, GetPolicy, ListPolicies, DeletePolicy,
        CreatePolicyVersion, GetPolicyVersion, ListPolicyVersions, SetDefaultPolicyVersion, DeletePolicyVersion,
        ListEntitiesForPolicy,
        ListOpenIDConnectProviders, ListInstanceProfilesForRole, ListAccountAliases, GetAccountSummary;
    Sts:
        AssumeRole, GetSessionToken, GetCallerIdentity;
}

impl IamAction {
    /// The operation of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|action| action.name() == name)
    }

    /// The word of policies: `iam:CreateUser`.
    pub fn qualified(self) -> String {
        format!("{}:{}", self.service().name(), self.name())
    }
}
