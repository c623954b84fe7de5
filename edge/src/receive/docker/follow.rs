//! One container's log, from its cursor to its end.
//!
//! Parts: [`Follow`] (what is followed), [`Follow::run`] (until the container's log is drained, the container is gone, or `stop`), `Reading`
//! (one answer of the log). A log is followed while the container runs; when that answer ends it is asked for once more without following, so
//! that what was written between is read too. Promises: a cursor is in the same delivery as its line; what is not taken is read again.
//! Limits: deliveries of about [`PULLED_BYTES_MAX`]. Must not do: choose containers.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proto_model::Labels;
use proto_seam::Entropy;
use reqwest::Response;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::super::post::Post;
use super::super::pulled::Pull;
use super::super::{Arrival, NotTaken, PULLED_BYTES_MAX};
use super::api::Api;
use super::cursor::{Cursor, Resume};
use super::lines::{Line, Lines, Stream};
use super::sighted::Progress;

/// Lines wait so long for others to join their delivery.
const LINGER: Duration = Duration::from_millis(50);
/// After a failure, doubled with each up to the longest.
const PAUSE: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// A follow that lasted so long was no failure.
const SOUND: Duration = Duration::from_secs(10);

/// The labels of both streams; `None` = a rule drops it.
pub(super) type Sides = [Option<Arc<Labels>>; 2];

/// One container.
pub(super) struct Follow {
    pub(super) api: Arc<Api>,
    pub(super) post: Arc<Post>,
    pub(super) id: String,
    /// Its cursor's path.
    pub(super) path: String,
    /// A path its cursor was under before.
    pub(super) former: Option<String>,
    pub(super) labels: watch::Receiver<Sides>,
    pub(super) progress: Arc<Progress>,
    pub(super) entropy: Entropy,
    pub(super) stop: CancellationToken,
}

/// How following came to an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The container does not run, and all of its log is durable.
    Drained,
    /// There is no such container any more.
    Gone,
    /// The edge, or this set of jobs, ends.
    Stopped,
}

/// How one answer came to an end.
enum Read {
    /// The log, as far as it goes now.
    Whole,
    Stopped,
}

impl Follow {
    /// Until it ends; daemons that are away are asked again and again.
    pub(super) async fn run(self) -> (String, End) {
        let mut pull = Pull::new(Arc::clone(&self.post), self.path.clone());
        let mut former = self.former.as_ref().map(|former| Pull::new(Arc::clone(&self.post), former.clone()));
        let mut failures = 0;
        loop {
            let began = Instant::now();
            let why = match self.round(&mut pull, &mut former).await {
                Ok(Some(End::Gone)) => {
                    for gone in former.into_iter().chain([pull]) {
                        // What is not forgotten now is at a later look.
                        let _is_kept = gone.forget().await.is_err();
                    }
                    return (self.id, End::Gone);
                }
                Ok(Some(end)) => return (self.id, end),
                Ok(None) => None,
                Err(why) => Some(why),
            };
            failures = if began.elapsed() >= SOUND { 1 } else { failures + 1 };
            if let Some(why) = why.filter(|_| !self.stop.is_cancelled()) {
                self.post.refused("log");
                if failures == 1 {
                    tracing::warn!(job = self.post.name(), container = self.id, why, "a container's log cannot be read; it is tried again");
                }
            }
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return (self.id, End::Stopped),
                () = tokio::time::sleep(pause(failures, &self.entropy)) => {}
            }
        }
    }

    /// One answer of the log; `None` = the container runs on, or may.
    async fn round(&self, pull: &mut Pull, former: &mut Option<Pull>) -> Result<Option<End>, String> {
        let condition = tokio::select! {
            biased;
            () = self.stop.cancelled() => return Ok(Some(End::Stopped)),
            condition = self.api.condition(&self.id) => condition?,
        };
        let Some(condition) = condition else { return Ok(Some(End::Gone)) };
        let cursor = self.cursor(pull.cursor().or_else(|| former.as_ref()?.cursor()));
        let answer = tokio::select! {
            biased;
            () = self.stop.cancelled() => return Ok(Some(End::Stopped)),
            answer = self.api.log(&self.id, cursor.since(), condition.is_running) => answer?,
        };
        let mut reading = Reading::new(self, pull, cursor, condition.has_terminal);
        let read = reading.read(answer, !condition.is_running).await?;
        if let (true, Some(former)) = (pull.cursor().is_some(), former.take()) {
            // It was known under another name: now it is under this one.
            pull.settle().await.map_err(|fault| fault.to_string())?;
            former.forget().await.map_err(|fault| fault.to_string())?;
        }
        match read {
            Read::Stopped => Ok(Some(End::Stopped)),
            Read::Whole if condition.is_running => Ok(None),
            Read::Whole => {
                pull.settle().await.map_err(|fault| fault.to_string())?;
                Ok(Some(End::Drained))
            }
        }
    }

    fn cursor(&self, kept: Option<&[u8]>) -> Cursor {
        let Some(kept) = kept else { return Cursor::default() };
        Cursor::parse(kept).unwrap_or_else(|| {
            tracing::error!(container = self.id, "the cursor of a container is of a newer version, or damaged; its log is read from the beginning");
            Cursor::default()
        })
    }
}

