//! The hub's word against the WAL's: after each Welcome, and for a batch that the hub will not take.
//!
//! Parts: [`Settled`], [`Wal::settle`], [`Wal::set_aside`]. Promises: what the hub committed is never sent
//! again under another number, and no batch that it refuses blocks those behind it. Must not do: talk to it.

use std::io;

use bytes::Bytes;
use proto_model::{BatchDigest, Chain, Sequence, TrackId};
use proto_seam::FileKind;
use proto_wire::digest;

use crate::entry::{Head, pb};
use crate::fault::WalFault;
use crate::limits::{ASIDE_FILES_MAX, TEXT_BYTES_MAX};
use crate::read::Fetched;
use crate::recover::{Lost, reason};
use crate::slot::{Slot, SlotKind};
use crate::wal::{Wal, locked};
use crate::writer::Pending;

/// What came of comparing the hub's word with the WAL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// They agree: go on at `last + 1`.
    Agreed,
    /// The hub knows less than it had acked: go on at `last + 1`; what the grace no longer holds is lost and reads as a gap.
    RolledBack {
        /// What cannot be sent again.
        lost: Option<Lost>,
    },
    /// The hub knows more than this WAL (it was lost or set back): [`Wal::adopt`] what it says.
    Behind,
    /// The chains differ: two edges share one producer, or one of the two was tampered with.
    Diverged,
}

impl Wal {
    /// Takes the hub's word for where `track` stands (Welcome's `last` and `chain`), if it fits what lies here.
    /// All up to `last` is acked then, what lies behind it was not committed and goes on from `chain`.
    ///
    /// # Errors
    /// [`WalFault::NoTrack`], [`WalFault::Io`], [`WalFault::DiskFull`] when a rollback could not be written down.
    pub fn settle(&mut self, track: TrackId, last: Sequence, chain: Chain) -> Result<Settled, WalFault> {
        let (durable, acked, oldest) = {
            let index = locked(&self.shared);
            let found = index.tracks.get(&track.0).ok_or(WalFault::NoTrack { track })?;
            (found.durable, found.acked, found.oldest())
        };
        if last.0 > durable {
            return Ok(Settled::Behind);
        }
        if last.0 + 1 < oldest {
            return self.roll_back_past(track, last, chain).map(|lost| Settled::RolledBack { lost: Some(lost) });
        }
        if !cfg!(planted = "chain_not_compared") && !self.agrees(track.0, last.0, chain)? {
            return Ok(Settled::Diverged);
        }
        if let Some(found) = locked(&self.shared).tracks.get_mut(&track.0) {
            found.set_acked(last.0, chain);
            found.sent = last.0;
        }
        if last.0 >= acked {
            return Ok(Settled::Agreed);
        }
        self.write_acks()?;
        Ok(Settled::RolledBack { lost: None })
    }

    /// Whether the chain at `last` may be `chain`: as it is now, as it was when the batch was written, or
    /// (inside a gap, whose batches the hub may have had before they were given up) as nobody here can tell.
    fn agrees(&self, track: u32, last: u64, chain: Chain) -> Result<bool, WalFault> {
        let (now, slots) = {
            let mut index = locked(&self.shared);
            let Some(track) = index.tracks.get_mut(&track) else { return Ok(false) };
            let now = track.chain_at(last);
            (now, [track.at(last), track.at(last + 1)])
        };
        if now == Some(chain) || now.is_none() {
            return Ok(true);
        }
        let [at, next] = slots;
        let at_is_hole = at.is_some_and(|(slot, _)| slot.kind() != SlotKind::Batch);
        let mut written = Vec::new();
        for (slot, is_next) in [(at, false), (next, true)].into_iter().filter_map(|(found, is_next)| Some((found?.0, is_next))) {
            if slot.kind() != SlotKind::Batch {
                continue;
            }
            if let Fetched::Record(_, Head::Batch(head), _) = self.reader.fetch(slot.where_it_lies())? {
                let before = Chain::from_bytes(&head.chain_previous).unwrap_or_default();
                written.push(if is_next { before } else { digest::extend(before, BatchDigest(slot.link)) });
            }
        }
        Ok(written.contains(&chain) || (at_is_hole && written.is_empty()))
    }

