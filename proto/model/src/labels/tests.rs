use std::sync::Arc;

use super::*;

#[test]
fn sorted_unique_and_printed_like_loki() {
    let labels = Labels::from_pairs([("b", "2"), ("a", "x\"y\n"), ("b", "3"), ("c", "")]);
    assert_eq!(labels.to_string(), r#"{a="x\"y\n", b="3"}"#);
    assert_eq!(labels.value("b"), Some("3"));
    assert_eq!(labels.value("c"), None);
}

#[test]
fn ids_differ_when_a_boundary_moves() {
    assert_ne!(Labels::from_pairs([("a", "bc")]).id(), Labels::from_pairs([("ab", "c")]).id());
}

#[test]
fn label_names_follow_prometheus() {
    for good in ["a", "_a", "A9_"] {
        assert!(is_label_name(good));
    }
    for bad in ["", "9a", "a-b", "a.b", "ä"] {
        assert!(!is_label_name(bad));
    }
}

#[test]
fn each_label_set_has_one_number() {
    let of = |value: &str| Arc::new(Labels::from_pairs([("a", value)]));
    let (x, y) = (of("x"), of("b"));
    let mut numbers = LabelsNumbers::new();
    assert_eq!(numbers.number(&x), (0, true));
    assert_eq!(numbers.number(&x), (0, false));
    assert_eq!(numbers.number(&y), (1, true));
    // Equal labels in other memory are the same.
    assert_eq!(numbers.number(&of("x")), (0, false));
    assert_eq!(numbers.number(&y), (1, false));
    assert_eq!(numbers.into_iter().collect::<Vec<_>>(), [(y, 1), (x, 0)]);
}