fn pause(failures: u32, entropy: &Entropy) -> Duration {
    let longest = PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(PAUSE_MAX);
    let millis = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(millis - entropy.below(millis / 2))
}

/// One answer of the log.
struct Reading<'f> {
    follow: &'f Follow,
    pull: &'f mut Pull,
    lines: Lines,
    resume: Resume,
    /// After the last line in `records`.
    cursor: Cursor,
    /// Lines taken since the last delivery, those that a rule dropped among them.
    passed: u64,
    records: Vec<Arrival>,
    bytes: usize,
    /// Since when `records`, or a cursor alone, wait.
    waiting: Option<Instant>,
}

impl<'f> Reading<'f> {
    fn new(follow: &'f Follow, pull: &'f mut Pull, cursor: Cursor, has_terminal: bool) -> Self {
        let (lines, resume) = (Lines::new(has_terminal, cursor.boundary()), Resume::new(&cursor));
        Self { follow, pull, lines, resume, cursor, passed: 0, records: Vec::new(), bytes: 0, waiting: None }
    }

    /// Reads to the end; an unfinished line is whole when the container `has_ended`.
    async fn read(&mut self, mut answer: Response, has_ended: bool) -> Result<Read, String> {
        let sender = self.pull.sender();
        loop {
            let due = self.waiting.map(|since| since + LINGER);
            let chunk = tokio::select! {
                biased;
                () = self.follow.stop.cancelled() => return Ok(Read::Stopped),
                () = until(due) => {
                    self.hand_in().await.map_err(|fault| fault.to_string())?;
                    continue;
                }
                settled = self.pull.settle_first() => {
                    settled.map_err(|fault| fault.to_string())?;
                    continue;
                }
                chunk = async { sender.ready().await; answer.chunk().await } => chunk.map_err(|_| "the connection to the daemon broke".to_owned())?,
            };
            let mut found = Vec::new();
            match &chunk {
                Some(bytes) => self.lines.take(bytes, &mut found).map_err(|fault| fault.to_string())?,
                None if has_ended => self.lines.finish(&mut found),
                None => {}
            }
            self.take(found);
            if chunk.is_none() || self.bytes >= PULLED_BYTES_MAX / 2 {
                self.hand_in().await.map_err(|fault| fault.to_string())?;
            }
            if chunk.is_none() {
                return Ok(Read::Whole);
            }
        }
    }

    fn take(&mut self, found: Vec<Line>) {
        let post = &self.follow.post;
        let sides = self.follow.labels.borrow().clone();
        for line in found {
            if self.resume.is_taken(&line) {
                continue;
            }
            self.cursor.advance(&line);
            self.passed += 1;
            self.waiting.get_or_insert_with(Instant::now);
            let metrics = &post.intake().metrics;
            if line.is_cut {
                metrics.cut.with([super::KIND]).inc();
            }
            if line.time.is_none() {
                metrics.docker_parsing_errors.inc();
            }
            let Some(labels) = &sides[line.stream.index()] else {
                post.dropped(1);
                continue;
            };
            metrics.docker_entries.inc();
            let record = post.arrival(labels, line.time, Bytes::from(line.bytes), Vec::new());
            self.bytes += record.cost();
            self.records.push(record);
        }
    }

    /// Hands in what was read, with the cursor after it.
    async fn hand_in(&mut self) -> Result<(), NotTaken> {
        if self.waiting.take().is_none() {
            return Ok(());
        }
        self.bytes = 0;
        let passed = std::mem::take(&mut self.passed);
        self.follow.progress.took(self.records.len() as u64, self.cursor.last());
        self.pull.hand_in(std::mem::take(&mut self.records), self.cursor.to_bytes(), passed).await
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// The labels of both streams of a container.
pub(super) fn sides(post: &Post, container: &Labels) -> Sides {
    discovered(container).map(|labels| post.labels(labels).filter(|labels| !labels.is_empty()))
}

/// What rules make them of.
pub(super) fn discovered(container: &Labels) -> [Labels; 2] {
    Stream::BOTH.map(|stream| {
        let mut labels = container.clone();
        labels.set("__meta_docker_container_log_stream", stream.name());
        labels
    })
}
