//! A compiled pipeline: a flat list of steps that many sources share.
//!
//! Parts: [`Program`], `Holding` (which steps hold records back). Must not do: change once compiled.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use regex::bytes::Regex;

use crate::compile;
use crate::fault::Mistake;
use crate::limits::BLOCK_WAIT_DEFAULT;
use crate::settings::StageSettings;
use crate::stage::Op;

/// A compiled pipeline.
pub struct Program {
    pub(crate) ops: Vec<Op>,
    /// Names of the extracted values some stage reads; a slot's number is its place here.
    pub(crate) slots: Vec<String>,
    /// Reasons under which lines are dropped.
    pub(crate) reasons: Vec<String>,
    /// Expressions whose groups are taken.
    pub(crate) expressions: Vec<Regex>,
    /// Steps that hold records back, in order.
    pub(crate) holding: Vec<Holding>,
    /// Number of `timestamp` stages that fudge.
    pub(crate) time_stages: usize,
}

/// A step that holds records back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Holding {
    /// The step.
    pub(crate) op: usize,
    pub(crate) kind: HoldingKind,
    /// Its number among those of its kind in the run's state.
    pub(crate) index: usize,
}

/// What a step holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HoldingKind {
    /// Pieces of lines.
    Partials,
    /// Blocks of lines.
    Blocks,
}

impl Program {
    /// Compiles the entries of `pipeline_stages`; no entries make a program that passes every line.
    ///
    /// # Errors
    /// All mistakes of all stages, in the order of the file.
    pub fn compile(stages: &[StageSettings]) -> Result<Arc<Self>, Vec<Mistake>> {
        compile::compile(stages).map(Arc::new)
    }

    /// The steps behind those that hold pieces of lines.
    pub(crate) fn partial_stages(&self) -> impl Iterator<Item = usize> {
        self.behind(HoldingKind::Partials)
    }

    /// The steps behind those that hold blocks.
    pub(crate) fn block_stages(&self) -> impl Iterator<Item = usize> {
        self.behind(HoldingKind::Blocks)
    }

    /// How long the blocks of the step `op` wait for their next line.
    pub(crate) fn wait(&self, op: usize) -> Duration {
        match self.ops.get(op) {
            Some(Op::Multiline(stage)) => stage.wait,
            _ => BLOCK_WAIT_DEFAULT,
        }
    }

    fn behind(&self, kind: HoldingKind) -> impl Iterator<Item = usize> {
        self.holding.iter().filter(move |holding| holding.kind == kind).map(|holding| holding.op + 1)
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program").field("ops", &self.ops).field("slots", &self.slots).field("reasons", &self.reasons).finish_non_exhaustive()
    }
}
