//! OTLP over gRPC: `LogsService/Export`, one message a call.
//!
//! A server of its own over HTTP/2, since a call here is one message in and one out, and gzip must be bounded before it is unpacked. Parts:
//! [`start`], `call` (a request to its answer), [`message`] (the frame around a message; pure). Promises: streams, frames, headers and resets of a
//! connection are bounded; a refusal is a `grpc-status` that senders understand: 14 (with `grpc-retry-pushback-ms`) is sent again, 3 is not.
//! Must not do: other services.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::{Form, Sink};
use crate::receive::http::{self, Refusal, User};
use crate::receive::listen::{self, CONNECTIONS_MAX, ReceiveFault, Tls};
use crate::receive::start::{Running, Shared};
use crate::settings::labels::ListenAddress;
use crate::settings::server::ListenTls;

/// The one method.
const EXPORT: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";
/// Bytes before a message: whether it is packed, and its length.
const FRAME_HEAD_BYTES: usize = 5;
/// Calls of a connection at once.
const STREAMS_MAX: u32 = 64;
/// Bytes a sender may have under way on a connection.
const WINDOW_BYTES: u32 = 4 * 1024 * 1024;
const FRAME_BYTES: u32 = 64 * 1024;
const HEADER_BYTES_MAX: u32 = 16 * 1024;
const RESETS_MAX: usize = 20;
/// A connection is asked whether it still stands.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// Starts the listener.
pub(super) async fn start(
    shared: &Shared,
    job: &str,
    address: &ListenAddress,
    tls: Option<&ListenTls>,
    sink: Arc<Sink>,
    stop: CancellationToken,
) -> Result<Running, ReceiveFault> {
    let tls = match tls {
        Some(tls) => Tls::new(job, tls, &[certs::tls::ALPN_H2], &shared.world).await?,
        None => None,
    };
    let listener = listen::tcp(job, address).await?;
    let bound = listener.local_addr().ok();
    let ending = stop.clone();
    let connection = move |stream, peer| connection(stream, peer, tls.clone(), Arc::clone(&sink), ending.clone());
    let task = tokio::spawn(listen::accept(listener, CONNECTIONS_MAX, stop, connection));
    Ok(Running { job: job.to_owned(), kind: "grpc", address: bound, task })
}

async fn connection(stream: TcpStream, peer: SocketAddr, tls: Option<Tls>, sink: Arc<Sink>, stop: CancellationToken) {
    let stream = match Tls::accept_if(tls.as_ref(), stream).await {
        Ok(stream) => stream,
        Err(fault) => return tracing::debug!(%fault, "a sender's handshake failed"),
    };
    let service = service_fn(move |request| {
        let sink = Arc::clone(&sink);
        async move { Ok::<_, Infallible>(call(&sink, peer, request).await) }
    });
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .max_frame_size(FRAME_BYTES)
        .max_header_list_size(HEADER_BYTES_MAX)
        .max_concurrent_streams(STREAMS_MAX)
        .max_pending_accept_reset_streams(RESETS_MAX)
        .keep_alive_interval(KEEPALIVE);
    let serving = builder.serve_connection(TokioIo::new(stream), service);
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
        tracing::debug!(%fault, "a sender's connection ended early");
    }
}

/// A call's code and text.
struct Outcome {
    code: u8,
    text: String,
    /// It may be sent again after so many seconds.
    retry_after: Option<u64>,
}

