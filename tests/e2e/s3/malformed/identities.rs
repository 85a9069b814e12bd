//! Forms for identities and sessions (IAM and STS), and what can be wrong with them.

use engine::{IamAction, IamService};
use rand::RngExt as _;
use rand::rngs::StdRng;

use super::documents::damaged_json;
use super::pools::{any, bytes, date, number, pick, size, text};
use super::request::{Request, encoded};

const POLICY: &str = "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Sid\":\"a\",\"Effect\":\"Allow\",\
    \"Action\":[\"s3:Get*\",\"iam:ListUsers\"],\"Resource\":[\"arn:aws:s3:::bucket/*\",\"*\"],\"Condition\":{\"StringLike\":{\"s3:prefix\":[\"a/*\"]}}}]}";
const TRUST: &str = "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"*\"},\
    \"Action\":\"sts:AssumeRole\"}]}";

/// Every parameter that an operation knows; each takes those that it wants. One user, group, role and policy are asked about again and
/// again, so that there is something to ask about. `{account}` stands for who asks.
const PARAMETERS: [(&str, &str); 24] = [
    ("UserName", "someone"),
    ("GroupName", "some"),
    ("RoleName", "something"),
    ("PolicyName", "plan"),
    ("PolicyArn", "arn:aws:iam::{account}:policy/folder/plan"),
    ("PolicyDocument", POLICY),
    ("AssumeRolePolicyDocument", TRUST),
    ("AccessKeyId", "AKIANOBODYKNOWSTHIS0"),
    ("Status", "Inactive"),
    ("Path", "/folder/"),
    ("NewPath", "/"),
    ("NewUserName", "someone"),
    ("NewGroupName", "some"),
    ("VersionId", "v1"),
    ("SetAsDefault", "true"),
    ("Description", "words"),
    ("MaxSessionDuration", "3600"),
    ("RoleArn", "arn:aws:iam::{account}:role/folder/something"),
    ("RoleSessionName", "session"),
    ("DurationSeconds", "900"),
    ("MaxItems", "10"),
    ("Scope", "Local"),
    ("PathPrefix", "/"),
    ("Policy", POLICY),
];

/// Operations that read a policy.
const WITH_DOCUMENT: [IamAction; 8] = [
    IamAction::CreateRole,
    IamAction::UpdateAssumeRolePolicy,
    IamAction::PutUserPolicy,
    IamAction::PutGroupPolicy,
    IamAction::PutRolePolicy,
    IamAction::CreatePolicy,
    IamAction::CreatePolicyVersion,
    IamAction::AssumeRole,
];

/// What a store that passed it by would do otherwise than asked.
const NOT_OFFERED: [&str; 5] = [
    "PermissionsBoundary",
    "Tags.member.1.Key",
    "PolicyArns.member.1.arn",
    "SerialNumber",
    "ServiceSpecificCredentialId",
];

/// The name of a service in what is signed, and the version of its interface.
fn service(action: IamAction) -> (&'static str, &'static str) {
    match action.service() {
        IamService::Iam => ("iam", "2010-05-08"),
        IamService::Sts => ("sts", "2011-06-15"),
    }
}

/// A form whose parameters stand as they go over the wire.
type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

fn pairs(action: IamAction, account: &str) -> Pairs {
    let asked = [("Action", action.name()), ("Version", service(action).1)];
    let value = |name, value| match (action, name) {
        (IamAction::UpdateAssumeRolePolicy, "PolicyDocument") => TRUST.to_owned(),
        _ => str::replace(value, "{account}", account),
    };
    let all = asked.into_iter().chain(PARAMETERS);
    all.map(|(name, given)| (name.as_bytes().to_vec(), encoded(value(name, given).as_bytes()))).collect()
}

fn written(pairs: &Pairs) -> Request {
    let body = pairs.iter().map(|(name, value)| [name, &b"="[..], value].concat()).collect::<Vec<_>>().join(&b'&');
    Request::new("POST", "/").header("content-type", "application/x-www-form-urlencoded; charset=utf-8").body(body)
}

