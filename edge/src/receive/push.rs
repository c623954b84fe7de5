//! `loki_push_api`: Loki's push and Promtail's raw lines, each job on a listener of its own.
//!
//! Routes: `/loki/api/v1/push` (JSON, or protobuf in snappy; gzip, deflate), `/promtail/api/v1/raw` (lines of text), `/ready`; the path
//! prefix of `server` comes before them. Answers: 204 when all of it is durable in the WAL, 400, 401, 413, 429 (a tenant's budget is used up)
//! and 503 with `Retry-After`. A
//! request is taken whole or not at all; one with the key or the body of one that was taken within the hour is not taken twice
//! (raw lines have no times, so equal ones are new ones: only a key tells them apart). The sender's tenant is offered to
//! relabelling as `__tenant_id__`. Must not do: judge limits of tenants, the hub does.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use proto_boot::serve::{Serving, serve_with};
use proto_model::Labels;
use proto_model::labels::is_label_name;
use proto_wire::limits::PUSH_RAW_BYTES_MAX;
use proto_wire::push::{Pushed, json, protobuf};
use tokio_util::sync::CancellationToken;

use super::Arrival;
use super::http::{self, Refusal, Room, TENANT_HEADER, User};
use super::listen::{self, CONNECTIONS_MAX, ReceiveFault, Tls};
use super::post::Post;
use super::repeats::Repeats;
use super::start::{Running, Shared};
use crate::settings::labels::ListenAddress;
use crate::settings::receivers::PushSettings;
use crate::settings::server::{ListenTls, ServerSettings};

/// The label that a sender's tenant is offered under.
const TENANT_LABEL: &str = "__tenant_id__";

struct Gate {
    post: Arc<Post>,
    user: Option<User>,
    keep_times: bool,
    repeats: Repeats,
    room: Room,
}

/// Starts the listener of a job.
pub(super) async fn start(shared: &Shared, post_box: Post, settings: &PushSettings, stop: CancellationToken) -> Result<Running, ReceiveFault> {
    let job = post_box.name().to_owned();
    let user = match &settings.basic_auth {
        Some(user) => Some(User::new(&job, user, &shared.world).await?),
        None => None,
    };
    let address = ListenAddress { host: settings.server.http_listen_address.clone(), port: settings.server.http_listen_port };
    let gate = Gate { post: Arc::new(post_box), user, keep_times: settings.use_incoming_timestamp, repeats: Repeats::default(), room: shared.room.clone() };
    let prefix = settings.server.http_path_prefix.trim_matches('/');
    let routes = routes(gate);
    let router = if prefix.is_empty() { routes } else { Router::new().nest(&format!("/{prefix}"), routes) };
    serve_http(shared, &job, &address, settings.server.http_tls_config.as_ref(), &settings.server, router, stop).await
}

/// Serves `router` over HTTP/1.1, with TLS where there is a certificate.
pub(super) async fn serve_http(
    shared: &Shared,
    job: &str,
    address: &ListenAddress,
    tls: Option<&ListenTls>,
    server: &ServerSettings,
    router: Router,
    stop: CancellationToken,
) -> Result<Running, ReceiveFault> {
    let tls = match tls {
        Some(tls) => Tls::new(job, tls, &[certs::tls::ALPN_HTTP1], &shared.world).await?,
        None => None,
    };
    let listener = listen::tcp(job, address).await?;
    let bound = listener.local_addr().ok();
    let connections_max = usize::try_from(server.http_listen_conn_limit).unwrap_or(usize::MAX);
    let mut serving = Serving::new(router);
    serving.connections_max = if connections_max == 0 { CONNECTIONS_MAX } else { connections_max.min(CONNECTIONS_MAX) };
    // As by Go's server: what a sender has sent whole is taken, and it may wait for the answer with its side closed.
    serving.answers_half_closed = true;
    let listener = Arc::new(listener);
    let accept = move || {
        let listener = Arc::clone(&listener);
        async move { listener.accept().await }
    };
    let handshake = move |stream| {
        let tls = tls.clone();
        async move { Tls::accept_if(tls.as_ref(), stream).await }
    };
    let name = job.to_owned();
    let task = tokio::spawn(async move {
        let served = serve_with(accept, handshake, serving, stop).await;
        tracing::debug!(job = name, cut = served.cut, "a receiver's listener ended");
    });
    Ok(Running { job: job.to_owned(), kind: "http", address: bound, task })
}

