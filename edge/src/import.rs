//! Promtail's (or Alloy's) positions, taken over once: what another agent has read is not read again.
//!
//! Parts: [`ImportPlan`] (which files, and what happens to entries in doubt), [`take`] (reads them before the first start with
//! a fresh WAL), [`keep`] (writes what was read into the WAL: from then on they are the edge's own), [`Imported`];
//! [`parse`] (the file's text; pure), [`place`] (an entry to the file it is of). Promises: all positions and the mark that
//! they were taken over are one WAL record, so that they count once and whole; an entry that cannot be true stops the
//! start unless the settings say how to go on; nothing is sent again in silence. Must not do: write the other agent's file.

pub mod parse;
pub mod place;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use edge_wal::{InspectedKind, Recovered, SourcePosition, Wal, WalFault};
use proto_boot::Mistake;
use proto_seam::{Disk, FileIdentity, World};

use crate::settings::{Prepared, Remark};
use parse::Entry;
use place::{Doubt, Placed, Placer};

/// Largest positions file that is read.
pub const FILE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Path of the position that says that positions were taken over.
pub const MARK: &str = "import:positions";

/// What happens to an entry that cannot be true.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WhenDoubtful {
    /// The edge does not start.
    #[default]
    Stop,
    /// Its file is read from its beginning: lines may be sent twice.
    Start,
    /// Its file is read from its end: lines may be missing.
    End,
    /// From its end if nothing was written to it since the other agent wrote its positions, else from its beginning.
    Time,
}

/// What is to be taken over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImportPlan {
    /// Positions files; one that is not there has no entries.
    pub files: Vec<PathBuf>,
    /// A file that is no YAML is passed over.
    pub ignore_invalid: bool,
    /// What happens to entries in doubt.
    pub when_doubtful: WhenDoubtful,
}

/// What was taken over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Imported {
    /// As the WAL is to hold them, with the mark; empty = there was nothing to take over.
    pub positions: Vec<SourcePosition>,
    /// What the user is told.
    pub remarks: Vec<Remark>,
    /// Files that go on where the other agent stood.
    pub files: usize,
    /// Cursors that do.
    pub cursors: usize,
    /// Entries whose file is gone, or that nobody here reads.
    pub skipped: usize,
    /// Entries in doubt that the settings said how to go on with.
    pub doubtful: usize,
}

/// Reads the positions files if the WAL is fresh, into `prepared.imported`; what is to be told is logged.
///
/// # Errors
/// All mistakes of the files, each with its way out.
pub async fn take(prepared: &mut Prepared, world: &World) -> Result<(), Vec<Mistake>> {
    let (plan, jobs, dir, disk) = (prepared.import.clone(), prepared.jobs.clone(), prepared.wal.dir.clone(), world.disk.clone());
    let read = move || {
        let is_any = plan.files.iter().any(|file| disk.state(file).is_ok());
        if is_any && is_fresh(&dir, disk.as_ref()) { read(&plan, &jobs, disk.as_ref()) } else { Ok(Imported::default()) }
    };
    prepared.imported = world.workers.run(read).await?;
    for remark in &prepared.imported.remarks {
        tracing::warn!("{remark}");
    }
    Ok(())
}

/// Whether a WAL has neither positions nor batches. What keeps it from being looked at is told by whoever opens it.
fn is_fresh(dir: &Path, disk: &dyn Disk) -> bool {
    if disk.list(dir).is_err_and(|fault| fault.kind() == std::io::ErrorKind::NotFound) {
        return true;
    }
    if !edge_wal::positions(dir, disk).is_ok_and(|positions| positions.is_empty()) {
        return false;
    }
    let mut has_batch = false;
    let looked = edge_wal::inspect(dir, disk, &mut |record| has_batch |= matches!(record.kind, InspectedKind::Batch | InspectedKind::Gap));
    looked.is_ok() && !has_batch
}

/// Writes what was taken over into a WAL that knows nothing yet.
///
/// # Errors
/// What the WAL says.
pub fn keep(imported: Imported, wal: &mut Wal, recovered: &mut Recovered) -> Result<(), WalFault> {
    let is_fresh = recovered.positions.is_empty() && recovered.tracks.iter().all(|track| track.next.0 <= 1);
    if imported.positions.is_empty() || !is_fresh {
        return Ok(());
    }
    wal.append_positions(&imported.positions)?;
    wal.sync()?;
    let Imported { positions, files, cursors, skipped, doubtful, .. } = imported;
    tracing::info!(files, cursors, skipped, doubtful, "another agent's positions were taken over: reading goes on where it stood; its file is not read again");
    recovered.positions = positions;
    Ok(())
}

