//! What was read of each job and each path, in numbers.
//!
//! Sources count for themselves; here is kept what is left of those that ended. Parts: [`Counts`], [`Tail::take_job_counts`],
//! [`Tail::lines_before`], [`Tail::behind`]. Promises: the lines of a path go on counting when its file is rotated, and are forgotten when no
//! source bears it any more. Must not do: count while lines are read.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::Tail;
use super::source::Source;
use super::source::read::LineCount;

/// What ended sources leave behind.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// By job, not asked for yet.
    jobs: Vec<LineCount>,
    /// Lines of ended sources, by the path that they bore.
    paths: BTreeMap<PathBuf, u64>,
    /// A path of these may be borne by no source any more.
    is_stale: bool,
}

impl Counts {
    fn job(&mut self, job: usize, count: LineCount) {
        if self.jobs.len() <= job {
            self.jobs.resize(job + 1, LineCount::default());
        }
        self.jobs[job].add(count);
    }

    /// A source is not read any more.
    pub(super) fn leave(&mut self, source: &mut Source) {
        self.job(source.found.job, source.take_uncounted());
        *self.paths.entry(source.path().clone()).or_default() += source.lines();
        self.is_stale = true;
    }
}

impl Tail {
    /// Bytes that were found but not read yet, and the number of files they are in.
    #[must_use]
    pub fn behind(&self) -> (u64, u64) {
        self.sources.values().map(Source::behind).filter(|bytes| *bytes > 0).fold((0, 0), |(bytes, files), more| (bytes + more, files + 1))
    }

    /// What was read since the last call, by job.
    #[must_use]
    pub fn take_job_counts(&mut self) -> Vec<LineCount> {
        for source in self.sources.values_mut() {
            self.counts.job(source.found.job, source.take_uncounted());
        }
        std::mem::take(&mut self.counts.jobs)
    }

    /// Lines of files that bore `path` and are not read any more.
    #[must_use]
    pub fn lines_before(&self, path: &Path) -> u64 {
        self.counts.paths.get(path).copied().unwrap_or_default()
    }

    /// Paths that no source bears any more are forgotten.
    pub(super) fn forget_paths(&mut self) {
        if std::mem::take(&mut self.counts.is_stale) {
            let borne: BTreeSet<&Path> = self.sources.values().map(|source| source.path().as_path()).collect();
            self.counts.paths.retain(|path, _| borne.contains(path.as_path()));
        }
    }
}
