//! The simulation is a function of its seed.

use crate::seeds::run;
use crate::swarm::Swarm;

/// The same seed twice: the same events in the same order at the same time, and the same next random numbers.
#[test]
fn the_same_seed_twice_is_the_same_run() {
    let report = |seed| run(Swarm::of(seed), false);
    for seed in [1, 2, 3, 5, 8, 13] {
        let (once, twice) = (report(seed), report(seed));
        assert_eq!(once, twice, "seed {seed} ran differently the second time");
    }
}

#[test]
fn another_seed_is_another_run() {
    let trace = |seed| run(Swarm::calm(seed), false).0.trace;
    assert_ne!(trace(1), trace(2));
}
