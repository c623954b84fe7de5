//! Who reads the WAL beside the hub: a cursor each, what they keep here, what is lost to them.
//!
//! Parts: [`SinkId`], [`Cursor`] (a place, since a producer's successor numbers batches anew and an adoption voids them,
//! but nothing moves a batch), [`SinkEntry`], [`SinkUsage`], [`SinkLost`]; `Sinks`, which the index holds; what is asked of
//! [`WalReader`] and [`Wal`]. Batches come in the order in which they were written, whatever their track: lines of one stream
//! stay in order. Promises: a file with a batch that a sink has not passed is not deleted; what a sink cannot get any more
//! is counted for that sink, but for batches that were handed to it: what becomes of their lines it knows itself; reading for a sink does not
//! count as sent to the hub. Must not do: keep cursors on disk.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use proto_model::{Sequence, Timestamp, TrackId};

use crate::entry::Head;
use crate::fault::WalFault;
use crate::index::{Index, Track};
use crate::read::{Fetched, WalReader};
use crate::recover::reason;
use crate::slot::{Place, Slot, SlotKind};
use crate::wal::{Wal, locked};

/// Names a sink while the WAL is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SinkId(pub u64);

/// How far a sink is: it has all batches that begin here or before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Cursor {
    /// File number; 0 = nothing yet.
    pub file: u32,
    /// Where in it.
    pub offset: u32,
}

/// A batch for a sink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkEntry {
    /// Where it lies: the cursor of who has it.
    pub at: Cursor,
    /// The frozen batch.
    pub body: Bytes,
    /// When it was appended.
    pub written: Timestamp,
    /// Lines in it.
    pub lines: u64,
}

/// Where a sink stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SinkUsage {
    /// How far it is.
    pub passed: Cursor,
    /// Bytes of the batches after that.
    pub lag_bytes: u64,
    /// Lines in them.
    pub lag_lines: u64,
    /// When the oldest of them was written.
    pub oldest: Option<Timestamp>,
}

/// Batches that a sink will not get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkLost {
    /// Why: a word fit for a metric label.
    pub reason: String,
    /// Lines in them.
    pub lines: u64,
}

/// All sinks, as the index holds them.
#[derive(Debug, Default)]
pub(crate) struct Sinks(BTreeMap<SinkId, Sink>);

#[derive(Debug, Default)]
struct Sink {
    passed: Cursor,
    /// The last batch that was handed to it.
    handed: Cursor,
    lost: BTreeMap<String, u64>,
}

impl Cursor {
    const fn of(place: Place) -> Self {
        Self { file: place.file, offset: place.offset }
    }
}

impl Sink {
    /// Whether a batch is still the WAL's to account for.
    fn is_owed(&self, at: Cursor) -> bool {
        at > self.passed.max(self.handed)
    }

    fn lose(&mut self, reason: &str, lines: u64) {
        let count = self.lost.entry(reason.to_owned()).or_default();
        *count = count.saturating_add(lines);
    }
}

impl Sinks {
    /// How far all of them are; `None` when there is none.
    pub(crate) fn passed_by_all(&self) -> Option<Cursor> {
        self.0.values().map(|sink| sink.passed).min()
    }

    /// Whether one of them has yet to get this entry.
    pub(crate) fn need(&self, slot: &Slot) -> bool {
        slot.kind() == SlotKind::Batch && self.passed_by_all().is_some_and(|passed| Cursor::of(slot.where_it_lies()) > passed)
    }

    /// The entry cannot be read any more: it is lost to those to whom it was not handed.
    pub(crate) fn lose(&mut self, slot: &Slot, reason: &str) {
        let at = Cursor::of(slot.where_it_lies());
        for sink in self.0.values_mut().filter(|sink| slot.kind() == SlotKind::Batch && sink.is_owed(at)) {
            sink.lose(reason, u64::from(slot.lines));
        }
    }

    fn passed_by_another(&self, own: SinkId, at: Cursor) -> bool {
        self.0.iter().any(|(id, sink)| *id != own && at <= sink.passed)
    }
}

/// The durable batches of `track` after `passed`, each with the last sequence it covers.
fn batches_after(track: &Track, passed: Cursor) -> impl Iterator<Item = (Slot, u64)> + '_ {
    let is_due = move |slot: &Slot| slot.kind() == SlotKind::Batch && slot.is_durable() && Cursor::of(slot.where_it_lies()) > passed;
    track.since_batch(move |slot| Cursor::of(slot.where_it_lies()) > passed).filter(move |(slot, _)| is_due(slot))
}

