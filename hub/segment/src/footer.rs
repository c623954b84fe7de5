//! The footer: which streams lie where (`docs/formats/segment.md`, "Footer").
//!
//! Parts: [`Footer`] with its [`StreamEntry`], [`RunEntry`], [`BlockEntry`]; `encode` and `decode` (the packed bytes). Promises: a footer
//! that was read is sound: runs, blocks and facts fit each other. Limits: `limits.rs`. Must not do: read a store.

mod decode;
mod encode;

use std::sync::Arc;

use bytes::Bytes;
use proto_model::{Labels, Timestamp};

use crate::limits::{FOOTER_BYTES_MAX, LABEL_OVERHEAD};
use crate::{Facts, Kind, RegionEntry, SegmentFault, checksum, object};

pub(crate) use encode::encode;

/// First bytes of a footer.
const MAGIC: [u8; 8] = *b"TRIBSEGF";
/// Newest format version. Version 1 names neither filters nor tallies.
const VERSION: u16 = 2;
/// Oldest format version that is read.
const VERSION_MIN: u16 = 1;
/// Bytes before the packed ones.
const HEAD_BYTES: usize = 20;
const WHAT: &str = "a segment's footer";

/// All that is known of a segment without its blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Footer {
    /// What the manifest keeps of the segment.
    pub facts: Facts,
    /// The streams, ascending by labels.
    pub streams: Vec<StreamEntry>,
    /// The blocks, in the order of the object.
    pub blocks: Vec<BlockEntry>,
    /// Where the filters lie ([`crate::GramFilters`]), when there are any.
    pub filters: Option<RegionEntry>,
    /// Where the tallies lie ([`crate::Tallies`]), when there are any.
    pub tallies: Option<RegionEntry>,
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
    /// The number of its first line in the stream and segment, from 0: what breaks ties of equal times across runs.
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

impl StreamEntry {
    /// Puts together what the runs say; `None` when they have no lines.
    pub(crate) fn of_runs(labels: Arc<Labels>, runs: Vec<RunEntry>) -> Option<Self> {
        let (first, last) = (runs.first()?, runs.last()?);
        let (min, max) = (first.min, last.max);
        let lines = runs.iter().map(|run| u64::from(run.lines)).sum();
        let bytes = runs.iter().fold(0_u64, |sum, run| sum.saturating_add(run.bytes));
        Some(Self { labels, lines, bytes, min, max, runs })
    }
}

impl Footer {
    /// Reads the `facts.footer_length` bytes that lie at `facts.footer_offset` of the object.
    ///
    /// # Errors
    /// Any [`SegmentFault`]: the bytes are not the whole, sound footer of which `facts` speaks.
    pub fn read(bytes: &Bytes, facts: &Facts) -> Result<Self, SegmentFault> {
        if bytes.len() != facts.footer_length as usize {
            return Err(SegmentFault::Short { what: WHAT });
        }
        if checksum(bytes) != facts.footer_checksum {
            return Err(SegmentFault::Checksum { what: WHAT });
        }
        let read = Self::parse(bytes, facts.footer_offset)?;
        if read.facts == *facts { Ok(read) } else { Err(SegmentFault::Malformed { what: WHAT, reason: "it speaks of another segment than the manifest" }) }
    }

    /// Finds and reads the footer of a whole object, for who has no manifest.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn of_object(object: &Bytes) -> Result<Self, SegmentFault> {
        let tail = object::read_tail(object)?;
        if checksum(&object[tail.footer.clone()]) != tail.checksum {
            return Err(SegmentFault::Checksum { what: WHAT });
        }
        let read = Self::parse(&object[tail.footer.clone()], tail.footer.start as u64)?;
        if read.facts.kind.code() == tail.kind {
            Ok(read)
        } else {
            Err(SegmentFault::Malformed { what: "a segment", reason: "its head names another day than its footer" })
        }
    }

    fn parse(bytes: &[u8], offset: u64) -> Result<Self, SegmentFault> {
        let (head, packed) = bytes.split_first_chunk::<HEAD_BYTES>().ok_or(SegmentFault::Short { what: WHAT })?;
        if head[..8] != MAGIC {
            return Err(SegmentFault::Magic { what: WHAT });
        }
        let version = u16::from_le_bytes([head[8], head[9]]);
        if !(VERSION_MIN..=VERSION).contains(&version) {
            return Err(SegmentFault::Version { what: WHAT, found: version, known: VERSION });
        }
        let number = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let kind = Kind::of_code(number(12)).ok_or(SegmentFault::Malformed { what: WHAT, reason: "its day is past the end of time" })?;
        let unpacked = number(16) as usize;
        if unpacked > FOOTER_BYTES_MAX {
            return Err(SegmentFault::TooLarge { what: WHAT, found: unpacked as u64, limit: FOOTER_BYTES_MAX as u64 });
        }
        let raw = crate::block::column::unpack(WHAT, head[10], packed, unpacked)?;
        let decode::Decoded { streams, blocks, regions: [filters, tallies] } = decode::decode(&raw, kind, (offset, version >= 2))?;
        let length = u32::try_from(bytes.len()).map_err(|_| SegmentFault::Short { what: WHAT })?;
        let facts = Facts::of_parts(kind, &streams, offset, length, checksum(bytes));
        Ok(Self { facts, streams, blocks, filters, tallies })
    }

    /// Bytes of memory it takes, about: for a cache's account.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let stream = |stream: &StreamEntry| {
            let labels: usize = stream.labels.iter().map(|(name, value)| name.len() + value.len() + LABEL_OVERHEAD).sum();
            size_of::<StreamEntry>() + labels + stream.runs.capacity() * size_of::<RunEntry>()
        };
        self.streams.iter().map(stream).sum::<usize>() + self.blocks.capacity() * size_of::<BlockEntry>()
    }
}

#[cfg(test)]
mod tests;
