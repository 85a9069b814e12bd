//! Messages through a broker of AMQP.

use futures::StreamExt;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{Connection, ConnectionProperties, Consumer};
use notifications::{Target, TargetKind};

use crate::broker::Broker;
use crate::world::{World, target, told};

const QUEUE: &str = "events-of-photos";

async fn consumer(connection: &Connection) -> Consumer {
    let channel = connection.create_channel().await.unwrap();
    channel.queue_declare(QUEUE.into(), QueueDeclareOptions::default(), FieldTable::default()).await.unwrap();
    let options = BasicConsumeOptions::default();
    channel.basic_consume(QUEUE.into(), "reader".into(), options, FieldTable::default()).await.unwrap()
}

async fn next(consumer: &mut Consumer) -> String {
    let delivery = consumer.next().await.unwrap().unwrap();
    delivery.ack(BasicAckOptions::default()).await.unwrap();
    assert_eq!(delivery.properties.content_type().as_ref().map(|kind| kind.as_str()), Some("application/json"));
    told(&serde_json::from_slice(&delivery.data).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_gets_what_a_queue_takes_and_nothing_is_lost_before_there_is_one() {
    let broker = tokio::task::spawn_blocking(Broker::start).await.unwrap();
    let world = World::new(|folder| {
        let url_file = folder.join("url");
        std::fs::write(&url_file, &broker.url).unwrap();
        Target { url_file: Some(url_file), routing_key: Some(QUEUE.to_owned()), ..target(TargetKind::Amqp) }
    })
    .await;
    for _ in 0..3 {
        world.put("a").await;
    }
    // As long as there is no queue, the broker takes nothing, and everything stays.
    let first = loop {
        let pending = world.engine.pending_events(&engine::Caller::LocalOperator, crate::world::TARGET, 10).await;
        match pending.unwrap().into_iter().find(|pending| pending.attempts > 0) {
            Some(pending) => break pending,
            None => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
        }
    };
    assert_eq!(first.event.kind.name(), "TestEvent");
    let connection = Connection::connect(&broker.url, ConnectionProperties::default()).await.unwrap();
    let mut consumer = consumer(&connection).await;
    let mut told = Vec::new();
    for _ in 0..4 {
        told.push(next(&mut consumer).await);
    }
    told.sort();
    assert_eq!(told, ["ObjectCreated:Put a", "ObjectCreated:Put a", "ObjectCreated:Put a", "s3:TestEvent"]);
    world.all_delivered().await;
}
