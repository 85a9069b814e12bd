//! The S3 endpoint: the protocol by the s3s crate, hardened in front, every operation one call of the engine.
//!
//! A request passes `route` (health check, preflight), `auth` (its access key exists, nothing unsigned rides along), `body` (framing and
//! digests of documents), then the protocol layer, which checks the signature and calls `store`; `answer` completes what comes back.

mod access_log;
mod acl;
mod answer;
mod attributes;
mod auth;
mod body;
mod bucket;
mod checksums;
mod chunk_signatures;
mod chunks;
mod context;
mod copy;
mod cors;
mod document;
mod drain;
mod durability;
mod elements;
mod encryption;
mod error;
mod facts;
mod form;
mod form_policy;
mod form_stream;
mod gate;
mod headers;
mod host;
mod iam;
mod lifecycle;
mod listing;
mod lock;
mod multipart;
mod notification;
mod object;
mod operations;
mod payment;
mod region;
mod route;
mod scheme;
mod settings;
mod settings_of_bucket;
mod slash;
mod store;
mod subresource;
mod tagging;
mod website;

pub use iam::iam_router;
pub use operations::{OPERATIONS, OfferedOperation, Target};
pub use route::router;
pub use settings::{InvalidSettings, Settings};
