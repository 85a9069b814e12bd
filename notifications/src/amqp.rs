//! An exchange of an AMQP broker: a persistent message for each event, which the broker confirms.

use std::time::Duration;

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;

use crate::Error;

/// Messages outlive a restart of the broker.
const PERSISTENT: u8 = 2;

/// An exchange.
pub(crate) struct Exchange {
    url: SecretString,
    exchange: String,
    routing_key: String,
    timeout: Duration,
    /// The open channel; `None` before the first event and after it broke.
    open: Mutex<Option<Open>>,
}

#[derive(Clone)]
struct Open {
    /// It closes its channels when it is dropped.
    _connection: std::sync::Arc<Connection>,
    channel: Channel,
}

impl Exchange {
    pub(crate) fn new(url: SecretString, exchange: &str, routing_key: &str, timeout: Duration) -> Self {
        let (exchange, routing_key) = (exchange.to_owned(), routing_key.to_owned());
        Self { url, exchange, routing_key, timeout, open: Mutex::new(None) }
    }

    pub(crate) async fn deliver(&self, message: Vec<u8>) -> Result<(), Error> {
        let done = tokio::time::timeout(self.timeout, self.publish(&message)).await.unwrap_or(Err(Error::TooSlow));
        if matches!(done, Err(Error::Broker(_) | Error::TooSlow)) {
            *self.open.lock().await = None;
        }
        done
    }

    async fn publish(&self, message: &[u8]) -> Result<(), Error> {
        let channel = self.channel().await?;
        let properties =
            BasicProperties::default().with_content_type("application/json".into()).with_delivery_mode(PERSISTENT);
        // A message that no queue takes comes back, instead of being lost without a word.
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let confirmation = channel
            .basic_publish(
                self.exchange.as_str().into(),
                self.routing_key.as_str().into(),
                options,
                message,
                properties,
            )
            .await
            .map_err(Error::Broker)?
            .await
            .map_err(Error::Broker)?;
        match confirmation {
            Confirmation::Ack(None) => Ok(()),
            Confirmation::Ack(Some(_)) => Err(Error::NotTaken("no queue is bound for it")),
            Confirmation::Nack(_) => Err(Error::NotTaken("it was refused")),
            Confirmation::NotRequested => Err(Error::NotTaken("it was not confirmed")),
        }
    }

    async fn channel(&self) -> Result<Channel, Error> {
        let mut open = self.open.lock().await;
        if let Some(open) = open.as_ref().filter(|open| open.channel.status().connected()) {
            return Ok(open.channel.clone());
        }
        let connection = Connection::connect(self.url.expose_secret(), ConnectionProperties::default())
            .await
            .map_err(Error::Broker)?;
        let channel = connection.create_channel().await.map_err(Error::Broker)?;
        channel.confirm_select(ConfirmSelectOptions::default()).await.map_err(Error::Broker)?;
        *open = Some(Open { _connection: std::sync::Arc::new(connection), channel: channel.clone() });
        Ok(channel)
    }
}
