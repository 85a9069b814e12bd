//! Killed in the middle of concurrent uploads, again and again, on the same data.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::join_all;
use tests::{S3, Server, Tenant, content, sha256};

const ROUNDS: u64 = 6;
const CLIENTS: u64 = 8;
const BUCKET: &str = "crash";
const PART_BYTES: usize = 5 << 20;

/// What the store has acknowledged, kept outside of it.
#[derive(Debug, Default)]
struct Oracle {
    /// Key and SHA-256 of every object whose PUT or Complete was answered with success.
    stored: BTreeMap<String, String>,
    /// Keys whose DELETE was answered with success.
    deleted: BTreeSet<String>,
    /// Keys with a write or delete under way that was never answered: both outcomes are right.
    open: BTreeMap<String, String>,
}

/// Stores and deletes until the connection breaks.
async fn write(s3: S3, oracle: Arc<Mutex<Oracle>>, round: u64, client: u64) {
    for number in 0.. {
        let key = format!("{round}/{client}/{number}");
        let seed = (round * 100 + client) * 10_000 + number;
        let is_parts = number % 7 == 6;
        let size_bytes = match number % 7 {
            0 | 3 => 4_000,
            1 => 16 << 10,
            2 => 100_000,
            4 => 1 << 20,
            5 => 0,
            _ => PART_BYTES + 1234,
        };
        let body = content(size_bytes, seed);
        let hash = sha256(&body);
        oracle.lock().unwrap().open.insert(key.clone(), hash.clone());
        let answer = if is_parts {
            let (first, second) = body.split_at(PART_BYTES);
            s3.put_parts(BUCKET, &key, &[first, second])
                .await
                .map(|answer| answer.is_some_and(|answer| answer.status.is_success()))
        } else {
            s3.put(BUCKET, &key, body).await.map(|answer| answer.status.is_success())
        };
        if !matches!(answer, Ok(true)) {
            return;
        }
        {
            let mut oracle = oracle.lock().unwrap();
            oracle.open.remove(&key);
            oracle.stored.insert(key.clone(), hash.clone());
        }
        if number % 5 == 4 {
            oracle.lock().unwrap().open.insert(key.clone(), hash);
            match s3.delete(BUCKET, &key).await {
                Ok(answer) if answer.status.is_success() => {
                    let mut oracle = oracle.lock().unwrap();
                    oracle.open.remove(&key);
                    oracle.stored.remove(&key);
                    oracle.deleted.insert(key);
                }
                Ok(_) | Err(_) => {
                    oracle.lock().unwrap().stored.remove(&key);
                    return;
                }
            }
        }
    }
}

/// Compares the store with the oracle, and settles what was open.
async fn check(server: &Server, tenant: &Tenant, oracle: &Mutex<Oracle>) -> Oracle {
    let s3 = server.s3(tenant);
    let mut oracle = std::mem::take(&mut *oracle.lock().unwrap());
    let keys: BTreeSet<String> = s3.keys(BUCKET).await.into_iter().collect();
    for (key, hash) in std::mem::take(&mut oracle.open) {
        if keys.contains(&key) {
            oracle.stored.insert(key, hash);
        }
    }
    let expected: BTreeSet<String> = oracle.stored.keys().cloned().collect();
    let lost: Vec<_> = expected.difference(&keys).collect();
    let back: Vec<_> = keys.difference(&expected).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    assert!(back.is_empty(), "there although never stored, or deleted: {back:?}");
    for (key, hash) in &oracle.stored {
        let body = s3.get(BUCKET, key).await.unwrap().ok().body;
        assert_eq!(&sha256(&body), hash, "{key} is damaged");
    }
    oracle
}

#[tokio::test(flavor = "multi_thread")]
async fn no_acknowledged_write_is_lost() {
    let mut server = Server::start().await;
    let tenant = server.tenant("acme", "ada").await;
    server.s3(&tenant).create_bucket(BUCKET).await;
    let oracle = Arc::new(Mutex::new(Oracle::default()));
    for round in 0..ROUNDS {
        let s3 = server.s3(&tenant);
        let clients = (0..CLIENTS).map(|client| tokio::spawn(write(s3.clone(), Arc::clone(&oracle), round, client)));
        let clients: Vec<_> = clients.collect();
        // Each round dies at another moment.
        tokio::time::sleep(Duration::from_millis(400 + 170 * round)).await;
        server.kill().await;
        for client in join_all(clients).await {
            client.unwrap();
        }
        server.restart().await;
        let settled = check(&server, &tenant, &oracle).await;
        *oracle.lock().unwrap() = settled;
    }
    let stored = oracle.lock().unwrap().stored.len();
    assert!(stored > 50, "only {stored} writes were acknowledged: the test shows nothing");
    let usage = server.admin().bucket_usage("acme", Some("ada"), None).await.unwrap();
    let counted = usage[0].buckets.iter().find(|bucket| bucket.bucket_name == BUCKET).unwrap();
    assert_eq!(usize::try_from(counted.object_count).unwrap(), stored, "the usage is exact");
}
