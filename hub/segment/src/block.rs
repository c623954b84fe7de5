//! A block: the lines of one stream, or of a few small neighbours, column by column (`docs/formats/segment.md`, "Block").
//!
//! Parts: [`Block`] (unpacked, in memory), [`BlockRows`] (walks a run), [`Outline`] (times, levels and lengths, lines left packed);
//! `draft` fills and seals one, `columns` and `metadata` encode, `column` packs. Promises: a block that opened is sound: all its rows can
//! be read. Limits: `limits.rs`. Must not do: read a store, or share a buffer between blocks.

pub(crate) mod column;
mod columns;
pub(crate) mod draft;
pub(crate) mod metadata;

use bytes::Bytes;
use proto_model::Timestamp;
use proto_wire::batch::Row;

use crate::block::column::{Column, ENTRY_BYTES};
use crate::limits::{BLOCK_LINES_MAX, BLOCK_PACKED_MAX, COLUMN_BYTES_MAX};
use crate::{BlockEntry, SegmentFault, checksum};

/// First bytes of a block.
const MAGIC: [u8; 4] = *b"TRSB";
/// Newest format version.
const VERSION: u16 = 1;
/// Runs, times, levels, lengths, metadata, lines.
const COLUMNS: usize = 6;
/// The place of the metadata among them.
const METADATA: usize = 4;
/// Bytes before the columns.
const HEAD_BYTES: usize = 16 + COLUMNS * ENTRY_BYTES;
const WHAT: &str = "a block";

const fn malformed(reason: &'static str) -> SegmentFault {
    SegmentFault::Malformed { what: WHAT, reason }
}

/// An unpacked block. Run `at` is the one that a [`crate::RunEntry`] names by its `at`.
#[derive(Debug)]
pub struct Block {
    outline: Outline,
    /// Where each line begins in `text`, and where the one after the last would.
    begins: Vec<u32>,
    text: Vec<u8>,
}

/// Times, levels and line lengths of a block whose lines stay packed; metadata where it was asked for.
#[derive(Debug)]
pub struct Outline {
    /// (first row, rows, first time)
    runs: Vec<(usize, usize, i64)>,
    times: Vec<i64>,
    levels: Vec<u8>,
    lengths: Vec<u32>,
    /// As if no line had any, where it was not asked for.
    metadata: metadata::Rows,
}

