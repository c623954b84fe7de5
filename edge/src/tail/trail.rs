//! Where a file went that is not at its path any more, and what came after it.
//!
//! Parts: `take_up_older` (before a path's file is begun: the files that bore its name and were not read to their end),
//! `find_again` (one of them: by identity, then packed or copied by its first bytes), `look_for_the_lost` (what is left of
//! an earlier run). Promises: files of one path are begun in the order in which they bore it; a position is let go only when
//! its file is read on or told as [`Missed`]; a file that was read before under another name, or packed since, is not read
//! again. Must not do: read lines.

use std::path::{Path, PathBuf};
use std::time::Duration;

use edge_wal::SourcePosition;
use proto_model::Timestamp;
use proto_seam::FileIdentity;

use super::archives::Done;
use super::content::{Content, Packing};
use super::rotation::{HEAD_BYTES, Head};
use super::siblings::{Anchor, Anew, Dirs, LISTED_MAX, Sibling, Stamp};
use super::source::Source;
use super::{Missed, RETRY, Tail};
use crate::discover::{Found, Owner, owner};

fn anchor_of(position: &SourcePosition) -> Anchor<'_> {
    Anchor { stamp: None, after: &position.after, modified_ns: position.modified_ns }
}

/// Whether a file that begins with `first` can be the one that the position is of.
fn is_of(position: &SourcePosition, first: &[u8]) -> bool {
    position.head_len > 0 && Head { hash: position.head_hash, len: position.head_len }.begins(first)
}

/// Files' times and the edge's clock may go so much apart, and what was read last is in the WAL so much later.
const UNSEEN_SLACK: Duration = Duration::from_secs(2);

/// What bore a name before those files that are looked for.
enum Before {
    /// This file, if it is still read; the newest date beside it when it was begun, and its last modification.
    File(Option<FileIdentity>, String, i64),
    /// None that is known: what was written since then came while nobody looked.
    Nothing(Timestamp),
}

/// What became of a position.
enum Trail {
    /// Its file is read on.
    Followed,
    /// Its file is nowhere.
    Vanished,
    /// It cannot be told now.
    Unknown,
}

impl Tail {
    /// What bore the name of `found` before: files whose positions are known, where they lie now, and files that came
    /// and were renamed while nobody looked. Gives the file that bears it now.
    pub(super) fn take_up_older(&mut self, found: &Found, dirs: &mut Dirs<'_>, now: Timestamp) -> Option<FileIdentity> {
        let present = self.identity_at(&found.path);
        if let Err(fault) = dirs.freshen(&found.path, now) {
            tracing::warn!(path = %found.path.display(), %fault, "a directory cannot be listed now");
        }
        // Inodes are given anew soon: the file there now may be another.
        let is_here = |position: &SourcePosition| Some(position.identity) == present && self.is_still(position, &found.path, found);
        let of_path = self.known.values().filter(|position| Path::new(&position.path) == found.path);
        let (here, mut lost): (Vec<SourcePosition>, Vec<SourcePosition>) = of_path.cloned().partition(is_here);
        lost.sort_by(|one, two| (&one.after, one.modified_ns).cmp(&(&two.after, two.modified_ns)));
        let mut newest_vanished = None;
        for position in lost {
            match self.find_again(found, &position, dirs, now) {
                Trail::Followed => newest_vanished = None,
                Trail::Vanished => newest_vanished = Some(position),
                Trail::Unknown => return present,
            }
        }
        // Of one that was empty when it was seen last nothing tells that it is the same: what came after it may lie beside it.
        let unsure = here.iter().find(|position| position.head_len == 0).cloned();
        if let Some(position) = newest_vanished.or(unsure) {
            self.take_up_later(found, &Before::File(None, position.after, position.modified_ns), present, dirs, now);
            return present;
        }
        let newest = self.sources.values().filter(|source| source.is_draining() && *source.path() == found.path).max_by_key(|source| source.rank);
        if let Some(newest) = newest {
            let before = Before::File(Some(newest.identity()), newest.after().to_owned(), newest.modified_ns());
            self.take_up_later(found, &before, present, dirs, now);
        } else if !self.has_borne(&found.path) && present.is_none_or(|present| !self.done.contains_key(&present)) {
            self.take_up_later(found, &Before::Nothing(self.unseen_since(found)), present, dirs, now);
        }
        present
    }

