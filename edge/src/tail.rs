//! Which source to read next, fairly, within a budget.
//!
//! Parts: [`Tail`] (all sources), [`split`] (bytes to lines; pure), [`rotation`] (which file is which; pure),
//! [`source`] (one file). A turn visits every source that has something, one read each, in rotation, until
//! the budget is used or the batch is full. Promises: a loud file cannot starve a quiet one; a renamed file
//! is read to its end before the file that took its name; what could not be read is a [`Missed`], never
//! silent. Must not do: freeze batches or write the WAL.

mod reload;
pub mod rotation;
pub mod source;
pub mod split;
mod unnamed;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use edge_pipeline::{Counters, Program};
use edge_wal::SourcePosition;
use proto_model::Timestamp;
use proto_seam::{Disk, FileIdentity};

use crate::discover::{Found, Job, Owner, owner, refresh};
use crate::gather::Gather;
use rotation::Change;
use source::{LineCount, Looked, ReadEnd, Source, read_head};

/// Files open at once; the program raises its limit of descriptors as far as it may (`main.rs`).
pub const SOURCES_MAX: usize = 10_000;
/// Endings of packed files: read only when a job names them (a later version).
const PACKED: [&str; 7] = [".gz", ".zst", ".bz2", ".xz", ".lz4", ".zip", ".tmp"];
/// A source that failed to open is tried again after this long.
const RETRY: Duration = Duration::from_secs(10);

/// Lines that are gone, as far as is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missed {
    /// The path.
    pub source: String,
    /// `truncated`, `vanished`.
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
    /// Positions of finished sources that the WAL must still be told.
    farewell: Vec<SourcePosition>,
    /// Files read to their end that no target named any more then: what was written since is not wanted.
    left: BTreeMap<FileIdentity, Timestamp>,
    /// Paths that must not be read or could not be opened, until when, with the reason.
    refused: BTreeMap<PathBuf, (Timestamp, String)>,
    /// Who was read last: the next turn begins after it.
    last: Option<FileIdentity>,
    /// Rank of the next source.
    next_rank: u64,
    /// When files were searched for last: a renamed file is not given up before it could be found again.
    searched: Timestamp,
    buffer: Vec<u8>,
    missed: Vec<Missed>,
}

