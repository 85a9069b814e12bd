//! The ring's file, what it seals, and what it refuses.

use std::os::unix::fs::PermissionsExt;

use secrecy::ExposeSecret;

use super::*;

const PLACE: Place<'static> = Place { table: "credentials", column: "secret", row: "00aa" };

fn ring_in(dir: &Path) -> KeyRing {
    KeyRing::open_or_create(&dir.join("keys.json"), true).expect("a ring")
}

fn refusal(result: Result<KeyRing>) -> String {
    match result {
        Err(Error::Unusable(why)) => why,
        other => panic!("should be refused as unusable: {other:?}"),
    }
}

#[test]
fn a_ring_is_made_once_private_and_without_leftovers() {
    let dir = tempfile::tempdir().expect("a directory");
    let made = ring_in(dir.path());
    let path = dir.path().join("keys.json");
    assert_eq!(fs::metadata(&path).expect("the file").mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(dir.path()).expect("the directory").count(), 1, "nothing lies beside the ring");
    let sealed = made.seal(PLACE, b"secret").expect("sealed");
    for new in [true, false] {
        let again = KeyRing::open_or_create(&path, new).expect("the same ring");
        assert_eq!(again.open(PLACE, &sealed).expect("opens").as_slice(), b"secret");
    }
}

#[test]
fn a_missing_ring_of_an_old_database_is_refused_and_not_made() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("keys.json");
    assert!(refusal(KeyRing::open_or_create(&path, false)).contains("is missing"));
    assert!(!path.exists());
}

#[test]
fn a_ring_that_others_may_read_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    ring_in(dir.path());
    let path = dir.path().join("keys.json");
    for mode in [0o640, 0o604, 0o660, 0o610] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("a mode");
        assert!(refusal(KeyRing::open_or_create(&path, false)).contains("0600"), "{mode:o}");
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).expect("a mode");
    assert!(KeyRing::open_or_create(&path, false).is_ok(), "a ring that nobody may write is fine");
}

#[test]
fn malformed_rings_are_refused_without_showing_their_keys() {
    let key = STANDARD.encode([7; 32]);
    let cases = [
        (String::new(), "is not a key ring"),
        ("{}".into(), "is not a key ring"),
        (format!(r#"{{"version":2,"keyz":"{key}"}}"#), "has format 2"),
        (format!(r#"{{"version":1,"current":1,"keys":[{{"id":1,"key":"{key}"}}],"x":1}}"#), "is not a key ring"),
        (format!(r#"{{"version":1,"current":2,"keys":[{{"id":1,"key":"{key}"}}]}}"#), "lacks its current key"),
        (
            format!(r#"{{"version":1,"current":1,"keys":[{{"id":1,"key":"{key}"}},{{"id":1,"key":"{key}"}}]}}"#),
            "two keys",
        ),
        (r#"{"version":1,"current":1,"keys":[{"id":1,"key":"c2hvcnQ="}]}"#.into(), "not 32 bytes"),
        (r#"{"version":1,"current":1,"keys":[{"id":1,"key":"!!!"}]}"#.into(), "not 32 bytes"),
    ];
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("keys.json");
    for (text, why) in cases {
        fs::write(&path, &text).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("a mode");
        let said = refusal(KeyRing::open_or_create(&path, false));
        assert!(said.contains(why), "{text} gave: {said}");
        assert!(!said.contains(&key));
    }
}

#[test]
fn a_sealed_value_opens_only_in_its_place_and_unchanged() {
    let dir = tempfile::tempdir().expect("a directory");
    let ring = ring_in(dir.path());
    let sealed = ring.seal(PLACE, b"wJalrXUtnFEMI").expect("sealed");
    assert_eq!(ring.open_text(PLACE, &sealed).expect("opens").expose_secret(), "wJalrXUtnFEMI");
    assert_ne!(ring.seal(PLACE, b"wJalrXUtnFEMI").expect("sealed"), sealed, "each value has its own nonce");
    for other in [
        Place { row: "00ab", ..PLACE },
        Place { column: "secre", row: "t00aa", ..PLACE },
        Place { table: "sessions", ..PLACE },
    ] {
        assert!(matches!(ring.open(other, &sealed), Err(Error::Corrupt(_))), "{other:?}");
    }
    for at in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        assert!(ring.open(PLACE, &changed).is_err(), "byte {at} is protected");
        assert!(ring.open(PLACE, &sealed[..at]).is_err(), "a value cut at {at} does not open");
    }
}

#[test]
fn rotation_keeps_old_values_and_uses_the_new_key() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut ring = ring_in(dir.path());
    let old = ring.seal(PLACE, b"old").expect("sealed");
    let old_hash = ring.keyed_hash(HashLabel::Session, &[b"token"]).expect("a hash");
    let check = ring.check_value().expect("a check value");
    assert_eq!(ring.add_key_and_make_current().expect("a key"), 2);

    let ring = KeyRing::open_or_create(&dir.path().join("keys.json"), false).expect("the ring read back");
    let new = ring.seal(PLACE, b"new").expect("sealed");
    assert_eq!((seal::key_id(PLACE, &old).expect("an id"), seal::key_id(PLACE, &new).expect("an id")), (1, 2));
    assert_eq!(ring.open(PLACE, &old).expect("opens").as_slice(), b"old");
    assert_eq!(ring.open(PLACE, &new).expect("opens").as_slice(), b"new");
    ring.confirm(&check).expect("the check value of before the rotation");

    let new_hash = ring.keyed_hash(HashLabel::Session, &[b"token"]).expect("a hash");
    assert_ne!(new_hash, old_hash);
    assert_eq!(ring.keyed_hashes(HashLabel::Session, &[b"token"]), vec![new_hash, old_hash]);
    assert_eq!(fs::metadata(dir.path().join("keys.json")).expect("the file").mode() & 0o777, 0o600);
}

#[test]
fn another_ring_fits_neither_values_nor_database() {
    let (one, two) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let (ring, other) = (ring_in(one.path()), ring_in(two.path()));
    let sealed = ring.seal(PLACE, b"secret").expect("sealed");
    assert!(matches!(other.open(PLACE, &sealed), Err(Error::Corrupt(_))));
    let check = ring.check_value().expect("a check value");
    ring.confirm(&check).expect("its own");
    for bad in [check.as_str(), "", "zz", "01"] {
        let said = refusal(other.confirm(bad).map(|()| ring_in(two.path())));
        assert!(said.contains("does not fit the database"), "{said}");
    }
}

#[test]
fn keyed_hashes_depend_on_label_parts_and_their_borders() {
    let dir = tempfile::tempdir().expect("a directory");
    let ring = ring_in(dir.path());
    let hash = |label, parts: &[&[u8]]| ring.keyed_hash(label, parts).expect("a hash");
    let base = hash(HashLabel::Session, &[b"ab", b"c"]);
    assert_eq!(base.len(), 32);
    assert_eq!(base, hash(HashLabel::Session, &[b"ab", b"c"]));
    assert_ne!(base, hash(HashLabel::Session, &[b"a", b"bc"]));
    assert_ne!(base, hash(HashLabel::ServiceAccount, &[b"ab", b"c"]));
}

#[test]
fn debug_output_shows_no_key() {
    let dir = tempfile::tempdir().expect("a directory");
    let ring = ring_in(dir.path());
    let shown = format!("{ring:?}");
    let file: serde_json::Value =
        serde_json::from_slice(&fs::read(dir.path().join("keys.json")).expect("the file")).expect("JSON");
    let key = file["keys"][0]["key"].as_str().expect("a key");
    assert!(shown.contains("key_ids: [1]") && !shown.contains(key), "{shown}");
}
