//! Records into files: write, sync, close a file and begin the next, begin anew after a failed sync.
//!
//! Parts: [`Current`] (the file that is written), [`Pending`] (a record that is not durable yet),
//! [`Wal::sync`], and beneath it ready, write, commit, abandon, begin. After a failed sync a file is
//! never written again and all that was not durable is written anew in the next one, whose head says
//! how much of the old one counts. Limits: what is pending is kept in memory, bounded by the callers.
//! Must not do: decide what is written.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use proto_model::{Chain, ProducerId};
use proto_seam::{DiskFile, OpenHow};

use crate::entry::{self, Head, Kind, Seal, pb};
use crate::fault::{WalFault, is_full};
use crate::file::{self, FileHead};
use crate::index::{FileFact, Index, Track};
use crate::limits::CHECKPOINT_PART_BYTES;
use crate::position::Positions;
use crate::recover;
use crate::slot::{Place, SlotKind};
use crate::wal::{Wal, locked};

/// The file that is written.
#[derive(Debug)]
pub(crate) struct Current {
    pub(crate) file: Box<dyn DiskFile>,
    pub(crate) path: PathBuf,
    pub(crate) number: u32,
    pub(crate) seal: Seal,
    /// End of the last whole record.
    pub(crate) len: u64,
    /// What is durable of it.
    pub(crate) synced: u64,
    /// Where the first record after its checkpoints begins, if this process began it.
    pub(crate) opening: u64,
}

/// A record that is not durable yet.
#[derive(Debug)]
pub(crate) struct Pending {
    /// Its track; 0 when it belongs to none.
    pub(crate) track: u32,
    /// Its sequence; 0 when it has none.
    pub(crate) sequence: u64,
    /// Its head.
    pub(crate) head: Head,
    /// Its body.
    pub(crate) body: Bytes,
    /// Where it was written; `None` = not yet, or in a file that does not count any more.
    pub(crate) place: Option<Place>,
}

impl Pending {
    /// A control record.
    pub(crate) const fn control(track: u32, kind: pb::control_head::Kind) -> Self {
        Self { track, sequence: 0, head: Head::control(kind), body: Bytes::new(), place: None }
    }

    /// The ack it tells, if it is one of `track`.
    pub(crate) const fn acked_mut(&mut self, track: u32) -> Option<&mut pb::Acked> {
        if self.track != track {
            return None;
        }
        if let Head::Control(pb::ControlHead { kind: Some(pb::control_head::Kind::Acked(told)), .. }) = &mut self.head { Some(told) } else { None }
    }
}

impl Wal {
    /// Makes all that was appended durable: one `fdatasync`, or, if that fails, a new file with what was not.
    ///
    /// # Errors
    /// [`WalFault::DiskFull`] or [`WalFault::Io`]: what was appended is still known and the next call tries again.
    pub fn sync(&mut self) -> Result<(), WalFault> {
        if !self.pending.is_empty() {
            self.queue_acks();
        }
        self.flush()
    }

    /// [`Self::sync`] of what is pending, without adding anything.
    pub(crate) fn flush(&mut self) -> Result<(), WalFault> {
        if self.pending.iter().any(|pending| pending.place.is_none()) {
            self.ready()?;
        }
        if self.pending.is_empty() || self.sync_current().is_ok() {
            return Ok(());
        }
        self.ready()?;
        self.sync_current()
    }

    /// Adds what the hub acked since it was last written.
    pub(crate) fn queue_acks(&mut self) {
        let index = locked(&self.shared);
        for (number, track) in index.tracks.iter().filter(|(_, track)| track.acked != track.acked_durable) {
            let told = pb::Acked { sequence: track.acked, chain: Bytes::copy_from_slice(&track.acked_chain.0) };
            let waiting = self.pending.iter_mut().rev().find_map(|pending| {
                let placed = pending.place.is_some();
                pending.acked_mut(*number).filter(|old| !placed || old.sequence == told.sequence)
            });
            match waiting {
                Some(old) => *old = told,
                None => self.pending.push_back(Pending::control(*number, pb::control_head::Kind::Acked(told))),
            }
        }
    }

