//! `/loki/api/v1/push`: Loki's push, answered when the lines are durable and visible.
//!
//! Parts: [`push`] (the route), `unpack` (Content-Encoding, bounded), [`judge`] (a tenant's limits on every
//! entry, in Loki's words), [`Rates`] (bytes a second per tenant). Promises: a request is stored whole or
//! not at all; the same key or body within the hour is stored once. Must not do: keep a request that is refused.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use futures::StreamExt as _;
use hub_ingest::admit::{UNKNOWN_SERVICE, hub_rows};
use hub_tenant::{Limits, Need};
use proto_extract::level;
use proto_model::labels::is_label_name;
use proto_model::{Labels, TenantId, Timestamp};
use proto_wire::limits::{PUSH_BYTES_MAX, PUSH_RAW_BYTES_MAX};
use proto_wire::push::{PushFault, Pushed, json, protobuf};
use proto_wire::{BatchBuilder, BatchView, Compression};

use super::Api;
use super::fault::ApiFault;

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
    let body = read_body(body).await?;
    let limits = api.tenants.borrow().limits(grant.tenant()).clone();
    let now = api.now();
    let (headers_key, tenant) = (key_of(&headers)?, grant.tenant().clone());
    let rates = Arc::clone(&api.rates);
    let ready = api.world.workers.run(move || prepare(&headers, &body, headers_key, &limits, &tenant, &rates, now)).await?;
    let Some(ready) = ready else { return Ok(StatusCode::NO_CONTENT) };
    api.ingest.push(grant, ready.key, ready.rows, ready.body, ready.lines).await.map_err(ApiFault::Push)?;
    Ok(StatusCode::NO_CONTENT)
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

struct ReadyPush {
    key: Vec<u8>,
    rows: Vec<hub_store::HubRow>,
    body: Bytes,
    lines: u64,
}

/// Everything between the bytes and the sealer; `None` when there is nothing to store.
fn prepare(
    headers: &HeaderMap,
    body: &Bytes,
    key: Option<Vec<u8>>,
    limits: &Limits,
    tenant: &TenantId,
    rates: &Rates,
    now: Timestamp,
) -> Result<Option<ReadyPush>, ApiFault> {
    let mut pushed = decode(headers, body)?;
    if pushed.is_empty() {
        return Err(ApiFault::Empty("error at least one valid stream is required for ingestion".to_owned()));
    }
    judge(&mut pushed, limits, now)?;
    let raw_bytes: u64 = pushed.iter().flat_map(|stream| &stream.records).map(|record| record.line.len() as u64).sum();
    let entries: u64 = pushed.iter().map(|stream| stream.records.len() as u64).sum();
    if entries == 0 {
        return Ok(None);
    }
    rates.take(tenant, raw_bytes, entries, limits, now)?;
    let mut builder = BatchBuilder::new();
    for stream in &pushed {
        let labels = Arc::new(stream.labels.clone());
        for record in &stream.records {
            let level = level::detect(&labels, &record.metadata, &record.line);
            builder.push(&labels, record.time, level.code(), &record.metadata, &record.line);
        }
    }
    let too_large = |fault: proto_wire::WireFault| ApiFault::TooLarge(fault.to_string());
    let frozen = builder.freeze(Compression::Zstd).map_err(too_large)?;
    let view = BatchView::parse(frozen.body.clone()).map_err(too_large)?;
    let (rows, _) = hub_rows(&view.table().streams, None, &limits.discover_service_name.0);
    debug_assert!(rows.iter().all(|row| row.labels.value("service_name").is_some_and(|name| !name.is_empty())), "{UNKNOWN_SERVICE}");
    // The frozen batch is made from the decoded body alone, so equal bodies give equal keys however they were packed.
    let key = key.unwrap_or_else(|| frozen.digest.0.to_vec());
    Ok(Some(ReadyPush { key, rows, body: frozen.body, lines: frozen.lines }))
}

