//! The table of who may use whom, and what must not be among the dependencies.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};
use tests::root_folder;

/// Each crate with those of ours that it may use. `docs/ARCHITECTURE.md` says why.
const MAY_USE: [(&str, &[&str]); 13] = [
    ("engine", &[]),
    ("sso", &[]),
    ("cloudstack-stand-in", &[]),
    ("test-databases", &[]),
    ("s3-store", &["engine"]),
    ("nfs-staging", &["engine"]),
    ("notifications", &["engine"]),
    ("admin-api", &["engine"]),
    ("console", &["engine", "sso"]),
    ("connector", &["admin-api", "sso"]),
    (
        "server",
        &[
            "engine",
            "sso",
            "cloudstack-stand-in",
            "s3-store",
            "nfs-staging",
            "notifications",
            "admin-api",
            "console",
            "connector",
        ],
    ),
    ("simulated-disk", &["engine"]),
    (
        "tests",
        &[
            "engine",
            "sso",
            "cloudstack-stand-in",
            "s3-store",
            "nfs-staging",
            "notifications",
            "admin-api",
            "console",
            "connector",
            "server",
            "test-databases",
            "simulated-disk",
        ],
    ),
];

/// Crates with lints of their own. A VFS of SQLite is made of C functions, so this one needs unsafe code, in tests only.
const OWN_LINTS: [&str; 1] = ["simulated-disk"];

/// Two TLS libraries would be two things to patch; aws-lc-rs is the one.
const BANNED: [&str; 4] = ["ring", "openssl", "openssl-sys", "native-tls"];

fn metadata() -> Metadata {
    MetadataCommand::new().manifest_path(root_folder().join("Cargo.toml")).no_deps().exec().unwrap()
}

#[test]
fn nobody_uses_whom_it_may_not() {
    let metadata = metadata();
    let table: BTreeMap<&str, BTreeSet<&str>> =
        MAY_USE.iter().map(|(name, used)| (*name, used.iter().copied().collect())).collect();
    let members = metadata.workspace_packages();
    let names: BTreeSet<&str> = members.iter().map(|package| package.name.as_str()).collect();
    assert_eq!(names, table.keys().copied().collect(), "the table and the workspace name different crates");
    for package in members {
        let may = &table[package.name.as_str()];
        for dependency in &package.dependencies {
            let ours = names.contains(dependency.name.as_str()) && dependency.path.is_some();
            // Tests may look at both sides of a door, but nobody may use the tests.
            let in_tests_only = dependency.kind == DependencyKind::Development && dependency.name != "tests";
            let allowed = !ours || in_tests_only || may.contains(dependency.name.as_str());
            assert!(allowed, "{} must not use {}", package.name, dependency.name);
        }
    }
}

#[test]
fn there_is_one_tls_library() {
    let tree = ["tree", "--locked", "--workspace", "--all-features", "--edges", "all", "--prefix", "none"];
    let output = Command::new(env!("CARGO")).args(tree).current_dir(root_folder()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let names: BTreeSet<&str> = text.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(names.contains("aws-lc-rs"), "the list of dependencies is not understood");
    for name in BANNED {
        assert!(!names.contains(name), "{name} is among the dependencies: cargo tree --invert {name}");
    }
}

#[test]
fn every_crate_inherits_versions_and_lints() {
    for package in metadata().workspace_packages() {
        let name = package.name.as_str();
        let manifest: toml::Table = std::fs::read_to_string(&package.manifest_path).unwrap().parse().unwrap();
        let inherits = manifest["lints"].get("workspace").and_then(toml::Value::as_bool) == Some(true);
        assert_eq!(inherits, !OWN_LINTS.contains(&name), "{name}: the lints are the workspace's");
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let Some(dependencies) = manifest.get(section).and_then(toml::Value::as_table) else { continue };
            for (dependency, how) in dependencies {
                let inherited = how.get("workspace").and_then(toml::Value::as_bool) == Some(true);
                assert!(inherited, "{name} has a version of its own of {dependency}");
            }
        }
    }
}
