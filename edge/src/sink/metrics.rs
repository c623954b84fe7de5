//! What sinks count: Promtail's names, so that its alerts and dashboards go on, and the edge's own.
//!
//! Must not do: hold anything but counters.

use std::time::Duration;

use edge_wal::SinkUsage;
use proto_boot::telemetry::{Counters, Gauges, Histograms, Metrics, SECONDS};
use proto_model::Timestamp;

use super::target::Target;
use crate::limit::Given;

/// A request that the server would not take, or that was tried often enough.
pub(super) const INGESTER_ERROR: &str = "ingester_error";
/// A request of a tenant who sends too much.
pub(super) const RATE_LIMITED: &str = "rate_limited";

/// The counters; clones share them.
#[derive(Debug, Clone)]
pub struct SinkMetrics {
    requests: Histograms<2>,
    encoded_bytes: Counters<1>,
    sent_bytes: Counters<1>,
    sent_entries: Counters<1>,
    dropped_bytes: Counters<3>,
    dropped_entries: Counters<3>,
    mutated_bytes: Counters<3>,
    mutated_entries: Counters<3>,
    retries: Counters<2>,
    lag_bytes: Gauges<1>,
    lag_seconds: Gauges<1>,
    lost: Counters<2>,
    lost_lines: Counters<2>,
}

impl SinkMetrics {
    /// Registers them.
    #[must_use]
    pub fn new(metrics: &Metrics) -> Self {
        const WHY: [&str; 3] = ["host", "tenant", "reason"];
        Self {
            requests: metrics.histograms(
                "promtail_request_duration_seconds",
                "Duration of push requests; status_code -1 = no answer",
                ["status_code", "host"],
                &SECONDS,
            ),
            encoded_bytes: metrics.counters("promtail_encoded_bytes_total", "Bytes of requests made, each once", ["host"]),
            sent_bytes: metrics.counters("promtail_sent_bytes_total", "Bytes of requests that were taken", ["host"]),
            sent_entries: metrics.counters("promtail_sent_entries_total", "Lines of requests that were taken", ["host"]),
            dropped_bytes: metrics.counters("promtail_dropped_bytes_total", "Bytes of requests that were given up", WHY),
            dropped_entries: metrics.counters("promtail_dropped_entries_total", "Lines that were given up", WHY),
            mutated_bytes: metrics.counters("promtail_mutated_bytes_total", "Bytes cut off lines", WHY),
            mutated_entries: metrics.counters("promtail_mutated_entries_total", "Lines that were cut", WHY),
            retries: metrics.counters("promtail_batch_retries_total", "Requests that were tried again", ["host", "tenant"]),
            lag_bytes: metrics.gauges("tributary_edge_sink_lag_bytes", "Bytes of the WAL that a client has yet to get", ["client"]),
            lag_seconds: metrics.gauges("tributary_edge_sink_lag_seconds", "Age of the oldest batch that a client has yet to get", ["client"]),
            lost: metrics.counters("tributary_edge_sink_losses_total", "Times that lines for a client were given up", ["client", "reason"]),
            lost_lines: metrics.counters(
                "tributary_edge_sink_lines_lost_total",
                "Lines that a client will not get, where their number is known",
                ["client", "reason"],
            ),
        }
    }

    /// The series of a target are there from the start, at 0.
    pub(super) fn begin(&self, target: &Target) {
        let (host, tenant) = (target.host.as_str(), target.settings.tenant_id.as_str());
        for counters in [&self.encoded_bytes, &self.sent_bytes, &self.sent_entries] {
            counters.with([host]).add(0);
        }
        for reason in [INGESTER_ERROR, RATE_LIMITED, "stream_limited", "line_too_long"] {
            self.dropped_bytes.with([host, tenant, reason]).add(0);
            self.dropped_entries.with([host, tenant, reason]).add(0);
        }
        self.mutated_bytes.with([host, tenant, "line_too_long"]).add(0);
        self.mutated_entries.with([host, tenant, "line_too_long"]).add(0);
        self.retries.with([host, tenant]).add(0);
        self.lag_bytes.with([&target.name]).set_whole(0);
        self.lag_seconds.with([&target.name]).set_whole(0);
    }

    /// A target is not pushed to any more.
    pub(super) fn end(&self, target: &Target) {
        self.lag_bytes.remove([&target.name]);
        self.lag_seconds.remove([&target.name]);
    }

    /// A request was answered with `status`, or not at all.
    pub(super) fn asked(&self, host: &str, status: Option<u16>, took: Duration) {
        let status = status.map_or_else(|| "-1".to_owned(), |status| status.to_string());
        self.requests.with([&status, host]).observe_span(took);
    }

    /// A request was made.
    pub(super) fn encoded(&self, host: &str, bytes: u64) {
        self.encoded_bytes.with([host]).add(bytes);
    }

    /// A request was taken.
    pub(super) fn sent(&self, host: &str, bytes: u64, lines: u64) {
        self.sent_bytes.with([host]).add(bytes);
        self.sent_entries.with([host]).add(lines);
    }

    /// A request was given up.
    pub(super) fn dropped(&self, [host, tenant, reason]: [&str; 3], bytes: u64, lines: u64) {
        self.dropped_bytes.with([host, tenant, reason]).add(bytes);
        self.dropped_entries.with([host, tenant, reason]).add(lines);
    }

    /// A request is tried again.
    pub(super) fn retried(&self, host: &str, tenant: &str) {
        self.retries.with([host, tenant]).inc();
    }

    /// A client will not get these lines.
    pub(super) fn lost(&self, client: &str, reason: &str, lines: u64) {
        self.lost.with([client, reason]).inc();
        self.lost_lines.with([client, reason]).add(lines);
    }

    /// Where a client stands.
    pub(super) fn stands(&self, client: &str, usage: &SinkUsage, now: Timestamp) {
        self.lag_bytes.with([client]).set_whole(usage.lag_bytes);
        self.lag_seconds.with([client]).set(usage.oldest.map_or(0.0, |oldest| now.since(oldest).as_secs_f64()));
    }

    /// What `limits_config` cost, as every client sees it.
    pub(crate) fn limited(&self, target: &Target, tenant: &str, given: &Given) {
        let (host, own) = (target.host.as_str(), target.settings.tenant_id.as_str());
        let tenant = if tenant.is_empty() { own } else { tenant };
        for (reason, lines, bytes) in
            [("stream_limited", given.stream_limit, given.stream_limit_bytes), ("line_too_long", given.line_too_long, given.line_too_long_bytes)]
        {
            self.dropped([host, tenant, reason], bytes, lines);
        }
        self.mutated_entries.with([host, tenant, "line_too_long"]).add(given.cut);
        self.mutated_bytes.with([host, tenant, "line_too_long"]).add(given.cut_bytes);
    }
}
