//! What a request tells of itself, for the conditions of policies. It is looked at only when a policy asks.

use std::net::IpAddr;
use std::sync::Arc;

use engine::{Clock, Facts, RequestFacts};
use http::header::{AUTHORIZATION, REFERER, USER_AGENT};
use http::{HeaderMap, Uri};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Where a request comes from, and what it says.
struct Told {
    peer: Option<IpAddr>,
    is_secure: bool,
    headers: HeaderMap,
    query: Option<String>,
    clock: Clock,
    request_id: String,
}

/// Headers carry signatures, tokens and the keys of customers: none of them belongs into a log.
impl std::fmt::Debug for Told {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Told").field("peer", &self.peer).field("is_secure", &self.is_secure).finish_non_exhaustive()
    }
}

/// The facts of a request.
pub(crate) fn of(
    peer: Option<IpAddr>,
    is_secure: bool,
    headers: &HeaderMap,
    uri: &Uri,
    clock: &Clock,
    request_id: &str,
) -> Facts {
    Facts::new(Arc::new(Told {
        peer,
        is_secure,
        headers: headers.clone(),
        query: uri.query().map(str::to_owned),
        clock: clock.clone(),
        request_id: request_id.to_owned(),
    }))
}

impl Told {
    fn header(&self, name: &str) -> Option<String> {
        Some(self.headers.get(name)?.to_str().ok()?.trim().to_owned())
    }

    fn parameter(&self, wanted: &str) -> Option<String> {
        let query = self.query.as_deref().unwrap_or_default();
        let mut pairs = url::form_urlencoded::parse(query.as_bytes());
        pairs.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.into_owned())
    }

    fn now(&self) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(self.clock.now_us() / 1_000_000).unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }

    /// How the request was signed: the kind of place, and the version.
    fn signature(&self) -> (Option<&'static str>, Option<&'static str>) {
        let header = self.headers.get(AUTHORIZATION).map_or(&b""[..], |value| value.as_bytes());
        if header.starts_with(b"AWS4-HMAC-SHA256") {
            return (Some("REST-HEADER"), Some("AWS4-HMAC-SHA256"));
        }
        if header.starts_with(b"AWS ") {
            return (Some("REST-HEADER"), Some("AWS"));
        }
        if self.parameter("X-Amz-Signature").is_some() {
            return (Some("REST-QUERY-STRING"), Some("AWS4-HMAC-SHA256"));
        }
        if self.parameter("Signature").is_some() {
            return (Some("REST-QUERY-STRING"), Some("AWS"));
        }
        (None, None)
    }
}

impl RequestFacts for Told {
    fn values(&self, name: &str) -> Option<Vec<String>> {
        let value = match name {
            "aws:sourceip" => self.peer.map(|peer| peer.to_canonical().to_string()),
            // No condition of S3, but what is told of a change names it.
            "cloudhold:requestid" => Some(self.request_id.clone()),
            "aws:securetransport" => Some(self.is_secure.to_string()),
            "aws:referer" => self.header(REFERER.as_str()),
            "aws:useragent" => self.header(USER_AGENT.as_str()),
            "aws:currenttime" => self.now().format(&Rfc3339).ok(),
            "aws:epochtime" => Some(self.now().unix_timestamp().to_string()),
            "s3:prefix" | "s3:delimiter" | "s3:max-keys" | "s3:versionid" => self.parameter(&name[3..]),
            "s3:authtype" => self.signature().0.map(str::to_owned),
            "s3:signatureversion" => self.signature().1.map(str::to_owned),
            _ => self.header(name.strip_prefix("s3:").filter(|header| header.starts_with("x-amz-"))?),
        };
        value.map(|value| vec![value])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_read_from_where_they_stand() {
        let headers: HeaderMap = [
            ("referer", "https://a.lan/"),
            ("x-amz-acl", "private"),
            ("authorization", "AWS4-HMAC-SHA256 Credential=x"),
        ]
        .into_iter()
        .map(|(name, value)| (name.parse().expect("name"), value.parse().expect("value")))
        .collect();
        let uri: Uri = "/b?prefix=a%2Fb&max-keys=10&versionId=v".parse().expect("a target");
        let told = Told {
            peer: Some("::ffff:10.0.0.1".parse().expect("an address")),
            is_secure: false,
            headers,
            query: uri.query().map(str::to_owned),
            clock: Clock::system(),
            request_id: "R".to_owned(),
        };
        assert!(!format!("{told:?}").contains("Credential"), "no signature in a log");
        let value = |name: &str| told.values(name).map(|values| values.join("|"));
        assert_eq!(value("aws:sourceip").as_deref(), Some("10.0.0.1"));
        assert_eq!(value("aws:securetransport").as_deref(), Some("false"));
        assert_eq!(value("aws:referer").as_deref(), Some("https://a.lan/"));
        assert_eq!(value("s3:prefix").as_deref(), Some("a/b"));
        assert_eq!(value("s3:max-keys").as_deref(), Some("10"));
        assert_eq!(value("s3:versionid").as_deref(), Some("v"));
        assert_eq!(value("s3:x-amz-acl").as_deref(), Some("private"));
        assert_eq!(value("s3:authtype").as_deref(), Some("REST-HEADER"));
        assert_eq!(value("s3:x-amz-copy-source"), None);
        assert_eq!(value("s3:authorization"), None);
        assert_eq!(value("aws:unknown"), None);
    }
}
