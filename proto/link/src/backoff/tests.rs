//! Tests of `backoff`.

use super::*;

#[test]
fn waits_double_within_their_bounds() {
    let entropy = Entropy::seeded(1);
    for (attempts, least_ms, most_ms) in [(0, 500, 1_000), (1, 500, 1_000), (2, 1_000, 2_000), (3, 2_000, 4_000), (5, 8_000, 16_000), (6, 15_000, 30_000)] {
        for _ in 0..200 {
            let waited = wait(attempts, &entropy).as_millis();
            assert!((least_ms..=most_ms).contains(&waited), "{attempts}: {waited}");
        }
    }
    for attempts in [100, u32::MAX] {
        let waited = wait(attempts, &entropy);
        assert!(waited >= BACKOFF_MAX / 2 && waited <= BACKOFF_MAX);
    }
}

#[test]
fn edges_do_not_come_back_together_and_a_seed_repeats() {
    let waits = |seed| (1..20).map(|attempts| wait(attempts, &Entropy::seeded(seed).fork("edge"))).collect::<Vec<_>>();
    assert_eq!(waits(1), waits(1));
    assert_ne!(waits(1), waits(2));
}
