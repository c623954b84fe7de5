//! What goes into the WAL: batches, positions, losses, and what the hub said of tracks.
//!
//! Parts: [`Wal::append_batch`], [`Wal::append_positions`], [`Wal::append_loss`] (durable after the next
//! [`Wal::sync`]); [`Wal::bind`], [`Wal::adopt`], [`Wal::new_track`], [`Wal::close_track`] (durable when
//! they return); [`Wal::acked`]. Promises: what an append refused was not appended, its number is free.
//! Limits: `limits::PENDING_BYTES_MAX` not yet durable. Must not do: choose what is dropped (`quota.rs`).

use bytes::Bytes;
use proto_model::{Chain, ProducerId, Sequence, Timestamp, TrackId};
use proto_wire::{FrozenBatch, digest};

use crate::entry::{Head, pb};
use crate::fault::WalFault;
use crate::index::Track;
use crate::limits::{ACK_LAG_BATCHES, ACK_LAG_BYTES, BODY_BYTES_MAX, HEAD_BYTES_MAX, PENDING_BYTES_MAX, TEXT_BYTES_MAX, TRACKS_MAX};
use crate::position::{self, Beginnings, SourcePosition};
use crate::recover::TrackState;
use crate::slot::{Slot, SlotKind};
use crate::wal::{Wal, locked};
use crate::writer::Pending;

/// A loss that no batch stands for (a file rotated away unread, say).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Loss {
    /// Lines; `None` = unknown.
    pub lines: Option<u64>,
    /// Bytes; `None` = unknown.
    pub bytes: Option<u64>,
    /// Earliest line, as far as known.
    pub min: Timestamp,
    /// Latest line, as far as known.
    pub max: Timestamp,
    /// Why: a word fit for a metric label.
    pub reason: String,
    /// Which source.
    pub source: String,
}

/// What an ack was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Acked {
    /// Lines in the batches that were not acked before.
    pub lines: u64,
    /// When the newest of them was written; `None` when there was none.
    pub newest: Option<Timestamp>,
}

impl Wal {
    /// Appends a batch with the positions it advances; gives its number. Durable after [`Self::sync`].
    ///
    /// # Errors
    /// [`WalFault::DiskFull`] and [`WalFault::Full`] until there is room (under `drop_oldest`, [`Self::drop_oldest`] makes it),
    /// [`WalFault::Io`], [`WalFault::NoTrack`],
    /// [`WalFault::TooLarge`] when the body is no batch or the held pieces pass `limits::HEAD_BYTES_MAX`.
    pub fn append_batch(&mut self, track: TrackId, frozen: &FrozenBatch, positions: &[SourcePosition], now: Timestamp) -> Result<Sequence, WalFault> {
        within("a batch in bytes", frozen.body.len(), BODY_BYTES_MAX)?;
        let (sequence, chain) = self.end_of(track)?;
        let (told, stamped) = self.stamped(track.0, positions);
        let head = pb::BatchHead {
            chain_previous: Bytes::copy_from_slice(&chain.0),
            digest: Bytes::copy_from_slice(&frozen.digest.0),
            lines: frozen.lines,
            raw_bytes: frozen.raw_bytes,
            min_ns: frozen.min.nanos(),
            max_ns: frozen.max.nanos(),
            written_ns: now.nanos(),
            positions: told.clone(),
            positions_before: self.before.clone(),
            rebased: self.rebased(track),
            end_before: self.end_before(track),
            synced: 0,
        };
        let slot = Slot::new(SlotKind::Batch, sequence, frozen.digest.0, now, frozen.lines);
        self.append(track, slot, Head::Batch(head), frozen.body.clone())?;
        self.told(told, &stamped);
        Ok(Sequence(sequence))
    }

