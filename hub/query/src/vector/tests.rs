//! Aggregations and matches over made-up series.

use std::sync::Arc;

use hub_logql::{BinOp, GroupSide, Grouping, VectorMatching, VectorOp};
use proto_model::Labels;

use super::matching::Match;
use super::{Grouped, Sample, ScalarSide, aggregate, with_scalar};

fn sample(labels: &[(&str, &str)], value: f64) -> Sample {
    Sample { labels: Arc::new(Labels::from_pairs(labels.iter().copied())), value }
}

fn values(samples: &[Sample]) -> Vec<(String, f64)> {
    samples.iter().map(|sample| (sample.labels.to_string(), sample.value)).collect()
}

fn series() -> Vec<Sample> {
    vec![
        sample(&[("a", "1"), ("b", "x")], 3.0),
        sample(&[("a", "1"), ("b", "y")], 1.0),
        sample(&[("a", "2"), ("b", "x")], 3.0),
        sample(&[("a", "2"), ("b", "y")], f64::NAN),
    ]
}

fn by(labels: &[&str], without: bool) -> Grouping {
    Grouping { without, labels: labels.iter().map(|label| (*label).to_owned()).collect() }
}

#[test]
fn groups_are_made_by_and_without() {
    let count = |grouping: Option<&Grouping>| values(&aggregate(VectorOp::Count, None, grouping, &mut Grouped::default(), series()));
    assert_eq!(count(Some(&by(&["a"], false))), [(r#"{a="1"}"#.to_owned(), 2.0), (r#"{a="2"}"#.to_owned(), 2.0)]);
    assert_eq!(count(Some(&by(&["a"], true))), [(r#"{b="x"}"#.to_owned(), 2.0), (r#"{b="y"}"#.to_owned(), 2.0)]);
    assert_eq!(count(None), [("{}".to_owned(), 4.0)]);
}

#[test]
fn topk_keeps_the_largest_and_of_equal_ones_the_first_by_labels() {
    let top = |op, count| values(&aggregate(op, Some(count), None, &mut Grouped::default(), series()));
    assert_eq!(top(VectorOp::Topk, 1.0), [(r#"{a="1", b="x"}"#.to_owned(), 3.0)]);
    assert_eq!(top(VectorOp::Bottomk, 1.0), [(r#"{a="1", b="y"}"#.to_owned(), 1.0)]);
    assert_eq!(top(VectorOp::Topk, 3.0).len(), 3);
    assert!(top(VectorOp::Topk, 3.0).iter().all(|(_, value)| !value.is_nan()));
}

#[test]
fn extremes_leave_nan_out() {
    for (op, wanted) in [(VectorOp::Min, 1.0), (VectorOp::Max, 3.0)] {
        assert_eq!(aggregate(op, None, None, &mut Grouped::default(), series())[0].value, wanted);
    }
}

#[test]
fn a_comparison_with_a_scalar_keeps_the_series_value_on_either_side() {
    let kept = |side| values(&with_scalar(BinOp::Less, false, 2.0, side, series()));
    assert_eq!(kept(ScalarSide::Right), [(r#"{a="1", b="y"}"#.to_owned(), 1.0)]);
    assert_eq!(kept(ScalarSide::Left).len(), 2);
    assert_eq!(with_scalar(BinOp::Less, true, 2.0, ScalarSide::Right, series()).len(), 4);
}

#[test]
fn ambiguous_matches_are_refused() {
    let many = || vec![sample(&[("a", "1"), ("b", "x")], 1.0), sample(&[("a", "1"), ("b", "y")], 2.0)];
    let one = || vec![sample(&[("a", "1"), ("c", "z")], 10.0)];
    let on =
        |group, include: &[&str]| VectorMatching { on: true, labels: vec!["a".to_owned()], group, include: include.iter().map(|l| (*l).to_owned()).collect() };
    let combine = |matching, left, right| Match::new(BinOp::Mul, false, Some(matching)).combine(left, right);
    let text = |fault: Result<Vec<Sample>, crate::QueryFault>| fault.unwrap_err().to_string();
    assert!(text(combine(on(None, &[]), many(), one())).starts_with("multiple matches for labels: many-to-one matching must be explicit"));
    assert!(text(combine(on(None, &[]), one(), many())).starts_with("found duplicate series on the right hand-side"));
    let left = combine(on(Some(GroupSide::Left), &["c"]), many(), one()).unwrap();
    assert_eq!(values(&left), [(r#"{a="1", b="x", c="z"}"#.to_owned(), 10.0), (r#"{a="1", b="y", c="z"}"#.to_owned(), 20.0)]);
    let right = combine(on(Some(GroupSide::Right), &[]), one(), many()).unwrap();
    assert_eq!(right.len(), 2);
    assert!(text(combine(on(Some(GroupSide::Right), &[]), many(), one())).starts_with("found duplicate series on the left hand-side"));
}

#[test]
fn set_operators_keep_whole_samples() {
    let (left, right) = (series(), vec![sample(&[("a", "1"), ("b", "x")], 9.0), sample(&[("a", "3")], 7.0)]);
    let set = |op| Match::new(op, false, None).combine(left.clone(), right.clone()).unwrap().len();
    assert_eq!((set(BinOp::And), set(BinOp::Unless), set(BinOp::Or)), (1, 3, 5));
}
