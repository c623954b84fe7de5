//! Which source to read next, fairly, within a budget.
//!
//! Parts: [`Tail`] (all sources), [`split`] (bytes to lines; pure), [`text`] (their characters; pure), [`rotation`] (which
//! file is which; pure), [`siblings`] (what lies beside a path), [`trail`] (where a file went that is not at its path),
//! [`archives`] (packed files that a job names), [`content`] (bytes of a file or of an archive), [`source`] (one file),
//! [`notice`] (being told which to look at), `due` (when to look and search next), [`reading`] (how a job's files are read). A turn visits every source that has
//! something, one read each, in rotation, until the budget is used or the batch is full. Promises: a loud file cannot starve
//! a quiet one; a renamed file is read to its end before the file that took its name, packed or not; what could not be read
//! is a [`Missed`], never silent. Must not do: freeze batches or write the WAL.

mod archives;
pub mod content;
mod counts;
mod due;
pub mod notice;
pub mod reading;
mod reload;
pub mod rotation;
pub mod siblings;
pub mod source;
pub mod split;
mod take;
pub mod text;
mod trail;
mod unnamed;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use edge_pipeline::Counters;
use edge_wal::SourcePosition;
use proto_model::Timestamp;
use proto_seam::{Disk, FileIdentity};

use crate::discover::{Found, Job, refresh};
use crate::gather::Gather;
use archives::Done;
use counts::Counts;
use notice::Notice;
use siblings::Dirs;
use source::read::{LineCount, ReadEnd};
use source::{Looked, Source};

/// Files open at once; the program raises its limit of descriptors as far as it may (`main.rs`).
pub const SOURCES_MAX: usize = 10_000;
/// Descriptors left to the rest of the program when files may not take them all.
const DESCRIPTORS_KEPT: u64 = 200;
/// Archives that are unpacked at once: each takes up to a few mebibytes.
const UNPACKING_MAX: usize = 8;
/// Disk space that deleted files may keep in all while they are read to their end, and each how long.
pub const DELETED_MAX: (u64, Duration) = (2 << 30, Duration::from_secs(3_600));
/// Where there are more files, they are not searched for before their time.
const SEARCH_FILES_MAX: usize = 5_000;
/// A source that failed to open is tried again after this long.
const RETRY: Duration = Duration::from_secs(10);

/// Lines that are gone, as far as is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missed {
    /// The path.
    pub source: String,
    /// `truncated`, `vanished`, `unreadable`, `damaged`, `given_up`.
    pub reason: &'static str,
    /// Bytes known to be gone; `None` = unknown.
    pub bytes: Option<u64>,
    /// When it was noticed.
    pub noticed: Timestamp,
}

/// What one turn did.
#[derive(Debug, Default)]
pub struct Turn {
    /// Lines and bytes read.
    pub count: LineCount,
    /// More is there to be read at once.
    pub more: bool,
    /// Lines that are gone.
    pub missed: Vec<Missed>,
    /// What pipelines counted.
    pub counters: Counters,
}

