//! Where each entry of each track lies, and the chain through them; shared by writer and readers.
//!
//! Parts: [`Track`] (a dense run of slots and the marks in it), [`FileFact`] and [`Clear`] (the files),
//! [`Index`] (all tracks, the files, the counters). The slots of a track cover `base + 1..next`
//! without a hole: what is missing on disk is a slot of its own kind. The chain is not stored but
//! folded from the digests, because a gap that takes the place of batches changes it for all after them.
//! Must not do: I/O.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use proto_model::{BatchDigest, Chain, ProducerId, Sequence, Timestamp, TrackId};
use proto_wire::digest;

use crate::entry::pb;
use crate::limits::{ACK_LAG_BYTES, DRAINED_KEPT, SENT_BATCHES_MAX};
use crate::recover::{TrackState, reason};
use crate::sinks::Sinks;
use crate::slot::{Place, Slot, SlotKind};

/// One track.
#[derive(Debug)]
pub(crate) struct Track {
    /// Its producer.
    pub(crate) producer: Option<ProducerId>,
    /// No more batches join it.
    pub(crate) closed: bool,
    /// The number the next batch gets.
    pub(crate) next: u64,
    /// All up to here was synced once.
    pub(crate) durable: u64,
    /// The hub has all up to here.
    pub(crate) acked: u64,
    /// The chain there.
    pub(crate) acked_chain: Chain,
    /// What a restart would find as `acked`.
    pub(crate) acked_durable: u64,
    /// A hub may have been sent all up to here: never dropped.
    pub(crate) sent: u64,
    /// The sequence before the oldest slot.
    base: u64,
    base_chain: Chain,
    /// The chain at `next - 1`.
    tail: Chain,
    slots: VecDeque<Slot>,
    /// Where the fold was last asked for: readers go upward.
    cursor: (u64, Chain),
    /// Closed and acked as a whole since this file was begun.
    pub(crate) drained_in: Option<u32>,
    /// How often it was numbered anew.
    pub(crate) rebased: u32,
    /// Not all records were told yet: a hole keeps the chain that the record after it gives.
    is_replayed: bool,
}

impl Track {
    /// A track that begins after `base`.
    pub(crate) const fn new(base: u64, chain: Chain) -> Self {
        Self {
            producer: None,
            closed: false,
            next: base + 1,
            durable: base,
            acked: base,
            acked_chain: chain,
            acked_durable: base,
            sent: base,
            base,
            base_chain: chain,
            tail: chain,
            slots: VecDeque::new(),
            cursor: (base, chain),
            drained_in: None,
            rebased: 0,
            is_replayed: false,
        }
    }

    /// The same, until [`Self::settle`].
    pub(crate) fn replayed(base: u64, chain: Chain) -> Self {
        Self { is_replayed: true, ..Self::new(base, chain) }
    }

    /// The same after `rebased` new numberings, until [`Self::settle`].
    pub(crate) fn replayed_after(rebased: u32, base: u64, chain: Chain) -> Self {
        Self { rebased, ..Self::replayed(base, chain) }
    }

    /// The chain at `next - 1`.
    pub(crate) const fn tail(&self) -> Chain {
        self.tail
    }

    /// The oldest sequence still here; `next` when there is none.
    pub(crate) const fn oldest(&self) -> u64 {
        self.base + 1
    }

    /// The last sequence that slot `at` covers.
    fn last_of(&self, at: usize) -> u64 {
        self.slots.get(at + 1).map_or(self.next, |slot| slot.from) - 1
    }

    fn index_of(&self, sequence: u64) -> Option<usize> {
        if sequence <= self.base || sequence >= self.next {
            return None;
        }
        self.slots.partition_point(|slot| slot.from <= sequence).checked_sub(1)
    }

    /// The slot that covers `sequence`, and the last sequence it covers.
    pub(crate) fn at(&self, sequence: u64) -> Option<(Slot, u64)> {
        let at = self.index_of(sequence)?;
        Some((self.slots[at], self.last_of(at)))
    }

    /// The slot that begins at `from`, to change its place.
    pub(crate) fn slot_mut(&mut self, from: u64) -> Option<&mut Slot> {
        let at = self.index_of(from)?;
        self.slots.get_mut(at).filter(|slot| slot.from == from)
    }

