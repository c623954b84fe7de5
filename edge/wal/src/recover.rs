//! What a crash, or years on a bad disk, left: the longest true state; pure.
//!
//! Parts: what is told of it ([`Recovered`], [`TrackState`], [`Lost`], [`reason`]); [`Replay`], which
//! takes the records of all files in order ([`Replay::record`], [`Replay::bad`], [`Replay::torn`]) and
//! ends as an index and positions ([`Replay::finish`]).
//! Promises: no order of records makes it panic; what is missing between two sound records is a hole in
//! the index, and a [`Lost`] if the hub does not have it. Must not do: I/O (`walk.rs` brings the records).

use proto_model::{Chain, ProducerId, Sequence, Timestamp, TrackId, WalId};

use crate::entry::{Head, pb};
use crate::index::{Index, Track};
use crate::position::{Positions, SourcePosition};
use crate::scan::Found;
use crate::slot::{Place, Slot, SlotKind};

/// Where one track stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackState {
    /// Its number.
    pub track: TrackId,
    /// The producer it is bound to, if any.
    pub producer: Option<ProducerId>,
    /// The number the next new batch gets.
    pub next: Sequence,
    /// The chain at `next - 1`.
    pub chain: Chain,
    /// Newest sequence known to be acked.
    pub acked: Sequence,
    /// The chain there.
    pub acked_chain: Chain,
    /// Oldest sequence still in the WAL; equals `next` when there is none.
    pub oldest: Sequence,
    /// No new batches join it.
    pub closed: bool,
}

/// Batches that were given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// Their track.
    pub track: TrackId,
    /// First of them.
    pub from: Sequence,
    /// Last of them.
    pub to: Sequence,
    /// Why: one of [`reason`], or the hub's word.
    pub reason: String,
    /// Lines in them; `None` = unknown.
    pub lines: Option<u64>,
    /// Raw bytes in them; `None` = unknown.
    pub bytes: Option<u64>,
}

/// Reasons this crate gives for losses.
pub mod reason {
    /// `wal.max_bytes` was reached.
    pub const WAL_FULL: &str = "wal_full";
    /// `wal.max_age` was reached.
    pub const WAL_AGE: &str = "wal_age";
    /// Records on disk were damaged.
    pub const WAL_DAMAGED: &str = "wal_damaged";
    /// The hub was rolled back further than the grace.
    pub const HUB_ROLLBACK: &str = "hub_rollback";
    /// A sink lagged too far behind and was moved on.
    pub const SINK_LAG: &str = "sink_lag";
    /// The WAL could not keep a batch that was on its way to a sink, and the sink ended before it was taken.
    pub const WAL_GONE: &str = "wal_gone";
    /// The WAL goes on where the hub stands: what sinks were due of before is gone.
    pub const WAL_VOIDED: &str = "wal_voided";
}

/// What was found when the WAL was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// The WAL's id, made with its first file.
    pub wal_id: WalId,
    /// All tracks that are not drained and let go, by number; track 1 where there is none.
    pub tracks: Vec<TrackState>,
    /// All sources that are not gone.
    pub positions: Vec<SourcePosition>,
    /// Bytes of unfinished records that were cut; they were durable to nobody.
    pub torn_bytes: u64,
    /// Damaged stretches that were skipped.
    pub bad_records: u64,
    /// Unacked batches that are gone; they are read as gaps.
    pub lost: Vec<Lost>,
    /// Records that tell positions may be among the damaged ones: where the hub knows a source further on, its word is better.
    pub positions_doubtful: bool,
}

/// The state as the records build it.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    /// All tracks.
    pub(crate) index: Index,
    /// All sources.
    pub(crate) positions: Positions,
    /// What the last record that told any advanced.
    pub(crate) before: Vec<pb::Position>,
    /// Where the newest batch or gap left its track.
    end: Option<pb::End>,
    torn_bytes: u64,
    bad_records: u64,
    doubtful: bool,
    /// The part of a checkpoint that must come next; 0 = none has begun.
    part: u32,
    /// What the parts of a checkpoint told so far.
    checkpointed: Positions,
    /// A checkpoint was read as a whole: a track that is not known began after it.
    knows_all: bool,
}

/// A replayed WAL.
#[derive(Debug)]
pub(crate) struct Replayed {
    /// All tracks, settled.
    pub(crate) index: Index,
    /// All sources.
    pub(crate) positions: Positions,
    /// What the last record that told any advanced.
    pub(crate) before: Vec<pb::Position>,
    /// Where the newest batch or gap left its track.
    pub(crate) end: Option<pb::End>,
    /// For the caller of open.
    pub(crate) recovered: Recovered,
}

impl Replay {
    /// A sound record of file `file`.
    pub(crate) fn record(&mut self, file: u32, found: Found) {
        let Found { offset, header, head } = found;
        let place = Place { file, offset: u32::try_from(offset).unwrap_or(u32::MAX), len: u32::try_from(header.record_len()).unwrap_or(u32::MAX) };
        match head {
            Head::Batch(head) => self.batch(header.track, header.sequence, head, place),
            Head::Gap(head) => self.gap(header.track, header.sequence, head, place),
            Head::Checkpoint(head) => self.checkpoint(head),
            Head::Control(head) => {
                if let Some(kind) = head.kind {
                    self.control(file, header.track, kind);
                }
            }
        }
    }

