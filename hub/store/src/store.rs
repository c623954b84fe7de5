//! The store: all lanes followed, one view of them, sections by grant, writers.
//!
//! Parts: [`StoreSettings`]; [`Store::open`] (probe, registry, folds); control objects; reports; `writers`
//! ([`Store::writer`], [`Store::amend`], what is asked of all lanes); `deletes`; `round` ([`Store::follow_round`], [`Store::run`], [`Store::fresh`]); `read` ([`Store::table`],
//! [`Store::section`]). Promises: a lane that cannot be read is unknown, never empty. Must not do: HTTP,
//! LogQL, sessions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hub_tenant::Grant;
use object_store::ObjectStore;
use object_store::path::Path;
use proto_model::{ClusterId, EdgeId, LaneId, ProducerId, TenantId, TokenId};
use proto_seam::World;
use tokio::time::Instant;

use crate::cache::Cache;
use crate::control::{self, Revocations, TenantMaps, Tokens};
use crate::fault::StoreFault;
use crate::head::Head;
use crate::keys::Key;
use crate::lane::{LaneCell, Shore, make};
use crate::limits::{CACHE_BYTES, LANE_IDLE, OBJECT_BYTES, SNAPSHOT_EVERY};
use crate::mac::StoreKeys;
use crate::metrics::StoreMetrics;
use crate::numbered::ControlLog;
use crate::object::{Moment, Objects};
use crate::probe;
use crate::proto::{LaneRegistration, PublishedMap};
use crate::record::Loss;

mod deletes;
pub mod fsck;
pub mod keeper;
mod read;
mod round;
mod segments;
mod writers;

pub use writers::Behind;
pub(crate) use writers::OwnTurn;

/// What a store is made of.
#[derive(Debug, Clone)]
pub struct StoreSettings {
    /// Where objects lie.
    pub objects: Arc<dyn ObjectStore>,
    /// Below which prefix.
    pub prefix: Path,
    /// What signs and verifies headers.
    pub keys: StoreKeys,
    /// Memory for section bytes and tables.
    pub cache_bytes: usize,
    /// The size at which a lane object is due; one may be larger by one push.
    pub lane_object_max: usize,
    /// This hub's name: for people, and to find its lane again when it comes back.
    pub writer: String,
    /// Numbers between two snapshots of a lane (`limits::SNAPSHOT_EVERY`).
    pub snapshot_every: u64,
    /// Without an object for so long a lane counts as nobody's (`limits::LANE_IDLE`).
    pub lane_idle: Duration,
}

impl StoreSettings {
    /// All defaults.
    #[must_use]
    pub fn new(objects: Arc<dyn ObjectStore>, prefix: Path) -> Self {
        Self {
            objects,
            prefix,
            keys: StoreKeys::none(),
            cache_bytes: CACHE_BYTES,
            lane_object_max: OBJECT_BYTES,
            writer: "hub".to_owned(),
            snapshot_every: SNAPSHOT_EVERY,
            lane_idle: LANE_IDLE,
        }
    }
}

/// One lane, for the admin page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneReport {
    /// The lane.
    pub lane: LaneId,
    /// Newest number.
    pub head: u64,
    /// Number up to which it is absorbed.
    pub floor: u64,
    /// Number of its newest snapshot known here, 0 for none.
    pub snapshot: u64,
    /// The hub that wrote the newest number.
    pub writer: String,
    /// Seconds since then.
    pub idle_s: u64,
    /// Why it cannot be read on, if so.
    pub frozen: Option<String>,
}

#[derive(Debug)]
struct Registry {
    log: ControlLog<LaneRegistration>,
    fresh: Option<Moment>,
}