impl Index {
    /// Lines of the batches of `track` that were not handed to each sink.
    pub(crate) fn due_to_sinks(&self, track: u32) -> BTreeMap<SinkId, u64> {
        let Some(track) = self.tracks.get(&track) else { return BTreeMap::new() };
        let lines = |sink: &Sink| batches_after(track, sink.passed.max(sink.handed)).map(|(slot, _)| u64::from(slot.lines)).sum();
        self.sinks.0.iter().map(|(id, sink)| (*id, lines(sink))).collect()
    }

    /// Batches of `track` became void: what sinks were due before and are not now is lost to them.
    pub(crate) fn voided(&mut self, track: u32, before: &BTreeMap<SinkId, u64>) {
        let after = self.due_to_sinks(track);
        for (id, sink) in &mut self.sinks.0 {
            let lines = before.get(id).copied().unwrap_or(0).saturating_sub(after.get(id).copied().unwrap_or(0));
            if lines > 0 {
                sink.lose(reason::WAL_VOIDED, lines);
            }
        }
    }

    /// The oldest batch after `after`; `None` when there is none that is durable.
    fn next_batch(&self, after: Cursor) -> Option<(u32, Slot)> {
        let first = |(number, track): (&u32, &Track)| Some((*number, track.since_batch(|slot| Cursor::of(slot.where_it_lies()) > after).next()?.0));
        let next = self.tracks.iter().filter_map(first).min_by_key(|(_, slot)| Cursor::of(slot.where_it_lies()))?;
        Some(next).filter(|(_, slot)| slot.is_durable())
    }

    /// The batch at `at`, the next after `after`, goes to a sink: false when it is not there any more, or the sink was moved on behind it.
    fn hand_over(&mut self, id: SinkId, after: Cursor, at: Cursor) -> bool {
        let is_there = self.next_batch(after).is_some_and(|(_, slot)| Cursor::of(slot.where_it_lies()) == at);
        let Some(sink) = self.sinks.0.get_mut(&id) else { return is_there };
        let is_due = is_there && at > sink.passed;
        if is_due {
            sink.handed = at;
        }
        is_due
    }

    /// Moves a sink on until what it alone keeps here is at most `bytes_max`: what the hub or another sink has passed.
    fn cut_sink(&mut self, id: SinkId, bytes_max: u64) {
        let Some(passed) = self.sinks.0.get(&id).map(|sink| sink.passed) else { return };
        let mut due: Vec<(Cursor, u64, u64, bool)> = Vec::new();
        for track in self.tracks.values() {
            due.extend(batches_after(track, passed).map(|(slot, to)| {
                let at = Cursor::of(slot.where_it_lies());
                (at, slot.len(), u64::from(slot.lines), to <= track.acked || self.sinks.passed_by_another(id, at))
            }));
        }
        due.sort_unstable();
        let mut kept: u64 = due.iter().filter(|(.., alone)| *alone).map(|(_, len, ..)| len).sum();
        let Some(sink) = self.sinks.0.get_mut(&id) else { return };
        for (at, len, lines, alone) in due {
            if kept <= bytes_max {
                break;
            }
            kept -= if alone { len } else { 0 };
            if sink.is_owed(at) {
                sink.lose(reason::SINK_LAG, lines);
            }
            sink.passed = at;
        }
    }
}

impl WalReader {
    /// From now on `id` reads too, and has all up to `passed`.
    pub fn add_sink(&self, id: SinkId, passed: Cursor) {
        locked(&self.shared).sinks.0.insert(id, Sink { passed, handed: passed, lost: BTreeMap::new() });
    }

    /// `id` reads no more and keeps nothing here.
    pub fn remove_sink(&self, id: SinkId) {
        locked(&self.shared).sinks.0.remove(&id);
    }

    /// Hands the oldest batch after `after` to the sink `id`; `None` when there is none yet. A damaged one is passed over and counted. From then on
    /// the sink accounts for its lines, whatever becomes of it here.
    ///
    /// # Errors
    /// [`WalFault::Io`] when the disk does not answer; the third time for one record it counts as damaged.
    pub fn next_for(&self, id: SinkId, after: Cursor) -> Result<Option<SinkEntry>, WalFault> {
        let mut after = after;
        loop {
            after = after.max(self.sink_passed(id));
            let Some((track, slot)) = locked(&self.shared).next_batch(after) else {
                self.close();
                return Ok(None);
            };
            let place = slot.where_it_lies();
            let at = Cursor::of(place);
            match self.fetch(place) {
                Ok(Fetched::Record(_, Head::Batch(head), body)) => {
                    if locked(&self.shared).hand_over(id, after, at) {
                        return Ok(Some(SinkEntry { at, body, written: Timestamp(head.written_ns), lines: u64::from(slot.lines) }));
                    }
                    continue;
                }
                Err(fault) if self.may_retry(place) => return Err(fault),
                Ok(Fetched::Record(..) | Fetched::Damaged) | Err(_) => self.damaged_for(id, track, &slot),
            }
            after = at;
        }
    }

