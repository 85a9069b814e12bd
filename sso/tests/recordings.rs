//! Every log-in link that a real CloudStack made verifies, and is made again byte for byte.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use sso::{ConsoleAddress, Error, SharedKey, Verifier, login_url, safe_redirect};
use url::Url;

fn recorded_links() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/recordings/cloudstack-4.23");
    let mut links = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if !name.starts_with("cloudian-sso-login-") || !name.ends_with(".json") {
            continue;
        }
        let recording: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let url = recording.pointer("/answer/body/cloudianssologinresponse/cloudianssologin/url");
        match url.and_then(Value::as_str) {
            Some(url) => links.push(url.to_owned()),
            None => assert_eq!(name, "cloudian-sso-login-off.json"),
        }
    }
    links
}

fn verifier(key: &str) -> Verifier {
    Verifier::new(SharedKey::new(key.to_owned()).unwrap(), Duration::from_secs(300))
}

#[test]
fn recorded_links_verify_and_are_made_again() {
    let links = recorded_links();
    assert!(links.len() >= 12, "{} links", links.len());
    let verifier = verifier("Kr7-example-shared-key");
    for link in links {
        let (base, query) = link.split_once('?').unwrap();
        let timestamp = query.split('&').find_map(|pair| pair.strip_prefix("timestamp=")).unwrap();
        let now_ms = timestamp.parse::<i64>().unwrap() + 1_000;

        let verified = verifier.verify(query, now_ms).unwrap();
        assert_eq!(safe_redirect(verified.redirect.as_deref()).unwrap(), "/Cloudian/");

        let base = Url::parse(base.strip_suffix("ssosecurelogin.htm").unwrap()).unwrap();
        let again = login_url(&base, &verifier.key, &verified.login, verified.redirect.as_deref().unwrap()).unwrap();
        assert_eq!(again, link);
        let address = ConsoleAddress::new("https", "storage.example.com", 8443).unwrap();
        assert_eq!(address.login_url(&verifier.key, &verified.login, "/").unwrap(), link);
    }
}

#[test]
fn recorded_links_fail_with_another_key() {
    let verifier = verifier("Kr7-example-shared-kez");
    for link in recorded_links() {
        let query = link.split_once('?').unwrap().1;
        assert_eq!(verifier.verify(query, 1_795_321_300_000), Err(Error::WrongSignature));
    }
}
