//! Which numbers of entries were come upon, so that those that are missing are told.
//!
//! Parts: [`Numbers`]. journald numbers the entries of all files of a run without a gap: a number that was in no file when all of them were
//! read was removed unread. Pure. Limits: [`RANGES_MAX`] ranges of a run; beyond, gaps are forgotten, oldest first. Must not do: judge numbers that
//! may still lie in a file that was not found.

use std::collections::{BTreeMap, BTreeSet};

use super::super::cursor::Cursor;
use super::super::object::Id;

/// Runs of numbers without a gap that are remembered: files are read in order, there is hardly more than one.
const RANGES_MAX: usize = 1_024;

/// What was come upon past each run's floor.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    /// First and last, in order, no two touching.
    runs: BTreeMap<Id, Vec<(u64, u64)>>,
    /// Runs that were settled before: of one that is new the first entries may be older than what is wanted.
    known: BTreeSet<Id>,
    /// Damaged entries, of which no number is known.
    unknown: u64,
}

impl Numbers {
    /// What a cursor says: up to the newest number all was judged before.
    pub(super) fn new(cursor: &Cursor) -> Self {
        let read = cursor.runs.iter().filter(|(_, run)| run.newest > run.floor);
        let runs = read.map(|(id, run)| (*id, vec![(run.floor + 1, run.newest)])).collect();
        Self { runs, known: cursor.runs.keys().copied().collect(), unknown: 0 }
    }

    /// Entry `number` was there.
    pub(super) fn note(&mut self, run: Id, number: u64) {
        let ranges = self.runs.entry(run).or_default();
        if let Some(last) = ranges.last_mut().filter(|last| last.1 + 1 == number) {
            last.1 = number;
            return;
        }
        let at = ranges.partition_point(|range| range.1 < number);
        if ranges.get(at).is_some_and(|range| range.0 <= number) {
            return;
        }
        let joins_before = at > 0 && ranges[at - 1].1 + 1 == number;
        let joins_after = ranges.get(at).is_some_and(|range| number + 1 == range.0);
        match (joins_before, joins_after) {
            (true, true) => ranges[at - 1].1 = ranges.remove(at).1,
            (true, false) => ranges[at - 1].1 = number,
            (false, true) => ranges[at].0 = number,
            (false, false) => ranges.insert(at, (number, number)),
        }
        if ranges.len() > RANGES_MAX {
            let first = ranges.remove(0).0;
            ranges[0].0 = first;
        }
    }

    /// Entries were there whose numbers cannot be read.
    pub(super) const fn note_unknown(&mut self, entries: u64) {
        self.unknown = self.unknown.saturating_add(entries);
    }

    /// All up to `newest` was come upon: the gaps after `floor`, and how many entries are missing.
    pub(super) fn settle(&mut self, run: Id, floor: u64, newest: u64) -> (Vec<(u64, u64)>, u64) {
        let ranges = self.runs.remove(&run).unwrap_or_default();
        let (mut gaps, mut next) = (Vec::new(), floor + 1);
        for (first, last) in ranges.iter().copied().filter(|(first, last)| *last > floor && *first <= newest) {
            if first > next {
                gaps.push((next, first - 1));
            }
            next = last + 1;
        }
        if newest >= next {
            gaps.push((next, newest));
        }
        self.runs.insert(run, ranges.into_iter().filter(|(_, last)| *last > newest).collect());
        if self.known.insert(run) {
            self.unknown = 0;
            return (Vec::new(), 0);
        }
        let missing = gaps.iter().map(|(first, last)| last - first + 1).sum::<u64>().saturating_sub(std::mem::take(&mut self.unknown));
        (gaps, missing)
    }
}

#[cfg(test)]
mod tests;