    /// Whether a file that bore this name is known.
    fn has_borne(&self, path: &Path) -> bool {
        let mut positions = self.known.values().chain(self.done.values().map(Done::position));
        positions.any(|position| Path::new(&position.path) == path) || self.sources.values().any(|source| *source.path() == path)
    }

    /// Since when a file that bears a name may have come without being seen: since its directory was searched last, or, if it never
    /// was, since this edge reads for that job.
    fn unseen_since(&self, found: &Found) -> Timestamp {
        let was_searched = found.path.parent().is_some_and(|dir| self.looked_in.contains(dir));
        if was_searched { self.searched.minus(UNSEEN_SLACK) } else { self.jobs[found.job].since }
    }

    /// Files that bore the name of `found` after one that was read, or while nobody looked, and were renamed since, the oldest first.
    fn take_up_later(&mut self, found: &Found, before: &Before, present: Option<FileIdentity>, dirs: &mut Dirs<'_>, now: Timestamp) {
        for _ in 0..LISTED_MAX {
            let Some(gone) = self.try_later(found, before, present, dirs, now) else { return };
            // It was packed or removed since it was listed.
            if dirs.list_anew(&found.path).is_ok_and(|anew| anew != Anew::Spent) {
                continue;
            }
            tracing::warn!(path = %found.path.display(), at = %gone.at.display(), "a renamed file is gone before it was opened");
            let source = gone.at.to_string_lossy().into_owned();
            self.missed.push(Missed { source, reason: "vanished", bytes: gone.packing.is_none().then_some(gone.len), noticed: now });
            return;
        }
    }

    /// The same by what is listed; the first of them that is not there any more ends it.
    fn try_later(&mut self, found: &Found, before: &Before, present: Option<FileIdentity>, dirs: &mut Dirs<'_>, now: Timestamp) -> Option<Sibling> {
        let siblings = dirs.siblings(&found.path).ok()?;
        let stamp = if let Before::File(Some(identity), ..) = before { self.stamp_of(*identity, found, &siblings) } else { None };
        let is_later = |sibling: &Sibling| match before {
            Before::File(_, after, modified_ns) => Anchor { stamp: stamp.as_ref(), after, modified_ns: *modified_ns }.precedes(sibling),
            Before::Nothing(since) => sibling.modified_ns >= since.nanos(),
        };
        let is_new = |sibling: &&Sibling| Some(sibling.identity) != present && is_later(sibling) && !self.is_known(sibling, found);
        let later: Vec<Sibling> = siblings.iter().filter(is_new).filter(|sibling| !self.is_copy(sibling, found)).cloned().collect();
        for sibling in later {
            match self.open(found.clone(), &sibling.at, sibling.packing, sibling.identity, dirs, now) {
                Ok(()) => {
                    tracing::info!(path = %found.path.display(), at = %sibling.at.display(), "a file came and was renamed between two looks; it is read to its end");
                }
                Err(gone) if gone.kind() == std::io::ErrorKind::NotFound => return Some(sibling),
                Err(fault) => {
                    tracing::warn!(path = %sibling.at.display(), %fault, "a renamed file cannot be read");
                    let source = sibling.at.to_string_lossy().into_owned();
                    self.missed.push(Missed { source, reason: "unreadable", bytes: sibling.packing.is_none().then_some(sibling.len), noticed: now });
                }
            }
        }
        None
    }

    /// A file was removed, and not packed, before anybody saw that it had been renamed, and files came after it: some of them may be gone too.
    pub(super) fn tell_unseen(&mut self, removed: FileIdentity, found: &Found, dirs: &mut Dirs<'_>, now: Timestamp) {
        let Ok(siblings) = dirs.siblings(&found.path) else { return };
        if self.stamp_of(removed, found, &siblings).is_some() {
            return;
        }
        if siblings.iter().any(|sibling| !self.is_known(sibling, found) && !self.is_copy(sibling, found)) {
            tracing::error!(path = %found.path.display(), "a file was rotated and removed between two looks; what was rotated after it and removed too is gone");
            self.missed.push(Missed { source: found.path.to_string_lossy().into_owned(), reason: "vanished", bytes: None, noticed: now });
        }
    }

    /// The stamp in the present name of a file that is read: its own, or that of what it was packed into.
    fn stamp_of(&self, identity: FileIdentity, found: &Found, siblings: &[Sibling]) -> Option<Stamp> {
        if let Some(sibling) = siblings.iter().find(|sibling| sibling.identity == identity) {
            return Some(sibling.stamp.clone());
        }
        let source = self.sources.get(&identity)?;
        let mut packed = siblings.iter().filter(|sibling| sibling.packing.is_some());
        packed.find(|sibling| self.is_copy_of(sibling, source, found)).map(|sibling| sibling.stamp.clone())
    }

