//! What a job's Docker entry found at its last look, for pages.
//!
//! Parts: [`Found`] (all of it), [`Sighted`] (one container), [`Progress`] (how far it is read; the reading task writes it). Limits: what is found
//! is what the daemon lists. Must not do: decide what is read.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use proto_model::Timestamp;

use crate::discover::live::Discovered;
use crate::status::ContainerReport;

/// What an entry found, by a container's id.
pub(crate) type Found = BTreeMap<String, Sighted>;

/// One container.
#[derive(Debug, Clone)]
pub(crate) struct Sighted {
    pub(super) name: String,
    /// Its label sets: one for each stream.
    pub(crate) sets: Vec<Discovered>,
    pub(super) is_running: bool,
    /// Others must end before it is read.
    pub(super) waits: bool,
    pub(super) progress: Arc<Progress>,
}

/// How far a container is read.
#[derive(Debug, Default)]
pub(super) struct Progress {
    lines: AtomicU64,
    /// The time of the last line; 0 = there was none.
    last_ns: AtomicI64,
    is_drained: AtomicBool,
}

impl Progress {
    /// Lines were taken, the last at `time`.
    pub(super) fn took(&self, lines: u64, time: Option<Timestamp>) {
        self.lines.fetch_add(lines, Ordering::Relaxed);
        if let Some(time) = time {
            self.last_ns.store(time.nanos(), Ordering::Relaxed);
        }
    }

    /// It is read to its end, or goes on.
    pub(super) fn drained(&self, is_drained: bool) {
        self.is_drained.store(is_drained, Ordering::Relaxed);
    }
}

impl Sighted {
    /// For the targets page; `None` = no rule keeps it.
    pub(crate) fn report(&self, (job, host, id): (&str, &str, &str)) -> Option<ContainerReport> {
        let labels = self.sets.iter().find_map(|set| set.kept.as_ref())?;
        let state = match (self.waits, self.progress.is_drained.load(Ordering::Relaxed), self.is_running) {
            (true, ..) => "waiting",
            (false, true, _) => "ended",
            (false, false, true) => "reading",
            (false, false, false) => "draining",
        };
        let last = Some(self.progress.last_ns.load(Ordering::Relaxed)).filter(|last| *last != 0);
        Some(ContainerReport {
            job: job.to_owned(),
            host: host.to_owned(),
            id: id.to_owned(),
            name: self.name.clone(),
            labels: labels.to_string(),
            state,
            lines: self.progress.lines.load(Ordering::Relaxed),
            position: last.and_then(|last| jiff::Timestamp::from_nanosecond(last.into()).ok()).map(|last| format!("{last:.9}")).unwrap_or_default(),
        })
    }
}
