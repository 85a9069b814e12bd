//! What a request tells of itself, for the conditions of policies. It is looked at only when a policy asks.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::ConnectInfo;
use engine::{Clock, Facts, RequestFacts};
use http::header::{AUTHORIZATION, DATE, REFERER, USER_AGENT};
use http::{Extensions, HeaderMap, Uri};
use s3s::{S3Result, s3_error};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::Settings;
use crate::auth::parse_date;
use crate::operations::is_subresource;

/// Where a request comes from, and what it says.
struct Told {
    peer: Option<IpAddr>,
    is_secure: bool,
    /// The headers of the request; of a form, its fields, and of the request only what says nothing about the object.
    headers: HeaderMap,
    query: Option<String>,
    /// Where a proof stands that is in no header and no query, and of which version it is.
    proof_beside: Option<(&'static str, &'static str)>,
    clock: Clock,
    settings: Arc<Settings>,
    request_id: String,
}

/// Parameters that conditions of policies may be about.
const PARAMETERS: [(&str, &str); 4] = [
    ("s3:prefix", "prefix"),
    ("s3:delimiter", "delimiter"),
    ("s3:max-keys", "max-keys"),
    ("s3:versionid", "versionId"),
];
/// Longest header or parameter that a condition may be about: comparing takes time in its length.
const VALUE_BYTES_MAX: usize = 8 << 10;
/// So much of what a client says of itself is looked at.
const SELF_BYTES_MAX: usize = 2 << 10;

/// Whether conditions may be about a header.
fn is_compared(header: &str) -> bool {
    header.starts_with("x-amz-") || matches!(header, "if-match" | "if-none-match")
}

/// Refuses a request of which policies could be told something else than is done: a parameter that stands twice, or what is too long to be
/// compared. Of a sub-resource that stands twice a signature of version 2 covers nothing, and it would still choose the operation.
pub(crate) fn check(headers: &HeaderMap, uri: &Uri) -> S3Result {
    let too_long = |what: &str| s3_error!(InvalidRequest, "{what} is longer than {VALUE_BYTES_MAX} bytes.");
    if let Some((name, _)) =
        headers.iter().find(|(name, value)| is_compared(name.as_str()) && value.len() > VALUE_BYTES_MAX)
    {
        return Err(too_long(&format!("The header {name}")));
    }
    let mut met = BTreeSet::new();
    for (name, value) in url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
        let is_compared = PARAMETERS.iter().any(|(_, compared)| *compared == name);
        if is_compared && value.len() > VALUE_BYTES_MAX {
            return Err(too_long(&format!("The parameter {name}")));
        }
        if (is_compared || is_subresource(&name)) && !met.insert(name.clone()) {
            return Err(s3_error!(InvalidArgument, "The parameter {name} stands twice."));
        }
    }
    Ok(())
}

/// Headers carry signatures, tokens and the keys of customers: none of them belongs into a log.
impl std::fmt::Debug for Told {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Told").field("peer", &self.peer).field("is_secure", &self.is_secure).finish_non_exhaustive()
    }
}

/// The address that a request came from.
pub(crate) fn peer_of(extensions: &Extensions) -> Option<IpAddr> {
    extensions.get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip())
}

/// The facts of a request.
pub(crate) fn of(
    peer: Option<IpAddr>,
    is_secure: bool,
    headers: &HeaderMap,
    uri: &Uri,
    (clock, settings): (&Clock, &Arc<Settings>),
    request_id: &str,
) -> Facts {
    Facts::new(Arc::new(Told {
        peer,
        is_secure,
        headers: headers.clone(),
        query: uri.query().map(str::to_owned),
        proof_beside: None,
        clock: clock.clone(),
        settings: settings.clone(),
        request_id: request_id.to_owned(),
    }))
}

/// Where a form comes from, for facts that are told of it.
pub(crate) struct FormSender<'a> {
    pub(crate) peer: Option<IpAddr>,
    pub(crate) is_secure: bool,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) clock: &'a Clock,
    pub(crate) settings: &'a Arc<Settings>,
    pub(crate) request_id: &'a str,
}

impl FormSender<'_> {
    /// The facts of a form: what it asks for stands in its fields, whatever the headers of the request say.
    pub(crate) fn facts(&self, fields: &HeaderMap, proof: Option<&'static str>) -> Facts {
        let mut headers = fields.clone();
        for name in [REFERER, USER_AGENT] {
            headers.remove(&name);
            if let Some(value) = self.headers.get(&name) {
                headers.insert(name, value.clone());
            }
        }
        Facts::new(Arc::new(Told {
            peer: self.peer,
            is_secure: self.is_secure,
            headers,
            query: None,
            proof_beside: proof.map(|version| ("POST", version)),
            clock: self.clock.clone(),
            settings: self.settings.clone(),
            request_id: self.request_id.to_owned(),
        }))
    }
}

impl Told {
    fn header(&self, name: &str) -> Option<String> {
        Some(self.headers.get(name)?.to_str().ok()?.trim().to_owned())
    }

