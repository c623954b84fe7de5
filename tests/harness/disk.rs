//! A disk in memory that fails as real ones do, from a seed.
//!
//! Parts: [`SimDisk`] (clones share one disk) with the faults a test asks for; its [`Disk`] and [`DiskFile`].
//! What is written is *pending* until its file is synced, a name until its directory is: [`SimDisk::crash`]
//! keeps a random part of what is pending (sector by sector, names in order), [`SimDisk::kill`] all but
//! what a failed sync left in memory alone. After either, handles of before fail and locks are free. Promises: the same seed and the same calls give
//! the same bytes. Must not do: anything that needs more than `proto-seam`.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use proto_seam::{DirEntry, Disk, DiskFile, DiskLock, DiskWatch, Entropy, FileIdentity, FileKind, FileState, Noticed, OpenHow};

#[allow(clippy::duplicate_mod, reason = "what includes this file by its path includes that one too")]
#[path = "disk/watch.rs"]
mod watch;

/// What is written or lost as one.
const SECTOR: usize = 512;
/// Links followed before a path is refused.
const LINKS_MAX: usize = 32;

/// All that was on a disk.
#[derive(Debug, Clone)]
pub struct Image {
    inodes: BTreeMap<u64, Inode>,
    names: BTreeMap<PathBuf, Node>,
}

/// The disk; clones share it.
#[derive(Debug, Clone)]
pub struct SimDisk {
    shared: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    entropy: Entropy,
    inodes: BTreeMap<u64, Inode>,
    /// As a running system sees them.
    names: BTreeMap<PathBuf, Node>,
    /// As a power cut would leave them.
    names_durable: BTreeMap<PathBuf, Node>,
    /// By directory, in order.
    names_pending: BTreeMap<PathBuf, Vec<NameChange>>,
    locks: BTreeMap<PathBuf, u64>,
    inode_next: u64,
    /// +1 with each crash or kill: handles of an earlier one are dead.
    boot: u64,
    /// Ticks with each change, the files' modification time.
    now_ns: i64,
    /// When names in a directory changed last.
    dirs_modified: BTreeMap<PathBuf, i64>,
    bytes_max: Option<u64>,
    changes: u64,
    stop_at: Option<u64>,
    writes: u64,
    full_writes: BTreeSet<u64>,
    syncs: u64,
    failing_syncs: BTreeSet<u64>,
    unreadable: Vec<(PathBuf, u64, u64)>,
    read_bytes_max: usize,
    watches: watch::Watches,
    /// Opens so far.
    opened: u64,
    /// Files whose handles of before this many opens are stale.
    stale: BTreeMap<u64, u64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    File(u64),
    Dir,
    Link(PathBuf),
    Other,
}

#[derive(Debug, Clone)]
enum NameChange {
    Add(PathBuf, Node),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf),
}

#[derive(Debug, Default, Clone)]
struct Inode {
    live: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
    /// A sync failed: `live` shows more than the device has, until the system forgets it.
    is_doubtful: bool,
    modified_ns: i64,
}

#[derive(Debug, Clone)]
enum Change {
    Write(usize, Vec<u8>),
    SetLen(usize),
}

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

fn fault(kind: io::ErrorKind, text: &str) -> io::Error {
    io::Error::new(kind, text.to_owned())
}

fn eio() -> io::Error {
    fault(io::ErrorKind::Other, "input/output error")
}

fn gone(path: &Path) -> io::Error {
    fault(io::ErrorKind::NotFound, &format!("{} does not exist", path.display()))
}

