//! How fast each tenant may push, and how many streams: counted by each hub in itself.
//!
//! Parts: [`Rates`]. A bucket per tenant, and per stream where its limits ask for that. Promises: what is refused takes
//! nothing; memory is bounded by the limit of streams, or [`STREAMS_MAX`].

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hub_logql::duration::print_bytes;
use hub_tenant::Limits;
use proto_model::labels::StreamId;
use proto_model::{TenantId, Timestamp};
use proto_wire::push::Pushed;

use crate::api::fault::ApiFault;

/// A stream without lines for this long counts no more.
const STREAM_IDLE: Duration = Duration::from_secs(3_600);
/// Streams of one tenant that are told apart when no limit bounds them.
const STREAMS_MAX: usize = 100_000;

/// What tenants took; see the module.
#[derive(Debug, Default)]
pub struct Rates {
    tenants: Mutex<BTreeMap<TenantId, Taken>>,
}

#[derive(Debug, Default)]
struct Taken {
    bucket: Option<Bucket>,
    streams: BTreeMap<StreamId, (Bucket, Timestamp)>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    left: f64,
    at: Timestamp,
}

impl Bucket {
    /// What is left of it now.
    #[expect(clippy::cast_precision_loss, reason = "rates are round numbers")]
    fn filled(bucket: Option<Self>, (rate, burst): (u64, u64), now: Timestamp) -> Self {
        let burst = burst.max(rate) as f64;
        let left = bucket.map_or(burst, |bucket| (bucket.left + now.since(bucket.at).as_secs_f64() * rate as f64).min(burst));
        Self { left, at: now }
    }
}

impl Rates {
    /// Takes the lines of a push from its tenant's buckets.
    ///
    /// # Errors
    /// 429 in Loki's words when a rate or the number of streams is passed; nothing is taken then.
    #[expect(clippy::cast_precision_loss, reason = "rates are round numbers")]
    pub fn take(&self, tenant: &TenantId, pushed: &[Pushed], limits: &Limits, now: Timestamp) -> Result<(), ApiFault> {
        let size = |stream: &Pushed| stream.records.iter().map(|record| record.line.len() as u64).sum::<u64>();
        let (bytes, lines): (u64, usize) = (pushed.iter().map(size).sum(), pushed.iter().map(|stream| stream.records.len()).sum());
        let (rate, burst) = (limits.ingestion_rate_mb.bytes(), limits.ingestion_burst_size_mb.bytes());
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = tenants.entry(tenant.clone()).or_default();
        let mut bucket = Bucket::filled(taken.bucket, (rate, burst), now);
        if rate > 0 && bucket.left < bytes as f64 {
            return Err(too_fast(
                "rate_limited",
                format!(
                    "ingestion rate limit exceeded for user {tenant} (limit: {rate} bytes/sec) while attempting to ingest '{lines}' lines totaling '{bytes}' bytes, reduce log volume or contact your Loki administrator to see if the limit can be increased"
                ),
            ));
        }
        bucket.left -= bytes as f64;
        let streams = streams(taken, tenant, pushed, limits, now)?;
        taken.bucket = Some(bucket);
        taken.streams.extend(streams);
        Ok(())
    }
}

const fn too_fast(reason: &'static str, text: String) -> ApiFault {
    ApiFault::TooFast { reason, text, retry_after_s: 1 }
}

/// The streams of a push as they stand after it.
#[expect(clippy::cast_precision_loss, reason = "rates are round numbers")]
fn streams(
    taken: &mut Taken,
    tenant: &TenantId,
    pushed: &[Pushed],
    limits: &Limits,
    now: Timestamp,
) -> Result<BTreeMap<StreamId, (Bucket, Timestamp)>, ApiFault> {
    let most = [limits.max_streams_per_user, limits.max_global_streams_per_user].into_iter().filter(|most| *most > 0).min();
    let (rate, burst) = (limits.per_stream_rate_limit.0, limits.per_stream_rate_limit_burst.0);
    let mut changed = BTreeMap::new();
    if most.is_none() && rate == 0 {
        taken.streams.clear();
        return Ok(changed);
    }
    let room = most.map_or(STREAMS_MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
    if taken.streams.len() + pushed.len() > room {
        taken.streams.retain(|_, (_, seen)| now.since(*seen) < STREAM_IDLE);
    }
    let mut new = 0;
    for stream in pushed.iter().filter(|stream| !stream.records.is_empty()) {
        let id = stream.labels.id();
        let known = changed.get(&id).or_else(|| taken.streams.get(&id)).map(|(bucket, _): &(Bucket, Timestamp)| *bucket);
        new += usize::from(known.is_none());
        if known.is_none() && taken.streams.len() + new > room {
            if most.is_none() {
                continue;
            }
            return Err(too_fast(
                "stream_limit",
                format!(
                    "maximum active stream limit exceeded when trying to create stream {}, reduce the number of active streams (reduce labels or reduce label values), or contact your Loki administrator to see if the limit can be increased, user: '{tenant}'",
                    stream.labels
                ),
            ));
        }
        let bytes: u64 = stream.records.iter().map(|record| record.line.len() as u64).sum();
        let mut bucket = Bucket::filled(known, (rate, burst), now);
        if rate > 0 && bucket.left < bytes as f64 {
            return Err(too_fast(
                "per_stream_rate_limit",
                format!(
                    "Per stream rate limit exceeded (limit: {}/sec) while attempting to ingest for stream '{}' totaling {}, consider splitting a stream via additional labels or contact your Loki administrator to see if the limit can be increased",
                    print_bytes(rate),
                    stream.labels,
                    print_bytes(bytes)
                ),
            ));
        }
        bucket.left -= bytes as f64;
        changed.insert(id, (bucket, now));
    }
    Ok(changed)
}
