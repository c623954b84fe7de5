//! A lane as this hub sees it: its fold, how fresh it is, and how it is followed (lane rules 7, 11, 20).
//!
//! Parts: `LaneCell` (what is known of one lane, behind a lock that is held for a moment only);
//! `LaneCell::follow`; `look` (the second look of rule 7, the look of rule 6); `read_header`;
//! `make` (rule 1), `start` (snapshots, rule 11), [`writer`] (rules 5 and 6). Promises: nothing is
//! folded, hence visible, before the object that was folded last was seen to stand once more after it was
//! read; a header that is damaged or does not follow freezes the lane at the last good number until it
//! reads well. Must not do: keep a lock across an await, but for the turn to write, which is held over a PUT.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use proto_model::{LaneId, Timestamp};

use crate::fault::StoreFault;
use crate::fold::Fold;
use crate::frame::{self, Kind};
use crate::head::{Frozen, Head, LaneView};
use crate::header::{CommitId, LaneHeader};
use crate::keys::Key;
use crate::limits::{FOLLOW_BYTES_MAX, HEADER_GET_BYTES, RESTART_WAIT, RESTARTS_MAX};
use crate::mac::StoreKeys;
use crate::metrics::OfLane;
use crate::numbered::{End, Lot, lot, more};
use crate::object::{Moment, Objects, Size};

pub(crate) mod collect;
pub(crate) mod make;
pub(crate) mod skip;
pub(crate) mod start;
pub mod writer;

use start::Kept;

/// What lane work needs of the store: requests, keys, and where folds become visible.
#[derive(Debug)]
pub(crate) struct Shore {
    pub(crate) objects: Objects,
    pub(crate) keys: StoreKeys,
    pub(crate) head: Head,
    /// Numbers between two snapshots.
    pub(crate) snapshot_every: u64,
}

/// One registered lane.
#[derive(Debug)]
pub(crate) struct LaneCell {
    pub(crate) lane: LaneId,
    pub(crate) genesis: CommitId,
    maker: String,
    made: Timestamp,
    now: Mutex<LaneNow>,
    /// Held from the judging of what is put, or at least from the PUT, to its end: a hub has one PUT in flight in a
    /// lane (rule 4).
    turn: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct LaneNow {
    /// `None`: to be started anew (rule 11).
    fold: Option<Arc<Fold>>,
    /// Raised each time the fold is dropped, so that work begun on the old one cannot enter the new one.
    generation: u64,
    /// The start of the last round that ended in a 404.
    fresh: Option<Moment>,
    frozen: Option<Frozen>,
    /// The snapshots known.
    snapshots: Kept,
}

/// A fold and the generation it belongs to.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) fold: Arc<Fold>,
    pub(crate) generation: u64,
}

/// A header as read, not yet judged.
#[derive(Debug)]
struct Raw {
    number: u64,
    bytes: Bytes,
}

/// How closely a lane is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// To its end, whatever stands there: it is fresh then.
    Whole,
    /// Whether there is something new; then as [`Self::Whole`]. A lane without costs one request, and nothing is
    /// known to be fresh by it: what was asked for may have been collected.
    Glance,
}

/// What came of following from one base.
enum Followed {
    /// To the end; the fold is fresh, unless only a glance was cast.
    Fresh,
    /// The base is gone: start anew.
    Lost,
}

impl LaneCell {
    pub(crate) const fn new(lane: LaneId, genesis: CommitId, maker: String, made: Timestamp) -> Self {
        let now = Mutex::new(LaneNow { fold: None, generation: 0, fresh: None, frozen: None, snapshots: Kept { newest: 0, before: 0 } });
        Self { lane, genesis, maker, made, now, turn: tokio::sync::Mutex::const_new(()) }
    }

    /// Who writes the lane as its own, by name, and when it was last written; `None` while it cannot be read.
    pub(crate) fn owned(&self) -> Option<(String, Timestamp)> {
        let now = self.now();
        let fold = now.fold.as_ref().filter(|_| now.frozen.is_none())?;
        let owner = if fold.owner().is_empty() { &self.maker } else { fold.owner() };
        Some((owner.to_owned(), if fold.head() == 0 { self.made } else { fold.written() }))
    }

    fn now(&self) -> MutexGuard<'_, LaneNow> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The fold, unless the lane is to be started anew.
    pub(crate) fn known(&self) -> Option<Known> {
        let now = self.now();
        now.fold.as_ref().map(|fold| Known { fold: Arc::clone(fold), generation: now.generation })
    }

