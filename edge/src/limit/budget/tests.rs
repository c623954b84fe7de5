use std::time::Duration;

use super::*;

const START: Timestamp = Timestamp(1_700_000_000_000_000_000);

fn budgets(of: &[(&str, f64, u64, bool)]) -> Budgets {
    let mut budgets = Budgets::default();
    let settings =
        of.iter().map(|(name, bytes_rate, bytes_burst, drop)| ((*name).to_owned(), Budget { bytes_rate: *bytes_rate, bytes_burst: *bytes_burst, drop: *drop }));
    budgets.set(Arc::new(settings.collect()));
    budgets
}

/// Lines of 100 bytes that pass within `seconds`, one tried every 10 ms.
fn passed(budgets: &mut Budgets, tenant: &str, seconds: u64) -> u64 {
    (0..seconds * 100).filter(|at| budgets.take(tenant, 100, START.plus(Duration::from_millis(at * 10)))).count() as u64
}

#[test]
fn lines_beyond_a_budget_are_dropped_and_counted_and_nobody_elses_are() {
    let mut budgets = budgets(&[("loud", 1000.0, 500, true)]);
    let loud = passed(&mut budgets, "loud", 10);
    assert!((100..=107).contains(&loud), "10 s at 10 lines a second and a burst of 5: {loud}");
    assert_eq!(passed(&mut budgets, "quiet", 10), 1000, "it has no budget");
    assert!(!budgets.is_held(), "nobody waits");
    let spent = budgets.take_spent();
    assert_eq!(spent.keys().collect::<Vec<_>>(), ["loud"]);
    assert_eq!((spent["loud"].lines, spent["loud"].bytes, spent["loud"].dropped), (loud, loud * 100, 1000 - loud));
    assert!(budgets.take_spent().is_empty());
}

#[test]
fn a_source_waits_until_what_it_owes_is_paid_and_no_longer() {
    let mut budgets = budgets(&[("*", 1000.0, 1000, false)]);
    assert!(budgets.take("a", 900, START) && budgets.take_held().is_none());
    // A line that is there is taken, however long it is.
    assert!(budgets.take("a", 3_100, START));
    let until = budgets.take_held().expect("it owes 3000 bytes");
    assert!((3_000..3_010).contains(&until.since(START).as_millis()), "{until:?}");
    assert!(budgets.take("b", 10, START) && budgets.take_held().is_none(), "each has a bucket of its own");
    let later = until.plus(Duration::from_millis(10));
    assert!(budgets.take("a", 5, later) && budgets.take_held().is_none());
    assert_eq!(budgets.take_spent()["*"], Spent { lines: 4, bytes: 4_015, dropped: 0, waits: 1 });
}

#[test]
fn tenants_without_end_share_the_last_bucket() {
    let mut budgets = budgets(&[("*", 1.0, 100, true)]);
    for tenant in 0..TENANTS_MAX * 2 {
        budgets.take(&format!("t{tenant}"), 100, START);
    }
    assert_eq!(budgets.buckets.len(), TENANTS_MAX + 1);
    let spent = budgets.take_spent()["*"];
    assert_eq!((spent.lines, spent.dropped), (TENANTS_MAX as u64 + 1, TENANTS_MAX as u64 - 1));
}

#[test]
fn a_clock_that_is_set_back_gives_nothing() {
    let mut budgets = budgets(&[("a", 100.0, 100, true)]);
    assert!(budgets.take("a", 100, START));
    for back in 0..50 {
        assert!(!budgets.take("a", 100, Timestamp(START.nanos() - back * 1_000_000_000)));
    }
}
