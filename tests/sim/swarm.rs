//! What a seed picks: the topology, the settings, the work, and how often which fault comes.
//!
//! Pure. Each kind of fault is off in a part of the seeds and its rate spans orders of magnitude in the others, so
//! that rare ones are not drowned by common ones (swarm testing). Profiles: one seed in five runs over real QUIC on simulated sockets, the others over direct
//! sessions, where hosts can be frozen; one in four is *deep*: hubs fall asleep together for longer than lane objects are kept. Must not do: anything at run time.

use std::time::Duration;

use hub_store::StoreSettings;
use hub_upkeep::UpkeepSettings;
use proto_seam::Entropy;
use tests::objects::Rates;

use crate::hosts::EdgeShape;

/// The age of a backlog that has a track of its own, where nothing else is said.
const BACKLOG_MS: u64 = 60_000;

/// A simulation to be run.
#[derive(Debug, Clone)]
pub struct Swarm {
    pub seed: u64,
    /// Real QUIC on turmoil's sockets, not direct sessions.
    pub sockets: bool,
    /// Hubs sleep together, longer than lane objects are kept.
    #[expect(dead_code, reason = "for whoever reads what a seed picked")]
    pub deep: bool,
    pub edges: usize,
    pub hubs: usize,
    pub tenants: usize,
    pub shape: EdgeShape,
    /// Lines of each edge.
    pub lines: u64,
    /// Longest padding of a line, in bytes.
    pub padding: u64,
    pub rotates: bool,
    /// The first hub goes for good in the middle, another comes.
    pub succession: bool,
    pub linger: Duration,
    pub pace: Pace,
    /// How long faults come, and lines are written.
    pub faults_for: Duration,
    pub latency_ms_max: u64,
    pub faults: Faults,
}

/// How fast hubs tidy up: far below what is right for real ones, so that all of it happens.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    pub snapshot_every: u64,
    pub lane_idle: Duration,
    pub lane_keep: Duration,
    pub absorb_every: Duration,
    pub sweep_after: Duration,
}

impl Pace {
    /// The settings with this pace.
    pub fn store(&self, settings: StoreSettings) -> StoreSettings {
        StoreSettings { snapshot_every: self.snapshot_every, lane_idle: self.lane_idle, ..settings }
    }

    /// When upkeep does what.
    pub fn upkeep(&self) -> UpkeepSettings {
        UpkeepSettings {
            absorb_bytes: 64 * 1024,
            absorb_after: self.absorb_every,
            absorb_after_small: self.absorb_every * 2,
            lane_keep: self.lane_keep,
            doom_age: self.sweep_after,
            doom_grace: self.sweep_after,
            tidy_every: self.absorb_every,
            sweep_every: self.sweep_after,
            look_every: Duration::from_millis(400),
            floors_every: self.absorb_every,
            others_after: Duration::from_secs(3),
            alive: Duration::from_secs(3),
        }
    }
}

/// Faults by rate: of a million steps, unless said otherwise.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    pub store: Rates,
    pub edge_killed: u64,
    pub edge_power_lost: u64,
    /// The machine stops at a disk operation, then loses power.
    pub edge_stopped: u64,
    pub edge_frozen: u64,
    pub hub_killed: u64,
    pub hub_frozen: u64,
    /// All hubs but one, for about as long.
    pub hubs_frozen: u64,
    /// Longest sleep of a frozen host, in ms.
    pub frozen_ms_max: u64,
    pub store_held: u64,
    pub cut: u64,
    pub cut_one_way: u64,
    pub address_changed: u64,
    pub clock_moved: u64,
    pub disk_sync_failed: u64,
    pub disk_full: u64,
    pub wal_lost: u64,
    /// The WAL's disk of a while ago is put back.
    pub wal_restored: u64,
    pub wal_bit_rot: u64,
    pub wal_file_lost: u64,
    pub remapped: u64,
    pub pushed: u64,
    /// One edge is revoked in the middle.
    pub revoked: bool,
    /// A copy of an edge's machine runs beside it for a while.
    pub cloned: bool,
    /// The bucket of a while ago is put back while all hubs are down.
    pub rolled_back: bool,
    /// Packets of a million.
    pub packets_lost: u64,
}

fn rate(entropy: &Entropy, max: u64) -> u64 {
    if entropy.chance(0.4) { 0 } else { (max >> entropy.below(6)).max(1) }
}

