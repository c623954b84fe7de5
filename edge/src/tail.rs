//! Which source to read next, fairly, within a budget.
//!
//! Parts: [`Tail`] (all sources), [`split`] (bytes to lines; pure), [`rotation`] (which file is which; pure),
//! [`source`] (one file). A turn visits every source that has something, one read each, in rotation, until
//! the budget is used or the batch is full. Promises: a loud file cannot starve a quiet one; a renamed file
//! is read to its end before the file that took its name; what could not be read is a [`Missed`], never
//! silent. Must not do: freeze batches or write the WAL.

pub mod rotation;
pub mod source;
pub mod split;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use edge_pipeline::{Counters, Program};
use edge_wal::SourcePosition;
use proto_model::Timestamp;
use proto_seam::{Disk, FileIdentity};

use crate::discover::{Found, Job, owner};
use crate::gather::Gather;
use rotation::Change;
use source::{LineCount, Looked, ReadEnd, Source};

/// Files open at once: below the usual limit of 1,024 descriptors with room for the rest of the program.
pub const SOURCES_MAX: usize = 10_000;
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
    sources: BTreeMap<FileIdentity, Source>,
    /// Positions of files that no source reads (yet): from the WAL, or adopted.
    known: BTreeMap<FileIdentity, SourcePosition>,
    /// Positions of finished sources that the WAL must still be told.
    farewell: Vec<SourcePosition>,
    /// Paths that must not be read or could not be opened, until when, with the reason.
    refused: BTreeMap<PathBuf, (Timestamp, String)>,
    /// Who was read last: the next turn begins after it.
    last: Option<FileIdentity>,
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
            jobs,
            sources: BTreeMap::new(),
            known,
            farewell: Vec::new(),
            refused: BTreeMap::new(),
            last: None,
            buffer: Vec::new(),
            missed: Vec::new(),
        }
    }

    /// The jobs.
    #[must_use]
    pub fn jobs(&self) -> &[Job] {
        &self.jobs
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
            if self.sources.len() >= SOURCES_MAX {
                self.refused.insert(path.clone(), (now.plus(RETRY), format!("{SOURCES_MAX} files are open already")));
            } else if self.refused.get(path).is_none_or(|(until, _)| *until <= now) {
                self.take_up(file.clone(), now);
            }
        }
        self.look_for_the_lost(now);
    }

    fn take_up(&mut self, found: Found, now: Timestamp) {
        let path = found.path.clone();
        match self.open(found, now) {
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

    fn open(&mut self, found: Found, now: Timestamp) -> io::Result<()> {
        let identity = self.disk.state(&found.path)?.identity;
        if let Some(source) = self.sources.get_mut(&identity) {
            // Another name of a file that is being read: a link, or a rename within the glob. It goes on
            // under the labels that its first lines had.
            if source.is_draining() {
                source.found.path = found.path;
            }
            return Ok(());
        }
        let (program, position) = (self.program(found.job), self.known.get(&identity).cloned());
        let (source, change) = Source::open(found, position.as_ref(), &program, self.disk.as_ref(), now)?;
        if source.identity() != identity {
            return Err(io::Error::new(io::ErrorKind::NotFound, "it was replaced while it was opened"));
        }
        self.known.remove(&identity);
        if let (Some(position), Change::Truncated) = (position, change) {
            self.missed.push(Missed { source: position.path, reason: "truncated", bytes: None, noticed: now });
        }
        self.sources.insert(identity, source);
        Ok(())
    }

    /// Files that were read before a restart and whose path leads elsewhere now: found beside it under
    /// another name, they are read to their end; otherwise they vanished.
    fn look_for_the_lost(&mut self, now: Timestamp) {
        let lost: Vec<SourcePosition> = self.known.values().cloned().collect();
        for position in lost {
            let path = PathBuf::from(&position.path);
            match self.sibling(&path, position.identity) {
                Some(there) => {
                    let renamed = owner(&self.jobs, &path).map(|found| Found { path: there, ..found });
                    if let Some(found) = renamed
                        && let Err(fault) = self.open(found, now)
                    {
                        tracing::warn!(path = position.path, %fault, "a renamed file cannot be read to its end");
                    }
                    if !self.known.contains_key(&position.identity) {
                        continue;
                    }
                }
                None => self.missed.push(Missed { source: position.path.clone(), reason: "vanished", bytes: None, noticed: now }),
            }
            self.known.remove(&position.identity);
            self.farewell.push(SourcePosition { gone: true, ..position });
        }
    }

    fn sibling(&self, path: &Path, identity: FileIdentity) -> Option<PathBuf> {
        let dir = path.parent()?;
        let entries = self.disk.list(dir).ok()?;
        entries.into_iter().map(|entry| dir.join(entry.name)).find(|path| self.disk.state(path).is_ok_and(|state| state.identity == identity))
    }

    /// One turn: reads until `budget` bytes, the batch is full, or nothing more is there.
    pub fn turn(&mut self, now: Timestamp, budget: u64, gather: &mut Gather) -> Turn {
        let mut turn = Turn { missed: std::mem::take(&mut self.missed), ..Turn::default() };
        let order = self.order();
        // A file that took a renamed one's place waits until that one is read to its end.
        let heirs: BTreeSet<PathBuf> = self.sources.values().filter(|source| source.is_draining() && source.behind() > 0).map(|source| source.path().clone()).collect();
        let mut finished = Vec::new();
        for identity in order {
            if gather.is_full() || turn.count.bytes >= budget {
                turn.more = true;
                break;
            }
            self.last = Some(identity);
            let Some(source) = self.sources.get_mut(&identity) else { continue };
            source.tick(now, gather);
            let waits = !source.is_draining() && heirs.contains(source.path());
            if gather.is_full() || waits || source.next_look > now {
                continue;
            }
            match source.read(&mut self.buffer, now, gather) {
                Ok((ReadEnd::More, count)) => {
                    turn.count.add(count);
                    turn.more = true;
                }
                Ok((ReadEnd::Idle, _)) => {
                    if let Some(end) = look(source, self.disk.as_ref(), now, &mut turn) {
                        finished.push((identity, end));
                    }
                }
                Err(fault) => {
                    tracing::warn!(path = %source.path().display(), %fault, "a file cannot be read now; it is tried again");
                    source.next_look = now.plus(RETRY);
                }
            }
            turn.counters.add(&source.take_counters());
        }
        for (identity, path) in finished {
            self.finish(identity, path, now, gather, &mut turn);
        }
        turn
    }

    /// Sources in rotation, renamed ones first: their lines are older than those of the file that took their name.
    fn order(&self) -> Vec<FileIdentity> {
        let after = self.last.unwrap_or_default();
        let (mut draining, mut live) = (Vec::new(), Vec::new());
        for (identity, source) in self.sources.range(after..).skip(usize::from(self.last.is_some())).chain(self.sources.range(..=after)) {
            if source.is_draining() { &mut draining } else { &mut live }.push(*identity);
        }
        draining.dedup();
        live.dedup();
        draining.into_iter().chain(live).collect()
    }

    fn finish(&mut self, identity: FileIdentity, path: PathBuf, now: Timestamp, gather: &mut Gather, turn: &mut Turn) {
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

    /// Bytes that were found but not read yet, and the number of files they are in.
    #[must_use]
    pub fn behind(&self) -> (u64, u64) {
        self.sources.values().map(Source::behind).filter(|bytes| *bytes > 0).fold((0, 0), |(bytes, files), more| (bytes + more, files + 1))
    }
}

/// Looks at an idle source; its path when it is finished.
fn look(source: &mut Source, disk: &dyn Disk, now: Timestamp, turn: &mut Turn) -> Option<PathBuf> {
    match source.look(disk, now) {
        Ok(Looked::Fine) => None,
        Ok(Looked::Finished) => Some(source.path().clone()),
        Ok(Looked::Truncated { unread }) => {
            tracing::warn!(path = %source.path().display(), unread, "a file was truncated; what was written between the last read and the cut is gone");
            let bytes = (unread > 0).then_some(unread);
            turn.missed.push(Missed { source: source.path().to_string_lossy().into_owned(), reason: "truncated", bytes, noticed: now });
            turn.more = true;
            None
        }
        Err(fault) => {
            tracing::warn!(path = %source.path().display(), %fault, "a file cannot be looked at now; it is tried again");
            source.next_look = now.plus(RETRY);
            None
        }
    }
}

#[cfg(test)]
mod tests;
