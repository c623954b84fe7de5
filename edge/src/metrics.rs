//! Counters of an edge, and Promtail's under their names. Labels come from closed sets: reasons, transports, jobs; never streams.
//!
//! Parts: [`EdgeMetrics`], [`series`] (what is counted by path and by job, written when it is asked for), [`process`] (what the system
//! knows of this process). `docs/metrics.md` has them all. Must not do: count by stream.

pub mod process;
pub mod series;

use std::collections::BTreeMap;
use std::time::Duration;

use edge_pipeline::Counters as PipelineCounters;
use edge_wal::{TrackUsage, Usage};
use proto_boot::telemetry::{Counter, Counters, Gauge, Gauges, Metrics};
use proto_model::Timestamp;

use crate::limit::Given;
use crate::limit::budget::Spent;
use crate::tail::source::read::LineCount;

/// Label values of tracks, by age: their numbers rise for ever.
const TRACK_WORDS: [&str; 8] = ["live", "1", "2", "3", "4", "5", "6", "7"];

/// The counters; clones share them.
#[derive(Clone, Debug)]
pub struct EdgeMetrics {
    lines_read: Counter,
    bytes_read: Counter,
    lines_cut: Counter,
    lines_gathered: Counter,
    raw_bytes: Counter,
    batch_bytes: Counter,
    lines_acked: Counter,
    lines_lost: Counters<1>,
    losses: Counters<1>,
    dropped: Counters<1>,
    parse_errors: Counters<1>,
    wal_bytes: Gauge,
    wal_failures: Counter,
    backlog_bytes: Gauges<1>,
    live_latency: Gauge,
    stalled: Gauge,
    oldest_unacked: Gauge,
    bytes_behind: Gauge,
    files_behind: Gauge,
    files: Gauges<1>,
    watches: Gauges<1>,
    sessions: Counters<1>,
    dial_failures: Counters<1>,
    refusals: Counters<1>,
    bytes_lost: Counters<1>,
    job_losses: Counters<2>,
    tenant_lines: Counters<1>,
    tenant_bytes: Counters<1>,
    tenant_waits: Counters<1>,
    tenant_dropped: Counters<1>,
    wal_max_bytes: Gauge,
    wal_lines: Gauge,
    seconds_behind: Gauge,
    partials_unfinished: Counter,
    lines_rehomed: Counter,
    /// Promtail's.
    dropped_lines: Counters<1>,
    files_active: Gauge,
    targets_active: Gauge,
    targets_failed: Counters<1>,
}

