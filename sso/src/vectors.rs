//! The published vectors, among them some with the published key that [`SharedKey::new`] refuses.

use serde_json::Value;
use url::Url;

use crate::{Login, SharedKey, login_url, sign};

#[test]
fn the_vectors_are_signed_as_written() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/vectors/cloudstack.json");
    let file: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let vectors = file["sso_login_url"].as_array().unwrap();
    assert!(vectors.len() >= 4);
    for vector in vectors {
        let text = |name: &str| vector[name].as_str().unwrap();
        let key = SharedKey::unchecked(text("key"));
        let timestamp_ms = vector["timestamp_ms"].as_i64().unwrap();
        let login = Login { user: text("user").to_owned(), group: text("group").to_owned(), timestamp_ms };
        assert_eq!(sign(&key, &login).unwrap().to_base64(), text("signature"));
        let base = Url::parse("https://cmc.example.com:8443/Cloudian/").unwrap();
        assert_eq!(login_url(&base, &key, &login, "/").unwrap(), text("url"));
    }
}
