//! The `[s3]` section of the configuration.

use serde::{Deserialize, Serialize};

use crate::host::Hosts;

/// How the S3 endpoint answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Domains under which a bucket is a host name (`bucket.s3.example.lan`); without port. Any other host means path style.
    pub base_domains: Vec<String>,
    /// Domains under which a bucket's website is shown (`bucket.web.example.lan`), to whoever asks; without port. A bucket whose name is the
    /// whole host name is shown there as well, where no other bucket is meant.
    pub website_domains: Vec<String>,
    /// The region that is reported. Requests may name any region in their signature.
    pub region: String,
    /// Origins whose pages may read answers; `*` is every one. Requests are signed and carry no cookies, so this opens nothing.
    pub cors_allow_origins: Vec<String>,
    /// Whether the keys of customers (SSE-C) are taken over TLS only. Switch it off only behind a proxy that ends TLS on this machine.
    pub customer_keys_need_tls: bool,
    /// How far the clock of a client may be off, in seconds, for every kind of signature.
    pub skew_seconds_max: u32,
    /// How far in the future a link signed with signature version 2 may expire, in seconds. (Version 4 has its own limit of 7 days.)
    pub v2_expires_seconds_max: u32,
    /// Largest XML document of a request, in bytes. It is held in memory.
    pub document_size_bytes_max: usize,
    /// Largest sum of the announced sizes of all documents that are read or answered at one time, in bytes. A request beyond it is
    /// told to come again (503 `SlowDown`).
    pub documents_size_bytes_max: usize,
    /// Largest signed chunk of a body in `STREAMING-AWS4-HMAC-SHA256-PAYLOAD` framing, in bytes. It is held in memory until its
    /// signature was checked.
    pub signed_chunk_size_bytes_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            base_domains: Vec::new(),
            website_domains: Vec::new(),
            region: "us-east-1".to_owned(),
            cors_allow_origins: vec!["*".to_owned()],
            customer_keys_need_tls: true,
            skew_seconds_max: 15 * 60,
            v2_expires_seconds_max: 7 * 24 * 60 * 60,
            document_size_bytes_max: 20 << 20,
            documents_size_bytes_max: 256 << 20,
            signed_chunk_size_bytes_max: 16 << 20,
        }
    }
}

/// Why the section is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("s3.{field}: {why}")]
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
        let refuse = |field, why: String| Err(InvalidSettings { field, why });
        if let Some(domain) = self.base_domains.iter().find(|domain| !is_domain(domain)) {
            return refuse("base_domains", format!("{domain:?} is not a domain name (no scheme, port or path)"));
        }
        if let Some(domain) = self.website_domains.iter().find(|domain| !is_domain(domain)) {
            return refuse("website_domains", format!("{domain:?} is not a domain name (no scheme, port or path)"));
        }
        let websites = Hosts::of(&self.website_domains);
        if let Some(domain) = self.base_domains.iter().find(|domain| websites.covers(domain)) {
            return refuse("website_domains", format!("s3.base_domains has {domain:?}, which would be a website"));
        }
        if self.region.is_empty() || !self.region.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            return refuse("region", format!("{:?} may hold only letters, digits and '-'", self.region));
        }
        if let Some(origin) = self.cors_allow_origins.iter().find(|origin| !is_origin(origin)) {
            return refuse("cors_allow_origins", format!("{origin:?} is neither \"*\" nor like \"https://host:port\""));
        }
        if self.document_size_bytes_max < 64 << 10 {
            return refuse("document_size_bytes_max", "must be at least 65536".to_owned());
        }
        if self.documents_size_bytes_max < self.document_size_bytes_max {
            return refuse("documents_size_bytes_max", "must be at least s3.document_size_bytes_max".to_owned());
        }
        if self.signed_chunk_size_bytes_max < 128 << 10 {
            return refuse("signed_chunk_size_bytes_max", "must be at least 131072, which SDKs send".to_owned());
        }
        Ok(())
    }
}

fn is_domain(text: &str) -> bool {
    let label =
        |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    !text.is_empty() && text.split('.').all(label) && text.parse::<std::net::IpAddr>().is_err()
}

fn is_origin(text: &str) -> bool {
    text == "*"
        || !text.contains('*')
            && url::Url::parse(text).is_ok_and(|url| url.has_host() && url.origin().ascii_serialization() == *text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field_refused(settings: &Settings) -> Option<&'static str> {
        settings.validate().err().map(|error| error.field)
    }

    #[test]
    fn defaults_are_valid() {
        assert_eq!(field_refused(&Settings::default()), None);
    }

    #[test]
    fn wrong_values_are_named() {
        let domains = |text: &str| Settings { base_domains: vec![text.to_owned()], ..Settings::default() };
        assert_eq!(field_refused(&domains("s3.example.lan")), None);
        for bad in ["http://s3.example.lan", "s3.example.lan:9000", "", "10.0.0.1", "a..b", "a/b"] {
            assert_eq!(field_refused(&domains(bad)), Some("base_domains"), "{bad}");
        }
        let websites = |text: &str| Settings {
            website_domains: vec![text.to_owned()],
            base_domains: vec!["s3.example.lan".to_owned()],
            ..Settings::default()
        };
        assert_eq!(field_refused(&websites("web.example.lan")), None);
        for bad in ["http://web.example.lan", "s3.example.lan", "example.lan"] {
            assert_eq!(field_refused(&websites(bad)), Some("website_domains"), "{bad}");
        }
        let origins = |text: &str| Settings { cors_allow_origins: vec![text.to_owned()], ..Settings::default() };
        assert_eq!(field_refused(&origins("https://cloud.example.lan:8443")), None);
        for bad in ["cloud.example.lan", "https://cloud.example.lan/", "https://*"] {
            assert_eq!(field_refused(&origins(bad)), Some("cors_allow_origins"), "{bad}");
        }
        let region = Settings { region: "a b".to_owned(), ..Settings::default() };
        assert_eq!(field_refused(&region), Some("region"));
        let all = Settings { documents_size_bytes_max: 1 << 20, ..Settings::default() };
        assert_eq!(field_refused(&all), Some("documents_size_bytes_max"));
    }
}
