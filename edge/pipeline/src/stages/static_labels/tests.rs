//! Labels from the configuration.

use crate::testing::through;

#[test]
fn given_values_are_set_and_empty_ones_left_alone() {
    let (out, _) = through("- static_labels: {custom_key: custom_val, job: , none: ''}", &["x"]);
    assert_eq!(out[0].labels, r#"{custom_key="custom_val", job="test"}"#);
}

#[test]
fn a_given_value_replaces_one_that_is_there() {
    let (out, _) = through("- static_labels: {job: other}", &["x", "y"]);
    assert!(out.iter().all(|record| record.labels == r#"{job="other"}"#));
}
