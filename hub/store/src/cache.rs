//! Sections, their tables, footers, filters, tallies and blocks of segments in memory, up to a number of bytes: lines first out, then
//! index, each least recently used first.
//!
//! Parts: [`Cache`] with [`section`](Cache::section) and [`table`](Cache::table). Promises: one key is
//! loaded by one request at a time, whoever else asks waits for it; a key names the tenant and a commit or segment id, so
//! no entry can serve another tenant or another object. A loading goes on as long as anybody waits for it.
//! Must not do: verify (the loader did).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::future::{BoxFuture, FutureExt as _, Shared, WeakShared};
use hub_segment::{Block, Footer, GramFilters, Outline, Tallies};
use proto_model::{LaneId, TenantId};

use crate::fault::StoreFault;
use crate::head::SectionRef;
use crate::header::CommitId;
use crate::manifest::{SegmentId, SegmentRef};
use crate::metrics::{OfCache, StoreMetrics};
use crate::section::{Section, SectionTable};

/// The part of the memory that index may keep from lines.
const INDEX_SHARE: (usize, usize) = (3, 4);

/// What names an entry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Name {
    /// A section of a lane object, or its table.
    Section { lane: LaneId, number: u64, commit: CommitId, tenant: TenantId, whole: bool },
    /// The footer of a segment.
    Footer { tenant: TenantId, id: SegmentId },
    /// The filters of a segment.
    Filters { tenant: TenantId, id: SegmentId },
    /// The tallies of a segment.
    Tallies { tenant: TenantId, id: SegmentId },
    /// A block of a segment.
    Block { tenant: TenantId, id: SegmentId, at: usize },
    /// The outline of a block, with metadata or without.
    Outline { tenant: TenantId, id: SegmentId, at: usize, metadata: bool },
}

/// What is kept under a name.
#[derive(Debug, Clone)]
pub(crate) enum Kept {
    /// With its lines.
    Section(Section),
    /// Without.
    Table(Arc<SectionTable>),
    /// Of a segment.
    Footer(Arc<Footer>),
    /// Of a segment.
    Filters(Arc<GramFilters>),
    /// Of a segment.
    Tallies(Arc<Tallies>),
    /// Of a segment.
    Block(Arc<Block>),
    /// Of a block.
    Outline(Arc<Outline>),
}

impl Kept {
    fn cost(&self) -> usize {
        match self {
            Self::Section(section) => section.bytes.len() + section.table.cost(),
            Self::Table(table) => table.cost(),
            Self::Footer(footer) => footer.memory_bytes(),
            Self::Filters(filters) => filters.memory_bytes(),
            Self::Tallies(tallies) => tallies.memory_bytes(),
            Self::Block(block) => block.memory_bytes(),
            Self::Outline(outline) => outline.memory_bytes(),
        }
    }

    fn table(&self) -> Result<Arc<SectionTable>, StoreFault> {
        match self {
            Self::Section(section) => Ok(Arc::clone(&section.table)),
            Self::Table(table) => Ok(Arc::clone(table)),
            Self::Footer(_) | Self::Filters(_) | Self::Tallies(_) | Self::Block(_) | Self::Outline(_) => Err(misfiled()),
        }
    }

    /// Whether it is small beside what it saves from being read: what is read once in passing must not push it out.
    const fn is_index(&self) -> bool {
        match self {
            Self::Table(_) | Self::Footer(_) | Self::Filters(_) | Self::Tallies(_) => true,
            Self::Section(_) | Self::Block(_) | Self::Outline(_) => false,
        }
    }
}

fn misfiled() -> StoreFault {
    StoreFault::Draft { reason: "the cache holds something else under that name".to_owned() }
}

pub(crate) type Loading = BoxFuture<'static, Result<Kept, StoreFault>>;

#[derive(Debug, Default)]
struct Shelf {
    entries: BTreeMap<Name, (Kept, u64)>,
    /// Lines first, then index, each by use.
    by_use: BTreeMap<(bool, u64), Name>,
    clock: u64,
    cost: usize,
    /// Of it, the cost of index.
    cost_index: usize,
    loading: BTreeMap<Name, WeakShared<Loading>>,
}

/// The cache.
#[derive(Debug)]
pub(crate) struct Cache {
    cost_max: usize,
    metrics: StoreMetrics,
    shelf: Mutex<Shelf>,
}

