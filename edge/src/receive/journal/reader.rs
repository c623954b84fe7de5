//! A journal's files as one sequence of entries: found, merged in order, read on as they grow.
//!
//! Parts: [`Reader`], [`Filled`] (what one call gives), `scan` (which files there are), `numbers` (which entries are missing). Reading goes in rounds: all headers are read, then
//! the folders, then all that the headers counted, in order of time; when a round is through, all entries up to the numbers of its beginning
//! are read in every file, so that the cursor needs no list of files. Limits: [`FILES_MAX`] open files. Promises: an entry is given once; a
//! file that is removed while it is open is read to its end; entries that journald moved from memory to disk are not given again. What cannot be
//! read is skipped and counted. Blocks: run it on workers. Must not do: wait.

mod numbers;
mod scan;

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use proto_model::Timestamp;
use proto_seam::{Disk, FileIdentity};

use super::cursor::{Cursor, FilePlace, Place};
use super::entry::{Refusal, Shape};
use super::file::{Field, JournalFile};
use super::object::{EntryHead, Id};
use crate::receive::post::Post;
use crate::receive::{Arrival, PULLED_BYTES_MAX};
use numbers::Numbers;

/// Files open at once: a journal keeps about 100.
const FILES_MAX: usize = 512;
/// Entries looked at in one call.
const ENTRIES_MAX: u64 = 16_384;
/// Between two looks at the folders.
const SCAN_EVERY: Duration = Duration::from_secs(1);
/// Gaps that a line of the log names.
const TOLD_MAX: usize = 8;

/// Where journal files lie.
#[derive(Debug, Clone)]
pub(super) struct Root {
    pub(super) dir: PathBuf,
    /// In memory, until journald moves it to disk.
    pub(super) is_runtime: bool,
}

/// What was counted.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) lines: u64,
    pub(super) no_message: u64,
    pub(super) empty_labels: u64,
    /// Entries that cannot be read.
    pub(super) damaged_entries: u64,
    /// Files of which something cannot be read.
    pub(super) damaged_files: u64,
    /// Times that entries were gone before they were read.
    pub(super) gone: u64,
    /// How many of them, as far as that is known.
    pub(super) gone_entries: u64,
}

/// What one call gave.
#[derive(Debug, Default)]
pub(super) struct Filled {
    pub(super) records: Vec<Arrival>,
    /// Entries that were passed, wanted or not.
    pub(super) passed: u64,
    pub(super) counts: Counts,
    /// All is read for now.
    pub(super) is_all: bool,
}

/// An entry and its run of numbers.
type Other = (Id, EntryHead);

/// This reader cannot read the journal; why.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {why}")]
pub(super) struct Unreadable {
    path: String,
    why: String,
}

/// A journal that is read.
pub(super) struct Reader {
    disk: Arc<dyn Disk>,
    roots: Vec<Root>,
    post: Arc<Post>,
    shape: Shape,
    cursor: Cursor,
    files: Vec<JournalFile>,
    /// Files that are read to their end and will not grow, or cannot be read: their length and last modification.
    closed: BTreeMap<FileIdentity, (u64, i64)>,
    /// Files that are read to their end and closed, past their run's floor.
    finished: BTreeMap<Id, (Id, FilePlace)>,
    numbers: Numbers,
    /// There is a file that must not be read: what is in it is not missing.
    is_barred: bool,
    /// Files that need another reader are skipped: there is none.
    skips_unknown: bool,
    /// The newest numbers at the beginning of this round; `None` between two rounds.
    round: Option<Round>,
    next_scan: Timestamp,
    /// Nothing was looked for yet: what the cursor knows is compared with what is there.
    is_first: bool,
    told: BTreeMap<PathBuf, String>,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Round {
    newest: BTreeMap<Id, u64>,
    /// The folders were looked at after the headers were read, and all files there are open.
    is_scanned: bool,
}

impl Reader {
    /// A reader that goes on at `cursor`; without one, at entries not older than `since` (microseconds since 1970).
    pub(super) fn new(disk: Arc<dyn Disk>, roots: Vec<Root>, post: Arc<Post>, shape: Shape, cursor: Option<Cursor>, since: u64) -> Self {
        let cursor = match cursor {
            None => Cursor { since, ..Cursor::default() },
            Some(cursor) if cursor.is_foreign() => taken_over(cursor, since),
            Some(cursor) => cursor,
        };
        Self {
            disk,
            roots,
            post,
            shape,
            numbers: Numbers::new(&cursor),
            is_barred: false,
            cursor,
            files: Vec::new(),
            closed: BTreeMap::new(),
            finished: BTreeMap::new(),
            skips_unknown: false,
            round: None,
            next_scan: Timestamp::MIN,
            is_first: true,
            told: BTreeMap::new(),
            counts: Counts::default(),
        }
    }

