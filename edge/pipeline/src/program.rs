//! A compiled pipeline: a flat list of steps that many sources share.
//!
//! Parts: [`Program`], [`Surroundings`] (what it is compiled for), `Holding` (which steps hold records back). Must not do:
//! change once compiled, but for the buckets of `limit` stages and the registry, which all its sources share.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use proto_model::Timestamp;
use regex::bytes::Regex;

use crate::compile;
use crate::fault::Mistake;
use crate::inspect::Inspector;
use crate::limits::BLOCK_WAIT_DEFAULT;
use crate::registry::Registry;
use crate::settings::StageSettings;
use crate::stage::Op;
use crate::stages::geoip::Database;

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
    /// Number of `sampling` stages.
    pub(crate) samplers: usize,
    /// What samplers begin with.
    pub(crate) seed: u64,
    /// `limit` stages that make lines wait.
    pub(crate) waiting: Vec<usize>,
    pub(crate) registry: Arc<Registry>,
    /// Who is told of every step.
    pub(crate) inspector: Option<Inspector>,
}

/// What programs are compiled for, besides their stages. The programs of one configuration share it.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// Where the metrics of stages go.
    pub registry: Arc<Registry>,
    /// Databases of `geoip` stages, by path as written (see [`databases`](crate::databases)).
    pub databases: BTreeMap<String, Database>,
    /// What `sampling` stages begin with; the same seed gives the same sample.
    pub seed: u64,
    /// Who is told what each stage makes of a line; `None` = nobody, which costs nothing.
    pub inspector: Option<Inspector>,
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
        Self::compile_in(stages, &Surroundings::default())
    }

    /// As [`Self::compile`], with a registry, databases and a seed that others share.
    ///
    /// # Errors
    /// As [`Self::compile`].
    pub fn compile_in(stages: &[StageSettings], surroundings: &Surroundings) -> Result<Arc<Self>, Vec<Mistake>> {
        compile::compile(stages, surroundings).map(Arc::new)
    }

    /// The metrics that its stages and others of its configuration make.
    #[must_use]
    pub const fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// Until when a `limit` stage wants no more lines; its sources are to be left unread so long.
    #[must_use]
    pub fn wait_until(&self, now: Timestamp) -> Option<Timestamp> {
        let waits = self.waiting.iter().filter_map(|op| match self.ops.get(*op) {
            Some(Op::Limit(stage)) => stage.waits_until(now),
            _ => None,
        });
        waits.max()
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
