//! Neighbours in manifest order to one segment, whole or without the rows that a sieve takes out.
//!
//! Parts: [`Sieve`]; [`Merger`] (asks for blocks one by one, so that the one who drives it may await them), [`merge`] (in one go). Promises: the
//! output reads as the rows of the inputs, pushed in order and sorted stably; without a sieve it is the same to the byte (with one,
//! blocks are cut as if its rows were there). Limits: in memory are the
//! inputs' footers, one unpacked block of each, the block being built and the output so far. Must not do: choose what to merge.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use proto_model::Labels;
use proto_wire::batch::Row;

use crate::limits::{MERGE_INPUTS_MAX, MERGE_ROOM_MAX};
use crate::object::Writer;
use crate::{Block, Built, Footer, Kind, RunEntry, SegmentFault, StreamEntry};

const fn malformed(reason: &'static str) -> SegmentFault {
    SegmentFault::Malformed { what: "a segment to be merged", reason }
}

/// Says of each row of the inputs, given the labels of its stream, whether it stays; stream by stream.
pub struct Sieve(Keeps);

type Keeps = Box<dyn FnMut(&Arc<Labels>, &Row<'_>) -> bool + Send>;

impl Sieve {
    /// One that asks `keeps`.
    pub fn new(keeps: impl FnMut(&Arc<Labels>, &Row<'_>) -> bool + Send + 'static) -> Self {
        Self(Box::new(keeps))
    }
}

impl fmt::Debug for Sieve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sieve")
    }
}

/// Merges segments, asking for their blocks one by one. `F` is `&Footer` or `Arc<Footer>`.
#[derive(Debug)]
pub struct Merger<F> {
    inputs: Vec<Input<F>>,
    /// Inputs that have lines left of the stream at hand, ascending.
    members: Vec<usize>,
    writer: Option<Writer>,
    /// The input whose block was asked for.
    wanted: Option<usize>,
    lines: u64,
    sieve: Option<Sieve>,
    /// The stream at hand.
    labels: Option<Arc<Labels>>,
}

/// A segment and how far it was read.
#[derive(Debug)]
struct Input<F> {
    footer: F,
    stream: usize,
    run: usize,
    row: usize,
    block: Option<(u32, Arc<Block>)>,
}

/// What a [`Merger`] does next.
#[derive(Debug)]
pub enum Step {
    /// It needs a block: give it by [`Merger::give`], then go on.
    Need {
        /// Which of the inputs.
        input: usize,
        /// Which of its footer's blocks.
        block: usize,
    },
    /// It is finished.
    Done(Built),
}

impl<F: Deref<Target = Footer>> Input<F> {
    fn stream(&self) -> Option<&StreamEntry> {
        self.footer.streams.get(self.stream)
    }

    /// The run at hand; `None` when the stream at hand is at its end.
    fn run(&self) -> Option<RunEntry> {
        self.stream()?.runs.get(self.run).copied()
    }

    /// The block in which the run at hand lies, if it is not there yet.
    fn missing(&self) -> Option<u32> {
        let wanted = self.run()?.block;
        self.block.as_ref().is_none_or(|(at, _)| *at != wanted).then_some(wanted)
    }

    /// The time of the row at hand.
    fn time(&self) -> Option<i64> {
        let (_, block) = self.block.as_ref()?;
        block.outline().times(self.run()?.at as usize).get(self.row).copied()
    }

    /// Goes past the run at hand when no row of it is left; gives whether it did.
    fn end_run(&mut self) -> bool {
        let is_over = self.run().is_some_and(|run| self.row >= run.lines as usize);
        if is_over {
            self.run += 1;
            self.row = 0;
        }
        is_over
    }
}

impl<F: Deref<Target = Footer>> Merger<F> {
    /// Begins. `inputs` are neighbours in manifest order, the older first: of equal times the older input's lines come first.
    ///
    /// # Errors
    /// [`SegmentFault::Kind`] when an input is of another kind, [`SegmentFault::TooLarge`] when they are too many.
    pub fn new(inputs: Vec<F>, kind: Kind) -> Result<Self, SegmentFault> {
        if inputs.len() > MERGE_INPUTS_MAX {
            return Err(SegmentFault::TooLarge { what: "segments to be merged", found: inputs.len() as u64, limit: MERGE_INPUTS_MAX as u64 });
        }
        if inputs.iter().any(|footer| footer.facts.kind != kind) {
            return Err(SegmentFault::Kind { what: "a segment to be merged", kind });
        }
        // Together they pack no worse than apart, about; what is not used of the room is never touched.
        let room = inputs.iter().fold(0_u64, |sum, footer| sum.saturating_add(footer.facts.bytes));
        let room = usize::try_from(room).unwrap_or(usize::MAX).min(MERGE_ROOM_MAX);
        let lines = inputs.iter().map(|footer| footer.facts.lines).sum();
        let inputs = inputs.into_iter().map(|footer| Input { footer, stream: 0, run: 0, row: 0, block: None }).collect();
        let writer = Some(Writer::new(kind, room)?);
        Ok(Self { inputs, members: Vec::new(), writer, wanted: None, lines, sieve: None, labels: None })
    }