/// Reads the positions files of a plan; nothing is written.
///
/// # Errors
/// All mistakes of the files, each with its way out.
pub fn read(plan: &ImportPlan, jobs: &[crate::discover::Job], disk: &dyn Disk) -> Result<Imported, Vec<Mistake>> {
    let (mut reading, mut mistakes) = (Reading::default(), Vec::new());
    for file in &plan.files {
        match Source::load(file, disk) {
            Ok(None) => {}
            Ok(Some(source)) => reading.file(&source, plan, jobs, disk, &mut mistakes),
            Err(mistake) if plan.ignore_invalid => {
                let text = format!("{}; it is passed over, and all files are read from their beginning", mistake.text);
                reading.out.remarks.push(Remark::new(&mistake.file, (mistake.line, mistake.column), text, "nothing, if lines may be sent twice"));
                reading.is_any = true;
            }
            Err(mistake) => mistakes.push(mistake),
        }
    }
    if mistakes.is_empty() { Ok(reading.end()) } else { Err(mistakes) }
}

/// One positions file.
struct Source {
    name: String,
    entries: Vec<Entry>,
    /// When the other agent wrote it.
    saved_ns: i64,
}

impl Source {
    fn load(file: &Path, disk: &dyn Disk) -> Result<Option<Self>, Mistake> {
        let name = file.to_string_lossy().into_owned();
        let invalid = |at: (u64, u64), why: String| {
            let fix = "bring back a copy of it; or take it away, or write positions.ignore_invalid_yaml: true, to read every file from its beginning, so that lines are sent twice";
            Mistake::new(name.clone(), at, format!("the positions file {why}"), fix)
        };
        let read = disk.state(file).and_then(|state| Ok((state.modified_ns, disk.read_all(file, FILE_BYTES_MAX)?)));
        let (saved_ns, bytes) = match read {
            Ok(read) => read,
            Err(gone) if gone.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(fault) => return Err(invalid((1, 1), format!("cannot be read: {fault}"))),
        };
        let entries = parse::parse(&bytes).map_err(|fault| invalid((fault.line, fault.column), fault.text))?;
        Ok(Some(Self { name, entries, saved_ns }))
    }
}

#[derive(Default)]
struct Reading {
    files: BTreeMap<FileIdentity, SourcePosition>,
    cursors: BTreeMap<String, SourcePosition>,
    out: Imported,
    /// A positions file was there.
    is_any: bool,
}

impl Reading {
    fn file(&mut self, source: &Source, plan: &ImportPlan, jobs: &[crate::discover::Job], disk: &dyn Disk, mistakes: &mut Vec<Mistake>) {
        self.is_any = true;
        let mut placer = Placer::new(jobs, disk, source.saved_ns);
        for entry in &source.entries {
            match placer.place(entry) {
                Ok(placed) => self.placed(placed, entry, source),
                Err(Doubt { why }) if plan.when_doubtful == WhenDoubtful::Stop => mistakes.push(Mistake::new(
                    source.name.clone(),
                    (entry.line, entry.column),
                    format!("the position of {:?} cannot be taken over: {why}", entry.path),
                    "mend the entry or take it out (its file is then read from its beginning); or write positions.when_doubtful: end, start or time, for all such entries",
                )),
                Err(Doubt { why }) => {
                    let placed = placer.decided(entry, plan.when_doubtful);
                    self.out.doubtful += 1;
                    let place = match &placed {
                        Placed::File(_) => "at its end: what was written to it before is not sent",
                        Placed::Cursor(..) | Placed::Skipped(_) => "at its beginning: what was sent before is sent again",
                    };
                    let text = format!("the position of {:?} cannot be taken over: {why}; reading begins {place}", entry.path);
                    self.remark(source, entry, text);
                    if let Placed::File(_) = placed {
                        self.placed(placed, entry, source);
                    }
                }
            }
        }
    }

    fn placed(&mut self, placed: Placed, entry: &Entry, source: &Source) {
        match placed {
            Placed::Skipped(why) => {
                self.out.skipped += 1;
                self.remark(source, entry, format!("the position of {:?} is passed over: {why}", entry.path));
            }
            Placed::Cursor(cursor, remark) => {
                if let Some(text) = remark {
                    self.remark(source, entry, text);
                }
                self.cursors.insert(cursor.path.clone(), *cursor);
            }
            Placed::File(position) => {
                let known = self.files.get(&position.identity).map(|known| known.offset);
                if let Some(known) = known.filter(|known| *known != position.offset) {
                    let least = known.min(position.offset);
                    self.remark(source, entry, format!("{:?} has several positions; the file is read once, from the least of them, {least}", entry.path));
                }
                if known.is_none_or(|known| position.offset < known) {
                    self.files.insert(position.identity, *position);
                }
            }
        }
    }

    fn remark(&mut self, source: &Source, entry: &Entry, text: String) {
        self.out.remarks.push(Remark::new(&source.name, (entry.line, entry.column), text, "nothing, if that is meant"));
    }

    fn end(mut self) -> Imported {
        if self.is_any {
            (self.out.files, self.out.cursors) = (self.files.len(), self.cursors.len());
            let mark = SourcePosition { path: MARK.to_owned(), offset: 1, resume: 1, ..SourcePosition::default() };
            self.out.positions = self.files.into_values().chain(self.cursors.into_values()).chain([mark]).collect();
        }
        self.out
    }
}

#[cfg(test)]
mod tests;