    /// A file that takes records, with all that is pending in it, in order.
    pub(crate) fn ready(&mut self) -> Result<(), WalFault> {
        if self.current.as_ref().is_some_and(|current| current.len >= self.file_bytes) {
            self.close_file();
        }
        if self.current.is_none() {
            self.begin_file()?;
        }
        let mut pending = std::mem::take(&mut self.pending);
        let written = pending.iter_mut().filter(|pending| pending.place.is_none()).try_for_each(|pending| self.write(pending));
        // A write that fails may have voided the file, and with it the places of all.
        if self.current.is_none() {
            pending.iter_mut().for_each(|pending| pending.place = None);
        }
        self.pending = pending;
        written
    }

    /// Syncs the current file and closes it; the next record begins a new one.
    pub(crate) fn close_file(&mut self) {
        let unsynced = self.current.as_ref().is_some_and(|current| current.synced < current.len);
        if unsynced && self.sync_current().is_err() {
            return; // It was abandoned: its records go into the next file.
        }
        if let Some(current) = self.current.take() {
            self.before_len = u32::try_from(current.len).unwrap_or(u32::MAX);
            locked(&self.shared).current = None;
        }
    }

    fn sync_current(&mut self) -> Result<(), WalFault> {
        let Some(current) = &mut self.current else { return Ok(()) };
        if !cfg!(planted = "sent_before_sync")
            && let Err(failed) = current.file.sync()
        {
            let path = current.path.clone();
            locked(&self.shared).sync_failures += 1;
            self.abandon();
            return Err(self.fault("syncing", &path, failed));
        }
        current.synced = current.len;
        self.commit();
        Ok(())
    }

    /// Writes one record at the end of the current file; a failure leaves no part of it there.
    pub(crate) fn write(&mut self, pending: &mut Pending) -> Result<(), WalFault> {
        let current = self.current.as_mut().expect("callers make the file ready first");
        let head = pending.head.encode(current.synced);
        let kind = pending.head.kind();
        let bytes = entry::encode(current.seal, kind, pending.track, pending.sequence, &head, &pending.body);
        let written = current.file.append(&bytes).and_then(|()| if pending.body.is_empty() { Ok(()) } else { current.file.append(&pending.body) });
        if let Err(failed) = written {
            let path = current.path.clone();
            let is_sound = is_full(&failed) && current.file.set_len(current.len).is_ok();
            if !is_sound {
                self.abandon();
            }
            return Err(self.fault("writing", &path, failed));
        }
        let len = (bytes.len() + pending.body.len()) as u64;
        let narrow = |n: u64| u32::try_from(n).expect("files and records are bounded far below 4 GiB");
        let place = Place { file: current.number, offset: narrow(current.len), len: narrow(len) };
        current.len += len;
        pending.place = Some(place);
        let mut index = locked(&self.shared);
        index.stalled = false;
        index.files.entry(current.number).or_default().bytes = current.len;
        if matches!(kind, Kind::Batch | Kind::Gap)
            && let Some(slot) = index.tracks.get_mut(&pending.track).and_then(|track| track.slot_mut(pending.sequence))
            && !slot.is_durable()
        {
            slot.place(place);
        }
        Ok(())
    }

    /// What was written is durable: it counts from here on.
    fn commit(&mut self) {
        let (pending, unwritten): (VecDeque<Pending>, _) = std::mem::take(&mut self.pending).into_iter().partition(|pending| pending.place.is_some());
        self.pending = unwritten;
        self.pending_bytes = 0;
        self.hollow = 0;
        let mut index = locked(&self.shared);
        for Pending { track, sequence, head, place, .. } in pending {
            match head {
                Head::Batch(head) => {
                    self.positions.apply(&head.positions);
                    settle_slot(index.tracks.get_mut(&track), sequence, sequence, SlotKind::Batch, place);
                }
                Head::Gap(head) => {
                    self.positions.apply(&head.positions);
                    settle_slot(index.tracks.get_mut(&track), sequence, head.to, SlotKind::Gap, place);
                }
                Head::Control(pb::ControlHead { kind: Some(kind), .. }) => {
                    let voids = matches!(kind, pb::control_head::Kind::Adopt(_) | pb::control_head::Kind::Rebase(_));
                    let cuts = if let pb::control_head::Kind::Adopt(told) = &kind { told.cuts.iter().map(|cut| cut.track).collect() } else { Vec::new() };
                    let voided = cuts.into_iter().chain(voids.then_some(track));
                    let due: Vec<_> = voided.map(|track| (track, index.due_to_sinks(track))).collect();
                    commit_control(&mut index, &mut self.positions, track, kind, place);
                    for (track, due) in due {
                        index.voided(track, &due);
                    }
                }
                Head::Control(_) | Head::Checkpoint(_) => {}
            }
        }
    }

