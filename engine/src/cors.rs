//! Which pages of other origins a browser may let into a bucket.

use serde::{Deserialize, Serialize};

use crate::{Error, Result, RuleError};

/// Most rules of a bucket, as in S3.
pub const CORS_RULES_MAX: usize = 100;
const METHODS: [&str; 5] = ["GET", "PUT", "HEAD", "POST", "DELETE"];

/// The rules of a bucket; the first that fits counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CorsRules(Vec<CorsRule>);

/// A rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CorsRule {
    /// Its name, for people.
    pub id: Option<String>,
    /// Origins, with one `*` at most in each.
    pub allowed_origins: Vec<String>,
    /// Methods of HTTP.
    pub allowed_methods: Vec<String>,
    /// Headers that may be sent, with one `*` at most in each.
    pub allowed_headers: Vec<String>,
    /// Headers that may be read.
    pub expose_headers: Vec<String>,
    /// How long a browser may remember the answer.
    pub max_age_seconds: Option<u32>,
}

impl CorsRules {
    /// Checks rules. [`Error::Invalid`], [`RuleError::UnsupportedCors`].
    pub fn new(rules: Vec<CorsRule>) -> Result<Self> {
        if rules.is_empty() || rules.len() > CORS_RULES_MAX {
            return Err(Error::invalid("number of CORS rules", format!("must be 1 to {CORS_RULES_MAX}")));
        }
        for rule in &rules {
            rule.check()?;
        }
        Ok(Self(rules))
    }

    /// The rules.
    pub fn rules(&self) -> &[CorsRule] {
        &self.0
    }

    /// The rule for a request of an origin by a method with headers; `None` when there is none, and the page is let in nowhere.
    pub fn find(&self, origin: &str, method: &str, headers: &[&str]) -> Option<&CorsRule> {
        self.0.iter().find(|rule| {
            rule.allows_origin(origin)
                && rule.allowed_methods.iter().any(|allowed| allowed == method)
                && headers.iter().all(|header| rule.allows_header(header))
        })
    }
}

impl CorsRule {
    fn check(&self) -> Result<()> {
        let wildcards = |text: &String| text.matches('*').count();
        if self.allowed_origins.is_empty() || self.allowed_methods.is_empty() {
            return Err(Error::invalid("CORS rule", "must name origins and methods"));
        }
        if self.allowed_origins.iter().chain(&self.allowed_headers).any(|text| wildcards(text) > 1) {
            return Err(RuleError::UnsupportedCors(
                "AllowedOrigin and AllowedHeader can not have more than one wildcard.",
            )
            .into());
        }
        if self.expose_headers.iter().any(|text| wildcards(text) > 0) {
            return Err(RuleError::UnsupportedCors(
                "ExposeHeader contains wildcard. We currently do not support wildcard for ExposeHeader.",
            )
            .into());
        }
        if !self.allowed_methods.iter().all(|method| METHODS.contains(&method.as_str())) {
            return Err(RuleError::UnsupportedCors("Found unsupported HTTP method in CORS config.").into());
        }
        Ok(())
    }

    fn allows_origin(&self, origin: &str) -> bool {
        self.allowed_origins.iter().any(|allowed| fits(allowed, origin))
    }

    fn allows_header(&self, header: &str) -> bool {
        let header = header.to_ascii_lowercase();
        self.allowed_headers.iter().any(|allowed| fits(&allowed.to_ascii_lowercase(), &header))
    }

    /// Whether it lets every origin in, and need not say which.
    pub fn is_for_all(&self) -> bool {
        self.allowed_origins.iter().any(|allowed| allowed == "*")
    }
}

/// Whether a text is of a pattern with one `*` at most.
fn fits(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((before, after)) => {
            text.len() >= before.len() + after.len() && text.starts_with(before) && text.ends_with(after)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(origins: &[&str], methods: &[&str], headers: &[&str]) -> CorsRule {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        CorsRule {
            allowed_origins: texts(origins),
            allowed_methods: texts(methods),
            allowed_headers: texts(headers),
            ..CorsRule::default()
        }
    }

    #[test]
    fn the_first_rule_that_fits_counts() {
        let rules = CorsRules::new(vec![
            rule(&["https://*.lan"], &["GET", "PUT"], &["x-amz-*", "Authorization"]),
            rule(&["*"], &["GET"], &[]),
        ])
        .expect("rules");
        let found = |origin, method, headers: &[&str]| rules.find(origin, method, headers).map(CorsRule::is_for_all);
        assert_eq!(found("https://a.lan", "PUT", &["X-Amz-Date", "authorization"]), Some(false));
        assert_eq!(found("https://a.lan", "PUT", &["content-type"]), None);
        assert_eq!(found("https://b.org", "GET", &[]), Some(true));
        assert_eq!(found("https://b.org", "GET", &["x-amz-date"]), None);
        assert_eq!(found("https://b.org", "PUT", &[]), None);
        assert_eq!(found("https://.lan", "GET", &[]), Some(false));
        assert_eq!(found("https:/.lan", "GET", &[]), Some(true));
    }

    #[test]
    fn rules_that_say_nothing_are_refused() {
        assert!(CorsRules::new(vec![]).is_err());
        for bad in [
            rule(&[], &["GET"], &[]),
            rule(&["*"], &[], &[]),
            rule(&["*.*"], &["GET"], &[]),
            rule(&["*"], &["PATCH"], &[]),
            rule(&["*"], &["GET"], &["*-*"]),
        ] {
            assert!(CorsRules::new(vec![bad.clone()]).is_err(), "{bad:?}");
        }
    }
}