/// A block's head, and its columns as they lie packed.
struct Packed<'a> {
    runs: usize,
    lines: usize,
    columns: [(Column, &'a [u8]); COLUMNS],
}

impl<'a> Packed<'a> {
    fn read(bytes: &'a [u8], entry: &BlockEntry) -> Result<Self, SegmentFault> {
        if bytes.len() > BLOCK_PACKED_MAX {
            return Err(SegmentFault::TooLarge { what: WHAT, found: bytes.len() as u64, limit: BLOCK_PACKED_MAX as u64 });
        }
        if bytes.len() != entry.length as usize {
            return Err(SegmentFault::Short { what: WHAT });
        }
        if checksum(bytes) != entry.checksum {
            return Err(SegmentFault::Checksum { what: WHAT });
        }
        let (head, mut rest) = bytes.split_first_chunk::<HEAD_BYTES>().ok_or(SegmentFault::Short { what: WHAT })?;
        if head[..4] != MAGIC {
            return Err(SegmentFault::Magic { what: WHAT });
        }
        let version = u16::from_le_bytes([head[4], head[5]]);
        if version != VERSION {
            return Err(SegmentFault::Version { what: WHAT, found: version, known: VERSION });
        }
        let number = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let (runs, lines) = (number(8), number(12));
        if runs != entry.runs || lines != entry.lines {
            return Err(malformed("it has other runs or lines than its footer says"));
        }
        if lines as usize > BLOCK_LINES_MAX || runs > lines {
            return Err(SegmentFault::TooLarge { what: "the lines of a block", found: u64::from(lines.max(runs)), limit: BLOCK_LINES_MAX as u64 });
        }
        let (entries, _) = head[16..].as_chunks::<ENTRY_BYTES>();
        let mut columns = [(Column::take(&[0; ENTRY_BYTES]), [].as_slice()); COLUMNS];
        for (column, entry) in columns.iter_mut().zip(entries) {
            let said = Column::take(entry);
            let (packed, tail) = rest.split_at_checked(said.packed).ok_or(SegmentFault::Short { what: WHAT })?;
            *column = (said, packed);
            rest = tail;
        }
        if !rest.is_empty() {
            return Err(malformed("bytes follow its last column"));
        }
        Ok(Self { runs: runs as usize, lines: lines as usize, columns })
    }

    /// A column that has but one encoding, unpacked to at most `limit` bytes.
    fn column(&self, at: usize, what: &'static str, limit: usize) -> Result<Vec<u8>, SegmentFault> {
        let (column, bytes) = &self.columns[at];
        if column.encoding != columns::ENCODING {
            return Err(SegmentFault::Malformed { what, reason: "its encoding is unknown" });
        }
        column.unpack(what, bytes, limit)
    }

    fn outline(&self, entry: &BlockEntry) -> Result<Outline, SegmentFault> {
        // Limits: two varints a run, one a line, a byte and a varint a line, four bytes a line.
        let runs = columns::decode_runs(&self.column(0, "the runs of a block", 20 * self.runs)?, self.runs, self.lines)?;
        let times = columns::decode_times(&self.column(1, "the times of a block", 1 + 10 * self.lines)?, &runs, self.lines)?;
        let levels = columns::decode_levels(&self.column(2, "the levels of a block", 11 * self.lines)?, self.lines)?;
        let lengths = columns::decode_lengths(&self.column(3, "the line lengths of a block", 1 + 4 * self.lines)?, self.lines)?;
        let found = (times.iter().copied().min().unwrap_or(0), times.iter().copied().max().unwrap_or(0));
        if found != (entry.min.0, entry.max.0) {
            return Err(malformed("it has other times than its footer says"));
        }
        if lengths.iter().map(|length| u64::from(*length)).sum::<u64>() != entry.bytes {
            return Err(malformed("it has other line lengths than its footer says"));
        }
        Ok(Outline { runs, times, levels, lengths, metadata: metadata::Rows::default() })
    }
}

impl Packed<'_> {
    fn outline_with_metadata(&self, entry: &BlockEntry) -> Result<Outline, SegmentFault> {
        let (column, raw) = &self.columns[METADATA];
        let metadata = metadata::decode(column.encoding, &column.unpack("a block's metadata", raw, COLUMN_BYTES_MAX)?, self.lines)?;
        Ok(Outline { metadata, ..self.outline(entry)? })
    }
}

impl Block {
    /// Checks and unpacks the `entry.length` bytes that lie at `entry.offset` of the object.
    ///
    /// # Errors
    /// Any [`SegmentFault`]: the bytes are not the whole, sound block of which `entry` speaks.
    pub fn open(bytes: &Bytes, entry: &BlockEntry) -> Result<Self, SegmentFault> {
        let packed = Packed::read(bytes, entry)?;
        let outline = packed.outline_with_metadata(entry)?;
        let text = packed.column(5, "the lines of a block", COLUMN_BYTES_MAX)?;
        let mut begins = Vec::with_capacity(packed.lines + 1);
        let mut at = 0_usize;
        begins.push(0);
        for length in &outline.lengths {
            at += *length as usize;
            if text.get(at) != Some(&b'\n') {
                return Err(malformed("its lines do not end where their lengths say"));
            }
            at += 1;
            begins.push(u32::try_from(at).map_err(|_| malformed("it is too long"))?);
        }
        if at != text.len() {
            return Err(malformed("bytes follow its last line"));
        }
        Ok(Self { outline, begins, text })
    }

    /// Times, levels and lengths.
    #[must_use]
    pub const fn outline(&self) -> &Outline {
        &self.outline
    }

    /// All lines of run `at`, each followed by a newline; empty when there is no such run.
    #[must_use]
    pub fn text(&self, at: usize) -> &[u8] {
        let rows = self.outline.rows(at);
        &self.text[self.begins[rows.start] as usize..self.begins[rows.end] as usize]
    }

