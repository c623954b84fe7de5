//! Lines packed with their labels.

use crate::testing::{NOW, feed, run, through};

#[test]
fn labels_and_values_are_packed() {
    let yaml =
        "- regex: {expression: '(?P<level>\\w+) (?P<rest>.*)'}\n- labels: {level: }\n- pack: {labels: [pod, level, rest, none], ingest_timestamp: false}";
    let mut run = run(yaml, &[("pod", "p-1"), ("job", "j")]);
    let out = feed(&mut run, &["warn a\"b<\u{7}"]);
    assert_eq!(out[0].line, r#"{"level":"warn","pod":"p-1","rest":"a\"b\u003c\u0007","_entry":"warn a\"b\u003c\u0007"}"#);
    assert_eq!(out[0].labels, r#"{job="j"}"#);
}

#[test]
fn nothing_to_pack_still_packs_the_line() {
    let (out, _) = through("- pack: {}", &["x"]);
    assert_eq!((out[0].line.as_str(), out[0].labels.as_str()), (r#"{"_entry":"x"}"#, r#"{job="test"}"#));
}

#[test]
fn the_time_is_that_of_reading_unless_it_is_not_wanted() {
    let line = "2020-01-01T00:00:00Z stdout F x";
    assert_eq!(through("- cri: {}\n- pack: {labels: []}", &[line]).0[0].time, NOW);
    assert_ne!(through("- cri: {}\n- pack: {ingest_timestamp: false}", &[line]).0[0].time, NOW);
}
