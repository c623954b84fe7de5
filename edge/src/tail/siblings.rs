//! What lies beside a path: files that bore it and were renamed or packed since.
//!
//! Parts: [`Sibling`] and [`Dirs`], which lists them; [`Stamp`] (what rotation appends to a name; pure); [`Anchor`], which of them came
//! after a file. Known are the kubelet's names (`0.log.20260101-120000`, then `.gz`) and logrotate's (`x.log.1`,
//! `x.log.2.gz`, `x.log-20260101`, `x.log.old`). Dates are compared by name, everything else by the
//! files' times (which logrotate and gzip keep when they pack). Promises: a name with any other ending belongs to somebody else and is no sibling. Must not do: read them.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proto_model::Timestamp;
use proto_seam::{Disk, FileIdentity, FileKind};

use super::content::Packing;

/// Endings of packed files.
const PACKED: [&str; 8] = [".gz", ".z", ".bz2", ".zst", ".xz", ".lz4", ".zip", ".tmp"];
/// A number of more digits is a date.
const NUMBER_DIGITS_MAX: usize = 5;
/// A directory in which names come and go is listed anew so often at most, for one question.
pub const LISTED_MAX: usize = 8;
/// A directory that changed so lately may change once more without another time.
const CHANGED_LATELY: Duration = Duration::from_secs(1);
/// Names that are listed anew in one search: a big directory whose files vanished in thousands must not stop the reading.
const ANEW_NAMES_MAX: usize = 200_000;

/// Whether a name says that the file is packed, or is being packed.
#[must_use]
pub fn is_packed(path: &Path) -> bool {
    path.to_str().is_some_and(|path| PACKED.iter().any(|packed| path.ends_with(packed)))
}

/// What rotation appended to a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stamp {
    /// The digits of a time, the most significant first.
    Dated(String),
    /// A number.
    Numbered(u64),
}

impl Stamp {
    /// Of `suffix`, what follows the path's own name, without the ending of a packed file.
    #[must_use]
    pub fn of(suffix: &str) -> Option<Self> {
        let rest = suffix.strip_prefix(['.', '-', '_'])?;
        if matches!(rest, "old" | "bak" | "prev") {
            return Some(Self::Numbered(1));
        }
        let is_stamp = rest.starts_with(|first: char| first.is_ascii_digit()) && rest.chars().all(|c| c.is_ascii_digit() || "-_.:+TZ".contains(c));
        if !is_stamp {
            return None;
        }
        let digits: String = rest.chars().filter(char::is_ascii_digit).collect();
        if digits.len() == rest.len() && digits.len() <= NUMBER_DIGITS_MAX {
            return digits.parse().ok().map(Self::Numbered);
        }
        Some(Self::Dated(digits))
    }

    /// By age, older first; `None` when names do not tell: numbers grow with age or against it, as the program likes.
    fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Dated(one), Self::Dated(two)) => Some(one.cmp(two)),
            (Self::Numbered(_), _) | (_, Self::Numbered(_)) => None,
        }
    }
}

/// A file beside a path that may have borne it.
#[derive(Debug, Clone)]
pub struct Sibling {
    /// Where it lies.
    pub at: PathBuf,
    /// Which file it is.
    pub identity: FileIdentity,
    /// Its length, packed.
    pub len: u64,
    /// Its last modification.
    pub modified_ns: i64,
    /// What its name says of its age.
    pub stamp: Stamp,
    /// How it is packed.
    pub packing: Option<Packing>,
}

/// Orders siblings by age, the oldest first: by their names where all are of one kind, otherwise by their times.
pub fn sort(siblings: &mut [Sibling]) {
    let is_dated = |sibling: &Sibling| matches!(sibling.stamp, Stamp::Dated(_));
    let is_mixed = siblings.iter().any(is_dated) && !siblings.iter().all(is_dated);
    siblings.sort_by(|one, two| {
        let by_name = if is_mixed { None } else { one.stamp.compare(&two.stamp) };
        by_name.unwrap_or(Ordering::Equal).then_with(|| (one.modified_ns, &one.at).cmp(&(two.modified_ns, &two.at)))
    });
}

/// Directories as they are listed once, for as long as this lives; anew where it is asked for.
pub struct Dirs<'d> {
    disk: &'d dyn Disk,
    dirs: BTreeMap<PathBuf, Dir>,
    /// Names that may still be listed anew.
    spare: usize,
}

