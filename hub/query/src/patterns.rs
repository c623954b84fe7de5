//! Patterns of stored lines, over the whole range: what Logs Drilldown's patterns page asks for.
//!
//! Parts: [`PatternRequest`] (what is asked, checked), [`Pattern`] (one of the answer), [`Engine::patterns`]; `shape` (a line as
//! words), `miner` (lines to patterns). Every section and block is mined by itself and merged in order of arrival. Promises: all
//! lines of the range count once, whenever they were written (Loki keeps three hours); above [`MINED_BYTES_MAX`] every second,
//! third, ... part is read and its lines count twice, three times, ..., which the answer says. Limits: [`BUCKETS_MAX`]
//! samples a pattern, at most `CLUSTERS_MAX` patterns. Must not do: compare lines of different levels.

pub(crate) mod miner;
mod shape;

use std::sync::Arc;

use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use hub_logql::{Expr, LogExpr};
use hub_tenant::Grant;
use proto_model::{TimeRange, Timestamp};

use crate::answer::Stats;
use crate::budget::Limits;
use crate::engine::{Asked, Engine};
use crate::fault::QueryFault;
use crate::limits::STEPS_MAX;
use crate::plan::Selector;
use crate::record::LineLabels;
use crate::run::{Reading, Run, at_once};
use crate::scan::{DETECTED_LEVEL, Sink};
use crate::stages::Pipeline;
use crate::wanted::Wanted;
use miner::Miner;

/// Bytes of lines that one question mines; of more, evenly spread parts are.
pub const MINED_BYTES_MAX: u64 = 1 << 30;
/// Samples of one pattern: more than any screen has columns for, and with 1,000 patterns some 50 MiB.
pub const BUCKETS_MAX: i64 = 1_000;
/// Samples are told in seconds.
const STEP_NS_MIN: i64 = 1_000_000_000;

/// A checked question for patterns.
#[derive(Debug, Clone)]
pub struct PatternRequest {
    expr: LogExpr,
    range: TimeRange,
    step_ns: i64,
}

/// A pattern and how many lines have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    /// As `|>` takes it.
    pub pattern: String,
    /// The level of its lines; `None` when it was not looked for.
    pub level: Option<String>,
    /// Second and lines, ascending; seconds without lines are left out.
    pub samples: Vec<(i64, u64)>,
}

/// Patterns found, what it took, and what the caller should know besides.
#[derive(Debug, Clone, Default)]
pub struct PatternAnswer {
    /// The most frequent first.
    pub patterns: Vec<Pattern>,
    /// What it took.
    pub stats: Stats,
    /// What the caller should know beside the answer.
    pub warnings: Vec<String>,
}

impl PatternRequest {
    /// Checks a question. Steps below a second, or that would give more than [`BUCKETS_MAX`] samples, are widened.
    ///
    /// # Errors
    /// [`QueryFault`] in Loki's words: a metric query, an end that is not after the start, a step of 0 or less or too short.
    pub fn new(expr: Expr, range: TimeRange, step_ns: i64, limits: &Limits) -> Result<Self, QueryFault> {
        let Expr::Log(expr) = expr else { return Err(QueryFault::Request("only log selector is supported".to_owned())) };
        let span_ns = range.end.nanos().saturating_sub(range.start.nanos());
        if step_ns <= 0 {
            let text = "zero or negative query resolution step widths are not accepted. Try a positive integer";
            return Err(QueryFault::Request(text.to_owned()));
        }
        if span_ns / step_ns > STEPS_MAX {
            let text = "exceeded maximum resolution of 11,000 points per time series. Try increasing the value of the step parameter";
            return Err(QueryFault::Request(text.to_owned()));
        }
        crate::request::check_range(range, limits)?;
        crate::request::check_matchers(&expr, limits)?;
        hub_logql::validate(&Expr::Log(expr.clone()))?;
        let whole = step_ns.max(STEP_NS_MIN);
        let widened = whole.saturating_mul((span_ns / whole / BUCKETS_MAX).saturating_add(1));
        Ok(Self { expr, range, step_ns: widened })
    }
}

/// A question, compiled, with what it found so far.
#[derive(Debug, Clone)]
pub(crate) struct PatternSink {
    step_ns: i64,
    /// What a line counts.
    weight: u64,
    miner: Miner,
}

impl PatternSink {
    /// Counts a line.
    pub(crate) fn take(&mut self, time: Timestamp, line: &[u8], labels: &LineLabels) {
        let bucket = time.nanos() - time.nanos().rem_euclid(self.step_ns);
        let level = labels.value(DETECTED_LEVEL).unwrap_or_default();
        self.miner.add(level, bucket, self.weight, line);
    }
}

impl Engine {
    /// The patterns of the lines that a log query keeps.
    ///
    /// # Errors
    /// [`QueryFault`].
    pub async fn patterns(&self, grants: &[Grant], request: &PatternRequest, limits: &Limits) -> Result<PatternAnswer, QueryFault> {
        let selector = Arc::new(Selector::new(&request.expr.matchers)?);
        let pipeline = Arc::new(Pipeline::new(&request.expr.stages, Wanted::All)?);
        let reading = Reading { range: request.range, pipeline };
        let step_ns = request.step_ns;
        let ask = move |run: Arc<Run>| run.patterns(Arc::clone(&selector), reading.clone(), step_ns).boxed();
        let ((miner, one_of), stats, mut warnings) = self.turn("patterns", grants, &[request.range], limits, ask).await?;
        if one_of > 1 {
            warnings.push(format!("the range holds too much to be mined whole: one of {one_of} parts was read, counts are estimates"));
        }
        let answered = |mined: miner::Mined| Pattern {
            pattern: mined.pattern,
            level: Some(mined.level).filter(|level| !level.is_empty()),
            samples: mined.counts.into_iter().map(|(bucket, lines)| (bucket.div_euclid(1_000_000_000), lines)).collect(),
        };
        let patterns = self.world.workers.run(move || miner.patterns().into_iter().map(answered).collect()).await;
        Ok(PatternAnswer { patterns, stats, warnings })
    }
}

impl Run {
    /// What was found, and one of how many parts was read.
    async fn patterns(self: Arc<Self>, selector: Arc<Selector>, reading: Reading, step_ns: i64) -> Asked<(Miner, u64)> {
        let mut parts = Vec::new();
        let mut opened = self.parts(reading.range, &selector);
        while let Some(found) = opened.try_next().await? {
            parts.extend(found);
        }
        let bytes: u64 = parts.iter().map(crate::source::Part::bytes).sum();
        let one_of = bytes.div_ceil(MINED_BYTES_MAX).max(1);
        let read = parts.into_iter().step_by(usize::try_from(one_of).unwrap_or(usize::MAX));
        let run = Arc::clone(&self);
        let mine = move |part| {
            let (run, reading) = (Arc::clone(&run), reading.clone());
            let sink = Sink::Patterns(PatternSink { step_ns, weight: one_of, miner: Miner::default() });
            async move { run.scan(part, reading, sink).await }.boxed()
        };
        let mut scanned = at_once(futures::stream::iter(read).map(mine));
        let (mut all, mut stats) = (Miner::default(), Stats::default());
        while let Some((sink, took)) = scanned.try_next().await? {
            stats.add(&took);
            if let Sink::Patterns(found) = sink {
                all.merge(found.miner);
            }
        }
        Ok(((all, one_of), stats))
    }
}

#[cfg(test)]
mod tests;
