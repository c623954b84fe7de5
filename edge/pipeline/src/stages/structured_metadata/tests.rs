//! Values that go with the line.

use crate::testing::through;

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

#[test]
fn values_go_with_the_line() {
    let yaml = "- logfmt: {mapping: {traceID: , rest: }}\n- structured_metadata: {traceID: , other: none}\n";
    let (out, _) = through(yaml, &["component=frontend traceID=0242ac120002", "component=frontend"]);
    assert_eq!(out[0].metadata, [pair("traceID", "0242ac120002")]);
    assert_eq!(out[0].labels, r#"{job="test"}"#);
    assert_eq!(out[1].metadata, []);
}

#[test]
fn a_label_moves() {
    let yaml = "- static_labels: {pod: p-1}\n- structured_metadata: {pod: , task: job}\n";
    let (out, _) = through(yaml, &["x", "y"]);
    assert!(out.iter().all(|record| record.labels == "{}" && record.metadata == [pair("pod", "p-1"), pair("task", "test")]));
}

#[test]
fn a_label_with_another_value_stays() {
    let yaml = "- regex: {expression: '(?P<job>.+)'}\n- structured_metadata: {job: }\n";
    let (out, _) = through(yaml, &["fresh"]);
    assert_eq!((out[0].labels.as_str(), out[0].metadata.as_slice()), (r#"{job="test"}"#, &[pair("job", "fresh")][..]));
}

#[test]
fn names_are_unique_and_the_old_name_of_the_stage_works() {
    let yaml = "- regex: {expression: '(?P<a>.)(?P<b>.)'}\n- non_indexed_labels: {x: a}\n- structured_metadata: {x: b}\n";
    let (out, _) = through(yaml, &["12"]);
    assert_eq!(out[0].metadata, [pair("x", "2")]);
}
