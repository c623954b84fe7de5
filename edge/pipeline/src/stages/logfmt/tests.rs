//! Logfmt keys, as the documentation of Promtail's `logfmt` stage shows them.

use crate::testing::{lines, through};

#[test]
fn keys_become_values_under_other_names() {
    let yaml = "
- logfmt: {mapping: {timestamp: time, app: , duration: , unknown: }}
- labels: {app: , timestamp: }
- output: {source: duration}
";
    let (out, counters) = through(yaml, &[r#"time=2012-11-01T22:08:41+00:00 app=loki level=WARN duration=125 message="this is a log line""#]);
    assert_eq!(out[0].labels, r#"{app="loki", job="test", timestamp="2012-11-01T22:08:41+00:00"}"#);
    assert_eq!(lines(&out), ["125"]);
    assert!(counters.is_empty());
}

#[test]
fn a_value_of_a_value_is_read() {
    let yaml = "- logfmt: {mapping: {extra: }}\n- logfmt: {source: extra, mapping: {user: }}\n- labels: {user: }\n";
    let (out, _) = through(yaml, &[r#"level=WARN extra="user=foo id=7""#]);
    assert_eq!(out[0].labels, r#"{job="test", user="foo"}"#);
}

#[test]
fn the_last_of_equal_keys_counts_and_keys_are_taken_as_written() {
    let yaml = "- logfmt: {mapping: {a: k, b: the-key}}\n- labels: {a: , b: }\n";
    let (out, _) = through(yaml, &["k=1 the-key=2 k=3"]);
    assert_eq!(out[0].labels, r#"{a="3", b="2", job="test"}"#);
}

#[test]
fn a_broken_line_is_counted_and_passes() {
    let yaml = "- logfmt: {mapping: {a: , b: }}\n- labels: {a: , b: }\n";
    let (out, counters) = through(yaml, &[r#"a=1 ="x b=2"#, "a=2"]);
    assert_eq!(lines(&out), [r#"a=1 ="x b=2"#, "a=2"]);
    assert_eq!(out[0].labels, r#"{a="1", job="test"}"#, "what stood before the error is kept");
    assert_eq!(counters.parse_errors["logfmt"], 1);
}

#[test]
fn without_a_key_read_by_anyone_there_is_no_step() {
    assert!(crate::testing::program("- logfmt: {mapping: {a: }}").ops.is_empty());
}
