//! Identities over the wire: what a signature must be, where questions are answered, and what temporary keys open.

use std::io::{Read as _, Write as _};
use std::time::Duration;

use http::header::CONTENT_TYPE;

use crate::answer::{Answer, exchange};
use crate::client::{Client, Payload, Request, Signature, encode, sha256_hex};
use crate::harness::Endpoint;

/// A form that asks for something of IAM, or of STS where the operation is one of its own.
pub(crate) fn form(fields: &[(&str, &str)]) -> Request {
    let sts = ["AssumeRole", "GetSessionToken", "GetCallerIdentity"];
    let version = if sts.contains(&fields[0].1) { "2011-06-15" } else { "2010-05-08" };
    let body: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
    Request::new("POST", "/")
        .header(CONTENT_TYPE.as_str(), "application/x-www-form-urlencoded; charset=utf-8")
        .body(format!("{}&Version={version}", body.join("&")))
}

/// A client that signs for a service of identities, at their own door.
pub(crate) fn at_door(endpoint: &Endpoint, client: &Client, service: &str) -> Client {
    let addr = endpoint.iam_addr;
    Client { addr, host: addr.to_string(), service: service.to_owned(), ..client.clone() }
}

/// Asks as a client, for the service that the operation is of.
pub(crate) async fn ask(endpoint: &Endpoint, client: &Client, fields: &[(&str, &str)]) -> Answer {
    let request = form(fields);
    let service = if request.body.ends_with(b"2011-06-15") { "sts" } else { "iam" };
    at_door(endpoint, client, service).send(request).await
}

/// The same, for what must be done.
pub(crate) async fn done(endpoint: &Endpoint, client: &Client, fields: &[(&str, &str)]) -> Answer {
    let answer = ask(endpoint, client, fields).await;
    assert_eq!(answer.told(), "200", "{fields:?} {}", answer.text());
    answer
}

/// A client of S3 with the keys in an answer.
pub(crate) fn with_keys(endpoint: &Endpoint, answer: &Answer) -> Client {
    let token = answer.element("SessionToken");
    Client {
        access_key: answer.element("AccessKeyId"),
        secret_key: answer.element("SecretAccessKey"),
        token: (!token.is_empty()).then_some(token),
        ..endpoint.ada.clone()
    }
}

/// A user of Ada's account, with a policy where one is given.
pub(crate) async fn iam_user(endpoint: &Endpoint, name: &str, policy: Option<&str>) -> Client {
    done(endpoint, &endpoint.ada, &[("Action", "CreateUser"), ("UserName", name)]).await;
    if let Some(policy) = policy {
        let fields = [("Action", "PutUserPolicy"), ("UserName", name), ("PolicyName", "p"), ("PolicyDocument", policy)];
        done(endpoint, &endpoint.ada, &fields).await;
    }
    let key = done(endpoint, &endpoint.ada, &[("Action", "CreateAccessKey"), ("UserName", name)]).await;
    with_keys(endpoint, &key)
}

pub(crate) const ALL_OF_S3: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}"#;
const WHO: &[(&str, &str)] = &[("Action", "GetCallerIdentity")];
const USERS: &[(&str, &str)] = &[("Action", "ListUsers")];

#[tokio::test]
async fn answers_stand_in_the_name_space_of_their_service() {
    let endpoint = Endpoint::start().await;
    let users = done(&endpoint, &endpoint.ada, USERS).await;
    let text = users.text();
    assert!(
        text.starts_with("<ListUsersResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><ListUsersResult>")
    );
    assert!(
        text.contains("<IsTruncated>false</IsTruncated>") && text.contains("<ResponseMetadata><RequestId>"),
        "{text}"
    );
    let who = done(&endpoint, &endpoint.ada, WHO).await;
    assert_eq!(who.element("Arn"), format!("arn:aws:iam::{}:root", endpoint.ada_id));
    assert!(who.text().contains("https://sts.amazonaws.com/doc/2011-06-15/"), "{}", who.text());
    let missing = ask(&endpoint, &endpoint.ada, &[("Action", "GetUser"), ("UserName", "<nobody>")]).await;
    assert_eq!(missing.told(), "404 NoSuchEntity");
    let text = missing.text();
    assert!(text.contains("<ErrorResponse") && text.contains("<Error><Type>Sender</Type><Code>"), "{text}");
    assert!(text.contains("&lt;nobody&gt;") && text.contains("</Error><RequestId>"), "{text}");
}