impl SimDisk {
    /// An empty disk with a root directory.
    #[must_use]
    pub fn new(entropy: &Entropy) -> Self {
        let root: BTreeMap<_, _> = [(PathBuf::from("/"), Node::Dir)].into();
        let state = State {
            entropy: entropy.fork("disk"),
            inodes: BTreeMap::new(),
            names: root.clone(),
            names_durable: root,
            names_pending: BTreeMap::new(),
            locks: BTreeMap::new(),
            inode_next: 2,
            boot: 0,
            now_ns: 0,
            dirs_modified: BTreeMap::new(),
            bytes_max: None,
            changes: 0,
            stop_at: None,
            writes: 0,
            full_writes: BTreeSet::new(),
            syncs: 0,
            failing_syncs: BTreeSet::new(),
            unreadable: Vec::new(),
            read_bytes_max: usize::MAX,
            watches: watch::Watches::default(),
            opened: 0,
            stale: BTreeMap::new(),
        };
        Self { shared: Arc::new(Mutex::new(state)) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The power goes: what was not synced is lost or kept by chance, sector by sector, name by name.
    pub fn crash(&self) {
        let mut state = self.state();
        state.reboot();
        let entropy = state.entropy.clone();
        // Each crash is of one kind: nothing kept, all kept, or some of it.
        let kept = [0.0, 0.5, 1.0][usize::try_from(entropy.below(3)).unwrap_or(0)];
        for inode in state.inodes.values_mut() {
            inode.lose_power(&entropy, kept);
        }
        for changes in std::mem::take(&mut state.names_pending).into_values() {
            let count = entropy.below(changes.len() as u64 + 1);
            for change in changes.into_iter().take(usize::try_from(count).unwrap_or(0)) {
                apply(&mut state.names_durable, change);
            }
        }
        state.names = state.names_durable.clone();
        state.drop_orphans();
    }

    /// The process ends at once (kill -9): all that was written stays, handles and locks do not.
    pub fn kill(&self) {
        let mut state = self.state();
        state.reboot();
        state.inodes.values_mut().for_each(Inode::forget_doubtful);
        state.drop_orphans();
    }

    /// All that a running system sees, as a backup of it would hold.
    #[must_use]
    pub fn image(&self) -> Image {
        let state = self.state();
        let inodes = state.inodes.iter().map(|(number, inode)| (*number, Inode { live: inode.live.clone(), durable: inode.live.clone(), ..Inode::default() }));
        Image { inodes: inodes.collect(), names: state.names.clone() }
    }

    /// The machine gets this disk instead; as after [`Self::kill`].
    pub fn restore(&self, image: &Image) {
        let mut state = self.state();
        state.reboot();
        state.inodes = image.inodes.clone();
        (state.names, state.names_durable) = (image.names.clone(), image.names.clone());
        state.names_pending.clear();
        state.inode_next = state.inode_next.max(image.inodes.keys().last().copied().unwrap_or(0));
    }

    /// The machine gets an empty disk instead; as after [`Self::kill`].
    pub fn wipe(&self) {
        let names: BTreeMap<_, _> = [(PathBuf::from("/"), Node::Dir)].into();
        self.restore(&Image { inodes: BTreeMap::new(), names });
    }

    /// A file is gone, as if it had never been; false when there is none.
    pub fn lose(&self, path: &Path) -> bool {
        let mut state = self.state();
        let lost = matches!(state.names.get(path), Some(Node::File(_)));
        if lost {
            state.names.remove(path);
            state.names_durable.remove(path);
            for changes in state.names_pending.values_mut() {
                changes.retain(|change| !matches!(change, NameChange::Add(added, _) if added == path));
            }
        }
        lost
    }

    /// From now on only `free` more bytes fit (removed files give theirs back); `None` = no bound.
    pub fn set_full(&self, free: Option<u64>) {
        let mut state = self.state();
        state.bytes_max = free.map(|free| state.used() + free);
    }

    /// The `n`-th write from now (1 = the next) finds the disk full after a part of it.
    pub fn fail_write(&self, n: u64) {
        let mut state = self.state();
        let at = state.writes + n;
        state.full_writes.insert(at);
    }

    /// The `n`-th file sync from now (1 = the next) fails; what it was for is lost or kept by chance, and
    /// no later sync of that file makes up for it.
    pub fn fail_sync(&self, n: u64) {
        let mut state = self.state();
        let at = state.syncs + n;
        state.failing_syncs.insert(at);
    }

    /// Takes back every fault that was asked for and has not struck yet.
    pub fn heal(&self) {
        let mut state = self.state();
        state.bytes_max = None;
        state.full_writes.clear();
        state.failing_syncs.clear();
        state.unreadable.clear();
        state.read_bytes_max = usize::MAX;
    }

    /// After `n` more changes (writes, syncs, names) nothing answers any more, until [`Self::crash`] or [`Self::kill`].
    pub fn stop_after(&self, n: u64) {
        let mut state = self.state();
        if state.alive(state.boot).is_ok() {
            state.stop_at = Some(state.changes + n);
        }
    }

    /// Whether [`Self::stop_after`] has struck.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        let state = self.state();
        state.alive(state.boot).is_err()
    }

    /// How many changes there were: the range of [`Self::stop_after`] for the same run.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.state().changes
    }