    /// Never writes the current file again; what is not durable must go into the next.
    pub(crate) fn abandon(&mut self) {
        let Some(mut current) = self.current.take() else { return };
        // What the device refused may still be shown from memory: a restart must not take that for durable.
        let is_cut = current.file.set_len(current.synced).is_ok();
        let is_cut_for_good = is_cut && current.file.sync().is_ok();
        for pending in &mut self.pending {
            pending.place = None;
        }
        self.before_len = u32::try_from(current.synced).unwrap_or(u32::MAX);
        let is_hollow = current.synced <= current.opening;
        self.hollow = if is_hollow { self.hollow + 1 } else { 0 };
        // Its checkpoint may be the only one until the next file has one. The first stays for good, since it tells the
        // end of the file before; the others need not: a disk that fails every sync must not fill up with them.
        self.surplus = (self.hollow > 1).then_some(current.number);
        let mut index = locked(&self.shared);
        index.current = None;
        if let Some(file) = index.files.get_mut(&current.number) {
            file.bytes = if is_cut { current.synced } else { file.bytes };
            file.needs_next = !is_cut_for_good;
        }
    }

    /// Begins the next file: head, checkpoint twice, all durable before anything else is written to it.
    pub(crate) fn begin_file(&mut self) -> Result<(), WalFault> {
        let number = self.number_next;
        let path = self.settings.dir.join(file::name(u64::from(number)));
        let next = number.checked_add(1).ok_or_else(|| WalFault::TooLarge { what: "the number of a WAL file", found: u64::MAX, limit: u64::from(u32::MAX) })?;
        locked(&self.shared).drop_drained(number);
        let opening = self.opening(number);
        let begun = self.disk.open(&path, OpenHow::CreateNew).and_then(|mut file| {
            let dir = &self.settings.dir;
            let done = file.append(&opening).and_then(|()| file.sync()).and_then(|()| self.disk.sync_dir(dir));
            done.map(|()| file).inspect_err(|_| drop(self.disk.remove(&path)))
        });
        let file = begun.map_err(|e| self.fault("beginning", &path, e))?;
        let len = opening.len() as u64;
        let gone = self.surplus.take().filter(|surplus| self.disk.remove(&self.settings.dir.join(file::name(u64::from(*surplus)))).is_ok());
        let mut index = locked(&self.shared);
        index.files.retain(|number, _| Some(*number) != gone);
        index.files.insert(number, FileFact { bytes: len, ..FileFact::default() });
        index.current = Some(number);
        for track in index.tracks.values_mut() {
            track.acked_durable = track.acked;
        }
        index.stalled = false;
        self.number_next = next;
        drop(index);
        self.current = Some(Current { file, path, number, seal: self.seal(number), len, synced: len, opening: len });
        self.keep_reserve();
        Ok(())
    }

    /// The first bytes of file `number`. The checkpoint stands twice, because nothing else in the directory may hold it.
    pub(crate) fn opening(&self, number: u32) -> Vec<u8> {
        let head = FileHead { wal_id: self.wal_id, number: u64::from(number), before_len: self.before_len };
        let mut out = head.encode().to_vec();
        let (seal, parts) = (self.seal(number), self.checkpoint());
        for part in parts.iter().chain(&parts) {
            let head = Head::Checkpoint(part.clone()).encode(0);
            out.extend(entry::encode(seal, Kind::Checkpoint, 0, 0, &head, &[]));
        }
        out
    }

