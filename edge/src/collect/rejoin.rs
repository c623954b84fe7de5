//! Where reading goes on when a WAL knows less of its tracks than the hub: which batches of older tracks count still, and where each source stands.
//!
//! Pure. Parts: [`Rejoin`], which is shown each unacked entry, oldest first ([`Rejoin::older`], [`Rejoin::void`]), and then says where
//! sources are read on ([`Rejoin::finish`]); [`Rejoined`]. Promises: what the hub has under the later track is neither sent nor read again; what is
//! between where the older tracks end and where the later one began is a loss that its position bears. Must not do: read the WAL.

use std::collections::{BTreeMap, BTreeSet};

use edge_wal::{Loss, SourcePosition, Unacked};
use proto_model::{Sequence, TrackId};
use proto_seam::FileIdentity;

use crate::receive::streams::is_stream;

/// How far a source goes: a file that was cut is another one.
const fn reach(position: &SourcePosition) -> (u32, u64) {
    (position.generation, position.resume)
}

fn farthest<'p>(positions: impl IntoIterator<Item = &'p SourcePosition>) -> BTreeMap<FileIdentity, SourcePosition> {
    let mut all: BTreeMap<FileIdentity, SourcePosition> = BTreeMap::new();
    for position in positions.into_iter().filter(|position| !is_stream(position)) {
        if all.get(&position.identity).is_none_or(|known| reach(known) <= reach(position)) {
            all.insert(position.identity, position.clone());
        }
    }
    all
}

/// The source, to be read again from `byte` on.
pub(super) fn back_to(position: &SourcePosition, byte: u64) -> SourcePosition {
    SourcePosition { offset: byte, resume: byte, held: Vec::new(), gone: false, done: false, ..position.clone() }
}

/// The hub's word on a track and those before it, against what the WAL holds of those.
#[derive(Debug)]
pub(super) struct Rejoin {
    /// Of the track: from where to where it has each source.
    told: BTreeMap<FileIdentity, SourcePosition>,
    /// Of older tracks what the hub has, and what counts of the entries seen so far.
    older: BTreeMap<FileIdentity, SourcePosition>,
    /// Tracks whose entries do not count from a number on.
    cuts: BTreeMap<TrackId, Sequence>,
    /// Sources of void entries: what the WAL says of them does not count.
    void: BTreeSet<FileIdentity>,
    /// Those of void entries of older tracks.
    cut: BTreeSet<FileIdentity>,
    losses: Vec<Loss>,
    lost_streams: bool,
}

/// What came of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Rejoined {
    /// Where sources are read on; a loss that a position bears is still to be told.
    pub positions: Vec<SourcePosition>,
    /// Older tracks end before these numbers.
    pub cuts: Vec<(TrackId, Sequence)>,
    /// Losses that void entries told.
    pub losses: Vec<Loss>,
    /// Sources that stand where this WAL says, though a part before may be nowhere.
    pub doubtful: Vec<SourcePosition>,
    /// Lines that senders handed in are void.
    pub lost_streams: bool,
}

impl Rejoin {
    /// By what the hub told of the track, and of those before it.
    pub(super) fn new(told: &[SourcePosition], older: &[SourcePosition]) -> Self {
        let (told, older) = (farthest(told), farthest(older));
        Self { told, older, cuts: BTreeMap::new(), void: BTreeSet::new(), cut: BTreeSet::new(), losses: Vec::new(), lost_streams: false }
    }

    /// An entry of an older track, which waits for an ack.
    pub(super) fn older(&mut self, track: TrackId, entry: Unacked) {
        if self.cuts.contains_key(&track) || entry.positions.iter().any(|position| self.is_ahead(position)) {
            self.cuts.entry(track).or_insert(entry.from);
            self.cut.extend(entry.positions.iter().map(|position| position.identity));
            return self.void(entry);
        }
        for position in entry.positions.into_iter().filter(|position| !is_stream(position)) {
            if self.older.get(&position.identity).is_none_or(|known| reach(known) <= reach(&position)) {
                self.older.insert(position.identity, position);
            }
        }
    }

    /// An entry that does not count.
    pub(super) fn void(&mut self, entry: Unacked) {
        self.lost_streams |= entry.loss.is_none() && (entry.positions.is_empty() || entry.positions.iter().any(is_stream));
        self.losses.extend(entry.loss);
        self.void.extend(entry.positions.iter().filter(|position| !is_stream(position)).map(|position| position.identity));
    }

    /// Whether what leads up to `position` is, in part, what the hub has under the later track.
    fn is_ahead(&self, position: &SourcePosition) -> bool {
        let Some(told) = self.told.get(&position.identity).filter(|told| told.generation == position.generation && !is_stream(position)) else { return false };
        let before = self.older.get(&position.identity).filter(|known| known.generation == position.generation).map_or(0, |known| known.resume);
        position.resume > told.from && before < told.resume
    }

    /// Whether all that is void of the source was of `track`: what lies before where that began with it was of tracks that are drained.
    fn began_here(&self, track: TrackId, position: &SourcePosition) -> bool {
        let is_same = |told: &SourcePosition| told.generation == position.generation;
        position.track == track.0 && !self.cut.contains(&position.identity) && self.told.get(&position.identity).is_none_or(is_same)
    }

    /// Where sources of `track` are read on, the WAL standing at `known`. `is_whole`: what neither the hub nor the WAL tells of was never stored.
    pub(super) fn finish(mut self, track: TrackId, known: &[SourcePosition], is_whole: bool) -> Rejoined {
        let mut rejoined = Rejoined::default();
        for position in known.iter().filter(|position| !is_stream(position)) {
            let void = self.void.contains(&position.identity);
            match self.older.get(&position.identity) {
                Some(older) if void || reach(older) > reach(position) => {}
                Some(_) => drop(self.older.insert(position.identity, position.clone())),
                None if !void => drop(self.older.insert(position.identity, position.clone())),
                None if !is_whole && self.began_here(track, position) => drop(self.older.insert(position.identity, back_to(position, position.from))),
                None if self.told.contains_key(&position.identity) => {}
                None if is_whole => rejoined.positions.push(SourcePosition { track: 0, from: 0, ..back_to(position, position.begun) }),
                None => {
                    rejoined.doubtful.push(position.clone());
                    rejoined.positions.push(position.clone());
                }
            }
        }
        for (identity, told) in self.told {
            let older = self.older.get(&identity);
            if older.is_some_and(|older| reach(older) >= reach(&told)) {
                continue;
            }
            let between = match older {
                Some(older) if older.generation < told.generation => SourcePosition::MISSING_UNKNOWN,
                Some(older) => told.from.saturating_sub(older.resume),
                None => told.from,
            };
            self.older.insert(identity, SourcePosition { missing: told.missing.saturating_add(between), ..told });
        }
        rejoined.positions.extend(self.older.into_values());
        rejoined.cuts = self.cuts.into_iter().collect();
        (rejoined.losses, rejoined.lost_streams) = (self.losses, self.lost_streams);
        rejoined
    }
}

#[cfg(test)]
mod tests;
