//! Where an edge goes on: the chain of producers walked to its end, and the end brought into this hub's lane.
//!
//! Pure: folds read fresh by [`crate::mover`] in, records and verdicts out. Parts: [`Asker`]; [`Walk`], begun by
//! [`Walk::begin`] and driven by [`Walk::next_step`] on the fold of the lane of [`Walk::at`]; [`Step`];
//! [`Target`], what the sealer opens at last; [`proves`]; `others` (where all tracks become one). Promises: a producer is closed before the one after it
//! is opened, so that its numbers are taken once (lane rule 8); whoever is not its owner must prove that it holds
//! the WAL; nobody is led from one numbering into another unawares; a walk has no length limit. Must not do: await, or
//! decide about batches.

use std::collections::BTreeSet;

use hub_store::limits::{DIGESTS_KEPT, SOURCES_MAX};
use hub_store::{Fold, LaneRecord, ProducerState};
use proto_model::{BatchDigest, Chain, Epoch, LaneId, ProducerId, Sequence, TrackId};
use proto_wire::digest;
use proto_wire::edge_hub::Position;

use self::others::unopened;
pub use self::others::{Other, merged, others_of};
use crate::request::{CarryOver, Open, Refusal, Speaker};

mod others;

/// Of a released producer: whoever takes its successor first has it.
const GONE_ON: &str = "another holder of this WAL has gone on in its place";

/// Who asks to go on, and with what in hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asker {
    /// Its proven name.
    pub speaker: Speaker,
    /// Its name for the track.
    pub track: TrackId,
    /// Its WAL.
    pub wal_id: u64,
    /// Its process.
    pub nonce: [u8; 16],
    /// The producer it believes it is; `None` as well when no lane knows that one.
    pub producer: Option<ProducerId>,
    /// It holds a numbering that it cannot name: no lane knows the producer it believes it is (the bucket was rolled back), or its WAL was
    /// set back to before its track was bound.
    pub is_unknown: bool,
    /// Newest sequence it holds an ack for, and the chain there.
    pub acked: (Sequence, Chain),
    /// No new batches join its track: a later one follows.
    pub followed: bool,
}

impl Asker {
    /// Who asks by `open`.
    #[must_use]
    pub fn of(open: &Open) -> Self {
        let Open { speaker, track, producer, nonce, wal_id, acked, followed, .. } = open;
        let (speaker, track, wal_id, nonce) = (speaker.clone(), *track, *wal_id, *nonce);
        Self { speaker, track, wal_id, nonce, producer: *producer, is_unknown: false, acked: *acked, followed: *followed }
    }

    fn identity(&self) -> String {
        self.speaker.to_string()
    }

    /// One without a name was opened in an object that was skipped (lane rule 20): whoever names its 128 random bits holds its WAL.
    fn owns(&self, state: &ProducerState) -> bool {
        state.identity.is_empty() || state.identity == self.identity()
    }

    /// Of the same cluster: an edge that was enrolled anew, or a clone that was.
    #[must_use]
    pub fn is_neighbour(&self, state: &ProducerState) -> bool {
        state.identity.split_once('/').is_some_and(|(cluster, _)| cluster == self.speaker.cluster.as_str())
    }

    /// Whether it is the first of its WAL.
    #[must_use]
    pub const fn is_first_track(&self) -> bool {
        self.track.0 <= 1
    }

    fn same_track(&self, state: &ProducerState) -> bool {
        state.wal_id == self.wal_id && state.track == self.track.0
    }

    /// Of `all` the oldest track of its WAL that has not ended and is later than its own, which is the newest that its WAL knows: that was set back
    /// to before the later one began. `known` are all producers that any lane knows.
    #[must_use]
    pub fn later(&self, all: &[(ProducerId, ProducerState)], known: &BTreeSet<ProducerId>) -> Option<TrackId> {
        let is_later = |state: &ProducerState| state.wal_id == self.wal_id && state.track > self.track.0;
        let stands =
            |(producer, state): &&(ProducerId, ProducerState)| is_later(state) && (state.closed.is_none() || unopened(*producer, state, known).is_some());
        all.iter().filter(stands).map(|(_, state)| TrackId(state.track)).min().filter(|_| !self.followed)
    }

