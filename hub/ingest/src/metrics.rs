//! Counters of the way in. Labels come from closed sets: tenants, clusters, reasons, transports.

use std::collections::BTreeMap;
use std::time::Duration;

use proto_boot::telemetry::{Counter, Counters, Gauge, Histogram, Metrics, SECONDS};
use proto_model::TenantId;

/// The counters; clones share them.
#[derive(Clone, Debug)]
pub struct IngestMetrics {
    lines: Counters<2>,
    duplicates: Counter,
    refused: Counters<1>,
    sessions: Counters<1>,
    labels_dropped: Counter,
    unconfirmed: Counter,
    lanes_left: Counter,
    slowed: Gauge,
    seal_seconds: Histogram,
}

impl IngestMetrics {
    /// Registers them.
    #[must_use]
    pub fn new(metrics: &Metrics) -> Self {
        Self {
            lines: metrics.counters(
                "tributary_hub_lines_committed_total",
                "Lines that stand in the object store, by who sent them (- = pushed)",
                ["tenant", "cluster"],
            ),
            duplicates: metrics.counter("tributary_hub_batches_duplicate_total", "Batches and pushes that were stored already and sent again"),
            refused: metrics.counters("tributary_hub_refused_total", "Connections, sessions and batches refused", ["reason"]),
            sessions: metrics.counters("tributary_hub_sessions_total", "Sessions of edges begun", ["transport"]),
            labels_dropped: metrics.counter("tributary_hub_labels_dropped_total", "Labels from edges that are reserved, misnamed or too many"),
            unconfirmed: metrics.counter("tributary_hub_puts_unconfirmed_total", "Lane objects whose create was refused or not answered"),
            lanes_left: metrics.counter("tributary_hub_lanes_left_total", "Times this hub left its lane to another hub that wrote it too"),
            slowed: metrics.gauge("tributary_hub_edges_slowed", "1 while edges are told to send slower"),
            seal_seconds: metrics.histogram("tributary_hub_seal_seconds", "From the start of a seal to its acks", &SECONDS),
        }
    }

    /// An object stands.
    pub fn sealed(&self, lines: &BTreeMap<(TenantId, String), u64>, took: Duration) {
        self.lines(lines);
        self.seal_seconds.observe_span(took);
    }

    /// Lines are known to stand.
    pub fn lines(&self, lines: &BTreeMap<(TenantId, String), u64>) {
        for ((tenant, cluster), count) in lines {
            self.lines.with([tenant.as_str(), cluster]).add(*count);
        }
    }

    /// The lane was left to another hub.
    pub fn lane_left(&self) {
        self.lanes_left.inc();
    }

    /// Whether edges are told to send slower.
    pub fn slowed(&self, slowed: bool) {
        self.slowed.set_whole(u64::from(slowed));
    }

    /// Repeats were met.
    pub fn duplicates(&self, count: u64) {
        self.duplicates.add(count);
    }

    /// Something was refused, by reason.
    pub fn refused(&self, reason: &str) {
        self.refused.with([reason]).inc();
    }

    /// A session began.
    pub fn session(&self, transport: &str) {
        self.sessions.with([transport]).inc();
    }

    /// Labels were dropped.
    pub fn labels_dropped(&self, count: u64) {
        self.labels_dropped.add(count);
    }

    /// A create was not confirmed.
    pub fn put_unconfirmed(&self) {
        self.unconfirmed.inc();
    }
}
