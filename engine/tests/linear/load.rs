//! Many clients at once on a few keys of a real store, with and without versions.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use engine::{
    Body, BucketName, Caller, DeleteTarget, Engine, Error, ListEntry, ListRequest, NewObject, ObjectKey, ReadObject,
    Settings, Versioning, WriteConditions,
};
use futures::TryStreamExt;
use futures::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::checker::{Answer, Call, Operation, State, is_linearizable};
use crate::databases::database;
use crate::tenants::{group, user};

/// Histories that are recorded.
const HISTORIES: u64 = 300;
const CLIENTS: u64 = 6;
const KEYS: u64 = 2;
/// Operations of a client in a history.
const CALLS: u64 = 8;
/// Bytes up to which content is in the database: some values are larger, so that they go through blobs.
const INLINE_SIZE_BYTES_MAX: usize = 64;

/// What the clients of a history share.
struct Shared {
    engine: Engine,
    tenant: Caller,
    bucket: BucketName,
    name: String,
    /// Counts invocations and answers: the time of the history.
    time: AtomicU64,
    next_value: AtomicU64,
    /// The value last seen of each key, which conditions are made of.
    last: Mutex<BTreeMap<u64, u32>>,
    recorded: Mutex<BTreeMap<u64, Vec<Operation>>>,
}

/// The bytes of a value; its entity tag follows from them.
fn bytes_of(value: u32) -> Vec<u8> {
    let size = if value.is_multiple_of(4) { 200 } else { 16 };
    value.to_be_bytes().repeat(size / 4)
}

fn tag_of(value: u32) -> String {
    hex::encode(<md5::Md5 as md5::Digest>::digest(bytes_of(value)))
}

impl Shared {
    fn key(&self, key: u64) -> ObjectKey {
        ObjectKey::new(format!("{}/{key}", self.name)).unwrap()
    }

    async fn put(&self, key: u64, value: u32, conditions: WriteConditions) -> Answer {
        let new = NewObject { conditions, ..NewObject::default() };
        let body = Body::from_bytes(bytes_of(value));
        answer(self.engine.put_object(&self.tenant, &self.bucket, &self.key(key), new, body).await.map(|_| ()))
    }

    async fn delete(&self, key: u64, if_match: Option<String>) -> Answer {
        let target = DeleteTarget { if_match, ..DeleteTarget::current(self.key(key)) };
        let deleted = self.engine.delete_objects(&self.tenant, &self.bucket, vec![target]).await.unwrap().remove(0);
        answer(deleted.map(|_| ()))
    }

    async fn read(&self, key: u64) -> State {
        let found = self.engine.get_object(&self.tenant, &self.bucket, &self.key(key), &ReadObject::default()).await;
        match found {
            Ok(found) => {
                let bytes = found.body.try_collect::<Vec<_>>().await.unwrap().concat();
                let value = u32::from_be_bytes(bytes[..4].try_into().unwrap());
                assert_eq!(bytes, bytes_of(value), "the bytes are one value's");
                Some(value)
            }
            Err(Error::NoSuchKey { .. }) => None,
            Err(error) => panic!("{error:?}"),
        }
    }

    /// What a listing says of the key, for listings are reads, too.
    async fn list(&self, key: u64, values: u32) -> State {
        let request = ListRequest { prefix: self.key(key).to_string(), entries_max: 10, ..ListRequest::default() };
        let page = self.engine.list_objects(&self.tenant, &self.bucket, &request).await.unwrap();
        match &page.entries[..] {
            [] => None,
            [ListEntry::Object(object)] => (0..values).find(|value| tag_of(*value) == object.etag),
            other => panic!("{other:?}"),
        }
    }

    async fn client(&self, seed: u64) {
        let mut random = StdRng::seed_from_u64(seed);
        for _ in 0..CALLS {
            let key = random.random_range(0..KEYS);
            let value = u32::try_from(self.next_value.fetch_add(1, Ordering::SeqCst)).unwrap();
            let last = self.last.lock().unwrap().get(&key).copied().unwrap_or(0);
            let call = match random.random_range(0..10) {
                0 => Call::Put(value),
                1 | 2 => Call::PutIfAbsent(value),
                3 | 4 => Call::PutIfMatch(last, value),
                5 => Call::Delete,
                6 => Call::DeleteIfMatch(last),
                _ => Call::Read,
            };
            let invoked = self.time.fetch_add(1, Ordering::SeqCst);
            let answer = self.run(key, call, random.random_bool(0.3)).await;
            let answered = self.time.fetch_add(1, Ordering::SeqCst);
            if let (Answer::Found(Some(seen)), _) | (_, Call::Put(seen) | Call::PutIfAbsent(seen)) = (answer, call) {
                self.last.lock().unwrap().insert(key, seen);
            }
            let operation = Operation { call, answer, invoked, answered };
            self.recorded.lock().unwrap().entry(key).or_default().push(operation);
        }
    }

