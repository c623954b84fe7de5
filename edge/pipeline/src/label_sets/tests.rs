//! Equal sets have one address; the table stays bounded whatever a source does.

use std::sync::Arc;

use proto_model::Labels;

use super::{Edge, LabelSets};
use crate::limits::{LABEL_SETS_MAX, LABEL_VALUE_BYTES_MAX, STEP_VALUE_BYTES_MAX, STEPS_MAX};

fn base() -> LabelSets {
    LabelSets::new(Arc::new(Labels::from_pairs([("app", "web")])))
}

#[test]
fn the_same_change_gives_the_same_address() {
    let mut sets = base();
    let first = sets.with(LabelSets::BASE, Edge(0), "stream", b"stdout");
    let again = sets.with(LabelSets::BASE, Edge(0), "stream", b"stdout");
    assert!(Arc::ptr_eq(sets.labels(first), sets.labels(again)));
    assert_eq!(sets.labels(first).value("stream"), Some("stdout"));
}

#[test]
fn two_ways_to_one_set_meet() {
    let mut sets = base();
    let a = sets.with(LabelSets::BASE, Edge(0), "a", b"1");
    let ab = sets.with(a, Edge(1), "b", b"2");
    let b = sets.with(LabelSets::BASE, Edge(1), "b", b"2");
    let ba = sets.with(b, Edge(0), "a", b"1");
    assert_eq!(ab, ba);
    let back = sets.with(ab, Edge(2), "b", b"");
    assert_eq!(back, a, "an empty value removes the label");
}

#[test]
fn a_value_that_is_no_utf8_changes_nothing() {
    let mut sets = base();
    assert_eq!(sets.with(LabelSets::BASE, Edge(0), "x", b"\xff"), LabelSets::BASE);
}

#[test]
fn long_values_are_labels_up_to_a_length() {
    let mut sets = base();
    for length in [STEP_VALUE_BYTES_MAX, STEP_VALUE_BYTES_MAX + 1, LABEL_VALUE_BYTES_MAX] {
        let value = "v".repeat(length);
        let id = sets.with(LabelSets::BASE, Edge(0), "x", value.as_bytes());
        assert_eq!(sets.labels(id).value("x"), Some(value.as_str()));
        assert_eq!(sets.with(LabelSets::BASE, Edge(0), "x", value.as_bytes()), id);
    }
    assert_eq!(sets.sets[0].steps.len(), 1, "long values are not kept a second time");
    let value = "v".repeat(LABEL_VALUE_BYTES_MAX + 1);
    assert_eq!(sets.with(LabelSets::BASE, Edge(0), "x", value.as_bytes()), LabelSets::BASE);
}

#[test]
fn the_table_is_bounded_and_the_base_keeps_its_address() {
    let mut sets = base();
    let address = Arc::as_ptr(sets.labels(LabelSets::BASE));
    for n in 0..3 * LABEL_SETS_MAX {
        sets.trim();
        let id = sets.with(LabelSets::BASE, Edge(0), "request", n.to_string().as_bytes());
        assert_eq!(sets.labels(id).value("request"), Some(n.to_string().as_str()));
        assert!(sets.sets.len() <= LABEL_SETS_MAX + 2);
        assert!(sets.sets[0].steps.len() <= STEPS_MAX);
    }
    assert_eq!(Arc::as_ptr(sets.labels(LabelSets::BASE)), address);
}
