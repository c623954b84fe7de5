//! `/targets`: files with their positions, what is refused and why, containers, and who is listened to.
//!
//! Pure. The text has one line for each, names of files quoted: they may hold anything. Must not do: hide a file, but in HTML beyond its bound.

use std::time::Duration;

use serde_json::{Value, json};

use super::html;
use crate::status::view::{age, bytes, count};
use crate::status::{ContainerReport, ReceiverReport, Snapshot, SourceReport};

/// What the page shows.
pub(super) struct Shown<'s> {
    pub(super) files: &'s Snapshot,
    pub(super) containers: &'s [ContainerReport],
    pub(super) receivers: &'s [ReceiverReport],
}

pub(super) fn json(shown: &Shown<'_>) -> Value {
    json!({"files": shown.files.files, "refused": shown.files.refused, "containers": shown.containers, "receivers": shown.receivers})
}

pub(super) fn text(shown: &Shown<'_>) -> String {
    let mut out = String::new();
    for file in &shown.files.files {
        let SourceReport { path, job, labels, offset, size, behind, state, .. } = file;
        let (lines, waited) = (file.lines, file.behind_s);
        out.push_str(&format!(
            "{state} job={job:?} path={path:?} offset={offset} size={size} behind={behind} behind_s={waited:.1} lines={lines} labels={labels}\n"
        ));
    }
    for refused in &shown.files.refused {
        out.push_str(&format!("refused path={:?} why={:?}\n", refused.path, refused.why));
    }
    for container in shown.containers {
        let ContainerReport { job, host, id, name, labels, state, lines, position } = container;
        out.push_str(&format!("{state} job={job:?} container={name:?} id={id:?} host={host:?} position={position:?} lines={lines} labels={labels}\n"));
    }
    for receiver in shown.receivers {
        let ReceiverReport { job, kind, records, bytes, .. } = receiver;
        let last = receiver.last_entry_s.map_or_else(|| "never".to_owned(), |seconds| format!("{seconds}s"));
        let addresses = receiver.addresses.join(",");
        out.push_str(&format!(
            "receiving job={job:?} kind={kind} address={addresses:?} records={records} bytes={bytes} last={last} errors={:?}\n",
            errors(receiver)
        ));
    }
    out
}

pub(super) fn html(shown: &Shown<'_>) -> String {
    let Shown { files: snapshot, containers, receivers } = shown;
    let mut body = format!("<h2>Files ({})</h2>\n", snapshot.files.len());
    // What is most behind comes first: that is what a person looks for.
    let mut files: Vec<&SourceReport> = snapshot.files.iter().collect();
    files.sort_by_key(|file| std::cmp::Reverse(file.behind));
    body.push_str(&html::table(&["Job", "Path", "State", "Read", "Size", "Behind", "Waited", "Lines", "Labels"], files.into_iter().map(file)));
    if !snapshot.refused.is_empty() {
        body.push_str(&format!("<h2>Not read ({})</h2>\n", snapshot.refused.len()));
        body.push_str(&html::table(&["Path", "Why"], snapshot.refused.iter().map(|refused| vec![refused.path.clone(), refused.why.clone()])));
    }
    if !containers.is_empty() {
        body.push_str(&format!("<h2>Containers ({})</h2>\n", containers.len()));
        body.push_str(&html::table(&["Job", "Container", "Id", "Host", "State", "Last line", "Lines", "Labels"], containers.iter().map(container)));
    }
    if !receivers.is_empty() {
        body.push_str(&format!("<h2>Received and pulled ({})</h2>\n", receivers.len()));
        body.push_str(&html::table(&["Job", "Kind", "Address", "Records", "Bytes", "Last entry", "Errors"], receivers.iter().map(receiver)));
    }
    html::page("Targets", &body)
}

fn file(file: &SourceReport) -> Vec<String> {
    let waited = if file.behind == 0 { String::new() } else { age(Duration::try_from_secs_f64(file.behind_s).unwrap_or_default()) };
    vec![
        file.job.clone(),
        file.path.clone(),
        file.state.to_owned(),
        count(file.offset),
        count(file.size),
        bytes(file.behind),
        waited,
        count(file.lines),
        file.labels.clone(),
    ]
}

fn container(container: &ContainerReport) -> Vec<String> {
    let ContainerReport { job, host, id, name, labels, state, lines, position } = container.clone();
    let short = id.chars().take(12).collect();
    vec![job, name, short, host, state.to_owned(), position, count(lines), labels]
}

fn receiver(receiver: &ReceiverReport) -> Vec<String> {
    let last = receiver.last_entry_s.map_or_else(|| "never".to_owned(), |seconds| format!("{} ago", age(Duration::from_secs(seconds))));
    vec![receiver.job.clone(), receiver.kind.clone(), receiver.addresses.join(" "), count(receiver.records), bytes(receiver.bytes), last, errors(receiver)]
}

fn errors(receiver: &ReceiverReport) -> String {
    let all: Vec<String> = receiver.errors.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
    match receiver.last_error_s {
        None => String::new(),
        Some(seconds) => format!("{}; the last, {}, {} ago", all.join(", "), receiver.last_error, age(Duration::from_secs(seconds))),
    }
}
