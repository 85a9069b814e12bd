//! Serves the recorded tenants until it is interrupted, and says how to reach them:
//! `cargo run -p cloudstack-stand-in --example recorded`.

use cloudstack_stand_in::{Cloud, DEFAULT_PASSWORD, Options, StandIn};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let stand_in = StandIn::start(Cloud::recorded(), Options::default()).await?;
    let (api_key, secret_key) = stand_in.control().admin_keys();
    println!(
        "export CLOUDSTACK_ENDPOINT={} CLOUDSTACK_KEY={api_key} CLOUDSTACK_SECRET={secret_key}",
        stand_in.base_url()
    );
    println!("# or in a browser: {} as ada in /acme with the password {DEFAULT_PASSWORD}", stand_in.page_url());
    std::future::pending().await
}
