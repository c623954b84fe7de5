//! Runs queries: takes a view, fetches tables and sections a few at once, hands the scans to the workers.
//!
//! Parts: [`Engine`] with a method per kind of query and the turns they take; `Run` (one query over one view:
//! its grants and budget). Limits: [`crate::limits`]; queries beyond them wait or are refused. Promises: nothing goes on after a query's
//! future was dropped but the batch a worker is at; a view that moved is taken anew, three times at most.
//! Must not do: judge lines (`scan` does), or know a tenant's name beyond labels.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt as _, Stream, StreamExt as _, TryStreamExt as _};
use hub_store::{Frozen, Store, StoreFault, View};
use hub_tenant::Grant;
use proto_model::{LaneId, TimeRange, Timestamp};
use proto_seam::World;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use crate::answer::{AnsweredStream, InstantSample, InstantValue, LogAnswer, MatrixAnswer, Stats, VectorAnswer};
use crate::budget::{Budget, Lease, Limits};
use crate::fault::QueryFault;
use crate::limits::{QUERIES_AT_ONCE, QUERIES_WAITING_MAX, SECTIONS_AT_ONCE, VIEWS_MAX};
use crate::merge::{Cut, Top};
use crate::metric::{Tree, Value, matrix};
use crate::metrics::QueryMetrics;
use crate::plan::{ChosenBatch, Piece, Selector, bytes_of, choose};
use crate::range::{RangePlan, RangeSeries, Steps, Windows};
use crate::request::{Direction, InstantRequest, LogRequest, RangeRequest};
use crate::scan::{Scan, Sink};
use crate::stages::Pipeline;
use crate::vector::Sample;
use crate::wanted::Wanted;

/// Answers queries; clones share the store and the turns.
#[derive(Debug, Clone)]
pub struct Engine {
    store: Arc<Store>,
    world: World,
    metrics: QueryMetrics,
    turns: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
}

/// What an asked query gives: its result and what it took.
pub(crate) type Asked<T> = Result<(T, Stats), QueryFault>;

/// One query over one view.
#[derive(Debug)]
pub(crate) struct Run {
    engine: Engine,
    grants: Vec<Grant>,
    view: View,
    budget: Arc<Budget>,
    /// Ends the scans when the query is dropped.
    _lease: Lease,
}

/// A log query, compiled.
#[derive(Debug)]
struct LogPlan {
    range: TimeRange,
    limit: usize,
    direction: Direction,
    selector: Selector,
    pipeline: Arc<Pipeline>,
}

/// Counts a query as waiting until it has its turn.
struct Waiting<'e>(&'e AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Counts a query as running until it ends.
struct Running<'m>(&'m QueryMetrics);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.dec();
    }
}

impl Engine {
    /// An engine over `store`.
    #[must_use]
    pub fn new(store: Arc<Store>, world: World, metrics: QueryMetrics) -> Self {
        Self { store, world, metrics, turns: Arc::new(Semaphore::new(QUERIES_AT_ONCE)), waiting: Arc::default() }
    }

    /// Answers a log query for the tenants of `grants`.
    ///
    /// # Errors
    /// [`QueryFault`].
    pub async fn logs(&self, grants: &[Grant], request: &LogRequest, limits: &Limits) -> Result<LogAnswer, QueryFault> {
        let plan = Arc::new(LogPlan {
            range: request.range,
            limit: request.limit,
            direction: request.direction,
            selector: Selector::new(&request.expr.matchers)?,
            pipeline: Arc::new(Pipeline::new(&request.expr.stages, Wanted::All)?),
        });
        let ask = move |run: Arc<Run>| run.logs(Arc::clone(&plan)).boxed();
        let (streams, mut stats, warnings) = self.turn("logs", grants, limits, ask).await?;
        stats.entries = streams.iter().map(|stream| stream.entries.len() as u64).sum();
        Ok(LogAnswer { streams, stats, warnings })
    }

