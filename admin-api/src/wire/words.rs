//! Parameters and fields that know a few words only: the types of users and the filters of lists.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// What a user may do: own data, administer its group, or administer the whole system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum UserType {
    /// An S3 account with its own buckets.
    #[default]
    User,
    /// Administers the users of its group; reads no tenant's objects.
    GroupAdmin,
    /// Administers everything; reads no tenant's objects.
    SystemAdmin,
}

impl UserType {
    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "User",
            Self::GroupAdmin => "GroupAdmin",
            Self::SystemAdmin => "SystemAdmin",
        }
    }
}

impl fmt::Display for UserType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text names no known value of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not one of {expected}")]
pub struct UnknownValue {
    /// The values that are known, as a sentence.
    pub expected: &'static str,
}

impl FromStr for UserType {
    type Err = UnknownValue;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::User, Self::GroupAdmin, Self::SystemAdmin]
            .into_iter()
            .find(|known| known.as_str().eq_ignore_ascii_case(text))
            .ok_or(UnknownValue { expected: "User, GroupAdmin, SystemAdmin" })
    }
}

/// Which types of users `/user/list` gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UserTypeFilter {
    /// Users of every type.
    #[default]
    All,
    /// Users of this type.
    Only(UserType),
}

impl UserTypeFilter {
    /// The value of the parameter `userType`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Only(user_type) => user_type.as_str(),
        }
    }
}

impl FromStr for UserTypeFilter {
    type Err = UnknownValue;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.eq_ignore_ascii_case("all") {
            return Ok(Self::All);
        }
        text.parse().map(Self::Only).map_err(|_| UnknownValue { expected: "all, User, GroupAdmin, SystemAdmin" })
    }
}

/// Which users `/user/list` gives, by their state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UserStatus {
    /// Active and inactive users.
    #[default]
    All,
    /// Users who may use the store.
    Active,
    /// Users who are switched off.
    Inactive,
}

impl UserStatus {
    /// The value of the parameter `userStatus`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Active => "active",
            Self::Inactive => "inactive",
        }
    }
}

impl FromStr for UserStatus {
    type Err = UnknownValue;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::All, Self::Active, Self::Inactive]
            .into_iter()
            .find(|known| known.as_str().eq_ignore_ascii_case(text))
            .ok_or(UnknownValue { expected: "all, active, inactive" })
    }
}
