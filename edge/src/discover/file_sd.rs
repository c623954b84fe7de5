//! `file_sd_configs`: label sets from JSON and YAML files that others write.
//!
//! Parts: [`FileSd`] (which files), [`run`] (looks at them again and again), [`parse`] (one file; pure). Limits:
//! [`FILE_BYTES_MAX`] a file, [`FILES_MAX`] files, `groups::LABEL_SETS_MAX` label sets. Promises: a file that cannot be
//! read or understood keeps the label sets it had; a file that is gone takes them with it. Must not do: relabel.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use proto_seam::{Disk, World};
use tokio_util::sync::CancellationToken;

use super::files::Pattern;
use super::groups::{Entry, FeedSender, Groups, LABEL_SETS_MAX, TargetGroup, listed};

/// Largest file.
pub const FILE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Most files of one discovery.
pub const FILES_MAX: usize = 1_000;
/// A changed file is noticed within so long, however long `refresh_interval` is.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Which files, and how often they are looked at.
#[derive(Debug, Clone)]
pub struct FileSd {
    /// Their globs.
    pub patterns: Vec<Pattern>,
    /// `refresh_interval`.
    pub refresh: Duration,
}

/// The groups of one file.
///
/// # Errors
/// A text saying what is wrong with it.
pub fn parse(path: &Path, bytes: &[u8]) -> Result<Vec<TargetGroup>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is no UTF-8 text".to_owned())?;
    let is_json = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    let entries: Vec<Entry> = match is_json {
        _ if text.trim().is_empty() => Vec::new(),
        true => serde_json::from_str(text).map_err(|fault| fault.to_string())?,
        false => serde_saphyr::from_str(text).map_err(|fault| fault.to_string())?,
    };
    listed(entries, ("__meta_filepath", path.to_string_lossy().as_ref()))
}

/// What is known of one file.
struct Seen {
    modified_ns: i64,
    len: u64,
    groups: Vec<Arc<TargetGroup>>,
    trouble: Option<String>,
}

/// Looks at all files; `seen` carries what does not change.
fn look(settings: &FileSd, disk: &dyn Disk, seen: &mut BTreeMap<PathBuf, Seen>) -> Groups {
    let mut troubles = Vec::new();
    let mut paths: Vec<PathBuf> = settings.patterns.iter().flat_map(|pattern| pattern.expand(disk, &mut |why| troubles.push(why))).collect();
    if paths.len() > FILES_MAX {
        troubles.push(format!("file_sd_configs name more than {FILES_MAX} files: the rest is not read"));
        paths.truncate(FILES_MAX);
    }
    seen.retain(|path, _| paths.contains(path));
    for path in paths {
        let Ok(state) = disk.state(&path) else { continue };
        if seen.get(&path).is_some_and(|known| known.modified_ns == state.modified_ns && known.len == state.len) {
            continue;
        }
        let read = disk.read_all(&path, FILE_BYTES_MAX).map_err(|fault| fault.to_string()).and_then(|bytes| parse(&path, &bytes));
        let before = seen.remove(&path).map(|known| known.groups).unwrap_or_default();
        let (groups, trouble) = match read {
            Ok(groups) => (groups.into_iter().map(Arc::new).collect(), None),
            Err(why) => {
                tracing::warn!(path = %path.display(), why, "a file of file_sd_configs is not understood; the targets it named before stay");
                (before, Some(format!("{}: {why}", path.display())))
            }
        };
        seen.insert(path, Seen { modified_ns: state.modified_ns, len: state.len, groups, trouble });
    }
    let mut out = Groups { known: true, ..Groups::default() };
    let mut sets = 0;
    for group in seen.values().flat_map(|known| &known.groups) {
        sets += group.labels.len();
        if sets > LABEL_SETS_MAX {
            troubles.push(format!("file_sd_configs name more than {LABEL_SETS_MAX} targets: the rest is not read"));
            break;
        }
        out.groups.insert(group.source.clone(), Arc::clone(group));
    }
    troubles.extend(seen.values().filter_map(|known| known.trouble.clone()));
    out.trouble = troubles.join("; ");
    out
}

/// Keeps `sender` up to date until `stop`.
pub async fn run(settings: Arc<FileSd>, sender: FeedSender, world: World, stop: CancellationToken) {
    let mut seen = BTreeMap::new();
    loop {
        let (disk, asked) = (Arc::clone(&world.disk), Arc::clone(&settings));
        let found;
        (seen, found) = world
            .workers
            .run(move || {
                let found = look(&asked, disk.as_ref(), &mut seen);
                (seen, found)
            })
            .await;
        sender.send_if_modified(|known| {
            let changed = !known.known || known.trouble != found.trouble || !same(&known.groups, &found.groups);
            if changed {
                *known = Arc::new(found);
            }
            changed
        });
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(settings.refresh.min(LOOK_EVERY)) => {}
        }
    }
}

fn same(left: &BTreeMap<String, Arc<TargetGroup>>, right: &BTreeMap<String, Arc<TargetGroup>>) -> bool {
    left.len() == right.len() && left.iter().zip(right).all(|((name, group), (other, same))| name == other && Arc::ptr_eq(group, same))
}

#[cfg(test)]
mod tests;
