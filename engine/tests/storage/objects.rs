//! Put, read, copy, delete.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;

use engine::{
    Body, BoxError, ChecksumAlgorithm, CopyObject, CopySource, DeleteTarget, Digests, Error, NewObject, ObjectHeaders,
    ReadConditions, ReadObject, Selection, StorageClass, WriteConditions,
};

use crate::world::{World, key, noise};

/// Around every boundary of the store: nothing, inline, the first in a pack, a block, the last in a pack, a chunk, a read.
const SIZES: [usize; 13] =
    [0, 1, 16_383, 16_384, 16_385, 131_071, 131_072, 131_073, 262_144, 262_145, 1_048_576, 1_048_577, 3_333_333];

#[tokio::test(flavor = "multi_thread")]
async fn every_size_comes_back_as_it_went_in_also_after_a_restart() {
    let mut world = World::new().await;
    let bucket = world.bucket("sizes").await;
    for size in SIZES {
        let info = world.put(&bucket, &format!("s/{size}"), noise(size)).await;
        assert_eq!(info.size_bytes, size as u64);
        assert_eq!(info.etag, hex::encode(<md5::Md5 as md5::Digest>::digest(noise(size))));
    }
    world.restart().await;
    for size in SIZES {
        assert_eq!(world.get(&bucket, &format!("s/{size}")).await.unwrap(), noise(size), "{size}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ranges_give_exactly_their_bytes() {
    let world = World::new().await;
    let bucket = world.bucket("ranges").await;
    for size in [10, 16_385, 1_000_000] {
        let bytes = noise(size);
        world.put(&bucket, "o", bytes.clone()).await;
        let last = size as u64 - 1;
        for (selection, range) in [
            (Selection::From(0), 0..size),
            (Selection::From(last), size - 1..size),
            (Selection::Between(0, last), 0..size),
            (Selection::Between(3, 7), 3..8),
            (Selection::Between(size as u64 / 2, u64::MAX), size / 2..size),
            (Selection::Last(5), size - 5..size),
            (Selection::Part(1), 0..size),
        ] {
            assert_eq!(world.get_part(&bucket, "o", selection).await.unwrap(), bytes[range], "{size} {selection:?}");
        }
        assert!(matches!(
            world.get_part(&bucket, "o", Selection::From(size as u64)).await,
            Err(Error::InvalidRange { .. })
        ));
        assert!(matches!(world.get_part(&bucket, "o", Selection::Part(2)).await, Err(Error::InvalidPartNumber)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_is_kept() {
    let world = World::new().await;
    let bucket = world.bucket("meta").await;
    let headers = ObjectHeaders {
        content_type: Some("image/png".into()),
        content_encoding: Some("gzip".into()),
        content_language: Some("de".into()),
        content_disposition: Some("attachment".into()),
        cache_control: Some("no-cache".into()),
        expires: Some("Thu, 01 Jan 2026 00:00:00 GMT".into()),
        redirect_location: Some("/elsewhere".into()),
    };
    let new = NewObject {
        headers: headers.clone(),
        user_metadata: vec![("owner".into(), "José".into())],
        storage_class: StorageClass::ReducedRedundancy,
        ..NewObject::default()
    };
    let body = Body { keep: vec![ChecksumAlgorithm::Sha256], ..Body::from_bytes("abc") };
    world.engine.put_object(&world.ada, &bucket, &key("o"), new, body).await.unwrap();
    let view = world.engine.head_object(&world.ada, &bucket, &key("o"), &ReadObject::default()).await.unwrap();
    assert_eq!(view.info.headers, headers);
    assert_eq!(view.info.user_metadata, [("owner".to_owned(), "José".to_owned())]);
    assert_eq!(view.info.storage_class, StorageClass::ReducedRedundancy);
    assert_eq!(
        hex::encode(view.info.checksums.sha256.unwrap()),
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
    let large = NewObject { user_metadata: vec![("k".into(), "v".repeat(2048))], ..NewObject::default() };
    let refused = world.engine.put_object(&world.ada, &bucket, &key("o"), large, Body::from_bytes("x")).await;
    assert!(matches!(refused, Err(Error::MetadataTooLarge { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_not_what_was_announced_leaves_nothing() {
    let world = World::new().await;
    let bucket = world.bucket("wrong").await;
    world.put(&bucket, "o", "before").await;
    for size in [100_usize, 300_000] {
        let bytes = noise(size);
        let fails = |change: fn(&mut Body)| {
            let mut body = Body::from_bytes(bytes.clone());
            change(&mut body);
            body
        };
        let bodies = [
            fails(|body| body.size_bytes = Some(body.size_bytes.unwrap() + 1)),
            fails(|body| body.size_bytes = Some(body.size_bytes.unwrap() - 1)),
            fails(|body| body.expected.md5 = Some([1; 16])),
            fails(|body| body.expected.sha256 = Some([1; 32])),
            fails(|body| body.expected.crc32c = Some(1)),
            fails(|body| body.expected.crc64nvme = Some(1)),
            fails(|body| body.trailer = Some(Box::new(|| Ok(Digests { md5: Some([9; 16]), ..Digests::default() })))),
            fails(|body| body.trailer = Some(Box::new(|| Err(BoxError::from("the trailer is missing"))))),
            fails(|body| {
                body.size_bytes = None;
                let cut = futures::stream::iter([Ok(noise(70_000).into()), Err(BoxError::from("gone"))]);
                body.stream = Box::pin(cut);
            }),
        ];
        for body in bodies {
            let put = world.engine.put_object(&world.ada, &bucket, &key("o"), NewObject::default(), body).await;
            assert!(
                matches!(put, Err(Error::BadDigest { .. } | Error::IncompleteBody { .. } | Error::Body(_))),
                "{put:?}"
            );
        }
    }
    assert_eq!(world.get(&bucket, "o").await.unwrap(), b"before");
    world.engine.run_workers().await.unwrap();
    assert_eq!(world.blob_count(), 0, "no blob is left behind");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_racing_creations_one_wins() {
    let world = World::new().await;
    let bucket = world.bucket("race").await;
    for round in 0..10 {
        let racers = (0..8).map(|racer| {
            let (engine, ada, bucket) = (world.engine.clone(), world.ada.clone(), bucket.clone());
            tokio::spawn(async move {
                let conditions = WriteConditions { if_none_match: Some("*".into()), if_match: None };
                let new = NewObject { conditions, ..NewObject::default() };
                let body = Body::from_bytes(noise(20_000 + racer));
                engine.put_object(&ada, &bucket, &key(&format!("k{round}")), new, body).await
            })
        });
        let results: Vec<_> = futures::future::join_all(racers).await.into_iter().map(|r| r.unwrap()).collect();
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
        let lost = |r: &Result<_, Error>| matches!(r, Err(Error::PreconditionFailed { condition: "If-None-Match" }));
        assert_eq!(results.iter().filter(|result| lost(result)).count(), 7);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_of_writes_and_deletes_hold() {
    let world = World::new().await;
    let bucket = world.bucket("conditions").await;
    let put = async |if_match: Option<&str>, if_none_match: Option<&str>| {
        let conditions =
            WriteConditions { if_match: if_match.map(Into::into), if_none_match: if_none_match.map(Into::into) };
        let new = NewObject { conditions, ..NewObject::default() };
        world.engine.put_object(&world.ada, &bucket, &key("o"), new, Body::from_bytes("x")).await
    };
    assert!(matches!(put(Some("*"), None).await, Err(Error::NoSuchKey { .. })));
    let etag = put(None, Some("*")).await.unwrap().etag;
    assert!(matches!(put(None, Some(&etag)).await, Err(Error::PreconditionFailed { .. })));
    assert!(put(None, Some("other")).await.is_ok());
    assert!(put(Some(&etag), None).await.is_ok());
    assert!(matches!(put(Some("other"), None).await, Err(Error::PreconditionFailed { .. })));
    let delete = async |if_match: &str| {
        let target = DeleteTarget { if_match: Some(if_match.into()), ..DeleteTarget::current(key("o")) };
        world.engine.delete_objects(&world.ada, &bucket, vec![target]).await.unwrap().remove(0)
    };
    assert!(matches!(delete("other").await, Err(Error::PreconditionFailed { .. })));
    assert!(delete(&etag).await.is_ok());
    assert!(matches!(world.get(&bucket, "o").await, Err(Error::NoSuchKey { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_share_bytes_and_outlive_their_source() {
    let world = World::new().await;
    let bucket = world.bucket("copies").await;
    for size in [100, 500_000] {
        world.put(&bucket, "source", noise(size)).await;
        let source = CopySource {
            bucket: bucket.clone(),
            key: key("source"),
            version_id: None,
            conditions: ReadConditions::default(),
            customer_key: None,
        };
        let blobs = world.blob_count();
        let copy =
            world.engine.copy_object(&world.ada, &source, &bucket, &key("copy"), CopyObject::default()).await.unwrap();
        assert_eq!((copy.info.size_bytes, copy.source_version_id), (size as u64, None));
        assert_eq!(world.blob_count(), blobs, "a copy writes no bytes");
        let target = DeleteTarget::current(key("source"));
        world.engine.delete_objects(&world.ada, &bucket, vec![target]).await.unwrap();
        world.clock.advance(std::time::Duration::from_secs(3600));
        world.engine.run_workers().await.unwrap();
        assert_eq!(world.get(&bucket, "copy").await.unwrap(), noise(size));
    }
    let onto_itself = CopySource {
        bucket: bucket.clone(),
        key: key("copy"),
        version_id: None,
        conditions: ReadConditions::default(),
        customer_key: None,
    };
    let copy = async |copy| world.engine.copy_object(&world.ada, &onto_itself, &bucket, &key("copy"), copy).await;
    assert!(matches!(copy(CopyObject::default()).await, Err(Error::Invalid { .. })));
    let headers = ObjectHeaders { content_type: Some("text/plain".into()), ..ObjectHeaders::default() };
    let replaced = CopyObject { replace: Some((headers, Vec::new())), ..CopyObject::default() };
    assert_eq!(copy(replaced).await.unwrap().info.headers.content_type.as_deref(), Some("text/plain"));
    assert_eq!(world.get(&bucket, "copy").await.unwrap(), noise(500_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_that_began_before_a_delete_finishes() {
    use futures::StreamExt;
    let world = World::new().await;
    let bucket = world.bucket("reading").await;
    let bytes = noise(3_000_000);
    world.put(&bucket, "o", bytes.clone()).await;
    let mut read = world.engine.get_object(&world.ada, &bucket, &key("o"), &ReadObject::default()).await.unwrap();
    let mut got = read.body.next().await.unwrap().unwrap().to_vec();
    let target = DeleteTarget::current(key("o"));
    world.engine.delete_objects(&world.ada, &bucket, vec![target]).await.unwrap();
    world.clock.advance(std::time::Duration::from_secs(3600));
    world.engine.run_workers().await.unwrap();
    while let Some(chunk) = read.body.next().await {
        got.extend_from_slice(&chunk.unwrap());
    }
    assert_eq!(got, bytes);
    drop(read);
    world.engine.run_workers().await.unwrap();
    assert_eq!(world.blob_count(), 0);
}

/// A blob that is whole, but not the one that was stored.
#[tokio::test]
async fn a_blob_with_another_checksum_than_its_row_is_refused() {
    let world = World::new().await;
    let bucket = world.bucket("mixed-up").await;
    for (name, size) in [("small", 100), ("packed", 140_000), ("own", 300_000)] {
        world.put(&bucket, name, noise(size)).await;
        assert_eq!(world.get(&bucket, name).await.unwrap(), noise(size));
    }
    world.sql("UPDATE contents SET crc64nvme = -crc64nvme").await;
    for name in ["small", "packed", "own"] {
        assert!(world.get(&bucket, name).await.is_err(), "{name}");
    }
}

/// Samples of large blobs; of small ones, every bit is flipped beneath the engine (`bytes/tests/flips.rs`).
#[tokio::test(flavor = "multi_thread")]
async fn every_flipped_bit_of_a_blob_is_found() {
    let world = World::new().await;
    let bucket = world.bucket("flips").await;
    // One in a pack, one in a file of its own.
    for size in [140_000, 300_000] {
        let bytes = noise(size);
        world.put(&bucket, "o", bytes.clone()).await;
        let (_, path, at) = world.blobs().into_iter().max_by_key(|(_, _, at)| at.len()).unwrap();
        let file = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let mut whole = vec![0; at.len()];
        file.read_exact_at(&mut whole, at.start as u64).unwrap();
        let places = (0..64).chain((64..whole.len()).step_by(997)).chain(whole.len() - 64..whole.len());
        for place in places {
            let flip = |bit: u8| file.write_all_at(&[whole[place] ^ bit], (at.start + place) as u64).unwrap();
            // All bits of what says how the rest is to be read, one of each other byte.
            let bits = if place < 64 || place >= whole.len() - 64 { 0..8 } else { place % 8..place % 8 + 1 };
            for bit in bits {
                flip(1 << bit);
                let read = world.get(&bucket, "o").await;
                assert!(read.is_err(), "bit {bit} of byte {place} was flipped unseen");
            }
            flip(0);
        }
        assert_eq!(world.get(&bucket, "o").await.unwrap(), bytes);
    }
}
