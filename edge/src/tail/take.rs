//! Taking up the files that a search found.
//!
//! Parts: [`Tail::found`] (all of them), `take_up` (one path: first what bore it before), `open_at` (one file, at its
//! position). Must not do: search.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use edge_pipeline::Program;
use edge_wal::SourcePosition;
use proto_model::Timestamp;
use proto_seam::FileIdentity;

use super::archives::Done;
use super::content::Packing;
use super::rotation::Change;
use super::siblings::{self, Dirs, LISTED_MAX, Stamp};
use super::source::{Opening, Source};
use super::{Missed, RETRY, SEARCH_FILES_MAX, Tail};
use crate::discover::Found;

impl Tail {
    /// Takes up files that were found; what was being read goes on whether it was found again or not.
    /// Positions of files that are nowhere to be found any more become [`Missed`].
    pub fn found(&mut self, found: &BTreeMap<PathBuf, Found>, now: Timestamp) {
        self.stir();
        self.refused.retain(|path, (until, _)| *until > now || found.contains_key(path));
        self.waiting.retain(|path, _| found.contains_key(path));
        let disk = Arc::clone(&self.disk);
        let mut dirs = Dirs::new(disk.as_ref());
        self.check_done(&mut dirs, now);
        for file in self.not_open(found) {
            if let Some(refusal) = self.refusal(&file, now) {
                self.refused.extend(refusal);
            } else if self.refused.get(&file.path).is_none_or(|(until, _)| *until <= now) {
                self.take_up(file, &mut dirs, now);
            }
        }
        self.relabel(found);
        self.leave_unnamed(found, now);
        self.look_for_the_lost(&mut dirs, now);
        self.forget_paths();
        (self.search_wanted, self.found_many) = (false, found.len() > SEARCH_FILES_MAX);
        self.searched = now;
    }

    /// Those of the files that no source reads under their path.
    pub(super) fn not_open(&self, found: &BTreeMap<PathBuf, Found>) -> Vec<Found> {
        let live = self.sources.values().filter(|source| !source.is_draining() || source.is_archive()).map(|source| source.path().as_path());
        let open: BTreeSet<&Path> = live.chain(self.done.values().filter_map(Done::archive)).collect();
        found.iter().filter(|(path, _)| !open.contains(path.as_path())).map(|(_, file)| file.clone()).collect()
    }

    /// Why a file is not opened now, and until when; `Some(None)` = it waits for its turn.
    fn refusal(&mut self, file: &Found, now: Timestamp) -> Option<Option<(PathBuf, (Timestamp, String))>> {
        if self.sources.len() >= self.sources_max {
            let why = format!("{} files are open already", self.sources_max);
            return Some(Some((file.path.clone(), (now.plus(RETRY), why))));
        }
        if siblings::is_packed(&file.path) {
            return match self.archive_waits(file, now) {
                Ok(false) => None,
                Ok(true) => Some(None),
                Err(why) => Some(Some((file.path.clone(), (Timestamp::MAX, why.to_owned())))),
            };
        }
        None
    }

    /// Begins to read what `found` names now; first what bore its name before and was not read to its end.
    pub(super) fn take_up(&mut self, found: Found, dirs: &mut Dirs<'_>, now: Timestamp) {
        let path = found.path.clone();
        let packing = self.packing_of(&found);
        for round in 0..LISTED_MAX {
            if round > 0 && dirs.list_anew(&path).is_err() {
                return;
            }
            // What bears the name when it is opened must be what bore it when the older ones were looked for: others rotate meanwhile.
            let present = if packing.is_none() { self.take_up_older(&found, dirs, now) } else { self.identity_at(&path) };
            let Some(present) = present else {
                if self.identity_at(&path).is_none() {
                    return;
                }
                continue;
            };
            match self.open(found.clone(), &path, packing, present, dirs, now) {
                Ok(()) => drop(self.refused.remove(&path)),
                Err(gone) if gone.kind() == io::ErrorKind::NotFound => continue,
                Err(fault) => {
                    if !self.refused.contains_key(&path) {
                        tracing::warn!(path = %path.display(), %fault, "a file is not read");
                    }
                    self.refused.insert(path, (now.plus(RETRY), fault.to_string()));
                }
            }
            return;
        }
    }

