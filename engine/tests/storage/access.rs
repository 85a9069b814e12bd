//! Who may do what: access control lists, policies, blocks against the world, and who owns what others store.

use engine::{
    Body, BucketName, Caller, CannedAcl, CanonicalId, CopyObject, CopySource, DeleteTarget, Error, GivenAcl,
    GivenGrant, GivenGrantee, Grantee, ListRequest, LockMode, NewAcl, NewBucket, NewLock, NewObject, ObjectName,
    ObjectOwnership, Permission, PublicAccessBlock, ReadConditions, ReadObject, Result, Retention, RuleError, Tags,
    TouchedVersion, Upload, UploadListRequest, Versioning,
};
use serde_json::{Value, json};

use crate::world::{World, key};

fn canned(name: CannedAcl) -> NewAcl {
    NewAcl { acl: GivenAcl::Canned(name), owner: None }
}

fn granted(caller: &Caller, permission: Permission) -> NewAcl {
    let id = caller.account().expect("a user").canonical_id.to_string();
    NewAcl { acl: GivenAcl::Grants(vec![GivenGrant { grantee: GivenGrantee::Id(id), permission }]), owner: None }
}

fn named(bucket: &BucketName, name: &str) -> ObjectName {
    ObjectName { bucket: bucket.clone(), key: key(name), version_id: None }
}

/// What some callers may do in a bucket with an object `o`: whether reading it, listing, storing and reading what is missing go.
#[derive(Debug, PartialEq, Eq)]
struct May {
    read: bool,
    list: bool,
    write: bool,
    hears_of_missing: bool,
}

const NOTHING: May = May { read: false, list: false, write: false, hears_of_missing: false };

async fn may(world: &World, caller: &Caller, bucket: &BucketName) -> May {
    let went = |result: Result<()>| match result {
        Ok(()) => true,
        Err(Error::AccessDenied) => false,
        Err(other) => panic!("{other:?}"),
    };
    let engine = &world.engine;
    let missing = engine.head_object(caller, bucket, &key("missing"), &ReadObject::default()).await;
    May {
        read: went(engine.get_object(caller, bucket, &key("o"), &ReadObject::default()).await.map(drop)),
        list: went(
            engine
                .list_objects(caller, bucket, &ListRequest { entries_max: 9, ..ListRequest::default() })
                .await
                .map(drop),
        ),
        write: went(put(world, caller, bucket, "new", GivenAcl::None).await),
        hears_of_missing: matches!(missing, Err(Error::NoSuchKey { .. })),
    }
}

async fn put(world: &World, caller: &Caller, bucket: &BucketName, name: &str, acl: GivenAcl) -> Result<()> {
    let new = NewObject { acl, ..NewObject::default() };
    world.engine.put_object(caller, bucket, &key(name), new, Body::from_bytes("x")).await.map(drop)
}

async fn with_object(name: &str) -> (World, BucketName) {
    let world = World::new().await;
    let bucket = world.bucket(name).await;
    world.put(&bucket, "o", "content").await;
    (world, bucket)
}

fn policy(statements: &[Value]) -> String {
    json!({ "Version": "2012-10-17", "Statement": statements }).to_string()
}