    /// Row `index` of run `at`, from 0.
    #[must_use]
    pub fn row(&self, at: usize, index: usize) -> Option<Row<'_>> {
        let (first, rows, _) = *self.outline.runs.get(at)?;
        (index < rows).then(|| self.row_at(first + index, index))
    }

    /// Walks run `at`, ascending by time; no rows when there is no such run. Since the block opened, no row is a fault.
    #[must_use]
    pub fn rows(&self, at: usize) -> BlockRows<'_> {
        let rows = self.outline.rows(at);
        BlockRows { block: self, first: rows.start, next: rows.start, end: rows.end }
    }

    fn row_at(&self, row: usize, index: usize) -> Row<'_> {
        let line = &self.text[self.begins[row] as usize..self.begins[row + 1] as usize - 1];
        self.outline.row_with(row, index, line)
    }

    /// Number of runs.
    #[must_use]
    pub const fn runs(&self) -> usize {
        self.outline.runs.len()
    }

    /// Bytes of memory it takes, about: for a cache's account.
    #[must_use]
    pub const fn memory_bytes(&self) -> usize {
        self.outline.memory_bytes() + 4 * self.begins.capacity() + self.text.capacity()
    }
}

impl Outline {
    /// Checks the bytes as [`Block::open`] does and unpacks the small columns.
    ///
    /// # Errors
    /// As [`Block::open`].
    pub fn open(bytes: &Bytes, entry: &BlockEntry) -> Result<Self, SegmentFault> {
        Packed::read(bytes, entry)?.outline(entry)
    }

    /// As [`Self::open`], and the metadata too.
    ///
    /// # Errors
    /// As [`Block::open`].
    pub fn open_with_metadata(bytes: &Bytes, entry: &BlockEntry) -> Result<Self, SegmentFault> {
        Packed::read(bytes, entry)?.outline_with_metadata(entry)
    }

    /// Row `index` of run `at`, from 0, with an empty line; without metadata unless that was asked for.
    #[must_use]
    pub fn row(&self, at: usize, index: usize) -> Option<Row<'_>> {
        let (first, rows, _) = *self.runs.get(at)?;
        (index < rows).then(|| self.row_with(first + index, index, &[]))
    }

    fn row_with<'a>(&'a self, row: usize, index: usize, line: &'a [u8]) -> Row<'a> {
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        Row::new(index, Timestamp(self.times[row]), self.levels[row], self.metadata.at(row), line)
    }

    /// Times of run `at`, ascending, in nanoseconds; empty when there is no such run.
    #[must_use]
    pub fn times(&self, at: usize) -> &[i64] {
        &self.times[self.rows(at)]
    }

    /// Level codes of run `at`, row by row.
    #[must_use]
    pub fn levels(&self, at: usize) -> &[u8] {
        &self.levels[self.rows(at)]
    }

    /// Line lengths of run `at`, row by row, in bytes.
    #[must_use]
    pub fn lengths(&self, at: usize) -> &[u32] {
        &self.lengths[self.rows(at)]
    }

    /// Whether any line has metadata, as far as it was asked for.
    #[must_use]
    pub const fn has_metadata(&self) -> bool {
        self.metadata.bytes() > 0
    }

    /// Bytes of memory it takes, about.
    #[must_use]
    pub const fn memory_bytes(&self) -> usize {
        let columns = 24 * self.runs.capacity() + 8 * self.times.capacity() + self.levels.capacity() + 4 * self.lengths.capacity();
        columns + self.metadata.memory_bytes()
    }

    fn rows(&self, at: usize) -> std::ops::Range<usize> {
        self.runs.get(at).map_or(0..0, |(first, rows, _)| *first..*first + *rows)
    }
}

/// Walks the rows of one run.
#[derive(Debug)]
pub struct BlockRows<'a> {
    block: &'a Block,
    first: usize,
    next: usize,
    end: usize,
}

impl<'a> Iterator for BlockRows<'a> {
    type Item = Result<Row<'a>, SegmentFault>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = (self.next < self.end).then(|| self.block.row_at(self.next, self.next - self.first))?;
        self.next += 1;
        Some(Ok(row))
    }
}

#[cfg(test)]
mod tests;
