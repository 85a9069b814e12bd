//! What surrounds every page: title, navigation, who is signed in, and what was just done.

use engine::Role;

use crate::auth::SignedIn;
use crate::format::href;

/// A page that the navigation leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Buckets,
    Credentials,
    Connector,
    People,
}

impl Place {
    fn label(self, role: Role) -> &'static str {
        match self {
            Self::Buckets => "Buckets",
            Self::Credentials => "Security credentials",
            Self::Connector => "CloudStack",
            Self::People if role == Role::SystemAdmin => "Groups and users",
            Self::People => "Users",
        }
    }

    fn page(self) -> &'static str {
        match self {
            Self::Buckets => "",
            Self::Credentials => "credentials.htm",
            Self::Connector => "connector.htm",
            Self::People => "groups.htm",
        }
    }

    fn test_id(self) -> &'static str {
        match self {
            Self::Buckets => "nav-buckets",
            Self::Credentials => "nav-credentials",
            Self::Connector => "nav-connector",
            Self::People => "nav-people",
        }
    }

    /// Where each role can go. A system administrator reads no tenant's data, so it gets no bucket pages.
    fn of_role(role: Role) -> &'static [Self] {
        match role {
            Role::User => &[Self::Buckets, Self::Credentials],
            Role::GroupAdmin => &[Self::Buckets, Self::Credentials, Self::People],
            Role::SystemAdmin => &[Self::Connector, Self::People],
        }
    }
}

/// A line of the navigation.
#[derive(Clone, Debug)]
pub(crate) struct NavItem {
    pub(crate) label: &'static str,
    pub(crate) href: String,
    pub(crate) test_id: &'static str,
    pub(crate) current: bool,
}

/// Who is signed in, as the header shows it.
#[derive(Clone, Debug)]
pub(crate) struct Who {
    pub(crate) name: String,
    pub(crate) role: &'static str,
}

/// What surrounds a page.
#[derive(Clone, Debug)]
pub(crate) struct Shell {
    pub(crate) title: String,
    pub(crate) nav: Vec<NavItem>,
    pub(crate) who: Option<Who>,
    pub(crate) csrf_token: String,
    pub(crate) said: Option<&'static str>,
    pub(crate) problem: Option<String>,
    pub(crate) assets_version: &'static str,
}

impl Shell {
    /// A page for nobody in particular.
    pub(crate) fn anonymous(title: &str) -> Self {
        Self {
            title: title.to_owned(),
            nav: Vec::new(),
            who: None,
            csrf_token: String::new(),
            said: None,
            problem: None,
            assets_version: &crate::assets::VERSION,
        }
    }

    /// A page for somebody who is signed in.
    pub(crate) fn signed_in(title: &str, signed: &SignedIn, place: Place) -> Self {
        let identity = signed.identity();
        let nav = Place::of_role(identity.role).iter().map(|item| NavItem {
            label: item.label(identity.role),
            href: href(item.page(), &[]),
            test_id: item.test_id(),
            current: *item == place,
        });
        Self {
            nav: nav.collect(),
            who: Some(Who { name: display_name(signed), role: role_label(identity.role) }),
            csrf_token: signed.session.csrf_token.clone(),
            ..Self::anonymous(title)
        }
    }

    /// Adds what was just done, when the address says so.
    pub(crate) fn saying(mut self, word: &str) -> Self {
        self.said = Said::parse(word).map(Said::sentence);
        self
    }

    /// Adds why something could not be done.
    pub(crate) fn with_problem(mut self, problem: Option<String>) -> Self {
        self.problem = problem;
        self
    }
}

fn display_name(signed: &SignedIn) -> String {
    let identity = signed.identity();
    if identity.display_name.trim().is_empty() {
        return identity.user_id.to_string();
    }
    identity.display_name.clone()
}

fn role_label(role: Role) -> &'static str {
    match role {
        Role::User => "",
        Role::GroupAdmin => "Group administrator",
        Role::SystemAdmin => "System administrator",
    }
}

/// What was just done. The address carries only the word, so that nobody can put text into our pages by a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    BucketCreated,
    BucketDeleted,
    BucketStrict,
    BucketRelaxed,
    BucketThere,
    Uploaded,
    FolderCreated,
    ObjectsDeleted,
    KeyCreated,
    KeyOn,
    KeyOff,
    KeyDeleted,
    Looking,
    Applied,
}

impl Said {
    const ALL: [Self; 14] = [
        Self::BucketCreated,
        Self::BucketDeleted,
        Self::BucketStrict,
        Self::BucketRelaxed,
        Self::BucketThere,
        Self::Uploaded,
        Self::FolderCreated,
        Self::ObjectsDeleted,
        Self::KeyCreated,
        Self::KeyOn,
        Self::KeyOff,
        Self::KeyDeleted,
        Self::Looking,
        Self::Applied,
    ];

    fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|said| said.word() == word)
    }

    /// As it stands in an address.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::BucketCreated => "bucket-created",
            Self::BucketDeleted => "bucket-deleted",
            Self::BucketStrict => "bucket-strict",
            Self::BucketRelaxed => "bucket-relaxed",
            Self::BucketThere => "bucket-there",
            Self::Uploaded => "uploaded",
            Self::FolderCreated => "folder-created",
            Self::ObjectsDeleted => "deleted",
            Self::KeyCreated => "key-created",
            Self::KeyOn => "key-on",
            Self::KeyOff => "key-off",
            Self::KeyDeleted => "key-deleted",
            Self::Looking => "looking",
            Self::Applied => "applied",
        }
    }

    fn sentence(self) -> &'static str {
        match self {
            Self::BucketCreated => "The bucket was created.",
            Self::BucketDeleted => "The bucket was deleted.",
            Self::BucketStrict => "From now on, what is stored in the bucket is on disk when that is answered.",
            Self::BucketRelaxed => {
                "From now on, what is stored in the bucket may be answered up to a second before it is on disk."
            }
            Self::BucketThere => "You had this bucket already.",
            Self::Uploaded => "Everything was uploaded.",
            Self::FolderCreated => "The folder was created.",
            Self::ObjectsDeleted => "Deleted.",
            Self::KeyCreated => "The access key was created. Press “Show secret” to see its secret.",
            Self::KeyOn => "The access key is on.",
            Self::KeyOff => "The access key is off.",
            Self::KeyDeleted => "The access key was deleted.",
            Self::Looking => "CloudStack is being read now.",
            Self::Applied => "The changes are being applied now.",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_read_back_and_others_say_nothing() {
        for said in Said::ALL {
            assert_eq!(Said::parse(said.word()), Some(said));
        }
        assert_eq!(Said::parse("<b>you won</b>"), None);
    }
}