/// A good form of an operation, and the service that it is signed for.
pub(super) fn good(action: IamAction, account: &str) -> (Request, &'static str) {
    (written(&pairs(action, account)), service(action).0)
}

/// A broken form of any operation, the service that it is signed for, and the name of the operation.
pub(super) fn broken(account: &str, random: &mut StdRng) -> (Request, &'static str, &'static str) {
    let all = if random.random_bool(0.4) { &WITH_DOCUMENT[..] } else { IamAction::ALL };
    let action = *pick(random, all);
    let mut pairs = pairs(action, account);
    if random.random_bool(0.3) {
        let kept = random.random_range(0.5..1.0);
        pairs.retain(|(name, _)| name == b"Action" || name == b"Version" || random.random_bool(kept));
    }
    for _ in 0..*pick(random, &[1, 1, 1, 2, 2, 3]) {
        damage(&mut pairs, random);
    }
    let mut request = written(&pairs);
    match random.random_range(0..20) {
        0 => request.body = any(random),
        1 => request.body = request.body.iter().map(|byte| if *byte == b'&' { b';' } else { *byte }).collect(),
        2 => {
            let kinds = [
                &b""[..],
                b"text/plain",
                b"application/json",
                b"application/x-www-form-urlencoded; charset=utf-16",
                b"\xff",
            ];
            request.set("content-type", bytes(random, &kinds));
        }
        // The parameters where those of other interfaces stand.
        3 => {
            request.query = pairs.into_iter().map(|(name, value)| (name, Some(value))).collect();
            request.body.clear();
            request.method = pick(random, &[&b"GET"[..], b"POST"]).to_vec();
        }
        4 => {
            let at = random.random_range(0..=request.body.len());
            request.body.truncate(at);
        }
        _ => {}
    }
    (request, service(action).0, action.name())
}

/// One thing that is wrong.
fn damage(pairs: &mut Pairs, random: &mut StdRng) {
    let at = random.random_range(0..pairs.len());
    match random.random_range(0..18) {
        0..=3 => {
            let value = if random.random_bool(0.5) { any(random) } else { fitting(&pairs[at].0.clone(), random) };
            pairs[at].1 = encoded(&value);
        }
        // As it stands: broken encodings, bytes that are no UTF-8, characters that end a parameter.
        4 | 5 => pairs[at].1 = text(random),
        6 => {
            let value = if random.random_bool(0.5) { pairs[at].1.clone() } else { encoded(&any(random)) };
            pairs.push((pairs[at].0.clone(), value));
        }
        7 => drop(pairs.remove(at)),
        8 => {
            let name =
                if random.random_bool(0.5) { pick(random, &NOT_OFFERED).as_bytes().to_vec() } else { text(random) };
            pairs.push((name, encoded(&any(random))));
        }
        9 => {
            pairs[at].1 =
                vec![*pick(random, b"aA0/%+\xe9"); *pick(random, &[129, 513, 2049, 20_000, 131_072, 200_000])];
        }
        10..=12 => document(pairs, random),
        13 => {
            let names = [
                &b"createuser"[..],
                b"",
                b"CreateUser ",
                b"AssumeRoleWithWebIdentity",
                b"DeleteAccount",
                b"%00",
                b"%01",
                b"%EF%BF%BF",
                b"%ff",
            ];
            set(pairs, b"Action", &bytes(random, &names));
        }
        14 => {
            let versions = [&b"2006-03-01"[..], b"", b"2010-05-08%00", b"2011-06-15", b"2010-05-08", b"latest"];
            set(pairs, b"Version", &bytes(random, &versions));
        }
        15 => pairs[at].0 = encoded(&any(random)),
        16 => pairs.extend((0..random.random_range(50..8000)).map(|at| (format!("p{at}").into_bytes(), b"v".to_vec()))),
        _ => {
            let odd = bytes(
                random,
                &[b"%00", b"%0A", b"%0D%0A", b"%01", b"%7F", b"%C2%85", b"%EF%BF%BE", b"%F0%9F%92%A9", b"%E2%80%AE"],
            );
            let end = pairs[at].1.len();
            let place = if random.random_bool(0.5) { 0 } else { end };
            pairs[at].1.splice(place..place, odd);
        }
    }
    if pairs.is_empty() {
        pairs.push((b"Action".to_vec(), Vec::new()));
    }
}