#[tokio::test]
async fn the_s3_endpoint_answers_what_is_signed_for_identities() {
    let endpoint = Endpoint::start().await;
    let client = Client { service: "sts".to_owned(), ..endpoint.ada.clone() };
    let who = client.send(form(WHO)).await;
    assert_eq!(who.element("Account"), endpoint.ada_id.to_string(), "{}", who.text());
    let as_s3 = endpoint.ada.send(form(WHO)).await;
    assert_ne!(as_s3.status, 200, "{}", as_s3.text());
    assert_eq!(endpoint.ada.send(Request::new("GET", "/")).await.told(), "200");
}

#[tokio::test]
async fn a_question_may_be_asked_by_get() {
    let endpoint = Endpoint::start().await;
    let (here, there) = (at_door(&endpoint, &endpoint.ada, "iam"), endpoint.ada.clone());
    let there = Client { service: "iam".to_owned(), ..there };
    let users = || Request::new("GET", "/?q:Action=ListUsers&Version=2010-05-08");
    let link = || users().signed(Signature::V4Link(60));
    for client in [&here, &there] {
        for request in [users(), link()] {
            let asked = client.send(request.clone()).await;
            assert_eq!(asked.told(), "200", "{request:?} {}", asked.text());
            assert!(asked.text().starts_with("<ListUsersResponse"), "{}", asked.text());
            let wrong = Client { secret_key: "x".repeat(40), ..client.clone() };
            assert_eq!(wrong.send(request.clone()).await.told(), "403 SignatureDoesNotMatch");
            let changed = String::from_utf8(client.wire(request.clone())).expect("text");
            let (changed, addr) = (changed.replace("ListUsers", "ListRoles"), client.addr);
            let changed = tokio::task::spawn_blocking(move || exchange(addr, changed.as_bytes())).await;
            assert_eq!(changed.expect("an exchange").told(), "403 SignatureDoesNotMatch");
            let twice = request.query("Action", "ListUsers");
            assert_eq!(client.send(twice).await.told(), "400 ValidationError");
        }
        let ended = Client { skew_s: -120, ..client.clone() };
        assert_eq!(ended.send(link()).await.told(), "400 RequestExpired");
        // However long it says that it lives.
        let old = Client { skew_s: -1000, ..client.clone() };
        assert_eq!(old.send(users().signed(Signature::V4Link(100_000))).await.told(), "400 RequestExpired");
    }
    assert_eq!(here.send(users().signed(Signature::None)).await.told(), "403 MissingAuthenticationToken");
    assert_eq!(here.send(form(USERS).signed(Signature::V4Link(60))).await.told(), "400 IncompleteSignature");
    assert_eq!(here.send(users().signed(Signature::V2)).await.told(), "400 IncompleteSignature");
    let by_form = users().header(CONTENT_TYPE.as_str(), "application/x-www-form-urlencoded").body("Action=ListRoles");
    assert!(here.send(by_form).await.text().starts_with("<ListUsersResponse"), "the query asks");

    let session = with_keys(&endpoint, &done(&endpoint, &endpoint.ada, &[("Action", "GetSessionToken")]).await);
    let who = || Request::new("GET", "/?q:Action=GetCallerIdentity&Version=2011-06-15").signed(Signature::V4Link(60));
    let sts = at_door(&endpoint, &session, "sts");
    assert_eq!(sts.send(who()).await.element("Account"), endpoint.ada_id.to_string());
    let bare = Client { token: None, ..sts.clone() };
    assert_eq!(bare.send(who()).await.told(), "403 InvalidClientTokenId");
    assert_eq!(sts.send(users().signed(Signature::V4Link(60))).await.told(), "403 SignatureDoesNotMatch");
}