    /// Whether its WAL may still hold what `state` is of: its own track, or one before it. Later ones were lost with what came after it.
    #[must_use]
    pub const fn may_hold(&self, state: &ProducerState) -> bool {
        state.wal_id == self.wal_id && state.track <= self.track.0
    }
}

/// Where a producer begins that no lane knows yet.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Beginning {
    /// Newest sequence of the one before; 0 for none.
    pub sequence: Sequence,
    /// The chain there.
    pub chain: Chain,
    /// How far its sources are durable.
    pub positions: Vec<Position>,
    /// The closed one that it goes on for.
    pub after: Option<ProducerId>,
}

/// What the sealer is to open in its own lane.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// Which.
    pub producer: ProducerId,
    /// Where it begins, unless it stands already; its positions are entered in either case.
    pub beginning: Beginning,
    /// What the one before had stored, when this one has a numbering of its own.
    pub carry: Option<CarryOver>,
    /// The process that opened it, or the one before it, last.
    pub nonce: Option<[u8; 16]>,
    /// The oldest later track of the asker's WAL that is open.
    pub later: Option<TrackId>,
}

/// What is to be done next.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// The walk moved on: look at its new place.
    Follow,
    /// Write this in the lane of [`Walk::at`], then look at it again.
    Close(Vec<LaneRecord>),
    /// Nothing of it is known (the bucket was rolled back): begin anew as an edge without producer.
    Unknown,
    /// The asker gets a numbering of its own, with this brought over.
    Mint(CarryOver),
    /// All is ready for this to be opened.
    OpenHere(Box<Target>),
    /// The track has ended, and nothing new joins it: its edge is told so.
    Ended {
        /// Under which epoch.
        epoch: Epoch,
        /// Its newest sequence and the chain there.
        end: (Sequence, Chain),
        /// Who went on in its place.
        next: ProducerId,
    },
    /// No.
    Denied(Refusal),
}

/// One walk.
#[derive(Debug, Clone)]
pub struct Walk {
    asker: Asker,
    at: ProducerId,
    /// Where `at` begins, when its lane does not know it; `None`: then it was never given out.
    beginning: Option<Beginning>,
    /// The closed producer from which the walk came.
    from: Option<Before>,
    carry: Option<CarryOver>,
    /// Whether `carry` comes from a quarantine: then nobody may have gone on yet.
    released: bool,
    /// Where the numbering that the asker holds has ended, once the walk is past that.
    ended: Option<CarryOver>,
    /// Whether a producer of the asker's identity was met.
    owned: bool,
    /// For a producer of another identity: whether the asker has shown that it holds the WAL.
    proven: bool,
    nonce: Option<[u8; 16]>,
    /// Producers passed, so that a chain that leads back into itself ends.
    passed: BTreeSet<ProducerId>,
}

/// What is kept of the closed producer before.
#[derive(Debug, Clone)]
struct Before {
    producer: ProducerId,
    epoch: Epoch,
    /// What an edge of it would have to carry over.
    carry: CarryOver,
    /// What goes on for it begins at 1: it was quarantined.
    is_renumbered: bool,
}

impl Walk {
    /// Begins for an edge without producer, by what `all` (the producers of its identity, read fresh) and `first` (the
    /// object that names its first one; only asked for track 1) say. `None`: a new producer is to be minted.
    #[must_use]
    pub fn begin(asker: Asker, first: Option<ProducerId>, all: &[(ProducerId, ProducerState)]) -> Option<Self> {
        let bound = all.iter().find(|(_, state)| state.closed.is_none() && asker.same_track(state)).map(|(producer, _)| *producer);
        if let Some(at) = bound.or_else(|| first.filter(|_| asker.is_first_track())) {
            return Some(Self::at_producer(asker, at, (Some(at) == first).then(Beginning::default)));
        }
        // Its WAL was set back to before it was bound, or a rollback forgot what came after the producer of its track that is known. One that
        // names no producer could not be told the end of a track that another follows.
        let leads = |to| all.iter().find(|(producer, state)| asker.same_track(state) && leads(*producer, &asker, all) == to).map(|(producer, _)| *producer);
        let may_have_ended = asker.is_unknown || !asker.followed;
        let (at, ended) = leads(Leads::On)
            .or_else(|| leads(Leads::Later).filter(|_| may_have_ended))
            .map(|at| (at, None))
            .or_else(|| leads(Leads::Away).filter(|_| may_have_ended).map(|at| (at, Some(CarryOver::ended(at)))))?;
        Some(Self { ended, ..Self::at_producer(Asker { is_unknown: true, ..asker }, at, None) })
    }

