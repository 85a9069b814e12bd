//! Policies of buckets, of identities and of roles (who may take them on): statements that allow or deny actions under conditions.
//!
//! A policy is read once, when it is set and again when what it belongs to is remembered, and asked for each request.

mod condition;
mod document;
mod offered;
mod pattern;
mod principal;

use self::condition::Condition;
use self::principal::Principals;
pub(crate) use self::principal::Reach;
use crate::{Caller, Error, RuleError};

/// What is wrong with a policy, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) &'static str);

impl Malformed {
    pub(crate) fn into_error(self) -> Error {
        RuleError::MalformedPolicy(self.0).into()
    }
}

/// A policy, with the text that it was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    text: String,
    statements: Vec<Statement>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Statement {
    effect: Effect,
    /// `None` in the policy of an identity, which is for whoever has it.
    principals: Option<Principals>,
    not_principals: bool,
    actions: Vec<String>,
    not_actions: bool,
    /// Patterns of ARNs.
    resources: Vec<String>,
    not_resources: bool,
    conditions: Vec<Condition>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    Allow,
    Deny,
}

/// What a policy says of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is allowed to the caller itself, and not denied.
    Allowed,
    /// It is allowed to the caller's account, and not denied: what the caller may of it, its own policies say.
    Delegated,
    /// It is denied, whatever allows it.
    Denied,
    /// Nothing is said of it.
    Silent,
}

/// What a policy is asked.
pub(crate) struct Question<'a> {
    pub(crate) caller: &'a Caller,
    /// With its service: `s3:GetObject`.
    pub(crate) action: &'a str,
    /// An ARN.
    pub(crate) resource: &'a str,
    /// The values of a fact of the request, by its name in lower case.
    pub(crate) facts: &'a dyn Fn(&str) -> Option<Vec<String>>,
}

impl Policy {
    /// The text that it was read from.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// A denial weighs more than any number of permissions.
    pub(crate) fn ask(&self, question: &Question<'_>) -> Verdict {
        let mut verdict = Verdict::Silent;
        for statement in &self.statements {
            match (statement.reaches(question), statement.effect) {
                (None, _) => {}
                (Some(_), Effect::Deny) => return Verdict::Denied,
                (Some(Reach::Itself), Effect::Allow) => verdict = Verdict::Allowed,
                (Some(Reach::Account), Effect::Allow) if verdict == Verdict::Silent => verdict = Verdict::Delegated,
                (Some(Reach::Account), Effect::Allow) => {}
            }
        }
        verdict
    }

    /// Whether it is allowed to the caller by its own name, and not only to its account or to everybody.
    pub(crate) fn allows_by_name(&self, question: &Question<'_>) -> bool {
        let names = |statement: &&Statement| {
            statement.principals.as_ref().is_some_and(|principals| principals.name(question.caller))
        };
        let mut naming = self.statements.iter().filter(names);
        naming.any(|statement| statement.effect == Effect::Allow && statement.reaches(question).is_some())
    }

    /// Whether it allows anything to the whole world.
    pub(crate) fn is_public(&self) -> bool {
        self.statements.iter().any(Statement::is_public)
    }
}

impl Statement {
    /// Whom of the caller and its account the statement is for, when it is about what is asked.
    fn reaches(&self, question: &Question<'_>) -> Option<Reach> {
        let named = self.actions.iter().any(|pattern| pattern::matches_any_case(pattern, question.action));
        let is_about = named != self.not_actions
            && self.covers(question) != self.not_resources
            && self.conditions.iter().all(|condition| condition.holds(question.facts));
        if is_about { self.reach(question.caller) } else { None }
    }

    fn reach(&self, caller: &Caller) -> Option<Reach> {
        let Some(principals) = &self.principals else { return Some(Reach::Itself) };
        let reach = principals.reach(caller);
        match (self.not_principals, reach) {
            (false, reach) => reach,
            // Only who is named itself is left out: to name an account leaves out nobody who acts in it.
            (true, Some(Reach::Itself)) => None,
            (true, Some(Reach::Account) | None) => Some(Reach::Itself),
        }
    }

