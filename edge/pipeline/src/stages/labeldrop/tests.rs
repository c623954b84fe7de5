//! Labels taken away.

use crate::testing::through;

#[test]
fn listed_labels_go() {
    let (out, _) = through("- static_labels: {a: 1, b: 2}\n- labeldrop: [a, none]\n", &["x", "y"]);
    assert!(out.iter().all(|record| record.labels == r#"{b="2", job="test"}"#));
}

#[test]
fn values_of_that_name_stay() {
    let (out, _) = through("- labeldrop: [job]\n- labels: {task: job}\n", &["x"]);
    assert_eq!(out[0].labels, r#"{task="test"}"#);
}
