//! Which certificates the client believes.

use std::{sync::Arc, time::Duration};

use admin_api::client::{AdminClient, ClientConfig, Error};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer},
    },
};
use url::Url;

/// A TLS server with a certificate of a CA of its own: its address, and the CA as PEM.
async fn serve() -> (Url, String) {
    let mut authority = CertificateParams::new([]).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(["localhost".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    let chain: Vec<CertificateDer<'static>> = vec![leaf.der().clone()];
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = Url::parse(&format!("https://localhost:{}", listener.local_addr().unwrap().port())).unwrap();
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            // A client that does not believe the certificate leaves here.
            let Ok(mut stream) = acceptor.accept(connection).await else { continue };
            let mut request = [0; 4096];
            _ = stream.read(&mut request).await;
            _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\n8.1").await;
            _ = stream.shutdown().await;
        }
    });
    (url, authority.pem())
}

async fn version(url: &Url, change: impl FnOnce(&mut ClientConfig)) -> Result<String, Error> {
    let mut config = ClientConfig::new(url.clone(), "sysadmin", "public".into());
    config.timeout = Duration::from_secs(10);
    // Any other CA takes the place of the system's, so that the test needs none of those.
    config.ca_pem = Some(serve().await.1.into_bytes());
    change(&mut config);
    AdminClient::new(config)?.version().await
}

#[tokio::test]
async fn only_certificates_of_a_given_authority_are_believed() {
    let (url, ca_pem) = serve().await;
    let refused = version(&url, |_| {}).await.unwrap_err();
    assert!(matches!(refused, Error::Unreachable(_)), "{refused:?}");
    assert_eq!(version(&url, |config| config.ca_pem = Some(ca_pem.clone().into_bytes())).await.unwrap(), "8.1");

    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &ca_pem).unwrap();
    let from_file = |config: &mut ClientConfig| {
        config.ca_pem = None;
        config.ca_file = Some(file.path().to_owned());
    };
    assert_eq!(version(&url, from_file).await.unwrap(), "8.1");

    let mut other_name = url.clone();
    other_name.set_host(Some("127.0.0.1")).unwrap();
    let trusting = |config: &mut ClientConfig| config.ca_pem = Some(ca_pem.into_bytes());
    assert!(version(&other_name, trusting).await.is_err(), "the name of the certificate counts");
}

#[tokio::test]
async fn without_checks_every_certificate_is_believed() {
    let (mut url, _) = serve().await;
    assert_eq!(version(&url, |config| config.validate_tls = false).await.unwrap(), "8.1");
    url.set_host(Some("127.0.0.1")).unwrap();
    assert_eq!(version(&url, |config| config.validate_tls = false).await.unwrap(), "8.1");
}
