//! Being told which files to look at: one watch for all directories, looks by time where there is none.
//!
//! Parts: [`Notice`]. A directory is watched while a file in it is read, or files are searched for in it. Limits: the system's; past
//! them files are looked at by time as if nothing were watched, and [`Notice::unwatched`] says how many directories that
//! concerns. Promises: what is told twice or not at all costs time, never lines: every file is looked at now and then
//! all the same. Must not do: read.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proto_model::Timestamp;
use proto_seam::{Disk, DiskWatch, FileIdentity, Noticed};

use super::due::COVER_DIRS_MAX;
use crate::discover::files::Listing;

/// Shortest and longest wait between two questions what happened.
const ASK_WAIT: (Duration, Duration) = (Duration::from_millis(25), Duration::from_millis(500));
/// A directory that could not be watched is tried again after this long.
const RETRY: Duration = Duration::from_secs(60);

/// Watched directories, and whose they are.
#[derive(Debug, Default)]
pub struct Notice {
    watch: Option<Box<dyn DiskWatch>>,
    /// Watched directories: how many sources need each.
    dirs: BTreeMap<PathBuf, usize>,
    /// Those of the last search, and where they really lie.
    covered: BTreeMap<PathBuf, PathBuf>,
    /// Those of them that are reached by a link.
    linked: Vec<(PathBuf, PathBuf)>,
    /// Those that cannot be watched, until when.
    refused: BTreeMap<PathBuf, Timestamp>,
    /// Which file to look at when one of its names is told of.
    names: BTreeMap<PathBuf, FileIdentity>,
    /// The names of each file.
    files: BTreeMap<FileIdentity, Vec<PathBuf>>,
    wait: Duration,
    next: Timestamp,
    started: bool,
}

/// What is to be done about what happened.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Files to look at.
    pub wake: BTreeSet<FileIdentity>,
    /// Files of which nothing will be told any more.
    pub blind: BTreeSet<FileIdentity>,
    /// All files are to be looked at.
    pub all: bool,
    /// Names came or went: files are to be searched for.
    pub search: bool,
}

impl Notice {
    /// Takes up `path`, which leads to the file `identity`; whether it will be told of.
    pub fn begin(&mut self, disk: &dyn Disk, path: &Path, identity: FileIdentity, now: Timestamp) -> bool {
        self.end(identity);
        let Ok(place) = disk.real_place(path) else { return false };
        let names = if place == path { vec![place] } else { vec![path.to_path_buf(), place] };
        let dirs: BTreeSet<PathBuf> = names.iter().filter_map(|name| name.parent()).map(Path::to_path_buf).collect();
        if !dirs.iter().all(|dir| self.watch_dir(disk, dir, now)) {
            return false;
        }
        for dir in dirs {
            *self.dirs.entry(dir).or_default() += 1;
        }
        for name in &names {
            self.names.insert(name.clone(), identity);
        }
        self.files.insert(identity, names);
        true
    }

    /// Watches the directories of a search, and those of the one before no more. Whether all of them were watched when it began.
    pub fn cover(&mut self, disk: &dyn Disk, listing: &Listing<'_>, now: Timestamp) -> bool {
        let is_there = |dir: &Path| disk.state(dir).is_ok();
        // Where a directory is absent, the one is watched in which it, or what leads to it, may come.
        let wanted = listing.looked_in().filter_map(|(dir, there)| if there { Some(dir) } else { dir.ancestors().skip(1).find(|dir| is_there(dir)) });
        let wanted: BTreeSet<PathBuf> = wanted.map(Path::to_path_buf).collect();
        let is_few = wanted.len() <= COVER_DIRS_MAX;
        for dir in self.covered.keys().filter(|dir| !is_few || !wanted.contains(*dir)).cloned().collect::<Vec<_>>() {
            self.covered.remove(&dir);
            self.release_dir(&dir);
        }
        if self.is_led_elsewhere(disk) {
            for dir in std::mem::take(&mut self.covered).into_keys() {
                self.release_dir(&dir);
            }
        }
        let mut were_all = is_few;
        for dir in wanted.into_iter().filter(|_| is_few) {
            if self.covered.contains_key(&dir) {
                continue;
            }
            were_all = false;
            if self.watch_dir(disk, &dir, now)
                && let Ok(place) = disk.real_place(&dir)
            {
                *self.dirs.entry(dir.clone()).or_default() += 1;
                self.covered.insert(dir, place);
            }
        }
        if !were_all {
            self.linked = self.linked();
        }
        were_all
    }

