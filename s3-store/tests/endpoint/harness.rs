//! An endpoint of its own for each test: a real engine in a directory of its own, on a free port, with two users.

use std::net::SocketAddr;

use engine::{Caller, CanonicalId, Clock, ClockHand, Engine, GroupId, NewGroup, NewUser, Role, UserId};
use s3_store::Settings;
use secrecy::ExposeSecret;

use crate::answer::Answer;
use crate::client::{Client, Request};

/// A running endpoint.
pub(crate) struct Endpoint {
    pub(crate) engine: Engine,
    pub(crate) addr: SocketAddr,
    /// Where identities are asked for.
    pub(crate) iam_addr: SocketAddr,
    /// Moves the store's clock, which begins at the time of the machine.
    pub(crate) hand: ClockHand,
    /// The user whose buckets the tests use.
    pub(crate) ada: Client,
    pub(crate) ada_id: CanonicalId,
    /// Somebody else.
    pub(crate) bob: Client,
    /// Where its data lies.
    pub(crate) data: tempfile::TempDir,
}

impl Endpoint {
    pub(crate) async fn start() -> Self {
        Self::start_with(Settings::default()).await
    }

    pub(crate) async fn start_with(settings: Settings) -> Self {
        let data = tempfile::tempdir().expect("a directory");
        let mut engine_settings = engine::Settings::new(data.path());
        engine_settings.part_size_bytes_min = 64;
        let (clock, hand) = Clock::movable();
        engine_settings.clock = clock;
        engine_settings.event_targets = vec!["hook".to_owned()];
        let engine = Engine::open(engine_settings).await.expect("the engine opens");
        let addr = serve(s3_store::router(engine.clone(), &settings)).await;
        let iam_addr = serve(s3_store::iam_router(engine.clone(), &settings)).await;
        let group = GroupId::new("acme").expect("an id");
        let new = NewGroup {
            group_id: group.clone(),
            group_name: "/acme/".to_owned(),
            active: true,
            profile: Default::default(),
        };
        engine.create_group(&Caller::LocalOperator, new).await.expect("a group");
        let (ada_id, ada) = user(&engine, addr, &group, "ada").await;
        let (_, bob) = user(&engine, addr, &group, "bob").await;
        Self { engine, addr, iam_addr, hand, ada, ada_id, bob, data }
    }

    /// An endpoint with a bucket of Ada's.
    pub(crate) async fn with_bucket(name: &str) -> Self {
        let endpoint = Self::start().await;
        endpoint.make_bucket(name).await;
        endpoint
    }

    pub(crate) async fn make_bucket(&self, name: &str) {
        let made = self.ada.send(Request::new("PUT", &format!("/{name}"))).await;
        assert_eq!(made.told(), "200", "{}", made.text());
    }

    pub(crate) async fn put(&self, path: &str, body: &[u8]) -> Answer {
        let answer = self.ada.send(Request::new("PUT", path).body(body)).await;
        assert_eq!(answer.told(), "200", "{}", answer.text());
        answer
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ada.send(Request::new("GET", path)).await
    }
}

async fn serve(router: axum::Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, router).await });
    addr
}

async fn user(engine: &Engine, addr: SocketAddr, group: &GroupId, name: &str) -> (CanonicalId, Client) {
    let new = NewUser {
        group_id: group.clone(),
        user_id: UserId::new(name).expect("an id"),
        role: Role::User,
        full_name: name.to_owned(),
        email: String::new(),
        active: true,
        profile: Default::default(),
        with_credential: false,
    };
    let user = engine.create_user(&Caller::LocalOperator, new).await.expect("a user");
    let credential = engine.create_credential(&Caller::LocalOperator, &user.canonical_id).await.expect("a key");
    let client = Client {
        addr,
        access_key: credential.access_key.as_str().to_owned(),
        secret_key: credential.secret_key.expose_secret().to_owned(),
        region: "us-east-1".to_owned(),
        host: addr.to_string(),
        host_bucket: String::new(),
        skew_s: 0,
        service: "s3".to_owned(),
        token: None,
        signs_date_as_it_stands: false,
    };
    (user.canonical_id, client)
}
