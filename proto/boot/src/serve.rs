//! A small HTTP/1.1 server loop around an axum router, for all pages of hub and edge.
//!
//! Parts: [`serve`] (a tokio listener), [`serve_with`] (any way to accept, and a handshake such as
//! TLS), [`Serving`] (router and limits), `stall` (peers that stop reading).
//! Promises: an error of accept never ends the loop, a lasting one (out of file descriptors) backs
//! off; a panic in a handler ends its connection only; every connection has a deadline for its
//! handshake, each request's head and each stalled write; on stop no connection is accepted, open
//! requests may finish within [`Serving::drain`]. The peer's address is `ConnectInfo<SocketAddr>`.
//! Limits: [`Serving::connections_max`] at once, more wait in the kernel's queue.
//! Must not do: HTTP/2 (Loki's clients do not ask for it, and it is the larger attack surface);
//! bound bodies and handler times (the routes do).

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::limits::{ACCEPT_PAUSE_MAX, ACCEPT_PAUSE_MIN, CONNECTIONS_MAX, DRAIN, HEADER_BYTES_MAX, HEADER_TIMEOUT, HEADERS_MAX};

mod stall;

use stall::StallGuard;

/// What to serve, and within which limits.
#[derive(Clone, Debug)]
pub struct Serving {
    /// The routes.
    pub router: Router,
    /// Connections at once.
    pub connections_max: usize,
    /// For a handshake, and for each request's head (so it is the longest idle time as well).
    pub header_timeout: Duration,
    /// For open requests once the stop came.
    pub drain: Duration,
    /// A request is answered though its client sends nothing more; else the client counts as gone, and its request is dropped.
    pub answers_half_closed: bool,
}

impl Serving {
    /// These routes within the limits of [`crate::limits`].
    #[must_use]
    pub const fn new(router: Router) -> Self {
        Self { router, connections_max: CONNECTIONS_MAX, header_timeout: HEADER_TIMEOUT, drain: DRAIN, answers_half_closed: false }
    }
}

/// How a server ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Served {
    /// Connections cut because they did not end within the drain time.
    pub cut: usize,
}

/// Serves plain HTTP until `stop`.
pub async fn serve(listener: TcpListener, serving: Serving, stop: CancellationToken) -> Served {
    let listener = Arc::new(listener);
    let accept = move || {
        let listener = listener.clone();
        async move { listener.accept().await }
    };
    let plain = |stream: TcpStream| async move {
        // Answers are written whole; waiting to fill a packet would only delay the last one.
        stream.set_nodelay(true)?;
        Ok(stream)
    };
    serve_with(accept, plain, serving, stop).await
}

/// Serves what `accept` gives, after `handshake`, until `stop`.
pub async fn serve_with<A, AF, H, HF, S, T>(accept: A, handshake: H, serving: Serving, stop: CancellationToken) -> Served
where
    A: Fn() -> AF,
    AF: Future<Output = io::Result<(S, SocketAddr)>>,
    H: Fn(S) -> HF,
    HF: Future<Output = io::Result<T>> + Send + 'static,
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let permits = Arc::new(Semaphore::new(serving.connections_max));
    let mut connections = JoinSet::new();
    let mut pause = ACCEPT_PAUSE_MIN;
    while let Some(permit) = free(&permits, &stop).await {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                pause = ACCEPT_PAUSE_MIN;
                connections.spawn(connection(handshake(stream), peer, serving.clone(), stop.clone(), permit));
            }
            Err(fault) => {
                tracing::warn!(error = &fault as &dyn std::error::Error, pause_ms = pause.as_millis(), "accepting a connection failed");
                tokio::select! {
                    biased;
                    () = stop.cancelled() => break,
                    () = tokio::time::sleep(pause) => {}
                }
                pause = (pause * 2).min(ACCEPT_PAUSE_MAX);
            }
        }
        while let Some(ended) = connections.try_join_next() {
            tell_panic(ended);
        }
    }
    drop(accept);
    drain(connections, serving.drain).await
}

async fn free(permits: &Arc<Semaphore>, stop: &CancellationToken) -> Option<OwnedSemaphorePermit> {
    tokio::select! {
        biased;
        () = stop.cancelled() => None,
        permit = permits.clone().acquire_owned() => permit.ok(),
    }
}

async fn drain(mut connections: JoinSet<()>, within: Duration) -> Served {
    let all = async {
        while let Some(ended) = connections.join_next().await {
            tell_panic(ended);
        }
    };
    let finished = tokio::time::timeout(within, all).await.is_ok();
    let cut = if finished { 0 } else { connections.len() };
    connections.shutdown().await;
    Served { cut }
}

fn tell_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(fault) = ended
        && fault.is_panic()
    {
        tracing::error!("a connection ended in a panic; its request got no answer");
    }
}

/// One connection, from its handshake to its end.
async fn connection<T>(
    handshake: impl Future<Output = io::Result<T>> + Send,
    peer: SocketAddr,
    serving: Serving,
    stop: CancellationToken,
    _permit: OwnedSemaphorePermit,
) where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let stream = match tokio::time::timeout(serving.header_timeout, handshake).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(fault)) => return tracing::debug!(%peer, error = &fault as &dyn std::error::Error, "handshake failed"),
        Err(_) => return tracing::debug!(%peer, "handshake took too long"),
    };
    let router = serving.router;
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        router.clone().oneshot(request)
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(serving.header_timeout).max_headers(HEADERS_MAX).max_buf_size(HEADER_BYTES_MAX);
    builder.half_close(serving.answers_half_closed);
    let serving = builder.serve_connection(TokioIo::new(StallGuard::new(stream)), service).with_upgrades();
    tokio::pin!(serving);
    let ended = tokio::select! {
        biased;
        ended = &mut serving => ended,
        () = stop.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(fault) = ended {
        tracing::debug!(%peer, error = &fault as &dyn std::error::Error, "connection ended early");
    }
}

#[cfg(test)]
mod tests;
