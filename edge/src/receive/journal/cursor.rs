//! Where reading of a journal stands, as it lies in the WAL.
//!
//! ```text
//! s=<run>;i=<number>;b=<boot>;m=<monotonic>;t=<realtime>;x=<hash>     the last entry, as journald writes it (hexadecimal)
//! a <realtime>                                                        entries before are never read
//! q <run> <floor> <newest>                                            per run of numbers: all up to floor is read, some up to newest
//! f <file> <number> <counted>                                         per file read past the floor: up to number, of counted
//! r <boot> <monotonic>                                                up to where memory was read, before it was moved to disk
//! ```
//! Parts: [`Cursor`], [`Place`] (journald's own cursor). The first line alone is a cursor too: one of Promtail's or of `journalctl` can be
//! taken over. Limits: [`LINES_MAX`] lines. Promises: what cannot be read is told, not guessed. Must not do: read a journal.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::object::Id;

/// Lines of a cursor: more files than a journal keeps.
pub(super) const LINES_MAX: usize = 8_192;

/// One entry, as journald names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Place {
    pub(super) seqnum_id: Id,
    pub(super) seqnum: u64,
    pub(super) boot_id: Id,
    pub(super) monotonic: u64,
    pub(super) realtime: u64,
    pub(super) xor_hash: u64,
}

/// What is read of a run of sequence numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Run {
    /// All up to here.
    pub(super) floor: u64,
    /// The newest of all.
    pub(super) newest: u64,
}

/// How far one file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FilePlace {
    pub(super) seqnum: u64,
    /// The newest number its header told of.
    pub(super) counted: u64,
}

/// Where reading stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Cursor {
    /// The last entry; `None` before the first, or where only a text of another reader is known.
    pub(super) last: Option<Place>,
    /// As the source wrote it, where its text cannot be made from `last`.
    pub(super) text: Option<String>,
    pub(super) since: u64,
    pub(super) runs: BTreeMap<Id, Run>,
    pub(super) files: BTreeMap<Id, FilePlace>,
    /// Boot and time of the last entry that was read from memory.
    pub(super) runtime: Option<(Id, u64)>,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { seqnum_id, seqnum, boot_id, monotonic, realtime, xor_hash } = self;
        write!(f, "s={:032x};i={seqnum:x};b={:032x};m={monotonic:x};t={realtime:x};x={xor_hash:x}", seqnum_id.0, boot_id.0)
    }
}

impl Place {
    /// From journald's text.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut place = Self::default();
        for part in text.split(';') {
            let (name, value) = part.split_once('=')?;
            let number = || u64::from_str_radix(value, 16).ok();
            match name {
                "s" => place.seqnum_id = id(value)?,
                "b" => place.boot_id = id(value)?,
                "i" => place.seqnum = number()?,
                "m" => place.monotonic = number()?,
                "t" => place.realtime = number()?,
                "x" => place.xor_hash = number()?,
                _ => return None,
            }
        }
        (place.realtime > 0).then_some(place)
    }
}

impl Cursor {
    /// journald's text of the last entry, for `journalctl`.
    pub(super) fn journald(&self) -> Option<String> {
        self.text.clone().or_else(|| self.last.map(|place| place.to_string()))
    }

    /// Whether only the last entry is known: the cursor is another reader's.
    pub(super) fn is_foreign(&self) -> bool {
        self.runs.is_empty() && self.files.is_empty()
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut out = self.journald().unwrap_or_default();
        out.push('\n');
        if self.since > 0 {
            writeln!(out, "a {:x}", self.since).ok();
        }
        for (run, Run { floor, newest }) in &self.runs {
            writeln!(out, "q {:032x} {floor:x} {newest:x}", run.0).ok();
        }
        for (file, FilePlace { seqnum, counted }) in &self.files {
            writeln!(out, "f {:032x} {seqnum:x} {counted:x}", file.0).ok();
        }
        if let Some((boot, monotonic)) = self.runtime {
            writeln!(out, "r {:032x} {monotonic:x}", boot.0).ok();
        }
        out.into_bytes()
    }

    /// From [`Self::to_bytes`], or from journald's own text; `None` when it is neither.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let mut lines = text.lines();
        let first = lines.next()?;
        let mut cursor = Self { last: Place::parse(first), ..Self::default() };
        if cursor.last.is_none() && !first.is_empty() {
            cursor.text = Some(first.to_owned());
        }
        for line in lines.take(LINES_MAX) {
            let mut words = line.split(' ');
            let kind = words.next()?;
            let rest: Vec<&str> = words.collect();
            let number = |at: usize| rest.get(at).and_then(|word| u64::from_str_radix(word, 16).ok());
            let named = || rest.first().and_then(|word| id(word));
            match kind {
                "a" => cursor.since = number(0)?,
                "q" => drop(cursor.runs.insert(named()?, Run { floor: number(1)?, newest: number(2)? })),
                "f" => drop(cursor.files.insert(named()?, FilePlace { seqnum: number(1)?, counted: number(2)? })),
                "r" => cursor.runtime = Some((named()?, number(1)?)),
                _ => return None,
            }
        }
        (cursor.last.is_some() || cursor.text.is_some() || !cursor.is_foreign() || cursor.since > 0).then_some(cursor)
    }
}

fn id(text: &str) -> Option<Id> {
    (text.len() == 32).then(|| u128::from_str_radix(text, 16).ok()).flatten().map(Id)
}

#[cfg(test)]
mod tests;
