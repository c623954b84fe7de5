//! Which files a journal has: found, opened at the right entry, compared with what the cursor knows.
//!
//! Parts: `Reader::scan`. A file is known by device and inode, whatever its name: journald renames files when it rotates. Must not
//! do: read entries.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use proto_model::Timestamp;
use proto_seam::{FileIdentity, FileKind};

use super::super::file::{FileFault, JournalFile};
use super::super::object::{Damage, HEADER_BYTES, Id};
use super::{FILES_MAX, Reader, Root, SCAN_EVERY, Unreadable};

/// Names in one folder that are looked at.
const NAMES_MAX: usize = 65_536;

/// What is there of what the cursor knows.
#[derive(Default)]
struct Present {
    files: BTreeSet<Id>,
    /// Runs of numbers.
    runs: BTreeSet<Id>,
}

impl Reader {
    /// Looks which files there are and opens those that are new.
    pub(super) fn scan(&mut self, now: Timestamp) -> Result<(), Unreadable> {
        self.next_scan = now.plus(SCAN_EVERY);
        self.is_barred = false;
        let mut is_whole = true;
        let mut seen = BTreeSet::new();
        let mut present = Present::default();
        for root in self.roots.clone() {
            for path in self.names(&root) {
                is_whole &= self.look_at(&root, path, &mut seen, &mut present)?;
            }
        }
        // An inode that nobody names any more may come again as another file.
        self.closed.retain(|identity, _| seen.contains(identity));
        if self.told.len() > FILES_MAX {
            self.told.clear();
        }
        if self.is_first && is_whole {
            self.is_first = false;
            self.compare(&present);
        }
        if let Some(round) = &mut self.round {
            round.is_scanned |= is_whole;
        }
        Ok(())
    }

    /// The journal files under a root: in it, and in its folders that are named by a machine's id.
    fn names(&mut self, root: &Root) -> Vec<PathBuf> {
        let mut out = Vec::new();
        let mut dirs = vec![(root.dir.clone(), true)];
        while let Some((dir, is_top)) = dirs.pop() {
            let entries = match self.disk.list(&dir) {
                Ok(entries) => entries,
                Err(fault) => {
                    if fault.kind() != io::ErrorKind::NotFound {
                        self.tell(&dir, &fault);
                    }
                    continue;
                }
            };
            for entry in entries.into_iter().take(NAMES_MAX) {
                let Some(name) = entry.name.to_str() else { continue };
                match entry.kind {
                    FileKind::Dir if is_top && name.len() == 32 && name.bytes().all(|byte| byte.is_ascii_hexdigit()) => dirs.push((dir.join(name), false)),
                    FileKind::File if name.ends_with(".journal") || name.ends_with(".journal~") => out.push(dir.join(name)),
                    FileKind::File | FileKind::Dir | FileKind::Link | FileKind::Other => {}
                }
            }
        }
        out.sort();
        out
    }

    fn tell(&mut self, path: &Path, fault: &io::Error) {
        let why = fault.to_string();
        if self.told.get(path) != Some(&why) {
            let fix = if fault.kind() == io::ErrorKind::PermissionDenied { "let the edge's user be in the group systemd-journal" } else { "" };
            tracing::warn!(path = %path.display(), why, fix, "a part of the journal cannot be opened");
            self.told.insert(path.to_path_buf(), why);
        }
    }

