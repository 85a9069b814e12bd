//! Who is told of changes, as buckets are asked to.

use engine::{Caller, PendingEvent};

use crate::client::Request;
use crate::harness::Endpoint;

async fn put(endpoint: &Endpoint, configuration: &str) -> String {
    let document = format!("<NotificationConfiguration>{configuration}</NotificationConfiguration>");
    let put = Request::new("PUT", "/photos?q:notification").body(document);
    endpoint.ada.send(put).await.told()
}

fn queue(arn: &str, event: &str, filter: &str) -> String {
    format!("<QueueConfiguration><Id>n</Id><Queue>{arn}</Queue><Event>{event}</Event>{filter}</QueueConfiguration>")
}

const ARN: &str = "arn:aws:sqs:us-east-1::hook";
const FILTER: &str = "<Filter><S3Key><FilterRule><Name>prefix</Name><Value>in/</Value></FilterRule>\
    <FilterRule><Name>suffix</Name><Value>.jpg</Value></FilterRule></S3Key></Filter>";

async fn pending(endpoint: &Endpoint) -> Vec<PendingEvent> {
    endpoint.engine.pending_events(&Caller::LocalOperator, "hook", 100).await.expect("events")
}

#[tokio::test]
async fn a_bucket_tells_what_it_was_asked_to() {
    let endpoint = Endpoint::with_bucket("photos").await;
    assert!(endpoint.get("/photos?q:notification").await.elements("Queue").is_empty());
    assert_eq!(put(&endpoint, &queue(ARN, "s3:ObjectCreated:*", FILTER)).await, "200");
    let shown = endpoint.get("/photos?q:notification").await;
    assert_eq!(shown.elements("Queue"), [ARN]);
    assert_eq!(shown.elements("Event"), ["s3:ObjectCreated:*"]);
    assert_eq!(shown.elements("Value"), ["in/", ".jpg"]);
    endpoint.put("/photos/in/a.jpg", b"x").await;
    endpoint.put("/photos/in/a.png", b"x").await;
    let told = pending(&endpoint).await;
    let kinds: Vec<_> = told.iter().map(|one| one.event.kind.name()).collect();
    assert_eq!(kinds, ["TestEvent", "ObjectCreated:Put"]);
    let event = &told[1].event;
    assert_eq!(event.principal.as_deref(), Some(endpoint.ada_id.as_str()));
    assert_eq!(event.request_id.as_ref().map(String::len), Some(16));
    let topic = "<TopicConfiguration><Topic>arn:aws:sns:::hook</Topic><Event>s3:ObjectRemoved:Delete</Event></TopicConfiguration>";
    assert_eq!(put(&endpoint, topic).await, "200");
    assert_eq!(endpoint.get("/photos?q:notification").await.elements("Topic"), ["arn:aws:sns:::hook"]);
    assert_eq!(put(&endpoint, &queue("arn:minio:sqs::hook:webhook", "s3:ObjectAcl:Put", "")).await, "200");
    assert_eq!(put(&endpoint, "").await, "200");
    assert!(endpoint.get("/photos?q:notification").await.elements("Event").is_empty());
}

#[tokio::test]
async fn what_cannot_be_told_is_refused() {
    let endpoint = Endpoint::with_bucket("photos").await;
    let overlapping = queue(ARN, "s3:ObjectCreated:*", "") + &queue(ARN, "s3:ObjectCreated:Put", FILTER);
    let twice = "<Filter><S3Key><FilterRule><Name>prefix</Name><Value>a</Value></FilterRule>\
        <FilterRule><Name>prefix</Name><Value>b</Value></FilterRule></S3Key></Filter>";
    for configuration in [
        queue("arn:aws:sqs:us-east-1::unknown", "s3:ObjectCreated:*", ""),
        queue("hook", "s3:ObjectCreated:*", ""),
        queue(ARN, "s3:ObjectSung:*", ""),
        queue(ARN, "ObjectCreated:*", ""),
        queue(ARN, "s3:ObjectCreated:*", twice),
        overlapping,
    ] {
        assert_eq!(put(&endpoint, &configuration).await, "400 InvalidArgument", "{configuration}");
    }
    let function = "<CloudFunctionConfiguration><CloudFunction>arn:aws:lambda:::f</CloudFunction>\
        <Event>s3:ObjectCreated:*</Event></CloudFunctionConfiguration>";
    assert_eq!(put(&endpoint, function).await, "501 NotImplemented");
    assert!(pending(&endpoint).await.is_empty());
}
