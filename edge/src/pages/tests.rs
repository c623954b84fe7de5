use std::sync::Arc;

use super::targets::Shown;
use super::*;
use crate::discover::live::{Discovered, JobDiscovered};
use crate::status::{ContainerReport, ReceiverReport, RefusedReport, Snapshot, SourceReport};
use proto_model::Labels;

/// What an attacker would write into a log's name or label.
const EVIL: &str = "</td><script>alert('x')</script>\"&\u{1b}[2J";

fn snapshot(files: usize) -> Snapshot {
    let file = |at: usize| SourceReport {
        path: format!("/logs/{EVIL}/{at}"),
        job: EVIL.to_owned(),
        labels: format!("{{a={EVIL:?}}}"),
        offset: 10,
        size: 30,
        behind: at as u64,
        behind_s: 1.5,
        lines: 2,
        draining: false,
        state: "reading",
    };
    let refused = vec![RefusedReport { path: EVIL.to_owned(), why: EVIL.to_owned() }];
    Snapshot { files: (0..files).map(file).collect(), refused, ..Snapshot::default() }
}

fn receiver() -> ReceiverReport {
    ReceiverReport {
        job: EVIL.to_owned(),
        kind: "syslog".to_owned(),
        addresses: vec!["127.0.0.1:514".to_owned()],
        records: 5,
        bytes: 50,
        last_entry_s: Some(61),
        errors: vec![("unreadable".to_owned(), 3)],
        last_error: "unreadable".to_owned(),
        last_error_s: Some(2),
    }
}

fn container() -> ContainerReport {
    ContainerReport {
        job: EVIL.to_owned(),
        host: EVIL.to_owned(),
        id: EVIL.to_owned(),
        name: EVIL.to_owned(),
        labels: EVIL.to_owned(),
        state: "reading",
        lines: 7,
        position: "2026-11-22T08:00:00.000000001Z".to_owned(),
    }
}

fn discovered() -> JobDiscovered {
    let mut job = JobDiscovered { job: EVIL.to_owned(), trouble: EVIL.to_owned(), ..JobDiscovered::default() };
    for at in 0..150 {
        let labels = Labels::from_pairs([("__path__", EVIL), ("n", &at.to_string())]);
        job.push(&Discovered { discovered: Arc::new(labels), kept: None, why: "wrong_host" });
    }
    job.push(&Discovered { discovered: Arc::new(Labels::from_pairs([("x", "1")])), kept: Some(Labels::from_pairs([("app", EVIL)])), why: "" });
    job
}

/// HTML that is well formed as far as tags go: each is closed, none is a script.
fn assert_sound(html: &str) {
    let mut open: Vec<String> = Vec::new();
    let mut rest = html.strip_prefix("<!doctype html>").expect("it begins as HTML");
    while let Some(at) = rest.find('<') {
        let end = at + rest[at..].find('>').expect("a tag ends");
        let tag = &rest[at + 1..end];
        let name = tag.trim_start_matches('/').split(' ').next().unwrap();
        assert!(!["script", "img", "iframe", "link", "object", "embed", "form"].contains(&name), "{tag}");
        if let Some(closed) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(closed));
        } else if name != "meta" {
            open.push(name.to_owned());
        }
        rest = &rest[end + 1..];
    }
    assert!(open.is_empty() && !rest.contains('>'), "{open:?}");
    assert!(!html.contains("http://") && !html.contains("https://") && !html.contains('\u{1b}'));
}

#[test]
fn pages_are_sound_html_whatever_files_and_labels_are_called() {
    let (files, jobs) = (snapshot(3), [discovered()]);
    let report = serde_json::json!({"session": EVIL, "trouble": EVIL, "jobs": [{"job": EVIL}], "losses": [{"reason": EVIL}]});
    for page in [
        targets::html(&Shown { files: &files, containers: &[container()], receivers: &[receiver()] }),
        discovery::html(&jobs),
        overview::html(&report, Some(EVIL)),
        html::page(EVIL, &html::block(EVIL)),
    ] {
        assert_sound(&page);
        assert!(page.contains("&lt;script&gt;"), "{page}");
    }
}

#[test]
fn a_long_table_ends_and_says_so() {
    let page = targets::html(&Shown { files: &snapshot(html::ROWS_MAX + 5), containers: &[], receivers: &[] });
    assert_eq!(page.matches("<tr><td").count(), html::ROWS_MAX + 1, "the files and one that is refused");
    assert!(page.contains("5 more: see"), "{}", &page[page.len() - 500..]);
    assert!(page.contains(&format!("/{}</td>", html::ROWS_MAX + 4)), "what is most behind is shown");
    assert_eq!(
        targets::json(&Shown { files: &snapshot(html::ROWS_MAX + 5), containers: &[], receivers: &[] })["files"].as_array().unwrap().len(),
        html::ROWS_MAX + 5
    );
}

#[test]
fn targets_tell_of_files_refused_ones_and_receivers() {
    let text = targets::text(&Shown { files: &snapshot(1), containers: &[container()], receivers: &[receiver()] });
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 4, "one line each: {text}");
    assert!(lines[0].starts_with("reading job=\"") && lines[0].contains(" offset=10 size=30 behind=0 behind_s=1.5 lines=2 labels={"), "{text}");
    assert!(lines[1].starts_with("refused path=\"") && lines[3].starts_with("receiving job=\""), "{text}");
    assert!(lines[2].starts_with("reading job=\"") && lines[2].contains(" position=\"2026-11-22T08:00:00.000000001Z\" lines=7 labels="), "{text}");
    assert!(lines[3].contains("records=5 bytes=50 last=61s errors=\"unreadable 3; the last, unreadable, 2 s ago\""), "{text}");
    let json = targets::json(&Shown { files: &snapshot(1), containers: &[container()], receivers: &[receiver()] });
    assert_eq!((&json["files"][0]["behind_s"], &json["refused"][0]["why"]), (&serde_json::json!(1.5), &Value::from(EVIL)));
    assert_eq!((&json["receivers"][0]["last_entry_s"], &json["containers"][0]["lines"]), (&Value::from(61), &Value::from(7)));
}

#[test]
fn at_most_a_hundred_dropped_sets_are_shown_and_all_are_counted() {
    let jobs = [discovered()];
    let json = discovery::json(&jobs);
    assert_eq!((json[0]["kept"].as_u64(), json[0]["dropped"].as_u64()), (Some(1), Some(150)));
    assert_eq!((json[0]["targets"].as_array().unwrap().len(), json[0]["dropped_targets"].as_array().unwrap().len()), (1, 100));
    assert_eq!((&json[0]["reasons"]["wrong_host"], &json[0]["targets"][0]["labels"]["app"]), (&Value::from(150), &Value::from(EVIL)));
    assert!(discovery::html(&jobs).contains("50 more are dropped."));
    assert_eq!(discovery::text(&jobs).lines().count(), 102);
}
