//! The entries of a log query: the first `limit` in the asked direction, out of many scans.
//!
//! Parts: [`Place`] and [`Order`] (where a line arrived), [`Found`] (a line that passed), [`Top`] (the best `limit` so
//! far), [`Cut`] (beyond which time no scan needs to look any more), [`Top::into_streams`]; [`Top::of_group`] with
//! [`Top::into_group`], for lines of one time that are too many for one page. Promises: holds
//! at most `limit` entries; equal times stay in order of arrival, backward in its reverse. Must not do: scan.

pub(crate) mod apart;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use proto_model::{Labels, LaneId, Timestamp};

use crate::answer::{AnsweredEntry, AnsweredStream};
use crate::limits::ENTRY_BYTES;
use crate::page::{Content, Within};
use crate::request::Direction;

/// Where lines lie. What is absorbed comes before what is not (lane rule 18).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// In the segment that stands at this place of its tenant's manifest: they stand in order of absorption.
    Segment(usize),
    /// In the section of a lane object.
    Section(LaneId, u64),
}

/// Where a line arrived: orders lines of equal time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Order {
    pub(crate) place: Place,
    /// Which of the query's tenants.
    pub(crate) tenant: usize,
    /// Batch of a section, block of a segment.
    pub(crate) batch: usize,
    /// Stream of a batch, run of a block.
    pub(crate) stream: usize,
    pub(crate) index: u32,
}

/// A line that passed the pipeline.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) order: Order,
    pub(crate) labels: Arc<Labels>,
    pub(crate) entry: AnsweredEntry,
}

impl Found {
    /// Bytes of memory it takes, about.
    pub(crate) fn cost(&self) -> u64 {
        cost_of(&self.entry)
    }
}

/// Bytes of memory an entry takes, about.
pub(crate) fn cost_of(entry: &AnsweredEntry) -> u64 {
    let texts = |pairs: &[(String, String)]| pairs.iter().map(|(name, value)| name.len() + value.len() + 48).sum::<usize>();
    ENTRY_BYTES + (entry.line.len() + texts(&entry.metadata) + texts(&entry.parsed)) as u64
}

/// Smaller is answered earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Forward(Timestamp, Order),
    Backward(Reverse<(Timestamp, Order)>),
    /// Of lines of one time.
    Group(Content, Order),
}

impl Rank {
    const fn new(direction: Direction, time: Timestamp, order: Order) -> Self {
        match direction {
            Direction::Forward => Self::Forward(time, order),
            Direction::Backward => Self::Backward(Reverse((time, order))),
        }
    }
}

#[derive(Debug)]
struct Ranked(Rank, Found);

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Ranked {}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}

/// The time beyond which no entry can be among the first `limit` any more; shared by all scans of a query.
#[derive(Debug)]
pub(crate) struct Cut {
    direction: Direction,
    time: AtomicI64,
}

impl Cut {
    pub(crate) const fn new(direction: Direction) -> Self {
        let open = match direction {
            Direction::Forward => i64::MAX,
            Direction::Backward => i64::MIN,
        };
        Self { direction, time: AtomicI64::new(open) }
    }

    /// Whether lines of `min..=max` may still be wanted. Lines at the cut itself are: they may have arrived earlier.
    pub(crate) fn wants(&self, min: Timestamp, max: Timestamp) -> bool {
        let cut = Timestamp(self.time.load(Ordering::Relaxed));
        match self.direction {
            Direction::Forward => min <= cut,
            Direction::Backward => cut <= max,
        }
    }

    fn move_to(&self, time: Timestamp) {
        match self.direction {
            Direction::Forward => self.time.fetch_min(time.nanos(), Ordering::Relaxed),
            Direction::Backward => self.time.fetch_max(time.nanos(), Ordering::Relaxed),
        };
    }
}

/// The first `limit` entries so far.
#[derive(Debug)]
pub(crate) struct Top {
    limit: usize,
    cut: Arc<Cut>,
    /// The last one on top.
    heap: BinaryHeap<Ranked>,
    /// All lines are of one time, and wanted from this content on, in order of content.
    group: Option<Content>,
}

