//! Handshakes of a real client with the certificates of the doors.

use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConnection};
use time::Duration;

use super::*;

fn names(more: &[&str]) -> Vec<String> {
    ["localhost", "127.0.0.1", "::1"].iter().chain(more).map(|name| (*name).to_owned()).collect()
}

fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

/// Whether a client that trusts only `ca_pem` takes what the server shows for `name`.
fn handshake(server: &Certificates, ca_pem: &str, name: &str) -> Result<(), rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca_pem.as_bytes()).unwrap()).unwrap();
    let client = ClientConfig::builder_with_provider(server.provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::new(client), name).unwrap();
    let mut server = ServerConnection::new(server.server_config().unwrap()).unwrap();
    let mut wire = Vec::new();
    while client.is_handshaking() || server.is_handshaking() {
        wire.clear();
        client.write_tls(&mut wire).unwrap();
        server.read_tls(&mut wire.as_slice()).unwrap();
        server.process_new_packets()?;
        wire.clear();
        server.write_tls(&mut wire).unwrap();
        client.read_tls(&mut wire.as_slice()).unwrap();
        client.process_new_packets()?;
    }
    Ok(())
}

#[test]
fn a_client_that_trusts_the_ca_takes_each_name_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let names = names(&["store.example", "*.s3.example", "s3.example", "10.0.0.7"]);
    let certificates = Certificates::open(folder.path(), names, TlsSection::default(), now()).unwrap();
    for name in ["localhost", "127.0.0.1", "::1", "store.example", "bucket.s3.example", "10.0.0.7"] {
        handshake(&certificates, certificates.ca_pem(), name).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    for name in ["other.example", "10.0.0.8"] {
        assert!(handshake(&certificates, certificates.ca_pem(), name).is_err(), "{name}");
    }
}

#[test]
fn the_ca_cannot_sign_for_other_names() {
    let folder = tempfile::tempdir().unwrap();
    let first = Certificates::open(folder.path(), names(&[]), TlsSection::default(), now()).unwrap();
    let old_ca = first.ca_pem().to_owned();
    // The same key signs for a name that the first certificate of the CA does not permit.
    let second = Certificates::open(folder.path(), names(&["bank.example"]), TlsSection::default(), now()).unwrap();
    assert!(handshake(&second, &old_ca, "bank.example").is_err());
    handshake(&second, second.ca_pem(), "bank.example").unwrap();
}

#[test]
fn the_ca_stays_the_same_over_restarts_and_its_key_is_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let first = Certificates::open(folder.path(), names(&[]), TlsSection::default(), now()).unwrap();
    let second = Certificates::open(folder.path(), names(&[]), TlsSection::default(), now()).unwrap();
    assert_eq!(first.ca_pem(), second.ca_pem());
    assert_eq!(std::fs::read_to_string(second.ca_file()).unwrap(), second.ca_pem());
    handshake(&second, first.ca_pem(), "localhost").unwrap();
    let mode = std::fs::metadata(folder.path().join("local-ca.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(!format!("{second:?}").contains("PRIVATE KEY"));
}

#[test]
fn the_leaf_is_renewed_before_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let start = now() - Duration::days(89);
    let certificates = Certificates::open(folder.path(), names(&[]), TlsSection::default(), start).unwrap();
    let before = certificates.resolver.local.read().unwrap().key.cert[0].clone();
    certificates.refresh(start + Duration::days(1)).unwrap();
    assert_eq!(before, certificates.resolver.local.read().unwrap().key.cert[0]);
    certificates.refresh(now()).unwrap();
    assert_ne!(before, certificates.resolver.local.read().unwrap().key.cert[0]);
    handshake(&certificates, certificates.ca_pem(), "localhost").unwrap();
}

/// A certificate made elsewhere, written to two files.
fn write_given(folder: &Path, name: &str) -> (TlsSection, String) {
    let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    let given =
        TlsSection { certificate_file: Some(folder.join("given.pem")), key_file: Some(folder.join("given.key")) };
    std::fs::write(folder.join("given.pem"), made.cert.pem()).unwrap();
    std::fs::write(folder.join("given.key"), made.signing_key.serialize_pem()).unwrap();
    (given, made.cert.pem())
}

#[test]
fn given_certificates_are_used_and_exchanged_when_their_files_change() {
    let folder = tempfile::tempdir().unwrap();
    let (given, pem) = write_given(folder.path(), "store.example");
    let certificates = Certificates::open(&folder.path().join("tls"), names(&[]), given, now()).unwrap();
    handshake(&certificates, &pem, "store.example").unwrap();
    handshake(&certificates, certificates.ca_pem(), "localhost").unwrap();

    let (_, pem) = write_given(folder.path(), "other.example");
    let later = SystemTime::now() + std::time::Duration::from_secs(5);
    std::fs::File::open(folder.path().join("given.pem")).unwrap().set_modified(later).unwrap();
    certificates.refresh(now()).unwrap();
    handshake(&certificates, &pem, "other.example").unwrap();

    std::fs::write(folder.path().join("given.key"), "no key").unwrap();
    assert!(certificates.refresh(now()).is_err());
    handshake(&certificates, &pem, "other.example").unwrap();
}

#[test]
fn a_key_that_does_not_fit_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (given, _) = write_given(folder.path(), "store.example");
    let other = rcgen::KeyPair::generate().unwrap();
    std::fs::write(folder.path().join("given.key"), other.serialize_pem()).unwrap();
    let refused = Certificates::open(&folder.path().join("tls"), names(&[]), given, now()).unwrap_err();
    assert!(format!("{refused:#}").contains("does not fit"), "{refused:#}");
}
