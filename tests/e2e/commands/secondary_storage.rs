//! `secondary-storage prepare`: what it prints is what CloudStack takes.

use serde_json::{Value, json};
use tests::{CloudWorld, Environment, Script, Tenant, content};

#[tokio::test(flavor = "multi_thread")]
async fn the_printed_calls_register_with_cloudstack() {
    let world = CloudWorld::recorded().await;
    let prepared = world.server.json(&["secondary-storage", "prepare", "--zone", "1-zone"]).await;
    let calls = json!([
        ["addImageStore", prepared["addImageStore"]],
        ["createSecondaryStagingStore", prepared["createSecondaryStagingStore"]],
    ]);
    let (key, secret) = world.control.admin_keys();
    let script = Script::python(Environment::Current, "cs_calls.py")
        .env("CLOUDSTACK_ENDPOINT", world.control.base_url())
        .env("CLOUDSTACK_KEY", key)
        .env("CLOUDSTACK_SECRET", secret);
    let answers: Value = serde_json::from_str(&script.args(&[&calls.to_string()]).run().await.ok()).unwrap();
    assert_eq!(answers.as_array().unwrap().len(), 2, "{answers}");
    let stores = world.control.added_stores();
    assert_eq!(stores.len(), 2, "{stores:?}");
    assert!(stores.iter().any(|store| store["provider"] == "S3"), "{stores:?}");

    // The same lines as text, for people; and the key in them works.
    let text = world.server.command(&["secondary-storage", "prepare", "--zone", "1-zone"]).await.ok();
    assert!(text.contains("cs addImageStore name=") && text.contains("cmk add imagestore"), "{text}");
    let made = |field: &str| prepared["made"][field].as_str().unwrap().to_owned();
    assert!(text.contains(&made("access_key")), "a second run prints the same key: {text}");
    let tenant = Tenant {
        group: made("group"),
        user: made("user"),
        access_key: made("access_key"),
        secret_key: made("secret_key"),
    };
    let s3 = world.server.s3(&tenant);
    let _ = s3.put(&made("bucket"), "thing", content(10, 1)).await.unwrap().ok();
    assert_eq!(s3.keys(&made("bucket")).await, ["thing"]);
}