/// What came of listing a directory anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anew {
    /// It has the names that were known.
    Same,
    /// It has others.
    Changed,
    /// It is not listed any more in this search.
    Spent,
}

#[derive(Default)]
struct Dir {
    names: BTreeMap<OsString, FileKind>,
    /// When names had changed last, before it was listed.
    modified_ns: i64,
    by_identity: Option<BTreeMap<FileIdentity, PathBuf>>,
}

impl<'d> Dirs<'d> {
    /// Nothing listed yet.
    #[must_use]
    pub fn new(disk: &'d dyn Disk) -> Self {
        Self { disk, dirs: BTreeMap::new(), spare: ANEW_NAMES_MAX }
    }

    fn dir(&mut self, dir: &Path) -> io::Result<&mut Dir> {
        if !self.dirs.contains_key(dir) {
            let modified_ns = self.disk.state(dir).map_or(0, |state| state.modified_ns);
            let entries = match self.disk.list(dir) {
                Ok(entries) => entries,
                Err(gone) if matches!(gone.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Vec::new(),
                Err(fault) => return Err(fault),
            };
            let names = entries.into_iter().map(|entry| (entry.name, entry.kind)).collect();
            self.dirs.insert(dir.to_path_buf(), Dir { names, modified_ns, by_identity: None });
        }
        Ok(self.dirs.entry(dir.to_path_buf()).or_default())
    }

    /// Lists the directory of `path` anew: names change while others rotate.
    ///
    /// # Errors
    /// What the disk says.
    pub fn list_anew(&mut self, path: &Path) -> io::Result<Anew> {
        let Some(parent) = path.parent() else { return Ok(Anew::Same) };
        let Some(left) = self.spare.checked_sub(1 + self.dirs.get(parent).map_or(0, |dir| dir.names.len())) else { return Ok(Anew::Spent) };
        self.spare = left;
        let before = self.dirs.remove(parent).map(|dir| dir.names);
        let names = &self.dir(parent)?.names;
        Ok(if before.as_ref() == Some(names) { Anew::Same } else { Anew::Changed })
    }

    /// From now on the directory of `path` is known as it is `now` or later.
    ///
    /// # Errors
    /// What the disk says.
    pub fn freshen(&mut self, path: &Path, now: Timestamp) -> io::Result<()> {
        let Some((parent, known)) = path.parent().and_then(|parent| Some((parent, self.dirs.get(parent)?.modified_ns))) else { return Ok(()) };
        let modified_ns = self.disk.state(parent).map_or(0, |state| state.modified_ns);
        // Changes within one tick of the disk's clock have one time.
        if modified_ns != known || Timestamp(modified_ns).plus(CHANGED_LATELY) > now {
            self.list_anew(path)?;
        }
        Ok(())
    }

    /// The siblings of `path`, the oldest first. One that is packed and lies there unpacked too is being packed: only the
    /// plain one counts. Where one went away since it was listed, the directory is listed anew: it has another name now.
    ///
    /// # Errors
    /// What the disk says; an absent directory has none.
    pub fn siblings(&mut self, path: &Path) -> io::Result<Vec<Sibling>> {
        for _ in 0..LISTED_MAX {
            let (siblings, is_whole) = self.listed(path)?;
            if is_whole || self.list_anew(path)? == Anew::Spent {
                return Ok(siblings);
            }
        }
        Ok(self.listed(path)?.0)
    }

    /// The siblings by the names as they were listed, and whether all of these were there still.
    fn listed(&mut self, path: &Path) -> io::Result<(Vec<Sibling>, bool)> {
        let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else { return Ok((Vec::new(), true)) };
        let disk = self.disk;
        let names = &self.dir(dir)?.names;
        let beside = names.range(name.to_owned()..).take_while(|(other, _)| other.as_encoded_bytes().starts_with(name.as_encoded_bytes()));
        let files = beside.filter(|(_, kind)| **kind == FileKind::File).filter_map(|(other, _)| other.to_str());
        let (mut out, mut is_whole) = (Vec::new(), true);
        for (other, stamp, packing) in files.filter_map(|other| named(name.to_str()?, other, names)) {
            let at = dir.join(other);
            match disk.state(&at) {
                Ok(state) if state.kind == FileKind::File => {
                    out.push(Sibling { at, identity: state.identity, len: state.len, modified_ns: state.modified_ns, stamp, packing });
                }
                Ok(_) => {}
                Err(fault) => is_whole &= fault.kind() != io::ErrorKind::NotFound,
            }
        }
        sort(&mut out);
        Ok((out, is_whole))
    }

    /// Where a file lies in the directory of `path`, whatever it is called. It is nowhere only when the directory has the same names
    /// before and after it was looked for: others rotate meanwhile.
    ///
    /// # Errors
    /// What the disk says; in an absent directory there is none.
    pub fn place_of(&mut self, path: &Path, identity: FileIdentity) -> io::Result<Option<PathBuf>> {
        self.until_same(path, |dirs| dirs.listed_place_of(path, identity))
    }

    /// What `look` finds in the directory of `path`; nothing only when nothing changed there meanwhile.
    ///
    /// # Errors
    /// What the disk or `look` says.
    pub fn until_same<T>(&mut self, path: &Path, mut look: impl FnMut(&mut Self) -> io::Result<Option<T>>) -> io::Result<Option<T>> {
        for round in 0..LISTED_MAX {
            if let Some(found) = look(self)? {
                return Ok(Some(found));
            }
            match self.list_anew(path)? {
                Anew::Spent => break,
                Anew::Same if round > 0 => break,
                Anew::Same | Anew::Changed => {}
            }
        }
        Ok(None)
    }

    /// The same by the names as they were listed.
    ///
    /// # Errors
    /// What the disk says.
    pub fn listed_place_of(&mut self, path: &Path, identity: FileIdentity) -> io::Result<Option<PathBuf>> {
        let disk = self.disk;
        let is_it = |at: &Path| disk.state(at).is_ok_and(|state| state.identity == identity);
        if is_it(path) {
            return Ok(Some(path.to_path_buf()));
        }
        let Some(parent) = path.parent() else { return Ok(None) };
        let dir = self.dir(parent)?;
        let all = dir.by_identity.get_or_insert_with(|| {
            let places = dir.names.keys().map(|name| parent.join(name));
            places.filter_map(|at| disk.state(&at).ok().map(|state| (state.identity, at))).collect()
        });
        Ok(all.get(&identity).filter(|at| is_it(at)).cloned())
    }
}

/// What the name `other` says, if it is one of a sibling of `name` that counts.
fn named<'n>(name: &str, other: &'n str, all: &BTreeMap<OsString, FileKind>) -> Option<(&'n str, Stamp, Option<Packing>)> {
    let suffix = other.strip_prefix(name)?;
    let ending = PACKED.iter().find(|packed| suffix.ends_with(**packed));
    let packing = Packing::of_name(Path::new(other)).filter(|_| ending.is_some());
    let plain = &other[..other.len() - ending.map_or(0, |ending| ending.len())];
    if ending.is_some() && (packing.is_none() || all.contains_key(OsStr::new(plain))) {
        return None;
    }
    Some((other, Stamp::of(plain.strip_prefix(name)?)?, packing))
}

