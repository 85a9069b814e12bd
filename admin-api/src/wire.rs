//! The JSON objects of the HyperStore Admin API, as both the server and the client speak them.
//!
//! Readers are lenient the way real peers need it: `active` arrives as a bool or as a string in any case, text may be
//! null, unknown fields are ignored. Writers render what each kind of object carries on a real cluster: `active` is a
//! string in groups and users and a bool in credentials.

mod lenient;
mod words;

pub(crate) use self::lenient::parse_bool;
pub use self::words::{UnknownValue, UserStatus, UserType, UserTypeFilter};

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};

/// A group: the tenant that users belong to. A CloudStack domain is one group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupInfo {
    /// The group's id, unique in the system.
    pub group_id: String,
    /// What people read; the path of a CloudStack domain, such as `/acme/dev/`.
    #[serde(default, deserialize_with = "lenient::text")]
    pub group_name: String,
    /// The group's name in LDAP.
    #[serde(default)]
    pub ldap_group: Option<String>,
    /// An inactive group's users cannot use the store.
    #[serde(default = "lenient::yes", deserialize_with = "lenient::active", serialize_with = "lenient::bool_as_text")]
    pub active: bool,
    /// Whether members are authenticated by LDAP.
    #[serde(default, deserialize_with = "lenient::flag")]
    pub ldap_enabled: bool,
    /// LDAP server, as a URL.
    #[serde(default, rename = "ldapServerURL")]
    pub ldap_server_url: Option<String>,
    /// How a member's bind DN is built.
    #[serde(default, rename = "ldapUserDNTemplate")]
    pub ldap_user_dn_template: Option<String>,
    /// Filter for members.
    #[serde(default)]
    pub ldap_search: Option<String>,
    /// Where members are searched.
    #[serde(default)]
    pub ldap_search_user_base: Option<String>,
    /// Attribute that is compared.
    #[serde(default)]
    pub ldap_match_attribute: Option<String>,
    /// S3 endpoints over HTTP that the group may use; `ALL` for every one.
    #[serde(default = "lenient::all", rename = "s3endpointshttp", deserialize_with = "lenient::endpoints")]
    pub s3_endpoints_http: Vec<String>,
    /// S3 endpoints over HTTPS that the group may use; `ALL` for every one.
    #[serde(default = "lenient::all", rename = "s3endpointshttps", deserialize_with = "lenient::endpoints")]
    pub s3_endpoints_https: Vec<String>,
    /// Website endpoints that the group may use; `ALL` for every one.
    #[serde(default = "lenient::all", rename = "s3websiteendpoints", deserialize_with = "lenient::endpoints")]
    pub s3_website_endpoints: Vec<String>,
}

impl GroupInfo {
    /// An active group without LDAP, open on every endpoint.
    #[must_use]
    pub fn new(group_id: impl Into<String>, group_name: impl Into<String>) -> Self {
        Self {
            group_id: group_id.into(),
            group_name: group_name.into(),
            ldap_group: None,
            active: true,
            ldap_enabled: false,
            ldap_server_url: None,
            ldap_user_dn_template: None,
            ldap_search: None,
            ldap_search_user_base: None,
            ldap_match_attribute: None,
            s3_endpoints_http: lenient::all(),
            s3_endpoints_https: lenient::all(),
            s3_website_endpoints: lenient::all(),
        }
    }
}

/// The changes that `POST /group` makes: what is `None` keeps its value.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupUpdate {
    /// The group that is changed.
    #[serde(default, deserialize_with = "lenient::text")]
    pub group_id: String,
    /// What people read.
    #[serde(default)]
    pub group_name: Option<String>,
    /// Whether its users may use the store.
    #[serde(default, deserialize_with = "lenient::optional_bool", serialize_with = "lenient::optional_bool_as_text")]
    pub active: Option<bool>,
}

impl GroupUpdate {
    /// Changes nothing yet.
    #[must_use]
    pub fn of(group_id: impl Into<String>) -> Self {
        Self { group_id: group_id.into(), ..Self::default() }
    }
}

/// How to reach a user; free text that the store only keeps.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Contact {
    /// First line of the address.
    #[serde(default)]
    pub address1: Option<String>,
    /// Second line of the address.
    #[serde(default)]
    pub address2: Option<String>,
    /// City.
    #[serde(default)]
    pub city: Option<String>,
    /// State or province.
    #[serde(default)]
    pub state: Option<String>,
    /// Postal code.
    #[serde(default)]
    pub zip: Option<String>,
    /// Country.
    #[serde(default)]
    pub country: Option<String>,
    /// Telephone number.
    #[serde(default)]
    pub phone: Option<String>,
    /// Web site.
    #[serde(default)]
    pub website: Option<String>,
}