impl Tail {
    /// No source yet; `positions` are the WAL's.
    #[must_use]
    pub fn new(disk: Arc<dyn Disk>, jobs: Vec<Job>, positions: impl IntoIterator<Item = SourcePosition>) -> Self {
        let known = positions.into_iter().filter(|position| !position.gone).map(|position| (position.identity, position)).collect();
        Self {
            disk,
            jobs_named: jobs.len(),
            jobs,
            sources: BTreeMap::new(),
            known,
            farewell: Vec::new(),
            left: BTreeMap::new(),
            refused: BTreeMap::new(),
            last: None,
            next_rank: 1,
            searched: Timestamp::MIN,
            buffer: Vec::new(),
            missed: Vec::new(),
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

    /// Takes up files that were found; what was being read goes on whether it was found again or not.
    /// Positions of files that are nowhere to be found any more become [`Missed`].
    pub fn found(&mut self, found: &BTreeMap<PathBuf, Found>, now: Timestamp) {
        self.refused.retain(|path, (until, _)| *until > now || found.contains_key(path));
        let open: BTreeSet<PathBuf> = self.sources.values().filter(|source| !source.is_draining()).map(|source| source.path().clone()).collect();
        for (path, file) in found.iter().filter(|(path, _)| !open.contains(*path)) {
            if path.to_str().is_some_and(|path| PACKED.iter().any(|packed| path.ends_with(packed))) {
                self.refused.insert(path.clone(), (Timestamp::MAX, "a packed file is not read: it is listed here and left alone".to_owned()));
                continue;
            }
            if self.sources.len() >= SOURCES_MAX {
                self.refused.insert(path.clone(), (now.plus(RETRY), format!("{SOURCES_MAX} files are open already")));
            } else if self.refused.get(path).is_none_or(|(until, _)| *until <= now) {
                self.take_up(file.clone(), now);
            }
        }
        self.relabel(found);
        self.leave_unnamed(found, now);
        self.look_for_the_lost(now);
        self.searched = now;
    }

    /// Begins to read what `found` names now; first what bore its name before and was not read to its end.
    fn take_up(&mut self, found: Found, now: Timestamp) {
        let path = found.path.clone();
        self.take_up_older(&found, now);
        match self.open(found, &path, now) {
            Ok(()) => drop(self.refused.remove(&path)),
            Err(gone) if gone.kind() == io::ErrorKind::NotFound => {}
            Err(fault) => {
                if !self.refused.contains_key(&path) {
                    tracing::warn!(path = %path.display(), %fault, "a file is not read");
                }
                self.refused.insert(path, (now.plus(RETRY), fault.to_string()));
            }
        }
    }

    fn program(&self, job: usize) -> Arc<Program> {
        Arc::clone(&self.jobs[job].program)
    }

    fn open(&mut self, found: Found, at: &Path, now: Timestamp) -> io::Result<()> {
        let identity = self.disk.state(at)?.identity;
        if let Some(source) = self.sources.get_mut(&identity) {
            // Another name of a file that is being read: a link, or a rename within the glob. It goes on
            // under the labels that its first lines had, once what took its name need not wait for it.
            if source.is_draining() && found.path == at && source.unread() == 0 {
                source.found.path = found.path;
            }
            return Ok(());
        }
        let (program, position) = (self.program(found.job), self.known.get(&identity).cloned());
        let is_renamed = found.path != at;
        let (mut source, change) = Source::open(found, at, position.as_ref(), &program, self.disk.as_ref(), now)?;
        if source.identity() != identity {
            return Err(io::Error::new(io::ErrorKind::NotFound, "it was replaced while it was opened"));
        }
        self.known.remove(&identity);
        if let (Some(position), Change::Truncated) = (position, change) {
            self.missed.push(Missed { source: position.path, reason: "truncated", bytes: None, noticed: now });
        }
        source.rank = self.next_rank;
        self.next_rank += 1;
        if is_renamed {
            source.drain(now);
        }
        self.sources.insert(identity, source);
        Ok(())
    }

    /// What bore the name of `found` before: the file whose position is known, where it lies now, and files that came
    /// and were renamed while nobody looked.
    fn take_up_older(&mut self, found: &Found, now: Timestamp) {
        let present = self.disk.state(&found.path).map(|state| state.identity).ok();
        let lost: Vec<SourcePosition> =
            self.known.values().filter(|position| Path::new(&position.path) == found.path && Some(position.identity) != present).cloned().collect();
        for position in lost {
            self.find_again(found, position, now);
        }
        let newest = self.sources.values().filter(|source| source.is_draining() && *source.path() == found.path).max_by_key(|source| source.rank);
        let Some(since) = newest.map(Source::modified_ns) else { return };
        for (_, at) in self.renamed_since(&found.path, since, present) {
            tracing::info!(path = %found.path.display(), at = %at.display(), "a file came and was renamed between two looks; it is read to its end");
            if let Err(fault) = self.open(found.clone(), &at, now) {
                tracing::warn!(path = %at.display(), %fault, "a renamed file cannot be read");
                self.missed.push(Missed { source: at.to_string_lossy().into_owned(), reason: "unreadable", bytes: None, noticed: now });
            }
        }
    }

    /// Files beside `path` that were renamed from it after `since_ns` and are not known: named `path` plus a suffix, not
    /// packed, modified later, and no copies of what is being read. Oldest first.
    fn renamed_since(&self, path: &Path, since_ns: i64, present: Option<FileIdentity>) -> Vec<(i64, PathBuf)> {
        let (Some(dir), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else { return Vec::new() };
        let entries = self.disk.list(dir).unwrap_or_default();
        let mut out: Vec<(i64, PathBuf)> = entries
            .into_iter()
            .filter(|entry| {
                let suffix = entry.name.to_str().and_then(|other| other.strip_prefix(name));
                suffix.is_some_and(|suffix| suffix.starts_with(['.', '-']) && !PACKED.iter().any(|packed| suffix.ends_with(packed)))
            })
            .map(|entry| dir.join(entry.name))
            .filter_map(|at| self.disk.state(&at).ok().map(|state| (state, at)))
            .filter(|(state, at)| {
                let is_new = Some(state.identity) != present && !self.sources.contains_key(&state.identity) && !self.known.contains_key(&state.identity);
                is_new && state.modified_ns > since_ns && !self.is_copy(at, path)
            })
            .map(|(state, at)| (state.modified_ns, at))
            .collect();
        out.sort();
        out
    }

    /// Whether `at` begins as a file that is read under `path` does: then it is a copy of it, not its successor.
    fn is_copy(&self, at: &Path, path: &Path) -> bool {
        let roots: Vec<PathBuf> = at.parent().map(Path::to_path_buf).into_iter().collect();
        let Ok(first) = self.disk.open_beneath(at, &roots).and_then(|file| read_head(file.as_ref())) else { return false };
        self.sources.values().any(|source| source.path() == path && source.begins_like(&first))
    }

    /// A file that was read before a restart and whose path leads elsewhere now: found beside it under another name
    /// it is read to its end, otherwise it vanished. While it cannot be looked for or opened its position is kept:
    /// without it all its lines would be read a second time.
    fn find_again(&mut self, found: &Found, position: SourcePosition, now: Timestamp) {
        match self.sibling(&found.path, position.identity) {
            Ok(Some(there)) if self.refused.get(&there).is_some_and(|(until, _)| *until > now) => return,
            Ok(Some(there)) => match self.open(found.clone(), &there, now) {
                Ok(()) => {
                    // It no longer bears the path, whatever it is called now.
                    if let Some(source) = self.sources.get_mut(&position.identity).filter(|_| there != found.path) {
                        source.drain(now);
                    }
                }
                Err(fault) => {
                    tracing::warn!(path = position.path, %fault, "a file that was read before cannot be opened now; it is tried again");
                    self.refused.insert(there, (now.plus(RETRY), fault.to_string()));
                    return;
                }
            },
            Ok(None) => self.missed.push(Missed { source: position.path.clone(), reason: "vanished", bytes: None, noticed: now }),
            Err(fault) => {
                tracing::warn!(path = position.path, %fault, "a file that was read before cannot be looked for now; it is tried again");
                return;
            }
        }
        if self.known.remove(&position.identity).is_some() {
            self.farewell.push(SourcePosition { gone: true, ..position });
        }
    }

    /// What is left of the positions of an earlier run after all paths were taken up.
    fn look_for_the_lost(&mut self, now: Timestamp) {
        let lost: Vec<SourcePosition> = self.known.values().cloned().collect();
        for position in lost {
            match owner(&self.jobs, Path::new(&position.path)) {
                Owner::Target(found) => self.find_again(&found, position, now),
                // Its target is not discovered yet, or not any more, or the operator took its job out and may bring it back:
                // as long as the file is there, its position counts.
                Owner::Open | Owner::Nobody => self.await_target(position, now),
            }
        }
    }

    fn sibling(&self, path: &Path, identity: FileIdentity) -> io::Result<Option<PathBuf>> {
        let is_it = |path: &PathBuf| self.disk.state(path).is_ok_and(|state| state.identity == identity);
        let Some(dir) = path.parent() else { return Ok(None) };
        match self.disk.list(dir) {
            Ok(entries) => Ok(std::iter::once(path.to_path_buf()).chain(entries.into_iter().map(|entry| dir.join(entry.name))).find(is_it)),
            Err(gone) if gone.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// The wall clock was set back to `now`: nothing waits for the time that comes again.
    pub fn set_back(&mut self, now: Timestamp) {
        self.searched = self.searched.min(now);
        self.refused.values_mut().for_each(|(until, _)| *until = now.min(*until));
        self.sources.values_mut().for_each(|source| source.set_back(now));
    }

    /// One turn: reads until `budget` bytes, the batch is full, or nothing more is there.
    pub fn turn(&mut self, now: Timestamp, budget: u64, gather: &mut Gather) -> Turn {
        let mut turn = Turn { missed: std::mem::take(&mut self.missed), ..Turn::default() };
        let order = self.order();
        // Of files that bore one path, a later one waits until the earlier is read to its end.
        let mut first: BTreeMap<PathBuf, u64> = BTreeMap::new();
        for source in self.sources.values().filter(|source| source.is_draining() && source.behind() > 0 && !source.troubled) {
            let rank = first.entry(source.path().clone()).or_insert(source.rank);
            *rank = source.rank.min(*rank);
        }
        let (mut finished, mut renamed) = (Vec::new(), Vec::new());
        for identity in order {
            if gather.is_stopped() || turn.count.bytes >= budget {
                turn.more = true;
                break;
            }
            self.last = Some(identity);
            let Some(source) = self.sources.get_mut(&identity) else { continue };
            source.tick(now, gather);
            let waits = first.get(source.path()).is_some_and(|rank| source.rank > *rank);
            if gather.is_stopped() || waits || source.next_look > now {
                continue;
            }
            if source.is_at_end() {
                match look(source, self.disk.as_ref(), (now, self.searched), &mut turn) {
                    Some(Looked::Finished) => {
                        finished.push((identity, source.path().clone()));
                        continue;
                    }
                    Some(Looked::Renamed) => renamed.push(source.found.clone()),
                    // Most looks at most files: nothing was written, nothing needs to be read.
                    Some(Looked::Fine) if source.unread() == 0 => continue,
                    Some(Looked::Fine | Looked::Truncated { .. }) => {}
                    None => continue,
                }
            }
            match source.read(&mut self.buffer, now, gather) {
                Ok((ReadEnd::More, count)) => {
                    turn.count.add(count);
                    turn.more = true;
                }
                Ok((ReadEnd::Idle, _)) => {}
                Err(fault) => {
                    tracing::warn!(path = %source.path().display(), %fault, "a file cannot be read now; it is tried again");
                    source.troubled = true;
                    source.next_look = now.plus(RETRY);
                }
            }
            turn.counters.add(&source.take_counters());
        }
        for (identity, path) in finished {
            self.finish(identity, &path, now, gather, &mut turn);
        }
        for found in renamed {
            // What took its place is begun at once, not at the next search.
            self.take_up(found, now);
            turn.more = true;
        }
        turn
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

    fn finish(&mut self, identity: FileIdentity, path: &Path, now: Timestamp, gather: &mut Gather, turn: &mut Turn) {
        if let Some(mut source) = self.sources.remove(&identity) {
            turn.count.add(source.finish(now, gather));
            turn.counters.add(&source.take_counters());
            tracing::info!(path = %path.display(), "a file was read to its end and closed");
            self.farewell.push(source.position());
        }
    }

    /// When the next source wants to be looked at, or a pipeline to be ticked.
    #[must_use]
    pub fn due_in(&self, now: Timestamp) -> Duration {
        let wants = self.sources.values().map(|source| source.deadline().map_or(source.next_look, |deadline| deadline.min(source.next_look)));
        wants.min().map_or(Duration::from_secs(1), |at| at.since(now).min(Duration::from_secs(1)))
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
        let mut adopted: BTreeMap<FileIdentity, SourcePosition> = positions.into_iter().map(|position| (position.identity, position)).collect();
        let jobs = &self.jobs;
        for (identity, source) in &mut self.sources {
            let program = Arc::clone(&jobs[source.found.job].program);
            match adopted.remove(identity) {
                Some(position) => source.reposition(position.resume, position.generation, &program),
                None => source.reposition(0, 0, &program),
            }
        }
        self.known = adopted.into_iter().filter(|(_, position)| !position.gone).collect();
    }

    /// What the hub holds, after the WAL was damaged: sources that it knows further on are read from there. Gives how many.
    pub fn advance(&mut self, positions: Vec<SourcePosition>) -> usize {
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

    /// The wall clock was set forward by `by_ns` (back, if negative): what pipelines hold waits as long as it would have.
    pub fn clock_stepped(&mut self, by_ns: i64) {
        self.sources.values_mut().for_each(|source| source.clock_stepped(by_ns));
    }

    /// Bytes that were found but not read yet, and the number of files they are in.
    #[must_use]
    pub fn behind(&self) -> (u64, u64) {
        self.sources.values().map(Source::behind).filter(|bytes| *bytes > 0).fold((0, 0), |(bytes, files), more| (bytes + more, files + 1))
    }
}

/// Looks at a source that was read to its end; `None` when that failed.
fn look(source: &mut Source, disk: &dyn Disk, (now, searched): (Timestamp, Timestamp), turn: &mut Turn) -> Option<Looked> {
    match source.look(disk, now, searched) {
        Ok(looked) => {
            if let Looked::Truncated { unread } = looked {
                tracing::warn!(path = %source.path().display(), unread, "a file was truncated; what was written between the last read and the cut is gone");
                let bytes = (unread > 0).then_some(unread);
                turn.missed.push(Missed { source: source.path().to_string_lossy().into_owned(), reason: "truncated", bytes, noticed: now });
            }
            Some(looked)
        }
        Err(fault) => {
            tracing::warn!(path = %source.path().display(), %fault, "a file cannot be looked at now; it is tried again");
            source.troubled = true;
            source.next_look = now.plus(RETRY);
            None
        }
    }
}

#[cfg(test)]
mod tests;
