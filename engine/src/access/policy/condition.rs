//! Conditions of statements: an operator, the name of a fact, and the values it is compared with.

use std::net::IpAddr;

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::Malformed;
use super::pattern::{Facts, filled, is_pattern, matches};

/// A condition. All conditions of a statement must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Condition {
    operator: Operator,
    negated: bool,
    if_exists: bool,
    quantifier: Quantifier,
    /// The fact's name in lower case.
    pub(super) fact: String,
    values: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Equals,
    EqualsIgnoreCase,
    Like,
    Numeric(Order),
    Date(Order),
    Bool,
    Ip,
    Null,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quantifier {
    /// The fact has one value.
    One,
    /// At least one of the fact's values.
    Any,
    /// Every value of the fact, also when there is none.
    All,
}

/// Operators by name, and whether they are the denial of what is compared.
const OPERATORS: [(&str, Operator, bool); 27] = [
    ("StringEquals", Operator::Equals, false),
    ("StringNotEquals", Operator::Equals, true),
    ("StringEqualsIgnoreCase", Operator::EqualsIgnoreCase, false),
    ("StringNotEqualsIgnoreCase", Operator::EqualsIgnoreCase, true),
    ("StringLike", Operator::Like, false),
    ("StringNotLike", Operator::Like, true),
    ("ArnEquals", Operator::Like, false),
    ("ArnNotEquals", Operator::Like, true),
    ("ArnLike", Operator::Like, false),
    ("ArnNotLike", Operator::Like, true),
    ("BinaryEquals", Operator::Equals, false),
    ("NumericEquals", Operator::Numeric(Order::Equal), false),
    ("NumericNotEquals", Operator::Numeric(Order::Equal), true),
    ("NumericLessThan", Operator::Numeric(Order::Less), false),
    ("NumericLessThanEquals", Operator::Numeric(Order::LessOrEqual), false),
    ("NumericGreaterThan", Operator::Numeric(Order::Greater), false),
    ("NumericGreaterThanEquals", Operator::Numeric(Order::GreaterOrEqual), false),
    ("DateEquals", Operator::Date(Order::Equal), false),
    ("DateNotEquals", Operator::Date(Order::Equal), true),
    ("DateLessThan", Operator::Date(Order::Less), false),
    ("DateLessThanEquals", Operator::Date(Order::LessOrEqual), false),
    ("DateGreaterThan", Operator::Date(Order::Greater), false),
    ("DateGreaterThanEquals", Operator::Date(Order::GreaterOrEqual), false),
    ("Bool", Operator::Bool, false),
    ("IpAddress", Operator::Ip, false),
    ("NotIpAddress", Operator::Ip, true),
    ("Null", Operator::Null, false),
];

/// Facts that tell callers of a company from the rest of the world, where their values are fixed.
const NARROWING: [&str; 12] = [
    "aws:sourceip",
    "aws:sourcearn",
    "aws:sourceaccount",
    "aws:sourcevpc",
    "aws:sourcevpce",
    "aws:principalarn",
    "aws:principalaccount",
    "aws:principalorgid",
    "aws:userid",
    "aws:username",
    "s3:dataaccesspointaccount",
    "s3:dataaccesspointarn",
];

/// Reads the conditions of a statement.
pub(super) fn read(value: &Value) -> Result<Vec<Condition>, Malformed> {
    let operators = value.as_object().ok_or(Malformed("Conditions must be an object"))?;
    let mut conditions = Vec::new();
    for (operator, facts) in operators {
        let facts = facts.as_object().ok_or(Malformed("A condition must have names and values"))?;
        for (fact, values) in facts {
            conditions.push(Condition::new(operator, fact, values)?);
        }
    }
    Ok(conditions)
}

impl Condition {
    fn new(word: &str, fact: &str, values: &Value) -> Result<Self, Malformed> {
        let (quantifier, rest) = match word.split_once(':') {
            Some(("ForAnyValue", rest)) => (Quantifier::Any, rest),
            Some(("ForAllValues", rest)) => (Quantifier::All, rest),
            Some(_) => return Err(Malformed("A condition has an unknown operator")),
            None => (Quantifier::One, word),
        };
        let (name, if_exists) = rest.strip_suffix("IfExists").map_or((rest, false), |name| (name, true));
        let known = OPERATORS.iter().find(|(known, _, _)| *known == name);
        let (_, operator, negated) = known.ok_or(Malformed("A condition has an unknown operator"))?;
        let values = super::document::texts(values).ok_or(Malformed("A condition has values that are no texts"))?;
        let condition = Self {
            operator: *operator,
            negated: *negated,
            if_exists,
            quantifier,
            fact: fact.to_ascii_lowercase(),
            values,
        };
        if condition.fact.is_empty() || !condition.values.iter().all(|value| condition.operator.takes(value)) {
            return Err(Malformed("A condition has a value that its operator cannot compare"));
        }
        Ok(condition)
    }

