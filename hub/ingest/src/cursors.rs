//! Which sequences of which producer are durable: drops repeats, fences, quarantines.
//!
//! Pure. Parts: [`Verdict`] (the receiver table of `docs/formats/wire.md`); [`Draftboard`], the fold of
//! the lane plus what the object being built would add, on which each request is judged in turn (lane
//! rule 4: number n is built on Fold(n-1) alone). Promises: a verdict of `Take` or `TakeOpen` is entered
//! at once, so the next request is judged after it; nothing here outlives one build of one object.
//! Must not do: await, or remember anything between builds.

use std::collections::BTreeMap;

use hub_store::limits::SOURCES_MAX;
use hub_store::{Fold, LaneRecord};
use proto_model::{BatchDigest, Chain, Epoch, ProducerId, Sequence};
use proto_wire::digest;
use proto_wire::edge_hub::Position;

use crate::request::{GapOffer, Offer, Open, Refusal, Speaker};

/// What becomes of a batch or gap.
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
    positions: BTreeMap<(String, u64, u64), Position>,
    quarantined: bool,
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
            })
        })
    }

    fn owned_by(&self, producer: &ProducerId, speaker: &Speaker) -> bool {
        let identity = speaker.to_string();
        match self.fold.producer(producer) {
            Some(state) => state.identity == identity,
            // Opened in this very object: the record names its owner.
            None => self.records.iter().any(|record| matches!(record, LaneRecord::Open { producer: p, identity: i, .. } if p == producer && *i == identity)),
        }
    }

    /// Opens `producer` (the edge's own, or the first of its identity) under the next epoch.
    /// `nonce` and WAL id are kept, so that a clone shows.
    ///
    /// # Errors
    /// The refusal, when it may not be opened.
    pub fn open(&mut self, open: &Open, producer: ProducerId) -> Result<(Epoch, Sequence, Chain), Refusal> {
        self.flush(&producer);
        let stand = match self.stand(&producer) {
            Some(_) if !self.owned_by(&producer, &open.speaker) => return Err(Refusal::Denied),
            Some(stand) => stand,
            None => Drafted {
                epoch: Epoch(0),
                last: Sequence(0),
                chain: Chain::default(),
                digests: BTreeMap::new(),
                first: Sequence(0),
                positions: BTreeMap::new(),
                quarantined: false,
            },
        };
        if stand.quarantined {
            return Err(Refusal::Diverged(format!("producer {producer} is quarantined")));
        }
        let (acked, chain) = open.acked;
        // An edge that holds an ack beyond `last` met a hub whose bucket was rolled back since: it is told where
        // the lane stands and sends again from its grace.
        if open.producer == Some(producer) && acked == stand.last && chain != stand.chain {
            return Err(Refusal::Diverged(format!("the chains differ at sequence {}", acked.0)));
        }
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
            positions: Vec::new(),
            after: None,
        });
        let answer = (epoch, stand.last, stand.chain);
        self.drafted.insert(producer, Drafted { epoch, ..stand });
        Ok(answer)
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
            next.positions.insert((position.path.clone(), position.device, position.inode), position.clone());
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

    fn admissible(&self, producer: &ProducerId, speaker: &Speaker, epoch: Epoch, sequence: Sequence) -> Result<Drafted, Verdict> {
        let refuse = |why| Verdict::Refuse { why, quarantine: false };
        let stand = self.stand(producer).ok_or_else(|| refuse(Refusal::Denied))?;
        if !self.owned_by(producer, speaker) {
            return Err(refuse(Refusal::Denied));
        }
        if stand.quarantined {
            return Err(refuse(Refusal::Diverged(format!("producer {producer} is quarantined"))));
        }
        if epoch < stand.epoch {
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
            // An older number than the kept digests: the chain of the newest batch proves the past.
            _ => match committed {
                Some(state) if offer.sequence <= state.last => Verdict::Committed(state.last),
                _ => Verdict::Waiting,
            },
        }
    }

    /// Marks `producer` as quarantined, once.
    pub fn quarantine(&mut self, producer: ProducerId, reason: &str) {
        if let Some(stand) = self.stand(&producer).filter(|stand| !stand.quarantined) {
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