    /// Answers a metric query over a range.
    ///
    /// # Errors
    /// [`QueryFault`].
    pub async fn range(&self, grants: &[Grant], request: &RangeRequest, limits: &Limits) -> Result<MatrixAnswer, QueryFault> {
        let steps = Steps { start: request.start, step_ns: request.step_ns, count: request.steps() };
        // Compiled before the query waits for its turn, so that what cannot be answered is refused at once.
        Tree::new(&request.expr, steps)?;
        let expr = request.expr.clone();
        let ask = move |run: Arc<Run>| {
            let tree = Tree::new(&expr, steps);
            async move {
                let (tree, ranges, stats) = run.ranges(tree?).await?;
                let budget = Arc::clone(&run.budget);
                let series = run.engine.world.workers.run(move || matrix(tree, ranges, steps, &budget)).await?;
                Ok((series, stats))
            }
            .boxed()
        };
        let (series, mut stats, warnings) = self.turn("range", grants, limits, ask).await?;
        stats.entries = series.iter().map(|series| series.points.len() as u64).sum();
        Ok(MatrixAnswer { series, stats, warnings })
    }

    /// Answers a metric query at one point.
    ///
    /// # Errors
    /// [`QueryFault`].
    pub async fn instant(&self, grants: &[Grant], request: &InstantRequest, limits: &Limits) -> Result<VectorAnswer, QueryFault> {
        let steps = Steps { start: request.at, step_ns: 1, count: 1 };
        let is_sorted = Tree::new(&request.expr, steps)?.is_sorted();
        let expr = request.expr.clone();
        let ask = move |run: Arc<Run>| {
            let tree = Tree::new(&expr, steps);
            async move {
                let (tree, ranges, stats) = run.ranges(tree?).await?;
                let value = tree.over(ranges).at(0)?;
                if let Value::Vector(samples) = &value {
                    run.budget.allow_series(samples.len())?;
                }
                Ok((value, stats))
            }
            .boxed()
        };
        let (value, mut stats, warnings) = self.turn("instant", grants, limits, ask).await?;
        let value = match value {
            Value::Scalar(value) => InstantValue::Scalar(request.at, value),
            Value::Vector(mut samples) => {
                if !is_sorted {
                    samples.sort_by(|a, b| a.labels.cmp(&b.labels));
                }
                stats.entries = samples.len() as u64;
                let sample = |sample: Sample| InstantSample { labels: (*sample.labels).clone(), time: request.at, value: sample.value };
                InstantValue::Vector(samples.into_iter().map(sample).collect())
            }
        };
        Ok(VectorAnswer { value, stats, warnings })
    }

    /// Waits for a turn, then asks over a fresh view, again when that view moved, within the timeout.
    pub(crate) async fn turn<T>(
        &self,
        kind: &'static str,
        grants: &[Grant],
        limits: &Limits,
        ask: impl Fn(Arc<Run>) -> BoxFuture<'static, Asked<T>>,
    ) -> Result<(T, Stats, Vec<String>), QueryFault> {
        let began = Instant::now();
        let within = if limits.query_timeout.is_zero() { Duration::MAX } else { limits.query_timeout };
        let asked = async {
            let _turn = self.wait().await?;
            self.metrics.running.inc();
            let _running = Running(&self.metrics);
            let queued = began.elapsed();
            let (value, mut stats, warnings) = self.ask(grants, limits, &ask).await?;
            self.metrics.read(&stats);
            stats.queue_time = queued;
            stats.exec_time = began.elapsed().saturating_sub(queued);
            Ok((value, stats, warnings))
        };
        let answered = tokio::time::timeout(within, asked).await.unwrap_or(Err(QueryFault::Timeout));
        self.metrics.ended(kind, began.elapsed(), answered.as_ref().err());
        answered
    }

