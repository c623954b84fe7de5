//! A disk that is only read: what would be written is refused.
//!
//! [`ReadOnly`] stands before the real one in a dry run. Must not do: pretend that something was written.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use proto_seam::{DirEntry, Disk, DiskFile, DiskLock, DiskWatch, FileState, OpenHow};

/// The disk behind it, read only.
#[derive(Debug)]
pub(super) struct ReadOnly(pub(super) Arc<dyn Disk>);

fn refused<T>() -> io::Result<T> {
    Err(io::Error::new(io::ErrorKind::ReadOnlyFilesystem, "a dry run writes nothing"))
}

impl Disk for ReadOnly {
    fn open(&self, path: &Path, how: OpenHow) -> io::Result<Box<dyn DiskFile>> {
        if how == OpenHow::Read { self.0.open(path, how) } else { refused() }
    }

    fn open_beneath(&self, path: &Path, roots: &[PathBuf]) -> io::Result<Box<dyn DiskFile>> {
        self.0.open_beneath(path, roots)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        self.0.list(dir)
    }

    fn state(&self, path: &Path) -> io::Result<FileState> {
        self.0.state(path)
    }

    fn remove(&self, _: &Path) -> io::Result<()> {
        refused()
    }

    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        refused()
    }

    fn make_dirs(&self, _: &Path) -> io::Result<()> {
        refused()
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        refused()
    }

    fn lock(&self, _: &Path) -> io::Result<Box<dyn DiskLock>> {
        refused()
    }

    fn real_place(&self, path: &Path) -> io::Result<PathBuf> {
        self.0.real_place(path)
    }

    fn watch(&self) -> io::Result<Box<dyn DiskWatch>> {
        self.0.watch()
    }

    fn open_files_max(&self) -> Option<u64> {
        self.0.open_files_max()
    }
}