    /// The hub was rolled back to before the oldest entry here: what lies between is gone for good.
    fn roll_back_past(&mut self, track: TrackId, last: Sequence, chain: Chain) -> Result<Lost, WalFault> {
        let (from, head) = {
            let mut index = locked(&self.shared);
            let found = index.tracks.get_mut(&track.0).ok_or(WalFault::NoTrack { track })?;
            let (from, to) = (last.0 + 1, found.oldest() - 1);
            let head = pb::GapHead {
                to,
                chain_previous: Bytes::copy_from_slice(&chain.0),
                chain_to: Bytes::copy_from_slice(&digest::extend_gap(chain, from, to).0),
                reason: reason::HUB_ROLLBACK.to_owned(),
                rebased: found.rebased,
                ..pb::GapHead::default()
            };
            found.reach_back(chain, Slot::gap(from, &head), to);
            found.set_acked(last.0, chain);
            found.sent = last.0;
            (from, head)
        };
        let lost = Lost { track, from: Sequence(from), to: Sequence(head.to), reason: head.reason.clone(), lines: None, bytes: None };
        self.pending.push_back(Pending { track: track.0, sequence: from, head: Head::Gap(head), body: Bytes::new(), place: None });
        self.write_acks()?;
        Ok(lost)
    }

    /// The hub will not take the batch `sequence`: it goes to `aside/`, for people to look at, and a gap takes
    /// its place. Durable when it returns; gives what was lost, `None` when it was no unacked batch.
    ///
    /// # Errors
    /// [`WalFault::NoTrack`], [`WalFault::Io`], [`WalFault::DiskFull`].
    pub fn set_aside(&mut self, track: TrackId, sequence: Sequence, reason: &str) -> Result<Option<Lost>, WalFault> {
        let (found, acked) = {
            let index = locked(&self.shared);
            let found = index.tracks.get(&track.0).ok_or(WalFault::NoTrack { track })?;
            (found.at(sequence.0), found.acked)
        };
        let Some((slot, to)) = found.filter(|(slot, to)| slot.kind() == SlotKind::Batch && slot.is_durable() && *to > acked) else {
            return Ok(None);
        };
        let place = slot.where_it_lies();
        let mut head =
            pb::GapHead { to, lines: Some(u64::from(slot.lines)), min_ns: slot.written.nanos(), max_ns: slot.written.nanos(), ..pb::GapHead::default() };
        if let Fetched::Record(_, Head::Batch(batch), body) = self.reader.fetch(place)? {
            (head.lines, head.bytes) = (Some(batch.lines), Some(batch.raw_bytes));
            (head.min_ns, head.max_ns) = (batch.min_ns, batch.max_ns);
            // The gap matters, the copy is a favour: a disk that refuses it must not make others wait.
            drop(self.write_aside(track, sequence, &body));
        }
        head.reason = reason.chars().take(TEXT_BYTES_MAX / 4).collect();
        head.written_ns = slot.written.nanos();
        let lost = Lost { track, from: sequence, to: Sequence(to), reason: head.reason.clone(), lines: head.lines, bytes: head.bytes };
        self.put_gap(track.0, sequence.0, head);
        self.flush().map(|()| Some(lost))
    }

    fn write_aside(&self, track: TrackId, sequence: Sequence, body: &[u8]) -> io::Result<()> {
        let dir = self.settings.dir.join("aside");
        let path = dir.join(format!("{}-{:020}.batch", track.0, sequence.0));
        self.disk.make_dirs(&dir)?;
        let mut names: Vec<_> = self.disk.list(&dir)?.into_iter().filter(|entry| entry.kind == FileKind::File).map(|entry| entry.name).collect();
        names.sort_unstable();
        let surplus = (names.len() + 1).saturating_sub(ASIDE_FILES_MAX);
        for name in &names[..surplus.min(names.len())] {
            self.disk.remove(&dir.join(name))?;
        }
        self.disk.write_all(&path, body)
    }
}

#[cfg(test)]
mod tests;
