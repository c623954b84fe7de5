//! Which sequences of which producer are durable: drops repeats, fences, quarantines.
//!
//! Pure. Parts: [`Verdict`] (the receiver table of `docs/formats/wire.md`); [`Draftboard`], the fold of
//! the lane plus what the object being built would add, on which each request is judged in turn (lane
//! rule 4: number n is built on Fold(n-1) alone). Promises: a verdict of `Take` or `TakeOpen` is entered
//! at once, so the next request is judged after it; nothing here outlives one build of one object.
//! Must not do: await, or remember anything between builds.

use std::collections::BTreeMap;

use hub_store::limits::SOURCES_MAX;
use hub_store::{Fold, LaneRecord, SourceKey};
use proto_model::{BatchDigest, Chain, Epoch, ProducerId, Sequence, TrackId};
use proto_wire::digest;
use proto_wire::edge_hub::Position;

use crate::clones::Clones;
use crate::moves::{self, Target};
use crate::request::{CarryOver, CloseOffer, GapOffer, Offer, Open, Refusal, Speaker};

/// What becomes of an opening.
#[derive(Debug, Clone, PartialEq)]
pub enum Opening {
    /// It is entered; its answer waits for the commit.
    Open(Box<Opened>),
    /// Not as the lane stands: the chain of its producers must be walked (again).
    Walk,
    /// No.
    Refused(Refusal),
}

/// See [`Opening::Open`].
#[derive(Debug, Clone, PartialEq)]
pub struct Opened {
    /// Which.
    pub producer: ProducerId,
    /// Its new epoch.
    pub epoch: Epoch,
    /// Newest sequence that stands with this object, and the chain there.
    pub last: Sequence,
    /// See `last`.
    pub chain: Chain,
    /// How far its sources are then durable.
    pub positions: Vec<Position>,
    /// What stands of the producer before.
    pub carry: Option<CarryOver>,
    /// The oldest later track of this WAL that is open.
    pub later: Option<TrackId>,
    /// The process that opened it, or the one before it, last.
    pub before: Option<[u8; 16]>,
}

/// What becomes of a batch, gap or close.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It goes into the object; its ack waits for the commit.
    Take,
    /// It already stands in the lane up to this sequence: ack at once.
    Committed(Sequence),
    /// It is already in the object being built: ack with it.
    Waiting,
    /// Rewind to this number.
    Expect(Sequence),
    /// No; `quarantine` says that the producer is to be set aside for good.
    Refuse {
        /// Why.
        why: Refusal,
        /// Whether a quarantine record goes into the object.
        quarantine: bool,
    },
}

/// A producer as it will stand after the object being built.
#[derive(Debug, Clone)]
struct Drafted {
    epoch: Epoch,
    last: Sequence,
    chain: Chain,
    /// Digests of what this object adds, by sequence; those of an advance that is already a record stay, so
    /// that a repeat within the object is still told from another batch.
    digests: BTreeMap<Sequence, BatchDigest>,
    /// First sequence this object adds; 0 when none.
    first: Sequence,
    positions: BTreeMap<SourceKey, Position>,
    quarantined: bool,
    closed: Option<ProducerId>,
    nonce: Option<[u8; 16]>,
}

impl Drafted {
    fn begun(target: &Target) -> Self {
        Self {
            epoch: Epoch(0),
            last: target.beginning.sequence,
            chain: target.beginning.chain,
            digests: BTreeMap::new(),
            first: Sequence(0),
            positions: BTreeMap::new(),
            quarantined: false,
            closed: None,
            nonce: target.nonce,
        }
    }
}

/// The fold plus the object being built.
#[derive(Debug)]
pub struct Draftboard<'f> {
    fold: &'f Fold,
    drafted: BTreeMap<ProducerId, Drafted>,
    records: Vec<LaneRecord>,
}

impl<'f> Draftboard<'f> {
    /// Nothing drafted yet.
    #[must_use]
    pub const fn new(fold: &'f Fold) -> Self {
        Self { fold, drafted: BTreeMap::new(), records: Vec::new() }
    }

    fn stand(&self, producer: &ProducerId) -> Option<Drafted> {
        self.drafted.get(producer).cloned().or_else(|| {
            self.fold.producer(producer).map(|state| Drafted {
                epoch: state.epoch,
                last: state.last,
                chain: state.chain,
                digests: BTreeMap::new(),
                first: Sequence(0),
                positions: BTreeMap::new(),
                quarantined: state.quarantined,
                closed: state.closed,
                nonce: Some(state.nonce),
            })
        })
    }