    /// The cursor behind all that was given.
    pub(super) fn cursor(&self) -> &Cursor {
        &self.cursor
    }

    /// From now on files that need another reader are skipped and counted.
    pub(super) fn skip_unknown(&mut self) {
        self.skips_unknown = true;
    }

    /// The next entries: at most what a delivery holds.
    ///
    /// # Errors
    /// [`Unreadable`] when a file needs another reader; nothing of it was given.
    pub(super) fn fill(&mut self, now: Timestamp) -> Result<Filled, Unreadable> {
        let mut filled = Filled::default();
        if self.round.is_none() {
            self.begin_round(now)?;
        } else if now >= self.next_scan || now.plus(SCAN_EVERY * 2) < self.next_scan {
            self.scan(now)?;
        }
        let mut bytes = 0;
        let mut fields = Vec::new();
        while bytes < PULLED_BYTES_MAX && filled.passed < ENTRIES_MAX {
            let Some((at, head, second)) = self.next_file() else {
                self.end_round();
                filled.is_all = true;
                break;
            };
            let mut next = Some(head);
            // The first is taken whatever comes after: the order of three entries of different clocks may be a circle.
            while let Some(one) = next.take() {
                let is_later = second.is_some_and(|second| in_order(&self.files[at], &one, second.0, &second.1) == Ordering::Greater);
                if is_later && one.seqnum != head.seqnum {
                    break;
                }
                if bytes >= PULLED_BYTES_MAX || filled.passed >= ENTRIES_MAX {
                    break;
                }
                filled.passed += 1;
                if let Some(record) = self.take_entry(at, &one, &mut fields) {
                    bytes += record.cost();
                    filled.records.push(record);
                }
                next = self.files[at].peek().ok().flatten();
            }
        }
        if filled.passed > 0 {
            self.note_files();
        }
        filled.counts = std::mem::take(&mut self.counts);
        Ok(filled)
    }

    fn begin_round(&mut self, now: Timestamp) -> Result<(), Unreadable> {
        self.refresh();
        // journald went on in another file: a small one is full soon.
        if self.files.iter().any(|file| file.header.is_archived || file.is_removed()) {
            self.next_scan = now;
        }
        let mut round = Round::default();
        for file in &self.files {
            let newest = round.newest.entry(file.header.seqnum_id).or_default();
            *newest = file.header.tail_seqnum.max(*newest);
        }
        self.round = Some(round);
        if now >= self.next_scan || now.plus(SCAN_EVERY * 2) < self.next_scan {
            self.scan(now)?;
            // What was counted since, in files that were read before others.
            self.refresh();
        }
        Ok(())
    }

    /// Reads all headers anew.
    fn refresh(&mut self) {
        let mut at = 0;
        while let Some(file) = self.files.get_mut(at) {
            if let Err(fault) = file.refresh() {
                tracing::warn!(path = %file.path.display(), %fault, "a journal file became unreadable; what was not read of it is skipped");
                self.counts.damaged_files += 1;
                let lost = file.give_up();
                self.numbers.note_unknown(lost);
                self.counts.damaged_entries += lost;
                self.close(at);
                continue;
            }
            at += 1;
        }
    }

