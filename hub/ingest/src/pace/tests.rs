use proptest::prelude::*;
use proto_model::{ClusterId, EdgeId};

use super::*;

const MIB: u64 = 1 << 20;
const BUDGET: usize = 64 << 20;

fn speaker(cluster: &str, edge: usize) -> Speaker {
    Speaker { cluster: ClusterId::new(cluster).unwrap(), edge: EdgeId::new(&format!("e{edge}")).unwrap() }
}

fn asking(rows: &[(&str, usize, u64)]) -> BTreeMap<Speaker, Asking> {
    rows.iter()
        .map(|(tenant, edge, sent)| (speaker(tenant, *edge), Asking { tenant: Some(TenantId::new(tenant).unwrap()), sent: *sent, allowed: None }))
        .collect()
}

fn load(waiting: u64, offered: u64, taken: u64) -> Load {
    Load { waiting: usize::try_from(waiting * MIB).unwrap(), budget: BUDGET, offered: offered * MIB, taken: taken * MIB, seal: Duration::ZERO, behind: false }
}

fn share(shares: &BTreeMap<Speaker, u64>, tenant: &str, edge: usize) -> u64 {
    shares[&speaker(tenant, edge)]
}

#[test]
fn an_edge_at_a_hundred_times_its_share_takes_nothing_from_the_others() {
    // 10 MiB/s for 10 edges of one tenant: nine want 0.5 each, one wants 100.
    let mut rows: Vec<(&str, usize, u64)> = (0..9).map(|edge| ("acme", edge, MIB / 2)).collect();
    rows.push(("acme", 9, 100 * MIB));
    let found = shares(10 * MIB, &asking(&rows));
    for edge in 0..9 {
        assert!(share(&found, "acme", edge) >= MIB / 2, "what it asks for is below its share");
    }
    let greedy = share(&found, "acme", 9);
    assert!(greedy > 4 * MIB && greedy < 6 * MIB, "what is left: {greedy}");
}

#[test]
fn a_tenant_of_many_edges_gets_no_more_than_a_tenant_of_one() {
    let mut rows: Vec<(&str, usize, u64)> = (0..100).map(|edge| ("acme", edge, 10 * MIB)).collect();
    rows.push(("blue", 0, 50 * MIB));
    let found = shares(20 * MIB, &asking(&rows));
    assert_eq!(share(&found, "blue", 0), 10 * MIB);
    assert!(share(&found, "acme", 7).abs_diff(MIB / 10) <= 1);
}

#[test]
fn an_edge_held_at_its_limit_is_taken_to_want_more_and_a_quiet_one_is_not() {
    let of = |sent, allowed| Asking { tenant: None, sent, allowed }.wants();
    assert_eq!((of(1000, Some(1000)), of(900, Some(1000))), (u64::MAX, u64::MAX));
    assert_eq!((of(400, Some(1000)), of(400, None), of(0, None), of(u64::MAX, None)), (500, 500, 0, u64::MAX));
}

#[test]
fn nobody_is_slowed_while_the_store_keeps_up() {
    let (mut pace, edges) = (Pace::default(), asking(&[("acme", 0, 50 * MIB)]));
    for _ in 0..100 {
        assert_eq!(pace.look(&load(4, 50, 50), &edges), Decision::Free);
        assert_eq!(pace.look(&load(15, 60, 50), &edges), Decision::Free, "a little waits always");
        assert_eq!(pace.look(&load(30, 50, 49), &edges), Decision::Free, "what is in flight at speed");
    }
}

