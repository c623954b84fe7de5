//! Tests of `backoff`.

use super::*;

#[test]
fn bounds_double_and_the_whole_of_them_is_used() {
    let entropy = Entropy::seeded(1);
    for (attempts, most_ms) in [(0, 2_000), (1, 2_000), (2, 4_000), (3, 8_000), (4, 16_000), (5, 30_000), (100, 30_000), (u32::MAX, 30_000)] {
        let waits: Vec<u128> = (0..400).map(|_| wait(attempts, &entropy).as_millis()).collect();
        assert!(waits.iter().all(|waited| (100..=most_ms).contains(waited)), "{attempts}: {waits:?}");
        assert!(waits.iter().any(|waited| *waited < most_ms / 10) && waits.iter().any(|waited| *waited > most_ms / 10 * 9), "{attempts}: {waits:?}");
    }
}

#[test]
fn a_thousand_edges_that_lost_one_hub_come_back_spread_out() {
    let mut per_100_ms = [0_u32; 20];
    for edge in 0..1_000 {
        let waited = wait(1, &Entropy::seeded(edge).fork("ship")).as_millis();
        per_100_ms[usize::try_from(waited / 100).unwrap().min(19)] += 1;
    }
    assert!(per_100_ms.iter().all(|edges| *edges < 100), "{per_100_ms:?}");
}

#[test]
fn edges_do_not_come_back_together_and_a_seed_repeats() {
    let waits = |seed| (1..20).map(|attempts| wait(attempts, &Entropy::seeded(seed).fork("edge"))).collect::<Vec<_>>();
    assert_eq!(waits(1), waits(1));
    assert_ne!(waits(1), waits(2));
}
