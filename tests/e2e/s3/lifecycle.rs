//! Lifecycle rules with days that are short, as the configuration may have them to try rules out.

use std::time::{Duration, Instant};

use http::Method;
use tests::Server;

/// How long a rule may take that ends objects after a day of two seconds; the machine may be busy.
const LIMIT: Duration = Duration::from_secs(120);
const RULE: &str = "<LifecycleConfiguration><Rule><ID>short</ID><Status>Enabled</Status><Filter><Prefix>logs/</Prefix></Filter>\
    <Expiration><Days>1</Days></Expiration></Rule></LifecycleConfiguration>";

#[tokio::test(flavor = "multi_thread")]
async fn a_day_lasts_as_long_as_it_is_configured() {
    let server = Server::with_config("[engine]\nlifecycle_day_s = 2\n").await;
    let s3 = server.s3(&server.tenant("acme", "ada").await);
    s3.create_bucket("short").await;
    for key in ["logs/old", "data/kept"] {
        let _ = s3.put("short", key, b"content".to_vec()).await.unwrap().ok();
    }
    let _ = s3.send(Method::PUT, "short", "lifecycle=", RULE.as_bytes().to_vec()).await.unwrap().ok();
    let started = Instant::now();
    while s3.get("short", "logs/old").await.unwrap().status != 404 {
        assert!(started.elapsed() < LIMIT, "the object is still there");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(s3.keys("short").await, ["data/kept"]);
    assert_eq!(s3.get("short", "data/kept").await.unwrap().ok().body, b"content");
}
