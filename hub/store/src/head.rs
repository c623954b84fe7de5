//! What can be read: the sections of all lane objects that this hub passed through rules 5 to 7.
//!
//! Parts: [`View`], an immutable picture of all lanes; [`SectionRef`], what it says of one section;
//! `Head`, the newest view, behind one swap. Promises: a view never changes; a section is found only
//! with a grant of its tenant. Must not do: ask the store.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use hub_tenant::Grant;
use proto_model::{LaneId, TenantId, TimeRange, Timestamp};
use tokio::sync::watch;

use crate::fold::Fold;
use crate::fold::log::{Commit, Log};
use crate::header::{Checksum, CommitId, SectionEntry};

/// A lane that cannot be read on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frozen {
    /// The first number that cannot be read.
    pub number: u64,
    /// Why.
    pub reason: String,
}

/// One lane of a view.
#[derive(Debug, Clone)]
pub struct LaneView {
    lane: LaneId,
    head: u64,
    floor: u64,
    frozen: Option<Frozen>,
    log: Log,
    /// Per tenant the number of its last section at or below the floor.
    absorbed: Arc<BTreeMap<TenantId, u64>>,
    /// Per tenant the number of the manifest that is needed at least.
    manifests: Arc<BTreeMap<TenantId, u64>>,
}

impl LaneView {
    /// The lane.
    #[must_use]
    pub const fn lane(&self) -> LaneId {
        self.lane
    }

    /// Its newest number.
    #[must_use]
    pub const fn head(&self) -> u64 {
        self.head
    }

    /// All up to this number is absorbed.
    #[must_use]
    pub const fn floor(&self) -> u64 {
        self.floor
    }

    /// Its objects above `number` and the floor, ascending.
    pub fn objects_after(&self, number: u64) -> impl Iterator<Item = &Commit> {
        self.log.iter_after(number)
    }

    pub(crate) fn of(fold: &Fold, frozen: Option<Frozen>) -> Self {
        let (absorbed, manifests) = (Arc::clone(fold.absorbed()), Arc::clone(fold.manifests()));
        Self { lane: fold.lane(), head: fold.head(), floor: fold.floor(), frozen, log: fold.log().clone(), absorbed, manifests }
    }
}

/// All lanes at one moment.
#[derive(Debug, Clone, Default)]
pub struct View {
    version: u64,
    lanes: Arc<BTreeMap<LaneId, Arc<LaneView>>>,
}

/// Where a section lies and what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SectionRef {
    /// The lane.
    pub lane: LaneId,
    /// The lane object.
    pub number: u64,
    /// The commit id it bears.
    pub commit: CommitId,
    /// First byte of the section in the object.
    pub offset: u64,
    /// Its length in bytes.
    pub len: u64,
    /// Of all its bytes.
    pub checksum: Checksum,
    /// Lines in it.
    pub lines: u64,
    /// Sum of their lengths in bytes.
    pub bytes: u64,
    /// Earliest line.
    pub min: Timestamp,
    /// Latest line.
    pub max: Timestamp,
    /// Batches in it.
    pub batches: u32,
    pub(crate) table_len: u32,
    pub(crate) table_checksum: Checksum,
    pub(crate) tenant: TenantId,
}

impl SectionRef {
    pub(crate) fn of(lane: LaneId, commit: &Commit, entry: &SectionEntry) -> Self {
        Self {
            lane,
            number: commit.number,
            commit: commit.commit,
            offset: entry.offset,
            len: entry.length,
            checksum: entry.checksum,
            lines: entry.lines,
            bytes: entry.bytes,
            min: entry.min,
            max: entry.max,
            batches: entry.batches,
            table_len: entry.table_length,
            table_checksum: entry.table_checksum,
            tenant: entry.tenant.clone(),
        }
    }
}

impl View {
    /// Rises with every change.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// The sections of the grant's tenant that have a line in `range`, in order (lane, number).
    #[must_use]
    pub fn sections(&self, grant: &Grant, range: TimeRange) -> Vec<SectionRef> {
        self.sections_after(grant, range, &BTreeMap::new())
    }

