//! Every operation on buckets and objects is refused to everybody but their owner.

use engine::{
    Body, BucketName, Caller, CannedAcl, CompleteUpload, CopyObject, CopySource, DeleteTarget, Durability, Error,
    GivenAcl, ListRequest, LockMode, NewAcl, NewObject, Notifications, ObjectLock, ObjectName, ObjectOwnership,
    PartSource, PublicAccessBlock, ReadConditions, ReadObject, Result, Retention, Tags, UploadListRequest, VersionId,
    VersionListRequest,
};

use crate::world::{World, key};

/// Runs every operation as a caller; the name of each with its result.
async fn every_operation(world: &World, caller: &Caller, bucket: &BucketName) -> Vec<(&'static str, Result<()>)> {
    let (engine, object) = (&world.engine, key("o"));
    let upload = engine.create_upload(&world.ada, bucket, &object, NewObject::default(), None).await.unwrap().upload_id;
    let body = || Body::from_bytes("stolen");
    let source = CopySource {
        bucket: bucket.clone(),
        key: object.clone(),
        version_id: None,
        conditions: ReadConditions::default(),
        customer_key: None,
    };
    let part = PartSource { object: source.clone(), range: None, upload_key: None };
    let read = ReadObject::default();
    let read_version = ReadObject { version_id: Some(VersionId::null()), ..ReadObject::default() };
    let target = DeleteTarget::current(object.clone());
    let version = DeleteTarget { version_id: Some(VersionId::null()), ..target.clone() };
    let new = NewObject::default;
    let list = ListRequest { entries_max: 1, ..ListRequest::default() };
    let versions = VersionListRequest { list: list.clone(), after_version: None };
    let uploads = UploadListRequest { entries_max: 1, ..UploadListRequest::default() };
    let named = ObjectName { bucket: bucket.clone(), key: object.clone(), version_id: None };
    let public = || NewAcl { acl: GivenAcl::Canned(CannedAcl::PublicRead), owner: None };
    let delete = async |target| {
        let done = engine.delete_objects(caller, bucket, vec![target]).await?;
        done.into_iter().next().expect("an answer").map(|_| ())
    };
    let retention = Some(Retention { mode: LockMode::Governance, until_us: i64::MAX });
    vec![
        ("bucket_acl", engine.bucket_acl(caller, bucket).await.map(|_| ())),
        ("set_bucket_acl", engine.set_bucket_acl(caller, bucket, public()).await),
        ("object_acl", engine.object_acl(caller, &named).await.map(|_| ())),
        ("set_object_acl", engine.set_object_acl(caller, &named, public()).await.map(|_| ())),
        ("bucket_policy", engine.bucket_policy(caller, bucket).await.map(|_| ())),
        ("is_bucket_public", engine.is_bucket_public(caller, bucket).await.map(|_| ())),
        ("set_bucket_policy", engine.set_bucket_policy(caller, bucket, "{}").await),
        ("delete_bucket_policy", engine.delete_bucket_policy(caller, bucket).await),
        ("a setting", engine.bucket_setting::<PublicAccessBlock>(caller, bucket).await.map(|_| ())),
        ("set_notifications", engine.set_notifications(caller, bucket, Notifications::new(Vec::new()).unwrap()).await),
        ("delete_website", engine.delete_website(caller, bucket).await),
        ("set_access_logging", engine.set_access_logging(caller, bucket, None).await),
        ("set_bucket_setting", engine.set_bucket_setting::<PublicAccessBlock>(caller, bucket, None).await),
        (
            "set_bucket_ownership",
            engine.set_bucket_ownership(caller, bucket, ObjectOwnership::BucketOwnerPreferred).await,
        ),
        ("set_object_lock", engine.set_object_lock(caller, bucket, &ObjectLock::default()).await),
        ("object_tags", engine.object_tags(caller, &named).await.map(|_| ())),
        ("set_object_tags", engine.set_object_tags(caller, &named, Tags::default()).await.map(|_| ())),
        ("delete_object_tags", engine.delete_object_tags(caller, &named).await.map(|_| ())),
        ("object_retention", engine.object_retention(caller, &named).await.map(|_| ())),
        ("set_object_retention", engine.set_object_retention(caller, &named, retention, true).await.map(|_| ())),
        ("object_legal_hold", engine.object_legal_hold(caller, &named).await.map(|_| ())),
        ("set_object_legal_hold", engine.set_object_legal_hold(caller, &named, true).await.map(|_| ())),
        ("set_durability", engine.set_durability(caller, bucket, Durability::Relaxed).await),
        ("bucket", engine.bucket(caller, bucket).await.map(|_| ())),
        ("may_put_object", engine.may_put_object(caller, bucket, &object).await),
        ("put_object", engine.put_object(caller, bucket, &object, new(), body()).await.map(|_| ())),
        ("head_object", engine.head_object(caller, bucket, &object, &read).await.map(|_| ())),
        ("get_object", engine.get_object(caller, bucket, &object, &read).await.map(|_| ())),
        ("head_object of a version", engine.head_object(caller, bucket, &object, &read_version).await.map(|_| ())),
        ("get_object of a version", engine.get_object(caller, bucket, &object, &read_version).await.map(|_| ())),
        (
            "copy_object",
            engine.copy_object(caller, &source, bucket, &key("c"), CopyObject::default()).await.map(|_| ()),
        ),
        ("list_objects", engine.list_objects(caller, bucket, &list).await.map(|_| ())),
        ("list_versions", engine.list_versions(caller, bucket, &versions).await.map(|_| ())),
        ("create_upload", engine.create_upload(caller, bucket, &object, new(), None).await.map(|_| ())),
        ("put_part", engine.put_part(caller, bucket, &object, &upload, 1, body()).await.map(|_| ())),
        ("copy_part", engine.copy_part(caller, &part, bucket, &object, &upload, 1).await.map(|_| ())),
        ("list_parts", engine.list_parts(caller, bucket, &object, &upload, 0, 1).await.map(|_| ())),
        ("list_uploads", engine.list_uploads(caller, bucket, &uploads).await.map(|_| ())),
        ("complete_upload", {
            let complete = CompleteUpload::default();
            engine.complete_upload(caller, bucket, &object, &upload, complete).await.map(|_| ())
        }),
        ("abort_upload", engine.abort_upload(caller, bucket, &object, &upload).await),
        ("delete_objects", delete(target).await),
        ("delete_objects of a version", delete(version).await),
        ("delete_bucket", engine.delete_bucket(caller, bucket).await),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_but_the_owner_and_the_operator_reaches_a_tenants_objects() {
    let world = World::new().await;
    let bucket = world.bucket("private").await;
    world.put(&bucket, "o", "secret").await;
    for caller in [Caller::anonymous(), world.eve.clone(), Caller::AdminService] {
        for (operation, result) in every_operation(&world, &caller, &bucket).await {
            assert!(matches!(result, Err(Error::AccessDenied)), "{operation} by {caller:?}: {result:?}");
        }
    }
    assert_eq!(world.get(&bucket, "o").await.unwrap(), b"secret");
    for (operation, result) in every_operation(&world, &Caller::LocalOperator, &bucket).await {
        // Refusals of the rules are fine here, refusals of the caller are not.
        assert!(!matches!(result, Err(Error::AccessDenied)), "{operation}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_users_own_buckets_and_copying_needs_both_sides() {
    let world = World::new().await;
    let name = BucketName::new("nobodys").unwrap();
    for caller in [Caller::anonymous(), Caller::AdminService] {
        assert!(matches!(world.engine.create_bucket(&caller, &name).await, Err(Error::AccessDenied)));
        assert!(matches!(world.engine.list_buckets(&caller).await, Err(Error::AccessDenied)));
    }
    let owner = world.eve.account().unwrap().canonical_id.clone();
    let for_eve = world.engine.create_bucket_for(&world.ada, &owner, &name).await;
    assert!(matches!(for_eve, Err(Error::AccessDenied)));
    world.engine.create_bucket_for(&Caller::AdminService, &owner, &name).await.unwrap();
    let bucket = world.bucket("mine").await;
    world.put(&bucket, "o", "mine").await;
    let source = |bucket: &BucketName| CopySource {
        bucket: bucket.clone(),
        key: key("o"),
        version_id: None,
        conditions: ReadConditions::default(),
        customer_key: None,
    };
    for (caller, from, to) in [(&world.eve, &bucket, &name), (&world.ada, &bucket, &name)] {
        let copy = world.engine.copy_object(caller, &source(from), to, &key("x"), CopyObject::default()).await;
        assert!(matches!(copy, Err(Error::AccessDenied)));
    }
    let usage = world.engine.usage_of_group(&world.ada, &engine::GroupId::new("acme").unwrap(), None).await;
    assert!(matches!(usage, Err(Error::AccessDenied)));
}
