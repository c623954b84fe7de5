//! A sink's cursor on disk: `<wal.dir>/sinks/<16 hex digits>.cursor`.
//!
//! Parts: [`CursorFile`], [`forget_others`]. A file is a run of records of 24 bytes, the last sound one counts: magic
//! `TSC1`, file, offset (u32 each), WAL id (u64), CRC32C of these (u32), little-endian. A record is appended and synced for each step; a
//! file that has grown is replaced as a whole. Promises: a torn or damaged record costs one step back, never the cursor; a cursor of
//! another WAL is not taken. Must not do: decide what is delivered.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use edge_wal::Cursor;
use proto_model::WalId;
use proto_seam::{Disk, DiskFile, FileKind, OpenHow};

const MAGIC: [u8; 4] = *b"TSC1";
const RECORD_BYTES: usize = 24;
/// A file that is this long is begun anew.
const FILE_BYTES_MAX: usize = 48 * 1024;
/// Longer than any that was written here.
const READ_BYTES_MAX: usize = 1024 * 1024;
const FOLDER: &str = "sinks";

/// The cursor of one sink.
#[derive(Debug)]
pub(super) struct CursorFile {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    wal_id: WalId,
    /// Opened with the first step; `None` also after a write that failed: the next begins the file anew.
    open: Option<Box<dyn DiskFile>>,
    len: usize,
}

/// What a cursor file told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// There is none.
    Nothing,
    /// There is one, and nothing in it counts for this WAL.
    Unusable,
    /// So far the sink was.
    At(Cursor),
}

fn record(wal_id: WalId, at: Cursor) -> [u8; RECORD_BYTES] {
    let mut out = [0; RECORD_BYTES];
    out[..4].copy_from_slice(&MAGIC);
    out[4..8].copy_from_slice(&at.file.to_le_bytes());
    out[8..12].copy_from_slice(&at.offset.to_le_bytes());
    out[12..20].copy_from_slice(&wal_id.0.to_le_bytes());
    let sum = crc32c::crc32c(&out[..20]);
    out[20..].copy_from_slice(&sum.to_le_bytes());
    out
}

/// The last sound record of this WAL.
fn last(bytes: &[u8], wal_id: WalId) -> Option<Cursor> {
    let word = |record: &[u8], at: usize| record.get(at..at + 4).and_then(|word| <[u8; 4]>::try_from(word).ok()).map_or(0, u32::from_le_bytes);
    let found = bytes
        .chunks_exact(RECORD_BYTES)
        .rev()
        .find(|found| found[..4] == MAGIC && word(found, 20) == crc32c::crc32c(&found[..20]) && found[12..20] == wal_id.0.to_le_bytes())?;
    Some(Cursor { file: word(found, 4), offset: word(found, 8) })
}

impl CursorFile {
    /// The cursor called `key`, beside the WAL in `dir`, and what it told. Blocks.
    ///
    /// What cannot be read is told with it: the cursor can be used, its first step begins the file anew.
    pub(super) fn open(dir: &Path, key: &str, wal_id: WalId, disk: Arc<dyn Disk>) -> (Self, io::Result<Told>) {
        let folder = dir.join(FOLDER);
        let path = folder.join(format!("{key}.cursor"));
        let told = disk.make_dirs(&folder).and_then(|()| match disk.read_all(&path, READ_BYTES_MAX) {
            Ok(bytes) => Ok(last(&bytes, wal_id).map_or(Told::Unusable, Told::At)),
            Err(none) if none.kind() == io::ErrorKind::NotFound => Ok(Told::Nothing),
            Err(damaged) if damaged.kind() == io::ErrorKind::InvalidData => Ok(Told::Unusable),
            Err(other) => Err(other),
        });
        (Self { disk, path, wal_id, open: None, len: 0 }, told)
    }

    /// The sink has all up to `at`: durable when it returns. Blocks.
    ///
    /// # Errors
    /// The disk refuses; the cursor on it stands where it stood.
    pub(super) fn step(&mut self, at: Cursor) -> io::Result<()> {
        let record = record(self.wal_id, at);
        match self.open.as_mut().filter(|_| self.len < FILE_BYTES_MAX) {
            Some(file) => {
                let done = file.append(&record).and_then(|()| file.sync());
                self.len += RECORD_BYTES;
                if done.is_err() {
                    self.open = None;
                }
                done
            }
            None => {
                self.open = None;
                self.disk.write_all(&self.path, &record)?;
                self.open = Some(self.disk.open(&self.path, OpenHow::Append)?);
                self.len = RECORD_BYTES;
                Ok(())
            }
        }
    }
}

/// Removes the cursors of sinks that are not among `keys`; gives how many. Blocks.
///
/// # Errors
/// The folder cannot be listed, or a file not be removed.
pub(super) fn forget_others(dir: &Path, keys: &[String], disk: &dyn Disk) -> io::Result<usize> {
    let folder = dir.join(FOLDER);
    let entries = match disk.list(&folder) {
        Err(none) if none.kind() == io::ErrorKind::NotFound => return Ok(0),
        listed => listed?,
    };
    let mut gone = 0;
    for entry in entries.into_iter().filter(|entry| entry.kind == FileKind::File) {
        let name = entry.name.to_string_lossy().into_owned();
        if name.strip_suffix(".cursor").is_some_and(|key| !keys.iter().any(|kept| kept == key)) {
            disk.remove(&folder.join(&name))?;
            gone += 1;
        }
    }
    Ok(gone)
}

#[cfg(test)]
mod tests;