/// Names of identities are an account's own: what another has of the same name is neither seen nor touched.
#[tokio::test]
async fn accounts_have_the_same_names_apart() {
    const TRUST: &str = r#"{"Statement":{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole"}}"#;
    let endpoint = Endpoint::start().await;
    let made = [
        ("CreateUser", "UserName", "", ""),
        ("CreateGroup", "GroupName", "", ""),
        ("CreateRole", "RoleName", "AssumeRolePolicyDocument", TRUST),
        ("CreatePolicy", "PolicyName", "PolicyDocument", ALL_OF_S3),
    ];
    let accounts = [(&endpoint.ada, "/of-ada/"), (&endpoint.bob, "/of-bob/")];
    let mut arns = Vec::new();
    for (client, path) in accounts {
        for (action, name, document, text) in made {
            let fields = [("Action", action), (name, "same"), ("Path", path), (document, text)];
            let fields: Vec<_> = fields.into_iter().filter(|(name, _)| !name.is_empty()).collect();
            arns.push(done(&endpoint, client, &fields).await.element("Arn"));
            let again = ask(&endpoint, client, &fields).await;
            assert_eq!(again.told(), "409 EntityAlreadyExists", "{action}");
        }
    }
    let (of_ada, of_bob) = arns.split_at(made.len());
    assert!(of_ada.iter().all(|arn| !of_bob.contains(arn)), "{arns:?}");
    let lists = ["ListUsers", "ListGroups", "ListRoles", "ListPolicies"];
    for ((client, path), own) in accounts.into_iter().zip([of_ada, of_bob]) {
        for (list, arn) in lists.into_iter().zip(own) {
            let fields = [("Action", list), ("Scope", "Local")];
            let fields = if list == "ListPolicies" { &fields[..] } else { &fields[..1] };
            let listed = done(&endpoint, client, fields).await;
            assert_eq!(
                (listed.elements("Arn"), listed.element("Path")),
                (vec![arn.clone()], path.to_owned()),
                "{list}"
            );
        }
    }
    let key = done(&endpoint, &endpoint.bob, &[("Action", "CreateAccessKey"), ("UserName", "same")]).await;
    let same = with_keys(&endpoint, &key);
    assert_eq!(done(&endpoint, &same, WHO).await.element("Arn"), of_bob[0]);
    let keys = done(&endpoint, &endpoint.ada, &[("Action", "ListAccessKeys"), ("UserName", "same")]).await;
    assert!(keys.elements("AccessKeyId").is_empty(), "{}", keys.text());
    // A policy of the other account is none for this one.
    let attach = [("Action", "AttachUserPolicy"), ("UserName", "same"), ("PolicyArn", &of_bob[3])];
    assert_eq!(ask(&endpoint, &endpoint.ada, &attach).await.told(), "404 NoSuchEntity");

    for (action, name) in [("DeleteUser", "UserName"), ("DeleteGroup", "GroupName"), ("DeleteRole", "RoleName")] {
        done(&endpoint, &endpoint.ada, &[("Action", action), (name, "same")]).await;
    }
    done(&endpoint, &endpoint.ada, &[("Action", "DeletePolicy"), ("PolicyArn", &of_ada[3])]).await;
    for (get, name) in [("GetUser", "UserName"), ("GetGroup", "GroupName"), ("GetRole", "RoleName")] {
        let fields = [("Action", get), (name, "same")];
        assert_eq!(ask(&endpoint, &endpoint.ada, &fields).await.told(), "404 NoSuchEntity", "{get}");
        assert_eq!(done(&endpoint, &endpoint.bob, &fields).await.element("Path"), "/of-bob/", "{get}");
    }
    done(&endpoint, &endpoint.bob, &[("Action", "GetPolicy"), ("PolicyArn", &of_bob[3])]).await;
    assert_eq!(done(&endpoint, &same, WHO).await.element("Arn"), of_bob[0]);
}

