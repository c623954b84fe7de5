//! Windows by arithmetic and by hand.

use hub_logql::{Expr, MetricExpr};
use proptest::prelude::*;
use proto_model::Timestamp;

use super::{RangePlan, Steps};
use crate::metric::Tree;

fn plan(range_ns: i64, offset_ns: i64, steps: Steps) -> std::sync::Arc<RangePlan> {
    let Expr::Metric(mut expr) = hub_logql::parse(r#"count_over_time({a="b"}[1s])"#).unwrap() else { panic!("it is a metric query") };
    if let MetricExpr::Range { range, .. } = &mut expr {
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