    fn covers(&self, question: &Question<'_>) -> bool {
        let fits = |pattern: &String| pattern::matches(pattern, question.resource, question.facts);
        self.resources.iter().any(fits)
    }

    fn is_public(&self) -> bool {
        let to_anybody = self.principals.as_ref().is_some_and(Principals::are_anybody) != self.not_principals;
        self.effect == Effect::Allow && to_anybody && !self.conditions.iter().any(Condition::is_narrowing)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;
    use crate::access::action::Action;
    use crate::{CanonicalId, Facts, GroupId, Identity, Role, UserId};

    const ADA: &str = "0123456789abcdef0123456789abcdef";

    fn user(id: &str) -> Caller {
        let identity = Identity {
            canonical_id: CanonicalId::new(id).expect("an id"),
            group_id: GroupId::new("g").expect("a group"),
            user_id: UserId::new("u").expect("a user"),
            display_name: "U".into(),
            role: Role::User,
        };
        Caller::User(Arc::new(identity), Facts::default())
    }

    fn statement(change: &Value) -> Value {
        let mut statement = json!({
            "Effect": "Allow",
            "Principal": "*",
            "Action": "s3:GetObject",
            "Resource": "arn:aws:s3:::b/*",
        });
        for (name, value) in change.as_object().expect("fields") {
            let fields = statement.as_object_mut().expect("fields");
            if value.is_null() {
                fields.remove(name);
            } else {
                fields.insert(name.clone(), value.clone());
            }
        }
        statement
    }

    fn read(statements: &[Value]) -> Result<Policy, Malformed> {
        Policy::of_bucket(&json!({ "Version": "2012-10-17", "Statement": statements }).to_string(), "b")
    }

    fn ask(policy: &Policy, caller: &Caller, action: Action, resource: &str) -> Verdict {
        let (action, resource) = (&*action.qualified(), &*format!("arn:aws:s3:::{resource}"));
        let facts = |name: &str| (name == "aws:userid").then(|| vec!["ada".to_owned()]);
        policy.ask(&Question { caller, action, resource, facts: &facts })
    }

    #[test]
    fn statements_are_about_what_they_name() {
        let ask_one = |change: Value, caller: &Caller, action, resource: &str| {
            ask(&read(&[statement(&change)]).expect("a policy"), caller, action, resource)
        };
        let nobody = Caller::Anonymous(Facts::default());
        let ada = user(ADA);
        let arn = format!("arn:aws:iam::{ADA}:root");
        for (change, caller, action, resource, expected) in [
            (json!({}), &nobody, Action::GetObject, "b/k", Verdict::Allowed),
            (json!({}), &nobody, Action::PutObject, "b/k", Verdict::Silent),
            (json!({}), &nobody, Action::GetObject, "b", Verdict::Silent),
            (json!({ "Action": "S3:getobject*" }), &nobody, Action::GetObjectAcl, "b/k", Verdict::Allowed),
            (json!({ "Action": null, "NotAction": "s3:Get*" }), &nobody, Action::PutObject, "b/k", Verdict::Allowed),
            (json!({ "Principal": { "AWS": arn } }), &ada, Action::GetObject, "b/k", Verdict::Allowed),
            (json!({ "Principal": { "AWS": arn } }), &nobody, Action::GetObject, "b/k", Verdict::Silent),
            (json!({ "Principal": { "CanonicalUser": [ADA] } }), &ada, Action::GetObject, "b/k", Verdict::Allowed),
            (
                json!({ "Effect": "Deny", "Principal": null, "NotPrincipal": { "AWS": ADA } }),
                &ada,
                Action::GetObject,
                "b/k",
                Verdict::Silent,
            ),
            (
                json!({ "Effect": "Deny", "Principal": null, "NotPrincipal": { "AWS": ADA } }),
                &nobody,
                Action::GetObject,
                "b/k",
                Verdict::Denied,
            ),
            (
                json!({ "Resource": null, "NotResource": "arn:aws:s3:::b/x" }),
                &ada,
                Action::GetObject,
                "b/k",
                Verdict::Allowed,
            ),
            (
                json!({ "Resource": "arn:aws:s3:::b/${aws:userid}/*" }),
                &ada,
                Action::GetObject,
                "b/ada/k",
                Verdict::Allowed,
            ),
            (
                json!({ "Resource": "arn:aws:s3:::b/${aws:other}/*" }),
                &ada,
                Action::GetObject,
                "b/ada/k",
                Verdict::Silent,
            ),
            (
                json!({ "Condition": { "StringEquals": { "AWS:UserId": "ada" } } }),
                &ada,
                Action::GetObject,
                "b/k",
                Verdict::Allowed,
            ),
            (
                json!({ "Condition": { "StringEquals": { "aws:userid": "eve" } } }),
                &ada,
                Action::GetObject,
                "b/k",
                Verdict::Silent,
            ),
        ] {
            assert_eq!(ask_one(change.clone(), caller, action, resource), expected, "{change} {action:?} {resource}");
        }
    }

    #[test]
    fn a_denial_weighs_more() {
        let deny = statement(&json!({ "Effect": "Deny", "Resource": "arn:aws:s3:::b/secret/*" }));
        let policy = read(&[deny, statement(&json!({}))]).expect("a policy");
        let nobody = Caller::Anonymous(Facts::default());
        assert_eq!(ask(&policy, &nobody, Action::GetObject, "b/k"), Verdict::Allowed);
        assert_eq!(ask(&policy, &nobody, Action::GetObject, "b/secret/k"), Verdict::Denied);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for change in [
            json!({ "Effect": null }),
            json!({ "Effect": "allow" }),
            json!({ "Principal": null }),
            json!({ "Principal": "somebody" }),
            json!({ "Principal": { "AWS": "arn:aws:iam::x" } }),
            json!({ "Principal": {} }),
            json!({ "NotPrincipal": "*" }),
            json!({ "Principal": null, "NotPrincipal": { "AWS": ADA } }),
            json!({ "Action": null }),
            json!({ "Action": [] }),
            json!({ "Action": "ec2:RunInstances" }),
            json!({ "Action": "s3:Sing" }),
            json!({ "Resource": null }),
            json!({ "Resource": "b/*" }),
            json!({ "Resource": "arn:aws:s3:::other/*" }),
            json!({ "Condition": { "StringEquals": "x" } }),
            json!({ "Conditions": {} }),
        ] {
            assert!(read(&[statement(&change)]).is_err(), "{change}");
        }
        for text in ["", "[]", "{}", r#"{"Statement":[]}"#, r#"{"Version":"2020-01-01","Statement":[]}"#] {
            assert!(Policy::of_bucket(text, "b").is_err(), "{text}");
        }
        let long = json!({ "Id": "x".repeat(21_000), "Statement": [statement(&json!({}))] }).to_string();
        assert!(Policy::of_bucket(&long, "b").is_err());
    }

    #[test]
    fn the_world_is_let_in_by_fewer_conditions() {
        let is_public = |change: Value| read(&[statement(&change)]).expect("a policy").is_public();
        assert!(is_public(json!({})));
        assert!(is_public(json!({ "Condition": { "StringLike": { "aws:Referer": "x" } } })));
        assert!(is_public(json!({ "Condition": { "IpAddress": { "aws:SourceIp": "0.0.0.0/0" } } })));
        assert!(is_public(json!({ "Condition": { "StringLike": { "aws:userid": "*" } } })));
        assert!(!is_public(json!({ "Condition": { "IpAddress": { "aws:SourceIp": "10.0.0.0/8" } } })));
        assert!(!is_public(json!({ "Effect": "Deny" })));
        assert!(!is_public(json!({ "Principal": { "AWS": ADA } })));
    }
}
