//! What the disk in memory holds: files and names, as a running system sees them and as a power cut would leave them.
//!
//! Parts: [`State`], [`Inode`], [`Node`] and [`NameChange`]. Must not do: know handles.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf};

use proto_seam::{Entropy, FileIdentity, FileKind, FileState, Noticed};

use super::watch::Watches;

/// What is written or lost as one.
const SECTOR: usize = 512;
/// Links followed before a path is refused.
const LINKS_MAX: usize = 32;

#[derive(Debug)]
pub(super) struct State {
    pub(super) entropy: Entropy,
    pub(super) inodes: BTreeMap<u64, Inode>,
    /// As a running system sees them.
    pub(super) names: BTreeMap<PathBuf, Node>,
    /// As a power cut would leave them.
    pub(super) names_durable: BTreeMap<PathBuf, Node>,
    /// By directory, in order.
    pub(super) names_pending: BTreeMap<PathBuf, Vec<NameChange>>,
    pub(super) locks: BTreeMap<PathBuf, u64>,
    pub(super) inode_next: u64,
    /// +1 with each crash or kill: handles of an earlier one are dead.
    pub(super) boot: u64,
    /// Ticks with each change, the files' modification time.
    pub(super) now_ns: i64,
    /// When names in a directory changed last.
    pub(super) dirs_modified: BTreeMap<PathBuf, i64>,
    pub(super) bytes_max: Option<u64>,
    pub(super) changes: u64,
    pub(super) stop_at: Option<u64>,
    pub(super) writes: u64,
    pub(super) full_writes: BTreeSet<u64>,
    pub(super) syncs: u64,
    pub(super) failing_syncs: BTreeSet<u64>,
    pub(super) unreadable: Vec<(PathBuf, u64, u64)>,
    pub(super) read_bytes_max: usize,
    pub(super) watches: Watches,
    /// Opens so far.
    pub(super) opened: u64,
    /// Files whose handles of before this many opens are stale.
    pub(super) stale: BTreeMap<u64, u64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    File(u64),
    Dir,
    Link(PathBuf),
    Other,
}

#[derive(Debug, Clone)]
pub(super) enum NameChange {
    Add(PathBuf, Node),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf),
}

#[derive(Debug, Default, Clone)]
pub(super) struct Inode {
    pub(super) live: Vec<u8>,
    pub(super) durable: Vec<u8>,
    pub(super) pending: Vec<Change>,
    /// A sync failed: `live` shows more than the device has, until the system forgets it.
    pub(super) is_doubtful: bool,
    pub(super) modified_ns: i64,
}

#[derive(Debug, Clone)]
pub(super) enum Change {
    Write(usize, Vec<u8>),
    SetLen(usize),
}

pub(super) fn fault(kind: io::ErrorKind, text: &str) -> io::Error {
    io::Error::new(kind, text.to_owned())
}

pub(super) fn eio() -> io::Error {
    fault(io::ErrorKind::Other, "input/output error")
}

pub(super) fn gone(path: &Path) -> io::Error {
    fault(io::ErrorKind::NotFound, &format!("{} does not exist", path.display()))
}

pub(super) fn apply(names: &mut BTreeMap<PathBuf, Node>, change: NameChange) {
    match change {
        NameChange::Add(path, node) => drop(names.insert(path, node)),
        NameChange::Remove(path) => drop(names.remove(&path)),
        NameChange::Rename(from, to) => {
            if let Some(node) = names.remove(&from) {
                names.insert(to, node);
            }
        }
    }
}

impl Inode {
    pub(super) fn lose_power(&mut self, entropy: &Entropy, kept: f64) {
        let mut left = std::mem::take(&mut self.durable);
        for change in std::mem::take(&mut self.pending) {
            match change {
                Change::SetLen(len) if entropy.chance(kept) => left.resize(len, 0),
                Change::SetLen(_) => {}
                Change::Write(offset, bytes) => write_sectors(&mut left, offset, &bytes, |_| entropy.chance(kept)),
            }
        }
        self.is_doubtful = false;
        self.live = left.clone();
        self.durable = left;
    }

    /// What the device never got, though the system showed it, is gone.
    pub(super) fn forget_doubtful(&mut self) {
        if std::mem::take(&mut self.is_doubtful) {
            let mut live = self.durable.clone();
            for change in &self.pending {
                match change {
                    Change::SetLen(len) => live.resize(*len, 0),
                    Change::Write(offset, bytes) => write_sectors(&mut live, *offset, bytes, |_| true),
                }
            }
            self.live = live;
        }
    }

    /// The device refused: what was pending reached it or not, and the system takes it for written.
    pub(super) fn fail_sync(&mut self, entropy: &Entropy) {
        self.is_doubtful = true;
        for change in std::mem::take(&mut self.pending) {
            match change {
                Change::SetLen(len) if entropy.chance(0.5) => self.durable.resize(len, 0),
                Change::SetLen(_) => {}
                Change::Write(offset, bytes) => write_sectors(&mut self.durable, offset, &bytes, |_| entropy.chance(0.5)),
            }
        }
    }
}

pub(super) fn write_sectors(file: &mut Vec<u8>, offset: usize, bytes: &[u8], is_kept: impl Fn(usize) -> bool) {
    let mut at = 0;
    while at < bytes.len() {
        let end = bytes.len().min(at + SECTOR - (offset + at) % SECTOR);
        if is_kept(at) {
            if file.len() < offset + end {
                file.resize(offset + end, 0);
            }
            file[offset + at..offset + end].copy_from_slice(&bytes[at..end]);
        }
        at = end;
    }
}

