//! Multipart uploads.

use std::time::Duration;

use engine::{
    Body, BucketName, ChecksumAlgorithm, ChecksumType, CompleteUpload, CompletedPart, CopySource, Digests, Error,
    NewObject, ObjectName, PartSource, ReadConditions, ReadObject, Selection, UploadChecksum, UploadId,
    UploadListRequest,
};

use crate::world::{World, key, noise};

async fn begin(world: &World, bucket: &BucketName, name: &str) -> UploadId {
    world.engine.create_upload(&world.ada, bucket, &key(name), NewObject::default(), None).await.unwrap().upload_id
}

async fn part(world: &World, bucket: &BucketName, upload: &UploadId, number: u32, bytes: Vec<u8>) -> CompletedPart {
    let part =
        world.engine.put_part(&world.ada, bucket, &key("o"), upload, number, Body::from_bytes(bytes)).await.unwrap();
    CompletedPart { number, etag: part.etag, checksums: Digests::default() }
}

async fn complete(
    world: &World,
    bucket: &BucketName,
    upload: &UploadId,
    parts: Vec<CompletedPart>,
) -> engine::Result<engine::ObjectInfo> {
    let complete = CompleteUpload { parts, ..CompleteUpload::default() };
    world.engine.complete_upload(&world.ada, bucket, &key("o"), upload, complete).await
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_of_all_sizes_become_one_object() {
    let mut world = World::new().await;
    let bucket = world.bucket("parts").await;
    let upload = begin(&world, &bucket, "o").await;
    let sizes = [300_000, 2_000, 40_000, 1_024, 7];
    let mut parts = Vec::new();
    // Numbers may have gaps, and parts may come in any order.
    for (index, size) in sizes.iter().enumerate().rev() {
        parts.insert(0, part(&world, &bucket, &upload, 3 * index as u32 + 1, noise(*size)).await);
    }
    let whole: Vec<u8> = sizes.iter().flat_map(|size| noise(*size)).collect();
    let usage = world.engine.bucket(&world.ada, &bucket).await.unwrap().usage;
    assert_eq!((usage.size_bytes, usage.upload_size_bytes), (0, whole.len() as u64));
    let info = complete(&world, &bucket, &upload, parts).await.unwrap();
    assert_eq!((info.size_bytes, info.parts_count), (whole.len() as u64, Some(5)));
    assert!(info.etag.ends_with("-5"));
    let usage = world.engine.bucket(&world.ada, &bucket).await.unwrap().usage;
    assert_eq!((usage.object_count, usage.size_bytes, usage.upload_size_bytes), (1, whole.len() as u64, 0));
    world.restart().await;
    assert_eq!(world.get(&bucket, "o").await.unwrap(), whole);
    assert_eq!(world.get_part(&bucket, "o", Selection::Part(2)).await.unwrap(), noise(2_000));
    assert_eq!(world.get_part(&bucket, "o", Selection::Part(5)).await.unwrap(), noise(7));
    let read = ReadObject { selection: Some(Selection::Part(2)), ..ReadObject::default() };
    let view = world.engine.head_object(&world.ada, &bucket, &key("o"), &read).await.unwrap();
    assert!(view.part_checksums.is_some_and(|kept| kept.crc64nvme.is_some()), "a part keeps its checksum");
    let named = ObjectName { bucket: bucket.clone(), key: key("o"), version_id: None };
    let told = world.engine.object_attributes(&world.ada, &named, None, 4, 2).await.unwrap();
    let shown: Vec<_> = told.parts.iter().map(|part| (part.number, part.range.clone())).collect();
    assert_eq!((shown, told.truncated), (vec![(7, 302_000..342_000), (10, 342_000..343_024)], true));
    assert!(matches!(world.get_part(&bucket, "o", Selection::Part(6)).await, Err(Error::InvalidPartNumber)));
    for (start, end) in [(299_990, 300_010), (0, 299_999), (301_999, 342_000), (343_020, 343_030)] {
        let got = world.get_part(&bucket, "o", Selection::Between(start, end)).await.unwrap();
        assert_eq!(got, whole[start as usize..=end as usize], "{start}-{end}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn complete_refuses_what_does_not_fit_and_the_upload_stays_open() {
    let world = World::new().await;
    let bucket = world.bucket("refused").await;
    let upload = begin(&world, &bucket, "o").await;
    let one = part(&world, &bucket, &upload, 1, noise(5_000)).await;
    let two = part(&world, &bucket, &upload, 2, noise(100)).await;
    let three = part(&world, &bucket, &upload, 3, noise(100)).await;
    let wrong = CompletedPart { etag: "0".repeat(32), ..one.clone() };
    let missing = CompletedPart { number: 9, ..one.clone() };
    let try_with = async |parts: Vec<&CompletedPart>| {
        complete(&world, &bucket, &upload, parts.into_iter().cloned().collect()).await
    };
    assert!(matches!(try_with(vec![]).await, Err(Error::Invalid { .. })));
    assert!(matches!(try_with(vec![&two, &one]).await, Err(Error::InvalidPartOrder)));
    assert!(matches!(try_with(vec![&one, &one]).await, Err(Error::InvalidPartOrder)));
    assert!(matches!(try_with(vec![&wrong]).await, Err(Error::InvalidPart { number: 1 })));
    assert!(matches!(try_with(vec![&missing]).await, Err(Error::InvalidPart { number: 9 })));
    assert!(matches!(try_with(vec![&one, &two, &three]).await, Err(Error::PartTooSmall { number: 2, .. })));
    // A part that is not named is freed, and no longer counts.
    assert_eq!(try_with(vec![&one, &three]).await.unwrap().size_bytes, 5_100);
    assert!(matches!(try_with(vec![&one]).await, Err(Error::NoSuchUpload)));
    let usage = world.engine.bucket(&world.ada, &bucket).await.unwrap().usage;
    assert_eq!((usage.size_bytes, usage.upload_size_bytes), (5_100, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn replaced_and_aborted_parts_are_freed() {
    let world = World::new().await;
    let bucket = world.bucket("freed").await;
    let upload = begin(&world, &bucket, "o").await;
    part(&world, &bucket, &upload, 1, noise(50_000)).await;
    part(&world, &bucket, &upload, 1, noise(60_000)).await;
    part(&world, &bucket, &upload, 2, noise(70_000)).await;
    assert_eq!(world.engine.bucket(&world.ada, &bucket).await.unwrap().usage.upload_size_bytes, 130_000);
    world.engine.abort_upload(&world.ada, &bucket, &key("o"), &upload).await.unwrap();
    let again = world.engine.abort_upload(&world.ada, &bucket, &key("o"), &upload).await;
    assert!(matches!(again, Err(Error::NoSuchUpload)));
    assert_eq!(world.engine.bucket(&world.ada, &bucket).await.unwrap().usage.upload_size_bytes, 0);
    world.clock.advance(Duration::from_secs(120));
    world.engine.run_workers().await.unwrap();
    assert_eq!(world.blob_count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn checksums_of_the_whole_are_made_of_the_parts() {
    let world = World::new().await;
    let bucket = world.bucket("checksums").await;
    let sizes = [4_000, 100_000, 17];
    let whole: Vec<u8> = sizes.iter().flat_map(|size| noise(*size)).collect();
    let info = async |checksum: Option<UploadChecksum>| {
        let upload = world
            .engine
            .create_upload(&world.ada, &bucket, &key("o"), NewObject::default(), checksum)
            .await
            .unwrap()
            .upload_id;
        let mut parts = Vec::new();
        for (index, size) in sizes.iter().enumerate() {
            parts.push(part(&world, &bucket, &upload, index as u32 + 1, noise(*size)).await);
        }
        complete(&world, &bucket, &upload, parts).await.unwrap()
    };
    let single = async |algorithm| {
        let body = Body { keep: vec![algorithm], ..Body::from_bytes(whole.clone()) };
        let put = world.engine.put_object(&world.ada, &bucket, &key("single"), NewObject::default(), body).await;
        put.unwrap().checksums
    };
    assert_eq!(info(None).await.checksums, single(ChecksumAlgorithm::Crc64Nvme).await);
    for algorithm in [ChecksumAlgorithm::Crc32, ChecksumAlgorithm::Crc32c, ChecksumAlgorithm::Crc64Nvme] {
        let full = info(Some(UploadChecksum { algorithm, kind: ChecksumType::FullObject })).await;
        assert_eq!(full.checksums, single(algorithm).await, "{algorithm:?}");
        assert_eq!(full.checksum_type, ChecksumType::FullObject);
    }
    let composite =
        info(Some(UploadChecksum { algorithm: ChecksumAlgorithm::Sha256, kind: ChecksumType::Composite })).await;
    let of_parts: Vec<u8> =
        sizes.iter().flat_map(|size| <sha2::Sha256 as sha2::Digest>::digest(noise(*size))).collect();
    let expected: [u8; 32] = <sha2::Sha256 as sha2::Digest>::digest(of_parts).into();
    assert_eq!(composite.checksums.sha256, Some(expected));
    assert_eq!(composite.checksum_type, ChecksumType::Composite);
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_can_be_copied_from_objects() {
    let world = World::new().await;
    let bucket = world.bucket("copied").await;
    world.put(&bucket, "source", noise(90_000)).await;
    let upload = begin(&world, &bucket, "o").await;
    let object = CopySource {
        bucket: bucket.clone(),
        key: key("source"),
        version_id: None,
        conditions: ReadConditions::default(),
        customer_key: None,
    };
    let copy = async |number, range| {
        let source = PartSource { object: object.clone(), range, upload_key: None };
        world.engine.copy_part(&world.ada, &source, &bucket, &key("o"), &upload, number).await.map(|(part, _)| part)
    };
    let one = copy(1, None).await.unwrap();
    let two = copy(2, Some(10..20)).await.unwrap();
    assert!(matches!(copy(3, Some(89_999..90_001)).await, Err(Error::InvalidRange { .. })));
    let parts = [one, two].map(|p| CompletedPart { number: p.number, etag: p.etag, checksums: Digests::default() });
    complete(&world, &bucket, &upload, parts.to_vec()).await.unwrap();
    let expected = [noise(90_000), noise(90_000)[10..20].to_vec()].concat();
    assert_eq!(world.get(&bucket, "o").await.unwrap(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_and_parts_are_listed_in_pages() {
    let world = World::new().await;
    let bucket = world.bucket("listed").await;
    let mut expected = Vec::new();
    for name in ["a", "d/1", "d/2", "e", "e"] {
        let upload = begin(&world, &bucket, name).await;
        expected.push((name.to_owned(), upload.to_string()));
    }
    expected.sort();
    let mut request = UploadListRequest { entries_max: 2, ..UploadListRequest::default() };
    let mut got = Vec::new();
    loop {
        let page = world.engine.list_uploads(&world.ada, &bucket, &request).await.unwrap();
        got.extend(page.uploads.iter().map(|upload| (upload.key.to_string(), upload.upload_id.to_string())));
        let Some(last) = page.uploads.last().filter(|_| page.truncated) else { break };
        request.after_key = Some(last.key.to_string());
        request.after_upload = Some(last.upload_id.clone());
    }
    assert_eq!(got, expected);
    let folded = UploadListRequest { delimiter: Some("/".into()), entries_max: 10, ..UploadListRequest::default() };
    let page = world.engine.list_uploads(&world.ada, &bucket, &folded).await.unwrap();
    assert_eq!((page.uploads.len(), page.common_prefixes), (3, vec!["d/".to_owned()]));

    let upload = begin(&world, &bucket, "o").await;
    for number in [1, 2, 5] {
        part(&world, &bucket, &upload, number, noise(10)).await;
    }
    let page = world.engine.list_parts(&world.ada, &bucket, &key("o"), &upload, 1, 1).await.unwrap();
    assert_eq!((page.parts.len(), page.parts[0].number, page.truncated), (1, 2, true));
    let page = world.engine.list_parts(&world.ada, &bucket, &key("o"), &upload, 2, 10).await.unwrap();
    assert_eq!((page.parts.len(), page.parts[0].number, page.truncated), (1, 5, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn abandoned_uploads_are_given_up() {
    let world = World::new().await;
    let bucket = world.bucket("abandoned").await;
    let upload = begin(&world, &bucket, "o").await;
    part(&world, &bucket, &upload, 1, noise(50_000)).await;
    world.clock.advance(Duration::from_secs(13 * 24 * 3600));
    world.engine.run_workers().await.unwrap();
    assert_eq!(world.blob_count(), 1);
    world.clock.advance(Duration::from_secs(2 * 24 * 3600));
    world.engine.run_workers().await.unwrap();
    world.clock.advance(Duration::from_secs(120));
    world.engine.run_workers().await.unwrap();
    assert_eq!(world.blob_count(), 0);
    assert!(matches!(complete(&world, &bucket, &upload, vec![]).await, Err(Error::NoSuchUpload)));
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_parts_complete_without_touching_their_bytes() {
    let world = World::new().await;
    let bucket = world.bucket("many").await;
    let upload = begin(&world, &bucket, "o").await;
    let numbers: Vec<u32> = (1..=10_000).collect();
    let mut parts = Vec::new();
    for some in numbers.chunks(200) {
        let puts = some.iter().map(|number| part(&world, &bucket, &upload, *number, noise(1_100)));
        parts.extend(futures::future::join_all(puts).await);
    }
    let info = complete(&world, &bucket, &upload, parts).await.unwrap();
    assert_eq!((info.size_bytes, info.parts_count), (11_000_000, Some(10_000)));
    assert_eq!(world.get_part(&bucket, "o", Selection::Part(10_000)).await.unwrap(), noise(1_100));
    assert_eq!(world.get(&bucket, "o").await.unwrap().len(), 11_000_000);
}
