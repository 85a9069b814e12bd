//! `check` says in one line each what is wrong.

use cloudstack_stand_in::{Cloud, Lie};
use connector::{CheckLine, Verdict};

use crate::world::World;

fn wrong(lines: &[CheckLine]) -> Vec<&str> {
    lines.iter().filter(|line| line.verdict == Verdict::Wrong).map(|line| line.text.as_str()).collect()
}

async fn says(world: &World, words: &[&str]) {
    let lines = world.connector.check().await;
    let wrong = wrong(&lines);
    assert_eq!(wrong.len(), words.len(), "{wrong:?}");
    for (line, word) in wrong.iter().zip(words) {
        assert!(line.contains(word), "{word}: {line}");
    }
    assert!(!format!("{lines:?}").contains("s3cret pass+word"));
}

/// The settings as they must be for the store of this test.
async fn right() -> World {
    let world = World::recorded().await;
    let port = world.admin_url.port().unwrap().to_string();
    for (name, value) in [("cloudian.admin.protocol", "http"), ("cloudian.admin.port", &port)] {
        world.control.set_setting(name, value).unwrap();
    }
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_wrong_when_all_is_well() {
    let world = right().await;
    says(&world, &[]).await;
    assert!(world.connector.check().await.iter().any(|line| line.verdict == Verdict::Ok));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_wrong_setting_has_its_line() {
    let world = right().await;
    for (name, value, word) in [
        ("cloudian.admin.port", "19443", "cloudian.admin.port"),
        ("cloudian.admin.protocol", "https", "cloudian.admin.protocol"),
        ("cloudian.admin.user", "other", "cloudian.admin.user"),
        ("cloudian.admin.password", "public", "cloudian.admin.password"),
        ("cloudian.cmc.admin.user", "nobody", "cloudian.cmc.admin.user"),
        ("cloudian.sso.key", "ss0sh5r3dk3y", "cloudian.sso.key"),
        ("cloudian.cmc.port", "many", "cloudian.cmc"),
    ] {
        let before = world.setting(name).await;
        world.control.set_setting(name, value).unwrap();
        says(&world, &[word]).await;
        world.control.set_setting(name, &before).unwrap();
    }
    says(&world, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_does_not_work_or_sees_too_little_is_named() {
    let world = right().await;
    world.control.fail(Some("listDomains"), 401, 1);
    says(&world, &["credentials"]).await;
    world.control.behave();
    world.control.lie(Some("listDomains"), Lie::WithoutRoot);
    says(&world, &["ROOT"]).await;
    world.control.behave();
    world.control.vanish().await;
    says(&world, &["cannot be reached"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_come_from_us_where_we_say_so() {
    let world = World::with(Cloud::recorded(), |config| {
        config.cloudstack.sso_key = Some("another shared key".into());
        config.cloudstack.cmc_host = Some("console.example.org".into());
    })
    .await;
    assert!(world.connector.sso_key().await.is_some());
    let shown = world.connector.status().await.settings;
    let of = |name: &str| shown.iter().find(|setting| setting.name == name).unwrap();
    assert_eq!(of("cloudian.cmc.host").value, "console.example.org");
    assert_eq!(of("cloudian.cmc.host").source, connector::Source::Configuration);
    assert_eq!(of("cloudian.cmc.port").source, connector::Source::CloudStack);
    assert_eq!(of("cloudian.sso.key").value, "(set)");
    assert!(!format!("{shown:?}").contains("Kr7-example-shared-key"));
}
