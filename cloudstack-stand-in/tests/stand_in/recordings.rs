//! The stand-in gives the recorded answers to the recorded requests.

use crate::common::{Comparison, Got, ask, recording, signed};
use cloudstack_stand_in::{Cloud, Control, Options, StandIn};
use serde_json::Value;

struct Replay {
    stand_in: StandIn,
    comparison: Comparison,
}

impl Replay {
    async fn of(cloud: Cloud) -> Self {
        let stand_in = StandIn::start(cloud, Options::default()).await.unwrap();
        Self { stand_in, comparison: Comparison::default() }
    }

    fn control(&self) -> &Control {
        self.stand_in.control()
    }

    fn keys_of(&self, domain: &str, account: &str) -> (String, String) {
        let control = self.control();
        control.keys_for(&control.account_id(domain, account).unwrap()).unwrap()
    }

    /// Sends the recorded parameters and compares status, header and body.
    async fn step(&mut self, name: &str, keys: &(String, String)) -> Got {
        let recording = recording(name);
        let parameters = recording["request"]["parameters"].as_object().unwrap();
        let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let parameters: Vec<(String, String)> =
            parameters.iter().map(|(key, value)| (key.clone(), self.comparison.translate(&plain(value)))).collect();
        let got = signed(&self.stand_in.base_url(), keys, &parameters).await;
        assert_eq!(recording["answer"]["status"], got.status, "{name}: {}", got.text);
        self.comparison.same(name, &recording["answer"]["body"], &got.json());
        let description = recording["answer"]["headers"].get("x-description").and_then(Value::as_str);
        assert_eq!(description.map(|text| self.comparison.translate(text)), got.description, "{name}");
        got
    }

    async fn steps(&mut self, names: &[&str], keys: &(String, String)) {
        for name in names {
            self.step(name, keys).await;
        }
    }
}

#[tokio::test]
async fn a_fresh_cloud_and_its_first_tenants() {
    let mut replay = Replay::of(Cloud::empty()).await;
    let admin = replay.control().admin_keys();
    let names = [
        "fresh-list-domains",
        "fresh-list-accounts",
        "fresh-list-users",
        "fresh-list-roles",
        "list-configurations-default",
        "list-configurations-one",
        "list-configurations-paged",
        "list-configurations-unknown",
        "cloudian-is-enabled-off",
        "cloudian-sso-login-off",
        "update-configuration-cloudian-sso-key",
        "update-configuration-cloudian-connector-enabled",
        "update-configuration-bad-type",
        "create-domain",
        "create-domain-child",
        "create-domain-unicode",
        "create-domain-duplicate",
        "create-account",
        "create-account-domain-admin",
        "create-account-latin1",
        "create-account-unicode",
        "create-account-duplicate",
        "create-user",
    ];
    replay.steps(&names, &admin).await;
    // Turned on now, but it would only be registered at the next start.
    replay.step("cloudian-sso-login-off", &admin).await;
}

#[tokio::test]
async fn lists_of_the_recorded_tenants() {
    let mut replay = Replay::of(Cloud::recorded()).await;
    let admin = replay.control().admin_keys();
    let names = [
        "list-domains",
        "list-domains-minimal",
        "list-domains-page-1",
        "list-domains-page-2",
        "list-domains-page-9",
        "list-domains-pagesize-only",
        "list-domains-pagesize-too-large",
        "list-domain-by-id",
        "list-domain-unknown",
        "unicode-list-domain",
        "list-accounts",
        "list-accounts-minimal",
        "list-accounts-page-1",
        "list-accounts-page-3",
        "list-accounts-page-9",
        "list-accounts-of-domain",
        "list-accounts-of-domain-recursive",
        "list-accounts-without-listall",
        "list-project-accounts",
        "list-users",
        "list-users-by-keyword",
        "list-projects",
        "get-user-keys",
        "signature-without-version",
        "list-capabilities",
        "list-event-types",
        "list-configurations-set",
        "error-bad-uuid",
        "error-missing-parameter",
        "error-unknown-command",
        "cloudian-is-enabled",
    ];
    replay.steps(&names, &admin).await;
    let domain_admin = replay.keys_of("/acme", "acme-admin");
    let names = ["domain-admin-list-domains", "domain-admin-list-accounts", "domain-admin-list-configurations"];
    replay.steps(&names, &domain_admin).await;
    let user = replay.keys_of("/acme", "ada");
    let names =
        ["user-list-accounts", "user-list-users", "user-list-domains", "user-get-user", "cloudian-is-enabled-user"];
    replay.steps(&names, &user).await;
    let known = replay.comparison.ours.iter().all(|(recorded, ours)| recorded == ours);
    assert!(known, "the recorded tenants keep their ids");
}

