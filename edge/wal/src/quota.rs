//! What the WAL holds, whether there is room, and what is given up when there is none.
//!
//! Parts: [`WhenFull`], [`Usage`], [`Room`]; the deciding, pure ([`room`], [`choose`], [`ranges`]); the
//! doing ([`Wal::has_room`], [`Wal::drop_oldest`], [`Wal::drop_aged`]). Room comes back by whole files,
//! so batches are given up by whole files too, oldest first, and one gap record stands for each run of them.
//! Promises: what a hub may have been sent is never given up, because the hub may have it: its number
//! means that batch for ever. Must not do: touch acked records (`trim.rs`).

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use proto_model::{Sequence, Timestamp, TrackId};
use proto_wire::digest;

use crate::entry::{Head, pb};
use crate::fault::WalFault;
use crate::index::{FileFact, Index, Track};
use crate::read::Fetched;
use crate::recover::{Lost, TrackState};
use crate::slot::{GapCode, Slot, SlotKind};
use crate::wal::{Wal, can_grow, locked};
use crate::writer::Pending;

/// What to do when `max_bytes` or `max_age` is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WhenFull {
    /// Stop reading sources.
    #[default]
    Block,
    /// Give up the oldest batches, counted.
    DropOldest,
}

/// What the WAL holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Bytes of all files.
    pub bytes: u64,
    /// Bytes of records not yet acked.
    pub unacked_bytes: u64,
    /// When the oldest unacked entry was written.
    pub oldest_unacked: Option<Timestamp>,
    /// Entries not yet acked.
    pub unacked_batches: u64,
    /// Lines in them.
    pub lines_unacked: u64,
    /// The disk was full at the last try: nothing can be appended.
    pub stalled: bool,
    /// Records found damaged while reading since the start.
    pub damaged_reads: u64,
    /// Lines in them, as far as known.
    pub damaged_lines: u64,
    /// Failed syncs since the start.
    pub sync_failures: u64,
}

/// What the WAL holds of one track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackUsage {
    /// Where it stands.
    pub state: TrackState,
    /// Bytes of records not yet acked.
    pub unacked_bytes: u64,
    /// When the oldest unacked batch was written.
    pub oldest_unacked: Option<Timestamp>,
}

/// Whether a batch may be appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// Yes.
    Yes,
    /// No: stop reading sources.
    Block,
    /// No: call [`Wal::drop_oldest`] first.
    DropOldest,
}

impl Usage {
    pub(crate) fn of(index: &Index) -> Self {
        let mut usage = Self {
            bytes: index.bytes(),
            stalled: index.stalled,
            damaged_reads: index.damaged_reads,
            damaged_lines: index.damaged_lines,
            sync_failures: index.sync_failures,
            ..Self::default()
        };
        for track in index.tracks.values() {
            for (slot, _) in track.after(track.acked) {
                usage.unacked_bytes += slot.len();
                usage.unacked_batches += 1;
                let is_batch = slot.kind() == SlotKind::Batch;
                usage.lines_unacked += if is_batch { u64::from(slot.lines) } else { 0 };
                let written = Some(slot.written).filter(|_| is_batch);
                usage.oldest_unacked = [usage.oldest_unacked, written].into_iter().flatten().min();
            }
        }
        usage
    }
}

impl TrackUsage {
    pub(crate) fn of(number: u32, track: &Track) -> Self {
        let unacked = || track.after(track.acked).map(|(slot, _)| slot);
        Self {
            state: track.state(number),
            unacked_bytes: unacked().map(|slot| slot.len()).sum(),
            oldest_unacked: unacked().filter(|slot| slot.kind() == SlotKind::Batch).map(|slot| slot.written).min(),
        }
    }
}

/// Whether `need` more bytes fit, when `used` are in use and `clear` of them could go.
const fn room(used: u64, clear: u64, need: u64, max: u64, when_full: WhenFull) -> Room {
    match when_full {
        _ if used.saturating_sub(clear).saturating_add(need) <= max => Room::Yes,
        WhenFull::Block => Room::Block,
        WhenFull::DropOldest => Room::DropOldest,
    }
}

