//! Whether records fit a fold: the same judgement before an object is written and when one is followed.
//!
//! Parts: [`Board`], the fold with what the header's own records change in the little that judging needs.
//! Pure. Promises: what passes here can be applied; what does not is never written, and freezes the lane
//! when it is followed. Must not do: change the fold.

use std::collections::BTreeMap;

use proto_model::{BatchDigest, Chain, Epoch, ProducerId, Sequence};
use proto_wire::digest;

use super::Fold;
use crate::header::LaneHeader;
use crate::limits::{NUMBER_MAX, SOURCES_MAX};
use crate::record::LaneRecord;

#[derive(Debug, Clone)]
struct Stand {
    identity: String,
    epoch: Epoch,
    last: Sequence,
    chain: Chain,
    /// Who goes on, once it is closed.
    closed: Option<ProducerId>,
    quarantined: bool,
    /// It may have moved in an object that was skipped: any absolutes further on are believed.
    torn: bool,
}

/// The fold plus the records before the one that is judged.
pub(super) struct Board<'f> {
    fold: &'f Fold,
    changed: BTreeMap<ProducerId, Stand>,
    map_version: u64,
    floor: u64,
}

impl<'f> Board<'f> {
    pub(super) fn new(fold: &'f Fold) -> Self {
        Self { fold, changed: BTreeMap::new(), map_version: fold.map_version, floor: fold.floor }
    }

    /// The reason why `header` does not follow, if it does not.
    pub(super) fn judge(mut self, header: &LaneHeader) -> Result<(), String> {
        let (number, head) = (header.number, self.fold.head);
        if head >= NUMBER_MAX || number != head + 1 {
            return Err(format!("it is number {number} after number {head}"));
        }
        // The true id of a skipped object is known to those only who read it before it was damaged.
        if header.previous != self.fold.head_commit && self.fold.skipped() != Some(head) {
            return Err(format!("it names {} as the commit before it, which is {}", header.previous, self.fold.head_commit));
        }
        for record in &header.records {
            self.record(record, number)?;
        }
        if header.map_version < self.map_version && !header.sections.is_empty() {
            return Err(format!("its sections follow tenant map {}, but {} is in force", header.map_version, self.map_version));
        }
        Ok(())
    }

    fn record(&mut self, record: &LaneRecord, number: u64) -> Result<(), String> {
        match record {
            LaneRecord::Open { producer, epoch, identity, sequence, chain, positions, after, .. } => {
                if positions.len() > SOURCES_MAX {
                    return Err(format!("an open of {producer} holds {} positions", positions.len()));
                }
                self.open(*producer, *epoch, identity, (*sequence, *chain), *after)
            }
            LaneRecord::Advance { producer, epoch, from, to, chain_to, digests, positions } => {
                if positions.len() > SOURCES_MAX {
                    return Err(format!("an advance of {producer} holds {} positions", positions.len()));
                }
                self.advance(*producer, *epoch, (*from, *to), *chain_to, digests)
            }
            LaneRecord::Close { producer, sequence, chain, next } => {
                let stand = self.live_stand(*producer)?;
                if !stand.leads_to(*sequence, *chain) {
                    return Err(format!("{producer} is closed at {} but stands at {}", sequence.0, stand.last.0));
                }
                self.changed.insert(*producer, Stand { closed: Some(*next), last: *sequence, chain: *chain, torn: false, ..stand });
                Ok(())
            }
            LaneRecord::Quarantine { producer, .. } => {
                // Whether it was quarantined at its Close decides where the next one begins.
                let stand = self.live_stand(*producer)?;
                self.changed.insert(*producer, Stand { quarantined: true, ..stand });
                Ok(())
            }
            LaneRecord::Map(version) => {
                self.map_version = self.map_version.max(*version);
                Ok(())
            }
            LaneRecord::Floor(floor) if *floor < number => {
                self.floor = self.floor.max(*floor);
                Ok(())
            }
            LaneRecord::Floor(floor) => Err(format!("it sets the floor to {floor}")),
            LaneRecord::Loss { .. } | LaneRecord::PushKey { .. } | LaneRecord::Owner(_) | LaneRecord::Manifest { .. } => Ok(()),
        }
    }

    fn stand(&self, producer: ProducerId) -> Option<Stand> {
        self.changed.get(&producer).cloned().or_else(|| {
            self.fold.producer(&producer).map(|state| Stand {
                identity: state.identity.clone(),
                epoch: state.epoch,
                last: state.last,
                chain: state.chain,
                closed: state.closed,
                quarantined: state.quarantined,
                torn: state.torn,
            })
        })
    }

    /// One that was opened in a skipped object, for all that can be told.
    fn torn_stand(&self) -> Option<Stand> {
        self.fold.skipped().map(|_| Stand {
            identity: String::new(),
            epoch: Epoch(0),
            last: Sequence(0),
            chain: Chain::default(),
            closed: None,
            quarantined: false,
            torn: true,
        })
    }