    fn parameter(&self, wanted: &str) -> Option<String> {
        let query = self.query.as_deref().unwrap_or_default();
        let mut pairs = url::form_urlencoded::parse(query.as_bytes());
        // As the protocol layer reads it: with its case.
        pairs.find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned())
    }

    /// What a client says of itself.
    fn of_itself(&self, name: &str) -> Option<String> {
        let mut value = self.header(name)?;
        value.truncate(value.floor_char_boundary(SELF_BYTES_MAX));
        Some(value)
    }

    fn now(&self) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(self.clock.now_us() / 1_000_000).unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }

    /// How the request was signed: the kind of place, and the version.
    fn signature(&self) -> (Option<&'static str>, Option<&'static str>) {
        if let Some((place, version)) = self.proof_beside {
            return (Some(place), Some(version));
        }
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

    /// How long ago the request was signed, in milliseconds, where it says when: links of version 2 say only how long they live.
    fn signature_age_ms(&self) -> Option<i64> {
        self.signature().1?;
        let signed = self.parameter("X-Amz-Date").or_else(|| self.header("x-amz-date"));
        let signed =
            signed.or_else(|| self.header(DATE.as_str()).filter(|_| self.signature().0 == Some("REST-HEADER")));
        let signed_ms = parse_date(&signed?)?.unix_timestamp().saturating_mul(1_000);
        Some(self.clock.now_ms().saturating_sub(signed_ms).max(0))
    }
}

impl RequestFacts for Told {
    fn values(&self, name: &str) -> Option<Vec<String>> {
        let value = match name {
            "aws:sourceip" => self.peer.map(|peer| peer.to_canonical().to_string()),
            // No condition of S3, but what is told of a change names it.
            "cloudhold:requestid" => Some(self.request_id.clone()),
            "aws:securetransport" => Some(self.is_secure.to_string()),
            "aws:referer" => self.of_itself(REFERER.as_str()),
            "aws:useragent" => self.of_itself(USER_AGENT.as_str()),
            "aws:currenttime" => self.now().format(&Rfc3339).ok(),
            "aws:epochtime" => Some(self.now().unix_timestamp().to_string()),
            "aws:requestedregion" => Some(self.settings.region.clone()),
            "s3:signatureage" => self.signature_age_ms().map(|age_ms| age_ms.to_string()),
            "s3:authtype" => self.signature().0.map(str::to_owned),
            "s3:signatureversion" => self.signature().1.map(str::to_owned),
            _ => match PARAMETERS.iter().find(|(fact, _)| *fact == name) {
                Some((_, parameter)) => self.parameter(parameter),
                None => self.header(name.strip_prefix("s3:").filter(|header| is_compared(header))?),
            },
        };
        value.map(|value| vec![value])
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn told(headers: HeaderMap, uri: &str) -> Told {
        let uri: Uri = uri.parse().expect("a target");
        Told {
            peer: Some("::ffff:10.0.0.1".parse().expect("an address")),
            is_secure: false,
            headers,
            query: uri.query().map(str::to_owned),
            proof_beside: None,
            clock: Clock::system(),
            settings: Arc::new(Settings { region: "lan-1".to_owned(), ..Settings::default() }),
            request_id: "R".to_owned(),
        }
    }

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
        let told = told(headers, "/b?prefix=a%2Fb&max-keys=10&versionId=v&Delimiter=x");
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
        assert_eq!(value("s3:delimiter"), None, "the protocol layer reads no such name");
        assert_eq!(value("s3:x-amz-copy-source"), None);
        assert_eq!(value("s3:authorization"), None);
        assert_eq!(value("aws:requestedregion").as_deref(), Some("lan-1"));
        assert_eq!(value("s3:signatureage"), None, "it does not say when it was signed");
        assert_eq!(value("aws:unknown"), None);
    }

    #[test]
    fn a_signature_has_an_age_where_its_time_is_said() {
        let basic = time::macros::format_description!("[year][month][day]T[hour][minute][second]Z");
        let signed = OffsetDateTime::now_utc() - Duration::from_secs(3_600);
        let date = signed.format(basic).expect("a date");
        let age_s = |told: &Told| told.values("s3:signatureage")?.first()?.parse::<i64>().ok().map(|ms| ms / 1_000);
        let is_an_hour = |age_s: Option<i64>| age_s.is_some_and(|age_s| (3_600..4_200).contains(&age_s));
        let link = told(HeaderMap::new(), &format!("/b/k?X-Amz-Date={date}&X-Amz-Signature=0"));
        assert!(is_an_hour(age_s(&link)));
        let of = |pairs: &[(&'static str, &str)]| {
            let pairs = pairs.iter().map(|(name, value)| (name.parse().expect("name"), value.parse().expect("value")));
            told(pairs.collect(), "/b/k")
        };
        assert!(is_an_hour(age_s(&of(&[("authorization", "AWS4-HMAC-SHA256 Credential=x"), ("x-amz-date", &date)]))));
        assert_eq!(age_s(&of(&[("x-amz-date", &date)])), None, "nobody signed");
        let old = told(HeaderMap::new(), "/b/k?AWSAccessKeyId=a&Expires=1&Signature=0");
        assert_eq!(age_s(&old), None);
    }

    #[test]
    fn what_could_be_told_otherwise_than_it_is_done_is_refused() {
        let checked = |uri: &str| check(&HeaderMap::new(), &uri.parse().expect("a target")).is_ok();
        assert!(checked("/b?prefix=a&Prefix=b&delimiter=/"));
        assert!(!checked("/b?prefix=a&prefix=b"));
        assert!(!checked("/b?versionId=a&x=y&versionId=b"));
        assert!(!checked(&format!("/b?prefix={}", "a".repeat(VALUE_BYTES_MAX + 1))));
        let long = |name: &'static str| {
            let value = "a".repeat(VALUE_BYTES_MAX + 1).parse().expect("a value");
            HeaderMap::from_iter([(http::HeaderName::from_static(name), value)])
        };
        let plain = "/b".parse().expect("a target");
        assert!(check(&long("x-amz-copy-source"), &plain).is_err());
        assert!(check(&long("user-agent"), &plain).is_ok());
        let agent = told(long("user-agent"), "/b").values("aws:useragent").expect("an agent");
        assert_eq!(agent[0].len(), SELF_BYTES_MAX);
    }
}
