//! What the edge's WAL and its file reading ask of a disk.
//!
//! Parts: [`Disk`] and [`DiskFile`], the two traits (real in [`real`], simulated in the tests); [`watch`], being told
//! of changes; [`FileIdentity`], which names a file whatever it is called. All calls block: run them on
//! [`crate::Workers`]. Promises asked of an implementation: what `sync` returned `Ok` for survives a
//! power cut; a directory entry survives after `sync_dir`. Must not do: anything async.

pub mod real;
pub mod watch;

use std::ffi::OsString;
use std::fmt::Debug;
use std::io;
use std::path::{Path, PathBuf};

use watch::DiskWatch;

/// A file by what it is: device and inode (`st_dev`, `st_ino`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct FileIdentity {
    /// Device number.
    pub device: u64,
    /// Inode number.
    pub inode: u64,
}

/// What a directory entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link.
    Link,
    /// FIFO, socket, device.
    Other,
}

/// One name in a directory.
#[derive(Debug, Clone)]
pub struct DirEntry {
    /// The name, not the path.
    pub name: OsString,
    /// What it is; links are not followed.
    pub kind: FileKind,
}

/// What is known of a file without reading it.
#[derive(Debug, Clone, Copy)]
pub struct FileState {
    /// Which file it is.
    pub identity: FileIdentity,
    /// Its length in bytes.
    pub len: u64,
    /// Last modification, ns since 1970.
    pub modified_ns: i64,
    /// What it is.
    pub kind: FileKind,
    /// Number of names (hard links).
    pub links: u64,
    /// Permission bits (`st_mode & 0o7777`).
    pub mode: u32,
}

/// How to open a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenHow {
    /// For reading; it must exist.
    Read,
    /// For reading and appending; made if absent (mode 0600).
    Append,
    /// For reading and appending; fails if it exists.
    CreateNew,
}

/// A held lock; released on drop or when the process ends.
pub trait DiskLock: Send + Sync + Debug {}

/// An open file.
pub trait DiskFile: Send + Sync + Debug {
    /// Reads into `buf` from `offset`; gives the bytes read, 0 at the end.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all of `bytes` at the end.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Makes all that was written durable (`fdatasync`). After an error the file's unsynced content is unknown.
    fn sync(&mut self) -> io::Result<()>;
    /// Cuts or extends to `len`.
    fn set_len(&mut self, len: u64) -> io::Result<()>;
    /// Its present state, by the open descriptor.
    fn state(&self) -> io::Result<FileState>;
}

/// A disk.
pub trait Disk: Send + Sync + Debug {
    /// Opens `path` for the program's own data (WAL, certificates).
    fn open(&self, path: &Path, how: OpenHow) -> io::Result<Box<dyn DiskFile>>;
    /// Opens a log source for reading: only a regular file whose real place, all links followed,
    /// lies beneath one of `roots` (each an existing directory); never blocks on a FIFO.
    /// `PermissionDenied` when it lies outside, `InvalidInput` when it is no regular file.
    fn open_beneath(&self, path: &Path, roots: &[PathBuf]) -> io::Result<Box<dyn DiskFile>>;
    /// The names in `dir`, unsorted.
    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>>;
    /// State of what `path` leads to, links followed.
    fn state(&self, path: &Path) -> io::Result<FileState>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Renames within a filesystem, replacing the target at once.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Makes a directory and its parents (mode 0700).
    fn make_dirs(&self, dir: &Path) -> io::Result<()>;
    /// Makes names in `dir` durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Takes the exclusive lock `path` (made if absent); `WouldBlock` when another process holds it.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>>;
    /// Where `path` really lies, all links followed.
    fn real_place(&self, path: &Path) -> io::Result<PathBuf>;
    /// A way to be told of changes; `Unsupported` where there is none, an error when the system has no more to give.
    fn watch(&self) -> io::Result<Box<dyn DiskWatch>>;
    /// How many files this process may have open; `None` = no bound.
    fn open_files_max(&self) -> Option<u64>;

    /// Reads a whole small file, at most `max` bytes; `InvalidData` when it is longer.
    fn read_all(&self, path: &Path, max: usize) -> io::Result<Vec<u8>> {
        let file = self.open(path, OpenHow::Read)?;
        let mut out = Vec::new();
        let mut buf = [0; 16 * 1024];
        loop {
            match file.read_at(&mut buf, out.len() as u64)? {
                0 => return Ok(out),
                n => out.extend_from_slice(&buf[..n]),
            }
            if out.len() > max {
                return Err(io::Error::new(io::ErrorKind::InvalidData, format!("longer than {max} bytes")));
            }
        }
    }

    /// Replaces `path` durably: temporary file, sync, rename, sync of the directory.
    fn write_all(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let dir = path.parent().unwrap_or(Path::new("."));
        let temporary = path.with_extension("tmp");
        match self.remove(&temporary) {
            Ok(()) => {}
            Err(gone) if gone.kind() == io::ErrorKind::NotFound => {}
            Err(other) => return Err(other),
        }
        let mut file = self.open(&temporary, OpenHow::CreateNew)?;
        file.append(bytes)?;
        file.sync()?;
        self.rename(&temporary, path)?;
        self.sync_dir(dir)
    }
}

#[cfg(test)]
mod tests;
