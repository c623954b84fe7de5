//! Counters of queries: how many, how they ended, how long they took, what they read.
//!
//! Parts: [`QueryMetrics`]. Labels come from closed sets. Must not do: name tenants or queries.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::answer::Stats;
use crate::fault::QueryFault;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    kind: &'static str,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfKind {
    kind: &'static str,
}

/// The numbers of the query path; clones share them.
#[derive(Debug, Clone)]
pub struct QueryMetrics {
    queries: Family<Ended, Counter>,
    seconds: Family<OfKind, Histogram, fn() -> Histogram>,
    lines: Counter,
    bytes: Counter,
    pub(crate) running: Gauge,
    pub(crate) waiting: Gauge,
    pub(crate) queued: Histogram,
}

/// 1 ms to 65 s.
fn latency() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 17))
}

impl Default for QueryMetrics {
    fn default() -> Self {
        Self {
            queries: Family::default(),
            seconds: Family::new_with_constructor(latency),
            lines: Counter::default(),
            bytes: Counter::default(),
            running: Gauge::default(),
            waiting: Gauge::default(),
            queued: latency(),
        }
    }
}

impl QueryMetrics {
    /// Registers them under `tributary_hub_query_`.
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("tributary_hub_query");
        registry.register("requests", "Queries answered or refused, by kind and status", self.queries.clone());
        registry.register("seconds", "Time from request to answer, by kind", self.seconds.clone());
        registry.register("lines", "Lines unpacked and looked at", self.lines.clone());
        registry.register("bytes", "Bytes of lines unpacked and looked at", self.bytes.clone());
        registry.register("running", "Queries running now", self.running.clone());
        registry.register("waiting", "Queries waiting for their turn now", self.waiting.clone());
        registry.register("queue_seconds", "Time that queries waited for their turn", self.queued.clone());
    }

    pub(crate) fn ended(&self, kind: &'static str, took: Duration, fault: Option<&QueryFault>) {
        self.queries.get_or_create(&Ended { kind, status: fault.map_or(200, QueryFault::status) }).inc();
        self.seconds.get_or_create(&OfKind { kind }).observe(took.as_secs_f64());
    }

    pub(crate) fn read(&self, stats: &Stats) {
        self.lines.inc_by(stats.lines);
        self.bytes.inc_by(stats.bytes);
    }
}
