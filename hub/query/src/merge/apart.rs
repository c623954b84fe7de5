//! Entries that lie some time apart: the parameter `interval` of log queries.
//!
//! Parts: [`Apart`]. The entries of all streams are taken in the asked direction; the first counts, and each that lies so far from the
//! last one that counted. Promises: pure; holds what counts and no more. Must not do: read.

use std::collections::BTreeMap;
use std::sync::Arc;

use proto_model::{Labels, TimeRange, Timestamp};

use crate::answer::{AnsweredEntry, AnsweredStream};
use crate::request::Direction;

/// The entries that count so far.
#[derive(Debug)]
pub(crate) struct Apart {
    direction: Direction,
    interval_ns: i64,
    last: Option<Timestamp>,
    len: usize,
    streams: BTreeMap<Arc<Labels>, Vec<AnsweredEntry>>,
}

impl Apart {
    pub(crate) const fn new(direction: Direction, interval_ns: i64) -> Self {
        Self { direction, interval_ns, last: None, len: 0, streams: BTreeMap::new() }
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Bytes of memory its entries take, about.
    pub(crate) fn cost(&self) -> u64 {
        self.streams.values().flatten().map(super::cost_of).sum()
    }

    /// Takes the next page of entries, until `limit` count.
    pub(crate) fn take(&mut self, page: Vec<AnsweredStream>, limit: usize) {
        let all = page.into_iter().flat_map(|stream| {
            let labels = stream.labels;
            stream.entries.into_iter().map(move |entry| (Arc::clone(&labels), entry))
        });
        let mut all: Vec<_> = all.collect();
        // Stable: entries of equal time stay as they came.
        match self.direction {
            Direction::Forward => all.sort_by_key(|(_, entry)| entry.time),
            Direction::Backward => all.sort_by_key(|(_, entry)| std::cmp::Reverse(entry.time)),
        }
        for (labels, entry) in all {
            if self.len >= limit {
                return;
            }
            if self.counts(entry.time) {
                self.last = Some(entry.time);
                self.len += 1;
                self.streams.entry(labels).or_default().push(entry);
            }
        }
    }

    fn counts(&self, time: Timestamp) -> bool {
        self.last.is_none_or(|last| match self.direction {
            Direction::Forward => time.nanos() >= last.nanos().saturating_add(self.interval_ns),
            Direction::Backward => time.nanos() <= last.nanos().saturating_sub(self.interval_ns),
        })
    }

    /// The part of `range` in which the next entry that counts may lie.
    pub(crate) fn rest(&self, range: TimeRange) -> TimeRange {
        let Some(last) = self.last else { return range };
        match self.direction {
            Direction::Forward => TimeRange { start: range.start.max(Timestamp(last.nanos().saturating_add(self.interval_ns))), end: range.end },
            Direction::Backward => {
                let end = Timestamp(last.nanos().saturating_sub(self.interval_ns).saturating_add(1));
                TimeRange { start: range.start, end: range.end.min(end) }
            }
        }
    }

    pub(crate) fn into_streams(self) -> Vec<AnsweredStream> {
        self.streams.into_iter().map(|(labels, entries)| AnsweredStream { labels, entries }).collect()
    }
}
