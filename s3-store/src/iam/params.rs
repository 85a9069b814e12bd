//! The form of a request: `Action=CreateUser&Version=2010-05-08&UserName=...`.

use engine::{IamAction, IamPage, IamService};

use super::error::Failure;

/// The versions of the interfaces.
const VERSIONS: [(IamService, &str); 2] = [(IamService::Iam, "2010-05-08"), (IamService::Sts, "2011-06-15")];

/// Parameters that would make something else of a request, and that are not offered: to pass them by would give more than was meant.
const NOT_OFFERED: [&str; 9] = [
    "PermissionsBoundary",
    "PolicyArns",
    "ProvidedContexts",
    "SerialNumber",
    "SourceIdentity",
    "Tags",
    "TokenCode",
    "TransitiveTagKeys",
    "ServiceSpecificCredentialId",
];

/// The parameters of a request.
#[derive(Debug)]
pub(super) struct Params(Vec<(String, String)>);

impl Params {
    /// Reads a form. A parameter that stands twice is refused: two readers might take different ones.
    pub(super) fn read(form: &[u8]) -> Result<Self, Failure> {
        let pairs: Vec<(String, String)> = url::form_urlencoded::parse(form).into_owned().collect();
        let mut names: Vec<&str> = pairs.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        if pairs.iter().any(|(name, value)| name.contains('\0') || value.contains('\0')) {
            return Err(Failure::validation("A parameter has a character that none may have.".to_owned()));
        }
        match names.windows(2).find(|two| two[0] == two[1]) {
            Some(two) => Err(Failure::validation(format!("The parameter {} stands twice.", two[0]))),
            None => Ok(Self(pairs)),
        }
    }

    /// What is asked for.
    pub(super) fn action(&self) -> Result<IamAction, Failure> {
        let name = self.opt("Action").unwrap_or_default();
        let action = IamAction::named(name).ok_or_else(|| Failure::action(name))?;
        let version = VERSIONS.iter().find(|(service, _)| *service == action.service()).map(|(_, version)| *version);
        if self.opt("Version") == version { Ok(action) } else { Err(Failure::action(name)) }
    }

    /// Refuses what is known and not offered. An empty list asks for nothing: SDKs send `Tags=` for one.
    pub(super) fn must_be_understood(&self) -> Result<(), Failure> {
        let base = |name: &str| name.split('.').next().unwrap_or_default().to_owned();
        let said = self.0.iter().filter(|(name, value)| name.contains('.') || !value.is_empty());
        match said.map(|(name, _)| base(name)).find(|name| NOT_OFFERED.contains(&name.as_str())) {
            Some(name) => Err(Failure::validation(format!("The parameter {name} is not offered."))),
            None => Ok(()),
        }
    }

    /// The value of a parameter; `None` when it is not there.
    pub(super) fn opt(&self, wanted: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str())
    }

    /// The value of a parameter that must be there.
    pub(super) fn need(&self, name: &str) -> Result<&str, Failure> {
        self.opt(name)
            .filter(|value| !value.is_empty())
            .ok_or_else(|| Failure::validation(format!("The request must contain the parameter {name}.")))
    }

    /// A number.
    pub(super) fn number(&self, name: &str) -> Result<Option<u32>, Failure> {
        let read = |value: &str| value.parse().map_err(|_| Failure::validation(format!("{name} must be a number.")));
        self.opt(name).map(read).transpose()
    }

    /// A truth value; false when it is not there.
    pub(super) fn flag(&self, name: &str) -> Result<bool, Failure> {
        match self.opt(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(Failure::validation(format!("{name} must be true or false."))),
        }
    }

    /// Which part of a list is asked for.
    pub(super) fn page(&self) -> Result<IamPage, Failure> {
        let items_max = self.number("MaxItems")?.map(|items_max| usize::try_from(items_max).unwrap_or(usize::MAX));
        let path_prefix = self.opt("PathPrefix").unwrap_or_default().to_owned();
        Ok(IamPage { marker: self.opt("Marker").map(str::to_owned), items_max, path_prefix })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_is_named_with_the_version_of_its_service() {
        let action = |form: &str| Params::read(form.as_bytes()).expect("a form").action().ok();
        assert_eq!(action("Action=CreateUser&Version=2010-05-08"), Some(IamAction::CreateUser));
        assert_eq!(action("Action=AssumeRole&Version=2011-06-15"), Some(IamAction::AssumeRole));
        assert_eq!(action("Action=AssumeRole&Version=2010-05-08"), None);
        assert_eq!(action("Action=CreateUser"), None);
        assert_eq!(action("Action=createuser&Version=2010-05-08"), None);
        assert_eq!(action(""), None);
    }

    #[test]
    fn what_is_not_offered_or_said_twice_is_refused() {
        assert!(Params::read(b"UserName=a%00").is_err() && Params::read(b"User%00Name=a").is_err());
        assert!(
            Params::read(b"UserName=a%0A").is_ok(),
            "other characters are for those who know what the parameter is"
        );
        assert!(Params::read(b"UserName=a&UserName=b").is_err());
        let refused = |form: &str| Params::read(form.as_bytes()).expect("a form").must_be_understood().is_err();
        assert!(refused("Tags.member.1.Key=a") && refused("Tags.member.1.Value="));
        assert!(refused("Tags=a") && !refused("Tags="));
        assert!(refused("PermissionsBoundary=arn"));
        assert!(!refused("UserName=Tags&Path=/"));
    }
}
