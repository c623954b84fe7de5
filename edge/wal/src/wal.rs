//! The WAL, open: what it is made of, how it is opened, what can be asked of it.
//!
//! Parts: [`WalSettings`], [`Wal`], [`Wal::open`] (lock, survey, replay, mend the tail), and the
//! questions. Writing is in `append.rs` and `writer.rs`, reading in `read.rs`. Promises: a file that
//! this program may not touch is left as it is; what was read back is synced before anyone builds on it.
//! All calls block: run them on `proto_seam::Workers`.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use proto_model::{Chain, Sequence, Timestamp, TrackId, WalId};
use proto_seam::{Disk, DiskLock, Entropy, OpenHow};

use crate::append::Loss;
use crate::entry::{Head, Seal, pb};
use crate::fault::{WalFault, is_full};
use crate::file::{self, HEAD_BYTES, HeadState};
use crate::index::{FileFact, Index};
use crate::limits::{FILE_BYTES_MAX, FILE_BYTES_MIN, FILES_MIN};
use crate::position::{Beginnings, Positions, SourcePosition};
use crate::quota::{TrackUsage, Usage, WhenFull};
use crate::read::{Entry, Fetched, WalReader};
use crate::recover::{Recovered, Replay, TrackState, reason};
use crate::slot::{Slot, SlotKind};
use crate::walk::{Met, Survey, Surveyed, walk};
use crate::writer::{Current, Pending};

/// How a WAL is kept.
#[derive(Debug, Clone)]
pub struct WalSettings {
    /// Its directory; made if absent.
    pub dir: PathBuf,
    /// Most bytes of all its files.
    pub max_bytes: u64,
    /// Oldest unacked record that is kept; zero = for ever.
    pub max_age: Duration,
    /// What to do at `max_bytes`.
    pub when_full: WhenFull,
    /// Acked bytes kept for a hub that was rolled back.
    pub grace_bytes: u64,
    /// How long acked records are kept for it.
    pub grace_age: Duration,
    /// Size at which a file is closed (`limits::FILE_BYTES`); an eighth of `max_bytes` if that is less.
    pub file_bytes: u64,
}

/// One entry that waits for an ack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unacked {
    /// Its first sequence.
    pub from: Sequence,
    /// What it advances.
    pub positions: Vec<SourcePosition>,
    /// Of a gap: what it says.
    pub loss: Option<Loss>,
}

/// The WAL, open for writing. One at a time per directory.
#[derive(Debug)]
pub struct Wal {
    pub(crate) settings: WalSettings,
    pub(crate) file_bytes: u64,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) wal_id: WalId,
    pub(crate) shared: Arc<Mutex<Index>>,
    /// The file that is written; made when first needed.
    pub(crate) current: Option<Current>,
    pub(crate) number_next: u32,
    /// How much of the file before `number_next` counts.
    pub(crate) before_len: u32,
    /// Files abandoned one after the other with nothing in them but their opening.
    pub(crate) hollow: u32,
    /// One such file too many: it goes when the next is begun.
    pub(crate) surplus: Option<u32>,
    /// Bytes of the file that keeps room on a full disk.
    pub(crate) reserve: u64,
    /// Records that are not durable yet, in order.
    pub(crate) pending: VecDeque<Pending>,
    pub(crate) pending_bytes: u64,
    /// As the durable records tell them.
    pub(crate) positions: Positions,
    /// As all records do, durable or not.
    pub(crate) beginnings: Beginnings,
    /// What the last record that told any advanced.
    pub(crate) before: Vec<pb::Position>,
    /// Where the newest batch or gap left its track.
    pub(crate) end: Option<pb::End>,
    pub(crate) reader: WalReader,
    _lock: Box<dyn DiskLock>,
}

/// The positions that the WAL in `dir` holds; it is only read, also while another process has it.
///
/// # Errors
/// [`WalFault`] when the directory cannot be read, or its files are not this program's to read. No directory: no positions.
pub fn positions(dir: &Path, disk: &dyn Disk) -> Result<Vec<SourcePosition>, WalFault> {
    match disk.list(dir) {
        Err(none) if none.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Ok(_) | Err(_) => {}
    }
    let survey = Survey::new(file::list(dir, disk)?, disk)?;
    let mut replay = Replay::default();
    for surveyed in &survey.files {
        replay_file(surveyed, disk, &mut replay)?;
    }
    Ok(replay.finish(survey.wal_id.unwrap_or(WalId(0))).recovered.positions)
}

