//! Which bucket a host name means: virtual-host style beneath the configured base domains, path style everywhere else.

use s3s::host::{S3Host, VirtualHost};

use crate::Settings;

/// The base domains, in lower case.
#[derive(Clone, Debug)]
pub(crate) struct Hosts(Vec<String>);

impl Hosts {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self::of(&settings.base_domains)
    }

    pub(crate) fn of(domains: &[String]) -> Self {
        Self(domains.iter().map(|domain| domain.to_ascii_lowercase()).collect())
    }

    /// Whether a host is one of the domains, or beneath one.
    pub(crate) fn covers(&self, host: &str) -> bool {
        let host = bare(host);
        self.0.iter().any(|domain| is_beneath(&host, domain))
    }

    /// The names that the bucket may have whose website a host shows: what stands before the domain, and the whole host name.
    pub(crate) fn websites(&self, host: &str) -> Option<Vec<String>> {
        self.covers(host).then(|| self.bucket(host).into_iter().chain([bare(host)]).collect())
    }

    /// The bucket that a `Host` header names, in lower case; `None` is path style. A domain that is a part of another wins by length.
    pub(crate) fn bucket(&self, host: &str) -> Option<String> {
        let host = bare(host);
        let domain = self.0.iter().filter(|domain| is_beneath(&host, domain)).max_by_key(|domain| domain.len())?;
        let bucket = host.strip_suffix(domain.as_str())?.strip_suffix('.')?;
        (!bucket.is_empty()).then(|| bucket.to_owned())
    }
}

/// A host name alone, in lower case.
fn bare(host: &str) -> String {
    without_port(host).trim_end_matches('.').to_ascii_lowercase()
}

fn is_beneath(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain).is_some_and(|front| front.is_empty() || front.ends_with('.'))
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !name.ends_with(':') => name,
        Some(_) | None => host,
    }
}

impl S3Host for Hosts {
    fn parse_host_header<'a>(&'a self, host: &'a str) -> s3s::S3Result<VirtualHost<'a>> {
        let found = VirtualHost::new(host);
        Ok(match self.bucket(host) {
            Some(bucket) => found.with_bucket(bucket),
            None => found,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_website_has_the_name_of_its_host_or_what_stands_before_the_domain() {
        let hosts = Hosts::of(&["web.lan".to_owned()]);
        let names = |host: &str| hosts.websites(host).map(|names| names.join(" "));
        assert_eq!(names("Photos.web.lan:80").as_deref(), Some("photos photos.web.lan"));
        assert_eq!(names("web.lan").as_deref(), Some("web.lan"));
        assert_eq!(names("photos.lan"), None);
        assert_eq!(names("xweb.lan"), None);
    }

    #[test]
    fn only_names_beneath_a_base_domain_are_buckets() {
        let base_domains = vec!["s3.example.lan".to_owned(), "Eu.s3.example.lan".to_owned()];
        let hosts = Hosts::new(&Settings { base_domains, ..Settings::default() });
        let cases = [
            ("photos.s3.example.lan", Some("photos")),
            ("Photos.S3.example.lan:9000", Some("photos")),
            ("a.b.s3.example.lan.", Some("a.b")),
            ("photos.eu.s3.example.lan", Some("photos")),
            ("eu.s3.example.lan", None),
            ("s3.example.lan", None),
            ("s3.example.lan:9000", None),
            ("other.lan", None),
            ("photos.other.lan:80", None),
            ("xs3.example.lan", None),
            ("10.0.0.1:9000", None),
            ("[::1]:9000", None),
            ("", None),
        ];
        for (host, bucket) in cases {
            assert_eq!(hosts.bucket(host).as_deref(), bucket, "{host}");
        }
    }
}
