//! The raw query string of a link, decoded exactly once.

use percent_encoding::percent_decode;

use crate::{Error, Parameter};

/// The parameters of a link as they were written, each at most once; unknown ones are left out.
#[derive(Debug, Default)]
pub(crate) struct Query {
    pub(crate) user: Option<String>,
    pub(crate) group: Option<String>,
    pub(crate) timestamp: Option<String>,
    pub(crate) signature: Option<String>,
    pub(crate) redirect: Option<String>,
}

impl Query {
    /// Decodes a raw query string (what stands after the `?`).
    pub(crate) fn parse(raw: &str) -> Result<Self, Error> {
        let mut query = Self::default();
        for pair in raw.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decode(name)?, decode(value)?);
            let Some((parameter, place)) = query.place_of(&name) else { continue };
            if place.replace(value).is_some() {
                return Err(Error::Repeated(parameter));
            }
        }
        Ok(query)
    }

    fn place_of(&mut self, name: &str) -> Option<(Parameter, &mut Option<String>)> {
        match name {
            "user" => Some((Parameter::User, &mut self.user)),
            "group" => Some((Parameter::Group, &mut self.group)),
            "timestamp" => Some((Parameter::Timestamp, &mut self.timestamp)),
            "signature" => Some((Parameter::Signature, &mut self.signature)),
            "redirect" => Some((Parameter::Redirect, &mut self.redirect)),
            _unknown => None,
        }
    }
}

/// Undoes form encoding: `+` is a space and each `%` must have its two hexadecimal digits.
fn decode(text: &str) -> Result<String, Error> {
    let bytes = text.as_bytes();
    for (at, _) in bytes.iter().enumerate().filter(|(_, byte)| **byte == b'%') {
        let digits = bytes.get(at + 1..at + 3).ok_or(Error::MalformedQuery)?;
        if !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(Error::MalformedQuery);
        }
    }
    let spaced: Vec<u8> = bytes.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    let decoded = percent_decode(&spaced).decode_utf8().map_err(|_| Error::MalformedQuery)?;
    Ok(decoded.into_owned())
}
