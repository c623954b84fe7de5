//! Nested stages, and labels that become values where a pipeline begins.

use crate::testing::through;

#[test]
fn nested_stages_run_in_their_place() {
    let yaml = "- static_labels: {a: 1}\n- pipeline:\n    - labels: {b: a}\n    - pipeline: [{static_labels: {c: 3}}]\n- labeldrop: [a]\n";
    let (out, _) = through(yaml, &["x"]);
    assert_eq!(out[0].labels, r#"{b="1", c="3", job="test"}"#);
}

#[test]
fn labels_made_on_the_way_are_values_only_where_a_pipeline_begins() {
    let (flat, _) = through("- static_labels: {a: 1}\n- labels: {b: a}\n", &["x"]);
    assert_eq!(flat[0].labels, r#"{a="1", job="test"}"#);
    let (nested, _) = through("- static_labels: {a: 1}\n- pipeline: [{labels: {b: a}}]\n", &["x"]);
    assert_eq!(nested[0].labels, r#"{a="1", b="1", job="test"}"#);
}

#[test]
fn a_label_covers_a_value_of_its_name_there() {
    let yaml = "- regex: {expression: '(?P<job>.+)'}\n- pipeline: [{labels: {x: job}}]\n";
    let (out, _) = through(yaml, &["from the line"]);
    assert_eq!(out[0].labels, r#"{job="test", x="test"}"#);
}
