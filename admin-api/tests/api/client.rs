//! The typed client against the server: what the connector relies on.

use std::time::Duration;

use admin_api::client::{
    AdminClient, ClientConfig, Error, GroupInfo, GroupUpdate, Paging, UserInfo, UserStatus, UserType, UserTypeFilter,
    UserUpdate,
};
use secrecy::ExposeSecret;
use url::Url;

use crate::setup::{PASSWORD, Server};

#[tokio::test]
async fn a_group_from_its_making_to_its_end() {
    let server = Server::start().await;
    let client = server.client();
    assert_eq!(client.get_group("g").await.unwrap(), None);
    let mut group = GroupInfo::new("g", "/größe-東京/research & development/");
    client.put_group(&group).await.unwrap();
    assert_eq!(client.get_group("g").await.unwrap(), Some(group.clone()));
    assert!(matches!(client.put_group(&group).await, Err(Error::Exists)));

    client.post_group(&GroupUpdate { active: Some(false), ..GroupUpdate::of("g") }).await.unwrap();
    group.active = false;
    assert_eq!(client.get_group("g").await.unwrap(), Some(group));
    let Err(Error::Refused { status: 400, reason }) = client.post_group(&GroupUpdate::of("none")).await else {
        panic!("a group that is not there was changed");
    };
    assert_eq!(reason, "There is no such group");

    client.put_user(&UserInfo::new("g", "u")).await.unwrap();
    assert!(matches!(client.delete_group("g").await, Err(Error::Refused { status: 409, .. })));
    client.delete_user("g", "u").await.unwrap();
    client.delete_group("g").await.unwrap();
    assert!(matches!(client.delete_group("g").await, Err(Error::NotFound)));
}

#[tokio::test]
async fn a_user_from_its_making_to_its_end() {
    let server = Server::start().await;
    let client = server.with_users(&[]).await;
    let mut user = UserInfo::new("g", "u");
    user.full_name = "Zoë Müller (zoë)".to_owned();
    user.email_addr = "zoe+x@acme.example".to_owned();
    user.contact.city = Some("Bonn".to_owned());
    let made = client.put_user(&user).await.unwrap();
    assert!(made.canonical_user_id.as_ref().is_some_and(|id| id.len() == 32));
    assert_eq!(made, UserInfo { canonical_user_id: made.canonical_user_id.clone(), ..user.clone() });
    assert_eq!(client.get_user("g", "u").await.unwrap(), Some(made.clone()));
    assert!(matches!(client.put_user(&user).await, Err(Error::Exists)));
    let orphan = UserInfo::new("none", "u");
    assert!(matches!(client.put_user(&orphan).await, Err(Error::Refused { status: 400, .. })));

    let update = UserUpdate { full_name: Some(String::new()), active: Some(false), ..UserUpdate::of("g", "u") };
    client.post_user(&update).await.unwrap();
    let changed = UserInfo { full_name: String::new(), active: false, ..made };
    assert_eq!(client.get_user("g", "u").await.unwrap(), Some(changed));

    client.set_password("g", "u", &"Abc+d e&f=1".into()).await.unwrap();
    let login = (engine::GroupId::new("g").unwrap(), engine::UserId::new("u").unwrap());
    client.post_user(&UserUpdate { active: Some(true), ..UserUpdate::of("g", "u") }).await.unwrap();
    server.engine.login_with_password(&login.0, &login.1, &"Abc+d e&f=1".into()).await.unwrap();
    assert!(matches!(client.set_password("g", "u", &"weak".into()).await, Err(Error::Refused { status: 400, .. })));
    assert!(matches!(client.set_password("g", "none", &"Abcdefg1x".into()).await, Err(Error::NotFound)));

    client.delete_user("g", "u").await.unwrap();
    assert!(matches!(client.delete_user("g", "u").await, Err(Error::NotFound)));
    assert_eq!(client.get_user("g", "u").await.unwrap(), None);
}

