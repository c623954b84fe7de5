//! Fields, types and labels out of lines and streams of the tests' choice.

use std::sync::Arc;

use proto_model::{Labels, Timestamp};

use super::{DetectedLabel, FieldType, detected, field_values, fields, is_uuid};
use crate::answer::{AnsweredEntry, AnsweredStream, LogAnswer};

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// A line, its metadata, what the query's parsers found in it.
type Line<'t> = (&'t str, Texts<'t>, Texts<'t>);
type Texts<'t> = &'t [(&'t str, &'t str)];

fn answer(labels: Texts<'_>, lines: &[Line<'_>]) -> LogAnswer {
    let pairs = |all: Texts<'_>| all.iter().map(|(name, value)| pair(name, value)).collect::<Vec<_>>();
    let entries = lines.iter().zip(0..).map(|((line, metadata, parsed), at)| AnsweredEntry {
        time: Timestamp(1_000 - at),
        line: (*line).to_owned(),
        metadata: pairs(metadata),
        parsed: pairs(parsed),
    });
    let stream = AnsweredStream { labels: Arc::new(Labels::from_pairs(labels.iter().copied())), entries: entries.collect() };
    LogAnswer { streams: vec![stream], ..LogAnswer::default() }
}

#[test]
fn types_are_tried_in_lokis_order() {
    for (value, kind) in [
        ("12", FieldType::Int),
        ("-3", FieldType::Int),
        ("1.5e3", FieldType::Float),
        ("true", FieldType::Boolean),
        ("F", FieldType::Boolean),
        ("1m3.5s", FieldType::Duration),
        ("20MB", FieldType::Bytes),
        ("2.5 GiB", FieldType::Bytes),
        ("10.0.0.1", FieldType::String),
        ("", FieldType::String),
        ("yes", FieldType::String),
    ] {
        assert_eq!(FieldType::of(value), kind, "{value}");
    }
}

#[test]
fn fields_of_json_logfmt_and_metadata() {
    let found = fields(
        &answer(
            &[("app", "a")],
            &[
                (r#"{"dur":"5ms","user":{"odd key":"x"},"app":"b","n":1}"#, &[("trace_id", "t1")], &[]),
                ("dur=7ms n=2.5 size=3KB", &[("trace_id", "t2")], &[]),
                ("no pairs in here", &[], &[]),
            ],
        ),
        100,
    );
    let shown: Vec<_> = found.iter().map(|f| (f.label.as_str(), f.kind.as_str(), f.cardinality, f.parsers.join("+"), f.json_path.join("/"))).collect();
    let row = |label, kind, cardinality, parsers: &str, path: &str| (label, kind, cardinality, parsers.to_owned(), path.to_owned());
    assert_eq!(
        shown,
        [
            row("app_extracted", "string", 1, "json", "app"),
            row("dur", "duration", 2, "json+logfmt", "dur"),
            row("n", "float", 2, "json+logfmt", "n"),
            row("size", "bytes", 1, "logfmt", ""),
            row("trace_id", "string", 2, "", ""),
            row("user_odd_key", "string", 1, "json", "user/odd key"),
        ]
    );
}

#[test]
fn limits_take_the_newest_and_errors_are_no_fields() {
    let answer = answer(&[], &[("a=1", &[], &[("p", "v"), ("__error__", "E")]), ("a=2 b=2", &[], &[]), ("a=3", &[], &[])]);
    let names = |limit| fields(&answer, limit).into_iter().map(|field| field.label).collect::<Vec<_>>();
    assert_eq!(names(1), ["a"]);
    assert_eq!(names(9), ["a", "b", "p"]);
    assert_eq!(field_values(&answer, "a", 9), ["1", "2", "3"]);
    assert_eq!(field_values(&answer, "a", 2), ["1", "2"]);
    assert_eq!(field_values(&answer, "p", 9), ["v"]);
    assert!(field_values(&answer, "nothing", 9).is_empty());
}

#[test]
fn labels_of_ids_alone_are_left_out() {
    let stream = |n: u32, flag: u32| {
        let uuid = format!("7d444840-9dc0-11d1-b245-5ffdce74fa{n:02x}");
        Arc::new(Labels::from_pairs([
            ("app", "web".to_owned()),
            ("pod", n.to_string()),
            ("port", n.to_string()),
            ("run", uuid),
            ("on", flag.to_string()),
            ("__x__", "h".to_owned()),
        ]))
    };
    let label = |name: &str, cardinality| DetectedLabel { label: name.to_owned(), cardinality };
    assert_eq!(detected(&[stream(1, 0), stream(2, 1), stream(3, 1)]), [label("app", 1), label("on", 2), label("pod", 3)]);
    for (text, verdict) in [
        ("7d444840-9dc0-11d1-b245-5ffdce74fad2", true),
        ("urn:uuid:7d444840-9dc0-11d1-b245-5ffdce74fad2", true),
        ("{7d444840-9dc0-11d1-b245-5ffdce74fad2}", true),
        ("7d4448409dc011d1b2455ffdce74fad2", true),
        ("7d444840-9dc0-11d1-b245-5ffdce74fadz", false),
        ("7d4448409-dc0-11d1-b245-5ffdce74fad2", false),
        ("", false),
    ] {
        assert_eq!(is_uuid(text), verdict, "{text}");
    }
}