    /// All slots that reach beyond `after`, each with the last sequence it covers.
    pub(crate) fn after(&self, after: u64) -> impl Iterator<Item = (Slot, u64)> + '_ {
        let first = self.slots.partition_point(|slot| slot.from <= after);
        let first = if first > 0 && self.last_of(first - 1) > after { first - 1 } else { first };
        (first..self.slots.len()).map(|at| (self.slots[at], self.last_of(at)))
    }

    /// All slots from the first batch for which `is_after` holds, each with the last sequence it covers. Batches lie in order:
    /// once it holds for one, it holds for all that follow.
    pub(crate) fn since_batch(&self, is_after: impl Fn(&Slot) -> bool) -> impl Iterator<Item = (Slot, u64)> + '_ {
        let (mut low, mut high) = (0, self.slots.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            // Gaps lie anywhere: the nearest batch before says on which side this is.
            match (low..=middle).rev().find(|at| self.slots[*at].kind() == SlotKind::Batch) {
                Some(at) if is_after(&self.slots[at]) => high = at,
                Some(_) | None => low = middle + 1,
            }
        }
        (high..self.slots.len()).map(|at| (self.slots[at], self.last_of(at)))
    }

    /// Adds a slot at the end that covers `slot.from..=to`; `slot.from` is `next`.
    pub(crate) fn push(&mut self, slot: Slot, to: u64) {
        debug_assert_eq!(slot.from, self.next, "slots are dense");
        self.tail = step(self.tail, &slot, to);
        self.slots.push_back(slot);
        self.next = to + 1;
    }

    /// Puts one slot in the place of all that covers `slot.from..=to`.
    pub(crate) fn replace(&mut self, slot: Slot, to: u64) {
        self.split_after(slot.from - 1);
        self.split_after(to);
        let first = self.slots.partition_point(|old| old.from < slot.from);
        let end = self.slots.partition_point(|old| old.from <= to);
        self.slots.drain(first..end);
        self.slots.insert(first, slot);
        self.refold();
    }

    /// Makes `sequence` the end of the slot that covers it; only gaps and holes cover more than one.
    fn split_after(&mut self, sequence: u64) {
        let Some(at) = self.index_of(sequence).filter(|at| self.last_of(*at) > sequence) else { return };
        let mut rest = self.slots[at];
        rest.from = sequence + 1;
        if sequence == self.acked {
            self.slots[at].link = self.acked_chain.0;
        }
        self.slots.insert(at + 1, rest);
    }

    /// Takes back all from `next` on, which the hub does not have.
    pub(crate) fn cut(&mut self, next: u64) {
        let next = next.max(self.acked + 1).max(self.base + 1);
        if next >= self.next {
            return;
        }
        self.split_after(next - 1);
        let keep = self.slots.partition_point(|slot| slot.from < next);
        self.slots.truncate(keep);
        self.next = next;
        self.durable = self.durable.min(next - 1);
        self.sent = self.sent.min(next - 1);
        self.refold();
    }

    /// Forgets all up to `sequence`, which the hub has.
    pub(crate) fn forget_through(&mut self, sequence: u64) {
        let sequence = sequence.min(self.acked);
        let Some(chain) = self.chain_at(sequence) else { return };
        let keep = self.slots.partition_point(|slot| slot.from <= sequence);
        self.slots.drain(..keep);
        if self.slots.is_empty() {
            self.slots.shrink_to_fit();
        }
        self.base = sequence;
        self.base_chain = chain;
    }

    /// Puts the beginning of the track back to before `gap`, which covers all up to `to`.
    pub(crate) fn reach_back(&mut self, chain: Chain, gap: Slot, to: u64) {
        self.split_after(to);
        let keep = self.slots.partition_point(|slot| slot.from <= to);
        self.slots.drain(..keep);
        self.base = gap.from - 1;
        self.base_chain = chain;
        self.slots.push_front(gap);
        self.cursor = (self.base, chain);
    }

    /// Sets the hub's mark, in either direction, and the chain there.
    pub(crate) fn set_acked(&mut self, sequence: u64, chain: Chain) {
        let agrees = self.chain_at(sequence) == Some(chain) && sequence >= self.acked;
        self.acked = sequence;
        self.acked_chain = chain;
        self.split_after(sequence);
        if !agrees {
            self.refold();
        }
    }

    /// The chain at `sequence`; `None` when it is not here or lies inside a gap.
    pub(crate) fn chain_at(&mut self, sequence: u64) -> Option<Chain> {
        let known = [(self.next - 1, self.tail), (self.acked, self.acked_chain), (self.base, self.base_chain)];
        if let Some((_, chain)) = known.iter().find(|(at, _)| *at == sequence) {
            return Some(*chain);
        }
        if sequence < self.base || sequence >= self.next {
            return None;
        }
        let from = [self.cursor, (self.acked, self.acked_chain), (self.base, self.base_chain)];
        let (mut at, mut chain) = *from.iter().find(|(at, _)| (self.base..=sequence).contains(at) && (*at >= self.acked || sequence < self.acked))?;
        for (slot, to) in self.after(at) {
            if to > sequence {
                break;
            }
            chain = step(chain, &slot, to);
            at = to;
        }
        self.cursor = (at, chain);
        (at == sequence).then_some(chain)
    }

    /// Folds the chain anew from the hub's mark on; holes after it are links of their own.
    pub(crate) fn refold(&mut self) {
        self.cursor = (self.acked, self.acked_chain);
        let mut chain = self.acked_chain;
        let first = self.slots.partition_point(|slot| slot.from <= self.acked);
        for at in first..self.slots.len() {
            let (from, to) = (self.slots[at].from, self.last_of(at));
            if self.slots[at].kind() == SlotKind::Hole && !self.is_replayed {
                self.slots[at].link = digest::extend_gap(chain, from, to).0;
            }
            chain = step(chain, &self.slots[at], to);
        }
        self.tail = chain;
    }

    /// Numbers the track anew: what covers the sequences of `kept`, in order, gets 1, 2, 3, ..., everything else is
    /// forgotten. What of `kept` is not here any more (its files are gone, the hub has it) is a hole.
    pub(crate) fn rebase(&mut self, kept: &[(u64, u64)]) {
        let mut slots = VecDeque::new();
        let mut next = 1;
        let hole = |from| Slot::new(SlotKind::Hole, from, [0; 16], Timestamp::default(), 0).durable();
        for &(from, to) in kept {
            let mut at = from;
            for (mut slot, last) in self.after(from - 1).take_while(|(slot, _)| slot.from <= to) {
                let (first, last) = (slot.from.max(from), last.min(to));
                if first > at {
                    slots.push_back(hole(next));
                    next += first - at;
                }
                slot.from = next;
                next += last + 1 - first;
                at = last + 1;
                slots.push_back(slot);
            }
            if at <= to {
                slots.push_back(hole(next));
                next += to + 1 - at;
            }
        }
        let zero = Chain::default();
        *self = Self {
            producer: self.producer,
            closed: self.closed,
            next,
            durable: next - 1,
            slots,
            rebased: self.rebased + 1,
            is_replayed: self.is_replayed,
            ..Self::new(0, zero)
        };
        self.refold();
    }

    /// What an earlier process may have sent beyond the durable ack: what was in flight, and what was acked in memory alone.
    pub(crate) fn assume_sent(&mut self) {
        let (mut sent, mut entries, mut bytes) = (self.acked_durable, 0, 0);
        if self.producer.is_some() {
            for (slot, to) in self.after(self.acked_durable) {
                if entries >= SENT_BATCHES_MAX || bytes >= 2 * ACK_LAG_BYTES {
                    break;
                }
                sent = to;
                entries += 1;
                bytes += slot.len();
            }
        }
        self.sent = sent;
    }

    /// All records were told: what the hub has and nobody can read is forgotten, the rest is folded anew.
    pub(crate) fn settle(&mut self) {
        while let Some(to) = self.slots.front().filter(|slot| slot.kind() == SlotKind::Hole).map(|_| self.last_of(0)).filter(|to| *to <= self.acked) {
            let before = self.slots.len();
            self.forget_through(to);
            if self.slots.len() == before {
                break;
            }
        }
        self.is_replayed = false;
        self.durable = self.next - 1;
        self.acked_durable = self.acked;
        self.refold();
        self.assume_sent();
    }

    /// Its end, as a record of another track tells it.
    pub(crate) fn end(&self, track: u32) -> pb::End {
        pb::End { track, next: self.next, chain: Bytes::copy_from_slice(&self.tail.0), rebased: self.rebased }
    }

    /// The track as callers see it.
    pub(crate) fn state(&self, track: u32) -> TrackState {
        TrackState {
            track: TrackId(track),
            producer: self.producer,
            next: Sequence(self.next),
            chain: self.tail,
            acked: Sequence(self.acked),
            acked_chain: self.acked_chain,
            oldest: Sequence(self.oldest()),
            closed: self.closed,
        }
    }
}

