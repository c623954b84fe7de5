//! The folder of a demo: empty at the start, and only ever a demo's.
//!
//! Parts: [`Place`], claimed by [`Place::claim`]. Promises: a folder with other content is left as it is; two demos never
//! share one. Must not do: remove anything outside of it.

use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use tokio::fs;

use crate::fault::DemoFault;

/// Says that a folder is a demo's; locked while the demo runs.
const MARKER: &str = ".tributary-demo";

/// The folder, held until dropped.
#[derive(Debug)]
pub(crate) struct Place {
    dir: PathBuf,
    _lock: fs::File,
}

impl Place {
    /// Takes `dir`, removing what an earlier demo left in it.
    pub(crate) async fn claim(dir: &Path) -> Result<Self, DemoFault> {
        let dir = std::path::absolute(dir).map_err(DemoFault::file("find", dir))?;
        if dir.to_str().is_none_or(|text| text.contains(['*', '?', '[', ']', '{', '}', '\\'])) {
            return Err(DemoFault::Usage(format!("--data {}: the path goes into globs; use letters, digits and - . _ /", dir.display())));
        }
        let marker = dir.join(MARKER);
        let names = names(&dir).await?;
        if !names.is_empty() && !names.iter().any(|name| name == MARKER) {
            return Err(DemoFault::Refused { dir, why: "holds something that is not a demo's" });
        }
        fs::create_dir_all(&dir).await.map_err(DemoFault::file("make", &dir))?;
        let lock = fs::File::options().create(true).write(true).truncate(false).open(&marker).await.map_err(DemoFault::file("open", &marker))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(DemoFault::Refused { dir, why: "is used by a demo that runs now" }),
            Err(errno) => return Err(DemoFault::file("lock", &marker)(errno.into())),
        }
        for name in names.iter().filter(|name| *name != MARKER) {
            remove(&dir.join(name)).await?;
        }
        Ok(Self { dir, _lock: lock })
    }

    /// A path in the folder.
    pub(crate) fn join(&self, below: &str) -> PathBuf {
        self.dir.join(below)
    }

    /// The folder, absolute.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }
}

async fn names(dir: &Path) -> Result<Vec<std::ffi::OsString>, DemoFault> {
    let mut names = Vec::new();
    let mut entries = match fs::read_dir(dir).await {
        Ok(entries) => entries,
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(names),
        Err(fault) => return Err(DemoFault::file("read", dir)(fault)),
    };
    while let Some(entry) = entries.next_entry().await.map_err(DemoFault::file("read", dir))? {
        names.push(entry.file_name());
    }
    Ok(names)
}

async fn remove(path: &Path) -> Result<(), DemoFault> {
    let kind = fs::symlink_metadata(path).await.map_err(DemoFault::file("look at", path))?;
    let removed = if kind.is_dir() { fs::remove_dir_all(path).await } else { fs::remove_file(path).await };
    removed.map_err(DemoFault::file("remove", path))
}

#[cfg(test)]
mod tests;