    /// Appends a loss as a gap with a number of its own; gives the number. Durable after [`Self::sync`].
    ///
    /// # Errors
    /// As [`Self::append_batch`].
    pub fn append_loss(&mut self, track: TrackId, loss: &Loss, positions: &[SourcePosition], now: Timestamp) -> Result<Sequence, WalFault> {
        within("the texts of a loss in bytes", loss.reason.len().max(loss.source.len()), TEXT_BYTES_MAX)?;
        let (sequence, chain) = self.end_of(track)?;
        let (told, stamped) = self.stamped(track.0, positions);
        let head = pb::GapHead {
            to: sequence,
            chain_previous: Bytes::copy_from_slice(&chain.0),
            chain_to: Bytes::copy_from_slice(&digest::extend_gap(chain, sequence, sequence).0),
            lines: loss.lines,
            bytes: loss.bytes,
            min_ns: loss.min.nanos(),
            max_ns: loss.max.nanos(),
            reason: loss.reason.clone(),
            source: loss.source.clone(),
            written_ns: now.nanos(),
            positions: told.clone(),
            positions_before: self.before.clone(),
            rebased: self.rebased(track),
            end_before: self.end_before(track),
            synced: 0,
        };
        let slot = Slot::gap(sequence, &head);
        self.append(track, slot, Head::Gap(head), Bytes::new())?;
        self.told(told, &stamped);
        Ok(Sequence(sequence))
    }

    /// Appends positions that no line goes with (an empty file, or all its lines dropped). Durable after [`Self::sync`].
    ///
    /// # Errors
    /// As [`Self::append_batch`].
    pub fn append_positions(&mut self, positions: &[SourcePosition]) -> Result<(), WalFault> {
        let (told, stamped) = self.stamped(0, positions);
        let kind =
            pb::control_head::Kind::Positions(pb::Positions { positions: told.clone(), positions_before: self.before.clone(), end_before: self.end.clone() });
        let pending = Pending::control(0, kind);
        self.put(pending)?;
        self.told(told, &stamped);
        Ok(())
    }

    /// Says which producer `track` is, and that it is open; durable when it returns, so that no batch is sent under a name that could be forgotten.
    ///
    /// # Errors
    /// [`WalFault::NoTrack`], [`WalFault::DiskFull`], [`WalFault::Io`].
    pub fn bind(&mut self, track: TrackId, producer: ProducerId) -> Result<(), WalFault> {
        self.known(track)?;
        self.control(track, pb::control_head::Kind::Bind(pb::Bind { producer: Bytes::copy_from_slice(&producer.to_bytes()) }))
    }

    /// Begins `track` anew where the hub stands, for a WAL that was lost or set back: all that this one
    /// holds of it is void (it is read again from `positions`), numbering goes on at `last + 1`. Durable when it returns.
    ///
    /// # Errors
    /// [`WalFault::DiskFull`], [`WalFault::Io`], [`WalFault::TooLarge`] for too many positions.
    pub fn adopt(&mut self, track: TrackId, producer: ProducerId, last: Sequence, chain: Chain, positions: &[SourcePosition]) -> Result<(), WalFault> {
        self.adopt_with_cuts(track, producer, (last, chain), positions, &[])
    }

    /// The same; of other tracks what comes from a `cuts` number on is void too.
    ///
    /// # Errors
    /// As [`Self::adopt`].
    pub fn adopt_with_cuts(
        &mut self,
        track: TrackId,
        producer: ProducerId,
        (last, chain): (Sequence, Chain),
        positions: &[SourcePosition],
        cuts: &[(TrackId, Sequence)],
    ) -> Result<(), WalFault> {
        self.known(track)?;
        // What waits for a sync is void too, but it must not be written after the adoption.
        self.flush()?;
        let told = pb::Adopt {
            producer: Bytes::copy_from_slice(&producer.to_bytes()),
            last: last.0,
            chain: Bytes::copy_from_slice(&chain.0),
            positions: position::all_to_pb(positions),
            cuts: cuts.iter().map(|(track, next)| pb::Cut { track: track.0, next: next.0 }).collect(),
        };
        self.control(track, pb::control_head::Kind::Adopt(told))?;
        self.before.clear();
        self.end.take_if(|end| end.track == track.0 || cuts.iter().any(|(track, _)| end.track == track.0));
        self.beginnings = Beginnings::of(positions);
        Ok(())
    }

    /// Begins `track` anew where the hub stands, as [`Self::adopt`]; later tracks have the sources: where those are read stays as it is.
    ///
    /// # Errors
    /// As [`Self::adopt`].
    pub fn adopt_numbers(&mut self, track: TrackId, producer: ProducerId, last: Sequence, chain: Chain) -> Result<(), WalFault> {
        // What waits for a sync tells positions too.
        self.flush()?;
        let positions = self.positions();
        self.adopt(track, producer, last, chain, &positions)
    }

