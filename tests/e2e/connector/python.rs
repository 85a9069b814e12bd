//! `cs`, the CloudStack client from PyPI, and the stand-in that all these tests rely on.

use cloudstack_stand_in::{Cloud, Options, StandIn};
use tests::{Environment, Script};

#[tokio::test(flavor = "multi_thread")]
async fn cs_signs_as_the_stand_in_checks() {
    let stand_in = StandIn::start(Cloud::recorded(), Options::default()).await.unwrap();
    let (key, secret) = stand_in.control().admin_keys();
    let script = Script::python(Environment::Current, "cs_calls.py")
        .env("CLOUDSTACK_ENDPOINT", stand_in.base_url())
        .env("CLOUDSTACK_KEY", key)
        .env("CLOUDSTACK_SECRET", secret);
    assert_eq!(script.run().await.ok().trim(), "[]");
}
