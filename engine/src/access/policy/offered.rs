//! What a policy may name when it is set. A fact that no request here has would make a denial silently deny nothing, and a name with wildcards
//! would be nobody's. Policies that were set before stay readable.

use super::principal::Principals;
use super::{Malformed, Policy};

/// Facts of requests to S3 that conditions may be about, beside tags and headers.
const OF_S3: [&str; 20] = [
    "s3:prefix",
    "s3:delimiter",
    "s3:max-keys",
    "s3:versionid",
    "s3:authtype",
    "s3:signatureversion",
    "s3:if-match",
    "s3:if-none-match",
    "s3:requestobjecttagkeys",
    "s3:signatureage",
    "s3:locationconstraint",
    "s3:resourceaccount",
    "s3:object-lock-mode",
    "s3:object-lock-retain-until-date",
    "s3:object-lock-remaining-retention-days",
    "s3:object-lock-legal-hold",
    // There are no access points, so that these are never there, as for a request to AWS that comes through none.
    "s3:dataaccesspointarn",
    "s3:dataaccesspointaccount",
    "s3:accesspointnetworkorigin",
    "s3:accessgrantsinstancearn",
];
const OF_S3_WITH_NAMES: [&str; 3] = ["s3:x-amz-", "s3:existingobjecttag/", "s3:requestobjecttag/"];

/// Facts of all requests: those that are told here, and those that a request to AWS without organisations, networks of its own, second
/// factors and tags of identities has not either.
const OF_ALL: [&str; 37] = [
    "aws:calledvia",
    "aws:calledviafirst",
    "aws:calledvialast",
    "aws:currenttime",
    "aws:epochtime",
    "aws:federatedprovider",
    "aws:multifactorauthage",
    "aws:multifactorauthpresent",
    "aws:principalaccount",
    "aws:principalarn",
    "aws:principalisawsservice",
    "aws:principalorgid",
    "aws:principalorgpaths",
    "aws:principalservicename",
    "aws:principalservicenameslist",
    "aws:principaltype",
    "aws:referer",
    "aws:requestedregion",
    "aws:resourceaccount",
    "aws:resourceorgid",
    "aws:resourceorgpaths",
    "aws:securetransport",
    "aws:sourceaccount",
    "aws:sourcearn",
    "aws:sourceidentity",
    "aws:sourceip",
    "aws:sourceorgid",
    "aws:sourceorgpaths",
    "aws:sourcevpc",
    "aws:sourcevpcarn",
    "aws:sourcevpce",
    "aws:tagkeys",
    "aws:useragent",
    "aws:userid",
    "aws:username",
    "aws:viaawsservice",
    "aws:vpcsourceip",
];
const OF_ALL_WITH_NAMES: [&str; 3] = ["aws:principaltag/", "aws:requesttag/", "aws:resourcetag/"];

impl Policy {
    /// Refuses what can be read and would not mean what it says.
    pub(crate) fn must_be_offered(self) -> Result<Self, Malformed> {
        for statement in &self.statements {
            if !statement.conditions.iter().all(|condition| is_offered(&condition.fact)) {
                return Err(Malformed("Policy has an invalid condition key"));
            }
            if statement.principals.as_ref().is_some_and(Principals::have_patterns) {
                return Err(Malformed("Invalid principal in policy"));
            }
        }
        Ok(self)
    }
}

fn is_offered(fact: &str) -> bool {
    let is_one_of = |names: &[&str], with_names: &[&str]| {
        names.contains(&fact) || with_names.iter().any(|start| fact.len() > start.len() && fact.starts_with(start))
    };
    match fact.split_once(':') {
        Some(("s3", _)) => is_one_of(&OF_S3, &OF_S3_WITH_NAMES),
        Some(("aws", _)) => is_one_of(&OF_ALL, &OF_ALL_WITH_NAMES),
        // Policies that were written for others have facts of other services.
        Some((service, name)) => !service.is_empty() && !name.is_empty(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn facts_that_no_request_has_are_refused() {
        let offered = |fact: &str| {
            let statement = json!({ "Effect": "Deny", "Action": "s3:*", "Resource": "*", "Condition": { "StringEquals": { fact: "x" } } });
            Policy::of_identity(&json!({ "Statement": [statement] }).to_string())
                .expect("a policy")
                .must_be_offered()
                .is_ok()
        };
        for fact in
            ["s3:prefix", "aws:SourceIp", "s3:x-amz-acl", "s3:ExistingObjectTag/a", "aws:PrincipalTag/b", "ec2:Region"]
        {
            assert!(offered(fact), "{fact}");
        }
        for fact in [
            "s3:TlsVersion",
            "aws:SecureTransportt",
            "s3:ExistingObjectTag/",
            "s3:sing",
            "aws:TokenIssueTime",
            "prefix",
        ] {
            assert!(!offered(fact), "{fact}");
        }
    }

    #[test]
    fn names_with_wildcards_are_refused() {
        let trust = |who: &str| {
            let statement = json!({ "Effect": "Allow", "Principal": { "AWS": who }, "Action": "sts:AssumeRole" });
            Policy::of_trust(&json!({ "Statement": [statement] }).to_string())
                .expect("a policy")
                .must_be_offered()
                .is_ok()
        };
        assert!(trust("arn:aws:iam::0123456789abcdef0123456789abcdef:user/ada") && trust("*"));
        assert!(!trust("arn:aws:iam::0123456789abcdef0123456789abcdef:user/a*"));
    }
}
