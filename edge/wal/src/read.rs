//! Entries out of the WAL, while it is written.
//!
//! Parts: [`Entry`], [`WalReader`]. A reader looks the place up in the shared index and reads it with a
//! file of its own, so it never waits for a sync. Promises: only durable entries are given; one that
//! turns out damaged becomes a gap in place, counted, and never blocks what comes after it.
//! Limits: one open file and one record in memory per reader. All calls block.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use proto_model::{BatchDigest, Chain, Sequence, Timestamp, TrackId, WalId};
use proto_seam::{Disk, DiskFile, OpenHow};
use proto_wire::digest;

use crate::entry::{self, Head, Seal, pb};
use crate::fault::WalFault;
use crate::file;
use crate::index::Index;
use crate::limits::READ_TRIES_MAX;
use crate::position::SourcePosition;
use crate::quota::Usage;
use crate::recover::reason;
use crate::slot::{Place, Slot, SlotKind};
use crate::wal::locked;

/// One entry of a track, as it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A batch.
    Batch {
        /// Its number.
        sequence: Sequence,
        /// C of the number before.
        chain_previous: Chain,
        /// D of the body.
        digest: BatchDigest,
        /// The frozen batch.
        body: Bytes,
        /// The positions it advances.
        positions: Vec<SourcePosition>,
        /// Number of lines.
        lines: u64,
        /// Sum of line lengths.
        raw_bytes: u64,
        /// When it was appended.
        written: Timestamp,
    },
    /// What takes the place of batches that were given up.
    Gap {
        /// First of them.
        from: Sequence,
        /// Last of them.
        to: Sequence,
        /// C of `from - 1`.
        chain_previous: Chain,
        /// C of `to`.
        chain_to: Chain,
        /// Lines; `None` = unknown.
        lines: Option<u64>,
        /// Raw bytes; `None` = unknown.
        bytes: Option<u64>,
        /// Earliest line.
        min: Timestamp,
        /// Latest line.
        max: Timestamp,
        /// Why.
        reason: String,
        /// The source, when one alone is meant.
        source: String,
    },
}

/// Reads entries while the WAL is written; a clone shares the index and opens files of its own.
#[derive(Debug)]
pub struct WalReader {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    wal_id: WalId,
    pub(crate) shared: Arc<Mutex<Index>>,
    open: Mutex<Option<(u32, Arc<dyn DiskFile>)>>,
    /// The place that could not be read last, and how often.
    failed: Mutex<(Place, u32)>,
}

impl Clone for WalReader {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.disk), self.dir.clone(), self.wal_id, Arc::clone(&self.shared))
    }
}

/// What came of reading a record.
#[expect(clippy::large_enum_variant, reason = "one at a time, never stored")]
pub(crate) enum Fetched {
    /// It is sound: the sequence it was written with, head, body.
    Record(u64, Head, Bytes),
    /// It is damaged, or its file is gone.
    Damaged,
}

/// A slot and all that the index knows of it.
struct Looked {
    slot: Slot,
    to: u64,
    chain_previous: Chain,
    chain_to: Chain,
}

impl WalReader {
    pub(crate) fn new(disk: Arc<dyn Disk>, dir: PathBuf, wal_id: WalId, shared: Arc<Mutex<Index>>) -> Self {
        Self { disk, dir, wal_id, shared, open: Mutex::new(None), failed: Mutex::default() }
    }

    /// Reads the entry that covers `sequence`; `None` when it is not durable yet, or not here any more.
    /// What was read counts as sent: it is not dropped from then on.
    ///
    /// # Errors
    /// [`WalFault::Io`] when the disk does not answer; the third time for one record it becomes a gap.
    /// [`WalFault::NoTrack`] when there is no such track.
    pub fn read(&self, track: TrackId, sequence: Sequence) -> Result<Option<Entry>, WalFault> {
        loop {
            let Some(looked) = self.look_up(track, sequence.0)? else { return Ok(None) };
            if looked.slot.kind() == SlotKind::Hole {
                return Ok(Some(looked.hole()));
            }
            let place = looked.slot.where_it_lies();
            match self.fetch(place) {
                Ok(Fetched::Record(_, Head::Batch(head), body)) if looked.slot.kind() == SlotKind::Batch => return Ok(Some(looked.batch(head, body))),
                Ok(Fetched::Record(from, Head::Gap(head), _)) if looked.slot.kind() == SlotKind::Gap => return Ok(Some(looked.gap(from, head))),
                // Also when the slot changed meanwhile (trimmed, dropped): then nothing is given up and the new slot is read.
                Ok(Fetched::Record(..) | Fetched::Damaged) => drop(locked(&self.shared).give_up(track.0, sequence.0, place)),
                Err(fault) if self.may_retry(place) => return Err(fault),
                Err(_) => drop(locked(&self.shared).give_up(track.0, sequence.0, place)),
            }
        }
    }

