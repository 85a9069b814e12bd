//! `check`: tries the log-in, the rights and the settings, and says in one line each what is wrong.

use std::time::Duration;

use secrecy::ExposeSecret;
use subtle::ConstantTimeEq;
use url::Url;

use crate::{
    cloudstack::CloudError,
    names,
    reconciler::Inner,
    report::{CheckLine, Verdict},
    settings::{AdminSettings, Settings},
};

/// How many `cloudian.*` settings a CloudStack with the plug-in has.
const SETTINGS_WITH_PLUGIN: usize = 13;

/// The lines, collected.
#[derive(Default)]
struct Lines(Vec<CheckLine>);

impl Lines {
    fn ok(&mut self, text: impl Into<String>) {
        self.0.push(CheckLine { verdict: Verdict::Ok, text: text.into() });
    }

    fn warning(&mut self, text: impl Into<String>) {
        self.0.push(CheckLine { verdict: Verdict::Warning, text: text.into() });
    }

    fn wrong(&mut self, text: impl Into<String>) {
        self.0.push(CheckLine { verdict: Verdict::Wrong, text: text.into() });
    }

    fn call<T>(&mut self, what: &str, result: Result<T, CloudError>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.wrong(format!("{what}: {}", crate::Error::from(error)));
                None
            }
        }
    }
}

/// Looks at everything that an operator can get wrong.
pub(crate) async fn check(inner: &Inner) -> Vec<CheckLine> {
    let mut lines = Lines::default();
    if check_rights(inner, &mut lines).await {
        let settings = inner.settings(Duration::ZERO).await;
        check_settings(&settings, &mut lines);
        check_console(&inner.doors.console, &settings, &mut lines);
        check_admin_settings(inner, &settings.admin, &mut lines);
        check_target(inner, &settings, &mut lines).await;
    }
    if let Some(why) = inner.stopped() {
        lines.wrong(why);
    }
    lines.0
}

/// The log-in, and whether the key sees what the connector must see. False when nothing else can be asked.
async fn check_rights(inner: &Inner, lines: &mut Lines) -> bool {
    let Some(domains) = lines.call("log-in and listDomains", inner.cloud.domains(1).await) else { return false };
    lines.ok(format!("log-in: {} answers", inner.cloud.origin()));
    match domains.items.iter().find(|domain| names::is_root(domain)) {
        None => lines.wrong("rights: this key does not see the ROOT domain; it needs the role of a root admin"),
        Some(root) => check_root(inner, &root.id, lines).await,
    }
    if let Some(page) = lines.call("listAccounts", inner.cloud.accounts(1).await) {
        match page.count {
            Some(count) => lines.ok(format!("rights: {count} accounts are seen")),
            None => lines.wrong("rights: no account is seen, not even the key's own"),
        }
    }
    if lines.call("listEvents", inner.cloud.events(None, 1).await).is_some() {
        lines.ok("rights: events are readable");
    }
    true
}

async fn check_root(inner: &Inner, root_id: &str, lines: &mut Lines) {
    match inner.state.cloud().await {
        Ok(Some(row)) if row.cloud_id != root_id => lines.wrong(format!(
            "this CloudStack has the ROOT domain {root_id}, but the state belongs to {}: nothing is changed",
            row.cloud_id
        )),
        Ok(_) => lines.ok(format!("the ROOT domain is {root_id}")),
        Err(error) => lines.wrong(format!("the connector's state: {error}")),
    }
}

fn check_settings(settings: &Settings, lines: &mut Lines) {
    match settings.given {
        0 => lines.warning(
            "settings: CloudStack shows no cloudian.* settings: its plug-in is not there, or this key may not read them",
        ),
        SETTINGS_WITH_PLUGIN => lines.ok("settings: all 13 cloudian.* settings are read"),
        given => lines.warning(format!("settings: only {given} of the 13 cloudian.* settings are read")),
    }
    if !settings.enabled {
        lines.warning(
            "cloudian.connector.enabled is false: nothing is done by itself; set cloudstack.enabled to override",
        );
    }
    match &settings.sso_key {
        Ok(_) => lines.ok("cloudian.sso.key: single sign-on has a key"),
        Err(why) => lines.wrong(format!("cloudian.sso.key: {why}")),
    }
    match &settings.console {
        Ok(console) => lines.ok(format!("browsers are sent to {}", console.base_url())),
        Err(why) => lines.wrong(format!("cloudian.cmc.*: {why}")),
    }
}