impl Cache {
    pub(crate) fn new(cost_max: usize, metrics: StoreMetrics) -> Self {
        Self { cost_max, metrics, shelf: Mutex::default() }
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The whole section, loaded by `load` if need be.
    pub(crate) async fn section(&self, of: &SectionRef, load: impl FnOnce() -> Loading) -> Result<Section, StoreFault> {
        match self.kept(Name::of(of, true), load).await? {
            Kept::Section(section) => Ok(section),
            Kept::Table(_) | Kept::Footer(_) | Kept::Filters(_) | Kept::Tallies(_) | Kept::Block(_) | Kept::Outline(_) => Err(misfiled()),
        }
    }

    /// The table of a section, loaded by `load` if need be.
    pub(crate) async fn table(&self, of: &SectionRef, load: impl FnOnce() -> Loading) -> Result<Arc<SectionTable>, StoreFault> {
        let whole = self.shelf().touch(&Name::of(of, true));
        if let Some(kept) = whole {
            self.count("hit");
            return kept.table();
        }
        self.kept(Name::of(of, false), load).await?.table()
    }

    fn count(&self, outcome: &'static str) {
        self.metrics.cache.get_or_create(&OfCache { outcome }).inc();
    }

    /// What is kept under `name`, loaded by `load` if need be.
    pub(crate) async fn kept(&self, name: Name, load: impl FnOnce() -> Loading) -> Result<Kept, StoreFault> {
        let loading = {
            let mut shelf = self.shelf();
            if let Some(kept) = shelf.touch(&name) {
                self.count("hit");
                return Ok(kept);
            }
            match shelf.loading.get(&name).and_then(WeakShared::upgrade) {
                Some(loading) => {
                    self.count("joined");
                    loading
                }
                None => {
                    self.count("miss");
                    let loading: Shared<Loading> = load().shared();
                    if let Some(weak) = loading.downgrade() {
                        // Loadings that were given up by all who waited are cleared away here.
                        shelf.loading.retain(|_, other| other.upgrade().is_some());
                        shelf.loading.insert(name.clone(), weak);
                    }
                    loading
                }
            }
        };
        let loaded = loading.await;
        let mut shelf = self.shelf();
        shelf.loading.remove(&name);
        if let Ok(kept) = &loaded {
            shelf.put(name, kept.clone(), self.cost_max);
        }
        loaded
    }

    /// Bytes held.
    #[cfg(test)]
    pub(crate) fn cost(&self) -> usize {
        self.shelf().cost
    }
}

impl Name {
    fn of(section: &SectionRef, whole: bool) -> Self {
        Self::Section { lane: section.lane, number: section.number, commit: section.commit, tenant: section.tenant.clone(), whole }
    }

    pub(crate) fn footer(of: &SegmentRef) -> Self {
        Self::Footer { tenant: of.tenant.clone(), id: of.id }
    }

    pub(crate) fn filters(of: &SegmentRef) -> Self {
        Self::Filters { tenant: of.tenant.clone(), id: of.id }
    }

    pub(crate) fn tallies(of: &SegmentRef) -> Self {
        Self::Tallies { tenant: of.tenant.clone(), id: of.id }
    }

    pub(crate) fn block(of: &SegmentRef, at: usize) -> Self {
        Self::Block { tenant: of.tenant.clone(), id: of.id, at }
    }

    pub(crate) fn outline(of: &SegmentRef, at: usize, metadata: bool) -> Self {
        Self::Outline { tenant: of.tenant.clone(), id: of.id, at, metadata }
    }
}

impl Shelf {
    fn touch(&mut self, name: &Name) -> Option<Kept> {
        let (kept, used) = self.entries.get_mut(name)?;
        let is_index = kept.is_index();
        self.by_use.remove(&(is_index, *used));
        self.clock += 1;
        *used = self.clock;
        self.by_use.insert((is_index, self.clock), name.clone());
        Some(kept.clone())
    }

    fn put(&mut self, name: Name, kept: Kept, cost_max: usize) {
        let (cost, is_index) = (kept.cost(), kept.is_index());
        if cost > cost_max || self.entries.contains_key(&name) {
            return;
        }
        while self.cost + cost > cost_max {
            let index = self.cost_index + if is_index { cost } else { 0 };
            // Lines go first, unless index has taken more than its part.
            let from = (index > cost_max / INDEX_SHARE.1 * INDEX_SHARE.0, 0);
            let oldest = self.by_use.range(from..).next().or_else(|| self.by_use.first_key_value()).map(|(turn, _)| *turn);
            let Some(gone) = oldest.and_then(|turn| self.by_use.remove(&turn)).and_then(|name| self.entries.remove(&name)) else { break };
            self.cost -= gone.0.cost();
            self.cost_index -= if gone.0.is_index() { gone.0.cost() } else { 0 };
        }
        self.clock += 1;
        self.cost += cost;
        self.cost_index += if is_index { cost } else { 0 };
        self.by_use.insert((is_index, self.clock), name.clone());
        self.entries.insert(name, (kept, self.clock));
    }
}

#[cfg(test)]
mod tests;