    /// The fold, if the lane can be read to its end.
    ///
    /// # Errors
    /// [`StoreFault::Frozen`] or [`StoreFault::LaneUnreadable`].
    pub(crate) fn whole(&self) -> Result<Arc<Fold>, StoreFault> {
        let now = self.now();
        if let Some(frozen) = &now.frozen {
            return Err(StoreFault::Frozen { lane: self.lane, number: frozen.number, reason: frozen.reason.clone() });
        }
        let reason = "it is being read anew".to_owned();
        now.fold.clone().ok_or(StoreFault::LaneUnreadable { lane: self.lane, reason })
    }

    /// Since when the fold is fresh.
    pub(crate) fn fresh(&self) -> Option<Moment> {
        self.now().fresh
    }

    /// Why nothing more is folded, if so.
    pub(crate) fn frozen(&self) -> Option<Frozen> {
        self.now().frozen.clone()
    }

    /// The snapshots known.
    pub(crate) fn snapshots(&self) -> Kept {
        self.now().snapshots
    }

    pub(crate) fn note_snapshots(&self, kept: Kept) {
        self.now().snapshots = kept;
    }

    /// Follows to the first number that is absent (rule 7), from a snapshot if need be (rule 11).
    ///
    /// # Errors
    /// The store's fault, or [`StoreFault::LaneUnreadable`]. A frozen lane is no fault here: it is as
    /// fresh as it can be.
    pub(crate) async fn follow(&self, shore: &Shore) -> Result<(), StoreFault> {
        self.follow_by(shore, Look::Whole).await
    }

    /// As [`Self::follow`], or as closely as `how` says.
    ///
    /// # Errors
    /// As [`Self::follow`].
    pub(crate) async fn follow_by(&self, shore: &Shore, how: Look) -> Result<(), StoreFault> {
        let started = shore.objects.moment();
        for attempt in 0..RESTARTS_MAX {
            if attempt > 0 {
                // What was listed may lag behind what stands.
                tokio::time::sleep(RESTART_WAIT * attempt).await;
            }
            let (known, candidate) = match self.known() {
                Some(known) => (known, false),
                None => (self.begin(shore).await?, true),
            };
            let generation = known.generation;
            match self.follow_from(shore, known, (candidate, how), started).await? {
                Followed::Fresh => return Ok(()),
                Followed::Lost => self.lose(shore, generation),
            }
        }
        let reason = "the object that its state is built on is gone each time it is read".to_owned();
        Err(StoreFault::LaneUnreadable { lane: self.lane, reason })
    }

    /// A state to start from, not yet known to be true.
    async fn begin(&self, shore: &Shore) -> Result<Known, StoreFault> {
        let generation = self.now().generation;
        let (fold, newest) = start::newest(shore, self.lane, self.genesis).await?;
        self.note_snapshots(Kept { newest, before: 0 });
        Ok(Known { fold: Arc::new(fold), generation })
    }

    async fn follow_from(&self, shore: &Shore, known: Known, (candidate, how): (bool, Look), started: Moment) -> Result<Followed, StoreFault> {
        let generation = known.generation;
        let (mut base, mut base_commit) = (known.fold.head(), known.fold.head_commit());
        // A fold that is in place already is not held on to: nobody would have to copy it to change it.
        let mut candidate = candidate.then_some(known);
        let mut count = 1;
        loop {
            let Lot { found, end } = self.read_lot(shore, base + 1, count).await;
            if let (End::Fault(fault), true) = (&end, found.is_empty()) {
                return Err(fault.clone());
            }
            let nothing_new = found.is_empty() && matches!(end, End::Absent);
            if how == Look::Glance && nothing_new && candidate.is_none() && self.frozen().is_none() {
                return Ok(Followed::Fresh);
            }
            // The second look comes before the headers are judged, so that a sleeper's garbage is
            // "start anew", not an alarm.
            if !cfg!(planted = "lane_second_look") && !look(shore, self.lane, base, base_commit).await? {
                return Ok(Followed::Lost);
            }
            if let Some(known) = candidate.take()
                && !self.install(shore, known)
            {
                return Ok(Followed::Lost);
            }
            let read = u64::try_from(found.len()).unwrap_or(u64::MAX);
            for raw in found {
                match self.fold_in(shore, generation, &raw) {
                    Folded::In(commit) => base_commit = commit,
                    Folded::Frozen => match self.skip(shore, generation, raw.number).await? {
                        Some(commit) => base_commit = commit,
                        None => {
                            self.set_fresh(generation, started);
                            return Ok(Followed::Fresh);
                        }
                    },
                    Folded::Superseded => return Ok(Followed::Lost),
                }
            }
            base += read;
            self.show(shore, generation);
            match end {
                End::Absent => {
                    self.thaw(shore, generation);
                    self.set_fresh(generation, started);
                    return Ok(Followed::Fresh);
                }
                End::Asked => count = more(count),
                End::Fault(fault) => return Err(fault),
            }
        }
    }

