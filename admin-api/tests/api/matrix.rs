//! The statuses of the contract: 200, 204, 400, 403 and 409, and the shapes that clients depend on.

use serde_json::json;

use crate::setup::Server;

const SECRET: &str = "j2OrPGHF69hp3YsZHRHOCWdAQDabppsBtD7kttr9";

async fn statuses(server: &Server, steps: &[(&str, &str, &str, u16)]) {
    for (method, target, body, status) in steps {
        let answer = server.send(method, target, body.as_bytes()).await;
        assert_eq!(answer.status, *status, "{method} {target} {body}: {answer:?}");
    }
}

#[tokio::test]
async fn groups() {
    let server = Server::start().await;
    statuses(
        &server,
        &[
            ("GET", "/group?groupId=g", "", 204),
            ("GET", "/group", "", 400),
            ("DELETE", "/group?groupId=g", "", 400),
            ("DELETE", "/group", "", 400),
            ("POST", "/group", r#"{"groupId":"g"}"#, 400),
            ("PUT", "/group", "", 400),
            ("PUT", "/group", "{", 400),
            ("PUT", "/group", "[]", 400),
            ("PUT", "/group", r#"{"groupName":"/x/"}"#, 400),
            ("PUT", "/group", r#"{"groupId":"*"}"#, 400),
            ("PUT", "/group", r#"{"groupId":"ALL"}"#, 400),
            ("PUT", "/group", r#"{"groupId":"g","active":"maybe"}"#, 400),
            ("PUT", "/group", r#"{"groupId":"g"}"#, 200),
            ("PUT", "/group", r#"{"groupId":"g"}"#, 409),
            ("POST", "/group", r#"{"groupId":"g","groupName":"/x/"}"#, 200),
            ("PUT", "/user", r#"{"groupId":"g","userId":"u","userType":"User"}"#, 200),
            ("DELETE", "/group?groupId=g", "", 409),
            ("DELETE", "/user?groupId=g&userId=u", "", 200),
            ("DELETE", "/group?groupId=g", "", 200),
            ("GET", "/group?groupId=g", "", 204),
            ("DELETE", "/group?groupId=0", "", 403),
        ],
    )
    .await;
    assert_eq!(server.send("PUT", "/group", br#"{"groupId":"h"}"#).await.body, "", "PUT /group answers nothing");
}

#[tokio::test]
async fn a_group_is_shown_whole_and_changed_in_parts() {
    let server = Server::start().await;
    let put = r#"{"groupId":"g","groupName":"/gr\u00f6\u00dfe/","active":true,"ldapEnabled":true,"ldapServerURL":"ldap://x",
        "ldapSearch":null,"s3endpointshttp":["one","two"],"unknown":{"x":1}}"#;
    assert_eq!(server.send("PUT", "/group", put.as_bytes()).await.status, 200);
    let expected = |name: &str, active: &str| {
        json!({"groupId":"g","groupName":name,"ldapGroup":null,"active":active,"ldapEnabled":true,
            "ldapServerURL":"ldap://x","ldapUserDNTemplate":null,"ldapSearch":null,"ldapSearchUserBase":null,
            "ldapMatchAttribute":null,"s3endpointshttp":["one","two"],"s3endpointshttps":["ALL"],
            "s3websiteendpoints":["ALL"]})
    };
    assert_eq!(server.send("GET", "/group?groupId=g", b"").await.json(), expected("/größe/", "true"));
    let post = r#"{"groupId":"g","groupName":null,"active":"False"}"#;
    assert_eq!(server.send("POST", "/group", post.as_bytes()).await.status, 200);
    assert_eq!(server.send("GET", "/group?groupId=g", b"").await.json(), expected("/größe/", "false"));
}

#[tokio::test]
async fn users() {
    let server = Server::start().await;
    server.with_users(&[]).await;
    statuses(
        &server,
        &[
            ("GET", "/user?groupId=g&userId=u", "", 204),
            ("GET", "/user?groupId=none&userId=u", "", 204),
            ("GET", "/user?groupId=g", "", 400),
            ("GET", "/user?userId=u", "", 400),
            ("DELETE", "/user?groupId=g&userId=u", "", 400),
            ("POST", "/user", r#"{"groupId":"g","userId":"u"}"#, 400),
            ("PUT", "/user", r#"{"groupId":"none","userId":"u","userType":"User"}"#, 400),
            ("PUT", "/user", r#"{"groupId":"g","userId":"u"}"#, 400),
            ("PUT", "/user", r#"{"groupId":"g","userType":"User"}"#, 400),
            ("PUT", "/user", r#"{"groupId":"g","userId":"u","userType":"Emperor"}"#, 400),
            ("PUT", "/user", r#"{"groupId":"g","userId":"a b","userType":"User"}"#, 400),
            ("PUT", "/user", r#"{"groupId":"g","userId":"u","userType":"User"}"#, 200),
            ("PUT", "/user", r#"{"groupId":"g","userId":"u","userType":"User"}"#, 409),
            ("POST", "/user", r#"{"groupId":"g","userId":"u","fullName":"U"}"#, 200),
            ("DELETE", "/user?groupId=g&userId=u", "", 200),
            ("DELETE", "/user?groupId=g&userId=u", "", 400),
            ("GET", "/user?groupId=g&userId=u", "", 204),
            ("GET", "/user/list?groupId=g&userType=all", "", 400),
            ("GET", "/user/list?userType=all&userStatus=all", "", 400),
            ("GET", "/user/list?groupId=g&userType=king&userStatus=all", "", 400),
            ("GET", "/user/list?groupId=g&userType=all&userStatus=sleepy", "", 400),
        ],
    )
    .await;
    for group in ["g", "none", "*"] {
        let target = format!("/user/list?groupId={group}&userType=all&userStatus=active");
        assert_eq!(server.send("GET", &target, b"").await.json(), json!([]), "{group}");
    }
}

#[tokio::test]
async fn a_user_is_shown_whole_and_changed_in_parts() {
    let server = Server::start().await;
    server.with_users(&[]).await;
    let put = r#"{"userId":"u","groupId":"g","userType":"User","fullName":null,"emailAddr":null,"active":true,
        "city":"Bonn","zip":"53111","unknown":1}"#;
    let made = server.send("PUT", "/user", put.as_bytes()).await.json();
    let canonical = made["canonicalUserId"].as_str().unwrap().to_owned();
    assert!(canonical.len() == 32 && canonical.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')), "{canonical}");
    let expected = |full_name: &str, active: &str, city: &str| {
        json!({"userId":"u","userType":"User","fullName":full_name,"emailAddr":"","address1":null,"address2":null,
            "city":city,"state":null,"zip":"53111","country":null,"phone":null,"website":null,"groupId":"g",
            "active":active,"canonicalUserId":canonical,"ldapEnabled":false})
    };
    assert_eq!(made, expected("", "true", "Bonn"));
    let shown = async |full_name: &str, active: &str, city: &str| {
        let by_pair = server.send("GET", "/user?groupId=g&userId=u", b"").await.json();
        assert_eq!(by_pair, expected(full_name, active, city));
        let by_id = server.send("GET", &format!("/user?canonicalUserId={canonical}"), b"").await.json();
        assert_eq!(by_id, by_pair);
    };
    let post = br#"{"userId":"u","groupId":"g","userType":"User","fullName":"U","city":null,"active":"FALSE"}"#;
    assert_eq!(server.send("POST", "/user", post).await.body, "");
    shown("U", "false", "Bonn").await;
    let post = format!(r#"{{"canonicalUserId":"{canonical}","city":"Köln","active":true}}"#);
    assert_eq!(server.send("POST", "/user", post.as_bytes()).await.status, 200);
    shown("U", "true", "Köln").await;
}

#[tokio::test]
async fn passwords() {
    let server = Server::start().await;
    server.with_users(&["u"]).await;
    statuses(
        &server,
        &[
            ("POST", "/user/password?groupId=g&userId=u&password=Abcdefg1x", "", 200),
            ("POST", "/user/password?groupId=g&userId=u&password=Abcdef1x", "", 400),
            ("POST", "/user/password?groupId=g&userId=u&password=abcdefghij", "", 400),
            ("POST", "/user/password?groupId=g&userId=u", "", 400),
            ("POST", "/user/password?groupId=g&password=Abcdefg1x", "", 400),
            ("POST", "/user/password?groupId=g&userId=none&password=Abcdefg1x", "", 204),
            ("POST", "/user/password?groupId=none&userId=u&password=Abcdefg1x", "", 204),
        ],
    )
    .await;
}

#[tokio::test]
async fn credentials() {
    let server = Server::start().await;
    server.with_users(&["u", "v"]).await;
    let import =
        |key: &str, secret: &str| format!("/user/credentials?groupId=g&userId=u&accessKey={key}&secretKey={secret}");
    statuses(
        &server,
        &[
            ("PUT", "/user/credentials?groupId=g&userId=none", "", 400),
            ("PUT", "/user/credentials?groupId=g", "", 400),
            ("GET", "/user/credentials?accessKey=none", "", 204),
            ("GET", "/user/credentials", "", 400),
            ("DELETE", "/user/credentials?accessKey=none", "", 400),
            ("POST", "/user/credentials/status?accessKey=none&isActive=true", "", 400),
            ("GET", "/user/credentials/list?groupId=g&userId=none&isRootAccountOnly=true", "", 400),
            ("GET", "/user/credentials/list/active?groupId=g&userId=none", "", 400),
            ("POST", &import("imported1", SECRET), "", 200),
            ("POST", &import("imported1", SECRET), "", 409),
            ("POST", &import("imported2", "Pm/+y"), "", 400),
            ("POST", &import("imported2", ""), "", 400),
            ("POST", "/user/credentials/status?accessKey=imported1", "", 400),
            ("POST", "/user/credentials/status?accessKey=imported1&isActive=perhaps", "", 400),
            ("PUT", "/user/credentials?groupId=g&userId=u", "", 200),
            ("PUT", "/user/credentials?groupId=g&userId=u", "", 200),
            ("PUT", "/user/credentials?groupId=g&userId=u", "", 200),
            ("PUT", "/user/credentials?groupId=g&userId=u", "", 403),
            ("POST", &import("imported3", SECRET), "", 403),
            ("DELETE", "/user/credentials?accessKey=imported1", "", 200),
            ("PUT", "/user/credentials?groupId=g&userId=u", "", 200),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_new_user_has_one_key_pair_and_lists_tell_none_from_unknown() {
    let server = Server::start().await;
    server.with_users(&["u"]).await;
    let listed =
        server.send("GET", "/user/credentials/list?groupId=g&userId=u&isRootAccountOnly=true", b"").await.json();
    let [pair] = &listed.as_array().unwrap()[..] else { panic!("{listed}") };
    let key = pair["accessKey"].as_str().unwrap();
    assert!(key.len() == 20 && key.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')), "{key}");
    assert_eq!(pair["secretKey"].as_str().unwrap().len(), 40);
    assert_eq!((&pair["active"], &pair["expireDate"]), (&json!(true), &json!(null)));
    assert!(pair["createDate"].as_i64().unwrap() > 1_600_000_000_000);
    let shown = server.send("GET", &format!("/user/credentials?accessKey={key}"), b"").await.json();
    assert_eq!(shown, *pair);

    let status = format!("/user/credentials/status?accessKey={key}&isActive=False");
    assert_eq!(server.send("POST", &status, b"").await.status, 200);
    assert_eq!(server.send("GET", "/user/credentials/list/active?groupId=g&userId=u", b"").await.status, 204);
    let listed = server.send("GET", "/user/credentials/list?groupId=g&userId=u", b"").await.json();
    assert_eq!(listed[0]["active"], json!(false));

    assert_eq!(server.send("DELETE", &format!("/user/credentials?accessKey={key}"), b"").await.status, 200);
    let answer = server.send("GET", "/user/credentials/list?groupId=g&userId=u", b"").await;
    assert_eq!((answer.status, answer.body.as_str()), (204, ""));
}

#[tokio::test]
async fn the_system_group_has_its_active_administrator() {
    let server = Server::start().await;
    let admin = server.send("GET", "/user?userId=admin&groupId=0", b"").await.json();
    assert_eq!((&admin["active"], &admin["userType"]), (&json!("true"), &json!("SystemAdmin")));
    assert!(admin["fullName"].is_string() && admin["emailAddr"].is_string(), "{admin}");
    assert_eq!(server.send("GET", "/group?groupId=0", b"").await.json()["active"], json!("true"));
    assert_eq!(server.send("DELETE", "/user?userId=admin&groupId=0", b"").await.status, 403);
}

#[tokio::test]
async fn lists_are_paged_from_an_inclusive_id_with_one_row_more() {
    let server = Server::start().await;
    server.with_users(&["a1", "a2", "a3", "b1", "b2"]).await;
    let ids = async |target: &str, field: &str| -> Vec<String> {
        let rows = server.send("GET", target, b"").await.json();
        rows.as_array().unwrap().iter().map(|row| row[field].as_str().unwrap().to_owned()).collect()
    };
    let users = "/user/list?groupId=g&userType=all&userStatus=all";
    assert_eq!(ids(users, "userId").await, ["a1", "a2", "a3", "b1", "b2"]);
    assert_eq!(ids(&format!("{users}&limit=2"), "userId").await, ["a1", "a2", "a3"]);
    assert_eq!(ids(&format!("{users}&limit=2&offset=a3"), "userId").await, ["a3", "b1", "b2"]);
    assert_eq!(ids(&format!("{users}&limit=2&offset=b2"), "userId").await, ["b2"]);
    assert_eq!(ids(&format!("{users}&prefix=b&limit=9"), "userId").await, ["b1", "b2"]);
    assert_eq!(ids("/group/list", "groupId").await, ["0", "g"]);
    assert_eq!(ids("/group/list?limit=1&offset=g", "groupId").await, ["g"]);
}

#[tokio::test]
async fn lists_are_filtered_by_type_and_state() {
    let server = Server::start().await;
    server.with_users(&["u", "off"]).await;
    let admin = br#"{"groupId":"g","userId":"lead","userType":"GroupAdmin"}"#;
    assert_eq!(server.send("PUT", "/user", admin).await.status, 200);
    assert_eq!(server.send("POST", "/user", br#"{"groupId":"g","userId":"off","active":false}"#).await.status, 200);
    for (filter, expected) in [
        ("userType=all&userStatus=active", &["lead", "u"][..]),
        ("userType=all&userStatus=inactive", &["off"]),
        ("userType=User&userStatus=all", &["off", "u"]),
        ("userType=GroupAdmin&userStatus=active", &["lead"]),
        ("userStatus=all", &["lead", "off", "u"]),
    ] {
        let rows = server.send("GET", &format!("/user/list?groupId=g&{filter}"), b"").await.json();
        let ids: Vec<_> = rows.as_array().unwrap().iter().map(|row| row["userId"].as_str().unwrap()).collect();
        assert_eq!(ids, expected, "{filter}");
    }
}

#[tokio::test]
async fn buckets_and_their_usage() {
    let server = Server::start().await;
    server.with_users(&["u", "v"]).await;
    let user = server.send("GET", "/user?groupId=g&userId=u", b"").await.json();
    let owner = engine::CanonicalId::new(user["canonicalUserId"].as_str().unwrap()).unwrap();
    for name in ["bucket-b", "bucket-a"] {
        let name = engine::BucketName::new(name).unwrap();
        server.engine.create_bucket_for(&engine::Caller::AdminService, &owner, &name).await.unwrap();
    }
    let empty = |name: &str| json!({"bucketName":name,"byteCount":0,"objectCount":0,"policyName":"default"});
    assert_eq!(
        server.send("GET", "/system/bucketusage?groupId=g", b"").await.json(),
        json!([{"userId":"u","buckets":[empty("bucket-a"), empty("bucket-b")]},{"userId":"v","buckets":[]}])
    );
    assert_eq!(
        server.send("GET", "/system/bucketusage?groupId=g&userId=u&bucket=bucket-b", b"").await.json(),
        json!([{"userId":"u","buckets":[empty("bucket-b")]}])
    );
    assert_eq!(
        server.send("GET", "/system/bucketlist?groupId=g&userId=u", b"").await.json(),
        json!([{"userId":"u","buckets":[{"bucketName":"bucket-a"},{"bucketName":"bucket-b"}]}])
    );
    assert_eq!(server.send("PUT", "/group", br#"{"groupId":"nobody"}"#).await.status, 200);
    assert_eq!(server.send("GET", "/system/bucketusage?groupId=nobody", b"").await.json(), json!([]));
    statuses(
        &server,
        &[
            ("GET", "/system/bucketusage", "", 400),
            ("GET", "/system/bucketusage?groupId=none", "", 400),
            ("GET", "/system/bucketusage?groupId=g&userId=none", "", 400),
            ("GET", "/system/bucketusage?groupId=g&userId=u&bucket=none", "", 400),
            ("GET", "/system/bucketusage?groupId=g&bucket=bucket-a", "", 400),
            ("GET", "/system/bucketlist?groupId=none", "", 400),
        ],
    )
    .await;
}