    /// Whether it holds for what the request tells.
    pub(super) fn holds(&self, facts: Facts<'_>) -> bool {
        let found = facts(&self.fact).filter(|found| !found.is_empty());
        if self.operator == Operator::Null {
            return self.values.iter().any(|value| value.eq_ignore_ascii_case("true") == found.is_none());
        }
        let Some(found) = found else {
            return self.if_exists
                || match self.quantifier {
                    Quantifier::One => self.negated,
                    Quantifier::Any => false,
                    Quantifier::All => true,
                };
        };
        let fits = |one: &String| {
            self.values.iter().any(|value| self.operator.compare(one, value, facts).unwrap_or(false)) != self.negated
        };
        match self.quantifier {
            Quantifier::One | Quantifier::Any => found.iter().any(fits),
            Quantifier::All => found.iter().all(fits),
        }
    }

    /// Whether it keeps the world out: a fixed value of a fact that the world cannot have.
    pub(super) fn is_narrowing(&self) -> bool {
        let is_fixed = |value: &String| match self.operator {
            Operator::Ip => network(value).is_some_and(|(_, bits)| bits >= 8),
            _ => !is_pattern(value),
        };
        NARROWING.contains(&self.fact.as_str())
            && !self.negated
            && !self.if_exists
            && self.quantifier != Quantifier::All
            && self.operator != Operator::Null
            && self.values.iter().all(is_fixed)
    }
}

impl Operator {
    fn takes(self, value: &str) -> bool {
        match self {
            Self::Equals | Self::EqualsIgnoreCase | Self::Like => true,
            Self::Numeric(_) => value.parse::<f64>().is_ok(),
            Self::Date(_) => moment(value).is_some(),
            Self::Bool | Self::Null => value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false"),
            Self::Ip => network(value).is_some(),
        }
    }

    /// `None` when the fact's value cannot be compared so.
    fn compare(self, found: &str, value: &str, facts: Facts<'_>) -> Option<bool> {
        match self {
            Self::Equals => Some(found == filled(value, facts)),
            Self::EqualsIgnoreCase => Some(found.to_lowercase() == filled(value, facts).to_lowercase()),
            Self::Like => Some(matches(value, found, facts)),
            Self::Numeric(order) => Some(order.holds(found.parse::<f64>().ok()?.partial_cmp(&value.parse().ok()?)?)),
            Self::Date(order) => Some(order.holds(moment(found)?.cmp(&moment(value)?))),
            Self::Bool | Self::Null => Some(found.eq_ignore_ascii_case(value)),
            Self::Ip => Some(is_within(found.parse().ok()?, network(value)?)),
        }
    }
}

impl Order {
    fn holds(self, ordering: std::cmp::Ordering) -> bool {
        match self {
            Self::Equal => ordering.is_eq(),
            Self::Less => ordering.is_lt(),
            Self::LessOrEqual => ordering.is_le(),
            Self::Greater => ordering.is_gt(),
            Self::GreaterOrEqual => ordering.is_ge(),
        }
    }
}

/// A time as policies write it: ISO 8601, a date alone, or seconds of the Unix epoch.
fn moment(text: &str) -> Option<OffsetDateTime> {
    if let Ok(seconds) = text.parse() {
        return OffsetDateTime::from_unix_timestamp(seconds).ok();
    }
    let whole = OffsetDateTime::parse(text, &Rfc3339).ok();
    whole.or_else(|| OffsetDateTime::parse(&format!("{text}T00:00:00Z"), &Rfc3339).ok())
}

/// A network: its address and how many bits of it count.
fn network(text: &str) -> Option<(IpAddr, u32)> {
    let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
    let address: IpAddr = address.parse().ok()?;
    let width = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.map_or(Ok(width), str::parse).ok()?;
    (bits <= width).then_some((address, bits))
}