impl Faults {
    fn of(entropy: &Entropy, deep: bool, sockets: bool, timed: bool) -> Self {
        let store = Rates {
            refused: rate(entropy, 100_000),
            slow: rate(entropy, 60_000),
            answer_lost: rate(entropy, 60_000),
            late: rate(entropy, 60_000),
            conflict: rate(entropy, 60_000),
            taken_by_itself: rate(entropy, 60_000),
            dies_before: rate(entropy, 15_000),
            dies_after: rate(entropy, 15_000),
            list_lag: rate(entropy, 1_000_000),
        };
        let often = if deep { 4 } else { 1 };
        Self {
            store,
            edge_killed: rate(entropy, 1_600),
            edge_power_lost: rate(entropy, 1_600),
            edge_stopped: rate(entropy, 1_600),
            edge_frozen: rate(entropy, 800),
            hub_killed: rate(entropy, 1_600),
            hub_frozen: rate(entropy, 800 * often),
            hubs_frozen: if deep { 400 } else { 0 },
            frozen_ms_max: if deep { 20_000 } else { 45_000 },
            store_held: rate(entropy, 200),
            cut: rate(entropy, 1_200),
            cut_one_way: rate(entropy, 1_200),
            address_changed: rate(entropy, 1_200),
            clock_moved: if timed { rate(entropy, 800) } else { 0 },
            disk_sync_failed: rate(entropy, 1_000),
            disk_full: rate(entropy, 1_000),
            wal_lost: rate(entropy, 200),
            wal_restored: rate(entropy, 600),
            wal_bit_rot: if entropy.chance(0.15) { 300 } else { 0 },
            wal_file_lost: if entropy.chance(0.1) { 300 } else { 0 },
            remapped: rate(entropy, 300),
            pushed: rate(entropy, 8_000),
            revoked: entropy.chance(0.05),
            cloned: !sockets && entropy.chance(0.12),
            rolled_back: !sockets && entropy.chance(0.05),
            packets_lost: rate(entropy, 50_000),
        }
    }
}

impl Swarm {
    /// What `seed` picks.
    pub fn of(seed: u64) -> Self {
        let entropy = Entropy::seeded(seed).fork("swarm");
        let one_of = |choices: &[u64]| choices[usize::try_from(entropy.below(choices.len() as u64)).unwrap()];
        let sockets = seed % 5 == 4;
        let deep = !sockets && entropy.chance(0.3);
        let timed = entropy.chance(0.7);
        let shape = EdgeShape {
            wal_bytes_max: one_of(&[128 * 1024, 512 * 1024, 4 * 1024 * 1024]),
            batch_bytes: one_of(&[300, 600, 1_200]),
            batch_wait_ms: one_of(&[20, 50, 200]),
            timed,
            sources: usize::try_from(1 + entropy.below(3)).unwrap(),
            bandwidth: 0,
            backlog_ms: BACKLOG_MS,
        };
        let faults = Faults::of(&entropy, deep, sockets, timed);
        let pace = Pace {
            snapshot_every: if deep { 2 } else { one_of(&[4, 8, 16]) },
            lane_idle: Duration::from_millis(one_of(&[500, 2_000, 30_000])),
            lane_keep: Duration::from_millis(if deep { one_of(&[300, 1_000, 2_800]) } else { one_of(&[1_000, 6_000]) }),
            absorb_every: Duration::from_millis(one_of(&[500, 1_000, 3_000])),
            sweep_after: Duration::from_millis(one_of(&[2_000, 5_000])),
        };
        let hubs = usize::try_from(one_of(&[2, 2, 3])).unwrap();
        Self {
            seed,
            sockets,
            deep,
            edges: usize::try_from(one_of(&[2, 2, 3])).unwrap(),
            hubs,
            succession: hubs == 3 && entropy.chance(0.3),
            tenants: usize::try_from(one_of(&[1, 2, 2])).unwrap(),
            shape,
            lines: one_of(&[600, 900, 1_400]),
            padding: one_of(&[60, 60, 60, 60, 1_500]),
            rotates: timed && entropy.chance(0.5),
            linger: Duration::from_millis(one_of(&[20, 200, 600])),
            pace,
            faults_for: Duration::from_secs(15 + entropy.below(20)),
            latency_ms_max: one_of(&[10, 40, 120]),
            faults,
        }
    }

    /// The same with backlogs that come soon, and in half of the seeds a slow link besides: several tracks drain at once.
    pub fn with_backlog(mut self) -> Self {
        let drawn = Entropy::seeded(self.seed).fork("backlog");
        self.shape.backlog_ms = 1_000 << drawn.below(4);
        self.shape.bandwidth = if drawn.chance(0.5) { 10_000 << drawn.below(3) } else { 0 };
        self
    }

    /// Whether an edge soon begins a track.
    pub const fn has_backlog(&self) -> bool {
        self.shape.backlog_ms < BACKLOG_MS
    }

    /// As `seed` picks it, without faults.
    pub fn calm(seed: u64) -> Self {
        Self { faults: Faults::default(), succession: false, ..Self::of(seed) }
    }
}
