//! Many clients at once on two keys of a real store, with and without versions.
//!
//! A copy reads one key and then writes the other, as it does in S3: what it found is what that key held at one moment while it ran, and
//! what it wrote is there from a later moment on. So it is an operation of each key.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use engine::{
    Body, BucketName, Caller, CompleteUpload, CompletedPart, CopyObject, CopySource, DeleteTarget, Digests, Engine,
    Error, ListEntry, ListRequest, NewObject, ObjectKey, ReadConditions, ReadObject, Settings, Versioning,
    WriteConditions,
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
const KEYS: usize = 2;
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
    /// Copies that were made.
    copied: AtomicU64,
    /// The value last seen of each key, which conditions are made of.
    last: Mutex<BTreeMap<usize, u32>>,
    recorded: Mutex<BTreeMap<usize, Vec<Operation>>>,
}

/// Parts of a value that is written in parts.
const PARTS: usize = 2;

/// Whether a value is written in parts.
fn has_parts(value: u32) -> bool {
    value % 5 < 2
}

/// The bytes of a value; its entity tag follows from them.
fn bytes_of(value: u32) -> Vec<u8> {
    let size = if value.is_multiple_of(4) { 200 } else { 16 };
    value.to_be_bytes().repeat(size / 4)
}

fn md5(bytes: &[u8]) -> Vec<u8> {
    <md5::Md5 as md5::Digest>::digest(bytes).to_vec()
}

fn parts_of(value: u32) -> Vec<Vec<u8>> {
    let bytes = bytes_of(value);
    bytes.chunks(bytes.len() / PARTS).map(<[u8]>::to_vec).collect()
}

fn tag_of(value: u32) -> String {
    if !has_parts(value) {
        return hex::encode(md5(&bytes_of(value)));
    }
    let parts: Vec<u8> = parts_of(value).iter().flat_map(|part| md5(part)).collect();
    format!("{}-{PARTS}", hex::encode(md5(&parts)))
}

/// The value that has this entity tag, of all that a history has.
fn value_of(etag: &str) -> u32 {
    let values = 0..=u32::try_from(CLIENTS * CALLS).unwrap();
    values.into_iter().find(|value| tag_of(*value) == etag).unwrap_or_else(|| panic!("{etag} is nobody's"))
}

impl Shared {
    fn key(&self, key: usize) -> ObjectKey {
        ObjectKey::new(format!("{}/{key}", self.name)).unwrap()
    }

    async fn put(&self, key: usize, value: u32, conditions: WriteConditions) -> Answer {
        if has_parts(value) {
            return self.complete(key, value, conditions).await;
        }
        let new = NewObject { conditions, ..NewObject::default() };
        let body = Body::from_bytes(bytes_of(value));
        answer(self.engine.put_object(&self.tenant, &self.bucket, &self.key(key), new, body).await.map(|_| ()))
    }

    /// Only Complete is part of the history: who sends parts changes nothing that others see.
    async fn complete(&self, key: usize, value: u32, conditions: WriteConditions) -> Answer {
        let (engine, tenant, bucket, key) = (&self.engine, &self.tenant, &self.bucket, self.key(key));
        let id = engine.create_upload(tenant, bucket, &key, NewObject::default(), None).await.unwrap().upload_id;
        let mut complete = CompleteUpload { conditions, ..CompleteUpload::default() };
        for (number, part) in (1..).zip(parts_of(value)) {
            let put = engine.put_part(tenant, bucket, &key, &id, number, Body::from_bytes(part)).await.unwrap();
            complete.parts.push(CompletedPart { number, etag: put.etag, checksums: Digests::default() });
        }
        answer(engine.complete_upload(tenant, bucket, &key, &id, complete).await.map(|_| ()))
    }