#[tokio::test]
async fn a_signature_covers_the_whole_request() {
    let endpoint = Endpoint::start().await;
    let iam = at_door(&endpoint, &endpoint.ada, "iam");
    assert_eq!(iam.send(form(USERS)).await.told(), "200");
    let told = async |client: &Client, request: Request| client.send(request).await.told();
    assert_eq!(told(&iam, form(USERS).signed(Signature::None)).await, "403 MissingAuthenticationToken");
    let other_secret = Client { secret_key: "x".repeat(40), ..iam.clone() };
    assert_eq!(told(&other_secret, form(USERS)).await, "403 SignatureDoesNotMatch");
    let unknown = Client { access_key: "AKIANOBODYHASTHISKEY".to_owned(), ..iam.clone() };
    assert_eq!(told(&unknown, form(USERS)).await, "403 InvalidClientTokenId");
    let sts = at_door(&endpoint, &endpoint.ada, "sts");
    assert_eq!(told(&sts, form(USERS)).await, "403 SignatureDoesNotMatch", "signed for the other service");
    let s3 = at_door(&endpoint, &endpoint.ada, "s3");
    assert_eq!(told(&s3, form(USERS)).await, "400 IncompleteSignature");
    assert_eq!(told(&iam, form(USERS).signed(Signature::V2)).await, "400 IncompleteSignature");
    for skew_s in [-1000, 1000] {
        let skewed = Client { skew_s, ..iam.clone() };
        assert_eq!(told(&skewed, form(USERS)).await, "400 RequestExpired");
    }
    for payload in [Payload::Unsigned, Payload::GivenHash(sha256_hex(b"other"))] {
        let request = form(USERS).signed(Signature::V4(payload));
        assert_eq!(told(&iam, request).await, "403 SignatureDoesNotMatch", "the body must be what was signed");
    }
    let smuggled = form(USERS).unsigned_header("x-amz-security-token", "x");
    assert_eq!(told(&iam, smuggled).await, "403 InvalidClientTokenId");
    let smuggled = form(USERS).unsigned_header("x-amz-other", "x");
    assert_eq!(told(&iam, smuggled).await, "400 IncompleteSignature");
    let mut bytes = String::from_utf8(iam.wire(form(USERS))).expect("text");
    bytes = bytes.replace("Action=ListUsers", "Action=ListRoles");
    let changed = tokio::task::spawn_blocking(move || exchange(iam.addr, bytes.as_bytes())).await.expect("an exchange");
    assert_eq!(changed.told(), "403 SignatureDoesNotMatch");
}

#[tokio::test]
async fn who_is_refused_before_the_form_came_may_ask_again_on_its_connection() {
    let endpoint = Endpoint::start().await;
    let iam = at_door(&endpoint, &endpoint.ada, "iam");
    let unknown = Client { access_key: "AKIANOBODYHASTHISKEY".to_owned(), ..iam.clone() };
    let refused = String::from_utf8(unknown.wire(form(USERS))).expect("text");
    let (head, body) = refused.split_once("\r\n\r\n").expect("a head");
    let head = format!("{}\r\n\r\n", head.replace("\r\nconnection: close", ""));
    let (body, good) = (body.to_owned(), iam.wire(form(USERS)));
    let answers = tokio::task::spawn_blocking(move || {
        let mut stream = std::net::TcpStream::connect(iam.addr).expect("the door listens");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
        stream.write_all(head.as_bytes()).expect("sent");
        let mut answers = Vec::new();
        let mut byte = [0];
        while !answers.ends_with(b"</ErrorResponse>") {
            stream.read_exact(&mut byte).expect("an answer");
            answers.push(byte[0]);
        }
        stream.write_all(&[body.as_bytes(), &good].concat()).expect("the connection is still open");
        stream.read_to_end(&mut answers).expect("a second answer");
        String::from_utf8_lossy(&answers).into_owned()
    });
    let answers = answers.await.expect("an exchange");
    assert!(answers.starts_with("HTTP/1.1 403") && answers.contains("<ListUsersResult>"), "{answers}");
}

