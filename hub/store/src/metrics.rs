//! Counters of the store: requests by kind and outcome, how long they took, where lanes stand.
//!
//! Parts: [`StoreMetrics`]. Labels come from closed sets, but for `lane` and, where lines were lost, `tenant`. Must not
//! do: take a reason that an edge wrote for a label, unless it is a known one.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::record::Loss;

/// A request: `get`, `create`, `write`, `list`, `delete`; `ok`, `absent`, `exists`, `failed`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Request {
    pub(crate) request: &'static str,
    pub(crate) outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OfRequest {
    pub(crate) request: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OfLane {
    pub(crate) lane: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OfCache {
    pub(crate) outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OfLoss {
    pub(crate) tenant: String,
    pub(crate) reason: &'static str,
}

/// Reasons of losses that are counted by name: those of edges (`docs/metrics.md`), of absorption and of fsck. Any other is `other`.
const REASONS: [&str; 21] = [
    "wal_full",
    "wal_age",
    "wal_damaged",
    "wal_set_back",
    "hub_rollback",
    "truncated",
    "vanished",
    "given_up",
    "damaged",
    "unreadable",
    "unpackable",
    "too_large",
    "corrupt",
    "journal_gone",
    "journal_damaged",
    "journal_cursor",
    "kafka_gone",
    "kafka_damaged",
    "DAMAGED_SECTION",
    "UNSOUND_BATCH",
    "SKIPPED_OBJECT",
];

/// The store's numbers; clones share them.
#[derive(Debug, Clone)]
pub struct StoreMetrics {
    pub(crate) requests: Family<Request, Counter>,
    pub(crate) seconds: Family<OfRequest, Histogram, fn() -> Histogram>,
    pub(crate) read_bytes: Counter,
    pub(crate) written_bytes: Counter,
    pub(crate) lane_head: Family<OfLane, Gauge>,
    pub(crate) lane_floor: Family<OfLane, Gauge>,
    pub(crate) lane_frozen: Family<OfLane, Gauge>,
    pub(crate) lane_restarts: Counter,
    pub(crate) sections_damaged: Counter,
    pub(crate) cache: Family<OfCache, Counter>,
    losses: Family<OfLoss, Counter>,
    lines_lost: Family<OfLoss, Counter>,
}

/// 1 ms to 33 s.
fn latency() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 16))
}

impl Default for StoreMetrics {
    fn default() -> Self {
        Self {
            requests: Family::default(),
            seconds: Family::new_with_constructor(latency),
            read_bytes: Counter::default(),
            written_bytes: Counter::default(),
            lane_head: Family::default(),
            lane_floor: Family::default(),
            lane_frozen: Family::default(),
            lane_restarts: Counter::default(),
            sections_damaged: Counter::default(),
            cache: Family::default(),
            losses: Family::default(),
            lines_lost: Family::default(),
        }
    }
}

impl StoreMetrics {
    /// Makes the numbers readable under `tributary_hub_...`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("tributary_hub_store_requests", "Requests to the object store", self.requests.clone());
        registry.register("tributary_hub_store_request_seconds", "How long they took", self.seconds.clone());
        registry.register("tributary_hub_store_read_bytes", "Bytes read from the object store", self.read_bytes.clone());
        registry.register("tributary_hub_store_written_bytes", "Bytes written to the object store", self.written_bytes.clone());
        registry.register("tributary_hub_lane_head", "Newest number of a lane", self.lane_head.clone());
        registry.register("tributary_hub_lane_floor", "Number up to which a lane is absorbed", self.lane_floor.clone());
        registry.register("tributary_hub_lane_frozen", "1 while a lane cannot be read on", self.lane_frozen.clone());
        registry.register("tributary_hub_lane_restarts", "Times a lane's state was dropped and read anew", self.lane_restarts.clone());
        registry.register("tributary_hub_sections_damaged", "Sections that were found damaged", self.sections_damaged.clone());
        registry.register("tributary_hub_store_cache", "Looks into the cache of sections and tables", self.cache.clone());
        registry.register("tributary_hub_losses", "Losses that this hub recorded, those of unknown size too", self.losses.clone());
        registry.register("tributary_hub_lines_lost", "Lines in losses that this hub recorded, where their number is known", self.lines_lost.clone());
    }

    /// A loss stands in a lane by an object of this hub.
    pub(crate) fn lost(&self, loss: &Loss) {
        let reason = REASONS.into_iter().find(|known| *known == loss.reason).unwrap_or("other");
        let of = OfLoss { tenant: loss.tenant.to_string(), reason };
        self.losses.get_or_create(&of).inc();
        self.lines_lost.get_or_create(&of).inc_by(loss.lines.unwrap_or(0));
    }
}

#[cfg(test)]
mod tests;
