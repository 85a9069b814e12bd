//! Encryption: what is stored is not what came, every way of reading gives it back, and nobody reads it without its key.

use engine::{
    Body, BucketEncryption, BucketName, ChecksumAlgorithm, CompleteUpload, CompletedPart, CopyObject, CopySource,
    CustomerKey, Digests, Encryption, Error, KmsDefault, NewEncryption, NewObject, PartSource, ReadConditions,
    ReadObject, RuleError, Selection, WriteConditions,
};

use crate::check::check;
use crate::scrub::scrub;
use crate::world::{World, key, noise};

/// Stands in everything that is stored here, and so shows whether it can be read on the disk.
const MARK: &[u8] = b"this must not be readable on the disk";

/// Sizes of what lies in the database, in a pack and in a file of its own.
const SIZES: [usize; 3] = [1_000, 100_000, 3_000_000];

fn marked(size: usize) -> Vec<u8> {
    let mut bytes = noise(size);
    let end = bytes.len() - 7;
    bytes[end - MARK.len()..end].copy_from_slice(MARK);
    bytes
}

fn customer(number: u8) -> CustomerKey {
    CustomerKey::new([number; 32], format!("md5 of {number}"))
}

fn new(encryption: NewEncryption) -> NewObject {
    NewObject { encryption, ..NewObject::default() }
}

fn source(bucket: &BucketName, name: &str, customer_key: Option<CustomerKey>) -> CopySource {
    let conditions = ReadConditions::default();
    CopySource { bucket: bucket.clone(), key: key(name), version_id: None, conditions, customer_key }
}

fn with_key(customer_key: Option<CustomerKey>) -> ReadObject {
    ReadObject { customer_key, ..ReadObject::default() }
}

fn rule<T>(result: Result<T, Error>) -> RuleError {
    match result {
        Err(Error::Rule(rule)) => rule,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it was not refused"),
    }
}

impl World {
    async fn put_as(
        &self,
        bucket: &BucketName,
        name: &str,
        bytes: Vec<u8>,
        encryption: NewEncryption,
    ) -> Option<Encryption> {
        let body = Body::from_bytes(bytes);
        let put = self.engine.put_object(&self.ada, bucket, &key(name), new(encryption), body).await.unwrap();
        put.encryption
    }

