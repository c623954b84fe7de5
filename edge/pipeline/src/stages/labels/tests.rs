//! Values to labels.

use std::sync::Arc;

use crate::testing::{NOW, program, run, through};

const LEVEL: &str = "- regex: {expression: '^(?P<level>\\w*)'}\n- labels: {severity: level}\n";

#[test]
fn a_value_becomes_a_label_of_its_own_or_another_name() {
    let (out, _) = through("- regex: {expression: '^(?P<level>\\w+)'}\n- labels: {level: , severity: level}\n", &["warn: x"]);
    assert_eq!(out[0].labels, r#"{job="test", level="warn", severity="warn"}"#);
}

#[test]
fn a_label_can_be_copied() {
    let (out, _) = through("- labels: {task: job, none: nothing}", &["x"]);
    assert_eq!(out[0].labels, r#"{job="test", task="test"}"#, "labels are values from the beginning");
}

#[test]
fn an_empty_value_takes_the_label_away() {
    let (out, _) = through(&format!("- static_labels: {{severity: none}}\n{LEVEL}"), &["info x", " x"]);
    assert_eq!(out[0].labels, r#"{job="test", severity="info"}"#);
    assert_eq!(out[1].labels, r#"{job="test"}"#);
}

#[test]
fn equal_labels_have_one_address() {
    let mut run = run(LEVEL, &[("job", "test")]);
    let mut seen = Vec::new();
    for line in ["info a", "warn b", "info c", "warn d", " e"] {
        run.line(line.as_bytes(), NOW, &mut |record| seen.push(Arc::clone(record.labels)));
    }
    assert!(Arc::ptr_eq(&seen[0], &seen[2]) && Arc::ptr_eq(&seen[1], &seen[3]));
    assert!(!Arc::ptr_eq(&seen[0], &seen[1]));
}

#[test]
fn a_value_that_is_no_text_is_no_label() {
    let mut run = crate::run::Run::new(program("- regex: {expression: '(?P<a>.+)'}\n- labels: {a: }"), Arc::default());
    run.line(b"\xff\xfe", NOW, &mut |record| assert!(record.labels.is_empty()));
}

#[test]
fn a_value_too_long_is_counted_and_no_label() {
    let yaml = "- regex: {expression: '(?P<a>.+)'}\n- labels: {a: }";
    let (out, counters) = through(yaml, &[&"x".repeat(5000), "y"]);
    assert_eq!((out[0].labels.as_str(), out[1].labels.as_str()), (r#"{job="test"}"#, r#"{a="y", job="test"}"#));
    assert_eq!(counters.parse_errors["labels"], 1);
}