    /// Whether the asker's WAL is new to the hub, so that all other open producers of its identity end in this one.
    #[must_use]
    pub fn ends_others(asker: &Asker, all: &[(ProducerId, ProducerState)]) -> bool {
        let bound = all.iter().any(|(_, state)| state.closed.is_none() && asker.same_track(state));
        // It is not: it was set back, or its opening lay in this hub while it went on by way of another.
        let is_known = all.iter().any(|(_, state)| state.wal_id == asker.wal_id && state.track > asker.track.0);
        asker.producer.is_none() && !bound && !is_known && asker.is_first_track() && !asker.followed
    }

    /// Begins at `at`.
    #[must_use]
    pub const fn at_producer(asker: Asker, at: ProducerId, beginning: Option<Beginning>) -> Self {
        Self { asker, at, beginning, from: None, carry: None, released: false, ended: None, owned: false, proven: false, nonce: None, passed: BTreeSet::new() }
    }

    /// The same, bringing over what a producer of another identity had stored.
    #[must_use]
    pub fn carrying(self, carry: Option<CarryOver>) -> Self {
        Self { released: carry.is_some(), carry, ..self }
    }

    /// The producer to be looked at, in the fold of its lane, read to a fresh head.
    #[must_use]
    pub const fn at(&self) -> ProducerId {
        self.at
    }

    /// Who walks.
    #[must_use]
    pub const fn asker(&self) -> &Asker {
        &self.asker
    }

    /// Whether it was opened by another name before, and the asker has shown that it holds the WAL.
    #[must_use]
    pub const fn takes_over(&self) -> bool {
        self.proven
    }

    /// Whether the walk went over `producer`.
    #[must_use]
    pub fn passed(&self, producer: &ProducerId) -> bool {
        self.passed.contains(producer)
    }

    /// As [`Self::next_step`] for as long as the walk stays in the lane of `fold`: [`Step::Follow`] leads out of it.
    pub fn steps(&mut self, fold: &Fold, own: LaneId, fresh: ProducerId) -> Step {
        loop {
            let step = self.next_step(fold.producer(&self.at), own, fresh);
            if step != Step::Follow || self.at.lane != fold.lane() {
                return step;
            }
        }
    }

    /// What is to be done, `known` being what the lane of [`Self::at`] says of it. `own` is the lane in which the end is to stand,
    /// `fresh` a producer id of it that nobody has.
    pub fn next_step(&mut self, known: Option<&ProducerState>, own: LaneId, fresh: ProducerId) -> Step {
        let Some(state) = known else { return self.absent(own, fresh) };
        if let Some(step) = self.cross(state) {
            return step;
        }
        if !self.asker.owns(state)
            && let Some(step) = self.foreign(state)
        {
            return step;
        }
        self.owned |= self.asker.owns(state);
        self.nonce = Some(state.nonce);
        match state.closed {
            Some(next) if next == self.at => Step::Denied(Refusal::Denied),
            Some(next) => self.follow(state, next),
            None if state.quarantined => Step::Denied(Refusal::Diverged(format!("producer {} is quarantined", self.at))),
            None => self.open_end(state, own, fresh),
        }
    }

    /// Looks whether the walk leaves the numbering that the asker holds: the one before ended in `state`, which had begun without
    /// it. Its edge drained that track, or had another WAL meanwhile. `None`: the walk goes on.
    fn cross(&mut self, state: &ProducerState) -> Option<Step> {
        let before = self.from.as_ref().filter(|before| state.after != Some(before.producer))?;
        // What it began with stood in a skipped object, if nobody knows whose it is: the edge compares the chains.
        if self.ended.is_some() || (self.asker.producer.is_none() && !self.asker.is_unknown) || state.identity.is_empty() {
            return None;
        }
        let Before { epoch, carry, .. } = before;
        if self.released {
            return Some(Step::Denied(Refusal::Diverged(GONE_ON.to_owned())));
        }
        if self.asker.followed {
            let ended = Step::Ended { epoch: *epoch, end: (carry.last, carry.chain), next: self.at };
            return Some(if self.owned || self.proven { ended } else { Step::Denied(Refusal::Denied) });
        }
        self.ended = Some(CarryOver { digests: Vec::new(), ended: true, ..carry.clone() });
        None
    }

