//! The local CA: made at the first start, it signs the certificate of the doors and can sign for nobody else.
//!
//! Its certificate is constrained to the names of this machine, so that whoever trusts it trusts it for these names only. When
//! names are added later, a new certificate with the same key is made: the old one stays good for the old names.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, NameConstraints,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};

use crate::files;

/// The format of [`State`].
const VERSION: u32 = 1;
const STATE_FILE: &str = "local-ca.json";
const CERTIFICATE_FILE: &str = "ca.pem";
const CA_LIFETIME: Duration = Duration::days(3650);
const CA_RENEW_BEFORE: Duration = Duration::days(365);
const LEAF_LIFETIME: Duration = Duration::days(90);
const LEAF_RENEW_BEFORE: Duration = Duration::days(30);
/// Clients whose clocks are behind must not find the certificate not yet valid.
const BACKDATED: Duration = Duration::days(1);

/// The CA.
#[derive(Debug)]
pub(crate) struct LocalCa {
    certificate_file: PathBuf,
    certificate_pem: String,
    key_pem: SecretString,
    names: Vec<String>,
}

/// A certificate for the doors.
pub(super) struct Leaf {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: PrivateKeyDer<'static>,
    pub(super) renew_after: OffsetDateTime,
}

/// What is kept of the CA, in one file so that key and certificate always fit.
#[derive(Serialize, Deserialize)]
struct State {
    version: u32,
    key_pem: String,
    certificate_pem: String,
    names: Vec<String>,
    /// Seconds of the Unix epoch.
    expires_s: i64,
}

impl LocalCa {
    /// Opens the CA, making it when there is none, and widening it when `names` has some that it does not know.
    pub(crate) fn open(folder: &Path, names: Vec<String>, now: OffsetDateTime) -> anyhow::Result<Self> {
        files::make_private_folder(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
        let state_file = folder.join(STATE_FILE);
        let state = match read_state(&state_file)? {
            Some(state) if covers(&state, &names, now) => state,
            Some(old) => {
                tracing::warn!(
                    "the local CA was renewed: clients that trust its certificate need the new one for the new names"
                );
                let mut all = old.names;
                all.extend(names.iter().cloned());
                write_state(&state_file, make(&KeyPair::from_pem(&old.key_pem)?, all, now)?)?
            }
            None => write_state(&state_file, make(&KeyPair::generate()?, names.clone(), now)?)?,
        };
        let certificate_file = folder.join(CERTIFICATE_FILE);
        if files::read_if_there(&certificate_file)?.as_deref() != Some(state.certificate_pem.as_bytes()) {
            files::write_atomic(&certificate_file, state.certificate_pem.as_bytes(), files::PUBLIC)?;
        }
        Ok(Self { certificate_file, certificate_pem: state.certificate_pem, key_pem: state.key_pem.into(), names })
    }

    pub(super) fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    pub(super) fn certificate_file(&self) -> &Path {
        &self.certificate_file
    }

    /// A new key and a certificate for it, kept in memory only.
    pub(super) fn issue(&self, now: OffsetDateTime) -> anyhow::Result<Leaf> {
        let ca_key =
            KeyPair::from_pem(self.key_pem.expose_secret()).context("the key of the local CA cannot be read")?;
        let issuer = Issuer::from_ca_cert_pem(&self.certificate_pem, ca_key).context("the local CA cannot be read")?;
        let mut params = CertificateParams::new(self.names.clone()).context("a name cannot stand in a certificate")?;
        params.distinguished_name.push(DnType::CommonName, "Cloudhold");
        params.not_before = now - BACKDATED;
        params.not_after = now + LEAF_LIFETIME;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &issuer).context("the certificate of the doors cannot be made")?;
        Ok(Leaf {
            chain: vec![certificate.der().clone()],
            key: PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
            renew_after: now + LEAF_LIFETIME - LEAF_RENEW_BEFORE,
        })
    }
}

fn read_state(path: &Path) -> anyhow::Result<Option<State>> {
    let Some(text) = files::read_if_there(path).with_context(|| format!("{} cannot be read", path.display()))? else {
        return Ok(None);
    };
    let state: State = serde_json::from_slice(&text)
        .with_context(|| format!("{} is damaged: restore or remove it", path.display()))?;
    anyhow::ensure!(
        state.version == VERSION,
        "{} has version {}, this program reads version {VERSION}",
        path.display(),
        state.version
    );
    Ok(Some(state))
}

fn write_state(path: &Path, state: State) -> anyhow::Result<State> {
    let text = serde_json::to_vec_pretty(&state).context("the local CA cannot be written")?;
    files::write_atomic(path, &text, files::SECRET).with_context(|| format!("{} cannot be written", path.display()))?;
    Ok(state)
}

fn covers(state: &State, names: &[String], now: OffsetDateTime) -> bool {
    names.iter().all(|name| state.names.contains(name)) && state.expires_s > (now + CA_RENEW_BEFORE).unix_timestamp()
}

fn make(key: &KeyPair, mut names: Vec<String>, now: OffsetDateTime) -> anyhow::Result<State> {
    names.sort();
    names.dedup();
    let not_after = now + CA_LIFETIME;
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::OrganizationName, "Cloudhold");
    params.distinguished_name.push(DnType::CommonName, "Cloudhold local CA");
    params.not_before = now - BACKDATED;
    params.not_after = not_after;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let permitted_subtrees = names.iter().map(|name| subtree(name)).collect();
    params.name_constraints = Some(NameConstraints { permitted_subtrees, excluded_subtrees: Vec::new() });
    let certificate = params.self_signed(key).context("the local CA cannot be made")?;
    Ok(State {
        version: VERSION,
        key_pem: key.serialize_pem(),
        certificate_pem: certificate.pem(),
        names,
        expires_s: not_after.unix_timestamp(),
    })
}

/// The part of all names that a name opens: an address alone, or a host name with what is below it.
fn subtree(name: &str) -> GeneralSubtree {
    match name.parse::<IpAddr>() {
        Ok(address) => {
            let bits = if address.is_ipv4() { 32 } else { 128 };
            GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(address, bits))
        }
        Err(_) => GeneralSubtree::DnsName(name.trim_start_matches("*.").to_owned()),
    }
}