/// The only door to the object store.
#[derive(Debug)]
pub struct Store {
    shore: Arc<Shore>,
    cache: Cache,
    lane_object_max: usize,
    lane_idle: Duration,
    writer_name: String,
    registry: Mutex<Registry>,
    lanes: Mutex<BTreeMap<LaneId, Arc<LaneCell>>>,
    round: Mutex<Option<round::Round>>,
    /// When a fresh view was asked for last.
    asked: Mutex<Option<Instant>>,
    maps: Mutex<ControlLog<PublishedMap>>,
    tokens: Mutex<BTreeMap<TokenId, Bytes>>,
    manifests: Mutex<segments::Manifests>,
    push_lanes: Mutex<BTreeMap<TenantId, LaneId>>,
    erased: Mutex<Arc<BTreeSet<TenantId>>>,
    own: Mutex<Option<LaneId>>,
    /// Set while the writer of the own lane lives.
    writing: Mutex<Arc<AtomicBool>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Store {
    /// Proves the store (`probe.rs`), then reads the registry and every lane.
    ///
    /// # Errors
    /// [`StoreFault::NoConditionalCreate`] on a store that must not be used; else what stands in the way.
    pub async fn open(settings: StoreSettings, world: World) -> Result<Arc<Self>, StoreFault> {
        let StoreSettings { objects, prefix, keys, cache_bytes, lane_object_max, writer, snapshot_every, lane_idle } = settings;
        let metrics = StoreMetrics::default();
        let objects = Objects::new(objects, prefix, world, metrics.clone());
        probe::prove(&objects).await?;
        let store = Arc::new(Self {
            shore: Arc::new(Shore { objects, keys, head: Head::new(), snapshot_every }),
            cache: Cache::new(cache_bytes, metrics),
            lane_object_max,
            lane_idle,
            writer_name: writer,
            registry: Mutex::new(Registry { log: ControlLog::new(Key::registration), fresh: None }),
            lanes: Mutex::default(),
            round: Mutex::default(),
            asked: Mutex::default(),
            maps: Mutex::new(ControlLog::new(Key::tenant_map)),
            tokens: Mutex::default(),
            manifests: Mutex::default(),
            push_lanes: Mutex::default(),
            erased: Mutex::default(),
            own: Mutex::default(),
            writing: Mutex::default(),
        });
        store.follow_round().await?;
        Ok(store)
    }

    pub(crate) fn shore(&self) -> &Shore {
        &self.shore
    }

    pub(crate) const fn lane_object_max(&self) -> usize {
        self.lane_object_max
    }

    /// The name under which this hub writes.
    #[must_use]
    pub fn writer_name(&self) -> &str {
        &self.writer_name
    }

    /// The store's numbers, to be registered.
    #[must_use]
    pub fn metrics(&self) -> StoreMetrics {
        self.shore.objects.metrics.clone()
    }

    /// Counts losses that stand in a lane by an object of this hub.
    pub fn count_lost(&self, losses: &[Loss]) {
        losses.iter().for_each(|loss| self.shore.objects.metrics.lost(loss));
    }

    /// The only lane, in tests.
    #[cfg(test)]
    pub(crate) fn only_cell(&self) -> Arc<LaneCell> {
        let cells = self.cells();
        assert_eq!(cells.len(), 1);
        Arc::clone(&cells[0])
    }

    pub(crate) fn cells(&self) -> Vec<Arc<LaneCell>> {
        locked(&self.lanes).values().cloned().collect()
    }

    /// Takes in what the registry names; it is fresh as of `started` when it was read to its end.
    fn adopt(&self, log: ControlLog<LaneRegistration>, started: Option<Moment>) -> Result<(), StoreFault> {
        let mut lanes = locked(&self.lanes);
        for (number, entry) in (0..).zip(&log.entries) {
            let cell = make::registered(number, entry)?;
            lanes.entry(cell.lane).or_insert_with(|| Arc::new(cell));
        }
        let mut registry = locked(&self.registry);
        if log.entries.len() > registry.log.entries.len() {
            registry.log = log;
        }
        if let Some(started) = started
            && registry.fresh.is_none_or(|fresh| fresh.steady <= started.steady)
        {
            registry.fresh = Some(started);
        }
        Ok(())
    }

    /// The first producer of an identity (rule 8): the one that stands, else a new one of `lane`.
    ///
    /// # Errors
    /// The store's fault.
    pub async fn first_producer(&self, cluster: &ClusterId, edge: &EdgeId, lane: LaneId) -> Result<ProducerId, StoreFault> {
        control::first_producer(&self.shore, cluster, edge, lane).await
    }

    /// The lane that takes the pushes of the grant's tenant, for ever (rule 10): the one that stands, else `otherwise`,
    /// which must be registered.
    ///
    /// # Errors
    /// The store's fault.
    pub async fn push_lane(&self, grant: &Grant, otherwise: LaneId) -> Result<LaneId, StoreFault> {
        if let Some(lane) = locked(&self.push_lanes).get(grant.tenant()) {
            return Ok(*lane);
        }
        let lane = control::push_lane(&self.shore, grant.tenant(), otherwise).await?;
        locked(&self.push_lanes).insert(grant.tenant().clone(), lane);
        Ok(lane)
    }

    /// These tenants are erased by the map in force: what they have in lanes holds no floor back (lane rule 13), and upkeep sweeps
    /// the rest away.
    pub fn erase(&self, tenants: BTreeSet<TenantId>) {
        *locked(&self.erased) = Arc::new(tenants);
    }

    /// The tenants that are erased.
    #[must_use]
    pub fn erased(&self) -> Arc<BTreeSet<TenantId>> {
        Arc::clone(&locked(&self.erased))
    }

    /// Published tenant maps.
    #[must_use]
    pub const fn tenant_maps(&self) -> TenantMaps<'_> {
        TenantMaps { store: self }
    }