    /// A producer of another identity: `None` when the walk may go on over it.
    fn foreign(&mut self, state: &ProducerState) -> Option<Step> {
        if !self.asker.is_neighbour(state) {
            return Some(Step::Denied(Refusal::Denied));
        }
        let set_free = state.closed == Some(self.at) || (state.closed.is_some() && state.quarantined);
        if set_free && !self.owned {
            return Some(Step::Mint(self.carry_of(state)));
        }
        if state.closed.is_none() && state.quarantined {
            return Some(Step::Denied(Refusal::Diverged(format!("producer {} is quarantined", self.at))));
        }
        // Who was its owner once does not take it back from the one that went on with it.
        // The empty chain is known to all and proves nothing; what another numbering says of an ack, neither.
        if self.ended.is_none() {
            self.proven = !self.owned && self.asker.acked.0.0 > 0 && proves(state, self.asker.acked) == Some(true);
        }
        (state.closed.is_none() && !self.proven).then_some(Step::Denied(Refusal::Denied))
    }

    fn follow(&mut self, state: &ProducerState, next: ProducerId) -> Step {
        if !self.passed.insert(self.at) {
            return Step::Denied(Refusal::Denied);
        }
        let carry = self.carry_of(state);
        // Sources are stored so far whatever the numbering.
        let positions = state.positions.values().cloned().collect();
        if state.quarantined {
            if self.asker.producer.is_some() || self.asker.same_track(state) {
                (self.carry, self.released) = (Some(carry.clone()), true);
            }
            self.beginning = Some(Beginning { positions, after: Some(self.at), ..Beginning::default() });
        } else {
            self.beginning = Some(Beginning { sequence: state.last, chain: state.chain, positions, after: Some(self.at) });
        }
        self.from = Some(Before { producer: self.at, epoch: state.epoch, carry, is_renumbered: state.quarantined });
        self.at = next;
        Step::Follow
    }

    /// What stands of the numbering of [`Self::at`], in `state` and in the closed one before it.
    fn carry_of(&self, state: &ProducerState) -> CarryOver {
        let before = self.from.as_ref().filter(|before| state.after == Some(before.producer) && !before.is_renumbered);
        carry_of(self.at, state, before.map(|before| &before.carry))
    }

    /// Named by a Close, or the first of its identity, but opened by nobody yet.
    fn absent(&self, own: LaneId, fresh: ProducerId) -> Step {
        let Some(beginning) = &self.beginning else { return Step::Unknown };
        if self.from.is_some() && !self.owned && !self.proven {
            return Step::Denied(Refusal::Denied);
        }
        if self.at.lane == own {
            return self.open_here(beginning.clone());
        }
        let Beginning { sequence, chain, positions, after } = beginning.clone();
        let open = LaneRecord::Open {
            producer: self.at,
            epoch: Epoch(1),
            identity: self.asker.identity(),
            nonce: self.asker.nonce,
            wal_id: self.asker.wal_id,
            track: self.asker.track.0,
            sequence,
            chain,
            positions: bounded(positions),
            after,
        };
        Step::Close(vec![open, LaneRecord::Close { producer: self.at, sequence, chain, next: fresh }])
    }

    fn open_end(&self, state: &ProducerState, own: LaneId, fresh: ProducerId) -> Step {
        let carry = self.brought();
        let continues = self.from.as_ref().is_none_or(|before| state.after == Some(before.producer));
        if continues && self.ended.is_none() && self.released && carry.is_some() && state.last.0 > 0 {
            return Step::Denied(Refusal::Diverged(GONE_ON.to_owned()));
        }
        if carry.is_none() && self.asker.producer.is_some() && proves(state, self.asker.acked) == Some(false) {
            return Step::Denied(Refusal::Diverged(format!("the chains differ at sequence {}", self.asker.acked.0.0)));
        }
        // One of another track or WAL stays what it was, closed: whoever comes back with that one is told what became of it.
        if self.at.lane == own && self.asker.owns(state) && self.asker.same_track(state) {
            let stands = Beginning { sequence: state.last, chain: state.chain, positions: Vec::new(), after: None };
            let target = Target { producer: self.at, beginning: stands, carry, nonce: self.nonce, later: None };
            return Step::OpenHere(Box::new(target));
        }
        Step::Close(vec![LaneRecord::Close { producer: self.at, sequence: state.last, chain: state.chain, next: fresh }])
    }