#[tokio::test]
async fn a_form_that_never_ends_is_refused_in_time() {
    let endpoint = Endpoint::start().await;
    let iam = at_door(&endpoint, &endpoint.ada, "iam");
    let mut wire = iam.wire(form(USERS));
    wire.truncate(wire.len() - 5);
    // The connection stays open, and nothing more comes.
    let answer = tokio::task::spawn_blocking(move || {
        let mut stream = std::net::TcpStream::connect(iam.addr).expect("the door listens");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
        stream.write_all(&wire).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    });
    let answer = answer.await.expect("an exchange");
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("<Code>ValidationError</Code>"), "{answer}");
    assert!(answer.contains("could not be read"), "{answer}");
}

#[tokio::test]
async fn what_is_not_understood_is_refused() {
    let endpoint = Endpoint::start().await;
    let iam = at_door(&endpoint, &endpoint.ada, "iam");
    let body = |body: &str| form(USERS).body(body);
    for (request, told) in [
        (body("Action=Sing&Version=2010-05-08"), "400 InvalidAction"),
        (body("Action=ListUsers&Version=2009-01-01"), "400 InvalidAction"),
        (body(""), "400 InvalidAction"),
        (body("Action=ListUsers&Action=ListRoles&Version=2010-05-08"), "400 ValidationError"),
        (body("Action=CreateUser&Version=2010-05-08"), "400 ValidationError"),
        (body("Action=CreateUser&UserName=a/b&Version=2010-05-08"), "400 ValidationError"),
        (body("Action=CreateUser&UserName=a&PermissionsBoundary=x&Version=2010-05-08"), "400 ValidationError"),
        (body("Action=CreateUser&UserName=a&Tags.member.1.Key=k&Version=2010-05-08"), "400 ValidationError"),
        (body("Action=CreateUser&UserName=a&Tags=&Version=2010-05-08"), "200"),
        (body("Action=ListUsers&MaxItems=0&Version=2010-05-08"), "400 ValidationError"),
        (body(&"x".repeat(200 << 10)), "400 ValidationError"),
        (Request::new("GET", "/"), "400 InvalidAction"),
        (Request::new("PUT", "/"), "405 MethodNotAllowed"),
        (Request::new("POST", "/bucket"), "405 MethodNotAllowed"),
        (Request::new("GET", "/bucket"), "405 MethodNotAllowed"),
    ] {
        let answer = iam.send(request.clone()).await;
        assert_eq!(
            answer.told(),
            told,
            "{:?} {}",
            String::from_utf8_lossy(&request.body[..request.body.len().min(80)]),
            answer.text()
        );
    }
}

#[tokio::test]
async fn a_user_does_in_s3_what_its_policy_gives() {
    let endpoint = Endpoint::with_bucket("photos").await;
    let policy = r#"{"Statement":{"Effect":"Allow","Action":["s3:PutObject","s3:GetObject"],"Resource":"arn:aws:s3:::photos/${aws:username}/*"}}"#;
    let eve = iam_user(&endpoint, "eve", Some(policy)).await;
    let put = |path: &str| Request::new("PUT", path).body("x");
    assert_eq!(eve.send(put("/photos/eve/a")).await.told(), "200");
    assert_eq!(eve.send(put("/photos/bob/a")).await.told(), "403 AccessDenied");
    assert_eq!(eve.send(put("/photos/eve/a").header("x-amz-acl", "public-read")).await.told(), "403 AccessDenied");
    assert_eq!(eve.send(put("/photos/eve/a").header("x-amz-tagging", "a=b")).await.told(), "403 AccessDenied");
    assert_eq!(eve.send(Request::new("DELETE", "/photos/eve/a")).await.told(), "403 AccessDenied");
    let v2 = Request::new("GET", "/photos/eve/a").signed(Signature::V2);
    assert_eq!(eve.send(v2).await.told(), "200", "any signature, the same rights");
    let v2 = Request::new("GET", "/photos/bob/a").signed(Signature::V2);
    assert_eq!(eve.send(v2).await.told(), "403 AccessDenied");
    let list = endpoint.ada.send(Request::new("GET", "/photos/eve/a?q:acl")).await;
    assert_eq!(list.element("ID"), endpoint.ada_id.to_string(), "what she stores is the account's");
}

