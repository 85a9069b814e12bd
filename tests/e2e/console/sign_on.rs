//! From CloudStack's page into the console and back, as a person goes.

use fantoccini::Locator;
use fantoccini::wd::WindowHandle;
use tests::{Browser, CloudWorld, content, sha256, test_id};
use url::Url;

const FILE: &str = "picture ä+1.bin";

/// CloudStack's settings name our console, as an operator sets them.
fn point_cloudstack_at_the_console(world: &CloudWorld) {
    let console: Url = world.server.doors().console.parse().unwrap();
    world.control.set_setting("cloudian.cmc.protocol", console.scheme()).unwrap();
    world.control.set_setting("cloudian.cmc.host", console.host_str().unwrap()).unwrap();
    world.control.set_setting("cloudian.cmc.port", &console.port().unwrap().to_string()).unwrap();
}

async fn sign_in_at_cloudstack(world: &CloudWorld, browser: &Browser, account: &str) -> WindowHandle {
    let (domain, user, password) = world.control.login_of(account).unwrap();
    let page = world.control.page_url();
    browser.client.goto(&page).await.unwrap();
    let form = browser.client.form(Locator::Css("#login")).await.unwrap();
    form.set_by_name("domain", &domain).await.unwrap();
    form.set_by_name("username", &user).await.unwrap();
    form.set_by_name("password", &password).await.unwrap();
    browser.click("#login button").await;
    browser.element("#inside:not([hidden])").await;
    browser.client.window().await.unwrap()
}

/// Presses CloudStack's storage button and goes to the window that it opens.
async fn open_the_console(browser: &Browser, cloudstack: &WindowHandle) -> WindowHandle {
    browser.click("#storage").await;
    for _ in 0..300 {
        let windows = browser.client.windows().await.unwrap();
        if let Some(other) = windows.into_iter().find(|window| window != cloudstack) {
            browser.client.switch_to_window(other.clone()).await.unwrap();
            return other;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("CloudStack opened no window: {}", browser.client.source().await.unwrap());
}

async fn make_bucket(browser: &Browser, name: &str) {
    browser.element(&test_id("create-bucket-form")).await;
    browser.type_into("#bucket-name", name).await;
    browser.click(&test_id("create-bucket")).await;
    browser.click(&format!("[data-bucket=\"{name}\"] [data-testid=\"bucket-link\"]")).await;
    browser.element(&test_id("upload-form")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_on_bucket_upload_download_and_out_again() {
    let world = CloudWorld::recorded().await;
    point_cloudstack_at_the_console(&world);
    world.sync().await;
    let console = format!("{}/Cloudian/", world.server.doors().console);
    let browser = Browser::start().await;
    let cloudstack = sign_in_at_cloudstack(&world, &browser, &world.account("/acme", "ada")).await;
    open_the_console(&browser, &cloudstack).await;

    let who = browser.text(&test_id("signed-in-as")).await;
    assert!(who.contains("(ada)"), "signed in as {who}");
    browser.arrives_at(&console).await;

    make_bucket(&browser, "browser-bucket").await;
    let file = world.server.scratch().join(FILE);
    std::fs::write(&file, content(3_000_000, 9)).unwrap();
    browser.type_into(&test_id("upload-files"), file.to_str().unwrap()).await;
    browser.click(&test_id("upload-submit")).await;
    browser.click(&format!("[data-key=\"{FILE}\"] [data-testid=\"download-link\"]")).await;
    let came = browser.downloaded(FILE).await;
    assert_eq!(sha256(&came), sha256(&content(3_000_000, 9)), "the download differs");

    // It is the same object by S3, and it is ada's.
    let acme = world.control.domain_id("/acme").unwrap();
    let key = world.server.key_of(&acme, &world.account("/acme", "ada")).await;
    assert_eq!(world.server.s3(&key).keys("browser-bucket").await, [FILE]);

    // Logging out of CloudStack logs out of the console and lands on CloudStack's page.
    browser.client.switch_to_window(cloudstack).await.unwrap();
    browser.click("#logout").await;
    browser.element("#login:not([hidden])").await;
    browser.arrives_at(&world.control.page_url()).await;
    browser.client.goto(&console).await.unwrap();
    browser.element(&test_id("login-form")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_connectors_link_signs_the_right_user_in_once() {
    let world =
        CloudWorld::with(cloudstack_stand_in::Cloud::recorded(), "cmc_protocol = \"https\"\ncmc_host = \"127.0.0.1\"")
            .await;
    world.sync().await;
    // The recorded settings name another port; the link is the connector's own but for its address.
    let console: Url = world.server.doors().console.parse().unwrap();
    let mut link: Url = world.link(&world.account("/globex", "homer")).await.parse().unwrap();
    link.set_port(console.port()).unwrap();
    let browser = Browser::start().await;
    browser.client.goto(link.as_str()).await.unwrap();
    let who = browser.text(&test_id("signed-in-as")).await;
    assert!(who.contains("(homer)"), "signed in as {who}");
    browser.click(&test_id("sign-out")).await;
    browser.element(&test_id("signed-out")).await;
    browser.client.goto(link.as_str()).await.unwrap();
    let page = browser.client.source().await.unwrap();
    assert!(!page.contains("data-testid=\"signed-in-as\""), "a link works once");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_administrator_sees_the_connector() {
    let world = CloudWorld::recorded().await;
    world.sync().await;
    let admin = world.server.first_credentials().console;
    let browser = Browser::start().await;
    browser.client.goto(&format!("{}/Cloudian/login.htm", world.server.doors().console)).await.unwrap();
    browser.type_into("#groupid", &admin.group).await;
    browser.type_into("#userid", &admin.user).await;
    browser.type_into("#password", &admin.password).await;
    browser.click(&test_id("login-submit")).await;
    browser.element(&test_id("signed-in-as")).await;
    browser.client.goto(&format!("{}/Cloudian/connector.htm", world.server.doors().console)).await.unwrap();
    let url = browser.text(&test_id("cloud-url")).await;
    assert_eq!(url, world.control.base_url());
    let last = browser.text(&test_id("last-pass")).await;
    assert!(last.contains("accounts"), "{last}");
}
