//! What this edge knows of itself, for `/ready`, `/targets`, the status command and heartbeats.
//!
//! One struct behind a lock held for a moment. Parts: [`Status`], [`report`] (what is shown), [`view`] (that, for a terminal). What only
//! pages need of files is made when one of them asks ([`Status::fresh`]): nobody looks, nothing is made. Must not do: decide anything.

pub mod report;
pub mod view;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use edge_pipeline::Registry;
use edge_wal::{TrackUsage, Usage};
use proto_model::Timestamp;
use proto_wire::edge_hub::Heartbeat;
use tokio::sync::{Notify, watch};

use crate::discover::live::JobDiscovered;
use crate::limit::Given;
use crate::receive::board::Board;
use crate::sink::Target;
use crate::sink::metrics::SinkMetrics;
pub use report::{
    ContainerReport, JobReport, LossReport, PathReport, ReceiverReport, RefusedReport, SinkReport, Snapshot, SourceReport, StatusReport, TrackReport,
    TrackStanding,
};

/// Longest wait of a page for what the collector knows: it may be kept by a disk.
const FRESH_WAIT: Duration = Duration::from_secs(2);

impl State {
    /// The track that new batches join, as the session sees it.
    fn live(&self) -> Option<&TrackStanding> {
        self.standings.last()
    }

    fn loss(&mut self, reason: &str, lines: u64) {
        self.lost_lines += lines;
        let loss = self.losses.entry(reason.to_owned()).or_default();
        (loss.times, loss.lines) = (loss.times + 1, loss.lines + lines);
    }