    /// Revoked identities of edges.
    #[must_use]
    pub const fn revocations(&self) -> Revocations<'_> {
        Revocations { store: self }
    }

    /// Tokens made by command.
    #[must_use]
    pub const fn tokens(&self) -> Tokens<'_> {
        Tokens { store: self }
    }

    pub(crate) fn map_log(&self) -> ControlLog<PublishedMap> {
        locked(&self.maps).clone()
    }

    pub(crate) fn keep_map_log(&self, log: ControlLog<PublishedMap>) {
        let mut maps = locked(&self.maps);
        if log.entries.len() > maps.entries.len() {
            *maps = log;
        }
    }

    pub(crate) fn known_token(&self, id: &TokenId) -> Option<Bytes> {
        locked(&self.tokens).get(id).cloned()
    }

    pub(crate) fn keep_token(&self, id: &TokenId, body: Bytes) {
        locked(&self.tokens).insert(id.clone(), body);
    }

    /// What was given up of the grants' tenants, by lane, cluster and edge.
    #[must_use]
    pub fn losses(&self, grants: &[Grant]) -> Vec<Loss> {
        let known: Vec<_> = self.cells().iter().filter_map(|cell| cell.known()).collect();
        let of = |grant: &Grant| known.iter().flat_map(|known| known.fold.losses(grant.tenant()).cloned().collect::<Vec<_>>()).collect::<Vec<_>>();
        grants.iter().flat_map(of).collect()
    }

    /// All lanes that can be read, in order of ids.
    #[must_use]
    pub fn lanes(&self) -> Vec<LaneReport> {
        let now = self.shore.objects.moment().wall;
        let report = |cell: &Arc<LaneCell>| {
            let known = cell.known()?;
            Some(LaneReport {
                lane: cell.lane,
                head: known.fold.head(),
                floor: known.fold.floor(),
                snapshot: cell.snapshots().newest,
                writer: known.fold.writer().to_owned(),
                idle_s: if known.fold.head() == 0 { 0 } else { now.since(known.fold.written()).as_secs() },
                frozen: cell.frozen().map(|frozen| frozen.reason),
            })
        };
        self.cells().iter().filter_map(report).collect()
    }
}

#[cfg(test)]
mod tests;
