//! Reads policies from JSON, strictly: a policy that is not understood would allow or deny something else than was meant.

use serde_json::{Map, Value};

use super::pattern::matches_any_case;
use super::principal::Principals;
use super::{Effect, Malformed, Policy, Statement, condition};
use crate::access::action::Action;

/// Largest policy of a bucket, as in S3.
pub(super) const SIZE_BYTES_MAX: usize = 20 * 1024;
const VERSIONS: [&str; 2] = ["2012-10-17", "2008-10-17"];
const ARN_PREFIX: &str = "arn:aws:s3:::";

/// What a policy is for, which decides what may stand in it.
#[derive(Clone, Copy, Debug)]
enum For<'a> {
    /// A bucket: every statement must name who it is for, and only this bucket.
    Bucket(&'a str),
    /// A user, group or role of an account's own, or a session: whoever has it.
    Identity,
    /// Who may take a role on: every statement must name who it is for, and no resource.
    Trust,
}

impl Policy {
    /// Reads the policy of a bucket. Every statement must name who it is for, and only this bucket.
    pub(crate) fn of_bucket(text: &str, bucket: &str) -> Result<Self, Malformed> {
        if text.len() > SIZE_BYTES_MAX {
            return Err(Malformed("Normalized policy document exceeds the maximum allowed size of 20480 bytes."));
        }
        Self::read(text, For::Bucket(bucket))
    }

    /// Reads the policy of an identity: no statement names who it is for.
    pub(crate) fn of_identity(text: &str) -> Result<Self, Malformed> {
        Self::read(text, For::Identity)
    }

    /// Reads who may take a role on: no statement names a resource, which is the role itself.
    pub(crate) fn of_trust(text: &str) -> Result<Self, Malformed> {
        Self::read(text, For::Trust)
    }

    fn read(text: &str, whose: For<'_>) -> Result<Self, Malformed> {
        let value: Value = serde_json::from_str(text)
            .map_err(|_| Malformed("Policies must be valid JSON and the first byte must be '{'"))?;
        let document =
            value.as_object().ok_or(Malformed("Policies must be valid JSON and the first byte must be '{'"))?;
        refuse_unknown(document, &["Version", "Id", "Statement"])?;
        if let Some(version) = document.get("Version") {
            let known = version.as_str().is_some_and(|version| VERSIONS.contains(&version));
            known.then_some(()).ok_or(Malformed("The policy must contain a valid version string"))?;
        }
        let statements = match document.get("Statement") {
            Some(Value::Array(statements)) => statements.iter().collect(),
            Some(statement @ Value::Object(_)) => vec![statement],
            Some(_) | None => return Err(Malformed("Missing required field Statement")),
        };
        if statements.is_empty() {
            return Err(Malformed("Could not parse the policy: Statement is empty!"));
        }
        if !matches!(whose, For::Bucket(_)) {
            refuse_same_names(&statements)?;
        }
        let statements = statements.into_iter().map(|statement| read_statement(statement, whose));
        Ok(Self { text: text.to_owned(), statements: statements.collect::<Result<_, _>>()? })
    }
}

fn refuse_same_names(statements: &[&Value]) -> Result<(), Malformed> {
    let mut names: Vec<&str> = statements.iter().filter_map(|statement| statement.get("Sid")?.as_str()).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    if names.len() == count { Ok(()) } else { Err(Malformed("Statement IDs (SID) in a single policy must be unique.")) }
}

fn read_statement(value: &Value, whose: For<'_>) -> Result<Statement, Malformed> {
    let fields = value.as_object().ok_or(Malformed("A statement must be an object"))?;
    refuse_unknown(
        fields,
        &["Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition"],
    )?;
    let effect = match fields.get("Effect").and_then(Value::as_str) {
        Some("Allow") => Effect::Allow,
        Some("Deny") => Effect::Deny,
        Some(_) => return Err(Malformed("Invalid effect")),
        None => return Err(Malformed("Missing required field Effect")),
    };
    let (principals, not_principals) = read_principals(fields, effect, whose)?;
    let (actions, not_actions) = either(fields, "Action", "NotAction", Malformed("Missing required field Action"))?;
    let (resources, not_resources) = read_resources(fields, whose)?;
    Ok(Statement {
        effect,
        principals,
        not_principals,
        actions: read_actions(actions, whose)?,
        not_actions,
        resources,
        not_resources,
        conditions: fields.get("Condition").map(condition::read).transpose()?.unwrap_or_default(),
    })
}

