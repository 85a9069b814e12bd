//! What the configuration takes and refuses.

use std::net::{IpAddr, Ipv4Addr};

use secrecy::ExposeSecret as _;

use super::*;

/// The page that explains every key.
const REFERENCE: &str = include_str!("../../../docs/how-to/configuration.md");

/// Loads a file with this text and these variables.
fn load_text(text: &str, variables: &[(&str, &str)]) -> anyhow::Result<Config> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cloudhold.toml");
    std::fs::write(&file, text).unwrap();
    let overrides = Overrides { file: Some(file), data_dir: Some(folder.path().join("data")), ports_auto: false };
    load_from(&overrides, variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
}

fn refusal(text: &str, variables: &[(&str, &str)]) -> String {
    format!("{:#}", load_text(text, variables).unwrap_err())
}

#[test]
fn nothing_given_is_the_default() {
    let config = load_text("", &[]).unwrap();
    assert_eq!(config.engine.trash_grace_days, 7);
    assert_eq!(config.doors.address, IpAddr::V4(Ipv4Addr::LOCALHOST));
    assert!(config.data.dir.is_absolute());
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_name_and_its_whole_path() {
    let text = refusal("[doors.s3]\nprot = 1\n", &[]);
    assert!(text.contains("`doors.s3.prot`") && text.contains("did you mean `doors.s3.port`?"), "{text}");
    assert!(text.contains("cloudhold.toml"), "{text}");
    let text = refusal("[engin]\nreaders = 1\n", &[]);
    assert!(text.contains("`engin`") && text.contains("did you mean `engine`?"), "{text}");
    let text = refusal("[engine]\nxyzzy = 1\n", &[]);
    assert!(text.contains("`engine.xyzzy`") && text.contains("trash_grace_days"), "{text}");
}

#[test]
fn an_unknown_variable_is_refused_as_an_unknown_key_is() {
    let text = refusal("", &[("CLOUDHOLD_ENGINE__TRASH_GRACE_DAY", "1")]);
    assert!(text.contains("did you mean `engine.trash_grace_days`?"), "{text}");
    assert!(text.contains("CLOUDHOLD_ENGINE__TRASH_GRACE_DAY"), "{text}");
}

#[test]
fn the_environment_stands_over_the_file() {
    let file = "[engine]\ntrash_grace_days = 3\nreaders = 2\n[doors.s3]\nport = 1000\n";
    let variables = [
        ("CLOUDHOLD_ENGINE__TRASH_GRACE_DAYS", "9"),
        ("CLOUDHOLD_DOORS__S3__PORT", "2000"),
        ("CLOUDHOLD_DOORS__NAMES", "[\"s3.example\", \"10.0.0.7\"]"),
        ("CLOUDHOLD_DOORS__METRICS_TOKEN", "1234567890123456"),
        ("CLOUDHOLD_SERVICE_HOST", "10.0.0.1"),
        ("PATH", "/bin"),
    ];
    let config = load_text(file, &variables).unwrap();
    assert_eq!((config.engine.trash_grace_days, config.engine.readers), (9, 2));
    assert_eq!(config.doors.s3.port, Some(2000));
    assert_eq!(config.doors.names, ["s3.example", "10.0.0.7"]);
    assert_eq!(config.doors.metrics_token.unwrap().expose_secret(), "1234567890123456");
}

#[test]
fn a_wrong_type_names_the_key_and_shows_no_secret() {
    let text = refusal("[doors.s3]\nport = \"http\"\n", &[]);
    assert!(text.contains("`doors.s3.port`") && text.contains("http"), "{text}");
    let text = refusal("[doors]\nmetrics_token = [\"hush-hush-hush-hush\"]\n", &[]);
    assert!(text.contains("`doors.metrics_token`") && !text.contains("hush"), "{text}");
}

#[test]
fn a_mistake_in_the_file_is_told_by_its_place_and_shows_no_secret() {
    for (text, place) in [
        ("[cloudstack]\nsecret_key = \"hush-hush\nurl = \"\"\n", "line 2, column "),
        ("[cloudstack]\nsecret_key = hush-hush\n", "line 2, column "),
        ("[cloudstack]\nsecret_key = \"hush\"\nsecret_key = \"hush-hush\"\n", "line 3, column 1"),
        ("secret_key \"hush-hush\"\n", "line 1, column "),
    ] {
        let told = refusal(text, &[]);
        assert!(told.contains("cloudhold.toml") && told.contains(place), "{told}");
        assert!(!told.contains("hush"), "{told}");
    }
}

#[test]
fn another_version_is_refused() {
    assert!(refusal("version = 2\n", &[]).contains("version 2"));
}

#[test]
fn plain_doors_with_passwords_beyond_loopback_need_a_word() {
    let text = refusal("[doors.admin_api]\naddress = \"0.0.0.0\"\n", &[]);
    assert!(text.contains("doors.allow_plain_beyond_loopback"), "{text}");
    load_text("[doors]\nallow_plain_beyond_loopback = true\n[doors.admin_api]\naddress = \"0.0.0.0\"\n", &[]).unwrap();
    load_text("[doors]\naddress = \"0.0.0.0\"\n", &[]).unwrap();
}

#[test]
fn metrics_beyond_loopback_need_a_token() {
    let opened = "[doors.metrics]\naddress = \"0.0.0.0\"\n";
    assert!(refusal(opened, &[]).contains("metrics_token"));
    assert!(refusal(opened, &[("CLOUDHOLD_DOORS__METRICS_TOKEN", "short")]).contains("16 characters"));
    load_text(opened, &[("CLOUDHOLD_DOORS__METRICS_TOKEN", "0123456789abcdef")]).unwrap();
}

#[test]
fn names_that_cannot_stand_in_a_certificate_are_refused() {
    for name in ["https://s3.example", "s3.example:9000", "*.example", ""] {
        assert!(refusal(&format!("[doors]\nnames = [{name:?}]\n"), &[]).contains("doors.names"), "{name}");
    }
}

#[test]
fn a_named_file_must_be_there() {
    let overrides = Overrides { file: Some("/nonexistent/cloudhold.toml".into()), ..Overrides::default() };
    assert!(load_from(&overrides, []).is_err());
}

/// The names that a section has, as the refusal of an unknown one lists them.
fn names_of(section: &str) -> Vec<String> {
    let head = if section.is_empty() { String::new() } else { format!("[{section}]\n") };
    let text = refusal(&format!("{head}qqqq = 1\n"), &[]);
    let (_, names) = text.split_once("there are: ").unwrap_or_else(|| panic!("{section}: {text}"));
    names.split(", ").map(str::to_owned).collect()
}

#[test]
fn the_reference_is_right_and_whole() {
    let block = REFERENCE.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    load_text(block, &[]).unwrap();
    let sections =
        ["", "data", "engine", "engine.faults", "doors", "doors.tls", "doors.s3", "s3", "admin_api", "console"];
    let more = ["cloudstack", "connector", "connector.target", "staging", "staging.hooks", "log"];
    for section in sections.into_iter().chain(more) {
        // What stands between the head of the section and the next one.
        let part = if section.is_empty() {
            block
        } else {
            let (_, rest) =
                block.split_once(&format!("[{section}]")).unwrap_or_else(|| panic!("[{section}] is not explained"));
            rest.split("\n[").next().unwrap()
        };
        for name in names_of(section) {
            let is_key = part.lines().any(|line| line.trim_start_matches("# ").starts_with(&format!("{name} = ")));
            let is_section = block.contains(&format!("[{name}]")) || block.contains(&format!("[{section}.{name}]"));
            assert!(is_key || is_section, "{section}.{name} is not explained");
        }
    }
}

/// What the page says about defaults is what the program does: with all explained values set, nothing differs.
#[test]
fn the_reference_names_the_defaults() {
    let block = REFERENCE.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let (explained, plain) = (load_text(block, &[]).unwrap(), load_text("", &[]).unwrap());
    let shown = |config: &Config| {
        let Config {
            engine, doors, s3, admin_api, console, cloudstack, connector, staging, notifications, log, ..
        } = config;
        format!(
            "{engine:?} {doors:?} {s3:?} {admin_api:?} {console:?} {cloudstack:?} {connector:?} {staging:?} \
             {notifications:?} {log:?}"
        )
    };
    assert_eq!(shown(&explained), shown(&plain));
}