/// The newest date in the names of siblings; empty when there is none.
#[must_use]
pub fn newest_date(siblings: &[Sibling]) -> String {
    let dates = siblings.iter().filter_map(|sibling| if let Stamp::Dated(date) = &sibling.stamp { Some(date.as_str()) } else { None });
    dates.max().unwrap_or_default().to_owned()
}

/// A file that was read, to tell what came after it.
#[derive(Debug, Clone)]
pub struct Anchor<'a> {
    /// Its stamp, when it is known where it lies now.
    pub stamp: Option<&'a Stamp>,
    /// The newest date beside it when it was begun.
    pub after: &'a str,
    /// Its last modification as last seen; 0 = not known.
    pub modified_ns: i64,
}

impl Anchor<'_> {
    /// Whether `sibling` was written after the anchor's file.
    #[must_use]
    pub fn precedes(&self, sibling: &Sibling) -> bool {
        let by_name = match (self.stamp, &sibling.stamp) {
            (Some(own), other) => own.compare(other),
            (None, Stamp::Dated(date)) if self.modified_ns != 0 => Some(self.after.cmp(date)),
            (None, _) => None,
        };
        by_name.map_or(self.modified_ns != 0 && sibling.modified_ns > self.modified_ns, |order| order == Ordering::Less)
    }

    /// Whether `sibling` may be the anchor's own file, packed or copied since; its bytes must tell.
    #[must_use]
    pub fn may_be(&self, sibling: &Sibling) -> bool {
        // What packs a file gives the result the file's time, of which it may keep whole seconds only.
        self.modified_ns == 0 || self.precedes(sibling) || sibling.modified_ns > self.modified_ns.saturating_sub(1_000_000_000)
    }
}

#[cfg(test)]
mod tests;
