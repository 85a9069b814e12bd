//! A blob that agrees with all checksums of its blocks and is not what was stored: only the checksum of the whole tells, and it is compared
//! before the last bytes of a read go out.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;

use crc_fast::{CrcAlgorithm, checksum};
use engine::{
    Body, BucketName, ChecksumAlgorithm, CompleteUpload, CompletedPart, CopyObject, CopySource, Digests, Error,
    NewEncryption, NewObject, ReadConditions, ReadObject, Selection,
};
use futures::StreamExt;

use crate::scrub::scrub;
use crate::world::{World, key, noise};

const HEAD_BYTES: usize = 4096;
const BLOCK_BYTES: usize = 128 << 10;
const FOOT_BYTES: usize = 64;

fn crc32c(bytes: &[u8]) -> [u8; 4] {
    let crc = checksum(CrcAlgorithm::Crc32Iscsi, bytes);
    u32::try_from(crc).unwrap().to_le_bytes()
}

/// Replaces the first block of a blob by another one, together with its checksum, the checksum of all of these, and the foot's own.
fn replace_block(blob: &mut [u8], size: usize) {
    let foot = blob.len() - FOOT_BYTES;
    let blocks = foot - 4 * size.div_ceil(BLOCK_BYTES);
    let block = &mut blob[HEAD_BYTES..HEAD_BYTES + BLOCK_BYTES.min(size)];
    block.copy_from_slice(&noise(block.len() + 1)[1..]);
    let crc = crc32c(block);
    blob[blocks..blocks + 4].copy_from_slice(&crc);
    let crc = crc32c(&blob[blocks..foot]);
    blob[foot + 24..foot + 28].copy_from_slice(&crc);
    let crc = crc32c(&blob[foot..foot + 60]);
    blob[foot + 60..].copy_from_slice(&crc);
}

/// Replaces a block of the largest blob, of which the size is known.
fn replace_block_of_largest(world: &World, size: usize) {
    let (_, path, at) = world.blobs().into_iter().max_by_key(|(_, _, at)| at.len()).unwrap();
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut blob = vec![0; at.len()];
    file.read_exact_at(&mut blob, at.start as u64).unwrap();
    replace_block(&mut blob, size);
    file.write_all_at(&blob, at.start as u64).unwrap();
}

/// What a read gives until it ends, and whether it ended with an error.
async fn read(world: &World, bucket: &BucketName, selection: Option<Selection>) -> (Vec<u8>, bool) {
    let read = ReadObject { selection, ..ReadObject::default() };
    let mut body = world.engine.get_object(&world.ada, bucket, &key("o"), &read).await.unwrap().body;
    let mut got = Vec::new();
    while let Some(item) = body.next().await {
        match item {
            Ok(bytes) => got.extend_from_slice(&bytes),
            Err(_) => return (got, true),
        }
    }
    (got, false)
}

/// A read of the whole fails before its end, however it is asked for. A part of it cannot be told from a right one.
async fn is_found(world: &World, bucket: &BucketName, size: usize) {
    for selection in [None, Some(Selection::From(0)), Some(Selection::Last(u64::MAX))] {
        let (got, has_failed) = read(world, bucket, selection).await;
        assert!(has_failed, "{size} bytes, {selection:?}: nobody noticed");
        assert!(got.len() < size, "{size} bytes, {selection:?}: all of it was delivered");
    }
    let last = size as u64 - 1;
    let (got, has_failed) = read(world, bucket, Some(Selection::From(last))).await;
    assert_eq!((got.len(), has_failed), (1, false), "the last byte is what it was");
    let damage = scrub(world).await.damage;
    assert!(damage.iter().any(|damage| damage.detail.contains("checksum of the whole")), "{damage:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_block_with_a_right_checksum_is_found() {
    // In a pack; of one read; of several, the last of which is short, or full.
    for size in [140_000, 263_000, 1_000_000, 1 << 20] {
        let world = World::new().await;
        let bucket = world.bucket("replaced").await;
        world.put(&bucket, "o", noise(size)).await;
        assert!(read(&world, &bucket, None).await == (noise(size), false));
        replace_block_of_largest(&world, size);
        is_found(&world, &bucket, size).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_block_of_an_encrypted_object_is_found() {
    let world = World::new().await;
    let bucket = world.bucket("sealed").await;
    for size in [140_000, 1_000_000] {
        let new = NewObject { encryption: NewEncryption::Managed, ..NewObject::default() };
        world.engine.put_object(&world.ada, &bucket, &key("o"), new, Body::from_bytes(noise(size))).await.unwrap();
        assert!(read(&world, &bucket, None).await == (noise(size), false));
        replace_block_of_largest(&world, size);
        is_found(&world, &bucket, size).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_block_of_a_part_is_found() {
    let world = World::new().await;
    let bucket = world.bucket("parts").await;
    let upload = world.engine.create_upload(&world.ada, &bucket, &key("o"), NewObject::default(), None).await.unwrap();
    let (sizes, mut parts) = ([300_000, 700_000, 2_000], Vec::new());
    for (number, size) in (1..).zip(sizes) {
        let body = Body::from_bytes(noise(size));
        let part =
            world.engine.put_part(&world.ada, &bucket, &key("o"), &upload.upload_id, number, body).await.unwrap();
        parts.push(CompletedPart { number, etag: part.etag, checksums: Digests::default() });
    }
    let complete = CompleteUpload { parts, ..CompleteUpload::default() };
    world.engine.complete_upload(&world.ada, &bucket, &key("o"), &upload.upload_id, complete).await.unwrap();
    let whole = sizes.map(noise).concat();
    assert!(read(&world, &bucket, None).await == (whole.clone(), false));
    replace_block_of_largest(&world, 700_000);
    is_found(&world, &bucket, whole.len()).await;
    let (got, has_failed) = read(&world, &bucket, None).await;
    assert!(has_failed && got.len() < 1_000_000 && got[..300_000] == whole[..300_000], "{} bytes", got.len());
    let (got, has_failed) = read(&world, &bucket, Some(Selection::Part(2))).await;
    assert!(has_failed && got.len() < 700_000, "{} bytes of the part", got.len());
    let (got, has_failed) = read(&world, &bucket, Some(Selection::Part(1))).await;
    assert!(!has_failed && got == whole[..300_000], "another part is whole");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_block_is_not_copied_where_bytes_are_read() {
    let world = World::new().await;
    let bucket = world.bucket("copied").await;
    world.put(&bucket, "o", noise(500_000)).await;
    replace_block_of_largest(&world, 500_000);
    let source = CopySource {
        bucket: bucket.clone(),
        key: key("o"),
        version_id: None,
        conditions: ReadConditions::default(),
        customer_key: None,
    };
    let copy = CopyObject { checksum: Some(ChecksumAlgorithm::Sha256), ..CopyObject::default() };
    let copied = world.engine.copy_object(&world.ada, &source, &bucket, &key("copy"), copy).await;
    assert!(copied.is_err(), "{copied:?}");
    assert!(matches!(world.get(&bucket, "copy").await, Err(Error::NoSuchKey { .. })));
}