/// Waits for nobody long: it is held while the index is looked at, never during I/O.
pub(crate) fn locked(shared: &Mutex<Index>) -> MutexGuard<'_, Index> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Wal {
    /// Opens the WAL in `settings.dir`, or begins one there.
    ///
    /// A full disk is no fault: the WAL opens stalled, what it holds can be read and shipped.
    ///
    /// # Errors
    /// [`WalFault::Locked`] when another process has it; [`WalFault::Newer`], [`WalFault::Foreign`],
    /// [`WalFault::NotWal`], [`WalFault::Keyed`] when its files are not this program's to touch;
    /// [`WalFault::Unwritable`] and [`WalFault::Io`] when the disk refuses.
    pub fn open(settings: WalSettings, disk: Arc<dyn Disk>, entropy: &Entropy, now: Timestamp) -> Result<(Self, Recovered), WalFault> {
        let dir = settings.dir.clone();
        let lock = lock(&dir, &*disk)?;
        let survey = Survey::new(file::list(&dir, &*disk)?, &*disk)?;
        let stalled = !can_grow(&dir, &*disk, PROBE_BYTES)?;
        let wal_id = survey.wal_id.unwrap_or_else(|| WalId(entropy.next_u64()));
        let mut replay = Replay::default();
        let tails = survey.files.iter().map(|file| replay_file(file, &*disk, &mut replay)).collect::<Result<Vec<_>, _>>()?;
        let mut replayed = replay.finish(wal_id);
        replayed.index.stalled = stalled;
        for file in replayed.index.files.values_mut() {
            file.clear_since = Some(now);
        }
        let shared = Arc::new(Mutex::new(replayed.index));
        let mut wal = Self {
            file_bytes: settings.file_bytes.min(settings.max_bytes / FILES_MIN).clamp(FILE_BYTES_MIN, FILE_BYTES_MAX),
            reader: WalReader::new(Arc::clone(&disk), dir, wal_id, Arc::clone(&shared)),
            settings,
            disk,
            wal_id,
            shared,
            current: None,
            number_next: 1,
            before_len: 0,
            hollow: 0,
            surplus: None,
            reserve: 0,
            pending: VecDeque::new(),
            pending_bytes: 0,
            beginnings: Beginnings::of(replayed.positions.iter()),
            positions: replayed.positions,
            before: replayed.before,
            end: replayed.end,
            _lock: lock,
        };
        wal.mend(&survey, &tails)?;
        wal.find_reserve();
        if wal.current.is_none() && !stalled {
            match wal.begin_file() {
                Ok(()) | Err(WalFault::DiskFull { .. }) => {}
                Err(other) => return Err(other),
            }
        }
        if !stalled {
            wal.keep_reserve();
        }
        Ok((wal, replayed.recovered))
    }

    /// Cuts what was never durable, syncs what was read, and goes on in the last file if it is sound.
    fn mend(&mut self, survey: &Survey, tails: &[Tail]) -> Result<(), WalFault> {
        let mut files = survey.files.iter().zip(tails).collect::<Vec<_>>();
        while let Some((file, tail)) = files.pop() {
            let number = index_number(file)?;
            let Some(seal) = file.seal.filter(|_| tail.records > 0) else {
                self.put_away(file)?;
                locked(&self.shared).files.remove(&number);
                self.number_next = number;
                self.before_len = files.last().map_or(0, |(before, _)| u32::try_from(before.end).unwrap_or(u32::MAX));
                continue;
            };
            return self.go_on_in(file, tail.end, number, seal);
        }
        Ok(())
    }

    fn go_on_in(&mut self, last: &Surveyed, end: u64, number: u32, seal: Seal) -> Result<(), WalFault> {
        let path = &last.listed.path;
        self.number_next = number.checked_add(1).ok_or_else(|| WalFault::NotWal { path: path.clone() })?;
        let mut file = self.disk.open(path, OpenHow::Append).map_err(|e| WalFault::io("opening", path, e))?;
        if end < last.listed.len {
            file.set_len(end).map_err(|e| WalFault::io("cutting", path, e))?;
        }
        file.sync().map_err(|e| WalFault::io("syncing", path, e))?;
        self.disk.sync_dir(&self.settings.dir).map_err(|e| WalFault::io("syncing", &self.settings.dir, e))?;
        self.before_len = u32::try_from(end).unwrap_or(u32::MAX);
        let mut index = locked(&self.shared);
        index.files.insert(number, FileFact { bytes: end, ..FileFact::default() });
        if matches!(last.listed.head, HeadState::Sound(_)) {
            index.current = Some(number);
            self.current = Some(Current { file, path: path.clone(), number, seal, len: end, synced: end, opening: 0 });
        }
        Ok(())
    }

    /// A last file without a sound record: it was being begun, or nothing of it can be read any more.
    fn put_away(&self, file: &Surveyed) -> Result<(), WalFault> {
        let path = &file.listed.path;
        let done = if file.seal.is_none() && matches!(file.listed.head, HeadState::Damaged(_)) {
            let aside = self.settings.dir.join("aside");
            let name = format!("{}.damaged", file::name(file.listed.number));
            self.disk.make_dirs(&aside).and_then(|()| self.disk.rename(path, &aside.join(name)))
        } else {
            self.disk.remove(path)
        };
        done.and_then(|()| self.disk.sync_dir(&self.settings.dir)).map_err(|e| WalFault::io("removing", path, e))
    }

    /// Newest sequence that is durable here: what may be sent.
    #[must_use]
    pub fn durable(&self, track: TrackId) -> Sequence {
        self.reader.durable(track)
    }

    /// Reads the entry that covers `sequence`; see [`WalReader::read`].
    ///
    /// # Errors
    /// As [`WalReader::read`].
    pub fn read(&self, track: TrackId, sequence: Sequence) -> Result<Option<Entry>, WalFault> {
        self.reader.read(track, sequence)
    }

    /// A reader that works beside the writer.
    #[must_use]
    pub fn reader(&self) -> WalReader {
        self.reader.clone()
    }

    /// What the WAL holds.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.reader.usage()
    }

    /// The chain at `sequence`; `None` when the WAL does not reach there, or a gap covers it and goes on.
    #[must_use]
    pub fn chain_at(&self, track: TrackId, sequence: Sequence) -> Option<Chain> {
        self.reader.chain_at(track, sequence)
    }

    /// All tracks, by number.
    #[must_use]
    pub fn tracks(&self) -> Vec<TrackState> {
        locked(&self.shared).tracks.iter().map(|(number, track)| track.state(*number)).collect()
    }

    /// What it holds of each track that is not closed, by number.
    #[must_use]
    pub fn track_usage(&self) -> Vec<TrackUsage> {
        let index = locked(&self.shared);
        index.tracks.iter().filter(|(_, track)| !track.closed).map(|(number, track)| TrackUsage::of(*number, track)).collect()
    }

    /// All that waits in `track` for an ack, oldest first, as far as it can be read. Reads all of it.
    pub fn each_unacked(&self, track: TrackId, visit: &mut dyn FnMut(Unacked)) {
        let slots: Vec<(Slot, u64)> = locked(&self.shared).tracks.get(&track.0).map(|track| track.after(track.acked).collect()).unwrap_or_default();
        for (slot, _) in slots {
            let from = Sequence(slot.from);
            let fetched = if slot.kind() == SlotKind::Hole { None } else { self.reader.fetch(slot.where_it_lies()).ok() };
            match fetched {
                Some(Fetched::Record(_, Head::Batch(head), _)) => {
                    let positions = head.positions.into_iter().map(SourcePosition::from_pb).collect();
                    visit(Unacked { from, positions, loss: None });
                }
                Some(Fetched::Record(_, Head::Gap(head), _)) => {
                    let loss = Loss {
                        lines: head.lines,
                        bytes: head.bytes,
                        min: Timestamp(head.min_ns),
                        max: Timestamp(head.max_ns),
                        reason: head.reason,
                        source: head.source,
                    };
                    let positions = head.positions.into_iter().map(SourcePosition::from_pb).collect();
                    visit(Unacked { from, positions, loss: Some(loss) });
                }
                Some(_) | None => {
                    visit(Unacked { from, positions: Vec::new(), loss: Some(Loss { reason: reason::WAL_DAMAGED.to_owned(), ..Loss::default() }) })
                }
            }
        }
    }

    /// The sources that unacked batches of `track` tell of, each as the newest of them does. Reads all of them.
    #[must_use]
    pub fn sources_unacked(&self, track: TrackId) -> Vec<SourcePosition> {
        let slots: Vec<Slot> =
            locked(&self.shared).tracks.get(&track.0).map(|track| track.after(track.acked).map(|(slot, _)| slot).collect()).unwrap_or_default();
        let mut told = Positions::default();
        for slot in slots.iter().filter(|slot| slot.kind() == SlotKind::Batch) {
            if let Ok(Fetched::Record(_, Head::Batch(head), _)) = self.reader.fetch(slot.where_it_lies()) {
                let kept = head.positions.into_iter().map(|position| pb::Position { gone: false, ..position });
                told.apply(&kept.collect::<Vec<_>>());
            }
        }
        told.iter().cloned().collect()
    }

    /// All sources that are not gone, as the durable records tell them.
    #[must_use]
    pub fn positions(&self) -> Vec<SourcePosition> {
        self.positions.iter().cloned().collect()
    }

    /// The WAL's id.
    #[must_use]
    pub const fn id(&self) -> WalId {
        self.wal_id
    }

    /// The seal of a file of this WAL.
    pub(crate) fn seal(&self, number: u32) -> Seal {
        Seal::new(self.wal_id, u64::from(number))
    }
}