    /// The durable state, in parts of about [`CHECKPOINT_PART_BYTES`].
    fn checkpoint(&self) -> Vec<pb::CheckpointHead> {
        let mut index = locked(&self.shared);
        let tracks = index.tracks.iter_mut().map(|(number, track)| checkpoint_track(*number, track)).collect();
        let mut parts = vec![pb::CheckpointHead { tracks, ..pb::CheckpointHead::default() }];
        let mut bytes = 0;
        for position in self.positions.iter() {
            if bytes > CHECKPOINT_PART_BYTES {
                parts.push(pb::CheckpointHead::default());
                bytes = 0;
            }
            bytes += position.path.len() + position.held.len() + 64;
            if let Some(part) = parts.last_mut() {
                part.positions.push(position.to_pb());
            }
        }
        let count = u32::try_from(parts.len()).unwrap_or(u32::MAX);
        for (part, at) in parts.iter_mut().zip(0..) {
            (part.part, part.parts) = (at, count);
        }
        parts
    }

    /// Turns an I/O error into a fault and remembers whether the disk is full.
    fn fault(&self, what: &'static str, path: &Path, reason: io::Error) -> WalFault {
        if is_full(&reason) {
            locked(&self.shared).stalled = true;
            return WalFault::DiskFull { path: self.settings.dir.clone() };
        }
        WalFault::io(what, path, reason)
    }
}

fn checkpoint_track(number: u32, track: &mut Track) -> pb::Track {
    let chain = track.chain_at(track.durable).unwrap_or_default();
    pb::Track {
        track: number,
        producer: track.producer.map(|producer| Bytes::copy_from_slice(&producer.to_bytes())).unwrap_or_default(),
        next: track.durable + 1,
        chain: Bytes::copy_from_slice(&chain.0),
        acked: track.acked,
        acked_chain: Bytes::copy_from_slice(&track.acked_chain.0),
        oldest: track.oldest(),
        closed: track.closed,
        rebased: track.rebased,
    }
}

fn commit_control(index: &mut Index, positions: &mut Positions, number: u32, kind: pb::control_head::Kind, place: Option<Place>) {
    use pb::control_head::Kind;
    let track = match &kind {
        Kind::Positions(told) => return positions.apply(&told.positions),
        Kind::Bind(_) | Kind::Acked(_) | Kind::Close(_) | Kind::Adopt(_) | Kind::Rebase(_) => {
            index.tracks.entry(number).or_insert_with(|| Track::new(0, Chain::default()))
        }
    };
    match kind {
        Kind::Positions(_) => {}
        Kind::Bind(told) => (track.producer, track.closed, track.drained_in) = (ProducerId::from_bytes(&told.producer), false, None),
        Kind::Acked(told) => track.acked_durable = told.sequence,
        Kind::Close(_) => track.closed = true,
        Kind::Adopt(told) => {
            let rebased = track.rebased;
            *track = Track::new(told.last, Chain::from_bytes(&told.chain).unwrap_or_default());
            track.rebased = rebased;
            track.producer = ProducerId::from_bytes(&told.producer);
            for cut in &told.cuts {
                if let Some(track) = index.tracks.get_mut(&cut.track).filter(|_| cut.track != number) {
                    track.cut(cut.next);
                }
            }
            positions.replace(&told.positions);
        }
        // It stands twice; the second does nothing.
        Kind::Rebase(told) => {
            if let Some(kept) = recover::runs_of(&told).filter(|_| told.rebased == track.rebased + 1) {
                track.rebase(&kept);
                track.producer = ProducerId::from_bytes(&told.producer);
            }
            index.rebased_in.extend(place.map(|place| place.file));
        }
    }
}

fn settle_slot(track: Option<&mut Track>, from: u64, to: u64, kind: SlotKind, place: Option<Place>) {
    let Some(track) = track else { return };
    if let Some(slot) = track.slot_mut(from).filter(|slot| slot.kind() == kind && Some(slot.where_it_lies()) == place) {
        slot.set_durable();
    }
    track.durable = track.durable.max(to).min(track.next - 1);
}