    async fn wait(&self) -> Result<SemaphorePermit<'_>, QueryFault> {
        if let Ok(permit) = self.turns.try_acquire() {
            return Ok(permit);
        }
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.waiting);
        if before >= QUERIES_WAITING_MAX {
            return Err(QueryFault::Busy);
        }
        self.turns.acquire().await.map_err(|_| QueryFault::Cancelled)
    }

    async fn ask<T>(
        &self,
        grants: &[Grant],
        limits: &Limits,
        ask: &impl Fn(Arc<Run>) -> BoxFuture<'static, Asked<T>>,
    ) -> Result<(T, Stats, Vec<String>), QueryFault> {
        for _ in 0..VIEWS_MAX {
            let view = self.store.fresh(Timestamp(self.world.clock.now_ns())).await?;
            let warnings = frozen_lanes(&view);
            let (budget, lease) = Budget::new(limits);
            match ask(Arc::new(Run { engine: self.clone(), grants: grants.to_vec(), view, budget, _lease: lease })).await {
                Err(QueryFault::Store(StoreFault::Moved { key })) => tracing::info!(key, "the view moved under a query"),
                answered => return answered.map(|(value, stats)| (value, stats, warnings)),
            }
        }
        Err(QueryFault::Moved { views: VIEWS_MAX })
    }
}

/// What the caller should know of lanes that cannot be read on.
fn frozen_lanes(view: &View) -> Vec<String> {
    let warning = |(lane, frozen): &(LaneId, Frozen)| {
        format!("lane {lane} cannot be read from number {} on ({}): lines written to it since are missing", frozen.number, frozen.reason)
    };
    view.frozen().iter().map(warning).collect()
}

impl Run {
    /// The sections that may have lines in `range`, in order of arrival.
    pub(crate) fn pieces(&self, range: TimeRange) -> Vec<Piece> {
        let several = self.grants.len() > 1;
        let of = |(at, grant): (usize, &Grant)| {
            let tenant: Option<Arc<str>> = several.then(|| grant.tenant().as_str().into());
            let piece = move |section| Piece { grant: at, tenant: tenant.clone(), section };
            self.view.sections(grant, range).into_iter().map(piece).collect::<Vec<_>>()
        };
        let mut pieces: Vec<Piece> = self.grants.iter().enumerate().flat_map(of).collect();
        pieces.sort_by_key(|piece| (piece.section.lane, piece.section.number, piece.grant));
        pieces
    }

    fn grant(&self, piece: &Piece) -> Result<&Grant, QueryFault> {
        self.grants.get(piece.grant).ok_or(QueryFault::Store(StoreFault::Foreign))
    }

    /// The rows of a section that the query is about.
    pub(crate) async fn chosen(&self, piece: &Piece, selector: &Selector, range: TimeRange) -> Result<Vec<ChosenBatch>, QueryFault> {
        self.budget.go_on()?;
        let table = self.engine.store.table(self.grant(piece)?, &piece.section).await?;
        Ok(choose(piece, &table, selector, range))
    }

    /// Reads the chosen rows of a section into a sink, on a worker.
    async fn scan(&self, read: Read, mut sink: Sink) -> Asked<Sink> {
        let Read { piece, chosen, range, pipeline } = read;
        self.budget.take_bytes(bytes_of(&chosen))?;
        let section = self.engine.store.section(self.grant(&piece)?, &piece.section).await?;
        let scan = Scan { piece, section, chosen, range, pipeline, budget: Arc::clone(&self.budget) };
        let job = move || scan.run(&mut sink).map(|stats| (sink, stats));
        self.engine.world.workers.run(job).await
    }

    async fn logs(self: Arc<Self>, plan: Arc<LogPlan>) -> Asked<Vec<AnsweredStream>> {
        let cut = Arc::new(Cut::new(plan.direction));
        let mut pieces = self.pieces(plan.range);
        by_direction(&mut pieces, plan.direction);
        let mut top = Top::new(plan.limit, Arc::clone(&cut));
        let one = |piece| Arc::clone(&self).log_piece(piece, Arc::clone(&plan), Arc::clone(&cut)).boxed();
        let mut found = at_once(pieces.into_iter().map(one).collect());
        let mut stats = Stats::default();
        while let Some((part, took)) = found.try_next().await? {
            stats.add(&took);
            if let Some(Sink::Entries(part)) = part {
                top.merge(part);
            }
        }
        Ok((top.into_streams(), stats))
    }