async fn call(sink: &Arc<Sink>, peer: SocketAddr, request: Request<Incoming>) -> Response<impl hyper::body::Body<Data = Bytes, Error = Infallible> + use<>> {
    let outcome = match called(sink, peer, request).await {
        Ok(()) => Outcome { code: 0, text: String::new(), retry_after: None },
        Err(Fault::Method) => Outcome { code: 12, text: "only LogsService/Export is served".to_owned(), retry_after: None },
        Err(Fault::Encoding(other)) => {
            Outcome { code: 12, text: format!("messages packed with {other:?} cannot be read; use gzip or none"), retry_after: None }
        }
        Err(Fault::Refused(refusal)) => {
            refusal.count(&sink.post);
            let code = match &refusal {
                Refusal::Wrong(_) => 3,
                Refusal::TooLarge(_) => 3,
                Refusal::NoEntry => 16,
                Refusal::Later(_) | Refusal::Wait(_) => 14,
            };
            Outcome { code, text: refusal.told().1, retry_after: (code == 14).then(|| refusal.wait_seconds()) }
        }
    };
    let mut trailers = HeaderMap::new();
    trailers.insert(HeaderName::from_static("grpc-status"), HeaderValue::from(u16::from(outcome.code)));
    if let Ok(text) = HeaderValue::from_str(&percent_encoded(&outcome.text)) {
        trailers.insert(HeaderName::from_static("grpc-message"), text);
    }
    if let Some(seconds) = outcome.retry_after {
        trailers.insert(HeaderName::from_static("grpc-retry-pushback-ms"), HeaderValue::from(seconds * 1_000));
    }
    // An empty response, as a message of no bytes; a refusal has none.
    let body = if outcome.code == 0 { Bytes::from_static(&[0; FRAME_HEAD_BYTES]) } else { Bytes::new() };
    let mut response = Response::new(Full::new(body).with_trailers(std::future::ready(Some(Ok(trailers)))));
    *response.status_mut() = StatusCode::OK;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

enum Fault {
    Method,
    Encoding(String),
    Refused(Refusal),
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

async fn called(sink: &Arc<Sink>, peer: SocketAddr, request: Request<Incoming>) -> Result<(), Fault> {
    let (head, body) = request.into_parts();
    if head.uri.path() != EXPORT || head.method != axum::http::Method::POST {
        return Err(Fault::Method);
    }
    User::lets_in(sink.user.as_ref(), &head.headers)?;
    let caller = http::caller(&sink.post, peer, &head.headers)?;
    let encoding = http::header_text(&head.headers, "grpc-encoding").to_owned();
    if !matches!(encoding.as_str(), "" | "identity" | "gzip") {
        return Err(Fault::Encoding(encoding));
    }
    let key = http::key_of(&head.headers)?;
    let (body, room) = http::read_body(&sink.room, Body::new(body)).await?;
    let (packed, message) = message(&body)?;
    let encoding = if packed { encoding } else { String::new() };
    if packed && encoding != "gzip" {
        return Err(Refusal::Wrong("a message says that it is packed, and not how".to_owned()).into());
    }
    sink.take(&caller, key, message, Form::Protobuf, encoding).await?;
    drop(room);
    Ok(())
}

/// The one message of a call's body, and whether it is packed.
fn message(body: &Bytes) -> Result<(bool, Bytes), Refusal> {
    let wrong = |why: &str| Refusal::Wrong(format!("the call cannot be read: {why}"));
    let head: [u8; FRAME_HEAD_BYTES] = body.get(..FRAME_HEAD_BYTES).and_then(|head| head.try_into().ok()).ok_or_else(|| wrong("it has no message"))?;
    let [packed, length @ ..] = head;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    let rest = body.slice(FRAME_HEAD_BYTES..);
    match (packed, rest.len().cmp(&length)) {
        (0 | 1, std::cmp::Ordering::Equal) => Ok((packed == 1, rest)),
        (0 | 1, std::cmp::Ordering::Less) => Err(wrong("its message is cut short")),
        (0 | 1, std::cmp::Ordering::Greater) => Err(wrong("it has more than one message")),
        _ => Err(wrong("its message has an unknown flag")),
    }
}

/// As gRPC writes a message's text into a header.
fn percent_encoded(text: &str) -> String {
    text.bytes().map(|byte| if (b' '..=b'~').contains(&byte) && byte != b'%' { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests;