    fn owned_by(&self, producer: &ProducerId, speaker: &Speaker) -> bool {
        let identity = speaker.to_string();
        match self.fold.producer(producer) {
            Some(state) => state.identity.is_empty() || state.identity == identity,
            // Opened in this very object: the record names its owner.
            None => self.records.iter().any(|record| matches!(record, LaneRecord::Open { producer: p, identity: i, .. } if p == producer && *i == identity)),
        }
    }

    /// Opens the producer that the edge names, or the end of the walk over its chain, under the next epoch.
    pub fn open(&mut self, open: &Open, clones: &Clones) -> Opening {
        let target = open.target.as_deref();
        let Some(producer) = target.map(|target| target.producer).or(open.producer) else { return Opening::Walk };
        if producer.lane != self.fold.lane() {
            return Opening::Walk;
        }
        self.flush(&producer);
        let stand = match (self.stand(&producer), target) {
            (Some(stand), _) if stand.closed.is_some() || !self.owned_by(&producer, &open.speaker) => return Opening::Walk,
            (Some(stand), _) => stand,
            (None, Some(target)) => Drafted::begun(target),
            (None, None) => return Opening::Walk,
        };
        // A quarantined one may have been released by way of another hub: a hub that has nothing to write would not notice.
        // And the WAL of a process that is new may have been set back to before a later track began, in whatever lane.
        let is_new = !open.followed && stand.nonce != Some(open.nonce);
        if target.is_none() && (stand.quarantined || is_new) {
            return Opening::Walk;
        }
        if stand.quarantined {
            return Opening::Refused(Refusal::Diverged(format!("producer {producer} is quarantined")));
        }
        // An edge that holds an ack beyond `last` met a hub whose bucket was rolled back since: it is told where
        // the lane stands and sends again from its grace.
        if open.producer == Some(producer) && self.contradicts(&stand, producer, open.acked) {
            return Opening::Refused(Refusal::Diverged(format!("the chains differ at sequence {}", open.acked.0.0)));
        }
        self.enter_open(open, producer, &stand);
        if clones.shows(&open.speaker, open.track, open.nonce, stand.nonce) {
            let why = format!("two edges hold the WAL of producer {producer} and fence each other in turn");
            self.quarantine(producer, &why);
            return Opening::Refused(Refusal::Diverged(why));
        }
        let opened = Opened {
            producer,
            epoch: Epoch(stand.epoch.0 + 1),
            last: stand.last,
            chain: stand.chain,
            positions: self.positions(&producer),
            carry: target.and_then(|target| target.carry.clone()),
            later: target.and_then(|target| target.later),
            before: stand.nonce,
        };
        Opening::Open(Box::new(opened))
    }

    fn enter_open(&mut self, open: &Open, producer: ProducerId, stand: &Drafted) {
        let begins = stand.epoch.0 == 0;
        let beginning = open.target.as_deref().map(|target| target.beginning.clone()).unwrap_or_default();
        let epoch = Epoch(stand.epoch.0 + 1);
        self.records.push(LaneRecord::Open {
            producer,
            epoch,
            identity: open.speaker.to_string(),
            nonce: open.nonce,
            wal_id: open.wal_id,
            track: open.track.0,
            sequence: stand.last,
            chain: stand.chain,
            positions: beginning.positions,
            after: beginning.after.filter(|_| begins),
        });
        self.drafted.insert(producer, Drafted { epoch, nonce: Some(open.nonce), ..stand.clone() });
    }

    /// Whether the edge's newest ack names another chain than the one that stands.
    fn contradicts(&self, stand: &Drafted, producer: ProducerId, acked: (Sequence, Chain)) -> bool {
        let committed = self.fold.producer(&producer);
        (acked.0 == stand.last && acked.1 != stand.chain) || committed.is_some_and(|state| moves::proves(state, acked) == Some(false))
    }

    /// How far the sources of `producer` are durable with what was entered so far.
    fn positions(&self, producer: &ProducerId) -> Vec<Position> {
        let mut all = self.fold.producer(producer).map(|state| state.positions.clone()).unwrap_or_default();
        for record in &self.records {
            if let LaneRecord::Open { producer: of, positions, .. } | LaneRecord::Advance { producer: of, positions, .. } = record
                && of == producer
            {
                all.extend(positions.iter().map(|position| (SourceKey::of(position), position.clone())));
            }
        }
        moves::bounded(all.into_values().collect())
    }