    /// Newest sequence that is durable: what may be sent.
    #[must_use]
    pub fn durable(&self, track: TrackId) -> Sequence {
        Sequence(locked(&self.shared).tracks.get(&track.0).map_or(0, |track| track.durable))
    }

    /// What the WAL holds.
    #[must_use]
    pub fn usage(&self) -> Usage {
        Usage::of(&locked(&self.shared))
    }

    /// The chain at `sequence`; `None` when the WAL does not reach there, or a gap covers it and goes on.
    #[must_use]
    pub fn chain_at(&self, track: TrackId, sequence: Sequence) -> Option<Chain> {
        locked(&self.shared).tracks.get_mut(&track.0)?.chain_at(sequence.0)
    }

    fn look_up(&self, track: TrackId, sequence: u64) -> Result<Option<Looked>, WalFault> {
        let mut index = locked(&self.shared);
        let found = index.tracks.get_mut(&track.0).ok_or(WalFault::NoTrack { track })?;
        let Some((slot, to)) = found.at(sequence).filter(|(slot, _)| slot.is_durable()) else { return Ok(None) };
        let (Some(chain_previous), Some(chain_to)) = (found.chain_at(slot.from - 1), found.chain_at(to)) else { return Ok(None) };
        found.sent = found.sent.max(to);
        Ok(Some(Looked { slot, to, chain_previous, chain_to }))
    }

    /// Reads the record at `place`.
    pub(crate) fn fetch(&self, place: Place) -> Result<Fetched, WalFault> {
        let path = self.dir.join(file::name(u64::from(place.file)));
        let file = match self.file(place.file) {
            Ok(file) => file,
            Err(gone) if gone.kind() == io::ErrorKind::NotFound => return Ok(Fetched::Damaged),
            Err(other) => return Err(WalFault::io("opening", &path, other)),
        };
        let mut record = vec![0; place.len as usize];
        let mut filled = 0;
        while filled < record.len() {
            match file.read_at(&mut record[filled..], u64::from(place.offset) + filled as u64) {
                Ok(0) => return Ok(Fetched::Damaged),
                Ok(n) => filled += n,
                Err(again) if again.kind() == io::ErrorKind::Interrupted => {}
                Err(other) => return Err(WalFault::io("reading", &path, other)),
            }
        }
        let seal = Seal::new(self.wal_id, u64::from(place.file));
        Ok(entry::decode(seal, &Bytes::from(record)).map_or(Fetched::Damaged, |(header, head, body)| Fetched::Record(header.sequence, head, body)))
    }

    fn file(&self, number: u32) -> io::Result<Arc<dyn DiskFile>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, file)) = open.as_ref().filter(|(open, _)| *open == number) {
            return Ok(Arc::clone(file));
        }
        let file: Arc<dyn DiskFile> = Arc::from(self.disk.open(&self.dir.join(file::name(u64::from(number))), OpenHow::Read)?);
        *open = Some((number, Arc::clone(&file)));
        Ok(file)
    }

    /// Closes the file it has open, so that the space of a removed one comes back.
    pub(crate) fn close(&self) {
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(crate) fn may_retry(&self, place: Place) -> bool {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        *failed = if failed.0 == place { (place, failed.1 + 1) } else { (place, 1) };
        failed.1 < READ_TRIES_MAX
    }
}

impl Looked {
    fn batch(self, head: pb::BatchHead, body: Bytes) -> Entry {
        Entry::Batch {
            sequence: Sequence(self.slot.from),
            chain_previous: self.chain_previous,
            digest: BatchDigest(self.slot.link),
            body,
            positions: head.positions.into_iter().map(SourcePosition::from_pb).collect(),
            lines: head.lines,
            raw_bytes: head.raw_bytes,
            written: Timestamp(head.written_ns),
        }
    }

    fn gap(self, from: u64, head: pb::GapHead) -> Entry {
        // A part of a gap: how much of the counts belongs to it is unknown. (It may have been numbered anew since.)
        let is_whole =
            self.to - self.slot.from == head.to.wrapping_sub(from) && self.chain_to == digest::extend_gap(self.chain_previous, self.slot.from, self.to);
        let whole = |count: Option<u64>| count.filter(|_| is_whole);
        Entry::Gap {
            from: Sequence(self.slot.from),
            to: Sequence(self.to),
            chain_previous: self.chain_previous,
            chain_to: self.chain_to,
            lines: whole(head.lines),
            bytes: whole(head.bytes),
            min: Timestamp(head.min_ns),
            max: Timestamp(head.max_ns),
            reason: head.reason,
            source: head.source,
        }
    }

    fn hole(self) -> Entry {
        Entry::Gap {
            from: Sequence(self.slot.from),
            to: Sequence(self.to),
            chain_previous: self.chain_previous,
            chain_to: self.chain_to,
            lines: Some(u64::from(self.slot.lines)).filter(|lines| *lines > 0),
            bytes: None,
            min: self.slot.written,
            max: self.slot.written,
            reason: reason::WAL_DAMAGED.to_owned(),
            source: String::new(),
        }
    }
}

#[cfg(test)]
mod tests;
