//! The `[notifications]` section of the configuration.

use std::path::PathBuf;

use serde::Deserialize;
use url::Url;

/// Who may be told of changes in buckets.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Hours after which an event is given up that its target did not take.
    pub age_hours_max: u32,
    /// Seconds that a target may take to answer.
    pub timeout_seconds: u64,
    /// The targets.
    pub targets: Vec<Target>,
}

/// A target.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Its name, which the ARN of a bucket's notification ends with.
    pub name: String,
    /// What it is.
    pub kind: TargetKind,
    /// The address of a webhook.
    pub url: Option<String>,
    /// A file with the bearer token that a webhook is given.
    pub token_file: Option<PathBuf>,
    /// A file with the URL of an AMQP broker, which holds a password: `amqps://user:password@host/vhost`.
    pub url_file: Option<PathBuf>,
    /// The exchange of a broker; its default one when absent.
    pub exchange: Option<String>,
    /// The routing key at that exchange.
    pub routing_key: Option<String>,
}

/// A kind of target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TargetKind {
    /// A POST of HTTP.
    Webhook,
    /// A message to an exchange of an AMQP 0-9-1 broker.
    Amqp,
}

impl Default for Settings {
    fn default() -> Self {
        Self { age_hours_max: 72, timeout_seconds: 10, targets: Vec::new() }
    }
}

/// Why the section is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("notifications.{field} {why}")]
pub struct InvalidSettings {
    /// The field.
    pub field: &'static str,
    /// Why, in words for an operator.
    pub why: String,
}

impl Settings {
    /// Checks what the types do not say.
    ///
    /// # Errors
    /// The first field that cannot work.
    pub fn validate(&self) -> Result<(), InvalidSettings> {
        let refuse = |field, why: &str| Err(InvalidSettings { field, why: why.to_owned() });
        if self.age_hours_max == 0 {
            return refuse("age_hours_max", "must be at least 1");
        }
        if self.timeout_seconds == 0 {
            return refuse("timeout_seconds", "must be at least 1");
        }
        for (number, target) in self.targets.iter().enumerate() {
            target.validate()?;
            if self.targets[..number].iter().any(|other| other.name == target.name) {
                return refuse("targets", &format!("has two targets of the name {:?}", target.name));
            }
        }
        Ok(())
    }

    /// The names of the targets.
    pub fn names(&self) -> Vec<String> {
        self.targets.iter().map(|target| target.name.clone()).collect()
    }
}

impl Target {
    fn validate(&self) -> Result<(), InvalidSettings> {
        let refuse = |why: String| Err(InvalidSettings { field: "targets", why });
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if self.name.is_empty() || !self.name.chars().all(is_name) {
            return refuse(format!("has the name {:?}: letters, digits, '-', '_' and '.' may be in it", self.name));
        }
        let unused = match self.kind {
            TargetKind::Webhook => [self.url_file.is_some(), self.exchange.is_some(), self.routing_key.is_some()],
            TargetKind::Amqp => [self.url.is_some(), self.token_file.is_some(), false],
        };
        if unused.contains(&true) {
            return refuse(format!("{:?} has a key that its kind does not have", self.name));
        }
        match self.kind {
            TargetKind::Webhook => {
                let url = self.url.as_deref().and_then(|url| Url::parse(url).ok());
                let is_usable = url.is_some_and(|url| {
                    // A password would stand in the configuration for all to see, and in logs.
                    matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none()
                });
                if is_usable {
                    Ok(())
                } else {
                    refuse(format!("{:?} needs a url, http or https, without a password", self.name))
                }
            }
            TargetKind::Amqp if self.url_file.is_none() => refuse(format!("{:?} needs a url_file", self.name)),
            TargetKind::Amqp => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(kind: TargetKind, url: Option<&str>) -> Target {
        Target {
            name: "t".to_owned(),
            kind,
            url: url.map(str::to_owned),
            token_file: None,
            url_file: None,
            exchange: None,
            routing_key: None,
        }
    }

    fn is_refused(target: Target) -> bool {
        Settings { targets: vec![target], ..Settings::default() }.validate().is_err()
    }

    #[test]
    fn targets_have_what_their_kind_needs() {
        let webhook = |url| target(TargetKind::Webhook, Some(url));
        assert!(!is_refused(webhook("https://a.lan/hook")));
        assert!(is_refused(webhook("ftp://a.lan")));
        assert!(is_refused(webhook("https://user:password@a.lan/hook")));
        assert!(is_refused(target(TargetKind::Webhook, None)));
        assert!(is_refused(Target { exchange: Some("e".to_owned()), ..webhook("https://a.lan/") }));
        assert!(is_refused(Target { name: "a:b".to_owned(), ..webhook("https://a.lan/") }));
        let broker = Target { url_file: Some("/f".into()), ..target(TargetKind::Amqp, None) };
        assert!(!is_refused(broker.clone()));
        assert!(is_refused(target(TargetKind::Amqp, None)));
        assert!(is_refused(Target { url: Some("amqp://a".to_owned()), ..broker.clone() }));
        let twice = Settings { targets: vec![broker.clone(), broker], ..Settings::default() };
        assert!(twice.validate().is_err());
    }
}