impl State {
    pub(super) fn reboot(&mut self) {
        self.boot += 1;
        self.locks.clear();
        self.stop_at = None;
        self.watches = Watches::default();
    }

    /// Frees the files that no name leads to, nor could after a power cut.
    pub(super) fn drop_orphans(&mut self) {
        let waiting = self.names_pending.values().flatten().filter_map(|change| if let NameChange::Add(_, node) = change { Some(node) } else { None });
        let nodes = self.names.values().chain(self.names_durable.values()).chain(waiting);
        let named: BTreeSet<u64> = nodes.filter_map(|node| if let Node::File(inode) = node { Some(*inode) } else { None }).collect();
        self.inodes.retain(|inode, _| named.contains(inode));
    }

    pub(super) fn used(&self) -> u64 {
        self.names.values().map(|node| if let Node::File(inode) = node { self.inodes.get(inode).map_or(0, |inode| inode.live.len() as u64) } else { 0 }).sum()
    }

    pub(super) fn new_inode(&mut self) -> u64 {
        self.inode_next += 1;
        self.inode_next
    }

    /// One more change; an error once the disk has stopped.
    pub(super) fn change(&mut self) -> io::Result<()> {
        if self.stop_at.is_some_and(|stop| self.changes >= stop) {
            return Err(fault(io::ErrorKind::BrokenPipe, "the machine has stopped"));
        }
        self.changes += 1;
        self.now_ns += 1_000;
        Ok(())
    }

    pub(super) fn alive(&self, boot: u64) -> io::Result<()> {
        let stopped = self.stop_at.is_some_and(|stop| self.changes >= stop);
        if boot == self.boot && !stopped { Ok(()) } else { Err(fault(io::ErrorKind::BrokenPipe, "the machine has stopped")) }
    }

    pub(super) fn rename_in(&mut self, change: NameChange, dir: &Path) {
        match &change {
            NameChange::Add(path, _) | NameChange::Remove(path) => self.watches.named(path),
            NameChange::Rename(from, to) => [from, to].into_iter().for_each(|path| self.watches.named(path)),
        }
        apply(&mut self.names, change.clone());
        self.names_pending.entry(dir.to_path_buf()).or_default().push(change);
        self.dirs_modified.insert(dir.to_path_buf(), self.now_ns);
    }

    /// The path with all links followed.
    pub(super) fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        let mut links = 0;
        let mut todo: Vec<OsString> = path.components().rev().map(|part| part.as_os_str().to_owned()).collect();
        let mut at = PathBuf::new();
        while let Some(part) = todo.pop() {
            match Path::new(&part).components().next() {
                Some(Component::RootDir) => at = PathBuf::from("/"),
                Some(Component::ParentDir) => drop(at.pop()),
                Some(Component::Normal(name)) => {
                    at.push(name);
                    match self.names.get(&at) {
                        None => return Err(gone(path)),
                        Some(Node::Link(_)) if links == LINKS_MAX => return Err(fault(io::ErrorKind::InvalidInput, "too many links")),
                        Some(Node::Link(target)) => {
                            links += 1;
                            at.pop();
                            todo.extend(target.components().rev().map(|part| part.as_os_str().to_owned()));
                        }
                        Some(Node::File(_) | Node::Dir | Node::Other) => {}
                    }
                }
                Some(Component::CurDir | Component::Prefix(_)) | None => {}
            }
        }
        Ok(at)
    }

    /// The file of this number was written: whoever watches one of its names is told.
    pub(super) fn written(&mut self, number: u64) {
        if !self.watches.is_empty() {
            let names: Vec<PathBuf> = self.names.iter().filter(|(_, node)| **node == Node::File(number)).map(|(path, _)| path.clone()).collect();
            names.iter().for_each(|path| self.watches.told(path, &Noticed::Written(path.clone())));
        }
    }

    pub(super) fn parent_of(&self, path: &Path) -> io::Result<PathBuf> {
        let dir = self.resolve(path.parent().unwrap_or(Path::new("/")))?;
        if self.names.get(&dir) == Some(&Node::Dir) { Ok(dir) } else { Err(gone(path)) }
    }

    /// Where `path` lies, its directory's links followed, its own not.
    pub(super) fn place(&self, path: &Path) -> io::Result<PathBuf> {
        let name = path.file_name().ok_or_else(|| gone(path))?;
        Ok(self.parent_of(path)?.join(name))
    }

    pub(super) fn state_of(&self, path: &Path) -> io::Result<FileState> {
        let resolved = self.resolve(path)?;
        let node = self.names.get(&resolved).ok_or_else(|| gone(path))?;
        match node {
            Node::File(inode) => self.inode_state(*inode),
            Node::Dir => {
                let modified_ns = self.dirs_modified.get(&resolved).copied().unwrap_or(0);
                Ok(FileState { modified_ns, ..plain_state(FileKind::Dir) })
            }
            Node::Link(_) | Node::Other => Ok(plain_state(FileKind::Other)),
        }
    }

    pub(super) fn inode_state(&self, number: u64) -> io::Result<FileState> {
        let inode = self.inodes.get(&number).ok_or_else(eio)?;
        let links = self.names.values().filter(|node| **node == Node::File(number)).count() as u64;
        let identity = FileIdentity { device: 1, inode: number };
        Ok(FileState { identity, len: inode.live.len() as u64, modified_ns: inode.modified_ns, kind: FileKind::File, links, mode: 0o600 })
    }
}

fn plain_state(kind: FileKind) -> FileState {
    FileState { identity: FileIdentity { device: 1, inode: 1 }, len: 0, modified_ns: 0, kind, links: 1, mode: 0o700 }
}
