//! Neighbours in manifest order to one segment.

use std::ops::Deref;
use std::sync::Arc;

use crate::{Block, Built, Footer, Kind, SegmentFault};

/// Merges segments, asking for their blocks one by one. `F` is `&Footer` or `Arc<Footer>`.
#[derive(Debug)]
pub struct Merger<F> {
    inputs: Vec<F>,
    kind: Kind,
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

impl<F: Deref<Target = Footer>> Merger<F> {
    /// Begins. `inputs` are neighbours in manifest order, the older first: of equal times the older input's lines come first.
    ///
    /// # Errors
    /// [`SegmentFault::Kind`] when an input is of another kind, [`SegmentFault::TooLarge`] when they are too many.
    pub fn new(inputs: Vec<F>, kind: Kind) -> Result<Self, SegmentFault> {
        Ok(Self { inputs, kind })
    }

    /// Works until it needs a block or is done: at most about a block of work a call.
    ///
    /// # Errors
    /// Any [`SegmentFault`]; the merge is then void.
    pub fn step(&mut self) -> Result<Step, SegmentFault> {
        Err(SegmentFault::Kind { what: "a segment", kind: self.kind })
    }

    /// Gives the block that was asked for.
    ///
    /// # Errors
    /// [`SegmentFault::Malformed`] when nothing was asked for or the block does not fit its footer.
    pub fn give(&mut self, block: Arc<Block>) -> Result<(), SegmentFault> {
        drop(block);
        self.inputs.clear();
        Ok(())
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
