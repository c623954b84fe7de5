//! A block: the lines of one stream, or of a few small neighbours, column by column.

use bytes::Bytes;
use proto_model::Timestamp;
use proto_wire::batch::Row;

use crate::{BlockEntry, SegmentFault};

/// An unpacked block. Run `at` is the one that a `RunEntry` names.
#[derive(Debug, Default)]
pub struct Block {
    text: Vec<u8>,
}

/// Times, levels and line lengths of a block whose lines stay packed.
#[derive(Debug, Default)]
pub struct Outline {
    times: Vec<i64>,
}

/// Walks the rows of one run.
#[derive(Debug, Default)]
pub struct BlockRows<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for BlockRows<'a> {
    type Item = Result<Row<'a>, SegmentFault>;

    fn next(&mut self) -> Option<Self::Item> {
        self.rest = &[];
        None
    }
}

impl Block {
    /// Checks and unpacks the `entry.length` bytes that lie at `entry.offset` of the object.
    ///
    /// # Errors
    /// Any [`SegmentFault`]: the bytes are not the whole, sound block of which `entry` speaks.
    pub fn open(bytes: &Bytes, entry: &BlockEntry) -> Result<Self, SegmentFault> {
        drop((bytes.clone(), *entry));
        Err(SegmentFault::Short { what: "a block" })
    }

    /// All lines of run `at`, each followed by a newline; empty when there is no such run.
    #[must_use]
    pub fn text(&self, at: usize) -> &[u8] {
        self.text.get(at..).unwrap_or_default()
    }

    /// Walks run `at`, ascending by time; no rows when there is no such run.
    #[must_use]
    pub fn rows(&self, at: usize) -> BlockRows<'_> {
        BlockRows { rest: self.text(at) }
    }

    /// Number of runs.
    #[must_use]
    pub fn runs(&self) -> usize {
        0
    }

    /// Bytes of memory it takes, about: for a cache's account.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        0
    }
}

impl Outline {
    /// Checks the bytes as [`Block::open`] does and unpacks the small columns.
    ///
    /// # Errors
    /// As [`Block::open`].
    pub fn open(bytes: &Bytes, entry: &BlockEntry) -> Result<Self, SegmentFault> {
        drop((bytes.clone(), *entry));
        Err(SegmentFault::Short { what: "a block" })
    }

    /// Times of run `at`, ascending, in nanoseconds; empty when there is no such run.
    #[must_use]
    pub fn times(&self, at: usize) -> &[i64] {
        self.times.get(at..).unwrap_or_default()
    }

    /// Level codes of run `at`, row by row.
    #[must_use]
    pub fn levels(&self, _at: usize) -> &[u8] {
        &[]
    }

    /// Line lengths of run `at`, row by row, in bytes.
    #[must_use]
    pub fn lengths(&self, _at: usize) -> &[u32] {
        &[]
    }

    /// Earliest and latest line of the block.
    #[must_use]
    pub fn bounds(&self) -> (Timestamp, Timestamp) {
        (Timestamp::MIN, Timestamp::MAX)
    }
}