#[tokio::test]
async fn a_temporary_key_opens_s3_with_its_token_only() {
    let endpoint = Endpoint::with_bucket("photos").await;
    endpoint.put("/photos/key", b"content").await;
    let eve = iam_user(&endpoint, "eve", Some(ALL_OF_S3)).await;
    let key = done(&endpoint, &eve, &[("Action", "GetSessionToken"), ("DurationSeconds", "900")]).await;
    let session = with_keys(&endpoint, &key);
    let get = || Request::new("GET", "/photos/key");
    for signature in [Signature::V4(Payload::Hash), Signature::V4Link(60), Signature::V2] {
        assert_eq!(session.send(get().signed(signature.clone())).await.told(), "200", "{signature:?}");
        let bare = Client { token: None, ..session.clone() };
        assert_eq!(bare.send(get().signed(signature.clone())).await.told(), "403 InvalidAccessKeyId", "{signature:?}");
        let wrong = Client { token: Some("wrong".to_owned()), ..session.clone() };
        assert_eq!(wrong.send(get().signed(signature.clone())).await.told(), "400 InvalidToken", "{signature:?}");
        let stray = Client { token: session.token.clone(), ..endpoint.ada.clone() };
        assert_eq!(stray.send(get().signed(signature.clone())).await.told(), "400 InvalidToken", "{signature:?}");
    }
    let twice = get().header("x-amz-security-token", session.token.as_deref().unwrap_or_default());
    assert_eq!(session.send(twice).await.told(), "400 InvalidToken");
    assert_eq!(ask(&endpoint, &session, USERS).await.told(), "403 AccessDenied");
    assert_eq!(done(&endpoint, &session, WHO).await.element("Arn").rsplit('/').next(), Some("eve"));

    endpoint.hand.advance(std::time::Duration::from_secs(900));
    assert_eq!(session.send(get()).await.told(), "400 ExpiredToken");
    assert_eq!(ask(&endpoint, &session, WHO).await.told(), "403 ExpiredToken");
}

#[tokio::test]
async fn a_role_of_one_account_is_taken_on_from_another() {
    let endpoint = Endpoint::with_bucket("photos").await;
    endpoint.put("/photos/key", b"content").await;
    done(&endpoint, &endpoint.bob, &[("Action", "CreateUser"), ("UserName", "carl")]).await;
    let key = done(&endpoint, &endpoint.bob, &[("Action", "CreateAccessKey"), ("UserName", "carl")]).await;
    let carl = with_keys(&endpoint, &key);
    let arn = done(&endpoint, &carl, WHO).await.element("Arn");
    let trust = format!(
        r#"{{"Statement":{{"Effect":"Allow","Principal":{{"AWS":"{arn}"}},"Action":"sts:AssumeRole","Condition":{{"StringEquals":{{"sts:ExternalId":"42"}}}}}}}}"#
    );
    let role = [("Action", "CreateRole"), ("RoleName", "guest"), ("AssumeRolePolicyDocument", &trust)];
    let role_arn = done(&endpoint, &endpoint.ada, &role).await.element("Arn");
    let policy =
        [("Action", "PutRolePolicy"), ("RoleName", "guest"), ("PolicyName", "p"), ("PolicyDocument", ALL_OF_S3)];
    done(&endpoint, &endpoint.ada, &policy).await;
    let take = [("Action", "AssumeRole"), ("RoleArn", &*role_arn), ("RoleSessionName", "visit")];
    assert_eq!(ask(&endpoint, &carl, &take).await.told(), "403 AccessDenied", "without what the role asks for");
    let key = done(&endpoint, &carl, &[&take[..], &[("ExternalId", "42")]].concat()).await;
    let visit = with_keys(&endpoint, &key);
    assert_eq!(visit.send(Request::new("GET", "/photos/key")).await.text(), "content");
    assert_eq!(carl.send(Request::new("GET", "/photos/key")).await.told(), "403 AccessDenied");
}