fn is_within(address: IpAddr, (network, bits): (IpAddr, u32)) -> bool {
    let same = |a: u128, b: u128, width: u32| bits == 0 || (a ^ b) >> (width - bits) == 0;
    match (address.to_canonical(), network) {
        (IpAddr::V4(a), IpAddr::V4(b)) => same(u128::from(u32::from(a)), u128::from(u32::from(b)), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => same(a.into(), b.into(), 128),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn holds(operator: &str, value: &Value, found: &[&str]) -> bool {
        let found: Vec<String> = found.iter().map(|one| (*one).to_owned()).collect();
        let condition = Condition::new(operator, "s3:prefix", value).expect("a condition");
        condition.holds(&|name| match name {
            "s3:prefix" => (!found.is_empty()).then(|| found.clone()),
            "aws:username" => Some(vec!["ada".to_owned()]),
            _ => None,
        })
    }

    #[test]
    fn operators_compare_as_they_say() {
        for (operator, value, found, expected) in [
            ("StringEquals", json!("a"), &["a"][..], true),
            ("StringEquals", json!(["b", "a"]), &["a"], true),
            ("StringEquals", json!("A"), &["a"], false),
            ("StringEqualsIgnoreCase", json!("A"), &["a"], true),
            ("StringNotEquals", json!(["a", "b"]), &["a"], false),
            ("StringNotEquals", json!(["a", "b"]), &["c"], true),
            ("StringLike", json!("a/*"), &["a/b"], true),
            ("StringNotLike", json!("a/*"), &["a/b"], false),
            ("NumericLessThanEquals", json!(10), &["10"], true),
            ("NumericLessThan", json!("10"), &["10"], false),
            ("NumericEquals", json!("10"), &["ten"], false),
            ("DateGreaterThan", json!("2024-01-01T00:00:00Z"), &["2024-06-01T00:00:00Z"], true),
            ("DateLessThan", json!("2024-01-01"), &["2024-06-01T00:00:00Z"], false),
            ("Bool", json!("false"), &["false"], true),
            ("Bool", json!(true), &["false"], false),
            ("IpAddress", json!("10.1.0.0/16"), &["10.1.2.3"], true),
            ("IpAddress", json!("10.1.0.0/16"), &["10.2.2.3"], false),
            ("IpAddress", json!("10.1.0.0/16"), &["::ffff:10.1.2.3"], true),
            ("NotIpAddress", json!(["10.1.0.0/16", "::1"]), &["::1"], false),
            ("IpAddress", json!("0.0.0.0/0"), &["10.2.2.3"], true),
            ("StringLike", json!("${aws:username}/*"), &["ada/x"], true),
            ("StringLike", json!("${aws:username}/*"), &["eve/x"], false),
            ("StringEquals", json!("${aws:username}"), &["ada"], true),
            ("StringNotEquals", json!("${aws:username}"), &["ada"], false),
            ("StringEqualsIgnoreCase", json!("${aws:username}"), &["ADA"], true),
        ] {
            assert_eq!(holds(operator, &value, found), expected, "{operator} {value} {found:?}");
        }
    }

    #[test]
    fn what_is_not_there_fits_what_is_denied_only() {
        for (operator, value, expected) in [
            ("StringEquals", json!("a"), false),
            ("StringEqualsIfExists", json!("a"), true),
            ("StringNotEquals", json!("a"), true),
            ("Null", json!("true"), true),
            ("Null", json!("false"), false),
            ("ForAnyValue:StringEquals", json!("a"), false),
            ("ForAnyValue:StringNotEquals", json!("a"), false),
            ("ForAllValues:StringEquals", json!("a"), true),
        ] {
            assert_eq!(holds(operator, &value, &[]), expected, "{operator} {value}");
        }
        assert!(!holds("Null", &json!("true"), &["a"]));
    }

    #[test]
    fn quantifiers_look_at_every_value() {
        assert!(holds("ForAnyValue:StringEquals", &json!(["a", "b"]), &["b", "c"]));
        assert!(!holds("ForAllValues:StringEquals", &json!(["a", "b"]), &["b", "c"]));
        assert!(holds("ForAllValues:StringEquals", &json!(["a", "b"]), &["b", "a"]));
    }

    #[test]
    fn what_cannot_be_compared_is_refused() {
        for (operator, value) in [
            ("StringEqual", json!("a")),
            ("ForSome:StringEquals", json!("a")),
            ("NumericEquals", json!("ten")),
            ("IpAddress", json!("10.1.0.0/33")),
            ("DateEquals", json!("yesterday")),
            ("Bool", json!("maybe")),
            ("StringEquals", json!({})),
        ] {
            assert!(Condition::new(operator, "s3:prefix", &value).is_err(), "{operator} {value}");
        }
    }
}