/// The oldest files, none of them in `kept`, whose bytes come to `need`; all there are when they do not.
fn choose(files: &BTreeMap<u32, FileFact>, kept: &BTreeSet<u32>, need: u64) -> BTreeSet<u32> {
    let mut freed = 0;
    let mut chosen = BTreeSet::new();
    for (number, file) in files.iter().filter(|(number, _)| !kept.contains(number)) {
        if freed >= need {
            break;
        }
        freed += file.bytes;
        chosen.insert(*number);
    }
    chosen
}

/// Whether the entry may be given up: nobody was sent it, and there is something left to give up.
fn may_go(track: &Track, slot: &Slot) -> bool {
    slot.from > track.acked.max(track.sent) && slot.is_durable() && slot.kind() != SlotKind::Hole
}

/// What one entry holds.
#[derive(Debug, Clone, Copy)]
struct Counts {
    lines: Option<u64>,
    bytes: Option<u64>,
    min: i64,
    max: i64,
}

/// What several entries hold; `None` once one of them is unknown.
#[derive(Debug)]
struct Sum {
    lines: Option<u64>,
    bytes: Option<u64>,
    min: i64,
    max: i64,
}

impl Default for Sum {
    fn default() -> Self {
        Self { lines: Some(0), bytes: Some(0), min: i64::MAX, max: i64::MIN }
    }
}

impl Sum {
    fn add(&mut self, counts: Counts) {
        self.lines = self.lines.zip(counts.lines).map(|(a, b)| a.saturating_add(b));
        self.bytes = self.bytes.zip(counts.bytes).map(|(a, b)| a.saturating_add(b));
        self.min = self.min.min(counts.min);
        self.max = self.max.max(counts.max);
    }

    fn head(&self, to: u64) -> pb::GapHead {
        pb::GapHead { to, lines: self.lines, bytes: self.bytes, min_ns: self.min.min(self.max), max_ns: self.max, ..pb::GapHead::default() }
    }
}

/// What was given up is told even when the disk failed then: it is gone from here on, and the next sync goes on with it.
fn told(lost: Vec<Lost>, done: Result<(), WalFault>) -> Result<Vec<Lost>, WalFault> {
    match done {
        Err(fault) if lost.is_empty() => Err(fault),
        Ok(()) | Err(_) => Ok(lost),
    }
}

/// What becomes one gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    from: u64,
    to: u64,
    /// The first and last batch among it; without one it is an old gap that must be written anew.
    batches: Option<(u64, u64)>,
}

/// What is to be done in one track.
#[derive(Debug, Default, PartialEq, Eq)]
struct Plan {
    runs: Vec<Run>,
    /// Gaps of another kind that must be written anew as they are: first and last sequence.
    moved: Vec<(u64, u64)>,
}

/// The runs of entries that `goes` picks; older gaps of kind `code` that touch them are taken in.
fn plan(track: &Track, code: GapCode, goes: impl Fn(&Slot) -> bool) -> Plan {
    let mut plan = Plan::default();
    let mut runs: Vec<(Run, bool)> = Vec::new();
    for (slot, to) in track.after(track.acked).filter(|(slot, _)| may_go(track, slot)) {
        let (is_batch, goes) = (slot.kind() == SlotKind::Batch, goes(&slot));
        if !is_batch && slot.gap_code() != code {
            plan.moved.extend(goes.then_some((slot.from, to)));
        } else if goes || !is_batch {
            if runs.last().is_none_or(|(run, _)| run.to + 1 != slot.from) {
                runs.push((Run { from: slot.from, to, batches: None }, false));
            }
            if let Some((run, any)) = runs.last_mut() {
                run.to = to;
                run.batches = if is_batch { Some((run.batches.map_or(slot.from, |(first, _)| first), to)) } else { run.batches };
                *any |= goes;
            }
        }
    }
    plan.runs = runs.into_iter().filter(|(_, any)| *any).map(|(run, _)| run).collect();
    plan
}

