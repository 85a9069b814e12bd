//! Users, groups, roles, policies and sessions of an account's own: what they may do, and how they end.

use std::time::Duration;

use engine::{
    AssumeRole, BucketName, Caller, Engine, Error, Facts, IamError, IamHolder, IamKind, IamPage, KeyLogin,
    NewIamEntity, SessionKey, User, UserChange,
};
use secrecy::ExposeSecret;

use crate::support::{OPERATOR, Store, caller, failure, gid, uid};

/// A statement as a policy of its own.
pub(crate) fn policy(effect: &str, action: &str, resource: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"{effect}","Action":"{action}","Resource":"{resource}"}}]}}"#
    )
}

/// A policy that lets a principal take a role on.
pub(crate) fn trust(principal: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{{"AWS":"{principal}"}},"Action":"sts:AssumeRole"}}]}}"#
    )
}

pub(crate) fn new(name: &str) -> NewIamEntity {
    NewIamEntity { name: name.to_owned(), ..NewIamEntity::default() }
}

pub(crate) async fn login(engine: &Engine, access_key: &str, token: Option<&str>) -> Option<KeyLogin> {
    engine.key_login_with_token(access_key, token).await.expect("a look-up")
}

/// Who a new key of a user of the account's own stands for.
pub(crate) async fn as_iam_user(engine: &Engine, root: &Caller, name: &str) -> Caller {
    let (key, _) = engine.create_iam_key(root, Some(name)).await.expect("a key");
    login(engine, key.access_key.as_str(), None).await.expect("a working key").caller(Facts::default())
}

pub(crate) async fn as_session(engine: &Engine, key: &SessionKey) -> Caller {
    let found = login(engine, &key.access_key, Some(key.token.expose_secret())).await;
    found.expect("a working key").caller(Facts::default())
}

/// An account with the user `ada` of its own, and a bucket.
struct Account {
    store: Store,
    user: User,
    root: Caller,
    bucket: BucketName,
}

impl Account {
    async fn new() -> Self {
        let store = Store::open().await;
        let (user, _) = store.user_with_key().await;
        let root = caller(&user);
        store.engine.create_iam_entity(&root, IamKind::User, new("ada")).await.expect("a user");
        let bucket = BucketName::new("photos").expect("a name");
        store.engine.create_bucket(&root, &bucket).await.expect("a bucket");
        Self { store, user, root, bucket }
    }

    fn engine(&self) -> &Engine {
        &self.store.engine
    }

    /// Who Ada is by a key that is looked up now.
    async fn ada(&self) -> Caller {
        as_iam_user(self.engine(), &self.root, "ada").await
    }

    async fn put(&self, holder: IamHolder, name: &str, document: &str) {
        self.engine().put_iam_policy(&self.root, holder, name, "p", document).await.expect("a policy");
    }