#[test]
fn half_of_the_budget_slows_at_once_and_a_lag_slows_when_it_lasts() {
    let edges = asking(&[("acme", 0, 50 * MIB), ("blue", 0, MIB)]);
    let mut pace = Pace::default();
    let Decision::Slow(told) = pace.look(&load(32, 50, 20), &edges) else { panic!("not slowed") };
    assert!(share(&told, "blue", 0) >= MIB, "it asks for less than its share");
    assert!(told.values().sum::<u64>() <= 20 * MIB);

    let mut pace = Pace::default();
    for _ in 1..PACE_SLOW_LOOKS {
        assert_eq!(pace.look(&load(20, 50, 20), &edges), Decision::Free);
    }
    assert!(matches!(pace.look(&load(20, 50, 20), &edges), Decision::Slow(_)));
    // A look without lag begins the count anew.
    let mut pace = Pace::default();
    for _ in 0..20 {
        assert_eq!(pace.look(&load(20, 50, 20), &edges), Decision::Free);
        assert_eq!(pace.look(&load(20, 50, 50), &edges), Decision::Free);
    }
}

#[test]
fn release_comes_once_and_late_so_that_it_does_not_flap() {
    let edges = asking(&[("acme", 0, 50 * MIB)]);
    let mut pace = Pace::default();
    assert!(matches!(pace.look(&load(40, 50, 20), &edges), Decision::Slow(_)));
    // Between the two marks all stays as it is.
    for _ in 0..50 {
        assert!(matches!(pace.look(&load(20, 20, 20), &edges), Decision::Slow(_)));
    }
    for _ in 1..PACE_RELEASE_LOOKS {
        assert!(matches!(pace.look(&load(1, 20, 20), &edges), Decision::Slow(_)));
    }
    assert_eq!(pace.look(&load(1, 20, 20), &edges), Decision::Release);
    assert_eq!(pace.look(&load(1, 20, 20), &edges), Decision::Free);
}

#[test]
fn the_capacity_falls_while_much_waits_and_rises_again() {
    let edges: BTreeMap<Speaker, Asking> = [(speaker("acme", 0), Asking { tenant: None, sent: 50 * MIB, allowed: Some(MIB) })].into_iter().collect();
    let told = |decision| if let Decision::Slow(told) = decision { told.values().sum::<u64>() } else { panic!("not slowed") };
    let mut pace = Pace::default();
    let mut last = told(pace.look(&load(40, 50, 20), &edges));
    for _ in 0..8 {
        let now = told(pace.look(&load(40, 50, 1), &edges));
        assert!(now < last, "{now} {last}");
        last = now;
    }
    for _ in 1..PACE_RELEASE_LOOKS {
        let now = told(pace.look(&load(2, 1, 1), &edges));
        assert!(now > last, "{now} {last}");
        last = now;
    }
    let stuck = Load { seal: Duration::from_secs(11), ..load(40, 50, 0) };
    for _ in 0..40 {
        last = told(pace.look(&stuck, &edges));
    }
    assert_eq!(last, PACE_LEAST, "never nothing: an edge must be able to show that it lives");
}

#[test]
fn a_lane_far_ahead_of_its_absorption_slows_its_senders() {
    let edges = asking(&[("acme", 0, 50 * MIB)]);
    let mut pace = Pace::default();
    assert!(matches!(pace.look(&Load { behind: true, ..load(0, 1, 1) }, &edges), Decision::Slow(_)));
    assert!(matches!(pace.look(&Load { behind: true, ..load(0, 1, 1) }, &edges), Decision::Slow(_)));
}

proptest! {
    #[test]
    fn shares_are_max_min_fair(capacity in 0_u64..1_000_000, wants in proptest::collection::vec(0_u64..300_000, 1..12)) {
        let wanted: BTreeMap<usize, u64> = wants.iter().copied().enumerate().collect();
        let found = max_min(capacity, &wanted);
        let sum: u64 = found.values().sum();
        prop_assert!(sum <= capacity);
        prop_assert!(found.iter().all(|(key, share)| *share <= wanted[key]));
        // Whoever does not get what it wants gets as much as anyone, but for the rounding, and nothing is left over.
        let most = found.values().copied().max().unwrap_or(0);
        for (key, share) in &found {
            if *share < wanted[key] {
                prop_assert!(share + wants.len() as u64 >= most);
                prop_assert!(sum + wants.len() as u64 * 2 >= capacity);
            }
        }
    }
}