    async fn run(&self, key: u64, call: Call, by_listing: bool) -> Answer {
        let when = |if_match: Option<u32>, if_none_match: Option<&str>| WriteConditions {
            if_match: if_match.map(tag_of),
            if_none_match: if_none_match.map(str::to_owned),
        };
        match call {
            Call::Put(value) => self.put(key, value, when(None, None)).await,
            Call::PutIfAbsent(value) => self.put(key, value, when(None, Some("*"))).await,
            Call::PutIfMatch(wanted, value) => self.put(key, value, when(Some(wanted), None)).await,
            Call::Delete => self.delete(key, None).await,
            Call::DeleteIfMatch(wanted) => self.delete(key, Some(tag_of(wanted))).await,
            Call::Read if by_listing => {
                let values = u32::try_from(CLIENTS * CALLS + 1).unwrap();
                Answer::Found(self.list(key, values).await)
            }
            Call::Read => Answer::Found(self.read(key).await),
        }
    }
}

fn answer(result: Result<(), Error>) -> Answer {
    match result {
        Ok(()) => Answer::Done,
        Err(Error::PreconditionFailed { .. }) => Answer::Refused,
        Err(Error::NoSuchKey { .. }) => Answer::Missing,
        Err(error) => panic!("{error:?}"),
    }
}

async fn open(directory: &tempfile::TempDir) -> (Engine, Caller) {
    let settings = Settings {
        inline_size_bytes_max: INLINE_SIZE_BYTES_MAX,
        database: database(),
        ..Settings::new(directory.path())
    };
    let engine = Engine::open(settings).await.unwrap();
    group(&engine).await;
    let tenant = user(&engine, "ada").await;
    (engine, tenant)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_clients_see_one_order_of_everything() {
    let directory = tempfile::tempdir().unwrap();
    let (engine, tenant) = open(&directory).await;
    let first_seed: u64 = rand::random();
    let (mut overlapping, mut refused, mut done) = (0, 0, 0);
    for (number, versioning) in
        (0..HISTORIES).zip([Versioning::Off, Versioning::Enabled, Versioning::Suspended].into_iter().cycle())
    {
        let bucket = BucketName::new(&format!("{versioning:?}").to_lowercase().repeat(2)).unwrap();
        engine.create_bucket(&tenant, &bucket).await.unwrap();
        if versioning != Versioning::Off {
            engine.set_versioning(&tenant, &bucket, versioning).await.unwrap();
        }
        let shared = Arc::new(Shared {
            engine: engine.clone(),
            tenant: tenant.clone(),
            bucket,
            name: format!("{number}"),
            time: AtomicU64::new(0),
            next_value: AtomicU64::new(1),
            last: Mutex::default(),
            recorded: Mutex::default(),
        });
        let seed = first_seed.wrapping_add(number * CLIENTS);
        let clients = (0..CLIENTS).map(|client| {
            let shared = shared.clone();
            tokio::spawn(async move { shared.client(seed.wrapping_add(client)).await })
        });
        for client in join_all(clients).await {
            client.unwrap();
        }
        for (key, history) in shared.recorded.lock().unwrap().iter() {
            assert!(is_linearizable(history), "{versioning:?}, key {key}, seeds from {seed}: {history:#?}");
            let beside = |one: &Operation| {
                history.iter().any(|other| other.invoked < one.invoked && one.invoked < other.answered)
            };
            overlapping += history.iter().filter(|one| beside(one)).count();
            refused += history.iter().filter(|one| one.answer == Answer::Refused).count();
            done += history.iter().filter(|one| one.answer == Answer::Done).count();
        }
    }
    assert!(
        overlapping > 1000 && refused > 500 && done > 1000,
        "{overlapping} overlap, {refused} refused, {done} done"
    );
    engine.close().await;
}