    /// The first bytes of a sibling, unpacked.
    fn first_of(&self, sibling: &Sibling, found: &Found) -> Option<Vec<u8>> {
        let file = self.disk.open_beneath(&sibling.at, &found.roots).ok()?;
        Content::new(file, sibling.packing).first(HEAD_BYTES).ok()
    }

    /// Whether a file is read, or was, whatever it was called then.
    fn is_known(&self, sibling: &Sibling, found: &Found) -> bool {
        let position = self.known.get(&sibling.identity).or_else(|| self.done.get(&sibling.identity).map(Done::position));
        self.sources.contains_key(&sibling.identity) || position.is_some_and(|position| self.is_still(position, &sibling.at, found))
    }

    /// Whether the file at `at`, which has the identity of the position, is the one that the position is of; when that
    /// cannot be told now, it is taken for it.
    fn is_still(&self, position: &SourcePosition, at: &Path, found: &Found) -> bool {
        let packing = if *at == found.path { self.packing_of(found) } else { Packing::of_name(at) };
        match self.disk.open_beneath(at, &found.roots).and_then(|file| Content::new(file, packing).first(HEAD_BYTES)) {
            Ok(first) => position.head_len == 0 || is_of(position, &first),
            Err(_) => true,
        }
    }

    /// Whether a sibling is the copy of a file that is or was read under the path of `found`.
    fn is_copy(&self, sibling: &Sibling, found: &Found) -> bool {
        let mut sources = self.sources.values().filter(|source| *source.path() == found.path);
        let mut done = self.done.values().map(Done::position).filter(|position| Path::new(&position.path) == found.path);
        sources.any(|source| self.is_copy_of(sibling, source, found)) || done.any(|position| self.is_copy_of_done(sibling, position, found))
    }

    /// Begins alike, and is as long: files of one program may all begin alike.
    fn is_copy_of(&self, sibling: &Sibling, source: &Source, found: &Found) -> bool {
        !source.is_archive() && self.is_as_long(sibling, source.len(), found) && self.first_of(sibling, found).is_some_and(|first| source.begins_like(&first))
    }

    /// The same of a file that was read to its end.
    pub(super) fn is_copy_of_done(&self, sibling: &Sibling, position: &SourcePosition, found: &Found) -> bool {
        self.is_as_long(sibling, position.offset, found) && self.first_of(sibling, found).is_some_and(|first| is_of(position, &first))
    }

    /// Whether a sibling holds so many bytes, unpacked, as far as it tells: gzip says it, modulo 2^32, in its last bytes.
    fn is_as_long(&self, sibling: &Sibling, bytes: u64, found: &Found) -> bool {
        match sibling.packing {
            None => sibling.len == bytes,
            Some(Packing::Zlib | Packing::Bzip2) => true,
            Some(Packing::Gzip) => {
                let mut told = [0; 4];
                let file = self.disk.open_beneath(&sibling.at, &found.roots);
                let got = file.and_then(|file| file.read_at(&mut told, sibling.len.saturating_sub(4)));
                got.is_ok_and(|got| got == told.len()) && u64::from(u32::from_le_bytes(told)) == bytes & u64::from(u32::MAX)
            }
        }
    }

