//! TLS of the doors: certificates made elsewhere or by the local CA, exchanged while connections run.

mod ca;
mod names;

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use anyhow::Context as _;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use time::OffsetDateTime;

pub(crate) use ca::LocalCa;
pub(crate) use names::{host_name, names_of_doors};

use crate::config::TlsSection;

/// The name that is always answered with a certificate of the local CA, so that the process reaches its own doors whatever
/// certificates it was given.
pub(crate) const OWN_NAME: &str = "localhost";

/// The certificates of the doors.
#[derive(Debug)]
pub(crate) struct Certificates {
    ca: LocalCa,
    given: TlsSection,
    resolver: Arc<Resolver>,
    provider: Arc<CryptoProvider>,
}

/// What is shown to clients now.
#[derive(Debug)]
struct Resolver {
    local: RwLock<Issued>,
    given: Option<RwLock<Given>>,
}

/// A certificate of the local CA.
#[derive(Clone, Debug)]
struct Issued {
    key: Arc<CertifiedKey>,
    renew_after: OffsetDateTime,
}

/// A certificate made elsewhere, and when its files were last changed.
#[derive(Clone, Debug)]
struct Given {
    key: Arc<CertifiedKey>,
    changed: (SystemTime, SystemTime),
}

impl Certificates {
    /// Opens the local CA in `folder`, making it at the first start, and reads the given certificate if there is one.
    ///
    /// # Errors
    /// When a file cannot be read or written, or the given key does not fit the given certificate.
    pub(crate) fn open(
        folder: &Path,
        names: Vec<String>,
        given: TlsSection,
        now: OffsetDateTime,
    ) -> anyhow::Result<Self> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let ca = LocalCa::open(folder, names, now)?;
        let local = RwLock::new(issue(&ca, &provider, now)?);
        let read = read_given(&given, &provider)?.map(RwLock::new);
        Ok(Self { ca, given, resolver: Arc::new(Resolver { local, given: read }), provider })
    }

    /// The certificate of the local CA (PEM), to be trusted by clients.
    pub(crate) fn ca_pem(&self) -> &str {
        self.ca.certificate_pem()
    }

    /// The file that holds it.
    pub(crate) fn ca_file(&self) -> &Path {
        self.ca.certificate_file()
    }

    /// How TLS is spoken at the doors.
    ///
    /// # Errors
    /// When the cryptography offers no protocol version, which is a fault of the build.
    pub(crate) fn server_config(&self) -> anyhow::Result<Arc<ServerConfig>> {
        let mut config = ServerConfig::builder_with_provider(self.provider.clone())
            .with_safe_default_protocol_versions()
            .context("TLS has no protocol version")?
            .with_no_client_auth()
            .with_cert_resolver(self.resolver.clone());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    /// Renews what nears its end and reads given files that were changed. What cannot be read leaves the old certificate in use.
    ///
    /// # Errors
    /// Says what could not be renewed.
    pub(crate) fn refresh(&self, now: OffsetDateTime) -> anyhow::Result<()> {
        let renew = self.resolver.local.read().unwrap_or_else(PoisonError::into_inner).renew_after <= now;
        if renew {
            let issued = issue(&self.ca, &self.provider, now)?;
            *self.resolver.local.write().unwrap_or_else(PoisonError::into_inner) = issued;
            tracing::info!("the certificate of the doors was renewed");
        }
        let Some(given) = &self.resolver.given else { return Ok(()) };
        let before = given.read().unwrap_or_else(PoisonError::into_inner).changed;
        if changed(&self.given)?.is_some_and(|now| now != before)
            && let Some(read) = read_given(&self.given, &self.provider)?
        {
            *given.write().unwrap_or_else(PoisonError::into_inner) = read;
            tracing::info!("the certificate files were changed: the new ones are in use");
        }
        Ok(())
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        match &self.given {
            Some(given) if hello.server_name() != Some(OWN_NAME) => {
                Some(given.read().unwrap_or_else(PoisonError::into_inner).key.clone())
            }
            Some(_) | None => Some(self.local.read().unwrap_or_else(PoisonError::into_inner).key.clone()),
        }
    }
}

fn issue(ca: &LocalCa, provider: &CryptoProvider, now: OffsetDateTime) -> anyhow::Result<Issued> {
    let leaf = ca.issue(now)?;
    let key =
        CertifiedKey::from_der(leaf.chain, leaf.key, provider).context("the certificate just made cannot be used")?;
    Ok(Issued { key: Arc::new(key), renew_after: leaf.renew_after })
}

/// When certificate and key were last changed; `None` when none are given.
fn changed(given: &TlsSection) -> anyhow::Result<Option<(SystemTime, SystemTime)>> {
    let (Some(certificate), Some(key)) = (&given.certificate_file, &given.key_file) else { return Ok(None) };
    let time = |key: &str, path: &Path| {
        std::fs::metadata(path)
            .and_then(|metadata| metadata.modified())
            .with_context(|| format!("doors.tls.{key}: {} cannot be read", path.display()))
    };
    Ok(Some((time("certificate_file", certificate)?, time("key_file", key)?)))
}

fn read_given(given: &TlsSection, provider: &CryptoProvider) -> anyhow::Result<Option<Given>> {
    let (Some(certificate), Some(key)) = (&given.certificate_file, &given.key_file) else { return Ok(None) };
    let Some(changed) = changed(given)? else { return Ok(None) };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| format!("doors.tls.certificate_file: {} holds no certificate (PEM)", certificate.display()))?;
    anyhow::ensure!(
        !chain.is_empty(),
        "doors.tls.certificate_file: {} holds no certificate (PEM)",
        certificate.display()
    );
    let private = PrivateKeyDer::from_pem_file(key)
        .with_context(|| format!("doors.tls.key_file: {} holds no private key (PEM)", key.display()))?;
    let key = CertifiedKey::from_der(chain, private, provider)
        .context("doors.tls: the private key does not fit the certificate")?;
    Ok(Some(Given { key: Arc::new(key), changed }))
}

#[cfg(test)]
mod tests;
