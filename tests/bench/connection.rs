//! One client of an S3 endpoint: a kept-alive HTTP/1.1 connection with signed PUTs and GETs, whose bytes are verified.

use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use clap::ValueEnum;
use futures::stream;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::Url;

use crate::content::{BLOCK_BYTES, Content};
use crate::sign::{self, ChunkSigner, Signed, Signer, ToSign};

/// The size of the signed chunks, as the AWS SDK for Java cuts them.
const CHUNK_BYTES: usize = 128 << 10;
/// Bytes that a signed chunk has besides its data and the digits of its length.
const CHUNK_EXTRA_BYTES: u64 = (";chunk-signature=".len() + 64 + 2 + 2) as u64;

type SendBody = UnsyncBoxBody<Bytes, Infallible>;

/// How a PUT proves its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Payload {
    /// Not at all: `UNSIGNED-PAYLOAD`, as clients do over TLS
    Unsigned,
    /// By the SHA-256 of the whole, in the signature
    Signed,
    /// By a signature of each chunk: `STREAMING-AWS4-HMAC-SHA256-PAYLOAD`
    Chunked,
}

/// Where the objects go.
pub(crate) struct Endpoint {
    /// Host and port, as in the URL.
    authority: String,
    host: String,
    port: u16,
    tls: Option<TlsConnector>,
    signer: Signer,
    bucket: String,
    content: Content,
}

impl Endpoint {
    /// An endpoint that is addressed path-style. `ca_file` names the certificates to trust, which TLS needs.
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
        Ok(Self { authority, host, port, tls, signer, bucket, content: Content::new() })
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

/// One client, which connects when it first has something to send.
pub(crate) struct Connection {
    endpoint: Arc<Endpoint>,
    sender: Option<SendRequest<SendBody>>,
}

/// A body that is about to be sent.
struct Outgoing {
    /// The value of `x-amz-content-sha256`.
    content: String,
    size_bytes: u64,
    object: u64,
    is_chunked: bool,
}

impl Connection {
    pub(crate) fn new(endpoint: Arc<Endpoint>) -> Self {
        Self { endpoint, sender: None }
    }

    /// Makes the bucket; that it is there already is fine.
    pub(crate) async fn make_bucket(&mut self) -> anyhow::Result<()> {
        let path = format!("/{}", self.endpoint.bucket);
        let signed = self.sign("PUT", &path, sign::UNSIGNED, None)?;
        let request = self.request(Method::PUT, &path, sign::UNSIGNED, &signed).body(Empty::new().boxed_unsync())?;
        let response = self.send(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        ensure!(
            status.is_success() || status == StatusCode::CONFLICT,
            "the bucket cannot be made: {status} {}",
            String::from_utf8_lossy(&body)
        );
        Ok(())
    }

    /// Writes an object. Answers its size.
    pub(crate) async fn put(&mut self, object: u64, size_bytes: u64, payload: Payload) -> anyhow::Result<u64> {
        let outgoing = self.outgoing(object, size_bytes, payload);
        let path = self.path(object);
        let decoded = size_bytes.to_string();
        let decoded = outgoing.is_chunked.then_some(decoded.as_str());
        let signed = self.sign("PUT", &path, &outgoing.content, decoded)?;
        let mut request = self.request(Method::PUT, &path, &outgoing.content, &signed);
        if let Some(length) = decoded {
            request = request
                .header("x-amz-decoded-content-length", length)
                .header(header::CONTENT_ENCODING, "aws-chunked")
                .header(header::CONTENT_LENGTH, chunked_bytes(size_bytes));
        } else {
            request = request.header(header::CONTENT_LENGTH, size_bytes);
        }
        let body = self.body(&outgoing, signed.chunks);
        let response = self.send(request.body(body)?).await?;
        finish(response).await?;
        Ok(size_bytes)
    }

    /// Reads an object and compares it with what was written. Answers its size.
    pub(crate) async fn get(&mut self, object: u64, size_bytes: u64) -> anyhow::Result<u64> {
        let path = self.path(object);
        let signed = self.sign("GET", &path, sign::UNSIGNED, None)?;
        let request = self.request(Method::GET, &path, sign::UNSIGNED, &signed).body(Empty::new().boxed_unsync())?;
        let response = self.send(request).await?;
        if !response.status().is_success() {
            return finish(response).await.map(|()| 0);
        }
        let mut verifier = self.endpoint.content.verifier(object);
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            if let Some(data) = frame?.data_ref() {
                ensure!(verifier.accepts(data), "object {object} has other bytes than were written");
            }
        }
        let got_bytes = verifier.size_bytes();
        ensure!(got_bytes == size_bytes, "object {object} has {got_bytes} bytes instead of {size_bytes}");
        Ok(size_bytes)
    }

