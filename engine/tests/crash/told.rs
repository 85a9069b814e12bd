//! What a write in a relaxed bucket says of its durability, against what the disk has when it is answered.

use engine::{
    Body, BucketName, ChecksumAlgorithm, CompleteUpload, CompletedPart, CopyObject, CopySource, DeleteTarget, Digests,
    Durability, NewObject, ObjectKey, ReadConditions,
};
use simulated_disk::SimulatedDisk;

use crate::model::Operation;
use crate::store::{Prepared, Store, is_on_postgres};

const BUCKET: &str = "told";

fn key(text: &str) -> ObjectKey {
    ObjectKey::new(text).unwrap()
}

/// Whether all that was written to the log of the database is on the medium.
fn is_log_synced(disk: &SimulatedDisk) -> bool {
    let trail = disk.trail();
    let last = |what: &str| trail.iter().rposition(|step| step == &format!("{what} data/metadata.sqlite-wal"));
    last("sync") > last("write")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_says_that_it_is_strict_is_durable_when_it_is_answered() {
    // On PostgreSQL the log is another machine's.
    if is_on_postgres() {
        return;
    }
    let prepared = Prepared::new().await;
    let root = prepared.copy();
    let disk = SimulatedDisk::open(root.path()).unwrap();
    let store = Store::open(&disk, root.path(), &prepared.ada).await.unwrap();
    let client = store.client(BUCKET);
    client.perform(&Operation::CreateBucket, &None).await.unwrap();
    let empty = Operation::CreateBucket.apply(&None);
    client.perform(&Operation::Relax, &empty).await.unwrap();
    let (engine, ada, bucket) = (&store.engine, &store.ada, BucketName::new(BUCKET).unwrap());
    let put = async |name: &str| {
        let body = Body::from_bytes(vec![7; 5_000]);
        engine.put_object(ada, &bucket, &key(name), NewObject::default(), body).await.unwrap().durability
    };
    assert_eq!(put("source").await, Durability::Relaxed);
    let source = CopySource {
        bucket: bucket.clone(),
        key: key("source"),
        version_id: None,
        conditions: ReadConditions::default(),
        customer_key: None,
    };
    // With a checksum that the source has not, the bytes are read and stored again; else they are shared.
    for checksum in [None, Some(ChecksumAlgorithm::Sha256)] {
        // So that there is something that only a strict commit syncs.
        assert_eq!(put("before").await, Durability::Relaxed);
        let copy = CopyObject { checksum, ..CopyObject::default() };
        let copied = engine.copy_object(ada, &source, &bucket, &key("copy"), copy).await.unwrap();
        assert_eq!((copied.info.durability, is_log_synced(&disk)), (Durability::Strict, true), "{checksum:?}");
    }
    let new = NewObject::default();
    let upload = engine.create_upload(ada, &bucket, &key("parts"), new, None).await.unwrap().upload_id;
    assert!(is_log_synced(&disk), "the beginning of an upload");
    put("before").await;
    let body = Body::from_bytes(vec![1; 2_000]);
    let part = engine.put_part(ada, &bucket, &key("parts"), &upload, 1, body).await.unwrap();
    assert!(is_log_synced(&disk), "a part");
    put("before").await;
    let parts = vec![CompletedPart { number: 1, etag: part.etag, checksums: Digests::default() }];
    // Twice: the second time it is answered as the first.
    for _ in 0..2 {
        let complete = CompleteUpload { parts: parts.clone(), ..CompleteUpload::default() };
        let made = engine.complete_upload(ada, &bucket, &key("parts"), &upload, complete).await.unwrap();
        assert_eq!((made.durability, is_log_synced(&disk)), (Durability::Strict, true));
    }
    let target = DeleteTarget::current(key("source"));
    let deleted = engine.delete_objects(ada, &bucket, vec![target]).await.unwrap().remove(0).unwrap();
    assert_eq!(deleted.durability, Durability::Relaxed);
    store.close().await;
}
