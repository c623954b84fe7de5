//! Packed files: those that a job names and unpacks, and all files that were read to their end and still exist.
//!
//! Parts: [`Done`], `archive_waits` (its delay and its turn), `check_done` (which of them are gone or have changed).
//! An archive is read once; one that changed since goes on where it ended. Must not do: unpack.

use std::path::{Path, PathBuf};
use std::time::Duration;

use edge_wal::SourcePosition;
use proto_model::Timestamp;

use super::content::Packing;
use super::siblings::{Dirs, is_packed};
use super::source::Source;
use super::{Tail, UNPACKING_MAX};
use crate::discover::{Found, Owner, owner};

/// Files that were read to their end are looked for so often.
const DONE_WAIT: Duration = Duration::from_secs(60);

/// A file that was read to its end and still exists.
#[derive(Debug, Clone)]
pub(super) struct Done {
    position: SourcePosition,
    /// Where it was last seen.
    at: PathBuf,
}

impl Done {
    /// As the WAL tells it.
    pub(super) fn new(position: SourcePosition) -> Self {
        let at = PathBuf::from(&position.path);
        Self { position, at }
    }

    /// Of a source that ended with this position.
    pub(super) fn of(source: &Source, position: SourcePosition) -> Self {
        Self { position, at: source.path().clone() }
    }

    /// How far it was read.
    pub(super) const fn position(&self) -> &SourcePosition {
        &self.position
    }

    /// The path of an archive that a glob names: it is not opened again.
    pub(super) fn archive(&self) -> Option<&Path> {
        (is_packed(&self.at) && self.at.as_os_str() == self.position.path.as_str()).then_some(self.at.as_path())
    }
}

impl Tail {
    /// How what a glob names is packed: by its job's settings.
    pub(super) fn packing_of(&self, found: &Found) -> Option<Packing> {
        let archives = self.jobs[found.job].reading.archives?;
        let named = Packing::of_name(&found.path).filter(|_| is_packed(&found.path))?;
        Some(archives.packing.unwrap_or(named))
    }

    /// Whether a packed file waits: for its delay, or for others that are unpacked now.
    ///
    /// # Errors
    /// It is not read at all.
    pub(super) fn archive_waits(&mut self, file: &Found, now: Timestamp) -> Result<bool, &'static str> {
        let Some(archives) = self.jobs[file.job].reading.archives else { return Err("a packed file is not read: it is listed here and left alone") };
        if self.packing_of(file).is_none() {
            return Err("this kind of packed file cannot be read: gz, z and bz2 can");
        }
        let since = *self.waiting.entry(file.path.clone()).or_insert(now);
        if now.since(since) < archives.initial_delay {
            return Ok(true);
        }
        // Open files are few: of thousands of archives most wait with neither descriptor nor memory.
        if self.sources.values().filter(|source| source.is_archive()).count() >= 2 * UNPACKING_MAX {
            return Ok(true);
        }
        self.waiting.remove(&file.path);
        Ok(false)
    }

    /// A file that was read to its end is gone: what it was packed into is not read again.
    pub(super) fn follow_done(&mut self, position: SourcePosition, dirs: &mut Dirs<'_>) {
        if let Owner::Target(found) = owner(&self.jobs, Path::new(&position.path)) {
            let siblings = dirs.siblings(&found.path).unwrap_or_default();
            let packed = siblings.into_iter().filter(|sibling| sibling.packing.is_some() && !self.done.contains_key(&sibling.identity));
            if let Some(sibling) = packed.into_iter().find(|sibling| self.is_copy_of_done(sibling, &position, &found)) {
                let moved = SourcePosition { identity: sibling.identity, size: sibling.len, modified_ns: sibling.modified_ns, ..position.clone() };
                self.farewell.push(moved.clone());
                self.done.insert(sibling.identity, Done { position: moved, at: sibling.at });
            }
        }
        self.farewell.push(SourcePosition { gone: true, ..position });
    }

    /// Files that were read to their end and are gone are forgotten; archives that changed since are read on.
    pub(super) fn check_done(&mut self, dirs: &mut Dirs<'_>, now: Timestamp) {
        if now < self.done_due {
            return;
        }
        self.done_due = now.plus(DONE_WAIT);
        for (identity, mut done) in std::mem::take(&mut self.done) {
            let there = match self.disk.state(&done.at).ok().filter(|state| state.identity == identity) {
                Some(_) => Ok(Some(done.at.clone())),
                None => dirs.place_of(Path::new(&done.position.path), identity),
            };
            match there {
                Ok(Some(at)) => {
                    let len = self.disk.state(&at).map_or(done.position.size, |state| state.len);
                    done.at = at;
                    if done.archive().is_some() && len != done.position.size {
                        self.known.insert(identity, done.position);
                    } else {
                        self.done.insert(identity, done);
                    }
                }
                Ok(None) => self.follow_done(done.position, dirs),
                // It cannot be looked for now.
                Err(_) => drop(self.done.insert(identity, done)),
            }
        }
    }
}