    /// Opens a track beside the others; it is on disk with its first record.
    ///
    /// # Errors
    /// [`WalFault::TooLarge`] at `limits::TRACKS_MAX`.
    pub fn new_track(&mut self) -> Result<TrackId, WalFault> {
        let mut index = locked(&self.shared);
        within("the number of tracks", index.tracks.len() + 1, TRACKS_MAX)?;
        let number = index.tracks.keys().next_back().map_or(1, |last| last + 1);
        index.tracks.insert(number, Track::new(0, Chain::default()));
        Ok(TrackId(number))
    }

    /// Takes up a track that this WAL knew before it was set back; it is on disk with its first record.
    ///
    /// # Errors
    /// [`WalFault::TooLarge`] at `limits::TRACKS_MAX`.
    pub fn know_track(&mut self, track: TrackId) -> Result<(), WalFault> {
        let mut index = locked(&self.shared);
        within("the number of tracks", index.tracks.len() + 1, TRACKS_MAX)?;
        index.tracks.entry(track.0).or_insert_with(|| Track::new(0, Chain::default()));
        Ok(())
    }

    /// No more batches join `track`; durable when it returns.
    ///
    /// # Errors
    /// [`WalFault::NoTrack`], [`WalFault::DiskFull`], [`WalFault::Io`].
    pub fn close_track(&mut self, track: TrackId) -> Result<(), WalFault> {
        self.known(track)?;
        // A closed track is not asked for again: its newest acks must not be known in memory alone.
        self.queue_acks();
        self.control(track, pb::control_head::Kind::Close(pb::Close {}))
    }

    /// Takes up all tracks again that are closed, of which it holds something yet: a hub that was rolled back may lack them. Durable when it
    /// returns; gives them as they stand.
    ///
    /// # Errors
    /// [`WalFault::DiskFull`], [`WalFault::Io`].
    pub fn reopen_closed(&mut self) -> Result<Vec<TrackState>, WalFault> {
        let mut reopened: Vec<_> = self.tracks().into_iter().filter(|state| state.closed).collect();
        reopened.retain(|state| state.producer.is_some());
        for state in &mut reopened {
            if let Some(producer) = state.producer {
                self.bind(state.track, producer)?;
                state.closed = false;
            }
        }
        Ok(reopened)
    }

    /// The hub has all of `track` up to `sequence`: known in memory at once, on disk with the next sync, or
    /// here when more than `limits::ACK_LAG_BATCHES` are known in memory alone.
    ///
    /// # Errors
    /// [`WalFault::NoTrack`], [`WalFault::Io`]; a full disk is no fault here.
    pub fn acked(&mut self, track: TrackId, sequence: Sequence) -> Result<Acked, WalFault> {
        let (lags, acked) = {
            let mut index = locked(&self.shared);
            let track = index.tracks.get_mut(&track.0).ok_or(WalFault::NoTrack { track })?;
            let sequence = sequence.0.min(track.durable);
            let mut acked = Acked::default();
            if let Some(chain) = track.chain_at(sequence).filter(|_| sequence > track.acked) {
                for (slot, _) in track.after(track.acked).take_while(|(_, to)| *to <= sequence).filter(|(slot, _)| slot.kind() == SlotKind::Batch) {
                    acked.lines += u64::from(slot.lines);
                    acked.newest = Some(slot.written);
                }
                track.set_acked(sequence, chain);
            }
            (lags(track), acked)
        };
        match if lags { self.write_acks() } else { Ok(()) } {
            Ok(()) | Err(WalFault::DiskFull { .. }) => Ok(acked),
            Err(other) => Err(other),
        }
    }

    /// Makes what is known of acks durable.
    pub(crate) fn write_acks(&mut self) -> Result<(), WalFault> {
        self.queue_acks();
        self.flush()
    }

    /// How often `track` was numbered anew.
    pub(crate) fn rebased(&self, track: TrackId) -> u32 {
        locked(&self.shared).tracks.get(&track.0).map_or(0, |track| track.rebased)
    }

    pub(crate) fn known(&self, track: TrackId) -> Result<(), WalFault> {
        locked(&self.shared).tracks.get(&track.0).map(|_| ()).ok_or(WalFault::NoTrack { track })
    }

