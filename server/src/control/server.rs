//! Accepts commands on the control socket.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use super::socket::is_allowed;

/// A program that connects says at once what it wants.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Answers commands until `stop`. Commands that still run then are ended by `abort`.
pub(crate) async fn serve(
    listener: UnixListener,
    router: Router,
    stop: CancellationToken,
    abort: CancellationToken,
    tracker: TaskTracker,
) {
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let (router, abort) = (router.clone(), abort.clone());
                tracker.spawn(async move {
                    tokio::select! {
                        () = abort.cancelled() => {}
                        () = connection(stream, router) => {}
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the control socket accepts nobody");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(stream: UnixStream, router: Router) {
    let own_uid = rustix::process::geteuid().as_raw();
    let peer = match stream.peer_cred() {
        Ok(peer) if is_allowed(peer.uid(), own_uid) => peer,
        Ok(peer) => {
            tracing::warn!(target: "audit", uid = peer.uid(), "refused at the control socket");
            return;
        }
        Err(error) => {
            tracing::warn!(target: "audit", %error, "refused at the control socket: nobody knows who it is");
            return;
        }
    };
    let (uid, pid) = (peer.uid(), peer.pid().unwrap_or_default());
    let answer = service_fn(move |request: hyper::Request<Incoming>| {
        let router = router.clone();
        async move {
            let (method, path) = (request.method().clone(), request.uri().path().to_owned());
            let Ok(response) = router.oneshot(request.map(axum::body::Body::new)).await;
            let status = response.status().as_u16();
            tracing::info!(target: "audit", uid, pid, %method, path, status, "command of the local operator");
            Ok::<_, Infallible>(response)
        }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), answer)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a command went away");
    }
}
