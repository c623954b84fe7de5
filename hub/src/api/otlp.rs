//! `/otlp/v1/logs`: OTLP's logs over HTTP, by Loki's mapping, stored by the push path.
//!
//! Answers: 204 when all is stored; 200 with `partial_success` when records beyond a limit were left out (a sender must
//! not repeat these, so nothing is stored twice); else a `google.rpc.Status`, in the form of the request. Promises: the same
//! body within the hour is stored once. Must not do: judge by anything but the tenant's push limits.

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hub_tenant::{Grant, Limits, Need};
use proto_model::Timestamp;
use proto_wire::limits::PUSH_RAW_BYTES_MAX;
use proto_wire::otlp::{self, Index, answer};
use proto_wire::push::Pushed;

use super::Api;
use super::fault::ApiFault;
use super::push::{self, ReadyPush, Terms};

/// A request, decoded and judged.
struct Judged {
    ready: Option<ReadyPush>,
    rejected: u64,
    /// Of the first record that was left out.
    why: Option<ApiFault>,
}

/// Stores OTLP logs.
pub async fn push(State(api): State<Api>, headers: HeaderMap, body: Body) -> Response {
    let is_json = is_json(&headers);
    match stored(&api, headers, body).await {
        Ok((0, _)) => StatusCode::NO_CONTENT.into_response(),
        Ok((rejected, why)) => answered(StatusCode::OK, answer::partial_success(rejected, &why, is_json), is_json),
        Err(fault) => refused(fault, is_json).await,
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    push::header_text(headers, header::CONTENT_TYPE).split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

fn answered(status: StatusCode, body: Vec<u8>, is_json: bool) -> Response {
    let kind = if is_json { "application/json" } else { "application/x-protobuf" };
    (status, [(header::CONTENT_TYPE, HeaderValue::from_static(kind))], body).into_response()
}

/// The fault's status and text as a `Status`; 500 becomes 503, which senders try again.
async fn refused(fault: ApiFault, is_json: bool) -> Response {
    let plain = fault.into_response();
    let status = if plain.status() == StatusCode::INTERNAL_SERVER_ERROR { StatusCode::SERVICE_UNAVAILABLE } else { plain.status() };
    let retry = plain.headers().get(header::RETRY_AFTER).cloned();
    let text = axum::body::to_bytes(plain.into_body(), 1 << 20).await.unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let mut response = answered(status, answer::status(status.as_u16(), text.trim_end(), is_json), is_json);
    if let Some(retry) = retry {
        response.headers_mut().insert(header::RETRY_AFTER, retry);
    }
    response
}

async fn stored(api: &Api, headers: HeaderMap, body: Body) -> Result<(u64, String), ApiFault> {
    let access = api.authorize(&headers, Need::Push)?;
    let Some(grant) = access.grants.into_iter().next() else { return Err(ApiFault::Wrong("no tenant".to_owned())) };
    let tenant = grant.tenant().clone();
    let judged = stored_of(api, grant, headers, body).await.inspect_err(|fault| api.refusals.count(&tenant, fault))?;
    let why = judged.why.map(|fault| {
        api.refusals.count(&tenant, &fault);
        fault.parts().1.trim_end().to_owned()
    });
    Ok((judged.rejected, why.unwrap_or_default()))
}

async fn stored_of(api: &Api, grant: Grant, headers: HeaderMap, body: Body) -> Result<Judged, ApiFault> {
    let body = push::read_body(body).await?;
    let limits = api.tenants.borrow().limits(grant.tenant()).clone();
    let (now, tenant, rates) = (api.now(), grant.tenant().clone(), std::sync::Arc::clone(&api.rates));
    let mut judged = api.world.workers.run(move || judged(&headers, &body, &Terms { limits: &limits, tenant: &tenant, rates: &rates, now })).await?;
    push::store(api, grant, judged.ready.take()).await?;
    Ok(judged)
}

fn judged(headers: &HeaderMap, body: &Bytes, terms: &Terms<'_>) -> Result<Judged, ApiFault> {
    let encoding = push::header_text(headers, header::CONTENT_ENCODING);
    if encoding == "snappy" {
        return Err(ApiFault::Wrong("snappy compression not supported. Only gzip, deflate or no compression supported".to_owned()));
    }
    let unpacked = push::unpack(encoding, body)?;
    let kind = push::header_text(headers, header::CONTENT_TYPE).split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let resources = match kind.as_str() {
        "application/json" => otlp::json(&unpacked, Index::Default),
        "application/x-protobuf" | "application/protobuf" => otlp::protobuf(&unpacked, Index::Default),
        other => return Err(ApiFault::Wrong(format!("content type: {other} is not supported"))),
    };
    let resources = resources.map_err(push::undecoded)?;
    let mut room = PUSH_RAW_BYTES_MAX;
    let (mut pushed, mut rejected, mut why) = (Vec::new(), 0, None);
    for resource in resources {
        let mut stream = resource.into_pushed(terms.now, &mut room).map_err(push::undecoded)?;
        rejected += left_out(&mut stream, terms.limits, terms.now, &mut why);
        pushed.push(stream);
    }
    if let Some(fault) = why.take_if(|_| pushed.iter().all(|stream: &Pushed| stream.records.is_empty())) {
        return Err(fault);
    }
    // A record without a time gets one here, so the batch says less of whether a request is a repeat than the body does.
    let key = push::key_of(headers)?.unwrap_or_else(|| [b"otlp:", &proto_wire::digest::of_batch(&unpacked).0[..]].concat());
    Ok(Judged { ready: push::ready(pushed, Some(key), terms)?, rejected, why })
}

/// Leaves out what is beyond the limits: how many records, and why the first of them.
fn left_out(stream: &mut Pushed, limits: &Limits, now: Timestamp, why: &mut Option<ApiFault>) -> u64 {
    let all = stream.records.len() as u64;
    let mut told = |fault: ApiFault| {
        why.get_or_insert(fault);
    };
    if let Err(fault) = push::judge_labels(&stream.labels, limits) {
        told(fault);
        stream.records.clear();
    } else {
        let name = stream.labels.to_string();
        stream.records.retain_mut(|record| push::judge_record(record, &name, limits, now).map_err(&mut told).is_ok());
    }
    all - stream.records.len() as u64
}