fn routes(gate: Gate) -> Router {
    Router::new()
        .route("/loki/api/v1/push", post(push))
        .route("/promtail/api/v1/raw", post(raw))
        .route("/ready", get(|| async { "ready" }))
        .with_state(Arc::new(gate))
}

async fn push(State(gate): State<Arc<Gate>>, ConnectInfo(peer): ConnectInfo<SocketAddr>, headers: HeaderMap, body: Body) -> Response {
    answered(&gate, pushed(&gate, peer, headers, body).await)
}

async fn raw(State(gate): State<Arc<Gate>>, ConnectInfo(peer): ConnectInfo<SocketAddr>, headers: HeaderMap, body: Body) -> Response {
    answered(&gate, raw_lines(&gate, peer, headers, body).await)
}

fn answered(gate: &Gate, outcome: Result<(), Refusal>) -> Response {
    match outcome {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(refusal) => {
            refusal.count(&gate.post);
            refusal.into_response()
        }
    }
}

async fn pushed(gate: &Arc<Gate>, peer: SocketAddr, headers: HeaderMap, body: Body) -> Result<(), Refusal> {
    User::lets_in(gate.user.as_ref(), &headers)?;
    let caller = http::caller(&gate.post, peer, &headers)?;
    let key = http::key_of(&headers)?;
    let (body, room) = http::read_body(&gate.room, body).await?;
    let (own, key) = (Arc::clone(gate), key.unwrap_or_else(|| http::digest(b"push", &body)));
    let records = gate.room.decode(move || decode(&own, &headers, body)).await?;
    drop(room);
    http::hand_in(&gate.post, &caller, &gate.repeats, Some(key), records).await
}

fn decode(gate: &Gate, headers: &HeaderMap, body: Bytes) -> Result<Vec<Arrival>, Refusal> {
    let unpacked = http::unpack(http::header_text(headers, header::CONTENT_ENCODING), body, PUSH_RAW_BYTES_MAX)?;
    let streams = if http::content_type(headers) == "application/json" { json(&unpacked) } else { protobuf(&unpacked) }?;
    let tenant = http::header_text(headers, TENANT_HEADER);
    records(&gate.post, streams, gate.keep_times, tenant)
}

/// Streams to records, relabelled.
pub(super) fn records(post: &Post, streams: Vec<Pushed>, keep_times: bool, tenant: &str) -> Result<Vec<Arrival>, Refusal> {
    let mut out = Vec::new();
    for Pushed { mut labels, records } in streams {
        if let Some((name, _)) = labels.iter().find(|(name, _)| !is_label_name(name)) {
            return Err(Refusal::Wrong(format!("couldn't parse labels: {name:?} is no label name")));
        }
        labels.set(TENANT_LABEL, tenant);
        match post.labels(labels) {
            None => post.dropped(records.len()),
            Some(labels) => {
                out.extend(records.into_iter().map(|record| post.arrival(&labels, keep_times.then_some(record.time), record.line, record.metadata)));
            }
        }
    }
    Ok(out)
}

async fn raw_lines(gate: &Arc<Gate>, peer: SocketAddr, headers: HeaderMap, body: Body) -> Result<(), Refusal> {
    User::lets_in(gate.user.as_ref(), &headers)?;
    let caller = http::caller(&gate.post, peer, &headers)?;
    let key = http::key_of(&headers)?;
    let (body, room) = http::read_body(&gate.room, body).await?;
    let own = Arc::clone(gate);
    let records = gate.room.decode(move || lines(&own.post, &headers, body)).await?;
    drop(room);
    http::hand_in(&gate.post, &caller, &gate.repeats, key, records).await
}

fn lines(post: &Post, headers: &HeaderMap, body: Bytes) -> Result<Vec<Arrival>, Refusal> {
    let body = http::unpack(http::header_text(headers, header::CONTENT_ENCODING), body, PUSH_RAW_BYTES_MAX)?;
    let lines = body.split(|byte| *byte == b'\n').map(without_returns);
    let Some(labels) = post.labels(Labels::from_pairs([(TENANT_LABEL, http::header_text(headers, TENANT_HEADER))])) else {
        post.dropped(lines.filter(|line| !line.is_empty()).count());
        return Ok(Vec::new());
    };
    Ok(lines.filter(|line| !line.is_empty()).map(|line| post.arrival(&labels, None, body.slice_ref(line), Vec::new())).collect())
}

/// Without the carriage returns at its end.
fn without_returns(line: &[u8]) -> &[u8] {
    let end = line.iter().rposition(|byte| *byte != b'\r').map_or(0, |at| at + 1);
    &line[..end]
}
