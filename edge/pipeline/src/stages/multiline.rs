//! `multiline`: lines from one that matches `firstline` up to the next such line become one record.
//!
//! Lines of a label set pass untouched until the first match. A block has the time, labels, metadata and
//! extracted values of its first line; lines are joined by `\n`. It is sent at the next first line, at `max_lines`,
//! after `max_wait_time` without a line, or early when a source holds too much; what follows a block that was sent
//! early is a block again, under the same first line (as Promtail does it). Unlike Promtail, empty lines count.
//! Parts: [`Multiline`], [`Block`], [`Blocks`]. Limits: `BLOCKS_MAX` label sets a source; a block alone never
//! exceeds `LINE_BYTES_MAX`. Must not do: read the clock.

use std::sync::Arc;
use std::time::Duration;

use proto_model::{Labels, Timestamp};
use regex::bytes::Regex;

use crate::compile::Compiler;
use crate::draft::{Draft, Slots};
use crate::fault::Place;
use crate::haystack::Haystack;
use crate::limits::{BLOCK_LINES_DEFAULT, BLOCK_WAIT_DEFAULT, BLOCKS_MAX, LINE_BYTES_MAX};
use crate::settings::{MultilineSettings, place};
use crate::stage::Flow;
use crate::state::{Ready, State, Values};
use crate::units;

/// The stage.
#[derive(Debug)]
pub(crate) struct Multiline {
    first: Regex,
    lines_max: u64,
    pub(crate) wait: Duration,
    /// Which of the run's [`Blocks`].
    pub(crate) index: usize,
}

impl Multiline {
    pub(crate) fn compile(compiler: &mut Compiler<'_>, at: Place, settings: &MultilineSettings) -> Option<Self> {
        let first = compiler.expression(at, "multiline", "firstline", settings.firstline.as_ref());
        let wait = settings.max_wait_time.as_ref().map_or(Some(BLOCK_WAIT_DEFAULT), |text| {
            units::duration(&text.value).or_else(|| {
                compiler.mistake(
                    place(text),
                    format!("multiline: max_wait_time {:?} is not a duration", text.value),
                    "write it as Go does, for example 3s or 500ms",
                );
                None
            })
        });
        let lines_max = settings.max_lines.as_ref().map_or(BLOCK_LINES_DEFAULT, |n| n.value);
        Some(Self { first: first?, lines_max, wait: wait?, index: compiler.block_stage() })
    }

    pub(crate) fn apply(&self, state: &mut State, draft: &mut Draft<'_>) -> Flow {
        let is_first = self.first.is_match(Haystack::new(draft.text()).as_bytes());
        let found = state.blocks[self.index].find(state.sets.labels(draft.labels));
        let at = match (found, is_first) {
            (None, false) => return Flow::Next,
            (Some(at), false) => at,
            (found, true) => self.begin(found, state, draft),
        };
        self.append(at, state, draft.text());
        Flow::End
    }

    /// A first line: what stood before it goes, a block with nothing in it yet takes the place.
    fn begin(&self, found: Option<usize>, state: &mut State, draft: &mut Draft<'_>) -> usize {
        if found.is_none() {
            state.blocks[self.index].forget_one_of(BLOCKS_MAX, &mut state.held, &mut state.ready);
        }
        let block = Block {
            labels: Arc::clone(state.sets.labels(draft.labels)),
            time: draft.time,
            metadata: std::mem::take(&mut draft.parts.metadata),
            slots: std::mem::take(&mut draft.parts.slots),
            text: Vec::new(),
            lines: 0,
            last: state.now,
        };
        state.held += block.cost();
        let blocks = &mut state.blocks[self.index];
        let Some(at) = found else {
            blocks.streams.push(block);
            return blocks.streams.len() - 1;
        };
        blocks.release(at, &mut state.held, &mut state.ready);
        state.held -= blocks.streams[at].cost();
        blocks.streams[at] = block;
        at
    }

