//! How a request says that it is signed: by which version, in its header or its query.

use http::HeaderMap;
use http::header::AUTHORIZATION;
use s3s::{S3Error, S3Result, s3_error};

/// How a request says that it is signed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    V4Header { credential: String, signed_headers: String, signature: String },
    V4Query { credential: String, date: String, signed_headers: String, expires: String, signature: String },
    V2Header { access_key: String, signature: String },
    V2Query { access_key: String, expires: String, signature: String },
}

impl Scheme {
    /// The access key that the request names.
    pub(crate) fn access_key(&self) -> &str {
        match self {
            Self::V4Header { credential, .. } | Self::V4Query { credential, .. } => {
                credential.split_once('/').map_or(credential.as_str(), |(access_key, _)| access_key)
            }
            Self::V2Header { access_key, .. } | Self::V2Query { access_key, .. } => access_key,
        }
    }
}

/// A query that is not signed as it should be.
pub(crate) fn query_error(message: &'static str) -> S3Error {
    s3_error!(AuthorizationQueryParametersError, "{message}")
}

/// Reads how the request is signed. Two ways at once are refused, and so is half a way.
pub(crate) fn scheme_of(headers: &HeaderMap, query: &[(String, String)]) -> S3Result<Option<Scheme>> {
    let mut schemes = [header_scheme(headers)?, v4_query_scheme(query)?, v2_query_scheme(query)?].into_iter().flatten();
    let scheme = schemes.next();
    if schemes.next().is_some() {
        return Err(s3_error!(
            InvalidArgument,
            "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or the Authorization header should be specified"
        ));
    }
    Ok(scheme)
}

fn header_scheme(headers: &HeaderMap) -> S3Result<Option<Scheme>> {
    let unsupported = || s3_error!(InvalidArgument, "Unsupported Authorization Type");
    let mut values = headers.get_all(AUTHORIZATION).into_iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(s3_error!(InvalidArgument, "Only one Authorization header is allowed."));
    }
    let value = value.to_str().map_err(|_| unsupported())?;
    if let Some(fields) = value.strip_prefix("AWS4-HMAC-SHA256") {
        let field = |name: &str| {
            fields.split(',').find_map(|field| field.trim().strip_prefix(name)?.strip_prefix('=')).map(str::to_owned)
        };
        let malformed =
            || s3_error!(AuthorizationHeaderMalformed, "The authorization header that you provided is not valid.");
        let credential = field("Credential").ok_or_else(malformed)?;
        let signed_headers = field("SignedHeaders").ok_or_else(malformed)?;
        let signature = field("Signature").ok_or_else(malformed)?;
        return Ok(Some(Scheme::V4Header { credential, signed_headers, signature }));
    }
    let (access_key, signature) =
        value.strip_prefix("AWS ").and_then(|rest| rest.split_once(':')).ok_or_else(unsupported)?;
    Ok(Some(Scheme::V2Header { access_key: access_key.to_owned(), signature: signature.to_owned() }))
}

fn v4_query_scheme(query: &[(String, String)]) -> S3Result<Option<Scheme>> {
    const NAMES: [&str; 6] = [
        "X-Amz-Algorithm",
        "X-Amz-Credential",
        "X-Amz-Date",
        "X-Amz-Expires",
        "X-Amz-SignedHeaders",
        "X-Amz-Signature",
    ];
    let [algorithm, credential, date, expires, signed_headers, signature] = NAMES.map(|name| only(query, name));
    if algorithm.is_none() && credential.is_none() && signature.is_none() {
        return Ok(None);
    }
    match (algorithm, credential, date, expires, signed_headers, signature) {
        (Some(_), Some(credential), Some(date), Some(expires), Some(signed_headers), Some(signature)) => {
            Ok(Some(Scheme::V4Query { credential, date, signed_headers, expires, signature }))
        }
        _ => Err(query_error(
            "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters, each once.",
        )),
    }
}

fn v2_query_scheme(query: &[(String, String)]) -> S3Result<Option<Scheme>> {
    let [access_key, expires, signature] = ["AWSAccessKeyId", "Expires", "Signature"].map(|name| only(query, name));
    if access_key.is_none() && signature.is_none() {
        return Ok(None);
    }
    match (access_key, expires, signature) {
        (Some(access_key), Some(expires), Some(signature)) => {
            Ok(Some(Scheme::V2Query { access_key, expires, signature }))
        }
        _ => Err(s3_error!(
            AccessDenied,
            "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters"
        )),
    }
}

/// The value of a parameter that stands exactly once.
fn only(query: &[(String, String)], name: &str) -> Option<String> {
    let mut values = query.iter().filter(|(given, _)| given == name).map(|(_, value)| value);
    let value = values.next()?;
    values.next().is_none().then(|| value.clone())
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    fn pairs(query: &str) -> Vec<(String, String)> {
        url::form_urlencoded::parse(query.as_bytes()).into_owned().collect()
    }

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            let name = HeaderName::try_from(*name).expect("a header name");
            map.append(name, http::HeaderValue::try_from(*value).expect("a header value"));
        }
        map
    }

    #[test]
    fn the_access_key_is_read_from_all_four_places() {
        let v4 = headers(&[(
            "authorization",
            "AWS4-HMAC-SHA256 Credential=AK/d/r/s3/aws4_request, SignedHeaders=host,Signature=0",
        )]);
        let v2 = headers(&[("authorization", "AWS AK:c2ln")]);
        let none = HeaderMap::new();
        let v4_query = "X-Amz-Algorithm=A&X-Amz-Credential=AK%2Fd&X-Amz-Date=d&X-Amz-Expires=1&X-Amz-SignedHeaders=host&X-Amz-Signature=0";
        for (headers, query) in
            [(&v4, ""), (&v2, ""), (&none, v4_query), (&none, "AWSAccessKeyId=AK&Expires=1&Signature=s")]
        {
            let scheme = scheme_of(headers, &pairs(query)).expect("readable").expect("signed");
            assert_eq!(scheme.access_key(), "AK");
        }
        assert!(scheme_of(&none, &pairs("prefix=a")).expect("readable").is_none());
    }

    #[test]
    fn half_signed_and_doubly_signed_requests_are_refused() {
        let v2 = headers(&[("authorization", "AWS AK:c2ln")]);
        assert!(scheme_of(&v2, &pairs("AWSAccessKeyId=AK&Expires=1&Signature=s")).is_err());
        assert!(scheme_of(&HeaderMap::new(), &pairs("AWSAccessKeyId=AK")).is_err());
        assert!(scheme_of(&HeaderMap::new(), &pairs("X-Amz-Signature=0")).is_err());
        assert!(
            scheme_of(&HeaderMap::new(), &pairs("AWSAccessKeyId=A&AWSAccessKeyId=B&Expires=1&Signature=s")).is_err()
        );
        assert!(scheme_of(&headers(&[("authorization", "Basic eA==")]), &[]).is_err());
        let twice = headers(&[("authorization", "AWS A:s"), ("authorization", "AWS B:s")]);
        assert!(scheme_of(&twice, &[]).is_err());
    }
}