fn read_principals(
    fields: &Map<String, Value>,
    effect: Effect,
    whose: For<'_>,
) -> Result<(Option<Principals>, bool), Malformed> {
    if matches!(whose, For::Identity) {
        let named = fields.contains_key("Principal") || fields.contains_key("NotPrincipal");
        return if named {
            Err(Malformed("Policy document should not specify a principal."))
        } else {
            Ok((None, false))
        };
    }
    let (principals, not_principals) =
        either(fields, "Principal", "NotPrincipal", Malformed("Missing required field Principal"))?;
    if effect == Effect::Allow && not_principals {
        // It would let in whoever is made later.
        return Err(Malformed("Allow with NotPrincipal is not allowed."));
    }
    Ok((Some(Principals::read(principals)?), not_principals))
}

/// One of two fields that exclude each other, and whether it was the second.
fn either<'a>(
    fields: &'a Map<String, Value>,
    plain: &str,
    negated: &str,
    missing: Malformed,
) -> Result<(&'a Value, bool), Malformed> {
    match (fields.get(plain), fields.get(negated)) {
        (Some(value), None) => Ok((value, false)),
        (None, Some(value)) => Ok((value, true)),
        (None, None) => Err(missing),
        (Some(_), Some(_)) => Err(Malformed("A statement has a field and its denial")),
    }
}

fn read_actions(value: &Value, whose: For<'_>) -> Result<Vec<String>, Malformed> {
    const INVALID: Malformed = Malformed("Policy has invalid action");
    let actions = texts(value).filter(|actions| !actions.is_empty()).ok_or(INVALID)?;
    let is_known = |pattern: &String| {
        // Services beside S3 are nothing to a bucket, but `*` is for all of them.
        let known = |action: &Action| matches_any_case(pattern, &action.qualified());
        match whose {
            For::Bucket(_) => {
                pattern == "*" || is_s3(pattern) && (Action::ALL.iter().any(known) || is_plausible(pattern))
            }
            // An identity may have rights at services that are not here: they change nothing.
            For::Identity | For::Trust => pattern == "*" || names_service(pattern),
        }
    };
    if actions.iter().all(is_known) { Ok(actions) } else { Err(INVALID) }
}

/// Whether an action has the form `service:Action`.
fn names_service(pattern: &str) -> bool {
    let wild = |byte: u8| byte == b'*' || byte == b'?';
    pattern.split_once(':').is_some_and(|(service, action)| {
        !service.is_empty()
            && service.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !action.is_empty()
            && action.bytes().all(|byte| byte.is_ascii_alphanumeric() || wild(byte))
    })
}

fn is_s3(pattern: &str) -> bool {
    pattern.get(..3).is_some_and(|service| service.eq_ignore_ascii_case("s3:"))
}

/// Actions of S3 that this store has no operation for stand in policies that were written for others, and change nothing.
fn is_plausible(pattern: &str) -> bool {
    const KINDS: [&str; 12] = [
        "get",
        "put",
        "list",
        "delete",
        "create",
        "replicate",
        "restore",
        "describe",
        "update",
        "objectowner",
        "initiate",
        "post",
    ];
    let name = pattern.get(3..).unwrap_or_default().to_ascii_lowercase();
    KINDS.iter().any(|kind| name.starts_with(kind))
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'*' || byte == b'?')
}

fn read_resources(fields: &Map<String, Value>, whose: For<'_>) -> Result<(Vec<String>, bool), Malformed> {
    const INVALID: Malformed = Malformed("Policy has invalid resource");
    if matches!(whose, For::Trust) {
        let named = fields.contains_key("Resource") || fields.contains_key("NotResource");
        return if named { Err(Malformed("Has prohibited field Resource")) } else { Ok((vec!["*".to_owned()], false)) };
    }
    let (value, negated) = either(fields, "Resource", "NotResource", Malformed("Missing required field Resource"))?;
    let resources = texts(value).filter(|resources| !resources.is_empty()).ok_or(INVALID)?;
    let is_known = |resource: &String| match whose {
        For::Bucket(bucket) => resource.strip_prefix(ARN_PREFIX).is_some_and(|named| {
            // Patterns may reach beyond the bucket; they are only asked about what is in it.
            super::pattern::matches(named.split('/').next().unwrap_or_default(), bucket, super::pattern::NO_FACTS)
        }),
        For::Identity | For::Trust => {
            resource == "*" || resource.starts_with("arn:") && resource.matches(':').count() >= 5
        }
    };
    if resources.iter().all(is_known) { Ok((resources, negated)) } else { Err(INVALID) }
}

fn refuse_unknown(fields: &Map<String, Value>, known: &[&str]) -> Result<(), Malformed> {
    let is_known = |name: &String| known.contains(&name.as_str());
    if fields.keys().all(is_known) { Ok(()) } else { Err(Malformed("Unknown field in the policy")) }
}

/// A text or several; numbers and truth values count as they are written.
pub(super) fn texts(value: &Value) -> Option<Vec<String>> {
    let text = |one: &Value| match one {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(one.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    };
    match value {
        Value::Array(several) => several.iter().map(text).collect(),
        one => text(one).map(|text| vec![text]),
    }
}
