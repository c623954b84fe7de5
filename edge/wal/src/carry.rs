//! A producer's successor begins a numbering of its own: what the hub has is left out, the rest is numbered anew.
//!
//! Parts: [`Committed`] (what the hub says of the producer before), [`Carried`], [`Wal::carry_over`]. The frozen
//! batches stay where they lie; one control record says which of the old numbers go on, in order, as 1, 2, 3, ...
//! Promises: before that record is durable nothing has changed, after it everything has; nothing that the hub does
//! not have is left out. Must not do: judge whose producer it is.

use std::collections::VecDeque;

use bytes::Bytes;
use proto_model::{BatchDigest, ProducerId, Sequence, TrackId};

use crate::entry::{Head, pb};
use crate::fault::WalFault;
use crate::index::Track;
use crate::slot::{Slot, SlotKind};
use crate::wal::{Wal, locked};
use crate::writer::Pending;

/// What stands in the lane of the producer before.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Committed {
    /// Newest committed sequence.
    pub last: Sequence,
    /// Digests of the newest up to `last`, oldest first; all zero for a number in a gap.
    pub digests: VecDeque<BatchDigest>,
}

/// What came of carrying a track over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Carried {
    /// Unacked entries that the hub has.
    pub left_out: u64,
    /// Sequences that go on under new numbers: 1 up to this one.
    pub kept: u64,
}

impl Committed {
    fn digest_at(&self, sequence: u64) -> Option<BatchDigest> {
        let back = self.last.0.checked_sub(sequence)?;
        let at = (self.digests.len() as u64).checked_sub(back + 1)?;
        self.digests.get(usize::try_from(at).ok()?).copied()
    }

    /// Whether the hub has this entry of the WAL: the same batch under the same number, or a gap under all of them.
    fn holds(&self, slot: &Slot, to: u64) -> bool {
        match slot.kind() {
            SlotKind::Batch => self.digest_at(slot.from) == Some(BatchDigest(slot.link)),
            SlotKind::Gap | SlotKind::Hole => (slot.from..=to).all(|sequence| self.digest_at(sequence).is_some_and(|digest| digest.0 == [0; 16])),
        }
    }
}

/// The runs of unacked sequences that the hub does not have, and how many entries it has.
fn kept_of(track: &Track, committed: &Committed) -> (Vec<(u64, u64)>, Carried) {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    let mut carried = Carried::default();
    for (slot, to) in track.after(track.acked) {
        if committed.holds(&slot, to) {
            carried.left_out += 1;
            continue;
        }
        carried.kept += to + 1 - slot.from;
        match runs.last_mut() {
            Some((_, end)) if *end + 1 == slot.from => *end = to,
            _ => runs.push((slot.from, to)),
        }
    }
    (runs, carried)
}

const fn is_rebase(pending: &Pending) -> bool {
    matches!(&pending.head, Head::Control(pb::ControlHead { kind: Some(pb::control_head::Kind::Rebase(_)), .. }))
}

impl Wal {
    /// `track` goes on under `producer`, whose numbering begins at 1: unacked batches that `committed` has are left out,
    /// the rest is numbered anew with a chain from zero. Durable when it returns; on a fault nothing has changed.
    ///
    /// # Errors
    /// [`WalFault::NoTrack`], [`WalFault::DiskFull`], [`WalFault::Io`].
    pub fn carry_over(&mut self, track: TrackId, producer: ProducerId, committed: &Committed) -> Result<Carried, WalFault> {
        self.known(track)?;
        // What waits for a sync has an old number: it must lie before the record that changes it.
        self.flush()?;
        let (told, carried) = {
            let index = locked(&self.shared);
            let found = index.tracks.get(&track.0).ok_or(WalFault::NoTrack { track })?;
            let (runs, carried) = kept_of(found, committed);
            let kept = runs.into_iter().map(|(from, to)| pb::Run { from, to }).collect();
            let rebased = found.rebased + 1;
            (pb::Rebase { producer: Bytes::copy_from_slice(&producer.to_bytes()), rebased, kept }, carried)
        };
        let done = self.control(track, pb::control_head::Kind::Rebase(told));
        if done.is_err() && self.pending.iter().any(is_rebase) {
            // It was written and not synced: no record with an old number may follow it.
            self.abandon();
            self.pending.retain(|pending| !is_rebase(pending));
        }
        done.map(|()| carried)
    }
}

#[cfg(test)]
mod tests;