    /// Those directories that are reached by a link, each but those below another.
    fn linked(&self) -> Vec<(PathBuf, PathBuf)> {
        let is_below = |dir: &Path, place: &Path| {
            let above = dir.parent().and_then(|parent| self.covered.get(parent));
            above.is_some_and(|above| place.parent() == Some(above) && place.file_name() == dir.file_name())
        };
        let linked = self.covered.iter().filter(|(dir, place)| dir != place && !is_below(dir, place));
        linked.map(|(dir, place)| (dir.clone(), place.clone())).collect()
    }

    /// Whether one of those directories leads elsewhere than when it was first watched: no watch tells of that.
    #[must_use]
    pub fn is_led_elsewhere(&self, disk: &dyn Disk) -> bool {
        self.linked.iter().any(|(dir, place)| disk.real_place(dir).ok().as_ref() != Some(place))
    }

    fn release_dir(&mut self, dir: &Path) {
        let Some(count) = self.dirs.get_mut(dir) else { return };
        *count = count.saturating_sub(1);
        if *count == 0 {
            self.dirs.remove(dir);
            if let Some(watch) = &mut self.watch {
                watch.remove(dir);
            }
        }
    }

    /// Nothing more of the file is wanted.
    pub fn end(&mut self, identity: FileIdentity) {
        let Some(names) = self.files.remove(&identity) else { return };
        for name in &names {
            if self.names.get(name) == Some(&identity) {
                self.names.remove(name);
            }
        }
        let dirs: BTreeSet<&Path> = names.iter().filter_map(|name| name.parent()).collect();
        for dir in dirs {
            self.release_dir(dir);
        }
    }

    fn watch_dir(&mut self, disk: &dyn Disk, dir: &Path, now: Timestamp) -> bool {
        if self.dirs.contains_key(dir) {
            return true;
        }
        if self.refused.get(dir).is_some_and(|until| *until > now) {
            return false;
        }
        if !std::mem::replace(&mut self.started, true) {
            self.watch = disk.watch().inspect_err(|fault| tracing::warn!(%fault, "directories cannot be watched: files are looked at by time")).ok();
        }
        let Some(watch) = &mut self.watch else { return false };
        match watch.add(dir) {
            Ok(()) => {
                self.refused.remove(dir);
                true
            }
            Err(fault) => {
                if fault.kind() == io::ErrorKind::StorageFull && self.refused.is_empty() {
                    let fix = "raise fs.inotify.max_user_watches; until then files in further directories are looked at by time";
                    tracing::warn!(dir = %dir.display(), fix, "the system allows no more watched directories");
                }
                self.refused.retain(|_, until| *until > now);
                self.refused.insert(dir.to_path_buf(), now.plus(RETRY));
                false
            }
        }
    }

    /// What happened since it was asked last; asked at most every few milliseconds, less often while nothing happens.
    pub fn ask(&mut self, now: Timestamp) -> Told {
        let mut told = Told::default();
        let Some(watch) = self.watch.as_mut().filter(|_| self.next <= now) else { return told };
        let noticed = match watch.take() {
            Ok(noticed) => noticed,
            Err(fault) => {
                tracing::warn!(%fault, "directories are watched no more: files are looked at by time");
                told.blind = std::mem::take(&mut self.files).into_keys().collect();
                *self = Self { started: true, ..Self::default() };
                return Told { all: true, search: true, ..told };
            }
        };
        self.wait = if noticed.is_empty() { (self.wait * 2).clamp(ASK_WAIT.0, ASK_WAIT.1) } else { ASK_WAIT.0 };
        self.next = now.plus(self.wait);
        for what in noticed {
            match what {
                Noticed::Written(name) => told.wake.extend(self.names.get(&name)),
                Noticed::Named(name) => {
                    told.wake.extend(self.names.get(&name));
                    told.search = true;
                }
                Noticed::Ended(dir) => {
                    self.dirs.remove(&dir);
                    self.covered.remove(&dir);
                    let blind: Vec<FileIdentity> = self.names.iter().filter(|(name, _)| name.parent() == Some(&dir)).map(|(_, identity)| *identity).collect();
                    blind.iter().for_each(|identity| self.end(*identity));
                    told.blind.extend(blind);
                    told.search = true;
                }
                Noticed::Overflowed => (told.all, told.search) = (true, true),
            }
        }
        told
    }

    /// When it wants to be asked again.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        self.watch.is_some().then_some(self.next)
    }

    /// The wall clock was set back to `now`.
    pub fn set_back(&mut self, now: Timestamp) {
        self.next = self.next.min(now);
        self.refused.values_mut().for_each(|until| *until = now.min(*until));
    }

    /// Directories that are watched.
    #[must_use]
    pub fn watched(&self) -> usize {
        self.dirs.len()
    }

    /// Directories that should be watched and cannot be.
    #[must_use]
    pub fn unwatched(&self) -> usize {
        self.refused.len()
    }
}