/// A user: an S3 account with its buckets. A CloudStack account is one user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UserInfo {
    /// The user's id, unique in its group.
    pub user_id: String,
    /// What the user may do.
    #[serde(default)]
    pub user_type: UserType,
    /// Name of the person, never null on the wire: CloudStack's plug-in compares it without a check.
    #[serde(default, deserialize_with = "lenient::text")]
    pub full_name: String,
    /// E-mail address, never null on the wire for the same reason.
    #[serde(default, deserialize_with = "lenient::text")]
    pub email_addr: String,
    /// Address and telephone.
    #[serde(flatten)]
    pub contact: Contact,
    /// The group the user belongs to.
    pub group_id: String,
    /// An inactive user cannot use the store.
    #[serde(default = "lenient::yes", deserialize_with = "lenient::active", serialize_with = "lenient::bool_as_text")]
    pub active: bool,
    /// The owner id that S3 shows, 32 lower-case hexadecimal digits, given by the server.
    #[serde(default)]
    pub canonical_user_id: Option<String>,
    /// Whether the user is authenticated by LDAP.
    #[serde(default, deserialize_with = "lenient::flag")]
    pub ldap_enabled: bool,
}

impl UserInfo {
    /// An active user of type `User` without a name.
    #[must_use]
    pub fn new(group_id: impl Into<String>, user_id: impl Into<String>) -> Self {
        Self {
            user_id: user_id.into(),
            user_type: UserType::User,
            full_name: String::new(),
            email_addr: String::new(),
            contact: Contact::default(),
            group_id: group_id.into(),
            active: true,
            canonical_user_id: None,
            ldap_enabled: false,
        }
    }
}

/// The changes that `POST /user` makes: what is `None` keeps its value.
///
/// The user is named by its group and id, or by its canonical id alone.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UserUpdate {
    /// The user that is changed, together with its group.
    #[serde(default)]
    pub user_id: Option<String>,
    /// What the user may do.
    #[serde(default, deserialize_with = "lenient::optional_user_type")]
    pub user_type: Option<UserType>,
    /// Name of the person.
    #[serde(default)]
    pub full_name: Option<String>,
    /// E-mail address.
    #[serde(default)]
    pub email_addr: Option<String>,
    /// Address and telephone.
    #[serde(flatten)]
    pub contact: Contact,
    /// The group of the user that is changed.
    #[serde(default)]
    pub group_id: Option<String>,
    /// Whether the user may use the store.
    #[serde(default, deserialize_with = "lenient::optional_bool", serialize_with = "lenient::optional_bool_as_text")]
    pub active: Option<bool>,
    /// The user that is changed, instead of its group and id.
    #[serde(default)]
    pub canonical_user_id: Option<String>,
}

impl UserUpdate {
    /// Changes nothing yet.
    #[must_use]
    pub fn of(group_id: impl Into<String>, user_id: impl Into<String>) -> Self {
        Self { group_id: Some(group_id.into()), user_id: Some(user_id.into()), ..Self::default() }
    }
}

/// An S3 key pair of a user.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Credential {
    /// The public half, 20 characters.
    pub access_key: String,
    /// The secret half, 40 characters of the base64 alphabet; every answer carries it.
    #[serde(serialize_with = "expose")]
    pub secret_key: SecretString,
    /// When the pair was made, in milliseconds since 1970 UTC; the oldest active pair is the one CloudStack uses.
    #[serde(default)]
    pub create_date: Option<i64>,
    /// Whether requests signed with it are taken.
    #[serde(default = "lenient::yes", deserialize_with = "lenient::active")]
    pub active: bool,
    /// When it stops to work, in milliseconds since 1970 UTC.
    #[serde(default)]
    pub expire_date: Option<i64>,
}

/// Renders a secret on purpose: the credential calls exist to hand secrets out over the authenticated connection.
fn expose<S: Serializer>(secret: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose_secret())
}

/// What the buckets of one user hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UserBucketUsage {
    /// The owner.
    pub user_id: String,
    /// The owner's buckets; empty for a user without any.
    #[serde(default)]
    pub buckets: Vec<BucketUsage>,
}

/// What one bucket holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BucketUsage {
    /// The bucket.
    pub bucket_name: String,
    /// Bytes of all objects; a real HyperStore may pass through negative values.
    #[serde(default, rename = "byteCount")]
    pub size_bytes: i64,
    /// Number of objects.
    #[serde(default)]
    pub object_count: i64,
    /// The storage policy of the bucket.
    #[serde(default)]
    pub policy_name: Option<String>,
}

/// The names of the buckets of one user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UserBuckets {
    /// The owner.
    pub user_id: String,
    /// The owner's buckets, in order of their names.
    #[serde(default)]
    pub buckets: Vec<BucketName>,
}

/// One bucket of [`UserBuckets`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BucketName {
    /// The bucket.
    pub bucket_name: String,
}

#[cfg(test)]
mod tests;