    fn open_here(&self, beginning: Beginning) -> Step {
        let beginning = if cfg!(planted = "acks_forgotten_at_close") { Beginning { after: beginning.after, ..Beginning::default() } } else { beginning };
        let target = Target { producer: self.at, beginning, carry: self.brought(), nonce: self.nonce, later: None };
        Step::OpenHere(Box::new(target))
    }

    /// What stands of the numbering that the asker holds, if it goes on under another.
    fn brought(&self) -> Option<CarryOver> {
        self.ended.clone().or_else(|| self.carry.clone())
    }
}

/// Where the chain from a closed producer of the asker's track leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leads {
    /// Into its track, or to one that nobody opened yet.
    On,
    /// Into a later one.
    Later,
    /// Into another WAL of its edge: this one was put back in its place.
    Away,
    /// It was retired. Or it ended in an older track: its WAL was set back since, and gives its tracks the same numbers anew.
    Nowhere,
}

fn leads(closed: ProducerId, asker: &Asker, all: &[(ProducerId, ProducerState)]) -> Leads {
    let mut at = closed;
    for _ in 0..=all.len() {
        let Some((_, state)) = all.iter().find(|(producer, _)| *producer == at) else { return Leads::On };
        match state.closed {
            Some(next) if next != at => at = next,
            Some(_) => return Leads::Nowhere,
            None if state.wal_id != asker.wal_id => return Leads::Away,
            None if state.track == asker.track.0 => return Leads::On,
            None if state.track > asker.track.0 => return Leads::Later,
            None => return Leads::Nowhere,
        }
    }
    Leads::Nowhere
}

/// At most as many as a record holds; sources that are gone are left out first.
pub(crate) fn bounded(mut positions: Vec<Position>) -> Vec<Position> {
    if positions.len() > SOURCES_MAX {
        positions.sort_by_key(|position| position.gone);
        positions.truncate(SOURCES_MAX);
    }
    positions
}

/// Whether `acked` names the producer's chain at a number that it has; `None` when that cannot be told (any more).
#[must_use]
pub fn proves(state: &ProducerState, acked: (Sequence, Chain)) -> Option<bool> {
    let (sequence, chain) = acked;
    if sequence > state.last {
        return None;
    }
    let mut reached = chain;
    for at in sequence.0..state.last.0 {
        reached = digest::extend(reached, state.digest_of(Sequence(at + 1))?);
    }
    Some(reached == state.chain)
}

/// What an edge needs to tell which of its batches stand under `producer`, and under those `before` it in the same numbering.
fn carry_of(producer: ProducerId, state: &ProducerState, before: Option<&CarryOver>) -> CarryOver {
    let before_first = before.map_or(u64::MAX, |before| (before.last.0 + 1).saturating_sub(before.digests.len() as u64));
    let digest_before = |at: u64| before?.digests.get(usize::try_from(at.checked_sub(before_first)?).ok()?).copied();
    let oldest = state.digests().next().map_or(state.last.0 + 1, |(sequence, _)| sequence.0).min(before_first);
    // A gap among the kept ones may be of any length.
    let first = oldest.max(state.last.0.saturating_sub(DIGESTS_KEPT as u64 - 1));
    let digests = (first..=state.last.0).map(|at| state.digest_of(Sequence(at)).or_else(|| digest_before(at)).unwrap_or(BatchDigest([0; 16])));
    CarryOver { producer, last: state.last, chain: state.chain, digests: digests.collect(), ended: false }
}

/// Producers that a draft already closes, so that two walks over one do not both.
#[derive(Debug, Default)]
pub struct Once(BTreeSet<ProducerId>);

impl Once {
    /// Whether `records` are the first of this draft about their producer.
    pub fn first(&mut self, records: &[LaneRecord]) -> bool {
        let closed = records.iter().find_map(|record| if let LaneRecord::Close { producer, .. } = record { Some(*producer) } else { None });
        closed.is_none_or(|producer| self.0.insert(producer))
    }
}

#[cfg(test)]
mod tests;
