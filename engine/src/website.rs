//! How a bucket is shown as a website: its index and error documents, and the rules by which it sends visitors elsewhere.

use serde::{Deserialize, Serialize};

use crate::access::Wanted;
use crate::access::action::Action;
use crate::rules::BucketSetting;
use crate::{BucketName, Caller, Engine, Error, ObjectKey, Result, RuleError};

/// Most routing rules of a website, as in S3.
pub const ROUTING_RULES_MAX: usize = 50;
const REDIRECT_CODE_DEFAULT: u16 = 301;

/// A bucket as a website.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Website {
    /// Every visitor is sent to another host.
    Elsewhere {
        /// The host.
        host: String,
        /// `http` or `https`; as the visitor came when `None`.
        protocol: Option<Protocol>,
    },
    /// The objects are its pages.
    Pages(Pages),
}

/// The pages of a website.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pages {
    /// What is shown of a folder: the name of an object in it.
    pub index_suffix: String,
    /// The object that is shown where something went wrong.
    pub error_key: Option<String>,
    /// Where visitors are sent; the first rule that fits counts.
    pub rules: Vec<RoutingRule>,
}

/// A way to reach a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Protocol {
    /// `http`
    Http,
    /// `https`
    Https,
}

impl Protocol {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Http, Self::Https];

    /// The word of URLs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// Sends some visitors elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoutingRule {
    /// Keys begin with this; all keys when `None`.
    pub prefix: Option<String>,
    /// The status that would be answered without the rule; the rule counts before anything is looked up when `None`.
    pub error_status: Option<u16>,
    /// The host; the one that was asked when `None`.
    pub host: Option<String>,
    /// The protocol; as the visitor came when `None`.
    pub protocol: Option<Protocol>,
    /// The status of the answer; 301 when `None`.
    pub status: Option<u16>,
    /// Another key.
    pub key: NewKey,
}

/// Which key a visitor is sent to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum NewKey {
    /// The one that was asked for.
    #[default]
    Same,
    /// That with another beginning in the place of the rule's prefix.
    Prefix(String),
    /// Another one.
    Whole(String),
}

impl Website {
    /// Checks a website. [`Error::Invalid`], [`RuleError::InvalidWebsite`].
    pub fn checked(self) -> Result<Self> {
        match &self {
            Self::Elsewhere { host, .. } if host.is_empty() => {
                Err(Error::invalid("host name of the redirect", "is empty"))
            }
            Self::Elsewhere { .. } => Ok(self),
            Self::Pages(pages) => pages.check().map(|()| self),
        }
    }
}

impl Pages {
    fn check(&self) -> Result<()> {
        if self.index_suffix.is_empty() || self.index_suffix.contains('/') {
            return Err(Error::invalid("IndexDocument Suffix", "is not well formed"));
        }
        if let Some(key) = &self.error_key {
            ObjectKey::new(key).map_err(|_| Error::invalid("ErrorDocument Key", "is not well formed"))?;
        }
        if self.rules.len() > ROUTING_RULES_MAX {
            return Err(RuleError::InvalidWebsite("The number of routing rules must not exceed 50").into());
        }
        self.rules.iter().try_for_each(RoutingRule::check)
    }

    /// The rule that sends a visitor elsewhere who asks for a key, before that is looked up (`None`) or after it failed with a status.
    pub fn route(&self, key: &str, failed: Option<u16>) -> Option<&RoutingRule> {
        self.rules.iter().find(|rule| {
            rule.error_status == failed && rule.prefix.as_ref().is_none_or(|prefix| key.starts_with(prefix.as_str()))
        })
    }
}

impl RoutingRule {
    fn check(&self) -> Result<()> {
        if self.status.is_some_and(|status| !(301..=399).contains(&status)) {
            let why = "The provided HTTP redirect code is not valid. Valid codes are 3XX except 300.";
            return Err(RuleError::InvalidWebsite(why).into());
        }
        if self.error_status.is_some_and(|status| !(400..=599).contains(&status)) {
            let why = "The provided HTTP error code is not valid. Valid codes are 4XX or 5XX.";
            return Err(RuleError::InvalidWebsite(why).into());
        }
        let changes_nothing = self.host.is_none() && self.protocol.is_none() && self.status.is_none();
        if changes_nothing && self.key == NewKey::Same {
            return Err(RuleError::InvalidWebsite("A redirect of a routing rule must name something").into());
        }
        Ok(())
    }

    /// The status of the answer.
    pub fn redirect_status(&self) -> u16 {
        self.status.unwrap_or(REDIRECT_CODE_DEFAULT)
    }

    /// The key that a visitor is sent to who asks for one.
    pub fn new_key(&self, key: &str) -> String {
        match &self.key {
            NewKey::Same => key.to_owned(),
            NewKey::Whole(whole) => whole.clone(),
            NewKey::Prefix(prefix) => {
                let rest = self.prefix.as_deref().and_then(|old| key.strip_prefix(old)).unwrap_or(key);
                format!("{prefix}{rest}")
            }
        }
    }
}

impl Engine {
    /// How a bucket is shown as a website, whoever asks; `None` when it is none. What is shown there is decided object by object.
    pub async fn website(&self, name: &BucketName) -> Result<Option<Website>> {
        Ok(self.known_bucket(name).await?.rules.website.clone())
    }

    /// Shows a bucket as a website no longer.
    pub async fn delete_website(&self, caller: &Caller, name: &BucketName) -> Result<()> {
        let known = self.allowed_bucket(caller, name, &Wanted::on_bucket(Action::DeleteBucketWebsite)).await?;
        self.store_setting(caller, &known, Website::KIND, None).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(rules: Vec<RoutingRule>) -> Pages {
        Pages { index_suffix: "index.html".to_owned(), error_key: None, rules }
    }

    #[test]
    fn rules_are_asked_in_their_order() {
        let rule = |prefix: Option<&str>, error_status, key| RoutingRule {
            prefix: prefix.map(str::to_owned),
            error_status,
            key,
            ..RoutingRule::default()
        };
        let pages = pages(vec![
            rule(Some("docs/"), None, NewKey::Prefix("documents/".to_owned())),
            rule(None, Some(404), NewKey::Whole("missing.html".to_owned())),
        ]);
        let routed = |key: &str, failed| pages.route(key, failed).map(|rule| rule.new_key(key));
        assert_eq!(routed("docs/a", None).as_deref(), Some("documents/a"));
        assert_eq!(routed("other", None), None);
        assert_eq!(routed("other", Some(404)).as_deref(), Some("missing.html"));
        assert_eq!(routed("other", Some(403)), None);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        assert!(Website::Pages(pages(Vec::new())).checked().is_ok());
        let wrong = |pages: Pages| Website::Pages(pages).checked().is_err();
        assert!(wrong(Pages { index_suffix: "a/b".to_owned(), ..pages(Vec::new()) }));
        assert!(wrong(Pages { index_suffix: String::new(), ..pages(Vec::new()) }));
        assert!(wrong(Pages { error_key: Some(String::new()), ..pages(Vec::new()) }));
        assert!(wrong(pages(vec![RoutingRule::default()])));
        let with = |status, error_status| {
            pages(vec![RoutingRule { status, error_status, host: Some("a".to_owned()), ..RoutingRule::default() }])
        };
        assert!(!wrong(with(Some(302), Some(404))));
        assert!(wrong(with(Some(300), None)));
        assert!(wrong(with(Some(200), None)));
        assert!(wrong(with(None, Some(302))));
        assert!(wrong(pages(vec![with(None, None).rules[0].clone(); 51])));
    }
}
