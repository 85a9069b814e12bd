//! Every operation, of S3 and of identities, is refused to anonymous, another account, a user without the action, a suspended account's
//! user, and an ended session; and no refusal tells more than was asked.

use std::time::Duration;

use engine::{Caller, GroupId, IamAction, UserChange, UserId};
use s3_store::{OPERATIONS, Settings};
use serde_json::json;

use crate::answer::Answer;
use crate::client::{Client, Payload, Request, Signature, hmac_sha1};
use crate::forms;
use crate::harness::Endpoint;
use crate::iam::{ALL_OF_S3, ask, at_door, done, form, iam_user, with_keys};
use crate::operations::{self, request, with_upload};

const POLICY: &str = r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#;
const TRUST: &str = r#"{"Statement":{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole"}}"#;
const STORE_POLICY: (&str, &str) = ("PolicyArn", "arn:aws:iam::aws:policy/AmazonS3FullAccess");
const USER: (&str, &str) = ("UserName", "victim");
const GROUP: (&str, &str) = ("GroupName", "staff");
const ROLE: (&str, &str) = ("RoleName", "reader");
const NAME: (&str, &str) = ("PolicyName", "secretplan");
const TEXT: (&str, &str) = ("PolicyDocument", POLICY);
const V1: (&str, &str) = ("VersionId", "v1");

/// The parameters of an operation that aims at what `world` made. There is no other arm: a new operation needs a line.
fn fields(action: IamAction, policy: &str, role: &str, key: &str) -> Vec<(&'static str, String)> {
    use IamAction as A;
    let own = ("PolicyArn", policy);
    let key = ("AccessKeyId", key);
    let fields: Vec<(&'static str, &str)> = match action {
        A::CreateUser => vec![("UserName", "new")],
        A::ListUsers
        | A::ListGroups
        | A::ListRoles
        | A::ListOpenIDConnectProviders
        | A::ListAccountAliases
        | A::GetAccountSummary => vec![],
        A::GetUser | A::DeleteUser | A::CreateAccessKey | A::ListAccessKeys => vec![USER],
        A::UpdateUser => vec![USER, ("NewUserName", "other")],
        A::UpdateAccessKey => vec![USER, key, ("Status", "Inactive")],
        A::DeleteAccessKey => vec![USER, key],
        A::PutUserPolicy => vec![USER, NAME, TEXT],
        A::GetUserPolicy | A::DeleteUserPolicy => vec![USER, NAME],
        A::ListUserPolicies | A::ListAttachedUserPolicies | A::ListGroupsForUser => vec![USER],
        A::AttachUserPolicy | A::DetachUserPolicy => vec![USER, STORE_POLICY],
        A::CreateGroup => vec![("GroupName", "new")],
        A::GetGroup | A::DeleteGroup | A::ListGroupPolicies | A::ListAttachedGroupPolicies => vec![GROUP],
        A::UpdateGroup => vec![GROUP, ("NewGroupName", "other")],
        A::AddUserToGroup | A::RemoveUserFromGroup => vec![GROUP, USER],
        A::PutGroupPolicy => vec![GROUP, NAME, TEXT],
        A::GetGroupPolicy | A::DeleteGroupPolicy => vec![GROUP, NAME],
        A::AttachGroupPolicy | A::DetachGroupPolicy => vec![GROUP, STORE_POLICY],
        A::CreateRole => vec![("RoleName", "new"), ("AssumeRolePolicyDocument", TRUST)],
        A::GetRole
        | A::DeleteRole
        | A::ListRolePolicies
        | A::ListAttachedRolePolicies
        | A::ListInstanceProfilesForRole => vec![ROLE],
        A::UpdateRole => vec![ROLE, ("Description", "changed")],
        A::UpdateAssumeRolePolicy => vec![ROLE, ("PolicyDocument", TRUST)],
        A::PutRolePolicy => vec![ROLE, NAME, TEXT],
        A::GetRolePolicy | A::DeleteRolePolicy => vec![ROLE, NAME],
        A::AttachRolePolicy | A::DetachRolePolicy => vec![ROLE, STORE_POLICY],
        A::CreatePolicy => vec![("PolicyName", "new"), TEXT],
        A::ListPolicies => vec![("Scope", "Local")],
        A::GetPolicy | A::DeletePolicy | A::ListPolicyVersions | A::ListEntitiesForPolicy => vec![own],
        A::CreatePolicyVersion => vec![own, TEXT],
        A::GetPolicyVersion | A::SetDefaultPolicyVersion | A::DeletePolicyVersion => vec![own, V1],
        A::AssumeRole => vec![("RoleArn", role), ("RoleSessionName", "stolen")],
        A::GetSessionToken | A::GetCallerIdentity => vec![],
    };
    fields.into_iter().map(|(name, value)| (name, value.to_owned())).collect()
}

