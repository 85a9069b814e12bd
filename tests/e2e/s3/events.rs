//! Changes in a bucket, told to a webhook by the real binary.

use std::time::Duration;

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::Value;
use tests::{Environment, Script, Server};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

async fn receive(State(received): State<UnboundedSender<Value>>, Json(message): Json<Value>) {
    let _ = received.send(message);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_boto3_does_arrives_in_its_order() {
    let (sender, mut received) = unbounded_channel();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hook = listener.local_addr().unwrap();
    let router = Router::new().route("/hook", post(receive)).with_state(sender);
    tokio::spawn(async move { axum::serve(listener, router).await });
    let target =
        format!("[[notifications.targets]]\nname = \"hook\"\nkind = \"webhook\"\nurl = \"http://{hook}/hook\"\n");
    let server = Server::with_config(&target).await;
    let tenant = server.tenant("acme", "ada").await;
    let _ = Script::python(Environment::Current, "boto3_events.py").s3(&server, false, &tenant).run().await.ok();
    let mut told = Vec::new();
    while told.len() < 5 {
        let message = tokio::time::timeout(Duration::from_secs(60), received.recv()).await.unwrap().unwrap();
        let record = &message["Records"][0];
        if record.is_null() {
            assert_eq!((&message["Event"], &message["Bucket"]), (&"s3:TestEvent".into(), &"told".into()));
            told.push(String::new());
            continue;
        }
        assert_eq!(record["s3"]["object"]["key"], "in/a.jpg", "{message}");
        assert_eq!(record["requestParameters"]["sourceIPAddress"], "127.0.0.1", "{message}");
        assert_eq!(record["s3"]["configurationId"], "pictures", "{message}");
        told.push(record["eventName"].as_str().unwrap().to_owned());
    }
    told.retain(|name| !name.is_empty());
    let expected =
        ["ObjectCreated:Put", "ObjectCreated:CompleteMultipartUpload", "ObjectCreated:Copy", "ObjectRemoved:Delete"];
    assert_eq!(told, expected);
}
