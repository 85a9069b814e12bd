//! Where the load goes, and one kept-alive HTTP/1.1 connection to it.

use std::collections::HashMap;
use std::convert::Infallible;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::Url;

use crate::body::sha256_of;
use crate::content::{Content, Piece};
use crate::sign::Signer;

/// A body that is sent.
pub(crate) type SendBody = UnsyncBoxBody<Bytes, Infallible>;

/// Where the objects go.
pub(crate) struct Endpoint {
    /// Host and port, as in the URL.
    pub(crate) authority: String,
    host: String,
    port: u16,
    tls: Option<TlsConnector>,
    pub(crate) signer: Signer,
    pub(crate) bucket: String,
    pub(crate) content: Content,
    /// SHA-256 of bodies that were hashed before a phase began.
    hashes: Mutex<HashMap<Piece, String>>,
}

impl Endpoint {
    /// An endpoint that is addressed path-style. `ca_file` names the certificates to trust, which TLS needs.
    ///
    /// # Errors
    /// When the URL is not of an S3 endpoint, or the certificates cannot be read.
    pub(crate) fn new(url: &str, ca_file: Option<&Path>, signer: Signer, bucket: String) -> anyhow::Result<Self> {
        let url = Url::parse(url).with_context(|| format!("{url} is no URL"))?;
        let host = url.host_str().context("the endpoint has no host")?.to_owned();
        let port = url.port_or_known_default().context("the endpoint has no port")?;
        let tls = match url.scheme() {
            "http" => None,
            "https" => Some(tls(ca_file.context("an https endpoint needs --ca-file")?)?),
            other => bail!("{other} is no protocol of S3"),
        };
        let authority = url.port().map_or_else(|| host.clone(), |port| format!("{host}:{port}"));
        Ok(Self { authority, host, port, tls, signer, bucket, content: Content::new(), hashes: Mutex::default() })
    }

    /// Hashes bodies ahead, so that the client's own SHA-256 is no part of what a PUT takes.
    pub(crate) async fn hash_ahead(self: &Arc<Self>, pieces: Vec<Piece>) -> anyhow::Result<()> {
        let endpoint = self.clone();
        let hash = move || {
            for piece in pieces {
                let hash = sha256_of(&endpoint.content, piece);
                endpoint.hashes.lock().unwrap_or_else(PoisonError::into_inner).insert(piece, hash);
            }
        };
        Ok(tokio::task::spawn_blocking(hash).await?)
    }

    /// The SHA-256 of a body, taken now unless it was hashed ahead.
    pub(crate) fn sha256(&self, piece: Piece) -> String {
        let known = self.hashes.lock().unwrap_or_else(PoisonError::into_inner).remove(&piece);
        known.unwrap_or_else(|| sha256_of(&self.content, piece))
    }

    async fn connect(&self) -> anyhow::Result<SendRequest<SendBody>> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await.context("no connection")?;
        stream.set_nodelay(true)?;
        let Some(tls) = &self.tls else {
            let (sender, connection) = handshake(TokioIo::new(stream)).await?;
            tokio::spawn(connection);
            return Ok(sender);
        };
        let stream = tls.connect(ServerName::try_from(self.host.clone())?, stream).await.context("no TLS")?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(sender)
    }
}

fn tls(ca_file: &Path) -> anyhow::Result<TlsConnector> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca_file).context("the CA file cannot be read")? {
        roots.add(certificate?)?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()).into())
}

/// A connection that is made when there is first something to send, and anew after it was closed.
pub(crate) struct Connection {
    pub(crate) endpoint: Arc<Endpoint>,
    sender: Option<SendRequest<SendBody>>,
}

impl Connection {
    pub(crate) fn new(endpoint: Arc<Endpoint>) -> Self {
        Self { endpoint, sender: None }
    }

    /// Sends a request and answers the head of the response; its body is read by the caller, to its end.
    pub(crate) async fn send(&mut self, request: Request<SendBody>) -> anyhow::Result<Response<Incoming>> {
        let mut sender = match self.sender.take() {
            Some(sender) if !sender.is_closed() => sender,
            Some(_) | None => self.endpoint.connect().await?,
        };
        sender.ready().await.context("the connection was closed")?;
        let response = sender.send_request(request).await.context("no answer")?;
        self.sender = Some(sender);
        Ok(response)
    }
}