    /// As [`Self::new`], without the rows that `sieve` does not keep. What is left may be nothing: a segment without lines.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn sifting(inputs: Vec<F>, kind: Kind, sieve: Sieve) -> Result<Self, SegmentFault> {
        Ok(Self { sieve: Some(sieve), ..Self::new(inputs, kind)? })
    }

    /// Works until it needs a block or is done: at most a block of work for each input.
    ///
    /// # Errors
    /// Any [`SegmentFault`]; the merge is then void.
    pub fn step(&mut self) -> Result<Step, SegmentFault> {
        let mut writer = self.writer.take().ok_or_else(|| malformed("the merge was already over"))?;
        loop {
            if self.members.is_empty() && !self.next_stream(&mut writer)? {
                return self.end(writer);
            }
            let missing = self.members.iter().find_map(|input| self.inputs[*input].missing().map(|block| (*input, block)));
            if let Some((input, block)) = missing {
                self.writer = Some(writer);
                // The block before it is not needed any more: only one of each input is held.
                self.inputs[input].block = None;
                self.wanted = Some(input);
                return Ok(Step::Need { input, block: block as usize });
            }
            self.copy_rows(&mut writer)?;
        }
    }

    /// Gives the block that was asked for.
    ///
    /// # Errors
    /// [`SegmentFault::Malformed`] when nothing was asked for or the block is another one.
    pub fn give(&mut self, block: Arc<Block>) -> Result<(), SegmentFault> {
        let input = self.wanted.take().and_then(|input| self.inputs.get_mut(input)).ok_or_else(|| malformed("no block of it was asked for"))?;
        let wanted = input.missing().ok_or_else(|| malformed("no block of it was asked for"))?;
        let entry = input.footer.blocks.get(wanted as usize).ok_or_else(|| malformed("it has no such block"))?;
        if block.runs() != entry.runs as usize {
            return Err(malformed("a block has other runs than its footer says"));
        }
        input.block = Some((wanted, block));
        Ok(())
    }

    /// Begins the least stream that any input has next; gives whether there is one.
    fn next_stream(&mut self, writer: &mut Writer) -> Result<bool, SegmentFault> {
        let Some(labels) = self.inputs.iter().filter_map(Input::stream).map(|stream| &stream.labels).min().cloned() else {
            return Ok(false);
        };
        let (mut lines, mut bytes) = (0_u64, 0_u64);
        for (at, input) in self.inputs.iter().enumerate() {
            if let Some(stream) = input.stream().filter(|stream| stream.labels == labels) {
                self.members.push(at);
                lines += stream.lines;
                bytes = bytes.saturating_add(stream.bytes);
            }
        }
        self.labels = Some(Arc::clone(&labels));
        writer.stream(labels, lines, bytes)?;
        Ok(true)
    }

    /// Copies rows, earliest first, until a member is at the end of its run.
    fn copy_rows(&mut self, writer: &mut Writer) -> Result<(), SegmentFault> {
        while let Some((first, until)) = self.earliest()? {
            let input = &mut self.inputs[first];
            let (Some(run), Some((_, block))) = (input.run(), &input.block) else {
                return Err(malformed("a run lies in no block"));
            };
            let rows = block.outline().times(run.at as usize);
            if rows.len() != run.lines as usize {
                return Err(malformed("a run has other lines than its footer says"));
            }
            // Of equal times the older input's go first, which `until` says.
            let many = rows[input.row..].partition_point(|time| until.is_none_or(|(bound, at)| (*time, first) < (bound, at)));
            for row in input.row..input.row + many {
                let row = block.row(run.at as usize, row).ok_or_else(|| malformed("a row is missing"))?;
                if let (Some(sieve), Some(labels)) = (&mut self.sieve, &self.labels)
                    && !(sieve.0)(labels, &row)
                {
                    self.lines -= 1;
                    continue;
                }
                writer.row(row.time.0, row.level, row.metadata_bytes(), row.line)?;
            }
            input.row += many;
            if input.end_run() {
                if input.run().is_none() {
                    input.stream += 1;
                    input.run = 0;
                    self.members.retain(|member| *member != first);
                }
                return Ok(());
            }
        }
        Ok(())
    }

    /// The member whose row at hand goes first, and time and number of the next one of the others; `None` without members.
    #[expect(clippy::type_complexity, reason = "two places")]
    fn earliest(&self) -> Result<Option<(usize, Option<(i64, usize)>)>, SegmentFault> {
        let mut least: [Option<(i64, usize)>; 2] = [None; 2];
        for member in &self.members {
            let time = self.inputs[*member].time().ok_or_else(|| malformed("a run has other lines than its footer says"))?;
            let found = Some((time, *member));
            if least[0].is_none() || found < least[0] {
                least = [found, least[0]];
            } else if least[1].is_none() || found < least[1] {
                least[1] = found;
            }
        }
        Ok(least[0].map(|(_, first)| (first, least[1])))
    }

    fn end(&mut self, writer: Writer) -> Result<Step, SegmentFault> {
        self.inputs.clear();
        let built = writer.finish()?;
        // The last look before the inputs are given up for it.
        if built.facts.lines == self.lines { Ok(Step::Done(built)) } else { Err(malformed("the merge has other lines than its inputs")) }
    }
}

/// Where the blocks of an input come from.
pub type Fetch<'a> = &'a dyn Fn(usize) -> Result<Block, SegmentFault>;

/// Merges in one go.
///
/// # Errors
/// As [`Merger`], and what the inputs' own functions say.
pub fn merge(inputs: &[(&Footer, Fetch<'_>)], kind: Kind) -> Result<Built, SegmentFault> {
    let mut merger = Merger::new(inputs.iter().map(|(footer, _)| *footer).collect(), kind)?;
    loop {
        match merger.step()? {
            Step::Need { input, block } => merger.give(Arc::new(inputs[input].1(block)?))?,
            Step::Done(built) => return Ok(built),
        }
    }
}

#[cfg(test)]
mod tests;