    /// Opens a file if it is new; whether it need not be looked at again.
    fn look_at(&mut self, root: &Root, path: PathBuf, seen: &mut BTreeSet<FileIdentity>, present: &mut Present) -> Result<bool, Unreadable> {
        // A name that vanished meanwhile was moved or removed: the next look finds it.
        let Ok(state) = self.disk.state(&path) else { return Ok(false) };
        seen.insert(state.identity);
        if let Some(known) = self.files.iter_mut().find(|file| file.identity == state.identity) {
            known.header.is_archived |= path.as_os_str().as_encoded_bytes().ends_with(b"~");
            known.path = path;
            return Ok(true);
        }
        if self.closed.get(&state.identity) == Some(&(state.len, state.modified_ns)) {
            return Ok(true);
        }
        if self.files.len() >= FILES_MAX {
            return Ok(false);
        }
        let opened = self.disk.open_beneath(&path, std::slice::from_ref(&root.dir)).map_err(FileFault::Io);
        let file = match opened.and_then(|file| JournalFile::new(file, path.clone(), root.is_runtime)) {
            Ok(file) => file,
            Err(FileFault::Damaged(why @ Damage::Unknown(_))) if !self.skips_unknown => {
                return Err(Unreadable { path: path.display().to_string(), why: why.to_string() });
            }
            Err(FileFault::Io(fault)) => {
                self.tell(&path, &fault);
                let is_barred = fault.kind() == io::ErrorKind::PermissionDenied;
                self.is_barred |= is_barred;
                return Ok(is_barred);
            }
            Err(FileFault::Damaged(why)) => {
                // One that journald has just made has no header yet.
                if state.len >= HEADER_BYTES as u64 {
                    tracing::error!(path = %path.display(), %why, "a file of the journal cannot be read and is skipped");
                    self.counts.damaged_files += 1;
                    self.closed.insert(state.identity, (state.len, state.modified_ns));
                }
                return Ok(true);
            }
        };
        self.begin_file(file, present);
        Ok(true)
    }

    /// Takes a file up at its first entry that was not read.
    fn begin_file(&mut self, mut file: JournalFile, present: &mut Present) {
        file.header.is_archived |= file.path.as_os_str().as_encoded_bytes().ends_with(b"~");
        let (run, since) = (file.header.seqnum_id, self.cursor.since);
        let known = self.cursor.runs.get(&run).copied().unwrap_or_default();
        present.files.insert(file.header.file_id);
        present.runs.insert(run);
        let listed = self.cursor.files.get(&file.header.file_id).map(|place| place.seqnum);
        let sought = match listed {
            Some(seqnum) => file.seek(|head| head.seqnum <= seqnum),
            None if known.floor >= file.header.tail_seqnum => {
                file.give_up();
                Ok(())
            }
            None if known.floor > 0 => file.seek(|head| head.seqnum <= known.floor),
            None if file.header.tail_realtime < since && file.header.is_archived => {
                file.give_up();
                Ok(())
            }
            None => file.seek(|head| head.realtime < since),
        };
        if let Err(fault) = sought {
            tracing::error!(path = %file.path.display(), %fault, "a file of the journal is damaged: nothing of it is read");
            let lost = file.give_up();
            self.numbers.note_unknown(lost);
            self.counts.damaged_files += 1;
            self.counts.damaged_entries += lost;
        }
        let is_over = file.header.is_archived && file.unread() == 0 && (file.header.tail_seqnum <= known.floor || file.header.tail_realtime < since);
        match file.stamp().filter(|_| is_over) {
            Some(stamp) => drop(self.closed.insert(file.identity, stamp)),
            None => self.files.push(file),
        }
    }

    /// What the cursor knows and is not there: entries may be gone that were not read. Those of runs that go on are told when their numbers are.
    fn compare(&mut self, present: &Present) {
        let left = self.cursor.runs.iter().filter(|(run, _)| !present.runs.is_empty() && !present.runs.contains(run));
        let mut gone: Vec<String> = left.map(|(_, known)| format!("all after entry {}", known.newest)).collect();
        let newest = self.cursor.runs.values().map(|run| run.newest).max().unwrap_or(0);
        for (_, place) in self.cursor.files.iter().filter(|(id, place)| place.seqnum < place.counted.min(newest) && !present.files.contains(id)) {
            gone.push(format!("of a file, entries after {} up to {}", place.seqnum, place.counted.min(newest)));
        }
        for what in gone {
            tracing::error!(job = self.post.name(), what, "the journal was shortened while nobody read it: entries are lost; reading goes on at the next one");
            self.counts.gone += 1;
        }
        if !present.runs.is_empty() {
            self.cursor.runs.retain(|run, _| present.runs.contains(run));
        }
    }
}
