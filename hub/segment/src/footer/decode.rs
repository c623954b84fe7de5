//! Bytes to a footer.

use std::sync::Arc;

use proto_model::labels::LABELS_MAX;
use proto_model::{Labels, Timestamp};
use proto_wire::varint;

use super::{BlockEntry, RunEntry, StreamEntry, WHAT};
use crate::limits::{
    BLOCK_LINES_MAX, BLOCK_PACKED_MAX, BLOCKS_MAX, FILTERS_BYTES_MAX, LABEL_OVERHEAD, LABELS_BYTES_MAX, RUNS_MAX, STREAMS_MAX, TALLIES_STORED_MAX,
};
use crate::{Kind, RegionEntry, SegmentFault, object};

const fn malformed(reason: &'static str) -> SegmentFault {
    SegmentFault::Malformed { what: WHAT, reason }
}

const fn cut_short() -> SegmentFault {
    SegmentFault::Short { what: WHAT }
}

fn take(rest: &mut &[u8]) -> Result<u64, SegmentFault> {
    varint::take(rest).ok_or_else(cut_short)
}

fn take_count(rest: &mut &[u8], what: &'static str, limit: usize) -> Result<usize, SegmentFault> {
    let found = take(rest)?;
    usize::try_from(found).ok().filter(|count| *count <= limit).ok_or(SegmentFault::TooLarge { what, found, limit: limit as u64 })
}

fn take_bytes<'a>(rest: &mut &'a [u8], length: u64) -> Result<&'a [u8], SegmentFault> {
    let (head, tail) = usize::try_from(length).ok().and_then(|length| rest.split_at_checked(length)).ok_or_else(cut_short)?;
    *rest = tail;
    Ok(head)
}

/// What a footer says.
pub(super) struct Decoded {
    pub(super) streams: Vec<StreamEntry>,
    pub(super) blocks: Vec<BlockEntry>,
    /// Filters, tallies.
    pub(super) regions: [Option<RegionEntry>; 2],
}

/// Of a segment of `kind` whose footer lies at `offset`, and may name regions behind the blocks.
pub(super) fn decode(raw: &[u8], kind: Kind, (offset, has_regions): (u64, bool)) -> Result<Decoded, SegmentFault> {
    let mut rest = raw;
    // Each label has at most two texts of its own.
    let count = take_count(&mut rest, "the texts of a segment", 2 * LABELS_BYTES_MAX / LABEL_OVERHEAD)?;
    let mut texts = Vec::with_capacity(count.min(rest.len()));
    for _ in 0..count {
        let length = take(&mut rest)?;
        texts.push(std::str::from_utf8(take_bytes(&mut rest, length)?).map_err(|_| malformed("a label is not utf-8"))?);
    }
    let (blocks, mut end) = take_blocks(&mut rest)?;
    let mut regions = [None; 2];
    if has_regions {
        for (region, limit) in regions.iter_mut().zip([FILTERS_BYTES_MAX, TALLIES_STORED_MAX]) {
            *region = take_region(&mut rest, &mut end, limit)?;
        }
    }
    if end != offset {
        return Err(malformed("its blocks do not lie before it"));
    }
    let mut walk = Walk { kind, blocks, filled: 0, runs: 0 };
    let count = take_count(&mut rest, "the streams of a segment", STREAMS_MAX)?;
    let mut streams: Vec<StreamEntry> = Vec::with_capacity(count.min(rest.len()));
    let mut labels_bytes = 0;
    for _ in 0..count {
        let labels = take_labels(&mut rest, &texts, &mut labels_bytes)?;
        if streams.last().is_some_and(|last| *last.labels >= labels) {
            return Err(malformed("its streams are out of order"));
        }
        let begin = streams.last().map_or(0, |last| last.min.0);
        let runs = walk.take_runs(&mut rest, begin)?;
        streams.push(StreamEntry::of_runs(Arc::new(labels), runs).ok_or_else(|| malformed("a stream has no runs"))?);
    }
    if walk.filled != walk.blocks.len() {
        return Err(malformed("a block has no runs"));
    }
    if !rest.is_empty() {
        return Err(malformed("bytes follow its last stream"));
    }
    Ok(Decoded { streams, blocks: walk.blocks, regions })
}

/// Blocks, known by place and checksum, and where the last ends; what lies in them follows from the runs.
fn take_blocks(rest: &mut &[u8]) -> Result<(Vec<BlockEntry>, u64), SegmentFault> {
    let count = take_count(rest, "the blocks of a segment", BLOCKS_MAX)?;
    let mut blocks = Vec::with_capacity(count.min(rest.len()));
    let mut at = object::HEAD_BYTES as u64;
    for _ in 0..count {
        let length = take(rest)?;
        let fault = SegmentFault::TooLarge { what: "a block", found: length, limit: BLOCK_PACKED_MAX as u64 };
        let length = u32::try_from(length).ok().filter(|length| *length as usize <= BLOCK_PACKED_MAX).ok_or(fault)?;
        let (checksum, tail) = rest.split_first_chunk::<16>().ok_or_else(cut_short)?;
        *rest = tail;
        let (min, max) = (Timestamp::MAX, Timestamp::MIN);
        blocks.push(BlockEntry { offset: at, length, checksum: *checksum, runs: 0, lines: 0, bytes: 0, min, max });
        at += u64::from(length);
    }
    Ok((blocks, at))
}

