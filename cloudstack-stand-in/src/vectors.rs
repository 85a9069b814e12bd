//! The signing rule against recorded requests and published vectors.

use serde_json::Value;

use crate::parameters::Parameters;
use crate::signature::{sign, text_to_sign};

fn data(name: &str) -> Value {
    let path = format!("{}/../tests/data/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn parameters(value: &Value) -> Parameters {
    let pairs = value.as_object().unwrap().iter();
    Parameters::of(pairs.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())))
}

#[test]
fn recorded_requests_get_the_recorded_signature_if_they_were_accepted() {
    let file = data("recordings/signed-requests.json");
    let secret = file["secret_key"].as_str().unwrap();
    let mut refused = 0;
    for request in file["requests"].as_array().unwrap() {
        let parameters = parameters(&request["parameters"]);
        let accepted = request["status"] == 200;
        assert_eq!(
            sign(secret, &parameters) == request["signature"].as_str().unwrap(),
            accepted,
            "{}",
            request["what"]
        );
        assert_eq!(text_to_sign(&parameters) == request["string_to_sign"].as_str().unwrap(), accepted);
        refused += u32::from(!accepted);
    }
    assert!(refused >= 2);
}

#[test]
fn vectors_are_signed_as_written() {
    let file = data("vectors/cloudstack.json");
    for vector in file["cloudstack_api_signature"].as_array().unwrap() {
        let parameters = parameters(&vector["parameters"]);
        assert_eq!(text_to_sign(&parameters), vector["signed_text"].as_str().unwrap());
        assert_eq!(sign(vector["secret"].as_str().unwrap(), &parameters), vector["signature"].as_str().unwrap());
    }
}