    /// Judges one batch and, when it is taken, enters it.
    pub fn batch(&mut self, offer: &Offer) -> Verdict {
        let stand = match self.admissible(&offer.producer, &offer.speaker, offer.epoch, offer.sequence) {
            Ok(stand) => stand,
            Err(verdict) => return verdict,
        };
        if offer.sequence <= stand.last {
            return self.repeat(&stand, offer);
        }
        if offer.sequence > stand.last.next() {
            return Verdict::Expect(stand.last.next());
        }
        if offer.chain_previous != stand.chain {
            return diverged(format!("batch {} does not continue the chain", offer.sequence.0));
        }
        let mut next = stand;
        if cfg!(planted = "epoch_not_checked") {
            next.epoch = offer.epoch;
        }
        if next.positions.len() + offer.positions.len() > SOURCES_MAX {
            // One advance holds no more positions than this: the batches so far become one of their own.
            self.flush(&offer.producer);
            next = self.stand(&offer.producer).unwrap_or(next);
        }
        next.chain = digest::extend(next.chain, offer.digest);
        next.last = offer.sequence;
        next.first = if next.first.0 == 0 { offer.sequence } else { next.first };
        next.digests.insert(offer.sequence, offer.digest);
        for position in &offer.positions {
            next.positions.insert(SourceKey::of(position), position.clone());
        }
        self.drafted.insert(offer.producer, next);
        Verdict::Take
    }

    /// Judges one gap and, when it is taken, enters it: the batches before it, then the gap as an advance of its own.
    pub fn gap(&mut self, offer: &GapOffer) -> Verdict {
        let stand = match self.admissible(&offer.producer, &offer.speaker, offer.epoch, offer.from) {
            Ok(stand) => stand,
            Err(verdict) => return verdict,
        };
        if offer.to < offer.from || offer.to > Sequence::MAX {
            return protocol("a gap ends before it begins, or out of range");
        }
        if offer.to <= stand.last {
            return if self.fold.producer(&offer.producer).is_some_and(|state| state.last >= offer.to) {
                Verdict::Committed(stand.last)
            } else {
                Verdict::Waiting
            };
        }
        if offer.from != stand.last.next() {
            return Verdict::Expect(stand.last.next());
        }
        if offer.chain_previous != stand.chain || digest::extend_gap(stand.chain, offer.from.0, offer.to.0) != offer.chain_to {
            return diverged(format!("the gap {} to {} does not continue the chain", offer.from.0, offer.to.0));
        }
        self.flush(&offer.producer);
        let mut next = self.stand(&offer.producer).unwrap_or(stand);
        self.records.push(LaneRecord::Advance {
            producer: offer.producer,
            epoch: offer.epoch,
            from: offer.from,
            to: offer.to,
            chain_to: offer.chain_to,
            digests: Vec::new(),
            positions: Vec::new(),
        });
        next.last = offer.to;
        next.chain = offer.chain_to;
        self.drafted.insert(offer.producer, next);
        Verdict::Take
    }

    /// Judges the end of a track and, when it is taken, enters it.
    pub fn close(&mut self, offer: &CloseOffer) -> Verdict {
        let ends = (offer.sequence, offer.chain);
        if let Some(stand) = self.stand(&offer.producer).filter(|stand| stand.closed == Some(offer.next) && (stand.last, stand.chain) == ends)
            && self.owned_by(&offer.producer, &offer.speaker)
        {
            // Asked again: its first answer was lost, or waits.
            let stands = self.fold.producer(&offer.producer).is_some_and(|state| state.closed.is_some());
            return if stands { Verdict::Committed(stand.last) } else { Verdict::Waiting };
        }
        let stand = match self.admissible(&offer.producer, &offer.speaker, offer.epoch, Sequence(offer.sequence.0.max(1))) {
            Ok(stand) => stand,
            Err(verdict) => return verdict,
        };
        if offer.sequence > stand.last {
            return Verdict::Expect(stand.last.next());
        }
        if offer.sequence < stand.last || offer.chain != stand.chain {
            let why = Refusal::Diverged(format!("the track is said to end at {}, but stands at {}", offer.sequence.0, stand.last.0));
            return Verdict::Refuse { why, quarantine: offer.sequence == stand.last };
        }
        if offer.next.lane != self.fold.lane() {
            return Verdict::Refuse { why: Refusal::Fenced, quarantine: false };
        }
        let goes_on = self.stand(&offer.next).is_some_and(|next| next.closed.is_none()) && self.owned_by(&offer.next, &offer.speaker);
        if offer.next == offer.producer || !goes_on {
            return protocol("a track ends in another open one of the same edge");
        }
        self.flush(&offer.producer);
        let stand = self.stand(&offer.producer).unwrap_or(stand);
        self.records.push(LaneRecord::Close { producer: offer.producer, sequence: offer.sequence, chain: offer.chain, next: offer.next });
        self.drafted.insert(offer.producer, Drafted { closed: Some(offer.next), ..stand });
        Verdict::Take
    }