impl Wal {
    /// Whether `bytes` more fit into `max_bytes`; acked records give way.
    #[must_use]
    pub fn has_room(&self, bytes: u64) -> Room {
        let index = locked(&self.shared);
        let (used, max, when_full) = (index.bytes(), self.settings.max_bytes, self.settings.when_full);
        // A disk that was full at the last try, when all that the hub has was deleted already.
        if index.stalled && when_full == WhenFull::DropOldest {
            return Room::DropOldest;
        }
        match room(used, 0, bytes, max, when_full) {
            Room::Yes => Room::Yes,
            Room::Block | Room::DropOldest => {
                let clear = index.clear_files();
                let clear = index.files.iter().filter(|(number, _)| clear.contains_key(number)).map(|(_, file)| file.bytes).sum();
                room(used, clear, bytes, max, when_full)
            }
        }
    }

    /// Gives up the oldest unacked batches until `bytes` more fit, if that can be; gives what was lost.
    /// What may have been sent stays, so room is not certain afterwards: ask [`Self::has_room`] again.
    ///
    /// # Errors
    /// [`WalFault::Io`], [`WalFault::DiskFull`]: nothing was given up.
    pub fn drop_oldest(&mut self, bytes: u64, now: Timestamp) -> Result<Vec<Lost>, WalFault> {
        let mut need = self.over(bytes);
        if locked(&self.shared).stalled {
            if need == 0 && can_grow(&self.settings.dir, &*self.disk, bytes)? {
                locked(&self.shared).stalled = false;
                return Ok(Vec::new());
            }
            need = need.max(bytes);
        }
        need = need.saturating_sub(self.remove_clear(need)?);
        if need == 0 {
            return Ok(Vec::new());
        }
        let current = locked(&self.shared).current;
        let mut chosen = self.droppable(need, current);
        if chosen.is_empty() && current.is_some_and(|current| self.droppable(need, None).contains(&current)) {
            self.close_file();
            chosen = self.droppable(need, None);
        }
        let lost = self.give_up(GapCode::Full, now, |slot| chosen.contains(&slot.where_it_lies().file));
        let freed = match self.flush() {
            Ok(()) => self.remove_clear(need),
            // The gap needs room itself. Without it a restart finds the same hole, with less to say of it.
            Err(WalFault::DiskFull { .. }) => {
                self.relieve(need);
                self.flush().map(|()| 0)
            }
            Err(other) => Err(other),
        };
        told(lost, freed.map(|_| ()))
    }

    /// Gives up unacked batches older than `max_age`, if one is set; gives what was lost.
    ///
    /// # Errors
    /// [`WalFault::Io`], [`WalFault::DiskFull`]: nothing was given up.
    pub fn drop_aged(&mut self, now: Timestamp) -> Result<Vec<Lost>, WalFault> {
        let oldest = now.minus(self.settings.max_age);
        if self.settings.max_age.is_zero() {
            return Ok(Vec::new());
        }
        let lost = self.give_up(GapCode::Age, now, |slot| slot.kind() == SlotKind::Batch && slot.written < oldest);
        let done = self.flush();
        told(lost, done)
    }

    /// Frees what acked records take, if `bytes` more do not fit; refuses when the WAL is full even so.
    pub(crate) fn make_room(&mut self, bytes: u64) -> Result<(), WalFault> {
        let over = self.over(bytes);
        if over == 0 || self.remove_clear(over)? >= over {
            return Ok(());
        }
        let (used, max) = (locked(&self.shared).bytes(), self.settings.max_bytes);
        if used >= max { Err(WalFault::Full { bytes: used, max }) } else { Ok(()) }
    }

    /// How many bytes there would be above `max_bytes` with `bytes` more.
    fn over(&self, bytes: u64) -> u64 {
        locked(&self.shared).bytes().saturating_add(bytes).saturating_sub(self.settings.max_bytes)
    }

    /// The oldest files that would be clear if all went that may go, up to `need` bytes; never `current`.
    fn droppable(&self, need: u64, current: Option<u32>) -> BTreeSet<u32> {
        let index = locked(&self.shared);
        let mut kept: BTreeSet<u32> = current.into_iter().collect();
        for track in index.tracks.values() {
            // A gap that nobody was sent can be written anew elsewhere, so it keeps no file.
            let stays = |slot: &Slot| !may_go(track, slot) && slot.kind() != SlotKind::Hole;
            kept.extend(track.after(track.acked).filter(|(slot, _)| stays(slot)).map(|(slot, _)| slot.where_it_lies().file));
        }
        choose(&index.files, &kept, need)
    }

