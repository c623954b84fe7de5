//! Being told of changes on the disk in memory: in the order of the calls, so that a seed repeats.
//!
//! Parts: [`Watches`] (who watches what, kept by the disk), [`SimWatch`]; [`SimDisk::watch_fails`], [`SimDisk::watch_overflows`]
//! for tests. Must not do: tell of a directory's own end other than by its names.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use proto_seam::{DiskWatch, Noticed};

use super::SimDisk;
use super::state::{Node, fault, gone};

/// Who watches what.
#[derive(Debug, Default)]
pub(super) struct Watches {
    next: u64,
    watchers: BTreeMap<u64, Watcher>,
    /// Directories that may be watched; `None` = any number.
    dirs_max: Option<usize>,
}

#[derive(Debug, Default)]
struct Watcher {
    dirs: BTreeSet<PathBuf>,
    noticed: BTreeSet<Noticed>,
}

impl Watches {
    pub(super) fn is_empty(&self) -> bool {
        self.watchers.values().all(|watcher| watcher.dirs.is_empty())
    }

    pub(super) fn begin(&mut self) -> u64 {
        self.next += 1;
        self.watchers.insert(self.next, Watcher::default());
        self.next
    }

    pub(super) fn named(&mut self, path: &Path) {
        self.told(path, &Noticed::Named(path.to_path_buf()));
    }

    /// Whoever watches the directory of `path` is told.
    pub(super) fn told(&mut self, path: &Path, what: &Noticed) {
        let Some(dir) = path.parent() else { return };
        for watcher in self.watchers.values_mut().filter(|watcher| watcher.dirs.contains(dir)) {
            watcher.noticed.insert(what.clone());
        }
    }
}

/// Watched directories of a simulated disk.
#[derive(Debug)]
pub struct SimWatch {
    disk: SimDisk,
    number: u64,
    boot: u64,
}

impl SimWatch {
    pub(super) const fn new(disk: SimDisk, number: u64, boot: u64) -> Self {
        Self { disk, number, boot }
    }
}

impl SimDisk {
    /// So many directories may be watched from now on.
    pub fn limit_watches(&self, dirs_max: usize) {
        self.state().watches.dirs_max = Some(dirs_max);
    }

    /// What was to be told is lost, as when a queue overflows.
    pub fn overflow_watches(&self) {
        for watcher in self.state().watches.watchers.values_mut() {
            watcher.noticed = [Noticed::Overflowed].into();
        }
    }

    /// What was to be told is lost and nobody says so, as on a filesystem that another machine writes to.
    pub fn forget_watches(&self) {
        self.state().watches.watchers.values_mut().for_each(|watcher| watcher.noticed.clear());
    }
}

impl DiskWatch for SimWatch {
    fn add(&mut self, dir: &Path) -> io::Result<()> {
        let mut state = self.disk.state();
        state.alive(self.boot)?;
        let place = state.resolve(dir)?;
        if state.names.get(&place) != Some(&Node::Dir) {
            return Err(gone(dir));
        }
        let dirs_max = state.watches.dirs_max;
        let Some(watcher) = state.watches.watchers.get_mut(&self.number) else { return Err(gone(dir)) };
        if !watcher.dirs.contains(&place) && dirs_max.is_some_and(|max| watcher.dirs.len() >= max) {
            return Err(fault(io::ErrorKind::StorageFull, "no more watches"));
        }
        watcher.dirs.insert(place);
        Ok(())
    }

    fn remove(&mut self, dir: &Path) {
        let mut state = self.disk.state();
        let place = state.resolve(dir).unwrap_or_else(|_| dir.to_path_buf());
        if let Some(watcher) = state.watches.watchers.get_mut(&self.number) {
            watcher.dirs.remove(&place);
        }
    }

    fn take(&mut self) -> io::Result<Vec<Noticed>> {
        let mut state = self.disk.state();
        state.alive(self.boot)?;
        let watcher = state.watches.watchers.get_mut(&self.number);
        Ok(watcher.map(|watcher| std::mem::take(&mut watcher.noticed).into_iter().collect()).unwrap_or_default())
    }
}

impl Drop for SimWatch {
    fn drop(&mut self) {
        let mut state = self.disk.state();
        if state.boot == self.boot {
            state.watches.watchers.remove(&self.number);
        }
    }
}
