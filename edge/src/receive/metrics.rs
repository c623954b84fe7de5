//! Counters of receivers: Promtail's names where Promtail has them. Labels come from closed sets.

use proto_boot::Metrics;
use proto_boot::telemetry::{Counter, Counters, Gauges};

/// The counters; clones share them.
#[derive(Clone, Debug)]
pub struct ReceiveMetrics {
    /// Records handed to the collector, by kind of receiver.
    pub records: Counters<1>,
    /// Bytes of their lines.
    pub bytes: Counters<1>,
    /// Requests, messages or datagrams that could not be read, by kind of receiver and reason.
    pub refused: Counters<2>,
    /// Requests, messages or datagrams that were not taken: no room, a budget that is used up, too many connections.
    pub shed: Counters<2>,
    /// Records that relabelling dropped, or that no label was left of.
    pub dropped: Counters<2>,
    /// Records of which something was cut or left out to fit a limit.
    pub cut: Counters<1>,
    /// Repeats that were answered without a second copy.
    pub repeats: Counter,
    /// Connections that are open.
    pub connections: Gauges<1>,
    /// Promtail's.
    pub syslog_entries: Counter,
    /// Promtail's.
    pub syslog_parsing_errors: Counter,
    /// Promtail's.
    pub syslog_empty: Counter,
    /// Promtail's.
    pub journal_lines: Counter,
    /// Promtail's, with further errors: `damaged_entry`, `damaged_file`.
    pub journal_errors: Counters<1>,
    /// Promtail's.
    pub gelf_entries: Counter,
    /// Promtail's.
    pub gelf_parsing_errors: Counter,
    /// Promtail's.
    pub docker_entries: Counter,
    /// Promtail's.
    pub docker_parsing_errors: Counter,
}

impl ReceiveMetrics {
    /// Registers them.
    #[must_use]
    pub fn new(metrics: &Metrics) -> Self {
        Self {
            records: metrics.counters("tributary_edge_receive_records_total", "Records taken from senders", ["receiver"]),
            bytes: metrics.counters("tributary_edge_receive_bytes_total", "Bytes of the lines of records taken from senders", ["receiver"]),
            refused: metrics.counters(
                "tributary_edge_receive_refused_total",
                "Requests, messages and datagrams that could not be read",
                ["receiver", "reason"],
            ),
            shed: metrics.counters(
                "tributary_edge_receive_shed_total",
                "Requests, messages and connections that were turned away for want of room or of a budget",
                ["receiver", "reason"],
            ),
            dropped: metrics.counters("tributary_edge_receive_dropped_total", "Records that relabelling dropped or left no label of", ["receiver", "reason"]),
            cut: metrics.counters("tributary_edge_receive_cut_total", "Records of which something was cut to fit a limit", ["receiver"]),
            repeats: metrics
                .counter("tributary_edge_receive_repeats_total", "Requests that were repeats of one that was taken, answered without a second copy"),
            connections: metrics.gauges("tributary_edge_receive_connections", "Open connections", ["receiver"]),
            syslog_entries: metrics.counter("promtail_syslog_target_entries_total", "Total number of successful entries sent to the syslog target"),
            syslog_parsing_errors: metrics
                .counter("promtail_syslog_target_parsing_errors_total", "Total number of parsing errors while receiving syslog messages"),
            syslog_empty: metrics.counter("promtail_syslog_empty_messages_total", "Total number of empty messages receiving from syslog"),
            journal_lines: metrics.counter("promtail_journal_target_lines_total", "Total number of successful journal lines read"),
            journal_errors: metrics.counters(
                "promtail_journal_target_parsing_errors_total",
                "Total number of parsing errors while reading journal messages",
                ["error"],
            ),
            gelf_entries: metrics.counter("promtail_gelf_target_entries_total", "Total number of successful entries sent to the gelf target"),
            gelf_parsing_errors: metrics.counter("promtail_gelf_target_parsing_errors_total", "Total number of parsing errors while receiving gelf messages"),
            docker_entries: metrics.counter("promtail_docker_target_entries_total", "Total number of successful entries sent to the Docker target"),
            docker_parsing_errors: metrics
                .counter("promtail_docker_target_parsing_errors_total", "Total number of parsing errors while receiving Docker messages"),
        }
    }
}
