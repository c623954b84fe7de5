//! The footer: which streams lie where.

use std::sync::Arc;

use bytes::Bytes;
use proto_model::{Labels, Timestamp};

use crate::{Facts, SegmentFault};

/// All that is known of a segment without its blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Footer {
    /// What was said of the segment.
    pub facts: Facts,
    /// The streams, ascending by labels.
    pub streams: Vec<StreamEntry>,
    /// The blocks, in the order of the object.
    pub blocks: Vec<BlockEntry>,
}

/// A stream of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamEntry {
    /// Its labels.
    pub labels: Arc<Labels>,
    /// Number of its lines.
    pub lines: u64,
    /// Sum of their lengths, in bytes.
    pub bytes: u64,
    /// Its earliest line.
    pub min: Timestamp,
    /// Its latest line.
    pub max: Timestamp,
    /// Where its lines lie, ascending by time; no two in one block.
    pub runs: Vec<RunEntry>,
}

/// Lines of one stream that lie together in a block, ascending by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunEntry {
    /// Which of the footer's blocks.
    pub block: u32,
    /// Its place among the runs of that block.
    pub at: u32,
    /// Number of lines.
    pub lines: u32,
    /// The number of its first line in the stream and segment, from 0.
    pub first: u64,
    /// Sum of line lengths, in bytes.
    pub bytes: u64,
    /// Earliest line.
    pub min: Timestamp,
    /// Latest line.
    pub max: Timestamp,
}

/// A block of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockEntry {
    /// Where it begins in the object.
    pub offset: u64,
    /// Its length as stored.
    pub length: u32,
    /// BLAKE3-128 of it.
    pub checksum: [u8; 16],
    /// Number of runs.
    pub runs: u32,
    /// Number of lines.
    pub lines: u32,
    /// Sum of line lengths, in bytes.
    pub bytes: u64,
    /// Earliest line.
    pub min: Timestamp,
    /// Latest line.
    pub max: Timestamp,
}

impl Footer {
    /// Reads the `facts.footer_length` bytes that lie at `facts.footer_offset` of the object.
    ///
    /// # Errors
    /// Any [`SegmentFault`]: the bytes are not the whole, sound footer of which `facts` speaks.
    pub fn read(bytes: &Bytes, facts: &Facts) -> Result<Self, SegmentFault> {
        drop((bytes.clone(), *facts));
        Err(SegmentFault::Short { what: "a segment's footer" })
    }

    /// Bytes of memory it takes, about: for a cache's account.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        0
    }
}
