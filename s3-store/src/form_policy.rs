//! The signed policy of a form: who made it, until when it counts, and which fields it allows.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use http::StatusCode;
use s3s::{S3Error, S3Result, s3_error};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};
use sha1::Sha1;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::error::custom;
use crate::region;

type Fields = BTreeMap<String, String>;

/// Fields that need no condition: they prove the form, or are not kept.
const FREE: [&str; 4] = ["awsaccesskeyid", "signature", "policy", "x-amz-signature"];

/// How a form proves who made its policy.
#[derive(Debug)]
pub(crate) enum Proof<'a> {
    /// Signature version 2.
    V2 { access_key: &'a str, signature: &'a str },
    /// Signature version 4.
    V4 { access_key: &'a str, scope: [&'a str; 3], signature: &'a str },
}

fn missing(name: &str) -> S3Error {
    s3_error!(
        InvalidArgument,
        "Bucket POST must contain a field named '{name}'.  If it is specified, please check the order of the fields."
    )
}

/// Whether a form names an access key, and so wants to be more than nobody's.
pub(crate) fn names_key(fields: &Fields) -> bool {
    fields.contains_key("awsaccesskeyid") || fields.contains_key("x-amz-credential")
}

impl<'a> Proof<'a> {
    pub(crate) fn of(fields: &'a Fields) -> S3Result<Self> {
        let field = |name: &str| fields.get(name).map(String::as_str);
        let needed = |name: &str| field(name).ok_or_else(|| missing(name));
        if field("x-amz-algorithm").is_none() {
            return Ok(Self::V2 {
                access_key: field("awsaccesskeyid").ok_or_else(|| missing("AWSAccessKeyId"))?,
                signature: needed("signature")?,
            });
        }
        if field("x-amz-algorithm") != Some("AWS4-HMAC-SHA256") {
            return Err(s3_error!(InvalidArgument, "The x-amz-algorithm must be AWS4-HMAC-SHA256."));
        }
        let credential: Vec<&str> = needed("x-amz-credential")?.split('/').collect();
        let [access_key, date, region, service, "aws4_request"] = credential.as_slice() else {
            return Err(s3_error!(
                InvalidArgument,
                "The x-amz-credential is not <key>/<date>/<region>/s3/aws4_request."
            ));
        };
        Ok(Self::V4 { access_key, scope: [date, region, service], signature: needed("x-amz-signature")? })
    }

    pub(crate) fn access_key(&self) -> &str {
        match self {
            Self::V2 { access_key, .. } | Self::V4 { access_key, .. } => access_key,
        }
    }

    /// The signature's version, as policies call it.
    pub(crate) fn version(&self) -> &'static str {
        match self {
            Self::V2 { .. } => "AWS",
            Self::V4 { .. } => "AWS4-HMAC-SHA256",
        }
    }

    /// Compares the signature of the policy with that of the key, in constant time.
    pub(crate) fn verify(&self, policy: &str, secret_key: &SecretString) -> S3Result {
        let fits = match self {
            Self::V2 { signature, .. } => {
                let mut mac = sha1_keyed(secret_key.expose_secret().as_bytes());
                mac.update(policy.as_bytes());
                STANDARD.decode(signature).is_ok_and(|signature| mac.verify_slice(&signature).is_ok())
            }
            Self::V4 { scope, signature, .. } => {
                let mac = region::keyed(&region::signing_key(secret_key, *scope), policy);
                hex::decode(signature).is_ok_and(|signature| mac.verify_slice(&signature).is_ok())
            }
        };
        if fits { Ok(()) } else { Err(s3_error!(SignatureDoesNotMatch)) }
    }
}

fn sha1_keyed(key: &[u8]) -> Hmac<Sha1> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of every length")
}

/// A policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FormPolicy {
    expires_us: i64,
    conditions: Vec<Condition>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Condition {
    Equals { field: String, value: String },
    StartsWith { field: String, value: String },
    Size { least: u64, most: u64 },
}

fn invalid(why: &str) -> S3Error {
    custom("InvalidPolicyDocument", StatusCode::BAD_REQUEST, format!("Invalid Policy: {why}."))
}

fn failed(why: &str) -> S3Error {
    s3_error!(AccessDenied, "Invalid according to Policy: {why}")
}