fn step(chain: Chain, slot: &Slot, to: u64) -> Chain {
    match slot.kind() {
        SlotKind::Batch => digest::extend(chain, BatchDigest(slot.link)),
        SlotKind::Gap => digest::extend_gap(chain, slot.from, to),
        SlotKind::Hole => Chain(slot.link),
    }
}

/// One file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct FileFact {
    /// Its length.
    pub(crate) bytes: u64,
    /// Since when the hub is known to have all of it.
    pub(crate) clear_since: Option<Timestamp>,
    /// Its end is void, and only the head of the next file says where that begins.
    pub(crate) needs_next: bool,
}

/// All tracks and files, and what was counted since the start.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// Tracks by number.
    pub(crate) tracks: BTreeMap<u32, Track>,
    /// Files by number.
    pub(crate) files: BTreeMap<u32, FileFact>,
    /// The file that is written.
    pub(crate) current: Option<u32>,
    /// The disk was full at the last try.
    pub(crate) stalled: bool,
    /// Records found damaged while reading.
    pub(crate) damaged_reads: u64,
    /// Lines in them.
    pub(crate) damaged_lines: u64,
    /// Failed syncs.
    pub(crate) sync_failures: u64,
    /// Files that tell how a track was numbered anew: what lies in older files cannot be read without them.
    pub(crate) rebased_in: BTreeSet<u32>,
    /// Who reads beside the hub.
    pub(crate) sinks: Sinks,
}