#[tokio::test]
async fn key_pairs_work_and_are_bounded() {
    let server = Server::start().await;
    let client = server.with_users(&["u"]).await;
    let first = client.list_credentials("g", "u", true).await.unwrap().remove(0);
    let second = client.put_credential("g", "u").await.unwrap();
    assert_ne!(first.access_key, second.access_key);
    client.post_credential("g", "u", "imported", &"Pm/+y0Pm/+y0Pm/+y0Pm/+y0Pm/+y0Pm/+y0Pm/=".into()).await.unwrap();
    let imported = client.get_credential("imported").await.unwrap().unwrap();
    assert_eq!(imported.secret_key.expose_secret(), "Pm/+y0Pm/+y0Pm/+y0Pm/+y0Pm/+y0Pm/+y0Pm/=");
    let again = client.post_credential("g", "u", "imported", &"abc".into()).await;
    assert!(matches!(again, Err(Error::Exists)), "{again:?}");

    let keys: Vec<_> =
        client.list_credentials("g", "u", false).await.unwrap().into_iter().map(|pair| pair.access_key).collect();
    assert_eq!(keys, [first.access_key.as_str(), &second.access_key, "imported"], "oldest first");
    let login = server.engine.key_login(&second.access_key).await.unwrap().unwrap();
    assert_eq!(login.secret_key.expose_secret(), second.secret_key.expose_secret());

    client.set_credential_status(&second.access_key, false).await.unwrap();
    assert!(server.engine.key_login(&second.access_key).await.unwrap().is_none());
    assert_eq!(client.list_active_credentials("g", "u").await.unwrap().len(), 2);
    client.put_credential("g", "u").await.unwrap();
    client.put_credential("g", "u").await.unwrap();
    assert!(matches!(client.put_credential("g", "u").await, Err(Error::Limit)));

    client.delete_credential("imported").await.unwrap();
    assert!(matches!(client.delete_credential("imported").await, Err(Error::NotFound)));
    assert!(client.get_credential("imported").await.unwrap().is_none());
    assert!(matches!(client.set_credential_status("imported", true).await, Err(Error::NotFound)));
    assert!(matches!(client.put_credential("g", "none").await, Err(Error::NotFound)));
    assert!(matches!(client.list_credentials("g", "none", true).await, Err(Error::NotFound)));
}

#[tokio::test]
async fn a_list_longer_than_a_page_loses_nobody() {
    let server = Server::start().await;
    let client = server.with_users(&[]).await;
    let ids: Vec<String> = (0..230).map(|n| format!("user-{n:03}")).collect();
    for id in &ids {
        client.put_user(&UserInfo::new("g", id)).await.unwrap();
    }
    let found: Vec<_> = client.list_all_users("g").await.unwrap().into_iter().map(|user| user.user_id).collect();
    assert_eq!(found, ids);
    let paging = Paging { limit: 10, offset: Some("user-200".to_owned()), prefix: None };
    let page = client.list_users("g", UserTypeFilter::Only(UserType::User), UserStatus::Active, &paging).await.unwrap();
    assert_eq!((page.items.len(), page.next.as_deref()), (10, Some("user-210")));
    assert!(client.list_all_users("none").await.unwrap().is_empty());

    for n in 0..120 {
        client.put_group(&GroupInfo::new(format!("group-{n:03}"), "/x/")).await.unwrap();
    }
    assert_eq!(client.list_all_groups().await.unwrap().len(), 122);
}

#[tokio::test]
async fn the_system_answers() {
    let server = Server::start().await;
    let client = server.with_users(&["u"]).await;
    assert!(client.healthy().await.unwrap());
    assert!(client.version().await.unwrap().contains("Cloudhold"));
    let usage = client.bucket_usage("g", None, None).await.unwrap();
    assert_eq!((usage.len(), usage[0].user_id.as_str(), usage[0].buckets.len()), (1, "u", 0));
    assert!(matches!(client.bucket_usage("none", None, None).await, Err(Error::NotFound)));
    assert!(matches!(client.bucket_usage("g", None, Some("b")).await, Err(Error::Config { .. })));
    assert_eq!(client.bucket_list("g", Some("u")).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_wrong_password_and_a_dead_server_are_told_apart_and_tell_no_secret() {
    let server = Server::start().await;
    let wrong = server.client_with("not-the-password").version().await.unwrap_err();
    assert!(matches!(wrong, Error::Unauthorized) && !wrong.is_transient());

    let base_url = Url::parse("http://127.0.0.1:9/").unwrap();
    let mut config = ClientConfig::new(base_url, "sysadmin", PASSWORD.into());
    config.timeout = Duration::from_secs(5);
    let dead = AdminClient::new(config).unwrap();
    let error = dead.set_password("g", "u", &"Geheim-Wort-1".into()).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable(_)) && error.is_transient());
    let told = format!("{error} {error:?}");
    assert!(!told.contains("Geheim") && !told.contains(PASSWORD), "{told}");
}
