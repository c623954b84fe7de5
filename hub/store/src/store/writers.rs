//! Which lane this hub writes, and writing to any lane (lane rules 1, 5, 8, 9).
//!
//! Parts: [`Store::writer`], [`Store::another_lane`] (the own lane); [`Store::writer_of`], [`Store::amend`],
//! [`Store::fold_of`] (any lane); [`Store::producers_of`], [`Store::spread_map`] (all lanes);
//! [`Store::behind`]. Promises: a lane that cannot be read is a fault, never an answer without it. Must not do:
//! judge batches or identities.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::{StreamExt as _, TryStreamExt as _};
use proto_model::{LaneId, ProducerId};

use super::{Store, locked};
use crate::fault::StoreFault;
use crate::fold::{Fold, ProducerState};
use crate::lane::{LaneCell, make, writer::LaneWriter};
use crate::limits::{BEHIND_BYTES_MAX, BEHIND_OBJECTS_MAX, LANES_AT_ONCE};
use crate::record::LaneRecord;
use crate::section::Draft;

/// That the writer of the own lane lives; given back on drop.
#[derive(Debug)]
pub(crate) struct OwnTurn(Arc<AtomicBool>);

impl Drop for OwnTurn {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// How far absorption is behind in one lane (rule 19).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Behind {
    /// The lane.
    pub lane: LaneId,
    /// Objects above the floor.
    pub objects: u64,
    /// Bytes of their sections.
    pub bytes: u64,
}

impl Behind {
    /// Whether the senders of the lane are to be slowed (rule 19).
    #[must_use]
    pub const fn is_far(&self) -> bool {
        self.objects > BEHIND_OBJECTS_MAX || self.bytes > BEHIND_BYTES_MAX
    }
}

impl Store {
    /// The lane that this hub writes as its own, once it has one.
    #[must_use]
    pub fn own_lane(&self) -> Option<LaneId> {
        *locked(&self.own)
    }

    /// The writer of this hub's own lane: the one it had, or one that its name wrote; else one that is idle; else
    /// a new one.
    ///
    /// # Errors
    /// [`StoreFault::WriterTaken`] while another is alive; else the store's fault.
    pub async fn writer(self: &Arc<Self>) -> Result<LaneWriter, StoreFault> {
        let flag = Arc::clone(&locked(&self.writing));
        if flag.swap(true, Ordering::AcqRel) {
            return Err(StoreFault::WriterTaken);
        }
        let turn = OwnTurn(flag);
        self.learn_lanes().await?;
        let readable = |lane: &LaneId| self.cell(*lane).is_ok_and(|cell| cell.owned().is_some());
        let lane = match self.own_lane().filter(readable).or_else(|| self.lane_of_name()).or_else(|| self.idle_lane(None)) {
            Some(lane) => lane,
            None => self.new_lane().await?,
        };
        self.take(lane, turn).await
    }

    /// Gives the own lane up for another, an idle or a new one: after repeated conflicts with a hub of another
    /// name that writes it too, or when it is frozen. The writer of the lane before goes on to work, as one of any lane.
    ///
    /// # Errors
    /// The store's fault: then the own lane is what it was.
    pub async fn another_lane(self: &Arc<Self>) -> Result<LaneWriter, StoreFault> {
        self.learn_lanes().await?;
        let lane = match self.idle_lane(self.own_lane()) {
            Some(lane) => lane,
            None => self.new_lane().await?,
        };
        let flag = Arc::new(AtomicBool::new(true));
        let writer = self.take(lane, OwnTurn(Arc::clone(&flag))).await?;
        *locked(&self.writing) = flag;
        Ok(writer)
    }

    async fn take(self: &Arc<Self>, lane: LaneId, turn: OwnTurn) -> Result<LaneWriter, StoreFault> {
        let writer = LaneWriter::open(Arc::clone(self), self.cell(lane)?, Some(turn)).await?;
        *locked(&self.own) = Some(lane);
        tracing::info!(%lane, name = self.writer_name(), "this hub writes a lane");
        Ok(writer)
    }

    /// Follows all lanes; one that cannot be read now is not chosen, and no reason not to choose.
    async fn learn_lanes(self: &Arc<Self>) -> Result<(), StoreFault> {
        let started = self.shore.objects.moment();
        let registry = self.follow_registry(started).await;
        if let Err(fault) = self.follow_round().await {
            tracing::warn!(%fault, "not all lanes can be read while one is chosen");
        }
        registry
    }

    /// The lane that a hub of this name wrote last.
    fn lane_of_name(&self) -> Option<LaneId> {
        let named = |cell: &Arc<LaneCell>| cell.owned().filter(|(owner, _)| owner == self.writer_name()).map(|(_, written)| (written, cell.lane));
        self.cells().iter().filter_map(named).max().map(|(_, lane)| lane)
    }

    /// One of the lanes, but for `not`, that nobody wrote lately; which one is left to chance, so that hubs that
    /// look at once seldom meet.
    fn idle_lane(&self, not: Option<LaneId>) -> Option<LaneId> {
        let now = self.shore.objects.moment().wall;
        let idle = |cell: &Arc<LaneCell>| cell.owned().is_some_and(|(_, written)| now.since(written) >= self.lane_idle);
        let lanes: Vec<LaneId> = self.cells().iter().filter(|cell| Some(cell.lane) != not && idle(cell)).map(|cell| cell.lane).collect();
        let at = self.shore.objects.entropy().below((lanes.len() as u64).max(1));
        lanes.get(usize::try_from(at).unwrap_or(0)).copied()
    }

