//! What names a version, or passes a governance lock, needs an action of its own: who has the one without `Version` may not, who has exactly
//! that one may, and nobody else may either.

use std::time::Duration;

use engine::{Caller, GroupId, UserChange, UserId};

use crate::actions::{is_denied, policy};
use crate::answer::Answer;
use crate::client::{Client, Request, Signature};
use crate::harness::Endpoint;
use crate::iam::{ALL_OF_S3, done, iam_user, with_keys};
use crate::operations::tells_nothing;

/// A request about a version, with what it needs.
struct Versioned {
    name: &'static str,
    method: &'static str,
    path: &'static str,
    /// Parameters. `{old}` stands for the version of `key` that is not current, `{locked}` for the locked version of `locked`, `{upload}` for an
    /// upload of `key`, here and beneath.
    query: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
    actions: &'static [&'static str],
    /// What the same request needs where it names no version and passes no lock.
    plain: &'static [&'static str],
}

const TAGGING: &str = "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>";
const SHORTER: &str =
    "<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>2099-01-01T00:00:00Z</RetainUntilDate></Retention>";
const RETENTION: &str =
    "<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>2100-01-01T00:00:00Z</RetainUntilDate></Retention>";
const BYPASS: (&str, &str) = ("x-amz-bypass-governance-retention", "true");

const fn on(
    name: &'static str,
    (method, path, query): (&'static str, &'static str, &'static str),
    actions: &'static [&'static str],
    plain: &'static [&'static str],
) -> Versioned {
    Versioned { name, method, path, query, headers: &[], body: "", actions, plain }
}

const REQUESTS: &[Versioned] = &[
    on("GetObject", ("GET", "/photos/key", "versionId={old}"), &["s3:GetObjectVersion"], &["s3:GetObject"]),
    on("HeadObject", ("HEAD", "/photos/key", "versionId={old}"), &["s3:GetObjectVersion"], &["s3:GetObject"]),
    Versioned {
        headers: &[("x-amz-object-attributes", "ETag")],
        ..on(
            "GetObjectAttributes",
            ("GET", "/photos/key", "attributes&versionId={old}"),
            &["s3:GetObjectVersion", "s3:GetObjectVersionAttributes"],
            &["s3:GetObject", "s3:GetObjectAttributes"],
        )
    },
    on("DeleteObject", ("DELETE", "/photos/key", "versionId={old}"), &["s3:DeleteObjectVersion"], &["s3:DeleteObject"]),
    Versioned {
        body: "<Delete><Object><Key>key</Key><VersionId>{old}</VersionId></Object></Delete>",
        ..on("DeleteObjects", ("POST", "/photos", "delete"), &["s3:DeleteObjectVersion"], &["s3:DeleteObject"])
    },
    on(
        "GetObjectAcl",
        ("GET", "/photos/key", "acl&versionId={old}"),
        &["s3:GetObjectVersionAcl"],
        &["s3:GetObjectAcl"],
    ),
    Versioned {
        headers: &[("x-amz-acl", "private")],
        ..on(
            "PutObjectAcl",
            ("PUT", "/photos/key", "acl&versionId={old}"),
            &["s3:PutObjectVersionAcl"],
            &["s3:PutObjectAcl"],
        )
    },
    on(
        "GetObjectTagging",
        ("GET", "/photos/key", "tagging&versionId={old}"),
        &["s3:GetObjectVersionTagging"],
        &["s3:GetObjectTagging"],
    ),
    Versioned {
        body: TAGGING,
        ..on(
            "PutObjectTagging",
            ("PUT", "/photos/key", "tagging&versionId={old}"),
            &["s3:PutObjectVersionTagging"],
            &["s3:PutObjectTagging"],
        )
    },
    on(
        "DeleteObjectTagging",
        ("DELETE", "/photos/key", "tagging&versionId={old}"),
        &["s3:DeleteObjectVersionTagging"],
        &["s3:DeleteObjectTagging"],
    ),
    Versioned {
        headers: &[("x-amz-copy-source", "photos/key?versionId={old}")],
        ..on(
            "CopyObject",
            ("PUT", "/photos/copy", ""),
            &["s3:GetObjectVersion", "s3:GetObjectVersionTagging", "s3:PutObject", "s3:PutObjectTagging"],
            &["s3:GetObject", "s3:GetObjectTagging", "s3:PutObject", "s3:PutObjectTagging"],
        )
    },
    Versioned {
        headers: &[("x-amz-copy-source", "photos/key?versionId={old}")],
        ..on(
            "UploadPartCopy",
            ("PUT", "/photos/key", "partNumber=1&uploadId={upload}"),
            &["s3:GetObjectVersion", "s3:PutObject"],
            &["s3:GetObject", "s3:PutObject"],
        )
    },
    Versioned {
        headers: &[BYPASS],
        ..on(
            "DeleteObject past a lock",
            ("DELETE", "/photos/locked", "versionId={locked}"),
            &["s3:DeleteObjectVersion", "s3:BypassGovernanceRetention"],
            &["s3:DeleteObject", "s3:DeleteObjectVersion"],
        )
    },
    Versioned {
        headers: &[BYPASS],
        body: "<Delete><Object><Key>locked</Key><VersionId>{locked}</VersionId></Object></Delete>",
        ..on(
            "DeleteObjects past a lock",
            ("POST", "/photos", "delete"),
            &["s3:DeleteObjectVersion", "s3:BypassGovernanceRetention"],
            &["s3:DeleteObject", "s3:DeleteObjectVersion"],
        )
    },
    Versioned {
        headers: &[BYPASS],
        body: SHORTER,
        ..on(
            "PutObjectRetention past a lock",
            ("PUT", "/photos/locked", "retention&versionId={locked}"),
            &["s3:PutObjectRetention", "s3:BypassGovernanceRetention"],
            &["s3:PutObjectRetention"],
        )
    },
];

