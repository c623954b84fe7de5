//! A look at a WAL's records in order, for `tributary-edge wal inspect`.
//!
//! Parts: [`inspect`], which tells [`Inspected`] by [`Inspected`] and ends with a [`Summary`]. It takes no
//! lock and works while an edge writes (whose unfinished record then reads as torn). Must not do: write.

use std::path::Path;

use proto_seam::Disk;

use crate::entry::Head;
use crate::fault::WalFault;
use crate::file;
use crate::scan::Found;
use crate::walk::{Met, Survey, walk};

/// What one record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InspectedKind {
    /// A batch.
    Batch,
    /// A gap.
    Gap,
    /// A checkpoint.
    Checkpoint,
    /// A control record.
    Control,
    /// A damaged stretch.
    Bad,
}

impl InspectedKind {
    /// The word of the command's output.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Batch => "batch",
            Self::Gap => "gap",
            Self::Checkpoint => "checkpoint",
            Self::Control => "control",
            Self::Bad => "bad",
        }
    }
}

/// One record, or one damaged stretch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspected {
    /// What it is.
    pub kind: InspectedKind,
    /// The file's name.
    pub file: String,
    /// Where it begins.
    pub offset: u64,
    /// Its track; 0 when none.
    pub track: u32,
    /// Its sequence, of a gap the first; 0 when none.
    pub sequence: u64,
    /// Its lines; 0 when none or unknown.
    pub lines: u64,
    /// Its length on disk.
    pub bytes: u64,
}

/// The sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// Files with a WAL's name.
    pub files: usize,
    /// Sound records.
    pub records: u64,
    /// Damaged stretches.
    pub bad: u64,
    /// Bytes of unfinished records.
    pub torn_bytes: u64,
    /// Lines in sound batches.
    pub lines: u64,
}

/// Tells `each` every record of the WAL in `dir`, in order.
///
/// # Errors
/// [`WalFault`] when the directory cannot be read, or its files are not this program's to read.
pub fn inspect(dir: &Path, disk: &dyn Disk, each: &mut dyn FnMut(Inspected)) -> Result<Summary, WalFault> {
    let survey = Survey::new(file::list(dir, disk)?, disk)?;
    let mut summary = Summary { files: survey.files.len(), ..Summary::default() };
    for surveyed in &survey.files {
        let name = file::name(surveyed.listed.number);
        walk(surveyed, disk, &mut |met| match met {
            Met::Record(found) => {
                let record = inspected(&name, &found);
                summary.records += 1;
                summary.lines += if record.kind == InspectedKind::Batch { record.lines } else { 0 };
                each(record);
            }
            Met::Bad { offset, len } => {
                summary.bad += 1;
                each(Inspected { kind: InspectedKind::Bad, file: name.clone(), offset, track: 0, sequence: 0, lines: 0, bytes: len });
            }
            Met::Torn { len, .. } => summary.torn_bytes += len,
        })?;
    }
    Ok(summary)
}

fn inspected(name: &str, found: &Found) -> Inspected {
    let (kind, lines) = match &found.head {
        Head::Batch(head) => (InspectedKind::Batch, head.lines),
        Head::Gap(head) => (InspectedKind::Gap, head.lines.unwrap_or(0)),
        Head::Checkpoint(_) => (InspectedKind::Checkpoint, 0),
        Head::Control(_) => (InspectedKind::Control, 0),
    };
    let header = found.header;
    Inspected { kind, file: name.to_owned(), offset: found.offset, track: header.track, sequence: header.sequence, lines, bytes: header.record_len() }
}
