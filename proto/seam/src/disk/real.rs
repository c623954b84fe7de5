//! The real disk: the only user of `std::fs`.
//!
//! Log sources are opened with `O_NONBLOCK|O_NOFOLLOW|O_CLOEXEC` at their resolved place and checked
//! afterwards by descriptor, so a path swapped between check and open cannot lead outside the roots.

#![expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "this file is the disk")]

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags};

use super::watch::{DiskWatch, RealWatch};
use super::{DirEntry, Disk, DiskFile, DiskLock, FileIdentity, FileKind, FileState, OpenHow};

/// The operating system's files.
#[derive(Debug, Default)]
pub struct RealDisk {}

impl RealDisk {
    /// The operating system's files.
    #[must_use]
    pub const fn new() -> Self {
        Self {}
    }
}

#[derive(Debug)]
struct RealFile {
    file: File,
}

#[derive(Debug)]
struct RealLock {
    _file: File,
}

impl DiskLock for RealLock {}

fn kind_of(kind: fs::FileType) -> FileKind {
    if kind.is_file() {
        FileKind::File
    } else if kind.is_dir() {
        FileKind::Dir
    } else if kind.is_symlink() {
        FileKind::Link
    } else {
        FileKind::Other
    }
}

fn state_of(meta: &fs::Metadata) -> FileState {
    FileState {
        identity: FileIdentity { device: meta.dev(), inode: meta.ino() },
        len: meta.len(),
        modified_ns: meta.mtime().saturating_mul(1_000_000_000).saturating_add(meta.mtime_nsec()),
        kind: kind_of(meta.file_type()),
        links: meta.nlink(),
        mode: meta.permissions().mode() & 0o7777,
    }
}

impl DiskFile for RealFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buf, offset)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        io::Write::write_all(&mut self.file, bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn state(&self) -> io::Result<FileState> {
        self.file.metadata().map(|meta| state_of(&meta))
    }
}

/// Opens `resolved` (a path without links) below the root descriptor; the kernel refuses links and `..`.
fn open_resolved(root: &Path, below: &Path) -> io::Result<OwnedFd> {
    let dir = rustix::fs::open(root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NOCTTY;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    match rustix::fs::openat2(dir.as_fd(), below, flags, Mode::empty(), resolve) {
        Ok(fd) => Ok(fd),
        Err(rustix::io::Errno::NOSYS | rustix::io::Errno::PERM) => Ok(rustix::fs::openat(dir.as_fd(), below, flags, Mode::empty())?),
        Err(errno) => Err(errno.into()),
    }
}

impl Disk for RealDisk {
    fn open(&self, path: &Path, how: OpenHow) -> io::Result<Box<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true).mode(0o600);
        match how {
            OpenHow::Read => {}
            OpenHow::Append => drop(options.append(true).create(true)),
            OpenHow::CreateNew => drop(options.append(true).create_new(true)),
        }
        Ok(Box::new(RealFile { file: options.open(path)? }))
    }

    fn open_beneath(&self, path: &Path, roots: &[PathBuf]) -> io::Result<Box<dyn DiskFile>> {
        let resolved = fs::canonicalize(path)?;
        let outside = || io::Error::new(io::ErrorKind::PermissionDenied, format!("{} leads outside the allowed roots", path.display()));
        let (root, below) = roots
            .iter()
            .filter_map(|root| fs::canonicalize(root).ok())
            .find_map(|root| resolved.strip_prefix(&root).ok().map(|below| (root.clone(), below.to_path_buf())))
            .ok_or_else(outside)?;
        // Looked at before it is opened: opening a device or FIFO can have effects of its own.
        let not_regular = || io::Error::new(io::ErrorKind::InvalidInput, format!("{} is not a regular file", path.display()));
        if below.as_os_str().is_empty() || !fs::symlink_metadata(&resolved)?.file_type().is_file() {
            return Err(not_regular());
        }
        let file = File::from(open_resolved(&root, &below)?);
        if !file.metadata()?.file_type().is_file() {
            return Err(not_regular());
        }
        Ok(Box::new(RealFile { file }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        let mut out = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            // A name that vanished while we listed is no error of the directory.
            if let Ok(kind) = entry.file_type() {
                out.push(DirEntry { name: entry.file_name(), kind: kind_of(kind) });
            }
        }
        Ok(out)
    }

    fn state(&self, path: &Path) -> io::Result<FileState> {
        fs::metadata(path).map(|meta| state_of(&meta))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn make_dirs(&self, dir: &Path) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Box::new(RealLock { _file: file })),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(io::Error::new(io::ErrorKind::WouldBlock, format!("{} is held by another process", path.display()))),
            Err(errno) => Err(errno.into()),
        }
    }

    fn real_place(&self, path: &Path) -> io::Result<PathBuf> {
        fs::canonicalize(path)
    }

    fn watch(&self) -> io::Result<Box<dyn DiskWatch>> {
        Ok(Box::new(RealWatch::new()?))
    }

    fn open_files_max(&self) -> Option<u64> {
        rustix::process::getrlimit(rustix::process::Resource::Nofile).current
    }
}