    /// All that was counted is read.
    fn end_round(&mut self) {
        let round = self.round.take().filter(|round| round.is_scanned);
        for (run, newest) in round.map(|round| round.newest).unwrap_or_default() {
            self.tell_missing(run, newest);
            let known = self.cursor.runs.entry(run).or_default();
            (known.floor, known.newest) = (known.floor.max(newest), known.newest.max(newest));
        }
        let mut at = 0;
        while let Some(file) = self.files.get(at) {
            if file.header.is_archived || file.is_removed() {
                self.finished.insert(file.header.file_id, (file.header.seqnum_id, place_in(file)));
                self.close(at);
            } else {
                at += 1;
            }
        }
        self.note_files();
    }

    /// All files were read up to `newest`: what was in none of them is gone.
    fn tell_missing(&mut self, run: Id, newest: u64) {
        let floor = self.cursor.runs.get(&run).map_or(0, |known| known.floor);
        let (gaps, missing) = self.numbers.settle(run, floor, newest);
        if missing == 0 || self.is_barred {
            return;
        }
        let what: Vec<String> = gaps.iter().take(TOLD_MAX).map(|(first, last)| format!("{first} to {last}")).collect();
        let (job, what) = (self.post.name(), what.join(", "));
        tracing::error!(
            job,
            missing,
            what,
            "the journal was shortened before it was read: these entries are lost; keep more of it (SystemMaxUse in journald.conf)"
        );
        self.counts.gone += 1;
        self.counts.gone_entries += missing;
    }

    fn close(&mut self, at: usize) {
        let file = self.files.swap_remove(at);
        if let Some(stamp) = file.stamp() {
            self.closed.insert(file.identity, stamp);
        }
    }

    /// Writes into the cursor how far files are read.
    fn note_files(&mut self) {
        let floor = |run: &Id| self.cursor.runs.get(run).map_or(0, |run| run.floor);
        self.finished.retain(|_, (run, place)| place.seqnum > floor(run));
        let open = self.files.iter().filter(|file| file.seqnum > floor(&file.header.seqnum_id)).map(|file| (file.header.file_id, place_in(file)));
        self.cursor.files = self.finished.iter().map(|(file, (_, place))| (*file, *place)).chain(open).collect();
    }

    /// The file whose entry comes next, that entry, and what comes after it in another file.
    fn next_file(&mut self) -> Option<(usize, EntryHead, Option<Other>)> {
        let mut best: Option<(usize, EntryHead)> = None;
        let mut second: Option<Other> = None;
        for at in 0..self.files.len() {
            let Some(head) = self.sound_head(at) else { continue };
            let Some((best_at, best_head)) = best else {
                best = Some((at, head));
                continue;
            };
            let (next_at, next_head) = if in_order(&self.files[at], &head, self.files[best_at].header.seqnum_id, &best_head) == Ordering::Less {
                best = Some((at, head));
                (best_at, best_head)
            } else {
                (at, head)
            };
            let run = self.files[next_at].header.seqnum_id;
            if second.is_none_or(|second| in_order(&self.files[next_at], &next_head, second.0, &second.1) == Ordering::Less) {
                second = Some((run, next_head));
            }
        }
        best.map(|(at, head)| (at, head, second))
    }

    /// The next entry of a file that can be read; those that cannot are passed and counted.
    fn sound_head(&mut self, at: usize) -> Option<EntryHead> {
        loop {
            let file = &mut self.files[at];
            match file.peek() {
                Ok(head) => return head,
                Err(fault) => {
                    let is_first = self.told.insert(file.path.clone(), String::new()).is_none();
                    if file.is_cut_off() {
                        let lost = file.give_up();
                        tracing::error!(path = %file.path.display(), %fault, lost, "a journal file is damaged: the rest of it is skipped");
                        self.numbers.note_unknown(lost);
                        self.counts.damaged_entries += lost;
                        self.counts.damaged_files += 1;
                        return None;
                    }
                    file.pass();
                    self.numbers.note_unknown(1);
                    self.counts.damaged_entries += 1;
                    if is_first {
                        tracing::error!(path = %file.path.display(), %fault, "a journal file is damaged: an entry is skipped");
                        self.counts.damaged_files += 1;
                    }
                }
            }
        }
    }