/// An account with everything that operations aim at, and those who may nothing with it.
struct World {
    endpoint: Endpoint,
    policy: String,
    role: String,
    key: String,
    /// A user without a policy.
    plain: Client,
}

impl World {
    async fn new(endpoint: Endpoint) -> Self {
        let plain = iam_user(&endpoint, "plain", None).await;
        let victim = iam_user(&endpoint, "victim", Some(ALL_OF_S3)).await;
        let ada = &endpoint.ada;
        done(&endpoint, ada, &[("Action", "PutUserPolicy"), USER, NAME, TEXT]).await;
        done(&endpoint, ada, &[("Action", "CreateGroup"), GROUP]).await;
        let trust = TRUST.replace(r#""*""#, r#"{"Service":"nobody"}"#);
        let role = [("Action", "CreateRole"), ROLE, ("AssumeRolePolicyDocument", trust.as_str())];
        let role = done(&endpoint, ada, &role).await.element("Arn");
        let made = done(&endpoint, ada, &[("Action", "CreatePolicy"), ("PolicyName", "hidden"), TEXT]).await;
        let (policy, key) = (made.element("Arn"), victim.access_key);
        Self { endpoint, policy, role, key, plain }
    }

    async fn ask(&self, client: &Client, action: IamAction) -> Answer {
        let fields = self.fields(action);
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        ask(&self.endpoint, client, &fields).await
    }

    fn fields(&self, action: IamAction) -> Vec<(&'static str, String)> {
        let fields = fields(action, &self.policy, &self.role, &self.key);
        [vec![("Action", action.name().to_owned())], fields].concat()
    }

    /// All that the account has.
    async fn state(&self) -> String {
        let (endpoint, ada) = (&self.endpoint, &self.endpoint.ada);
        let mut text = String::new();
        for action in ["ListUsers", "ListGroups", "ListRoles"] {
            text += &done(endpoint, ada, &[("Action", action)]).await.elements("member").concat();
        }
        for action in ["ListUserPolicies", "ListAttachedUserPolicies", "ListAccessKeys", "ListGroupsForUser"] {
            text += &done(endpoint, ada, &[("Action", action), USER]).await.elements("member").concat();
        }
        let versions = [("Action", "ListPolicyVersions"), ("PolicyArn", self.policy.as_str())];
        text + &done(endpoint, ada, &versions).await.elements("member").concat()
    }

    async fn suspend(&self) {
        let (group, user) = (GroupId::new("acme").expect("an id"), UserId::new("ada").expect("an id"));
        let change = UserChange { active: Some(false), ..Default::default() };
        self.endpoint.engine.change_user(&Caller::LocalOperator, &group, &user, change).await.expect("suspended");
    }

    async fn session(&self, client: &Client) -> Client {
        with_keys(&self.endpoint, &done(&self.endpoint, client, &[("Action", "GetSessionToken")]).await)
    }
}

/// What nobody may read in a refusal: names and ids of the account that were not in the question.
fn tells_nothing(world: &World, action: &str, answer: &Answer) {
    let text = answer.text();
    for secret in ["hidden", "secretplan", "AIDA", "AROA", "ANPA", "sqlite", world.endpoint.ada_id.as_str()] {
        let asked =
            secret == "secretplan" && action.ends_with("Policy") || action.contains("Policy") && secret == "hidden";
        // An ARN of the question may be repeated; it names policy and account.
        let repeated = secret == world.endpoint.ada_id.as_str() && action.contains("Policy");
        assert!(asked || repeated || !text.contains(secret), "{action} tells {secret}: {text}");
    }
}

#[tokio::test]
async fn each_operation_on_identities_is_refused_to_whom_it_is_not_given() {
    let world = World::new(Endpoint::start().await).await;
    let before = world.state().await;
    for action in IamAction::ALL.iter().copied() {
        let name = action.name();
        let owned = world.fields(action);
        let fields: Vec<(&str, &str)> = owned.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let door = at_door(&world.endpoint, &world.endpoint.ada, action.service().name());
        let anonymous = door.send(form(&fields).signed(Signature::None)).await;
        assert_eq!(anonymous.told(), "403 MissingAuthenticationToken", "{name}");
        tells_nothing(&world, name, &anonymous);

        let plain = world.ask(&world.plain, action).await;
        match action {
            // About the caller alone.
            IamAction::GetCallerIdentity | IamAction::GetSessionToken => assert_eq!(plain.told(), "200", "{name}"),
            _ => {
                assert_eq!(plain.told(), "403 AccessDenied", "{name}: {}", plain.text());
                tells_nothing(&world, name, &plain);
            }
        }

        // Another account acts in its own, where nothing of this one is.
        let stranger = world.ask(&world.endpoint.bob, action).await;
        match action {
            IamAction::CreateUser | IamAction::CreateGroup | IamAction::CreateRole | IamAction::CreatePolicy => {
                assert_eq!(stranger.told(), "200", "{name}");
            }
            IamAction::ListUsers
            | IamAction::ListGroups
            | IamAction::ListRoles
            | IamAction::ListPolicies
            | IamAction::ListOpenIDConnectProviders
            | IamAction::ListAccountAliases
            | IamAction::GetAccountSummary
            | IamAction::GetCallerIdentity
            | IamAction::GetSessionToken => assert_eq!(stranger.told(), "200", "{name}"),
            IamAction::AssumeRole => assert_eq!(stranger.told(), "403 AccessDenied", "{name}"),
            _ => assert_eq!(stranger.told(), "404 NoSuchEntity", "{name}: {}", stranger.text()),
        }
        match stranger.status {
            200 => {
                let text = stranger.text();
                for theirs in ["victim", "staff", "reader", "secretplan", "hidden"] {
                    assert!(!text.contains(theirs), "{name} tells {theirs}: {text}");
                }
            }
            _ => tells_nothing(&world, name, &stranger),
        }
    }
    assert_eq!(world.state().await, before, "refused operations change nothing");
}

#[tokio::test]
async fn each_operation_on_identities_is_refused_to_ended_and_suspended_keys() {
    let world = World::new(Endpoint::start().await).await;
    let session = world.session(&world.plain).await;
    world.endpoint.hand.advance(Duration::from_secs(43_200));
    for action in IamAction::ALL.iter().copied() {
        let ended = world.ask(&session, action).await;
        assert_eq!(ended.told(), "403 ExpiredToken", "{}", action.name());
        tells_nothing(&world, action.name(), &ended);
    }
    world.suspend().await;
    for action in IamAction::ALL.iter().copied() {
        for client in [&world.endpoint.ada, &world.plain, &session] {
            let suspended = world.ask(client, action).await;
            assert_eq!(suspended.told(), "403 InvalidClientTokenId", "{}", action.name());
            tells_nothing(&world, action.name(), &suspended);
        }
    }
}

#[tokio::test]
async fn each_operation_of_s3_is_refused_to_users_without_the_action_and_to_ended_sessions() {
    let (endpoint, upload) = with_upload().await;
    let world = World::new(endpoint).await;
    let endpoint = &world.endpoint;
    // The other account's user may all that its account may, which is nothing here.
    let fields = [("Action", "CreateUser"), ("UserName", "carl")];
    done(endpoint, &endpoint.bob, &fields).await;
    let fields =
        [("Action", "PutUserPolicy"), ("UserName", "carl"), ("PolicyName", "p"), ("PolicyDocument", ALL_OF_S3)];
    done(endpoint, &endpoint.bob, &fields).await;
    let key = done(endpoint, &endpoint.bob, &[("Action", "CreateAccessKey"), ("UserName", "carl")]).await;
    let (carl, session) = (with_keys(endpoint, &key), world.session(&world.plain).await);
    for operation in OPERATIONS {
        let asked = request(operation, "photos", &upload);
        for (who, client) in [("without the action", &world.plain), ("its session", &session)] {
            let answer = client.send(asked.clone()).await;
            operations::tells_nothing(endpoint, operation.name, &answer);
            match operation.name {
                "DeleteObjects" => assert_eq!(answer.elements("Code"), ["AccessDenied"], "{who}: {}", answer.text()),
                name => assert_eq!(answer.status, 403, "{name} {who}: {}", answer.text()),
            }
        }
        let answer = carl.send(asked.clone()).await;
        operations::tells_nothing(endpoint, operation.name, &answer);
        match operation.name {
            "ListBuckets" => assert!(answer.elements("Name").is_empty(), "{}", answer.text()),
            "CreateBucket" => assert_eq!(answer.told(), "409 BucketAlreadyExists"),
            "DeleteObjects" => assert_eq!(answer.elements("Code"), ["AccessDenied"], "{}", answer.text()),
            name => assert_eq!(answer.status, 403, "{name} by another account's user: {}", answer.text()),
        }
    }
    endpoint.hand.advance(Duration::from_secs(43_200));
    for operation in OPERATIONS {
        let answer = session.send(request(operation, "photos", &upload)).await;
        operations::tells_nothing(endpoint, operation.name, &answer);
        assert_eq!(answer.status, 400, "{} by an ended session", operation.name);
        if operation.method != "HEAD" {
            assert_eq!(answer.told(), "400 ExpiredToken", "{}", operation.name);
        }
    }
    world.suspend().await;
    for operation in OPERATIONS {
        for client in [&world.plain, &session] {
            let answer = client.send(request(operation, "photos", &upload)).await;
            operations::tells_nothing(endpoint, operation.name, &answer);
            assert_eq!(answer.status, 403, "{} by a suspended account's user", operation.name);
        }
    }
}

/// A form for `k` that a client's keys sign.
fn signed_form(client: &Client) -> Request {
    let conditions = json!([{ "bucket": "photos" }, { "key": "k" }, ["starts-with", "$x-amz-security-token", ""]]);
    let policy = forms::policy(forms::LATER, &conditions);
    let signature = hmac_sha1(&client.secret_key, &policy);
    let mut fields = vec![
        ("key", "k"),
        ("AWSAccessKeyId", client.access_key.as_str()),
        ("policy", policy.as_str()),
        ("signature", signature.as_str()),
    ];
    if let Some(token) = &client.token {
        fields.push(("x-amz-security-token", token));
    }
    forms::form(&fields, b"content")
}

#[tokio::test]
async fn forms_and_visits_are_refused_to_whom_they_are_not_given() {
    let websites = Settings { website_domains: vec!["web.lan".to_owned()], ..Settings::default() };
    let world = World::new(Endpoint::start_with(websites).await).await;
    let endpoint = &world.endpoint;
    let (ada, bob, session) = (&endpoint.ada, &endpoint.bob, world.session(&world.plain).await);
    endpoint.make_bucket("photos").await;
    let told = async |request: Request| ada.send(request).await.told();
    let forged = Client { secret_key: "x".repeat(40), ..ada.clone() };
    assert_eq!(told(signed_form(&forged)).await, "403 SignatureDoesNotMatch");
    assert_eq!(told(forms::form(&[("key", "k")], b"content")).await, "403 AccessDenied", "by nobody");
    for client in [bob, &world.plain, &session] {
        assert_eq!(told(signed_form(client)).await, "403 AccessDenied", "{}", client.access_key);
    }
    assert_eq!(endpoint.get("/photos/k").await.told(), "404 NoSuchKey");
    assert_eq!(told(signed_form(ada)).await, "204", "the form itself is good");

    let site = "<WebsiteConfiguration><IndexDocument><Suffix>i</Suffix></IndexDocument></WebsiteConfiguration>";
    assert_eq!(told(Request::new("PUT", "/photos?q:website").body(site)).await, "200");
    for client in [ada, bob, &world.plain, &session] {
        // Whoever visits is nobody, whatever it signs.
        let visitor = Client { host: "photos.web.lan".to_owned(), ..client.clone() };
        for signature in [Signature::None, Signature::V4(Payload::Unsigned)] {
            let visit = visitor.send(Request::new("GET", "/k").signed(signature)).await;
            assert_eq!((visit.status, visit.header("x-amz-error-code")), (403, Some("AccessDenied")));
            assert!(!visit.text().contains("content"), "{}", visit.text());
        }
    }

    endpoint.hand.advance(Duration::from_secs(43_200));
    assert_eq!(told(signed_form(&session)).await, "400 ExpiredToken");
    world.suspend().await;
    for client in [ada, &world.plain, &session] {
        let answer = ada.send(signed_form(client)).await;
        assert_eq!(answer.status, 403, "{} by a suspended account: {}", client.access_key, answer.text());
    }
}
