//! What is counted by path and by job, in Prometheus' text format: written when it is asked for, from what is read at that moment.
//!
//! Pure. Parts: [`text`]; [`without_repeats`] (names that stages give must not be ours). Promises: a path has its series as long as a file
//! bears it; of more than [`PATHS_MAX`] paths the rest, in order of name, are one, `_other`. Must not do: keep anything.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Display, Write as _};

use crate::status::{PathReport, ReceiverReport, Snapshot};

/// Paths with series of their own.
pub const PATHS_MAX: usize = 5_000;
/// The label of a job: `job` is what Prometheus calls its own.
const JOB: &str = "job_name";
/// The path of the rest.
const OTHER: &str = "_other";

/// All of them.
#[must_use]
pub fn text(snapshot: &Snapshot, receivers: &[ReceiverReport]) -> String {
    let mut out = String::with_capacity(snapshot.paths.len().min(PATHS_MAX) * 600);
    let paths = bounded(&snapshot.paths);
    let of_path = |value: fn(&PathReport) -> f64| paths.iter().map(move |path| (path.path.as_str(), value(path)));
    add(&mut out, "promtail_file_bytes_total", "gauge", "Number of bytes total.", "path", of_path(|path| whole(path.size)));
    add(&mut out, "promtail_read_bytes_total", "gauge", "Number of bytes read.", "path", of_path(|path| whole(path.read)));
    add(&mut out, "promtail_read_lines_total", "counter", "Number of lines read.", "path", of_path(|path| whole(path.lines)));
    let help = "How long at most bytes of the file have waited to be read";
    add(&mut out, "tributary_edge_file_seconds_behind", "gauge", help, "path", of_path(|path| path.behind_s));
    let jobs = &snapshot.jobs;
    let of_job = |value: fn(&crate::status::JobReport) -> f64| jobs.iter().map(move |job| (job.job.as_str(), value(job)));
    let sent_to = |value: fn(&ReceiverReport) -> f64| receivers.iter().map(move |one| (one.job.as_str(), value(one)));
    add(&mut out, "tributary_edge_job_files", "gauge", "Files of a job that are read", JOB, of_job(|job| whole(job.files)));
    add(&mut out, "tributary_edge_job_files_behind", "gauge", "Those with bytes not read yet", JOB, of_job(|job| whole(job.files_behind)));
    add(&mut out, "tributary_edge_job_bytes_behind", "gauge", "Bytes of a job's files not read yet", JOB, of_job(|job| whole(job.bytes_behind)));
    let help = "How long at most bytes of a job's files have waited to be read";
    add(&mut out, "tributary_edge_job_seconds_behind", "gauge", help, JOB, of_job(|job| job.behind_s));
    let lines = joined(of_job(|job| whole(job.lines)).chain(sent_to(|one| whole(one.records))));
    add(&mut out, "tributary_edge_job_lines_total", "counter", "Lines of a job that were read or taken", JOB, lines.into_iter());
    let bytes = joined(of_job(|job| whole(job.bytes)).chain(sent_to(|one| whole(one.bytes))));
    add(&mut out, "tributary_edge_job_bytes_total", "counter", "Their bytes", JOB, bytes.into_iter());
    let waits = receivers.iter().filter_map(|one| Some((one.job.as_str(), whole(one.last_entry_s?))));
    add(&mut out, "tributary_edge_job_last_entry_seconds", "gauge", "Time since a job that is sent to, or pulls, has taken a record", JOB, waits);
    out
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus reads floats anyway")]
fn whole(value: u64) -> f64 {
    value as f64
}

/// At most [`PATHS_MAX`] and the rest as one.
fn bounded(paths: &[PathReport]) -> Vec<PathReport> {
    let (own, rest) = paths.split_at(paths.len().min(PATHS_MAX));
    let mut out = own.to_vec();
    if !rest.is_empty() {
        let mut other = PathReport { path: OTHER.to_owned(), ..PathReport::default() };
        for path in rest {
            other.size += path.size;
            other.read += path.read;
            other.lines += path.lines;
            other.behind_s = other.behind_s.max(path.behind_s);
        }
        out.push(other);
    }
    out
}

/// A job that read files before a reload may be sent to now.
fn joined<'a>(samples: impl Iterator<Item = (&'a str, f64)>) -> BTreeMap<&'a str, f64> {
    let mut out = BTreeMap::new();
    for (job, value) in samples {
        *out.entry(job).or_default() += value;
    }
    out
}

fn add<'a>(out: &mut String, name: &str, kind: &str, help: &str, label: &str, samples: impl Iterator<Item = (&'a str, f64)>) {
    push(out, format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    for (of, value) in samples {
        push(out, format_args!("{name}{{{label}=\"{}\"}} {value}\n", escaped(of)));
    }
}

/// Appends; writing to a string cannot fail.
fn push(out: &mut String, text: impl Display) {
    let written = write!(out, "{text}");
    debug_assert!(written.is_ok());
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// `more` without the metrics whose names `text` has already: a name that stands twice makes all of it unreadable.
#[must_use]
pub fn without_repeats(text: &str, more: &str) -> String {
    let taken: BTreeSet<&str> = text.lines().filter_map(name_of).collect();
    let mut out = String::with_capacity(more.len());
    let mut is_repeat = false;
    for line in more.lines() {
        if let Some(name) = line.strip_prefix("# HELP ").and_then(|rest| rest.split(' ').next()) {
            is_repeat = taken.contains(name);
        }
        if !is_repeat {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

/// The name in a line that tells a type.
fn name_of(line: &str) -> Option<&str> {
    line.strip_prefix("# TYPE ")?.split(' ').next()
}

#[cfg(test)]
mod tests;
