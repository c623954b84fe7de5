//! Being told of changes instead of looking for them: one inotify instance, directories only.
//!
//! Parts: [`DiskWatch`], the trait (real in [`RealWatch`], simulated in the tests); [`Noticed`], what it tells. Limits: the
//! system's (`fs.inotify.max_user_watches`, `max_queued_events`): past the first `add` fails with `StorageFull`, past the
//! second [`Noticed::Overflowed`] is told. Promises: a directory whose changes may come from another machine is refused
//! (`Unsupported`). Must not do: wait; be the only way in which a change is found (callers look now and then all the same).

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io;
use std::path::{Path, PathBuf};

use inotify::{EventMask, Inotify, WatchDescriptor, WatchMask};

/// Bytes of events read at once.
const BUFFER_BYTES: usize = 64 * 1024;
/// Reads of one [`DiskWatch::take`]: more than the default queue of the system (16,384 events) fills.
const READS_MAX: usize = 32;
/// Filesystems of this machine alone, by `statfs`: ext, xfs, btrfs, tmpfs, ramfs, overlay, zfs, f2fs, bcachefs.
const LOCAL: [i64; 9] = [0xEF53, 0x5846_5342, 0x9123_683E, 0x0102_1994, 0x8584_58F6, 0x794C_7630, 0x2FC1_2FC1, 0xF2F5_2010, 0xCA45_1A4E];

/// What happened in a watched directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Noticed {
    /// The file of this name was written or cut.
    Written(PathBuf),
    /// The name came, went, or leads elsewhere.
    Named(PathBuf),
    /// This directory is watched no more: it was removed, renamed or unmounted.
    Ended(PathBuf),
    /// Something happened that was not told: look at everything.
    Overflowed,
}

/// Watched directories.
pub trait DiskWatch: Send + Sync + Debug {
    /// Watches `dir`, its names and what they hold; a second time changes nothing.
    ///
    /// # Errors
    /// `Unsupported` where changes may come from other machines, `StorageFull` when the system allows no more.
    fn add(&mut self, dir: &Path) -> io::Result<()>;
    /// Watches `dir` no more.
    fn remove(&mut self, dir: &Path);
    /// What happened since the last call, each thing once; does not wait.
    ///
    /// # Errors
    /// What the system says: nothing is watched any more then.
    fn take(&mut self) -> io::Result<Vec<Noticed>>;
}

/// The system's own.
#[derive(Debug)]
pub struct RealWatch {
    inotify: Inotify,
    /// Directories by watch; one that is known by two paths has one watch.
    dirs: BTreeMap<WatchDescriptor, Vec<PathBuf>>,
    buffer: Vec<u8>,
}

impl RealWatch {
    /// Watches nothing yet.
    ///
    /// # Errors
    /// The system's limit of instances or of open files is reached.
    pub fn new() -> io::Result<Self> {
        Ok(Self { inotify: Inotify::init()?, dirs: BTreeMap::new(), buffer: vec![0; BUFFER_BYTES] })
    }

    fn is_local(dir: &Path) -> io::Result<bool> {
        let kind = rustix::fs::statfs(dir)?.f_type;
        Ok(LOCAL.iter().any(|local| i128::from(*local) == i128::from(kind)))
    }
}

impl DiskWatch for RealWatch {
    fn add(&mut self, dir: &Path) -> io::Result<()> {
        if !Self::is_local(dir)? {
            return Err(io::Error::new(io::ErrorKind::Unsupported, format!("{} may be changed by other machines", dir.display())));
        }
        let mask =
            WatchMask::MODIFY | WatchMask::CREATE | WatchMask::DELETE | WatchMask::MOVE | WatchMask::DELETE_SELF | WatchMask::MOVE_SELF | WatchMask::ONLYDIR;
        let watch = self.inotify.watches().add(dir, mask)?;
        let paths = self.dirs.entry(watch).or_default();
        if !paths.iter().any(|path| path == dir) {
            paths.push(dir.to_path_buf());
        }
        Ok(())
    }

    fn remove(&mut self, dir: &Path) {
        let Some((watch, paths)) = self.dirs.iter_mut().find(|(_, paths)| paths.iter().any(|path| path == dir)) else { return };
        paths.retain(|path| path != dir);
        if paths.is_empty() {
            let watch = watch.clone();
            self.dirs.remove(&watch);
            // It may have ended by itself meanwhile.
            drop(self.inotify.watches().remove(watch));
        }
    }

    fn take(&mut self) -> io::Result<Vec<Noticed>> {
        let mut noticed = Vec::new();
        for _ in 0..READS_MAX {
            let events = match self.inotify.read_events(&mut self.buffer) {
                Ok(events) => events,
                Err(none) if none.kind() == io::ErrorKind::WouldBlock => break,
                Err(fault) => return Err(fault),
            };
            for event in events {
                if event.mask.contains(EventMask::Q_OVERFLOW) {
                    noticed.push(Noticed::Overflowed);
                    continue;
                }
                let ended = event.mask.intersects(EventMask::IGNORED | EventMask::DELETE_SELF | EventMask::MOVE_SELF | EventMask::UNMOUNT);
                let paths = if event.mask.contains(EventMask::IGNORED) { self.dirs.remove(&event.wd) } else { self.dirs.get(&event.wd).cloned() };
                for dir in paths.unwrap_or_default() {
                    noticed.push(match event.name {
                        _ if ended => Noticed::Ended(dir),
                        Some(name) if event.mask.contains(EventMask::MODIFY) => Noticed::Written(dir.join(name)),
                        Some(name) => Noticed::Named(dir.join(name)),
                        None => continue,
                    });
                }
            }
            if noticed.len() > BUFFER_BYTES {
                noticed.sort();
                noticed.dedup();
            }
        }
        noticed.sort();
        noticed.dedup();
        Ok(noticed)
    }
}
