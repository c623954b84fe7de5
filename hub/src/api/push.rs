//! `/loki/api/v1/push`: Loki's push, answered when the lines are durable and visible.
//!
//! Parts: [`push`] (the route), `unpack` (Content-Encoding, bounded), [`judge`] (a tenant's limits on every
//! entry, in Loki's words), [`Rates`] (bytes a second and streams, per tenant), [`Refusals`] (their count), `ready` (streams to a sealed batch, for
//! [`super::otlp`] too). Promises: a request is stored whole or
//! not at all; the same key or body within the hour is stored once. Must not do: keep a request that is refused.

mod judge;
mod rates;
mod refusals;

use std::io::Read as _;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use futures::StreamExt as _;
use hub_ingest::admit::hub_rows;
use hub_tenant::Grant;
use hub_tenant::{Limits, Need};
use proto_extract::level::{self, Level};
use proto_model::{Labels, Record, TenantId, Timestamp};
use proto_wire::batch::LEVEL_NONE;
use proto_wire::limits::{PUSH_BYTES_MAX, PUSH_RAW_BYTES_MAX};
use proto_wire::push::{PushFault, Pushed, json, normalize, protobuf};
use proto_wire::{BatchBuilder, BatchView, Compression};

use super::Api;
use super::fault::ApiFault;

pub use judge::{judge, judge_labels, judge_record};
pub use rates::Rates;
pub use refusals::Refusals;

/// A body that is too large is read to its end up to here, so that its sender gets to hear why.
const DISCARDED_BYTES_MAX: usize = 4 * PUSH_BYTES_MAX;
/// Longest `Idempotency-Key`.
const KEY_BYTES_MAX: usize = 128;

/// Stores a push.
///
/// # Errors
/// 400, 401, 403, 413, 422, 429, 503; nothing of the request is stored then, but for a 503 whose object may
/// still land (its key makes a repeat known).
pub async fn push(State(api): State<Api>, headers: HeaderMap, body: Body) -> Result<impl IntoResponse, ApiFault> {
    let access = api.authorize(&headers, Need::Push)?;
    let Some(grant) = access.grants.into_iter().next() else { return Err(ApiFault::Wrong("no tenant".to_owned())) };
    let tenant = grant.tenant().clone();
    stored(&api, grant, headers, body).await.inspect_err(|fault| api.refusals.count(&tenant, fault))?;
    Ok(StatusCode::NO_CONTENT)
}

async fn stored(api: &Api, grant: Grant, headers: HeaderMap, body: Body) -> Result<(), ApiFault> {
    let body = read_body(body).await?;
    let limits = api.tenants.borrow().limits(grant.tenant()).clone();
    let now = api.now();
    let (headers_key, tenant) = (key_of(&headers)?, grant.tenant().clone());
    let rates = Arc::clone(&api.rates);
    let ready = api.world.workers.run(move || prepare(&headers, &body, headers_key, &Terms { limits: &limits, tenant: &tenant, rates: &rates, now })).await?;
    store(api, grant, ready).await
}

/// Hands on what is ready, if anything is.
pub(super) async fn store(api: &Api, grant: Grant, ready: Option<ReadyPush>) -> Result<(), ApiFault> {
    if let Some(ready) = ready {
        api.ingest.push(grant, ready.key, ready.rows, ready.body, ready.lines).await.map_err(ApiFault::Push)?;
    }
    Ok(())
}

/// The whole body. One that is too large is read on for a while and thrown away: a sender that is cut off while it
/// sends would never see the answer.
pub(super) async fn read_body(body: Body) -> Result<Bytes, ApiFault> {
    let mut frames = body.into_data_stream();
    let (mut out, mut found) = (Vec::new(), 0);
    while let Some(frame) = frames.next().await {
        let frame = frame.map_err(|fault| ApiFault::Wrong(format!("the body cannot be read: {fault}")))?;
        found += frame.len();
        if found <= PUSH_BYTES_MAX {
            out.extend_from_slice(&frame);
        } else {
            out = Vec::new();
        }
        if found > DISCARDED_BYTES_MAX {
            break;
        }
    }
    if found > PUSH_BYTES_MAX {
        return Err(ApiFault::TooLarge(format!("the push is larger than {PUSH_BYTES_MAX} bytes")));
    }
    Ok(out.into())
}

/// By what a push is judged.
#[derive(Clone, Copy)]
pub(super) struct Terms<'a> {
    /// Of the tenant.
    pub(super) limits: &'a Limits,
    /// Whose push it is.
    pub(super) tenant: &'a TenantId,
    /// What the tenant has used.
    pub(super) rates: &'a Rates,
    /// The hub's time.
    pub(super) now: Timestamp,
}

/// A push on its way to the sealer.
pub(super) struct ReadyPush {
    key: Vec<u8>,
    rows: Vec<hub_store::HubRow>,
    body: Bytes,
    lines: u64,
}

/// Everything between the bytes and the sealer; `None` when there is nothing to store.
fn prepare(headers: &HeaderMap, body: &Bytes, key: Option<Vec<u8>>, terms: &Terms<'_>) -> Result<Option<ReadyPush>, ApiFault> {
    let mut pushed = decode(headers, body)?;
    if pushed.is_empty() {
        return Err(ApiFault::Empty("error at least one valid stream is required for ingestion".to_owned()));
    }
    judge(&mut pushed, terms.limits, terms.now)?;
    ready(pushed, key, terms)
}

