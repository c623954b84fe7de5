//! A glob to the paths that match it now.
//!
//! Parts: [`Pattern`]: the directory before the first wildcard, and the glob below it (`**` crosses
//! directories, `*` and `?` do not, `{a,b}` and `[...]` as in Go's doublestar); [`Listing`]: the directories of one
//! search, each listed once. Limits: [`PATHS_MAX`] paths, [`DEPTH_MAX`] directories deep. Promises: only directories
//! whose names fit are entered, so that a thousand globs below one directory cost little more than one.
//! Must not do: follow links into directories below a `**` (a loop would never end).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use globset::GlobMatcher;
use proto_seam::{DirEntry, Disk, FileKind};

mod part;

use part::Part;

/// Most paths of one glob: more files than one node has.
pub const PATHS_MAX: usize = 100_000;
/// Deepest directory below the first wildcard.
pub const DEPTH_MAX: usize = 16;
/// Where container runtimes put what the links in the pod log directories lead to.
const RUNTIME_ROOTS: [&str; 3] = ["/var/log", "/var/lib/docker/containers", "/var/lib/containers"];

/// A compiled glob.
#[derive(Debug, Clone)]
pub struct Pattern {
    text: String,
    prefix: PathBuf,
    /// What is below the prefix, name by name; empty when a brace spans directories: then all are entered.
    parts: Vec<Part>,
    /// How many directories below the prefix can match; `None` with `**`.
    depth: Option<usize>,
    matcher: GlobMatcher,
}

/// The directories of one search: however many globs name a directory, it is listed once.
pub struct Listing<'d> {
    disk: &'d dyn Disk,
    dirs: BTreeMap<PathBuf, Arc<[DirEntry]>>,
    /// Those of them that were not there.
    absent: BTreeSet<PathBuf>,
}

impl<'d> Listing<'d> {
    /// Nothing listed yet.
    #[must_use]
    pub fn new(disk: &'d dyn Disk) -> Self {
        Self { disk, dirs: BTreeMap::new(), absent: BTreeSet::new() }
    }

    /// How many directories were listed.
    #[must_use]
    pub fn listed(&self) -> usize {
        self.dirs.len()
    }

    /// The directories that were listed, and whether each was there.
    pub fn looked_in(&self) -> impl Iterator<Item = (&Path, bool)> {
        self.dirs.keys().map(|dir| (dir.as_path(), !self.absent.contains(dir)))
    }

    fn list(&mut self, dir: &Path, trouble: &mut dyn FnMut(String)) -> Arc<[DirEntry]> {
        if let Some(listed) = self.dirs.get(dir) {
            return Arc::clone(listed);
        }
        let entries = self.disk.list(dir).unwrap_or_else(|fault| {
            // A file in a directory's place is no more than an absent directory.
            if matches!(fault.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) {
                self.absent.insert(dir.to_path_buf());
            } else {
                trouble(format!("{}: {fault}", dir.display()));
            }
            Vec::new()
        });
        let entries: Arc<[DirEntry]> = entries.into();
        self.dirs.insert(dir.to_path_buf(), Arc::clone(&entries));
        entries
    }
}

impl Pattern {
    /// Compiles `text`, an absolute glob or path.
    ///
    /// # Errors
    /// A text saying what is wrong: not absolute, no glob, or so wide that it names the whole disk.
    pub fn new(text: &str) -> Result<Self, String> {
        if !text.starts_with('/') {
            return Err(format!("the path {text:?} is not absolute"));
        }
        if Path::new(text).components().any(|part| part == Component::ParentDir) {
            return Err(format!("the path {text:?} holds .."));
        }
        let is_wild = |part: &str| part.contains(['*', '?', '[', '{']);
        let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty()).collect();
        let fixed = parts.iter().take_while(|part| !is_wild(part)).count();
        if fixed == 0 {
            return Err(format!("the path {text:?} names the whole disk: begin it with a directory"));
        }
        let prefix: PathBuf = std::iter::once("/").chain(parts[..fixed.min(parts.len() - 1)].iter().copied()).collect();
        let below = parts.len() - fixed.min(parts.len() - 1);
        let depth = (!text.contains("**")).then_some(below);
        let matcher = part::matcher(text).map_err(|e| format!("the path {text:?} is no glob: {e}"))?;
        let parts = Part::all(&parts[fixed.min(parts.len() - 1)..]);
        Ok(Self { text: text.to_owned(), prefix, parts, depth, matcher })
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether `path` is meant.
    #[must_use]
    pub fn matches(&self, path: &Path) -> bool {
        self.matcher.is_match(path)
    }

    /// Where a matching file may really lie: below the glob's own directory, or where container
    /// runtimes put what their links lead to.
    #[must_use]
    pub fn roots(&self) -> Vec<PathBuf> {
        std::iter::once(self.prefix.clone()).chain(RUNTIME_ROOTS.iter().filter(|root| self.prefix.starts_with(root)).map(PathBuf::from)).collect()
    }

    /// The paths that match now, in order.
    #[must_use]
    pub fn expand(&self, disk: &dyn Disk, trouble: &mut dyn FnMut(String)) -> Vec<PathBuf> {
        self.expand_listed(&mut Listing::new(disk), trouble)
    }

    /// The paths that match, as far as `listing` has the directories already without looking again.
    #[must_use]
    pub fn expand_listed(&self, listing: &mut Listing<'_>, trouble: &mut dyn FnMut(String)) -> Vec<PathBuf> {
        let mut out = Vec::new();
        self.walk(listing, &self.prefix, 1, &mut out, trouble);
        out.sort();
        out
    }

    fn walk(&self, listing: &mut Listing<'_>, dir: &Path, depth: usize, out: &mut Vec<PathBuf>, trouble: &mut dyn FnMut(String)) {
        let part = self.parts.get(depth - 1);
        if let (Some(Part::Literal(name)), true) = (part, depth < self.parts.len()) {
            return self.walk(listing, &dir.join(name), depth + 1, out, trouble);
        }
        for entry in listing.list(dir, trouble).iter().filter(|entry| part.is_none_or(|part| part.fits(&entry.name))) {
            match entry.kind {
                FileKind::Dir if depth < self.depth.unwrap_or(DEPTH_MAX) => self.walk(listing, &dir.join(&entry.name), depth + 1, out, trouble),
                FileKind::File | FileKind::Link => {
                    let path = dir.join(&entry.name);
                    if !self.matches(&path) || path.to_str().is_none() {
                        continue;
                    }
                    if out.len() >= PATHS_MAX {
                        return trouble(format!("{} matches more than {PATHS_MAX} files: the rest is not read", self.text));
                    }
                    out.push(path);
                }
                FileKind::Dir | FileKind::Other => {}
            }
        }
    }
}
