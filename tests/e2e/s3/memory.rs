//! How much memory the store takes does not depend on how large an object is, nor on how slowly somebody reads it.

use std::time::Duration;

use futures::future::{join_all, try_join_all};
use tests::{S3, Server, content};

const BUCKET: &str = "memory";
const SMALL_BYTES: usize = 8 << 20;
/// Of so many bytes, nobody could keep even a third unnoticed.
const LARGE_BYTES: usize = 128 << 20;
const GROWTH_BYTES_MAX: u64 = 40 << 20;
/// Clients that ask for the large object and do not read it.
const SLOW_CLIENTS: usize = 6;
const PART_BYTES: usize = 50 << 20;

/// Writes in one piece and in parts, copies, and reads.
async fn work(s3: &S3, size_bytes: usize, part_bytes: usize) {
    let body = content(size_bytes, 1);
    let _ = s3.put(BUCKET, "whole", body.clone()).await.unwrap().ok();
    let parts: Vec<&[u8]> = body.chunks(part_bytes).collect();
    let _ = s3.put_parts(BUCKET, "parts", &parts).await.unwrap().expect("every step is taken").ok();
    let _ = s3.copy(BUCKET, "whole", "copy").await.unwrap().ok();
    for key in ["whole", "parts", "copy"] {
        let read = s3.get(BUCKET, key).await.unwrap().ok();
        assert!(read.body == body, "{key} has other bytes");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_is_the_same_whatever_the_size() {
    let server = Server::start().await;
    let tenant = server.tenant("acme", "ada").await;
    let s3 = server.s3(&tenant);
    s3.create_bucket(BUCKET).await;
    for _ in 0..3 {
        work(&s3, SMALL_BYTES, 5 << 20).await;
    }
    let small_bytes = server.memory_peak_bytes();
    work(&s3, LARGE_BYTES, PART_BYTES).await;
    is_no_more_than(small_bytes, server.memory_peak_bytes(), "after a large object");

    let opened = try_join_all((0..SLOW_CLIENTS).map(|_| s3.open(BUCKET, "whole"))).await.unwrap();
    // So long that the store would have read it all, were it not for them.
    tokio::time::sleep(Duration::from_secs(2)).await;
    is_no_more_than(small_bytes, server.memory_peak_bytes(), "while nobody reads");
    // Half of them vanish, and the others get every byte.
    let mut opened = opened;
    drop(opened.split_off(SLOW_CLIENTS / 2));
    let body = content(LARGE_BYTES, 1);
    for read in join_all(opened.into_iter().map(reqwest::Response::bytes)).await {
        assert!(read.unwrap() == body, "a slow client got other bytes");
    }
    is_no_more_than(small_bytes, server.memory_peak_bytes(), "after slow clients");
}

fn is_no_more_than(before_bytes: u64, now_bytes: u64, when: &str) {
    println!("memory {when}: {} MiB, {} MiB before", now_bytes >> 20, before_bytes >> 20);
    assert!(
        now_bytes <= before_bytes + GROWTH_BYTES_MAX,
        "the memory grew from {before_bytes} to {now_bytes} bytes {when}"
    );
}