fn set(pairs: &mut Pairs, name: &[u8], value: &[u8]) {
    pairs.iter_mut().filter(|(given, _)| given == name).for_each(|(_, given)| *given = value.to_vec());
}

/// A value of the kind that a parameter has.
fn fitting(name: &[u8], random: &mut StdRng) -> Vec<u8> {
    match name {
        b"MaxItems" | b"DurationSeconds" | b"MaxSessionDuration" => number(random),
        b"Path" | b"NewPath" | b"PathPrefix" => {
            let paths = [&b"//"[..], b"/a", b"a/", b"/\x7f/", b"/\0/", b"/ /", b"/../", b"/a//b/"];
            let path = bytes(random, &paths);
            if random.random_bool(0.2) { b"/a".repeat(size(random)) } else { path }
        }
        b"PolicyArn" | b"RoleArn" => {
            let arns = [
                &b"arn:aws:iam::aws:policy/"[..],
                b"arn:aws:iam::::::",
                b"arn:aws:iam::x:role/",
                b"arn:aws:iam::x:policy/a/b/c",
                b"arn:aws:s3:::x",
                b"arn",
                b":::::",
                b"arn:aws:iam::\0:role/something",
            ];
            bytes(random, &arns)
        }
        b"VersionId" => bytes(random, &[b"v0", b"v", b"v-1", b"v99999999999999999999", b"V1", b"v1.v2", b"1"]),
        b"Status" => bytes(random, &[b"active", b"Active", b"Expired", b""]),
        _ => date(random),
    }
}

/// Breaks a policy, or makes one that is too large or too deep.
fn document(pairs: &mut Pairs, random: &mut StdRng) {
    let names: [&[u8]; 3] = [b"PolicyDocument", b"AssumeRolePolicyDocument", b"Policy"];
    let depth = *pick(random, &[10, 127, 128, 129, 1000, 10_000]);
    for (name, value) in pairs.iter_mut().filter(|(name, _)| names.contains(&name.as_slice())) {
        let whole = if name == b"AssumeRolePolicyDocument" { TRUST } else { POLICY }.as_bytes();
        let document = match random.random_range(0..10) {
            0 => [&b"{\"Statement\":"[..], &b"[".repeat(depth), &b"]".repeat(depth), b"}"].concat(),
            1 => {
                let inner = [b"{\"StringEquals\":".repeat(depth), b"{}".to_vec(), b"}".repeat(depth)].concat();
                [
                    b"{\"Statement\":[{\"Effect\":\"Allow\",\"Action\":\"*\",\"Resource\":\"*\",\"Condition\":",
                    &*inner,
                    b"}]}",
                ]
                .concat()
            }
            2 => {
                let many = b"\"s3:GetObject\",".repeat(depth);
                [b"{\"Statement\":[{\"Effect\":\"Allow\",\"Resource\":\"*\",\"Action\":[", &*many, b"\"s3:*\"]}]}"]
                    .concat()
            }
            3 => [&b" ".repeat(depth * 10), whole].concat(),
            4 => [&b"{\"Statement\":[],"[..], &whole[1..]].concat(),
            _ => damaged_json(whole, random),
        };
        // What does not fit into a form shows nothing else than that.
        *value = if document.len() > 40_000 && random.random_bool(0.8) {
            document[..1000].to_vec()
        } else {
            encoded(&document)
        };
    }
}