    /// Which file lies there now.
    pub(super) fn identity_at(&self, path: &Path) -> Option<FileIdentity> {
        self.disk.state(path).map(|state| state.identity).ok()
    }

    pub(super) fn program(&self, job: usize) -> Arc<Program> {
        Arc::clone(&self.jobs[job].program)
    }

    /// Opens what lies at `at`, if it is the file that is expected there; otherwise nothing is found there.
    pub(super) fn open(
        &mut self,
        found: Found,
        at: &Path,
        packing: Option<Packing>,
        expected: FileIdentity,
        dirs: &mut Dirs<'_>,
        now: Timestamp,
    ) -> io::Result<()> {
        let identity = self.disk.state(at)?.identity;
        if expected != identity {
            return Err(replaced());
        }
        if let Some(source) = self.sources.get_mut(&identity) {
            // Another name of a file that is being read: a link, or a rename within the glob. It goes on
            // under the labels that its first lines had, once what took its name need not wait for it.
            if source.is_draining() && found.path == at && source.unread() == 0 {
                source.found.path = found.path;
            }
            return Ok(());
        }
        let position = self.known.get(&identity).or_else(|| self.done.get(&identity).map(Done::position)).cloned();
        self.open_at(found, at, (packing, identity), position, dirs, now)
    }

    /// Opens the file `identity` at `at`, going on at `position`: of the same file, or of one with the same content that is gone.
    pub(super) fn open_at(
        &mut self,
        found: Found,
        at: &Path,
        (packing, identity): (Option<Packing>, FileIdentity),
        position: Option<SourcePosition>,
        dirs: &mut Dirs<'_>,
        now: Timestamp,
    ) -> io::Result<()> {
        let program = self.program(found.job);
        let text = self.jobs[found.job].reading.text;
        let is_renamed = found.path != at;
        let is_copy = position.as_ref().is_some_and(|position| position.identity != identity);
        let after = after(&found, at, position.as_ref(), dirs);
        let opening = Opening { found, at, packing, text, program: &program, position: position.as_ref(), is_copy, after };
        let (mut source, change) = Source::open(opening, self.disk.as_ref(), now)?;
        if source.identity() != identity {
            return Err(replaced());
        }
        self.known.remove(&identity);
        self.done.remove(&identity);
        // Of a file that was read to its end nothing is gone: another has its inode now.
        if let (Some(position), Change::Truncated) = (position.filter(|position| !position.done), change) {
            let bytes = Some(position.size.saturating_sub(position.offset)).filter(|bytes| *bytes > 0);
            self.missed.push(Missed { source: position.path, reason: "truncated", bytes, noticed: now });
        }
        if source.links() > 1 {
            tracing::warn!(path = %at.display(), links = source.links(), "a file has several names (hard links): whoever can write one of them is heard here");
        }
        source.rank = self.next_rank;
        self.next_rank += 1;
        if is_renamed {
            source.drain(now);
        } else {
            source.watched = !source.is_archive() && self.notice.begin(self.disk.as_ref(), at, identity, now);
        }
        self.sources.insert(identity, source);
        Ok(())
    }
}

fn replaced() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "it was replaced while it was opened")
}

/// The date after which files were renamed from the path of `found` that were written after the one at `at`.
fn after(found: &Found, at: &Path, position: Option<&SourcePosition>, dirs: &mut Dirs<'_>) -> String {
    let siblings = dirs.siblings(&found.path).unwrap_or_default();
    let own = siblings.iter().find(|sibling| sibling.at == at).map(|sibling| &sibling.stamp);
    match (own, position) {
        (Some(Stamp::Dated(own)), _) => own.clone(),
        (_, Some(position)) if position.modified_ns != 0 => position.after.clone(),
        _ => siblings::newest_date(&siblings),
    }
}