fn statement(effect: &str, principal: &Value, actions: &[&str], resource: &str) -> Value {
    let resources = [format!("arn:aws:s3:::{resource}"), format!("arn:aws:s3:::{resource}/*")];
    json!({ "Effect": effect, "Principal": principal, "Action": actions, "Resource": resources })
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_of_buckets_and_objects_are_apart() {
    let (world, bucket) = with_object("lists").await;
    let nobody = Caller::anonymous();
    assert_eq!(may(&world, &nobody, &bucket).await, NOTHING);
    world.engine.set_bucket_acl(&world.ada, &bucket, canned(CannedAcl::PublicRead)).await.unwrap();
    let listed = May { list: true, hears_of_missing: true, ..NOTHING };
    assert_eq!(may(&world, &nobody, &bucket).await, listed);
    world.engine.set_object_acl(&world.ada, &named(&bucket, "o"), canned(CannedAcl::PublicRead)).await.unwrap();
    assert_eq!(may(&world, &nobody, &bucket).await, May { read: true, ..listed });
    world.engine.set_bucket_acl(&world.ada, &bucket, canned(CannedAcl::PublicReadWrite)).await.unwrap();
    assert_eq!(
        may(&world, &nobody, &bucket).await,
        May { read: true, list: true, write: true, hears_of_missing: true }
    );
    world.engine.set_bucket_acl(&world.ada, &bucket, canned(CannedAcl::Private)).await.unwrap();
    assert_eq!(may(&world, &nobody, &bucket).await, May { read: true, ..NOTHING });
    // A new object in its place has a list of its own.
    world.put(&bucket, "o", "again").await;
    assert_eq!(may(&world, &nobody, &bucket).await, NOTHING);
}

#[tokio::test(flavor = "multi_thread")]
async fn grants_are_for_those_whom_they_name() {
    let (world, bucket) = with_object("grants").await;
    let object = named(&bucket, "o");
    world.engine.set_bucket_acl(&world.ada, &bucket, granted(&world.eve, Permission::ReadAcp)).await.unwrap();
    let shown = world.engine.bucket_acl(&world.eve, &bucket).await.unwrap();
    assert_eq!(shown.owner.canonical_id, world.ada.account().unwrap().canonical_id);
    assert_eq!(shown.grants.len(), 1);
    assert_eq!(shown.grants[0].display_name.as_deref(), Some(world.eve.account().unwrap().display_name.as_str()));
    assert_eq!(may(&world, &world.eve, &bucket).await, NOTHING);
    // Who may change a list may give itself the rest.
    world.engine.set_object_acl(&world.ada, &object, granted(&world.eve, Permission::WriteAcp)).await.unwrap();
    assert!(matches!(world.engine.object_acl(&world.eve, &object).await, Err(Error::AccessDenied)));
    world.engine.set_object_acl(&world.eve, &object, granted(&world.eve, Permission::FullControl)).await.unwrap();
    assert!(may(&world, &world.eve, &bucket).await.read);
    // The owner keeps what it owns, whatever the list says.
    assert!(may(&world, &world.ada, &bucket).await.read);
    let unknown = GivenGrant { grantee: GivenGrantee::Id("0".repeat(32)), permission: Permission::Read };
    for (grantee, by_email) in
        [(unknown.grantee.clone(), false), (GivenGrantee::Email("nobody@example.lan".to_owned()), true)]
    {
        let acl = GivenAcl::Grants(vec![GivenGrant { grantee, ..unknown.clone() }]);
        let refused = world.engine.set_bucket_acl(&world.ada, &bucket, NewAcl { acl, owner: None }).await;
        assert!(matches!(refused, Err(Error::Rule(RuleError::NoSuchGrantee { by_email: b })) if b == by_email));
    }
    let foreign = NewAcl { owner: Some("0".repeat(32)), ..canned(CannedAcl::Private) };
    assert!(matches!(world.engine.set_bucket_acl(&world.ada, &bucket, foreign).await, Err(Error::AccessDenied)));
    let all = GivenGrant { grantee: GivenGrantee::Group(Grantee::AuthenticatedUsers), ..unknown };
    let all = NewAcl { acl: GivenAcl::Grants(vec![all]), owner: None };
    world.engine.set_bucket_acl(&world.ada, &bucket, all).await.unwrap();
    assert!(may(&world, &world.eve, &bucket).await.list);
    assert!(!may(&world, &Caller::anonymous(), &bucket).await.list);
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_allow_and_deny() {
    let (world, bucket) = with_object("policies").await;
    let eve = json!({ "AWS": format!("arn:aws:iam::{}:root", world.eve.account().unwrap().canonical_id) });
    let everything = statement("Allow", &eve, &["s3:*"], "policies");
    let set = async |text: String| world.engine.set_bucket_policy(&world.ada, &bucket, &text).await;
    set(policy(std::slice::from_ref(&everything))).await.unwrap();
    let all = May { read: true, list: true, write: true, hears_of_missing: true };
    assert_eq!(may(&world, &world.eve, &bucket).await, all);
    assert_eq!(may(&world, &Caller::anonymous(), &bucket).await, NOTHING);
    let deny = statement("Deny", &json!("*"), &["s3:PutObject"], "policies");
    set(policy(&[everything, deny])).await.unwrap();
    assert_eq!(may(&world, &world.eve, &bucket).await, May { write: false, ..all });
    // A denial is for the owner, too, who may mend the policy all the same.
    assert!(matches!(put(&world, &world.ada, &bucket, "k", GivenAcl::None).await, Err(Error::AccessDenied)));
    set(policy(&[statement("Deny", &json!("*"), &["s3:*"], "policies")])).await.unwrap();
    assert_eq!(may(&world, &world.ada, &bucket).await, NOTHING);
    assert!(matches!(world.engine.bucket_acl(&world.ada, &bucket).await, Err(Error::AccessDenied)));
    world.engine.bucket_policy(&world.ada, &bucket).await.unwrap();
    world.engine.delete_bucket_policy(&world.ada, &bucket).await.unwrap();
    assert_eq!(may(&world, &world.ada, &bucket).await, all);
    let none = world.engine.bucket_policy(&world.ada, &bucket).await;
    assert!(matches!(none, Err(Error::Rule(RuleError::NoSuchPolicy))));
    let foreign = set(policy(&[statement("Allow", &json!("*"), &["s3:GetObject"], "elsewhere")])).await;
    assert!(matches!(foreign, Err(Error::Rule(RuleError::MalformedPolicy(_)))));
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_look_at_tags() {
    let (world, bucket) = with_object("tagged").await;
    let mut reading = statement("Allow", &json!("*"), &["s3:GetObject"], "tagged");
    reading["Condition"] = json!({ "StringEquals": { "s3:ExistingObjectTag/Security": "public" } });
    world.engine.set_bucket_policy(&world.ada, &bucket, &policy(&[reading])).await.unwrap();
    let nobody = Caller::anonymous();
    assert!(!may(&world, &nobody, &bucket).await.read);
    let tags = Tags::of_object(vec![("security".to_owned(), "public".to_owned())]).unwrap();
    let TouchedVersion { tags: set, .. } =
        world.engine.set_object_tags(&world.ada, &named(&bucket, "o"), tags.clone()).await.unwrap();
    assert_eq!(set, tags);
    assert!(may(&world, &nobody, &bucket).await.read);
    world.engine.delete_object_tags(&world.ada, &named(&bucket, "o")).await.unwrap();
    assert!(!may(&world, &nobody, &bucket).await.read);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_blocked_of_the_world_stays_shut() {
    let (world, bucket) = with_object("blocked").await;
    let nobody = Caller::anonymous();
    let open = policy(&[statement("Allow", &json!("*"), &["s3:*"], "blocked")]);
    let block = async |block: PublicAccessBlock| {
        world.engine.set_bucket_setting(&world.ada, &bucket, Some(&block)).await.unwrap();
    };
    let none = PublicAccessBlock::default();
    world.engine.set_object_acl(&world.ada, &named(&bucket, "o"), canned(CannedAcl::PublicRead)).await.unwrap();
    block(PublicAccessBlock { ignore_public_acls: true, ..none }).await;
    assert!(!may(&world, &nobody, &bucket).await.read);
    block(PublicAccessBlock { block_public_acls: true, ..none }).await;
    assert!(may(&world, &nobody, &bucket).await.read, "lists that are there still count");
    let refused = world.engine.set_bucket_acl(&world.ada, &bucket, canned(CannedAcl::PublicRead)).await;
    assert!(matches!(refused, Err(Error::AccessDenied)));
    let refused = put(&world, &world.ada, &bucket, "k", GivenAcl::Canned(CannedAcl::PublicRead)).await;
    assert!(matches!(refused, Err(Error::AccessDenied)));
    put(&world, &world.ada, &bucket, "k", GivenAcl::Canned(CannedAcl::Private)).await.unwrap();
    block(PublicAccessBlock { block_public_policy: true, ..none }).await;
    let refused = world.engine.set_bucket_policy(&world.ada, &bucket, &open).await;
    assert!(matches!(refused, Err(Error::AccessDenied)));
    block(none).await;
    world.engine.set_bucket_policy(&world.ada, &bucket, &open).await.unwrap();
    assert!(world.engine.is_bucket_public(&world.ada, &bucket).await.unwrap());
    assert!(may(&world, &nobody, &bucket).await.write);
    block(PublicAccessBlock { restrict_public_buckets: true, ..none }).await;
    assert!(!may(&world, &nobody, &bucket).await.write);
    assert!(!may(&world, &world.eve, &bucket).await.write);
    assert!(may(&world, &world.ada, &bucket).await.write);
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_belong_to_who_stored_them_or_to_the_buckets_owner() {
    let (world, bucket) = with_object("shared").await;
    let open = policy(&[statement("Allow", &json!("*"), &["s3:PutObject", "s3:PutObjectAcl"], "shared")]);
    world.engine.set_bucket_policy(&world.ada, &bucket, &open).await.unwrap();
    let read = async |caller: &Caller, name: &str| {
        world.engine.get_object(caller, &bucket, &key(name), &ReadObject::default()).await.is_ok()
    };
    put(&world, &world.eve, &bucket, "hers", GivenAcl::None).await.unwrap();
    assert!(read(&world.eve, "hers").await);
    assert!(!read(&world.ada, "hers").await, "it is not the bucket owner's");
    let given = GivenAcl::Canned(CannedAcl::BucketOwnerFullControl);
    put(&world, &world.eve, &bucket, "given", given.clone()).await.unwrap();
    assert!(read(&world.ada, "given").await && read(&world.eve, "given").await);
    // Who pays for an object may delete it.
    let mut done =
        world.engine.delete_objects(&world.ada, &bucket, vec![DeleteTarget::current(key("hers"))]).await.unwrap();
    done.remove(0).unwrap();

    let own = async |ownership| world.engine.set_bucket_ownership(&world.ada, &bucket, ownership).await;
    own(ObjectOwnership::BucketOwnerPreferred).await.unwrap();
    put(&world, &world.eve, &bucket, "preferred", given).await.unwrap();
    assert!(read(&world.ada, "preferred").await && !read(&world.eve, "preferred").await);
    put(&world, &world.eve, &bucket, "kept", GivenAcl::None).await.unwrap();
    assert!(!read(&world.ada, "kept").await);
    own(ObjectOwnership::BucketOwnerEnforced).await.unwrap();
    assert!(read(&world.ada, "kept").await && !read(&world.eve, "kept").await);
    let refused = put(&world, &world.ada, &bucket, "k", GivenAcl::Canned(CannedAcl::PublicRead)).await;
    assert!(matches!(refused, Err(Error::Rule(RuleError::AclsDisabled))));
    let refused = world.engine.set_bucket_acl(&world.ada, &bucket, canned(CannedAcl::PublicRead)).await;
    assert!(matches!(refused, Err(Error::Rule(RuleError::AclsDisabled))));
    own(ObjectOwnership::ObjectWriter).await.unwrap();
    world.engine.set_bucket_acl(&world.ada, &bucket, canned(CannedAcl::PublicRead)).await.unwrap();
    let refused = own(ObjectOwnership::BucketOwnerEnforced).await;
    assert!(matches!(refused, Err(Error::Rule(RuleError::AclGivesAway))));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_set_on_a_bucket_goes_with_it() {
    let mut world = World::new().await;
    let name = BucketName::new("settings").unwrap();
    let new = NewBucket {
        acl: GivenAcl::Canned(CannedAcl::PublicRead),
        ownership: Some(ObjectOwnership::BucketOwnerPreferred),
        ..NewBucket::default()
    };
    world.engine.create_bucket_with(&world.ada, &name, new).await.unwrap();
    let tags = Tags::of_bucket(vec![("a".to_owned(), "b".to_owned())]).unwrap();
    world.engine.set_bucket_setting(&world.ada, &name, Some(&tags)).await.unwrap();
    world.restart().await;
    assert_eq!(world.engine.bucket_setting::<Tags>(&world.ada, &name).await.unwrap(), Some(tags));
    let ownership = world.engine.bucket_setting::<ObjectOwnership>(&world.ada, &name).await.unwrap();
    assert_eq!(ownership, Some(ObjectOwnership::BucketOwnerPreferred));
    assert_eq!(world.engine.bucket_acl(&world.ada, &name).await.unwrap().grants.len(), 2);
    world.engine.delete_bucket(&world.ada, &name).await.unwrap();
    assert_eq!(world.sql("DELETE FROM bucket_settings").await, 0);
    world.engine.create_bucket(&world.ada, &name).await.unwrap();
    assert_eq!(world.engine.bucket_setting::<Tags>(&world.ada, &name).await.unwrap(), None);
}

/// A store whose commits take so long that what is judged at one time is written at another.
async fn slow_world(name: &str) -> (World, BucketName) {
    let mut world = World::new().await;
    let bucket = world.bucket(name).await;
    world.engine.set_bucket_acl(&world.ada, &bucket, canned(CannedAcl::PublicReadWrite)).await.unwrap();
    let fsync_delay = std::time::Duration::from_millis(10);
    world.restart_with(|settings| settings.faults = engine::Faults { fsync_delay }).await;
    (world, bucket)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_never_lands_on_an_object_that_came_in_between() {
    let (world, bucket) = slow_world("raced-lists").await;
    for _ in 0..40 {
        put(&world, &world.eve, &bucket, "o", GivenAcl::None).await.unwrap();
        let object = named(&bucket, "o");
        let (_, stored) = tokio::join!(
            world.engine.set_object_acl(&world.eve, &object, canned(CannedAcl::PublicRead)),
            put(&world, &world.ada, &bucket, "o", GivenAcl::None),
        );
        stored.unwrap();
        let read = world.engine.get_object(&Caller::anonymous(), &bucket, &key("o"), &ReadObject::default()).await;
        assert!(matches!(read, Err(Error::AccessDenied)), "what Ada stored is hers");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_never_has_what_came_in_between() {
    let (world, bucket) = slow_world("raced-copies").await;
    let own = BucketName::new("eves").unwrap();
    world.engine.create_bucket(&world.eve, &own).await.unwrap();
    let source = CopySource {
        bucket: bucket.clone(),
        key: key("o"),
        version_id: None,
        conditions: ReadConditions::default(),
        customer_key: None,
    };
    for _ in 0..40 {
        let open = NewObject { acl: GivenAcl::Canned(CannedAcl::PublicRead), ..NewObject::default() };
        world.engine.put_object(&world.ada, &bucket, &key("o"), open, Body::from_bytes("open")).await.unwrap();
        let (at, to, secret) = (key("o"), key("copy"), Body::from_bytes("secret"));
        let (copied, stored) = tokio::join!(
            world.engine.copy_object(&world.eve, &source, &own, &to, CopyObject::default()),
            world.engine.put_object(&world.ada, &bucket, &at, NewObject::default(), secret),
        );
        stored.unwrap();
        match copied {
            Ok(copied) => assert_eq!(copied.info.size_bytes, 4, "only what was open was copied"),
            Err(error) => assert!(matches!(error, Error::AccessDenied), "{error:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_beside_an_object_needs_its_own_right() {
    let (world, bucket) = (World::new().await, BucketName::new("beside").unwrap());
    world
        .engine
        .create_bucket_with(&world.ada, &bucket, NewBucket { object_lock: true, ..NewBucket::default() })
        .await
        .unwrap();
    let eve = json!({ "AWS": format!("arn:aws:iam::{}:root", world.eve.account().unwrap().canonical_id) });
    let set = async |statements: &[Value]| {
        world.engine.set_bucket_policy(&world.ada, &bucket, &policy(statements)).await.unwrap();
    };
    let store = async |caller: &Caller, new: NewObject| {
        let body = Body::from_bytes("x");
        world.engine.put_object(caller, &bucket, &key("k"), new, body).await.map(drop)
    };
    let is_refused = |stored: Result<()>| matches!(stored, Err(Error::AccessDenied));
    let locked = || {
        let until_us = world.engine.clock().now_us() + 3_600_000_000;
        let retention = Some(Retention { mode: LockMode::Compliance, until_us });
        NewObject { lock: NewLock { retention, legal_hold: false }, ..NewObject::default() }
    };
    let held = || NewObject { lock: NewLock { retention: None, legal_hold: true }, ..NewObject::default() };
    let tagged = || {
        let tags = Tags::of_object(vec![("a".to_owned(), "b".to_owned())]).unwrap();
        NewObject { tags, ..NewObject::default() }
    };
    let listed = || NewObject { acl: GivenAcl::Canned(CannedAcl::BucketOwnerFullControl), ..NewObject::default() };

    set(&[statement("Allow", &eve, &["s3:PutObject"], "beside")]).await;
    store(&world.eve, NewObject::default()).await.unwrap();
    assert!(is_refused(store(&world.eve, locked()).await), "it would keep the owner from its bucket");
    assert!(is_refused(store(&world.eve, held()).await));
    set(&[statement("Allow", &eve, &["s3:PutObject", "s3:PutObjectRetention"], "beside")]).await;
    store(&world.eve, locked()).await.unwrap();
    assert!(is_refused(store(&world.eve, held()).await));

    // What is denied is denied to everybody, the owner included, also beside what is allowed.
    let others = ["s3:PutObjectTagging", "s3:PutObjectAcl", "s3:PutObjectRetention"];
    set(&[statement("Allow", &eve, &["s3:PutObject"], "beside"), statement("Deny", &json!("*"), &others, "beside")])
        .await;
    for caller in [&world.ada, &world.eve] {
        store(caller, NewObject::default()).await.unwrap();
        for new in [locked(), tagged(), listed()] {
            assert!(is_refused(store(caller, new).await));
        }
    }
}

async fn delete(world: &World, caller: &Caller, bucket: &BucketName, target: DeleteTarget) -> Result<()> {
    let mut done = world.engine.delete_objects(caller, bucket, vec![target]).await.unwrap();
    done.remove(0).map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_write_by_a_list_deletes_nothing_for_good() {
    let (world, bucket) = with_object("written").await;
    world.engine.set_versioning(&world.ada, &bucket, Versioning::Enabled).await.unwrap();
    let nobody = Caller::anonymous();
    let all = canned(CannedAcl::PublicReadWrite);
    for (acl, caller) in [
        (granted(&world.eve, Permission::Write), &world.eve),
        (granted(&world.eve, Permission::FullControl), &world.eve),
        (all, &nobody),
    ] {
        world.engine.set_bucket_acl(&world.ada, &bucket, acl).await.unwrap();
        put(&world, caller, &bucket, "o", GivenAcl::None).await.unwrap();
        delete(&world, caller, &bucket, DeleteTarget::current(key("o"))).await.unwrap();
        let stored = world.put(&bucket, "o", "again").await;
        let version = DeleteTarget { version_id: Some(stored.version_id), ..DeleteTarget::current(key("o")) };
        let refused = delete(&world, caller, &bucket, version.clone()).await;
        assert!(matches!(refused, Err(Error::AccessDenied)), "{refused:?}");
        delete(&world, &world.ada, &bucket, version).await.unwrap();
    }
    let eve = json!({ "AWS": format!("arn:aws:iam::{}:root", world.eve.account().unwrap().canonical_id) });
    let may = policy(&[statement("Allow", &eve, &["s3:DeleteObjectVersion"], "written")]);
    world.engine.set_bucket_policy(&world.ada, &bucket, &may).await.unwrap();
    let stored = world.put(&bucket, "o", "again").await;
    let version = DeleteTarget { version_id: Some(stored.version_id), ..DeleteTarget::current(key("o")) };
    delete(&world, &world.eve, &bucket, version).await.unwrap();
}

/// Whether a caller may see the parts of an upload, and then stop it.
async fn may_stop(world: &World, caller: &Caller, bucket: &BucketName, upload: &Upload) -> bool {
    let (engine, id) = (&world.engine, &upload.upload_id);
    let shown = engine.list_parts(caller, bucket, &upload.key, id, 0, 9).await.map(drop);
    let stopped = engine.abort_upload(caller, bucket, &upload.key, id).await;
    match (shown, stopped) {
        (Ok(()), Ok(())) => true,
        (Err(Error::AccessDenied), Err(Error::AccessDenied)) => false,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_is_stopped_by_who_began_it_and_by_the_buckets_owner() {
    let (world, bucket) = with_object("uploads").await;
    let nobody = Caller::anonymous();
    let begin = async |caller: &Caller| {
        world.engine.create_upload(caller, &bucket, &key("k"), NewObject::default(), None).await.unwrap()
    };
    world.engine.set_bucket_acl(&world.ada, &bucket, canned(CannedAcl::PublicReadWrite)).await.unwrap();
    for beginner in [&world.ada, &world.eve, &nobody] {
        let upload = begin(beginner).await;
        for other in [&world.eve, &nobody] {
            let is_own = other.account().is_some() && other.account() == beginner.account();
            assert_eq!(may_stop(&world, other, &bucket, &upload).await, is_own, "{other:?} of {beginner:?}");
        }
        let is_there = beginner.account() != world.eve.account();
        assert!(!is_there || may_stop(&world, &world.ada, &bucket, &upload).await);
    }
    let unknown = Upload { upload_id: engine::UploadId::new(&"0".repeat(32)).unwrap(), ..begin(&world.ada).await };
    assert!(!may_stop(&world, &world.eve, &bucket, &unknown).await, "who may not stop it hears of none");

    // Where lists are off and all objects are the bucket owner's, an upload is still whose who began it.
    world.engine.set_bucket_acl(&world.ada, &bucket, canned(CannedAcl::Private)).await.unwrap();
    world.engine.set_bucket_ownership(&world.ada, &bucket, ObjectOwnership::BucketOwnerEnforced).await.unwrap();
    let eve: &CanonicalId = &world.eve.account().unwrap().canonical_id;
    let principal = json!({ "AWS": format!("arn:aws:iam::{eve}:root") });
    let may_store = statement("Allow", &principal, &["s3:PutObject"], "uploads");
    world.engine.set_bucket_policy(&world.ada, &bucket, &policy(std::slice::from_ref(&may_store))).await.unwrap();
    let upload = begin(&world.eve).await;
    let listed = UploadListRequest { entries_max: 9, ..UploadListRequest::default() };
    let listed = world.engine.list_uploads(&world.ada, &bucket, &listed).await.unwrap().uploads;
    let listed = listed.iter().find(|listed| listed.upload_id == upload.upload_id).unwrap();
    assert_eq!((listed.owner.as_ref(), listed.begun_by.as_ref()), (None, Some(eve)));
    let deny = statement("Deny", &principal, &["s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"], "uploads");
    world.engine.set_bucket_policy(&world.ada, &bucket, &policy(&[may_store.clone(), deny])).await.unwrap();
    assert!(!may_stop(&world, &world.eve, &bucket, &upload).await);
    world.engine.set_bucket_policy(&world.ada, &bucket, &policy(&[may_store])).await.unwrap();
    assert!(may_stop(&world, &world.eve, &bucket, &upload).await);
}
