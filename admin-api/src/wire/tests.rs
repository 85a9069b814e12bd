//! The objects as real peers wrote them, read and rendered.

use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::*;

fn user(active: &Value) -> Result<UserInfo, serde_json::Error> {
    serde_json::from_value(json!({"userId": "u", "groupId": "g", "active": active, "fullName": null, "neverSeen": [1]}))
}

#[test]
fn active_is_read_as_bool_and_as_text_in_any_case() {
    for (sent, meant) in [
        (json!(true), true),
        (json!(false), false),
        (json!("true"), true),
        (json!("True"), true),
        (json!("FALSE"), false),
        (json!("False"), false),
        (Value::Null, true),
        (json!(""), true),
    ] {
        assert_eq!(user(&sent).unwrap().active, meant, "{sent}");
    }
    assert!(user(&json!("yes")).is_err());
    assert!(user(&json!(1)).is_err());
}

#[test]
fn a_user_is_rendered_with_a_textual_active_and_without_null_names() {
    let rendered = serde_json::to_value(user(&json!(false)).unwrap()).unwrap();
    assert_eq!(rendered["active"], json!("false"));
    assert_eq!(rendered["fullName"], json!(""));
    assert_eq!(rendered["emailAddr"], json!(""));
    assert_eq!(rendered["ldapEnabled"], json!(false));
    assert_eq!(rendered["userType"], json!("User"));
    assert_eq!(rendered["address1"], Value::Null);
    assert_eq!(rendered.as_object().unwrap().len(), 16);
}

#[test]
fn the_recorded_user_and_group_survive_a_round_trip() {
    let sent = json!({"userId":"someUser","userType":"GroupAdmin","fullName":"John Doe (jdoe)","emailAddr":"j@doe.com",
        "address1":"1 Road","address2":null,"city":null,"state":null,"zip":"123","country":null,"phone":null,
        "website":null,"groupId":"someGroup","active":"true","canonicalUserId":"b3940886468689d375ebf8747b151c37",
        "ldapEnabled":false});
    let read: UserInfo = serde_json::from_value(sent.clone()).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), sent);

    let sent = json!({"groupId":"someGroup","groupName":"/someDomain","ldapGroup":null,"active":"false",
        "ldapEnabled":true,"ldapServerURL":"ldap://x","ldapUserDNTemplate":null,"ldapSearch":null,
        "ldapSearchUserBase":null,"ldapMatchAttribute":null,"s3endpointshttp":["ALL"],"s3endpointshttps":["a","b"],
        "s3websiteendpoints":["ALL"]});
    let read: GroupInfo = serde_json::from_value(sent.clone()).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), sent);
}

#[test]
fn a_group_of_an_older_server_is_open_on_every_endpoint() {
    let read: GroupInfo = serde_json::from_value(json!({"groupId":"g","groupName":"/","active":true})).unwrap();
    assert_eq!(read, GroupInfo::new("g", "/"));
}

#[test]
fn a_credential_keeps_its_bool_and_hides_its_secret_from_debug() {
    let sent = json!({"accessKey":"28d945de2a2623fc9483","secretKey":"j2OrPGHF69hp3YsZHRHOCWdAQDabppsBtD7kttr9",
        "createDate":1_502_285_593_100_i64,"active":true,"expireDate":null});
    let read: Credential = serde_json::from_value(sent.clone()).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), sent);
    assert!(!format!("{read:?}").contains(read.secret_key.expose_secret()));
}

#[test]
fn an_update_tells_absent_and_null_from_set() {
    let read: UserUpdate =
        serde_json::from_value(json!({"userId":"u","groupId":"g","fullName":null,"active":"False","zip":"1"})).unwrap();
    assert_eq!(read.full_name, None);
    assert_eq!(read.email_addr, None);
    assert_eq!(read.active, Some(false));
    assert_eq!(read.contact.zip.as_deref(), Some("1"));
    assert!(serde_json::from_value::<UserUpdate>(json!({"userType":"Emperor"})).is_err());
}

#[test]
fn filters_know_their_words_only() {
    assert_eq!("ALL".parse(), Ok(UserTypeFilter::All));
    assert_eq!("groupadmin".parse(), Ok(UserTypeFilter::Only(UserType::GroupAdmin)));
    assert!("root".parse::<UserTypeFilter>().is_err());
    assert_eq!("Inactive".parse(), Ok(UserStatus::Inactive));
    assert!("deleted".parse::<UserStatus>().is_err());
}
