//! What a metric query needs from its parsers.

use hub_logql::{Expr, MetricExpr};

use super::Wanted;

fn wanted(query: &str) -> Wanted {
    let Expr::Metric(MetricExpr::Vector { inner, grouping, .. }) = hub_logql::parse(query).unwrap() else { panic!("{query} is no aggregation") };
    let MetricExpr::Range { range, .. } = *inner else { panic!("{query} aggregates no range") };
    let grouping = grouping.or(Some(hub_logql::Grouping { without: false, labels: Vec::new() }));
    Wanted::of_metric(&range.log.stages, range.unwrap.as_ref(), grouping.as_ref())
}

fn only(names: &[&str]) -> Wanted {
    Wanted::Only(names.iter().map(|name| (*name).to_owned()).collect())
}

#[test]
fn a_sum_over_everything_needs_no_label() {
    assert_eq!(wanted(r#"sum(count_over_time({a="b"} | json [5m]))"#), Wanted::Nothing);
}

#[test]
fn groups_filters_formats_and_unwraps_are_needed() {
    assert_eq!(wanted(r#"sum by (x) (count_over_time({a="b"} | json | y > 5 | line_format "{{.z}}" | logfmt [5m]))"#), only(&["x", "y", "z"]));
    assert_eq!(wanted(r#"sum(sum_over_time({a="b"} | json | unwrap v | w="1" [5m]))"#), only(&["v", "w"]));
    assert_eq!(wanted(r#"sum by (x_extracted) (rate({a="b"} | json | label_format q=r, s="{{.t}}" [5m]))"#), only(&["x", "x_extracted", "r", "t"]));
}

#[test]
fn without_needs_all() {
    assert_eq!(wanted(r#"sum without (x) (rate({a="b"} | json [5m]))"#), Wanted::All);
}

#[test]
fn errors_are_labels_only_where_they_are_asked_for() {
    assert!(wanted(r#"sum by (__error__) (rate({a="b"} | json [5m]))"#).asks_for_error());
    assert!(!wanted(r#"sum by (x) (rate({a="b"} | json [5m]))"#).asks_for_error());
}
