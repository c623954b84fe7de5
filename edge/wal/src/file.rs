//! The numbered files of a WAL: their names and their 64 byte heads.
//!
//! Parts: [`name`] and [`number`] (20 digits and `.wal`), [`FileHead`], [`HeadState`] (what the first
//! bytes of a file say, damaged or not), [`Listed`] and [`list`]. The head stays 64 bytes in every
//! version to come, so that an old program can tell a new file. Must not do: read records.

use std::path::{Path, PathBuf};

use proto_model::WalId;
use proto_seam::{Disk, DiskFile, FileKind};

use crate::fault::WalFault;

/// First bytes of a file.
pub(crate) const MAGIC: [u8; 8] = *b"TRIBWAL1";
/// Newest format version.
pub(crate) const VERSION: u16 = 1;
/// Bytes before the first record.
pub(crate) const HEAD_BYTES: usize = 64;

/// The file name of number `number`.
pub(crate) fn name(number: u64) -> String {
    format!("{number:020}.wal")
}

/// The number in a file name; `None` when it is not a WAL file's.
pub(crate) fn number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".wal")?;
    (digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse().ok())?
}

/// What a file says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileHead {
    /// Whose it is.
    pub(crate) wal_id: WalId,
    /// Its number.
    pub(crate) number: u64,
    /// How much of the file before it was durable when this one was begun; the rest of that one is void.
    pub(crate) before_len: u32,
}

/// What the first bytes of a file say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HeadState {
    /// A whole head of this version.
    Sound(FileHead),
    /// A whole head of another version.
    Version(u16),
    /// A whole head that needs a key.
    Keyed(u32),
    /// Nothing was written, or not all of the head.
    Unfinished,
    /// It was a head once; the ids it may have borne.
    Damaged([WalId; 2]),
    /// It never was a head of ours.
    Alien([WalId; 2]),
}

impl FileHead {
    /// The head's bytes.
    pub(crate) fn encode(&self) -> [u8; HEAD_BYTES] {
        let mut out = [0; HEAD_BYTES];
        out[..8].copy_from_slice(&MAGIC);
        out[8..10].copy_from_slice(&VERSION.to_le_bytes());
        out[16..24].copy_from_slice(&self.wal_id.0.to_le_bytes());
        out[24..32].copy_from_slice(&self.number.to_le_bytes());
        out[48..56].copy_from_slice(&self.wal_id.0.to_le_bytes());
        out[56..60].copy_from_slice(&self.before_len.to_le_bytes());
        let sum = crc32c::crc32c(&out[..60]);
        out[60..].copy_from_slice(&sum.to_le_bytes());
        out
    }
}

impl HeadState {
    /// Reads the first bytes of a file, at most [`HEAD_BYTES`] of them.
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let Some(head) = bytes.first_chunk::<HEAD_BYTES>().filter(|head| head.iter().any(|b| *b != 0)) else {
            return Self::Unfinished;
        };
        let u64_at = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| head[at + i]));
        let u32_at = |at: usize| u32::from_le_bytes(std::array::from_fn(|i| head[at + i]));
        let ids = [WalId(u64_at(16)), WalId(u64_at(48))];
        if crc32c::crc32c(&head[..60]) != u32_at(60) {
            return if head[..8] == MAGIC { Self::Damaged(ids) } else { Self::Alien(ids) };
        }
        let version = u16::from_le_bytes([head[8], head[9]]);
        match (head[..8] == MAGIC, version, u32_at(12)) {
            (false, ..) => Self::Alien(ids),
            (true, VERSION, 0) => Self::Sound(FileHead { wal_id: ids[0], number: u64_at(24), before_len: u32_at(56) }),
            (true, VERSION, key) => Self::Keyed(key),
            (true, other, _) => Self::Version(other),
        }
    }
}

/// One WAL file of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    /// Its number, by its name.
    pub(crate) number: u64,
    /// Where it lies.
    pub(crate) path: PathBuf,
    /// What its first bytes say.
    pub(crate) head: HeadState,
    /// Its length in bytes.
    pub(crate) len: u64,
}

/// The WAL files of `dir`, by number. A file that vanishes meanwhile is left out.
///
/// # Errors
/// [`WalFault::Io`] when the directory or a file cannot be read.
pub(crate) fn list(dir: &Path, disk: &dyn Disk) -> Result<Vec<Listed>, WalFault> {
    let entries = disk.list(dir).map_err(|e| WalFault::io("listing", dir, e))?;
    let mut numbers: Vec<u64> = entries.iter().filter(|e| e.kind == FileKind::File).filter_map(|e| number(e.name.to_str()?)).collect();
    numbers.sort_unstable();
    let mut out = Vec::with_capacity(numbers.len());
    for number in numbers {
        let path = dir.join(name(number));
        let (head, len) = match disk.open(&path, proto_seam::OpenHow::Read).and_then(|file| Ok((first_bytes(&*file)?, file.state()?.len))) {
            Ok(read) => read,
            Err(gone) if gone.kind() == std::io::ErrorKind::NotFound => continue,
            Err(other) => return Err(WalFault::io("reading", &path, other)),
        };
        out.push(Listed { number, path, head: HeadState::parse(&head), len });
    }
    Ok(out)
}

fn first_bytes(file: &dyn DiskFile) -> std::io::Result<Vec<u8>> {
    let mut head = [0; HEAD_BYTES];
    let mut filled = 0;
    while filled < HEAD_BYTES {
        match file.read_at(&mut head[filled..], filled as u64)? {
            0 => break,
            n => filled += n,
        }
    }
    Ok(head[..filled].to_vec())
}

#[cfg(test)]
mod tests;
