//! Access control lists: who beside the owner may read and write a bucket or an object.

use serde::{Deserialize, Serialize};

use crate::{Caller, CanonicalId};

/// Most grants of one list, as in S3.
pub const GRANTS_MAX: usize = 100;

/// What a grant gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Permission {
    /// Of a bucket, listing it; of an object, reading it.
    Read,
    /// Of a bucket, storing and deleting objects in it.
    Write,
    /// Reading the list itself.
    ReadAcp,
    /// Changing the list itself.
    WriteAcp,
    /// All of these.
    FullControl,
}

impl Permission {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Read, Self::Write, Self::ReadAcp, Self::WriteAcp, Self::FullControl];

    /// The word of S3.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "READ",
            Self::Write => "WRITE",
            Self::ReadAcp => "READ_ACP",
            Self::WriteAcp => "WRITE_ACP",
            Self::FullControl => "FULL_CONTROL",
        }
    }
}

/// Whom a grant is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grantee {
    /// A user.
    User(CanonicalId),
    /// Everybody, also without a name.
    AllUsers,
    /// Everybody who has a key of this store.
    AuthenticatedUsers,
    /// The store's own delivery of access logs.
    LogDelivery,
}

impl Grantee {
    fn includes(&self, caller: &Caller) -> bool {
        match self {
            Self::User(id) => caller.acts_in(id),
            // The store itself is no part of the world.
            Self::AllUsers => !matches!(caller, Caller::LogDelivery(_)),
            Self::AuthenticatedUsers => caller.account().is_some(),
            Self::LogDelivery => matches!(caller, Caller::LogDelivery(_)),
        }
    }

    /// Whether this is the world, or everybody in it who has a key.
    pub(crate) fn is_public(&self) -> bool {
        match self {
            Self::AllUsers | Self::AuthenticatedUsers => true,
            Self::User(_) | Self::LogDelivery => false,
        }
    }
}

/// A permission for somebody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Whom it is for.
    #[serde(rename = "g")]
    pub grantee: Grantee,
    /// What it gives.
    #[serde(rename = "p")]
    pub permission: Permission,
}

/// A list that has a name of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CannedAcl {
    /// The owner alone.
    Private,
    /// Everybody reads.
    PublicRead,
    /// Everybody reads and writes.
    PublicReadWrite,
    /// Everybody with a key reads.
    AuthenticatedRead,
    /// The owner of the bucket reads the object.
    BucketOwnerRead,
    /// The owner of the bucket has the object as its owner does.
    BucketOwnerFullControl,
    /// The delivery of access logs writes.
    LogDeliveryWrite,
}

impl CannedAcl {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Private,
        Self::PublicRead,
        Self::PublicReadWrite,
        Self::AuthenticatedRead,
        Self::BucketOwnerRead,
        Self::BucketOwnerFullControl,
        Self::LogDeliveryWrite,
    ];

    /// The word of S3.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::PublicRead => "public-read",
            Self::PublicReadWrite => "public-read-write",
            Self::AuthenticatedRead => "authenticated-read",
            Self::BucketOwnerRead => "bucket-owner-read",
            Self::BucketOwnerFullControl => "bucket-owner-full-control",
            Self::LogDeliveryWrite => "log-delivery-write",
        }
    }
}

/// The grants of a bucket or an object. Its owner stands elsewhere, and may always read and change the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Acl {
    /// The grants, in the order in which they were given.
    pub grants: Vec<Grant>,
}

impl Acl {
    /// The list of a name, for what `owner` has in the bucket of `bucket_owner`.
    pub(crate) fn canned(name: CannedAcl, owner: &CanonicalId, bucket_owner: &CanonicalId) -> Self {
        let to = |grantee, permission| Grant { grantee, permission };
        let others = match name {
            CannedAcl::Private => vec![],
            CannedAcl::PublicRead => vec![to(Grantee::AllUsers, Permission::Read)],
            CannedAcl::PublicReadWrite => {
                vec![to(Grantee::AllUsers, Permission::Read), to(Grantee::AllUsers, Permission::Write)]
            }
            CannedAcl::AuthenticatedRead => vec![to(Grantee::AuthenticatedUsers, Permission::Read)],
            CannedAcl::LogDeliveryWrite => {
                vec![to(Grantee::LogDelivery, Permission::Write), to(Grantee::LogDelivery, Permission::ReadAcp)]
            }
            CannedAcl::BucketOwnerRead | CannedAcl::BucketOwnerFullControl if owner == bucket_owner => vec![],
            CannedAcl::BucketOwnerRead => vec![to(Grantee::User(bucket_owner.clone()), Permission::Read)],
            CannedAcl::BucketOwnerFullControl => {
                vec![to(Grantee::User(bucket_owner.clone()), Permission::FullControl)]
            }
        };
        let own = to(Grantee::User(owner.clone()), Permission::FullControl);
        Self { grants: std::iter::once(own).chain(others).collect() }
    }

    /// The grants as S3 shows them: groups stand before users.
    pub(crate) fn groups_first(mut self) -> Self {
        self.grants.sort_by_key(|grant| matches!(grant.grantee, Grantee::User(_)));
        self
    }

    /// The list of whom nothing else was said.
    pub(crate) fn private(owner: &CanonicalId) -> Self {
        Self::canned(CannedAcl::Private, owner, owner)
    }

    /// Whether it gives a caller a permission; `ignore_public` leaves grants to the world aside.
    pub(crate) fn allows(&self, caller: &Caller, wanted: Permission, ignore_public: bool) -> bool {
        self.grants.iter().any(|grant| {
            let gives = grant.permission == wanted || grant.permission == Permission::FullControl;
            gives && grant.grantee.includes(caller) && !(ignore_public && grant.grantee.is_public())
        })
    }

    /// Whether it gives anything to the world.
    pub(crate) fn is_public(&self) -> bool {
        self.grants.iter().any(|grant| grant.grantee.is_public())
    }
}

/// A list as a request gives it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum GivenAcl {
    /// Nothing was said.
    #[default]
    None,
    /// One that has a name.
    Canned(CannedAcl),
    /// Grants one by one.
    Grants(Vec<GivenGrant>),
}

/// A grant as a request gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenGrant {
    /// Whom it is for.
    pub grantee: GivenGrantee,
    /// What it gives.
    pub permission: Permission,
}

/// Whom a request names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GivenGrantee {
    /// A user by canonical id; one that is not there is an error.
    Id(String),
    /// A user by e-mail address; one that nobody or several have is an error.
    Email(String),
    /// Everybody, everybody with a key, or the delivery of logs.
    Group(Grantee),
}
