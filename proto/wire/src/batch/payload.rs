//! The unpacked columns of a batch, stream by stream (`docs/formats/batch.md`, "payload").
//!
//! Parts: [`Payload`] (one buffer and where each stream's columns lie in it), [`Rows`] (walks one
//! stream), [`Row`]. Promises: every length is checked before it is used; a lying column ends the walk
//! with a fault, never a panic. Must not do: copy lines; a row borrows from the buffer.

use proto_model::Timestamp;

use crate::edge_hub::BatchTable;
use crate::fault::WireFault;
use crate::limits::METADATA_MAX;
use crate::varint;

const WHAT: &str = "a batch payload";

/// All columns of a batch.
#[derive(Debug)]
pub struct Payload {
    raw: Vec<u8>,
    streams: Vec<Columns>,
}

#[derive(Debug, Clone)]
struct Columns {
    records: u32,
    times: std::ops::Range<usize>,
    levels: std::ops::Range<usize>,
    metadata: std::ops::Range<usize>,
    lengths: std::ops::Range<usize>,
    lines: std::ops::Range<usize>,
}

/// One record, borrowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row<'a> {
    /// Its number in its stream and batch, from 0.
    pub index: u32,
    /// Its time.
    pub time: Timestamp,
    /// Its level code; 255 when none was looked for.
    pub level: u8,
    /// Its line.
    pub line: &'a [u8],
    metadata: &'a [u8],
}

impl<'a> Row<'a> {
    /// A row of other columns than a batch's. `metadata` is written as in a batch: varint number of pairs, then per pair varint length
    /// and bytes of name and value; empty when there is none.
    #[must_use]
    pub const fn new(index: u32, time: Timestamp, level: u8, metadata: &'a [u8], line: &'a [u8]) -> Self {
        Self { index, time, level, line, metadata }
    }

    /// Its structured metadata as it is written in a batch; may be empty when there is none.
    #[must_use]
    pub const fn metadata_bytes(&self) -> &'a [u8] {
        self.metadata
    }

    /// Its structured metadata (without the level), in order. What is not UTF-8 is left out.
    pub fn metadata(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let mut rest = self.metadata;
        let count = varint::take(&mut rest).unwrap_or(0);
        (0..count).map_while(move |_| Some((take_text(&mut rest)?, take_text(&mut rest)?)))
    }

    /// Whether it has any.
    #[must_use]
    pub fn has_metadata(&self) -> bool {
        self.metadata.first().is_some_and(|count| *count != 0)
    }
}

fn take_bytes<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(varint::take(rest)?).ok()?;
    let (head, tail) = rest.split_at_checked(length)?;
    *rest = tail;
    Some(head)
}

fn take_text<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    std::str::from_utf8(take_bytes(rest)?).ok()
}

fn malformed(reason: &str) -> WireFault {
    WireFault::Malformed { what: WHAT, reason: reason.to_owned() }
}

impl Payload {
    pub(super) fn read(raw: Vec<u8>, table: &BatchTable) -> Result<Self, WireFault> {
        let mut streams = Vec::with_capacity(table.streams.len());
        let mut at = 0;
        for row in &table.streams {
            let mut rest = raw.get(at..).unwrap_or_default();
            let before = rest.len();
            let mut sizes = [0; 5];
            for size in &mut sizes {
                let stated = varint::take(&mut rest).ok_or(WireFault::Short { what: WHAT })?;
                *size = usize::try_from(stated).map_err(|_| malformed("a column has an impossible length"))?;
            }
            let mut from = at + before - rest.len();
            let [times, levels, metadata, lengths, lines] = sizes.map(|size| {
                let range = from..from.saturating_add(size);
                from = range.end;
                range
            });
            if from > raw.len() {
                return Err(WireFault::Short { what: WHAT });
            }
            at = from;
            streams.push(Columns { records: row.lines, times, levels, metadata, lengths, lines });
        }
        if at != raw.len() {
            return Err(malformed("bytes follow the last stream"));
        }
        Ok(Self { raw, streams })
    }

    /// Number of streams, as in the table.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.streams.len()
    }

    /// All lines of stream `at` in one run, each followed by a newline: for a search over the whole run
    /// before any row is looked at. Empty when there is no such stream.
    #[must_use]
    pub fn text(&self, at: usize) -> &[u8] {
        self.streams.get(at).map_or(&[], |columns| &self.raw[columns.lines.clone()])
    }

    /// Walks stream `at` in the order of writing; no rows when there is no such stream.
    #[must_use]
    pub fn rows(&self, at: usize) -> Rows<'_> {
        self.streams.get(at).map_or_else(Rows::default, |columns| Rows {
            next: 0,
            records: columns.records,
            time: 0,
            level: 0,
            level_left: 0,
            times: &self.raw[columns.times.clone()],
            levels: &self.raw[columns.levels.clone()],
            metadata: &self.raw[columns.metadata.clone()],
            lengths: &self.raw[columns.lengths.clone()],
            lines: &self.raw[columns.lines.clone()],
        })
    }
}

/// Walks the rows of one stream; a fault ends the walk.
#[derive(Debug, Default)]
pub struct Rows<'a> {
    next: u32,
    records: u32,
    time: i64,
    level: u8,
    level_left: u64,
    times: &'a [u8],
    levels: &'a [u8],
    metadata: &'a [u8],
    lengths: &'a [u8],
    lines: &'a [u8],
}

impl<'a> Rows<'a> {
    fn step(&mut self) -> Option<Row<'a>> {
        self.time = self.time.wrapping_add(varint::unzigzag(varint::take(&mut self.times)?));
        if self.level_left == 0 {
            let (&code, rest) = self.levels.split_first()?;
            self.levels = rest;
            self.level = code;
            self.level_left = varint::take(&mut self.levels).filter(|run| *run > 0)?;
        }
        self.level_left -= 1;
        let metadata = if self.metadata.is_empty() { self.metadata } else { self.take_metadata()? };
        let length = usize::try_from(varint::take(&mut self.lengths)?).ok()?;
        let line = self.lines.get(..length)?;
        if self.lines.get(length) != Some(&b'\n') {
            return None;
        }
        self.lines = &self.lines[length + 1..];
        let row = Row { index: self.next, time: Timestamp(self.time), level: self.level, line, metadata };
        self.next += 1;
        Some(row)
    }

    fn take_metadata(&mut self) -> Option<&'a [u8]> {
        let whole = self.metadata;
        let count = varint::take(&mut self.metadata).filter(|count| *count <= METADATA_MAX as u64)?;
        for _ in 0..count * 2 {
            take_bytes(&mut self.metadata)?;
        }
        Some(&whole[..whole.len() - self.metadata.len()])
    }
}

impl<'a> Iterator for Rows<'a> {
    type Item = Result<Row<'a>, WireFault>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.records {
            return None;
        }
        let row = self.step();
        if row.is_none() {
            self.next = self.records;
        }
        Some(row.ok_or_else(|| malformed("its columns do not fit its table")))
    }
}
