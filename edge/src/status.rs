//! What this edge knows of itself, for `/ready`, `/targets`, the status command and heartbeats.
//!
//! One struct behind a lock held for a moment. Must not do: decide anything.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use edge_pipeline::Registry;
use edge_wal::{TrackUsage, Usage};
use proto_model::{Epoch, ProducerId, Sequence, Timestamp, TrackId};
use proto_wire::edge_hub::Heartbeat;
use serde::Serialize;

use crate::discover::live::JobDiscovered;
use crate::limit::Given;
use crate::sink::Target;
use crate::sink::metrics::SinkMetrics;

/// One file, for the targets page.
#[derive(Debug, Clone, Serialize)]
pub struct SourceReport {
    /// Where it was found.
    pub path: String,
    /// Its job.
    pub job: String,
    /// Labels of its lines.
    pub labels: String,
    /// Bytes read.
    pub offset: u64,
    /// Bytes not read yet.
    pub behind: u64,
    /// Renamed or deleted, being read to its end.
    pub draining: bool,
}

/// One track, as the session sees it.
#[derive(Debug, Clone, Copy)]
pub struct TrackStanding {
    /// Its number.
    pub track: TrackId,
    /// Its producer, once bound.
    pub producer: Option<ProducerId>,
    /// Its epoch.
    pub epoch: Epoch,
    /// Newest acked sequence.
    pub acked: Sequence,
    /// `open`, `closed`, `closing`, or why the hub refused it.
    pub state: &'static str,
}

/// One track that is not closed, for people; the last is the live one.
#[derive(Debug, Clone, Serialize)]
pub struct TrackReport {
    /// Its number.
    pub track: u32,
    /// Its producer, once bound.
    pub producer: Option<String>,
    /// Its epoch.
    pub epoch: u64,
    /// Newest durable sequence.
    pub sequence: u64,
    /// Newest acked sequence.
    pub acked: u64,
    /// Bytes not acked yet.
    pub backlog_bytes: u64,
    /// Age of the oldest unacked batch, whole seconds.
    pub oldest_s: u64,
    /// `open`, `closed`, `closing`, or why the hub refused it.
    pub state: &'static str,
}

/// One of `clients`, for people.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SinkReport {
    /// Its name.
    pub client: String,
    /// Host and port.
    pub host: String,
    /// Bytes of the WAL that it has yet to get.
    pub lag_bytes: u64,
    /// Age of the oldest batch among them, whole seconds.
    pub lag_s: u64,
    /// Lines that it took since the start.
    pub sent_lines: u64,
    /// Lines that it will not get, since the start, as far as they can be counted.
    pub lost_lines: u64,
    /// Why it did not take the last request; empty when it did.
    pub trouble: String,
}

/// What `status` prints (`docs/contract.md`).
#[derive(Debug, Clone, Serialize)]
pub struct StatusReport {
    /// `quic`, `grpc` or `none`.
    pub session: &'static str,
    /// The producer, once bound.
    pub producer: Option<String>,
    /// Its epoch.
    pub epoch: u64,
    /// Newest durable sequence.
    pub sequence: u64,
    /// Newest acked sequence.
    pub acked: u64,
    /// Bytes of WAL files.
    pub wal_bytes: u64,
    /// Age of the oldest unacked batch, whole seconds.
    pub oldest_unacked_s: u64,
    /// Lines given up since the start, as far as they can be counted.
    pub lost_lines: u64,
    /// Time from writing to ack of the newest acked live batch, milliseconds.
    pub live_latency_ms: u64,
    /// Tracks that are not closed, oldest first.
    pub tracks: Vec<TrackReport>,
    /// The clients that are pushed to.
    pub clients: Vec<SinkReport>,
    /// When the certificate ends, RFC 3339; empty when there is none.
    pub cert_not_after: String,
    /// Why there is no session, or what the hub refused last; empty when all is well.
    pub trouble: String,
}

impl State {
    /// The track that new batches join, as the session sees it.
    fn live(&self) -> Option<&TrackStanding> {
        self.standings.last()
    }

    fn is_open(&self) -> bool {
        self.session.is_some() && self.live().is_some_and(|live| live.state == "open")
    }

    fn track_report(&self, usage: &TrackUsage) -> TrackReport {
        let standing = self.standings.iter().find(|standing| standing.track == usage.state.track);
        // The WAL's figures are a second old: those of a producer that another has followed are not of that one.
        let of_another = standing.is_some_and(|standing| standing.producer.is_some() && standing.producer != usage.state.producer);
        let known = if of_another { 0 } else { usage.state.acked.0 };
        TrackReport {
            track: usage.state.track.0,
            producer: standing.and_then(|standing| standing.producer).or(usage.state.producer).map(|producer| producer.to_string()),
            epoch: standing.map_or(0, |standing| standing.epoch.0),
            sequence: usage.state.next.0 - 1,
            acked: known.max(standing.map_or(0, |standing| standing.acked.0)),
            backlog_bytes: usage.unacked_bytes,
            oldest_s: usage.oldest_unacked.map_or(0, |oldest| self.tracks_at.since(oldest).as_secs()),
            state: standing.filter(|_| self.session.is_some()).map_or("closed", |standing| standing.state),
        }
    }
}