impl Top {
    pub(crate) const fn new(limit: usize, cut: Arc<Cut>) -> Self {
        Self { limit, cut, heap: BinaryHeap::new(), group: None }
    }

    /// The first `limit` entries in order of content, from `from` on; all lines are of one time.
    pub(crate) const fn of_group(limit: usize, cut: Arc<Cut>, from: Content) -> Self {
        Self { limit, cut, heap: BinaryHeap::new(), group: Some(from) }
    }

    pub(crate) fn direction(&self) -> Direction {
        self.cut.direction
    }

    /// Whether a line of this time and place would be kept.
    pub(crate) fn admits(&self, time: Timestamp, order: Order) -> bool {
        if self.group.is_some() {
            return true;
        }
        if !self.cut.wants(time, time) {
            return false;
        }
        self.heap.len() < self.limit || self.heap.peek().is_some_and(|last| Rank::new(self.cut.direction, time, order) < last.0)
    }

    /// Keeps a line that is admitted. Gives the cost of the one that was let go for it.
    pub(crate) fn take(&mut self, found: Found) -> u64 {
        let rank = match self.group {
            None => Rank::new(self.cut.direction, found.entry.time, found.order),
            Some(from) => {
                let content = Content::of(&found.labels, &found.entry);
                if content < from {
                    return found.cost();
                }
                Rank::Group(content, found.order)
            }
        };
        self.heap.push(Ranked(rank, found));
        let let_go = if self.heap.len() > self.limit { self.heap.pop().map_or(0, |Ranked(_, found)| found.cost()) } else { 0 };
        if self.group.is_none()
            && self.heap.len() == self.limit
            && let Some(last) = self.heap.peek()
        {
            self.cut.move_to(last.1.entry.time);
        }
        let_go
    }

    /// Takes what another scan found. Gives the cost of those that were let go.
    pub(crate) fn merge(&mut self, other: Self) -> u64 {
        let mut let_go = 0;
        for Ranked(_, found) in other.heap {
            let_go += if self.admits(found.entry.time, found.order) { self.take(found) } else { found.cost() };
        }
        let_go
    }

    /// The entries by stream, in the asked direction.
    pub(crate) fn into_streams(self) -> Vec<AnsweredStream> {
        by_stream(self.heap.into_sorted_vec().into_iter().map(|Ranked(_, found)| found))
    }

    /// Of a group: a page of `limit` entries behind those `before`, and where the next begins.
    pub(crate) fn into_group(self, limit: usize, before: Option<Within>) -> (Vec<AnsweredStream>, Option<Within>) {
        let direction = self.cut.direction;
        let mut skip = before.map_or(0, |before| before.taken);
        let (mut page, mut last, mut more) = (Vec::new(), before, false);
        for Ranked(rank, found) in self.heap.into_sorted_vec() {
            let Rank::Group(content, _) = rank else { continue };
            if skip > 0 && before.is_some_and(|before| before.content == content) {
                skip -= 1;
                continue;
            }
            if page.len() == limit {
                more = true;
                break;
            }
            let taken = last.filter(|last| last.content == content).map_or(0, |last| last.taken) + 1;
            last = Some(Within { content, taken });
            page.push(found);
        }
        page.sort_by_key(|found| found.order);
        if direction == Direction::Backward {
            page.reverse();
        }
        (by_stream(page), last.filter(|_| more))
    }
}

fn by_stream(found: impl IntoIterator<Item = Found>) -> Vec<AnsweredStream> {
    let mut streams: BTreeMap<Arc<Labels>, Vec<AnsweredEntry>> = BTreeMap::new();
    for found in found {
        streams.entry(found.labels).or_default().push(found.entry);
    }
    streams.into_iter().map(|(labels, entries)| AnsweredStream { labels, entries }).collect()
}

#[cfg(test)]
mod tests;