    /// Whether the mark can be read anywhere in the directory of the store.
    async fn shows_mark(&mut self) -> bool {
        // What lies in the log of the database goes to its file.
        self.restart().await;
        let mut folders = vec![self.directory.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if std::fs::read(&path).unwrap_or_default().windows(MARK.len()).any(|part| part == MARK) {
                    return true;
                }
            }
        }
        false
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_are_sealed_on_the_disk_and_come_back_whole_and_in_ranges() {
    let mut world = World::new().await;
    let bucket = world.bucket("sealed").await;
    let ways = || [NewEncryption::Managed, NewEncryption::Kms(None), NewEncryption::Customer(customer(1))];
    for (way, encryption) in ways().into_iter().enumerate() {
        let key = matches!(encryption, NewEncryption::Customer(_)).then(|| customer(1));
        for size in SIZES {
            let (name, bytes) = (format!("{way}/{size}"), marked(size));
            world.put_as(&bucket, &name, bytes.clone(), encryption.clone()).await.unwrap();
            assert!(world.read(&bucket, &name, with_key(key.clone())).await.unwrap() == bytes, "{name}");
            let end = size as u64 - 1;
            for (first, last) in [(0, 0), (1, 17), (15, 16), (end / 2, end / 2 + 300), (end, end), (131_071, 131_073)] {
                if last > end {
                    continue;
                }
                let selection = Some(Selection::Between(first, last));
                let read = ReadObject { selection, ..with_key(key.clone()) };
                let part = world.read(&bucket, &name, read).await.unwrap();
                assert!(part == bytes[first as usize..=last as usize], "{name} {first}-{last}");
            }
        }
    }
    let clean = scrub(&world).await;
    assert!(clean.damage.is_empty(), "{clean:?}");
    assert!(check(&world, false).await.is_clean());
    assert!(!world.shows_mark().await, "sealed bytes can be read");
    world.put(&bucket, "open", marked(100_000)).await;
    assert!(world.shows_mark().await, "the search finds what is open");
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_are_sealed_each_and_can_be_uploaded_again() {
    let mut world = World::new().await;
    let bucket = world.bucket("parts").await;
    world.put_as(&bucket, "source", marked(50_000), NewEncryption::Customer(customer(2))).await;
    for (name, encryption) in [("managed", NewEncryption::Managed), ("customer", NewEncryption::Customer(customer(1)))]
    {
        let upload_key = matches!(encryption, NewEncryption::Customer(_)).then(|| customer(1));
        let engine = &world.engine;
        let begun = engine.create_upload(&world.ada, &bucket, &key(name), new(encryption), None).await.unwrap();
        let (id, mut whole, mut parts) = (begun.upload_id, Vec::new(), Vec::new());
        for (number, size) in [(1, 300_000), (1, 300_001), (2, 20_000), (3, 2_000_000)] {
            let bytes = marked(size);
            let body = Body { customer_key: upload_key.clone(), ..Body::from_bytes(bytes.clone()) };
            let part = engine.put_part(&world.ada, &bucket, &key(name), &id, number, body).await.unwrap();
            assert_eq!(part.encryption, begun.encryption);
            if size != 300_000 {
                whole.extend(bytes);
                parts.push(CompletedPart { number, etag: part.etag, checksums: Digests::default() });
            }
        }
        let object = source(&bucket, "source", Some(customer(2)));
        let copied = PartSource { object, range: Some(7..49_990), upload_key: upload_key.clone() };
        let (part, _) = engine.copy_part(&world.ada, &copied, &bucket, &key(name), &id, 4).await.unwrap();
        whole.extend(&marked(50_000)[7..49_990]);
        parts.push(CompletedPart { number: 4, etag: part.etag, checksums: Digests::default() });
        // A key need not be sent with it. One that is sent must fit.
        let complete = CompleteUpload { parts, customer_key: Some(customer(2)), ..CompleteUpload::default() };
        let refused = engine.complete_upload(&world.ada, &bucket, &key(name), &id, complete.clone()).await;
        assert!(matches!(rule(refused), RuleError::CustomerKeyWrong | RuleError::CustomerKeyUnexpected), "{name}");
        let complete = CompleteUpload { customer_key: upload_key.clone(), ..complete };
        let made = engine.complete_upload(&world.ada, &bucket, &key(name), &id, complete).await.unwrap();
        let expected = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Nvme, &whole);
        assert_eq!(made.checksums.crc64nvme, Some(expected), "the checksum is that of what came");
        assert!(world.read(&bucket, name, with_key(upload_key.clone())).await.unwrap() == whole, "{name}");
        let across = ReadObject { selection: Some(Selection::Between(299_990, 320_010)), ..with_key(upload_key) };
        assert!(world.read(&bucket, name, across).await.unwrap() == whole[299_990..=320_010], "{name}");
    }
    assert!(scrub(&world).await.damage.is_empty());
    assert!(check(&world, false).await.is_clean());
    assert!(!world.shows_mark().await, "sealed parts can be read");
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_that_lost_what_encryption_keeps_with_them_are_damage() {
    let world = World::new().await;
    let bucket = world.bucket("damaged").await;
    let open = async |name: &str| {
        let new = new(NewEncryption::Managed);
        let id = world.engine.create_upload(&world.ada, &bucket, &key(name), new, None).await.unwrap().upload_id;
        let body = Body::from_bytes(marked(20_000));
        let part = world.engine.put_part(&world.ada, &bucket, &key(name), &id, 1, body).await.unwrap();
        let parts = vec![CompletedPart { number: 1, etag: part.etag, checksums: Digests::default() }];
        (id, CompleteUpload { parts, ..CompleteUpload::default() })
    };
    let (id, complete) = open("whole").await;
    world.engine.complete_upload(&world.ada, &bucket, &key("whole"), &id, complete).await.unwrap();
    assert_eq!(world.get(&bucket, "whole").await.unwrap(), marked(20_000));
    assert_eq!(world.sql("UPDATE pieces SET nonce = NULL").await, 1);
    let read = world.engine.get_object(&world.ada, &bucket, &key("whole"), &ReadObject::default()).await;
    assert!(matches!(read.map(drop), Err(Error::Corrupt(_))));
    let (id, complete) = open("open").await;
    assert_eq!(world.sql("UPDATE upload_parts SET checksums = '{}'").await, 1);
    let made = world.engine.complete_upload(&world.ada, &bucket, &key("open"), &id, complete).await;
    assert!(matches!(made, Err(Error::InvalidPart { number: 1 })), "{made:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customers_key_is_needed_and_must_be_the_right_one() {
    let world = World::new().await;
    let bucket = world.bucket("customers").await;
    let shown = world.put_as(&bucket, "theirs", marked(70_000), NewEncryption::Customer(customer(1))).await;
    assert_eq!(shown, Some(Encryption::Customer("md5 of 1".to_owned())));
    world.put_as(&bucket, "managed", marked(70_000), NewEncryption::Managed).await;
    world.put(&bucket, "open", "x").await;

    // A key that only claims to be the right one does not open it either.
    let forged = CustomerKey::new([9; 32], "md5 of 1");
    for wrong in [customer(2), forged] {
        let read = world.read(&bucket, "theirs", with_key(Some(wrong.clone()))).await;
        assert!(matches!(rule(read), RuleError::CustomerKeyWrong));
        let head = world.engine.head_object(&world.ada, &bucket, &key("theirs"), &with_key(Some(wrong))).await;
        assert!(matches!(head, Err(Error::Rule(RuleError::CustomerKeyWrong))));
    }
    assert!(matches!(rule(world.get(&bucket, "theirs").await), RuleError::CustomerKeyNeeded));
    for name in ["managed", "open"] {
        let read = world.read(&bucket, name, with_key(Some(customer(1)))).await;
        assert!(matches!(rule(read), RuleError::CustomerKeyUnexpected), "{name}");
    }
    let missing = ReadObject { selection: Some(Selection::Part(2)), ..with_key(None) };
    let refused = world.read(&bucket, "theirs", missing).await;
    assert!(matches!(refused, Err(Error::InvalidPartNumber)), "a part that is not there needs no key");
    // Who may not read it learns nothing of its key.
    let read = with_key(None);
    let refused = world.engine.head_object(&world.eve, &bucket, &key("theirs"), &read).await;
    assert!(matches!(refused, Err(Error::AccessDenied)), "{refused:?}");

    let new = new(NewEncryption::Customer(customer(1)));
    let begun = world.engine.create_upload(&world.ada, &bucket, &key("up"), new, None).await.unwrap();
    for (customer_key, expected) in [(None, "needed"), (Some(customer(2)), "wrong")] {
        let body = Body { customer_key, ..Body::from_bytes("x") };
        let part = world.engine.put_part(&world.ada, &bucket, &key("up"), &begun.upload_id, 1, body).await;
        let seen = match part {
            Err(Error::Rule(RuleError::CustomerKeyNeeded)) => "needed",
            Err(Error::Rule(RuleError::CustomerKeyWrong)) => "wrong",
            other => panic!("{other:?}"),
        };
        assert_eq!(seen, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_are_sealed_as_they_are_asked_to_be() {
    let world = World::new().await;
    let bucket = world.bucket("copies").await;
    let ways = [
        ("open", NewEncryption::OfBucket, None),
        ("managed", NewEncryption::Managed, None),
        ("kms", NewEncryption::Kms(None), None),
        ("one", NewEncryption::Customer(customer(1)), Some(customer(1))),
        ("two", NewEncryption::Customer(customer(2)), Some(customer(2))),
    ];
    for (from, encryption, from_key) in &ways {
        let body = Body { keep: vec![ChecksumAlgorithm::Sha256], ..Body::from_bytes(marked(60_000)) };
        let put =
            world.engine.put_object(&world.ada, &bucket, &key(from), new(encryption.clone()), body).await.unwrap();
        for (to, wanted, to_key) in &ways {
            let name = format!("{from}-{to}");
            let copy = CopyObject { encryption: wanted.clone(), ..CopyObject::default() };
            let source = source(&bucket, from, from_key.clone());
            let copied = world.engine.copy_object(&world.ada, &source, &bucket, &key(&name), copy).await.unwrap();
            assert_eq!((&copied.info.etag, &copied.info.checksums), (&put.etag, &put.checksums), "{name}");
            let read = world.read(&bucket, &name, with_key(to_key.clone())).await.unwrap();
            assert!(read == marked(60_000), "{name}");
            let encryption = copied.info.encryption;
            assert_eq!(encryption.is_some(), *to != "open", "{name}");
        }
    }
    // Rewritten in place, the object is the same but for its seal.
    let copy = CopyObject { encryption: NewEncryption::Managed, ..CopyObject::default() };
    let onto_itself = source(&bucket, "open", None);
    world.engine.copy_object(&world.ada, &onto_itself, &bucket, &key("open"), copy).await.unwrap();
    for (from, ..) in &ways {
        world.delete(&bucket, &format!("{from}-open")).await;
    }
    assert!(world.get(&bucket, "open").await.unwrap() == marked(60_000));
    assert!(scrub(&world).await.damage.is_empty());
    assert!(check(&world, false).await.is_clean());
    for (missing, expected) in [(None, "needed"), (Some(customer(2)), "wrong")] {
        let copied = world
            .engine
            .copy_object(&world.ada, &source(&bucket, "one", missing), &bucket, &key("x"), CopyObject::default())
            .await;
        assert!(matches!(
            (expected, copied),
            ("needed", Err(Error::Rule(RuleError::CustomerKeyNeeded)))
                | ("wrong", Err(Error::Rule(RuleError::CustomerKeyWrong)))
        ));
    }
    let conditions = WriteConditions { if_none_match: Some("*".to_owned()), ..WriteConditions::default() };
    let copy = CopyObject { encryption: NewEncryption::Kms(None), conditions, ..CopyObject::default() };
    let source = source(&bucket, "managed", None);
    let refused = world.engine.copy_object(&world.ada, &source, &bucket, &key("managed-kms"), copy).await;
    assert!(matches!(refused, Err(Error::PreconditionFailed { .. })), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_may_have_a_default_and_keys_have_names() {
    let mut world = World::new().await;
    world.restart_with(|settings| settings.kms_keys = vec!["payroll".to_owned()]).await;
    let bucket = world.bucket("default").await;
    let set = async |kms: Option<Option<&str>>| {
        let kms = kms.map(|key_id| KmsDefault { key_id: key_id.map(str::to_owned) });
        let setting = BucketEncryption { kms, bucket_key: false };
        world.engine.set_bucket_setting(&world.ada, &bucket, Some(&setting)).await.unwrap();
    };
    let put = async |encryption| world.put_as(&bucket, "o", marked(100), encryption).await;
    assert_eq!(put(NewEncryption::OfBucket).await, None);
    set(None).await;
    assert_eq!(put(NewEncryption::OfBucket).await, Some(Encryption::Managed));
    set(Some(Some("payroll"))).await;
    let payroll = Some(Encryption::Kms("payroll".to_owned()));
    assert_eq!(put(NewEncryption::OfBucket).await, payroll);
    assert_eq!(world.get(&bucket, "o").await.unwrap(), marked(100));
    assert_eq!(put(NewEncryption::Managed).await, Some(Encryption::Managed));
    let arn = NewEncryption::Kms(Some("arn:aws:kms:us-east-1:123456789012:key/payroll".to_owned()));
    assert_eq!(put(arn).await, payroll);
    assert_eq!(put(NewEncryption::Kms(None)).await, Some(Encryption::Kms("aws/s3".to_owned())));
    let unknown = new(NewEncryption::Kms(Some("nobody's".to_owned())));
    let refused = world.engine.put_object(&world.ada, &bucket, &key("o"), unknown, Body::from_bytes("x")).await;
    assert!(matches!(refused, Err(Error::Rule(RuleError::NoSuchKmsKey))), "{refused:?}");
    let stranger = world.engine.bucket_setting::<BucketEncryption>(&world.eve, &bucket).await;
    assert!(matches!(stranger, Err(Error::AccessDenied)), "{stranger:?}");
}