    fn losses(&self) -> Vec<LossReport> {
        let mut losses = self.losses.clone();
        if self.damaged_lines > 0 {
            let damaged = losses.entry(edge_wal::reason::WAL_DAMAGED.to_owned()).or_default();
            (damaged.times, damaged.lines) = (damaged.times + 1, damaged.lines + self.damaged_lines);
        }
        losses.into_iter().map(|(reason, loss)| LossReport { reason, ..loss }).collect()
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
    unacked_lines: u64,
    wal_max_bytes: u64,
    stalled: bool,
    lost_lines: u64,
    losses: BTreeMap<String, LossReport>,
    bytes_behind: u64,
    files_behind: u64,
    trouble: String,
    certificate: Option<(i64, String)>,
    snapshot: Arc<Snapshot>,
    jobs: Arc<Vec<JobDiscovered>>,
    /// What was counted of them as failed, by job and reason.
    failed: BTreeMap<(String, &'static str), usize>,
    discovered: bool,
    board: Option<Board>,
    /// Metrics that stages make.
    custom: Option<Arc<Registry>>,
    sinks: Vec<SinkReport>,
    /// Who counts, for every client, what limits cost.
    sink_limits: Option<(SinkMetrics, Vec<Target>)>,
    on_session: u64,
}

/// Shared by all tasks of an edge.
#[derive(Debug, Clone)]
pub struct Status {
    state: Arc<Mutex<State>>,
    metrics: Option<crate::metrics::EdgeMetrics>,
    /// A page asks for a snapshot.
    wanted: Arc<Notify>,
    /// There is a new one.
    made: watch::Sender<()>,
}

impl Default for Status {
    fn default() -> Self {
        Self { state: Arc::default(), metrics: None, wanted: Arc::default(), made: watch::channel(()).0 }
    }
}

impl Status {
    /// With counters to be kept in step.
    #[must_use]
    pub fn new(metrics: crate::metrics::EdgeMetrics) -> Self {
        Self { metrics: Some(metrics), ..Self::default() }
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
        state.loss(reason, lines.unwrap_or(0));
        if let Some(metrics) = &self.metrics {
            metrics.lost(reason, lines);
        }
    }

    /// Bytes of a job's file that are gone before they were read; `None` = unknown how many. Beside [`Self::lost`].
    pub fn missed(&self, job: &str, reason: &str, bytes: Option<u64>) {
        let mut state = self.state();
        state.losses.entry(reason.to_owned()).or_default().bytes += bytes.unwrap_or(0);
        if let Some(metrics) = &self.metrics {
            metrics.missed(job, reason, bytes);
        }
    }

    /// Files were searched for.
    pub fn searched(&self) {
        self.state().discovered = true;
    }

    /// What is being read, and what is not.
    pub fn snapshot_made(&self, snapshot: Snapshot) {
        self.state().snapshot = Arc::new(snapshot);
        self.made.send_replace(());
    }

    /// Waits until a page asks for a snapshot.
    pub async fn snapshot_wanted(&self) {
        self.wanted.notified().await;
    }

    /// What is being read, and what is not, as it is now; as it was, when the collector is kept from saying so.
    pub async fn fresh(&self) -> Arc<Snapshot> {
        let mut made = self.made.subscribe();
        self.wanted.notify_one();
        drop(tokio::time::timeout(FRESH_WAIT, made.changed()).await);
        Arc::clone(&self.state().snapshot)
    }

    /// Where those are that are sent to.
    pub fn receivers(&self, board: Board) {
        self.state().board = Some(board);
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
    pub fn limited(&self, given: &BTreeMap<String, Given>) {
        if let Some((metrics, targets)) = self.state().sink_limits.as_ref() {
            given.iter().for_each(|(tenant, given)| targets.iter().for_each(|target| metrics.limited(target, tenant, given)));
        }
    }

    /// What the jobs discovered, `targets` globs in all.
    pub fn discovered(&self, jobs: Vec<JobDiscovered>, targets: usize) {
        let mut state = self.state();
        if let Some(metrics) = &self.metrics {
            let now: BTreeMap<(String, &'static str), usize> =
                jobs.iter().flat_map(|job| job.reasons.iter().map(|(reason, count)| ((job.job.clone(), *reason), *count))).collect();
            for (key, count) in &now {
                metrics.targets_failed(key.1, count.saturating_sub(state.failed.get(key).copied().unwrap_or(0)));
            }
            metrics.targets(targets);
            state.failed = now;
        }
        state.jobs = Arc::new(jobs);
    }

    /// What the jobs discovered, for the service discovery page.
    #[must_use]
    pub fn service_discovery(&self) -> Vec<JobDiscovered> {
        let (jobs, board) = {
            let state = self.state();
            (Arc::clone(&state.jobs), state.board.clone())
        };
        jobs.iter().cloned().chain(board.map(|board| board.discovered()).unwrap_or_default()).collect()
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

    /// The largest size of the WAL.
    pub fn wal_limit(&self, max_bytes: u64) {
        self.state().wal_max_bytes = max_bytes;
        if let Some(metrics) = &self.metrics {
            metrics.wal_limit(max_bytes);
        }
    }

    /// Reading waits for room, or goes on.
    pub fn stalled(&self, on: bool) {
        self.state().stalled = on;
        if let Some(metrics) = &self.metrics {
            metrics.stalled(on);
        }
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
        state.unacked_lines = usage.lines_unacked;
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
            version: env!("CARGO_PKG_VERSION"),
            wal_max_bytes: state.wal_max_bytes,
            unacked_bytes: state.unacked_bytes,
            unacked_lines: state.unacked_lines,
            stalled: state.stalled,
            lines_read: self.metrics.as_ref().map_or(0, crate::metrics::EdgeMetrics::lines_read),
            lines_acked: self.metrics.as_ref().map_or(0, crate::metrics::EdgeMetrics::lines_acked),
            bytes_behind: state.bytes_behind,
            files_behind: state.files_behind,
            losses: state.losses(),
            jobs: state.snapshot.jobs.clone(),
            receivers: state.board.as_ref().map(Board::reports).unwrap_or_default(),
        }
    }

    /// For the targets page.
    #[must_use]
    pub fn receiver_reports(&self) -> Vec<ReceiverReport> {
        let board = self.state().board.clone();
        board.map(|board| board.reports()).unwrap_or_default()
    }

    /// Containers, for the targets page.
    #[must_use]
    pub fn container_reports(&self) -> Vec<ContainerReport> {
        let board = self.state().board.clone();
        board.map(|board| board.containers()).unwrap_or_default()
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