    async fn read_lot(&self, shore: &Shore, first: u64, count: u64) -> Lot<Raw> {
        let fronts = lot(first, count, |number| async move {
            let key = Key::lane_object(self.lane, number);
            let bytes = shore.objects.get(&key, Some(0..HEADER_GET_BYTES), Size::Small).await?;
            Ok(bytes.map(|bytes| Raw { number, bytes }))
        })
        .await;
        let mut whole = Lot { found: Vec::with_capacity(fronts.found.len()), end: fronts.end };
        let mut held = 0;
        for raw in fronts.found {
            match complete(shore, self.lane, raw).await {
                Ok(Some(raw)) => {
                    held += raw.bytes.len();
                    whole.found.push(raw);
                }
                Ok(None) => return Lot { end: End::Absent, ..whole },
                Err(fault) => return Lot { end: End::Fault(fault), ..whole },
            }
            if held > FOLLOW_BYTES_MAX {
                return Lot { end: End::Asked, ..whole };
            }
        }
        whole
    }

    /// Makes a state that passed its look this lane's; false when another was faster.
    fn install(&self, shore: &Shore, known: Known) -> bool {
        let mut now = self.now();
        if now.generation != known.generation || now.fold.is_some() {
            return false;
        }
        shore.publish(&known.fold, None);
        now.fold = Some(known.fold);
        true
    }

    /// Makes what was folded visible.
    fn show(&self, shore: &Shore, generation: u64) {
        let now = self.now();
        if let Some(fold) = now.fold.as_ref().filter(|fold| now.generation == generation && shore.head.shows(fold) < fold.head()) {
            shore.publish(fold, now.frozen.clone());
        }
    }

    /// Folds a header that passed rule 7.
    fn fold_in(&self, shore: &Shore, generation: u64, raw: &Raw) -> Folded {
        match LaneHeader::open(&raw.bytes, self.lane, raw.number, &shore.keys) {
            Ok(header) => self.enter(shore, generation, &header),
            Err(fault) => self.freeze(shore, generation, raw.number, &fault),
        }
    }

    fn enter(&self, shore: &Shore, generation: u64, header: &LaneHeader) -> Folded {
        let mut now = self.now();
        let now = &mut *now;
        let Some(fold) = now.fold.as_mut().filter(|_| now.generation == generation) else { return Folded::Superseded };
        if header.number <= fold.head() {
            // The writer, or another follower, was faster: by the same object, or there is no telling.
            let same = header.number <= fold.floor() || fold.commit_id(header.number) == Some(header.commit);
            return if same { Folded::In(header.commit) } else { Folded::Superseded };
        }
        // Judged before the fold is unshared: a frozen lane is judged again each round.
        if let Err(fault) = fold.check(header) {
            return Self::freeze_now(shore, now, header.number, &fault);
        }
        Arc::make_mut(fold).take_in(header);
        now.frozen = None;
        Folded::In(header.commit)
    }

    /// Enters an object of this hub that passed rules 5 and 6; `held` is given back its fold, so that
    /// nothing is copied. False when the state was dropped or differs.
    pub(crate) fn enter_own(&self, shore: &Shore, held: Known, header: &LaneHeader) -> bool {
        let generation = held.generation;
        drop(held);
        let entered = matches!(self.enter(shore, generation, header), Folded::In(_));
        self.show(shore, generation);
        entered
    }

    /// Passes over a damaged object that an operator gave up (rule 20); the id that stands for its commit id.
    async fn skip(&self, shore: &Shore, generation: u64, number: u64) -> Result<Option<CommitId>, StoreFault> {
        let Some(commit) = skip::skipped(shore, self.lane, number).await? else { return Ok(None) };
        let mut now = self.now();
        let now = &mut *now;
        let Some(fold) = now.fold.as_mut().filter(|fold| now.generation == generation && fold.head() + 1 == number) else { return Ok(None) };
        tracing::warn!(lane = %self.lane, number, "a damaged lane object is passed over, as an operator ordered: what it held is lost");
        Arc::make_mut(fold).skip(commit);
        now.frozen = None;
        Ok(Some(commit))
    }

    fn freeze(&self, shore: &Shore, generation: u64, number: u64, fault: &StoreFault) -> Folded {
        let mut now = self.now();
        if now.generation == generation { Self::freeze_now(shore, &mut now, number, fault) } else { Folded::Superseded }
    }