impl EdgeMetrics {
    /// Registers them.
    #[must_use]
    pub fn new(metrics: &Metrics) -> Self {
        let build = metrics.gauges("promtail_build_info", "What runs in the place of Promtail: its version; the value is 1", ["version"]);
        build.with([concat!("tributary-edge-", env!("CARGO_PKG_VERSION"))]).set_whole(1);
        metrics.gauges("tributary_edge_build_info", "The program's version; the value is 1", ["version"]).with([env!("CARGO_PKG_VERSION")]).set_whole(1);
        Self {
            lines_read: metrics.counter("tributary_edge_lines_read_total", "Lines read from sources"),
            bytes_read: metrics.counter("tributary_edge_bytes_read_total", "Bytes read from sources, line endings included"),
            lines_cut: metrics.counter("tributary_edge_lines_truncated_total", "Lines longer than the limit, cut with a mark"),
            lines_gathered: metrics.counter("tributary_edge_lines_gathered_total", "Lines that went into batches"),
            raw_bytes: metrics.counter("tributary_edge_raw_bytes_total", "Bytes of lines that went into batches"),
            batch_bytes: metrics.counter("tributary_edge_batch_bytes_total", "Bytes of batches as stored and sent"),
            lines_acked: metrics.counter("tributary_edge_lines_acked_total", "Lines that the hub acknowledged"),
            lines_lost: metrics.counters("tributary_edge_lines_lost_total", "Lines given up, where their number is known", ["reason"]),
            losses: metrics.counters("tributary_edge_losses_total", "Times that lines were given up or may be missing", ["reason"]),
            dropped: metrics.counters("tributary_edge_lines_dropped_total", "Lines that a stage dropped as it was told to", ["reason"]),
            parse_errors: metrics.counters("tributary_edge_parse_errors_total", "Lines that a stage could not read; they are kept as they are", ["stage"]),
            wal_bytes: metrics.gauge("tributary_edge_wal_bytes", "Bytes of the WAL's files"),
            backlog_bytes: metrics.gauges(
                "tributary_edge_backlog_bytes",
                "Bytes not acknowledged yet, by track: live, then older ones, the oldest first",
                ["track"],
            ),
            live_latency: metrics.gauge("tributary_edge_live_latency_seconds", "Time from writing to acknowledgement of the newest acknowledged live batch"),
            wal_failures: metrics.counter("tributary_edge_wal_failures_total", "Times that the WAL could not be written"),
            stalled: metrics.gauge("tributary_edge_stalled", "1 while reading waits for room in the WAL"),
            oldest_unacked: metrics.gauge("tributary_edge_oldest_unacked_seconds", "Age of the oldest batch without an ack"),
            bytes_behind: metrics.gauge("tributary_edge_bytes_behind", "Bytes of known files not read yet"),
            files_behind: metrics.gauge("tributary_edge_files_behind", "Files with bytes not read yet"),
            files: metrics.gauges("tributary_edge_files", "Files by what becomes of them: read, or refused (named by a glob and not read)", ["state"]),
            watches: metrics.gauges(
                "tributary_edge_watched_directories",
                "Directories by whether changes in them are told (watched), or files in them are looked at by time (polled)",
                ["state"],
            ),
            sessions: metrics.counters("tributary_edge_sessions_total", "Sessions with the hub begun", ["transport"]),
            dial_failures: metrics.counters("tributary_edge_dial_failures_total", "Times that the hub could not be reached", ["reason"]),
            refusals: metrics.counters("tributary_edge_refusals_total", "Times that the hub refused", ["code"]),
            bytes_lost: metrics.counters("tributary_edge_bytes_lost_total", "Bytes of files that were gone before they were read, where known", ["reason"]),
            job_losses: metrics.counters(
                "tributary_edge_job_losses_total",
                "Times that lines of a job's files were gone before they were read",
                ["job_name", "reason"],
            ),
            tenant_lines: metrics.counters("tributary_edge_tenant_lines_total", "Lines taken under a tenant's budget", ["tenant"]),
            tenant_bytes: metrics.counters("tributary_edge_tenant_bytes_total", "Their bytes", ["tenant"]),
            tenant_waits: metrics.counters("tributary_edge_tenant_waits_total", "Times that a source had to wait for its tenant's budget", ["tenant"]),
            tenant_dropped: metrics.counters("tributary_edge_tenant_dropped_lines_total", "Lines beyond a tenant's budget", ["tenant"]),
            wal_max_bytes: metrics.gauge("tributary_edge_wal_max_bytes", "Bytes that the WAL may take"),
            wal_lines: metrics.gauge("tributary_edge_wal_lines", "Lines in the WAL that are not acknowledged yet"),
            seconds_behind: metrics.gauge("tributary_edge_seconds_behind", "How long at most bytes of known files have waited to be read"),
            partials_unfinished: metrics.counter("tributary_edge_partials_unfinished_total", "Pieces of lines sent on without the rest, which did not come"),
            lines_rehomed: metrics.counter("tributary_edge_lines_rehomed_total", "Lines held by stages that new settings do not have, sent on as they were"),
            dropped_lines: metrics.counters("logentry_dropped_lines_total", "A count of all log lines dropped as a result of a pipeline stage", ["reason"]),
            files_active: metrics.gauge("promtail_files_active_total", "Number of active files"),
            targets_active: metrics.gauge("promtail_targets_active_total", "Number of active total"),
            targets_failed: metrics.counters("promtail_targets_failed_total", "Number of failed targets", ["reason"]),
        }
    }

    /// What `limits_config` cost.
    pub fn limited(&self, (given, spent): &(BTreeMap<String, Given>, BTreeMap<String, Spent>)) {
        for (tenant, spent) in spent {
            self.tenant_lines.with([tenant]).add(spent.lines);
            self.tenant_bytes.with([tenant]).add(spent.bytes);
            self.tenant_waits.with([tenant]).add(spent.waits);
            self.tenant_dropped.with([tenant]).add(spent.dropped);
            if spent.dropped > 0 {
                self.drop("tenant_budget", "tenant_budget", spent.dropped);
            }
        }
        for given in given.values() {
            for (reason, lines) in [("rate_limited", given.rate_limited), ("stream_limited", given.stream_limit), ("line_too_long", given.line_too_long)] {
                if lines > 0 {
                    self.drop(reason, if reason == "rate_limited" { "global_rate_limiter_drop" } else { reason }, lines);
                }
            }
            self.lines_cut.add(given.cut);
        }
    }

    /// Lines were dropped for a reason, which Promtail may have another word for.
    fn drop(&self, reason: &str, promtails: &str, lines: u64) {
        self.dropped.with([reason]).add(lines);
        self.dropped_lines.with([promtails]).add(lines);
    }