/// All sources of an edge.
pub struct Tail {
    disk: Arc<dyn Disk>,
    jobs: Vec<Job>,
    /// Jobs from this one on are of sources that no job names any more since a reload.
    jobs_named: usize,
    sources: BTreeMap<FileIdentity, Source>,
    /// Positions of files that no source reads (yet): from the WAL, or adopted.
    known: BTreeMap<FileIdentity, SourcePosition>,
    /// Files that were read to their end and still exist: they may come back under their path, and are not read again.
    done: BTreeMap<FileIdentity, Done>,
    /// Positions of finished sources that the WAL must still be told.
    farewell: Vec<SourcePosition>,
    /// Files read to their end that no target named any more then: what was written since is not wanted.
    left: BTreeMap<FileIdentity, Timestamp>,
    /// Paths that must not be read or could not be opened, until when, with the reason.
    refused: BTreeMap<PathBuf, (Timestamp, String)>,
    /// Archives that were found and are not read yet: since when.
    waiting: BTreeMap<PathBuf, Timestamp>,
    notice: Notice,
    /// Names came or went in a watched directory.
    search_wanted: bool,
    /// The last search found so many that searching takes a while.
    found_many: bool,
    /// Who was read last: the next turn begins after it.
    last: Option<FileIdentity>,
    /// Rank of the next source.
    next_rank: u64,
    /// When files were searched for last: a renamed file is not given up before it could be found again.
    searched: Timestamp,
    /// The directories that were there then.
    looked_in: BTreeSet<PathBuf>,
    /// Files need not be searched for before.
    search_due: Timestamp,
    /// No source wants anything before: the next turn need not ask them all.
    due: Timestamp,
    /// Some source was looked at or changed since that was asked.
    touched: bool,
    /// When files that were read to their end are looked for next.
    done_due: Timestamp,
    sources_max: usize,
    buffer: Vec<u8>,
    missed: Vec<Missed>,
    counts: Counts,
}

impl Tail {
    /// No source yet; `positions` are the WAL's.
    #[must_use]
    pub fn new(disk: Arc<dyn Disk>, jobs: Vec<Job>, positions: impl IntoIterator<Item = SourcePosition>) -> Self {
        let descriptors = disk.open_files_max().map_or(SOURCES_MAX as u64, |max| max.saturating_sub(DESCRIPTORS_KEPT).max(1));
        let mut tail = Self {
            disk,
            jobs_named: jobs.len(),
            jobs,
            sources: BTreeMap::new(),
            known: BTreeMap::new(),
            done: BTreeMap::new(),
            farewell: Vec::new(),
            left: BTreeMap::new(),
            refused: BTreeMap::new(),
            waiting: BTreeMap::new(),
            notice: Notice::default(),
            search_wanted: false,
            found_many: false,
            last: None,
            next_rank: 1,
            searched: Timestamp::MIN,
            looked_in: BTreeSet::new(),
            search_due: Timestamp::MIN,
            due: Timestamp::MIN,
            touched: true,
            done_due: Timestamp::MIN,
            sources_max: SOURCES_MAX.min(usize::try_from(descriptors).unwrap_or(SOURCES_MAX)),
            buffer: Vec::new(),
            missed: Vec::new(),
            counts: Counts::default(),
        };
        tail.remember(positions);
        tail
    }

    /// Takes up what was known of sources.
    fn remember(&mut self, positions: impl IntoIterator<Item = SourcePosition>) {
        self.known.clear();
        self.done.clear();
        self.stir();
        self.done_due = Timestamp::MIN;
        for position in positions.into_iter().filter(|position| !position.gone) {
            if position.done {
                self.done.insert(position.identity, Done::new(position));
            } else {
                self.known.insert(position.identity, position);
            }
        }
    }

    /// The jobs.
    #[must_use]
    pub fn jobs(&self) -> &[Job] {
        &self.jobs
    }

    /// Takes up what the jobs' feeds say. Gives whether any target changed.
    pub fn refresh(&mut self, now: Timestamp) -> bool {
        refresh(&mut self.jobs, self.disk.as_ref(), now)
    }

    /// The sources being read.
    pub fn sources(&self) -> impl Iterator<Item = &Source> {
        self.sources.values()
    }

    /// Paths that are not read, with the reason.
    pub fn refused(&self) -> impl Iterator<Item = (&Path, &str)> {
        self.refused.iter().map(|(path, (_, why))| (path.as_path(), why.as_str()))
    }

