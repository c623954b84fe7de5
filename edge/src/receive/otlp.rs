//! `otlp`: OpenTelemetry's logs over HTTP and gRPC.
//!
//! Parts: [`start`], the HTTP route `/v1/logs` (and `/otlp/v1/logs`, as at the hub), [`grpc`], [`Sink`] (what both do with a body). Mapping and
//! answers are the hub's (`proto_wire::otlp`): resource attributes of the index list become labels, all else structured metadata. Answers: 200 with an
//! empty response when all of it is durable; a `google.rpc.Status` otherwise, 503 with `Retry-After` where the WAL has no room, 429 where a budget is used up. The same body
//! within the hour is taken once. Must not do: judge limits of tenants, the hub does.

mod grpc;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use proto_wire::limits::PUSH_RAW_BYTES_MAX;
use proto_wire::otlp::{self, Index, answer};
use tokio_util::sync::CancellationToken;

use super::Arrival;
use super::http::{self, Refusal, Room, User};
use super::listen::ReceiveFault;
use super::post::Post;
use super::push::{records, serve_http};
use super::repeats::{Key, Repeats};
use super::sender::Sender;
use super::start::{Running, Shared};
use crate::settings::receivers::OtlpSettings;
use crate::settings::server::ServerSettings;

/// How a body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Protobuf,
    Json,
}

/// Where bodies of both listeners go.
pub(super) struct Sink {
    post: Arc<Post>,
    user: Option<User>,
    index: Option<BTreeSet<String>>,
    keep_times: bool,
    bytes_max: usize,
    repeats: Repeats,
    room: Room,
}

/// Starts the listeners of a job.
pub(super) async fn start(shared: &Shared, post_box: Post, settings: &OtlpSettings, stop: CancellationToken) -> Result<Vec<Running>, ReceiveFault> {
    let job = post_box.name().to_owned();
    let user = match &settings.basic_auth {
        Some(user) => Some(User::new(&job, user, &shared.world).await?),
        None => None,
    };
    let sink = Arc::new(Sink {
        post: Arc::new(post_box),
        user,
        index: settings.index_attributes.as_ref().map(|names| names.iter().cloned().collect()),
        keep_times: settings.use_incoming_timestamp,
        bytes_max: usize::try_from(settings.max_request_size.0).unwrap_or(usize::MAX).min(PUSH_RAW_BYTES_MAX),
        repeats: Repeats::default(),
        room: shared.room.clone(),
    });
    let mut running = Vec::new();
    if let Some(address) = &settings.grpc_listen_address {
        running.push(grpc::start(shared, &job, address, settings.tls_config.as_ref(), Arc::clone(&sink), stop.clone()).await?);
    }
    if let Some(address) = &settings.http_listen_address {
        let router = Router::new().route("/v1/logs", post(export)).route("/otlp/v1/logs", post(export)).with_state(sink);
        let server = ServerSettings::default();
        match serve_http(shared, &job, address, settings.tls_config.as_ref(), &server, router, stop.clone()).await {
            Ok(started) => running.push(started),
            Err(fault) => {
                running.iter().for_each(|started| started.task.abort());
                return Err(fault);
            }
        }
    }
    Ok(running)
}

async fn export(State(sink): State<Arc<Sink>>, ConnectInfo(peer): ConnectInfo<SocketAddr>, headers: HeaderMap, body: Body) -> Response {
    let form = if http::content_type(&headers) == "application/json" { Form::Json } else { Form::Protobuf };
    match exported(&sink, peer, &headers, body, form).await {
        Ok(()) => {
            let empty = if form == Form::Json { b"{}".to_vec() } else { Vec::new() };
            answered(StatusCode::OK, empty, form)
        }
        Err(refusal) => {
            refusal.count(&sink.post);
            let (status, why) = refusal.told();
            let mut response = answered(status, answer::status(status.as_u16(), &why, form == Form::Json), form);
            if let Some((name, value)) = refusal.header() {
                response.headers_mut().insert(name, value);
            }
            response
        }
    }
}

fn answered(status: StatusCode, body: Vec<u8>, form: Form) -> Response {
    let kind = if form == Form::Json { "application/json" } else { "application/x-protobuf" };
    (status, [(header::CONTENT_TYPE, HeaderValue::from_static(kind))], body).into_response()
}

async fn exported(sink: &Arc<Sink>, peer: SocketAddr, headers: &HeaderMap, body: Body, form: Form) -> Result<(), Refusal> {
    User::lets_in(sink.user.as_ref(), headers)?;
    let caller = http::caller(&sink.post, peer, headers)?;
    let kind = http::content_type(headers);
    if !matches!(kind.as_str(), "application/json" | "application/x-protobuf" | "application/protobuf") {
        return Err(Refusal::Wrong(format!("content type: {kind} is not supported")));
    }
    let encoding = http::header_text(headers, header::CONTENT_ENCODING).to_owned();
    if encoding == "snappy" {
        return Err(Refusal::Wrong("snappy compression not supported. Only gzip, deflate or no compression supported".to_owned()));
    }
    let key = http::key_of(headers)?;
    let (body, room) = http::read_body(&sink.room, body).await?;
    sink.take(&caller, key, body, form, encoding).await?;
    drop(room);
    Ok(())
}

impl Sink {
    /// Decodes a body and hands its records in.
    async fn take(self: &Arc<Self>, caller: &Arc<Sender>, key: Option<Key>, body: Bytes, form: Form, encoding: String) -> Result<(), Refusal> {
        let own = Arc::clone(self);
        let (digest, records) = self
            .room
            .decode(move || {
                let body = http::unpack(&encoding, body, own.bytes_max)?;
                Ok((http::digest(b"otlp", &body), own.records(&body, form)?))
            })
            .await?;
        http::hand_in(&self.post, caller, &self.repeats, Some(key.unwrap_or(digest)), records).await
    }

    fn records(&self, body: &[u8], form: Form) -> Result<Vec<Arrival>, Refusal> {
        let index = self.index.as_ref().map_or(Index::Default, Index::Named);
        let resources = match form {
            Form::Json => otlp::json(body, index),
            Form::Protobuf => otlp::protobuf(body, index),
        }?;
        let (now, mut room) = (self.post.now(), PUSH_RAW_BYTES_MAX);
        let streams = resources.into_iter().map(|resource| resource.into_pushed(now, &mut room)).collect::<Result<Vec<_>, _>>()?;
        records(&self.post, streams, self.keep_times, "")
    }
}