/// A file that no unacked entry needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Clear {
    /// A restart knows so too.
    pub(crate) is_durable: bool,
    /// It holds acked entries: worth the grace.
    pub(crate) holds_acked: bool,
}

impl Index {
    /// The files that no unacked entry and no sink needs; never the newest, which alone may tell of acks, bindings and positions.
    pub(crate) fn clear_files(&self) -> BTreeMap<u32, Clear> {
        self.clear_but(self.files.keys().next_back().copied())
    }

    /// Bytes of the files that would be clear if a new one were begun.
    pub(crate) fn bytes_done(&self) -> u64 {
        self.clear_but(None).keys().filter_map(|number| self.files.get(number)).map(|file| file.bytes).sum()
    }

    fn clear_but(&self, newest: Option<u32>) -> BTreeMap<u32, Clear> {
        let files = self.files.keys().filter(|number| Some(**number) != newest);
        let mut clear: BTreeMap<u32, Clear> = files.map(|number| (*number, Clear { is_durable: true, holds_acked: false })).collect();
        for track in self.tracks.values() {
            for (slot, to) in track.after(track.oldest() - 1).filter(|(slot, _)| slot.kind() != SlotKind::Hole) {
                let file = slot.where_it_lies().file;
                if to > track.acked || self.sinks.need(&slot) {
                    clear.remove(&file);
                } else if let Some(clear) = clear.get_mut(&file) {
                    clear.holds_acked = true;
                    clear.is_durable &= to <= track.acked_durable;
                }
            }
        }
        clear
    }

    /// The files were removed: what lay in them is forgotten, with what came before.
    pub(crate) fn forget_files(&mut self, removed: &BTreeSet<u32>) {
        self.files.retain(|number, _| !removed.contains(number));
        self.rebased_in.retain(|number| !removed.contains(number));
        for track in self.tracks.values_mut() {
            let in_removed = |slot: &Slot| slot.kind() != SlotKind::Hole && slot.is_durable() && removed.contains(&slot.where_it_lies().file);
            let acked = track.acked;
            let last =
                track.after(track.oldest() - 1).take_while(|(slot, to)| *to <= acked && !self.sinks.need(slot)).filter(|(slot, _)| in_removed(slot)).last();
            if let Some((_, to)) = last {
                track.forget_through(to);
            }
        }
    }

    /// File `begun` comes next: of closed tracks that the hub has as a whole, and of whose batches no file tells, the last ones are kept: should
    /// the hub be rolled back to before their end, what it lacks is told as lost. The newest track of all stays, so that no number is used twice.
    pub(crate) fn drop_drained(&mut self, begun: u32) {
        let newest = self.tracks.keys().next_back().copied();
        let oldest_file = self.files.keys().next().copied().unwrap_or(begun);
        for track in self.tracks.values_mut().filter(|track| track.closed && track.acked + 1 == track.next) {
            track.drained_in.get_or_insert(begun);
        }
        let untold = |number: u32, track: &Track| Some(number) != newest && track.drained_in.is_some_and(|since| since <= oldest_file);
        let untold: Vec<u32> = self.tracks.iter().filter(|(number, track)| untold(**number, track)).map(|(number, _)| *number).collect();
        for number in &untold[..untold.len().saturating_sub(DRAINED_KEPT)] {
            self.tracks.remove(number);
        }
    }

    /// Bytes of all files.
    pub(crate) fn bytes(&self) -> u64 {
        self.files.values().map(|file| file.bytes).sum()
    }

    /// The entry at `sequence` cannot be read: what is left of it is a hole. Gives whether anything changed.
    pub(crate) fn give_up(&mut self, track: u32, sequence: u64, place: Place) -> bool {
        let Some(track) = self.tracks.get_mut(&track) else { return false };
        let Some((slot, to)) = track.at(sequence).filter(|(slot, _)| slot.kind() != SlotKind::Hole && slot.where_it_lies() == place) else { return false };
        self.sinks.lose(&slot, reason::WAL_DAMAGED);
        // What the hub has keeps its chain; the rest gets one of its own in `refold`.
        let link = track.chain_at(to).unwrap_or_default();
        let mut hole = Slot::new(SlotKind::Hole, slot.from, link.0, slot.written, u64::from(slot.lines));
        hole.set_durable();
        track.replace(hole, to);
        self.damaged_reads += 1;
        self.damaged_lines += u64::from(slot.lines);
        true
    }
}

#[cfg(test)]
mod tests;