    /// Lines were read.
    pub fn read(&self, count: &LineCount, pipeline: &PipelineCounters) {
        self.lines_read.add(count.lines);
        self.bytes_read.add(count.bytes);
        self.lines_cut.add(count.cut + pipeline.lines_truncated);
        for (reason, lines) in &pipeline.lines_dropped {
            self.drop(reason, reason, *lines);
        }
        self.partials_unfinished.add(pipeline.partials_unfinished);
        self.lines_rehomed.add(pipeline.lines_rehomed);
        for (stage, lines) in &pipeline.parse_errors {
            self.parse_errors.with([stage]).add(*lines);
        }
    }

    /// A batch was written.
    pub fn gathered(&self, lines: u64, raw_bytes: u64, batch_bytes: u64) {
        self.lines_gathered.add(lines);
        self.raw_bytes.add(raw_bytes);
        self.batch_bytes.add(batch_bytes);
    }

    /// Bytes of lines that went into batches so far.
    #[must_use]
    pub fn gathered_bytes(&self) -> u64 {
        self.raw_bytes.value()
    }

    /// The hub acknowledged lines; the newest live batch among them took so long.
    pub fn acked(&self, lines: u64, live_latency: Option<Duration>) {
        self.lines_acked.add(lines);
        if let Some(latency) = live_latency {
            self.live_latency.set(latency.as_secs_f64());
        }
    }

    /// What waits in each track that is not closed, oldest first.
    pub fn backlog(&self, tracks: &[TrackUsage]) {
        let live = tracks.len().saturating_sub(1);
        for (place, word) in TRACK_WORDS.iter().enumerate() {
            // Of older tracks the oldest comes first; those beyond the words count as the last of them.
            let is_last = place + 1 == TRACK_WORDS.len();
            let bytes = tracks.iter().enumerate().filter(|(at, _)| match place {
                0 => *at == live,
                _ => *at < live && (at + 1 == place || is_last && at + 1 > place),
            });
            self.backlog_bytes.with([word]).set_whole(bytes.map(|(_, usage)| usage.unacked_bytes).sum());
        }
    }

    /// Lines were given up, or are gone before they were read.
    pub fn lost(&self, reason: &str, lines: Option<u64>) {
        self.losses.with([reason]).inc();
        self.lines_lost.with([reason]).add(lines.unwrap_or(0));
    }

    /// Bytes of a job's file are gone before they were read.
    pub fn missed(&self, job: &str, reason: &str, bytes: Option<u64>) {
        self.job_losses.with([job, reason]).inc();
        self.bytes_lost.with([reason]).add(bytes.unwrap_or(0));
    }

    /// Globs that are read now.
    pub fn targets(&self, active: usize) {
        self.targets_active.set_whole(active as u64);
    }

    /// So many more label sets were discovered that are not read.
    pub fn targets_failed(&self, reason: &str, more: usize) {
        self.targets_failed.with([reason]).add(more as u64);
    }

    /// Lines read since the start.
    #[must_use]
    pub fn lines_read(&self) -> u64 {
        self.lines_read.value()
    }

    /// Lines acked since the start.
    #[must_use]
    pub fn lines_acked(&self) -> u64 {
        self.lines_acked.value()
    }

    /// What the WAL may take.
    pub fn wal_limit(&self, max_bytes: u64) {
        self.wal_max_bytes.set_whole(max_bytes);
    }

    /// What the WAL holds.
    pub fn wal(&self, usage: &Usage, now: Timestamp) {
        self.wal_bytes.set_whole(usage.bytes);
        self.wal_lines.set_whole(usage.lines_unacked);
        self.oldest_unacked.set(usage.oldest_unacked.map_or(0.0, |oldest| now.since(oldest).as_secs_f64()));
    }

    /// The WAL could not be written.
    pub fn wal_failed(&self) {
        self.wal_failures.inc();
    }

    /// Reading waits, or goes on.
    pub fn stalled(&self, on: bool) {
        self.stalled.set_whole(u64::from(on));
    }

    /// What is not read yet.
    pub fn behind(&self, bytes: u64, files: u64, longest: Duration) {
        self.bytes_behind.set_whole(bytes);
        self.files_behind.set_whole(files);
        self.seconds_behind.set(longest.as_secs_f64());
    }

    /// Files that are read, files that are not, and directories that are watched or cannot be.
    pub fn files(&self, read: usize, refused: usize, (watched, polled): (usize, usize)) {
        self.files_active.set_whole(read as u64);
        for (gauge, state, count) in
            [(&self.files, "read", read), (&self.files, "refused", refused), (&self.watches, "watched", watched), (&self.watches, "polled", polled)]
        {
            gauge.with([state]).set_whole(count as u64);
        }
    }

    /// A session began.
    pub fn session(&self, transport: &str) {
        self.sessions.with([transport]).inc();
    }

    /// The hub could not be reached.
    pub fn dial_failed(&self, reason: &str) {
        self.dial_failures.with([reason]).inc();
    }

    /// The hub refused.
    pub fn refused(&self, code: &str) {
        self.refusals.with([code]).inc();
    }
}
