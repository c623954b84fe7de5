//! The disk in memory as programs see it: its [`Disk`], and the [`DiskFile`] and [`DiskLock`] of their handles.
//!
//! A handle of before a crash or kill fails. Must not do: fail but as [`SimDisk`] was told.

use std::io;
use std::path::{Path, PathBuf};

use proto_seam::{DirEntry, Disk, DiskFile, DiskLock, DiskWatch, FileKind, FileState, OpenHow};

use super::SimDisk;
use super::state::{Change, Inode, NameChange, Node, State, apply, eio, fault, gone, write_sectors};
use super::watch::SimWatch;

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    inode: u64,
    boot: u64,
    /// Which open it came of.
    opened: u64,
    path: PathBuf,
}

#[derive(Debug)]
struct SimLock {
    disk: SimDisk,
    path: PathBuf,
    boot: u64,
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, how: OpenHow) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state();
        state.alive(state.boot)?;
        let found = state.resolve(path).ok().and_then(|resolved| state.names.get(&resolved).cloned().map(|node| (resolved, node)));
        let (path, inode) = match (found, how) {
            (Some(_), OpenHow::CreateNew) => return Err(fault(io::ErrorKind::AlreadyExists, "it exists already")),
            (Some((path, Node::File(inode))), OpenHow::Read | OpenHow::Append) => (path, inode),
            (Some(_), OpenHow::Read | OpenHow::Append) => return Err(fault(io::ErrorKind::InvalidInput, "not a regular file")),
            (None, OpenHow::Read) => return Err(gone(path)),
            (None, OpenHow::Append | OpenHow::CreateNew) => {
                let (path, dir) = (state.place(path)?, state.parent_of(path)?);
                state.change()?;
                let inode = state.new_inode();
                state.inodes.insert(inode, Inode::default());
                state.rename_in(NameChange::Add(path.clone(), Node::File(inode)), &dir);
                (path, inode)
            }
        };
        state.opened += 1;
        Ok(Box::new(SimFile { disk: self.clone(), inode, boot: state.boot, opened: state.opened, path }))
    }

    fn open_beneath(&self, path: &Path, roots: &[PathBuf]) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state();
        state.alive(state.boot)?;
        state.opened += 1;
        let resolved = state.resolve(path)?;
        let is_inside = roots.iter().filter_map(|root| state.resolve(root).ok()).any(|root| resolved.starts_with(root));
        if !is_inside {
            return Err(fault(io::ErrorKind::PermissionDenied, &format!("{} leads outside the allowed roots", path.display())));
        }
        match state.names.get(&resolved) {
            Some(Node::File(inode)) => Ok(Box::new(SimFile { disk: self.clone(), inode: *inode, boot: state.boot, opened: state.opened, path: resolved })),
            Some(Node::Dir | Node::Link(_) | Node::Other) => Err(fault(io::ErrorKind::InvalidInput, "not a regular file")),
            None => Err(gone(path)),
        }
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        let state = self.state();
        state.alive(state.boot)?;
        let dir = state.resolve(dir)?;
        let kind = |node: &Node| match node {
            Node::File(_) => FileKind::File,
            Node::Dir => FileKind::Dir,
            Node::Link(_) => FileKind::Link,
            Node::Other => FileKind::Other,
        };
        let inside = state.names.iter().filter(|(path, _)| path.parent() == Some(&dir));
        Ok(inside.filter_map(|(path, node)| Some(DirEntry { name: path.file_name()?.to_owned(), kind: kind(node) })).collect())
    }

    fn state(&self, path: &Path) -> io::Result<FileState> {
        let state = self.state();
        state.alive(state.boot)?;
        state.state_of(path)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        let (place, dir) = (state.place(path)?, state.parent_of(path)?);
        match state.names.get(&place) {
            None => return Err(gone(path)),
            Some(Node::Dir) => return Err(fault(io::ErrorKind::IsADirectory, "it is a directory")),
            Some(Node::File(_) | Node::Link(_) | Node::Other) => {}
        }
        state.change()?;
        state.rename_in(NameChange::Remove(place), &dir);
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        let (from_place, to_place) = (state.place(from)?, state.place(to)?);
        if !state.names.contains_key(&from_place) {
            return Err(gone(from));
        }
        state.change()?;
        let dir = state.parent_of(to)?;
        state.rename_in(NameChange::Rename(from_place, to_place), &dir);
        Ok(())
    }

    fn make_dirs(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.alive(state.boot)?;
        let ancestors: Vec<PathBuf> = dir.ancestors().map(Path::to_path_buf).filter(|path| !path.as_os_str().is_empty()).collect();
        for path in ancestors.into_iter().rev() {
            match state.names.get(&path) {
                Some(Node::Dir | Node::Link(_)) => {}
                Some(Node::File(_) | Node::Other) => return Err(fault(io::ErrorKind::NotADirectory, "not a directory")),
                None => {
                    state.change()?;
                    state.names.insert(path.clone(), Node::Dir);
                    state.names_durable.insert(path, Node::Dir);
                }
            }
        }
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state();
        let dir = state.resolve(dir)?;
        state.change()?;
        for change in state.names_pending.remove(&dir).unwrap_or_default() {
            apply(&mut state.names_durable, change);
        }
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>> {
        let mut state = self.state();
        state.alive(state.boot)?;
        let (place, dir) = (state.place(path)?, state.parent_of(path)?);
        if state.locks.contains_key(&place) {
            return Err(fault(io::ErrorKind::WouldBlock, "held by another process"));
        }
        if !state.names.contains_key(&place) {
            state.change()?;
            let inode = state.new_inode();
            state.inodes.insert(inode, Inode::default());
            state.rename_in(NameChange::Add(place.clone(), Node::File(inode)), &dir);
        }
        let boot = state.boot;
        state.locks.insert(place.clone(), boot);
        Ok(Box::new(SimLock { disk: self.clone(), path: place, boot }))
    }

    fn real_place(&self, path: &Path) -> io::Result<PathBuf> {
        let state = self.state();
        state.alive(state.boot)?;
        state.resolve(path)
    }

    fn watch(&self) -> io::Result<Box<dyn DiskWatch>> {
        let mut state = self.state();
        state.alive(state.boot)?;
        let number = state.watches.begin();
        Ok(Box::new(SimWatch::new(self.clone(), number, state.boot)))
    }

    fn open_files_max(&self) -> Option<u64> {
        None
    }
}

