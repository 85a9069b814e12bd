//! The same writes and reads as the S3 load makes, given to the engine in this process: what is left of the cost without HTTP.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::ensure;
use clap::Args;
use engine::{
    Body, BucketName, Caller, Engine, GroupId, NewGroup, NewObject, NewUser, ObjectKey, Profile, ReadObject, Role,
    Settings, UserId,
};
use futures::StreamExt as _;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use crate::Place;
use crate::content::Content;
use crate::drive::{Done, Limit, Worker};
use crate::measure::{Name, Watch};
use crate::report::{self, Report};

/// What is asked of the engine.
#[derive(Clone, Debug, Args)]
pub(crate) struct Arguments {
    /// How many tasks work at once, one number a phase
    #[arg(long, value_delimiter = ',', default_value = "1,16,64")]
    tasks: Vec<usize>,
    /// How long each phase lasts
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// At most 1 MiB
    #[arg(long, default_value_t = 4096)]
    size_bytes: usize,
}

/// Measures an engine on a directory of its own.
pub(crate) async fn run(arguments: &Arguments, place: &Place, report: &mut Report) -> anyhow::Result<()> {
    ensure!(arguments.size_bytes <= crate::content::BLOCK_BYTES, "at most 1 MiB");
    let folder = tempfile::Builder::new().prefix("bench-engine-").tempdir_in(&place.directory)?;
    let subject = Subject::open(Settings::new(folder.path().join("data")), arguments.size_bytes).await?;
    let watch = Watch { store_pids: vec![std::process::id()], metrics_url: None };
    let limit = Limit::Time(Duration::from_secs(arguments.seconds));
    println!("{}", report::head());
    for &tasks in &arguments.tasks {
        let name =
            |operation| Name { level: "engine", operation, payload: "", size_bytes: arguments.size_bytes as u64 };
        let workers = (0..tasks).map(|_| Put { subject: subject.clone(), written: Vec::new() }).collect();
        let (workers, _) = watch.phase(name("PUT"), workers, limit, report).await?;
        let written: Arc<[u64]> = workers.into_iter().flat_map(|worker| worker.written).collect();
        ensure!(!written.is_empty(), "nothing could be written");
        let worker =
            |seed| Get { subject: subject.clone(), written: written.clone(), random: StdRng::seed_from_u64(seed) };
        watch.phase(name("GET"), (0..tasks as u64).map(worker).collect(), limit, report).await?;
    }
    subject.engine.close().await;
    Ok(())
}

/// An engine with a bucket, and whom it takes the caller for.
#[derive(Clone)]
struct Subject {
    engine: Engine,
    caller: Caller,
    bucket: BucketName,
    content: Content,
    size_bytes: usize,
    /// The number of the next object.
    next: Arc<AtomicU64>,
}

impl Subject {
    async fn open(settings: Settings, size_bytes: usize) -> anyhow::Result<Self> {
        let engine = Engine::open(settings).await?;
        let (operator, group_id) = (Caller::LocalOperator, GroupId::new("bench")?);
        let group = NewGroup {
            group_id: group_id.clone(),
            group_name: "Load of the bench".to_owned(),
            active: true,
            profile: Profile::default(),
        };
        engine.create_group(&operator, group).await?;
        let user = NewUser {
            group_id,
            user_id: UserId::new("load")?,
            role: Role::User,
            full_name: String::new(),
            email: String::new(),
            active: true,
            profile: Profile::default(),
            with_credential: false,
        };
        let owner = engine.create_user(&operator, user).await?.canonical_id;
        let access_key = engine.create_credential(&operator, &owner).await?.access_key;
        let login = engine.key_login(access_key.as_str()).await?;
        let login = login.ok_or_else(|| anyhow::anyhow!("the new key is not known"))?;
        let caller = Caller::user(login.account().clone());
        let bucket = BucketName::new("bench")?;
        engine.create_bucket(&caller, &bucket).await?;
        Ok(Self { engine, caller, bucket, content: Content::new(), size_bytes, next: Arc::default() })
    }

    fn key(object: u64) -> anyhow::Result<ObjectKey> {
        Ok(ObjectKey::new(format!("load/{object:012}"))?)
    }
}

struct Put {
    subject: Subject,
    written: Vec<u64>,
}

impl Worker for Put {
    async fn step(&mut self) -> anyhow::Result<Option<Done>> {
        let Subject { engine, caller, bucket, content, size_bytes, next } = &self.subject;
        let object = next.fetch_add(1, Ordering::Relaxed);
        let body = Body::from_bytes(content.block(object, 0, *size_bytes));
        engine.put_object(caller, bucket, &Subject::key(object)?, NewObject::default(), body).await?;
        self.written.push(object);
        Ok(Some(Done { operation: "PUT", bytes: *size_bytes as u64 }))
    }
}

struct Get {
    subject: Subject,
    written: Arc<[u64]>,
    random: StdRng,
}

impl Worker for Get {
    async fn step(&mut self) -> anyhow::Result<Option<Done>> {
        let Subject { engine, caller, bucket, content, size_bytes, .. } = &self.subject;
        let object = self.written[self.random.random_range(0..self.written.len())];
        let read = engine.get_object(caller, bucket, &Subject::key(object)?, &ReadObject::default()).await?;
        let (mut body, mut verifier) = (read.body, content.verifier(object));
        while let Some(data) = body.next().await {
            let data = data.map_err(|error| anyhow::anyhow!(error))?;
            ensure!(verifier.accepts(&data), "object {object} has other bytes than were written");
        }
        ensure!(verifier.size_bytes() == *size_bytes as u64, "object {object} is cut");
        Ok(Some(Done { operation: "GET", bytes: *size_bytes as u64 }))
    }
}
