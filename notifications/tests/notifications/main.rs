//! Events as targets get them: a real receiver of webhooks, a real broker.

#![expect(clippy::unwrap_used, reason = "a test whose world cannot be set up must fail")]

mod amqp;
mod broker;
mod webhook;
mod world;