    /// A damaged stretch.
    pub(crate) fn bad(&mut self) {
        self.bad_records += 1;
        self.doubtful = true;
        self.part = 0;
    }

    /// `len` bytes that were never durable.
    pub(crate) fn torn(&mut self, len: u64) {
        self.torn_bytes += len;
        self.part = 0;
    }

    /// All records were told.
    pub(crate) fn finish(mut self, wal_id: WalId) -> Replayed {
        if self.index.tracks.is_empty() {
            // Only then: a first track that is not told of was drained, closed and let go, and must not begin again.
            self.index.tracks.insert(1, Track::replayed(0, Chain::default()));
        }
        let mut lost = Vec::new();
        for (number, track) in &mut self.index.tracks {
            track.settle();
            let holes = track.after(track.acked).filter(|(slot, _)| slot.kind() == SlotKind::Hole);
            lost.extend(holes.map(|(slot, to)| Lost {
                track: TrackId(*number),
                from: Sequence(slot.from),
                to: Sequence(to),
                reason: reason::WAL_DAMAGED.to_owned(),
                lines: None,
                bytes: None,
            }));
        }
        let recovered = Recovered {
            wal_id,
            tracks: self.index.tracks.iter().map(|(number, track)| track.state(*number)).collect(),
            positions: self.positions.iter().cloned().collect(),
            torn_bytes: self.torn_bytes,
            bad_records: self.bad_records,
            lost,
            positions_doubtful: self.doubtful,
        };
        Replayed { index: self.index, positions: self.positions, before: self.before, end: self.end, recovered }
    }

    fn advance(&mut self, before: &[pb::Position], positions: Vec<pb::Position>) {
        self.positions.apply(before);
        if !cfg!(planted = "position_saved_apart") {
            self.positions.apply(&positions);
        }
        if !positions.is_empty() {
            self.before = positions;
        }
    }

    fn batch(&mut self, number: u32, sequence: u64, head: pb::BatchHead, place: Place) {
        self.advance(&head.positions_before, head.positions);
        self.ended(head.end_before);
        let (Some(chain), Ok(digest)) = (chain_of(&head.chain_previous), <[u8; 16]>::try_from(&head.digest[..])) else { return };
        let Some(before) = sequence.checked_sub(1).filter(|_| sequence < u64::MAX) else { return };
        let track = self.numbered(number, head.rebased, before, chain);
        if head.rebased < track.rebased {
            return;
        }
        let slot = Slot::new(SlotKind::Batch, sequence, digest, Timestamp(head.written_ns), head.lines).placed(place);
        if sequence >= track.next {
            hole_up_to(track, sequence, chain);
            track.push(slot, sequence);
            self.end = Some(track.end(number));
        } else if let Some((old, _)) = track.at(sequence) {
            // Written anew after a failed sync, or found again behind damage.
            if old.kind() == SlotKind::Hole || (old.kind() == SlotKind::Batch && old.link == digest) {
                track.replace(slot, sequence);
            }
        }
    }

    fn gap(&mut self, number: u32, from: u64, mut head: pb::GapHead, place: Place) {
        self.advance(&head.positions_before, std::mem::take(&mut head.positions));
        self.ended(head.end_before.take());
        let Some(chain) = chain_of(&head.chain_previous) else { return };
        let (Some(before), true) = (from.checked_sub(1), head.to >= from && head.to < u64::MAX) else { return };
        let track = self.numbered(number, head.rebased, before, chain);
        if head.rebased < track.rebased {
            return;
        }
        let slot = |from| Slot::gap(from, &head).placed(place);
        if from < track.oldest() && head.to < track.next && head.reason == reason::HUB_ROLLBACK {
            track.reach_back(chain, slot(from), head.to);
            return;
        }
        let from = from.max(track.oldest());
        if head.to >= from {
            hole_up_to(track, from, chain);
            hole_up_to(track, head.to + 1, Chain::default());
            track.replace(slot(from), head.to);
            if track.next == head.to + 1 {
                self.end = Some(track.end(number));
            }
        }
    }

    /// A record says where another track stood when it was written: what that one lacks is missing.
    fn ended(&mut self, told: Option<pb::End>) {
        let Some(end) = told.filter(|end| end.next < u64::MAX) else { return };
        // One that is not known here was let go.
        let track = self.index.tracks.get_mut(&end.track).filter(|track| track.rebased == end.rebased);
        if let (Some(track), Some(chain)) = (track, chain_of(&end.chain)) {
            hole_up_to(track, end.next, chain);
            self.end = Some(end);
        }
    }

