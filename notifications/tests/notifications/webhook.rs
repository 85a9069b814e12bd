//! Webhooks, received by a server of HTTP.

use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use axum::{Json, Router};
use notifications::{Target, TargetKind};
use serde_json::Value;

use crate::world::{World, target, told};

/// What came, and what is answered.
#[derive(Default)]
struct Received {
    told: Vec<String>,
    /// All that was told, taken or not.
    tried: Vec<String>,
    tokens: Vec<String>,
    sequencers: Vec<String>,
    /// How often this is still answered, instead of being taken: by what was told.
    refusals: Vec<(&'static str, StatusCode, usize)>,
}

#[derive(Clone, Default)]
struct Receiver(Arc<Mutex<Received>>);

async fn receive(State(receiver): State<Receiver>, headers: HeaderMap, Json(message): Json<Value>) -> StatusCode {
    let told = told(&message);
    let mut received = receiver.0.lock().unwrap();
    received.tried.push(told.clone());
    for (about, status, times) in &mut received.refusals {
        if told.ends_with(*about) && *times > 0 {
            *times -= 1;
            return *status;
        }
    }
    if told.ends_with("even") {
        received.refusals.clear();
    }
    let token = headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
    received.tokens.push(token.unwrap_or_default());
    let sequencer = message["Records"][0]["s3"]["object"]["sequencer"].as_str().unwrap_or_default();
    received.sequencers.push(sequencer.to_owned());
    received.told.push(told);
    StatusCode::NO_CONTENT
}

impl Receiver {
    async fn listen(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook?key=kept-to-itself", listener.local_addr().unwrap());
        let router = Router::new().route("/hook", post(receive)).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        url
    }

    fn refuse(&self, about: &'static str, status: StatusCode, times: usize) {
        self.0.lock().unwrap().refusals.push((about, status, times));
    }

    fn told(&self) -> Vec<String> {
        self.0.lock().unwrap().told.clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_arrive_with_the_token_and_in_their_order() {
    let receiver = Receiver::default();
    let url = receiver.listen().await;
    let world = World::new(|folder| {
        let token_file = folder.join("token");
        std::fs::write(&token_file, "secret-of-the-hook\n").unwrap();
        Target { url: Some(url), token_file: Some(token_file), ..target(TargetKind::Webhook) }
    })
    .await;
    for _ in 0..5 {
        world.put("a b").await;
    }
    world.all_delivered().await;
    let received = receiver.0.lock().unwrap();
    assert_eq!(received.told[0], "s3:TestEvent");
    assert_eq!(received.told[1..], ["ObjectCreated:Put a+b"; 5]);
    assert!(received.sequencers[1..].is_sorted(), "{:?}", received.sequencers);
    assert!(received.tokens.iter().all(|token| token == "Bearer secret-of-the-hook"));
    assert!(world.folder.path().exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_sent_again_and_keeps_only_its_object_waiting() {
    let receiver = Receiver::default();
    // Until another object's event came.
    receiver.refuse("odd", StatusCode::BAD_REQUEST, usize::MAX);
    let url = receiver.listen().await;
    let world = World::new(|_| Target { url: Some(url), ..target(TargetKind::Webhook) }).await;
    world.put("odd").await;
    world.put("odd").await;
    world.put("even").await;
    world.all_delivered().await;
    let told = receiver.told();
    let place = |what: &str| told.iter().position(|told| told.ends_with(what)).unwrap();
    assert!(place("even") < place("odd"), "{told:?}");
    assert_eq!(told.iter().filter(|told| told.ends_with("odd")).count(), 2, "{told:?}");
    let received = receiver.0.lock().unwrap();
    let odd: Vec<_> =
        told.iter().zip(&received.sequencers).filter(|(told, _)| told.ends_with("odd")).map(|(_, seq)| seq).collect();
    assert!(odd.is_sorted(), "{odd:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_was_away_gets_everything() {
    let receiver = Receiver::default();
    receiver.refuse("", StatusCode::SERVICE_UNAVAILABLE, 2);
    let url = receiver.listen().await;
    let world = World::new(|_| Target { url: Some(url), ..target(TargetKind::Webhook) }).await;
    let keys: Vec<String> = (0..20).map(|number| format!("{number:02}")).collect();
    for key in &keys {
        world.put(key).await;
    }
    world.all_delivered().await;
    let mut told = receiver.told();
    told.sort();
    told.dedup();
    assert_eq!(told.len(), 21, "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_the_receiver_fails_on_keeps_no_other_waiting() {
    let receiver = Receiver::default();
    // Until the last one came.
    receiver.refuse("00-fails", StatusCode::INTERNAL_SERVER_ERROR, usize::MAX);
    let url = receiver.listen().await;
    let world = World::silent(|_| Target { url: Some(url), ..target(TargetKind::Webhook) }).await;
    world.put("00-fails").await;
    for number in 1..40 {
        world.put(&format!("{number:02}")).await;
    }
    world.put("even").await;
    world.start();
    world.all_delivered().await;
    let received = receiver.0.lock().unwrap();
    let again = received.tried.iter().enumerate().filter(|(_, told)| told.ends_with("00-fails")).nth(1).unwrap().0;
    let before: std::collections::BTreeSet<_> = received.tried[..again].iter().collect();
    assert_eq!(before.len(), 42, "all came before it was tried again: {:?}", received.tried);
}
