//! What pages and counters are told of the collecting.
//!
//! Parts: [`Desk::report`] (each second: numbers alone), [`Desk::show`] (when a page asks: every file with its path and labels).
//! Must not do: read.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use proto_model::Timestamp;

use super::Desk;
use crate::discover::{Job, Owner, owner};
use crate::settings::Origin;
use crate::status::{JobReport, PathReport, RefusedReport, Snapshot, SourceReport};
use crate::tail::source::Source;

/// Between two reports.
const REPORT_EVERY: Duration = Duration::from_secs(1);

impl Desk {
    pub(super) fn report(&mut self, now: Timestamp) {
        self.next_report = now.plus(REPORT_EVERY);
        self.status.searched();
        // Files that nothing was heard of were not read.
        if self.tail.take_touched() {
            self.count_jobs();
        }
        // The jobs of a configuration share one.
        if let Some(registry) = self.tail.jobs().first().map(|job| job.program.registry()) {
            registry.expire(now);
            self.status.custom(registry);
        }
        let (bytes_behind, files_behind) = self.tail.behind();
        let waiting = self.tail.sources().filter(|_| files_behind > 0);
        let longest = waiting.map(|source| source.behind_for(now)).max().unwrap_or_default();
        self.metrics.behind(bytes_behind, files_behind, longest);
        self.metrics.files(self.tail.sources().count(), self.tail.refused().count(), self.tail.watches());
        self.status.behind(bytes_behind, files_behind);
        let (usage, tracks) = {
            let wal = self.lock();
            (wal.usage(), wal.track_usage())
        };
        self.status.wal(&usage, tracks, now);
    }

    /// What the jobs discovered, as it is now.
    pub(super) fn discovered(&self) {
        let jobs = self.tail.jobs();
        let files = jobs.iter().filter(|job| matches!(*job.origin, Origin::Files(_)));
        self.status.discovered(files.map(Job::discovered).collect(), jobs.iter().map(Job::target_count).sum());
    }

    /// Adds up what was read of each job.
    pub(super) fn count_jobs(&mut self) {
        for (job, count) in self.tail.take_job_counts().into_iter().enumerate() {
            if let Some(job) = self.tail.jobs().get(job).filter(|_| count.bytes > 0) {
                self.read_of.entry(job.name.clone()).or_default().add(count);
            }
        }
    }

    /// The job whose files `path` is one of; empty when none names it.
    pub(super) fn job_of(&self, path: &str) -> String {
        match owner(self.tail.jobs(), Path::new(path)) {
            Owner::Target(found) => self.tail.jobs()[found.job].name.clone(),
            Owner::Awaited | Owner::Open | Owner::Nobody => String::new(),
        }
    }

    /// Somebody looks: everything that is read, one by one.
    pub(super) fn show(&mut self, now: Timestamp) {
        self.count_jobs();
        let jobs = self.tail.jobs();
        let named = jobs.iter().filter(|job| matches!(*job.origin, Origin::Files(_)));
        let mut of_jobs: BTreeMap<&str, JobReport> =
            named.map(|job| (job.name.as_str(), JobReport { job: job.name.clone(), ..JobReport::default() })).collect();
        let mut of_paths: BTreeMap<&Path, PathReport> = BTreeMap::new();
        let mut files = Vec::new();
        for source in self.tail.sources() {
            let report = file(source, &jobs[source.found.job].name, now);
            of_jobs.entry(&jobs[source.found.job].name).or_insert_with(|| JobReport { job: report.job.clone(), ..JobReport::default() }).join(&report);
            let before = || PathReport { path: report.path.clone(), lines: self.tail.lines_before(source.path()), ..PathReport::default() };
            of_paths.entry(source.path()).or_insert_with(before).join(&report);
            files.push(report);
        }
        for (name, count) in &self.read_of {
            if let Some(job) = of_jobs.get_mut(name.as_str()) {
                (job.lines, job.bytes) = (count.lines, count.bytes);
            }
        }
        files.sort_by(|a, b| a.path.cmp(&b.path).then(b.draining.cmp(&a.draining)));
        let refused = self.tail.refused().map(|(path, why)| RefusedReport { path: path.to_string_lossy().into_owned(), why: why.to_owned() });
        let (jobs, paths) = (of_jobs.into_values().collect(), of_paths.into_values().collect());
        let snapshot = Snapshot { files, refused: refused.collect(), jobs, paths };
        self.status.snapshot_made(snapshot);
    }
}

fn file(source: &Source, job: &str, now: Timestamp) -> SourceReport {
    let state = match (source.troubled, source.is_archive(), source.is_draining()) {
        (true, ..) => "troubled",
        (_, true, _) => "unpacking",
        (_, _, true) => "draining",
        (..) => "reading",
    };
    SourceReport {
        path: source.path().to_string_lossy().into_owned(),
        job: job.to_owned(),
        labels: source.found.labels.to_string(),
        offset: source.offset(),
        size: source.len(),
        behind: source.behind(),
        behind_s: source.behind_for(now).as_secs_f64(),
        lines: source.lines(),
        draining: source.is_draining(),
        state,
    }
}

impl JobReport {
    fn join(&mut self, file: &SourceReport) {
        self.files += 1;
        self.files_behind += u64::from(file.behind > 0);
        self.bytes_behind += file.behind;
        self.behind_s = self.behind_s.max(file.behind_s);
    }
}

impl PathReport {
    fn join(&mut self, file: &SourceReport) {
        self.size += file.size;
        self.read += file.size.saturating_sub(file.behind);
        self.behind_s = self.behind_s.max(file.behind_s);
        self.lines += file.lines;
    }
}