/// A bucket with a version that is not current, has tags, and is the source of an upload; and one that is locked.
struct World {
    endpoint: Endpoint,
    old: String,
    locked: String,
    upload: String,
}

impl World {
    async fn new() -> Self {
        let endpoint = Endpoint::start().await;
        let sent = async |request: Request| {
            let answer = endpoint.ada.send(request).await;
            assert_eq!(answer.told(), "200", "{}", answer.text());
            answer
        };
        let version =
            |answer: Answer| answer.header("x-amz-version-id").map(str::to_owned).expect("the bucket keeps versions");
        sent(Request::new("PUT", "/photos").header("x-amz-bucket-object-lock-enabled", "true")).await;
        let tagged = Request::new("PUT", "/photos/key").header("x-amz-tagging", "a=b");
        let old = version(sent(tagged.body("content")).await);
        sent(Request::new("PUT", "/photos/key").body("newer")).await;
        let locked = version(sent(Request::new("PUT", "/photos/locked").body("content")).await);
        sent(Request::new("PUT", "/photos/locked?q:retention").body(RETENTION)).await;
        let upload = sent(Request::new("POST", "/photos/key?q:uploads")).await.element("UploadId");
        Self { endpoint, old, locked, upload }
    }

    fn fill(&self, text: &str) -> String {
        text.replace("{old}", &self.old).replace("{locked}", &self.locked).replace("{upload}", &self.upload)
    }

    fn request(&self, asked: &Versioned) -> Request {
        let path = format!("{}?q:{}", asked.path, self.fill(asked.query));
        let request = Request::new(asked.method, &path).body(self.fill(asked.body));
        asked.headers.iter().fold(request, |request, (name, value)| request.header(name, &self.fill(value)))
    }

    async fn told(&self, client: &Client, asked: &Versioned) -> Answer {
        client.send(self.request(asked)).await
    }

    /// That both versions and the lock are still there.
    async fn is_whole(&self) {
        for (key, version) in [("key", &self.old), ("locked", &self.locked)] {
            let got =
                self.endpoint.ada.send(Request::new("GET", &format!("/photos/{key}")).query("versionId", version));
            assert_eq!(got.await.text(), "content", "{key}");
        }
        let tags = Request::new("GET", "/photos/key?q:tagging").query("versionId", &self.old);
        assert_eq!(self.endpoint.ada.send(tags).await.element("Value"), "b");
        let lock = self.endpoint.get("/photos/locked?q:retention").await;
        assert!(lock.element("RetainUntilDate").starts_with("2100-01-01T00:00:00"), "{}", lock.text());
        assert_eq!(self.endpoint.get("/photos/copy").await.told(), "404 NoSuchKey");
    }
}

#[tokio::test]
async fn the_actions_on_a_version_are_enough() {
    for asked in REQUESTS {
        let world = World::new().await;
        let user = iam_user(&world.endpoint, "user", Some(&policy(&[("Allow", asked.actions)]))).await;
        let answer = world.told(&user, asked).await;
        let went = matches!(answer.status, 200 | 204) && answer.elements("Code").is_empty();
        assert!(went, "{} with {:?}: {} {}", asked.name, asked.actions, answer.status, answer.text());
    }
}

