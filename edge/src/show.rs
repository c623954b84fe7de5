//! Lines as they would be sent, shown instead: `-dry-run`.
//!
//! Parts: [`Show`] (reads the jobs' files from their positions until told to stop), [`Show::line`] (lines that come from
//! elsewhere, such as the standard input), [`line`] (how one is printed). Promises: nothing is written, no WAL, no position.
//! Must not do: send anything.

mod readonly;

use std::sync::Arc;
use std::time::Duration;

use edge_pipeline::{Program, Run};
use edge_wal::{SourcePosition, WalFault};
use proto_model::{Labels, Timestamp};
use proto_seam::World;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::discover::{discover, feeds};
use crate::gather::{Gather, Tap};
use crate::receive::streams::is_stream;
use crate::settings::Prepared;
use crate::tail::Tail;
use readonly::ReadOnly;

/// Bytes read at once.
const TURN_BYTES: u64 = 1024 * 1024;
/// Longest sleep.
const IDLE_MAX: Duration = Duration::from_millis(500);

/// A record as Promtail's dry run prints it: time, labels, line, with tabs between them.
#[must_use]
pub fn line(labels: &Labels, time: Timestamp, text: &[u8]) -> Vec<u8> {
    let seconds = jiff::Timestamp::from_second(time.nanos().div_euclid(1_000_000_000)).unwrap_or_default().to_string();
    let fraction = format!("{:09}", time.nanos().rem_euclid(1_000_000_000));
    let fraction = fraction.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    let mut out = format!("{}{point}{fraction}+0000\t{labels}\t", seconds.trim_end_matches('Z')).into_bytes();
    out.extend_from_slice(text);
    out.push(b'\n');
    out
}

/// Reading without a WAL.
pub struct Show {
    tail: Tail,
    gather: Gather,
    next_discovery: Timestamp,
    discover_every: Duration,
}

impl Show {
    /// The jobs of `prepared`, from `positions` on; every line goes to `tap`.
    #[must_use]
    pub fn new(prepared: &Prepared, positions: Vec<SourcePosition>, discover_every: Duration, world: &World, tap: Tap) -> Self {
        let mut gather = Gather::tapped(prepared.gather, tap);
        gather.set_rules(prepared.limits.clone(), prepared.external_labels.clone());
        let files = positions.into_iter().filter(|position| !is_stream(position));
        let tail = Tail::new(Arc::clone(&world.disk), prepared.jobs.clone(), files);
        Self { tail, gather, next_discovery: Timestamp::MIN, discover_every }
    }

    /// Shows one line of a source that is no file.
    pub fn line(&mut self, run: &mut Run, line: &[u8], now: Timestamp) {
        let gather = &mut self.gather;
        run.line(line, now, &mut |out| gather.push(out.labels, out.time, out.metadata, out.line, now));
    }

    /// What such a source holds at its end.
    pub fn end(&mut self, run: &mut Run, now: Timestamp) {
        let gather = &mut self.gather;
        run.finish(now, &mut |out| gather.push(out.labels, out.time, out.metadata, out.line, now));
    }

    /// Reads until told to stop; discoveries run meanwhile.
    pub async fn run(mut self, mut prepared: Prepared, world: &World, stop: &CancellationToken) {
        let world = &World { disk: Arc::new(ReadOnly(Arc::clone(&world.disk))), ..world.clone() };
        let mut tasks = JoinSet::new();
        let metrics = feeds::FeedMetrics::new(&proto_boot::Metrics::new());
        feeds::start(&mut prepared.jobs, &prepared.wal.dir.join("discovery"), world, &metrics, &mut tasks, stop);
        self.tail.reload(prepared.jobs, Timestamp(world.clock.now_ns()));
        while !stop.is_cancelled() {
            let now = Timestamp(world.clock.now_ns());
            let disk = Arc::clone(&world.disk);
            let (own, sleep) = world
                .workers
                .run(move || {
                    let sleep = self.turn(disk.as_ref(), now);
                    (self, sleep)
                })
                .await;
            self = own;
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = tokio::time::sleep(sleep) => {}
            }
        }
        while tasks.join_next().await.is_some() {}
    }

    fn turn(&mut self, disk: &dyn proto_seam::Disk, now: Timestamp) -> Duration {
        if now >= self.next_discovery {
            self.tail.refresh(now);
            let found = discover(self.tail.jobs(), disk, &mut |why| tracing::warn!(why, "a directory cannot be searched"));
            self.tail.found(&found, now);
            self.next_discovery = now.plus(self.discover_every);
        }
        let wait = self.gather.wait(now);
        if !wait.is_zero() {
            return wait.min(IDLE_MAX);
        }
        let turn = self.tail.turn(now, TURN_BYTES, &mut self.gather);
        for missed in turn.missed {
            tracing::warn!(source = missed.source, reason = missed.reason, "lines are gone");
        }
        if turn.more { Duration::ZERO } else { self.tail.due_in(now).min(IDLE_MAX).max(Duration::from_millis(5)) }
    }
}

/// Where the WAL says that reading would go on; without one, where another agent stood ([`crate::import::take`]).
///
/// # Errors
/// What the WAL's files are not, or the disk says.
pub async fn positions(prepared: &mut Prepared, world: &World) -> Result<Vec<SourcePosition>, WalFault> {
    let (dir, disk) = (prepared.wal.dir.clone(), Arc::clone(&world.disk));
    let positions = world.workers.run(move || edge_wal::positions(&dir, disk.as_ref())).await?;
    Ok(if positions.is_empty() { std::mem::take(&mut prepared.imported).positions } else { positions })
}

/// The standard input as a source: the first job's pipeline and the labels of all its `static_configs`, as in Promtail before
/// relabelling; or none, and `job` and `hostname`.
#[must_use]
pub fn stdin_source(prepared: &Prepared, host: &str) -> (Arc<str>, Option<Arc<Program>>, Labels) {
    let default = || Labels::from_pairs([("job", "stdin"), ("hostname", host)]);
    let Some(job) = prepared.jobs.first() else { return ("stdin".into(), None, default()) };
    let mut labels = Labels::default();
    for (name, value) in job.named.iter().flat_map(|named| named.discovered.iter()).filter(|(name, _)| !name.starts_with("__")) {
        labels.set(name, value);
    }
    let labels = if labels.is_empty() { default() } else { labels };
    (job.name.as_str().into(), Some(Arc::clone(&job.program)), labels)
}

#[cfg(test)]
mod tests;