    /// As [`Self::sections`], but per lane only those above the number given for it: what is new since
    /// an earlier view's [`Self::heads`].
    #[must_use]
    pub fn sections_after(&self, grant: &Grant, range: TimeRange, heads: &BTreeMap<LaneId, u64>) -> Vec<SectionRef> {
        let mut out = Vec::new();
        for view in self.lanes.values() {
            let after = heads.get(&view.lane).copied();
            let new = view.log.iter_after(after.unwrap_or(0));
            let found = new.filter_map(|commit| commit.section(grant.tenant()).map(|entry| (commit, entry)));
            out.extend(found.filter(|(_, entry)| range.touches(entry.min, entry.max)).map(|(commit, entry)| SectionRef::of(view.lane, commit, entry)));
        }
        out
    }

    /// The lanes, in order of ids.
    pub fn lanes(&self) -> impl Iterator<Item = &LaneView> {
        self.lanes.values().map(Arc::as_ref)
    }

    /// The newest number of each lane.
    #[must_use]
    pub fn heads(&self) -> BTreeMap<LaneId, u64> {
        self.lanes.values().map(|view| (view.lane, view.head)).collect()
    }

    /// Per lane the number of the tenant's last section at or below the floor, where it has one (lane rule 14):
    /// a manifest that is to be used with this view must have absorbed it.
    #[must_use]
    pub fn absorbed(&self, tenant: &TenantId) -> BTreeMap<LaneId, u64> {
        self.lanes.values().filter_map(|view| Some((view.lane, *view.absorbed.get(tenant)?))).collect()
    }

    /// The number of the tenant's manifest that must be used with this view at least: the lanes note those that
    /// hold a new delete (lane rule 17). 0: any.
    #[must_use]
    pub fn manifest_least(&self, tenant: &TenantId) -> u64 {
        self.lanes.values().filter_map(|view| view.manifests.get(tenant).copied()).max().unwrap_or(0)
    }

    /// Per lane the number of the tenant's last section above its watermark, where there is one.
    pub(crate) fn last_after(&self, tenant: &TenantId, watermark: impl Fn(LaneId) -> u64) -> BTreeMap<LaneId, u64> {
        let last = |view: &LaneView| view.log.iter_after(watermark(view.lane)).filter(|commit| commit.section(tenant).is_some()).last().map(|c| c.number);
        self.lanes.values().filter_map(|view| Some((view.lane, last(view)?))).collect()
    }

    /// Lanes that cannot be read on: answers from this view lack what was written to them since.
    #[must_use]
    pub fn frozen(&self) -> Vec<(LaneId, Frozen)> {
        self.lanes.values().filter_map(|view| Some((view.lane, view.frozen.clone()?))).collect()
    }
}

/// The newest view.
#[derive(Debug)]
pub(crate) struct Head {
    view: ArcSwap<View>,
    /// Held while a view is replaced; also wakes those who wait for one.
    changed: Mutex<watch::Sender<u64>>,
}

impl Head {
    pub(crate) fn new() -> Self {
        Self { view: ArcSwap::default(), changed: Mutex::new(watch::Sender::new(0)) }
    }

    pub(crate) fn view(&self) -> View {
        View::clone(&self.view.load())
    }

    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner).subscribe()
    }

    /// The newest number that can be read of the lane of `fold`.
    pub(crate) fn shows(&self, fold: &Fold) -> u64 {
        self.view.load().lanes.get(&fold.lane()).map_or(0, |view| view.head)
    }

    /// Replaces one lane of the view.
    pub(crate) fn publish(&self, lane: LaneView) {
        let changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.view.load();
        let mut lanes = BTreeMap::clone(&before.lanes);
        lanes.insert(lane.lane, Arc::new(lane));
        let version = before.version + 1;
        self.view.store(Arc::new(View { version, lanes: Arc::new(lanes) }));
        changed.send_replace(version);
    }
}