    fn freeze_now(shore: &Shore, now: &mut LaneNow, number: u64, fault: &StoreFault) -> Folded {
        let Some(fold) = &now.fold else { return Folded::Superseded };
        let frozen = Frozen { number, reason: fault.to_string() };
        if now.frozen.as_ref() != Some(&frozen) {
            tracing::error!(lane = %fold.lane(), number, reason = frozen.reason, "a lane is frozen: nothing is acknowledged on it, reads end at the last good number");
            shore.publish(fold, Some(frozen.clone()));
            now.frozen = Some(frozen);
        }
        Folded::Frozen
    }

    /// A lane that ends in a 404 is not frozen (any more).
    fn thaw(&self, shore: &Shore, generation: u64) {
        let mut now = self.now();
        if now.generation == generation
            && now.frozen.take().is_some()
            && let Some(fold) = &now.fold
        {
            shore.publish(fold, None);
        }
    }

    fn set_fresh(&self, generation: u64, started: Moment) {
        let mut now = self.now();
        if now.generation == generation && now.fresh.is_none_or(|fresh| fresh.steady <= started.steady) {
            now.fresh = Some(started);
        }
    }

    /// Drops the state of `generation`: it is from before a collection.
    pub(crate) fn lose(&self, shore: &Shore, generation: u64) {
        let mut now = self.now();
        if now.generation == generation {
            now.generation += 1;
            now.fold = None;
            now.fresh = None;
            now.frozen = None;
            drop(now);
            shore.objects.metrics.lane_restarts.inc();
            tracing::warn!(lane = %self.lane, "the lane moved on while this hub slept: its state is read anew");
        }
    }
}

/// What became of one header.
enum Folded {
    /// It is in the fold; its commit id.
    In(CommitId),
    /// It is not, and nothing after it will be.
    Frozen,
    /// The fold it was read for is no more.
    Superseded,
}

impl Shore {
    /// Makes a fold visible.
    fn publish(&self, fold: &Fold, frozen: Option<Frozen>) {
        let lane = OfLane { lane: fold.lane().to_string() };
        let gauge = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        self.objects.metrics.lane_head.get_or_create(&lane).set(gauge(fold.head()));
        self.objects.metrics.lane_floor.get_or_create(&lane).set(gauge(fold.floor()));
        self.objects.metrics.lane_frozen.get_or_create(&lane).set(i64::from(frozen.is_some()));
        self.head.publish(LaneView::of(fold, frozen));
    }
}

/// Brings the rest of a header that the first request did not hold; `None` when the object is gone.
async fn complete(shore: &Shore, lane: LaneId, raw: Raw) -> Result<Option<Raw>, StoreFault> {
    let key = Key::lane_object(lane, raw.number);
    let Ok(total) = frame::total_bytes(Kind::Lane, &key, &raw.bytes) else { return Ok(Some(raw)) };
    if total <= raw.bytes.len() || (raw.bytes.len() as u64) < HEADER_GET_BYTES {
        return Ok(Some(raw));
    }
    let bytes = shore.objects.get(&key, Some(0..total as u64), Size::Large).await?;
    Ok(bytes.map(|bytes| Raw { number: raw.number, bytes }))
}

/// The header of `number`; `None` when it is absent.
///
/// # Errors
/// The store's fault, [`StoreFault::Damaged`] or [`StoreFault::Version`].
pub(crate) async fn read_header(shore: &Shore, lane: LaneId, number: u64) -> Result<Option<LaneHeader>, StoreFault> {
    let key = Key::lane_object(lane, number);
    let Some(bytes) = shore.objects.get(&key, Some(0..HEADER_GET_BYTES), Size::Small).await? else { return Ok(None) };
    let Some(raw) = complete(shore, lane, Raw { number, bytes }).await? else { return Ok(None) };
    LaneHeader::open(&raw.bytes, lane, number, &shore.keys).map(Some)
}

/// Whether `number` still bears `commit` (rules 6 and 7). An object that cannot be read as what it was
/// is looked at twice before it counts as another; one that was skipped bears the id of its skipping while it stands.
///
/// # Errors
/// The store's fault: then it is not known.
pub(crate) async fn look(shore: &Shore, lane: LaneId, number: u64, commit: CommitId) -> Result<bool, StoreFault> {
    let mut first = true;
    loop {
        match read_header(shore, lane, number).await {
            Ok(None) => return Ok(false),
            Ok(Some(header)) if header.commit == commit => return Ok(true),
            Err(StoreFault::Damaged { .. } | StoreFault::Version { .. }) if first => first = false,
            Ok(Some(_)) | Err(StoreFault::Damaged { .. } | StoreFault::Version { .. }) => {
                return Ok(skip::skipped(shore, lane, number).await? == Some(commit));
            }
            Err(fault) => return Err(fault),
        }
    }
}

#[cfg(test)]
mod tests;