/// A region that begins at `at`, where there is one; moves `at` behind it.
fn take_region(rest: &mut &[u8], at: &mut u64, limit: usize) -> Result<Option<RegionEntry>, SegmentFault> {
    let found = take(rest)?;
    if found == 0 {
        return Ok(None);
    }
    let fault = SegmentFault::TooLarge { what: "a region of a segment", found, limit: limit as u64 };
    let length = u32::try_from(found).ok().filter(|length| *length as usize <= limit).ok_or(fault)?;
    let (checksum, tail) = rest.split_first_chunk::<16>().ok_or_else(cut_short)?;
    *rest = tail;
    let region = RegionEntry { offset: *at, length, checksum: *checksum };
    *at += u64::from(length);
    Ok(Some(region))
}

fn take_labels(rest: &mut &[u8], texts: &[&str], all: &mut usize) -> Result<Labels, SegmentFault> {
    let count = take_count(rest, "the labels of a stream", LABELS_MAX)?;
    let mut pairs = Vec::with_capacity(count);
    for _ in 0..count {
        let mut text = || take(rest).map(|id| usize::try_from(id).ok().and_then(|id| texts.get(id)).copied());
        let (Some(name), Some(value)) = (text()?, text()?) else {
            return Err(malformed("a label has no text"));
        };
        // Counted before it is copied: one text may be named by many streams.
        *all += name.len() + value.len() + LABEL_OVERHEAD;
        if *all > LABELS_BYTES_MAX {
            return Err(SegmentFault::TooLarge { what: "the labels of a segment", found: *all as u64, limit: LABELS_BYTES_MAX as u64 });
        }
        pairs.push((name, value));
    }
    let labels = Labels::from_pairs(pairs);
    if labels.len() == count { Ok(labels) } else { Err(malformed("a stream has a label twice, or an empty one")) }
}

/// Runs in order of blocks.
struct Walk {
    kind: Kind,
    blocks: Vec<BlockEntry>,
    /// Blocks that have runs.
    filled: usize,
    runs: usize,
}

impl Walk {
    fn take_runs(&mut self, rest: &mut &[u8], begin: i64) -> Result<Vec<RunEntry>, SegmentFault> {
        let count = take_count(rest, "the runs of a segment", RUNS_MAX - self.runs)?;
        self.runs += count;
        let mut runs: Vec<RunEntry> = Vec::with_capacity(count.min(rest.len()));
        for _ in 0..count {
            let run = self.take_run(rest, begin, runs.last())?;
            runs.push(run);
        }
        Ok(runs)
    }

    fn take_run(&mut self, rest: &mut &[u8], begin: i64, before: Option<&RunEntry>) -> Result<RunEntry, SegmentFault> {
        let (counted, bytes, step, span) = (take(rest)?, take(rest)?, varint::unzigzag(take(rest)?), take(rest)?);
        let lines = u32::try_from(counted / 2).ok().filter(|lines| *lines > 0).ok_or_else(|| malformed("a run is empty or too long"))?;
        let min = before.map_or(begin, |run| run.max.0).wrapping_add(step);
        let max = min.checked_add_unsigned(span).ok_or_else(|| malformed("a time is past the end of time"))?;
        let (min, max) = (Timestamp(min), Timestamp(max));
        let opens = counted % 2 == 1;
        if before.is_some_and(|run| run.max > min || !opens) {
            return Err(malformed("the runs of a stream are out of order"));
        }
        if !self.kind.admits(min) || !self.kind.admits(max) {
            return Err(malformed("a run is of another day"));
        }
        self.filled += usize::from(opens);
        let place = self.filled.checked_sub(1).ok_or_else(|| malformed("its first run opens no block"))?;
        let block = self.blocks.get_mut(place).ok_or_else(|| malformed("a run lies in no block"))?;
        let at = block.runs;
        block.runs += 1;
        block.lines = block.lines.checked_add(lines).filter(|lines| *lines as usize <= BLOCK_LINES_MAX).ok_or(SegmentFault::TooLarge {
            what: "the lines of a block",
            found: u64::from(block.lines) + u64::from(lines),
            limit: BLOCK_LINES_MAX as u64,
        })?;
        block.bytes = block.bytes.checked_add(bytes).ok_or_else(|| malformed("a run is too long"))?;
        block.min = block.min.min(min);
        block.max = block.max.max(max);
        let first = before.map_or(0, |run| run.first + u64::from(run.lines));
        let block = u32::try_from(place).map_err(|_| malformed("a run lies in no block"))?;
        Ok(RunEntry { block, at, lines, first, bytes, min, max })
    }
}
