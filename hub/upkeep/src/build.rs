//! Sections to segments: batches verified, their lines sorted into days (lane rules 12 and 18). Pure.
//!
//! Parts: [`Aside`]; [`Output`]; [`Strike`]; [`build`]; [`verify`]. Promises: every line of a sound batch that no delete takes is in exactly one
//! segment, in the order (number, batch, row) among lines of the same time and stream; a batch whose table is not
//! true is set aside whole. Must not do: read or write the store.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use hub_query::{Deletion, Fate};
use hub_segment::{Built, Kind, SegmentBuilder, SegmentFault, kind_of};
use hub_store::{BatchEntry, Origin, Section, TableRow};
use proto_model::{ClusterId, Labels, Timestamp};
use proto_wire::batch::{BatchView, Payload, Row};

use crate::limits::{BUILD_RAW_MAX, DAYS_MAX};

/// What is not absorbed but kept apart, with a loss recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Aside {
    /// The lane object.
    pub(crate) number: u64,
    /// Which batch of the section; `None` for all of it.
    pub(crate) at: Option<usize>,
    /// Where it came from.
    pub(crate) origin: Option<Origin>,
    /// Of which cluster.
    pub(crate) cluster: Option<ClusterId>,
    /// Why.
    pub(crate) reason: &'static str,
    /// Its bytes.
    pub(crate) bytes: Bytes,
    /// Lines that can be read of it; unknown when it cannot be read.
    pub(crate) lines: Option<u64>,
    /// Earliest and latest line, as far as anything says.
    pub(crate) range: (Timestamp, Timestamp),
}

/// What became of a tenant's sections.
#[derive(Debug, Default)]
pub(crate) struct Output {
    /// In manifest order.
    pub(crate) segments: Vec<Built>,
    pub(crate) aside: Vec<Aside>,
    pub(crate) lines: u64,
    pub(crate) raw_bytes: u64,
    /// Lines that each delete took.
    pub(crate) struck: BTreeMap<u64, u64>,
}

/// A delete, and the lane object up to which it is about sections (lane rule 17).
#[derive(Debug, Clone)]
pub(crate) struct Strike {
    pub(crate) head: u64,
    pub(crate) deletion: Arc<Deletion>,
}

/// A table that is not true: how many lines there are, if they can be counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Untrue {
    pub(crate) lines: Option<u64>,
}

/// Unpacks a batch and holds it against the hub's table.
///
/// # Errors
/// [`Untrue`]: it does not unpack, or lines, bytes or times are not those of the table.
pub(crate) fn verify(body: Bytes, rows: &[TableRow]) -> Result<Payload, Untrue> {
    let unreadable = Untrue { lines: None };
    let payload = BatchView::parse(body).and_then(|view| view.payload()).map_err(|_| unreadable)?;
    let mut counts = Vec::with_capacity(payload.streams());
    for at in 0..payload.streams() {
        let mut count = Count::default();
        for row in payload.rows(at) {
            count.add(&row.map_err(|_| unreadable)?);
        }
        counts.push(count);
    }
    let lines = counts.iter().map(|count| count.lines).sum();
    let agrees = counts.len() == rows.len() && counts.iter().zip(rows).all(|(count, row)| count.agrees(row));
    if agrees { Ok(payload) } else { Err(Untrue { lines: Some(lines) }) }
}

/// What the rows of a stream are in truth.
#[derive(Debug, Clone, Copy, Default)]
struct Count {
    lines: u64,
    bytes: u64,
    range: Option<(Timestamp, Timestamp)>,
}

impl Count {
    fn add(&mut self, row: &Row<'_>) {
        self.lines += 1;
        self.bytes += row.line.len() as u64;
        let (min, max) = self.range.unwrap_or((row.time, row.time));
        self.range = Some((min.min(row.time), max.max(row.time)));
    }

    fn agrees(&self, row: &TableRow) -> bool {
        (self.lines, self.bytes) == (row.lines, row.bytes) && self.range.is_none_or(|range| range == (row.min, row.max))
    }
}