/// How a file ends.
#[derive(Debug, Clone, Copy)]
struct Tail {
    /// After its last sound record.
    end: u64,
    /// Its sound records.
    records: u64,
}

fn replay_file(file: &Surveyed, disk: &dyn Disk, replay: &mut Replay) -> Result<Tail, WalFault> {
    let number = index_number(file)?;
    replay.index.files.insert(number, FileFact { bytes: file.listed.len, clear_since: None, needs_next: file.end < file.listed.len });
    let mut tail = Tail { end: HEAD_BYTES as u64, records: 0 };
    walk(file, disk, &mut |met| match met {
        Met::Record(found) => {
            tail.end = found.offset + found.header.record_len();
            tail.records += 1;
            replay.record(number, found);
        }
        Met::Bad { .. } => replay.bad(),
        Met::Torn { len, .. } => replay.torn(len),
    })?;
    Ok(tail)
}

/// The number as the index keeps it: 2^32 files of 64 MiB are more than any disk holds.
fn index_number(file: &Surveyed) -> Result<u32, WalFault> {
    u32::try_from(file.listed.number).map_err(|_| WalFault::NotWal { path: file.listed.path.clone() })
}

fn lock(dir: &Path, disk: &dyn Disk) -> Result<Box<dyn DiskLock>, WalFault> {
    disk.make_dirs(dir).map_err(|e| unusable(dir, e))?;
    let path = dir.join("LOCK");
    disk.lock(&path).map_err(|e| if e.kind() == io::ErrorKind::WouldBlock { WalFault::Locked { path } } else { unusable(dir, e) })
}

