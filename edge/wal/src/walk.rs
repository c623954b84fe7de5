//! Reads all files of a WAL in order and says what each stretch means.
//!
//! Parts: [`Survey`] (whose files these are; refuses what is not this program's to touch), [`walk`]
//! (every record, every bad stretch, file by file). What makes a bad stretch *damage* is that it was
//! durable once: a file with a successor was, up to the length its successor names; in the last file a
//! later record's `synced` mark tells. What was never durable is *torn*, with all after it.
//! Must not do: write or remove anything.

use std::io;

use proto_model::WalId;
use proto_seam::{Disk, DiskFile, OpenHow};

use crate::entry::Seal;
use crate::fault::WalFault;
use crate::file::{HEAD_BYTES, HeadState, Listed, VERSION};
use crate::limits::OPENING_BYTES_MAX;
use crate::scan::{Found, Scan, Scanned};

/// One file whose records can be read.
#[derive(Debug, Clone)]
pub(crate) struct Surveyed {
    /// Name, length, head.
    pub(crate) listed: Listed,
    /// What its records are sealed with; `None` when it holds none.
    pub(crate) seal: Option<Seal>,
    /// Where its valid part ends.
    pub(crate) end: u64,
    /// How the end is known.
    ending: Ending,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// The successor names it: all before it was durable.
    Named,
    /// The successor is gone or cannot be read.
    Unknown,
    /// It is the last file: `synced` marks tell.
    Last,
}

/// All files of a directory, and whose they are.
#[derive(Debug, Clone)]
pub(crate) struct Survey {
    /// The WAL's id; `None` when no file tells it.
    pub(crate) wal_id: Option<WalId>,
    /// The files, by number.
    pub(crate) files: Vec<Surveyed>,
}

/// What was met in a file.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "one at a time, never stored")]
pub(crate) enum Met {
    /// A sound record.
    Record(Found),
    /// Damage.
    Bad {
        /// Where it begins.
        offset: u64,
        /// How long it is.
        len: u64,
    },
    /// Never durable; the file ends here.
    Torn {
        /// Where it begins.
        offset: u64,
        /// How long it is.
        len: u64,
    },
}

impl Survey {
    /// Finds out whose files these are.
    ///
    /// # Errors
    /// [`WalFault`] for a newer version, a key this program lacks, files of two WALs, or a file that is none of ours.
    pub(crate) fn new(listed: Vec<Listed>, disk: &dyn Disk) -> Result<Self, WalFault> {
        let mut wal_id = None;
        for file in &listed {
            check(file, &mut wal_id)?;
        }
        if wal_id.is_none() {
            wal_id = guess(&listed, disk)?;
        }
        let mut files: Vec<Surveyed> = Vec::with_capacity(listed.len());
        for file in listed {
            if let (Some(before), HeadState::Sound(head)) = (files.last_mut(), &file.head)
                && before.listed.number + 1 == file.number
            {
                before.end = before.end.min(u64::from(head.before_len));
                before.ending = Ending::Named;
            } else if let Some(before) = files.last_mut() {
                before.ending = Ending::Unknown;
            }
            let seal = sealed(&file, wal_id, disk)?;
            files.push(Surveyed { end: file.len, ending: Ending::Last, seal, listed: file });
        }
        // Files that were being begun when the power went, and got no head, follow nobody.
        let begun = files.iter().rposition(|file| file.seal.is_some()).unwrap_or(0);
        if let Some(last) = files.get_mut(begun) {
            last.ending = Ending::Last;
        }
        Ok(Self { wal_id, files })
    }
}

fn check(file: &Listed, wal_id: &mut Option<WalId>) -> Result<(), WalFault> {
    let path = file.path.clone();
    match &file.head {
        HeadState::Version(found) if *found > VERSION => Err(WalFault::Newer { path, found: *found, known: VERSION }),
        HeadState::Keyed(key) => Err(WalFault::Keyed { path, key: *key }),
        HeadState::Sound(head) if head.number != file.number || u32::try_from(head.number).is_err() => Err(WalFault::NotWal { path }),
        HeadState::Sound(head) => match *wal_id.get_or_insert(head.wal_id) {
            expected if expected != head.wal_id => Err(WalFault::Foreign { path, expected, found: head.wal_id }),
            _ => Ok(()),
        },
        HeadState::Version(_) => Err(WalFault::NotWal { path }),
        HeadState::Unfinished | HeadState::Damaged(_) | HeadState::Alien(_) => Ok(()),
    }
}