    fn give_up(&mut self, code: GapCode, now: Timestamp, goes: impl Fn(&Slot) -> bool) -> Vec<Lost> {
        let plans: Vec<(u32, Plan)> = locked(&self.shared).tracks.iter().map(|(number, track)| (*number, plan(track, code, &goes))).collect();
        let mut lost = Vec::new();
        for (number, plan) in plans {
            for run in plan.runs {
                lost.extend(self.give_up_run(number, run, code, now));
            }
            for (from, to) in plan.moved {
                self.move_gap(number, from, to);
            }
        }
        lost
    }

    fn give_up_run(&mut self, number: u32, run: Run, code: GapCode, now: Timestamp) -> Option<Lost> {
        let (mut sum, mut new) = (Sum::default(), Sum::default());
        for slot in self.slots(number, run.from, run.to) {
            let counts = self.counts(&slot);
            sum.add(counts);
            if slot.kind() == SlotKind::Batch {
                new.add(counts);
            }
        }
        let mut head = sum.head(run.to);
        head.reason = code.reason().to_owned();
        head.written_ns = now.nanos();
        self.put_gap(number, run.from, head);
        let (from, to) = run.batches?;
        let (from, to) = (Sequence(from), Sequence(to));
        Some(Lost { track: TrackId(number), from, to, reason: code.reason().to_owned(), lines: new.lines, bytes: new.bytes })
    }

    /// Writes a gap anew, so that the file it lies in can go; one that the disk does not give now keeps its file.
    fn move_gap(&mut self, number: u32, from: u64, to: u64) {
        for slot in self.slots(number, from, to) {
            let place = slot.where_it_lies();
            match self.reader.fetch(place) {
                Ok(Fetched::Record(_, Head::Gap(mut head), _)) => {
                    head.to = to;
                    (head.positions, head.positions_before, head.end_before) = (Vec::new(), Vec::new(), None);
                    self.put_gap(number, from, head);
                }
                Ok(Fetched::Record(..) | Fetched::Damaged) => drop(locked(&self.shared).give_up(number, from, place)),
                Err(_) => {}
            }
        }
    }

    fn slots(&self, number: u32, from: u64, to: u64) -> Vec<Slot> {
        let index = locked(&self.shared);
        let Some(track) = index.tracks.get(&number) else { return Vec::new() };
        track.after(from - 1).take_while(|(_, last)| *last <= to).map(|(slot, _)| slot).collect()
    }

    /// What an entry holds, by its record if that can be read.
    fn counts(&self, slot: &Slot) -> Counts {
        match self.reader.fetch(slot.where_it_lies()) {
            Ok(Fetched::Record(_, Head::Batch(head), _)) => Counts { lines: Some(head.lines), bytes: Some(head.raw_bytes), min: head.min_ns, max: head.max_ns },
            Ok(Fetched::Record(_, Head::Gap(head), _)) => Counts { lines: head.lines, bytes: head.bytes, min: head.min_ns, max: head.max_ns },
            Ok(Fetched::Record(..) | Fetched::Damaged) | Err(_) => {
                Counts { lines: Some(u64::from(slot.lines)), bytes: None, min: slot.written.nanos(), max: slot.written.nanos() }
            }
        }
    }

    /// Puts a gap in the place of `from..=head.to`; it is written with the next flush.
    pub(crate) fn put_gap(&mut self, number: u32, from: u64, mut head: pb::GapHead) {
        let mut guard = locked(&self.shared);
        let index = &mut *guard;
        let Some(track) = index.tracks.get_mut(&number) else { return };
        for (slot, _) in track.after(from - 1).take_while(|(_, to)| *to <= head.to) {
            index.sinks.lose(&slot, &head.reason);
        }
        let chain = track.chain_at(from - 1).unwrap_or_default();
        head.chain_previous = Bytes::copy_from_slice(&chain.0);
        head.chain_to = Bytes::copy_from_slice(&digest::extend_gap(chain, from, head.to).0);
        head.rebased = track.rebased;
        track.replace(Slot::gap(from, &head), head.to);
        drop(guard);
        self.pending.push_back(Pending { track: number, sequence: from, head: Head::Gap(head), body: Bytes::new(), place: None });
    }
}

#[cfg(test)]
mod tests;
