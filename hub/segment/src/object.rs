//! The whole object: head, blocks, filters, tallies, footer, tail; written from rows that come stream by stream.
//!
//! Parts: [`Writer`] (cuts streams into blocks), [`read_tail`]. Promises: the same streams give the same bytes, however their rows came
//! together. Limits: a block being filled and the object are in memory. Must not do: sort; rows come in order.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use proto_model::{Labels, Timestamp};

use crate::block::column::Packer;
use crate::block::draft::Draft;
use crate::grams::GramDraft;
use crate::limits::{
    BLOCK_BYTES, BLOCK_LINES_MAX, BLOCKS_MAX, FOOTER_BYTES_MAX, LABEL_OVERHEAD, LABELS_BYTES_MAX, LINE_BYTES_MAX, METADATA_BYTES_MAX, RUNS_MAX, STREAMS_MAX,
};
use crate::tally::TallyDraft;
use crate::{BlockEntry, Built, Facts, Kind, RunEntry, SegmentFault, StreamEntry, checksum, footer};

/// First bytes of a segment.
const MAGIC: [u8; 8] = *b"TRIBSEGM";
/// Last bytes of a segment.
const MAGIC_TAIL: [u8; 8] = *b"TRIBSEGE";
/// Newest format version.
const VERSION: u16 = 1;
/// Bytes before the first block.
pub(crate) const HEAD_BYTES: usize = 16;
/// Bytes behind the footer.
pub(crate) const TAIL_BYTES: usize = 32;

const fn within(what: &'static str, found: usize, limit: usize) -> Result<(), SegmentFault> {
    if found > limit { Err(SegmentFault::TooLarge { what, found: found as u64, limit: limit as u64 }) } else { Ok(()) }
}

/// Writes a segment.
#[derive(Debug)]
pub(crate) struct Writer {
    kind: Kind,
    out: Vec<u8>,
    packer: Packer,
    draft: Draft,
    /// Bytes at which the block of the stream at hand is full.
    goal: usize,
    /// Whether that stream has blocks of its own.
    is_large: bool,
    blocks: Vec<BlockEntry>,
    grams: GramDraft,
    tallies: TallyDraft,
    /// Finished streams.
    streams: Vec<StreamEntry>,
    labels_bytes: usize,
    runs: usize,
    /// The stream at hand; its newest run lies in the draft while `is_open`.
    labels: Option<Arc<Labels>>,
    stream_runs: Vec<RunEntry>,
    is_open: bool,
}