    /// One turn: reads until `budget` bytes, the batch is full, or nothing more is there.
    pub fn turn(&mut self, now: Timestamp, budget: u64, gather: &mut Gather) -> Turn {
        self.heed_notice(now);
        let mut turn = Turn { missed: std::mem::take(&mut self.missed), ..Turn::default() };
        if now < self.due {
            return turn;
        }
        self.touched = true;
        let order = self.order();
        // Of files that bore one path, a later one waits until the earlier is read to its end.
        let mut first: BTreeMap<PathBuf, u64> = BTreeMap::new();
        for source in self.sources.values().filter(|source| source.is_draining() && source.behind() > 0 && !source.troubled) {
            let rank = first.entry(source.path().clone()).or_insert(source.rank);
            *rank = source.rank.min(*rank);
        }
        let mut unpacking = self.sources.values().filter(|source| source.is_unpacking()).count();
        let mut ends = Ends::default();
        for identity in order {
            if gather.is_stopped() || turn.count.bytes >= budget {
                turn.more = true;
                break;
            }
            self.last = Some(identity);
            let Some(source) = self.sources.get_mut(&identity) else { continue };
            turn.count.add(source.tick(now, gather));
            let waits = first.get(source.path()).is_some_and(|rank| source.rank > *rank);
            if gather.is_stopped() || waits || source.next_look > now {
                continue;
            }
            if source.is_at_end() && !look(source, self.disk.as_ref(), (now, self.searched), &mut ends, &mut turn) {
                continue;
            }
            // Memory for so many; the others wait for one of them to end.
            let begins = source.is_archive() && !source.is_unpacking();
            if begins && unpacking >= UNPACKING_MAX {
                continue;
            }
            unpacking += usize::from(begins);
            read(source, &mut self.buffer, now, gather, &mut ends, &mut turn);
        }
        self.settle(ends, now, gather, &mut turn);
        self.due = self.wanted().unwrap_or(Timestamp::MAX);
        turn
    }

    /// Looks at files without reading them, while there is no room for their lines: what takes their names is opened before
    /// it is gone too.
    pub fn look_around(&mut self, now: Timestamp, gather: &mut Gather) -> Turn {
        self.heed_notice(now);
        let mut turn = Turn { missed: std::mem::take(&mut self.missed), ..Turn::default() };
        (self.due, self.touched) = (Timestamp::MIN, true);
        let mut ends = Ends::default();
        for source in self.sources.values_mut().filter(|source| source.next_look <= now) {
            look(source, self.disk.as_ref(), (now, self.searched), &mut ends, &mut turn);
        }
        self.settle(ends, now, gather, &mut turn);
        turn
    }

    /// What a turn found at an end is ended, what was renamed is followed.
    fn settle(&mut self, ends: Ends, now: Timestamp, gather: &mut Gather, turn: &mut Turn) {
        let disk = Arc::clone(&self.disk);
        let mut dirs = Dirs::new(disk.as_ref());
        for identity in ends.finished {
            if let Some(position) = self.finish(identity, now, gather, turn) {
                // What it was packed into meanwhile is not another file.
                self.follow_done(SourcePosition { done: true, gone: false, ..position }, &mut dirs);
            }
        }
        for identity in ends.stale {
            // Its descriptor leads nowhere: the next search opens it anew, at its position.
            if let Some(mut source) = self.sources.remove(&identity) {
                self.counts.leave(&mut source);
                self.notice.end(identity);
                self.farewell.push(source.position());
                self.known.insert(identity, source.position());
            }
            self.search_wanted = true;
        }
        for (found, removed) in ends.renamed {
            if let Some(removed) = removed {
                self.tell_unseen(removed, &found, &mut dirs, now);
            }
            // What took its place is begun at once, not at the next search.
            self.take_up(found, &mut dirs, now);
            turn.more = true;
        }
        self.give_up_deleted(now, gather, turn);
    }

    /// Looks at what the watch tells of.
    fn heed_notice(&mut self, now: Timestamp) {
        let told = self.notice.ask(now);
        self.search_wanted |= told.search;
        if told.all || !told.wake.is_empty() || !told.blind.is_empty() {
            self.due = Timestamp::MIN;
        }
        for identity in &told.blind {
            if let Some(source) = self.sources.get_mut(identity) {
                source.watched = false;
            }
        }
        if told.all {
            self.sources.values_mut().for_each(|source| source.wake(now));
        }
        for identity in told.wake.iter().chain(&told.blind) {
            if let Some(source) = self.sources.get_mut(identity).filter(|source| !source.troubled) {
                source.wake(now);
            }
        }
    }

