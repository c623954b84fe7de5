//! Windows by arithmetic and by hand.

use std::sync::Arc;

use hub_logql::{Expr, MetricExpr};
use proptest::prelude::*;
use proto_model::{Labels, Timestamp};

use super::{RangePlan, Steps, Windows};
use crate::budget::{Budget, Limits};
use crate::metric::Tree;
use crate::plan::ChosenRow;
use crate::record::LineLabels;

fn plan(range_ns: i64, offset_ns: i64, steps: Steps) -> Arc<RangePlan> {
    plan_of(r#"count_over_time({a="b"}[1s])"#, range_ns, offset_ns, steps)
}

fn plan_of(query: &str, range_ns: i64, offset_ns: i64, steps: Steps) -> Arc<RangePlan> {
    let Expr::Metric(mut expr) = hub_logql::parse(query).unwrap() else { panic!("it is a metric query") };
    let inner = if let MetricExpr::Vector { inner, .. } = &mut expr { inner } else { &mut expr };
    if let MetricExpr::Range { range, .. } = inner {
        (range.range_ns, range.offset_ns) = (range_ns, offset_ns);
    }
    Tree::new(&expr, steps).unwrap().ranges[0].clone()
}

proptest! {
    #[test]
    fn a_line_counts_in_exactly_the_windows_that_hold_it(
        time in -60_i64..60, start in -40_i64..40, step_ns in 1_i64..12, count in 1_usize..8, range_ns in 1_i64..30, offset_ns in -20_i64..20,
    ) {
        let steps = Steps { start: Timestamp(start), step_ns, count };
        let plan = plan(range_ns, offset_ns, steps);
        let inside = |at: usize| {
            let last = steps.time(at).nanos() - offset_ns;
            last - range_ns < time && time <= last
        };
        let by_hand: Vec<u32> = (0..count).filter(|at| inside(*at)).map(|at| u32::try_from(at).unwrap()).collect();
        let found: Vec<u32> = plan.steps_of(Timestamp(time)).map(|(first, last)| (first..=last).collect()).unwrap_or_default();
        prop_assert_eq!(&found, &by_hand);
        prop_assert!(found.is_empty() || plan.reads().contains(Timestamp(time)));
    }

    #[test]
    fn counting_by_times_is_counting_line_by_line(
        mut times in prop::collection::vec(-60_i64..60, 0..40), start in -40_i64..40, step_ns in 1_i64..12, count in 1_usize..8, range_ns in 1_i64..30,
        offset_ns in -20_i64..20, of_bytes: bool,
    ) {
        times.sort_unstable();
        let query = if of_bytes { r#"sum by (a) (bytes_over_time({a="b"}[1s]))"# } else { r#"sum by (a) (count_over_time({a="b"}[1s]))"# };
        let plan = plan_of(query, range_ns, offset_ns, Steps { start: Timestamp(start), step_ns, count });
        let lengths: Vec<u32> = (0..).map(|at| at * 7 % 11).take(times.len()).collect();
        let labels = Arc::new(Labels::from_pairs([("a", "b")]));
        let windows = || Windows::new(Arc::clone(&plan), Budget::new(&Limits::default()).0);
        let mut by_line = windows();
        let mut of_line = LineLabels::new(Arc::clone(&labels));
        for (time, length) in times.iter().zip(&lengths) {
            by_line.take(Timestamp(*time), *length as usize, &mut of_line).unwrap();
        }
        let (min, max) = (Timestamp(times.first().copied().unwrap_or(0)), Timestamp(times.last().copied().unwrap_or(0)));
        let mut by_times = windows();
        by_times.count_times(&ChosenRow { at: 0, labels, lines: times.len() as u64, bytes: 0, min, max, struck: None }, &times, &lengths).unwrap();
        prop_assert_eq!(by_times.into_series().unwrap(), by_line.into_series().unwrap());
    }
}

#[test]
fn the_ends_of_time_do_not_overflow() {
    let steps = Steps { start: Timestamp::MAX, step_ns: i64::MAX, count: 3 };
    let plan = plan(i64::MAX, i64::MIN, steps);
    for time in [Timestamp::MIN, Timestamp(0), Timestamp::MAX] {
        assert!(plan.steps_of(time).is_none_or(|(first, last)| first <= last && last < 3));
    }
    assert!(plan.reads().start <= plan.reads().end);
}