#[tokio::test]
async fn each_action_on_a_version_is_needed() {
    let world = World::new().await;
    for (row, asked) in REQUESTS.iter().enumerate() {
        for (number, action) in asked.actions.iter().enumerate() {
            let all_but_one = policy(&[("Allow", &["s3:*"]), ("Deny", &[action])]);
            let user = iam_user(&world.endpoint, &format!("{row}-{number}"), Some(&all_but_one)).await;
            let answer = world.told(&user, asked).await;
            assert!(is_denied(&answer), "{} without {action}: {} {}", asked.name, answer.status, answer.text());
        }
        let plain = policy(&[("Allow", asked.plain)]);
        let user = iam_user(&world.endpoint, &format!("{row}-plain"), Some(&plain)).await;
        let answer = world.told(&user, asked).await;
        assert!(is_denied(&answer), "{} with {:?}: {} {}", asked.name, asked.plain, answer.status, answer.text());
        tells_nothing(&world.endpoint, asked.name, &answer);
    }
    world.is_whole().await;
}

/// A bucket owner's policy that names the action without `Version` opens no version either.
#[tokio::test]
async fn a_policy_of_the_bucket_names_the_action_on_a_version() {
    let world = World::new().await;
    let endpoint = &world.endpoint;
    let read = REQUESTS.iter().find(|asked| asked.name == "GetObject").expect("a row");
    let delete = REQUESTS.iter().find(|asked| asked.name == "DeleteObject").expect("a row");
    for (actions, reads, deletes) in [
        (&["s3:GetObject", "s3:DeleteObject"], 403, 403),
        (&["s3:GetObjectVersion", "s3:DeleteObject"], 200, 403),
        (&["s3:GetObject", "s3:DeleteObjectVersion"], 403, 204),
    ] {
        let text = format!(
            r#"{{"Statement":{{"Effect":"Allow","Principal":"*","Action":{actions:?},"Resource":"arn:aws:s3:::photos/*"}}}}"#
        );
        assert_eq!(endpoint.ada.send(Request::new("PUT", "/photos?q:policy").body(text)).await.told(), "204");
        assert_eq!(world.told(&endpoint.bob, read).await.status, reads, "{actions:?}");
        assert_eq!(world.told(&endpoint.bob, delete).await.status, deletes, "{actions:?}");
    }
}

#[tokio::test]
async fn versions_are_nobody_elses() {
    let world = World::new().await;
    let endpoint = &world.endpoint;
    let plain = iam_user(endpoint, "plain", None).await;
    done(endpoint, &endpoint.bob, &[("Action", "CreateUser"), ("UserName", "carl")]).await;
    let all = [("Action", "PutUserPolicy"), ("UserName", "carl"), ("PolicyName", "p"), ("PolicyDocument", ALL_OF_S3)];
    done(endpoint, &endpoint.bob, &all).await;
    let carl = done(endpoint, &endpoint.bob, &[("Action", "CreateAccessKey"), ("UserName", "carl")]).await;
    let carl = with_keys(endpoint, &carl);
    let owner = iam_user(endpoint, "owner", Some(ALL_OF_S3)).await;
    let session = with_keys(endpoint, &done(endpoint, &owner, &[("Action", "GetSessionToken")]).await);
    for asked in REQUESTS {
        let anonymous = endpoint.ada.send(world.request(asked).signed(Signature::None)).await;
        assert_eq!(anonymous.status, 403, "{} by nobody: {}", asked.name, anonymous.text());
        tells_nothing(endpoint, asked.name, &anonymous);
        for (who, client) in [("another account", &endpoint.bob), ("its user", &carl), ("a user", &plain)] {
            let answer = world.told(client, asked).await;
            assert!(is_denied(&answer), "{} by {who}: {} {}", asked.name, answer.status, answer.text());
            tells_nothing(endpoint, asked.name, &answer);
        }
    }
    endpoint.hand.advance(Duration::from_secs(43_200));
    for asked in REQUESTS {
        let ended = world.told(&session, asked).await;
        assert_eq!(ended.status, 400, "{} by an ended session: {}", asked.name, ended.text());
        tells_nothing(endpoint, asked.name, &ended);
    }
    world.is_whole().await;
    let (group, user) = (GroupId::new("acme").expect("an id"), UserId::new("ada").expect("an id"));
    let change = UserChange { active: Some(false), ..Default::default() };
    endpoint.engine.change_user(&Caller::LocalOperator, &group, &user, change).await.expect("suspended");
    for asked in REQUESTS {
        for client in [&endpoint.ada, &owner, &session] {
            let answer = world.told(client, asked).await;
            assert_eq!(answer.status, 403, "{} of a suspended account: {}", asked.name, answer.text());
            tells_nothing(endpoint, asked.name, &answer);
        }
    }
}