    /// The next number of an open track, and the chain before it.
    fn end_of(&self, track: TrackId) -> Result<(u64, Chain), WalFault> {
        let index = locked(&self.shared);
        let found = index.tracks.get(&track.0).filter(|found| !found.closed).ok_or(WalFault::NoTrack { track })?;
        if found.next > Sequence::MAX.0 {
            return Err(WalFault::TooLarge { what: "a sequence", found: found.next, limit: Sequence::MAX.0 });
        }
        Ok((found.next, found.tail()))
    }

    /// For a record of `track`: where the one before left its own, if that is another, which may get no more records.
    fn end_before(&self, track: TrackId) -> Option<pb::End> {
        self.end.clone().filter(|end| end.track != track.0)
    }

    fn append(&mut self, track: TrackId, mut slot: Slot, head: Head, body: Bytes) -> Result<(), WalFault> {
        let (sequence, to) = (slot.from, slot.from);
        let place = self.put(Pending { track: track.0, sequence, head, body, place: None })?;
        slot.place(place);
        if let Some(found) = locked(&self.shared).tracks.get_mut(&track.0) {
            found.push(slot, to);
            self.end = Some(found.end(track.0));
        }
        Ok(())
    }

    /// Writes one record after all that is pending; on a fault it is as if it had never come.
    fn put(&mut self, mut pending: Pending) -> Result<crate::slot::Place, WalFault> {
        within("the positions of a record in bytes", pending.head.len(), HEAD_BYTES_MAX)?;
        if self.pending_bytes > PENDING_BYTES_MAX {
            self.sync()?;
        }
        let bytes = (pending.head.len() + pending.body.len()) as u64;
        self.make_room(bytes)?;
        match self.ready().and_then(|()| self.write(&mut pending)) {
            Err(WalFault::DiskFull { .. }) if self.relieve(bytes) => self.ready().and_then(|()| self.write(&mut pending))?,
            written => written?,
        }
        let place = pending.place.unwrap_or_default();
        self.pending_bytes += bytes;
        self.pending.push_back(pending);
        Ok(place)
    }

    /// Writes a control record and syncs; on a fault it is as if it had never come, if that can be. It stands
    /// twice, because no other record tells what it tells and damage must not undo it.
    pub(crate) fn control(&mut self, track: TrackId, kind: pb::control_head::Kind) -> Result<(), WalFault> {
        let pending = Pending::control(track.0, kind.clone());
        within("the positions of a record in bytes", pending.head.len(), HEAD_BYTES_MAX)?;
        self.pending.push_back(pending);
        self.pending.push_back(Pending::control(track.0, kind));
        let done = match self.flush() {
            Err(WalFault::DiskFull { .. }) if self.relieve(0) => self.flush(),
            done => done,
        };
        for _ in 0..2 {
            if done.is_err() && self.pending.back().is_some_and(|last| last.place.is_none()) {
                self.pending.pop_back();
            }
        }
        done
    }

    /// The positions of a record of `track` as they lie in it, and what is known of their beginnings once it is written.
    fn stamped(&self, track: u32, positions: &[SourcePosition]) -> (Vec<pb::Position>, Vec<SourcePosition>) {
        let mut stamped = positions.to_vec();
        stamped.iter_mut().for_each(|told| self.beginnings.stamp(track, told));
        (position::all_to_pb(&stamped), stamped)
    }

    fn told(&mut self, positions: Vec<pb::Position>, stamped: &[SourcePosition]) {
        self.beginnings.take(stamped);
        if !positions.is_empty() {
            self.before = positions;
        }
    }
}

/// Whether so much is acked in memory alone that a restart could not tell what was sent.
fn lags(track: &Track) -> bool {
    let unwritten = track.after(track.acked_durable).take_while(|(_, to)| *to <= track.acked);
    track.acked.saturating_sub(track.acked_durable) >= ACK_LAG_BATCHES || unwritten.map(|(slot, _)| slot.len()).sum::<u64>() >= ACK_LAG_BYTES
}

fn within(what: &'static str, found: usize, limit: usize) -> Result<(), WalFault> {
    if found > limit { Err(WalFault::TooLarge { what, found: found as u64, limit: limit as u64 }) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