/// Judged streams as a batch; `None` when there is nothing to store.
pub(super) fn ready(pushed: Vec<Pushed>, key: Option<Vec<u8>>, &Terms { limits, tenant, rates, now }: &Terms<'_>) -> Result<Option<ReadyPush>, ApiFault> {
    if pushed.iter().all(|stream| stream.records.is_empty()) {
        return Ok(None);
    }
    rates.take(tenant, &pushed, limits, now)?;
    let mut builder = BatchBuilder::new();
    for stream in pushed {
        let labels = Arc::new(stream.labels);
        for mut record in stream.records {
            normalize(&mut record.metadata);
            let level = if limits.discover_log_levels { find_level(&labels, &mut record) } else { LEVEL_NONE };
            builder.push(&labels, record.time, level, &record.metadata, &record.line);
        }
    }
    let too_large = |fault: proto_wire::WireFault| ApiFault::TooLarge(fault.to_string());
    let frozen = builder.freeze(Compression::Zstd).map_err(too_large)?;
    let view = BatchView::parse(frozen.body.clone()).map_err(too_large)?;
    let (rows, _) = hub_rows(&view.table().streams, None, &limits.discover_service_name.0);
    if rows.iter().any(|row| row.labels.is_empty()) {
        return Err(ApiFault::Refused { reason: "missing_labels", text: "error at least one label pair is required per stream".to_owned() });
    }
    // The frozen batch is made from the decoded body alone, so equal bodies give equal keys however they were packed.
    let key = key.unwrap_or_else(|| frozen.digest.0.to_vec());
    Ok(Some(ReadyPush { key, rows, body: frozen.body, lines: frozen.lines }))
}

/// The level's code; a level that has none (another word in a level label) becomes metadata.
fn find_level(labels: &Labels, record: &mut Record) -> u8 {
    const NAME: &str = "detected_level";
    let found = level::detected(labels, &record.metadata, &record.line);
    if let Some(known) = Level::ALL.into_iter().find(|level| level.as_str() == found) {
        record.metadata.retain(|(name, _)| name != NAME);
        return known.code();
    }
    let found = found.to_owned();
    record.metadata.retain(|(name, _)| name != NAME);
    record.metadata.push((NAME.to_owned(), found));
    LEVEL_NONE
}

pub(super) fn key_of(headers: &HeaderMap) -> Result<Option<Vec<u8>>, ApiFault> {
    let Some(key) = headers.get("idempotency-key") else { return Ok(None) };
    let bytes = key.as_bytes();
    let fits = !bytes.is_empty() && bytes.len() <= KEY_BYTES_MAX && bytes.iter().all(|b| (b'!'..=b'~').contains(b));
    if fits {
        Ok(Some([b"key:", bytes].concat()))
    } else {
        Err(ApiFault::Wrong("Idempotency-Key must be 1 to 128 printable characters without blanks".to_owned()))
    }
}

pub(super) fn header_text(headers: &HeaderMap, name: header::HeaderName) -> &str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// The streams of a body, as its headers say it is packed and written.
///
/// # Errors
/// 400 or 413.
pub fn decode(headers: &HeaderMap, body: &Bytes) -> Result<Vec<Pushed>, ApiFault> {
    let is_json = header_text(headers, header::CONTENT_TYPE).split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"));
    let unpacked = unpack(header_text(headers, header::CONTENT_ENCODING), body)?;
    let decoded = if is_json { json(&unpacked) } else { protobuf(&unpacked) };
    decoded.map_err(undecoded)
}

/// A body that cannot be taken.
pub(super) fn undecoded(fault: PushFault) -> ApiFault {
    match fault {
        PushFault::Malformed(text) => ApiFault::Wrong(text),
        too_large @ PushFault::TooLarge { .. } => ApiFault::TooLarge(too_large.to_string()),
    }
}

pub(super) fn unpack(encoding: &str, body: &Bytes) -> Result<Bytes, ApiFault> {
    let unpacked = match encoding {
        "" | "snappy" => return Ok(body.clone()),
        "gzip" => read_bounded(flate2::read::GzDecoder::new(body.as_ref())),
        "deflate" => read_bounded(flate2::read::DeflateDecoder::new(body.as_ref())),
        other => return Err(ApiFault::Wrong(format!("Content-Encoding {other:?} not supported"))),
    };
    unpacked
        .map_err(|fault| ApiFault::Wrong(fault.to_string()))?
        .ok_or_else(|| ApiFault::TooLarge(format!("the push unpacks to more than {PUSH_RAW_BYTES_MAX} bytes")))
}

fn read_bounded(reader: impl std::io::Read) -> std::io::Result<Option<Bytes>> {
    let mut out = Vec::new();
    reader.take(PUSH_RAW_BYTES_MAX as u64 + 1).read_to_end(&mut out)?;
    Ok((out.len() <= PUSH_RAW_BYTES_MAX).then(|| out.into()))
}

#[cfg(test)]
mod tests;