impl Writer {
    /// Begins an object that will be about `room` bytes long.
    pub(crate) fn new(kind: Kind, room: usize) -> Result<Self, SegmentFault> {
        let mut out = Vec::with_capacity(room);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&[0; 2]);
        out.extend_from_slice(&kind.code().to_le_bytes());
        Ok(Self {
            kind,
            out,
            packer: Packer::new()?,
            draft: Draft::default(),
            goal: BLOCK_BYTES,
            is_large: false,
            blocks: Vec::new(),
            grams: GramDraft::default(),
            tallies: TallyDraft::default(),
            streams: Vec::new(),
            labels_bytes: 0,
            runs: 0,
            labels: None,
            stream_runs: Vec::new(),
            is_open: false,
        })
    }

    /// Begins the stream after the one before it: `lines` rows whose lines have `bytes` bytes follow.
    pub(crate) fn stream(&mut self, labels: Arc<Labels>, lines: u64, bytes: u64) -> Result<(), SegmentFault> {
        self.end_stream()?;
        self.labels_bytes += labels_bytes(&labels);
        within("the streams of a segment", self.streams.len() + 1, STREAMS_MAX)?;
        within("the labels of a segment", self.labels_bytes, LABELS_BYTES_MAX)?;
        self.labels = Some(labels);
        let bytes = usize::try_from(bytes.saturating_add(lines)).unwrap_or(usize::MAX);
        let lines = usize::try_from(lines).unwrap_or(usize::MAX);
        self.is_large = bytes >= BLOCK_BYTES / 2 || lines >= BLOCK_LINES_MAX / 2;
        let fits = self.draft.bytes().saturating_add(bytes) <= BLOCK_BYTES && self.draft.lines().saturating_add(lines) <= BLOCK_LINES_MAX;
        if self.is_large || !fits {
            self.seal()?;
        }
        // Large streams lie in blocks of equal size rather than in full ones and a small rest.
        self.goal = if self.is_large { bytes.div_ceil(bytes.div_ceil(BLOCK_BYTES).max(1)) } else { BLOCK_BYTES };
        Ok(())
    }

    /// Adds a row to the stream at hand, at or after the time of the row before it. `metadata` is written as in a batch.
    pub(crate) fn row(&mut self, time: i64, level: u8, metadata: &[u8], line: &[u8]) -> Result<(), SegmentFault> {
        within("a line in bytes", line.len(), LINE_BYTES_MAX)?;
        within("the metadata of a line in bytes", metadata.len(), METADATA_BYTES_MAX)?;
        if !self.kind.admits(Timestamp(time)) {
            return Err(SegmentFault::Kind { what: "a line", kind: self.kind });
        }
        let size = line.len() + 1 + metadata.len();
        if self.stream_runs.last().is_some_and(|run| run.max.0 > time) {
            return Err(SegmentFault::Malformed { what: "a stream", reason: "its lines are not sorted by time" });
        }
        if self.draft.lines() >= BLOCK_LINES_MAX || self.draft.bytes() >= self.goal || (self.draft.lines() > 0 && self.draft.bytes() + size > BLOCK_BYTES) {
            self.seal()?;
        }
        if !self.is_open {
            self.open_run(time)?;
        }
        self.draft.row(time, level, metadata, line);
        if let Some(run) = self.stream_runs.last_mut() {
            run.lines += 1;
            run.bytes += line.len() as u64;
            run.max = Timestamp(time);
        }
        Ok(())
    }

    fn open_run(&mut self, time: i64) -> Result<(), SegmentFault> {
        self.runs += 1;
        within("the runs of a segment", self.runs, RUNS_MAX)?;
        within("the blocks of a segment", self.blocks.len() + 1, BLOCKS_MAX)?;
        let first = self.stream_runs.last().map_or(0, |run| run.first + u64::from(run.lines));
        let block = u32::try_from(self.blocks.len()).unwrap_or(u32::MAX);
        let at = u32::try_from(self.draft.run()).unwrap_or(u32::MAX);
        self.stream_runs.push(RunEntry { block, at, lines: 0, first, bytes: 0, min: Timestamp(time), max: Timestamp(time) });
        self.is_open = true;
        Ok(())
    }

    fn end_stream(&mut self) -> Result<(), SegmentFault> {
        let runs = std::mem::take(&mut self.stream_runs);
        if let Some(entry) = self.labels.take().and_then(|labels| StreamEntry::of_runs(labels, runs)) {
            self.streams.push(entry);
        }
        self.is_open = false;
        if self.is_large { self.seal() } else { Ok(()) }
    }

    fn seal(&mut self) -> Result<(), SegmentFault> {
        if self.draft.lines() > 0 {
            self.grams.block(self.draft.text(), self.draft.metadata());
            self.draft.runs().for_each(|(times, lengths)| self.tallies.run(times, lengths));
            self.blocks.push(self.draft.seal(&mut self.packer, &mut self.out)?);
        }
        self.is_open = false;
        Ok(())
    }

    /// Ends the object.
    pub(crate) fn finish(mut self) -> Result<Built, SegmentFault> {
        self.end_stream()?;
        self.seal()?;
        let filters = self.grams.write(&mut self.out);
        let tallies = self.tallies.write(&mut self.packer, &mut self.out)?;
        let offset = self.out.len();
        footer::encode(self.kind, &self.streams, &self.blocks, [filters, tallies], &mut self.packer, &mut self.out)?;
        let sum = checksum(&self.out[offset..]);
        let length = u32::try_from(self.out.len() - offset).unwrap_or(u32::MAX);
        self.out.extend_from_slice(&length.to_le_bytes());
        self.out.extend_from_slice(&sum);
        self.out.extend_from_slice(&[0; 4]);
        self.out.extend_from_slice(&MAGIC_TAIL);
        let facts = Facts::of_parts(self.kind, &self.streams, offset as u64, length, sum);
        Ok(Built { bytes: Bytes::from(self.out), facts })
    }
}

/// What a label set takes of [`LABELS_BYTES_MAX`].
pub(crate) fn labels_bytes(labels: &Labels) -> usize {
    labels.iter().map(|(name, value)| name.len() + value.len() + LABEL_OVERHEAD).sum()
}

/// What the end of an object says.
pub(crate) struct Tail {
    /// Where the footer lies.
    pub(crate) footer: Range<usize>,
    pub(crate) checksum: [u8; 16],
    pub(crate) kind: u32,
}

/// Checks head and tail of a whole object.
pub(crate) fn read_tail(object: &[u8]) -> Result<Tail, SegmentFault> {
    const WHAT: &str = "a segment";
    let short = SegmentFault::Short { what: WHAT };
    let (Some(head), Some(tail)) = (object.first_chunk::<HEAD_BYTES>(), object.last_chunk::<TAIL_BYTES>()) else {
        return Err(short);
    };
    if head[..8] != MAGIC || tail[24..] != MAGIC_TAIL {
        return Err(SegmentFault::Magic { what: WHAT });
    }
    let version = u16::from_le_bytes([head[8], head[9]]);
    if version != VERSION {
        return Err(SegmentFault::Version { what: WHAT, found: version, known: VERSION });
    }
    if head[10..12] != [0; 2] || tail[20..24] != [0; 4] {
        return Err(SegmentFault::Malformed { what: WHAT, reason: "what is zero in this version is not" });
    }
    let length = u32::from_le_bytes([tail[0], tail[1], tail[2], tail[3]]) as usize;
    within("a segment's footer", length, FOOTER_BYTES_MAX)?;
    let end = object.len() - TAIL_BYTES;
    let begin = end.checked_sub(length).filter(|begin| *begin >= HEAD_BYTES).ok_or(short)?;
    let mut checksum = [0; 16];
    checksum.copy_from_slice(&tail[4..20]);
    Ok(Tail { footer: begin..end, checksum, kind: u32::from_le_bytes([head[12], head[13], head[14], head[15]]) })
}