impl FormPolicy {
    /// Reads a policy from base64 of JSON. Names are as they are written: another case is another name.
    pub(crate) fn read(text: &str) -> S3Result<Self> {
        let json = STANDARD.decode(text.trim()).map_err(|_| invalid("it is not base64"))?;
        let value: Value = serde_json::from_slice(&json).map_err(|_| invalid("Invalid JSON"))?;
        let document = value.as_object().ok_or_else(|| invalid("it is no object"))?;
        let expires = document.get("expiration").and_then(Value::as_str);
        let expires = expires.ok_or_else(|| invalid("Policy missing expiration"))?;
        // The parser takes a space in the place of the letter.
        if !expires.contains('T') {
            return Err(invalid("Invalid 'expiration' value"));
        }
        let expires = OffsetDateTime::parse(expires, &Rfc3339).map_err(|_| invalid("Invalid 'expiration' value"))?;
        let conditions = document.get("conditions").and_then(Value::as_array);
        let conditions = conditions.ok_or_else(|| invalid("Policy missing conditions"))?;
        if conditions.is_empty() {
            return Err(invalid("Policy has no conditions"));
        }
        let mut read = Vec::with_capacity(conditions.len());
        for condition in conditions {
            match condition {
                Value::Object(pairs) => read_pairs(pairs, &mut read)?,
                Value::Array(words) => read.push(read_words(words)?),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                    return Err(invalid("Invalid Condition"));
                }
            }
        }
        let expires_us = i64::try_from(expires.unix_timestamp_nanos() / 1_000).unwrap_or(i64::MAX);
        Ok(Self { expires_us, conditions: read })
    }

    /// Refuses a form that is too late, breaks a condition, or has fields that no condition is about.
    pub(crate) fn check(&self, fields: &Fields, bucket: &str, now_us: i64) -> S3Result {
        if now_us >= self.expires_us {
            return Err(failed("Policy expired."));
        }
        let of = |field: &str| if field == "bucket" { Some(bucket) } else { fields.get(field).map(String::as_str) };
        for condition in &self.conditions {
            let holds = match condition {
                Condition::Equals { field, value } => of(field).unwrap_or_default() == value,
                Condition::StartsWith { field, value } => {
                    of(field).is_some_and(|found| starts_with(field, found, value))
                        || (value.is_empty() && of(field).is_none())
                }
                Condition::Size { .. } => true,
            };
            if !holds {
                return Err(failed("Policy Condition failed"));
            }
        }
        let is_covered = |name: &str| {
            FREE.contains(&name)
                || name.starts_with("x-ignore-")
                // It can only refuse more.
                || name.starts_with("x-amz-checksum-")
                || self.conditions.iter().any(|condition| condition.field() == Some(name))
        };
        match fields.keys().find(|name| !is_covered(name)) {
            Some(extra) => Err(failed(&format!("Extra input fields: {extra}"))),
            None => Ok(()),
        }
    }

    /// The least and greatest size of the file that all conditions allow. The least may be above the greatest: then no file fits.
    pub(crate) fn size_range(&self) -> Option<(u64, u64)> {
        let ranges = self.conditions.iter().filter_map(|condition| match condition {
            Condition::Size { least, most } => Some((*least, *most)),
            Condition::Equals { .. } | Condition::StartsWith { .. } => None,
        });
        ranges.reduce(|(least, most), (other_least, other_most)| (least.max(other_least), most.min(other_most)))
    }
}

impl Condition {
    fn field(&self) -> Option<&str> {
        match self {
            Self::Equals { field, .. } | Self::StartsWith { field, .. } => Some(field),
            Self::Size { .. } => None,
        }
    }
}

/// Of a type, each of several must begin so.
fn starts_with(field: &str, found: &str, value: &str) -> bool {
    match field {
        "content-type" => found.split(',').all(|one| one.trim().starts_with(value)),
        _ => found.starts_with(value),
    }
}

fn read_pairs(pairs: &Map<String, Value>, read: &mut Vec<Condition>) -> S3Result {
    if pairs.is_empty() {
        return Err(invalid("Invalid Simple-Condition: it is empty"));
    }
    for (field, value) in pairs {
        let value = value.as_str().ok_or_else(|| invalid("Invalid Simple-Condition: value must be a string"))?;
        read.push(Condition::Equals { field: field.to_ascii_lowercase(), value: value.to_owned() });
    }
    Ok(())
}