    /// Copies the other key here. Answers what came of it on this key, and what was found of the other when that is known.
    async fn copy(&self, key: usize, conditions: WriteConditions) -> (Option<(Answer, u32)>, Option<State>) {
        let source = CopySource {
            bucket: self.bucket.clone(),
            key: self.key(1 - key),
            version_id: None,
            conditions: ReadConditions::default(),
            customer_key: None,
        };
        let copy = CopyObject { conditions, ..CopyObject::default() };
        let copied = self.engine.copy_object(&self.tenant, &source, &self.bucket, &self.key(key), copy).await;
        match copied {
            Ok(copied) => {
                let value = value_of(&copied.info.etag);
                (Some((Answer::Done, value)), Some(Some(value)))
            }
            Err(error) => match answer(Err(error)) {
                // Nothing is at the source, for the conditions here need nothing at the destination.
                Answer::Missing => (None, Some(None)),
                refused => (Some((refused, 0)), None),
            },
        }
    }

    async fn delete(&self, key: usize, if_match: Option<String>) -> Answer {
        let target = DeleteTarget { if_match, ..DeleteTarget::current(self.key(key)) };
        let deleted = self.engine.delete_objects(&self.tenant, &self.bucket, vec![target]).await.unwrap().remove(0);
        answer(deleted.map(|_| ()))
    }

    async fn read(&self, key: usize) -> State {
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
    async fn list(&self, key: usize) -> State {
        let request = ListRequest { prefix: self.key(key).to_string(), entries_max: 10, ..ListRequest::default() };
        let page = self.engine.list_objects(&self.tenant, &self.bucket, &request).await.unwrap();
        match &page.entries[..] {
            [] => None,
            [ListEntry::Object(object)] => Some(value_of(&object.etag)),
            other => panic!("{other:?}"),
        }
    }

    async fn client(&self, seed: u64) {
        let mut random = StdRng::seed_from_u64(seed);
        for _ in 0..CALLS {
            let key = random.random_range(0..KEYS);
            if random.random_bool(0.2) {
                self.copy_and_record(key, random.random_bool(0.3)).await;
                continue;
            }
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
            let invoked = self.now();
            let answer = self.run(key, call, random.random_bool(0.3)).await;
            self.record(key, Operation { call, answer, invoked, answered: self.now() });
        }
    }

    async fn copy_and_record(&self, key: usize, if_absent: bool) {
        let if_none_match = if_absent.then(|| "*".to_owned());
        let invoked = self.now();
        let (made, found) = self.copy(key, WriteConditions { if_none_match, if_match: None }).await;
        let answered = self.now();
        if let Some(state) = found {
            self.record(1 - key, Operation { call: Call::Read, answer: Answer::Found(state), invoked, answered });
        }
        if let Some((answer, value)) = made {
            let call = if if_absent { Call::PutIfAbsent(value) } else { Call::Put(value) };
            self.record(key, Operation { call, answer, invoked, answered });
            self.copied.fetch_add(u64::from(answer == Answer::Done), Ordering::SeqCst);
        }
    }

    fn now(&self) -> u64 {
        self.time.fetch_add(1, Ordering::SeqCst)
    }

    fn record(&self, key: usize, operation: Operation) {
        let (call, answer) = (operation.call, operation.answer);
        // A PUT that failed for its condition wrote nothing.
        if let (Answer::Found(Some(seen)), _) | (Answer::Done, Call::Put(seen) | Call::PutIfAbsent(seen)) =
            (answer, call)
        {
            self.last.lock().unwrap().insert(key, seen);
        }
        self.recorded.lock().unwrap().entry(key).or_default().push(operation);
    }

    async fn run(&self, key: usize, call: Call, by_listing: bool) -> Answer {
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
            Call::Read if by_listing => Answer::Found(self.list(key).await),
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
        part_size_bytes_min: 1,
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
    let (mut overlapping, mut refused, mut done, mut copied) = (0, 0, 0, 0);
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
            copied: AtomicU64::new(0),
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
        copied += shared.copied.load(Ordering::SeqCst);
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
        overlapping > 1000 && refused > 500 && done > 1000 && copied > 300,
        "{overlapping} overlap, {refused} refused, {done} done, {copied} of them copies"
    );
    engine.close().await;
}