/// A proxy may stand between browsers and us, so a console address that is not ours is no error.
fn check_console(doors: &[Url], settings: &Settings, lines: &mut Lines) {
    let Ok(console) = &settings.console else { return };
    let ours = |door: &Url| door.scheme() == console.protocol && door.port_or_known_default() == Some(console.port);
    if !doors.is_empty() && !doors.iter().any(ours) {
        lines.warning(format!(
            "cloudian.cmc.*: no console of ours listens at {}: a proxy must stand between",
            console.base_url()
        ));
    }
}

/// Compares how CloudStack's own plug-in would reach us with our doors. Nothing is sent anywhere.
fn check_admin_settings(inner: &Inner, admin: &AdminSettings, lines: &mut Lines) {
    let (Some(protocol), Some(host), Some(port)) = (&admin.protocol, &admin.host, &admin.port) else { return };
    let doors = &inner.doors;
    if !doors.admin.is_empty() {
        check_address(&doors.admin, protocol, host, port, lines);
    }
    if protocol == "https" && admin.validate_tls.as_deref() == Some("true") {
        lines.warning("cloudian.validate.ssl is true: CloudStack's Java must trust the certificate of our Admin API");
    }
    let Some((user, password)) = &doors.admin_credentials else { return };
    match &admin.user {
        Some(theirs) if theirs == user => lines.ok("cloudian.admin.user is ours"),
        Some(theirs) => lines.wrong(format!("cloudian.admin.user is {theirs:?}, ours is {user:?}")),
        None => lines.wrong("cloudian.admin.user is not set"),
    }
    let same = admin
        .password
        .as_ref()
        .is_some_and(|theirs| bool::from(theirs.expose_secret().as_bytes().ct_eq(password.expose_secret().as_bytes())));
    if same {
        lines.ok("cloudian.admin.password is ours");
    } else {
        lines.wrong("cloudian.admin.password is not the password of our Admin API");
    }
}

fn check_address(doors: &[Url], protocol: &str, host: &str, port: &str, lines: &mut Lines) {
    let told = format!("{protocol}://{host}:{port}");
    let same_protocol: Vec<&Url> = doors.iter().filter(|door| door.scheme() == protocol).collect();
    let ports = |doors: &[&Url]| -> Vec<String> {
        doors.iter().filter_map(|door| door.port_or_known_default()).map(|port| port.to_string()).collect()
    };
    if same_protocol.is_empty() {
        lines.wrong(format!("cloudian.admin.protocol is {protocol:?}: our Admin API has no such door"));
        return;
    }
    let open = ports(&same_protocol);
    if !open.iter().any(|door| door == port) {
        lines.wrong(format!(
            "cloudian.admin.port is {port}: our {protocol} door of the Admin API is {}",
            open.join(", ")
        ));
    }
    let listening: Vec<&str> = same_protocol.iter().filter_map(|door| door.host_str()).collect();
    let everywhere = |door: &&str| matches!(*door, "0.0.0.0" | "[::]");
    if listening.contains(&host) || listening.iter().any(everywhere) {
        lines.ok(format!("cloudian.admin.*: CloudStack's plug-in is sent to {told}"));
    } else {
        lines.warning(format!(
            "cloudian.admin.host is {host:?}, our Admin API listens on {}: they must be the same machine",
            listening.join(", ")
        ));
    }
}

/// The Admin API that the connector itself uses, and the admin whom CloudStack's `admin` becomes.
async fn check_target(inner: &Inner, settings: &Settings, lines: &mut Lines) {
    match inner.target.user("0", &settings.cmc_admin_user).await {
        Ok(Some(user)) if user.active => lines.ok(format!("target: {} answers", inner.target.address())),
        Ok(Some(_)) => lines.wrong(format!(
            "cloudian.cmc.admin.user: {:?} of group 0 is not active, so CloudStack's admin cannot sign in",
            settings.cmc_admin_user
        )),
        Ok(None) => lines.wrong(format!(
            "cloudian.cmc.admin.user: there is no {:?} in group 0, so CloudStack's admin cannot sign in",
            settings.cmc_admin_user
        )),
        Err(error) => lines.wrong(crate::Error::from(error).to_string()),
    }
}
