//! How many lines and bytes each run has in each minute, so that dashboards are answered without a block (`docs/formats/segment.md`, "Tallies").
//!
//! Parts: [`TallyDraft`] (of a segment being written), [`Tallies`] (read), [`Tally`]. A minute holds the lines after its begin up to
//! and with its end, as the windows of range queries do. Promises: the tallies of a run add up to its lines and bytes; a run
//! whose lines lie too thinly has none. Must not do: know windows.

use bytes::Bytes;
use proto_wire::varint;

use crate::block::column::{Packer, unpack};
use crate::limits::{TALLIES_BYTES_MAX, TALLY_LINES_MIN};
use crate::{BlockEntry, RegionEntry, SegmentFault, checksum};

/// Nanoseconds of a minute.
pub const MINUTE_NS: i64 = 60_000_000_000;
/// First bytes of the tallies of a segment.
const MAGIC: [u8; 4] = *b"TRST";
/// Newest format version.
const VERSION: u16 = 1;
/// Magic, version, two zeros, length unpacked, packing and three zeros.
const HEAD_BYTES: usize = 16;
const WHAT: &str = "the tallies of a segment";

const fn malformed(reason: &'static str) -> SegmentFault {
    SegmentFault::Malformed { what: WHAT, reason }
}

/// Lines of a run in one minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// The last nanosecond of the minute: a multiple of [`MINUTE_NS`].
    pub end_ns: i64,
    /// Number of lines.
    pub lines: u64,
    /// Sum of their lengths, in bytes.
    pub bytes: u64,
}

/// The number of the minute that holds `time`.
const fn minute(time: i64) -> i64 {
    time.saturating_sub(1).div_euclid(MINUTE_NS)
}

/// The tallies of a segment that is being written.
#[derive(Debug, Default)]
pub(crate) struct TallyDraft {
    raw: Vec<u8>,
    /// Of the run at hand: minute, lines, bytes.
    found: Vec<(i64, u64, u64)>,
}

impl TallyDraft {
    /// Adds the next run: times, ascending, and lengths of its lines.
    pub(crate) fn run(&mut self, times: &[i64], lengths: &[u32]) {
        self.found.clear();
        for (time, length) in times.iter().zip(lengths) {
            let at = minute(*time);
            match self.found.last_mut() {
                Some((last, lines, bytes)) if *last == at => {
                    *lines += 1;
                    *bytes += u64::from(*length);
                }
                Some(_) | None => self.found.push((at, 1, u64::from(*length))),
            }
        }
        if times.len() < TALLY_LINES_MIN * self.found.len() {
            self.found.clear();
        }
        varint::put(&mut self.raw, self.found.len() as u64);
        let mut before = 0;
        for (at, lines, bytes) in &self.found {
            varint::put(&mut self.raw, varint::zigzag(at - before));
            varint::put(&mut self.raw, *lines);
            varint::put(&mut self.raw, *bytes);
            before = *at;
        }
    }

    /// Appends all tallies to `out`; `None` without runs, or when they are too large to be read again.
    pub(crate) fn write(&self, packer: &mut Packer, out: &mut Vec<u8>) -> Result<Option<RegionEntry>, SegmentFault> {
        if self.raw.is_empty() || self.raw.len() > TALLIES_BYTES_MAX {
            return Ok(None);
        }
        let offset = out.len();
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&[0; 2]);
        out.extend_from_slice(&u32::try_from(self.raw.len()).unwrap_or(u32::MAX).to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out[offset + 12] = packer.small(&self.raw, out)?;
        let length = u32::try_from(out.len() - offset).unwrap_or(u32::MAX);
        Ok(Some(RegionEntry { offset: offset as u64, length, checksum: checksum(&out[offset..]) }))
    }
}

/// The tallies of a segment.
#[derive(Debug)]
pub struct Tallies {
    all: Vec<Tally>,
    /// Where the tallies of each run begin, and where those after the last would.
    begins: Vec<u32>,
    /// The first run of each block.
    first_runs: Vec<u32>,
}

impl Tallies {
    /// Reads the `entry.length` bytes that lie at `entry.offset` of the object, tallies of the runs of `blocks`.
    ///
    /// # Errors
    /// Any [`SegmentFault`]: the bytes are not the whole, sound tallies of which `entry` speaks.
    pub fn read(bytes: &Bytes, entry: &RegionEntry, blocks: &[BlockEntry]) -> Result<Self, SegmentFault> {
        let length = u32::from_le_bytes(entry.head(WHAT, bytes, (MAGIC, VERSION))?) as usize;
        let (head, packed) = bytes.split_first_chunk::<HEAD_BYTES>().ok_or(SegmentFault::Short { what: WHAT })?;
        if length > TALLIES_BYTES_MAX {
            return Err(SegmentFault::TooLarge { what: WHAT, found: length as u64, limit: TALLIES_BYTES_MAX as u64 });
        }
        let raw = unpack(WHAT, head[12], packed, length)?;
        let mut rest = raw.as_slice();
        let (mut all, mut begins, mut first_runs) = (Vec::new(), vec![0], Vec::with_capacity(blocks.len()));
        for block in blocks {
            first_runs.push(u32::try_from(begins.len() - 1).map_err(|_| malformed("there are too many runs"))?);
            for _ in 0..block.runs {
                take_run(&mut rest, &mut all)?;
                begins.push(u32::try_from(all.len()).map_err(|_| malformed("there are too many"))?);
            }
        }
        if rest.is_empty() { Ok(Self { all, begins, first_runs }) } else { Err(malformed("bytes follow the last")) }
    }

    /// The tallies of run `at` of block `block`, ascending; empty where there are none.
    #[must_use]
    pub fn of(&self, block: usize, at: usize) -> &[Tally] {
        let run = self.first_runs.get(block).map_or(usize::MAX, |first| (*first as usize).saturating_add(at));
        let place = |run: usize| self.begins.get(run).map(|begin| *begin as usize);
        match (place(run), place(run.saturating_add(1))) {
            (Some(begin), Some(end)) => &self.all[begin..end],
            _ => &[],
        }
    }

    /// Bytes of memory it takes, about: for a cache's account.
    #[must_use]
    pub const fn memory_bytes(&self) -> usize {
        size_of::<Tally>() * self.all.capacity() + 4 * (self.begins.capacity() + self.first_runs.capacity())
    }
}

fn take_run(rest: &mut &[u8], all: &mut Vec<Tally>) -> Result<(), SegmentFault> {
    let take = |rest: &mut &[u8]| varint::take(rest).ok_or(SegmentFault::Short { what: WHAT });
    let count = take(rest)?;
    let mut before: Option<i64> = None;
    for _ in 0..count {
        let step = varint::unzigzag(take(rest)?);
        let at = before.unwrap_or(0).checked_add(step).ok_or_else(|| malformed("a minute is past the end of time"))?;
        if before.is_some_and(|before| before >= at) {
            return Err(malformed("its minutes do not ascend"));
        }
        let (lines, bytes) = (take(rest)?, take(rest)?);
        // The minute at the end of time is cut short by it.
        let end_ns = at.saturating_add(1).saturating_mul(MINUTE_NS);
        all.push(Tally { end_ns, lines, bytes });
        before = Some(at);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