    /// Flips one bit of the byte at `offset`, on disk and in memory; `false` when the file has no such byte.
    pub fn flip(&self, path: &Path, offset: u64) -> bool {
        let mut state = self.state();
        let bit = 1_u8 << state.entropy.below(8);
        let Some(Node::File(inode)) = state.names.get(path).cloned() else { return false };
        let Some(inode) = state.inodes.get_mut(&inode) else { return false };
        let at = usize::try_from(offset).unwrap_or(usize::MAX);
        if let Some(byte) = inode.durable.get_mut(at) {
            *byte ^= bit;
        }
        inode.live.get_mut(at).map(|byte| *byte ^= bit).is_some()
    }

    /// Bytes `from..to` of `path` cannot be read any more.
    pub fn make_unreadable(&self, path: &Path, from: u64, to: u64) {
        self.state().unreadable.push((path.to_path_buf(), from, to));
    }

    /// All can be read again.
    pub fn make_readable(&self) {
        self.state().unreadable.clear();
    }

    /// Whoever has `path` open cannot read it any more, as when a file server began anew; it can be opened again.
    pub fn make_stale(&self, path: &Path) {
        let mut state = self.state();
        if let Some(Node::File(inode)) = state.names.get(path).cloned() {
            let opened = state.opened;
            state.stale.insert(inode, opened);
        }
    }

    /// Gives `path` a modification time.
    pub fn set_modified(&self, path: &Path, modified_ns: i64) {
        let mut state = self.state();
        if let Some(Node::File(number)) = state.names.get(path).cloned()
            && let Some(inode) = state.inodes.get_mut(&number)
        {
            inode.modified_ns = modified_ns;
        }
    }

    /// It is `now_ns`: what is written from now on was modified then or later.
    pub fn set_clock(&self, now_ns: i64) {
        self.state().now_ns = now_ns;
    }

    /// No read gives more than `max` bytes at once.
    pub fn limit_reads(&self, max: usize) {
        self.state().read_bytes_max = max.max(1);
    }

    /// What a reader of `path` would find now.
    #[must_use]
    pub fn contents(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.state();
        match state.names.get(path)? {
            Node::File(inode) => state.inodes.get(inode).map(|inode| inode.live.clone()),
            Node::Dir | Node::Link(_) | Node::Other => None,
        }
    }

    /// Puts a durable file at `path`, whatever was there.
    pub fn put(&self, path: &Path, bytes: &[u8]) {
        let mut state = self.state();
        let inode = state.new_inode();
        state.inodes.insert(inode, Inode { live: bytes.to_vec(), durable: bytes.to_vec(), ..Inode::default() });
        state.names.insert(path.to_path_buf(), Node::File(inode));
        state.names_durable.insert(path.to_path_buf(), Node::File(inode));
    }

    /// Puts a symbolic link at `path`.
    pub fn put_link(&self, path: &Path, target: &Path) {
        let mut state = self.state();
        state.names.insert(path.to_path_buf(), Node::Link(target.to_path_buf()));
        state.names_durable.insert(path.to_path_buf(), Node::Link(target.to_path_buf()));
    }

    /// Puts something at `path` that is no file: a FIFO, say.
    pub fn put_other(&self, path: &Path) {
        let mut state = self.state();
        state.names.insert(path.to_path_buf(), Node::Other);
        state.names_durable.insert(path.to_path_buf(), Node::Other);
    }

    /// Bytes in all files.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        self.state().used()
    }

    /// Each file with its size, for people.
    #[must_use]
    pub fn sizes(&self) -> String {
        let state = self.state();
        let files =
            state.names.iter().filter_map(|(path, node)| if let Node::File(inode) = node { Some((path, state.inodes.get(inode)?.live.len())) } else { None });
        files.map(|(path, len)| format!("{} {len}", path.display())).collect::<Vec<_>>().join(", ")
    }

    /// All paths, sorted.
    #[must_use]
    pub fn paths(&self) -> Vec<PathBuf> {
        self.state().names.keys().cloned().collect()
    }
}

