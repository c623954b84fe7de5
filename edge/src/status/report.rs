//! What the pages and the status command show, as they show it: plain values that become JSON, HTML and text.
//!
//! Parts: [`Snapshot`] (what the collector knows of files, made when asked for), [`StatusReport`] (the rest), [`ReceiverReport`].
//! Must not do: hold a lock.

use proto_model::{Epoch, ProducerId, Sequence, TrackId};
use serde::Serialize;

/// What is read from files, at one moment.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Snapshot {
    /// Files that are read, by path.
    pub files: Vec<SourceReport>,
    /// Files that a glob names and that are not read.
    pub refused: Vec<RefusedReport>,
    /// The jobs that read files.
    #[serde(skip)]
    pub jobs: Vec<JobReport>,
    /// The files by path: one that was renamed and what took its name are one.
    #[serde(skip)]
    pub paths: Vec<PathReport>,
}

/// One file.
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
    /// Its last known length; packed bytes of an archive.
    pub size: u64,
    /// Bytes not read yet.
    pub behind: u64,
    /// How long at most these have waited, seconds.
    pub behind_s: f64,
    /// Lines read since it was opened.
    pub lines: u64,
    /// Renamed or deleted, being read to its end.
    pub draining: bool,
    /// `reading`, `draining`, `unpacking`, or `troubled`: it cannot be read now and is tried again.
    pub state: &'static str,
}

/// A file that is not read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RefusedReport {
    /// Where it is.
    pub path: String,
    /// Why it is not read.
    pub why: String,
}

/// What is read of one path.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct PathReport {
    /// The path.
    pub path: String,
    /// Bytes of the files that bear or bore it and are read.
    pub size: u64,
    /// How much of these is read.
    pub read: u64,
    /// How long at most the rest has waited, seconds.
    pub behind_s: f64,
    /// Lines, those of files that were read to their end included, as long as one bears the path.
    pub lines: u64,
}

/// One job that reads files.
#[derive(Debug, Clone, Default, Serialize)]
pub struct JobReport {
    /// Its name.
    pub job: String,
    /// Files that are read.
    pub files: u64,
    /// Those with bytes not read yet.
    pub files_behind: u64,
    /// Bytes not read yet.
    pub bytes_behind: u64,
    /// How long at most these have waited, seconds.
    pub behind_s: f64,
    /// Lines read since the start.
    pub lines: u64,
    /// Bytes read since the start, line endings included.
    pub bytes: u64,
}

/// One job that is sent to, or that pulls from another program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReceiverReport {
    /// Its name.
    pub job: String,
    /// What it speaks.
    pub kind: String,
    /// Where it listens, if it does.
    pub addresses: Vec<String>,
    /// Records taken since the start.
    pub records: u64,
    /// Bytes of their lines.
    pub bytes: u64,
    /// Seconds since the last was taken; `None` = there was none.
    pub last_entry_s: Option<u64>,
    /// Messages, requests and connections that could not be read or were turned away, by reason.
    pub errors: Vec<(String, u64)>,
    /// The last of these.
    pub last_error: String,
    /// Seconds since then.
    pub last_error_s: Option<u64>,
}

/// One container that a job reads through Docker's API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ContainerReport {
    /// The job.
    pub job: String,
    /// Its daemon.
    pub host: String,
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Labels of its lines.
    pub labels: String,
    /// `reading`; `draining`: it does not run, and is read to its end; `ended`: it was; `waiting`: too many others are read.
    pub state: &'static str,
    /// Lines taken since the start.
    pub lines: u64,
    /// The time of the last of them; empty = there was none.
    pub position: String,
}

/// What was given up for one reason.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct LossReport {
    /// The reason.
    pub reason: String,
    /// How often.
    pub times: u64,
    /// Lines, as far as they are known.
    pub lines: u64,
    /// Bytes of files, as far as they are known.
    pub bytes: u64,
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
    /// The program's version.
    pub version: &'static str,
    /// Largest size of the WAL; 0 = not known yet.
    pub wal_max_bytes: u64,
    /// Bytes of the WAL that are not acked yet.
    pub unacked_bytes: u64,
    /// Lines in them.
    pub unacked_lines: u64,
    /// Reading waits for room in the WAL.
    pub stalled: bool,
    /// Lines read since the start.
    pub lines_read: u64,
    /// Lines acked since the start.
    pub lines_acked: u64,
    /// Bytes of known files not read yet.
    pub bytes_behind: u64,
    /// Files with such bytes.
    pub files_behind: u64,
    /// What was given up since the start, by reason.
    pub losses: Vec<LossReport>,
    /// Jobs that read files, as of the last time that somebody asked.
    pub jobs: Vec<JobReport>,
    /// Jobs that are sent to, or pull.
    pub receivers: Vec<ReceiverReport>,
}
