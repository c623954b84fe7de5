//! A glob to the paths that match it now.
//!
//! Parts: [`Pattern`]: the directory before the first wildcard, and the glob below it (`**` crosses
//! directories, `*` and `?` do not, `{a,b}` and `[...]` as in Go's doublestar). Limits: [`PATHS_MAX`] paths,
//! [`DEPTH_MAX`] directories deep. Must not do: follow links into directories (a loop would never end).

use std::path::{Component, Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};
use proto_seam::{Disk, FileKind};

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
    /// How many directories below the prefix can match; `None` with `**`.
    depth: Option<usize>,
    matcher: GlobMatcher,
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
        let matcher = GlobBuilder::new(text).literal_separator(true).build().map_err(|e| format!("the path {text:?} is no glob: {e}"))?.compile_matcher();
        Ok(Self { text: text.to_owned(), prefix, depth, matcher })
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
        let mut out = Vec::new();
        self.walk(disk, &self.prefix, 1, &mut out, trouble);
        out.sort();
        out
    }

    fn walk(&self, disk: &dyn Disk, dir: &Path, depth: usize, out: &mut Vec<PathBuf>, trouble: &mut dyn FnMut(String)) {
        let entries = match disk.list(dir) {
            Ok(entries) => entries,
            Err(gone) if gone.kind() == std::io::ErrorKind::NotFound => return,
            Err(other) => return trouble(format!("{}: {other}", dir.display())),
        };
        for entry in entries {
            let path = dir.join(&entry.name);
            match entry.kind {
                FileKind::Dir if depth < self.depth.unwrap_or(DEPTH_MAX) => self.walk(disk, &path, depth + 1, out, trouble),
                FileKind::File | FileKind::Link if self.matches(&path) && path.to_str().is_some() => {
                    if out.len() >= PATHS_MAX {
                        return trouble(format!("{} matches more than {PATHS_MAX} files: the rest is not read", self.text));
                    }
                    out.push(path);
                }
                FileKind::Dir | FileKind::File | FileKind::Link | FileKind::Other => {}
            }
        }
    }
}