/// Builders of one tenant, and what they made so far.
struct Builders {
    now: Timestamp,
    open: BTreeMap<Kind, SegmentBuilder>,
    raw_bytes: u64,
    done: Vec<Built>,
}

impl Builders {
    fn kind_of(&self, time: Timestamp) -> Kind {
        let kind = kind_of(time, self.now);
        if self.open.contains_key(&kind) || self.open.len() < DAYS_MAX { kind } else { Kind::Odd }
    }

    fn push(&mut self, labels: &Arc<Labels>, row: &Row<'_>) -> Result<(), SegmentFault> {
        let kind = self.kind_of(row.time);
        if self.open.get(&kind).is_some_and(|builder| !builder.has_room(labels, row.line.len()))
            && let Some(full) = self.open.remove(&kind)
        {
            self.raw_bytes -= full.raw_bytes();
            self.done.push(full.finish()?);
        }
        let builder = self.open.entry(kind).or_insert_with(|| SegmentBuilder::new(kind));
        builder.push(labels, row.time, row.level, row.metadata(), row.line);
        self.raw_bytes += row.line.len() as u64;
        if self.raw_bytes >= BUILD_RAW_MAX { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), SegmentFault> {
        for (_, builder) in std::mem::take(&mut self.open) {
            self.done.push(builder.finish()?);
        }
        self.raw_bytes = 0;
        Ok(())
    }
}

/// Builds segments of a tenant's sections (by lane number, ascending), without what `strikes` take.
///
/// # Errors
/// [`SegmentFault`]: a defect of the hub, or no memory to compress.
pub(crate) fn build(sections: &[(u64, Section)], strikes: &[Strike], now: Timestamp) -> Result<Output, SegmentFault> {
    let mut builders = Builders { now, open: BTreeMap::new(), raw_bytes: 0, done: Vec::new() };
    let mut output = Output::default();
    for (number, section) in sections {
        let about = strikes.iter().filter(|strike| *number <= strike.head).map(|strike| Arc::clone(&strike.deletion));
        let deletions: Vec<Arc<Deletion>> = about.collect();
        for (at, entry) in section.table.batches.iter().enumerate() {
            match verify(section.batch(at), &entry.rows) {
                Ok(payload) => take_in(&payload, entry, &deletions, &mut builders, &mut output)?,
                Err(untrue) => output.aside.push(aside(*number, at, entry, section.batch(at), untrue)),
            }
        }
    }
    builders.flush()?;
    output.segments = builders.done;
    Ok(output)
}

fn take_in(payload: &Payload, entry: &BatchEntry, deletions: &[Arc<Deletion>], builders: &mut Builders, output: &mut Output) -> Result<(), SegmentFault> {
    for (at, stream) in entry.rows.iter().enumerate() {
        let mut judge = match Fate::of(deletions, &stream.labels, (stream.min, stream.max)) {
            Fate::Kept => None,
            Fate::Gone(number) => {
                *output.struck.entry(number).or_default() += stream.lines;
                continue;
            }
            Fate::Judged(struck) => Some(struck.judge()),
        };
        // `verify` walked them all: none is a fault any more.
        for row in payload.rows(at).map_while(Result::ok) {
            if let Some(number) = judge.as_mut().and_then(|judge| judge.taken_by(&row)) {
                *output.struck.entry(number).or_default() += 1;
                continue;
            }
            builders.push(&stream.labels, &row)?;
            output.lines += 1;
            output.raw_bytes += row.line.len() as u64;
        }
    }
    Ok(())
}

fn aside(number: u64, at: usize, entry: &BatchEntry, bytes: Bytes, untrue: Untrue) -> Aside {
    let (min, max) = (entry.rows.iter().map(|row| row.min).min(), entry.rows.iter().map(|row| row.max).max());
    Aside {
        number,
        at: Some(at),
        origin: Some(entry.origin.clone()),
        cluster: entry.cluster.clone(),
        reason: "UNSOUND_BATCH",
        bytes,
        lines: untrue.lines,
        range: (min.unwrap_or_default(), max.unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests;