    fn append(&self, at: usize, state: &mut State, line: &[u8]) {
        let blocks = &mut state.blocks[self.index];
        if blocks.streams[at].text.len() + line.len() >= LINE_BYTES_MAX {
            blocks.release(at, &mut state.held, &mut state.ready);
        }
        let spared = Some((self.index, at));
        while state.held + line.len() >= LINE_BYTES_MAX && state.release_oldest_block(spared) {}
        let blocks = &mut state.blocks[self.index];
        state.held += blocks.streams[at].push(line, state.now);
        if blocks.streams[at].lines == self.lines_max || state.held > LINE_BYTES_MAX {
            blocks.release(at, &mut state.held, &mut state.ready);
        }
        if state.held > LINE_BYTES_MAX {
            state.held -= blocks.streams.remove(at).cost();
        }
    }
}

/// The block under way of one label set; without lines after it was sent, until its next line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) labels: Arc<Labels>,
    pub(crate) time: Timestamp,
    pub(crate) metadata: Vec<(String, String)>,
    pub(crate) slots: Slots,
    pub(crate) text: Vec<u8>,
    pub(crate) lines: u64,
    /// When its last line was read.
    pub(crate) last: Timestamp,
}

impl Block {
    /// Bytes it holds.
    pub(crate) fn cost(&self) -> usize {
        let metadata: usize = self.metadata.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.text.len() + self.slots.bytes() + metadata
    }

    /// Appends a line; returns the bytes now held in addition.
    fn push(&mut self, line: &[u8], now: Timestamp) -> usize {
        let before = self.text.len();
        if self.lines > 0 {
            self.text.push(b'\n');
        }
        self.text.extend_from_slice(line);
        self.lines += 1;
        self.last = now;
        self.text.len() - before
    }
}

/// The blocks of one source in one stage.
#[derive(Debug, Default)]
pub(crate) struct Blocks {
    /// The stage behind the one that holds them.
    pub(crate) next: usize,
    pub(crate) streams: Vec<Block>,
}

impl Blocks {
    pub(crate) const fn new(next: usize) -> Self {
        Self { next, streams: Vec::new() }
    }

    /// The block of a label set; equal labels by another address are taken over.
    fn find(&mut self, labels: &Arc<Labels>) -> Option<usize> {
        if let Some(at) = self.streams.iter().position(|block| Arc::ptr_eq(&block.labels, labels)) {
            return Some(at);
        }
        let at = self.streams.iter().position(|block| block.labels == *labels)?;
        self.streams[at].labels = Arc::clone(labels);
        Some(at)
    }

    /// Lets the lines of block `at` go, if it has any; its first line's labels and time stay.
    pub(crate) fn release(&mut self, at: usize, held: &mut usize, ready: &mut Vec<Ready>) {
        let block = &mut self.streams[at];
        if block.lines == 0 {
            return;
        }
        *held -= block.text.len();
        block.lines = 0;
        ready.push(Ready {
            next: self.next,
            time: block.time,
            labels: Arc::clone(&block.labels),
            text: std::mem::take(&mut block.text),
            metadata: block.metadata.clone(),
            values: Values::Kept(block.slots.clone()),
        });
    }

    /// Makes place for one more label set below `most`: the one without a line for longest goes.
    fn forget_one_of(&mut self, most: usize, held: &mut usize, ready: &mut Vec<Ready>) {
        if self.streams.len() < most {
            return;
        }
        let stalest = self.streams.iter().enumerate().min_by_key(|(_, block)| block.last).map(|(at, _)| at);
        if let Some(at) = stalest {
            self.release(at, held, ready);
            *held -= self.streams.remove(at).cost();
        }
    }

    /// Lets every block go that had no line since `now` - `wait`.
    pub(crate) fn release_expired(&mut self, now: Timestamp, wait: Duration, held: &mut usize, ready: &mut Vec<Ready>) {
        for at in 0..self.streams.len() {
            if self.streams[at].last.plus(wait) <= now {
                self.release(at, held, ready);
            }
        }
    }

    /// Lets every block go, in the order their label sets appeared, and forgets all of them.
    pub(crate) fn release_all(&mut self, held: &mut usize, ready: &mut Vec<Ready>) {
        for at in 0..self.streams.len() {
            self.release(at, held, ready);
        }
        for block in self.streams.drain(..) {
            *held -= block.cost();
        }
    }

    /// When the next block must go.
    pub(crate) fn deadline(&self, wait: Duration) -> Option<Timestamp> {
        self.streams.iter().filter(|block| block.lines > 0).map(|block| block.last.plus(wait)).min()
    }
}

#[cfg(test)]
mod tests;