    fn damaged_for(&self, id: SinkId, track: u32, slot: &Slot) {
        let mut index = locked(&self.shared);
        let is_acked = index.tracks.get(&track).is_none_or(|track| slot.from <= track.acked);
        if !is_acked {
            // Nobody can have it any more.
            index.give_up(track, slot.from, slot.where_it_lies());
        } else if let Some(sink) = index.sinks.0.get_mut(&id) {
            sink.lose(reason::WAL_DAMAGED, u64::from(slot.lines));
        }
    }

    /// `id` has all up to `cursor`; never moves it back.
    pub fn passed(&self, id: SinkId, cursor: Cursor) {
        if let Some(sink) = locked(&self.shared).sinks.0.get_mut(&id) {
            sink.passed = sink.passed.max(cursor);
        }
    }

    /// Where `id` stands.
    #[must_use]
    pub fn sink_usage(&self, id: SinkId) -> SinkUsage {
        let index = locked(&self.shared);
        let Some(sink) = index.sinks.0.get(&id) else { return SinkUsage::default() };
        let mut usage = SinkUsage { passed: sink.passed, ..SinkUsage::default() };
        for (slot, _) in index.tracks.values().flat_map(|track| batches_after(track, sink.passed)) {
            usage.lag_bytes += slot.len();
            usage.lag_lines += u64::from(slot.lines);
            usage.oldest = [usage.oldest, Some(slot.written)].into_iter().flatten().min();
        }
        usage
    }

    /// How far `id` is.
    #[must_use]
    pub fn sink_passed(&self, id: SinkId) -> Cursor {
        locked(&self.shared).sinks.0.get(&id).map_or_else(Cursor::default, |sink| sink.passed)
    }

    /// Where the batches lie that a sink at `passed` would get after a restart.
    #[must_use]
    pub fn batches_after(&self, passed: Cursor) -> BTreeSet<Cursor> {
        let index = locked(&self.shared);
        index.tracks.values().flat_map(|track| batches_after(track, passed)).map(|(slot, _)| Cursor::of(slot.where_it_lies())).collect()
    }

    /// What was lost to `id` since the last call, by reason.
    #[must_use]
    pub fn take_sink_lost(&self, id: SinkId) -> Vec<SinkLost> {
        let lost = locked(&self.shared).sinks.0.get_mut(&id).map(|sink| std::mem::take(&mut sink.lost)).unwrap_or_default();
        lost.into_iter().map(|(reason, lines)| SinkLost { reason, lines }).collect()
    }

    /// Moves each sink on that keeps more than `bytes_max` here which the hub or another sink has passed: what was not handed to it is
    /// lost ([`Self::take_sink_lost`]), the rest is its own to count.
    pub fn cut_sinks(&self, bytes_max: u64) {
        let mut index = locked(&self.shared);
        let ids: Vec<SinkId> = index.sinks.0.keys().copied().collect();
        for id in ids {
            index.cut_sink(id, bytes_max);
        }
    }
}

impl Wal {
    /// Without a hub: what all sinks have passed counts as acknowledged.
    ///
    /// # Errors
    /// As [`Self::acked`].
    pub fn ack_passed(&mut self) -> Result<(), WalFault> {
        let passed: Vec<(u32, u64)> = {
            let index = locked(&self.shared);
            if index.sinks.0.is_empty() {
                return Ok(());
            }
            let end = |track: &Track| track.after(track.acked).take_while(|(slot, _)| slot.is_durable() && !index.sinks.need(slot)).last().map(|(_, to)| to);
            index.tracks.iter().filter_map(|(number, track)| Some((*number, end(track)?))).collect()
        };
        for (number, to) in passed {
            self.acked(TrackId(number), Sequence(to))?;
        }
        Ok(())
    }

    /// A hub comes to a WAL that sinks alone have read: it gets what is written from now on, on a track of its own, since what
    /// went before can have left the WAL and would be told as lost.
    ///
    /// # Errors
    /// As [`Self::close_track`].
    pub fn begin_for_hub(&mut self) -> Result<(), WalFault> {
        let read_by_sinks = |track: &Track| !track.closed && track.producer.is_none() && track.acked > 0;
        let passed: Vec<(u32, u64)> =
            locked(&self.shared).tracks.iter().filter(|(_, track)| read_by_sinks(track)).map(|(number, track)| (*number, track.durable)).collect();
        for (number, durable) in passed {
            self.acked(TrackId(number), Sequence(durable))?;
            self.close_track(TrackId(number))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