    async fn new_lane(&self) -> Result<LaneId, StoreFault> {
        let mut log = locked(&self.registry).log.clone();
        let made = make::make(&self.shore, &mut log, &self.writer_name).await;
        self.adopt(log, None)?;
        made
    }

    fn cell(&self, lane: LaneId) -> Result<Arc<LaneCell>, StoreFault> {
        locked(&self.lanes).get(&lane).cloned().ok_or(StoreFault::NoLane { lane })
    }

    /// The lane's cell, also when it was registered a moment ago.
    async fn cell_now(&self, lane: LaneId) -> Result<Arc<LaneCell>, StoreFault> {
        if let Ok(cell) = self.cell(lane) {
            return Ok(cell);
        }
        self.follow_registry(self.shore.objects.moment()).await?;
        self.cell(lane)
    }

    /// A writer of any registered lane, read to its end. What another writer of this hub commits meanwhile
    /// makes its next put a conflict.
    ///
    /// # Errors
    /// [`StoreFault::NoLane`], or the store's fault.
    pub async fn writer_of(self: &Arc<Self>, lane: LaneId) -> Result<LaneWriter, StoreFault> {
        let cell = self.cell_now(lane).await?;
        LaneWriter::open(Arc::clone(self), cell, None).await
    }

    /// Writes what `judge` drafts on the fold of a lane read to its end; it is asked again on another fold until
    /// its draft stands, or it has nothing to do (`None`), as after a lost answer. Gives the fold that stands.
    /// A draft without sections need not name a map version.
    ///
    /// # Errors
    /// What `judge` gives; [`StoreFault::NoLane`]; [`StoreFault::Frozen`]; else the store's fault, and it is not
    /// known whether the draft stands.
    pub async fn amend<F>(self: &Arc<Self>, lane: LaneId, judge: F) -> Result<Arc<Fold>, StoreFault>
    where
        F: FnMut(&Fold) -> Result<Option<Draft>, StoreFault> + Send,
    {
        let cell = self.cell_now(lane).await?;
        LaneWriter::unread(Arc::clone(self), cell).amend(judge).await
    }

    /// The fold of a lane, read to its end now.
    ///
    /// # Errors
    /// [`StoreFault::NoLane`], [`StoreFault::Frozen`]; else the store's fault.
    pub async fn fold_of(self: &Arc<Self>, lane: LaneId) -> Result<Arc<Fold>, StoreFault> {
        let cell = self.cell_now(lane).await?;
        cell.follow(&self.shore).await?;
        cell.whole()
    }

    /// The fold of a lane as it is known here, however old: what is closed in it stays closed.
    #[must_use]
    pub fn known_fold(&self, lane: LaneId) -> Option<Arc<Fold>> {
        Some(self.cell(lane).ok()?.known()?.fold)
    }

    /// All producers, open or closed, that ever belonged to `identity` (`cluster/edge`), by folds of all lanes read
    /// to their ends now, in order of ids.
    ///
    /// # Errors
    /// The first fault met: a lane that cannot be read may hold more.
    pub async fn producers_of(self: &Arc<Self>, identity: &str) -> Result<Vec<(ProducerId, ProducerState)>, StoreFault> {
        self.producers_where(|state| state.identity == identity).await
    }

    /// The same, of those for which `wanted` holds.
    ///
    /// # Errors
    /// As [`Self::producers_of`].
    pub async fn producers_where(self: &Arc<Self>, wanted: impl Fn(&ProducerState) -> bool) -> Result<Vec<(ProducerId, ProducerState)>, StoreFault> {
        self.follow_round().await?;
        let mut found = Vec::new();
        for cell in self.cells() {
            let fold = cell.whole()?;
            found.extend(fold.producers().filter(|(_, state)| wanted(state)).map(|(id, state)| (*id, state.clone())));
        }
        Ok(found)
    }

    /// Writes the published map `version` (or the newest, if that is newer) into every lane that the registry,
    /// read now, names (rule 9): from then on nothing is stored by an older one.
    ///
    /// # Errors
    /// The first fault met: then a lane may lack it.
    pub async fn spread_map(self: &Arc<Self>, version: u64) -> Result<(), StoreFault> {
        self.follow_registry(self.shore.objects.moment()).await?;
        let version = self.tenant_maps().newest().await?.map_or(version, |map| map.version.max(version));
        let lacks = |fold: &Fold| fold.map_version() < version;
        let note = || Draft { records: vec![LaneRecord::Map(version)], sections: Vec::new(), map_version: version };
        let spread = futures::stream::iter(self.cells()).map(|cell| async move {
            let judged = self.amend(cell.lane, |fold| Ok(lacks(fold).then(note))).await;
            judged.map(drop)
        });
        spread.buffer_unordered(LANES_AT_ONCE).try_collect().await
    }

    /// Whether a lane that is in use lacks the map `version`, as far as is known here.
    #[must_use]
    pub fn lacks_map(&self, version: u64) -> bool {
        let lacks = |cell: &Arc<LaneCell>| cell.known().is_some_and(|known| known.fold.head() > 0 && known.fold.map_version() < version);
        self.cells().iter().any(lacks)
    }

    /// How far absorption is behind, lane by lane, of those that can be read.
    #[must_use]
    pub fn behind(&self) -> Vec<Behind> {
        let behind = |cell: &Arc<LaneCell>| {
            let (objects, bytes) = cell.known()?.fold.behind();
            Some(Behind { lane: cell.lane, objects, bytes })
        };
        self.cells().iter().filter_map(behind).collect()
    }
}