#[tokio::test]
async fn changes_of_the_recorded_tenants() {
    let mut replay = Replay::of(Cloud::recorded()).await;
    replay.control().moves_do_not_stick(true);
    let admin = replay.control().admin_keys();
    let homer = replay.keys_of("/globex", "homer");
    replay.steps(&["disable-account", "disable-account-pending", "disable-account-result"], &admin).await;
    replay.step("list-account-disabled", &admin).await;
    replay.step("disabled-account-command", &homer).await;
    replay.step("enable-account", &admin).await;
    replay.steps(&["lock-account", "lock-account-pending", "lock-account-result", "list-account-locked"], &admin).await;
    replay.step("locked-account-command", &homer).await;
    replay.step("enable-account", &admin).await;
    let names = [
        "update-account-rename",
        "update-user",
        "disable-user",
        "disable-user-pending",
        "disable-user-result",
        "list-account-with-disabled-user",
    ];
    replay.steps(&names, &admin).await;
    let enable = [("command", "enableUser"), ("id", "ad70692e-3581-4dc0-bbf4-cf0191ca264d")];
    assert_eq!(ask(&replay.stand_in.base_url(), &admin, &enable).await.status, 200);
    let names = [
        "update-domain-rename",
        "list-domains-after-rename",
        "move-domain",
        "delete-account",
        "delete-account-pending",
        "delete-account-result",
        "list-account-deleted",
        "delete-domain-not-empty",
        "delete-domain-not-empty-pending",
        "delete-domain-not-empty-result",
        "delete-domain-cleanup",
        "delete-domain-cleanup-pending",
        "delete-domain-cleanup-result",
        "list-domains-after-delete",
        "list-accounts-after-delete",
    ];
    replay.steps(&names, &admin).await;
    events_are_as_recorded(&replay, &admin).await;
}

/// The same changes left the same events, but for log-ins, projects and keys, which came from elsewhere.
async fn events_are_as_recorded(replay: &Replay, admin: &(String, String)) {
    let told = |body: &Value| -> Vec<String> {
        let events = body["event"].as_array().unwrap().iter();
        let elsewhere = ["USER.LOGIN", "PROJECT.DELETE", "REGISTER.USER.KEY"];
        let told = events.filter(|event| !elsewhere.contains(&event["type"].as_str().unwrap()));
        let text = |event: &Value| {
            ["type", "state", "level", "description", "username", "account", "domainpath", "resourceid", "resourcename"]
                .map(|field| event[field].as_str().unwrap_or("-").to_owned())
                .join(" | ")
        };
        told.map(text).collect()
    };
    let got = ask(&replay.stand_in.base_url(), admin, &[("command", "listEvents"), ("listall", "true")]).await.inner();
    let recorded = &recording("list-events-since")["answer"]["body"]["listeventsresponse"];
    let mut recorded = told(recorded);
    // The operator enabled the account once more between two recordings.
    let again = recorded.iter().position(|line| line.starts_with("ACCOUNT.ENABLE")).unwrap();
    recorded.drain(again..again + 2);
    assert_eq!(told(&got), recorded);
    let fields = |event: &Value| event.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let one = |body: &Value| body["event"].as_array().unwrap().last().map(fields);
    assert!(one(&got).unwrap().iter().all(|field| {
        let known = &recording("list-events-since")["answer"]["body"]["listeventsresponse"]["event"];
        known.as_array().unwrap().iter().any(|event| event.get(field).is_some())
    }));
}

#[tokio::test]
async fn the_button_makes_the_recorded_link() {
    let replay = Replay::of(Cloud::recorded()).await;
    for (name, domain, account) in [
        ("root-admin", "/", "admin"),
        ("operator", "/", "operator"),
        ("ada", "/acme", "ada"),
        ("acme-admin", "/acme", "acme-admin"),
        ("jose", "/acme", "josé"),
        ("admin-of-acme", "/acme", "admin"),
        ("devbot", "/acme/dev", "devbot"),
        ("taro", "/Größe-東京", "東京"),
        ("homer", "/globex", "homer"),
    ] {
        let recorded = recording(&format!("cloudian-sso-login-{name}"));
        let pointer = "/answer/body/cloudianssologinresponse/cloudianssologin/url";
        let recorded = recorded.pointer(pointer).unwrap().as_str().unwrap().to_owned();
        let made_ms = recorded.split("timestamp=").nth(1).unwrap().split('&').next().unwrap().parse().unwrap();
        let keys = replay.keys_of(domain, account);
        replay.control().freeze_clock(made_ms);
        let got = ask(&replay.stand_in.base_url(), &keys, &[("command", "cloudianSsoLogin")]).await.inner();
        assert_eq!(got["cloudianssologin"]["url"], recorded.as_str(), "{name}");
    }
}
