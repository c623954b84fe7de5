//! Where several tracks of an edge become one: who ends in it, and how far the sources are stored then.
//!
//! Pure. Parts: [`Other`], [`others_of`]; [`merged`]. Promises: what any of them has of a source is known to the one that is left; what lies
//! between their parts is told as missing. Must not do: await, or choose the one that is left (`moves.rs`).

use std::collections::{BTreeMap, BTreeSet};

use hub_store::{LaneRecord, ProducerState, SourceKey};
use proto_model::{Chain, Epoch, ProducerId, Sequence};
use proto_wire::edge_hub::Position;

use super::bounded;

/// Of a source in `Position.missing`: it is not known how many bytes are.
const MISSING_UNKNOWN: u64 = u64::MAX;

/// Who was to go on in place of the closed `producer`, if nobody opened that one yet: it is not `known`.
pub(super) fn unopened(producer: ProducerId, state: &ProducerState, known: &BTreeSet<ProducerId>) -> Option<ProducerId> {
    state.closed.filter(|next| *next != producer && !known.contains(next))
}

/// A producer of the asker's identity that is to end in the asker's.
#[derive(Debug, Clone, Copy)]
pub struct Other<'s> {
    /// Which.
    pub producer: ProducerId,
    /// The closed one for which it was to go on, if nobody came to open it yet.
    before: Option<(ProducerId, &'s ProducerState)>,
}

/// Those of `all` that stand and are `apart` from the asker's chain; `known` are all that any lane knows of its identity.
pub fn others_of<'s>(all: &'s [(ProducerId, ProducerState)], known: &BTreeSet<ProducerId>, apart: impl Fn(&ProducerId) -> bool) -> Vec<Other<'s>> {
    let mut others = Vec::new();
    for (id, state) in all.iter().filter(|(id, _)| apart(id)) {
        if let Some(next) = unopened(*id, state, known).filter(|next| apart(next)) {
            others.push(Other { producer: next, before: Some((*id, state)) });
        } else if state.closed.is_none() && !state.quarantined {
            others.push(Other { producer: *id, before: None });
        }
    }
    others
}

impl Other<'_> {
    /// The records that close it into `end`, `known` being what its lane says of it; one that nobody opened is opened first.
    #[must_use]
    pub fn close(&self, known: Option<&ProducerState>, end: ProducerId) -> Vec<LaneRecord> {
        let Self { producer, before } = *self;
        if let (None, Some((before, state))) = (known, before) {
            let (sequence, chain) = if state.quarantined { (Sequence(0), Chain::default()) } else { (state.last, state.chain) };
            let open = LaneRecord::Open {
                producer,
                epoch: Epoch(1),
                identity: state.identity.clone(),
                nonce: state.nonce,
                wal_id: state.wal_id,
                track: state.track,
                sequence,
                chain,
                positions: bounded(state.positions.values().cloned().collect()),
                after: Some(before),
            };
            return vec![open, LaneRecord::Close { producer, sequence, chain, next: end }];
        }
        let stands = known.filter(|state| state.closed.is_none() && !state.quarantined && producer != end);
        stands.map(|state| LaneRecord::Close { producer, sequence: state.last, chain: state.chain, next: end }).into_iter().collect()
    }
}

/// How far the sources of an identity are durable: of each source the farthest of `open`, and what `ended` knew (they ended in the same
/// producer, in a try that was not finished) of sources that are not among them, or behind where those stand. What an older track had not sent
/// yet, while a later one was ahead of it, is missing; `oldest` are the sources of the oldest track, if several were open.
#[must_use]
pub fn merged<'s>(
    open: impl IntoIterator<Item = &'s Position> + Clone,
    ended: impl IntoIterator<Item = &'s Position> + Clone,
    oldest: Option<&BTreeSet<SourceKey>>,
) -> Vec<Position> {
    let mut all = farthest(open.clone());
    let mut behind: Vec<&Position> = ended.clone().into_iter().collect();
    behind.sort_by_key(|position| position.from);
    for position in behind {
        let known = all.entry(SourceKey::of(position)).or_insert(position);
        if follows(position, known) {
            *known = position;
        }
    }
    let mut told: BTreeMap<SourceKey, Vec<&Position>> = BTreeMap::new();
    for position in open.into_iter().chain(ended) {
        told.entry(SourceKey::of(position)).or_default().push(position);
    }
    let whole = all.into_iter().map(|(key, position)| {
        let is_begun = oldest.is_none_or(|oldest| oldest.contains(&key));
        Position { from: 0, missing: told.get(&key).map_or(0, |told| missing(position, told, is_begun)), ..position.clone() }
    });
    bounded(whole.collect())
}

/// Whether `later` is of a track that began where `known` is or further on. Else it may be of a file that had the same number before.
fn follows(later: &Position, known: &Position) -> bool {
    later.generation == known.generation && later.from >= known.offset
}

/// Bytes of a source that are in none of the tracks, up to `end`, the farthest of `told`. `is_begun`: what lies before all of them was of tracks that
/// have ended.
fn missing(end: &Position, told: &[&Position], is_begun: bool) -> u64 {
    let older = || told.iter().filter(|position| position.generation < end.generation);
    let mut ranges: Vec<(u64, u64)> = told.iter().filter(|position| position.generation == end.generation).map(|told| (told.from, told.offset)).collect();
    ranges.sort_unstable();
    if ranges.first().is_some_and(|(from, _)| *from > 0) && older().next().is_some() {
        return MISSING_UNKNOWN;
    }
    let known = told.iter().map(|position| position.missing).max().unwrap_or_default();
    let mut reached = ranges.first().filter(|_| is_begun).map_or(0, |(from, _)| *from);
    let mut between = 0_u64;
    for (from, to) in ranges {
        between = between.saturating_add(from.saturating_sub(reached));
        reached = reached.max(to);
    }
    between.max(known)
}

fn farthest<'s>(positions: impl IntoIterator<Item = &'s Position>) -> BTreeMap<SourceKey, &'s Position> {
    let mut farthest: BTreeMap<SourceKey, &Position> = BTreeMap::new();
    for position in positions {
        let kept = farthest.entry(SourceKey::of(position)).or_insert(position);
        if (position.generation, position.offset) > (kept.generation, kept.offset) {
            *kept = position;
        }
    }
    farthest
}
