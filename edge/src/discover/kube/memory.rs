//! What a discovery remembers across a restart: its groups, for a start without an API server.
//!
//! Parts: [`Memory`] (what is written), [`read`], [`write`]. The file begins with a mark and the BLAKE3 of what follows,
//! JSON. Promises: a damaged or foreign file is as good as none; writing replaces it whole. Must not do: decide what is kept.

use std::io;
use std::path::Path;
use std::sync::Arc;

use proto_model::Labels;
use proto_seam::Disk;
use serde::{Deserialize, Serialize};

use crate::discover::groups::TargetGroup;

/// First bytes of the file, its version the last.
const MARK: &[u8; 8] = b"TRBDISC\x01";
/// Length of the checksum.
const SUM_BYTES: usize = 32;
/// Largest file: some hundred thousand label sets.
pub const BYTES_MAX: usize = 256 * 1024 * 1024;

/// One group, and since when its thing is gone (ns since 1970), if it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// The group.
    pub group: Arc<TargetGroup>,
    /// Since when its thing is gone.
    pub gone_ns: Option<i64>,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    source: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    gone_ns: Option<i64>,
    labels: Vec<Vec<(String, String)>>,
}

/// What was written last; `Ok(None)` when nothing was.
///
/// # Errors
/// What the disk says; `InvalidData` when the file is damaged or of another version.
pub fn read(disk: &dyn Disk, path: &Path) -> io::Result<Option<Vec<Remembered>>> {
    let bytes = match disk.read_all(path, BYTES_MAX) {
        Ok(bytes) => bytes,
        Err(gone) if gone.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(other) => return Err(other),
    };
    let invalid = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
    let body = bytes.strip_prefix(MARK).ok_or_else(|| invalid("it is of another version, or no memory of a discovery".to_owned()))?;
    let (sum, body) = body.split_at_checked(SUM_BYTES).ok_or_else(|| invalid("it is cut short".to_owned()))?;
    if blake3::hash(body).as_bytes() != sum {
        return Err(invalid("its checksum is wrong".to_owned()));
    }
    let entries: Vec<Entry> = serde_json::from_slice(body).map_err(|fault| invalid(fault.to_string()))?;
    let remembered = entries.into_iter().map(|entry| Remembered {
        group: Arc::new(TargetGroup { source: entry.source, labels: entry.labels.into_iter().map(Labels::from_pairs).collect() }),
        gone_ns: entry.gone_ns,
    });
    Ok(Some(remembered.collect()))
}

/// Replaces what was written.
///
/// # Errors
/// What the disk says.
pub fn write(disk: &dyn Disk, path: &Path, remembered: &[Remembered]) -> io::Result<()> {
    let pairs = |labels: &Labels| labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let entry = |one: &Remembered| Entry { source: one.group.source.clone(), gone_ns: one.gone_ns, labels: one.group.labels.iter().map(pairs).collect() };
    let body = serde_json::to_vec(&remembered.iter().map(entry).collect::<Vec<_>>()).map_err(io::Error::other)?;
    let mut bytes = Vec::with_capacity(MARK.len() + SUM_BYTES + body.len());
    bytes.extend_from_slice(MARK);
    bytes.extend_from_slice(blake3::hash(&body).as_bytes());
    bytes.extend_from_slice(&body);
    if let Some(dir) = path.parent() {
        disk.make_dirs(dir)?;
    }
    disk.write_all(path, &bytes)
}

#[cfg(test)]
mod tests;
