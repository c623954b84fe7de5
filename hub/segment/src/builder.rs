//! Lines in order of arrival to a segment.
//!
//! Parts: [`SegmentBuilder`]. Limits: it holds all it was given until it is finished; [`SegmentBuilder::has_room`] says when to finish it
//! and begin another (neighbours are merged later). Must not do: choose the kind; the caller asks `kind_of`.

use std::sync::Arc;

use proto_model::{Labels, LabelsNumbers, Timestamp};
use proto_wire::batch::Row;

use crate::block::metadata;
use crate::limits::{BUILD_BYTES_MAX, BUILD_LINES_MAX, LABELS_BYTES_MAX, STREAMS_MAX};
use crate::object::{Writer, labels_bytes};
use crate::{Built, Kind, SegmentFault};

/// Rows are kept in pieces of this size: growing one large buffer would hold it twice.
const CHUNK_BYTES: usize = 1024 * 1024;

/// Collects the lines of one segment.
#[derive(Debug)]
pub struct SegmentBuilder {
    kind: Kind,
    streams: Vec<Vec<RowAt>>,
    numbers: LabelsNumbers,
    chunks: Vec<Vec<u8>>,
    /// Where metadata is written before it is known how long it is.
    scratch: Vec<u8>,
    labels_bytes: usize,
    bytes: usize,
    lines: u64,
    raw_bytes: u64,
}

/// A row: its line, then its metadata, in a chunk.
#[derive(Debug, Clone, Copy)]
struct RowAt {
    time: i64,
    chunk: u32,
    at: u32,
    line: u32,
    metadata: u32,
    level: u8,
}

impl SegmentBuilder {
    /// An empty one.
    #[must_use]
    pub const fn new(kind: Kind) -> Self {
        Self {
            kind,
            streams: Vec::new(),
            numbers: LabelsNumbers::new(),
            chunks: Vec::new(),
            scratch: Vec::new(),
            labels_bytes: 0,
            bytes: 0,
            lines: 0,
            raw_bytes: 0,
        }
    }

    /// Adds one line, in order of arrival. `level` is a code of `proto-extract`'s level, or 255 when none was looked for.
    /// Metadata pairs past `METADATA_MAX` are left out, as in a batch.
    pub fn push<'m>(&mut self, labels: &Arc<Labels>, time: Timestamp, level: u8, metadata: impl IntoIterator<Item = (&'m str, &'m str)>, line: &[u8]) {
        let mut written = std::mem::take(&mut self.scratch);
        written.clear();
        metadata::put_row(&mut written, metadata);
        self.add(labels, (time.0, level), &written, line);
        self.scratch = written;
    }

    /// Adds a row of a batch or block, in order of arrival; its metadata is taken over byte for byte.
    pub fn push_row(&mut self, labels: &Arc<Labels>, row: &Row<'_>) {
        let metadata = if row.has_metadata() { row.metadata_bytes() } else { &[] };
        self.add(labels, (row.time.0, row.level), metadata, row.line);
    }

    fn add(&mut self, labels: &Arc<Labels>, (time, level): (i64, u8), written: &[u8], line: &[u8]) {
        let (stream, is_new) = self.numbers.number(labels);
        if is_new {
            self.streams.push(Vec::new());
            self.labels_bytes += labels_bytes(labels);
        }
        let size = line.len() + written.len();
        if self.chunks.last().is_none_or(|chunk| chunk.len() + size > chunk.capacity()) {
            self.chunks.push(Vec::with_capacity(size.max(CHUNK_BYTES)));
        }
        let number = |found: usize| u32::try_from(found).unwrap_or(u32::MAX);
        let chunk = number(self.chunks.len() - 1);
        if let Some(bytes) = self.chunks.last_mut() {
            let (at, line_bytes, metadata) = (number(bytes.len()), number(line.len()), number(written.len()));
            self.streams[stream].push(RowAt { time, chunk, at, line: line_bytes, metadata, level });
            bytes.extend_from_slice(line);
            bytes.extend_from_slice(written);
        }
        self.bytes += size;
        self.lines += 1;
        self.raw_bytes += line.len() as u64;
    }

    /// Whether another line may be added without passing a limit of the format or the memory that a builder may take.
    #[must_use]
    pub fn has_room(&self, labels: &Labels, line_bytes: usize) -> bool {
        self.streams.len() < STREAMS_MAX
            && self.labels_bytes + labels_bytes(labels) <= LABELS_BYTES_MAX
            && self.lines < BUILD_LINES_MAX as u64
            && self.bytes.saturating_add(line_bytes) <= BUILD_BYTES_MAX
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
    /// [`SegmentFault::TooLarge`] when more was pushed than `has_room` said or a line is too long, [`SegmentFault::Kind`] when a line
    /// of another day was pushed, [`SegmentFault::Compress`].
    pub fn finish(mut self) -> Result<Built, SegmentFault> {
        // Room for a ratio of four; the object grows if it is worse.
        let mut writer = Writer::new(self.kind, self.bytes / 4)?;
        for (labels, at) in std::mem::take(&mut self.numbers) {
            let mut rows = std::mem::take(&mut self.streams[at]);
            rows.sort_by_key(|row| row.time);
            let bytes = rows.iter().map(|row| u64::from(row.line)).sum();
            writer.stream(labels, rows.len() as u64, bytes)?;
            for row in rows {
                let (line, metadata) = self.row(row)?;
                writer.row(row.time, row.level, metadata, line)?;
            }
        }
        writer.finish()
    }

    fn row(&self, row: RowAt) -> Result<(&[u8], &[u8]), SegmentFault> {
        let (at, line, metadata) = (row.at as usize, row.line as usize, row.metadata as usize);
        let bytes = self.chunks.get(row.chunk as usize).and_then(|chunk| chunk.get(at..at.saturating_add(line).saturating_add(metadata)));
        // Only lengths past 4 GiB, which do not fit the numbers of a row, lead here.
        let bytes = bytes.ok_or(SegmentFault::TooLarge { what: "a line in bytes", found: line as u64, limit: u64::from(u32::MAX) })?;
        Ok(bytes.split_at(line))
    }
}

#[cfg(test)]
mod tests;