#[derive(Debug, Default)]
struct State {
    session: Option<&'static str>,
    standings: Vec<TrackStanding>,
    tracks: Vec<TrackUsage>,
    /// The wall time of `tracks`.
    tracks_at: Timestamp,
    live_latency: Duration,
    /// Lines in records that turned out damaged while they were read.
    damaged_lines: u64,
    wal_bytes: u64,
    unacked_bytes: u64,
    oldest_unacked_s: u64,
    lost_lines: u64,
    losses: u64,
    bytes_behind: u64,
    files_behind: u64,
    trouble: String,
    certificate: Option<(i64, String)>,
    sources: Vec<SourceReport>,
    refused: Vec<(String, String)>,
    jobs: Arc<Vec<JobDiscovered>>,
    discovered: bool,
    /// Metrics that stages make.
    custom: Option<Arc<Registry>>,
    sinks: Vec<SinkReport>,
    /// Who counts, for every client, what limits cost.
    sink_limits: Option<(SinkMetrics, Vec<Target>)>,
    on_session: u64,
}

/// Shared by all tasks of an edge.
#[derive(Debug, Clone, Default)]
pub struct Status {
    state: Arc<Mutex<State>>,
    metrics: Option<crate::metrics::EdgeMetrics>,
}

impl Status {
    /// With counters to be kept in step.
    #[must_use]
    pub fn new(metrics: crate::metrics::EdgeMetrics) -> Self {
        Self { state: Arc::default(), metrics: Some(metrics) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A session stands.
    pub fn session_began(&self, transport: &'static str) {
        let mut state = self.state();
        state.session = Some(transport);
        state.trouble.clear();
        state.on_session += 1;
        if let Some(metrics) = &self.metrics {
            metrics.session(transport);
        }
    }

    /// The session ended.
    pub fn session_ended(&self, why: &str) {
        let mut state = self.state();
        state.session = None;
        why.clone_into(&mut state.trouble);
    }

    /// No session could be made.
    pub fn dial_failed(&self, reason: &str, text: &str) {
        text.clone_into(&mut self.state().trouble);
        if let Some(metrics) = &self.metrics {
            metrics.dial_failed(reason);
        }
    }

    /// The hub said no.
    pub fn refused(&self, code: &str, text: &str) {
        self.state().trouble = format!("the hub refused ({code}): {text}");
        if let Some(metrics) = &self.metrics {
            metrics.refused(code);
        }
    }

    /// Where the tracks stand, oldest first.
    pub fn stand(&self, standings: Vec<TrackStanding>) {
        let mut state = self.state();
        state.standings = standings;
        if state.is_open() {
            state.trouble.clear();
        }
    }

    /// Lines that the hub acknowledged, and how long the newest live batch among them took.
    pub fn acked(&self, lines: u64, live_latency: Option<Duration>) {
        if let Some(latency) = live_latency {
            self.state().live_latency = latency;
        }
        if let Some(metrics) = &self.metrics {
            metrics.acked(lines, live_latency);
        }
    }

    /// Lines that were given up, and why; `None` = unknown how many.
    pub fn lost(&self, reason: &str, lines: Option<u64>) {
        let mut state = self.state();
        state.losses += 1;
        state.lost_lines += lines.unwrap_or(0);
        if let Some(metrics) = &self.metrics {
            metrics.lost(reason, lines);
        }
    }

    /// What is being read, and what is not.
    pub fn sources(&self, sources: Vec<SourceReport>, refused: Vec<(String, String)>) {
        let mut state = self.state();
        (state.sources, state.refused, state.discovered) = (sources, refused, true);
    }

    /// Where the clients stand.
    pub fn sinks(&self, sinks: Vec<SinkReport>) {
        self.state().sinks = sinks;
    }

    /// Who is pushed to from now on.
    pub fn sink_targets(&self, metrics: SinkMetrics, targets: Vec<Target>) {
        let standing = |target: &Target| SinkReport { client: target.name.clone(), host: target.host.clone(), ..SinkReport::default() };
        let mut state = self.state();
        state.sinks = targets.iter().map(standing).collect();
        state.sink_limits = Some((metrics, targets));
    }

    /// What `limits_config` cost: every client counts it under Promtail's names.
    pub fn limited(&self, given: &Given) {
        if let Some((metrics, targets)) = self.state().sink_limits.as_ref().filter(|_| *given != Given::default()) {
            targets.iter().for_each(|target| metrics.limited(target, given));
        }
    }

    /// What the jobs discovered.
    pub fn discovered(&self, jobs: Vec<JobDiscovered>) {
        self.state().jobs = Arc::new(jobs);
    }

    /// What the jobs discovered, for the service discovery page.
    #[must_use]
    pub fn service_discovery(&self) -> Arc<Vec<JobDiscovered>> {
        Arc::clone(&self.state().jobs)
    }

    /// The metrics that the stages of the jobs make now.
    pub fn custom(&self, registry: &Arc<Registry>) {
        self.state().custom = Some(Arc::clone(registry));
    }

    /// Those metrics in Prometheus' text format.
    #[must_use]
    pub fn custom_text(&self) -> String {
        let registry = self.state().custom.clone();
        registry.map(|registry| registry.text()).unwrap_or_default()
    }

    /// Bytes and files not read yet.
    pub fn behind(&self, bytes: u64, files: u64) {
        let mut state = self.state();
        (state.bytes_behind, state.files_behind) = (bytes, files);
    }

    /// What the WAL holds, and of each track that is not closed.
    pub fn wal(&self, usage: &Usage, tracks: Vec<TrackUsage>, now: Timestamp) {
        let mut state = self.state();
        if let Some(metrics) = &self.metrics {
            metrics.wal(usage, now);
            metrics.backlog(&tracks);
            if usage.damaged_lines > state.damaged_lines {
                metrics.lost(edge_wal::reason::WAL_DAMAGED, Some(usage.damaged_lines - state.damaged_lines));
            }
        }
        state.damaged_lines = usage.damaged_lines;
        state.wal_bytes = usage.bytes;
        state.unacked_bytes = usage.unacked_bytes;
        state.oldest_unacked_s = usage.oldest_unacked.map_or(0, |oldest| now.since(oldest).as_secs());
        (state.tracks, state.tracks_at) = (tracks, now);
    }

    /// The certificate in use: its end in seconds since 1970 and as RFC 3339.
    pub fn certificate(&self, not_after: Option<(i64, String)>) {
        self.state().certificate = not_after;
    }

    /// Why it is not ready; `None` = ready. Ready = files were searched for once.
    #[must_use]
    pub fn unready(&self) -> Option<String> {
        (!self.state().discovered).then(|| "files were not searched for yet".to_owned())
    }

    /// For the status page and command.
    #[must_use]
    pub fn report(&self) -> StatusReport {
        let state = self.state();
        let live = state.live();
        let acked = live.map_or(0, |live| live.acked.0);
        let newest = state.tracks.last();
        StatusReport {
            session: state.session.filter(|_| state.is_open()).unwrap_or("none"),
            producer: live.and_then(|live| live.producer).or_else(|| newest.and_then(|newest| newest.state.producer)).map(|producer| producer.to_string()),
            epoch: live.map_or(0, |live| live.epoch.0),
            sequence: newest.map_or(0, |newest| newest.state.next.0 - 1).max(acked),
            acked: acked.max(newest.filter(|_| live.is_none()).map_or(0, |newest| newest.state.acked.0)),
            wal_bytes: state.wal_bytes,
            oldest_unacked_s: state.oldest_unacked_s,
            lost_lines: state.lost_lines + state.damaged_lines,
            live_latency_ms: u64::try_from(state.live_latency.as_millis()).unwrap_or(u64::MAX),
            tracks: state.tracks.iter().map(|usage| state.track_report(usage)).collect(),
            clients: state.sinks.clone(),
            cert_not_after: state.certificate.as_ref().map(|(_, text)| text.clone()).unwrap_or_default(),
            trouble: state.trouble.clone(),
        }
    }

    /// For the targets page.
    #[must_use]
    pub fn targets(&self) -> (Vec<SourceReport>, Vec<(String, String)>) {
        let state = self.state();
        (state.sources.clone(), state.refused.clone())
    }

    /// What the hub is told every few seconds.
    #[must_use]
    pub fn heartbeat(&self, now: Timestamp) -> Heartbeat {
        let state = self.state();
        Heartbeat {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            backlog_bytes: state.unacked_bytes,
            oldest_s: state.oldest_unacked_s,
            files_behind: state.files_behind,
            bytes_behind: state.bytes_behind,
            lost_lines: state.lost_lines + state.damaged_lines,
            clock_ns: now.nanos(),
            cert_not_after_s: state.certificate.as_ref().map_or(0, |(secs, _)| *secs),
        }
    }
}