    fn checkpoint(&mut self, head: pb::CheckpointHead) {
        self.positions.apply(&head.positions);
        if head.part == 0 {
            self.checkpointed = Positions::default();
        }
        self.checkpointed.apply(&head.positions);
        for told in head.tracks {
            let (Some(chain), Some(acked_chain)) = (chain_of(&told.chain), chain_of(&told.acked_chain)) else { continue };
            if told.next == 0 || told.next == u64::MAX || told.acked >= told.next {
                continue;
            }
            let track = self.numbered(told.track, told.rebased, told.acked, acked_chain);
            if told.rebased < track.rebased {
                continue;
            }
            hole_up_to(track, told.next, chain);
            if told.acked >= track.oldest() - 1 {
                track.set_acked(told.acked, acked_chain);
            }
            track.producer = ProducerId::from_bytes(&told.producer);
            track.closed = told.closed;
        }
        self.part = if head.part == 0 || head.part == self.part { head.part + 1 } else { 0 };
        if self.part > 0 && self.part == head.parts {
            // Whole, it is all there is; in part, it is at least no older than what is known.
            self.positions = std::mem::take(&mut self.checkpointed);
            (self.doubtful, self.knows_all) = (false, true);
        }
    }

    fn control(&mut self, file: u32, number: u32, kind: pb::control_head::Kind) {
        use pb::control_head::Kind;
        match kind {
            Kind::Positions(told) => {
                self.advance(&told.positions_before, told.positions);
                self.ended(told.end_before);
            }
            Kind::Bind(told) => {
                let track = self.track(number);
                (track.producer, track.closed) = (ProducerId::from_bytes(&told.producer), false);
            }
            Kind::Close(_) => self.track(number).closed = true,
            Kind::Acked(told) => {
                let Some(chain) = chain_of(&told.chain).filter(|_| told.sequence < u64::MAX) else { return };
                let track = self.index.tracks.entry(number).or_insert_with(|| Track::replayed(told.sequence, chain));
                hole_up_to(track, told.sequence + 1, chain);
                if told.sequence >= track.oldest() - 1 {
                    track.set_acked(told.sequence, chain);
                }
            }
            Kind::Adopt(told) => {
                let Some(chain) = chain_of(&told.chain).filter(|_| told.last < u64::MAX) else { return };
                let rebased = self.index.tracks.get(&number).map_or(0, |track| track.rebased);
                let track = self.index.tracks.entry(number).or_insert_with(|| Track::replayed(told.last, chain));
                *track = Track::replayed_after(rebased, told.last, chain);
                track.producer = ProducerId::from_bytes(&told.producer);
                for cut in &told.cuts {
                    if let Some(track) = self.index.tracks.get_mut(&cut.track).filter(|_| cut.track != number) {
                        track.cut(cut.next);
                    }
                }
                self.positions.replace(&told.positions);
                self.before.clear();
                self.end.take_if(|end| end.track == number || told.cuts.iter().any(|cut| end.track == cut.track));
            }
            Kind::Rebase(told) => {
                self.index.rebased_in.insert(file);
                let track = self.track(number);
                if let Some(kept) = runs_of(&told).filter(|_| told.rebased == track.rebased + 1) {
                    track.rebase(&kept);
                    track.producer = ProducerId::from_bytes(&told.producer);
                }
            }
        }
    }

    /// The track of a record that was written after `rebased` new numberings: if the record of the last one is damaged,
    /// what was numbered before it is void (the batches are found missing, and told).
    fn numbered(&mut self, number: u32, rebased: u32, before: u64, chain: Chain) -> &mut Track {
        let knows_all = self.knows_all;
        let unknown = || if knows_all { Track::replayed(0, Chain::default()) } else { Track::replayed_after(rebased, before, chain) };
        let track = self.index.tracks.entry(number).or_insert_with(unknown);
        if rebased > track.rebased {
            let (producer, closed) = (track.producer, track.closed);
            *track = Track::replayed_after(rebased, 0, Chain::default());
            (track.producer, track.closed) = (producer, closed);
            hole_up_to(track, before + 1, chain);
        }
        track
    }

    fn track(&mut self, number: u32) -> &mut Track {
        self.index.tracks.entry(number).or_insert_with(|| Track::replayed(0, Chain::default()))
    }
}

fn chain_of(bytes: &[u8]) -> Option<Chain> {
    if bytes.is_empty() { Some(Chain::default()) } else { Chain::from_bytes(bytes) }
}

/// What a new numbering keeps; `None` when that is no list of rising runs.
pub(crate) fn runs_of(told: &pb::Rebase) -> Option<Vec<(u64, u64)>> {
    let runs: Vec<(u64, u64)> = told.kept.iter().map(|run| (run.from, run.to)).collect();
    let is_sane = runs.iter().all(|(from, to)| 0 < *from && from <= to && *to < u64::MAX) && runs.windows(2).all(|two| two[0].1 < two[1].0);
    is_sane.then_some(runs)
}

/// What lies between the end of `track` and `next` is missing; `chain` is the one before `next`.
fn hole_up_to(track: &mut Track, next: u64, chain: Chain) {
    if next > track.next {
        let mut hole = Slot::new(SlotKind::Hole, track.next, chain.0, Timestamp::default(), 0);
        hole.set_durable();
        track.push(hole, next - 1);
    }
}

#[cfg(test)]
mod tests;