    /// A file that was read before a restart and whose path leads elsewhere now: found beside it under another name,
    /// packed or not, it is read to its end, otherwise it vanished. While it cannot be looked for or opened its position
    /// is kept: without it all its lines would be read a second time.
    fn find_again(&mut self, found: &Found, position: &SourcePosition, dirs: &mut Dirs<'_>, now: Timestamp) -> Trail {
        let there = match self.whereabouts(found, position, dirs) {
            Ok(there) => there,
            Err(fault) => return unknown(position, &fault),
        };
        let Some((at, copy)) = there else {
            // The same inode under the same path: it was cut, or it is another file; whoever opens it tells.
            let is_here = self.identity_at(&found.path) == Some(position.identity);
            return if is_here { Trail::Vanished } else { self.vanished(position, now) };
        };
        if self.refused.get(&at).is_some_and(|(until, _)| *until > now) {
            return Trail::Unknown;
        }
        let opened = match &copy {
            // What it was packed into before the edge ended: its name says how.
            None => {
                let packing = if at == found.path { self.packing_of(found) } else { Packing::of_name(&at) };
                self.open(found.clone(), &at, packing, position.identity, dirs, now)
            }
            Some(sibling) => self.open_at(found.clone(), &at, (sibling.packing, sibling.identity), Some(position.clone()), dirs, now),
        };
        if let Err(fault) = opened {
            tracing::warn!(path = position.path, %fault, "a file that was read before cannot be opened now; it is tried again");
            self.refused.insert(at, (now.plus(RETRY), fault.to_string()));
            return Trail::Unknown;
        }
        // It no longer bears the path, whatever it is called now.
        let identity = copy.map_or(position.identity, |sibling| sibling.identity);
        if let Some(source) = self.sources.get_mut(&identity).filter(|_| at != found.path) {
            source.drain(now);
        }
        self.let_go(position);
        Trail::Followed
    }

    /// Where the file of a position lies now, and what it was packed into or copied to, if it was.
    fn whereabouts(&self, found: &Found, position: &SourcePosition, dirs: &mut Dirs<'_>) -> std::io::Result<Option<(PathBuf, Option<Sibling>)>> {
        dirs.until_same(&found.path, |dirs| {
            if let Some(at) = dirs.listed_place_of(&found.path, position.identity)?.filter(|at| self.is_still(position, at, found)) {
                return Ok(Some((at, None)));
            }
            Ok(self.by_content(found, position, dirs)?.map(|sibling| (sibling.at.clone(), Some(sibling))))
        })
    }

    /// A sibling with the content of the file that `position` is of: packed since, or copied and removed.
    fn by_content(&self, found: &Found, position: &SourcePosition, dirs: &mut Dirs<'_>) -> std::io::Result<Option<Sibling>> {
        let anchor = anchor_of(position);
        let is_free = |sibling: &Sibling| !self.is_known(sibling, found);
        let is_long_enough = |sibling: &Sibling| sibling.packing.is_some() || sibling.len >= position.offset;
        let siblings = dirs.siblings(&found.path)?;
        let mut candidates = siblings.into_iter().filter(|sibling| is_free(sibling) && is_long_enough(sibling));
        if position.head_len == 0 {
            // It was empty when it was seen last: the first that was written since is it, or as good as it.
            return Ok(candidates.find(|sibling| anchor.precedes(sibling)));
        }
        let mut candidates = candidates.filter(|sibling| anchor.may_be(sibling));
        Ok(candidates.find(|sibling| self.first_of(sibling, found).is_some_and(|first| is_of(position, &first))))
    }

    fn vanished(&mut self, position: &SourcePosition, now: Timestamp) -> Trail {
        let unread = position.size.saturating_sub(position.offset);
        tracing::error!(path = position.path, unread, "a file that was read before is nowhere to be found; what was written to it since is gone");
        self.missed.push(Missed { source: position.path.clone(), reason: "vanished", bytes: (unread > 0).then_some(unread), noticed: now });
        self.let_go(position);
        Trail::Vanished
    }

    /// The WAL need not know the position any more, if no source goes on with it.
    fn let_go(&mut self, position: &SourcePosition) {
        if self.known.remove(&position.identity).is_some() {
            self.farewell.push(SourcePosition { gone: true, ..position.clone() });
        }
    }

    /// What is left of the positions of an earlier run after all paths were taken up.
    pub(super) fn look_for_the_lost(&mut self, dirs: &mut Dirs<'_>, now: Timestamp) {
        let lost: Vec<SourcePosition> = self.known.values().cloned().collect();
        for position in lost {
            match owner(&self.jobs, Path::new(&position.path)) {
                // Its path is gone as a whole, or it could not be taken up: nothing else came after it there.
                Owner::Target(found) if self.known.contains_key(&position.identity) => drop(self.take_up_older(&found, dirs, now)),
                Owner::Target(_) => {}
                Owner::Awaited => {}
                // Its target is not discovered any more, or the operator took its job out and may bring it back: as long as
                // the file is there, its position counts.
                Owner::Open | Owner::Nobody => self.await_target(position, dirs, now),
            }
        }
    }
}

fn unknown(position: &SourcePosition, fault: &std::io::Error) -> Trail {
    tracing::warn!(path = position.path, %fault, "a file that was read before cannot be looked for now; it is tried again");
    Trail::Unknown
}
