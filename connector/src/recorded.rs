//! The recordings of a real CloudStack, for unit tests.

use std::path::PathBuf;

use serde_json::Value;

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/recordings"))
}

/// A recording by its name within the folder.
pub(crate) fn json(name: &str) -> Value {
    let path = folder().join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap()
}

/// Every recorded request with its answer, with the name of its file.
pub(crate) fn all() -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder().join("cloudstack-4.23")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let recording = json(&format!("cloudstack-4.23/{name}"));
        found.push((name, recording));
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

/// The status and the bytes of a recorded answer.
pub(crate) fn answer(recording: &Value) -> (u16, Vec<u8>) {
    let status = u16::try_from(recording["answer"]["status"].as_u64().unwrap()).unwrap();
    let body = match &recording["answer"]["body"] {
        Value::String(text) => text.clone().into_bytes(),
        body => serde_json::to_vec(body).unwrap(),
    };
    (status, body)
}