    /// Directories that are watched, and those that should be and cannot.
    #[must_use]
    pub fn watches(&self) -> (usize, usize) {
        (self.notice.watched(), self.notice.unwatched())
    }

    /// Sources in rotation, renamed ones first: their lines are older than those of the file that took their name.
    fn order(&self) -> Vec<FileIdentity> {
        let after = self.last.unwrap_or_default();
        let (mut draining, mut live) = (Vec::new(), Vec::new());
        for (identity, source) in self.sources.range((Bound::Excluded(after), Bound::Unbounded)).chain(self.sources.range(..=after)) {
            if source.is_draining() { &mut draining } else { &mut live }.push(*identity);
        }
        draining.into_iter().chain(live).collect()
    }

    /// Ends a source; gives its position if its file is gone.
    fn finish(&mut self, identity: FileIdentity, now: Timestamp, gather: &mut Gather, turn: &mut Turn) -> Option<SourcePosition> {
        let mut source = self.sources.remove(&identity)?;
        self.notice.end(identity);
        turn.count.add(source.finish(now, gather));
        turn.counters.add(&source.take_counters());
        self.counts.leave(&mut source);
        tracing::info!(path = %source.path().display(), "a file was read to its end and closed");
        let position = source.position();
        if position.done {
            self.done.insert(identity, Done::of(&source, position.clone()));
        }
        self.farewell.push(position.clone());
        position.gone.then_some(position)
    }

    /// Deleted files take space that nobody can free but this process: past the bounds the oldest are let go, counted.
    fn give_up_deleted(&mut self, now: Timestamp, gather: &mut Gather, turn: &mut Turn) {
        let mut kept: Vec<(Timestamp, u64, FileIdentity)> =
            self.sources.values().filter_map(|source| source.kept_deleted().map(|(bytes, since)| (since, bytes, source.identity()))).collect();
        kept.sort_unstable();
        let mut total: u64 = kept.iter().map(|(_, bytes, _)| *bytes).sum();
        for (since, bytes, identity) in kept {
            if total <= DELETED_MAX.0 && now.since(since) < DELETED_MAX.1 {
                return;
            }
            total -= bytes;
            let Some(source) = self.sources.get(&identity) else { continue };
            let unread = source.behind();
            tracing::error!(path = %source.path().display(), unread, "a deleted file that was not read to its end is let go: it took space for too long");
            if unread > 0 {
                let source = source.path().to_string_lossy().into_owned();
                turn.missed.push(Missed { source, reason: "given_up", bytes: Some(unread), noticed: now });
            }
            drop(self.finish(identity, now, gather, turn));
        }
    }

    /// Positions that changed since the last call; to be written with the batch that holds their lines.
    #[must_use]
    pub fn take_positions(&mut self) -> Vec<SourcePosition> {
        let mut positions = std::mem::take(&mut self.farewell);
        for source in self.sources.values_mut().filter(|source| source.dirty) {
            source.dirty = false;
            positions.push(source.position());
        }
        positions
    }

    /// Begins again from `positions` (what the hub holds): everything read since then was discarded.
    pub fn adopt(&mut self, positions: Vec<SourcePosition>) {
        self.farewell.clear();
        self.stir();
        let mut adopted: BTreeMap<FileIdentity, SourcePosition> = positions.into_iter().map(|position| (position.identity, position)).collect();
        let jobs = &self.jobs;
        for (identity, source) in &mut self.sources {
            let program = Arc::clone(&jobs[source.found.job].program);
            match adopted.remove(identity) {
                Some(position) => source.reposition(position.resume, position.generation, &program),
                None => source.reposition(0, 0, &program),
            }
        }
        self.remember(adopted.into_values());
    }

