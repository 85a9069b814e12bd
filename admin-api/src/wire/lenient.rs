//! Field readers and writers that take what real peers send.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

use super::UserType;

/// A bool as peers write it.
#[derive(Deserialize)]
#[serde(untagged)]
enum BoolOrText<'a> {
    Bool(bool),
    Text(Cow<'a, str>),
}

/// Reads a bool from a word, in any case: Python clients send `True`.
pub(crate) fn parse_bool(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

pub(super) fn optional_bool<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    match Option::<BoolOrText<'de>>::deserialize(deserializer)? {
        None => Ok(None),
        Some(BoolOrText::Bool(value)) => Ok(Some(value)),
        // Tables that are turned into requests row by row leave such cells empty.
        Some(BoolOrText::Text(text)) if text.is_empty() => Ok(None),
        Some(BoolOrText::Text(text)) => {
            parse_bool(&text).map(Some).ok_or_else(|| D::Error::custom("neither true nor false"))
        }
    }
}

/// What is not said, or null, is active.
pub(super) fn active<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(optional_bool(deserializer)?.unwrap_or(true))
}

/// What is not said, or null, is off.
pub(super) fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(optional_bool(deserializer)?.unwrap_or(false))
}

/// Null is the empty text.
pub(super) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.unwrap_or_default())
}

/// Null is every endpoint.
pub(super) fn endpoints<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Ok(Option::<Vec<String>>::deserialize(deserializer)?.unwrap_or_else(all))
}

pub(super) fn optional_user_type<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<UserType>, D::Error> {
    match Option::<String>::deserialize(deserializer)? {
        None => Ok(None),
        Some(text) => text.parse().map(Some).map_err(|error| D::Error::custom(format_args!("userType is {error}"))),
    }
}

pub(super) fn bool_as_text<S: Serializer>(value: &bool, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(if *value { "true" } else { "false" })
}

pub(super) fn optional_bool_as_text<S: Serializer>(value: &Option<bool>, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => bool_as_text(value, serializer),
        None => serializer.serialize_none(),
    }
}

pub(super) fn yes() -> bool {
    true
}

pub(super) fn all() -> Vec<String> {
    vec!["ALL".to_owned()]
}