impl DiskLock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut state = self.disk.state();
        if state.boot == self.boot {
            state.locks.remove(&self.path);
        }
    }
}

impl SimFile {
    fn fresh(&self, state: &State) -> io::Result<()> {
        let is_stale = state.stale.get(&self.inode).is_some_and(|opened| self.opened <= *opened);
        if is_stale { Err(fault(io::ErrorKind::StaleNetworkFileHandle, "stale file handle")) } else { Ok(()) }
    }
}

impl DiskFile for SimFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.disk.state();
        state.alive(self.boot)?;
        self.fresh(&state)?;
        let inode = state.inodes.get(&self.inode).ok_or_else(eio)?;
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(inode.live.len());
        let len = buf.len().min(inode.live.len() - from).min(state.read_bytes_max);
        let end = offset + len as u64;
        if state.unreadable.iter().any(|(path, from, to)| *path == self.path && offset < *to && *from < end) {
            return Err(eio());
        }
        buf[..len].copy_from_slice(&inode.live[from..from + len]);
        Ok(len)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.disk.state();
        state.alive(self.boot)?;
        state.change()?;
        state.writes += 1;
        let writes = state.writes;
        let mut fits = bytes.len();
        if let Some(max) = state.bytes_max {
            fits = fits.min(usize::try_from(max.saturating_sub(state.used())).unwrap_or(usize::MAX));
        }
        if state.full_writes.remove(&writes) {
            fits = usize::try_from(state.entropy.below(bytes.len() as u64)).unwrap_or(0);
        }
        let now_ns = state.now_ns;
        let inode = state.inodes.get_mut(&self.inode).ok_or_else(eio)?;
        let offset = inode.live.len();
        inode.live.extend_from_slice(&bytes[..fits]);
        inode.pending.push(Change::Write(offset, bytes[..fits].to_vec()));
        inode.modified_ns = now_ns;
        state.written(self.inode);
        if fits < bytes.len() { Err(fault(io::ErrorKind::StorageFull, "no space left on device")) } else { Ok(()) }
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.disk.state();
        state.alive(self.boot)?;
        state.change()?;
        state.syncs += 1;
        let syncs = state.syncs;
        let fails = state.failing_syncs.remove(&syncs);
        let entropy = state.entropy.clone();
        let inode = state.inodes.get_mut(&self.inode).ok_or_else(eio)?;
        if fails {
            inode.fail_sync(&entropy);
            return Err(eio());
        }
        for change in std::mem::take(&mut inode.pending) {
            match change {
                Change::SetLen(len) => inode.durable.resize(len, 0),
                Change::Write(offset, bytes) => write_sectors(&mut inode.durable, offset, &bytes, |_| true),
            }
        }
        Ok(())
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.alive(self.boot)?;
        state.change()?;
        let now_ns = state.now_ns;
        let inode = state.inodes.get_mut(&self.inode).ok_or_else(eio)?;
        let len = usize::try_from(len).map_err(|_| fault(io::ErrorKind::InvalidInput, "too long"))?;
        inode.live.resize(len, 0);
        inode.pending.push(Change::SetLen(len));
        inode.modified_ns = now_ns;
        state.written(self.inode);
        Ok(())
    }

    fn state(&self) -> io::Result<FileState> {
        let state = self.disk.state();
        state.alive(self.boot)?;
        self.fresh(&state)?;
        state.inode_state(self.inode)
    }
}
