//! The endpoint over real connections: a signing client of its own, a real engine, every point of the hardening list.

mod access_logs;
mod actions;
mod answer;
mod auth;
mod bodies;
mod buckets;
mod client;
mod conditions;
mod cors;
mod encryption;
mod forms;
mod harness;
mod iam;
mod iam_operations;
mod listing;
mod multipart;
mod notifications;
mod objects;
mod operations;
mod quota;
mod refusals;
mod rules;
mod version_actions;
mod versions;
mod websites;
mod wire;