/// No head is whole: the id is one under which a record is sound.
fn guess(listed: &[Listed], disk: &dyn Disk) -> Result<Option<WalId>, WalFault> {
    for file in listed {
        let (HeadState::Damaged(ids) | HeadState::Alien(ids)) = &file.head else { continue };
        for id in ids {
            if holds_records(file, Seal::new(*id, file.number), disk)? {
                return Ok(Some(*id));
            }
        }
    }
    Ok(None)
}

fn sealed(file: &Listed, wal_id: Option<WalId>, disk: &dyn Disk) -> Result<Option<Seal>, WalFault> {
    let seal = wal_id.map(|id| Seal::new(id, file.number));
    match (&file.head, seal) {
        (HeadState::Sound(_), seal) => Ok(seal),
        (_, Some(seal)) if holds_records(file, seal, disk)? => Ok(Some(seal)),
        (HeadState::Alien(_), _) => Err(WalFault::NotWal { path: file.path.clone() }),
        _ => Ok(None),
    }
}

fn holds_records(file: &Listed, seal: Seal, disk: &dyn Disk) -> Result<bool, WalFault> {
    let Some(open) = open(file, disk)? else { return Ok(false) };
    let mut scan = Scan::new(&*open, seal, HEAD_BYTES as u64, file.len);
    let first = scan.next();
    let second = scan.next();
    Ok([first, second].into_iter().flatten().any(|scanned| matches!(scanned, Scanned::Record(_))))
}

/// Opens a listed file; `None` when it is gone (an edge trimmed it while it is inspected).
fn open(file: &Listed, disk: &dyn Disk) -> Result<Option<Box<dyn DiskFile>>, WalFault> {
    match disk.open(&file.path, OpenHow::Read) {
        Ok(open) => Ok(Some(open)),
        Err(gone) if gone.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(other) => Err(WalFault::io("opening", &file.path, other)),
    }
}

/// Tells `each` all that is met in one file, in order.
///
/// # Errors
/// [`WalFault::Io`] when the file cannot be opened.
pub(crate) fn walk(file: &Surveyed, disk: &dyn Disk, each: &mut dyn FnMut(Met)) -> Result<(), WalFault> {
    let Some(open) = open(&file.listed, disk)? else { return Ok(()) };
    let Some(seal) = file.seal else {
        let len = file.end;
        let was_begun = file.ending != Ending::Last || len > OPENING_BYTES_MAX;
        if was_begun && matches!(file.listed.head, HeadState::Damaged(_)) {
            each(Met::Bad { offset: 0, len });
        } else if len > 0 {
            each(Met::Torn { offset: 0, len });
        }
        return Ok(());
    };
    if !matches!(file.listed.head, HeadState::Sound(_)) {
        each(Met::Bad { offset: 0, len: HEAD_BYTES as u64 });
    }
    let mut scan = Scan::new(&*open, seal, HEAD_BYTES as u64, file.end);
    let mut synced = None;
    while let Some(scanned) = scan.next() {
        match scanned {
            Scanned::Record(found) => each(Met::Record(found)),
            Scanned::Bad { offset, len } => {
                // Marks only rise within a file, so the largest one serves for every stretch of it.
                let durable = file.ending != Ending::Last || *synced.get_or_insert_with(|| scan.rest().synced_max()) > offset;
                if !durable {
                    each(Met::Torn { offset, len: file.end - offset });
                    return Ok(());
                }
                each(Met::Bad { offset, len });
            }
            Scanned::Tail { offset, len } if file.ending == Ending::Named => each(Met::Bad { offset, len }),
            Scanned::Tail { offset, len } => each(Met::Torn { offset, len }),
        }
    }
    Ok(())
}
