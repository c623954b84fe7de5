//! What a tail found and its reader has not taken yet: bounded, delayed as asked, what is dropped is told.
//!
//! Pure. Promises: at most [`BYTES_MAX`] of lines wait, the oldest are dropped for newer ones; frames hold lines in order of time.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use hub_query::{AnsweredEntry, AnsweredStream, Tailed};
use proto_model::{Labels, Timestamp};
use tokio::time::Instant;

use crate::api::respond::{Form, tail_frame};

/// Bytes of lines that wait for a reader.
pub(super) const BYTES_MAX: usize = 4 << 20;
/// Bytes of lines in one frame, more or less one line.
const FRAME_BYTES_MAX: usize = 256 << 10;
/// Dropped lines that are told one by one; of the others the number.
const DROPPED_MAX: usize = 1_000;
/// Rough bytes of a line beside its texts.
const LINE_BYTES: usize = 160;

#[derive(Debug)]
struct Waiting {
    due: Instant,
    labels: Arc<Labels>,
    entry: AnsweredEntry,
    bytes: usize,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Outbox {
    delay: Duration,
    form: Form,
    waiting: VecDeque<Waiting>,
    bytes: usize,
    dropped: Vec<(Timestamp, Arc<Labels>)>,
    dropped_more: u64,
    missed: u64,
    /// When the last of what is told in numbers was dropped or missed.
    at: Timestamp,
}

impl Outbox {
    pub(super) const fn new(delay: Duration, form: Form) -> Self {
        let at = Timestamp(0);
        Self { delay, form, waiting: VecDeque::new(), bytes: 0, dropped: Vec::new(), dropped_more: 0, missed: 0, at }
    }

    /// Takes new lines.
    pub(super) fn take(&mut self, tailed: Tailed, wall: Timestamp, now: Instant) {
        let mut new: Vec<Waiting> = Vec::new();
        for AnsweredStream { labels, entries } in tailed.streams {
            new.extend(entries.into_iter().map(|entry| {
                let texts = entry.metadata.iter().chain(&entry.parsed).map(|(name, value)| name.len() + value.len()).sum::<usize>();
                Waiting { due: now + self.delay, labels: Arc::clone(&labels), bytes: LINE_BYTES + entry.line.len() + texts, entry }
            }));
        }
        new.sort_by_key(|waiting| waiting.entry.time);
        for waiting in new {
            self.bytes += waiting.bytes;
            self.waiting.push_back(waiting);
            while self.bytes > BYTES_MAX {
                self.drop_oldest(wall);
            }
        }
        if tailed.missed > 0 {
            self.missed += tailed.missed;
            self.at = wall;
        }
    }

    fn drop_oldest(&mut self, wall: Timestamp) {
        let Some(dropped) = self.waiting.pop_front() else { return };
        self.bytes -= dropped.bytes;
        if self.dropped.len() < DROPPED_MAX {
            self.dropped.push((dropped.entry.time, dropped.labels));
        } else {
            self.dropped_more += 1;
            self.at = wall;
        }
    }

    /// When the next line is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.waiting.front().map(|waiting| waiting.due)
    }

    /// Whether a frame can be made now.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        !self.dropped.is_empty() || self.missed > 0 || self.due().is_some_and(|due| due <= now)
    }

    /// The next frame.
    pub(super) fn frame(&mut self, now: Instant) -> String {
        let (mut chosen, mut bytes) = (Vec::new(), 0);
        while bytes < FRAME_BYTES_MAX
            && self.due().is_some_and(|due| due <= now)
            && let Some(waiting) = self.waiting.pop_front()
        {
            bytes += waiting.bytes;
            chosen.push(waiting);
        }
        self.bytes -= bytes;
        chosen.sort_by_key(|waiting| waiting.entry.time);
        let mut streams: BTreeMap<Arc<Labels>, Vec<AnsweredEntry>> = BTreeMap::new();
        for waiting in chosen {
            streams.entry(waiting.labels).or_default().push(waiting.entry);
        }
        let streams = streams.into_iter().map(|(labels, entries)| AnsweredStream { labels, entries }).collect();
        let mut dropped = std::mem::take(&mut self.dropped);
        for (name, count) in [("dropped_lines", &mut self.dropped_more), ("missed_lines", &mut self.missed)] {
            if *count > 0 {
                dropped.push((self.at, Arc::new(Labels::from_pairs([(name, count.to_string())]))));
                *count = 0;
            }
        }
        tail_frame(streams, &dropped, &self.form)
    }
}

#[cfg(test)]
mod tests;