    /// What the hub holds, after the WAL was damaged: sources that it knows further on are read from there. Gives how many.
    pub fn advance(&mut self, positions: Vec<SourcePosition>) -> usize {
        self.stir();
        let mut furthest: BTreeMap<FileIdentity, SourcePosition> = BTreeMap::new();
        for position in positions {
            let known = furthest.entry(position.identity).or_insert_with(|| position.clone());
            if (known.generation, known.resume) < (position.generation, position.resume) || position.gone {
                *known = position;
            }
        }
        let mut advanced = 0;
        for (identity, position) in furthest {
            if let Some(source) = self.sources.get_mut(&identity) {
                let own = source.position();
                if (own.generation, own.resume) < (position.generation, position.resume) {
                    source.reposition(position.resume, position.generation, &Arc::clone(&self.jobs[source.found.job].program));
                    advanced += 1;
                }
            } else if !position.gone && self.known.get(&identity).is_none_or(|own| (own.generation, own.resume) < (position.generation, position.resume)) {
                self.known.insert(identity, position);
                advanced += 1;
            }
        }
        advanced
    }
}

/// Sources that are to be ended, or whose paths lead elsewhere.
#[derive(Default)]
struct Ends {
    finished: Vec<FileIdentity>,
    stale: Vec<FileIdentity>,
    /// And which were removed too.
    renamed: Vec<(Found, Option<FileIdentity>)>,
}

/// Looks at a source; whether it is to be read now.
fn look(source: &mut Source, disk: &dyn Disk, (now, searched): (Timestamp, Timestamp), ends: &mut Ends, turn: &mut Turn) -> bool {
    match source.look(disk, now, searched) {
        // Most looks at most files: nothing was written, nothing needs to be read.
        Ok(Looked::Fine) => source.unread() > 0,
        Ok(Looked::Finished) => {
            ends.finished.push(source.identity());
            false
        }
        Ok(Looked::Damaged) => {
            damaged(source, now, ends, turn);
            false
        }
        Ok(Looked::Renamed) => {
            ends.renamed.push((source.found.clone(), source.kept_deleted().map(|_| source.identity())));
            true
        }
        Ok(Looked::Truncated { unread }) => {
            tracing::warn!(path = %source.path().display(), unread, "a file was truncated; what was written between the last read and the cut is gone");
            let bytes = (unread > 0).then_some(unread);
            turn.missed.push(Missed { source: source.path().to_string_lossy().into_owned(), reason: "truncated", bytes, noticed: now });
            true
        }
        Err(fault) => {
            failed(source, &fault, now, ends);
            false
        }
    }
}

/// Reads a source once.
fn read(source: &mut Source, buffer: &mut Vec<u8>, now: Timestamp, gather: &mut Gather, ends: &mut Ends, turn: &mut Turn) {
    match source.read(buffer, now, gather) {
        Ok((ReadEnd::More, count)) => {
            turn.count.add(count);
            turn.more = true;
        }
        Ok((ReadEnd::Idle, _)) => {}
        Ok((ReadEnd::Damaged, _)) => damaged(source, now, ends, turn),
        Err(fault) => failed(source, &fault, now, ends),
    }
    turn.counters.add(&source.take_counters());
}

fn damaged(source: &Source, now: Timestamp, ends: &mut Ends, turn: &mut Turn) {
    turn.missed.push(Missed { source: source.path().to_string_lossy().into_owned(), reason: "damaged", bytes: None, noticed: now });
    ends.finished.push(source.identity());
}

fn failed(source: &mut Source, fault: &io::Error, now: Timestamp, ends: &mut Ends) {
    if fault.kind() == io::ErrorKind::StaleNetworkFileHandle {
        tracing::warn!(path = %source.path().display(), "a file's handle went stale; it is opened anew");
        ends.stale.push(source.identity());
        return;
    }
    tracing::warn!(path = %source.path().display(), %fault, "a file cannot be read now; it is tried again");
    source.troubled = true;
    source.next_look = now.plus(RETRY);
}

#[cfg(test)]
mod tests;
