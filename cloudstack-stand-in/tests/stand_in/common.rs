//! A small CloudStack client for the tests: it signs, keeps cookies and compares answers with recordings.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use sha1::Sha1;
use url::form_urlencoded::Serializer;

/// An answer as it came.
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) text: String,
    pub(crate) description: Option<String>,
    pub(crate) cookies: Vec<String>,
}

impl Got {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    /// What stands inside the one envelope.
    pub(crate) fn inner(&self) -> Value {
        let Value::Object(envelope) = self.json() else { panic!("no object: {}", self.text) };
        assert_eq!(envelope.len(), 1);
        envelope.into_iter().next().unwrap().1
    }
}

/// Sends parameters as a POST form with these cookies.
pub(crate) async fn send(url: &str, parameters: &[(String, String)], cookies: &str) -> Result<Got, String> {
    let form = Serializer::new(String::new()).extend_pairs(parameters).finish();
    let request = Request::post(url)
        .header("content-type", "application/x-www-form-urlencoded")
        .header("cookie", cookies)
        .body(Full::from(form))
        .unwrap();
    exchange(request).await
}

/// Gets a page.
pub(crate) async fn fetch(url: &str) -> Got {
    exchange(Request::get(url).body(Full::default()).unwrap()).await.unwrap()
}

async fn exchange(request: Request<Full<hyper::body::Bytes>>) -> Result<Got, String> {
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<hyper::body::Bytes>>();
    let answer = client.request(request).await.map_err(|error| error.to_string())?;
    let status: StatusCode = answer.status();
    let header = |name| answer.headers().get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let description = header("x-description");
    let cookies =
        answer.headers().get_all("set-cookie").iter().map(|value| value.to_str().unwrap().to_owned()).collect();
    let body = answer.into_body().collect().await.map_err(|error| error.to_string())?.to_bytes();
    Ok(Got { status: status.as_u16(), text: String::from_utf8(body.to_vec()).unwrap(), description, cookies })
}

pub(crate) fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Signs by version 3, with an expiry beyond every clock that the tests set, and sends.
pub(crate) async fn signed(url: &str, keys: &(String, String), parameters: &[(String, String)]) -> Got {
    let version = owned(&[("signatureVersion", "3"), ("expires", "2099-01-01T00:00:00+0000")]);
    signed_as_is(url, keys, [parameters, &version].concat()).await
}

/// Adds key and signature only, and sends.
pub(crate) async fn signed_as_is(url: &str, keys: &(String, String), mut parameters: Vec<(String, String)>) -> Got {
    parameters.push(("apiKey".to_owned(), keys.0.clone()));
    parameters.sort();
    let encoded = |value: &str| url::form_urlencoded::byte_serialize(value.as_bytes()).collect::<String>();
    let text = parameters.iter().map(|(name, value)| format!("{name}={}", encoded(value).replace('+', "%20")));
    let text = text.collect::<Vec<_>>().join("&").to_lowercase();
    let mut mac = Hmac::<Sha1>::new_from_slice(keys.1.as_bytes()).unwrap();
    mac.update(text.as_bytes());
    parameters.push(("signature".to_owned(), STANDARD.encode(mac.finalize().into_bytes())));
    send(url, &parameters, "").await.unwrap()
}

/// Asks as the caller with these keys.
pub(crate) async fn ask(url: &str, keys: &(String, String), pairs: &[(&str, &str)]) -> Got {
    let mut pairs = pairs.to_vec();
    pairs.push(("response", "json"));
    signed(url, keys, &owned(&pairs)).await
}

pub(crate) fn recording(name: &str) -> Value {
    let path = format!("{}/../tests/data/recordings/cloudstack-4.23/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))).unwrap()
}

/// Compares answers: same fields in the same order with the same values. Ids and times need only be ids and times, and
/// which recorded id stands for which of ours is learned on the way.
#[derive(Default)]
pub(crate) struct Comparison {
    pub(crate) ours: HashMap<String, String>,
}

/// Counters that depend on projects and earlier history, and keys that came and went between the recordings.
const IGNORED: [&str; 10] = [
    "apikey",
    "secretkey",
    "bucketlimit",
    "bucketavailable",
    "objectstoragelimit",
    "objectstorageavailable",
    "projecttotal",
    "projectavailable",
    "sessionkey",
    "jobid",
];

impl Comparison {
    pub(crate) fn same(&mut self, at: &str, recorded: &Value, ours: &Value) {
        match (recorded, ours) {
            (Value::Object(one), Value::Object(two)) => {
                let kept = |key: &&String| !IGNORED.contains(&key.as_str());
                let names = one.keys().filter(kept).collect::<Vec<_>>();
                assert_eq!(names, two.keys().filter(kept).collect::<Vec<_>>(), "{at}");
                if let (Some(Value::String(one)), Some(Value::String(two))) = (one.get("jobid"), two.get("jobid")) {
                    self.ours.insert(one.clone(), two.clone());
                }
                for name in names {
                    self.same(&format!("{at}.{name}"), &one[name], &two[name]);
                }
            }
            (Value::Array(one), Value::Array(two)) => {
                assert_eq!(one.len(), two.len(), "{at}");
                for (index, (one, two)) in one.iter().zip(two).enumerate() {
                    self.same(&format!("{at}[{index}]"), one, two);
                }
            }
            (Value::String(one), Value::String(two)) if is_uuid(one) && is_uuid(two) => {
                let known = self.ours.entry(one.clone()).or_insert_with(|| two.clone());
                assert_eq!(known, two, "{at}: {one}");
            }
            (Value::String(one), Value::String(two)) if is_time(one) && is_time(two) => {}
            (Value::String(one), Value::String(two)) => assert_eq!(&self.translate(one), two, "{at}"),
            _plain => assert_eq!(recorded, ours, "{at}"),
        }
    }

    /// A recorded text with our ids in it.
    pub(crate) fn translate(&self, text: &str) -> String {
        self.ours.iter().fold(text.to_owned(), |text, (recorded, ours)| text.replace(recorded, ours))
    }
}

fn is_uuid(text: &str) -> bool {
    uuid::Uuid::parse_str(text).is_ok()
}

fn is_time(text: &str) -> bool {
    text.len() == 24 && text.ends_with("+0000") && text.contains('T')
}