fn key_of(headers: &HeaderMap) -> Result<Option<Vec<u8>>, ApiFault> {
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
    decoded.map_err(|fault| match fault {
        PushFault::Malformed(text) => ApiFault::Wrong(text),
        too_large @ PushFault::TooLarge { .. } => ApiFault::TooLarge(too_large.to_string()),
    })
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

/// Judges every stream and entry by the tenant's limits; the first breach refuses the whole request.
///
/// # Errors
/// 400 in Loki's words.
pub fn judge(pushed: &mut [Pushed], limits: &Limits, now: Timestamp) -> Result<(), ApiFault> {
    for stream in pushed {
        judge_labels(&stream.labels, limits)?;
        let name = stream.labels.to_string();
        for record in &mut stream.records {
            judge_time(record.time, &name, limits, now)?;
            judge_line(record, &name, limits)?;
            judge_metadata(record, &name, limits)?;
        }
    }
    Ok(())
}

fn judge_labels(labels: &Labels, limits: &Limits) -> Result<(), ApiFault> {
    let wrong = |text: String| Err(ApiFault::Wrong(text));
    if let Some((name, _)) = labels.iter().find(|(name, _)| !is_label_name(name)) {
        return wrong(format!(
            "couldn't parse labels: 1:2: parse error: unexpected character inside braces: {:?}",
            name.chars().find(|c| !c.is_ascii_alphanumeric() && *c != '_').unwrap_or('"')
        ));
    }
    let most = limits.max_label_names_per_series;
    if most > 0 && labels.len() as u64 > most {
        return wrong(format!("entry for stream '{labels}' has {} label names; limit {most}", labels.len()));
    }
    for (name, value) in labels.iter() {
        if limits.max_label_name_length > 0 && name.len() as u64 > limits.max_label_name_length {
            return wrong(format!("stream '{labels}' has label name too long: '{name}'"));
        }
        if limits.max_label_value_length > 0 && value.len() as u64 > limits.max_label_value_length {
            return wrong(format!("stream '{labels}' has label value too long: '{value}'"));
        }
    }
    Ok(())
}

fn judge_time(time: Timestamp, stream: &str, limits: &Limits, now: Timestamp) -> Result<(), ApiFault> {
    let shown = |at: Timestamp| jiff::Timestamp::from_nanosecond(i128::from(at.nanos())).map(|at| at.to_string()).unwrap_or_default();
    if limits.reject_old_samples {
        let oldest = now.minus(limits.reject_old_samples_max_age.0);
        if time < oldest {
            return Err(ApiFault::Wrong(format!(
                "entry for stream '{stream}' has timestamp too old: {}, oldest acceptable timestamp is: {}",
                shown(time),
                shown(oldest)
            )));
        }
    }
    if !limits.creation_grace_period.0.is_zero() && time > now.plus(limits.creation_grace_period.0) {
        return Err(ApiFault::Wrong(format!("entry for stream '{stream}' has timestamp too new: {}", shown(time))));
    }
    Ok(())
}

fn judge_line(record: &mut proto_model::Record, stream: &str, limits: &Limits) -> Result<(), ApiFault> {
    let most = limits.max_line_size.as_usize();
    if most == 0 || record.line.len() <= most {
        return Ok(());
    }
    if !limits.max_line_size_truncate {
        let text = format!("max entry size '{most}' bytes exceeded for stream '{stream}' while adding an entry with length '{}' bytes", record.line.len());
        return Err(ApiFault::Wrong(text));
    }
    let mark = limits.max_line_size_truncate_identifier.as_bytes();
    let kept = most.saturating_sub(mark.len());
    record.line = [&record.line[..kept], mark].concat().into();
    Ok(())
}

fn judge_metadata(record: &proto_model::Record, stream: &str, limits: &Limits) -> Result<(), ApiFault> {
    let bytes: usize = record.metadata.iter().map(|(name, value)| name.len() + value.len()).sum();
    let (most_bytes, most) = (limits.max_structured_metadata_size.as_usize(), limits.max_structured_metadata_entries_count);
    if most_bytes > 0 && bytes > most_bytes {
        return Err(ApiFault::Wrong(format!(
            "stream '{stream}' has structured metadata too large: '{bytes}' bytes, limit: '{most_bytes}' bytes. Please see `limits_config.max_structured_metadata_size` or contact your Loki administrator to increase it."
        )));
    }
    if most > 0 && record.metadata.len() as u64 > most {
        return Err(ApiFault::Wrong(format!(
            "stream '{stream}' has too many structured metadata labels: '{}', limit: '{most}'. Please see `limits_config.max_structured_metadata_entries_count` or contact your Loki administrator to increase it.",
            record.metadata.len()
        )));
    }
    Ok(())
}

/// Bytes a second each tenant may push: a bucket per tenant, refilled by time.
#[derive(Debug, Default)]
pub struct Rates {
    buckets: Mutex<BTreeMap<TenantId, Bucket>>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    left: f64,
    at: Timestamp,
}

impl Rates {
    /// Takes `bytes` from the tenant's bucket.
    ///
    /// # Errors
    /// 429 in Loki's words when they are not there; nothing is taken then.
    #[expect(clippy::cast_precision_loss, reason = "rates are round numbers")]
    pub fn take(&self, tenant: &TenantId, bytes: u64, entries: u64, limits: &Limits, now: Timestamp) -> Result<(), ApiFault> {
        let (rate, burst) = (limits.ingestion_rate_mb.bytes(), limits.ingestion_burst_size_mb.bytes());
        if rate == 0 {
            return Ok(());
        }
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = buckets.entry(tenant.clone()).or_insert(Bucket { left: burst as f64, at: now });
        bucket.left = (bucket.left + now.since(bucket.at).as_secs_f64() * rate as f64).min(burst.max(rate) as f64);
        bucket.at = now;
        if bucket.left < bytes as f64 {
            let text = format!(
                "ingestion rate limit exceeded for user {tenant} (limit: {rate} bytes/sec) while attempting to ingest '{entries}' lines totaling '{bytes}' bytes, reduce log volume or contact your Loki administrator to see if the limit can be increased"
            );
            return Err(ApiFault::TooFast { text, retry_after_s: 1 });
        }
        bucket.left -= bytes as f64;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