/// A page: what the disk must have for the WAL to open as one that can be written.
const PROBE_BYTES: u64 = 4096;

/// Tries to write so many bytes: `false` when the disk is full.
pub(crate) fn can_grow(dir: &Path, disk: &dyn Disk, bytes: u64) -> Result<bool, WalFault> {
    let path = dir.join("probe.tmp");
    match disk.remove(&path) {
        Ok(()) => {}
        Err(gone) if gone.kind() == io::ErrorKind::NotFound => {}
        Err(other) => return Err(unusable(dir, other)),
    }
    let tried = disk.open(&path, OpenHow::CreateNew).and_then(|mut file| file.append(&vec![0; usize::try_from(bytes).unwrap_or(usize::MAX)]));
    match disk.remove(&path) {
        Ok(()) => {}
        Err(gone) if gone.kind() == io::ErrorKind::NotFound => {}
        Err(other) => return Err(unusable(dir, other)),
    }
    match tried {
        Ok(()) => Ok(true),
        Err(full) if is_full(&full) => Ok(false),
        Err(other) => Err(unusable(dir, other)),
    }
}

fn unusable(dir: &Path, reason: io::Error) -> WalFault {
    if is_full(&reason) { WalFault::DiskFull { path: dir.to_path_buf() } } else { WalFault::Unwritable { path: dir.to_path_buf(), reason } }
}

#[cfg(test)]
mod tests;
