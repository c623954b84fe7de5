//! The entries of a log query: the first `limit` in the asked direction, out of many scans.
//!
//! Parts: [`Place`] and [`Order`] (where a line arrived), [`Found`] (a line that passed), [`Top`] (the best `limit` so
//! far), [`Cut`] (beyond which time no scan needs to look any more), [`Top::into_streams`]. Promises: holds
//! at most `limit` entries; equal times stay in order of arrival, backward in its reverse. Must not do: scan.

pub(crate) mod apart;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use proto_model::{Labels, LaneId, Timestamp};

use crate::answer::{AnsweredEntry, AnsweredStream};
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

/// Smaller is answered earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Forward(Timestamp, Order),
    Backward(Reverse<(Timestamp, Order)>),
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
}

impl Top {
    pub(crate) const fn new(limit: usize, cut: Arc<Cut>) -> Self {
        Self { limit, cut, heap: BinaryHeap::new() }
    }

    pub(crate) fn direction(&self) -> Direction {
        self.cut.direction
    }

    /// Whether a line of this time and place would be kept.
    pub(crate) fn admits(&self, time: Timestamp, order: Order) -> bool {
        if !self.cut.wants(time, time) {
            return false;
        }
        self.heap.len() < self.limit || self.heap.peek().is_some_and(|last| Rank::new(self.cut.direction, time, order) < last.0)
    }

    /// Keeps a line that is admitted.
    pub(crate) fn take(&mut self, found: Found) {
        let rank = Rank::new(self.cut.direction, found.entry.time, found.order);
        self.heap.push(Ranked(rank, found));
        if self.heap.len() > self.limit {
            self.heap.pop();
        }
        if self.heap.len() == self.limit
            && let Some(last) = self.heap.peek()
        {
            self.cut.move_to(last.1.entry.time);
        }
    }

    /// Takes what another scan found.
    pub(crate) fn merge(&mut self, other: Self) {
        for Ranked(_, found) in other.heap {
            if self.admits(found.entry.time, found.order) {
                self.take(found);
            }
        }
    }

    /// The entries by stream, in the asked direction.
    pub(crate) fn into_streams(self) -> Vec<AnsweredStream> {
        let mut streams: BTreeMap<Arc<Labels>, Vec<AnsweredEntry>> = BTreeMap::new();
        for Ranked(_, found) in self.heap.into_sorted_vec() {
            streams.entry(found.labels).or_default().push(found.entry);
        }
        streams.into_iter().map(|(labels, entries)| AnsweredStream { labels, entries }).collect()
    }
}

#[cfg(test)]
mod tests;