    fn path(&self, object: u64) -> String {
        format!("/{}/load/{object:012}", self.endpoint.bucket)
    }

    fn sign(&self, method: &str, path: &str, content: &str, decoded_length: Option<&str>) -> anyhow::Result<Signed> {
        let host = &self.endpoint.authority;
        let request = ToSign { method, host, path, query: "", content, decoded_length };
        self.endpoint.signer.sign(&request, OffsetDateTime::now_utc())
    }

    fn request(&self, method: Method, path: &str, content: &str, signed: &Signed) -> http::request::Builder {
        Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, &self.endpoint.authority)
            .header("x-amz-content-sha256", content)
            .header("x-amz-date", &signed.date)
            .header(header::AUTHORIZATION, &signed.authorization)
    }

    fn outgoing(&self, object: u64, size_bytes: u64, payload: Payload) -> Outgoing {
        let (content, is_chunked) = match payload {
            Payload::Unsigned => (sign::UNSIGNED.to_owned(), false),
            Payload::Chunked => (sign::CHUNKED.to_owned(), true),
            Payload::Signed => {
                let mut hash = Sha256::new();
                self.endpoint.content.blocks(object, size_bytes).for_each(|block| hash.update(&block));
                (hex::encode(hash.finalize()), false)
            }
        };
        Outgoing { content, size_bytes, object, is_chunked }
    }

    fn body(&self, outgoing: &Outgoing, chunks: ChunkSigner) -> SendBody {
        let content = &self.endpoint.content;
        if outgoing.is_chunked {
            let pieces = signed_chunks(content, outgoing.object, outgoing.size_bytes, chunks);
            return StreamBody::new(stream::iter(pieces)).boxed_unsync();
        }
        if outgoing.size_bytes <= BLOCK_BYTES as u64 {
            let whole = content.blocks(outgoing.object, outgoing.size_bytes).next().unwrap_or_default();
            return Full::new(whole).boxed_unsync();
        }
        let blocks = content.blocks(outgoing.object, outgoing.size_bytes);
        StreamBody::new(stream::iter(blocks.map(|block| Ok(Frame::data(block))))).boxed_unsync()
    }

    async fn send(&mut self, request: Request<SendBody>) -> anyhow::Result<Response<Incoming>> {
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

/// Reads an answer that has nothing of interest, unless it says what is wrong.
async fn finish(response: Response<Incoming>) -> anyhow::Result<()> {
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    ensure!(status.is_success(), "{status} {}", String::from_utf8_lossy(&body));
    Ok(())
}

/// How long a body is with the signatures of its chunks.
fn chunked_bytes(size_bytes: u64) -> u64 {
    let one = |size: u64| format!("{size:x}").len() as u64 + CHUNK_EXTRA_BYTES + size;
    let (whole, rest) = (size_bytes / CHUNK_BYTES as u64, size_bytes % CHUNK_BYTES as u64);
    whole * one(CHUNK_BYTES as u64) + if rest > 0 { one(rest) } else { 0 } + one(0)
}

fn signed_chunks(
    content: &Content,
    object: u64,
    size_bytes: u64,
    mut signer: ChunkSigner,
) -> impl Iterator<Item = Result<Frame<Bytes>, Infallible>> + Send + use<> {
    let cut = |block: Bytes| {
        let starts = (0..block.len()).step_by(CHUNK_BYTES);
        starts.map(move |start| block.slice(start..block.len().min(start + CHUNK_BYTES))).collect::<Vec<_>>()
    };
    let chunks = content.blocks(object, size_bytes).flat_map(cut).chain([Bytes::new()]);
    chunks.flat_map(move |chunk| {
        let line = Bytes::from(signer.line(&chunk));
        [line, chunk, Bytes::from_static(b"\r\n")].map(|piece| Ok(Frame::data(piece)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunked_body_has_the_announced_length() {
        let signer = Signer::new("AKIAIOSFODNN7EXAMPLE".to_owned(), "secret".into(), "us-east-1".to_owned());
        for size_bytes in [0, 1, 4096, CHUNK_BYTES as u64, 300_000, 2 * BLOCK_BYTES as u64 + 5] {
            let request =
                ToSign { method: "PUT", host: "h", path: "/", query: "", content: sign::CHUNKED, decoded_length: None };
            let chunks = signer.sign(&request, OffsetDateTime::UNIX_EPOCH).unwrap().chunks;
            let pieces = signed_chunks(&Content::new(), 1, size_bytes, chunks);
            let sent: usize = pieces.map(|piece| piece.unwrap().into_data().unwrap().len()).sum();
            assert_eq!(sent as u64, chunked_bytes(size_bytes), "{size_bytes} bytes");
        }
    }
}
