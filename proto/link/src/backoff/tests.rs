//! Tests of `backoff`.

use super::*;

#[test]
fn waits_double_up_to_the_longest_and_a_part_of_them_is_by_chance() {
    let entropy = Entropy::seeded(1);
    let waits = |jitter| Backoff { first: Duration::from_millis(500), max: Duration::from_secs(300), jitter };
    for (failures, longest) in [(0, 500), (1, 500), (2, 1_000), (4, 4_000), (10, 256_000), (11, 300_000), (u32::MAX, 300_000)] {
        assert_eq!(waits(0).wait(failures, &entropy).as_millis(), longest);
        for (jitter, least) in [(50, longest / 2), (100, 0), (u32::MAX, 0)] {
            let found: Vec<u128> = (0..100).map(|_| waits(jitter).wait(failures, &entropy).as_millis()).collect();
            assert!(found.iter().all(|found| (least..=longest).contains(found)), "{failures}: {found:?}");
            assert!(found.iter().any(|found| *found < longest - (longest - least) / 2), "{failures}: {found:?}");
        }
    }
    let endless = Backoff { first: Duration::MAX, max: Duration::MAX, jitter: 50 };
    assert!(endless.wait(9, &entropy) > Duration::from_secs(1 << 40));
}

#[test]
fn bounds_double_and_the_whole_of_them_is_used() {
    let entropy = Entropy::seeded(1);
    for (attempts, most_ms) in [(0, 2_000), (1, 2_000), (2, 4_000), (3, 8_000), (4, 16_000), (5, 30_000), (100, 30_000), (u32::MAX, 30_000)] {
        let waits: Vec<u128> = (0..400).map(|_| DIAL.wait(attempts, &entropy).as_millis()).collect();
        assert!(waits.iter().all(|waited| (100..=most_ms).contains(waited)), "{attempts}: {waits:?}");
        assert!(waits.iter().any(|waited| *waited < most_ms / 10) && waits.iter().any(|waited| *waited > most_ms / 10 * 9), "{attempts}: {waits:?}");
    }
}

#[test]
fn a_thousand_edges_that_lost_one_hub_come_back_spread_out() {
    let mut per_100_ms = [0_u32; 20];
    for edge in 0..1_000 {
        let waited = DIAL.wait(1, &Entropy::seeded(edge).fork("ship")).as_millis();
        per_100_ms[usize::try_from(waited / 100).unwrap().min(19)] += 1;
    }
    assert!(per_100_ms.iter().all(|edges| *edges < 100), "{per_100_ms:?}");
}

#[test]
fn edges_do_not_come_back_together_and_a_seed_repeats() {
    let waits = |seed| (1..20).map(|attempts| DIAL.wait(attempts, &Entropy::seeded(seed).fork("edge"))).collect::<Vec<_>>();
    assert_eq!(waits(1), waits(1));
    assert_ne!(waits(1), waits(2));
}
