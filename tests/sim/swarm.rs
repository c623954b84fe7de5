//! What a seed picks: the topology, the settings, the work, and how often which fault comes.
//!
//! Pure. Each kind of fault is off in a part of the seeds and its rate spans two orders of magnitude in the others, so
//! that rare ones are not drowned by common ones (swarm testing). Must not do: anything at run time.

use std::time::Duration;

use proto_seam::Entropy;
use tests::objects::Rates;

use crate::hosts::EdgeShape;

/// A simulation to be run.
#[derive(Debug, Clone)]
pub struct Swarm {
    pub seed: u64,
    pub edges: usize,
    pub hubs: usize,
    pub tenants: usize,
    pub shape: EdgeShape,
    pub lines: u64,
    /// Longest padding of a line, in bytes.
    pub padding: u64,
    pub rotates: bool,
    /// Two hubs one after the other, not side by side.
    pub succession: bool,
    pub linger: Duration,
    /// How long faults come, and lines are written.
    pub faults_for: Duration,
    pub latency_ms_max: u64,
    pub faults: Faults,
}

/// Faults by rate: of a million steps, unless said otherwise.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    pub store: Rates,
    pub edge_killed: u64,
    pub edge_power_lost: u64,
    /// The machine stops at a disk operation, then loses power.
    pub edge_stopped: u64,
    pub hub_killed: u64,
    pub hub_held: u64,
    pub store_held: u64,
    pub cut: u64,
    pub cut_one_way: u64,
    pub clock_moved: u64,
    pub disk_sync_failed: u64,
    pub disk_full: u64,
    /// Packets of a million.
    pub packets_lost: u64,
}

fn rate(entropy: &Entropy, max: u64) -> u64 {
    if entropy.chance(0.4) { 0 } else { (max >> entropy.below(7)).max(1) }
}

impl Swarm {
    /// What `seed` picks.
    pub fn of(seed: u64) -> Self {
        let entropy = Entropy::seeded(seed).fork("swarm");
        let one_of = |choices: &[u64]| choices[usize::try_from(entropy.below(choices.len() as u64)).unwrap()];
        let edges = usize::try_from(one_of(&[1, 2])).unwrap();
        let timed = entropy.chance(0.7);
        let shape = EdgeShape {
            wal_bytes_max: one_of(&[512 * 1024, 512 * 1024, 4 * 1024 * 1024]),
            batch_bytes: one_of(&[1_024, 4_096, 16_384]),
            batch_wait_ms: one_of(&[50, 200, 1_000]),
            timed,
            sources: usize::try_from(1 + entropy.below(3)).unwrap(),
        };
        let store = Rates {
            refused: rate(&entropy, 100_000),
            slow: rate(&entropy, 60_000),
            answer_lost: rate(&entropy, 60_000),
            late: rate(&entropy, 60_000),
            conflict: rate(&entropy, 60_000),
            taken_by_itself: rate(&entropy, 60_000),
            dies_before: rate(&entropy, 20_000),
            dies_after: rate(&entropy, 20_000),
        };
        let faults = Faults {
            store,
            edge_killed: rate(&entropy, 1_200),
            edge_power_lost: rate(&entropy, 1_200),
            edge_stopped: rate(&entropy, 1_200),
            hub_killed: rate(&entropy, 1_200),
            hub_held: rate(&entropy, 600),
            store_held: rate(&entropy, 300),
            cut: rate(&entropy, 600),
            cut_one_way: rate(&entropy, 600),
            clock_moved: if timed { rate(&entropy, 600) } else { 0 },
            disk_sync_failed: rate(&entropy, 600),
            disk_full: rate(&entropy, 600),
            packets_lost: rate(&entropy, 50_000),
        };
        let hubs = usize::try_from(one_of(&[1, 1, 2])).unwrap();
        Self {
            seed,
            edges,
            hubs,
            succession: hubs == 2 && entropy.chance(0.3),
            tenants: if edges == 2 { usize::try_from(one_of(&[1, 2, 2])).unwrap() } else { 1 },
            shape,
            lines: one_of(&[100, 400, 2_000]),
            padding: one_of(&[60, 60, 60, 60, 3_000]),
            rotates: timed && entropy.chance(0.5),
            linger: Duration::from_millis(one_of(&[20, 200, 1_000])),
            faults_for: Duration::from_secs(20 + entropy.below(60)),
            latency_ms_max: one_of(&[10, 60, 150]),
            faults,
        }
    }

    /// As `seed` picks it, without faults.
    pub fn calm(seed: u64) -> Self {
        Self { faults: Faults::default(), ..Self::of(seed) }
    }
}