fn apply(names: &mut BTreeMap<PathBuf, Node>, change: NameChange) {
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
    fn lose_power(&mut self, entropy: &Entropy, kept: f64) {
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
    fn forget_doubtful(&mut self) {
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
    fn fail_sync(&mut self, entropy: &Entropy) {
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

fn write_sectors(file: &mut Vec<u8>, offset: usize, bytes: &[u8], is_kept: impl Fn(usize) -> bool) {
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
    fn reboot(&mut self) {
        self.boot += 1;
        self.locks.clear();
        self.stop_at = None;
        self.watches = watch::Watches::default();
    }

    /// Frees the files that no name leads to, nor could after a power cut.
    fn drop_orphans(&mut self) {
        let waiting = self.names_pending.values().flatten().filter_map(|change| if let NameChange::Add(_, node) = change { Some(node) } else { None });
        let nodes = self.names.values().chain(self.names_durable.values()).chain(waiting);
        let named: BTreeSet<u64> = nodes.filter_map(|node| if let Node::File(inode) = node { Some(*inode) } else { None }).collect();
        self.inodes.retain(|inode, _| named.contains(inode));
    }

    fn used(&self) -> u64 {
        self.names.values().map(|node| if let Node::File(inode) = node { self.inodes.get(inode).map_or(0, |inode| inode.live.len() as u64) } else { 0 }).sum()
    }

    fn new_inode(&mut self) -> u64 {
        self.inode_next += 1;
        self.inode_next
    }

    /// One more change; an error once the disk has stopped.
    fn change(&mut self) -> io::Result<()> {
        if self.stop_at.is_some_and(|stop| self.changes >= stop) {
            return Err(fault(io::ErrorKind::BrokenPipe, "the machine has stopped"));
        }
        self.changes += 1;
        self.now_ns += 1_000;
        Ok(())
    }

    fn alive(&self, boot: u64) -> io::Result<()> {
        let stopped = self.stop_at.is_some_and(|stop| self.changes >= stop);
        if boot == self.boot && !stopped { Ok(()) } else { Err(fault(io::ErrorKind::BrokenPipe, "the machine has stopped")) }
    }

    fn rename_in(&mut self, change: NameChange, dir: &Path) {
        match &change {
            NameChange::Add(path, _) | NameChange::Remove(path) => self.watches.named(path),
            NameChange::Rename(from, to) => [from, to].into_iter().for_each(|path| self.watches.named(path)),
        }
        apply(&mut self.names, change.clone());
        self.names_pending.entry(dir.to_path_buf()).or_default().push(change);
        self.dirs_modified.insert(dir.to_path_buf(), self.now_ns);
    }

    /// The path with all links followed.
    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
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
    fn written(&mut self, number: u64) {
        if !self.watches.is_empty() {
            let names: Vec<PathBuf> = self.names.iter().filter(|(_, node)| **node == Node::File(number)).map(|(path, _)| path.clone()).collect();
            names.iter().for_each(|path| self.watches.told(path, &Noticed::Written(path.clone())));
        }
    }

    fn parent_of(&self, path: &Path) -> io::Result<PathBuf> {
        let dir = self.resolve(path.parent().unwrap_or(Path::new("/")))?;
        if self.names.get(&dir) == Some(&Node::Dir) { Ok(dir) } else { Err(gone(path)) }
    }

    /// Where `path` lies, its directory's links followed, its own not.
    fn place(&self, path: &Path) -> io::Result<PathBuf> {
        let name = path.file_name().ok_or_else(|| gone(path))?;
        Ok(self.parent_of(path)?.join(name))
    }

    fn state_of(&self, path: &Path) -> io::Result<FileState> {
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

    fn inode_state(&self, number: u64) -> io::Result<FileState> {
        let inode = self.inodes.get(&number).ok_or_else(eio)?;
        let links = self.names.values().filter(|node| **node == Node::File(number)).count() as u64;
        let identity = FileIdentity { device: 1, inode: number };
        Ok(FileState { identity, len: inode.live.len() as u64, modified_ns: inode.modified_ns, kind: FileKind::File, links, mode: 0o600 })
    }
}

fn plain_state(kind: FileKind) -> FileState {
    FileState { identity: FileIdentity { device: 1, inode: 1 }, len: 0, modified_ns: 0, kind, links: 1, mode: 0o700 }
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
        Ok(Box::new(watch::SimWatch::new(self.clone(), number, state.boot)))
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