    async fn may_list(&self, who: &Caller) -> bool {
        match self.engine().bucket(who, &self.bucket).await {
            Ok(_) => true,
            Err(Error::AccessDenied) => false,
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn a_user_may_what_its_policies_and_its_groups_give_and_nothing_denies() {
    let account = Account::new().await;
    let (engine, root) = (account.engine(), &account.root);
    let ada = account.ada().await;
    assert!(!account.may_list(&ada).await, "nothing is given by itself");
    assert_eq!(failure(engine.list_buckets(&ada).await), "AccessDenied");
    assert_eq!(failure(engine.create_bucket(&ada, &BucketName::new("mine").expect("a name")).await), "AccessDenied");

    account.put(IamHolder::User, "ADA", &policy("Allow", "s3:ListBucket", "arn:aws:s3:::photos")).await;
    assert!(account.may_list(&account.ada().await).await);
    account.put(IamHolder::User, "ada", &policy("Allow", "s3:ListBucket", "arn:aws:s3:::other")).await;
    for key in engine.list_iam_keys(root, Some("ada")).await.expect("keys") {
        engine.delete_iam_key(root, Some("ada"), key.access_key.as_str()).await.expect("deleted");
    }
    assert!(!account.may_list(&account.ada().await).await);

    engine.create_iam_entity(root, IamKind::Group, new("readers")).await.expect("a group");
    engine.add_user_to_iam_group(root, "readers", "ada").await.expect("added");
    engine
        .attach_iam_policy(root, IamHolder::Group, "readers", "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess")
        .await
        .expect("attached");
    let ada = account.ada().await;
    assert!(account.may_list(&ada).await && engine.list_buckets(&ada).await.is_ok());
    assert_eq!(failure(engine.delete_bucket(&ada, &account.bucket).await), "AccessDenied");
    account.put(IamHolder::User, "ada", &policy("Deny", "s3:List*", "*")).await;
    assert!(!account.may_list(&account.ada().await).await, "a denial weighs more");
}

#[tokio::test]
async fn what_a_user_makes_belongs_to_the_account() {
    let account = Account::new().await;
    account.put(IamHolder::User, "ada", &policy("Allow", "s3:CreateBucket", "arn:aws:s3:::by-*")).await;
    let (ada, name) = (account.ada().await, BucketName::new("by-ada").expect("a name"));
    account.engine().create_bucket(&ada, &name).await.expect("a bucket");
    let bucket = account.engine().bucket(&account.root, &name).await.expect("the root's");
    assert_eq!(bucket.owner, account.user.canonical_id);
    assert_eq!(failure(account.engine().bucket(&ada, &name).await), "AccessDenied", "to have made it gives nothing");
}

#[tokio::test]
async fn a_bucket_policy_lets_in_by_name_and_keeps_out_whatever_others_allow() {
    let account = Account::new().await;
    let arn = format!("arn:aws:iam::{}:user/ada", account.user.canonical_id);
    let of_bucket = |effect: &str| {
        format!(
            r#"{{"Statement":[{{"Effect":"{effect}","Principal":{{"AWS":"{arn}"}},"Action":"s3:*","Resource":"arn:aws:s3:::photos"}}]}}"#
        )
    };
    let ada = account.ada().await;
    let set = async |text: String| {
        account.engine().set_bucket_policy(&account.root, &account.bucket, &text).await.expect("a policy");
    };
    set(of_bucket("Allow")).await;
    assert!(account.may_list(&ada).await);
    account.put(IamHolder::User, "ada", &policy("Allow", "s3:*", "*")).await;
    set(of_bucket("Deny")).await;
    let ada = account.ada().await;
    assert!(!account.may_list(&ada).await);
    assert_eq!(
        failure(account.engine().delete_bucket_policy(&ada, &account.bucket).await),
        "AccessDenied",
        "only the root mends a policy that shuts it out"
    );
    account.engine().delete_bucket_policy(&account.root, &account.bucket).await.expect("deleted");
}

#[tokio::test]
async fn another_account_s_user_needs_both_sides() {
    let account = Account::new().await;
    account.store.group("h").await;
    let other = account.store.user("h", "other").await;
    let other_root = caller(&other);
    let engine = account.engine();
    engine.create_iam_entity(&other_root, IamKind::User, new("eve")).await.expect("a user");
    let document = policy("Allow", "s3:*", "*");
    engine.put_iam_policy(&other_root, IamHolder::User, "eve", "p", &document).await.expect("a policy");
    let eve = as_iam_user(engine, &other_root, "eve").await;
    assert!(!account.may_list(&eve).await, "her own policy opens no other's bucket");
    let arn = format!("arn:aws:iam::{}:root", other.canonical_id);
    let open = format!(
        r#"{{"Statement":[{{"Effect":"Allow","Principal":{{"AWS":"{arn}"}},"Action":"s3:ListBucket","Resource":"arn:aws:s3:::photos"}}]}}"#
    );
    engine.set_bucket_policy(&account.root, &account.bucket, &open).await.expect("a policy");
    assert!(account.may_list(&eve).await);
    engine.delete_iam_policy_of(&other_root, IamHolder::User, "eve", "p").await.expect("deleted");
    let eve = as_iam_user(engine, &other_root, "eve").await;
    assert!(!account.may_list(&eve).await, "the bucket's policy is for the account, which gives her nothing");
}

#[tokio::test]
async fn a_role_is_taken_on_by_whom_it_trusts_within_what_the_session_is_limited_to() {
    let account = Account::new().await;
    let (engine, root) = (account.engine(), &account.root);
    let arn = format!("arn:aws:iam::{}:user/ada", account.user.canonical_id);
    let role = NewIamEntity { document: trust(&arn), ..new("reader") };
    let role = engine.create_iam_entity(root, IamKind::Role, role).await.expect("a role");
    account.put(IamHolder::Role, "reader", &policy("Allow", "s3:*", "*")).await;
    engine.create_iam_entity(root, IamKind::User, new("bob")).await.expect("a user");
    let asked = AssumeRole { role_arn: role.arn(), session_name: "work".to_owned(), ..AssumeRole::default() };

    let bob = as_iam_user(engine, root, "bob").await;
    assert_eq!(failure(engine.assume_role(&bob, asked.clone()).await), "AccessDenied");
    assert_eq!(failure(engine.assume_role(root, asked.clone()).await), "AccessDenied", "no root takes roles on");
    let missing = AssumeRole { role_arn: role.arn().replace("reader", "missing"), ..asked.clone() };
    let ada = account.ada().await;
    assert_eq!(failure(engine.assume_role(&ada, missing).await), "AccessDenied", "nobody learns which roles there are");

    let key = engine.assume_role(&ada, asked.clone()).await.expect("a session");
    let session = as_session(engine, &key).await;
    assert!(account.may_list(&session).await);
    let who = engine.caller_identity(&session).expect("an identity");
    assert_eq!(who.arn, format!("arn:aws:sts::{}:assumed-role/reader/work", account.user.canonical_id));
    assert_eq!(who.user_id, format!("{}:work", role.id));

    let limited = AssumeRole { policy: Some(policy("Allow", "s3:GetObject", "*")), ..asked };
    let key = engine.assume_role(&ada, limited).await.expect("a session");
    assert!(!account.may_list(&as_session(engine, &key).await).await, "a session is limited to both");

    account.put(IamHolder::Role, "reader", &policy("Deny", "s3:*", "*")).await;
    assert!(!account.may_list(&as_session(engine, &key).await).await, "what the role has changes with it");
}

#[tokio::test]
async fn suspending_who_took_a_role_on_ends_the_session_in_the_other_account() {
    let account = Account::new().await;
    let engine = account.engine();
    account.store.group("h").await;
    let other_root = caller(&account.store.user("h", "other").await);
    engine.create_iam_entity(&other_root, IamKind::User, new("eve")).await.expect("a user");
    let eve = as_iam_user(engine, &other_root, "eve").await;
    let arn = engine.caller_identity(&eve).expect("an identity").arn;
    let role = NewIamEntity { document: trust(&arn), ..new("guest") };
    let role_arn = engine.create_iam_entity(&account.root, IamKind::Role, role).await.expect("a role").arn();
    let asked = AssumeRole { role_arn, session_name: "visit".to_owned(), ..AssumeRole::default() };
    let key = engine.assume_role(&eve, asked).await.expect("a session");
    let works = async || login(engine, &key.access_key, Some(key.token.expose_secret())).await.is_some();
    assert!(works().await);
    let change = |active| UserChange { active: Some(active), ..UserChange::default() };
    engine.change_user(OPERATOR, &gid("h"), &uid("other"), change(false)).await.expect("suspended");
    assert!(!works().await);
    engine.change_user(OPERATOR, &gid("h"), &uid("other"), change(true)).await.expect("active");
    assert!(!works().await, "it is over");
}

/// Three accounts: a user of the first takes on a role of the second, and with it a role of the third.
#[tokio::test]
async fn suspending_who_took_a_role_on_ends_what_was_taken_on_with_it() {
    let account = Account::new().await;
    let engine = account.engine();
    for group in ["first", "third"] {
        account.store.group(group).await;
    }
    let first = caller(&account.store.user("first", "first").await);
    let third = caller(&account.store.user("third", "third").await);
    engine.create_iam_entity(&first, IamKind::User, new("eve")).await.expect("a user");
    let eve = as_iam_user(engine, &first, "eve").await;
    let role = async |root: &Caller, name: &'static str, trusted: &str| {
        let role = NewIamEntity { document: trust(trusted), ..new(name) };
        engine.create_iam_entity(root, IamKind::Role, role).await.expect("a role").arn()
    };
    let guest = role(&account.root, "guest", &engine.caller_identity(&eve).expect("an identity").arn).await;
    let deep = role(&third, "deep", &guest).await;
    let deeper = role(&third, "deeper", &deep).await;
    let assume = async |who: &Caller, role_arn: &str| {
        let asked =
            AssumeRole { role_arn: role_arn.to_owned(), session_name: "visit".to_owned(), ..AssumeRole::default() };
        engine.assume_role(who, asked).await
    };
    let works =
        async |key: &SessionKey| login(engine, &key.access_key, Some(key.token.expose_secret())).await.is_some();
    let visit = assume(&eve, &guest).await.expect("a session");
    let guest_session = as_session(engine, &visit).await;
    let below = assume(&guest_session, &deep).await.expect("a session");
    let lowest = assume(&as_session(engine, &below).await, &deeper).await.expect("a session");
    // One that has nothing to do with the first account stays.
    let local = as_iam_user(engine, &account.root, "ada").await;
    let of_own = role(&account.root, "own", &engine.caller_identity(&local).expect("an identity").arn).await;
    let kept = assume(&local, &of_own).await.expect("a session");
    for key in [&visit, &below, &lowest, &kept] {
        assert!(works(key).await);
    }
    let change = UserChange { active: Some(false), ..UserChange::default() };
    engine.change_user(OPERATOR, &gid("first"), &uid("first"), change).await.expect("suspended");
    for key in [&visit, &below, &lowest] {
        assert!(!works(key).await);
    }
    assert!(works(&kept).await);
    assert!(
        matches!(assume(&guest_session, &deep).await, Err(Error::AccessDenied)),
        "with a session that ended meanwhile"
    );
}

#[tokio::test]
async fn a_temporary_key_needs_its_own_token_until_it_ends() {
    let account = Account::new().await;
    let engine = account.engine();
    let ada = account.ada().await;
    let key = engine.session_key(&ada, Some(900)).await.expect("a session");
    let other = engine.session_key(&ada, Some(900)).await.expect("a session");
    let token = key.token.expose_secret();
    assert!(login(engine, &key.access_key, None).await.is_none(), "without its token it is as good as unknown");
    for wrong in ["", "x", other.token.expose_secret()] {
        let refused = engine.key_login_with_token(&key.access_key, Some(wrong)).await;
        assert!(matches!(refused, Err(Error::Iam(IamError::InvalidToken))), "{wrong}");
    }
    assert!(login(engine, &key.access_key, Some(token)).await.is_some());
    let permanent = engine.list_iam_keys(&account.root, Some("ada")).await.expect("keys").remove(0);
    let refused = engine.key_login_with_token(permanent.access_key.as_str(), Some(token)).await;
    assert!(matches!(refused, Err(Error::Iam(IamError::InvalidToken))), "a permanent key has no token");

    account.store.hand.advance(Duration::from_secs(900));
    let refused = engine.key_login_with_token(&key.access_key, Some(token)).await;
    assert!(matches!(refused, Err(Error::Iam(IamError::ExpiredToken))));
    account.store.hand.advance(Duration::from_secs(3600));
    engine.run_workers().await.expect("work");
    engine.create_iam_entity(&account.root, IamKind::User, new("forget")).await.expect("a user");
    assert!(login(engine, &key.access_key, Some(token)).await.is_none(), "an hour later it is forgotten");
}

#[tokio::test]
async fn a_session_of_one_s_own_keys_has_its_rights_and_asks_for_no_identities() {
    let account = Account::new().await;
    let engine = account.engine();
    account.put(IamHolder::User, "ada", &policy("Allow", "*", "*")).await;
    let ada = account.ada().await;
    for (who, name) in [(&ada, "ada"), (&account.root, "the root")] {
        let key = engine.session_key(who, None).await.expect("a session");
        let session = as_session(engine, &key).await;
        assert!(account.may_list(&session).await, "{name}");
        assert_eq!(failure(engine.session_key(&session, None).await), "AccessDenied", "{name}");
        let listed = engine.list_iam_entities(&session, IamKind::User, &IamPage::default()).await;
        assert_eq!(failure(listed), "AccessDenied", "{name}");
    }
    assert!(engine.list_iam_entities(&ada, IamKind::User, &IamPage::default()).await.is_ok());
}

#[tokio::test]
async fn suspending_and_deleting_the_account_ends_keys_and_sessions_at_once() {
    for deletes in [false, true] {
        let account = Account::new().await;
        let engine = account.engine();
        let ada = account.ada().await;
        let key = engine.list_iam_keys(&account.root, Some("ada")).await.expect("keys").remove(0);
        let session = engine.session_key(&ada, None).await.expect("a session");
        let works = async || {
            let session = login(engine, &session.access_key, Some(session.token.expose_secret())).await.is_some();
            (login(engine, key.access_key.as_str(), None).await.is_some(), session)
        };
        assert_eq!(works().await, (true, true));
        let change = |active| UserChange { active: Some(active), ..UserChange::default() };
        if deletes {
            engine.delete_user(OPERATOR, &gid("g"), &uid("u")).await.expect("deleted");
            assert_eq!(works().await, (false, false));
            engine.restore_user(OPERATOR, &account.user.canonical_id).await.expect("restored");
            assert_eq!(works().await, (false, false), "nothing of it comes back");
            let users = engine.list_iam_entities(&account.root, IamKind::User, &IamPage::default()).await;
            assert!(users.expect("users").items.is_empty());
        } else {
            engine.change_user(OPERATOR, &gid("g"), &uid("u"), change(false)).await.expect("suspended");
            assert_eq!(works().await, (false, false));
            engine.change_user(OPERATOR, &gid("g"), &uid("u"), change(true)).await.expect("active");
            assert_eq!(works().await, (true, false), "keys work again, sessions are over");
        }
    }
}

#[tokio::test]
async fn names_are_one_whatever_their_case_and_what_hangs_on_them_keeps_them() {
    let account = Account::new().await;
    let (engine, root) = (account.engine(), &account.root);
    assert_eq!(failure(engine.create_iam_entity(root, IamKind::User, new("ADA")).await), "Iam");
    engine.rename_iam_entity(root, IamKind::User, "aDa", Some("Ada"), Some("/team/")).await.expect("renamed");
    assert_eq!(engine.iam_user(root, Some("ada")).await.expect("a user").path, "/team/");
    let (key, _) = engine.create_iam_key(root, Some("ada")).await.expect("a key");
    let conflict = engine.delete_iam_entity(root, IamKind::User, "ada").await;
    assert!(matches!(conflict, Err(Error::Iam(IamError::DeleteConflict(_)))), "{conflict:?}");
    engine.delete_iam_key(root, Some("ada"), key.access_key.as_str()).await.expect("deleted");
    engine.delete_iam_entity(root, IamKind::User, "ada").await.expect("deleted");
}

#[tokio::test]
async fn a_policy_of_the_account_counts_in_its_default_version() {
    let account = Account::new().await;
    let (engine, root) = (account.engine(), &account.root);
    let new = NewIamEntity { document: policy("Allow", "s3:GetObject", "*"), path: "/p/".to_owned(), ..new("mine") };
    let made = engine.create_iam_entity(root, IamKind::Policy, new).await.expect("a policy");
    engine.attach_iam_policy(root, IamHolder::User, "ada", &made.arn()).await.expect("attached");
    assert!(!account.may_list(&account.ada().await).await);
    let text = policy("Allow", "s3:ListBucket", "*");
    engine.create_iam_policy_version(root, &made.arn(), &text, true).await.expect("a version");
    assert!(account.may_list(&account.ada().await).await);
    engine.set_default_iam_policy_version(root, &made.arn(), 1).await.expect("set");
    assert!(!account.may_list(&account.ada().await).await);
    let conflict = engine.delete_iam_policy(root, &made.arn()).await;
    assert!(matches!(conflict, Err(Error::Iam(IamError::DeleteConflict(_)))), "{conflict:?}");
    engine.detach_iam_policy(root, IamHolder::User, "ada", &made.arn()).await.expect("detached");
    engine.delete_iam_policy_version(root, &made.arn(), 2).await.expect("deleted");
    engine.delete_iam_policy(root, &made.arn()).await.expect("deleted");
}

#[tokio::test]
async fn root_keys_and_keys_of_users_are_never_among_each_other() {
    let account = Account::new().await;
    let (engine, root) = (account.engine(), &account.root);
    let (key, _) = engine.create_iam_key(root, Some("ada")).await.expect("a key");
    let roots = engine.list_credentials(OPERATOR, &account.user.canonical_id).await.expect("keys");
    assert!(roots.iter().all(|one| one.access_key != key.access_key) && roots.len() == 1);
    assert!(engine.find_credential(OPERATOR, &key.access_key).await.expect("a look-up").is_none());
    assert_eq!(failure(engine.delete_credential(OPERATOR, &key.access_key).await), "NoSuchCredential");
    assert_eq!(failure(engine.set_credential_active(OPERATOR, &key.access_key, false).await), "NoSuchCredential");
    let of_root = engine.delete_iam_key(root, Some("ada"), roots[0].access_key.as_str()).await;
    assert!(matches!(of_root, Err(Error::Iam(IamError::NoSuchPart { .. }))), "{of_root:?}");
    assert_eq!(engine.list_iam_keys(root, None).await.expect("keys").len(), 1, "the root's own");
}
