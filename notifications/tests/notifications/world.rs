//! A store with a bucket, and the notifier beside it.

use engine::{
    Body, BucketName, Caller, Engine, EventFilter, GroupId, Identity, NewGroup, NewObject, NewUser, NotificationRule,
    Notifications, ObjectKey, Profile, Role, ShownAs, UserId,
};
use notifications::{Notifier, Settings, Target, TargetKind};
use serde_json::Value;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

pub(crate) const TARGET: &str = "target";

pub(crate) struct World {
    pub(crate) engine: Engine,
    ada: Caller,
    bucket: BucketName,
    settings: Settings,
    stop: CancellationToken,
    _stop: DropGuard,
    pub(crate) folder: tempfile::TempDir,
}

/// A target without anything that its kind may have.
pub(crate) fn target(kind: TargetKind) -> Target {
    let name = TARGET.to_owned();
    Target { name, kind, url: None, token_file: None, url_file: None, exchange: None, routing_key: None }
}

impl World {
    /// A store that tells a target of everything that is stored or deleted in a bucket.
    pub(crate) async fn new(target: impl FnOnce(&std::path::Path) -> Target) -> Self {
        let world = Self::silent(target).await;
        world.start();
        world
    }

    /// One whose events wait until [`start`](Self::start).
    pub(crate) async fn silent(target: impl FnOnce(&std::path::Path) -> Target) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let target = target(folder.path());
        let mut settings = engine::Settings::new(folder.path().join("data"));
        settings.event_targets = vec![TARGET.to_owned()];
        let engine = Engine::open(settings).await.unwrap();
        let ada = ada(&engine).await;
        let bucket = BucketName::new("photos").unwrap();
        engine.create_bucket(&ada, &bucket).await.unwrap();
        let stop = CancellationToken::new();
        let settings = Settings { targets: vec![target], timeout_seconds: 5, ..Settings::default() };
        settings.validate().unwrap();
        let rule = NotificationRule {
            id: "all".to_owned(),
            target: TARGET.to_owned(),
            shown_as: ShownAs::Queue(String::new()),
            events: ["ObjectCreated:*", "ObjectRemoved:*"].map(|name| EventFilter::parse(name).unwrap()).to_vec(),
            prefix: String::new(),
            suffix: String::new(),
        };
        engine.set_notifications(&ada, &bucket, Notifications::new(vec![rule]).unwrap()).await.unwrap();
        Self { engine, ada, bucket, settings, _stop: stop.clone().drop_guard(), stop, folder }
    }

    /// Delivers from now on.
    pub(crate) fn start(&self) {
        let notifier = Notifier::new(&self.settings, "eu", self.engine.clone()).unwrap();
        notifier.start(&self.stop, &TaskTracker::new());
    }

    pub(crate) async fn put(&self, key: &str) {
        let (key, body) = (ObjectKey::new(key).unwrap(), Body::from_bytes("x"));
        self.engine.put_object(&self.ada, &self.bucket, &key, NewObject::default(), body).await.unwrap();
    }

    /// Waits until nothing waits any more.
    pub(crate) async fn all_delivered(&self) {
        while !self.engine.event_backlog(&Caller::LocalOperator).await.unwrap().is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }
}

async fn ada(engine: &Engine) -> Caller {
    let group_id = GroupId::new("acme").unwrap();
    let group = NewGroup {
        group_id: group_id.clone(),
        group_name: "acme".to_owned(),
        active: true,
        profile: Profile::default(),
    };
    engine.create_group(&Caller::LocalOperator, group).await.unwrap();
    let new = NewUser {
        group_id,
        user_id: UserId::new("ada").unwrap(),
        role: Role::User,
        full_name: "ada".to_owned(),
        email: String::new(),
        active: true,
        profile: Profile::default(),
        with_credential: false,
    };
    let user = engine.create_user(&Caller::LocalOperator, new).await.unwrap();
    let identity = Identity {
        canonical_id: user.canonical_id,
        group_id: user.group_id,
        user_id: user.user_id,
        display_name: user.full_name,
        role: user.role,
    };
    Caller::user(identity.into())
}

/// What a message tells, in a few words.
pub(crate) fn told(message: &Value) -> String {
    let record = &message["Records"][0];
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    match record {
        Value::Null => word(&message["Event"]),
        record => format!("{} {}", word(&record["eventName"]), word(&record["s3"]["object"]["key"])),
    }
}
