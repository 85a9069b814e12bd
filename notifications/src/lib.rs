//! Tells others of changes in buckets: takes events out of the engine's outbox and delivers them to webhooks and AMQP brokers.
//!
//! An event stays in the outbox until its target took it, so that it is delivered at least once, and of an object in the order in which
//! things happened. What the engine calls an event becomes a message in S3's form here.

mod amqp;
mod deliver;
mod error;
mod message;
mod settings;
mod webhook;

pub use deliver::Notifier;
pub use error::Error;
pub use settings::{InvalidSettings, Settings, Target, TargetKind};