fn read_words(words: &[Value]) -> S3Result<Condition> {
    let [operator, first, second] = words else { return Err(invalid("Invalid Condition: wrong number of arguments")) };
    let operator = operator.as_str().unwrap_or_default().to_ascii_lowercase();
    if operator == "content-length-range" {
        let number = |value: &Value| {
            value
                .as_u64()
                .or_else(|| value.as_str()?.parse().ok())
                .ok_or_else(|| invalid("Invalid content-length-range"))
        };
        let (least, most) = (number(first)?, number(second)?);
        return if least <= most {
            Ok(Condition::Size { least, most })
        } else {
            Err(invalid("Invalid content-length-range"))
        };
    }
    let field = first.as_str().and_then(|field| field.strip_prefix('$'));
    let field = field.ok_or_else(|| invalid("Invalid Condition: field names begin with '$'"))?.to_ascii_lowercase();
    let value = second.as_str().ok_or_else(|| invalid("Invalid Condition: values must be strings"))?.to_owned();
    match operator.as_str() {
        "eq" => Ok(Condition::Equals { field, value }),
        "starts-with" => Ok(Condition::StartsWith { field, value }),
        _ => Err(invalid("Invalid Condition: unknown operation")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: &Value) -> S3Result<FormPolicy> {
        FormPolicy::read(&STANDARD.encode(value.to_string()))
    }

    fn with(conditions: &Value) -> FormPolicy {
        read(&json!({ "expiration": "2030-01-01T00:00:00Z", "conditions": conditions })).expect("a policy")
    }

    fn fields(pairs: &[(&str, &str)]) -> Fields {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn code(result: &S3Result) -> String {
        result.as_ref().map_or_else(|error| error.code().as_str().to_owned(), |()| "OK".to_owned())
    }

    #[test]
    fn conditions_are_about_every_field() {
        let policy = with(&json!([
            { "bucket": "b" },
            ["starts-with", "$key", "user/"],
            { "Acl": "private" },
            ["starts-with", "$Content-Type", "image/"],
            ["content-length-range", 0, 10],
        ]));
        assert_eq!(policy.size_range(), Some((0, 10)));
        let check = |pairs: &[(&str, &str)], bucket: &str| code(&policy.check(&fields(pairs), bucket, 0));
        let good = [("key", "user/x"), ("acl", "private"), ("content-type", "image/png"), ("x-ignore-y", "z")];
        assert_eq!(check(&good, "b"), "OK");
        assert_eq!(check(&good, "other"), "AccessDenied");
        assert_eq!(check(&[("key", "other"), good[1], good[2]], "b"), "AccessDenied");
        assert_eq!(check(&[good[0], ("acl", "public-read"), good[2]], "b"), "AccessDenied");
        assert_eq!(check(&[good[0], good[1], ("content-type", "text/html")], "b"), "AccessDenied");
        assert_eq!(check(&[good[0], good[1], good[2], ("x-amz-meta-a", "b")], "b"), "AccessDenied");
        assert_eq!(code(&policy.check(&fields(&good), "b", i64::MAX)), "AccessDenied");
    }

    #[test]
    fn a_file_keeps_to_every_range_of_sizes() {
        let range = |ranges: &[(u64, u64)]| {
            let mut conditions = vec![json!({ "bucket": "b" })];
            conditions.extend(ranges.iter().map(|(least, most)| json!(["content-length-range", least, most])));
            with(&json!(conditions)).size_range()
        };
        assert_eq!(range(&[]), None);
        assert_eq!(range(&[(0, 100), (5, 10)]), Some((5, 10)));
        assert_eq!(range(&[(5, 10), (0, 7)]), Some((5, 7)));
        assert_eq!(range(&[(0, 3), (5, 10)]), Some((5, 3)), "no file fits");
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        for bad in [
            json!([]),
            json!({}),
            json!({ "expiration": "2030-01-01T00:00:00Z" }),
            json!({ "expiration": "2030-01-01T00:00:00Z", "conditions": [] }),
            json!({ "Expiration": "2030-01-01T00:00:00Z", "conditions": [{ "bucket": "b" }] }),
            json!({ "expiration": "2030-01-01T00:00:00Z", "CONDITIONS": [{ "bucket": "b" }] }),
            json!({ "expiration": "tomorrow", "conditions": [{ "bucket": "b" }] }),
            json!({ "expiration": "2030-01-01 00:00:00Z", "conditions": [{ "bucket": "b" }] }),
            json!({ "expiration": "2030-01-01T00:00:00Z", "conditions": [{}] }),
            json!({ "expiration": "2030-01-01T00:00:00Z", "conditions": [["content-length-range", 0]] }),
            json!({ "expiration": "2030-01-01T00:00:00Z", "conditions": [["content-length-range", -1, 0]] }),
            json!({ "expiration": "2030-01-01T00:00:00Z", "conditions": [["like", "$key", "x"]] }),
            json!({ "expiration": "2030-01-01T00:00:00Z", "conditions": [["eq", "key", "x"]] }),
        ] {
            assert!(read(&bad).is_err(), "{bad}");
        }
        assert!(FormPolicy::read("not base64!").is_err());
    }

    #[test]
    fn proofs_are_signatures_of_the_policy() {
        let secret = SecretString::from("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
        let mut mac = sha1_keyed(b"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
        mac.update(b"policy");
        let signature = STANDARD.encode(mac.finalize().into_bytes());
        let given = fields(&[("awsaccesskeyid", "AK"), ("signature", &signature)]);
        let proof = Proof::of(&given).expect("a proof");
        assert_eq!((proof.access_key(), code(&proof.verify("policy", &secret))), ("AK", "OK".to_owned()));
        assert_eq!(code(&proof.verify("other", &secret)), "SignatureDoesNotMatch");
        assert!(Proof::of(&fields(&[("awsaccesskeyid", "AK")])).is_err());
        assert!(Proof::of(&fields(&[("x-amz-algorithm", "AWS4-HMAC-SHA256"), ("x-amz-credential", "AK")])).is_err());
    }
}
