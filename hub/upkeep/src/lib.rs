//! Upkeep: lane sections into segments, floors, collection, merging, deletes, sweep (lane rules 12, 13, 15, 16, 17, 19).
//!
//! ```text
//! lane sections -> due -> plan -> build (verify, sort) -> segments -> manifest -> floor -> collection
//!                                                 merge, rewrite (deletes), sweep (doomed, then deleted)
//! ```
//!
//! Parts: [`UpkeepSettings`]; [`Upkeep`] with [`run`](Upkeep::run) and [`absorb_all`](Upkeep::absorb_all); `due`, `plan`,
//! `build`, and the choosing parts of `merge` and `sweep` are pure; `absorb`, `merge`, `rewrite`, `sweep` are the jobs, `run` takes
//! them in turn. Any hub may take any job; each is guarded by the number of the manifest or lane that it writes.
//! Promises: losing a race costs work, never data; one job at a time per hub, so memory is bounded by one job. Must not
//! do: answer requests.

pub(crate) mod absorb;
pub(crate) mod build;
pub(crate) mod due;
pub mod limits;
pub(crate) mod merge;
pub mod metrics;
pub(crate) mod plan;
pub(crate) mod rewrite;
#[cfg(test)]
mod rig;
mod run;
pub(crate) mod sweep;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use hub_segment::SegmentFault;
use hub_store::{Keeper, Manifest, Store, StoreFault};
use proto_model::{LaneId, TenantId, Timestamp};
use proto_seam::World;
use tokio::time::Instant;

use limits::{ALIVE, DOOM_AGE, DOOM_GRACE, FLOOR_LOOK_EVERY, GRACE, LOOK_EVERY, SWEEP_EVERY, TIDY_EVERY};
pub use metrics::UpkeepMetrics;

/// When what is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpkeepSettings {
    /// `absorb.bytes`: bytes of lines of a tenant in a lane that are absorbed at once.
    pub absorb_bytes: u64,
    /// `absorb.after`: how long less than that waits.
    pub absorb_after: Duration,
    /// `absorb.after_small`: how long very little waits.
    pub absorb_after_small: Duration,
    /// `lane.keep`: how long absorbed lane objects stay.
    pub lane_keep: Duration,
    /// Age at which a segment that nothing names is doomed (lane rule 16); a job's outputs are named up to half of it.
    pub doom_age: Duration,
    /// From then to its deletion: longer than the longest query.
    pub doom_grace: Duration,
    /// Between two rounds of merging and collecting.
    pub tidy_every: Duration,
    /// Between two sweeps.
    pub sweep_every: Duration,
    /// Between two looks at what is due.
    pub look_every: Duration,
    /// Between two rounds of floors.
    pub floors_every: Duration,
    /// How much longer than due a job waits at hubs that it does not belong to.
    pub others_after: Duration,
    /// A hub that wrote its lane so lately takes its share.
    pub alive: Duration,
}

impl Default for UpkeepSettings {
    fn default() -> Self {
        Self {
            absorb_bytes: 64 << 20,
            absorb_after: Duration::from_secs(60),
            absorb_after_small: Duration::from_secs(300),
            lane_keep: Duration::from_secs(24 * 3_600),
            doom_age: DOOM_AGE,
            doom_grace: DOOM_GRACE,
            tidy_every: TIDY_EVERY,
            sweep_every: SWEEP_EVERY,
            look_every: LOOK_EVERY,
            floors_every: FLOOR_LOOK_EVERY,
            others_after: GRACE,
            alive: ALIVE,
        }
    }
}

/// Why a job ended without success.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UpkeepFault {
    /// The store's fault.
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// A segment cannot be built or read.
    #[error(transparent)]
    Segment(#[from] SegmentFault),
    /// A merge asked for what its inputs do not have: a defect of the hub.
    #[error("a merge asked for a block that its inputs do not have")]
    Merge,
    /// A delete that this hub cannot read: a newer one took it in.
    #[error("delete {id} cannot be read: {reason}; upgrade this hub")]
    Delete {
        /// Its name.
        id: String,
        /// What of it.
        reason: String,
    },
    /// Other hubs were faster each time.
    #[error("{waiting} lanes still hold what was to be absorbed after {tries} tries; try again")]
    Outrun {
        /// Lanes.
        waiting: usize,
        /// Tries.
        tries: u32,
    },
}

/// What one hub remembers between jobs; nothing depends on it.
#[derive(Debug, Default)]
struct State {
    ages: due::Ages,
    portions: BTreeMap<LaneId, plan::Portion>,
    /// How often a section could not be read.
    damaged: BTreeMap<(LaneId, u64, TenantId), u32>,
    /// Lanes of which it was said that they are far behind.
    far: BTreeSet<LaneId>,
    /// Up to which number a tenant's manifests were collected.
    collected: BTreeMap<TenantId, u64>,
    /// Erased tenants whose manifests are closed.
    erased: BTreeSet<TenantId>,
    rota: run::Rota,
}

/// The jobs of one hub.
#[derive(Debug)]
pub struct Upkeep {
    keeper: Keeper,
    world: World,
    settings: UpkeepSettings,
    metrics: UpkeepMetrics,
    /// Held while a job runs.
    state: tokio::sync::Mutex<State>,
}

impl Upkeep {
    /// On a store.
    #[must_use]
    pub fn new(store: Arc<Store>, world: World, settings: UpkeepSettings, metrics: UpkeepMetrics) -> Self {
        Self { keeper: Keeper::new(store), world, settings, metrics, state: tokio::sync::Mutex::default() }
    }

    /// The newest manifest of a tenant; `None` when it never had one.
    ///
    /// # Errors
    /// The store's fault.
    pub async fn manifest(&self, tenant: &TenantId) -> Result<Option<Arc<Manifest>>, StoreFault> {
        self.keeper.newest(tenant).await
    }

    fn store(&self) -> &Arc<Store> {
        self.keeper.store()
    }

    /// Now, on both clocks: one also counts while the machine sleeps, the other is never set back.
    fn moment(&self) -> (Timestamp, Instant) {
        (Timestamp(self.world.clock.now_ns()), Instant::now())
    }

    /// How long ago that was, by whichever clock says more.
    fn age_since(&self, (wall, steady): (Timestamp, Instant)) -> Duration {
        let (wall_now, steady_now) = self.moment();
        wall_now.since(wall).max(steady_now.saturating_duration_since(steady))
    }
}