    /// The best entries of one section; `None` when nothing in it can matter.
    async fn log_piece(self: Arc<Self>, piece: Piece, plan: Arc<LogPlan>, cut: Arc<Cut>) -> Asked<Option<Sink>> {
        let skipped = Stats { sections_skipped: 1, ..Stats::default() };
        if !cut.wants(piece.section.min, piece.section.max) {
            return Ok((None, skipped));
        }
        let chosen = self.chosen(&piece, &plan.selector, plan.range).await?;
        if chosen.is_empty() || !cut.wants(piece.section.min, piece.section.max) {
            return Ok((None, skipped));
        }
        let sink = Sink::Entries(Top::new(plan.limit, cut));
        let (sink, stats) = self.scan(Read { piece, chosen, range: plan.range, pipeline: Arc::clone(&plan.pipeline) }, sink).await?;
        Ok((Some(sink), stats))
    }

    /// Reads what every range expression of a tree needs.
    async fn ranges(self: &Arc<Self>, tree: Tree) -> Result<(Tree, Vec<RangeSeries>, Stats), QueryFault> {
        let (mut ranges, mut stats) = (Vec::new(), Stats::default());
        for plan in &tree.ranges {
            let (series, took) = self.range_series(plan).await?;
            stats.add(&took);
            ranges.push(series);
        }
        Ok((tree, ranges, stats))
    }

    async fn range_series(self: &Arc<Self>, plan: &Arc<RangePlan>) -> Asked<RangeSeries> {
        let one = |piece| Arc::clone(self).range_piece(piece, Arc::clone(plan)).boxed();
        let mut collected = at_once(self.pieces(plan.reads()).into_iter().map(one).collect());
        let mut all = Windows::new(Arc::clone(plan), Arc::clone(&self.budget));
        let mut stats = Stats::default();
        while let Some((part, took)) = collected.try_next().await? {
            stats.add(&took);
            if let Sink::Samples(part) = part {
                all.merge(part)?;
            }
        }
        Ok((self.engine.world.workers.run(move || all.into_series()).await, stats))
    }

    async fn range_piece(self: Arc<Self>, piece: Piece, plan: Arc<RangePlan>) -> Asked<Sink> {
        let range = plan.reads();
        let mut windows = Windows::new(Arc::clone(&plan), Arc::clone(&self.budget));
        let mut stats = Stats::default();
        let mut chosen = self.chosen(&piece, &plan.selector, range).await?;
        for batch in &mut chosen {
            let mut left = Vec::new();
            for row in batch.rows.drain(..) {
                match plan.counted(&row) {
                    None => left.push(row),
                    Some((series, steps)) => {
                        stats.lines_counted += row.row.lines;
                        windows.count(series, steps, &row)?;
                    }
                }
            }
            batch.rows = left;
        }
        chosen.retain(|batch| !batch.rows.is_empty());
        if chosen.is_empty() {
            stats.sections_skipped = 1;
            return Ok((Sink::Samples(windows), stats));
        }
        let (sink, took) = self.scan(Read { piece, chosen, range, pipeline: Arc::clone(&plan.pipeline) }, Sink::Samples(windows)).await?;
        stats.add(&took);
        Ok((sink, stats))
    }
}

/// What to read of which section, through which pipeline.
struct Read {
    piece: Piece,
    chosen: Vec<ChosenBatch>,
    range: TimeRange,
    pipeline: Arc<Pipeline>,
}

/// Runs a few at once and gives their results in order.
pub(crate) fn at_once<T>(jobs: Vec<BoxFuture<'static, T>>) -> impl Stream<Item = T> + Unpin {
    futures::stream::iter(jobs).buffered(SECTIONS_AT_ONCE)
}

/// Sections with the lines asked for first come first.
fn by_direction(pieces: &mut [Piece], direction: Direction) {
    match direction {
        Direction::Forward => pieces.sort_by_key(|piece| piece.section.min),
        Direction::Backward => {
            pieces.reverse();
            pieces.sort_by_key(|piece| std::cmp::Reverse(piece.section.max));
        }
    }
}

#[cfg(test)]
mod tests;