    /// One that is not closed.
    fn live_stand(&self, producer: ProducerId) -> Result<Stand, String> {
        let stand = self.stand(producer).or_else(|| self.torn_stand()).ok_or_else(|| format!("{producer} was never opened in this lane"))?;
        if stand.closed.is_none() { Ok(stand) } else { Err(format!("{producer} is closed")) }
    }

    /// One that is neither closed nor quarantined.
    fn open_stand(&self, producer: ProducerId) -> Result<Stand, String> {
        let stand = self.live_stand(producer)?;
        if stand.quarantined { Err(format!("{producer} is quarantined")) } else { Ok(stand) }
    }

    fn open(&mut self, producer: ProducerId, epoch: Epoch, identity: &str, at: (Sequence, Chain), after: Option<ProducerId>) -> Result<(), String> {
        if producer.lane != self.fold.lane {
            return Err(format!("{producer} lives in another lane"));
        }
        let (last, chain) = at;
        if last > Sequence::MAX {
            return Err(format!("{producer} is opened at sequence {}", last.0));
        }
        if self.stand(producer).is_some() {
            let stand = self.open_stand(producer)?;
            if epoch <= stand.epoch {
                return Err(format!("{producer} is opened under epoch {} after {}", epoch.0, stand.epoch.0));
            }
            if !stand.leads_to(last, chain) {
                return Err(format!("{producer} is opened at {} but stands at {}", last.0, stand.last.0));
            }
            if identity != stand.identity && !stand.identity.is_empty() {
                return Err(format!("{producer} is opened for another identity"));
            }
            if after.is_some() {
                return Err(format!("{producer} stands already and goes on for nobody"));
            }
        } else {
            if epoch.0 == 0 {
                return Err(format!("{producer} is opened under epoch 0"));
            }
            self.begins(producer, at, after)?;
        }
        self.changed.insert(producer, Stand { identity: identity.to_owned(), epoch, last, chain, closed: None, quarantined: false, torn: false });
        Ok(())
    }

    /// Whether `producer`, never opened before, may begin at `at` (rule 8). What stands in another lane cannot be
    /// seen from here: there the writer looked, and only the form is judged.
    fn begins(&self, producer: ProducerId, at: (Sequence, Chain), after: Option<ProducerId>) -> Result<(), String> {
        let nothing = (Sequence(0), Chain::default());
        let wanted = match after {
            None => nothing,
            Some(before) if before == producer => return Err(format!("{producer} is opened after itself")),
            Some(before) if before.lane != self.fold.lane => {
                if at.0.0 == 0 {
                    nothing
                } else {
                    at
                }
            }
            Some(before) => {
                let stand = self.stand(before).or_else(|| self.torn_stand());
                let stand = stand.ok_or_else(|| format!("{producer} is opened after {before}, which was never opened"))?;
                if stand.torn {
                    // Its end may stand in the skipped object.
                    return Ok(());
                }
                if stand.closed != Some(producer) {
                    return Err(format!("{producer} is opened after {before}, whose end does not name it"));
                }
                if stand.quarantined { nothing } else { (stand.last, stand.chain) }
            }
        };
        if at == wanted { Ok(()) } else { Err(format!("{producer} is opened at {} but begins at {}", at.0.0, wanted.0.0)) }
    }

    fn advance(&mut self, producer: ProducerId, epoch: Epoch, range: (Sequence, Sequence), chain_to: Chain, digests: &[BatchDigest]) -> Result<(), String> {
        let (from, to) = range;
        let stand = self.open_stand(producer)?;
        let epoch_fits = if stand.torn { epoch >= stand.epoch } else { epoch == stand.epoch };
        if !cfg!(planted = "epoch_not_checked") && !epoch_fits {
            return Err(format!("{producer} advances under epoch {}, not {}", epoch.0, stand.epoch.0));
        }
        let jumps = stand.torn && from.0 > stand.last.0 + 1;
        if (from.0 != stand.last.0 + 1 && !jumps) || to < from || to > Sequence::MAX {
            return Err(format!("{producer} advances from {} to {} after {}", from.0, to.0, stand.last.0));
        }
        let count = to.0 - from.0 + 1;
        // A gap has no digests; its chain cannot be told from here (part of it may be committed already).
        if !digests.is_empty() && digests.len() as u64 != count {
            return Err(format!("{producer} advances by {count} with {} digests", digests.len()));
        }
        if !jumps && !digests.is_empty() && digests.iter().fold(stand.chain, |chain, digest| digest::extend(chain, *digest)) != chain_to {
            return Err(format!("the chain of {producer} does not lead from {} to {}", from.0, to.0));
        }
        self.changed.insert(producer, Stand { epoch: if stand.torn { epoch } else { stand.epoch }, last: to, chain: chain_to, torn: false, ..stand });
        Ok(())
    }
}

impl Stand {
    /// Whether it may be said to stand there: where it stands, or further on if that could not be read.
    fn leads_to(&self, sequence: Sequence, chain: Chain) -> bool {
        (sequence, chain) == (self.last, self.chain) || (self.torn && sequence > self.last)
    }
}