    fn take_entry(&mut self, at: usize, head: &EntryHead, fields: &mut Vec<Arc<Field>>) -> Option<Arrival> {
        fields.clear();
        let file = &mut self.files[at];
        let is_copy = !file.is_runtime && self.cursor.runtime.is_some_and(|(boot, until)| head.boot_id == boot && head.monotonic <= until);
        let read = if is_copy { Ok(()) } else { file.fields(|field| fields.push(Arc::clone(field))) };
        file.pass();
        let run = file.header.seqnum_id;
        let newest = &mut self.cursor.runs.entry(run).or_default().newest;
        *newest = head.seqnum.max(*newest);
        self.numbers.note(run, head.seqnum);
        if file.is_runtime {
            let until = self.cursor.runtime.filter(|(boot, _)| *boot == head.boot_id).map_or(0, |(_, until)| until);
            self.cursor.runtime = Some((head.boot_id, head.monotonic.max(until)));
        }
        let (seqnum, boot_id, monotonic) = (head.seqnum, head.boot_id, head.monotonic);
        self.cursor.last = Some(Place { seqnum_id: run, seqnum, boot_id, monotonic, realtime: head.realtime, xor_hash: head.xor_hash });
        self.cursor.text = None;
        if is_copy {
            return None;
        }
        if let Err(fault) = read {
            self.counts.damaged_entries += 1;
            if self.told.insert(self.files[at].path.clone(), String::new()).is_none() {
                tracing::error!(path = %self.files[at].path.display(), %fault, seqnum, "a journal file is damaged: an entry is skipped");
                self.counts.damaged_files += 1;
            }
            return None;
        }
        arrival(&self.post, &mut self.shape, fields.iter().map(Arc::as_ref), head.realtime, &mut self.counts)
    }
}

fn place_in(file: &JournalFile) -> FilePlace {
    FilePlace { seqnum: file.seqnum, counted: file.header.tail_seqnum.max(file.seqnum) }
}

/// A record of an entry's fields; `None` when it is not wanted, which is counted.
pub(super) fn arrival<'a>(
    post: &Post,
    shape: &mut Shape,
    fields: impl Iterator<Item = &'a Field> + Clone,
    realtime: u64,
    counts: &mut Counts,
) -> Option<Arrival> {
    let taken = match shape.take(fields) {
        Ok(taken) => taken,
        Err(Refusal::NotWanted) => return None,
        Err(Refusal::NoMessage) => {
            counts.no_message += 1;
            return None;
        }
    };
    let Some(labels) = post.labels(taken.labels).filter(|labels| !labels.is_empty()) else {
        counts.empty_labels += 1;
        return None;
    };
    counts.lines += 1;
    let time = i64::try_from(realtime).ok().and_then(|micros| micros.checked_mul(1_000)).map(Timestamp);
    Some(post.arrival(&labels, time, taken.line, Vec::new()))
}

/// Which of two entries comes first: by number where both are of one run, by the boot's clock, else by the wall clock.
fn in_order(file: &JournalFile, head: &EntryHead, other_run: Id, other: &EntryHead) -> Ordering {
    if file.header.seqnum_id == other_run {
        return head.seqnum.cmp(&other.seqnum);
    }
    if head.boot_id == other.boot_id {
        return head.monotonic.cmp(&other.monotonic);
    }
    head.realtime.cmp(&other.realtime)
}

/// Another reader's cursor as ours: what it gave lies before the entry it names. One that names none begins where none was.
fn taken_over(mut cursor: Cursor, since: u64) -> Cursor {
    cursor.since = cursor.since.max(if cursor.last.is_none() && cursor.text.is_some() { since } else { 0 });
    if let Some(last) = cursor.last {
        cursor.since = last.realtime + 1;
        cursor.runs.insert(last.seqnum_id, super::cursor::Run { floor: last.seqnum, newest: last.seqnum });
    }
    cursor
}
