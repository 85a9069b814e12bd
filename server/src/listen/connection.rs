//! The accept loop of a door and the life of a connection.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use http::uri::Scheme;
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::access;
use super::patience::{Pace, PatientBody, PatientWriter};
use super::peers::Peers;

/// A client that opens a connection must agree on TLS within this time.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long accepting pauses when the process has no more file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// A connection whose other end vanished is noticed after about two minutes.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
/// Enough for parallel parts of one client, and no more than it can be billed for.
const STREAMS_MAX: u32 = 256;

/// What a door allows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Time for the head of a request; also how long an idle connection is kept.
    pub(crate) header_timeout: Duration,
    /// How slow the other end may be, in either direction.
    pub(crate) pace: Pace,
    /// Connections at a time.
    pub(crate) connections_max: usize,
    /// Connections of one peer at a time.
    pub(crate) connections_of_peer_max: usize,
}

/// A door that answers.
#[derive(Clone)]
pub(crate) struct Listening {
    /// Its name in log and metrics.
    pub(crate) name: &'static str,
    /// What answers.
    pub(crate) router: Router,
    /// TLS, if it is spoken.
    pub(crate) tls: Option<Arc<ServerConfig>>,
    /// What it allows.
    pub(crate) limits: Limits,
    /// Ends accepting and asks connections to finish.
    pub(crate) stop: CancellationToken,
    /// Ends connections at once.
    pub(crate) abort: CancellationToken,
    /// Counts what still runs.
    pub(crate) tracker: TaskTracker,
}

/// Accepts connections until `stop`.
pub(crate) async fn serve(listener: TcpListener, door: Listening) {
    let free = Arc::new(Semaphore::new(door.limits.connections_max));
    let peers = Peers::new(door.limits.connections_of_peer_max);
    loop {
        // A place is taken before a connection is, so that those beyond the limit wait in the system's queue.
        let place = tokio::select! {
            () = door.stop.cancelled() => return,
            place = free.clone().acquire_owned() => place,
        };
        let Ok(place) = place else { return };
        let accepted = tokio::select! {
            () = door.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let Some(counted) = peers.count(peer.ip()) else {
                    refuse(&stream, peer, &door);
                    continue;
                };
                let door_of_connection = door.clone();
                door.tracker.spawn(async move {
                    connection(stream, peer, &door_of_connection).await;
                    drop((place, counted));
                });
            }
            Err(error) => {
                tracing::warn!(door = door.name, %error, "no connection can be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Tells a peer that it has too many connections, as far as that can be said without waiting for it.
fn refuse(stream: &TcpStream, peer: SocketAddr, door: &Listening) {
    const ANSWER: &[u8] =
        b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    metrics::counter!("cloudhold_connections_refused_total", "door" => door.name).increment(1);
    tracing::debug!(door = door.name, %peer, "the peer has too many connections");
    if door.tls.is_none() {
        // Whoever does not read it sees a connection that ends, which says the same.
        let _ = stream.try_write(ANSWER);
    }
}

/// Whether the other end will be asked now and then if it is still there, and small answers leave at once.
fn tune(stream: &TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    rustix::net::sockopt::set_socket_keepalive(stream, true)?;
    rustix::net::sockopt::set_tcp_keepidle(stream, KEEPALIVE_IDLE)?;
    Ok(())
}

async fn connection(stream: TcpStream, peer: SocketAddr, door: &Listening) {
    if let Err(error) = tune(&stream) {
        tracing::debug!(door = door.name, %peer, %error, "the connection ended before it began");
        return;
    }
    let Some(tls) = &door.tls else {
        return speak(stream, peer, door, false).await;
    };
    let handshake = timeout(HANDSHAKE_TIMEOUT, TlsAcceptor::from(tls.clone()).accept(stream));
    let accepted = tokio::select! {
        () = door.abort.cancelled() => return,
        accepted = handshake => accepted,
    };
    match accepted {
        Ok(Ok(stream)) => {
            let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            speak(stream, peer, door, http2).await;
        }
        Ok(Err(error)) => tracing::debug!(door = door.name, %peer, %error, "no TLS"),
        Err(_) => tracing::debug!(door = door.name, %peer, "TLS took too long"),
    }
}

/// Speaks HTTP until the client leaves or the door closes. Which version is known from TLS; plain doors speak HTTP/1.1, so that
/// the time limit for the head of a request runs from the first moment.
async fn speak<S>(stream: S, peer: SocketAddr, door: &Listening, http2: bool)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let pace = door.limits.pace;
    let body = |request: Request<Incoming>| request.map(|body| axum::body::Body::new(PatientBody::new(body, pace)));
    let answer = service_fn(|mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        // What comes over HTTP/1.1 does not say so itself.
        request.extensions_mut().insert(if door.tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP });
        let answer = access::answer(door.name, peer, door.router.clone(), body(request));
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let builder = builder(door.limits, http2);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(PatientWriter::new(stream, pace)), answer));
    let mut stopping = false;
    loop {
        tokio::select! {
            result = connection.as_mut() => {
                if let Err(error) = result {
                    tracing::debug!(door = door.name, %peer, %error, "the connection broke");
                }
                return;
            }
            () = door.abort.cancelled() => return,
            () = door.stop.cancelled(), if !stopping => {
                stopping = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

fn builder(limits: Limits, http2: bool) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(limits.header_timeout);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEPALIVE_IDLE)
        .max_concurrent_streams(STREAMS_MAX)
        // Large objects over one connection need more than the 64 KiB that a stream has by default.
        .adaptive_window(true);
    if http2 { builder.http2_only() } else { builder.http1_only() }
}
