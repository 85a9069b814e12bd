//! The HyperStore Admin REST API: its typed client, and the server that answers it from the engine.

pub mod client;
pub mod wire;
