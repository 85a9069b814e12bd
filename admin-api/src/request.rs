//! A request as the handlers see it: parameters and a body, read the way real clients write them.

use std::str::FromStr;

use axum::{body::to_bytes, extract::Request};
use bytes::Bytes;
use engine::Caller;
use http::StatusCode;
use percent_encoding::percent_decode;
use serde::de::DeserializeOwned;
use tokio::time::{Duration, timeout};

use crate::{error::Refusal, wire::parse_bool};

/// No object of this API comes near it.
const BODY_SIZE_BYTES_MAX: usize = 1 << 20;
/// The time a body may take to arrive.
const BODY_TIME_MAX: Duration = Duration::from_secs(30);

/// Text in UTF-8; in Latin-1 when it is not that. CloudStack's plug-in sends Latin-1 and says nothing about it.
pub(crate) fn decode_text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().copied().map(char::from).collect(),
    }
}

/// The parameters of a query. They may hold secrets, so there is no way to print them.
pub(crate) struct Params(Vec<(String, String)>);

impl Params {
    pub(crate) fn parse(query: &str) -> Self {
        let decode = |part: &str| {
            let spaced = part.replace('+', " ");
            decode_text(&percent_decode(spaced.as_bytes()).collect::<Vec<u8>>())
        };
        let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        });
        Self(pairs.collect())
    }

    /// The first value of that name which is not empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let mut values = self.0.iter().filter(|(known, value)| known == name && !value.is_empty());
        values.next().map(|(_, value)| value.as_str())
    }

    pub(crate) fn required(&self, name: &str) -> Result<&str, Refusal> {
        self.get(name).ok_or_else(|| Refusal::bad_request(format!("Parameter {name} is missing")))
    }

    /// A bool in any case: Python clients send `True`.
    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>, Refusal> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        let value = parse_bool(text);
        value.map(Some).ok_or_else(|| Refusal::bad_request(format!("Parameter {name} is neither true nor false")))
    }

    /// A value of a known set or a number.
    pub(crate) fn parsed<T: FromStr>(&self, name: &str) -> Result<Option<T>, Refusal> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        text.parse().map(Some).map_err(|_| Refusal::bad_request(format!("Parameter {name} has no known value")))
    }
}

/// A request after its body was read.
pub(crate) struct Call {
    caller: Caller,
    params: Params,
    body: Bytes,
}

impl Call {
    /// Reads the whole request. Every request may carry a body, whatever its method and with or without a content type;
    /// where nothing is expected in it, nobody looks at it.
    pub(crate) async fn read(request: Request, caller: Caller) -> Result<Self, Refusal> {
        let params = Params::parse(request.uri().query().unwrap_or_default());
        let read = timeout(BODY_TIME_MAX, to_bytes(request.into_body(), BODY_SIZE_BYTES_MAX)).await;
        match read {
            Ok(Ok(body)) => Ok(Self { caller, params, body }),
            Ok(Err(error)) if is_too_large(&error) => {
                Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "The body is larger than 1 MiB"))
            }
            Ok(Err(_)) => Err(Refusal::bad_request("The body could not be read")),
            Err(_) => Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, "The body did not arrive in time")),
        }
    }

    /// Who the request proved to be.
    pub(crate) fn caller(&self) -> &Caller {
        &self.caller
    }

    pub(crate) fn params(&self) -> &Params {
        &self.params
    }

    /// The object in the body.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        if self.body.is_empty() {
            return Err(Refusal::bad_request("The body is missing"));
        }
        serde_json::from_str(&decode_text(&self.body))
            .map_err(|error| Refusal::bad_request(format!("The body is not the JSON object expected: {error}")))
    }
}

fn is_too_large(error: &axum::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if cause.is::<http_body_util::LengthLimitError>() {
            return true;
        }
        source = cause.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_arrive_encoded_raw_and_in_latin_1() {
        let params = Params::parse("a=x%20y&b=x+y&c=g|u&d=*&e=Jos%C3%A9&f=Jos%E9&g=100%&h&=z&i==");
        let expected = [
            ("a", "x y"),
            ("b", "x y"),
            ("c", "g|u"),
            ("d", "*"),
            ("e", "José"),
            ("f", "José"),
            ("g", "100%"),
            ("i", "="),
        ];
        for (name, value) in expected {
            assert_eq!(params.get(name), Some(value), "{name}");
        }
        assert_eq!(params.get("h"), None);
        assert!(params.required("h").is_err());
    }

    #[test]
    fn the_first_value_counts() {
        assert_eq!(Params::parse("a=&a=1&a=2").get("a"), Some("1"));
    }

    #[test]
    fn bools_come_in_any_case() {
        let params = Params::parse("a=True&b=FALSE&c=1");
        assert_eq!(params.flag("a").unwrap(), Some(true));
        assert_eq!(params.flag("b").unwrap(), Some(false));
        assert_eq!(params.flag("x").unwrap(), None);
        assert!(params.flag("c").is_err());
    }

    #[test]
    fn numbers_are_numbers() {
        let params = Params::parse("a=17&b=-1");
        assert_eq!(params.parsed::<u32>("a").unwrap(), Some(17));
        assert!(params.parsed::<u32>("b").is_err());
    }
}
