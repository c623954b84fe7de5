//! A disk in memory that fails as real ones do, from a seed.
//!
//! Parts: [`SimDisk`] (clones share one disk) with the faults a test asks for; `state` (what it holds), `files` (its `Disk`), `watch`.
//! What is written is *pending* until its file is synced, a name until its directory is: [`SimDisk::crash`]
//! keeps a random part of what is pending (sector by sector, names in order), [`SimDisk::kill`] all but
//! what a failed sync left in memory alone. After either, handles of before fail and locks are free. Promises: the same seed and the same calls give
//! the same bytes. Must not do: anything that needs more than `proto-seam`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use proto_seam::Entropy;
use state::{Inode, NameChange, Node, State, apply};

#[allow(clippy::duplicate_mod, reason = "what includes this file by its path includes these too")]
#[path = "disk/files.rs"]
mod files;
#[allow(clippy::duplicate_mod, reason = "what includes this file by its path includes these too")]
#[path = "disk/state.rs"]
mod state;
#[allow(clippy::duplicate_mod, reason = "what includes this file by its path includes these too")]
#[path = "disk/watch.rs"]
mod watch;

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