#[tokio::test]
async fn lists_come_in_pages_that_miss_and_repeat_nothing() {
    let endpoint = Endpoint::start().await;
    for name in ["Cleo", "ada", "Bob", "dora"] {
        let path = if name == "dora" { "/x/" } else { "/y/" };
        done(&endpoint, &endpoint.ada, &[("Action", "CreateUser"), ("UserName", name), ("Path", path)]).await;
    }
    let mut names = Vec::new();
    let mut marker = String::new();
    loop {
        let mut fields = vec![("Action", "ListUsers"), ("MaxItems", "1")];
        if !marker.is_empty() {
            fields.push(("Marker", &marker));
        }
        let page = done(&endpoint, &endpoint.ada, &fields).await;
        names.extend(page.elements("UserName"));
        if page.element("IsTruncated") == "false" {
            break;
        }
        marker = page.element("Marker");
    }
    assert_eq!(names, ["ada", "Bob", "Cleo", "dora"]);
    let some = done(&endpoint, &endpoint.ada, &[("Action", "ListUsers"), ("PathPrefix", "/x")]).await;
    assert_eq!(some.elements("UserName"), ["dora"]);
}

#[tokio::test]
async fn a_role_has_no_instance_profiles() {
    let endpoint = Endpoint::start().await;
    let trust = r#"{"Statement":{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole"}}"#;
    let role = [("Action", "CreateRole"), ("RoleName", "reader"), ("AssumeRolePolicyDocument", trust)];
    done(&endpoint, &endpoint.ada, &role).await;
    let list = |role| [("Action", "ListInstanceProfilesForRole"), ("RoleName", role)];
    let text = done(&endpoint, &endpoint.ada, &list("reader")).await.text();
    assert!(text.contains("<InstanceProfiles></InstanceProfiles><IsTruncated>false</IsTruncated>"), "{text}");
    let missing = ask(&endpoint, &endpoint.ada, &list("nobody")).await;
    assert_eq!(missing.told(), "404 NoSuchEntity");
}

/// A policy that allows some actions on everything.
fn allowing(actions: &[&str]) -> String {
    let actions = actions.join("\",\"");
    format!(r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":["{actions}"],"Resource":"*"}}]}}"#)
}

#[tokio::test]
async fn a_bucket_is_made_with_settings_by_who_may_set_them() {
    let endpoint = Endpoint::start().await;
    for (index, (header, value, action)) in [
        ("x-amz-acl", "public-read", "s3:PutBucketAcl"),
        ("x-amz-object-ownership", "BucketOwnerPreferred", "s3:PutBucketOwnershipControls"),
        ("x-amz-bucket-object-lock-enabled", "true", "s3:PutBucketObjectLockConfiguration"),
    ]
    .into_iter()
    .enumerate()
    {
        let make = || Request::new("PUT", &format!("/made-{index}")).header(header, value);
        let without = iam_user(&endpoint, &format!("without{index}"), Some(&allowing(&["s3:CreateBucket"]))).await;
        assert_eq!(without.send(make()).await.told(), "403 AccessDenied", "{header}");
        let with = iam_user(&endpoint, &format!("with{index}"), Some(&allowing(&["s3:CreateBucket", action]))).await;
        assert_eq!(with.send(make()).await.told(), "200", "{header}");
    }
    let tags =
        "<CreateBucketConfiguration><Tags><Tag><Key>a</Key><Value>b</Value></Tag></Tags></CreateBucketConfiguration>";
    let make = || Request::new("PUT", "/tagged").body(tags);
    let without = iam_user(&endpoint, "untagged", Some(&allowing(&["s3:CreateBucket"]))).await;
    assert_eq!(without.send(make()).await.told(), "403 AccessDenied");
    let allowed = allowing(&["s3:CreateBucket", "s3:PutBucketTagging"]);
    let with = iam_user(&endpoint, "tagged", Some(&allowed)).await;
    assert_eq!(with.send(make()).await.told(), "200");
}