    fn admissible(&self, producer: &ProducerId, speaker: &Speaker, epoch: Epoch, sequence: Sequence) -> Result<Drafted, Verdict> {
        let refuse = |why| Verdict::Refuse { why, quarantine: false };
        if producer.lane != self.fold.lane() {
            // This hub writes another lane by now.
            return Err(refuse(Refusal::Fenced));
        }
        let stand = self.stand(producer).ok_or_else(|| refuse(Refusal::Denied))?;
        if !self.owned_by(producer, speaker) {
            return Err(refuse(Refusal::Denied));
        }
        if stand.closed.is_some() {
            return Err(refuse(Refusal::Fenced));
        }
        if stand.quarantined {
            return Err(refuse(Refusal::Diverged(format!("producer {producer} is quarantined"))));
        }
        if !cfg!(planted = "epoch_not_checked") && epoch < stand.epoch {
            return Err(refuse(Refusal::Fenced));
        }
        if epoch > stand.epoch {
            return Err(protocol("the epoch was never allotted"));
        }
        if sequence.0 == 0 || sequence > Sequence::MAX {
            return Err(protocol("the sequence is out of range"));
        }
        Ok(stand)
    }

    fn repeat(&self, stand: &Drafted, offer: &Offer) -> Verdict {
        let committed = self.fold.producer(&offer.producer);
        let known = stand.digests.get(&offer.sequence).copied().or_else(|| committed.and_then(|state| state.digest_of(offer.sequence)));
        match known {
            Some(digest) if digest != offer.digest => diverged(format!("batch {} differs from the one that is stored", offer.sequence.0)),
            // After a move the digests lie in the lane before; the newest one still shows by its chain.
            None if offer.sequence == stand.last && digest::extend(offer.chain_previous, offer.digest) != stand.chain => {
                diverged(format!("batch {} differs from the one that is stored", offer.sequence.0))
            }
            // An older number than the kept digests: the chain of the newest batch proves the past.
            _ => match committed {
                Some(state) if offer.sequence <= state.last => Verdict::Committed(state.last),
                _ => Verdict::Waiting,
            },
        }
    }

    /// Marks `producer` as quarantined, once.
    pub fn quarantine(&mut self, producer: ProducerId, reason: &str) {
        if let Some(stand) = self.stand(&producer).filter(|stand| !stand.quarantined && stand.closed.is_none()) {
            self.flush(&producer);
            self.records.push(LaneRecord::Quarantine { producer, reason: reason.to_owned() });
            let stand = self.stand(&producer).unwrap_or(stand);
            self.drafted.insert(producer, Drafted { quarantined: true, ..stand });
        }
    }

    /// Enters a record as it is.
    pub fn note(&mut self, record: LaneRecord) {
        self.records.push(record);
    }

    /// Turns what was taken of `producer` so far into an advance, so that a later record stands after it.
    fn flush(&mut self, producer: &ProducerId) {
        let Some(stand) = self.drafted.get_mut(producer).filter(|stand| stand.first.0 != 0) else { return };
        self.records.push(LaneRecord::Advance {
            producer: *producer,
            epoch: stand.epoch,
            from: stand.first,
            to: stand.last,
            chain_to: stand.chain,
            digests: stand.digests.range(stand.first..).map(|(_, digest)| *digest).collect(),
            positions: std::mem::take(&mut stand.positions).into_values().collect(),
        });
        stand.first = Sequence(0);
    }

    /// The records of the object, in the order in which they apply.
    #[must_use]
    pub fn into_records(mut self) -> Vec<LaneRecord> {
        let producers: Vec<ProducerId> = self.drafted.keys().copied().collect();
        for producer in producers {
            self.flush(&producer);
        }
        self.records
    }
}

fn diverged(reason: String) -> Verdict {
    Verdict::Refuse { why: Refusal::Diverged(reason), quarantine: true }
}

fn protocol(text: &str) -> Verdict {
    Verdict::Refuse { why: Refusal::Protocol(text.to_owned()), quarantine: false }
}

#[cfg(test)]
mod tests;
